/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vp_plan_free(struct vp_plan *plan)
{
    if (!plan)
        return;
    free(plan->policy);
    free(plan->pool);
    free(plan->memory);
    free(plan->home);
    free(plan->want);
    free(plan);
}

struct vp_plan *vp_plan_copy(const struct vp_plan *plan)
{
    struct vp_plan *copy = malloc(sizeof(*copy));

    if (!copy)
        return NULL;
    *copy = *plan;
    copy->policy = plan->policy ? strdup(plan->policy) : NULL;
    copy->pool = plan->pool ? strdup(plan->pool) : NULL;
    copy->memory = malloc((plan->memory_count + 1) * sizeof(*copy->memory));
    copy->want = malloc((plan->want_count + 1) * sizeof(*copy->want));
    copy->home = malloc((plan->home_count + 1) * sizeof(*copy->home));
    if (!copy->want || !copy->memory || !copy->home || (plan->policy && !copy->policy) ||
        (plan->pool && !copy->pool)) {
        vp_plan_free(copy);
        return NULL;
    }
    if (plan->memory_count > 0)
        memcpy(copy->memory, plan->memory, plan->memory_count * sizeof(*copy->memory));
    if (plan->home_count > 0)
        memcpy(copy->home, plan->home, plan->home_count * sizeof(*copy->home));
    if (plan->want_count > 0)
        memcpy(copy->want, plan->want, plan->want_count * sizeof(*copy->want));
    return copy;
}

int vp_plan_set_home(struct vp_plan *plan, const struct vp_plan *before)
{
    size_t most = before->home_count + before->want_count;
    struct vp_home *home = malloc((most + 1) * sizeof(*home));
    size_t count = 0;

    if (!home)
        return -1;
    for (; count < before->home_count; count++)
        home[count] = before->home[count];
    for (size_t i = 0; before->home_count == 0 && i < before->want_count; i++) {
        const struct vp_want *want = &before->want[i];

        if (want->kind == VP_WANT_SET && vp_cpuset_count(&want->cpus) == 1)
            home[count++] =
                (struct vp_home){want->role, want->index, vp_cpuset_next(&want->cpus, -1)};
    }
    free(plan->home);
    plan->home = home;
    plan->home_count = count;
    return 0;
}

void vp_plan_exclusive(const struct vp_plan *plan, struct vp_cpuset *cpus)
{
    *cpus = plan->vcpu_cpus;
    vp_cpuset_or(cpus, &plan->emulator_cpus);
    vp_cpuset_or(cpus, &plan->iothread_cpus);
    vp_cpuset_or(cpus, &plan->vhost_cpus);
    vp_cpuset_or(cpus, &plan->idle_cpus);
}

/* By the index of the node, as planning has it. */
static void hold_memory(const struct vp_plan *plan, const struct vp_topology *topology,
                        struct vp_holding *holding)
{
    memset(holding->memory_kib, 0, sizeof(holding->memory_kib));
    holding->page_kib = plan->page_kib;
    for (size_t i = 0; i < plan->memory_count; i++)
        for (size_t n = 0; n < topology->node_count && n < VP_NODES_MAX; n++)
            if (topology->node[n].os == plan->memory[i].node)
                holding->memory_kib[n] = plan->memory[i].kib;
}

void vp_plan_hold(const struct vp_plan *plan, const struct vp_topology *topology,
                  struct vp_holding *holding)
{
    vp_plan_exclusive(plan, &holding->exclusive);
    holding->fixed = plan->fixed_cpus;
    holding->no_cpus = vp_cpuset_empty(&holding->exclusive) && vp_cpuset_empty(&holding->fixed);
    holding->uses_pool = vp_plan_uses_pool(plan);
    holding->pool_vcpus = vp_plan_pool_vcpus(plan);
    hold_memory(plan, topology, holding);
    snprintf(holding->pool, sizeof(holding->pool), "%s", plan->pool ? plan->pool : "");
}

bool vp_plan_without_room(const struct vp_plan *plan)
{
    return ((plan->placement == VP_PLACE_DEDICATED || plan->placement == VP_PLACE_MIXED) &&
            vp_cpuset_empty(&plan->vcpu_cpus)) ||
           (plan->placement == VP_PLACE_FIXED && vp_cpuset_empty(&plan->fixed_cpus));
}

bool vp_plan_uses_pool(const struct vp_plan *plan)
{
    for (size_t i = 0; i < plan->want_count; i++)
        if (plan->want[i].kind == VP_WANT_POOL || plan->want[i].kind == VP_WANT_BOTH)
            return true;
    return false;
}

const struct vp_want *vp_plan_find(const struct vp_plan *plan, enum vp_role role, unsigned index)
{
    for (size_t i = 0; i < plan->want_count; i++)
        if (plan->want[i].role == role && plan->want[i].index == index)
            return &plan->want[i];
    return NULL;
}

const struct vp_want *vp_plan_want(const struct vp_plan *plan, enum vp_role role, unsigned index)
{
    const struct vp_want *own = NULL;

    switch (role) {
    case VP_ROLE_VCPU:
    case VP_ROLE_IOTHREAD:
        return vp_plan_find(plan, role, index);
    case VP_ROLE_VHOST:
        own = vp_plan_find(plan, role, index);
        if (own)
            return own;
        break;
    case VP_ROLE_EMULATOR:
    case VP_ROLE_WORKER:
    case VP_ROLE_HELPER:
        break;
    }
    return vp_plan_find(plan, VP_ROLE_EMULATOR, 0);
}

void vp_want_resolve(const struct vp_want *want, const struct vp_cpuset *pool,
                     struct vp_cpuset *cpus)
{
    switch (want->kind) {
    case VP_WANT_NOTHING:
        *cpus = (struct vp_cpuset){0};
        return;
    case VP_WANT_SET:
        *cpus = want->cpus;
        return;
    case VP_WANT_BOTH:
        *cpus = *pool;
        vp_cpuset_or(cpus, &want->cpus);
        return;
    case VP_WANT_POOL:
        break;
    }
    *cpus = *pool;
    if (vp_cpuset_meets(&want->cpus, pool))
        vp_cpuset_and(cpus, &want->cpus);
}

int vp_plan_resolve(const struct vp_plan *plan, const struct vp_cpuset *pool, struct vp_pins *pins)
{
    for (size_t i = 0; i < plan->want_count; i++) {
        const struct vp_want *want = &plan->want[i];
        struct vp_cpuset cpus;

        vp_want_resolve(want, pool, &cpus);
        if (vp_cpuset_empty(&cpus))
            continue;
        if (vp_pins_add(pins, want->role, want->index, &cpus) < 0)
            return -1;
    }
    return 0;
}
