/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MEMLOOK_H
#define VP_MEMLOOK_H

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

struct vp_enforcer;
struct vp_watched;

/* cpuset.mems of the guest's groups, kind mems. Writing it moves the memory of
 * a whole guest and holds the writer meanwhile: it is done by a process of its
 * own, one guest at a time, and the guest is looked at again when that ends. */

/* The one that is at work. */
struct vp_memwork {
    pid_t pid; /* 0: none */
    int fd;    /* readable when it has ended */
    sd_event_source *source;
    char uuid[37], name[256];
};

/* Part of every full look, of a guest that a plan wants something of. Where the
 * host has one node there is nothing to compare. */
void vp_memlook(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us);

/* At the end: a write under way goes on without us. */
void vp_memlook_stop(struct vp_enforcer *enforcer);

#endif
