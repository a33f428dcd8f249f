/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/utsname.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "ctl/doctor.h"
#include "ctl/output.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/policy.h"
#include "host/clock.h"
#include "host/engine.h"
#include "version.h"

#define LEDGER_MS 2000
#define LOG_BYTES (256 << 10)
#define LOG_ENTRIES 2000

/* What only system calls and services can tell, kept until the checks are through. */
struct gathered {
    struct vp_policy_set *set;
    struct vp_findings findings, ignored;
    struct vp_hierarchies hierarchies;
    struct vp_guest_rows rows;
    struct vp_error ledger_error;
    struct utsname names;
    char *log;
};

static void gathered_cleanup(struct gathered *facts)
{
    vp_policy_set_free(facts->set);
    vp_findings_clear(&facts->findings);
    vp_findings_clear(&facts->ignored);
    vp_hierarchies_clear(&facts->hierarchies);
    vp_guest_rows_clear(&facts->rows);
    free(facts->log);
}

/* Nothing is written, as vp_conf_in_force would where the files are sound. */
static int gather_policy(const struct vp_ctl *ctl, struct vp_doctor *doctor, struct gathered *facts,
                         struct vp_error *err)
{
    bool stale;

    doctor->policy_loaded = vp_conf_load(&ctl->where, &facts->set, &facts->findings, NULL) == 0;
    if (!doctor->policy_loaded &&
        vp_conf_in_force(&ctl->where, &facts->set, &stale, &facts->ignored, NULL) == 0)
        doctor->policy_stale = stale;
    if (!facts->set)
        facts->set = vp_policy_set_defaults();
    if (!facts->set)
        return vp_fail(err, VP_HOST, "out of memory");
    doctor->set = facts->set;
    doctor->findings = &facts->findings;
    return 0;
}

static void gather_ledger(struct vp_doctor *doctor, struct gathered *facts)
{
    struct vp_ledger *ledger = NULL;
    struct vp_error *err = &facts->ledger_error;

    if (vp_ledger_open(&ledger, doctor->set->host.run_dir, false, LEDGER_MS, NULL, err) == 0 &&
        vp_ledger_guests(ledger, &facts->rows, err) == 0)
        doctor->ledger = 1;
    else
        doctor->ledger = err->code == VP_GONE ? 0 : -1;
    vp_ledger_close(ledger);
    doctor->ledger_why = err->text;
    doctor->rows = &facts->rows;
}

static int try_fanotify(const struct vp_cgroups *cgroups)
{
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
    int number = 0;

    if (fd < 0)
        return errno;
    if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD,
                      cgroups->mount) < 0)
        number = errno;
    close(fd);
    return number;
}

/* ---- systemd ---- */

/* When the unit of libvirt's daemon last changed its state: a reload does that
 * as well as a start. 0: unknown. */
static int64_t unit_changed_ms(const char *daemon)
{
    sd_bus *bus = NULL;
    char unit[64], *path = NULL;
    uint64_t usec = 0;

    snprintf(unit, sizeof(unit), "%s.service", daemon);
    if (sd_bus_open_system(&bus) < 0)
        return 0;
    sd_bus_set_method_call_timeout(bus, 2000000);
    if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0 ||
        sd_bus_get_property_trivial(bus, "org.freedesktop.systemd1", path,
                                    "org.freedesktop.systemd1.Unit", "StateChangeTimestamp", NULL,
                                    't', &usec) < 0)
        usec = 0;
    free(path);
    sd_bus_flush_close_unref(bus);
    return (int64_t)(usec / 1000);
}

/* ---- what libvirt said of hooks ---- */

static bool is_failure(const char *line, size_t length)
{
    return memmem(line, length, "/libvirt/hooks/qemu", 19) &&
           memmem(line, length, "unexpected", 10);
}

static void log_file(FILE *out, const struct vp_doctor *doctor, const char *path)
{
    char full[PATH_MAX], *line = NULL;
    size_t room = 0;
    ssize_t length;
    FILE *file;

    snprintf(full, sizeof(full), "%.2000s%s", doctor->root, path);
    file = fopen(full, "re");
    if (!file)
        return;
    /* what is left of a cut line is passed over */
    if (fseek(file, -LOG_BYTES, SEEK_END) == 0 && getline(&line, &room, file) < 0)
        rewind(file);
    while ((length = getline(&line, &room, file)) > 0)
        if (is_failure(line, (size_t)length))
            fputs(line, out);
    free(line);
    fclose(file);
}

static void log_journal(FILE *out)
{
    char time[VP_TIME_TEXT];
    sd_journal *journal = NULL;
    const void *data;
    size_t length;
    uint64_t usec;

    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) < 0)
        return;
    sd_journal_add_match(journal, "_COMM=libvirtd", 0);
    sd_journal_add_match(journal, "_COMM=virtqemud", 0);
    sd_journal_seek_tail(journal);
    sd_journal_previous_skip(journal, LOG_ENTRIES);
    do {
        if (sd_journal_get_data(journal, "MESSAGE", &data, &length) < 0 ||
            !is_failure(data, length) || sd_journal_get_realtime_usec(journal, &usec) < 0)
            continue;
        fprintf(out, "%s %.*s\n", vp_time_text((int64_t)(usec / 1000), time), (int)length,
                (const char *)data);
    } while (sd_journal_next(journal) > 0);
    sd_journal_close(journal);
}

static char *hook_log(const struct vp_doctor *doctor)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (!out)
        return NULL;
    log_file(out, doctor, "/var/log/libvirt/libvirtd.log");
    log_file(out, doctor, "/var/log/libvirt/virtqemud.log");
    log_journal(out);
    fclose(out);
    return text;
}

static int gather(const struct vp_ctl *ctl, struct vp_doctor *doctor, struct gathered *facts,
                  struct vp_error *err)
{
    struct vp_program daemon;
    const char *name;

    doctor->root = "";
    doctor->now_ms = vp_now_ms();
    doctor->is_root = geteuid() == 0;
    doctor->enabled = !vp_conf_disabled(&ctl->where, doctor->disabled_why);
    if (gather_policy(ctl, doctor, facts, err) != 0 ||
        vp_cgroups_find(facts->set->host.cgroup_dir, NULL, &doctor->cgroups, err) != 0)
        return -1;
    vp_enforcer_read(facts->set->host.run_dir, &doctor->enforcer);
    if (vp_hierarchies_list(&facts->hierarchies, NULL) == 0)
        doctor->hierarchies = &facts->hierarchies;
    uname(&facts->names);
    doctor->kernel = facts->names.release;
    if (virGetVersion(&doctor->libvirt, NULL, NULL) != 0)
        doctor->libvirt = 0;
    doctor->systemd = access("/run/systemd/system", F_OK) == 0;
    name = vp_doctor_daemon(doctor, &daemon);
    if (doctor->systemd && name)
        doctor->daemon_changed_ms = unit_changed_ms(name);
    facts->log = hook_log(doctor);
    doctor->hook_log = facts->log;
    if (doctor->cgroups.version != VP_CGROUP_NONE)
        doctor->fanotify = try_fanotify(&doctor->cgroups);
    gather_ledger(doctor, facts);
    return 0;
}

/* ---- output ---- */

static const char *const words[] = {"ok", "warning", "error"};
static const enum vp_colour colours[] = {VP_GREEN, VP_YELLOW, VP_RED};

static void print_json(const struct vp_doctor *doctor, const char *host)
{
    json_object *object = vp_json_new("virtpin.doctor/1");
    json_object *list = vp_json_array();

    vp_json_time(object, "time", doctor->now_ms);
    vp_json_string(object, "host", host);
    vp_json_string(object, "version", VP_VERSION);
    for (size_t i = 0; i < doctor->count; i++) {
        const struct vp_diagnosis *item = &doctor->item[i];
        json_object *one = vp_json_object();

        vp_json_string(one, "name", item->name);
        vp_json_string(one, "grade", words[item->grade]);
        vp_json_string(one, "text", item->text);
        vp_json_string(one, "remedy", item->remedy[0] ? item->remedy : NULL);
        vp_json_push(list, one);
    }
    vp_json_add(object, "checks", list);
    vp_json_print(object);
}

static void print_text(const struct vp_doctor *doctor)
{
    for (size_t i = 0; i < doctor->count; i++) {
        const struct vp_diagnosis *item = &doctor->item[i];

        printf("%s%-7s%s  %s: %s\n", vp_colour(colours[item->grade]), words[item->grade],
               vp_colour_end(), item->name, item->text);
        if (item->remedy[0])
            printf("         remedy: %s\n", item->remedy);
    }
}

int vp_verb_doctor(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(gathered) struct gathered facts = {0};
    VP_AUTO(vp_doctor) struct vp_doctor doctor = {0};

    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "doctor looks at this host: --topology is of no use here");
    if (vp_ctl_check_where(ctl, err) != 0 || gather(ctl, &doctor, &facts, err) != 0)
        return -1;
    if (!vp_doctor_run(&doctor))
        return vp_fail(err, VP_HOST, "out of memory");
    if (ctl->json)
        print_json(&doctor, facts.names.nodename);
    else
        print_text(&doctor);
    return doctor.count > 0 && doctor.item[0].grade == VP_CHECK_ERROR ? VP_EXIT_FINDING
                                                                      : VP_EXIT_GOOD;
}
