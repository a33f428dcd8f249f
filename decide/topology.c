/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/topology.h"

#include <stdlib.h>
#include <string.h>

#include "decide/error.h"

struct vp_topology *vp_topology_new(void)
{
    return calloc(1, sizeof(struct vp_topology));
}

static void free_derived(struct vp_topology *topology)
{
    free(topology->at);
    free(topology->core);
    free(topology->l3);
    free(topology->kind);
    topology->at = NULL;
    topology->core = NULL;
    topology->l3 = NULL;
    topology->kind = NULL;
}

void vp_topology_free(struct vp_topology *topology)
{
    if (!topology)
        return;
    free_derived(topology);
    free(topology->pu);
    free(topology->node);
    free(topology);
}

static int compare_pu(const void *a, const void *b)
{
    const struct vp_pu *left = a, *right = b;

    return (left->cpu > right->cpu) - (left->cpu < right->cpu);
}

static bool is_index(int value)
{
    return value >= 0 && value < VP_CPU_MAX;
}

static int check_pu(const struct vp_topology *topology, size_t i, struct vp_error *err)
{
    const struct vp_pu *pu = &topology->pu[i];

    if (!is_index(pu->cpu))
        return vp_fail(err, VP_INPUT, "CPU number %d, legal 0 to %d", pu->cpu, VP_CPU_MAX - 1);
    if (i > 0 && topology->pu[i - 1].cpu == pu->cpu)
        return vp_fail(err, VP_INPUT, "CPU %d is listed twice", pu->cpu);
    if (!is_index(pu->core) || !is_index(pu->l3) || !is_index(pu->package) || !is_index(pu->kind))
        return vp_fail(err, VP_INPUT, "CPU %d: core %d, L3 %d, package %d, kind %d, legal 0 to %d",
                       pu->cpu, pu->core, pu->l3, pu->package, pu->kind, VP_CPU_MAX - 1);
    if (pu->node < 0 || (size_t)pu->node >= topology->node_count)
        return vp_fail(err, VP_INPUT, "CPU %d is on node index %d of %zu nodes", pu->cpu, pu->node,
                       topology->node_count);
    return 0;
}

static int check_nodes(const struct vp_topology *topology, struct vp_error *err)
{
    struct vp_cpuset seen = {0};

    if (topology->count == 0)
        return vp_fail(err, VP_INPUT, "a host without an online CPU");
    for (size_t i = 0; i < topology->node_count; i++) {
        int os = topology->node[i].os;

        if (!is_index(os))
            return vp_fail(err, VP_INPUT, "node number %d, legal 0 to %d", os, VP_CPU_MAX - 1);
        if (vp_cpuset_has(&seen, os))
            return vp_fail(err, VP_INPUT, "node %d is listed twice", os);
        vp_cpuset_add(&seen, os);
    }
    return 0;
}

static void raise_to(size_t *count, int index)
{
    if ((size_t)index >= *count)
        *count = (size_t)index + 1;
}

static void count_objects(struct vp_topology *topology)
{
    topology->core_count = topology->l3_count = 0;
    topology->package_count = topology->kind_count = 0;
    for (size_t i = 0; i < topology->count; i++) {
        raise_to(&topology->core_count, topology->pu[i].core);
        raise_to(&topology->l3_count, topology->pu[i].l3);
        raise_to(&topology->package_count, topology->pu[i].package);
        raise_to(&topology->kind_count, topology->pu[i].kind);
    }
}

/* Placement counts whole cores per node and L3, so a core must not lie in two
 * of them. */
static int add_pu(struct vp_topology *topology, size_t i, struct vp_error *err)
{
    const struct vp_pu *pu = &topology->pu[i];
    struct vp_cpuset *core = &topology->core[pu->core];
    int other = vp_cpuset_next(core, -1);

    topology->at[pu->cpu] = (int16_t)i;
    vp_cpuset_add(&topology->online, pu->cpu);
    vp_cpuset_add(core, pu->cpu);
    vp_cpuset_add(&topology->l3[pu->l3], pu->cpu);
    vp_cpuset_add(&topology->kind[pu->kind], pu->cpu);
    vp_cpuset_add(&topology->node[pu->node].cpus, pu->cpu);
    if (other < 0)
        return 0;
    topology->smt = true;
    const struct vp_pu *sibling = &topology->pu[topology->at[other]];
    if (sibling->node != pu->node || sibling->l3 != pu->l3 || sibling->package != pu->package)
        return vp_fail(err, VP_INPUT,
                       "CPUs %d and %d are one core but not in one node, L3, package", other,
                       pu->cpu);
    return 0;
}

int vp_topology_build(struct vp_topology *topology, struct vp_error *err)
{
    free_derived(topology);
    if (check_nodes(topology, err) < 0)
        return -1;
    qsort(topology->pu, topology->count, sizeof(*topology->pu), compare_pu);
    for (size_t i = 0; i < topology->count; i++)
        if (check_pu(topology, i, err) < 0)
            return -1;
    count_objects(topology);
    topology->at = malloc(VP_CPU_MAX * sizeof(*topology->at));
    topology->core = calloc(topology->core_count, sizeof(*topology->core));
    topology->l3 = calloc(topology->l3_count, sizeof(*topology->l3));
    topology->kind = calloc(topology->kind_count, sizeof(*topology->kind));
    if (!topology->at || !topology->core || !topology->l3 || !topology->kind)
        return vp_fail(err, VP_HOST, "no memory for a host of %zu CPUs", topology->count);
    memset(topology->at, -1, VP_CPU_MAX * sizeof(*topology->at));
    topology->online = (struct vp_cpuset){0};
    topology->smt = false;
    for (size_t i = 0; i < topology->node_count; i++)
        topology->node[i].cpus = (struct vp_cpuset){0};
    for (size_t i = 0; i < topology->count; i++)
        if (add_pu(topology, i, err) < 0)
            return -1;
    return 0;
}

const struct vp_pu *vp_topology_pu(const struct vp_topology *topology, int cpu)
{
    if (cpu < 0 || cpu >= VP_CPU_MAX || topology->at[cpu] < 0)
        return NULL;
    return &topology->pu[topology->at[cpu]];
}
