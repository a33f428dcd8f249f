/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DEFRAG_PRIV_H
#define VP_DEFRAG_PRIV_H

#include "decide/defrag.h"

/* A search under way: moves are made and taken back in `holding`. */
struct vp_defrag_search {
    const struct vp_defrag_input *in;
    struct vp_holding *holding; /* as the moves so far leave them, and room for the target's */
    size_t holding_count;
    size_t *own;     /* of each guest its holding */
    size_t *movable; /* guests, the smallest first */
    size_t movable_count;
    const struct vp_plan **plan;  /* of each guest what it has by now */
    struct vp_defrag_move *trail; /* moves so far; plans owned */
    size_t trail_count, trail_room;
    unsigned tries, tries_most, moves_most;
    bool gave_up;
};

/* Plans under the moves so far, within those CPUs (NULL: as its partition
 * says). 1: placed; 0: not, or no tries are left; -1: without memory. */
int vp_defrag_plan(struct vp_defrag_search *search, const struct vp_plan_input *input,
                   const struct vp_cpuset *within, struct vp_plan **plan);
/* What the guest may use, of `of` only (NULL: all). False if nothing. */
bool vp_defrag_within(const struct vp_plan_input *input, const struct vp_cpuset *of,
                      struct vp_cpuset *within);
/* The guest has `plan` (the search's from now on) / what it had before. */
void vp_defrag_move(struct vp_defrag_search *search, size_t guest, struct vp_plan *plan);
void vp_defrag_back(struct vp_defrag_search *search);
/* CPUs of the nodes of a plan. */
void vp_defrag_nodes(const struct vp_topology *topology, const struct vp_plan *plan,
                     struct vp_cpuset *cpus);
/* All guests' places. */
void vp_defrag_measure(const struct vp_defrag_search *search, struct vp_defrag_cost *cost);

/* defragdeep.c: every place of every guest, on hosts small enough for it, with
 * just so many moves. 1: the trail leads there, 0, -1. *all: nothing was left out. */
int vp_defrag_deep(struct vp_defrag_search *search, unsigned moves, bool *all);
/* defragcost.c: the trail lowers the cost as far as single moves do. 0, -1. */
int vp_defrag_lower(struct vp_defrag_search *search);

#endif
