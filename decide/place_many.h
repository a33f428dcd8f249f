/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_MANY_H
#define VP_PLACE_MANY_H

#include "decide/place_priv.h"

/* Combines nodes under their low, high and must, where `apart` says in what
 * they are counted. even: even shares on so many nodes, 0: on as few as it
 * takes. 1: node.vcpus, extras and vcpu_node are set, and *cost (VP_COST_NODES
 * under even: the nodes not used); 0: does not fit; -1: without memory; VP_DEEP:
 * that would take too long, vp_place_sure and vp_place_shares_load do not. */
#define VP_DEEP 2
int vp_place_many(struct vp_place *place, unsigned even, vp_cost *cost);
/* place_share.c: whether it would. x: as the search counts. */
bool vp_place_too_deep(const struct vp_place *place, unsigned even, unsigned x, unsigned y);
/* The L3 that a node shares with another node, -1 if none. */
int vp_place_shared_l3(const struct vp_place *place, int node);

/* place_share.c: what a search of nodes for (x, y) may leave out: node.least, and where it would
 * be too long nodes taken in full, so that *x gets less. 1; VP_DEEP: it still is; -1: without
 * memory. */
int vp_place_cut(struct vp_place *place, unsigned *x, unsigned y, unsigned pushes);
/* What a node in full bears, as the search counts. */
unsigned vp_place_full_load(const struct vp_place *place, const struct vp_place_node *node);

/* 1 where nodes bear the guest under high and must, as few as it takes; 0 where
 * they do not; -1 without memory. Needs no search. loads: decides them, too. */
int vp_place_sure(struct vp_place *place, bool loads);

/* Even shares without a search (place_plain.c), for k after k; nodes' low, high and must are set.
 */
struct vp_place_shares {
    int *order;     /* nodes, the best first */
    unsigned *room; /* by index: units beside the lower share */
    bool *loses;    /* the higher share takes one more */
};
bool vp_place_shares_begin(struct vp_place *place, struct vp_place_shares *shares);
/* Whether k nodes bear the guest; then how, vcpu_node as well. */
bool vp_place_shares_fit(struct vp_place *place, const struct vp_place_shares *shares, unsigned k);
void vp_place_shares_load(struct vp_place *place, const struct vp_place_shares *shares, unsigned k);
/* vCPUs to the nodes by their loads. */
void vp_place_hand_out(struct vp_place *place);

#endif
