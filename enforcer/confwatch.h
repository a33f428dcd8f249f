/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFWATCH_H
#define VP_CONFWATCH_H

struct vp_enforcer;
struct vp_error;

/* Policies, virtpin.conf and the off switch, by inotify. */
int vp_confwatch_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* Sweep: watches directories that have been made since. */
void vp_confwatch_check(struct vp_enforcer *enforcer);

/* Reads the off switch; when it was thrown, says so and lets the guests be
 * looked at. Also each sweep, because it may end by time. */
void vp_confwatch_disabled(struct vp_enforcer *enforcer);

#endif
