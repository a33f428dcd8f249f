/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/writes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/calls.h"
#include "enforcer/enforcer.h"
#include "enforcer/fight.h"
#include "enforcer/first.h"
#include "enforcer/patience.h"
#include "host/clock.h"

/* Who wrote; asked once for events that came together. */
struct author {
    bool known;
    struct vp_culprit by;
    enum vp_writer writer;
};

static const struct author *author_of(const struct vp_enforcer *enforcer, pid_t pid,
                                      struct author *author)
{
    if (author->known && author->by.pid == pid && pid > 0)
        return author;
    author->by = (struct vp_culprit){.uid = -1};
    if (pid > 0) /* 0: of a PID namespace that is none of ours */
        vp_culprit_of("/proc", pid, &author->by);
    author->by.pid = pid;
    author->by.exact = pid > 0;
    author->writer = vp_patience_writer(enforcer, &author->by);
    author->known = true;
    return author;
}

static bool same_file(const char *path, const struct stat *file)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_ino == file->st_ino && st.st_dev == file->st_dev;
}

/* What is looked at when it is written to. */
static bool is_setting(const char *name)
{
    static const char *const names[] = {
        "cpuset.cpus", "cpuset.mems",      "cpuset.cpus.partition", "cpu.shares",
        "cpu.weight",  "cpu.cfs_quota_us", "cpu.cfs_period_us",     "cpu.max",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* Threads are moved by a write to these, of the group where they go. */
static bool is_move(const char *name)
{
    return strcmp(name, "tasks") == 0 || strcmp(name, "cgroup.procs") == 0 ||
           strcmp(name, "cgroup.threads") == 0;
}

/* The hierarchies that are watched: of the cpuset controller and, where that is
 * another one, of the cpu controller. */
static const char *mount_of(const struct vp_enforcer *enforcer, size_t number)
{
    const struct vp_engine *engine = &enforcer->engine;
    const char *cpuset = engine->cgroups.mount, *cpu = engine->cpu_cgroups.mount;

    if (number == 0)
        return cpuset;
    return number == 1 && engine->cpu_cgroups.version != VP_CGROUP_NONE && strcmp(cpu, cpuset) != 0
               ? cpu
               : NULL;
}

/* What follows the mount in the path of one of our hierarchies; NULL: it is
 * named otherwise, by a mount of another namespace. */
static const char *below_mount(const struct vp_enforcer *enforcer, const char *path)
{
    const char *dir;

    for (size_t i = 0; (dir = mount_of(enforcer, i)) != NULL; i++) {
        size_t length = strlen(dir);

        if (strncmp(path, dir, length) == 0 && path[length] == '/')
            return path + length;
    }
    return NULL;
}

/* The file as this process names it, if it is one of the guest's. The writer
 * may have another mount namespace, where the path starts differently: the
 * inode says whether it is the same file. `below` is what below_mount says: with
 * it each guest costs a comparison and no more. */
static bool in_guest(const struct vp_enforcer *enforcer, const struct vp_watched *guest,
                     const char *path, const char *below, const struct stat *file, char *where,
                     size_t size)
{
    size_t mount = strlen(enforcer->engine.cgroups.mount), length;
    const char *own, *found, *dir;

    if (!guest->root[0] || strncmp(guest->root, enforcer->engine.cgroups.mount, mount) != 0)
        return false;
    own = guest->root + mount;
    length = strlen(own);
    found = !below ? strstr(path, own) : strncmp(below, own, length) == 0 ? below : NULL;
    if (!found || found[length] != '/')
        return false;
    for (size_t i = 0; (dir = mount_of(enforcer, i)) != NULL; i++) {
        snprintf(where, size, "%s%s", dir, found);
        if (same_file(where, file))
            return true;
    }
    return false;
}

static bool above_guest(const struct vp_enforcer *enforcer, const struct vp_watched *guest,
                        const char *path)
{
    const char *slash = strrchr(path, '/'), *dir;
    size_t mount = strlen(enforcer->engine.cgroups.mount);

    if (strncmp(guest->root, enforcer->engine.cgroups.mount, mount) != 0)
        return false;
    for (size_t i = 0; (dir = mount_of(enforcer, i)) != NULL; i++) {
        size_t own = strlen(dir), rest = (size_t)(slash - path) - own;

        if (strncmp(path, dir, own) == 0 && path + own <= slash &&
            strncmp(guest->root + mount, path + own, rest) == 0 &&
            (guest->root[mount + rest] == '/' || guest->root[mount + rest] == '\0'))
            return true;
    }
    return false;
}

static void note(struct vp_enforcer *enforcer, struct vp_watched *guest, const char *where,
                 const struct author *author)
{
    bool lost;
    struct vp_write *write = vp_watched_write_add(guest, where, &lost);
    int64_t now_us = vp_clock_us();
    int64_t wait = author->writer == VP_WRITER_LIBVIRT ? VP_DAEMON_WRITE_US
                   : author->writer == VP_WRITER_OURS  ? VP_OWN_WRITE_US
                                                       : 0;

    enforcer->noted = true;
    if (!write) {
        vp_watched_due(guest, now_us + wait);
        return;
    }
    write->by = author->by;
    write->libvirt = author->writer == VP_WRITER_LIBVIRT;
    write->foreign = author->writer == VP_WRITER_OTHER;
    write->at_us = now_us;
    if (guest->event_us == 0)
        guest->event_us = now_us;
    if (wait > 0)
        vp_patience_busy(guest, now_us, wait);
    if (write->foreign && !lost && vp_first_is_cpus(guest, where))
        guest->first = true; /* it has to be fast */
    else
        vp_watched_due(guest, now_us + wait);
}

/* A thread that is in that list now was put there by this write, or was there. */
static void take_moved(struct vp_enforcer *enforcer, const char *list, const struct vp_culprit *by)
{
    int64_t now_us = vp_clock_us();
    const char *at = list;

    while (*at) {
        char *end;
        pid_t tid = (pid_t)strtol(at, &end, 10);
        struct vp_watched *guest = end == at ? NULL : vp_calls_guest(enforcer, tid);
        struct vp_call *call = guest ? vp_watched_call_add(guest, tid) : NULL;

        if (call) {
            call->by = *by;
            call->foreign = true;
            call->moved = true;
            call->at_us = now_us;
            if (guest->event_us == 0)
                guest->event_us = now_us;
            vp_watched_due(guest, now_us);
            enforcer->noted = true;
        }
        at = end + strspn(end, "\n");
        if (end == at && *at)
            return;
    }
}

/* Somebody moved threads into a group that is none of a guest's. Which they
 * were the event does not say: those of a guest are in the group's list now.
 * Container managers do this all day: a long list is left to the sweep. */
static void take_move(struct vp_enforcer *enforcer, int fd, const struct vp_culprit *by)
{
    char list[16384];
    ssize_t length = pread(fd, list, sizeof(list) - 1, 0);

    if (length <= 0 || length == sizeof(list) - 1)
        return;
    list[length] = '\0';
    take_moved(enforcer, list, by);
}

/* The guest whose file it is, and the file as this process names it; NULL: none.
 * Whoever writes one file writes it again: the last one found is asked first. */
static struct vp_watched *guest_of(struct vp_enforcer *enforcer, const char *path,
                                   const struct stat *file, char *where, size_t size)
{
    static size_t last;
    const char *below = below_mount(enforcer, path);

    for (size_t i = 0; i <= enforcer->guest_count; i++) {
        size_t number = i == 0 ? last : i - 1;

        if (number < enforcer->guest_count &&
            in_guest(enforcer, enforcer->guest[number], path, below, file, where, size)) {
            last = number;
            return enforcer->guest[number];
        }
    }
    return NULL;
}

/* A write to a guest's own file, or to one of a group above it. */
static void take_setting(struct vp_enforcer *enforcer, const char *path, const struct stat *file,
                         pid_t pid, struct author *author)
{
    char where[PATH_MAX];
    struct vp_watched *guest = guest_of(enforcer, path, file, where, sizeof(where));

    if (guest) {
        note(enforcer, guest, where, author_of(enforcer, pid, author));
        return;
    }
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        guest = enforcer->guest[i];
        if (guest->root[0] && above_guest(enforcer, guest, path))
            note(enforcer, guest, path, author_of(enforcer, pid, author));
    }
}

static void take_write(struct vp_enforcer *enforcer, int fd, pid_t pid, struct author *author)
{
    char link[64], path[PATH_MAX];
    struct stat file;
    const char *name;
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    if (length <= 0)
        return;
    path[length] = '\0';
    name = strrchr(path, '/');
    if (!name || (!is_setting(name + 1) && !is_move(name + 1)) || fstat(fd, &file) < 0)
        return;
    if (is_setting(name + 1))
        take_setting(enforcer, path, &file, pid, author);
    else if (author_of(enforcer, pid, author)->writer == VP_WRITER_OTHER)
        take_move(enforcer, fd, &author->by);
}

void vp_writes_drain(struct vp_enforcer *enforcer)
{
    struct fanotify_event_metadata events[64];
    ssize_t length = sizeof(events);

    /* Where there was room for one more there are none left. */
    while (enforcer->fanotify >= 0 && length + sizeof(events[0]) > sizeof(events) &&
           (length = read(enforcer->fanotify, events, sizeof(events))) > 0) {
        const struct fanotify_event_metadata *event = events;
        struct author author = {.known = false};

        for (ssize_t left = length; FAN_EVENT_OK(event, left);
             event = FAN_EVENT_NEXT(event, left)) {
            if (event->mask & FAN_Q_OVERFLOW) {
                vp_sight_lost(enforcer, VP_SIGHT_WRITES);
                enforcer->noted = true;
            }
            if (event->fd < 0)
                continue;
            if (event->pid != enforcer->pid)
                take_write(enforcer, event->fd, event->pid, &author);
            close(event->fd);
        }
    }
}

static int on_write(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)fd, (void)events;
    vp_writes_drain(enforcer);
    /* On a host with containers most writes are none of ours. */
    if (!enforcer->noted && !enforcer->writes_limited)
        return 0;
    vp_enforcer_run_due(enforcer);
    vp_fight_limit(enforcer, source, &enforcer->writes_limited);
    return 0;
}

int vp_writes_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    const struct vp_cgroups *cgroups = &enforcer->engine.cgroups;
    const char *mount;
    int fd, result;

    if (cgroups->version == VP_CGROUP_NONE)
        return vp_fail(err, VP_HOST, "there is no cpuset controller below %s",
                       enforcer->engine.set->host.cgroup_dir);
    fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "fanotify");
    for (size_t i = 0; (mount = mount_of(enforcer, i)) != NULL; i++) {
        int number;

        if (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, AT_FDCWD, mount) == 0)
            continue;
        number = errno;
        close(fd);
        return vp_fail_errno(err, VP_HOST, number, "fanotify on %s", mount);
    }
    enforcer->fanotify = fd;
    result = sd_event_add_io(enforcer->event, NULL, fd, EPOLLIN, on_write, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
