/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ABOVE_H
#define VP_ABOVE_H

struct vp_cgroups;
struct vp_cpuset;
struct vp_diff;

/* Kind cpuset-above: the thread's own file is right and a group above keeps
 * CPUs out. Sets diff->where to the file of the group that does, from the
 * mount down; it stays as it was where that is not to be found. `group` is the
 * thread's group. */
void vp_above_where(const struct vp_cgroups *cgroups, const char *group,
                    const struct vp_cpuset *online, struct vp_diff *diff);

#endif
