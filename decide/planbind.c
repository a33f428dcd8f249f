/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A plan as it can stand in a definition: pins on CPUs of the guest's own, nodes of memory. */
#include <stdlib.h>

#include "decide/plan.h"

int vp_plan_own_pins(const struct vp_plan *plan, struct vp_pins *pins)
{
    for (size_t i = 0; i < plan->want_count; i++)
        if (plan->want[i].kind == VP_WANT_SET &&
            vp_pins_add(pins, plan->want[i].role, plan->want[i].index, &plan->want[i].cpus) < 0)
            return -1;
    return 0;
}

/* Nodes of the CPUs of a cell's vCPUs; empty where one of them shares. */
static void cell_nodes(const struct vp_plan *plan, const struct vp_topology *topology,
                       const struct vp_guest_cell *cell, struct vp_cpuset *nodes)
{
    *nodes = (struct vp_cpuset){0};
    for (int v = vp_cpuset_next(&cell->vcpus, -1); v >= 0; v = vp_cpuset_next(&cell->vcpus, v)) {
        const struct vp_want *want = vp_plan_find(plan, VP_ROLE_VCPU, (unsigned)v);

        if (!want || want->kind != VP_WANT_SET) {
            *nodes = (struct vp_cpuset){0};
            return;
        }
        for (size_t n = 0; n < topology->node_count; n++)
            if (vp_cpuset_meets(&topology->node[n].cpus, &want->cpus))
                vp_cpuset_add(nodes, topology->node[n].os);
    }
}

int vp_plan_bind(const struct vp_plan *plan, const struct vp_topology *topology,
                 const struct vp_domain *domain, struct vp_memory_bind *bind)
{
    *bind = (struct vp_memory_bind){.mode = plan->numatune};
    if (plan->numatune == VP_MEMORY_KEEP)
        return 0;
    for (size_t i = 0; i < plan->memory_count; i++)
        vp_cpuset_add(&bind->nodes, plan->memory[i].node);
    if (domain->cell_count < 2)
        return 0;
    bind->cell = calloc(domain->cell_count, sizeof(*bind->cell));
    if (!bind->cell)
        return -1;
    for (size_t i = 0; i < domain->cell_count; i++) {
        struct vp_memory_cell *cell = &bind->cell[bind->cell_count++];

        cell->id = domain->cell[i].id;
        cell_nodes(plan, topology, &domain->cell[i], &cell->nodes);
        if (vp_cpuset_empty(&cell->nodes)) {
            bind->cell_count = 0; /* all of them or none */
            break;
        }
        vp_cpuset_or(&bind->nodes, &cell->nodes);
    }
    return 0;
}

void vp_memory_bind_clear(struct vp_memory_bind *bind)
{
    free(bind->cell);
    *bind = (struct vp_memory_bind){0};
}
