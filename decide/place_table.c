/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tables "the cheapest way to take (x, y)" and their combination. */
#include "decide/place_priv.h"

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
    return x >= table->low && x <= table->x && y <= table->y ? table->cost[vp_table_at(table, x, y)]
                                                             : VP_COST_NEVER;
}

bool vp_table_step(struct vp_arena *arena, const struct vp_table *before,
                   const struct vp_table *part, unsigned x, unsigned y, unsigned low, vp_cost *cost,
                   struct vp_table *result)
{
    size_t cells;

    *result = (struct vp_table){
        .x = vp_least(x, before->x + part->x), .y = vp_least(y, before->y + part->y), .cost = cost};
    result->low = vp_least(low, result->x);
    cells = (size_t)(result->x - result->low + 1) * (result->y + 1);
    result->pick = vp_arena_get(arena, cells, sizeof(*result->pick));
    if (!result->pick)
        return false;
    for (size_t i = 0; i < cells; i++) {
        cost[i] = VP_COST_NEVER;
        result->pick[i] = 0;
    }
    return true;
}

/* One share of the part, with every load of those before: count neighbours. */
static void push_row(const vp_cost *from, vp_cost share, uint32_t mark, size_t count, vp_cost *to,
                     uint32_t *pick)
{
    for (size_t i = 0; i < count; i++) {
        vp_cost cost = from[i] + share;
        bool better = cost < to[i];

        to[i] = better ? cost : to[i];
        pick[i] = better ? mark : pick[i];
    }
}

static void push_share(const struct vp_table *before, unsigned i, unsigned j, vp_cost share,
                       uint32_t mark, struct vp_table *result)
{
    unsigned first = before->low + i > result->low ? before->low + i : result->low;
    unsigned last = vp_least(result->x, before->x + i), top = vp_least(result->y, before->y + j);

    if (first > last)
        return;
    for (unsigned b = j; b <= top; b++) {
        size_t from = vp_table_at(before, first - i, b - j), to = vp_table_at(result, first, b);

        push_row(before->cost + from, share, mark, last - first + 1, result->cost + to,
                 result->pick + to);
    }
}

/* Shares of the part in ascending order, and only what is cheaper replaces: of
 * equals the one that leaves most to the parts before, whose CPUs have the
 * lower numbers. */
void vp_table_push(const struct vp_table *before, const struct vp_table *part, uint32_t mark,
                   struct vp_table *result)
{
    for (unsigned i = 0; i <= part->x; i++)
        for (unsigned j = 0; j <= part->y; j++) {
            vp_cost share = part->cost[vp_table_at(part, i, j)];

            if (share < VP_COST_NEVER)
                push_share(before, i, j, share, VP_PICK(i, j) | mark, result);
        }
}

/* From which x on the first parts are wanted, if it is x in all. */
static unsigned *lowest(struct vp_arena *arena, const struct vp_table *parts, size_t count,
                        unsigned x)
{
    unsigned *low = vp_arena_get(arena, count, sizeof(*low)), rest = 0;

    if (!low)
        return NULL;
    for (size_t i = count; i-- > 0;) {
        low[i] = x > rest ? x - rest : 0;
        rest += parts[i].x;
    }
    return low;
}

struct vp_table *vp_table_combine(struct vp_arena *arena, const struct vp_table *parts,
                                  size_t count, unsigned x, unsigned y, bool all)
{
    struct vp_table *steps = vp_arena_get(arena, count, sizeof(*steps));
    unsigned *low = all ? NULL : lowest(arena, parts, count, x);
    size_t cells = (size_t)(x + 1) * (y + 1);
    vp_cost *cost[2] = {NULL, NULL};

    if (!steps || (!all && !low))
        return NULL;
    steps[0] = parts[0];
    for (size_t i = 1; i < count; i++) {
        if (!cost[i % 2])
            cost[i % 2] = vp_arena_get(arena, cells, sizeof(vp_cost));
        if (!cost[i % 2] || !vp_table_step(arena, &steps[i - 1], &parts[i], x, y, low ? low[i] : 0,
                                           cost[i % 2], &steps[i]))
            return NULL;
        vp_table_push(&steps[i - 1], &parts[i], 0, &steps[i]);
    }
    return steps;
}
