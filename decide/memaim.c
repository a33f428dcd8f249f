/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/memaim.h"

static int only(const struct vp_cpuset *nodes)
{
    return vp_cpuset_count(nodes) == 1 ? vp_cpuset_next(nodes, -1) : -1;
}

/* Cell by cell; a node that two cells have left for different ones says nothing. */
static void by_cells(const struct vp_guest_numatune *from, const struct vp_memory_bind *to,
                     struct vp_memory_aim *aim)
{
    struct vp_cpuset torn = {0};

    for (size_t i = 0; i < to->cell_count; i++) {
        int was = only(&from->cell[i]), now = only(&to->cell[i].nodes);

        if (was < 0 || was >= VP_NODES_MAX || now < 0)
            continue;
        if (aim->to[was] >= 0 && aim->to[was] != now)
            vp_cpuset_add(&torn, was);
        aim->to[was] = now;
    }
    for (int node = vp_cpuset_next(&torn, -1); node >= 0; node = vp_cpuset_next(&torn, node))
        aim->to[node] = -1;
}

/* The first that it leaves to the first that is new to it, and so on. */
static void by_nodes(const struct vp_guest_numatune *from, struct vp_memory_aim *aim)
{
    struct vp_cpuset left = from->nodes, fresh = aim->nodes;
    int to = -1;

    vp_cpuset_minus(&left, &aim->nodes);
    vp_cpuset_minus(&fresh, &from->nodes);
    if (vp_cpuset_count(&left) != vp_cpuset_count(&fresh))
        return;
    for (int node = vp_cpuset_next(&left, -1); node >= 0 && node < VP_NODES_MAX;
         node = vp_cpuset_next(&left, node)) {
        to = vp_cpuset_next(&fresh, to);
        if (aim->to[node] < 0)
            aim->to[node] = to;
    }
}

void vp_memory_aim_make(const struct vp_guest_numatune *from, const struct vp_memory_bind *to,
                        const struct vp_plan *plan, struct vp_memory_aim *aim)
{
    *aim = (struct vp_memory_aim){.nodes = to->nodes};
    for (int node = 0; node < VP_NODES_MAX; node++)
        aim->to[node] = -1;
    for (size_t i = 0; i < plan->memory_count; i++)
        if (plan->memory[i].node >= 0 && plan->memory[i].node < VP_NODES_MAX)
            aim->want_kib[plan->memory[i].node] = plan->memory[i].kib;
    if (from->cell_count > 0 && from->cell_count == to->cell_count)
        by_cells(from, to, aim);
    by_nodes(from, aim);
}

int vp_memory_aim_at(const struct vp_memory_aim *aim, const uint64_t *have_kib, int from)
{
    int64_t most = INT64_MIN;
    int best = from;

    if (vp_cpuset_has(&aim->nodes, from))
        return from;
    if (from < VP_NODES_MAX && aim->to[from] >= 0)
        return aim->to[from];
    for (int node = vp_cpuset_next(&aim->nodes, -1); node >= 0 && node < VP_NODES_MAX;
         node = vp_cpuset_next(&aim->nodes, node)) {
        int64_t missing = (int64_t)aim->want_kib[node] - (int64_t)have_kib[node];

        if (missing > most) {
            most = missing;
            best = node;
        }
    }
    return best;
}
