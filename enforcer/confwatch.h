/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFWATCH_H
#define VP_CONFWATCH_H

struct vp_enforcer;

/* Policies, virtpin.conf and the off switch, by inotify. */
void vp_confwatch_start(struct vp_enforcer *enforcer);

/* Sweep: watches directories that have been made since; where that is not to be
 * had, looks whether a file changed. */
void vp_confwatch_check(struct vp_enforcer *enforcer);

/* Reads the off switch; when it was thrown, says so and lets the guests be
 * looked at. Also each sweep, because it may end by time. */
void vp_confwatch_disabled(struct vp_enforcer *enforcer);

#endif
