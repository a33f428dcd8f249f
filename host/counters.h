/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_COUNTERS_H
#define VP_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "decide/drift.h"

struct vp_error;
struct vp_ledger;

/* What has happened on this host since its ledger was made: totals for the
 * metrics, kept in the ledger's meta table, so that they go on when the
 * enforcer is started anew. */

/* Times, by the upper bounds vp_bucket_us; the last bucket has none. */
#define VP_BUCKETS 15
extern const uint32_t vp_bucket_us[VP_BUCKETS - 1];

struct vp_histogram {
    uint64_t bucket[VP_BUCKETS]; /* each for itself, not summed up */
    uint64_t sum_us;
};
void vp_histogram_add(struct vp_histogram *histogram, uint64_t us);
uint64_t vp_histogram_count(const struct vp_histogram *histogram);

/* The operations in which the hook does something, and how a run ended. */
#define VP_HOOK_OPERATIONS 7
const char *vp_hook_operation(unsigned operation); /* "prepare", ...; NULL beyond the last */
enum vp_hook_result { VP_HOOK_OK, VP_HOOK_REFUSED, VP_HOOK_FAILED, VP_HOOK_RESULTS };
const char *vp_hook_result_word(enum vp_hook_result result);

struct vp_hook_count {
    uint64_t result[VP_HOOK_RESULTS];
    struct vp_histogram time;
};

struct vp_counters {
    uint64_t drift[VP_DRIFT_KINDS]; /* occurrences, whatever became of them */
    uint64_t contested;             /* contests that began */
    struct vp_histogram repair;     /* repairs made, event to read-back */
    struct vp_hook_count hook[VP_HOOK_OPERATIONS];
};

/* Adds every count of `more` to *to. */
void vp_counters_sum(struct vp_counters *to, const struct vp_counters *more);

/* Adds to what the ledger has, in a transaction of its own unless one is open;
 * zeros cost nothing. */
int vp_counters_add(struct vp_ledger *ledger, const struct vp_counters *more, struct vp_error *err);
/* What the ledger has. */
int vp_counters_read(struct vp_ledger *ledger, struct vp_counters *counters, struct vp_error *err);

/* ---- runs of the hook ---- */

/* The launcher appends a line for each of its runs to RUN-DIR/hook-runs
 * ("prepare 4210 ok": operation, microseconds, result) and stops at 1 MiB.
 * take: moves what is new there into the ledger's counts and adds it to
 * *counters; begins a new file when this one is long. peek: only adds it. */
int vp_hook_runs_take(struct vp_ledger *ledger, const char *run_dir, struct vp_counters *counters,
                      struct vp_error *err);
int vp_hook_runs_peek(struct vp_ledger *ledger, const char *run_dir, struct vp_counters *counters,
                      struct vp_error *err);

#endif
