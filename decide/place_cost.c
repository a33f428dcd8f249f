/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_priv.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned ceiling(unsigned a, unsigned b)
{
    return (a + b - 1) / b;
}

struct vp_table *vp_table_new(struct vp_arena *arena, unsigned x, unsigned y)
{
    struct vp_table *table = vp_arena_get(arena, 1, sizeof(*table));

    if (!table)
        return NULL;
    *table = (struct vp_table){.x = x, .y = y};
    table->cost = vp_arena_get(arena, (size_t)(x + 1) * (y + 1), sizeof(*table->cost));
    return table->cost ? table : NULL;
}

vp_cost vp_table_get(const struct vp_table *table, unsigned x, unsigned y)
{
    return x <= table->x && y <= table->y ? table->cost[(size_t)x * (table->y + 1) + y]
                                          : VP_COST_NEVER;
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
    return VP_COST(VP_COST_OUTSIDE) * (x - least(x, preferred)) +
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
    enum vp_thread_policy policy = place->request->thread_policy;

    *x = policy == VP_THREADS_ISOLATE ? type->count : type->count * type->free;
    *y = policy == VP_THREADS_REQUIRE ? type->count : 0;
}

static vp_cost type_cost(const struct vp_place *place, const struct vp_place_type *type, unsigned x,
                         unsigned y)
{
    unsigned cores;

    if (place->request->thread_policy == VP_THREADS_PREFER)
        return x <= type->count * type->free ? cost_prefer(type, x) : VP_COST_NEVER;
    cores = place->request->thread_policy == VP_THREADS_ISOLATE ? x : ceiling(x, type->total) + y;
    return cores <= type->count ? cost_cores(type, cores) : VP_COST_NEVER;
}

static bool type_table(struct vp_place *place, const struct vp_place_type *type, unsigned x,
                       unsigned y, struct vp_table *table)
{
    unsigned limit_x, limit_y;
    struct vp_table *made;
    vp_cost *out;

    type_limits(place, type, &limit_x, &limit_y);
    made = vp_table_new(&place->arena, least(x, limit_x), least(y, limit_y));
    if (!made)
        return false;
    out = made->cost;
    for (unsigned a = 0; a <= made->x; a++)
        for (unsigned b = 0; b <= made->y; b++)
            *out++ = type_cost(place, type, a, b);
    *table = *made;
    return true;
}

/* The cheapest split of (a, b) between what was combined so far and one part
 * more; of equals the one that leaves most to the former, whose CPUs have the
 * lower numbers. */
static vp_cost cheapest(const struct vp_table *before, const struct vp_table *part, unsigned a,
                        unsigned b, uint32_t *pick)
{
    vp_cost best = VP_COST_NEVER;
    unsigned from_x = a > before->x ? a - before->x : 0;
    unsigned from_y = b > before->y ? b - before->y : 0;

    for (unsigned i = from_x; i <= least(a, part->x); i++) {
        for (unsigned j = from_y; j <= least(b, part->y); j++) {
            vp_cost cost = before->cost[(size_t)(a - i) * (before->y + 1) + (b - j)] +
                           part->cost[(size_t)i * (part->y + 1) + j];

            if (cost < best) {
                best = cost;
                *pick = VP_PICK(i, j);
            }
        }
    }
    return best;
}

bool vp_table_combine_two(struct vp_arena *arena, const struct vp_table *before,
                          const struct vp_table *part, unsigned x, unsigned y, vp_cost *cost,
                          struct vp_table *result)
{
    size_t at = 0;

    *result = (struct vp_table){
        .x = least(x, before->x + part->x), .y = least(y, before->y + part->y), .cost = cost};
    result->pick =
        vp_arena_get(arena, (size_t)(result->x + 1) * (result->y + 1), sizeof(*result->pick));
    if (!result->pick)
        return false;
    for (unsigned a = 0; a <= result->x; a++) {
        for (unsigned b = 0; b <= result->y; b++, at++) {
            result->pick[at] = 0;
            result->cost[at] = cheapest(before, part, a, b, &result->pick[at]);
        }
    }
    return true;
}

struct vp_table *vp_table_combine(struct vp_arena *arena, const struct vp_table *parts,
                                  size_t count, unsigned x, unsigned y)
{
    struct vp_table *steps = vp_arena_get(arena, count, sizeof(*steps));
    size_t cells = (size_t)(x + 1) * (y + 1);
    vp_cost *cost[2] = {NULL, NULL};

    if (!steps)
        return NULL;
    steps[0] = parts[0];
    for (size_t i = 1; i < count; i++) {
        if (!cost[i % 2])
            cost[i % 2] = vp_arena_get(arena, cells, sizeof(vp_cost));
        if (!cost[i % 2] ||
            !vp_table_combine_two(arena, &steps[i - 1], &parts[i], x, y, cost[i % 2], &steps[i]))
            return NULL;
    }
    return steps;
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

static bool domain_series(struct vp_place *place, int domain, unsigned x, unsigned y,
                          struct series *series)
{
    series->member = unchain(place, place->domain[domain].type, true, &series->count);
    series->parts = vp_arena_get(&place->arena, series->count, sizeof(*series->parts));
    if (!series->member || !series->parts)
        return false;
    for (size_t i = 0; i < series->count; i++)
        if (!type_table(place, &place->type[series->member[i]], x, y, &series->parts[i]))
            return false;
    series->steps = vp_table_combine(&place->arena, series->parts, series->count, x, y);
    return series->steps != NULL;
}

/* The domain's table with its L3 charged to every load but none at all. */
static bool domain_table(struct vp_place *place, int domain, unsigned x, unsigned y, bool per_l3,
                         struct vp_table *table)
{
    struct series series;
    struct vp_table *last, *made;
    size_t cells;

    if (!domain_series(place, domain, x, y, &series))
        return false;
    last = &series.steps[series.count - 1];
    made = vp_table_new(&place->arena, last->x, last->y);
    if (!made)
        return false;
    cells = (size_t)(last->x + 1) * (last->y + 1);
    made->cost[0] = 0;
    if (!per_l3)
        per_l3 = place->l3_home[place->domain[domain].l3] != -2;
    for (size_t i = 1; i < cells; i++)
        made->cost[i] = last->cost[i] + (per_l3 ? VP_COST(VP_COST_L3S) : 0);
    *table = *made;
    return true;
}

static bool node_series(struct vp_place *place, int node, unsigned x, unsigned y, bool per_l3,
                        struct series *series)
{
    series->member = unchain(place, place->node[node].domain, false, &series->count);
    series->parts = vp_arena_get(&place->arena, series->count + 1, sizeof(*series->parts));
    if (!series->member || !series->parts)
        return false;
    for (size_t i = 0; i < series->count; i++)
        if (!domain_table(place, series->member[i], x, y, per_l3, &series->parts[i]))
            return false;
    series->steps = vp_table_combine(&place->arena, series->parts, series->count, x, y);
    return series->steps != NULL;
}

const struct vp_table *vp_place_node_table(struct vp_place *place, int node, unsigned x, unsigned y,
                                           bool per_l3)
{
    struct series series;
    struct vp_table *last, *made;
    size_t at = 0;

    if (!node_series(place, node, x, y, per_l3, &series))
        return NULL;
    last = &series.steps[series.count - 1];
    made = vp_table_new(&place->arena, last->x, last->y);
    if (!made)
        return NULL;
    for (unsigned a = 0; a <= last->x; a++)
        for (unsigned b = 0; b <= last->y; b++, at++)
            /* Extra threads go only where vCPUs are. */
            made->cost[at] =
                a == 0 ? (b == 0 ? 0 : VP_COST_NEVER) : last->cost[at] + VP_COST(VP_COST_NODES);
    return made;
}

static void hand_out(const struct series *series, size_t i, unsigned *x, unsigned *y,
                     unsigned *part_x, unsigned *part_y)
{
    const struct vp_table *step = &series->steps[i];
    uint32_t pick;

    *part_x = *x;
    *part_y = *y;
    if (i > 0) {
        pick = step->pick[(size_t)*x * (step->y + 1) + *y];
        *part_x = VP_PICK_X(pick);
        *part_y = VP_PICK_Y(pick);
    }
    *x -= *part_x;
    *y -= *part_y;
}

static bool split_domain(struct vp_place *place, int domain, unsigned x, unsigned y)
{
    struct series series;

    if (!domain_series(place, domain, x, y, &series))
        return false;
    for (size_t i = series.count; i-- > 0;) {
        struct vp_place_type *type = &place->type[series.member[i]];

        hand_out(&series, i, &x, &y, &type->x, &type->y);
    }
    return true;
}

bool vp_place_split(struct vp_place *place, int node)
{
    unsigned x = place->node[node].load_x, y = place->node[node].load_y;
    struct series series;

    if (!node_series(place, node, x, y, true, &series))
        return false;
    for (size_t i = series.count; i-- > 0;) {
        unsigned part_x, part_y;

        hand_out(&series, i, &x, &y, &part_x, &part_y);
        if (part_x + part_y > 0 && !split_domain(place, series.member[i], part_x, part_y))
            return false;
    }
    return true;
}
