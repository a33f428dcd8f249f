/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_STATUSWATCH_H
#define VP_STATUSWATCH_H

struct vp_enforcer;
struct vp_error;

/* libvirt's status directory, by inotify: a file moved there is a start, a
 * plug, an unplug, a pin or a job that changed; one deleted is a stop. */
int vp_statuswatch_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* Sweep: watches the directory once libvirt has made it (again). */
void vp_statuswatch_check(struct vp_enforcer *enforcer);

#endif
