/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_priv.h"

static unsigned ceiling(unsigned a, unsigned b)
{
    return (a + b - 1) / b;
}

/* Single CPUs of a type. While preferred threads last nothing else is taken;
 * then every core of the type is in use already and cores are filled up. */
static vp_cost cost_prefer(const struct vp_place_type *type, unsigned x)
{
    unsigned preferred = type->count * type->first;
    unsigned cores, partial;

    if (type->first == 0 || type->first == type->free) {
        cores = ceiling(x, type->free);
        partial = x % type->free != 0;
    } else if (x <= preferred) {
        cores = partial = ceiling(x, type->first);
    } else {
        cores = type->count;
        partial = cores - (x - preferred) / (type->free - type->first);
    }
    if (type->cut)
        partial = cores;
    return VP_COST(VP_COST_OUTSIDE) * (x - vp_least(x, preferred)) +
           (type->free < type->total && !type->cut ? VP_COST(VP_COST_SHARED) * cores
                                                   : VP_COST(VP_COST_BROKEN) * partial) +
           VP_COST(VP_COST_BOOKED) * x + VP_COST(VP_COST_CORES) * cores;
}

static vp_cost cost_cores(const struct vp_place_type *type, unsigned cores)
{
    return VP_COST(VP_COST_OUTSIDE) * (cores * (unsigned)(type->total - type->first)) +
           VP_COST(VP_COST_BOOKED) * (cores * type->total) + VP_COST(VP_COST_CORES) * cores;
}

/* The most a type can take of each alone. */
static void type_limits(const struct vp_place *place, const struct vp_place_type *type, unsigned *x,
                        unsigned *y)
{
    *x = place->whole_cores && !place->mixed ? type->count : type->count * type->free;
    *y = place->mixed ? type->count : 0;
}

vp_cost vp_place_type_cost(const struct vp_place *place, const struct vp_place_type *type,
                           unsigned x, unsigned y)
{
    unsigned cores;

    if (!place->whole_cores)
        return x <= type->count * type->free ? cost_prefer(type, x) : VP_COST_NEVER;
    cores = place->mixed ? ceiling(x, type->total) + y : x;
    return cores <= type->count ? cost_cores(type, cores) : VP_COST_NEVER;
}

static bool type_table(struct vp_place *place, const struct vp_place_type *type, unsigned x,
                       unsigned y, struct vp_table *table)
{
    unsigned limit_x, limit_y;
    struct vp_table *made;
    vp_cost *out;

    type_limits(place, type, &limit_x, &limit_y);
    made = vp_table_new(&place->arena, vp_least(x, limit_x), vp_least(y, limit_y));
    if (!made)
        return false;
    out = made->cost;
    for (unsigned b = 0; b <= made->y; b++)
        for (unsigned a = 0; a <= made->x; a++)
            *out++ = vp_place_type_cost(place, type, a, b);
    *table = *made;
    return true;
}

/* The chain at `first` as an array in ascending order (chains are built by
 * putting the newest in front). */
static int *unchain(struct vp_place *place, int first, bool types, size_t *count)
{
    int *list;

    *count = 0;
    for (int i = first; i >= 0; i = types ? place->type[i].next : place->domain[i].next)
        (*count)++;
    list = vp_arena_get(&place->arena, *count + 1, sizeof(*list));
    if (!list)
        return NULL;
    size_t at = *count;
    for (int i = first; i >= 0; i = types ? place->type[i].next : place->domain[i].next)
        list[--at] = i;
    return list;
}

/* Types of a domain, domains of a node: the tables of all and their
 * combinations. */
struct series {
    int *member;
    size_t count;
    struct vp_table *parts, *steps;
};

static bool domain_series(struct vp_place *place, int domain, unsigned x, unsigned y, bool all,
                          struct series *series)
{
    series->member = unchain(place, place->domain[domain].type, true, &series->count);
    series->parts = vp_arena_get(&place->arena, series->count, sizeof(*series->parts));
    if (!series->member || !series->parts)
        return false;
    for (size_t i = 0; i < series->count; i++)
        if (!type_table(place, &place->type[series->member[i]], x, y, &series->parts[i]))
            return false;
    series->steps = vp_table_combine(&place->arena, series->parts, series->count, x, y, all);
    return series->steps != NULL;
}

/* The domain's table with its L3 charged to every load but none at all. */
bool vp_place_domain_table(struct vp_place *place, int domain, unsigned x, unsigned y, bool per_l3,
                           struct vp_table *table)
{
    bool charged = per_l3 || place->l3_home[place->domain[domain].l3] != -2;
    vp_cost charge =
        charged && place->request->cache != VP_CARE_ANY ? VP_COST(VP_COST_L3S) : (vp_cost)0;
    bool plain = !place->mixed && vp_least(x, place->domain[domain].capacity) > place->exact;
    struct vp_table *last, *made, simple;
    struct series series = {.steps = &simple, .count = 1};
    size_t cells;

    if (plain ? !vp_place_plain_table(place, domain, x, &simple)
              : !domain_series(place, domain, x, y, true, &series))
        return false;
    last = &series.steps[series.count - 1];
    made = vp_table_new(&place->arena, last->x, last->y);
    if (!made)
        return false;
    cells = (size_t)(last->x + 1) * (last->y + 1);
    made->cost[0] = 0;
    for (size_t i = 1; i < cells; i++)
        made->cost[i] = last->cost[i] + charge;
    *table = *made;
    return true;
}

int *vp_place_domains(struct vp_place *place, int node, size_t *count)
{
    return unchain(place, place->node[node].domain, false, count);
}

/* All domains of the node are taken in full. */
static bool nothing(struct vp_place *place, struct series *series)
{
    series->steps = vp_table_new(&place->arena, 0, 0);
    if (!series->steps)
        return false;
    series->steps->cost[0] = 0;
    series->count = 1;
    series->member = NULL;
    return true;
}

static bool node_series(struct vp_place *place, int node, unsigned x, unsigned y, bool per_l3,
                        bool all, struct series *series)
{
    size_t open = 0;

    series->member = vp_place_domains(place, node, &series->count);
    series->parts = vp_arena_get(&place->arena, series->count + 1, sizeof(*series->parts));
    if (!series->member || !series->parts)
        return false;
    for (size_t i = 0; i < series->count; i++) {
        const struct vp_place_domain *domain = &place->domain[series->member[i]];

        if (all || (!domain->full && !domain->shut))
            series->member[open++] = series->member[i];
    }
    series->count = open;
    if (open == 0)
        return nothing(place, series);
    for (size_t i = 0; i < series->count; i++)
        if (!vp_place_domain_table(place, series->member[i], x, y, per_l3, &series->parts[i]))
            return false;
    series->steps = vp_table_combine(&place->arena, series->parts, series->count, x, y, all);
    return series->steps != NULL;
}

void vp_place_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                    unsigned *y)
{
    *x = place->mixed ? vcpus : ceiling(vcpus, place->per) + extras;
    *y = place->mixed ? extras : 0;
}

void vp_place_node_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                         unsigned *y)
{
    if (!place->apart) {
        vp_place_units(place, vcpus, extras, x, y);
        return;
    }
    *x = vcpus;
    *y = extras;
}

/* From a domain-like table to the node's: extra threads go only where vCPUs
 * are, and a node that is used costs one. */
static const struct vp_table *apart_table(struct vp_place *place, const struct vp_table *last,
                                          unsigned low, unsigned x, unsigned y)
{
    struct vp_table *made;

    x = vp_least(x, last->x * place->per);
    low = vp_least(low, x);
    made = vp_table_new(&place->arena, x - low, y);
    if (!made)
        return NULL;
    made->x = x;
    made->low = low;
    for (unsigned b = 0; b <= y; b++)
        for (unsigned a = low; a <= x; a++)
            made->cost[vp_table_at(made, a, b)] =
                a == 0 ? (b == 0 ? 0 : VP_COST_NEVER)
                       : vp_table_get(last, ceiling(a, place->per) + b, 0) + VP_COST(VP_COST_NODES);
    return made;
}

/* The node's domains combined. */
static struct vp_table *domains_table(struct vp_place *place, int node, unsigned x, unsigned y,
                                      bool per_l3)
{
    struct series series;

    if (vp_place_too_wide(place, node, x))
        return vp_place_wide_table(place, node, x, per_l3);
    return node_series(place, node, x, y, per_l3, true, &series) ? &series.steps[series.count - 1]
                                                                 : NULL;
}

const struct vp_table *vp_place_node_table(struct vp_place *place, int node, unsigned low,
                                           unsigned x, unsigned y, bool per_l3)
{
    bool split = place->apart && !place->mixed;
    struct vp_table *last, *made;
    size_t at = 0;

    last =
        domains_table(place, node, split ? ceiling(x, place->per) + y : x, split ? 0 : y, per_l3);
    if (!last)
        return NULL;
    if (split)
        return apart_table(place, last, low, x, y);
    made = vp_table_new(&place->arena, last->x, last->y);
    if (!made)
        return NULL;
    for (unsigned b = 0; b <= last->y; b++)
        for (unsigned a = 0; a <= last->x; a++, at++)
            made->cost[at] =
                a == 0 ? (b == 0 ? 0 : VP_COST_NEVER) : last->cost[at] + VP_COST(VP_COST_NODES);
    return made;
}

bool vp_place_node_cost(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                        vp_cost *cost)
{
    const struct vp_place_node *at = &place->node[node];
    struct series series;
    vp_cost filled;
    unsigned x, y;

    *cost = VP_COST_NEVER;
    vp_place_units(place, vcpus, extras, &x, &y);
    if (at->domain < 0 || (place->mixed ? vcpus > at->threads || extras > at->most : x > at->most))
        return true;
    if (place->whether) {
        x = vp_place_fewest_units(place, node, vcpus);
        *cost = x <= at->most && extras <= at->most - x ? 0 : VP_COST_NEVER;
        return !place->arena.failed;
    }
    if (place->one_l3)
        return vp_place_l3_cost(place, node, vcpus, extras, cost);
    x = vp_place_fill_domains(place, node, x, &filled);
    if (!node_series(place, node, x, y, true, false, &series))
        return false;
    *cost = vp_table_get(&series.steps[series.count - 1], x, y);
    if (*cost < VP_COST_NEVER)
        *cost += VP_COST(VP_COST_NODES) + filled;
    return true;
}

unsigned vp_place_booked(const struct vp_place *place, vp_cost cost, unsigned vcpus,
                         unsigned extras)
{
    return place->whole_cores ? vp_cost_get(cost, VP_COST_BOOKED) : vcpus + extras;
}

vp_cost vp_place_fill(const struct vp_place *place, int node)
{
    unsigned free = place->node[node].free;

    return VP_COST(VP_COST_FILL) *
           (place->request->fill == VP_FILL_PACK ? free : place->most_free - free);
}

vp_cost vp_place_left(const struct vp_place *place, unsigned left)
{
    return place->request->fill == VP_FILL_PACK ? VP_COST(VP_COST_LEFT) * (VP_CPU_MAX - left) : 0;
}

static void hand_out(const struct series *series, size_t i, unsigned *x, unsigned *y,
                     unsigned *part_x, unsigned *part_y)
{
    const struct vp_table *step = &series->steps[i];
    uint32_t pick;

    *part_x = *x;
    *part_y = *y;
    if (i > 0) {
        pick = step->pick[vp_table_at(step, *x, *y)];
        *part_x = VP_PICK_X(pick);
        *part_y = VP_PICK_Y(pick);
    }
    *x -= *part_x;
    *y -= *part_y;
}

bool vp_place_split_domain(struct vp_place *place, int domain, unsigned x, unsigned y)
{
    struct series series;

    if (x + y == 0)
        return true;
    if (!place->mixed && x > place->exact) {
        vp_place_plain_split(place, domain, x);
        return true;
    }
    if (!domain_series(place, domain, x, y, false, &series))
        return false;
    for (size_t i = series.count; i-- > 0;) {
        struct vp_place_type *type = &place->type[series.member[i]];

        hand_out(&series, i, &x, &y, &type->x, &type->y);
    }
    return true;
}

static bool split_domains(struct vp_place *place, int node)
{
    for (int i = place->node[node].domain; i >= 0; i = place->domain[i].next)
        if (!vp_place_split_domain(place, i, place->domain[i].x, place->domain[i].y))
            return false;
    return true;
}

static bool split_full(struct vp_place *place, int node)
{
    for (int i = place->node[node].domain; i >= 0; i = place->domain[i].next)
        if (place->domain[i].full && !vp_place_split_domain(place, i, place->domain[i].capacity, 0))
            return false;
    return true;
}

bool vp_place_split(struct vp_place *place, int node)
{
    struct series series;
    vp_cost filled;
    unsigned x, y;

    if (place->by_domain)
        return split_domains(place, node);
    if (place->node[node].l3_cell >= 0)
        return vp_place_l3_split(place, node);
    vp_place_units(place, place->node[node].vcpus, place->node[node].extras, &x, &y);
    x = vp_place_fill_domains(place, node, x, &filled);
    if (!split_full(place, node) || !node_series(place, node, x, y, true, false, &series))
        return false;
    for (size_t i = series.member ? series.count : 0; i-- > 0;) {
        unsigned part_x, part_y;

        hand_out(&series, i, &x, &y, &part_x, &part_y);
        if (!vp_place_split_domain(place, series.member[i], part_x, part_y))
            return false;
    }
    return true;
}
