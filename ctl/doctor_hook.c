/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What doctor asks about hooks, ours and others'. What libvirt runs, in which
 * order, and when it notices: virHookCheck and virHookCall of libvirt 9.0.0 to
 * 11.3.0, src/util/virhook.c. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"
#include "ctl/output.h"

#define HOOKS VP_SYSCONFDIR "/libvirt/hooks"
#define OURS HOOKS "/qemu.d/50-virtpin"

/* ---- what libvirt runs ---- */

static bool is_ours(const char *path)
{
    const char *base = strrchr(path, '/');
    size_t length = strlen(path);

    return (base && strcmp(base + 1, "virtpin-hook") == 0) ||
           (length > 8 && strcmp(path + length - 8, "-virtpin") == 0);
}

static bool add_entry(const struct vp_doctor *doctor, const char *path, struct vp_hook_entry **list,
                      size_t *count)
{
    struct vp_hook_entry *more = realloc(*list, (*count + 1) * sizeof(**list));
    struct vp_hook_entry *entry;
    char full[PATH_MAX];
    struct stat st;

    if (!more)
        return false;
    *list = more;
    entry = &more[*count];
    *entry = (struct vp_hook_entry){0};
    if (snprintf(full, sizeof(full), "%s%s", doctor->root, path) >= (int)sizeof(full) ||
        lstat(full, &st) != 0)
        return true;
    snprintf(entry->path, sizeof(entry->path), "%s", path);
    entry->link = S_ISLNK(st.st_mode);
    entry->appeared_ms = (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000;
    entry->there = vp_doctor_resolve(doctor, path, entry->target) &&
                   vp_doctor_stat(doctor, entry->target, &entry->st);
    entry->ours = is_ours(path) || is_ours(entry->target);
    if (!entry->there || !S_ISDIR(entry->st.st_mode))
        (*count)++;
    return true;
}

static int by_path(const void *a, const void *b)
{
    const struct vp_hook_entry *one = a, *other = b;

    return strcmp(one->path, other->path);
}

struct vp_hook_entry *vp_doctor_hooks(const struct vp_doctor *doctor, size_t *count)
{
    struct vp_hook_entry *list = NULL;
    char path[PATH_MAX];
    const struct dirent *entry;
    size_t first;
    DIR *dir;

    *count = 0;
    if (!add_entry(doctor, HOOKS "/qemu", &list, count))
        return list;
    first = *count;
    snprintf(path, sizeof(path), "%.4000s" HOOKS "/qemu.d", doctor->root);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), HOOKS "/qemu.d/%s", entry->d_name);
        if (!add_entry(doctor, path, &list, count))
            break;
    }
    if (dir)
        closedir(dir);
    if (*count > first)
        qsort(list + first, *count - first, sizeof(*list), by_path);
    return list;
}

bool vp_hook_runs(const struct vp_hook_entry *entry)
{
    return entry->there && S_ISREG(entry->st.st_mode) && (entry->st.st_mode & 0111);
}

const struct vp_hook_entry *vp_hook_ours(const struct vp_hook_entry *list, size_t count)
{
    const struct vp_hook_entry *found = NULL;

    for (size_t i = 0; i < count; i++)
        if (list[i].ours && (!found || (!vp_hook_runs(found) && vp_hook_runs(&list[i]))))
            found = &list[i];
    return found;
}

/* ---- our entry ---- */

static void check_entry(struct vp_doctor *doctor, const struct vp_hook_entry *entry)
{
    if (!entry->there) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the hook's entry %s points to %s, which is not there: libvirt passes over "
                      "it, and guests start without virtpin",
                      entry->path, entry->target);
        vp_doctor_remedy(doctor, "ln -sfn " VP_LAUNCHER " %s", entry->path);
    } else if (!S_ISREG(entry->st.st_mode)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR, "the hook %s is no file", entry->target);
        vp_doctor_remedy(doctor, "ln -sfn " VP_LAUNCHER " %s", entry->path);
    } else if (!(entry->st.st_mode & 0111)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the hook %s is not executable: libvirt passes over it, and guests start "
                      "without virtpin",
                      entry->target);
        vp_doctor_remedy(doctor, "chmod 755 %s", entry->target);
    } else if (entry->st.st_uid != doctor->owner || (entry->st.st_mode & 022)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the hook %s, which libvirt runs as root, is uid %u's with mode %04o: others "
                      "than root may change it",
                      entry->target, (unsigned)entry->st.st_uid,
                      (unsigned)(entry->st.st_mode & 07777));
        vp_doctor_remedy(doctor, "chown root:root %s && chmod 755 %s", entry->target,
                         entry->target);
    } else {
        vp_doctor_say(doctor, VP_CHECK_OK, "the hook is installed: %s%s%s", entry->path,
                      entry->link ? " -> " : "", entry->link ? entry->target : "");
    }
}

void vp_check_hook(struct vp_doctor *doctor)
{
    size_t count, installed = 0;
    struct vp_hook_entry *list = vp_doctor_hooks(doctor, &count);
    const struct vp_hook_entry *ours = vp_hook_ours(list, count);

    if (!ours) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the hook is not installed: there is no entry for it in " HOOKS
                      "/qemu.d, and guests start without virtpin");
        vp_doctor_remedy(doctor, "mkdir -p " HOOKS "/qemu.d && ln -sfn " VP_LAUNCHER " " OURS
                                 ", then reload libvirt's daemon");
    } else {
        check_entry(doctor, ours);
    }
    for (size_t i = 0; i < count; i++)
        installed += list[i].ours && vp_hook_runs(&list[i]);
    if (installed > 1) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "libvirt runs the hook %zu times at each start, because it has %zu entries",
                      installed, installed);
        vp_doctor_remedy(doctor, "ls -l " HOOKS "/qemu " HOOKS "/qemu.d; keep " OURS " alone");
    }
    free(list);
}

/* ---- noticed ---- */

/* Evidence: this very daemon's hook has booked for a guest. */
static const struct vp_guest_row *booked_by(const struct vp_doctor *doctor,
                                            const struct vp_program *daemon)
{
    for (size_t i = 0; doctor->rows && i < doctor->rows->count; i++)
        if (doctor->rows->item[i].daemon_pid == daemon->pid &&
            doctor->rows->item[i].daemon_start == daemon->start)
            return &doctor->rows->item[i];
    return NULL;
}

/* libvirt keeps one bit for all hooks of the driver: with any executable one
 * at its start or reload, later ones are seen at once. */
static const struct vp_hook_entry *earlier(const struct vp_hook_entry *list, size_t count,
                                           int64_t since_ms)
{
    for (size_t i = 0; i < count; i++)
        if (vp_hook_runs(&list[i]) && list[i].appeared_ms <= since_ms)
            return &list[i];
    return NULL;
}

static void say_unnoticed(struct vp_doctor *doctor, const char *name,
                          const struct vp_program *daemon, const struct vp_hook_entry *ours)
{
    char started[VP_TIME_TEXT], appeared[VP_TIME_TEXT];
    /* without a service manager a reload leaves no trace */
    bool sure = doctor->systemd && doctor->daemon_changed_ms > 0;

    vp_doctor_say(doctor, sure ? VP_CHECK_ERROR : VP_CHECK_WARNING,
                  "%s (pid %d) started at %s, before the hook came (%s), when there was no hook: "
                  "%s until it is reloaded",
                  name, (int)daemon->pid, vp_time_text(daemon->started_ms, started),
                  vp_time_text(ours->appeared_ms, appeared),
                  sure ? "it runs none" : "unless it was reloaded since, it runs none");
    if (doctor->systemd)
        vp_doctor_remedy(doctor, "systemctl reload %s", name);
    else
        vp_doctor_remedy(doctor, "kill -HUP %d", (int)daemon->pid);
}

void vp_check_noticed(struct vp_doctor *doctor)
{
    size_t count;
    struct vp_hook_entry *list = vp_doctor_hooks(doctor, &count);
    const struct vp_hook_entry *ours = vp_hook_ours(list, count), *before;
    const struct vp_guest_row *row;
    struct vp_program daemon;
    const char *name = vp_doctor_daemon(doctor, &daemon);

    if (!name) {
        vp_doctor_say(doctor, VP_CHECK_OK,
                      "libvirt's daemon does not run now: it looks for hooks when it starts");
    } else if (ours && vp_hook_runs(ours)) {
        /* a reload that follows the installation at once leaves no time between them */
        int64_t since = daemon.started_ms > doctor->daemon_changed_ms ? daemon.started_ms
                                                                      : doctor->daemon_changed_ms;

        row = booked_by(doctor, &daemon);
        before = earlier(list, count, since + 1000);
        if (row)
            vp_doctor_say(doctor, VP_CHECK_OK, "%s (pid %d) runs the hook: it has booked for %s",
                          name, (int)daemon.pid, row->name);
        else if (before)
            vp_doctor_say(doctor, VP_CHECK_OK,
                          "%s (pid %d) was started or reloaded with %s in its place", name,
                          (int)daemon.pid, before->path);
        else
            say_unnoticed(doctor, name, &daemon, ours);
    }
    free(list);
}

/* ---- the worker ---- */

static bool worker_is_sound(struct vp_doctor *doctor, const char *path)
{
    struct stat st;

    if (!vp_doctor_stat(doctor, path, &st) || !S_ISREG(st.st_mode)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "%s is not there: the hook can decide nothing, and every start goes by "
                      "[host] on-error",
                      path);
        vp_doctor_remedy(doctor, "apt-get install --reinstall virtpin (dnf reinstall virtpin; "
                                 "make install)");
        return false;
    }
    if (!(st.st_mode & 0111)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "%s is not executable: the hook can decide nothing, and every start goes by "
                      "[host] on-error",
                      path);
        vp_doctor_remedy(doctor, "chmod 755 %s", path);
        return false;
    }
    if (st.st_uid == doctor->owner && !(st.st_mode & 022))
        return true;
    vp_doctor_say(doctor, VP_CHECK_ERROR,
                  "%s, which runs as root, is uid %u's with mode %04o: others than root may change "
                  "it",
                  path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777));
    vp_doctor_remedy(doctor, "chown root:root %s && chmod 755 %s", path, path);
    return false;
}

void vp_check_worker(struct vp_doctor *doctor)
{
    bool sound = worker_is_sound(doctor, VP_LIBEXECDIR "/virtpin-hook-worker");

    if (worker_is_sound(doctor, VP_LIBEXECDIR "/virtpin-hook-survey") && sound)
        vp_doctor_say(doctor, VP_CHECK_OK, "the hook's worker is in " VP_LIBEXECDIR);
}

/* ---- others' hooks ---- */

/* A script whose interpreter is not there ends every start. */
static bool interpreter_of(const struct vp_doctor *doctor, const struct vp_hook_entry *entry,
                           char interpreter[256])
{
    char line[256];
    size_t at;

    if (!vp_doctor_line(doctor, entry->target, line, sizeof(line)) || strncmp(line, "#!", 2) != 0)
        return false;
    at = 2 + strspn(line + 2, " \t");
    snprintf(interpreter, 256, "%.*s", (int)strcspn(line + at, " \t\r"), line + at);
    return interpreter[0] == '/';
}

static bool is_leftover(const char *path)
{
    static const char *const ends[] = {"~",         ".bak",      ".orig",    ".old",   ".swp",
                                       ".dpkg-old", ".dpkg-new", ".rpmsave", ".rpmnew"};
    const char *base = strrchr(path, '/') + 1;
    size_t length = strlen(base);

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (length > strlen(ends[i]) && strcmp(base + length - strlen(ends[i]), ends[i]) == 0)
            return true;
    return base[0] == '.';
}

/* The last line of libvirt's log that says this hook failed: when and how. */
static bool last_failure(const struct vp_doctor *doctor, const char *path, char when[32],
                         char how[200])
{
    const char *line = doctor->hook_log, *found = NULL;
    char wanted[PATH_MAX];

    snprintf(wanted, sizeof(wanted), "%.4000s ", path);
    for (; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *at = strstr(line, wanted), *end = strchr(line, '\n');

        if (at && (!end || at < end))
            found = line;
    }
    if (!found)
        return false;
    snprintf(when, 32, "%.*s", 19, found);
    found = strstr(found, wanted) + strlen(wanted);
    snprintf(how, 200, "%.*s", (int)strcspn(found, "\n"), found);
    return true;
}

static bool check_other(struct vp_doctor *doctor, const struct vp_hook_entry *entry)
{
    char interpreter[256], when[32], how[200];
    struct stat st;

    if (interpreter_of(doctor, entry, interpreter) && !vp_doctor_stat(doctor, interpreter, &st)) {
        vp_doctor_say(doctor, VP_CHECK_ERROR,
                      "the hook %s asks for %s, which is not there: libvirt refuses every start, "
                      "and ends running guests when its daemon is restarted",
                      entry->path, interpreter);
        vp_doctor_remedy(doctor, "chmod -x %s, or install %s", entry->path, interpreter);
        return true;
    }
    if (last_failure(doctor, entry->path, when, how)) {
        vp_doctor_say(doctor, VP_CHECK_WARNING,
                      "the hook %s has failed, the last time at %s: %s (libvirt refuses a start "
                      "then, whatever virtpin says)",
                      entry->path, when, how);
        vp_doctor_remedy(doctor, "correct %s, or chmod -x it", entry->path);
        return true;
    }
    if (!is_leftover(entry->path))
        return false;
    vp_doctor_say(doctor, VP_CHECK_WARNING,
                  "libvirt runs %s too, whatever its name: it looks like a copy that was left over",
                  entry->path);
    vp_doctor_remedy(doctor, "rm %s", entry->path);
    return true;
}

void vp_check_other_hooks(struct vp_doctor *doctor)
{
    size_t count, others = 0, bad = 0;
    struct vp_hook_entry *list = vp_doctor_hooks(doctor, &count);

    for (size_t i = 0; i < count; i++) {
        if (list[i].ours || !vp_hook_runs(&list[i]))
            continue;
        others++;
        bad += check_other(doctor, &list[i]);
    }
    if (others == 0)
        vp_doctor_say(doctor, VP_CHECK_OK, "no other hook is installed");
    else if (bad == 0)
        vp_doctor_say(doctor, VP_CHECK_OK, "%zu other %s, nothing is known against %s", others,
                      others == 1 ? "hook is installed" : "hooks are installed",
                      others == 1 ? "it" : "them");
    free(list);
}
