/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest cells on nodes of their own: an assignment of cells to nodes. */
#include "decide/place_assign.h"

/* QEMU's limit (MAX_NODES, include/sysemu/numa.h, 4.2 to 10.0). */
#define CELLS_MAX 128
#define HELD_TRIES 6

struct apart {
    struct vp_place *place;
    size_t cells, nodes;
    const struct vp_table **table; /* by node_order, NULL: no core of use */
    vp_cost *cost;                 /* cells * nodes */
    unsigned *weight;              /* cells * nodes: CPUs booked */
    unsigned *load;                /* of each node: CPUs free */
    struct vp_assign assign;
    size_t *scratch;
};

static bool node_tables(struct apart *apart)
{
    struct vp_place *place = apart->place;
    unsigned largest = 0, x, y;

    for (size_t i = 0; i < apart->cells; i++)
        if (place->cell[i].vcpus > largest)
            largest = place->cell[i].vcpus;
    vp_place_units(place, largest, place->extras, &x, &y);
    for (size_t i = 0; i < apart->nodes; i++) {
        int node = place->node_order[i];

        apart->table[i] = NULL;
        if (place->node[node].domain < 0 || place->one_l3 || place->whether)
            continue;
        apart->table[i] = vp_place_node_table(place, node, 0, x, y, true);
        if (!apart->table[i])
            return false;
    }
    return true;
}

static bool prepare(struct apart *apart)
{
    struct vp_arena *arena = &apart->place->arena;
    size_t edges = apart->cells * apart->nodes;

    apart->table = vp_arena_get(arena, apart->nodes, sizeof(*apart->table));
    apart->cost = vp_arena_get(arena, edges, sizeof(*apart->cost));
    apart->weight = vp_arena_get(arena, edges, sizeof(*apart->weight));
    apart->load = vp_arena_get(arena, apart->nodes, sizeof(*apart->load));
    apart->scratch = vp_arena_get(arena, 4 * apart->nodes + 4, sizeof(*apart->scratch));
    return !arena->failed &&
           vp_assign_begin(arena, apart->cost, apart->cells, apart->nodes, &apart->assign) &&
           node_tables(apart);
}

/* What the cell costs on that node with so many extra threads. NEVER also when
 * memory gives out, which the arena remembers. */
static vp_cost price(struct apart *apart, size_t cell, size_t at, unsigned extras)
{
    struct vp_place *place = apart->place;
    int node = place->node_order[at];
    vp_cost cost = VP_COST_NEVER;
    unsigned x, y;

    if (!vp_place_memory_fits(place, node, place->cell[cell].memory_kib))
        return VP_COST_NEVER;
    if (place->one_l3 || place->whether) {
        if (!vp_place_node_cost(place, node, place->cell[cell].vcpus, extras, &cost))
            return VP_COST_NEVER;
    } else if (apart->table[at]) {
        vp_place_units(place, place->cell[cell].vcpus, extras, &x, &y);
        cost = vp_table_get(apart->table[at], x, y);
    }
    if (cost >= VP_COST_NEVER)
        return VP_COST_NEVER;
    if (place->pci_count > 0 && !place->node[node].pci)
        cost += VP_COST(VP_COST_PCI);
    return place->request->fill == VP_FILL_SPREAD ? cost + vp_place_fill(place, node) : cost;
}

static bool alike(const struct vp_place_cell *a, const struct vp_place_cell *b)
{
    return a->vcpus == b->vcpus && a->memory_kib == b->memory_kib && a->extras == b->extras;
}

static void fill_costs(struct apart *apart)
{
    const struct vp_place_cell *cell = apart->place->cell;

    for (size_t i = 0; i < apart->cells; i++) {
        size_t like = 0;

        while (!alike(&cell[like], &cell[i]))
            like++;
        for (size_t node = 0; node < apart->nodes; node++)
            apart->cost[i * apart->nodes + node] = like < i
                                                       ? apart->cost[like * apart->nodes + node]
                                                       : price(apart, i, node, cell[i].extras);
    }
}

/* The cheapest, if it meets pci-locality = require. */
static int solve(struct apart *apart, vp_cost *sum)
{
    const struct vp_place *place = apart->place;
    unsigned met = 0;
    int result = vp_assign_solve(&apart->place->arena, &apart->assign, sum);

    if (result <= 0 || place->request->pci_locality != VP_CARE_REQUIRE)
        return result;
    for (size_t i = 0; i < apart->cells; i++)
        met += place->node[place->node_order[apart->assign.match[i]]].pci;
    return met == place->pci_count;
}

/* ---- which cell's node bears the extra threads ---- */

/* Kuhn's matching of cells to nodes, or the reverse, by what is not NEVER. */
static bool match_one(const struct apart *apart, size_t from, bool cells, size_t *owner, bool *seen)
{
    size_t count = cells ? apart->nodes : apart->cells;

    for (size_t to = 0; to < count; to++) {
        size_t edge = cells ? from * apart->nodes + to : to * apart->nodes + from;

        if (seen[to] || apart->cost[edge] >= VP_COST_NEVER)
            continue;
        seen[to] = true;
        if (owner[to] == SIZE_MAX || match_one(apart, owner[to], cells, owner, seen)) {
            owner[to] = from;
            return true;
        }
    }
    return false;
}

static bool match_all(const struct apart *apart, bool cells, size_t *owner, bool *seen)
{
    size_t from_count = cells ? apart->cells : apart->nodes;
    size_t to_count = cells ? apart->nodes : apart->cells;

    for (size_t i = 0; i < to_count; i++)
        owner[i] = SIZE_MAX;
    for (size_t from = 0; from < from_count; from++) {
        if (!cells && !apart->place->node[apart->place->node_order[from]].pci)
            continue;
        for (size_t i = 0; i < to_count; i++)
            seen[i] = false;
        if (!match_one(apart, from, cells, owner, seen))
            return false;
    }
    return true;
}

/* Every cell has a node, and (which together is no harder) every PCI node a cell. */
static bool feasible(const struct apart *apart)
{
    bool *seen = (bool *)(apart->scratch + 2 * apart->nodes);

    if (apart->place->request->pci_locality == VP_CARE_REQUIRE &&
        !match_all(apart, false, apart->scratch, seen))
        return false;
    return match_all(apart, true, apart->scratch, seen);
}

/* Whether a matching stands when one cell wants more: only that cell looks for
 * a node anew. owner is the matching, kept in `keep` meanwhile. */
static bool still_feasible(const struct apart *apart, size_t cell)
{
    size_t *owner = apart->scratch, *keep = apart->scratch + 3 * apart->nodes + 2;
    bool *seen = (bool *)(apart->scratch + 2 * apart->nodes), good;

    for (size_t node = 0; node < apart->nodes; node++) {
        keep[node] = owner[node];
        seen[node] = false;
        if (owner[node] == cell)
            owner[node] = SIZE_MAX;
    }
    good = match_one(apart, cell, true, owner, seen);
    if (good && apart->place->request->pci_locality == VP_CARE_REQUIRE)
        good = match_all(apart, false, owner, seen);
    for (size_t node = 0; node < apart->nodes; node++)
        owner[node] = keep[node];
    return good;
}

static bool tried(const struct vp_place *place, size_t cell)
{
    for (size_t i = 0; i < cell; i++)
        if (alike(&place->cell[i], &place->cell[cell]))
            return true;
    return false;
}

/* Beside the cell on that node, where it can be. Extra threads may be in any L3. */
static unsigned most_extras(struct apart *apart, size_t cell, size_t at)
{
    struct vp_place *place = apart->place;
    int node = place->node_order[at];
    unsigned units = vp_place_fewest_units(place, node, place->cell[cell].vcpus);

    return units > place->node[node].most ? 0
                                          : vp_least(place->node[node].most - units, place->extras);
}

/* Whether some node has room for the cell and all extra threads. */
static bool bears_all(struct apart *apart, size_t cell)
{
    for (size_t node = 0; node < apart->nodes; node++)
        if (most_extras(apart, cell, node) == apart->place->extras)
            return true;
    return false;
}

/* The first cell on whose node all extra threads can be, as the cells go. */
static int with_one_cell(struct apart *apart, vp_cost *sum)
{
    struct vp_place *place = apart->place;
    size_t first = 0;

    while (first < apart->cells && !bears_all(apart, first))
        first++;
    if (first == apart->cells)
        return 0;
    fill_costs(apart);
    if (!feasible(apart))
        return place->arena.failed ? -1 : 0;
    for (size_t cell = first; cell < apart->cells; cell++) {
        vp_cost *row = apart->cost + cell * apart->nodes;

        if (tried(place, cell) || !bears_all(apart, cell))
            continue;
        for (size_t node = 0; node < apart->nodes; node++)
            row[node] = price(apart, cell, node, place->extras);
        if (still_feasible(apart, cell)) {
            place->cell[cell].extras = place->extras;
            return place->arena.failed ? -1 : place->whether ? 1 : solve(apart, sum);
        }
        for (size_t node = 0; node < apart->nodes; node++)
            row[node] = price(apart, cell, node, 0);
    }
    return place->arena.failed ? -1 : 0;
}

/* Where no single node has room for the extra threads: the matching that has
 * most room for them, if that is enough. */
static int share_extras(struct apart *apart, vp_cost *sum)
{
    struct vp_place *place = apart->place;
    unsigned extras = place->extras;
    int result;

    for (size_t cell = 0; cell < apart->cells; cell++)
        for (size_t node = 0; node < apart->nodes; node++) {
            vp_cost *cost = &apart->cost[cell * apart->nodes + node];
            bool far = place->pci_count > 0 && !place->node[place->node_order[node]].pci;

            *cost =
                price(apart, cell, node, 0) >= VP_COST_NEVER
                    ? VP_COST_NEVER
                    : extras - most_extras(apart, cell, node) + (far ? VP_COST(VP_COST_PCI) : 0);
        }
    result = solve(apart, sum);
    if (result <= 0)
        return place->arena.failed ? -1 : result;
    for (size_t cell = 0; cell < apart->cells; cell++) {
        unsigned room = most_extras(apart, cell, apart->assign.match[cell]);

        place->cell[cell].extras = room < extras ? room : extras;
        extras -= place->cell[cell].extras;
    }
    if (extras > 0)
        return 0;
    fill_costs(apart);
    *sum = 0;
    for (size_t cell = 0; cell < apart->cells; cell++)
        *sum += apart->cost[cell * apart->nodes + apart->assign.match[cell]];
    return place->arena.failed ? -1 : 2;
}

/* ---- ties ---- */

static unsigned free_on(const struct apart *apart, size_t node)
{
    return apart->place->node[apart->place->node_order[node]].free;
}

static unsigned left_on(const struct apart *apart, size_t node)
{
    size_t cell = apart->assign.owner[node];

    return free_on(apart, node) -
           (cell == SIZE_MAX ? 0 : apart->weight[cell * apart->nodes + node]);
}

static void weigh_booked(struct apart *apart)
{
    const struct vp_place *place = apart->place;

    for (size_t i = 0; i < apart->cells * apart->nodes; i++) {
        const struct vp_place_cell *cell = &place->cell[i / apart->nodes];

        apart->weight[i] = vp_place_booked(place, apart->cost[i], cell->vcpus, cell->extras);
    }
}

static unsigned most_left(const struct apart *apart)
{
    unsigned most = 0;

    for (size_t node = 0; node < apart->nodes; node++)
        if (left_on(apart, node) > most)
            most = left_on(apart, node);
    return most;
}

/* The most that can be left on a node without paying more. */
static unsigned best_left(struct apart *apart)
{
    unsigned most = most_left(apart);

    for (size_t node = 0; node < apart->nodes; node++) {
        if (free_on(apart, node) <= most)
            continue;
        vp_assign_spare(&apart->assign, apart->weight, node, apart->scratch);
        if (left_on(apart, node) > most)
            most = left_on(apart, node);
    }
    return most;
}

static vp_cost fill_of(const struct apart *apart)
{
    vp_cost sum = 0;

    for (size_t cell = 0; cell < apart->cells; cell++)
        sum += vp_place_fill(apart->place, apart->place->node_order[apart->assign.match[cell]]);
    return sum;
}

static void save(const struct apart *apart, size_t *match)
{
    for (size_t cell = 0; cell < apart->cells; cell++)
        match[cell] = apart->assign.match[cell];
}

static void restore(struct apart *apart, const size_t *match)
{
    for (size_t node = 0; node < apart->nodes; node++)
        apart->assign.owner[node] = SIZE_MAX;
    for (size_t cell = 0; cell < apart->cells; cell++) {
        apart->assign.match[cell] = match[cell];
        apart->assign.owner[match[cell]] = cell;
    }
}

/* Uses the fullest nodes while `most` stays left on one of them; where several
 * could be that one, a few are tried. */
static void fill_up(struct apart *apart, unsigned most, vp_cost least, size_t *best)
{
    unsigned tries = 0;

    for (size_t node = 0; node < apart->nodes && tries < HELD_TRIES; node++) {
        if (free_on(apart, node) < most)
            continue;
        vp_assign_spare(&apart->assign, apart->weight, node, apart->scratch);
        if (left_on(apart, node) != most)
            continue;
        tries++;
        vp_assign_lighten(&apart->assign, apart->load, node, apart->scratch);
        if (fill_of(apart) >= least)
            continue;
        least = fill_of(apart);
        save(apart, best);
    }
    restore(apart, best);
}

/* Of the cheapest, the one that leaves most on one node, then uses the fullest
 * nodes. fixed: the matching stands. */
static void break_ties(struct apart *apart, bool fixed, vp_cost *sum)
{
    size_t *best = apart->scratch + 3 * apart->nodes + 2;
    unsigned most, first;
    vp_cost fill;

    if (apart->place->request->fill == VP_FILL_SPREAD)
        return;
    weigh_booked(apart);
    for (size_t node = 0; node < apart->nodes; node++)
        apart->load[node] = free_on(apart, node);
    most = first = most_left(apart);
    if (!fixed) {
        fill = fill_of(apart);
        save(apart, best);
        most = best_left(apart);
        fill_up(apart, most, first == most ? fill : VP_COST_NEVER, best);
    }
    *sum += vp_place_left(apart->place, most) + fill_of(apart);
}

static void settle(struct apart *apart)
{
    struct vp_place *place = apart->place;

    for (size_t i = 0; i < place->cell_count; i++) {
        int node = place->node_order[apart->assign.match[i]];

        vp_place_load(place, i, node, place->cell[i].vcpus, place->cell[i].extras);
    }
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = place->cell[place->vcpu_cell[v]].node;
}

int vp_place_apart(struct vp_place *place)
{
    struct apart apart = {.place = place, .cells = place->cell_count, .nodes = place->node_count};
    vp_cost sum = 0;
    int result;

    if (apart.cells > apart.nodes || apart.cells > CELLS_MAX)
        return 0;
    result = vp_place_could_be_apart(place);
    if (result <= 0)
        return result;
    if (!prepare(&apart))
        return -1;
    if (place->extras > 0) {
        result = with_one_cell(&apart, &sum);
        if (result == 0)
            result = share_extras(&apart, &sum);
    } else {
        fill_costs(&apart);
        result = place->arena.failed ? -1 : place->whether ? feasible(&apart) : solve(&apart, &sum);
    }
    if (result > 0 && place->whether)
        return 1;
    if (result <= 0) {
        for (size_t i = 0; i < apart.cells; i++)
            place->cell[i].extras = 0;
        return result;
    }
    break_ties(&apart, result == 2, &sum);
    settle(&apart);
    place->cost += sum;
    return 1;
}
