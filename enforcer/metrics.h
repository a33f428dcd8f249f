/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENFORCER_METRICS_H
#define VP_ENFORCER_METRICS_H

#include <stdint.h>

#include "decide/drift.h"

struct vp_enforcer;

/* What the enforcer counts for the metrics. Any thread. */
void vp_count_drift(enum vp_drift_kind kind); /* an occurrence */
void vp_count_contest(void);                  /* one began */
void vp_count_repair(int64_t us);             /* one was put right; below 0: not by us */

/* Start: takes up what the last enforcer counted. */
void vp_metrics_recall(struct vp_enforcer *enforcer);

/* At the end of a sweep that was due at due_us and began at began_us: puts what
 * was counted, and the runs of the hook, into the ledger, and writes [host]
 * metrics-file. A ledger that is busy now gets it later. */
void vp_metrics_swept(struct vp_enforcer *enforcer, int64_t due_us, int64_t began_us);

/* A new ledger has none of the counts: it gets them all. */
void vp_metrics_again(void);

#endif
