/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_priv.h"

/* A guest over several nodes. Nodes are combined like domains are, with one
 * thing more: the largest guest that one node could still take is no sum over
 * nodes. So every table has two layers: in layer 1 some node among the parts
 * has been named as the one with most CPUs left and has paid for it in
 * VP_COST_LEFT; the cheapest way names the node where most is left. */
struct layers {
    struct vp_table layer[2];
};

/* Nodes that share an L3, or one node. */
struct group {
    size_t first, count; /* of `node` */
    struct layers *steps;
};

struct spread {
    struct vp_place *place;
    unsigned x, y;
    int *node; /* by group */
    struct layers *part;
    struct group *group;
    size_t group_count;
};

static bool layers_new(struct vp_arena *arena, unsigned x, unsigned y, struct layers *layers)
{
    for (int i = 0; i < 2; i++) {
        struct vp_table *table = vp_table_new(arena, x, y);

        if (!table)
            return false;
        layers->layer[i] = *table;
    }
    return true;
}

static vp_cost cost_left(unsigned left)
{
    return VP_COST(VP_COST_LEFT) * (VP_CPU_MAX - left);
}

static bool node_layers(struct spread *spread, int index, struct layers *layers)
{
    struct vp_place *place = spread->place;
    const struct vp_place_node *node = &place->node[index];
    const struct vp_table *table;
    size_t cells;

    if (node->domain < 0) { /* no whole core, yet perhaps the most CPUs */
        if (!layers_new(&place->arena, 0, 0, layers))
            return false;
        layers->layer[0].cost[0] = 0;
        layers->layer[1].cost[0] = cost_left(node->free);
        return true;
    }
    table = vp_place_node_table(place, index, spread->x, spread->y, false);
    if (!table || !layers_new(&place->arena, table->x, table->y, layers))
        return false;
    cells = (size_t)(table->x + 1) * (table->y + 1);
    for (size_t i = 0; i < cells; i++) {
        vp_cost cost = table->cost[i];
        bool never = cost >= VP_COST_NEVER;

        layers->layer[0].cost[i] = never ? VP_COST_NEVER : cost;
        layers->layer[1].cost[i] =
            never ? VP_COST_NEVER
                  : cost + cost_left(node->free - vp_cost_get(cost, VP_COST_BOOKED));
    }
    return true;
}

/* Costs of the steps of one combination: of a step and the one before, by
 * layer; and of the ways that end with the node named. */
struct buffers {
    vp_cost *cost[2][2], *here;
};

static bool combine(struct spread *spread, const struct layers *before, const struct layers *part,
                    const struct buffers *buffers, size_t step, struct layers *result)
{
    struct vp_arena *arena = &spread->place->arena;
    vp_cost *const *cost = buffers->cost[step % 2];
    unsigned x = spread->x, y = spread->y;
    struct vp_table here;
    size_t cells;

    if (!vp_table_combine_two(arena, &before->layer[0], &part->layer[0], x, y, cost[0],
                              &result->layer[0]) ||
        !vp_table_combine_two(arena, &before->layer[1], &part->layer[0], x, y, cost[1],
                              &result->layer[1]) ||
        !vp_table_combine_two(arena, &before->layer[0], &part->layer[1], x, y, buffers->here,
                              &here))
        return false;
    cells = (size_t)(here.x + 1) * (here.y + 1);
    for (size_t i = 0; i < cells; i++) {
        if (here.cost[i] > result->layer[1].cost[i] || here.cost[i] >= VP_COST_NEVER)
            continue;
        result->layer[1].cost[i] = here.cost[i];
        result->layer[1].pick[i] = here.pick[i] | VP_PICK_HERE;
    }
    return true;
}

static struct layers *combine_all(struct spread *spread, const struct layers *part, size_t count)
{
    struct vp_arena *arena = &spread->place->arena;
    struct layers *steps = vp_arena_get(arena, count, sizeof(*steps));
    size_t cells = (size_t)(spread->x + 1) * (spread->y + 1);
    struct buffers buffers = {.here = NULL};

    if (!steps)
        return NULL;
    steps[0] = part[0];
    if (count > 1) {
        for (int i = 0; i < 4; i++)
            buffers.cost[i / 2][i % 2] = vp_arena_get(arena, cells, sizeof(vp_cost));
        buffers.here = vp_arena_get(arena, cells, sizeof(vp_cost));
        if (arena->failed)
            return NULL;
    }
    for (size_t i = 1; i < count; i++)
        if (!combine(spread, &steps[i - 1], &part[i], &buffers, i, &steps[i]))
            return NULL;
    return steps;
}

/* The L3 that a node shares with another node, -1 if none. */
static int shared_l3(const struct vp_place *place, int node)
{
    int domain = place->node[node].domain;

    if (domain < 0 || place->l3_home[place->domain[domain].l3] != -2)
        return -1;
    return place->domain[domain].l3;
}

/* Puts nodes of one group side by side, groups in the order of their first. */
static bool make_groups(struct spread *spread)
{
    struct vp_place *place = spread->place;
    size_t count = place->node_count, filled = 0;
    bool *done = vp_arena_get(&place->arena, count, sizeof(*done));

    spread->node = vp_arena_get(&place->arena, count, sizeof(*spread->node));
    spread->group = vp_arena_get(&place->arena, count, sizeof(*spread->group));
    if (!done || !spread->node || !spread->group)
        return false;
    for (size_t i = 0; i < count; i++)
        done[i] = false;
    for (size_t i = 0; i < count; i++) {
        int l3 = shared_l3(place, place->node_order[i]);
        struct group *group = &spread->group[spread->group_count];

        if (done[i])
            continue;
        *group = (struct group){.first = filled};
        for (size_t j = i; j < count; j++) {
            int node = place->node_order[j];

            if (done[j] || (j > i && (l3 < 0 || shared_l3(place, node) != l3)))
                continue;
            done[j] = true;
            spread->node[filled++] = node;
        }
        group->count = filled - group->first;
        spread->group_count++;
    }
    return true;
}

/* Charges the L3 that the group's nodes share, once. */
static bool charge_l3(struct spread *spread, const struct layers *from, struct layers *to)
{
    for (int k = 0; k < 2; k++) {
        const struct vp_table *table = &from->layer[k];
        size_t cells = (size_t)(table->x + 1) * (table->y + 1);
        struct vp_table *made = vp_table_new(&spread->place->arena, table->x, table->y);

        if (!made)
            return false;
        made->cost[0] = table->cost[0];
        for (size_t i = 1; i < cells; i++)
            made->cost[i] = table->cost[i] >= VP_COST_NEVER ? VP_COST_NEVER
                                                            : table->cost[i] + VP_COST(VP_COST_L3S);
        to->layer[k] = *made;
    }
    return true;
}

static struct layers *group_layers(struct spread *spread)
{
    struct vp_arena *arena = &spread->place->arena;
    struct layers *result = vp_arena_get(arena, spread->group_count, sizeof(*result));
    struct layers *part = vp_arena_get(arena, spread->place->node_count, sizeof(*part));

    if (!result || !part)
        return NULL;
    for (size_t i = 0; i < spread->place->node_count; i++)
        if (!node_layers(spread, spread->node[i], &part[i]))
            return NULL;
    for (size_t i = 0; i < spread->group_count; i++) {
        struct group *group = &spread->group[i];

        group->steps = combine_all(spread, part + group->first, group->count);
        if (!group->steps)
            return NULL;
        result[i] = group->steps[group->count - 1];
        if (group->count > 1 && !charge_l3(spread, &group->steps[group->count - 1], &result[i]))
            return NULL;
    }
    return result;
}

struct trace {
    unsigned x, y;
    int layer;
};

/* What part i of a combination bears; *whole becomes what the parts before it do. */
static struct trace step_back(const struct layers *steps, size_t i, struct trace *whole)
{
    const struct vp_table *table = &steps[i].layer[whole->layer];
    struct trace part = *whole;
    uint32_t pick;

    if (i == 0)
        return part;
    pick = table->pick[(size_t)whole->x * (table->y + 1) + whole->y];
    part = (struct trace){VP_PICK_X(pick), VP_PICK_Y(pick), 0};
    if (whole->layer == 1 && (pick & VP_PICK_HERE) != 0) {
        part.layer = 1;
        whole->layer = 0;
    }
    whole->x -= part.x;
    whole->y -= part.y;
    return part;
}

static void trace_back(struct spread *spread, const struct layers *steps)
{
    struct trace host = {spread->x, spread->y, 1};

    for (size_t i = spread->group_count; i-- > 0;) {
        struct group *group = &spread->group[i];
        struct trace rest = step_back(steps, i, &host);

        for (size_t k = group->count; k-- > 0;) {
            struct trace part = step_back(group->steps, k, &rest);
            struct vp_place_node *node = &spread->place->node[spread->node[group->first + k]];

            node->load_x = part.x;
            node->load_y = part.y;
        }
    }
}

/* Every node of the load has one vCPU at least; extra threads fill up the
 * first nodes. vCPUs follow each other by cell, then number. */
static void hand_out(struct vp_place *place)
{
    bool apart = place->request->thread_policy == VP_THREADS_REQUIRE;
    unsigned extras = place->extras;
    size_t at = 0;
    unsigned used = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];
        unsigned room = node->load_x > 0 ? node->load_x - 1 : 0;

        node->extras = apart ? node->load_y : room < extras ? room : extras;
        node->vcpus = apart ? node->load_x : node->load_x - node->extras;
        extras -= node->extras;
    }
    for (size_t cell = 0; cell < place->cell_count; cell++) {
        for (unsigned v = 0; v < place->request->vcpus; v++) {
            if (place->vcpu_cell[v] != cell)
                continue;
            while (used >= place->node[place->node_order[at]].vcpus) {
                at++;
                used = 0;
            }
            place->vcpu_node[v] = place->node_order[at];
            used++;
        }
    }
}

int vp_place_spread(struct vp_place *place)
{
    struct spread spread = {.place = place};
    struct layers *groups, *steps;
    vp_cost cost;

    vp_place_units(place, place->request->vcpus, place->extras, &spread.x, &spread.y);
    if (place->node_count == 0)
        return 0;
    if (!make_groups(&spread))
        return -1;
    groups = group_layers(&spread);
    steps = groups ? combine_all(&spread, groups, spread.group_count) : NULL;
    if (!steps)
        return -1;
    cost = vp_table_get(&steps[spread.group_count - 1].layer[1], spread.x, spread.y);
    if (cost >= VP_COST_NEVER || vp_cost_get(cost, VP_COST_NODES) > place->request->vcpus)
        return 0;
    trace_back(&spread, steps);
    hand_out(place);
    place->cost = cost;
    return 1;
}
