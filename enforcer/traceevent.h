/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TRACEEVENT_H
#define VP_TRACEEVENT_H

#include <linux/types.h>

/* What the kernel's side (enforcer/bpf/trace.bpf.c) tells the enforcer. Both
 * are built from this file, so its types are the kernel's. */

enum vp_trace_what {
    VP_TRACE_AFFINITY = 1, /* sched_setaffinity(2) on a guest's thread, done */
    VP_TRACE_SCHEDULER,    /* sched_setscheduler(2), _setparam(2), _setattr(2), likewise */
    VP_TRACE_THREAD,       /* a guest's process has got a new thread */
};

/* Process ids are those of the enforcer's PID namespace. */
struct vp_trace_event {
    __u64 at_ns;  /* CLOCK_MONOTONIC, at the end of the call */
    __u64 cgroup; /* the caller's group in the v2 hierarchy: its inode; the root's under v1 */
    __u32 what;
    __u32 target; /* the thread; VP_TRACE_THREAD: the guest's process */
    __u32 pid;    /* the caller's process */
    __u32 uid;
    char comm[16]; /* of the caller's process, not of its thread */
    char tty[32];  /* the kernel's name, "pts2"; "": none */
};

/* Given to the programs before they are loaded. */
struct vp_trace_conf {
    __u64 dev, ino; /* of the enforcer's PID namespace */
    __u32 self;     /* the enforcer, whose own calls are no news */
    __u32 pad;
};

#endif
