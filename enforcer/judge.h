/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_JUDGE_H
#define VP_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/drift.h"

struct vp_watched;

/* What is to be made of a difference. A function of its arguments. */
enum vp_verdict_of_diff {
    VP_DIFF_WATCH,   /* libvirt is still setting this thread up: look again soon */
    VP_DIFF_FOLLOWS, /* the consequence of another difference, which has the record */
    VP_DIFF_QUIET,   /* ours to apply, nobody's drift: new plan, new thread, first contact */
    VP_DIFF_LIBVIRT, /* follows libvirt's pin, which differs: libvirt is told, and repairs it */
    VP_DIFF_DRIFT,
};

/* How long after a new plan a thread that still has what the old one wanted
 * is no drift but not yet served, in milliseconds. */
#define VP_NEW_PLAN_MS 5000

struct vp_judgement {
    const struct vp_diffs *diffs;
    const struct vp_seen *seen;
    size_t seen_count;
    const struct vp_cpuset *online;
    bool libvirt_repairs; /* libvirt is there, is told pins, and had time enough left */
    bool setup_late;      /* a thread that is not in its group had time enough to get there */
    int64_t now_ms, now_us;
};

/* The verdict on diffs->item[number]. */
enum vp_verdict_of_diff vp_judge(const struct vp_watched *guest,
                                 const struct vp_judgement *judgement, size_t number);

/* The thread is in its own group (emulator, vcpuN, iothreadN) of the guest,
 * or groups say nothing here. Else libvirt has not yet moved it. */
bool vp_judge_settled(const struct vp_watched *guest, const struct vp_seen *seen);

#endif
