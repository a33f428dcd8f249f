/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HIERARCHY_H
#define VP_HIERARCHY_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/cpuset.h"
#include "host/cgroup.h"

struct vp_error;

/* cgroup hierarchies as a whole, through libcgroup: for the enforcer and the
 * command line, never for the hook (libcgroup's start costs more than the
 * hook). Its error numbers end here. */

/* One mount and the controllers that it carries. */
struct vp_hierarchy {
    enum vp_cgroup_version version;
    char mount[256];
    char controllers[256]; /* "cpu,cpuacct"; "" for a v2 mount without any */
};

struct vp_hierarchies {
    struct vp_hierarchy *item;
    size_t count;
};

/* What is mounted now, each mount once, in the order of the mount table.
 * Named v1 hierarchies (name=systemd) carry no controller and are left out,
 * and so is a v2 mount without controllers. The caller clears. VP_HOST. */
int vp_hierarchies_list(struct vp_hierarchies *list, struct vp_error *err);
void vp_hierarchies_clear(struct vp_hierarchies *list);

/* One group on the way from the mount to a guest's. */
struct vp_level {
    char dir[512];
    bool set;                   /* its cpuset.cpus is there and not empty */
    struct vp_cpuset cpus;      /* cpuset.cpus */
    struct vp_cpuset effective; /* what is in force there */
};

struct vp_levels {
    struct vp_level *item; /* the mount itself first, `dir` last */
    size_t count;
};

/* Every group from the mount down to dir (inclusive), an absolute directory
 * below cgroups->mount (VP_INPUT otherwise). A level without cpuset files
 * (v2: not enabled there) has what is in force above it. VP_GONE if a group
 * has gone meanwhile. The caller clears. */
int vp_levels_read(const struct vp_cgroups *cgroups, const char *dir, struct vp_levels *levels,
                   struct vp_error *err);
void vp_levels_clear(struct vp_levels *levels);

/* Which level keeps CPUs of `wanted` out: the outermost whose effective set
 * lacks one that the level above has. -1 if none does. *file (may be NULL):
 * the name of the file that says so, *value (may be NULL) its set. Pure.
 * Pass wanted less what is offline: the mount itself lacks those. */
int vp_levels_narrowing(const struct vp_cgroups *cgroups, const struct vp_levels *levels,
                        const struct vp_cpuset *wanted, const char **file, struct vp_cpuset *value);

/* Adds `wanted` to the cpuset.cpus of each level but the mount and the last that
 * has one without it, from the outermost on. 0, or -1 at the first that the
 * kernel refuses. */
int vp_levels_widen(const struct vp_cgroups *cgroups, const struct vp_levels *levels,
                    const struct vp_cpuset *wanted, struct vp_error *err);

#endif
