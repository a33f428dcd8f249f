/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest cells whole, several of them on a node (under cache = require in an L3)
 * where it must be: the largest first, each where it fits best, and a bounded
 * search where that does not work out. */
#include "decide/place_priv.h"

/* Bins looked at; enough for each of 128 cells to see each of 4096 bins. */
#define STEPS_MAX 600000u

/* A node, or a domain under cache = require. */
struct bin {
    int node, domain;             /* domain -1: all of the node */
    unsigned most;                /* units */
    const struct vp_table *table; /* where cores differ in size, else NULL */
    unsigned vcpus, extras, rest; /* rest: units left */
};

struct packing {
    struct vp_place *place;
    struct bin *bin;
    size_t bins;
    size_t *order;    /* cells, the largest first */
    size_t *where;    /* bin of each cell */
    uint64_t *memory; /* used, of each node */
    unsigned *cells;  /* on each node */
    unsigned steps, steps_max;
};

static bool add_bin(struct packing *packing, int node, int domain)
{
    struct vp_place *place = packing->place;
    struct bin *bin = &packing->bin[packing->bins++];

    *bin = (struct bin){.node = node, .domain = domain, .most = place->node[node].most};
    bin->rest = bin->most;
    if (place->mixed && domain < 0) {
        bin->table = vp_place_node_table(place, node, place->request->vcpus, place->extras, true);
        return bin->table != NULL;
    }
    if (domain < 0)
        return true;
    if (place->mixed) {
        struct vp_table *table = vp_arena_get(&place->arena, 1, sizeof(*table));

        bin->table = table;
        return table && vp_place_domain_table(place, domain, place->request->vcpus, place->extras,
                                              true, table);
    }
    bin->most = bin->rest = place->domain[domain].capacity;
    return true;
}

static bool make_bins(struct packing *packing)
{
    struct vp_place *place = packing->place;

    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];
        size_t count = 0;
        int *domain;

        if (place->node[node].domain < 0)
            continue;
        if (!place->one_l3) {
            if (!add_bin(packing, node, -1))
                return false;
            continue;
        }
        domain = vp_place_domains(place, node, &count);
        for (size_t d = 0; d < count && domain; d++)
            if (!add_bin(packing, node, domain[d]))
                return false;
        if (!domain)
            return false;
    }
    return true;
}

static bool prepare(struct packing *packing)
{
    struct vp_place *place = packing->place;
    struct vp_arena *arena = &place->arena;
    size_t nodes = place->topology->node_count;

    packing->bin =
        vp_arena_get(arena, place->domain_count + place->node_count, sizeof(*packing->bin));
    packing->order = vp_arena_get(arena, place->cell_count, sizeof(*packing->order));
    packing->where = vp_arena_get(arena, place->cell_count, sizeof(*packing->where));
    packing->memory = vp_arena_get(arena, nodes, sizeof(*packing->memory));
    packing->cells = vp_arena_get(arena, nodes, sizeof(*packing->cells));
    if (arena->failed)
        return false;
    for (size_t i = 0; i < nodes; i++)
        packing->memory[i] = packing->cells[i] = 0;
    for (size_t i = 0; i < place->cell_count; i++) {
        size_t at = i;

        for (; at > 0 && place->cell[packing->order[at - 1]].vcpus < place->cell[i].vcpus; at--)
            packing->order[at] = packing->order[at - 1];
        packing->order[at] = i;
    }
    return make_bins(packing);
}

static bool bears(const struct packing *packing, const struct bin *bin, unsigned vcpus,
                  unsigned extras)
{
    unsigned x, y;

    vp_place_units(packing->place, bin->vcpus + vcpus, bin->extras + extras, &x, &y);
    return bin->table ? vp_table_get(bin->table, x, y) < VP_COST_NEVER : x <= bin->most;
}

static void weigh(const struct packing *packing, struct bin *bin)
{
    unsigned x, y;

    vp_place_units(packing->place, bin->vcpus, bin->extras, &x, &y);
    bin->rest = bin->table ? bin->table->x - x : bin->most - x;
}

/* Whether to try bin a before b: on a node that has a device and no cell yet,
 * then on one without a cell, then the fullest. */
static bool before(const struct packing *packing, const struct bin *a, const struct bin *b)
{
    const struct vp_place_node *node = packing->place->node;
    bool new_a = packing->cells[a->node] == 0, new_b = packing->cells[b->node] == 0;
    bool device_a = new_a && node[a->node].pci, device_b = new_b && node[b->node].pci;

    if (device_a != device_b)
        return device_a;
    if (packing->place->request->numa != VP_NUMA_ANY && new_a != new_b)
        return new_a;
    return a->rest < b->rest;
}

static bool put(struct packing *packing, size_t cell, struct bin *bin)
{
    struct vp_place *place = packing->place;
    uint64_t memory = packing->memory[bin->node] + place->cell[cell].memory_kib;

    if (!bears(packing, bin, place->cell[cell].vcpus, 0) ||
        !vp_place_memory_fits(place, bin->node, memory))
        return false;
    bin->vcpus += place->cell[cell].vcpus;
    packing->memory[bin->node] = memory;
    packing->cells[bin->node]++;
    weigh(packing, bin);
    packing->where[cell] = (size_t)(bin - packing->bin);
    return true;
}

static void take(struct packing *packing, size_t cell)
{
    struct bin *bin = &packing->bin[packing->where[cell]];

    bin->vcpus -= packing->place->cell[cell].vcpus;
    packing->memory[bin->node] -= packing->place->cell[cell].memory_kib;
    packing->cells[bin->node]--;
    weigh(packing, bin);
}

/* Extra threads go to any bin of a node that has a cell. */
static bool finish(struct packing *packing)
{
    const struct vp_place *place = packing->place;
    unsigned left = place->extras;

    packing->steps += (unsigned)packing->bins + left;
    if (place->request->pci_locality == VP_CARE_REQUIRE)
        for (size_t i = 0; i < place->topology->node_count; i++)
            if (place->node[i].pci && packing->cells[i] == 0)
                return false;
    for (size_t i = 0; i < packing->bins; i++)
        for (struct bin *bin = &packing->bin[i];
             left > 0 && packing->cells[bin->node] > 0 && bears(packing, bin, 0, 1); left--)
            bin->extras++;
    if (left == 0)
        return true;
    for (size_t i = 0; i < packing->bins; i++)
        packing->bin[i].extras = 0;
    return false;
}

/* Where cores are alike, extra threads come last: a count tells. */
static bool too_small(const struct packing *packing, const struct bin *bin, unsigned vcpus)
{
    const struct vp_place *place = packing->place;

    return !bin->table && bin->vcpus + vcpus > bin->most * (place->per > 0 ? place->per : 1);
}

/* The k-th bin in the order of `before`, by selection: k is small but in
 * searches that fail. */
static struct bin *next_bin(struct packing *packing, unsigned vcpus, const bool *seen)
{
    struct bin *best = NULL;

    for (size_t i = 0; i < packing->bins; i++)
        if (!seen[i] && !too_small(packing, &packing->bin[i], vcpus) &&
            (!best || before(packing, &packing->bin[i], best)))
            best = &packing->bin[i];
    return best;
}

/* Nodes of which one is as good as the other: what failed on one fails there. */
static void skip_alike(const struct packing *packing, const struct bin *bin, bool *seen)
{
    const struct vp_place *place = packing->place;

    if (bin->domain >= 0 || bin->table)
        return;
    for (size_t i = 0; i < packing->bins; i++) {
        const struct bin *other = &packing->bin[i];

        if (!seen[i] && other->most == bin->most && other->vcpus == bin->vcpus &&
            packing->cells[other->node] == packing->cells[bin->node] &&
            place->node[other->node].pci == place->node[bin->node].pci &&
            (!place->host->memory_kib ||
             (packing->memory[other->node] == packing->memory[bin->node] &&
              place->host->memory_kib[other->node] == place->host->memory_kib[bin->node])))
            seen[i] = true;
    }
}

static bool pack(struct packing *packing, size_t at)
{
    size_t cell = packing->order[at < packing->place->cell_count ? at : 0];
    bool *seen;

    if (at == packing->place->cell_count)
        return finish(packing);
    seen = vp_arena_get(&packing->place->arena, packing->bins, sizeof(*seen));
    if (!seen)
        return false;
    for (size_t i = 0; i < packing->bins; i++)
        seen[i] = false;
    for (size_t i = 0; i < packing->bins && packing->steps < packing->steps_max; i++) {
        struct bin *bin = next_bin(packing, packing->place->cell[cell].vcpus, seen);

        if (!bin)
            break;
        packing->steps += (unsigned)packing->bins;
        seen[bin - packing->bin] = true;
        if (!put(packing, cell, bin))
            continue;
        if (pack(packing, at + 1))
            return true;
        take(packing, cell);
        skip_alike(packing, bin, seen);
    }
    return false;
}

/* Whether the bins could bear the cells from each size up, were they all of just
 * that size: most packings that do not work out end here. */
static bool could_pack(const struct packing *packing)
{
    const struct vp_place *place = packing->place;
    unsigned last = 0;

    if (place->mixed)
        return true;
    for (size_t i = place->cell_count; i-- > 0;) {
        unsigned size = place->cell[packing->order[i]].vcpus;
        size_t room = 0;

        if (size == last)
            continue; /* the last of a size is the strictest */
        last = size;
        for (size_t b = 0; b < packing->bins && room <= i; b++)
            room += packing->bin[b].most * (place->per > 0 ? place->per : 1) / size;
        if (room <= i)
            return false;
    }
    return true;
}

static void settle(struct packing *packing)
{
    struct vp_place *place = packing->place;

    for (size_t i = 0; i < place->cell_count; i++) {
        const struct bin *bin = &packing->bin[packing->where[i]];

        place->cell[i].node = bin->node;
        place->cell[i].l3 = bin->domain >= 0 ? place->domain[bin->domain].l3 : -1;
    }
    for (size_t i = 0; i < packing->bins; i++) {
        const struct bin *bin = &packing->bin[i];

        place->node[bin->node].vcpus += bin->vcpus;
        place->node[bin->node].extras += bin->extras;
        if (bin->domain >= 0)
            vp_place_units(place, bin->vcpus, bin->extras, &place->domain[bin->domain].x,
                           &place->domain[bin->domain].y);
    }
    place->by_domain = place->one_l3;
    for (unsigned v = 0; v < place->request->vcpus; v++)
        place->vcpu_node[v] = place->cell[place->vcpu_cell[v]].node;
}

int vp_place_whole(struct vp_place *place)
{
    struct packing packing = {.place = place};

    if (!prepare(&packing))
        return -1;
    if (!could_pack(&packing))
        return 0;
    packing.steps_max = place->whether ? STEPS_MAX / 16 : STEPS_MAX;
    if (!pack(&packing, 0))
        return place->arena.failed ? -1 : 0;
    settle(&packing);
    return 1;
}
