/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/calls.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/enforcer.h"
#include "enforcer/patience.h"
#include "enforcer/traceevent.h"

/* A new thread gets its name, and QEMU's own affinity, within this time. */
#define NAME_US 20000
/* A pool of workers comes and goes: it is looked at this often. */
#define THREADS_AGAIN_US 1000000

static void copy_printable(char *to, size_t size, const char *from, size_t length)
{
    size_t i;

    for (i = 0; i + 1 < size && i < length && from[i]; i++)
        to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
    to[i] = '\0';
}

/* The kernel says "pts2" and "tty1"; the world says "pts/2". */
static void take_tty(const struct vp_trace_event *event, struct vp_culprit *by)
{
    char name[sizeof(event->tty) + 1] = "";

    copy_printable(name, sizeof(name), event->tty, sizeof(event->tty));
    if (strncmp(name, "pts", 3) == 0 && isdigit((unsigned char)name[3]))
        snprintf(by->tty, sizeof(by->tty), "pts/%.26s", name + 3);
    else
        snprintf(by->tty, sizeof(by->tty), "%.31s", name);
}

void vp_calls_culprit(const struct vp_trace_event *event, const char *v2_mount,
                      struct vp_culprit *by)
{
    *by = (struct vp_culprit){.pid = (pid_t)event->pid, .uid = (long)event->uid, .exact = true};
    copy_printable(by->comm, sizeof(by->comm), event->comm, sizeof(event->comm));
    take_tty(event, by);
    vp_culprit_unit_of("/proc", by->pid, by->unit, sizeof(by->unit));
    if (!by->unit[0] && v2_mount[0])
        vp_culprit_unit(v2_mount, event->cgroup, by->unit, sizeof(by->unit));
}

/* The one found last is asked first: who called for its thread calls again. */
struct vp_watched *vp_calls_guest(struct vp_enforcer *enforcer, pid_t tid)
{
    static size_t last;

    for (size_t i = 0; i <= enforcer->guest_count; i++) {
        size_t number = i == 0 ? last : i - 1;

        if (number < enforcer->guest_count && vp_watched_knows(enforcer->guest[number], tid)) {
            last = number;
            return enforcer->guest[number];
        }
    }
    return NULL;
}

static const char *v2_mount(const struct vp_enforcer *enforcer, char *path, size_t size)
{
    const struct vp_cgroups *cgroups = &enforcer->engine.cgroups;

    if (cgroups->version == VP_CGROUP_V2)
        return cgroups->mount;
    snprintf(path, size, "%s/unified", enforcer->engine.set->host.cgroup_dir);
    return access(path, F_OK) == 0 ? path : "";
}

/* Who called for a thread calls again, maybe a thousand times a second, and is
 * asked about once between two looks. */
static void find_caller(const struct vp_enforcer *enforcer, const struct vp_watched *guest,
                        const struct vp_trace_event *event, struct vp_culprit *by)
{
    const struct vp_call *before = vp_watched_call(guest, (pid_t)event->target);
    char comm[sizeof(by->comm)], path[512];

    copy_printable(comm, sizeof(comm), event->comm, sizeof(event->comm));
    if (before && before->by.pid == (pid_t)event->pid && before->by.uid == (long)event->uid &&
        strcmp(before->by.comm, comm) == 0)
        *by = before->by;
    else
        vp_calls_culprit(event, v2_mount(enforcer, path, sizeof(path)), by);
}

static void note(struct vp_enforcer *enforcer, struct vp_watched *guest,
                 const struct vp_trace_event *event, int64_t at_us)
{
    struct vp_culprit by;
    struct vp_call *call;

    find_caller(enforcer, guest, event, &by);
    call = vp_watched_call_add(guest, (pid_t)event->target);
    if (!call)
        return;
    enforcer->noted = true;
    call->by = by;
    call->at_us = at_us;
    call->scheduler = event->what == VP_TRACE_SCHEDULER;
    switch (vp_patience_writer(enforcer, &call->by)) {
    case VP_WRITER_LIBVIRT:
        /* Its affinity call is the end of what it does to a thread. */
        call->libvirt = true;
        vp_patience_busy(guest, at_us, VP_DAEMON_DONE_US);
        vp_patience_done(guest, at_us);
        vp_watched_due(guest, at_us + VP_DAEMON_DONE_US);
        return;
    case VP_WRITER_OURS:
        vp_patience_busy(guest, at_us, VP_OWN_WRITE_US);
        vp_watched_due(guest, at_us + VP_OWN_WRITE_US);
        return;
    case VP_WRITER_OTHER:
        call->foreign = true;
        if (call->scheduler)
            vp_watched_due(guest, at_us);
        else
            guest->first = true;
        return;
    }
}

static void new_thread(struct vp_watched *guest, int64_t at_us)
{
    int64_t due = at_us + NAME_US;

    if (due < guest->thread_look_us + THREADS_AGAIN_US)
        due = guest->thread_look_us + THREADS_AGAIN_US;
    if (guest->look_at_us == 0 || due < guest->look_at_us)
        guest->thread_look_us = due;
    vp_watched_due(guest, due);
}

void vp_calls_take(struct vp_enforcer *enforcer, const struct vp_trace_event *event)
{
    int64_t at_us = (int64_t)(event->at_ns / 1000);
    struct vp_watched *guest = vp_calls_guest(enforcer, (pid_t)event->target);

    if (!guest)
        return;
    if (event->what == VP_TRACE_THREAD) {
        new_thread(guest, at_us);
        return;
    }
    if (guest->event_us == 0)
        guest->event_us = at_us;
    note(enforcer, guest, event, at_us);
}
