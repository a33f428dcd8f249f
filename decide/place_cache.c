/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cache = require: the vCPUs of a load are in one L3 of the node; extra threads
 * may be in any. Domains are gone through with the extra threads placed so far
 * and whether the vCPUs were. */
#include "decide/place_priv.h"

struct vp_place_l3s {
    int *domain;
    size_t count;
    struct vp_table *table;
};

static const struct vp_place_l3s *l3s_of(struct vp_place *place, int node)
{
    struct vp_arena *arena = &place->arena;
    struct vp_place_l3s *l3s = place->node[node].l3s;
    unsigned largest = 0, x, y;

    if (l3s)
        return l3s;
    l3s = vp_arena_get(arena, 1, sizeof(*l3s));
    if (!l3s || !(l3s->domain = vp_place_domains(place, node, &l3s->count)))
        return NULL;
    l3s->table = vp_arena_get(arena, l3s->count + 1, sizeof(*l3s->table));
    if (!l3s->table)
        return NULL;
    for (size_t i = 0; i < place->cell_count; i++)
        if (place->cell[i].vcpus > largest)
            largest = place->cell[i].vcpus;
    vp_place_units(place, largest, place->extras, &x, &y);
    for (size_t i = 0; i < l3s->count; i++)
        if (!vp_place_domain_table(place, l3s->domain[i], x, y, true, &l3s->table[i]))
            return NULL;
    place->node[node].l3s = l3s;
    return l3s;
}

static vp_cost price(const struct vp_place *place, const struct vp_table *table, unsigned vcpus,
                     unsigned extras)
{
    unsigned x, y;

    vp_place_units(place, vcpus, extras, &x, &y);
    return vp_table_get(table, x, y);
}

/* way[home][b] of the domains so far: the cheapest with b extra threads; pick
 * of domain i, step: threads of it, the top bit: it is the home. */
struct search {
    const struct vp_place_l3s *l3s;
    unsigned vcpus, extras;
    vp_cost *way[2], *next[2];
    uint32_t *pick[2];
};

static bool begin(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                  struct search *search)
{
    size_t width = (size_t)extras + 1;

    *search = (struct search){.l3s = l3s_of(place, node), .vcpus = vcpus, .extras = extras};
    if (!search->l3s)
        return false;
    for (int home = 0; home < 2; home++) {
        search->way[home] = vp_arena_get(&place->arena, width, sizeof(vp_cost));
        search->next[home] = vp_arena_get(&place->arena, width, sizeof(vp_cost));
        search->pick[home] =
            vp_arena_get(&place->arena, width * (search->l3s->count + 1), sizeof(uint32_t));
    }
    if (place->arena.failed)
        return false;
    for (unsigned b = 0; b <= extras; b++)
        search->way[0][b] = search->way[1][b] = VP_COST_NEVER;
    search->way[0][0] = 0;
    return true;
}

static void offer(struct search *search, size_t domain, int home, unsigned b, vp_cost cost,
                  uint32_t pick)
{
    if (cost >= search->next[home][b])
        return;
    search->next[home][b] = cost;
    search->pick[home][domain * ((size_t)search->extras + 1) + b] = pick;
}

static void step(const struct vp_place *place, struct search *search, size_t domain)
{
    const struct vp_table *table = &search->l3s->table[domain];

    for (unsigned b = 0; b <= search->extras; b++)
        search->next[0][b] = search->next[1][b] = VP_COST_NEVER;
    for (unsigned j = 0; j <= search->extras; j++) {
        vp_cost idle = price(place, table, 0, j);
        vp_cost home = price(place, table, search->vcpus, j);

        if (idle >= VP_COST_NEVER && home >= VP_COST_NEVER)
            break;
        for (unsigned b = j; b <= search->extras; b++) {
            offer(search, domain, 0, b, search->way[0][b - j] + idle, j);
            offer(search, domain, 1, b, search->way[1][b - j] + idle, j);
            offer(search, domain, 1, b, search->way[0][b - j] + home, j | VP_PICK_HERE);
        }
    }
    for (int home = 0; home < 2; home++) {
        vp_cost *swap = search->way[home];

        search->way[home] = search->next[home];
        search->next[home] = swap;
    }
}

static bool find(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                 struct search *search)
{
    if (!begin(place, node, vcpus, extras, search))
        return false;
    for (size_t i = 0; i < search->l3s->count; i++)
        step(place, search, i);
    return true;
}

/* The cheapest L3 for vCPUs alone. */
static bool find_home(struct vp_place *place, int node, unsigned vcpus, vp_cost *cost)
{
    const struct vp_place_l3s *l3s = l3s_of(place, node);
    unsigned x, y;

    *cost = VP_COST_NEVER;
    vp_place_units(place, vcpus, 0, &x, &y);
    for (size_t i = 0; l3s && i < l3s->count; i++) {
        vp_cost home = vp_table_get(&l3s->table[i], x, y);

        *cost = home < *cost ? home : *cost;
    }
    return l3s != NULL;
}

bool vp_place_l3_cost(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                      vp_cost *cost)
{
    struct search search;

    if (extras == 0) {
        if (!find_home(place, node, vcpus, cost))
            return false;
    } else if (find(place, node, vcpus, extras, &search)) {
        *cost = search.way[1][extras];
    } else {
        return false;
    }
    if (*cost < VP_COST_NEVER)
        *cost += VP_COST(VP_COST_NODES);
    return true;
}

bool vp_place_l3_split(struct vp_place *place, int node)
{
    struct vp_place_node *at = &place->node[node];
    unsigned left = at->extras;
    struct search search;
    int home = 1;

    if (!find(place, node, at->vcpus, at->extras, &search))
        return false;
    for (size_t i = search.l3s->count; i-- > 0;) {
        uint32_t pick = search.pick[home][i * ((size_t)at->extras + 1) + left];
        unsigned extras = VP_PICK_Y(pick), vcpus = 0, x, y;

        if ((pick & VP_PICK_HERE) != 0) {
            home = 0;
            vcpus = at->vcpus;
            place->cell[at->l3_cell].l3 = place->domain[search.l3s->domain[i]].l3;
        }
        vp_place_units(place, vcpus, extras, &x, &y);
        if (!vp_place_split_domain(place, search.l3s->domain[i], x, y))
            return false;
        left -= extras;
    }
    return true;
}
