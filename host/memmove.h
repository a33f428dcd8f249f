/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOST_MEMMOVE_H
#define VP_HOST_MEMMOVE_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/memaim.h"
#include "host/mems.h"

struct vp_error;

/* Takes the memory of a running guest to other nodes, page by page
 * (move_pages(2)): a write to cpuset.mems alone would do it in one go, which
 * nobody can watch or end, and which keeps everybody else from writing a cpuset. */

/* How far it is; memory that the process and who started it share. */
struct vp_memory_progress {
    _Atomic uint64_t total_kib;  /* what was elsewhere when it began */
    _Atomic uint64_t left_kib;   /* what still is, and is to be moved */
    _Atomic uint64_t stayed_kib; /* what is elsewhere in the end: somebody has pinned it */
};

struct vp_memory_job {
    pid_t pid; /* the guest's */
    struct vp_memory_aim aim;
    /* What its groups may have while it is under way: what they have and where
     * it goes; and in the end. Without any where no group confines it. */
    struct vp_mems_job wide, narrow;
    struct vp_memory_progress *progress; /* mapped */
};

/* 0, or -1 (VP_HOST). The caller clears. */
int vp_memory_job_init(struct vp_memory_job *job, struct vp_error *err);
void vp_memory_job_clear(struct vp_memory_job *job);

/* Does it in a process of its own, which ends with its parent, at any time
 * without harm: pages are here or there. It ends with 0; with ENOMEM where
 * nodes are full: then groups stay wide, so that the guest gets memory; or with
 * the errno of what kept it from being done. *fd (the caller closes it) becomes
 * readable then. Its id, or -1. */
pid_t vp_memory_move_start(const struct vp_memory_job *job, int *fd, struct vp_error *err);

/* The same here and now, below `proc` ("/proc"); groups are not written. 0 or the errno. */
int vp_memory_move(const char *proc, const struct vp_memory_job *job);

#endif
