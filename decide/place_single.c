/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_priv.h"

void vp_place_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                    unsigned *y)
{
    bool apart = place->request->thread_policy == VP_THREADS_REQUIRE;

    *x = apart ? vcpus : vcpus + extras;
    *y = apart ? extras : 0;
}

unsigned vp_place_left(const struct vp_place *place, int node, unsigned booked)
{
    unsigned others = node == place->freest ? place->next_free : place->most_free;
    unsigned here = place->node[node].free - booked;

    return here > others ? here : others;
}

void vp_place_load(struct vp_place *place, int node, unsigned vcpus, unsigned extras)
{
    struct vp_place_node *to = &place->node[node];

    to->vcpus += vcpus;
    to->extras += extras;
    vp_place_units(place, to->vcpus, to->extras, &to->load_x, &to->load_y);
}

int vp_place_single(struct vp_place *place)
{
    vp_cost best = VP_COST_NEVER;
    int best_node = -1;
    unsigned x, y;

    vp_place_units(place, place->request->vcpus, place->extras, &x, &y);
    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];
        const struct vp_table *table;
        vp_cost cost;

        if (x > place->node[node].x || y > place->node[node].y)
            continue;
        table = vp_place_node_table(place, node, x, y, true);
        if (!table)
            return -1;
        cost = vp_table_get(table, x, y);
        if (cost >= VP_COST_NEVER)
            continue;
        cost += VP_COST(VP_COST_LEFT) *
                (VP_CPU_MAX - vp_place_left(place, node, vp_cost_get(cost, VP_COST_BOOKED)));
        if (cost < best) {
            best = cost;
            best_node = node;
        }
    }
    if (best_node < 0)
        return 0;
    vp_place_load(place, best_node, place->request->vcpus, place->extras);
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = best_node;
    place->cost = best;
    return 1;
}
