/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ABOVE_H
#define VP_ABOVE_H

#include <stdbool.h>

struct vp_cgroups;
struct vp_cpuset;
struct vp_diff;
struct vp_error;

/* Kind cpuset-above: the thread's own file is right and a group above keeps
 * CPUs out. Sets diff->where to the file of the group that does, from the
 * mount down; it stays as it was where that is not to be found. `group` is the
 * thread's group. */
void vp_above_where(const struct vp_cgroups *cgroups, const char *group,
                    const struct vp_cpuset *online, struct vp_diff *diff);

/* The group that holds the guest's own (root) lacks CPUs of `wanted` that are
 * online, so that no file of the guest's can have them: on v1 its files were
 * narrowed before it. */
bool vp_above_keeps_out(const struct vp_cgroups *cgroups, const char *root,
                        const struct vp_cpuset *wanted, const struct vp_cpuset *online);

/* Gives every group above `group` the wanted CPUs that are online, from the
 * outermost on: [host] manage-slices. 0, or -1 with what the kernel refused. */
int vp_above_widen(const struct vp_cgroups *cgroups, const char *group,
                   const struct vp_cpuset *wanted, const struct vp_cpuset *online,
                   struct vp_error *err);

#endif
