/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_WRITES_H
#define VP_WRITES_H

struct vp_enforcer;
struct vp_error;

/* Writes to cpuset files, by fanotify: one mark on the whole cgroup hierarchy
 * (FAN_MARK_FILESYSTEM, FAN_MODIFY) gives the file and the writer's pid. It
 * needs CAP_SYS_ADMIN (fanotify_init(2)); works on v1 and v2. What narrows a
 * guest from above without a write gives no event: that is the sweep's. */
int vp_writes_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* Takes what is queued: called before a guest is judged by the sweep, so that
 * a write that was just made is known with its writer. */
void vp_writes_drain(struct vp_enforcer *enforcer);

#endif
