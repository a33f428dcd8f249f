/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MEMFOLLOW_H
#define VP_MEMFOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "decide/mems.h"

struct vp_enforcer;
struct vp_watched;

/* Memory that follows its guest: where the policy says `memory` and the plan has
 * the guest on other nodes than its pages, these are taken there by a process of
 * its own, one guest at a time. What was left undone, at the enforcer's end or
 * because nodes were full, is taken up again. */
struct vp_memfollow {
    struct vp_cpuset nodes;  /* where it was last found to be, or is to go */
    struct vp_cpuset from;   /* where it was before; empty: where <numatune> has it */
    struct vp_cpuset passed; /* what its groups may have until that is done */
    bool done;
    int64_t again_us; /* not before; 0 */
};

/* Where the guest's plan has its memory; passed as it is now. */
void vp_memfollow_plan(const struct vp_watched *guest, struct vp_mems_plan *plan);

/* Part of a look: begins what is to be done, and ends what is not any more. */
void vp_memfollow(struct vp_enforcer *enforcer, struct vp_watched *guest,
                  const struct vp_mems_plan *plan, const struct vp_mems *mems, int64_t now_us);

#endif
