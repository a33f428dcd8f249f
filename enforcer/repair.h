/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REPAIR_H
#define VP_REPAIR_H

struct vp_enforcer;
struct vp_watched;

/* One full look at one guest: what its threads have against what they should
 * have; repairs what may be repaired now, records it, and sets the time of
 * the next look where something has to wait. */
void vp_repair_look(struct vp_enforcer *enforcer, struct vp_watched *guest);

#endif
