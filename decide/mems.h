/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MEMS_H
#define VP_MEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/cpuset.h"
#include "decide/domain.h"
#include "decide/pins.h"

/* The nodes that a guest's groups may have memory of (cpuset.mems): what libvirt
 * has written there by the guest's <numatune>, else all that the group above the
 * guest's has. Pure. Sets hold nodes, not CPUs. */

/* One of the guest's groups that hold threads. */
struct vp_mems_group {
    enum vp_role role; /* emulator, vCPU or I/O thread */
    unsigned index;
    bool set;                   /* cpuset.mems is not empty (v2: empty is the parent's) */
    struct vp_cpuset mems;      /* cpuset.mems */
    struct vp_cpuset effective; /* what is in force */
};

struct vp_mems {
    struct vp_cpuset above;      /* in force in the group above the guest's */
    struct vp_mems_group *group; /* owned */
    size_t count;
};
void vp_mems_clear(struct vp_mems *mems);

struct vp_mems_diff {
    enum vp_role role;
    unsigned index;
    bool own;      /* the group's own file has it; else a group above keeps nodes out */
    bool possible; /* the group above the guest's has what is wanted */
    struct vp_cpuset wanted, found;
};

/* Where the guest's plan has its memory while it runs. */
struct vp_mems_plan {
    struct vp_cpuset nodes;  /* empty: it binds none, and <numatune> alone says what is right */
    struct vp_cpuset passed; /* nodes that virtpin lets it have on its way there; empty: none */
};

/* Whether that group has what is wanted, or is to follow; else *diff says what
 * is wanted. True also where that is not known. */
bool vp_mems_right(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan,
                   const struct vp_mems *mems, const struct vp_mems_group *group,
                   struct vp_mems_diff *diff);

/* Whether that group has what libvirt wrote, or a move left half-way, and the
 * plan has the memory elsewhere by now. */
bool vp_mems_follows(const struct vp_guest_numatune *tune, const struct vp_mems_plan *plan,
                     const struct vp_mems_group *group);

#endif
