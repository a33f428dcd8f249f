/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/above.h"

#include <stdio.h>

#include "decide/drift.h"
#include "host/hierarchy.h"

void vp_above_where(const struct vp_cgroups *cgroups, const char *group,
                    const struct vp_cpuset *online, struct vp_diff *diff)
{
    struct vp_levels levels = {0};
    struct vp_cpuset wanted = diff->wanted;
    int level;

    vp_cpuset_and(&wanted, online);
    if (vp_levels_read(cgroups, group, &levels, NULL) < 0)
        return;
    level = vp_levels_narrowing(cgroups, &levels, &wanted, NULL, NULL);
    /* cpuset.cpus is what the operator wrote, whatever file shows the effect */
    if (level >= 0)
        snprintf(diff->where, sizeof(diff->where), "%.498s/cpuset.cpus", levels.item[level].dir);
    vp_levels_clear(&levels);
}
