/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LOOK_H
#define VP_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "decide/drift.h"
#include "host/pin.h"
#include "host/threads.h"

struct vp_enforcer;
struct vp_error;
struct vp_watched;

/* All of one look at a guest. The caller sets the first members, and clears. */
struct vp_look {
    struct vp_enforcer *enforcer;
    struct vp_watched *guest;
    int64_t now_us;
    struct vp_threads threads; /* those looked at */
    struct vp_seen_list seen;
    struct vp_pins pins; /* wanted */
    struct vp_diffs diffs;
    bool *repair;                /* of the same index as diffs: is to be put right */
    struct vp_seen_list touched; /* those that the repair is about */
    bool follow_libvirt, setting_up;
};
void vp_look_clear(struct vp_look *look);

/* Sees all threads of the guest and compares. VP_GONE if it has ended. */
int vp_look_all(struct vp_look *look, struct vp_error *err);

/* The same of look->threads alone, some of those that the last full look found;
 * that others are missing is no difference. */
int vp_look_some(struct vp_look *look, struct vp_error *err);

/* The directory of the thread's group, "" if unknown. */
const char *vp_look_group(const struct vp_look *look, const struct vp_diff *diff);

/* Who wrote the file; of a mask, who called for it, else who wrote the thread's
 * group just before; and when. */
void vp_look_culprit(const struct vp_look *look, const struct vp_diff *diff, struct vp_culprit *by,
                     int64_t *event_us);

#endif
