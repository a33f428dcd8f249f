/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes that limit vCPUs apart from extra threads, where the extra threads are
 * too many for a search: the largest nodes, as many as are asked for. */
#include "decide/place_many.h"

/* Room for extra threads beside so many vCPUs. */
static unsigned room(const struct vp_place *place, const struct vp_place_node *node, unsigned vcpus)
{
    unsigned units = (vcpus + place->per - 1) / place->per;

    return node->most > units ? node->most - units : 0;
}

static unsigned most_vcpus(const struct vp_place *place, const struct vp_place_node *node)
{
    return vp_least(node->high, node->most * place->per);
}

/* The next node to use: those that must be, then the largest. */
static struct vp_place_node *next_node(struct vp_place *place)
{
    struct vp_place_node *best = NULL;

    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];

        if (node->full || node->high == 0 || most_vcpus(place, node) < node->low)
            continue;
        if (!best || (node->must && !best->must) ||
            (node->must == best->must && node->most > best->most))
            best = node;
    }
    return best;
}

/* Loads of the nodes marked full: each its least, then up to the most, then
 * extra threads. */
static bool load(struct vp_place *place)
{
    unsigned vcpus = place->request->vcpus, extras = place->extras;

    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];

        node->vcpus = node->full ? node->low : 0;
        node->extras = 0;
        if (node->vcpus > vcpus)
            return false;
        vcpus -= node->vcpus;
    }
    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];
        unsigned more = node->full ? vp_least(vcpus, most_vcpus(place, node) - node->vcpus) : 0;

        node->vcpus += more;
        vcpus -= more;
        node->extras = node->full ? vp_least(extras, room(place, node, node->vcpus)) : 0;
        extras -= node->extras;
    }
    return vcpus == 0 && extras == 0;
}

static void forget(struct vp_place *place)
{
    for (size_t i = 0; i < place->node_count; i++)
        place->node[place->node_order[i]].full = false;
}

bool vp_place_plain(struct vp_place *place, unsigned k)
{
    unsigned must = 0, used = 0;
    bool good = false;

    for (size_t i = 0; i < place->node_count; i++)
        must += place->node[place->node_order[i]].must;
    forget(place);
    while (!good && used < k) {
        struct vp_place_node *node = next_node(place);

        if (!node)
            break;
        node->full = true;
        used++;
        good = used >= must && used == k && load(place);
    }
    forget(place);
    if (good)
        vp_place_hand_out(place);
    else
        vp_place_unload(place);
    return good;
}
