/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/tunelook.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/tuning.h"
#include "enforcer/enforcer.h"
#include "enforcer/judge.h"
#include "enforcer/patience.h"
#include "enforcer/record.h"
#include "host/clock.h"
#include "host/tune.h"

/* What the kernel refused is tried again after this. */
#define AGAIN_US 1000000

/* The guest's own shares stand with its emulator. */
static enum vp_role role_of(const struct vp_tuning_diff *diff)
{
    return diff->kind == VP_DRIFT_SHARES ? VP_ROLE_EMULATOR : VP_ROLE_VCPU;
}

static bool is_limit(const char *file)
{
    return strcmp(file, "cpu.max") == 0 || strcmp(file, "cpu.cfs_quota_us") == 0 ||
           strcmp(file, "cpu.cfs_period_us") == 0;
}

/* The last write to that group's file of that kind; a write by libvirt's
 * daemon sets *by_libvirt. */
static bool find_write(const struct vp_watched *guest, const struct vp_tuning_diff *diff,
                       struct vp_culprit *by, int64_t *event_us, bool *by_libvirt)
{
    size_t group = strlen(diff->where);
    const struct vp_write *last = NULL;

    for (size_t i = 0; i < guest->write_room && group > 0; i++) {
        const struct vp_write *write = &guest->write[i];
        const char *file = write->where + group + 1;

        if (write->at_us == 0 || strncmp(write->where, diff->where, group) != 0 ||
            write->where[group] != '/' || is_limit(file) != (diff->kind == VP_DRIFT_QUOTA))
            continue;
        if (!last || write->at_us > last->at_us)
            last = write;
    }
    if (!last)
        return false;
    *by = last->by;
    *event_us = last->at_us;
    *by_libvirt = last->libvirt;
    return true;
}

static void find_culprit(const struct vp_watched *guest, const struct vp_tuning_diff *diff,
                         int64_t now_us, struct vp_culprit *by, int64_t *event_us, bool *by_libvirt)
{
    const struct vp_call *call = vp_watched_call(guest, diff->tid);

    *by = (struct vp_culprit){.uid = -1};
    *event_us = guest->event_us ? guest->event_us : now_us;
    *by_libvirt = false;
    if (diff->kind != VP_DRIFT_SCHEDULER) {
        find_write(guest, diff, by, event_us, by_libvirt);
    } else if (call && call->scheduler) {
        *by = call->by;
        *event_us = call->at_us;
        *by_libvirt = call->libvirt;
    }
}

static struct vp_case *take(struct vp_watched *guest, const struct vp_tuning_diff *diff,
                            const struct vp_culprit *by, int64_t event_us)
{
    struct vp_case *seen = vp_record_case(guest, role_of(diff), diff->index, diff->kind);
    struct vp_diff shown = {
        .role = role_of(diff), .index = diff->index, .tid = diff->tid, .kind = diff->kind};

    if (!seen)
        return NULL;
    snprintf(shown.where, sizeof(shown.where), "%s", diff->where);
    if (strcmp(seen->record.found_text, diff->found) != 0)
        seen->unsaved = true;
    vp_record_seen(guest, seen, &shown, by, event_us);
    snprintf(seen->record.wanted_text, sizeof(seen->record.wanted_text), "%s", diff->wanted);
    snprintf(seen->record.found_text, sizeof(seen->record.found_text), "%s", diff->found);
    return seen;
}

static bool is_new(const struct vp_watched *guest, const struct vp_tuning_diff *diff)
{
    return diff->tid > 0 && guest->threads.count > 0 && !vp_watched_knows(guest, diff->tid);
}

/* True if it is to be put back. A case that may not be has its state. */
static bool judge(struct vp_enforcer *enforcer, struct vp_watched *guest,
                  const struct vp_tuning_diff *diff, int64_t now_us)
{
    struct vp_culprit by;
    struct vp_case *seen;
    enum vp_drift_state state;
    int64_t event_us;
    bool by_libvirt;

    find_culprit(guest, diff, now_us, &by, &event_us, &by_libvirt);
    /* A plan that is being put in force, as with pins, or a vCPU that was
     * plugged: libvirt has no call that would tell it a scheduler. */
    if (!vp_watched_audit(guest) && by.pid <= 0 &&
        (guest->fresh || is_new(guest, diff) ||
         vp_now_ms() - guest->plan_since_ms < VP_NEW_PLAN_MS))
        return !enforcer->disabled && !vp_patience_held(guest);
    seen = take(guest, diff, &by, event_us);
    if (!seen)
        return false;
    state = vp_patience_state(enforcer, guest, seen, now_us);
    if (state != VP_DRIFT_REPAIRED)
        vp_record_state(seen, state, -1);
    else if (by_libvirt) /* its own idea is the changed one */
        vp_virtside_want(enforcer->virtside, guest->row.uuid, VP_VIRT_TELL);
    return state == VP_DRIFT_REPAIRED;
}

static bool still_differs(const struct vp_tuning_diffs *left, const struct vp_tuning_diff *diff)
{
    for (size_t i = 0; i < left->count; i++) {
        if (left->item[i].kind == diff->kind && left->item[i].index == diff->index)
            return true;
    }
    return false;
}

static void repair(struct vp_enforcer *enforcer, struct vp_watched *guest,
                   const struct vp_tuning *wanted, const struct vp_tuning_diffs *diffs,
                   const bool *chosen)
{
    struct vp_tune_report report = {0};
    struct vp_error err = {0};
    bool failed =
        vp_tune_apply(&enforcer->engine.cpu_cgroups, guest->status, wanted, &report, &err) < 0;

    if (err.code != VP_OK && err.code != VP_GONE) {
        vp_wrap(&err, "%s", guest->row.name);
        vp_enforcer_complain(enforcer, &err);
    }
    for (size_t i = 0; i < diffs->count; i++) {
        bool differs = failed || still_differs(&report.left, &diffs->item[i]);

        if (!chosen[i])
            continue;
        vp_record_settle(guest, role_of(&diffs->item[i]), diffs->item[i].index, diffs->item[i].kind,
                         differs);
        if (differs)
            vp_watched_due(guest, vp_clock_us() + AGAIN_US);
    }
    vp_tuning_diffs_clear(&report.left);
}

/* Only what was chosen is wanted: what is contested or held stays. */
static struct vp_tuning chosen_only(const struct vp_tuning *wanted,
                                    const struct vp_tuning_diffs *diffs, const bool *chosen)
{
    struct vp_tuning now = {0};

    for (size_t i = 0; i < diffs->count; i++) {
        if (!chosen[i])
            continue;
        if (diffs->item[i].kind == VP_DRIFT_SHARES)
            now.shares = wanted->shares;
        if (diffs->item[i].kind == VP_DRIFT_SCHEDULER)
            now.scheduler = wanted->scheduler;
        if (diffs->item[i].kind == VP_DRIFT_QUOTA) {
            now.period = wanted->period;
            now.quota = wanted->quota;
        }
    }
    return now;
}

void vp_tunelook(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us)
{
    const struct vp_tuning *wanted = vp_watched_tuning(guest);
    struct vp_tuning_diffs diffs = {0};
    struct vp_tuned tuned = {0};
    VP_AUTO(free) bool *chosen = NULL;
    struct vp_tuning now;
    bool any = false;

    if (!wanted || vp_tune_look(&enforcer->engine.cpu_cgroups, guest->status, &tuned, NULL) < 0)
        return;
    if (vp_tuning_compare(wanted, &tuned, &diffs) < 0)
        diffs.count = 0;
    chosen = calloc(diffs.count + 1, sizeof(*chosen));
    for (size_t i = 0; chosen && i < diffs.count; i++) {
        chosen[i] = judge(enforcer, guest, &diffs.item[i], now_us);
        any |= chosen[i];
    }
    if (any) {
        now = chosen_only(wanted, &diffs, chosen);
        repair(enforcer, guest, &now, &diffs, chosen);
    }
    vp_tuning_diffs_clear(&diffs);
    vp_tuned_clear(&tuned);
}
