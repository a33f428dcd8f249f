/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest over several nodes: as few as it takes, or even shares on a given
 * number. Nodes are combined like domains are, with one thing more: the largest
 * guest that one node could still take is no sum over nodes. So every table has
 * two layers: in layer 1 some node among the parts has been named as the one
 * with most CPUs left and has paid for it in VP_COST_LEFT; the cheapest way
 * names the node where most is left. Without VP_COST_LEFT there is one layer. */
#include "decide/place_many.h"

struct layers {
    struct vp_table layer[2];
};

/* Nodes that share an L3, or one node. */
struct group {
    size_t first, count; /* of `node` */
    struct layers *steps;
};

struct many {
    struct vp_place *place;
    bool even; /* unused nodes cost one each, not the used ones */
    /* even: a share of `low` vCPUs counts as `share`, one more as one more, so that tables are
     * short where shares are large: with k shares, of which r are larger, r + 1 is enough */
    unsigned low, share;
    int layers;
    unsigned x, y;
    int *node; /* by group */
    struct group *group;
    size_t group_count;
};

static bool layers_new(struct many *many, unsigned x, unsigned y, struct layers *layers)
{
    for (int k = 0; k < many->layers; k++) {
        struct vp_table *table = vp_table_new(&many->place->arena, x, y);

        if (!table)
            return false;
        layers->layer[k] = *table;
    }
    return true;
}

/* vCPUs (or units) for x as the search counts. */
static unsigned load_of(const struct many *many, unsigned x)
{
    return many->even && x > 0 ? x - many->share + many->low : x;
}

/* Whether a node may bear x of a load, and what that costs beside its table. */
static bool allowed(const struct vp_place_node *node, unsigned x)
{
    if (x == 0)
        return !node->must || node->full;
    return x >= node->low && x >= node->least && x <= node->high;
}

static vp_cost beside(const struct many *many, int index, unsigned x)
{
    const struct vp_place_node *node = &many->place->node[index];

    if (x > 0)
        return vp_place_fill(many->place, index) -
               (many->even ? VP_COST(VP_COST_NODES) : (vp_cost)0);
    return (node->pci ? VP_COST(VP_COST_PCI) : 0) + (many->even ? VP_COST(VP_COST_NODES) : 0);
}

static void fill_layers(struct many *many, int index, const struct vp_table *table,
                        struct layers *layers)
{
    const struct vp_place_node *node = &many->place->node[index];
    size_t at = 0;

    for (unsigned b = 0; b <= layers->layer[0].y; b++) {
        for (unsigned a = 0; a <= layers->layer[0].x; a++, at++) {
            unsigned load = load_of(many, a);
            vp_cost cost = a > 0 ? vp_table_get(table, load, b) : b > 0 ? VP_COST_NEVER : 0;
            bool never = cost >= VP_COST_NEVER || !allowed(node, load);

            layers->layer[0].cost[at] = never ? VP_COST_NEVER : cost + beside(many, index, a);
            if (many->layers > 1 && node->full)
                layers->layer[1].cost[at] = VP_COST_NEVER;
            else if (many->layers > 1)
                layers->layer[1].cost[at] =
                    never ? VP_COST_NEVER
                          : layers->layer[0].cost[at] +
                                vp_place_left(many->place,
                                              node->free -
                                                  vp_place_booked(many->place, cost, load, b));
        }
    }
}

static bool node_layers(struct many *many, int index, struct layers *layers)
{
    const struct vp_place_node *node = &many->place->node[index];
    unsigned x = many->even ? node->high : vp_least(many->x, node->high);
    const struct vp_table *table = NULL;

    if (node->domain >= 0 && x > 0 && x >= node->least && !node->full) {
        table =
            vp_place_node_table(many->place, index, many->even ? many->low : 0, x, many->y, false);
        if (!table)
            return false;
        x = many->even ? many->share + (node->high - many->low) : table->x;
    } else { /* no core of use, yet perhaps the most CPUs */
        x = 0;
    }
    if (!layers_new(many, x, table ? table->y : 0, layers))
        return false;
    fill_layers(many, index, table, layers);
    return true;
}

/* Costs of the steps of one combination, of a step and the one before, by layer. */
struct buffers {
    vp_cost *cost[2][2];
};

static bool combine(struct many *many, const struct layers *before, const struct layers *part,
                    const struct buffers *buffers, size_t step, unsigned low, struct layers *result)
{
    struct vp_arena *arena = &many->place->arena;

    for (int k = 0; k < many->layers; k++) {
        if (!vp_table_step(arena, &before->layer[k], &part->layer[k], many->x, many->y, low,
                           buffers->cost[step % 2][k], &result->layer[k]))
            return false;
        if (k == 1)
            vp_table_push(&before->layer[0], &part->layer[1], VP_PICK_HERE, &result->layer[1]);
        vp_table_push(&before->layer[k], &part->layer[0], 0, &result->layer[k]);
    }
    return true;
}

/* all: up from (0, 0), else what leads to (x, y). */
static struct layers *combine_all(struct many *many, const struct layers *part, size_t count,
                                  bool all)
{
    struct vp_arena *arena = &many->place->arena;
    struct layers *steps = vp_arena_get(arena, count, sizeof(*steps));
    size_t cells = (size_t)(many->x + 1) * (many->y + 1);
    unsigned rest = 0;
    struct buffers buffers;

    if (!steps)
        return NULL;
    steps[0] = part[0];
    for (int i = 0; i < 4 && count > 1; i++)
        buffers.cost[i / 2][i % 2] =
            i % 2 < many->layers ? vp_arena_get(arena, cells, sizeof(vp_cost)) : NULL;
    if (arena->failed)
        return NULL;
    for (size_t i = 1; i < count; i++)
        rest += part[i].layer[0].x;
    for (size_t i = 1; i < count; i++) {
        rest -= part[i].layer[0].x;
        if (!combine(many, &steps[i - 1], &part[i], &buffers, i,
                     !all && many->x > rest ? many->x - rest : 0, &steps[i]))
            return NULL;
    }
    return steps;
}

/* Puts nodes of one group side by side, groups in the order of their first. */
static bool make_groups(struct many *many)
{
    struct vp_place *place = many->place;
    size_t count = place->node_count, filled = 0;
    bool *done = vp_arena_get(&place->arena, count, sizeof(*done));

    many->node = vp_arena_get(&place->arena, count, sizeof(*many->node));
    many->group = vp_arena_get(&place->arena, count, sizeof(*many->group));
    if (!done || !many->node || !many->group)
        return false;
    for (size_t i = 0; i < count; i++)
        done[i] = false;
    for (size_t i = 0; i < count; i++) {
        int l3 = vp_place_shared_l3(place, place->node_order[i]);
        struct group *group = &many->group[many->group_count];

        if (done[i])
            continue;
        *group = (struct group){.first = filled};
        for (size_t j = i; j < count; j++) {
            int node = place->node_order[j];

            if (done[j] || (j > i && (l3 < 0 || vp_place_shared_l3(place, node) != l3)))
                continue;
            done[j] = true;
            many->node[filled++] = node;
        }
        group->count = filled - group->first;
        many->group_count++;
    }
    return true;
}

/* Charges the L3 that the group's nodes share, once. */
static bool charge_l3(struct many *many, const struct layers *from, struct layers *to)
{
    vp_cost charge = many->place->request->cache == VP_CARE_ANY ? 0 : VP_COST(VP_COST_L3S);

    for (int k = 0; k < many->layers; k++) {
        const struct vp_table *table = &from->layer[k];
        size_t cells = (size_t)(table->x + 1) * (table->y + 1);
        struct vp_table *made = vp_table_new(&many->place->arena, table->x, table->y);

        if (!made)
            return false;
        made->cost[0] = table->cost[0];
        for (size_t i = 1; i < cells; i++)
            made->cost[i] =
                table->cost[i] >= VP_COST_NEVER ? VP_COST_NEVER : table->cost[i] + charge;
        to->layer[k] = *made;
    }
    return true;
}

static struct layers *group_layers(struct many *many)
{
    struct vp_arena *arena = &many->place->arena;
    struct layers *result = vp_arena_get(arena, many->group_count, sizeof(*result));
    struct layers *part = vp_arena_get(arena, many->place->node_count, sizeof(*part));

    if (!result || !part)
        return NULL;
    for (size_t i = 0; i < many->place->node_count; i++)
        if (!node_layers(many, many->node[i], &part[i]))
            return NULL;
    for (size_t i = 0; i < many->group_count; i++) {
        struct group *group = &many->group[i];

        group->steps = combine_all(many, part + group->first, group->count, true);
        if (!group->steps)
            return NULL;
        result[i] = group->steps[group->count - 1];
        if (group->count > 1 && !charge_l3(many, &group->steps[group->count - 1], &result[i]))
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
    pick = table->pick[vp_table_at(table, whole->x, whole->y)];
    part = (struct trace){VP_PICK_X(pick), VP_PICK_Y(pick), 0};
    if (whole->layer == 1 && (pick & VP_PICK_HERE) != 0) {
        part.layer = 1;
        whole->layer = 0;
    }
    whole->x -= part.x;
    whole->y -= part.y;
    return part;
}

/* Loads of the table to vcpus and extras for now; hand_out puts that right. */
static void trace_back(struct many *many, const struct layers *steps)
{
    struct trace host = {many->x, many->y, many->layers - 1};

    for (size_t i = many->group_count; i-- > 0;) {
        struct group *group = &many->group[i];
        struct trace rest = step_back(steps, i, &host);

        for (size_t k = group->count; k-- > 0;) {
            struct trace part = step_back(group->steps, k, &rest);
            struct vp_place_node *node = &many->place->node[many->node[group->first + k]];

            node->vcpus =
                node->full ? vp_place_full_load(many->place, node) : load_of(many, part.x);
            node->extras = part.y;
        }
    }
}

/* From units to threads: every node of the load has one vCPU at least, extra
 * threads fill up the first nodes. */
static void share_out(struct vp_place *place, size_t used)
{
    unsigned extras = place->extras, vcpus = place->request->vcpus;

    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];
        unsigned units = node->vcpus, most;

        if (units == 0)
            continue;
        used--;
        node->extras = units - 1 < extras ? units - 1 : extras;
        extras -= node->extras;
        most = (units - node->extras) * place->per;
        node->vcpus = most < vcpus - (unsigned)used ? most : vcpus - (unsigned)used;
        vcpus -= node->vcpus;
    }
}

/* vCPUs follow each other by cell, then number. */
void vp_place_hand_out(struct vp_place *place)
{
    size_t node = 0;
    unsigned used = 0;

    for (size_t cell = 0; cell < place->cell_count; cell++)
        for (unsigned left = place->cell[cell].vcpus, v = place->cell[cell].first; left > 0; v++) {
            if (place->vcpu_cell[v] != cell)
                continue;
            while (used >= place->node[place->node_order[node]].vcpus) {
                node++;
                used = 0;
            }
            place->vcpu_node[v] = place->node_order[node];
            used++;
            left--;
        }
}

/* What the nodes cost that large loads take in full, beside the search. */
static vp_cost full_nodes(const struct many *many)
{
    const struct vp_place *place = many->place;
    vp_cost cost = 0;

    for (size_t i = 0; i < place->node_count; i++) {
        const struct vp_place_node *node = &place->node[place->node_order[i]];

        if (!node->full)
            continue;
        cost += VP_COST(VP_COST_NODES) + vp_place_fill(place, place->node_order[i]);
        if (node->pci) /* counted as missed below */
            cost -= VP_COST(VP_COST_PCI);
    }
    return cost;
}

/* 1: *steps and *cost are set. */
static int solve(struct many *many, struct layers **steps, vp_cost *cost)
{
    struct layers *groups;

    many->group_count = 0;
    if (!many->even) {
        int result = vp_place_cut(many->place, &many->x, many->y, many->layers > 1 ? 3 : 1);

        if (result != 1)
            return result;
    }
    if (!make_groups(many))
        return -1;
    groups = group_layers(many);
    *steps = groups ? combine_all(many, groups, many->group_count, false) : NULL;
    if (!*steps)
        return -1;
    *cost =
        vp_table_get(&(*steps)[many->group_count - 1].layer[many->layers - 1], many->x, many->y);
    if (*cost >= VP_COST_NEVER)
        return 0;
    *cost += full_nodes(many);
    return 1;
}

/* Where the load takes more nodes than its vCPUs fill cores, each of them still
 * needs a core with one; that may take more nodes again. */
static int spend(struct many *many, struct layers **steps, vp_cost *cost, unsigned *used)
{
    const struct vp_place *place = many->place;
    unsigned before = (place->request->vcpus + place->per - 1) / place->per, must = 0;
    int result;

    for (size_t i = 0; i < place->node_count; i++)
        must += place->node[place->node_order[i]].must;
    if (must > place->request->vcpus)
        return 0;
    before = must > before ? must : before;
    many->x = before + place->extras;
    result = solve(many, steps, cost);

    while (result == 1) {
        *used = vp_cost_get(*cost, VP_COST_NODES);
        if (*used <= before)
            break;
        if (*used > place->request->vcpus)
            return 0;
        before = *used;
        many->x = *used + place->extras;
        result = solve(many, steps, cost);
    }
    return result;
}

int vp_place_many(struct vp_place *place, unsigned even, vp_cost *cost)
{
    struct many many = {
        .place = place, .even = even > 0, .layers = place->request->fill == VP_FILL_PACK ? 2 : 1};
    unsigned used = 0;
    struct layers *steps;
    int result;

    vp_place_node_units(place, place->request->vcpus, place->extras, &many.x, &many.y);
    if (place->node_count == 0)
        return 0;
    if (even > 0) {
        unsigned larger = place->request->vcpus % even;

        many.low = place->request->vcpus / even;
        many.share = vp_least(many.low, larger + 1);
        many.x = even * many.share + larger;
    }
    if (vp_place_too_deep(place, even, many.x, many.y))
        return VP_DEEP;
    if (place->apart)
        result = solve(&many, &steps, cost);
    else
        result = spend(&many, &steps, cost, &used);
    if (result != 1)
        return result;
    trace_back(&many, steps);
    if (!place->apart)
        share_out(place, used);
    vp_place_hand_out(place);
    return 1;
}
