/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_RECORD_H
#define VP_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "decide/drift.h"

struct vp_case;
struct vp_enforcer;
struct vp_watched;

/* Drift over time: one case for each (role, index, kind) of a guest, one
 * record of it in the ledger and, at each change of state, in the journal. */

/* The guest's case of that thread and kind, made where it is missing; NULL
 * without memory. Valid until the next call. */
struct vp_case *vp_record_case(struct vp_watched *guest, enum vp_role role, unsigned index,
                               enum vp_drift_kind kind);
/* The same, NULL if there is none. */
struct vp_case *vp_record_find(struct vp_watched *guest, enum vp_role role, unsigned index,
                               enum vp_drift_kind kind);

/* The look saw this difference. A case that did not stand is a new occurrence:
 * count rises, `by` is taken, event_us is when it began. */
void vp_record_seen(struct vp_watched *guest, struct vp_case *seen, const struct vp_diff *diff,
                    const struct vp_culprit *by, int64_t event_us);

/* What became of it. REPAIRED ends the occurrence; repair_us -1: it went away
 * without us. Says so in the journal where the state is news. */
void vp_record_state(struct vp_case *seen, enum vp_drift_state state, int64_t repair_us);

/* A repair was tried: REPAIRED, with what it took since the event, or still OPEN. */
void vp_record_settle(struct vp_watched *guest, enum vp_role role, unsigned index,
                      enum vp_drift_kind kind, bool differs);

/* Contested begins or is over: one journal record each. */
void vp_record_contested(const struct vp_case *seen, bool begins);

/* Cases that stood and that the look just made did not see have gone by
 * themselves (pins: only those of kind pin, else all others). */
void vp_record_gone(struct vp_watched *guest, bool pins);
bool vp_record_standing(const struct vp_watched *guest);

/* Puts what is new into the ledger; what it cannot take now waits for the
 * next call. Forgets cases long over. */
void vp_record_save(struct vp_enforcer *enforcer, struct vp_watched *guest);

/* Start: takes up the cases that the last enforcer left open; those of guests
 * that are no more are closed. */
void vp_record_recall(struct vp_enforcer *enforcer);

/* The guest has gone: nothing of it stays open. */
void vp_record_ended(struct vp_enforcer *enforcer, struct vp_watched *guest);

/* A new ledger knows none of the old numbers. */
void vp_record_forget_ids(struct vp_enforcer *enforcer);

#endif
