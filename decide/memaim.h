/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MEMAIM_H
#define VP_MEMAIM_H

#include <stdint.h>

#include "decide/cpuset.h"
#include "decide/domain.h"
#include "decide/plan.h"

/* Which node the memory of a running guest goes to when its plan has it on
 * others than it is on. Pure. Nodes by the kernel's numbers. */
struct vp_memory_aim {
    struct vp_cpuset nodes; /* where it is to be */
    int to[VP_NODES_MAX];   /* what is on that node goes there; -1: where most is missing */
    uint64_t want_kib[VP_NODES_MAX]; /* what each of the nodes is to have in the end */
};

/* from: where its memory has been bound so far; `to`: what the plan says. Memory
 * of a guest cell stays together, else that of a node, where as many come as go. */
void vp_memory_aim_make(const struct vp_guest_numatune *from, const struct vp_memory_bind *to,
                        const struct vp_plan *plan, struct vp_memory_aim *aim);

/* Where something on node `from` goes, by what each node has (VP_NODES_MAX);
 * `from` itself where it may stay. */
int vp_memory_aim_at(const struct vp_memory_aim *aim, const uint64_t *have_kib, int from);

#endif
