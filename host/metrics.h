/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_METRICS_H
#define VP_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "decide/drift.h"
#include "host/counters.h"
#include "host/ledger.h"
#include "host/strangers.h"

struct vp_engine;
struct vp_error;

/* The metrics, in Prometheus' terms. Labels are words of ours and names of
 * policies and NUMA nodes, never of guests: their number is bounded. */

enum vp_metric_type { VP_GAUGE, VP_COUNTER, VP_HISTOGRAM };

struct vp_sample {
    const char *suffix; /* "", "_bucket", "_sum", "_count" */
    struct {
        const char *name; /* NULL: none */
        char value[64];
    } label[2];
    double value;
};

struct vp_metric {
    const char *name, *help;
    enum vp_metric_type type;
    struct vp_sample *sample; /* owned */
    size_t count;
};

struct vp_metrics {
    struct vp_metric *item; /* owned */
    size_t count;
    bool failed; /* there was no memory: it is not whole */
};
void vp_metrics_clear(struct vp_metrics *metrics);

/* The text exposition format, version 0.0.4. False: writing failed. */
bool vp_metrics_print(const struct vp_metrics *metrics, FILE *file);

/* What the metrics are made of, gathered by whoever asks. */
struct vp_metrics_guests {
    char policy[64];
    const char *state; /* "lease", "running", "reserved", "unplaced", "unmanaged" */
    unsigned count;
};

struct vp_facts {
    const char *version;
    bool enabled;
    unsigned policies;
    bool stale; /* the policy files are broken */

    struct vp_metrics_guests *guests; /* owned */
    size_t guests_count;
    unsigned threads;                   /* of guests that a policy puts in force */
    unsigned standing[VP_DRIFT_STATES]; /* differences that are not repaired, by state */
    struct vp_counters counters;

    bool enforcer_running, connected, can_repair;
    int64_t since_ms, last_sweep_ms;
    int64_t sweep_lag_us, sweep_us; /* -1: not known */

    /* on dedicated CPUs: how many there are, and what all have run */
    unsigned strangers[VP_STRANGER_KINDS];
    uint64_t stranger_ms[VP_STRANGER_KINDS];
};
void vp_facts_strangers(struct vp_facts *facts, const struct vp_strangers *strangers);
void vp_facts_clear(struct vp_facts *facts);

/* Counts a guest of the ledger; its threads where it runs. False without memory. */
bool vp_facts_guest(struct vp_facts *facts, const struct vp_guest_row *row);
/* Counts the guests that run and are none of `known`'s names. */
int vp_facts_unmanaged(struct vp_facts *facts, const char *status_dir,
                       bool (*known)(const void *data, const char *name), const void *data,
                       struct vp_error *err);

/* The metrics of facts, and of the bookings, the pool and the topology of the
 * engine, whose ledger may be NULL: there is none then. The caller clears. */
int vp_metrics_make(struct vp_engine *engine, const struct vp_facts *facts,
                    struct vp_metrics *metrics, struct vp_error *err);

#endif
