/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads that would take too long to search through. A search of x units among f
 * takes x * f steps, which is bounded: where it would be more, the largest nodes
 * (then L3s) are taken in full until the rest is small enough, which never
 * takes more nodes or L3s than need be. What a search of the rest finds is the
 * best of the rest. Hosts of up to 700 free CPUs are always searched in full. */
#include "decide/place_priv.h"

/* x * f at most; a search of several nodes goes through it about five times. */
#define STEPS (1u << 19)
#define EXACT_MIN 48

/* Cores of different sizes add the extra threads as a second dimension; where
 * that is too much every core counts as the smallest. */
static void simplify(struct vp_place *place)
{
    unsigned per = UINT32_MAX;

    for (size_t i = 0; i < place->type_count; i++)
        per = vp_least(per, place->type[i].total);
    place->mixed = false;
    place->per = per;
}

/* A search of each node by itself, for vCPUs alone. */
static uint64_t mixed_steps(const struct vp_place *place)
{
    uint64_t steps = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        unsigned threads = place->node[place->node_order[i]].threads;

        steps += (uint64_t)threads * vp_least(threads, place->request->vcpus);
    }
    return steps;
}

static unsigned units_of(const struct vp_place *place, const struct vp_place_type *type)
{
    return type->count * (place->whole_cores && !place->mixed ? 1 : type->free);
}

static unsigned capacity(const struct vp_place *place, int domain)
{
    unsigned units = 0;

    for (int t = place->domain[domain].type; t >= 0; t = place->type[t].next)
        units += units_of(place, &place->type[t]);
    return units;
}

void vp_place_bound(struct vp_place *place)
{
    uint64_t units = 1, deep = (uint64_t)(place->extras + 1) * (place->extras + 1), exact;

    for (size_t i = 0; i < place->node_count; i++)
        units += place->node[place->node_order[i]].threads;
    if (place->mixed && mixed_steps(place) * deep > STEPS * UINT64_C(4))
        simplify(place);
    exact = STEPS / units;
    if (place->mixed)
        exact = exact * 4 / deep;
    exact /= 1 + place->cell_count / 16;
    place->exact = exact < EXACT_MIN ? EXACT_MIN : (unsigned)exact;
    for (size_t i = 0; i < place->domain_count; i++) {
        struct vp_place_domain *domain = &place->domain[i];
        struct vp_place_node *node = &place->node[domain->node];

        domain->capacity = capacity(place, (int)i);
        node->largest = domain->capacity > node->largest ? domain->capacity : node->largest;
    }
}

static unsigned most_of(const struct vp_place *place, const struct vp_place_node *node)
{
    return vp_least(node->most, node->high / place->per + (node->high % place->per != 0));
}

unsigned vp_place_fill_nodes(struct vp_place *place, unsigned x, unsigned exact)
{
    unsigned must = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        place->node[place->node_order[i]].full = false;
        must += place->node[place->node_order[i]].must;
    }
    while (x > exact) {
        struct vp_place_node *best = NULL;

        for (size_t i = 0; i < place->node_count; i++) {
            struct vp_place_node *node = &place->node[place->node_order[i]];

            if (!node->full && most_of(place, node) > 0 && most_of(place, node) + must < x &&
                (!best || most_of(place, node) > most_of(place, best)))
                best = node;
        }
        if (!best)
            break;
        best->full = true;
        must -= best->must;
        x -= most_of(place, best);
    }
    return x;
}

/* Of an L3 taken in full. */
static vp_cost full_cost(const struct vp_place *place, int domain)
{
    vp_cost cost = place->request->cache == VP_CARE_ANY ? 0 : VP_COST(VP_COST_L3S);

    for (int t = place->domain[domain].type; t >= 0; t = place->type[t].next)
        cost += vp_place_type_cost(place, &place->type[t], units_of(place, &place->type[t]), 0);
    return cost;
}

/* ---- one L3 ---- */

/* Preferred CPUs first, then whole free cores, then the freest. */
static bool before(const struct vp_place_type *a, const struct vp_place_type *b)
{
    if ((a->first > 0) != (b->first > 0))
        return a->first > 0;
    if ((a->free == a->total) != (b->free == b->total))
        return a->free == a->total;
    return a->free > b->free;
}

/* The best type after `last` in that order; equals by index. */
static int next_type(const struct vp_place *place, int domain, int last)
{
    int best = -1;

    for (int t = place->domain[domain].type; t >= 0; t = place->type[t].next) {
        const struct vp_place_type *type = &place->type[t];

        if (last >= 0 && !before(&place->type[last], type) &&
            (before(type, &place->type[last]) || t <= last))
            continue;
        if (best < 0 || before(type, &place->type[best]) ||
            (!before(&place->type[best], type) && t < best))
            best = t;
    }
    return best;
}

/* Of x in the domain, type after type. */
static vp_cost plain_cost(const struct vp_place *place, int domain, unsigned x)
{
    vp_cost cost = 0;

    for (int t = next_type(place, domain, -1); t >= 0 && x > 0; t = next_type(place, domain, t)) {
        unsigned units = vp_least(x, units_of(place, &place->type[t]));

        cost += vp_place_type_cost(place, &place->type[t], units, 0);
        x -= units;
    }
    return cost;
}

/* ---- the L3s of a node ---- */

/* What a search of the node's open domains for up to x takes, and may. */
static uint64_t steps_of(const struct vp_place *place, int node, unsigned x)
{
    uint64_t steps = 0;
    unsigned units = 0;

    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next) {
        const struct vp_place_domain *domain = &place->domain[d];

        if (domain->full)
            continue;
        steps += (uint64_t)units * vp_least(domain->capacity, x);
        units = vp_least(x, units + domain->capacity);
    }
    return steps;
}

static uint64_t most_steps(const struct vp_place *place, int node)
{
    return UINT64_C(2) * place->exact * place->node[node].most;
}

/* Each open domain has room for x: only the cheapest, of equals the first, stays open. */
static void shut_others(struct vp_place *place, int node, unsigned x)
{
    vp_cost least = VP_COST_NEVER;
    int best = -1;

    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next) {
        vp_cost cost = place->domain[d].full ? VP_COST_NEVER : plain_cost(place, d, x);

        place->domain[d].shut = true;
        if (cost <= least && !place->domain[d].full) {
            least = cost;
            best = d;
        }
    }
    if (best >= 0)
        place->domain[best].shut = false;
}

unsigned vp_place_fill_domains(struct vp_place *place, int node, unsigned x, vp_cost *cost)
{
    *cost = 0;
    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next) {
        place->domain[d].full = false;
        place->domain[d].x = x > place->exact ? place->domain[d].capacity : 0;
        place->domain[d].shut = false;
    }
    while (x > place->exact && !place->mixed) {
        int best = -1;

        for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next)
            if (!place->domain[d].full && place->domain[d].x <= x &&
                (best < 0 || place->domain[d].x >= place->domain[best].x))
                best = d;
        if (best < 0)
            break;
        place->domain[best].full = true;
        *cost += full_cost(place, best);
        x -= place->domain[best].x;
    }
    if (x > place->exact && steps_of(place, node, x) > most_steps(place, node))
        shut_others(place, node, x);
    return x;
}

bool vp_place_too_wide(const struct vp_place *place, int node, unsigned x)
{
    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next)
        place->domain[d].full = place->domain[d].shut = false;
    return !place->mixed && steps_of(place, node, x) > most_steps(place, node);
}

/* The largest of the open domains, of equals the first; it is shut after. */
static int take_largest(struct vp_place *place, int node)
{
    int best = -1;

    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next)
        if (!place->domain[d].shut &&
            (best < 0 || place->domain[d].capacity >= place->domain[best].capacity))
            best = d;
    if (best >= 0)
        place->domain[best].shut = true;
    return best;
}

struct vp_table *vp_place_wide_table(struct vp_place *place, int node, unsigned x, bool per_l3)
{
    struct vp_table *made = vp_table_new(&place->arena, vp_least(x, place->node[node].most), 0);
    vp_cost done = 0;
    unsigned at = 0;

    if (!made)
        return NULL;
    made->cost[0] = 0;
    while (at < made->x) {
        struct vp_table part;

        if (!vp_place_domain_table(place, take_largest(place, node), made->x - at, 0, per_l3,
                                   &part))
            return NULL;
        for (unsigned i = 1; i <= part.x; i++)
            made->cost[at + i] = done + part.cost[i];
        done = made->cost[at + part.x];
        at += part.x;
    }
    return made;
}

bool vp_place_plain_table(struct vp_place *place, int domain, unsigned x, struct vp_table *table)
{
    struct vp_table *made =
        vp_table_new(&place->arena, vp_least(x, place->domain[domain].capacity), 0);
    vp_cost done = 0;
    unsigned at = 0;

    if (!made)
        return false;
    for (int t = next_type(place, domain, -1); t >= 0 && at <= made->x;
         t = next_type(place, domain, t)) {
        const struct vp_place_type *type = &place->type[t];
        unsigned units = units_of(place, type);

        for (unsigned i = 0; i <= units && at + i <= made->x; i++)
            made->cost[at + i] = done + vp_place_type_cost(place, type, i, 0);
        done += vp_place_type_cost(place, type, units, 0);
        at += units;
    }
    *table = *made;
    return true;
}

void vp_place_plain_split(struct vp_place *place, int domain, unsigned x)
{
    for (int t = next_type(place, domain, -1); t >= 0; t = next_type(place, domain, t)) {
        struct vp_place_type *type = &place->type[t];

        type->x = vp_least(x, units_of(place, type));
        type->y = 0;
        x -= type->x;
    }
}
