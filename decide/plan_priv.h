/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLAN_PRIV_H
#define VP_PLAN_PRIV_H

#include "decide/plan.h"

/* What the files plan*.c share. */

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
    unsigned pool_vcpus; /* others' vCPUs in it */
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
/* Refuses where the plan needs a pool that is empty or, by its ratio, full: -1
 * with m->err. */
int vp_plan_need_pool(struct vp_making *m);

/* Whether a holding is the guest's own. */
bool vp_plan_is_own(const struct vp_plan_input *in, const struct vp_holding *holding);
/* Whether a holding's pool is the one of that name (NULL: the default one). */
bool vp_pool_is(const struct vp_holding *holding, const char *name);
/* After others' bookings and `taken`: whether each pool keeps the CPUs that its
 * guests need. Else *withhold gains CPUs of the first that does not, out of
 * `usable`, for another try at placing (`attempt` from 0 on tells which), and
 * *why says what is short. */
bool vp_plan_pools_stand(const struct vp_making *m, const struct vp_cpuset *taken,
                         const struct vp_cpuset *usable, unsigned attempt,
                         struct vp_cpuset *withhold, char *why, size_t size);
/* The weight of the plan's pool, where the policy has no shares of its own. */
void vp_plan_weigh(struct vp_plan *plan, const struct vp_plan_input *in);

/* What each node, by its index, can still bear of this guest; the caller frees
 * *kib, which stays NULL where memory sets no limit. 0, or -1 without memory. */
int vp_plan_free_memory(const struct vp_making *m, uint64_t **kib);
/* The plan's memory by the placer's answer, else in proportion to its vCPUs. */
int vp_plan_bear_memory(struct vp_making *m, const struct vp_place_answer *answer);
/* The size of the guest's huge pages, 0: it is on normal ones. */
uint64_t vp_plan_page_kib(const struct vp_plan_input *in);

/* Who has the CPUs that this guest could have had: "; db-1 has CPUs 4-7, db-2
 * has CPU 8 for 10 s after its stop, fw-1 is pinned to CPU 9, 3 more guests". */
void vp_plan_say_holders(const struct vp_making *m, char *text, size_t size);
/* A finding for each key of a guest with CPUs of its own that is without effect
 * on this host. */
void vp_plan_say_not_honoured(const struct vp_making *m);

void vp_plan_limited(struct vp_making *m, enum vp_limit limit, unsigned short_by);

#endif
