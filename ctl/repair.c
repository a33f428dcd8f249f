/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/repair.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/pin.h"
#include "host/threads.h"

static int compare(struct vp_engine *engine, const struct vp_guest_row *row, struct vp_diffs *diffs,
                   struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_threads threads = {0};
    struct vp_seen_list seen = {0};
    struct vp_pins wanted = {0};
    char root[PATH_MAX] = "";
    int result;

    if (vp_status_load(engine->status_dir, row->name, &status, err) != 0)
        return -1;
    if (engine->cgroups.version != VP_CGROUP_NONE &&
        vp_cgroup_guest_root(&engine->cgroups, status->pid, root, sizeof(root), NULL) != 0)
        root[0] = '\0';
    result = vp_engine_pins(engine, row, status->domain, &wanted, err);
    if (result == 0)
        result = vp_threads_list(&engine->cgroups, status->pid, status, root, &threads, err);
    if (result == 0)
        result = vp_pin_look(&engine->cgroups, &threads, root, &seen, err);
    if (result == 0 &&
        vp_drift_compare(&wanted, seen.item, seen.count, &engine->topology->online, diffs) != 0)
        result = vp_fail(err, VP_HOST, "out of memory");
    vp_pins_clear(&wanted);
    vp_seen_clear(&seen);
    vp_threads_clear(&threads);
    return result;
}

static bool still_differs(const struct vp_diff *diff, const struct vp_diffs *left)
{
    for (size_t i = 0; i < left->count; i++)
        if (left->item[i].tid == diff->tid && left->item[i].kind == diff->kind)
            return true;
    return false;
}

/* Nobody saw who did it, nor when: by is empty, first is now. */
static int record_diff(struct vp_engine *engine, const struct vp_guest_row *row,
                       const struct vp_diff *diff, bool left, int64_t took_us, struct vp_error *err)
{
    struct vp_drift_record record = {.tid = diff->tid,
                                     .role = diff->role,
                                     .index = diff->index,
                                     .kind = diff->kind,
                                     .wanted = diff->wanted,
                                     .found = diff->found,
                                     .first_ms = vp_now_ms(),
                                     .last_ms = vp_now_ms(),
                                     .count = 1,
                                     .state = left ? VP_DRIFT_OPEN : VP_DRIFT_REPAIRED,
                                     .repaired_ms = left ? 0 : vp_now_ms(),
                                     .repair_us = left ? -1 : took_us,
                                     .by = {.uid = -1}};

    snprintf(record.guest, sizeof(record.guest), "%.127s", row->name);
    snprintf(record.uuid, sizeof(record.uuid), "%s", row->uuid);
    snprintf(record.where, sizeof(record.where), "%s", diff->where);
    return vp_ledger_drift_put(engine->ledger, &record, err);
}

static void say_left(const struct vp_diffs *left, struct vp_repaired *repaired)
{
    const struct vp_diff *diff = &left->item[0];
    VP_AUTO(free) char *wanted = vp_cpuset_format(&diff->wanted);
    VP_AUTO(free) char *found = vp_cpuset_format(&diff->found);

    snprintf(repaired->why, sizeof(repaired->why), "%s %u: %s is %.100s, wanted %.100s",
             vp_role_word(diff->role), diff->index, vp_drift_kind_word(diff->kind),
             found ? found : "?", wanted ? wanted : "?");
}

int vp_repair_guest(struct vp_engine *engine, const struct vp_guest_row *row, bool record,
                    struct vp_repaired *repaired, struct vp_error *err)
{
    struct vp_diffs before = {0}, left = {0};
    struct vp_pin_report report = {0};
    int64_t began = vp_clock_us(), took;
    int result;

    *repaired = (struct vp_repaired){0};
    result = compare(engine, row, &before, err);
    if (result == 0)
        result = vp_engine_apply(engine, row->uuid, false, &report, err);
    took = vp_clock_us() - began;
    if (result == 0)
        result = compare(engine, row, &left, err);
    repaired->differed = (unsigned)before.count;
    repaired->left = (unsigned)left.count;
    if (result == 0 && left.count > 0)
        say_left(&left, repaired);
    if (result == 0 && report.tuning[0]) {
        repaired->left++;
        repaired->differed++;
        snprintf(repaired->why, sizeof(repaired->why), "%s", report.tuning);
    }
    vp_diffs_clear(&report.left);
    for (size_t i = 0; result == 0 && record && i < before.count; i++)
        result = record_diff(engine, row, &before.item[i], still_differs(&before.item[i], &left),
                             took, err);
    vp_diffs_clear(&before);
    vp_diffs_clear(&left);
    return result;
}
