/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DRIFTFILTER_H
#define VP_DRIFTFILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "decide/drift.h"

struct vp_ctl;
struct vp_error;

/* Which records `virtpin drift` shows. Zeroed: all of them. */
struct vp_drift_filter {
    const char *guest; /* name, UUID or glob; NULL: any. Borrowed */
    const char *by;    /* who did it; NULL: anybody. Borrowed */
    unsigned kinds;    /* a bit for each vp_drift_kind; 0: any */
    int64_t since_ms;  /* last seen then or later, UTC since 1970; 0: any */
    int64_t until_ms;  /* first seen then or before; 0: any */
};

/* Reads --guest, --kind, --by, --since, --until. VP_INPUT says what would be
 * legal; the filter borrows from ctl. */
int vp_drift_filter_read(const struct vp_ctl *ctl, int64_t now_ms, struct vp_drift_filter *filter,
                         struct vp_error *err);

/* Whether a record is shown. `by` is a pid where it is a number, "unknown"
 * for records without a culprit, else comm, unit (with or without its type)
 * or tty, each also as a glob. */
bool vp_drift_filter_passes(const struct vp_drift_filter *filter,
                            const struct vp_drift_record *record);

#endif
