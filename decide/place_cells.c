/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place_assign.h"
#include "decide/place_priv.h"

/* Guest cells on nodes of their own: an assignment of cells to nodes. */

/* QEMU's limit (MAX_NODES, include/sysemu/numa.h, 4.2 to 10.0). */
#define CELLS_MAX 128
/* The search for what leaves most room on one node is repeated at most so
 * often; a guest of fewer cells never needs as many. */
#define LEFT_TRIES 32

struct apart {
    struct vp_place *place;
    size_t cells, nodes;
    const struct vp_table **table; /* by node_order, NULL: no core of use */
    vp_cost *cost;                 /* cells * nodes */
    vp_cost *tied;                 /* the same with the tie of one node */
    size_t *match, *trial;
    vp_cost sum;
};

static bool prepare(struct apart *apart)
{
    struct vp_place *place = apart->place;
    unsigned largest = 0, x, y;

    apart->table = vp_arena_get(&place->arena, apart->nodes, sizeof(*apart->table));
    apart->cost = vp_arena_get(&place->arena, apart->cells * apart->nodes, sizeof(vp_cost));
    apart->tied = vp_arena_get(&place->arena, apart->cells * apart->nodes, sizeof(vp_cost));
    apart->match = vp_arena_get(&place->arena, apart->cells, sizeof(*apart->match));
    apart->trial = vp_arena_get(&place->arena, apart->cells, sizeof(*apart->trial));
    if (place->arena.failed)
        return false;
    for (size_t i = 0; i < apart->cells; i++)
        if (place->cell[i].vcpus > largest)
            largest = place->cell[i].vcpus;
    vp_place_units(place, largest, place->extras, &x, &y);
    for (size_t i = 0; i < apart->nodes; i++) {
        int node = place->node_order[i];

        apart->table[i] = NULL;
        if (place->node[node].domain < 0)
            continue;
        apart->table[i] = vp_place_node_table(place, node, x, y, true);
        if (!apart->table[i])
            return false;
    }
    return true;
}

static vp_cost price(const struct apart *apart, size_t cell, size_t node, unsigned extras)
{
    unsigned x, y;

    if (!apart->table[node])
        return VP_COST_NEVER;
    vp_place_units(apart->place, apart->place->cell[cell].vcpus, extras, &x, &y);
    return vp_table_get(apart->table[node], x, y);
}

static void fill_costs(struct apart *apart)
{
    for (size_t cell = 0; cell < apart->cells; cell++)
        for (size_t node = 0; node < apart->nodes; node++)
            apart->cost[cell * apart->nodes + node] =
                price(apart, cell, node, apart->place->cell[cell].extras);
}

static int assign(struct apart *apart, const vp_cost *cost, size_t *match, vp_cost *sum)
{
    return vp_assign(&apart->place->arena, cost, apart->cells, apart->nodes, match, sum);
}

static unsigned booked_on(const struct apart *apart, const size_t *match, size_t node)
{
    for (size_t cell = 0; cell < apart->cells; cell++)
        if (match[cell] == node)
            return vp_cost_get(apart->cost[cell * apart->nodes + node], VP_COST_BOOKED);
    return 0;
}

static unsigned left_on(const struct apart *apart, const size_t *match, size_t node)
{
    return apart->place->node[apart->place->node_order[node]].free - booked_on(apart, match, node);
}

static unsigned largest_left(const struct apart *apart, const size_t *match, size_t *where)
{
    unsigned most = 0;

    for (size_t node = 0; node < apart->nodes; node++) {
        unsigned left = left_on(apart, match, node);

        if (left > most || node == 0) {
            most = left;
            *where = node;
        }
    }
    return most;
}

/* Of the cheapest matchings, that which takes least from `node`. */
static int spare_node(struct apart *apart, size_t node, unsigned *most)
{
    size_t cells = apart->cells * apart->nodes, where;
    vp_cost sum;
    int result;

    for (size_t i = 0; i < cells; i++) {
        unsigned booked = vp_cost_get(apart->cost[i], VP_COST_BOOKED);

        apart->tied[i] = apart->cost[i];
        if (i % apart->nodes == node && apart->cost[i] < VP_COST_NEVER)
            apart->tied[i] += VP_COST(VP_COST_LEFT) * booked;
    }
    result = assign(apart, apart->tied, apart->trial, &sum);
    if (result <= 0)
        return result;
    unsigned left = largest_left(apart, apart->trial, &where);
    if (left > *most) {
        size_t *better = apart->trial;

        *most = left;
        apart->trial = apart->match;
        apart->match = better;
    }
    return 1;
}

/* A node with more free than what is left now may be spared: those are among
 * the ones matched, else it would be what is left. */
static int leave_most(struct apart *apart)
{
    size_t where = 0, tries = 0;
    unsigned most = largest_left(apart, apart->match, &where);

    for (size_t node = 0; node < apart->nodes && tries < LEFT_TRIES; node++) {
        if (apart->place->node[apart->place->node_order[node]].free <= most)
            continue;
        tries++;
        if (spare_node(apart, node, &most) < 0)
            return -1;
    }
    apart->sum += VP_COST(VP_COST_LEFT) * (VP_CPU_MAX - most);
    return 1;
}

/* Cells of one size are alike: what one of them cannot bear, no other can. */
static bool tried(const struct vp_place *place, size_t cell)
{
    size_t first = 0;

    while (place->cell[first].vcpus != place->cell[cell].vcpus)
        first++;
    return first < cell;
}

/* The first cell on whose node all extra threads can be, as the cells go. */
static int with_one_cell(struct apart *apart)
{
    struct vp_place *place = apart->place;
    int result = 0;

    for (size_t cell = 0; cell < apart->cells && result == 0; cell++) {
        if (tried(place, cell))
            continue;
        place->cell[cell].extras = place->extras;
        fill_costs(apart);
        result = assign(apart, apart->cost, apart->match, &apart->sum);
        if (result == 0)
            place->cell[cell].extras = 0;
        if (place->extras == 0)
            break;
    }
    return result;
}

static unsigned most_extras(const struct apart *apart, size_t cell, size_t node)
{
    unsigned low = 0, high = apart->place->extras + 1;

    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;

        if (price(apart, cell, node, middle) < VP_COST_NEVER)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where no single node has room for the extra threads: the matching that has
 * most room for them, if that is enough. */
static int share_extras(struct apart *apart)
{
    struct vp_place *place = apart->place;
    unsigned extras = place->extras;
    int result;

    for (size_t cell = 0; cell < apart->cells; cell++)
        for (size_t node = 0; node < apart->nodes; node++)
            apart->cost[cell * apart->nodes + node] = price(apart, cell, node, 0) >= VP_COST_NEVER
                                                          ? VP_COST_NEVER
                                                          : extras - most_extras(apart, cell, node);
    result = assign(apart, apart->cost, apart->match, &apart->sum);
    if (result <= 0)
        return result;
    for (size_t cell = 0; cell < apart->cells; cell++) {
        unsigned room = most_extras(apart, cell, apart->match[cell]);

        place->cell[cell].extras = room < extras ? room : extras;
        extras -= place->cell[cell].extras;
    }
    if (extras > 0)
        return 0;
    fill_costs(apart);
    apart->sum = 0;
    for (size_t cell = 0; cell < apart->cells; cell++)
        apart->sum += apart->cost[cell * apart->nodes + apart->match[cell]];
    return 1;
}

static void settle(struct vp_place *place)
{
    for (size_t i = 0; i < place->cell_count; i++)
        vp_place_load(place, place->cell[i].node, place->cell[i].vcpus, place->cell[i].extras);
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = place->cell[place->vcpu_cell[v]].node;
}

int vp_place_apart(struct vp_place *place)
{
    struct apart apart = {.place = place, .cells = place->cell_count, .nodes = place->node_count};
    int result;

    if (apart.cells > apart.nodes || apart.cells > CELLS_MAX)
        return 0;
    if (!prepare(&apart))
        return -1;
    result = with_one_cell(&apart);
    if (result == 0 && place->extras > 0 && apart.cells > 1)
        result = share_extras(&apart);
    if (result > 0)
        result = leave_most(&apart);
    for (size_t i = 0; i < apart.cells; i++) {
        if (result > 0)
            place->cell[i].node = place->node_order[apart.match[i]];
        else
            place->cell[i].extras = 0;
    }
    if (result <= 0)
        return result;
    settle(place);
    place->cost = apart.sum;
    return 1;
}

/* ---- cells whole, several on a node where it must be ---- */

static bool bears(struct vp_place *place, int node, unsigned vcpus, unsigned extras, bool *bad)
{
    const struct vp_place_node *at = &place->node[node];
    const struct vp_table *table;
    unsigned x, y;

    vp_place_units(place, at->vcpus + vcpus, at->extras + extras, &x, &y);
    if (at->domain < 0 || x > at->x || y > at->y)
        return false;
    if (y == 0)
        return true;
    table = vp_place_node_table(place, node, x, y, true);
    *bad = *bad || !table;
    return table && vp_table_get(table, x, y) < VP_COST_NEVER;
}

/* An unused node before a used one, and of these the fullest that bears it. */
static int best_node(struct vp_place *place, unsigned vcpus, bool *bad)
{
    int best = -1;

    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];
        const struct vp_place_node *at = &place->node[node];
        const struct vp_place_node *than = best >= 0 ? &place->node[best] : NULL;

        if (!bears(place, node, vcpus, 0, bad))
            continue;
        if (!than || (at->vcpus == 0 && than->vcpus > 0) ||
            ((at->vcpus == 0) == (than->vcpus == 0) && at->x - at->load_x < than->x - than->load_x))
            best = node;
    }
    return best;
}

static bool place_extras(struct vp_place *place, bool *bad)
{
    unsigned left = place->extras;

    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];

        while (left > 0 && place->node[node].vcpus > 0 && bears(place, node, 0, 1, bad)) {
            vp_place_load(place, node, 0, 1);
            left--;
        }
    }
    return left == 0;
}

static void unload(struct vp_place *place)
{
    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];

        node->load_x = node->load_y = node->vcpus = node->extras = 0;
    }
}

static int largest_unplaced(const struct vp_place *place)
{
    int best = -1;

    for (size_t i = 0; i < place->cell_count; i++)
        if (place->cell[i].node < 0 && (best < 0 || place->cell[i].vcpus > place->cell[best].vcpus))
            best = (int)i;
    return best;
}

int vp_place_whole(struct vp_place *place)
{
    bool bad = false;
    int cell;

    for (size_t i = 0; i < place->cell_count; i++)
        place->cell[i].node = -1;
    while ((cell = largest_unplaced(place)) >= 0) {
        int node = best_node(place, place->cell[cell].vcpus, &bad);

        if (node < 0)
            break;
        place->cell[cell].node = node;
        vp_place_load(place, node, place->cell[cell].vcpus, 0);
    }
    if (cell >= 0 || !place_extras(place, &bad)) {
        unload(place);
        return bad ? -1 : 0;
    }
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = place->cell[place->vcpu_cell[v]].node;
    return 1;
}
