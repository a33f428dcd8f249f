/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all guests' places cost, and single moves that lower it. */
#include <stdlib.h>
#include <string.h>

#include "decide/defrag_priv.h"

static unsigned l3s_of(const struct vp_topology *topology, const struct vp_cpuset *cpus)
{
    unsigned count = 0;

    for (size_t i = 0; i < topology->l3_count; i++)
        count += vp_cpuset_meets(&topology->l3[i], cpus);
    return count;
}

static void measure_guests(const struct vp_defrag_search *search, struct vp_defrag_cost *cost)
{
    for (size_t i = 0; i < search->in->guest_count; i++) {
        const struct vp_plan_input *input = &search->in->guest[i].input;
        const struct vp_plan *plan = search->plan[i];

        if (vp_cpuset_empty(&plan->vcpu_cpus))
            continue;
        if (input->policy->numa == VP_NUMA_FEWEST || input->policy->numa == VP_NUMA_SINGLE)
            cost->nodes += vp_cpuset_count(&plan->nodes);
        if (input->policy->cache != VP_CARE_ANY)
            cost->l3s += l3s_of(input->topology, &plan->vcpu_cpus);
    }
}

/* How many holdings have CPUs of the core. */
static unsigned users(const struct vp_defrag_search *search, const struct vp_cpuset *core)
{
    unsigned count = 0;

    for (size_t i = 0; i < search->holding_count && count < 2; i++)
        count += vp_cpuset_meets(&search->holding[i].exclusive, core);
    return count;
}

void vp_defrag_measure(const struct vp_defrag_search *search, struct vp_defrag_cost *cost)
{
    const struct vp_plan_input *any = &search->in->guest[0].input;
    const struct vp_topology *topology = any->topology;
    struct vp_cpuset free, all;
    unsigned most = 0, largest = 0;

    *cost = (struct vp_defrag_cost){0};
    measure_guests(search, cost);
    vp_dedicable(&any->set->host, topology, &all);
    free = all;
    for (size_t i = 0; i < search->holding_count; i++)
        vp_cpuset_minus(&free, &search->holding[i].exclusive);
    for (size_t i = 0; i < topology->core_count; i++) {
        const struct vp_cpuset *core = &topology->core[i];

        cost->shared += users(search, core) > 1;
        cost->broken += vp_cpuset_meets(core, &free) && !vp_cpuset_within(core, &free);
    }
    for (size_t i = 0; i < topology->node_count; i++) {
        struct vp_cpuset here = topology->node[i].cpus, left;
        unsigned count;

        vp_cpuset_and(&here, &all);
        left = here;
        vp_cpuset_and(&left, &free);
        count = vp_cpuset_count(&here);
        largest = count > largest ? count : largest;
        count = vp_cpuset_count(&left);
        most = count > most ? count : most;
    }
    cost->missing = largest - most;
}

static int compare(const struct vp_defrag_cost *a, const struct vp_defrag_cost *b)
{
    const unsigned left[] = {a->nodes, a->l3s, a->shared, a->broken, a->missing};
    const unsigned right[] = {b->nodes, b->l3s, b->shared, b->broken, b->missing};

    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        if (left[i] != right[i])
            return left[i] < right[i] ? -1 : 1;
    return 0;
}

/* The guest within those CPUs, if that costs less than *best: then *plan is it. */
static int try_within(struct vp_defrag_search *search, size_t guest, const struct vp_cpuset *within,
                      struct vp_defrag_cost *best, struct vp_plan **plan)
{
    struct vp_defrag_cost cost;
    struct vp_plan *other, *copy;
    int result = vp_defrag_plan(search, &search->in->guest[guest].input, within, &other);

    if (result <= 0)
        return result;
    copy = vp_plan_copy(other);
    vp_defrag_move(search, guest, other);
    vp_defrag_measure(search, &cost);
    vp_defrag_back(search);
    if (!copy)
        return -1;
    if (compare(&cost, best) >= 0) {
        vp_plan_free(copy);
        return 0;
    }
    *best = cost;
    vp_plan_free(*plan);
    *plan = copy;
    return 1;
}

/* Anywhere, and on each node. */
static int try_guest(struct vp_defrag_search *search, size_t guest, struct vp_defrag_cost *best,
                     struct vp_plan **plan)
{
    const struct vp_defrag_guest *it = &search->in->guest[guest];
    const struct vp_topology *topology = it->input.topology;
    struct vp_cpuset nodes, within;
    int better = 0;

    vp_defrag_nodes(topology, it->plan, &nodes);
    for (size_t region = 0; region <= topology->node_count; region++) {
        struct vp_cpuset of = region == 0 ? topology->online : topology->node[region - 1].cpus;
        int result;

        if (vp_defrag_bound(it))
            vp_cpuset_and(&of, &nodes);
        if (!vp_defrag_within(&it->input, &of, &within))
            continue;
        result = try_within(search, guest, &within, best, plan);
        if (result < 0)
            return -1;
        better |= result;
    }
    return better;
}

int vp_defrag_lower(struct vp_defrag_search *search)
{
    struct vp_defrag_cost best;

    vp_defrag_measure(search, &best);
    while (search->trail_count < search->moves_most && !search->gave_up) {
        struct vp_plan *plan = NULL;
        size_t guest = 0;

        for (size_t i = 0; i < search->movable_count; i++) {
            int result = try_guest(search, search->movable[i], &best, &plan);

            if (result < 0) {
                vp_plan_free(plan);
                return -1;
            }
            if (result > 0)
                guest = search->movable[i];
        }
        if (!plan)
            break;
        vp_defrag_move(search, guest, plan);
    }
    return 0;
}
