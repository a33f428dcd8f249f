/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFRAG_H
#define VP_DEFRAG_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/plan.h"

/* Which running guests to move so that another one fits, or so that all of
 * them lie better. Pure, deterministic, bounded by the number of plans made. */

/* A guest that runs. */
struct vp_defrag_guest {
    struct vp_plan_input input; /* of its policy and domain; holding and keep are not looked at */
    const struct vp_plan *plan; /* what it has; borrowed */
    bool stays;                 /* it is not to be moved */
};

struct vp_defrag_input {
    const struct vp_defrag_guest *guest; /* borrowed, each with a holding of its uuid */
    size_t guest_count;
    const struct vp_holding *holding; /* of everybody, also of guests that are not listed */
    size_t holding_count;
    const struct vp_plan_input *target; /* whom to make room for; NULL: lower the cost */
    unsigned moves;                     /* at most; 0: VP_DEFRAG_MOVES */
    unsigned tries;                     /* plans made at most; 0: vp_defrag_tries */
};
enum { VP_DEFRAG_MOVES = 8 };

/* By the size of the host, so that a search takes a fraction of a second. */
unsigned vp_defrag_tries(const struct vp_topology *topology);

struct vp_defrag_move {
    size_t guest;         /* its index */
    struct vp_plan *plan; /* what it is to have; owned */
};

/* What all guests' places cost, compared from the first on. A guest counts
 * under nodes unless its policy is spread or any, under l3s unless cache = any. */
struct vp_defrag_cost {
    unsigned nodes, l3s;
    unsigned shared;  /* cores on which two guests have CPUs of their own */
    unsigned broken;  /* cores partly free */
    unsigned missing; /* CPUs by which the freest node is short of the largest */
};

struct vp_defrag {
    /* One after the other, each to CPUs that are free then. */
    struct vp_defrag_move *move; /* owned */
    size_t count;
    struct vp_plan *plan;                /* where the target goes then; owned; NULL without one */
    struct vp_defrag_cost before, after; /* without a target */
    unsigned tries;
    /* With a target: fewer moves would not do (or, where there is no way, no
     * moves at all); else not everything was tried. */
    bool complete;
};
void vp_defrag_clear(struct vp_defrag *answer);

/* 1: there is a way; no moves: the target fits as it is, or nothing lowers the
 * cost. 0: none was found. -1: without memory. The caller clears *answer in
 * every case. */
int vp_defrag(const struct vp_defrag_input *in, struct vp_defrag *answer);

/* Memory that is bound to nodes has to follow, which takes long: a search leaves the guest on them.
 */
bool vp_defrag_bound(const struct vp_defrag_guest *guest);

#endif
