/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a search of several nodes may leave out. With the fewest nodes each of
 * them has to bear what the largest of the others cannot: all smaller shares
 * go, and of most loads most do. Where the search would still be too long the
 * largest nodes are taken in full (place_large.c). */
#include <limits.h>

#include "decide/place_many.h"

/* Steps of a search that may be; twice as many are some 5 ms. */
#define STEPS (1u << 20)
#define FILL_MIN 32

int vp_place_shared_l3(const struct vp_place *place, int node)
{
    int domain = place->node[node].domain;

    if (domain < 0 || place->l3_home[place->domain[domain].l3] != -2)
        return -1;
    return place->domain[domain].l3;
}

unsigned vp_place_full_load(const struct vp_place *place, const struct vp_place_node *node)
{
    unsigned most = place->apart ? node->most * place->per : node->most;

    return vp_least(most, node->high);
}

/* The most that a node can still bear, as the search counts. */
static unsigned most_load(const struct vp_place *place, int index)
{
    const struct vp_place_node *node = &place->node[index];

    if (node->full)
        return 0;
    return place->mixed ? vp_least(node->threads, node->high) : vp_place_full_load(place, node);
}

/* Those that must be used first, then the largest; -1: no more. */
static int next_node(const struct vp_place *place, const bool *chosen)
{
    int best = -1;

    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        bool must = place->node[index].must;

        if (chosen[index] || most_load(place, index) == 0)
            continue;
        if (best < 0 || (must && !place->node[best].must) ||
            (must == place->node[best].must && most_load(place, index) > most_load(place, best)))
            best = index;
    }
    return best;
}

static unsigned count_must(const struct vp_place *place)
{
    unsigned must = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        const struct vp_place_node *node = &place->node[place->node_order[i]];

        must += node->must && !node->full;
    }
    return must;
}

/* node.least. nodes: how many are used at most, 0: as few as bear x. */
static bool limit_shares(struct vp_place *place, unsigned x, unsigned nodes)
{
    size_t count = place->topology->node_count;
    bool *chosen = vp_arena_get(&place->arena, count, sizeof(*chosen));
    unsigned sum = 0, used = 0, must = count_must(place), last = 0;

    if (!chosen)
        return false;
    for (size_t i = 0; i < count; i++)
        chosen[i] = false;
    for (; used < must || (nodes > 0 ? used < nodes : sum < x); used++) {
        int next = next_node(place, chosen);

        if (next < 0)
            return true; /* that many are not there */
        chosen[next] = true;
        last = most_load(place, next);
        sum += last;
    }
    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        unsigned others = sum - (chosen[index] ? most_load(place, index) : last);

        place->node[index].least = x > others ? x - others : 0;
        if (!chosen[index] && used == must)
            place->node[index].least = UINT_MAX; /* there is no place beside those */
    }
    return true;
}

/* Steps of a search with these shares. pushes: for each of its steps. */
static uint64_t steps_of(const struct vp_place *place, unsigned x, unsigned y, unsigned pushes)
{
    uint64_t steps = 0;
    unsigned before = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        unsigned most = vp_least(x, most_load(place, index)), least = place->node[index].least;

        least = least > 0 ? least : 1;
        steps += (uint64_t)before * (most >= least ? most - least + 2 : 1);
        before = vp_least(x, before + most);
    }
    return steps * pushes * (y + 1) * (y + 2) / 2;
}

static void forget(struct vp_place *place)
{
    for (size_t i = 0; i < place->node_count; i++) {
        place->node[place->node_order[i]].full = false;
        place->node[place->node_order[i]].least = 0;
    }
}

/* The nodes taken in full; what is left of x. */
static unsigned fill(struct vp_place *place, unsigned x, unsigned limit, unsigned *filled)
{
    *filled = 0;
    vp_place_fill_nodes(place, place->apart ? x / place->per : x, limit);
    for (size_t i = 0; i < place->node_count; i++) {
        const struct vp_place_node *node = &place->node[place->node_order[i]];

        if (!node->full)
            continue;
        x -= vp_place_full_load(place, node);
        ++*filled;
    }
    return x;
}

/* What is filled bears no extra threads, which may take one node more. */
static unsigned nodes_left(const struct vp_place *place, unsigned y, unsigned filled)
{
    if (y == 0)
        return 0;
    return place->sure_nodes > filled ? place->sure_nodes - filled + (filled > 0) : 1;
}

int vp_place_cut(struct vp_place *place, unsigned *x, unsigned y, unsigned pushes)
{
    unsigned limit = UINT_MAX, filled = 0, rest = *x;
    uint64_t steps;

    for (bool first = true;; first = false) {
        forget(place);
        if (!first && !place->mixed)
            rest = fill(place, *x, limit, &filled);
        if (!limit_shares(place, rest, nodes_left(place, y, filled)))
            return -1;
        steps = steps_of(place, rest, y, pushes);
        if (place->mixed || limit < FILL_MIN || steps <= STEPS)
            break;
        limit = first ? place->exact * 4 : limit / 2;
    }
    *x = rest;
    return steps > 2 * STEPS && !place->mixed ? VP_DEEP : 1;
}

/* Even shares: each node has two loads, beside extra threads. Where all nodes
 * are needed few sums of them can be the right one; of those that share an L3
 * every sum is found. In rows, of which a short one takes as long as eight steps. */
static uint64_t even_steps(const struct vp_place *place, unsigned x, unsigned y)
{
    uint64_t wide = (uint64_t)(y + 1) * (y + 2), nodes = 0;
    bool all = true;

    for (size_t i = 0; i < place->node_count; i++) {
        const struct vp_place_node *node = &place->node[place->node_order[i]];

        nodes += node->high > 0;
        all = all && (node->high == 0 || node->must) &&
              vp_place_shared_l3(place, place->node_order[i]) < 0;
    }
    return wide * nodes * ((all ? nodes : x) + 8);
}

bool vp_place_too_deep(const struct vp_place *place, unsigned even, unsigned x, unsigned y)
{
    uint64_t wide = (uint64_t)(y + 1) * (y + 1), units = 0;

    if (even > 0)
        return even_steps(place, x, y) > STEPS;
    if (!place->apart || (!place->mixed && y < 2))
        return false;
    for (size_t i = 0; i < place->node_count; i++) {
        const struct vp_place_node *node = &place->node[place->node_order[i]];

        units += (place->mixed ? node->threads : node->most) + 1;
    }
    return wide * (x + 1) * units > 2 * STEPS;
}
