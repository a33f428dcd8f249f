/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/kept.h"

#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"

void vp_kept_set(const struct vp_packed *packed, struct vp_cpuset *set)
{
    struct vp_pins pins;

    *set = (struct vp_cpuset){0};
    if (vp_packed_get(packed, &pins) == 0 && pins.count == 1)
        *set = pins.item[0].cpus;
    vp_pins_clear(&pins);
}

static int keep_set(struct vp_packed *packed, const struct vp_cpuset *set)
{
    struct vp_pin pin = {.role = VP_ROLE_VCPU, .cpus = *set};

    return vp_packed_set(packed, &(struct vp_pins){&pin, 1});
}

/* ---- the plan ---- */

void vp_planned_clear(struct vp_planned *kept)
{
    free(kept->iothread);
    free(kept->pool);
    vp_packed_clear(&kept->own);
    vp_packed_clear(&kept->nodes);
    vp_packed_clear(&kept->wants_packed);
    *kept = (struct vp_planned){0};
}

static int take_plan(struct vp_planned *kept, const struct vp_plan *plan)
{
    struct vp_cpuset own;

    kept->iothread = calloc(plan->want_count + 1, sizeof(*kept->iothread));
    if (!kept->iothread)
        return -1;
    for (size_t i = 0; i < plan->want_count; i++)
        if (plan->want[i].role == VP_ROLE_IOTHREAD)
            kept->iothread[kept->iothread_count++] = plan->want[i].index;
    kept->wants = plan->want_count > 0;
    kept->there = true;
    kept->mode = plan->mode;
    kept->without_room = vp_plan_without_room(plan);
    kept->pool = plan->pool ? strdup(plan->pool) : NULL;
    vp_plan_exclusive(plan, &own);
    return (plan->pool && !kept->pool) || keep_set(&kept->own, &own) < 0 ? -1 : 0;
}

static int take_compared(struct vp_planned *kept, const struct vp_plan *plan)
{
    struct vp_cpuset nodes = {0};

    kept->compared = true;
    kept->tuning = plan->tuning;
    for (size_t i = 0; i < plan->memory_count; i++)
        vp_cpuset_add(&nodes, plan->memory[i].node);
    if (plan->mode == VP_MODE_ENFORCE && plan->numatune != VP_MEMORY_KEEP &&
        plan->memory_count > 0 && keep_set(&kept->nodes, &nodes) < 0)
        return -1;
    return vp_packed_wants(&kept->wants_packed, plan);
}

int vp_planned_take(struct vp_planned *kept, const struct vp_plan *plan,
                    const struct vp_plan *compared)
{
    vp_planned_clear(kept);
    if (plan && take_plan(kept, plan) < 0)
        return -1;
    return compared ? take_compared(kept, compared) : 0;
}

/* ---- the domain ---- */

void vp_known_clear(struct vp_known *kept)
{
    free(kept->partition);
    free(kept->iothread);
    vp_packed_clear(&kept->pins);
    if (kept->numatune)
        free(kept->numatune->cell);
    free(kept->numatune);
    *kept = (struct vp_known){0};
}

int vp_known_take(struct vp_known *kept, struct vp_domain *domain)
{
    struct vp_guest_numatune *numatune = &domain->numatune;

    vp_known_clear(kept);
    kept->partition = VP_STEAL(domain->partition);
    kept->iothread = VP_STEAL(domain->iothread);
    kept->iothread_count = domain->iothread_count;
    if (numatune->confines || numatune->unknown || numatune->cell_count > 0) {
        kept->numatune = malloc(sizeof(*kept->numatune));
        if (!kept->numatune)
            return -1;
        *kept->numatune = *numatune;
        *numatune = (struct vp_guest_numatune){0};
    }
    return vp_packed_set(&kept->pins, &domain->pins);
}
