/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOST_MEMS_H
#define VP_HOST_MEMS_H

#include <stddef.h>

#include "decide/mems.h"
#include "host/cgroup.h"

struct vp_error;

/* cpuset.mems of a guest's groups. Never in the hook's path: a write to it
 * moves the memory of the whole process, and whoever writes is held by the
 * kernel until that is done. */

/* Reads the guest's groups (`root` is the directory that holds them) and the one
 * above. VP_GONE if they are gone. The caller clears. */
int vp_mems_look(const struct vp_cgroups *cgroups, const char *root, struct vp_mems *mems,
                 struct vp_error *err);

/* The file that a difference stands in: the group's own, else that of the
 * nearest group above it that lacks nodes of diff->wanted; "" if none says so. */
void vp_mems_where(const struct vp_cgroups *cgroups, const char *root,
                   const struct vp_mems_diff *diff, char *where, size_t size);

/* What has to be written, in this order, to put differences right. */
struct vp_mems_write {
    char path[600];
    char text[1024];
};
struct vp_mems_job {
    struct vp_mems_write *write; /* owned */
    size_t count;
};
void vp_mems_job_clear(struct vp_mems_job *job);

/* Adds a difference's group and before it, where that lacks nodes, the guest's
 * own directory. 0, or -1 without memory. */
int vp_mems_job_add(struct vp_mems_job *job, const char *root, const struct vp_mems_diff *diff);

/* Does it in a process of its own, which ends with 0 or with the errno of the
 * first refusal. *fd (the caller closes it) becomes readable when it has ended.
 * Its id, or -1. */
pid_t vp_mems_start(const struct vp_mems_job *job, int *fd, struct vp_error *err);

#endif
