/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sizes alone rule out, before anything is searched. */
#include <limits.h>

#include "decide/place_priv.h"

/* vCPUs that a cell alone on the node could have, cores being alike. */
static unsigned room_of(const struct vp_place *place, int node)
{
    unsigned per = place->per > 0 ? place->per : 1, most = 0;

    if (place->node[node].domain < 0)
        return 0;
    if (!place->one_l3)
        return place->node[node].most * per;
    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next) {
        unsigned here = place->domain[d].capacity;

        most = here > most ? here : most;
    }
    return most * per;
}

/* The fewest cores that bear so many vCPUs, the largest first, UINT_MAX: none do.
 * In one domain of the node, -1: in all of them. */
static unsigned fewest_cores(const struct vp_place *place, int node, int only, unsigned vcpus)
{
    unsigned size = UINT_MAX, cores = 0;

    while (vcpus > 0) {
        unsigned next = 0, count = 0, more;

        for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next)
            for (int t = only < 0 || d == only ? place->domain[d].type : -1; t >= 0;
                 t = place->type[t].next) {
                const struct vp_place_type *type = &place->type[t];

                if (type->total >= size || type->total < next)
                    continue;
                count = type->count + (type->total == next ? count : 0);
                next = type->total;
            }
        if (next == 0)
            return UINT_MAX;
        more = vp_least(count, (vcpus + next - 1) / next);
        cores += more;
        vcpus -= vp_least(vcpus, more * next);
        size = next;
    }
    return cores;
}

/* Units that the vCPUs take at least, in one L3 where they must be. */
static unsigned fewest_units(const struct vp_place *place, int node, unsigned vcpus)
{
    unsigned units, y, least = UINT_MAX;

    if (place->mixed && !place->one_l3)
        return fewest_cores(place, node, -1, vcpus);
    vp_place_units(place, vcpus, 0, &units, &y);
    for (int d = place->one_l3 ? place->node[node].domain : -1; d >= 0; d = place->domain[d].next) {
        unsigned here = place->mixed ? fewest_cores(place, node, d, vcpus) : units;

        if (place->mixed || here <= place->domain[d].capacity)
            least = vp_least(least, here);
    }
    return place->one_l3 ? least : units;
}

bool vp_place_node_fits(const struct vp_place *place, int node, unsigned vcpus, unsigned extras)
{
    unsigned most = place->node[node].most;

    if (place->node[node].domain < 0 || extras > most)
        return false;
    return fewest_units(place, node, vcpus) <= most - extras;
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
        insert(room, i, room_of(place, place->node_order[i]));
    for (size_t i = 0; i < place->cell_count; i++)
        if (i >= place->node_count || cell[i] > room[i])
            return 0;
    return 1;
}
