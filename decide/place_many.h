/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_MANY_H
#define VP_PLACE_MANY_H

#include "decide/place_priv.h"

/* Combines nodes under their low, high and must, where `apart` says in what
 * they are counted. even: as many nodes as can be, else as few. 1: node.vcpus,
 * extras and vcpu_node are set, and *cost (VP_COST_NODES under even: the nodes
 * not used); 0: does not fit; -1: without memory; VP_DEEP: that would take too
 * long, vp_place_plain does not. */
#define VP_DEEP 2
int vp_place_many(struct vp_place *place, bool even, vp_cost *cost);
/* The L3 that a node shares with another node, -1 if none. */
int vp_place_shared_l3(const struct vp_place *place, int node);

/* Loads of nodes under low, high and must without a search, where `apart` holds;
 * on k nodes, 0: as few as it takes. False: does not fit. */
bool vp_place_plain(struct vp_place *place, unsigned k);
/* vCPUs to the nodes by their loads. */
void vp_place_hand_out(struct vp_place *place);

#endif
