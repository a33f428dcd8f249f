/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest cells whole, several of them on a node (under cache = require in an L3)
 * where it must be: the largest first, each where it fits best, and a bounded
 * search where that does not work out. */
#include <limits.h>

#include "decide/place_priv.h"

/* Bins looked at; enough for each of 128 cells to see each of 4096 bins. Alike bins that are
 * empty are looked at once. */
#define STEPS_MAX 600000u

/* Of two bins the one of less rank plus rest is tried first. */
#define RANK_USED (1u << 30)      /* its node has a cell already */
#define RANK_NO_DEVICE (1u << 31) /* it has, or there is no device there */

/* A node, or a domain under cache = require. */
struct bin {
    int node, domain;      /* domain -1: all of the node */
    unsigned most;         /* units; vCPUs where cores differ in size */
    unsigned cores, kinds; /* there: cores, and types of them */
    unsigned vcpus, extras;
    unsigned rest; /* units left */
    unsigned room; /* vCPUs that it could still take, at most */
    size_t next;   /* the first bin after it that was not alike from the start */
};

struct packing {
    struct vp_place *place;
    struct bin *bin;
    size_t bins;
    size_t *order;    /* cells, the largest first */
    size_t *where;    /* bin of each cell */
    uint64_t *memory; /* used, of each node */
    unsigned *cells;  /* on each node */
    unsigned *rank;   /* of each node */
    bool **seen;      /* bins tried, by how many cells stand */
    unsigned left;    /* vCPUs of the cells that do not */
    unsigned steps, steps_max;
};

static void weigh(const struct packing *packing, struct bin *bin)
{
    const struct vp_place *place = packing->place;
    unsigned x, y;

    vp_place_units(place, bin->vcpus, bin->extras, &x, &y);
    bin->rest = bin->most - x;
    bin->room = bin->most * place->per - bin->vcpus;
}

static void add_bin(struct packing *packing, int node, int domain)
{
    const struct vp_place *place = packing->place;
    struct bin *bin = &packing->bin[packing->bins++];

    *bin = (struct bin){.node = node, .domain = domain, .most = place->node[node].most};
    for (int d = domain < 0 ? place->node[node].domain : domain; d >= 0;
         d = domain < 0 ? place->domain[d].next : -1)
        for (int t = place->domain[d].type; t >= 0; t = place->type[t].next) {
            bin->cores += place->type[t].count;
            bin->kinds++;
        }
    if (place->mixed)
        bin->most = place->node[node].threads;
    if (domain >= 0)
        bin->most = place->domain[domain].capacity;
    bin->next = packing->bins;
    weigh(packing, bin);
}

/* Bins of one node, the smallest first; of alike ones the first knows the next unlike. */
static bool add_domains(struct packing *packing, int node)
{
    struct vp_place *place = packing->place;
    size_t count = 0, first = packing->bins;
    int *domain = vp_place_domains(place, node, &count);

    if (!domain)
        return false;
    for (size_t i = 1; i < count; i++)
        for (size_t k = i;
             k > 0 && place->domain[domain[k]].capacity < place->domain[domain[k - 1]].capacity;
             k--) {
            int swap = domain[k];

            domain[k] = domain[k - 1];
            domain[k - 1] = swap;
        }
    for (size_t i = 0; i < count; i++)
        add_bin(packing, node, domain[i]);
    for (size_t i = packing->bins - 1; i-- > first && !place->mixed;)
        if (packing->bin[i].most == packing->bin[i + 1].most)
            packing->bin[i].next = packing->bin[i + 1].next;
    return true;
}

static bool make_bins(struct packing *packing)
{
    struct vp_place *place = packing->place;

    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];

        if (place->node[node].domain < 0)
            continue;
        if (!place->one_l3)
            add_bin(packing, node, -1);
        else if (!add_domains(packing, node))
            return false;
    }
    return true;
}

/* A node with a device and no cell yet comes first, then one without a cell. */
static void rank(struct packing *packing, int node)
{
    const struct vp_place *place = packing->place;
    bool empty = packing->cells[node] == 0;

    packing->rank[node] = empty && place->node[node].pci ? 0 : RANK_NO_DEVICE;
    if (!empty && place->request->numa != VP_NUMA_ANY)
        packing->rank[node] |= RANK_USED;
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
    packing->rank = vp_arena_get(arena, nodes, sizeof(*packing->rank));
    packing->seen = vp_arena_get(arena, place->cell_count, sizeof(*packing->seen));
    packing->left = place->request->vcpus;
    if (arena->failed)
        return false;
    for (size_t i = 0; i < nodes; i++) {
        packing->memory[i] = packing->cells[i] = 0;
        rank(packing, (int)i);
    }
    for (size_t i = 0; i < place->cell_count; i++) {
        size_t at = i;

        for (; at > 0 && place->cell[packing->order[at - 1]].vcpus < place->cell[i].vcpus; at--)
            packing->order[at] = packing->order[at - 1];
        packing->order[at] = i;
        packing->seen[i] = NULL;
    }
    return make_bins(packing);
}

static bool bears(struct packing *packing, const struct bin *bin, unsigned vcpus, unsigned extras)
{
    const struct vp_place *place = packing->place;
    unsigned x, y, cores;

    if (!place->mixed) {
        vp_place_units(place, bin->vcpus + vcpus, bin->extras + extras, &x, &y);
        return x <= bin->most;
    }
    packing->steps += bin->kinds;
    cores = vp_place_fewest_cores(place, bin->node, bin->domain, bin->vcpus + vcpus);
    return cores <= bin->cores && bin->extras + extras <= bin->cores - cores;
}

static bool put(struct packing *packing, size_t cell, struct bin *bin)
{
    struct vp_place *place = packing->place;
    uint64_t memory = packing->memory[bin->node] + place->cell[cell].memory_kib;

    if (!bears(packing, bin, place->cell[cell].vcpus, 0) ||
        !vp_place_memory_fits(place, bin->node, memory))
        return false;
    bin->vcpus += place->cell[cell].vcpus;
    packing->left -= place->cell[cell].vcpus;
    packing->memory[bin->node] = memory;
    packing->cells[bin->node]++;
    rank(packing, bin->node);
    weigh(packing, bin);
    packing->where[cell] = (size_t)(bin - packing->bin);
    return true;
}

static void take(struct packing *packing, size_t cell)
{
    struct bin *bin = &packing->bin[packing->where[cell]];

    bin->vcpus -= packing->place->cell[cell].vcpus;
    packing->left += packing->place->cell[cell].vcpus;
    packing->memory[bin->node] -= packing->place->cell[cell].memory_kib;
    packing->cells[bin->node]--;
    rank(packing, bin->node);
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

/* The bin to look at after i. */
static size_t after(const struct packing *packing, size_t i)
{
    return packing->bin[i].vcpus == 0 ? packing->bin[i].next : i + 1;
}

/* The best bin that was not tried. */
static struct bin *next_bin(struct packing *packing, unsigned vcpus, const bool *seen)
{
    struct bin *best = NULL;
    unsigned least = UINT_MAX;

    for (size_t i = 0; i < packing->bins; i = after(packing, i)) {
        struct bin *bin = &packing->bin[i];
        unsigned order = packing->rank[bin->node] + bin->rest;

        packing->steps++;
        if (seen[i] || bin->room < vcpus || order >= least)
            continue;
        least = order;
        best = bin;
    }
    return best;
}

/* Nodes of which one is as good as the other: what failed on one fails there. */
static void skip_alike(const struct packing *packing, const struct bin *bin, bool *seen)
{
    const struct vp_place *place = packing->place;

    if (bin->domain >= 0 || place->mixed)
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

/* Whether there is room for the other cells, were they sand: bins too small for the
 * smallest of them are of no use. */
static bool room_left(struct packing *packing)
{
    const struct vp_place *place = packing->place;
    unsigned least = place->cell[packing->order[place->cell_count - 1]].vcpus;
    uint64_t room = 0;

    for (size_t i = 0; i < packing->bins && room < packing->left; i = after(packing, i)) {
        const struct bin *bin = &packing->bin[i];

        packing->steps++;
        if (bin->room >= least)
            room += (uint64_t)bin->room * (after(packing, i) - i);
    }
    return room >= packing->left;
}

static bool alike(const struct vp_place_cell *a, const struct vp_place_cell *b)
{
    return a->vcpus == b->vcpus && a->memory_kib == b->memory_kib;
}

/* failed: bins that an alike cell was tried in just before, with all that followed. */
static bool pack(struct packing *packing, size_t at, const bool *failed)
{
    const struct vp_place *place = packing->place;
    size_t cell = packing->order[at < place->cell_count ? at : 0];
    bool *seen;

    if (at == place->cell_count)
        return finish(packing);
    if (!packing->seen[at])
        packing->seen[at] = vp_arena_get(&packing->place->arena, packing->bins, sizeof(*seen));
    seen = packing->seen[at];
    if (!seen || !room_left(packing))
        return false;
    for (size_t i = 0; i < packing->bins; i++)
        seen[i] = failed && failed[i];
    while (packing->steps < packing->steps_max) {
        struct bin *bin = next_bin(packing, place->cell[cell].vcpus, seen);
        size_t tried = bin ? (size_t)(bin - packing->bin) : 0;

        if (!bin)
            break;
        if (put(packing, cell, bin)) {
            bool same = at + 1 < place->cell_count &&
                        alike(&place->cell[cell], &place->cell[packing->order[at + 1]]);

            if (pack(packing, at + 1, same ? seen : NULL))
                return true;
            take(packing, cell);
            skip_alike(packing, bin, seen);
        }
        seen[tried] = true;
    }
    return false;
}

/* Whether the bins could bear the cells from each size up, were they all of just
 * that size: most packings that do not work out end here. */
static bool could_pack(const struct packing *packing)
{
    const struct vp_place *place = packing->place;
    unsigned last = 0;

    for (size_t i = place->cell_count; i-- > 0;) {
        unsigned size = place->cell[packing->order[i]].vcpus;
        size_t room = 0;

        if (size == last)
            continue; /* the last of a size is the strictest */
        last = size;
        for (size_t b = 0; b < packing->bins && room <= i; b = packing->bin[b].next)
            room += packing->bin[b].room / size * (packing->bin[b].next - b);
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
    if (!pack(&packing, 0, NULL))
        return place->arena.failed ? -1 : 0;
    settle(&packing);
    return 1;
}
