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
 * A load is (x, y): under prefer x CPUs; under isolate x cores; y is 0, extra
 * threads (emulator, I/O) count as x. Under require x vCPUs and y extra cores. */

/* What a placement costs, as digits of one number, most significant first:
 * nodes, CPUs outside `first`, L3s (counted for each guest cell), cores shared
 * with others, free whole cores broken, CPUs booked, cores, and VP_CPU_MAX
 * less the largest dedicated guest that one node could still take. Each is at
 * most 8192, so sums never carry. */
typedef unsigned __int128 vp_cost;
#define VP_COST(field) ((vp_cost)1 << (14 * (field)))
enum vp_cost_field {
    VP_COST_LEFT,
    VP_COST_CORES,
    VP_COST_BOOKED,
    VP_COST_BROKEN,
    VP_COST_SHARED,
    VP_COST_L3S,
    VP_COST_OUTSIDE,
    VP_COST_NODES,
};
/* Above all these: what cells had to give up, see decide_nodes in place.c. */
#define VP_COST_GIVEN_UP ((vp_cost)1 << 112)
#define VP_COST_NEVER ((vp_cost)1 << 126)
static inline unsigned vp_cost_get(vp_cost cost, enum vp_cost_field field)
{
    return (unsigned)(cost >> (14 * field)) & 0x3fff;
}

/* cost[a * (y + 1) + b]: the cheapest (a, b), a <= x, b <= y. In a combined
 * table pick says what of it the last part took: a * 65536 + b, the top bit: the
 * part is where the largest guest could still go (see place_spread.c). */
struct vp_table {
    unsigned x, y;
    vp_cost *cost;
    uint32_t *pick; /* NULL in a table that was not combined */
};
#define VP_PICK(a, b) ((uint32_t)(a) << 16 | (uint32_t)(b))
#define VP_PICK_X(pick) ((pick) >> 16 & 0x7fff)
#define VP_PICK_Y(pick) ((pick)&0xffff)
#define VP_PICK_HERE (UINT32_C(1) << 31)

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
    int type, next; /* first type; next domain of the node; -1: none */
};

struct vp_place_node {
    int domain;    /* first, -1: none */
    unsigned free; /* usable CPUs */
    unsigned x, y; /* the most it can take, each alone */
    unsigned load_x, load_y;
    unsigned vcpus, extras; /* of the load */
};

/* One guest cell that has vCPUs (the whole guest where it has no cells). */
struct vp_place_cell {
    unsigned id;
    unsigned vcpus, extras;
    int node; /* where it goes */
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
    bool whole_cores; /* require, isolate */
    int held_back;    /* a usable CPU that must stay in the pool, -1: none */
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
    int *l3_home;                  /* the one node of an L3, -2: it has cores in several */
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

/* ---- place_cost.c */
/* What a load costs within one node; the table goes up to (x, y) or what the
 * node can take. NULL without memory. per_l3: L3s are charged here (else an L3
 * with cores on several nodes is not, place_spread.c does it once). */
const struct vp_table *vp_place_node_table(struct vp_place *place, int node, unsigned x, unsigned y,
                                           bool per_l3);
/* A cost of a table, VP_COST_NEVER beyond its ends. */
vp_cost vp_table_get(const struct vp_table *table, unsigned x, unsigned y);
/* parts combined, step by step: result[i] is of the first i + 1 parts. Of the
 * last one cost is good, of the others only pick. NULL without memory. */
struct vp_table *vp_table_combine(struct vp_arena *arena, const struct vp_table *parts,
                                  size_t count, unsigned x, unsigned y);
struct vp_table *vp_table_new(struct vp_arena *arena, unsigned x, unsigned y);
/* One step, into `cost` of (x + 1) * (y + 1) entries, which `before` does not use. */
bool vp_table_combine_two(struct vp_arena *arena, const struct vp_table *before,
                          const struct vp_table *part, unsigned x, unsigned y, vp_cost *cost,
                          struct vp_table *result);
/* Splits a node's load to its types (type.x, type.y). False without memory. */
bool vp_place_split(struct vp_place *place, int node);

/* ---- place_single.c, place_cells.c, place_spread.c: decide which nodes bear
 * how much; node.load_*, vcpus, extras, vcpu_node and cost are set. 1: done, 0:
 * does not fit, -1: without memory. */
int vp_place_single(struct vp_place *place); /* all of the guest on one node */
int vp_place_apart(struct vp_place *place);  /* each cell on a node of its own */
int vp_place_whole(struct vp_place *place);  /* cells whole where a simple packing can */
int vp_place_spread(struct vp_place *place); /* as few nodes as it takes */
/* Threads of a node's load in units: (vcpus, extras) to (x, y). */
void vp_place_units(const struct vp_place *place, unsigned vcpus, unsigned extras, unsigned *x,
                    unsigned *y);
/* Adds threads to what a node bears. */
void vp_place_load(struct vp_place *place, int node, unsigned vcpus, unsigned extras);
/* The largest of the CPUs left on a node when `node` loses `booked`. */
unsigned vp_place_left(const struct vp_place *place, int node, unsigned booked);

/* ---- place_pick.c: from loads to CPU numbers. False without memory. */
bool vp_place_pick(struct vp_place *place, struct vp_place_answer *answer);

/* ---- place_why.c: why it does not fit, what would help. False without memory. */
bool vp_place_why(const struct vp_place_host *host, const struct vp_place_request *request,
                  bool pool_only, struct vp_place_answer *answer);
/* Whether the request would be placed; -1 without memory. place.c. */
int vp_place_fits(const struct vp_place_host *host, const struct vp_place_request *request);

#endif
