/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sizes alone rule out, before anything is searched. */
#include <limits.h>

#include "decide/place_priv.h"

/* The largest cores smaller than `size`, of one domain or all of a node; their number. */
static unsigned next_size(const struct vp_place *place, int node, int only, unsigned *size)
{
    unsigned next = 0, count = 0;

    for (int d = only < 0 ? place->node[node].domain : only; d >= 0;
         d = only < 0 ? place->domain[d].next : -1)
        for (int t = place->domain[d].type; t >= 0; t = place->type[t].next) {
            const struct vp_place_type *type = &place->type[t];

            if (type->total >= *size || type->total < next)
                continue;
            count = type->count + (type->total == next ? count : 0);
            next = type->total;
        }
    *size = next;
    return count;
}

unsigned vp_place_fewest_cores(const struct vp_place *place, int node, int only, unsigned vcpus)
{
    unsigned size = UINT_MAX, cores = 0;

    while (vcpus > 0) {
        unsigned count = next_size(place, node, only, &size);

        if (count == 0)
            return UINT_MAX;
        count = vp_least(count, (vcpus + size - 1) / size);
        cores += count;
        vcpus -= vp_least(vcpus, count * size);
    }
    return cores;
}

/* units[v]: the fewest cores of one domain, or of all, that bear v vCPUs, where that is less. */
static void note_cores(const struct vp_place *place, int node, int only, unsigned *units)
{
    unsigned size = UINT_MAX, cores = 0, vcpus = 0, count;

    while ((count = next_size(place, node, only, &size)) > 0)
        for (; count > 0; count--) {
            cores++;
            for (unsigned i = 0; i < size; i++) {
                vcpus++;
                units[vcpus] = vp_least(units[vcpus], cores);
            }
        }
}

/* The same for every number of vCPUs, found once for each node. */
static const unsigned *cores_of(struct vp_place *place, int node)
{
    struct vp_place_node *at = &place->node[node];

    if (at->cores_for)
        return at->cores_for;
    at->cores_for = vp_arena_get(&place->arena, (size_t)at->threads + 1, sizeof(*at->cores_for));
    if (!at->cores_for)
        return NULL;
    for (unsigned v = 0; v <= at->threads; v++)
        at->cores_for[v] = v == 0 ? 0 : UINT_MAX;
    for (int d = place->one_l3 ? at->domain : -1; d >= 0; d = place->domain[d].next)
        note_cores(place, node, d, at->cores_for);
    if (!place->one_l3)
        note_cores(place, node, -1, at->cores_for);
    return at->cores_for;
}

unsigned vp_place_fewest_units(struct vp_place *place, int node, unsigned vcpus)
{
    const struct vp_place_node *at = &place->node[node];
    unsigned units, y;

    if (at->domain < 0 || vcpus > at->threads)
        return UINT_MAX;
    if (place->mixed) {
        const unsigned *cores = cores_of(place, node);

        return cores ? cores[vcpus] : UINT_MAX;
    }
    vp_place_units(place, vcpus, 0, &units, &y);
    return units > (place->one_l3 ? at->largest : at->most) ? UINT_MAX : units;
}

/* vCPUs that a cell alone on the node could have, cores being alike. */
static unsigned room_of(const struct vp_place *place, const struct vp_place_node *node)
{
    return (place->one_l3 ? node->largest : node->most) * place->per;
}

static void insert(unsigned *sorted, size_t count, unsigned value)
{
    while (count > 0 && sorted[count - 1] < value) {
        sorted[count] = sorted[count - 1];
        count--;
    }
    sorted[count] = value;
}

int vp_place_could_be_apart(struct vp_place *place)
{
    unsigned *cell = vp_arena_get(&place->arena, place->cell_count, sizeof(*cell));
    unsigned *room = vp_arena_get(&place->arena, place->node_count, sizeof(*room));

    if (place->mixed)
        return 1;
    if (!cell || !room)
        return -1;
    for (size_t i = 0; i < place->cell_count; i++)
        insert(cell, i, place->cell[i].vcpus);
    for (size_t i = 0; i < place->node_count; i++)
        insert(room, i, room_of(place, &place->node[place->node_order[i]]));
    for (size_t i = 0; i < place->cell_count; i++)
        if (i >= place->node_count || cell[i] > room[i])
            return 0;
    return 1;
}
