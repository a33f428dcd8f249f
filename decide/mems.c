/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/mems.h"

#include <stdlib.h>

void vp_mems_clear(struct vp_mems *mems)
{
    free(mems->group);
    *mems = (struct vp_mems){0};
}

/* Every node that the guest's memory may be on. */
static void all_nodes(const struct vp_guest_numatune *tune, struct vp_cpuset *nodes)
{
    *nodes = tune->nodes;
    for (size_t i = 0; i < tune->cell_count; i++)
        vp_cpuset_or(nodes, &tune->cell[i]);
}

/* libvirt before 9.4 writes the nodes of <memory>, later ones those of all
 * cells under strict; a vCPU may have its cell's. */
static bool is_libvirts(const struct vp_guest_numatune *tune, const struct vp_cpuset *found)
{
    struct vp_cpuset all;

    all_nodes(tune, &all);
    if (vp_cpuset_equal(found, &all) || vp_cpuset_equal(found, &tune->nodes))
        return true;
    for (size_t i = 0; i < tune->cell_count; i++)
        if (vp_cpuset_equal(found, &tune->cell[i]))
            return true;
    return false;
}

/* The plan has the memory on other nodes than <numatune>. */
static bool is_moved(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan)
{
    struct vp_cpuset all;

    all_nodes(tune, &all);
    return tune->confines && !vp_cpuset_empty(&plan->nodes) && !vp_cpuset_equal(&all, &plan->nodes);
}

bool vp_mems_follows(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan,
                     const struct vp_mems_group *group)
{
    struct vp_cpuset between;
    bool moved = is_moved(tune, plan);

    if (!tune->confines || tune->unknown || vp_cpuset_empty(&plan->nodes) || !group->set ||
        vp_cpuset_equal(&group->mems, &plan->nodes))
        return false;
    all_nodes(tune, &between);
    vp_cpuset_or(&between, &plan->nodes);
    if (moved && (is_libvirts(tune, &group->mems) || vp_cpuset_equal(&group->mems, &between)))
        return true;
    return !vp_cpuset_empty(&plan->passed) && vp_cpuset_within(&group->mems, &plan->passed) &&
           !is_libvirts(tune, &group->mems);
}

/* What a group of a guest whose memory is bound should have, and whether it has it. */
static bool bound_right(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan,
                        const struct vp_cpuset *found, struct vp_cpuset *wanted)
{
    if (is_moved(tune, plan)) {
        *wanted = plan->nodes;
        return vp_cpuset_equal(found, wanted);
    }
    /* the union: a narrower one would move the memory of the whole process */
    all_nodes(tune, wanted);
    return is_libvirts(tune, found);
}

bool vp_mems_right(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan,
                   const struct vp_mems *mems, const struct vp_mems_group *group,
                   struct vp_mems_diff *diff)
{
    const struct vp_cpuset *found = group->set ? &group->mems : &group->effective;

    if ((tune->confines && tune->unknown) || vp_mems_follows(tune, plan, group))
        return true;
    *diff = (struct vp_mems_diff){.role = group->role, .index = group->index, .found = *found};
    if (tune->confines) {
        diff->own = !bound_right(tune, plan, found, &diff->wanted);
    } else {
        diff->wanted = mems->above;
        diff->own = !vp_cpuset_within(&mems->above, found);
    }
    diff->possible = vp_cpuset_within(&diff->wanted, &mems->above);
    /* unset: what is in force comes from the groups above */
    diff->own = diff->own && group->set;
    if (diff->own)
        return false;
    if (tune->confines && group->set)
        diff->wanted = *found;
    if (vp_cpuset_within(&diff->wanted, &group->effective))
        return true;
    diff->found = group->effective;
    return false;
}
