/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/guestnuma.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/cgroupfile.h"

/* A node's row has a column for each node that is online, in their order. */
static bool read_row(const char *nodes_dir, const struct vp_cpuset *online, int from,
                     const int *node, unsigned count, unsigned char *row)
{
    char path[300], text[4096], *at = text, *end;
    unsigned found = 0;

    snprintf(path, sizeof(path), "%.250s/node%d/distance", nodes_dir, from);
    if (vp_file_read(AT_FDCWD, path, text, sizeof(text)) < 0)
        return false;
    for (int to = vp_cpuset_next(online, -1); to >= 0; to = vp_cpuset_next(online, to)) {
        unsigned long value = strtoul(at, &end, 10);

        if (end == at)
            return false;
        at = end;
        for (unsigned i = 0; i < count; i++)
            if (node[i] == to && value >= 10 && value < 255) {
                row[i] = (unsigned char)value;
                found++;
            }
    }
    return found == count;
}

bool vp_numa_distances(const char *nodes_dir, const int *node, unsigned count,
                       struct vp_numa_facts *facts)
{
    struct vp_cpuset online;
    char path[300], text[256];

    snprintf(path, sizeof(path), "%.250s/online", nodes_dir);
    if (vp_file_read(AT_FDCWD, path, text, sizeof(text)) < 0 ||
        vp_cpuset_parse_kernel(&online, text, NULL) < 0)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (!read_row(nodes_dir, &online, node[i], node, count, facts->distance[i]))
            return false;
    return true;
}

static int by_number(const void *left, const void *right)
{
    int a = *(const int *)left, b = *(const int *)right;

    return (a > b) - (a < b);
}

/* The kernel's number of the node that has all of these CPUs; -1: several, or none. */
static int node_of(const struct vp_topology *topology, const struct vp_cpuset *cpus)
{
    for (size_t i = 0; i < topology->node_count; i++)
        if (!vp_cpuset_empty(cpus) && vp_cpuset_within(cpus, &topology->node[i].cpus))
            return topology->node[i].os;
    return -1;
}

/* The nodes that the vCPUs' sets meet, ascending. */
static unsigned nodes_met(const struct vp_topology *topology, const struct vp_cpuset *cpus,
                          int node[VP_CELLS_MAX])
{
    unsigned count = 0;

    for (size_t i = 0; i < topology->node_count; i++) {
        if (!vp_cpuset_meets(cpus, &topology->node[i].cpus))
            continue;
        if (count == VP_CELLS_MAX)
            return 0;
        node[count++] = topology->node[i].os;
    }
    qsort(node, count, sizeof(*node), by_number);
    return count;
}

/* Which cell is whose, where every vCPU is on one node. */
static bool map(const struct vp_topology *topology, const struct vp_plan *plan, const int *node,
                struct vp_numa_facts *facts)
{
    for (size_t i = 0; i < plan->want_count; i++) {
        int on = node_of(topology, &plan->want[i].cpus);

        if (plan->want[i].role != VP_ROLE_VCPU)
            continue;
        if (on < 0)
            return false;
        for (unsigned cell = 0; cell < facts->count; cell++)
            if (node[cell] == on)
                vp_cpuset_add(&facts->vcpus[cell], (int)plan->want[i].index);
    }
    return true;
}

static void take_plan(const struct vp_engine *engine, const struct vp_plan *plan,
                      const char *nodes_dir, struct vp_numa_facts *facts)
{
    struct vp_cpuset all = {0};
    int node[VP_CELLS_MAX];

    for (size_t i = 0; i < plan->want_count; i++) {
        if (plan->want[i].role != VP_ROLE_VCPU)
            continue;
        if (plan->want[i].kind != VP_WANT_SET)
            return;
        vp_cpuset_or(&all, &plan->want[i].cpus);
    }
    facts->count = nodes_met(engine->topology, &all, node);
    /* Elsewhere the guest may come to lie on other nodes at its next start. */
    if (plan->placement == VP_PLACE_FIXED)
        facts->mapped = map(engine->topology, plan, node, facts);
    if (nodes_dir && facts->count > 1)
        facts->has_distance = vp_numa_distances(nodes_dir, node, facts->count, facts);
}

int vp_engine_numa_facts(struct vp_engine *engine, const struct vp_domain *domain,
                         const struct vp_choice *choice, const char *nodes_dir,
                         struct vp_numa_facts *facts, struct vp_error *err)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;

    memset(facts, 0, sizeof(*facts));
    if (!choice->policy || choice->policy->guest_numa != VP_GUEST_NUMA_AUTO)
        return 0;
    switch (vp_engine_would(engine, domain, choice, &plan, NULL, NULL, err)) {
    case VP_PLAN_OK:
        if (plan)
            take_plan(engine, plan, nodes_dir, facts);
        return 0;
    case VP_PLAN_REFUSED: /* said where the guest is placed */
        if (err)
            *err = (struct vp_error){0};
        return 0;
    case VP_PLAN_FAILED:
        break;
    }
    return -1;
}
