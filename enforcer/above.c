/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/above.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "decide/drift.h"
#include "decide/error.h"
#include "host/cgroupfile.h"
#include "host/hierarchy.h"

void vp_above_where(const struct vp_cgroups *cgroups, const char *group,
                    const struct vp_cpuset *online, struct vp_diff *diff)
{
    struct vp_levels levels = {0};
    struct vp_cpuset wanted = diff->wanted, value;
    const char *file = NULL;
    int level;

    vp_cpuset_and(&wanted, online);
    if (vp_levels_read(cgroups, group, &levels, NULL) < 0)
        return;
    level = vp_levels_narrowing(cgroups, &levels, &wanted, &file, &value);
    if (level >= 0) {
        snprintf(diff->where, sizeof(diff->where), "%.480s/%.30s", levels.item[level].dir, file);
        diff->found = value;
        /* Its own file has them: they went to a partition beside it. */
        if (strcmp(file, "cpuset.cpus.effective") == 0)
            diff->kind = VP_DRIFT_PARTITION;
    }
    vp_levels_clear(&levels);
}

bool vp_above_keeps_out(const struct vp_cgroups *cgroups, const char *root,
                        const struct vp_cpuset *wanted, const struct vp_cpuset *online)
{
    struct vp_cpuset above, here = *wanted;
    char dir[PATH_MAX], *slash;

    snprintf(dir, sizeof(dir), "%.*s", PATH_MAX - 1, root);
    slash = strrchr(dir, '/');
    if (!slash)
        return false;
    *slash = '\0';
    vp_cpuset_and(&here, online);
    return vp_cpus_at_effective(cgroups, AT_FDCWD, dir, &above) == 0 &&
           !vp_cpuset_within(&here, &above);
}

int vp_above_widen(const struct vp_cgroups *cgroups, const char *group,
                   const struct vp_cpuset *wanted, const struct vp_cpuset *online,
                   struct vp_error *err)
{
    struct vp_cpuset here = *wanted;
    struct vp_levels levels = {0};
    int result;

    vp_cpuset_and(&here, online);
    result = vp_levels_read(cgroups, group, &levels, err);
    if (result == 0)
        result = vp_levels_widen(cgroups, &levels, &here, err);
    vp_levels_clear(&levels);
    return result;
}
