/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENFORCER_STRANGERS_H
#define VP_ENFORCER_STRANGERS_H

struct vp_enforcer;

/* Sweep: who else runs on CPUs that guests have for themselves. Every five
 * seconds at most; nobody is moved. Says so in RUN-DIR/strangers. */
void vp_strangers_sweep(struct vp_enforcer *enforcer);

#endif
