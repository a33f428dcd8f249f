/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every place of every guest, where that is few enough. */
#include <string.h>

#include "decide/defrag_priv.h"

/* CPUs that a guest could have, at most: so many have 924 sets of six. */
enum { DEEP_CPUS = 12 };

/* What nobody else has, and its own. False if that is too much to go through. */
static bool list_cpus(const struct vp_defrag_search *search, size_t guest, int *cpu,
                      unsigned *count)
{
    const struct vp_defrag_guest *it = &search->in->guest[guest];
    struct vp_cpuset free, within, nodes;

    vp_dedicable(&it->input.set->host, it->input.topology, &free);
    for (size_t i = 0; i < search->holding_count; i++) {
        if (i == search->own[guest])
            continue;
        vp_cpuset_minus(&free, &search->holding[i].exclusive);
        vp_cpuset_minus(&free, &search->holding[i].fixed);
    }
    if (vp_defrag_bound(it)) {
        vp_defrag_nodes(it->input.topology, it->plan, &nodes);
        vp_cpuset_and(&free, &nodes);
    }
    *count = 0;
    if (!vp_defrag_within(&it->input, &free, &within))
        return true;
    if (vp_cpuset_count(&within) > DEEP_CPUS)
        return false;
    for (int c = vp_cpuset_next(&within, -1); c >= 0; c = vp_cpuset_next(&within, c))
        cpu[(*count)++] = c;
    return true;
}

static int deeper(struct vp_defrag_search *search, unsigned moves, bool *all);

/* The guest on just these CPUs, and on from there. */
static int try_place(struct vp_defrag_search *search, size_t guest, const struct vp_cpuset *cpus,
                     unsigned moves, bool *all)
{
    const struct vp_plan_input *input = &search->in->guest[guest].input;
    struct vp_plan *plan;
    struct vp_cpuset has;
    int result = vp_defrag_plan(search, input, cpus, &plan);

    if (result <= 0)
        return result;
    vp_plan_exclusive(plan, &has);
    if (!vp_cpuset_equal(&has, cpus)) {
        vp_plan_free(plan);
        return 0;
    }
    vp_defrag_move(search, guest, plan);
    result = deeper(search, moves - 1, all);
    if (result == 0)
        vp_defrag_back(search);
    return result;
}

static int try_guest(struct vp_defrag_search *search, size_t guest, unsigned moves, bool *all)
{
    struct vp_cpuset had = search->holding[search->own[guest]].exclusive;
    unsigned size = vp_cpuset_count(&had), count;
    int cpu[DEEP_CPUS], result = 0;

    if (!list_cpus(search, guest, cpu, &count)) {
        *all = false;
        return 0;
    }
    for (unsigned mask = 0; mask < 1u << count && result == 0 && !search->gave_up; mask++) {
        struct vp_cpuset cpus = {0};

        if ((unsigned)__builtin_popcount(mask) != size)
            continue;
        for (unsigned i = 0; i < count; i++)
            if (mask >> i & 1)
                vp_cpuset_add(&cpus, cpu[i]);
        if (!vp_cpuset_equal(&cpus, &had))
            result = try_place(search, guest, &cpus, moves, all);
    }
    return result;
}

/* Whether the target would fit with the guest out of the way altogether. */
static int helps(struct vp_defrag_search *search, size_t guest)
{
    struct vp_holding *holding = &search->holding[search->own[guest]];
    struct vp_cpuset had = holding->exclusive;
    struct vp_plan *plan;
    int result;

    holding->exclusive = (struct vp_cpuset){0};
    result = vp_defrag_plan(search, search->in->target, NULL, &plan);
    holding->exclusive = had;
    vp_plan_free(plan);
    return result;
}

static int deeper(struct vp_defrag_search *search, unsigned moves, bool *all)
{
    struct vp_plan *plan;
    int result = 0;

    if (moves == 0) {
        result = vp_defrag_plan(search, search->in->target, NULL, &plan);
        vp_plan_free(plan);
        return result;
    }
    for (size_t i = 0; i < search->movable_count && result == 0 && !search->gave_up; i++) {
        if (moves == 1)
            result = helps(search, search->movable[i]);
        if (moves > 1 || result == 1)
            result = try_guest(search, search->movable[i], moves, all);
    }
    return result;
}

int vp_defrag_deep(struct vp_defrag_search *search, unsigned moves, bool *all)
{
    *all = true;
    return deeper(search, moves, all);
}
