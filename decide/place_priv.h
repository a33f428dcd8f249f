/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_PRIV_H
#define VP_PLACE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/place.h"

/* Inside of vp_place. Cores are counted by type (threads, usable threads,
 * preferred threads) in domains (one L3 on one node), and what a number of
 * CPUs costs in a type has a closed form. Costs of several types, domains and
 * nodes are combined by a table "cheapest way to take x" (a knapsack), never by
 * trying sets of cores. With m CPUs wanted and f usable ones, that is at most
 * m * f steps.
 *
 * A load is (x, y). Mostly x counts units and y is 0: a unit is a CPU under
 * prefer, a core under isolate and require, extra threads (emulator, I/O,
 * vhost) take one each, and under require a core bears `per` vCPUs. Where cores
 * of different sizes are free under require ("mixed") x is vCPUs, y extra
 * cores. Where a node limits vCPUs but not extra threads (its memory, an even
 * share) nodes are combined by (vCPUs, extra threads) as well ("apart"). */

/* What a placement costs, as digits of one number, by their lowest bit, the
 * least significant first. Each is at most 8192 unless said otherwise, so sums
 * never carry. */
typedef unsigned __int128 vp_cost;
enum vp_cost_field {
    VP_COST_FILL = 0,     /* fill = pack: CPUs free before on the nodes used; spread: CPUs by which
                             they have fewer free than the emptiest, up to 27 bits, and no LEFT */
    VP_COST_LEFT = 14,    /* VP_CPU_MAX less the largest guest that one node could still take */
    VP_COST_CORES = 28,   /* cores used */
    VP_COST_BROKEN = 42,  /* prefer: free whole cores broken */
    VP_COST_BOOKED = 42,  /* else: CPUs booked */
    VP_COST_SHARED = 56,  /* prefer: cores shared with others */
    VP_COST_L3S = 70,     /* counted for each guest cell; 0 under cache = any */
    VP_COST_OUTSIDE = 84, /* CPUs outside `first` */
    VP_COST_PCI = 98,     /* nodes of the guest's PCI devices that it is not on, at most 255 */
    VP_COST_NODES = 106,
};
#define VP_COST(field) ((vp_cost)1 << (field))
/* Above all these: what cells had to give up, see decide_nodes in place.c. */
#define VP_COST_GIVEN_UP ((vp_cost)1 << 120)
#define VP_COST_NEVER ((vp_cost)1 << 126)
static inline unsigned vp_cost_get(vp_cost cost, enum vp_cost_field field)
{
    return (unsigned)(cost >> field) & 0x3fff;
}

/* cost[vp_table_at(table, a, b)]: the cheapest (a, b), low <= a <= x, b <= y; a
 * runs fastest, for y is small and x is what loops are long in. In a combined table pick says what
 * of it the last part took: a * 65536 + b, the top bit: the part is where the largest guest could
 * still go (place_fewest.c). */
struct vp_table {
    unsigned x, y, low;
    vp_cost *cost;
    uint32_t *pick; /* NULL in a table that was not combined */
};
static inline size_t vp_table_at(const struct vp_table *table, unsigned x, unsigned y)
{
    return (size_t)y * (table->x - table->low + 1) + (x - table->low);
}
#define VP_PICK(a, b) ((uint32_t)(a) << 16 | (uint32_t)(b))
#define VP_PICK_X(pick) ((pick) >> 16 & 0x7fff)
#define VP_PICK_Y(pick) ((pick)&0xffff)
#define VP_PICK_HERE (UINT32_C(1) << 31)

static inline unsigned vp_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

struct vp_place_core {
    uint16_t total, free, first; /* threads: online, usable, of these preferred */
    bool cut;                    /* wholly free but for the CPU held back */
    int16_t type;                /* -1: of no use under this thread-policy */
    int cpu;                     /* lowest usable */
};

struct vp_place_type {
    uint16_t total, free, first;
    bool cut;
    unsigned count; /* cores */
    int next;       /* type of the same domain, -1: the last */
    unsigned x, y;  /* the load decided on */
    unsigned taken; /* cores picked so far */
};

struct vp_place_domain {
    int node, l3;
    int type, next;    /* first type; next domain of the node; -1: none */
    unsigned x, y;     /* the load, where it was decided by domain */
    unsigned capacity; /* units */
    bool full;         /* as of a node */
    bool shut;         /* takes nothing: the search goes without it */
};

struct vp_place_node {
    int domain;             /* first, -1: none */
    unsigned free;          /* usable CPUs */
    unsigned threads, most; /* CPUs and cores (under prefer CPUs) of use */
    unsigned vcpus_max;     /* vCPUs that its memory bears */
    unsigned low, high;     /* vCPUs if any; high 0: none at all */
    unsigned least;         /* vCPUs that it bears if any, by what others can, see place_share.c */
    bool must, pci;         /* it must bear some; a PCI device of the guest is here */
    bool full;              /* all of it is taken, see place_large.c */
    unsigned vcpus, extras; /* the load decided on */
    int l3_cell;            /* the cell that has all its vCPUs in one L3 of it, -1: none */
    unsigned largest;       /* units of its largest domain */
    unsigned *cores_for;    /* place_rank.c */
    struct vp_place_l3s *l3s; /* place_cache.c */
};

/* One guest cell that has vCPUs (the whole guest where it has no cells). */
struct vp_place_cell {
    unsigned id;
    unsigned vcpus, extras;
    unsigned first;      /* vCPU */
    uint64_t memory_kib; /* whole pages */
    int node, l3;        /* where it goes; the L3 of its vCPUs under cache = require, else -1 */
};

struct vp_arena {
    struct vp_arena_block *block;
    char *at, *end;
    bool failed;
};

struct vp_place {
    const struct vp_place_host *host;
    const struct vp_place_request *request;
    const struct vp_topology *topology;
    struct vp_arena arena;
    unsigned extras;
    unsigned per;     /* vCPUs a unit bears */
    bool whole_cores; /* require, isolate */
    bool mixed, apart;
    bool one_l3;         /* each cell in one L3 */
    bool whether;        /* nobody asks where, only whether */
    bool by_domain;      /* loads were decided by domain */
    unsigned exact;      /* the largest load that is searched through, see place_large.c */
    unsigned sure_nodes; /* the fewest nodes that bear the guest, see place_sure.c */
    int held_back;       /* a usable CPU that must stay in the pool, -1: none */
    struct vp_place_core *core;
    int *order;        /* cores with usable CPUs by their lowest */
    size_t core_count; /* of order */
    struct vp_place_type *type;
    size_t type_count;
    struct vp_place_domain *domain;
    size_t domain_count;
    struct vp_place_node *node;    /* topology->node_count */
    int *node_order;               /* nodes with usable CPUs by their lowest */
    size_t node_count;             /* of node_order */
    int freest;                    /* the node with most usable CPUs */
    unsigned most_free, next_free; /* its, and the most of another node */
    unsigned pci_count;            /* nodes of the guest's PCI devices, at most 255 */
    unsigned pci_here;             /* those of them that have usable CPUs */
    int *l3_home;                  /* the one node of an L3, -2: it has cores in several */
    int *l3_domain;                /* of each L3 the newest, -1: none */
    struct vp_place_cell *cell;    /* those with vCPUs, in the request's order */
    size_t cell_count;
    unsigned *vcpu_cell; /* of each vCPU, index into cell */
    int *vcpu_node;      /* of each vCPU, once decided */
    vp_cost cost;        /* of what was decided */
};

/* ---- place_arena.c: memory that lives for one call; NULL and `failed` when
 * there is none. Not zeroed. */
void *vp_arena_get(struct vp_arena *arena, size_t count, size_t size);
void vp_arena_free(struct vp_arena *arena);

/* ---- place_host.c: cores, types, domains and nodes of the host; false
 * without memory. */
bool vp_place_scan(struct vp_place *place);
/* The host as a guest of this core-type sees it: `host` itself or *narrow. */
const struct vp_place_host *vp_place_narrow(const struct vp_place_host *host,
                                            const struct vp_place_request *request,
                                            struct vp_place_host *narrow);

/* Emulator, I/O and vhost threads that get CPUs of their own. */
static inline unsigned vp_place_extras(const struct vp_place_request *request)
{
    return request->emulator_isolate + request->iothreads_isolate + request->vhost_isolate;
}

/* ---- place_memory.c */
/* KiB that a node bears for a number of vCPUs of a guest that is cut over nodes. */
uint64_t vp_place_share(const struct vp_place_request *request, unsigned vcpus);
uint64_t vp_place_pages(const struct vp_place_request *request, uint64_t kib);
/* Fills node.vcpus_max: as far as memory goes, of a guest that may be cut. */
void vp_place_limit_memory(struct vp_place *place);
bool vp_place_memory_fits(const struct vp_place *place, int node, uint64_t kib);
/* answer->memory_kib; false without memory. cut: by share, else by cell. */
bool vp_place_bear_memory(const struct vp_place *place, struct vp_place_answer *answer);

/* ---- place_table.c */
struct vp_table *vp_table_new(struct vp_arena *arena, unsigned x, unsigned y);
/* A cost of a table, VP_COST_NEVER beyond its ends. */
vp_cost vp_table_get(const struct vp_table *table, unsigned x, unsigned y);
/* parts combined, step by step: result[i] is of the first i + 1 parts. Of the
 * last one cost is good, of the others only pick; all: from (0, 0) on, else
 * only at (x, y). NULL without memory. */
struct vp_table *vp_table_combine(struct vp_arena *arena, const struct vp_table *parts,
                                  size_t count, unsigned x, unsigned y, bool all);
/* One step by hand: a table for `before` and `part` up to (x, y) and from `low`
 * on, without any way yet, in `cost` of (x + 1) * (y + 1) entries... */
bool vp_table_step(struct vp_arena *arena, const struct vp_table *before,
                   const struct vp_table *part, unsigned x, unsigned y, unsigned low, vp_cost *cost,
                   struct vp_table *result);
/* ...and all ways to split, where they are cheaper than what is there. */
void vp_table_push(const struct vp_table *before, const struct vp_table *part, uint32_t mark,
                   struct vp_table *result);

/* ---- place_cost.c */
/* Threads of a load in units: (vcpus, extras) to (x, y) of types and domains. */
void vp_place_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                    unsigned *y);
/* The same for nodes. */
void vp_place_node_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                         unsigned *y);
/* What a load costs within one node; the table goes up to (x, y) or what the
 * node can take, and from `low` vCPUs on at the latest. NULL without memory.
 * per_l3: L3s are charged here (else an L3 with cores on several nodes is not,
 * place_fewest.c does it once). */
const struct vp_table *vp_place_node_table(struct vp_place *place, int node, unsigned low,
                                           unsigned x, unsigned y, bool per_l3);
/* As the table, for one load; *cost is VP_COST_NEVER if it does not fit. */
bool vp_place_node_cost(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                        vp_cost *cost);
vp_cost vp_place_type_cost(const struct vp_place *place, const struct vp_place_type *type,
                           unsigned x, unsigned y);
/* A domain's table. */
bool vp_place_domain_table(struct vp_place *place, int domain, unsigned x, unsigned y, bool per_l3,
                           struct vp_table *table);
/* Domains of a node in ascending order. */
int *vp_place_domains(struct vp_place *place, int node, size_t *count);
/* Splits a node's load to its types (type.x, type.y). False without memory. */
bool vp_place_split(struct vp_place *place, int node);
bool vp_place_split_domain(struct vp_place *place, int domain, unsigned x, unsigned y);
/* CPUs booked on a node by a load that costs this. */
unsigned vp_place_booked(const struct vp_place *place, vp_cost cost, unsigned vcpus,
                         unsigned extras);
/* VP_COST_FILL of a node that is used. */
vp_cost vp_place_fill(const struct vp_place *place, int node);
/* VP_COST_LEFT, nothing under fill = spread. */
vp_cost vp_place_left(const struct vp_place *place, unsigned left);

/* ---- place_large.c: bounds what is searched through */
void vp_place_bound(struct vp_place *place);
/* Takes nodes in full until the rest of x units is small enough; the rest. */
unsigned vp_place_fill_nodes(struct vp_place *place, unsigned x, unsigned exact);
/* The same of a node's domains, for its (x, 0); *cost is theirs. Where each of the others could
 * bear the rest and a search is too long, all but one are shut. */
unsigned vp_place_fill_domains(struct vp_place *place, int node, unsigned x, vp_cost *cost);
/* A domain's cost table and split, type after type. */
bool vp_place_plain_table(struct vp_place *place, int domain, unsigned x, struct vp_table *table);
void vp_place_plain_split(struct vp_place *place, int domain, unsigned x);
/* Whether a search of the node's domains for up to x is too long, and what takes its place: the
 * largest L3s in full and the rest in the next, without VP_COST_NODES. */
bool vp_place_too_wide(const struct vp_place *place, int node, unsigned x);
struct vp_table *vp_place_wide_table(struct vp_place *place, int node, unsigned x, bool per_l3);

/* ---- place_cache.c: loads whose vCPUs are all in one L3 of a node */
bool vp_place_l3_cost(struct vp_place *place, int node, unsigned vcpus, unsigned extras,
                      vp_cost *cost);
bool vp_place_l3_split(struct vp_place *place, int node);

/* ---- place_single.c, place_cells.c, place_whole.c, place_fewest.c, place_even.c: decide which
 * nodes bear how much; node.vcpus, extras, vcpu_node and cost are set. 1:
 * done, 0: does not fit, -1: without memory. */
int vp_place_single(struct vp_place *place); /* all of the guest on one node */
int vp_place_apart(struct vp_place *place);  /* each cell on a node of its own */
int vp_place_whole(struct vp_place *place);  /* cells whole where a simple packing can */
int vp_place_fewest(struct vp_place *place); /* as few nodes as it takes */
int vp_place_even(struct vp_place *place);   /* as many as bear even shares */
/* place_rank.c: 0 where the largest cells are larger than the largest rooms, so
 * that cells cannot be on nodes of their own; 1: perhaps; -1: without memory. */
int vp_place_could_be_apart(struct vp_place *place);
/* place_rank.c: the fewest cores that bear so many vCPUs, cores being of different sizes (the
 * largest first), in one domain of the node, -1: in all; UINT_MAX: none do. */
unsigned vp_place_fewest_cores(const struct vp_place *place, int node, int only, unsigned vcpus);
/* place_rank.c: the fewest units that so many vCPUs take on the node, in one L3 where they must be;
 * UINT_MAX: they do not fit, or the arena failed. The node's other cores are extra threads'. */
unsigned vp_place_fewest_units(struct vp_place *place, int node, unsigned vcpus);
/* Adds a cell's threads to what a node bears. */
void vp_place_load(struct vp_place *place, size_t cell, int node, unsigned vcpus, unsigned extras);
void vp_place_unload(struct vp_place *place);
/* The largest of the CPUs left on a node when `node` loses `booked`. */
unsigned vp_place_most_left(const struct vp_place *place, int node, unsigned booked);

/* ---- place_pick.c: from loads to CPU numbers. False without memory. */
bool vp_place_pick(struct vp_place *place, struct vp_place_answer *answer);

/* ---- place_why.c: why it does not fit, what would help. False without memory. */
bool vp_place_why(const struct vp_place_host *host, const struct vp_place_request *request,
                  bool pool_only, struct vp_place_answer *answer);
/* Whether the request would be placed; -1 without memory. place.c. */
int vp_place_fits(const struct vp_place_host *host, const struct vp_place_request *request);

#endif
