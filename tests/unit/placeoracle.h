/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TESTS_PLACEORACLE_H
#define VP_TESTS_PLACEORACLE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "decide/place.h"
#include "decide/place_priv.h"

/* What the oracles of vp_place have in common: a small host as masks, what a set
 * of its CPUs costs by the written order, and how an answer is held against what
 * an oracle found. */

#define CPUS 11 /* at most */

struct shape {
    int cpus, cores, nodes, l3s;
    int core[CPUS];           /* of each CPU */
    int node[CPUS], l3[CPUS]; /* of each core */
    int number[CPUS];         /* what the operating system calls the CPU */
    unsigned core_mask[CPUS], node_mask[CPUS];
};

/* What a cost depends on beside the CPUs booked. */
struct terms {
    const struct vp_place_request *request;
    unsigned usable, first, devices; /* devices: nodes */
    bool cells;                      /* L3s are counted for each node */
    bool fill;                       /* the fullest, or emptiest, nodes count */
};

typedef unsigned __int128 cost;
#define NEVER (~(cost)0)

static inline unsigned bits(unsigned mask)
{
    return (unsigned)__builtin_popcount(mask);
}

static inline struct vp_cpuset to_set(const struct shape *shape, unsigned mask)
{
    struct vp_cpuset set = {0};

    for (int i = 0; i < shape->cpus; i++)
        if ((mask >> i & 1) != 0)
            vp_cpuset_add(&set, shape->number[i]);
    return set;
}

static inline unsigned to_mask(const struct shape *shape, const struct vp_cpuset *set)
{
    unsigned mask = 0;

    for (int i = 0; i < shape->cpus; i++)
        if (vp_cpuset_has(set, shape->number[i]))
            mask |= 1u << i;
    return mask;
}

/* Counted from the set alone, by its definition. */
struct counts {
    unsigned nodes, devices, l3s, shared, broken, cores, left, packed, spread;
};

static inline void count_cores(const struct shape *shape, const struct terms *terms,
                               unsigned booked, struct counts *counts)
{
    unsigned l3_nodes[CPUS] = {0};

    for (int c = 0; c < shape->cores; c++) {
        unsigned mask = shape->core_mask[c];

        if ((mask & booked) == 0)
            continue;
        counts->cores++;
        l3_nodes[shape->l3[c]] |= 1u << shape->node[c];
        if ((mask & ~terms->usable) != 0)
            counts->shared++;
        else if ((mask & ~booked) != 0)
            counts->broken++;
    }
    for (int i = 0; i < shape->l3s; i++)
        counts->l3s += terms->cells ? bits(l3_nodes[i]) : l3_nodes[i] != 0;
}

static inline void count_nodes(const struct shape *shape, const struct terms *terms,
                               unsigned booked, struct counts *counts)
{
    unsigned most = 0;

    for (int i = 0; i < shape->nodes; i++) {
        unsigned free = bits(shape->node_mask[i] & terms->usable);

        most = free > most ? free : most;
    }
    for (int i = 0; i < shape->nodes; i++) {
        unsigned free = bits(shape->node_mask[i] & terms->usable);
        unsigned after = bits(shape->node_mask[i] & terms->usable & ~booked);
        bool used = (shape->node_mask[i] & booked) != 0;

        counts->left = after > counts->left ? after : counts->left;
        counts->nodes += used;
        counts->devices += !used && (terms->devices >> i & 1) != 0;
        counts->packed += used ? free : 0;
        counts->spread += used ? most - free : 0;
    }
}

static inline cost cost_of(const struct shape *shape, const struct terms *terms, unsigned booked)
{
    const struct vp_place_request *request = terms->request;
    bool prefer = request->thread_policy == VP_THREADS_PREFER;
    bool pack = request->fill == VP_FILL_PACK;
    struct counts counts = {0};
    cost sum = 0;

    count_cores(shape, terms, booked, &counts);
    count_nodes(shape, terms, booked, &counts);
    const unsigned digits[] = {
        counts.nodes,
        request->pci_locality == VP_CARE_ANY ? 0 : counts.devices,
        bits(booked & ~terms->first),
        request->cache == VP_CARE_ANY ? 0 : counts.l3s,
        prefer ? counts.shared : 0,
        prefer ? counts.broken : bits(booked),
        counts.cores,
        pack ? CPUS - counts.left : 0,
        !terms->fill ? 0
        : pack       ? counts.packed
                     : counts.spread,
    };
    for (size_t i = 0; i < sizeof(digits) / sizeof(digits[0]); i++)
        sum = sum << 12 | digits[i];
    return sum;
}

/* Holds an answer against the oracle's: that it is placed if it can be, that this
 * is told without a search as well, that a refusal says why. True: placed.
 * ck_assert would tell the runner about each of millions of good checks. */
static inline bool judge(const struct vp_place_host *host, const struct vp_place_request *request,
                         const struct vp_place_answer *answer, int result, bool possible,
                         const char *(*describe)(const void *), const void *of)
{
    int fits = vp_place_fits(host, request);

    if (result != (possible ? 0 : 1) || fits != possible)
        ck_abort_msg("result %d, told to fit %d, can be placed %d (%s): %s", result, fits, possible,
                     answer->why, describe(of));
    if (result != 0 &&
        (answer->limit == VP_LIMIT_NONE || answer->short_by == 0 || answer->why[0] == '\0'))
        ck_abort_msg("a refusal that says nothing: %s", describe(of));
    return result == 0;
}

/* That a way that was found is the best one. */
static inline void judge_cost(cost got, cost best, unsigned booked,
                              const char *(*describe)(const void *), const void *of)
{
    const cost low = ((cost)1 << 60) - 1;

    if (got != best)
        ck_abort_msg("booked %x costs %llx %015llx, the best %llx %015llx: %s", booked,
                     (unsigned long long)(got >> 60), (unsigned long long)(got & low),
                     (unsigned long long)(best >> 60), (unsigned long long)(best & low),
                     describe(of));
}

#endif
