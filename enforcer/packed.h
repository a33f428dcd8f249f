/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PACKED_H
#define VP_PACKED_H

#include <stddef.h>

#include "decide/pins.h"
#include "decide/plan.h"

/* Pins as they are kept between looks: a set of CPUs has room for 8192 of them,
 * a host a few words of that, and a thousand guests have 16,000 sets. */
struct vp_packed {
    unsigned char *bytes; /* owned */
    size_t size, count;
};

/* *packed is replaced. 0, or -1 without memory: then it stays as it is. */
int vp_packed_set(struct vp_packed *packed, const struct vp_pins *pins);
/* The same of what a plan wants, the pool not filled in yet; NULL: nothing. */
int vp_packed_wants(struct vp_packed *packed, const struct vp_plan *plan);
/* Wants as pins, as vp_plan_resolve makes them of the plan. The caller clears
 * *pins. 0, or -1 without memory. */
int vp_packed_resolve(const struct vp_packed *packed, const struct vp_cpuset *pool,
                      struct vp_pins *pins);
/* The pins again, in their order; the caller clears *pins. 0, or -1 without memory. */
int vp_packed_get(const struct vp_packed *packed, struct vp_pins *pins);
void vp_packed_clear(struct vp_packed *packed);

#endif
