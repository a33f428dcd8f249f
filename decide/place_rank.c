/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sizes alone rule out, before anything is searched. */
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
        unsigned here = vp_place_capacity(place, d);

        most = here > most ? here : most;
    }
    return most * per;
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
