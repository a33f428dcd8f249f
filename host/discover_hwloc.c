/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/discover_hwloc.h"

#include <stdlib.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"

/* hwloc lists the pages of a node by size; the smallest are the normal ones. */
static void add_huge_pages(hwloc_obj_t node, struct vp_node *to)
{
    int at = 0;

    for (unsigned i = 1; i < node->attr->numanode.page_types_len && at < VP_HUGE_SIZES; i++) {
        if (node->attr->numanode.page_types[i].count == 0)
            continue;
        to->huge[at++] =
            (struct vp_huge_pages){.size_kib = node->attr->numanode.page_types[i].size / 1024,
                                   .count = node->attr->numanode.page_types[i].count};
    }
}

static int add_nodes(hwloc_topology_t hwloc, struct vp_topology *topology, size_t pus,
                     struct vp_error *err)
{
    int count = hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_NUMANODE);

    if (count < 1 || count > VP_CPU_MAX)
        return vp_fail(err, VP_INPUT, "%d NUMA nodes, legal 1 to %d", count, VP_CPU_MAX);
    /* Each PU may name one that has no object, see unlisted_node. */
    topology->node = calloc((size_t)count + pus, sizeof(*topology->node));
    if (!topology->node)
        return vp_fail(err, VP_HOST, "no memory for %d nodes", count);
    topology->node_count = (size_t)count;
    for (int i = 0; i < count; i++) {
        hwloc_obj_t node = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, (unsigned)i);
        struct vp_node *to = &topology->node[i];

        if (node->os_index >= VP_CPU_MAX)
            return vp_fail(err, VP_INPUT, "node number %u, legal 0 to %d", node->os_index,
                           VP_CPU_MAX - 1);
        to->os = (int)node->os_index;
        to->memory_kib = node->attr->numanode.local_memory / 1024;
        add_huge_pages(node, to);
        if (to->memory_kib > 0)
            topology->memory_known = true;
    }
    return 0;
}

/* The node of a PU: the narrowest that holds it. Where two are local to the
 * same CPUs (DRAM and high bandwidth or device memory) the kernel counts the
 * CPUs to the lower number. -1 if there is none. */
static int node_of(hwloc_topology_t hwloc, const struct vp_topology *topology, unsigned cpu)
{
    int best = -1, best_weight = 0;
    hwloc_obj_t node = NULL;

    while ((node = hwloc_get_next_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, node))) {
        unsigned i = node->logical_index;
        int weight;

        if (!hwloc_bitmap_isset(node->cpuset, cpu))
            continue;
        weight = hwloc_bitmap_weight(node->cpuset);
        if (best < 0 || weight < best_weight ||
            (weight == best_weight && topology->node[i].os < topology->node[best].os)) {
            best = (int)i;
            best_weight = weight;
        }
    }
    return best;
}

/* XML written inside a cpuset has no object for a node whose memory was
 * disallowed, only its number: such a node is added, without memory. */
static int unlisted_node(struct vp_topology *topology, hwloc_obj_t pu)
{
    int os = pu->complete_nodeset ? hwloc_bitmap_first(pu->complete_nodeset) : -1;

    if (os < 0 || os >= VP_CPU_MAX)
        return -1;
    for (size_t i = 0; i < topology->node_count; i++)
        if (topology->node[i].os == os)
            return (int)i;
    topology->node[topology->node_count].os = os;
    return (int)topology->node_count++;
}

static int kind_of(hwloc_topology_t hwloc, hwloc_obj_t pu)
{
    int kind = hwloc_cpukinds_get_by_cpuset(hwloc, pu->cpuset, 0);
    int efficiency = -1;

    if (kind < 0 ||
        hwloc_cpukinds_get_info(hwloc, (unsigned)kind, NULL, &efficiency, NULL, NULL, 0) < 0)
        return 0;
    return efficiency < 0 ? 0 : efficiency;
}

/* The indices of one kind of object, given out in the order of first use. */
struct numbering {
    hwloc_obj_t *seen;
    int count;
};

static int number(struct numbering *numbering, hwloc_obj_t object)
{
    for (int i = numbering->count; i-- > 0;)
        if (numbering->seen[i] == object)
            return i;
    numbering->seen[numbering->count] = object;
    return numbering->count++;
}

struct walk {
    hwloc_topology_t hwloc;
    struct vp_topology *topology;
    struct numbering l3, package;
    hwloc_obj_t core; /* of the PU before */
    int core_count;
};

/* PUs come in hwloc's logical order, so an object's PUs are neighbours. Some
 * machines have no core, package or (all or part of them) no L3 objects: the
 * PU itself, the machine and the package stand in. */
static int add_pu(struct walk *walk, hwloc_obj_t obj, struct vp_error *err)
{
    struct vp_topology *topology = walk->topology;
    hwloc_topology_t hwloc = walk->hwloc;
    struct vp_pu *pu = &topology->pu[topology->count];
    hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_CORE, obj);
    hwloc_obj_t package = hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_PACKAGE, obj);
    hwloc_obj_t l3 = hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_L3CACHE, obj);

    if (obj->os_index >= VP_CPU_MAX)
        return vp_fail(err, VP_INPUT, "CPU number %u, legal 0 to %d", obj->os_index,
                       VP_CPU_MAX - 1);
    if (!core)
        core = obj;
    if (!package)
        package = hwloc_get_root_obj(hwloc);
    pu->cpu = (int)obj->os_index;
    pu->package = number(&walk->package, package);
    pu->l3 = number(&walk->l3, l3 ? l3 : package);
    pu->node = node_of(hwloc, topology, obj->os_index);
    if (pu->node < 0)
        pu->node = unlisted_node(topology, obj);
    if (pu->node < 0)
        return vp_fail(err, VP_INPUT, "CPU %d is on no NUMA node", pu->cpu);
    /* A synthetic node may be smaller than a core: then the core is cut. */
    if (core != walk->core || pu[-1].node != pu->node)
        walk->core_count++;
    walk->core = core;
    pu->core = walk->core_count - 1;
    pu->kind = kind_of(hwloc, obj);
    topology->count++;
    return 0;
}

static int add_pus(hwloc_topology_t hwloc, struct vp_topology *topology, size_t count,
                   struct vp_error *err)
{
    struct walk walk = {.hwloc = hwloc, .topology = topology};
    VP_AUTO(free) hwloc_obj_t *seen = NULL;

    seen = calloc(count * 2, sizeof(*seen));
    topology->pu = calloc(count, sizeof(*topology->pu));
    if (!seen || !topology->pu)
        return vp_fail(err, VP_HOST, "no memory for %zu CPUs", count);
    walk.l3.seen = seen;
    walk.package.seen = seen + count;
    for (size_t i = 0; i < count; i++)
        if (add_pu(&walk, hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_PU, (unsigned)i), err) < 0)
            return -1;
    return 0;
}

static int add_offline(hwloc_topology_t hwloc, struct vp_topology *topology, struct vp_error *err)
{
    hwloc_const_bitmap_t complete = hwloc_topology_get_complete_cpuset(hwloc);
    int last = complete ? hwloc_bitmap_last(complete) : -1;

    if (last >= VP_CPU_MAX)
        return vp_fail(err, VP_INPUT, "CPU number %d, legal 0 to %d", last, VP_CPU_MAX - 1);
    for (int cpu = 0; cpu <= last; cpu++)
        if (hwloc_bitmap_isset(complete, (unsigned)cpu) && !vp_cpuset_has(&topology->online, cpu))
            vp_cpuset_add(&topology->offline, cpu);
    return 0;
}

int vp_hwloc_fill(hwloc_topology_t hwloc, struct vp_topology *topology, struct vp_error *err)
{
    int pus = hwloc_get_nbobjs_by_type(hwloc, HWLOC_OBJ_PU);

    if (pus < 1 || pus > VP_CPU_MAX)
        return vp_fail(err, VP_INPUT, "%d CPUs, legal 1 to %d", pus, VP_CPU_MAX);
    if (add_nodes(hwloc, topology, (size_t)pus, err) < 0 ||
        add_pus(hwloc, topology, (size_t)pus, err) < 0 || vp_topology_build(topology, err) < 0)
        return -1;
    return add_offline(hwloc, topology, err);
}
