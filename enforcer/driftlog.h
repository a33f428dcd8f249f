/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DRIFTLOG_H
#define VP_DRIFTLOG_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/drift.h"

/* Drift in the journal: a sentence for people, fields for programs. Any thread. */
/* The sentence alone, without what became of it: its whole length, as snprintf. */
size_t vp_driftlog_text(const struct vp_drift_record *record, char *text, size_t size);
void vp_driftlog(const struct vp_drift_record *record);
void vp_driftlog_contest(const struct vp_drift_record *record, bool begins);

#endif
