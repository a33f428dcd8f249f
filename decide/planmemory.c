/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of guests on nodes: what is left, and what a plan takes. */
#include <stdlib.h>

#include "decide/plan_priv.h"

/* The host's default size of huge pages is not known here: it is the smallest
 * that it has a pool of, 2 MiB where it has none. */
uint64_t vp_plan_page_kib(const struct vp_plan_input *in)
{
    uint64_t least = 0;

    if (!in->domain->huge_pages)
        return 0;
    if (in->domain->page_kib > 0)
        return in->domain->page_kib;
    for (size_t n = 0; n < in->topology->node_count; n++)
        for (int i = 0; i < VP_HUGE_SIZES && in->topology->node[n].huge[i].size_kib > 0; i++)
            if (least == 0 || in->topology->node[n].huge[i].size_kib < least)
                least = in->topology->node[n].huge[i].size_kib;
    return least > 0 ? least : 2048;
}

static void lose(uint64_t *kib, uint64_t taken)
{
    *kib = *kib > taken ? *kib - taken : 0;
}

/* A node's pool of that size; its normal memory for 0. */
static uint64_t node_total(const struct vp_plan_input *in, const struct vp_node *node,
                           uint64_t page_kib)
{
    uint64_t normal = node->memory_kib, huge = 0;

    for (int i = 0; i < VP_HUGE_SIZES && node->huge[i].size_kib > 0; i++) {
        lose(&normal, node->huge[i].size_kib * node->huge[i].count);
        if (node->huge[i].size_kib == page_kib)
            huge = node->huge[i].size_kib * node->huge[i].count;
    }
    if (page_kib > 0)
        return huge;
    lose(&normal, in->set->host.reserved_memory_kib);
    return normal;
}

int vp_plan_free_memory(const struct vp_making *m, uint64_t **kib)
{
    const struct vp_plan_input *in = m->in;
    uint64_t page = vp_plan_page_kib(in);

    *kib = NULL;
    if (in->policy->memory == VP_MEMORY_KEEP || !in->topology->memory_known)
        return 0;
    *kib = calloc(in->topology->node_count + 1, sizeof(**kib));
    if (!*kib)
        return -1;
    for (size_t n = 0; n < in->topology->node_count; n++)
        (*kib)[n] = node_total(in, &in->topology->node[n], page);
    for (size_t i = 0; i < in->holding_count; i++) {
        const struct vp_holding *holding = &in->holding[i];

        if (holding->page_kib != page || vp_plan_is_own(in, holding))
            continue;
        for (size_t n = 0; n < in->topology->node_count && n < VP_NODES_MAX; n++)
            lose(&(*kib)[n], holding->memory_kib[n]);
    }
    return 0;
}

static void note(struct vp_plan *plan, const struct vp_node *node, uint64_t kib)
{
    if (kib > 0)
        plan->memory[plan->memory_count++] = (struct vp_node_memory){node->os, kib};
}

/* Where memory sets no limit it still lies somewhere: by the first touch, on
 * the nodes of the vCPUs, which is what guests placed later find missing. */
static void share_out(struct vp_plan *plan, const struct vp_plan_input *in)
{
    unsigned all = vp_cpuset_count(&plan->vcpu_cpus);

    for (size_t n = 0; n < in->topology->node_count && all > 0; n++) {
        struct vp_cpuset here = in->topology->node[n].cpus;

        vp_cpuset_and(&here, &plan->vcpu_cpus);
        note(plan, &in->topology->node[n],
             (uint64_t)((unsigned __int128)in->domain->memory_kib * vp_cpuset_count(&here) / all));
    }
}

int vp_plan_bear_memory(struct vp_making *m, const struct vp_place_answer *answer)
{
    struct vp_plan *plan = m->plan;
    const struct vp_topology *topology = m->in->topology;

    if (!topology->memory_known)
        return 0;
    plan->memory = calloc(topology->node_count + 1, sizeof(*plan->memory));
    if (!plan->memory)
        return -1;
    plan->page_kib = vp_plan_page_kib(m->in);
    plan->numatune = m->in->policy->memory;
    if (!answer->memory_kib)
        share_out(plan, m->in);
    for (size_t n = 0; answer->memory_kib && n < topology->node_count; n++)
        note(plan, &topology->node[n], answer->memory_kib[n]);
    return 0;
}
