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

bool vp_mems_right(const struct vp_guest_numatune *tune, const struct vp_mems *mems,
                   const struct vp_mems_group *group, struct vp_mems_diff *diff)
{
    const struct vp_cpuset *found = group->set ? &group->mems : &group->effective;

    if (tune->confines && tune->unknown)
        return true;
    *diff = (struct vp_mems_diff){.role = group->role, .index = group->index, .found = *found};
    if (tune->confines) {
        /* the union: a narrower one would move the memory of the whole process */
        all_nodes(tune, &diff->wanted);
        diff->own = !is_libvirts(tune, found);
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
