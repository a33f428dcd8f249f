/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLAN_PRIV_H
#define VP_PLAN_PRIV_H

#include "decide/plan.h"

/* What planmake.c, plandedicated.c and planthreads.c share. */

/* What a plan under way carries from step to step. */
struct vp_making {
    const struct vp_plan_input *in;
    struct vp_plan *plan;
    struct vp_findings *findings; /* may be NULL */
    struct vp_error *err;
    struct vp_place_answer *answer; /* gets limit and short_by of any refusal */
    struct vp_cpuset taken;         /* others' exclusive CPUs */
    struct vp_cpuset fixed;         /* others' non-exclusive ones */
    struct vp_cpuset pool;          /* as others leave it */
    bool others_use_pool;
};

/* Appends a want; the plan has room for every thread of the guest. cpus may be NULL. */
void vp_plan_add(struct vp_plan *plan, enum vp_role role, unsigned index, enum vp_want_kind kind,
                 const struct vp_cpuset *cpus);
void vp_plan_add_cpu(struct vp_plan *plan, enum vp_role role, unsigned index, int cpu);

/* Emulator and I/O threads, after the vCPUs; answer NULL: nothing was isolated.
 * 0, or -1 with m->err (refused). */
int vp_plan_others(struct vp_making *m, const struct vp_place_answer *answer);

/* Every vCPU in the pool. 0, or -1 with m->err. */
int vp_plan_shared(struct vp_making *m);
/* dedicated and mixed: 0 planned; 1 does not fit (m->err says why); -1 refused
 * for another reason, or failed. */
int vp_plan_dedicated(struct vp_making *m);
/* Refuses where the plan needs a pool that is empty: -1 with m->err. */
int vp_plan_need_pool(struct vp_making *m);

#endif
