/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CTLREPAIR_H
#define VP_CTLREPAIR_H

#include <stdbool.h>

struct vp_engine;
struct vp_error;
struct vp_guest_row;

struct vp_repaired {
    unsigned differed; /* threads and groups that were not as wanted */
    unsigned left;     /* of these still */
    char why[512];     /* of the first that is left, "" */
};

/* Puts a running guest's plan in force again. What differed goes into the
 * ledger's drift history if `record` (no enforcer that would do it). VP_GONE
 * if the guest has ended. */
int vp_repair_guest(struct vp_engine *engine, const struct vp_guest_row *row, bool record,
                    struct vp_repaired *repaired, struct vp_error *err);

#endif
