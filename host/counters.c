/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "host/ledger_priv.h"

const uint32_t vp_bucket_us[VP_BUCKETS - 1] = {200,    500,     1000,    2000,   5000,
                                               10000,  20000,   50000,   100000, 200000,
                                               500000, 1000000, 2000000, 5000000};

static const char *const operations[VP_HOOK_OPERATIONS] = {
    "prepare", "started", "stopped", "release", "reconnect", "migrate", "restore"};
static const char *const results[VP_HOOK_RESULTS] = {"ok", "refused", "failed"};

const char *vp_hook_operation(unsigned operation)
{
    return operation < VP_HOOK_OPERATIONS ? operations[operation] : NULL;
}

const char *vp_hook_result_word(enum vp_hook_result result)
{
    return results[result];
}

void vp_histogram_add(struct vp_histogram *histogram, uint64_t us)
{
    unsigned i = 0;

    while (i < VP_BUCKETS - 1 && us > vp_bucket_us[i])
        i++;
    histogram->bucket[i]++;
    histogram->sum_us += us;
}

uint64_t vp_histogram_count(const struct vp_histogram *histogram)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < VP_BUCKETS; i++)
        count += histogram->bucket[i];
    return count;
}

/* ---- one after the other ---- */

/* Each count has a key in the ledger: "count.drift.affinity",
 * "count.repair.le.500", "count.hook.prepare.us" and so on. */
struct visit {
    int (*each)(struct visit *visit, const char *key, uint64_t *count);
    struct vp_ledger *ledger;
    struct vp_error *err;
    const char *wanted; /* find: the key */
    uint64_t *found;
};

static int visit_histogram(struct visit *visit, const char *name, struct vp_histogram *histogram)
{
    char key[64];

    for (unsigned i = 0; i < VP_BUCKETS; i++) {
        if (i < VP_BUCKETS - 1)
            snprintf(key, sizeof(key), "count.%s.le.%u", name, vp_bucket_us[i]);
        else
            snprintf(key, sizeof(key), "count.%s.le.inf", name);
        if (visit->each(visit, key, &histogram->bucket[i]) != 0)
            return -1;
    }
    snprintf(key, sizeof(key), "count.%s.us", name);
    return visit->each(visit, key, &histogram->sum_us);
}

static int visit_hook(struct visit *visit, unsigned operation, struct vp_hook_count *count)
{
    char key[64], name[32];

    for (unsigned i = 0; i < VP_HOOK_RESULTS; i++) {
        snprintf(key, sizeof(key), "count.hook.%s.%s", operations[operation], results[i]);
        if (visit->each(visit, key, &count->result[i]) != 0)
            return -1;
    }
    snprintf(name, sizeof(name), "hook.%s", operations[operation]);
    return visit_histogram(visit, name, &count->time);
}

/* -1 as soon as `each` says so. */
static int visit_all(struct visit *visit, struct vp_counters *counters)
{
    char key[64];

    for (int kind = 0; kind < VP_DRIFT_KINDS; kind++) {
        snprintf(key, sizeof(key), "count.drift.%s", vp_drift_kind_word((enum vp_drift_kind)kind));
        if (visit->each(visit, key, &counters->drift[kind]) != 0)
            return -1;
    }
    if (visit->each(visit, "count.contested", &counters->contested) != 0 ||
        visit_histogram(visit, "repair", &counters->repair) != 0)
        return -1;
    for (unsigned i = 0; i < VP_HOOK_OPERATIONS; i++)
        if (visit_hook(visit, i, &counters->hook[i]) != 0)
            return -1;
    return 0;
}

void vp_counters_sum(struct vp_counters *to, const struct vp_counters *more)
{
    /* nothing but uint64_t in it */
    uint64_t *sum = (uint64_t *)to;
    const uint64_t *add = (const uint64_t *)more;

    _Static_assert(sizeof(*to) % sizeof(*sum) == 0, "counts only");
    for (size_t i = 0; i < sizeof(*to) / sizeof(*sum); i++)
        sum[i] += add[i];
}

/* ---- the ledger ---- */

static int add_one(struct visit *visit, const char *key, uint64_t *count)
{
    sqlite3_stmt *statement;

    if (*count == 0)
        return 0;
    statement = vp_sql(visit->ledger, VP_SQL_COUNT_ADD, visit->err);
    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, key);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)*count);
    return vp_sql_run(visit->ledger, VP_SQL_COUNT_ADD, visit->err);
}

int vp_counters_add(struct vp_ledger *ledger, const struct vp_counters *more, struct vp_error *err)
{
    static const struct vp_counters none;
    struct visit visit = {.each = add_one, .ledger = ledger, .err = err};
    struct vp_counters copy = *more;
    bool own;
    int result;

    if (memcmp(more, &none, sizeof(none)) == 0)
        return 0;
    if (vp_ledger_own_begin(ledger, &own, err) < 0)
        return -1;
    result = visit_all(&visit, &copy);
    return vp_ledger_own_end(ledger, own, result, err);
}

static int find_one(struct visit *visit, const char *key, uint64_t *count)
{
    if (strcmp(key, visit->wanted) != 0)
        return 0;
    visit->found = count;
    return -1;
}

int vp_counters_read(struct vp_ledger *ledger, struct vp_counters *counters, struct vp_error *err)
{
    struct visit visit = {.each = find_one};
    sqlite3_stmt *statement;
    int rc;

    *counters = (struct vp_counters){0};
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_COUNTS, err);
    if (!statement)
        return -1;
    while ((rc = vp_sql_step(ledger, VP_SQL_COUNTS, err)) == SQLITE_ROW) {
        visit.wanted = (const char *)sqlite3_column_text(statement, 0);
        visit.found = NULL;
        /* a key that this version does not know is a later minor's */
        if (visit.wanted && visit_all(&visit, counters) != 0)
            *visit.found = (uint64_t)sqlite3_column_int64(statement, 1);
    }
    vp_sql_done(ledger, VP_SQL_COUNTS);
    return rc < 0 ? -1 : 0;
}
