/* SPDX-License-Identifier: GPL-2.0-or-later */
/* numa = spread: the most nodes of which each has room for its even share,
 * rounded up. A guest under cache = require has all in one L3, so on one node
 * unless nodes share it. */
#include "decide/place_many.h"

/* Whether the node has room for so many vCPUs, extra threads aside. */
static bool holds(const struct vp_place *place, int index, unsigned vcpus, int l3)
{
    const struct vp_place_node *node = &place->node[index];
    unsigned x, y;

    vp_place_units(place, vcpus, 0, &x, &y);
    return vcpus <= node->vcpus_max && x <= (place->mixed ? node->threads : node->most) &&
           (l3 < 0 || vp_place_shared_l3(place, index) == l3);
}

/* Bounds every node's share for k nodes; how many nodes have room for it. l3:
 * of those that share it, -1: of all. */
static unsigned bound(struct vp_place *place, unsigned k, int l3)
{
    unsigned vcpus = place->request->vcpus, count = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];
        bool good = holds(place, place->node_order[i], (vcpus + k - 1) / k, l3);

        node->low = vcpus / k;
        node->high = good ? (vcpus + k - 1) / k : 0;
        node->must = node->pci && place->request->pci_locality == VP_CARE_REQUIRE;
        count += good;
    }
    return count;
}

/* All of them are needed. */
static void use_all(struct vp_place *place)
{
    for (size_t i = 0; i < place->node_count; i++)
        place->node[place->node_order[i]].must |= place->node[place->node_order[i]].high > 0;
}

static int with_nodes(struct vp_place *place, const struct vp_place_shares *shares, unsigned k,
                      int l3, vp_cost *cost)
{
    unsigned count = bound(place, k, l3);
    int result;

    if (count < k || !vp_place_shares_fit(place, shares, k))
        return 0;
    if (place->whether)
        return 1;
    if (count == k)
        use_all(place);
    *cost = 0;
    result = vp_place_many(place, k, cost);
    if (result == VP_DEEP) {
        vp_place_shares_load(place, shares, k);
        return 1;
    }
    if (result <= 0)
        return result;
    if (place->node_count - vp_cost_get(*cost, VP_COST_NODES) == k)
        return 1;
    vp_place_unload(place);
    return 0;
}

/* As with_nodes, within the best of the L3s that nodes share. */
static int in_one_l3(struct vp_place *place, const struct vp_place_shares *shares, unsigned k,
                     vp_cost *cost)
{
    vp_cost best = VP_COST_NEVER;
    int best_l3 = -1;

    for (size_t l3 = 0; l3 < place->topology->l3_count; l3++) {
        int result;

        if (place->l3_home[l3] != -2)
            continue;
        result = with_nodes(place, shares, k, (int)l3, cost);
        if (result < 0)
            return -1;
        if (result > 0 && *cost < best) {
            best = *cost;
            best_l3 = (int)l3;
        }
        if (result > 0)
            vp_place_unload(place);
    }
    return best_l3 < 0 ? 0 : with_nodes(place, shares, k, best_l3, cost);
}

/* The most nodes that share one L3, 1 if none do. */
static unsigned most_of_one_l3(const struct vp_place *place)
{
    unsigned most = 1;

    for (size_t l3 = 0; l3 < place->topology->l3_count; l3++) {
        unsigned nodes = 0;

        if (place->l3_home[l3] != -2)
            continue;
        for (size_t i = 0; i < place->node_count; i++)
            nodes += vp_place_shared_l3(place, place->node_order[i]) == (int)l3;
        most = nodes > most ? nodes : most;
    }
    return most;
}

int vp_place_even(struct vp_place *place)
{
    unsigned most = place->request->vcpus;
    struct vp_place_shares shares;
    vp_cost cost = 0;
    int result = 0;

    if (!vp_place_shares_begin(place, &shares))
        return -1;
    most = vp_least(most, place->one_l3 ? most_of_one_l3(place) : (unsigned)place->node_count);
    place->apart = true;
    for (unsigned k = most; k > 1 && result == 0; k--)
        result = place->one_l3 ? in_one_l3(place, &shares, k, &cost)
                               : with_nodes(place, &shares, k, -1, &cost);
    place->cost += result > 0 ? cost : 0;
    place->apart = place->mixed;
    return result == 0 ? vp_place_single(place) : result;
}
