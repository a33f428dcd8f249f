/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENFORCER_KEPT_H
#define VP_ENFORCER_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/domain.h"
#include "decide/plan.h"
#include "enforcer/packed.h"

/* What is needed of the ledger's plan between decisions: a plan has room for
 * 24 sets of 8192 CPUs, and there may be thousands of guests. */
struct vp_planned {
    bool there;
    enum vp_mode mode;
    bool wants;         /* it wants something of some thread */
    unsigned *iothread; /* the I/O threads that it has; owned */
    size_t iothread_count;
    bool without_room;             /* vp_plan_without_room */
    char *pool;                    /* as the plan's; owned */
    struct vp_packed own;          /* its exclusive CPUs, as one pin */
    struct vp_tuning tuning;       /* of the plan that the guest is compared with */
    bool compared;                 /* there is such a plan */
    struct vp_packed nodes;        /* where its memory is to be, as one pin; none: anywhere */
    struct vp_packed wants_packed; /* its wants, until they are resolved */
};

/* What is needed of the domain in libvirt's status file. */
struct vp_known {
    char *partition; /* owned, as all of it */
    unsigned *iothread;
    size_t iothread_count;
    struct vp_packed pins;
    struct vp_guest_numatune *numatune; /* NULL: it confines nothing */
};

/* Replaces *kept by what is needed of the ledger's plan (NULL: there is none) and
 * of the one that the guest is compared with. 0, or -1 without memory. */
int vp_planned_take(struct vp_planned *kept, const struct vp_plan *plan,
                    const struct vp_plan *compared);
void vp_planned_clear(struct vp_planned *kept);

/* Replaces *kept; what is kept is taken from the domain. 0, or -1 without memory. */
int vp_known_take(struct vp_known *kept, struct vp_domain *domain);
void vp_known_clear(struct vp_known *kept);

/* The set that is kept as one pin; empty: none. */
void vp_kept_set(const struct vp_packed *packed, struct vp_cpuset *set);

#endif
