/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TUNELOOK_H
#define VP_TUNELOOK_H

#include <stdint.h>

struct vp_enforcer;
struct vp_watched;

/* Shares, period, quota and schedulers of a guest against its plan: recorded
 * and put back as pins are. A part of a full look, after its repair and before
 * what was not seen any more is closed. */
void vp_tunelook(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us);

#endif
