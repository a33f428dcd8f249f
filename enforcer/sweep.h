/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SWEEP_H
#define VP_SWEEP_H

struct vp_enforcer;
struct vp_error;

/* The timer of [host] sweep: what gives no event (a narrowing from above) is
 * found by it, and what was missed elsewhere. */
int vp_sweep_start(struct vp_enforcer *enforcer, struct vp_error *err);

/* Brings the next sweep forward where the pace has become quicker since it was set. */
void vp_sweep_hasten(struct vp_enforcer *enforcer);

#endif
