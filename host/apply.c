/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Puts plans in force on running guests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine_priv.h"
#include "host/threads.h"

/* Bookings that change while we write are followed at most so often (only what
 * differs is written again); the enforcer's sweep has the last word. */
#define ROUNDS 50

int vp_engine_pins(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_domain *domain, struct vp_pins *pins, struct vp_error *err)
{
    struct vp_cpuset pool, allowed, own;

    if (!row->plan || row->unplaced)
        return 0;
    if (vp_engine_pool(engine, row->plan->pool, &pool, err) < 0)
        return -1;
    /* a plan that is not booked yet takes its CPUs out of the pool as well */
    vp_plan_exclusive(row->plan, &own);
    vp_cpuset_minus(&pool, &own);
    vp_engine_allowed(engine, domain->partition, &allowed);
    if (vp_cpuset_meets(&pool, &allowed))
        vp_cpuset_and(&pool, &allowed);
    if (vp_plan_resolve(row->plan, &pool, pins) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return 0;
}

static void merge_report(struct vp_pin_report *total, struct vp_pin_report *round)
{
    if (!total) {
        vp_diffs_clear(&round->left);
        return;
    }
    total->cpusets_written += round->cpusets_written;
    total->affinities_set += round->affinities_set;
    total->gone += round->gone;
    vp_diffs_clear(&total->left); /* the last round's is what is left */
    total->left = round->left;
}

/* What the kernel refuses of tuning is a finding, never a failure. */
static int tune_row(struct vp_engine *engine, const struct vp_guest_row *row,
                    const struct vp_status *status, struct vp_pin_report *report,
                    struct vp_error *err)
{
    struct vp_error own = {0};

    if (vp_engine_tune(engine, row, status, NULL, &own) < 0) {
        if (err)
            *err = own;
        return -1;
    }
    if (report)
        snprintf(report->tuning, sizeof(report->tuning), "%.255s", own.text);
    return 0;
}

int vp_engine_pin_status(struct vp_engine *engine, const struct vp_status *status,
                         const struct vp_pins *pins, bool always, struct vp_pin_report *report,
                         struct vp_error *err)
{
    struct vp_pin_report round = {0};
    struct vp_threads threads = {0};
    char root[PATH_MAX] = "";
    int result;

    /* without groups of its own (the daemon runs without cgroups): affinity only */
    if (engine->cgroups.version != VP_CGROUP_NONE &&
        vp_cgroup_guest_root(&engine->cgroups, status->pid, root, sizeof(root), err) < 0) {
        if (err && err->code == VP_GONE)
            return -1;
        root[0] = '\0';
    }
    if (vp_threads_list(&engine->cgroups, status->pid, status, root, &threads, err) < 0)
        return -1;
    result = vp_pin_apply(&engine->cgroups, &threads, root, pins, &engine->topology->online, always,
                          &round, err);
    vp_threads_clear(&threads);
    merge_report(report, &round);
    return result;
}

static int apply_row(struct vp_engine *engine, const struct vp_guest_row *row, bool always,
                     struct vp_pin_report *report, struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_pins pins = {0};
    int result;

    if (vp_status_load(engine->status_dir, row->name, &status, err) < 0)
        return -1;
    if (status->pid != row->pid)
        return vp_fail(err, VP_GONE, "guest %s has been started anew", row->name);
    result = vp_engine_pins(engine, row, status->domain, &pins, err);
    if (result == 0 && pins.count > 0)
        result = vp_engine_pin_status(engine, status, &pins, always, report, err);
    if (result == 0)
        result = tune_row(engine, row, status, report, err);
    vp_pins_clear(&pins);
    return result;
}

/* Whether what was applied is still what should be: a later booking changes
 * the pool, and nothing for a guest that keeps out of it. 1, 0, -1. */
static int still_so(struct vp_engine *engine, const struct vp_guest_row *row, uint64_t before,
                    struct vp_error *err)
{
    struct vp_guest_row today = {0};
    uint64_t after;
    int found, same;

    if (vp_ledger_gen(engine->ledger, &after, err) < 0)
        return -1;
    if (after == before)
        return 1;
    if (row->plan && vp_plan_uses_pool(row->plan))
        return 0;
    found = vp_ledger_guest(engine->ledger, row->uuid, &today, err);
    same = found == 0 || (found == 1 && today.gen == row->gen);
    vp_guest_row_clear(&today);
    return found < 0 ? -1 : same;
}

/* 1: applied; 0: bookings changed meanwhile. */
static int apply_once(struct vp_engine *engine, const char *uuid, bool always,
                      struct vp_pin_report *report, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    struct vp_tuning tuning;
    uint64_t before;
    int result = 0;
    int found;

    if (vp_ledger_gen(engine->ledger, &before, err) < 0)
        return -1;
    found = vp_ledger_guest(engine->ledger, uuid, &row, err);
    if (found <= 0)
        return found < 0 ? -1 : 1;
    tuning = vp_row_tuning(&row);
    if (row.state == VP_GUEST_RUNNING && (vp_row_in_force(&row) || vp_tuning_any(&tuning)))
        result = apply_row(engine, &row, always, report, err);
    if (result == 0)
        result = still_so(engine, &row, before, err);
    vp_guest_row_clear(&row);
    return result;
}

int vp_engine_apply(struct vp_engine *engine, const char *uuid, bool always,
                    struct vp_pin_report *report, struct vp_error *err)
{
    int result = 0;

    for (int round = 0; result == 0 && round < ROUNDS; round++)
        result = apply_once(engine, uuid, always && round == 0, report, err);
    return result < 0 ? -1 : 0;
}

int vp_engine_apply_pool(struct vp_engine *engine, const char *except, struct vp_error *err)
{
    struct vp_guest_rows rows = {0};
    int result = 0;

    if (vp_ledger_guests(engine->ledger, &rows, err) < 0)
        return -1;
    for (size_t i = 0; i < rows.count; i++) {
        const struct vp_guest_row *row = &rows.item[i];
        struct vp_error own = {0};

        if (row->state != VP_GUEST_RUNNING || !row->plan || !vp_plan_uses_pool(row->plan))
            continue;
        if (except && strcmp(row->uuid, except) == 0)
            continue;
        if (vp_engine_apply(engine, row->uuid, false, NULL, &own) < 0 && own.code != VP_GONE) {
            if (result == 0 && err) {
                *err = own;
                vp_wrap(err, "guest %s", row->name);
            }
            result = -1;
        }
    }
    vp_guest_rows_clear(&rows);
    return result;
}
