/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Even shares of k nodes without a search: exactly whether they fit, and loads
 * that do. Of each node counts what its share leaves to extra threads. One vCPU
 * more takes one core more or none, so the k nodes that leave most are the best
 * ones; among equals those whose larger share takes no core more. */
#include "decide/place_many.h"

bool vp_place_shares_begin(struct vp_place *place, struct vp_place_shares *shares)
{
    size_t nodes = place->topology->node_count;

    shares->order = vp_arena_get(&place->arena, place->node_count, sizeof(*shares->order));
    shares->room = vp_arena_get(&place->arena, nodes, sizeof(*shares->room));
    shares->loses = vp_arena_get(&place->arena, nodes, sizeof(*shares->loses));
    if (place->arena.failed)
        return false;
    for (size_t i = 0; i < place->node_count; i++)
        shares->order[i] = place->node_order[i];
    return true;
}

static bool usable(const struct vp_place *place, int index)
{
    return place->node[index].high > 0;
}

static bool before(const struct vp_place *place, const struct vp_place_shares *shares, int a, int b)
{
    const struct vp_place_node *node = place->node;

    if (!usable(place, a) || !usable(place, b))
        return usable(place, a) && !usable(place, b);
    if (node[a].must != node[b].must)
        return node[a].must;
    if (shares->room[a] != shares->room[b])
        return shares->room[a] > shares->room[b];
    return !shares->loses[a] && shares->loses[b];
}

/* What each node has beside its lower share, and whether the higher takes more. */
static void weigh(struct vp_place *place, const struct vp_place_shares *shares)
{
    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        const struct vp_place_node *node = &place->node[index];
        unsigned low, high;

        if (!usable(place, index))
            continue;
        low = vp_place_fewest_units(place, index, node->low);
        high = vp_place_fewest_units(place, index, node->high);
        shares->room[index] = node->most - vp_least(low, node->most);
        shares->loses[index] = high > low;
    }
}

/* Insertion: from one k to the next little changes. */
static void sort(const struct vp_place *place, const struct vp_place_shares *shares)
{
    for (size_t i = 1; i < place->node_count; i++) {
        int index = shares->order[i];
        size_t at = i;

        for (; at > 0 && before(place, shares, index, shares->order[at - 1]); at--)
            shares->order[at] = shares->order[at - 1];
        shares->order[at] = index;
    }
}

bool vp_place_shares_fit(struct vp_place *place, const struct vp_place_shares *shares, unsigned k)
{
    unsigned rest = place->request->vcpus % k, free = 0, room = 0;

    weigh(place, shares);
    sort(place, shares);
    for (size_t i = 0; i < place->node_count; i++) {
        int index = shares->order[i];

        if (i >= k && place->node[index].must)
            return false;
        if (i >= k)
            continue;
        if (!usable(place, index))
            return false;
        room += shares->room[index];
        free += !shares->loses[index];
    }
    rest = rest > free ? rest - free : 0;
    return room >= rest && room - rest >= place->extras;
}

void vp_place_shares_load(struct vp_place *place, const struct vp_place_shares *shares, unsigned k)
{
    unsigned rest = place->request->vcpus % k, extras = place->extras;

    vp_place_unload(place);
    for (int pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < k; i++) {
            struct vp_place_node *node = &place->node[shares->order[i]];

            if (shares->loses[shares->order[i]] != (pass == 1))
                continue;
            node->vcpus = rest > 0 ? node->high : node->low;
            rest -= rest > 0;
        }
    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        struct vp_place_node *node = &place->node[index];

        if (node->vcpus == 0)
            continue;
        node->extras =
            vp_least(extras, node->most - vp_place_fewest_units(place, index, node->vcpus));
        extras -= node->extras;
    }
    vp_place_hand_out(place);
}
