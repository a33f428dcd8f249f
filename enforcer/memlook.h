/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MEMLOOK_H
#define VP_MEMLOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "host/memmove.h"
#include "host/memoryfile.h"

struct vp_enforcer;
struct vp_watched;

/* cpuset.mems of the guest's groups, kind mems. Writing it moves the memory of
 * a whole guest and holds the writer meanwhile: it is done by a process of its
 * own, one guest at a time, and the guest is looked at again when that ends. */

/* The one that is at work. */
struct vp_memwork {
    pid_t pid; /* 0: none */
    int fd;    /* readable when it has ended */
    sd_event_source *source, *tick;
    char uuid[37], name[256];
    /* memory that follows its guest (memfollow.h), else a difference put right */
    bool follows;
    struct vp_memory_job job;
    struct vp_memory_moving moving;
    int64_t said_us; /* when the journal heard of it last; 0: not yet */
};

/* Part of every full look, of a guest that a plan wants something of. Where the
 * host has one node there is nothing to compare. */
void vp_memlook(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us);

/* What has ended, or could not be begun. */
void vp_memlook_forget(struct vp_enforcer *enforcer);

/* At the end: a write under way goes on without us, pages that are on their way
 * stop where they are. */
void vp_memlook_stop(struct vp_enforcer *enforcer);

#endif
