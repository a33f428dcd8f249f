/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "host/threads.h"

/* The worse the harm, the earlier: first what lets guests start without their
 * CPUs or keeps them from starting, then what is not kept up, then what others
 * may undo. */
static const struct {
    const char *name;
    void (*run)(struct vp_doctor *doctor);
} checks[] = {
    {"root", vp_check_root},
    {"hook", vp_check_hook},
    {"hook-noticed", vp_check_noticed},
    {"worker", vp_check_worker},
    {"other-hooks", vp_check_other_hooks},
    {"apparmor", vp_check_apparmor},
    {"selinux", vp_check_selinux},
    {"libvirt", vp_check_libvirt},
    {"policy", vp_check_policy},
    {"run-dir", vp_check_run_dir},
    {"ledger", vp_check_ledger},
    {"state-dir", vp_check_state_dir},
    {"enforcer", vp_check_enforcer},
    {"sweep", vp_check_sweep},
    {"switch", vp_check_switch},
    {"cgroup", vp_check_cgroup},
    {"qemu-conf", vp_check_qemu_conf},
    {"narrowed", vp_check_narrowed},
    {"partitions", vp_check_partitions},
    {"managers", vp_check_managers},
    {"placement-auto", vp_check_auto},
    {"balancers", vp_check_balancers},
    {"isolated", vp_check_isolated},
    {"fanotify", vp_check_fanotify},
    {"kernel", vp_check_kernel},
    {"tracepoint", vp_check_tracepoint},
    {"sight", vp_check_sight},
};

static int by_harm(const void *a, const void *b)
{
    const struct vp_diagnosis *one = a, *other = b;

    if (one->grade != other->grade)
        return (int)other->grade - (int)one->grade;
    return (one->order > other->order) - (one->order < other->order);
}

bool vp_doctor_run(struct vp_doctor *doctor)
{
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        doctor->check = checks[i].name;
        doctor->order = i;
        checks[i].run(doctor);
    }
    if (doctor->count > 0)
        qsort(doctor->item, doctor->count, sizeof(doctor->item[0]), by_harm);
    return !doctor->no_memory;
}

void vp_doctor_clear(struct vp_doctor *doctor)
{
    free(doctor->item);
    doctor->item = NULL;
    doctor->count = 0;
}

void vp_doctor_say(struct vp_doctor *doctor, enum vp_check_grade grade, const char *format, ...)
{
    struct vp_diagnosis *more =
        realloc(doctor->item, (doctor->count + 1) * sizeof(doctor->item[0]));
    va_list args;

    if (!more) {
        doctor->no_memory = true;
        return;
    }
    doctor->item = more;
    more += doctor->count++;
    *more = (struct vp_diagnosis){.name = doctor->check, .grade = grade, .order = doctor->order};
    va_start(args, format);
    vsnprintf(more->text, sizeof(more->text), format, args);
    va_end(args);
}

void vp_doctor_remedy(struct vp_doctor *doctor, const char *format, ...)
{
    va_list args;

    if (doctor->no_memory || doctor->count == 0)
        return;
    va_start(args, format);
    vsnprintf(doctor->item[doctor->count - 1].remedy, sizeof(doctor->item[0].remedy), format, args);
    va_end(args);
}

/* ---- files ---- */

ssize_t vp_doctor_read(const struct vp_doctor *doctor, const char *path, char *buf, size_t size)
{
    char full[PATH_MAX];
    size_t used = 0;
    ssize_t got = 0;
    int fd;

    if (snprintf(full, sizeof(full), "%s%s", doctor->root, path) >= (int)sizeof(full))
        return -1;
    fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    while (used + 1 < size && (got = read(fd, buf + used, size - 1 - used)) > 0)
        used += (size_t)got;
    close(fd);
    buf[used] = '\0';
    return got < 0 ? -1 : (ssize_t)used;
}

bool vp_doctor_line(const struct vp_doctor *doctor, const char *path, char *buf, size_t size)
{
    if (vp_doctor_read(doctor, path, buf, size) < 0)
        return false;
    buf[strcspn(buf, "\n")] = '\0';
    return true;
}

bool vp_doctor_stat(const struct vp_doctor *doctor, const char *path, struct stat *st)
{
    char full[PATH_MAX];

    return snprintf(full, sizeof(full), "%s%s", doctor->root, path) < (int)sizeof(full) &&
           stat(full, st) == 0;
}

void vp_doctor_cpus(const struct vp_doctor *doctor, const char *path, struct vp_cpuset *cpus)
{
    char text[4096];

    *cpus = (struct vp_cpuset){0};
    if (vp_doctor_line(doctor, path, text, sizeof(text)) && text[0] >= '0' && text[0] <= '9' &&
        vp_cpuset_parse_kernel(cpus, text, NULL) != 0)
        *cpus = (struct vp_cpuset){0};
}

bool vp_doctor_resolve(const struct vp_doctor *doctor, const char *path, char target[PATH_MAX])
{
    char full[PATH_MAX], to[PATH_MAX];

    snprintf(target, PATH_MAX, "%s", path);
    for (int hops = 0; hops < 16; hops++) {
        ssize_t length;
        int directory;

        if (snprintf(full, sizeof(full), "%s%s", doctor->root, target) >= (int)sizeof(full))
            return false;
        length = readlink(full, to, sizeof(to) - 1);
        if (length < 0)
            return errno == EINVAL;
        to[length] = '\0';
        directory = to[0] == '/' ? 0 : (int)(strrchr(target, '/') - target) + 1;
        if (snprintf(full, sizeof(full), "%.*s%s", directory, target, to) >= (int)sizeof(full))
            return false;
        memcpy(target, full, strlen(full) + 1);
    }
    return false;
}

/* ---- processes ---- */

/* By uptime, not by btime: the boot's time is a whole second. */
static int64_t started_ms(const struct vp_doctor *doctor, uint64_t ticks)
{
    char text[128];
    double uptime;

    if (!vp_doctor_line(doctor, "/proc/uptime", text, sizeof(text)))
        return 0;
    uptime = strtod(text, NULL);
    return doctor->now_ms - (int64_t)(uptime * 1000) +
           (int64_t)(ticks * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void take_program(const struct vp_doctor *doctor, const char *proc, pid_t pid,
                         struct vp_program *program)
{
    char path[PATH_MAX], exe[PATH_MAX];
    ssize_t length;

    *program = (struct vp_program){.pid = pid, .start = vp_process_start(proc, pid)};
    program->started_ms = started_ms(doctor, program->start);
    snprintf(path, sizeof(path), "%.4000s/%d/exe", proc, (int)pid);
    length = readlink(path, exe, sizeof(exe) - 1);
    exe[length > 0 ? length : 0] = '\0';
    program->replaced = length > 10 && strcmp(exe + length - 10, " (deleted)") == 0;
}

bool vp_doctor_program(const struct vp_doctor *doctor, const char *comm, struct vp_program *program)
{
    char proc[PATH_MAX], path[64], name[64];
    const struct dirent *entry;
    bool found = false;
    DIR *dir;

    snprintf(proc, sizeof(proc), "%.4000s/proc", doctor->root);
    dir = opendir(proc);
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid <= 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        found = vp_doctor_line(doctor, path, name, sizeof(name)) && strcmp(name, comm) == 0;
        if (found)
            take_program(doctor, proc, pid, program);
    }
    closedir(dir);
    return found;
}

const char *vp_doctor_daemon(const struct vp_doctor *doctor, struct vp_program *program)
{
    static const char *const names[] = {"virtqemud", "libvirtd"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (vp_doctor_program(doctor, names[i], program))
            return names[i];
    return NULL;
}

/* ---- guests ---- */

static bool see_dir(const struct vp_doctor *doctor, const char *dir,
                    bool (*see)(void *context, const char *name, const char *xml), void *context)
{
    VP_AUTO(free) char *xml = malloc(VP_XML_MAX);
    char path[PATH_MAX], name[256];
    const struct dirent *entry;
    bool more = true;
    DIR *list;

    snprintf(path, sizeof(path), "%.2000s%s", doctor->root, dir);
    list = xml ? opendir(path) : NULL;
    if (!list)
        return true;
    while (more && (entry = readdir(list))) {
        size_t length = strlen(entry->d_name);

        if (length <= 4 || strcmp(entry->d_name + length - 4, ".xml") != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        snprintf(name, sizeof(name), "%.*s", (int)(length - 4), entry->d_name);
        if (vp_doctor_read(doctor, path, xml, VP_XML_MAX) > 0)
            more = see(context, name, xml);
    }
    closedir(list);
    return more;
}

void vp_doctor_guests(const struct vp_doctor *doctor,
                      bool (*see)(void *context, const char *name, const char *xml), void *context)
{
    if (see_dir(doctor, VP_LIBVIRT_STATUS_DIR, see, context))
        see_dir(doctor, "/etc/libvirt/qemu", see, context);
}

void vp_doctor_dedicated(const struct vp_doctor *doctor, struct vp_cpuset *cpus)
{
    struct vp_cpuset own;

    *cpus = (struct vp_cpuset){0};
    for (size_t i = 0; doctor->rows && i < doctor->rows->count; i++) {
        const struct vp_guest_row *row = &doctor->rows->item[i];

        if (!row->plan || row->plan->mode != VP_MODE_ENFORCE || row->unplaced)
            continue;
        vp_plan_exclusive(row->plan, &own);
        vp_cpuset_or(cpus, &own);
    }
}
