/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_REPAIR_H
#define VP_REPAIR_H

struct vp_enforcer;
struct vp_watched;

/* One full look at one guest: what its threads have against what they should
 * have; repairs what may be repaired now, records it, and sets the time of
 * the next look where something has to wait. */
void vp_repair_look(struct vp_enforcer *enforcer, struct vp_watched *guest);

/* What somebody just wrote or called for, before anything else is looked at:
 * only the threads that it was about. The guest is due for a full look after
 * that, at once where one thread is not enough to judge by. */
void vp_repair_first(struct vp_enforcer *enforcer, struct vp_watched *guest);

#endif
