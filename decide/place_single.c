/* SPDX-License-Identifier: GPL-2.0-or-later */
/* All of the guest on one node. */
#include "decide/place_priv.h"

unsigned vp_place_most_left(const struct vp_place *place, int node, unsigned booked)
{
    unsigned others = node == place->freest ? place->next_free : place->most_free;
    unsigned here = place->node[node].free - booked;

    return here > others ? here : others;
}

void vp_place_load(struct vp_place *place, size_t cell, int node, unsigned vcpus, unsigned extras)
{
    struct vp_place_node *to = &place->node[node];

    to->vcpus += vcpus;
    to->extras += extras;
    place->cell[cell].node = node;
    if (place->one_l3)
        to->l3_cell = (int)cell;
}

void vp_place_unload(struct vp_place *place)
{
    for (size_t i = 0; i < place->topology->node_count; i++) {
        place->node[i].vcpus = place->node[i].extras = 0;
        place->node[i].l3_cell = -1;
    }
}

/* *cost of the guest on that node alone, VP_COST_NEVER if it cannot be. */
static bool price(struct vp_place *place, int node, vp_cost *cost)
{
    const struct vp_place_node *at = &place->node[node];
    unsigned vcpus = place->request->vcpus, booked;
    unsigned missed = place->pci_count - at->pci;
    uint64_t memory =
        place->cell_count == 1 ? place->cell[0].memory_kib : vp_place_share(place->request, vcpus);

    *cost = VP_COST_NEVER;
    if ((missed > 0 && place->request->pci_locality == VP_CARE_REQUIRE) ||
        !vp_place_memory_fits(place, node, memory))
        return true;
    if (!vp_place_node_cost(place, node, vcpus, place->extras, cost))
        return false;
    if (*cost >= VP_COST_NEVER)
        return true;
    booked = vp_place_booked(place, *cost, vcpus, place->extras);
    *cost += VP_COST(VP_COST_PCI) * missed + vp_place_fill(place, node) +
             vp_place_left(place, vp_place_most_left(place, node, booked));
    return true;
}

int vp_place_single(struct vp_place *place)
{
    vp_cost best = VP_COST_NEVER;
    int best_node = -1;

    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];
        vp_cost cost;

        if (!price(place, node, &cost))
            return -1;
        if (cost < best) {
            best = cost;
            best_node = node;
        }
        if (place->whether && best_node >= 0)
            return 1;
    }
    if (best_node < 0)
        return 0;
    vp_place_load(place, 0, best_node, place->request->vcpus, place->extras);
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = best_node;
    place->cost += best;
    return 1;
}
