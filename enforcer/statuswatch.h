/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_STATUSWATCH_H
#define VP_STATUSWATCH_H

struct vp_enforcer;

/* libvirt's status directory, by inotify: a file moved there is a start, a
 * plug, an unplug, a pin or a job that changed; one deleted is a stop. At the
 * start and at each sweep: watches the directory once libvirt has made it
 * (again); where it cannot, every guest is due. */
void vp_statuswatch_check(struct vp_enforcer *enforcer);

#endif
