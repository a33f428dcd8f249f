/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "enforcer/above.h"
#include "enforcer/enforcer.h"
#include "enforcer/first.h"
#include "enforcer/judge.h"
#include "enforcer/look.h"
#include "enforcer/memlook.h"
#include "enforcer/patience.h"
#include "enforcer/pins.h"
#include "enforcer/record.h"
#include "enforcer/sync.h"
#include "enforcer/trace.h"
#include "enforcer/tunelook.h"
#include "enforcer/writes.h"
#include "host/clock.h"

/* A thread that a repair could not put right is tried again after this. */
#define AGAIN_US 1000000

/* ---- judging ---- */

static bool repairable(const struct vp_look *look, enum vp_drift_kind kind)
{
    return kind == VP_DRIFT_CPUSET || kind == VP_DRIFT_AFFINITY ||
           (kind == VP_DRIFT_CPUSET_ABOVE && look->enforcer->engine.set->host.manage_slices);
}

/* Which group above, and how it keeps the CPUs out. What stands is known. */
static void find_above(const struct vp_look *look, struct vp_diff *diff)
{
    const struct vp_watched *guest = look->guest;
    struct vp_case *seen = vp_record_find(look->guest, diff->role, diff->index, diff->kind);

    if (!seen || !seen->standing)
        seen = vp_record_find(look->guest, diff->role, diff->index, VP_DRIFT_PARTITION);
    if (!seen || !seen->standing || guest->event_us != 0) {
        vp_above_where(&look->enforcer->engine.cgroups, vp_look_group(look, diff),
                       &look->enforcer->engine.topology->online, diff);
        return;
    }
    diff->kind = seen->record.kind;
    diff->found = seen->record.found;
    snprintf(diff->where, sizeof(diff->where), "%s", seen->record.where);
}

static void drifted(struct vp_look *look, size_t number)
{
    struct vp_diff *diff = &look->diffs.item[number];
    enum vp_drift_state state;
    struct vp_culprit by;
    struct vp_case *seen;
    int64_t event_us;

    if (diff->kind == VP_DRIFT_CPUSET &&
        vp_above_keeps_out(&look->enforcer->engine.cgroups, look->guest->root, &diff->wanted,
                           &look->enforcer->engine.topology->online))
        diff->kind = VP_DRIFT_CPUSET_ABOVE;
    if (diff->kind == VP_DRIFT_CPUSET_ABOVE)
        find_above(look, diff);
    seen = vp_record_case(look->guest, diff->role, diff->index, diff->kind);
    if (!seen)
        return;
    vp_look_culprit(look, diff, &by, &event_us);
    vp_record_seen(look->guest, seen, diff, &by, event_us);
    state = vp_patience_state(look->enforcer, look->guest, seen, look->now_us);
    if (state == VP_DRIFT_REPAIRED && repairable(look, diff->kind))
        look->repair[number] = true;
    else
        vp_record_state(seen, state == VP_DRIFT_REPAIRED ? VP_DRIFT_OPEN : state, -1);
}

static void judge(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;
    const struct vp_judgement judgement = {
        .diffs = &look->diffs,
        .seen = look->seen.item,
        .seen_count = look->seen.count,
        .online = &look->enforcer->engine.topology->online,
        .libvirt_repairs = vp_pins_left_to_libvirt(look->enforcer, guest, look->now_us),
        .setup_late =
            guest->setup_since_us != 0 && look->now_us - guest->setup_since_us > VP_SETUP_MAX_US,
        .now_ms = vp_now_ms(),
        .now_us = look->now_us,
    };
    bool audit = vp_watched_audit(guest);

    guest->waiting = false;
    for (size_t i = 0; i < look->diffs.count; i++) {
        enum vp_verdict_of_diff verdict = vp_judge(guest, &judgement, i);

        /* Under audit nothing is applied, and what would be is the finding. */
        switch (verdict == VP_DIFF_QUIET && audit ? VP_DIFF_DRIFT : verdict) {
        case VP_DIFF_WATCH:
            look->setting_up = true;
            break;
        case VP_DIFF_FOLLOWS:
            break;
        case VP_DIFF_QUIET:
            look->repair[i] = !look->enforcer->disabled && !vp_patience_held(guest);
            guest->waiting |= !look->repair[i];
            break;
        case VP_DIFF_LIBVIRT:
            look->follow_libvirt = true;
            break;
        case VP_DIFF_DRIFT:
            drifted(look, i);
            break;
        }
    }
}

static void wait_for_libvirt(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;

    if (!look->setting_up)
        guest->setup_since_us = 0;
    else if (guest->setup_since_us == 0)
        guest->setup_since_us = look->now_us;
    if (look->setting_up)
        vp_watched_due(guest, look->now_us + VP_SETUP_US);
    if (!look->follow_libvirt) {
        guest->libvirt_since_us = 0;
        return;
    }
    if (guest->libvirt_since_us == 0)
        guest->libvirt_since_us = look->now_us;
    vp_watched_due(guest, look->now_us + AGAIN_US);
}

/* ---- repairing ---- */

/* The thread of a difference and, where its group is written, all that are in
 * it: older kernels reset their masks at such a write. */
static bool is_touched(const struct vp_look *look, const struct vp_seen *seen)
{
    for (size_t i = 0; i < look->diffs.count; i++) {
        const struct vp_diff *diff = &look->diffs.item[i];

        if (!look->repair[i])
            continue;
        if (diff->tid == seen->tid)
            return true;
        if (diff->kind == VP_DRIFT_CPUSET && seen->group[0] &&
            strcmp(vp_look_group(look, diff), seen->group) == 0)
            return vp_judge_settled(look->guest, seen);
    }
    return false;
}

static void choose_threads(struct vp_look *look)
{
    for (size_t i = 0; i < look->seen.count; i++)
        if (is_touched(look, &look->seen.item[i]))
            look->touched.item[look->touched.count++] = look->seen.item[i];
}

static bool still_differs(const struct vp_diffs *left, const struct vp_diff *diff)
{
    for (size_t i = 0; i < left->count; i++) {
        if (left->item[i].tid == diff->tid && left->item[i].kind != VP_DRIFT_MISSING)
            return true;
    }
    return false;
}

/* Differences that the journal has not had: it hears of them after the repair. */
static void keep_intent(struct vp_look *look)
{
    for (size_t i = 0; i < look->diffs.count; i++) {
        const struct vp_diff *diff = &look->diffs.item[i];
        struct vp_case *seen =
            look->repair[i] ? vp_record_find(look->guest, diff->role, diff->index, diff->kind)
                            : NULL;

        if (seen && seen->standing && !seen->said)
            vp_intent_add(&look->enforcer->intent, &seen->record);
    }
    vp_intent_keep(&look->enforcer->intent);
}

/* [host] manage-slices: the groups above, before the guest's own. */
static void widen(struct vp_look *look)
{
    const struct vp_engine *engine = &look->enforcer->engine;
    struct vp_error err = {0};

    for (size_t i = 0; i < look->diffs.count; i++) {
        const struct vp_diff *diff = &look->diffs.item[i];

        if (look->repair[i] && diff->kind == VP_DRIFT_CPUSET_ABOVE &&
            vp_above_widen(&engine->cgroups, vp_look_group(look, diff), &diff->wanted,
                           &engine->topology->online, &err) < 0)
            vp_enforcer_complain(look->enforcer, &err);
    }
}

static void repair(struct vp_look *look)
{
    struct vp_enforcer *enforcer = look->enforcer;
    struct vp_watched *guest = look->guest;
    struct vp_pin_report report = {0};
    struct vp_error err = {0};

    if (look->diffs.count > 0)
        choose_threads(look);
    if (look->touched.count == 0)
        return;
    keep_intent(look);
    if (enforcer->engine.set->host.manage_slices)
        widen(look);
    if (vp_pin_apply_seen(&enforcer->engine.cgroups, &look->touched, guest->root, &look->pins,
                          &enforcer->engine.topology->online, &report, &err) < 0)
        vp_fail(&err, VP_HOST, "out of memory");
    if (err.code != VP_OK && err.code != VP_GONE) {
        vp_wrap(&err, "%s", guest->row.name);
        vp_enforcer_complain(enforcer, &err);
    }
    if (report.denied != 0)
        vp_unable_begin(enforcer, guest, report.denied, &err);
    else if (report.cpusets_written + report.affinities_set > 0)
        vp_unable_over(enforcer, guest, true);
    for (size_t i = 0; i < look->diffs.count; i++) {
        bool differs = err.code != VP_OK && still_differs(&report.left, &look->diffs.item[i]);

        if (!look->repair[i])
            continue;
        vp_record_settle(guest, look->diffs.item[i].role, look->diffs.item[i].index,
                         look->diffs.item[i].kind, differs);
        if (differs)
            vp_watched_due(guest, look->now_us + AGAIN_US);
    }
    vp_diffs_clear(&report.left);
}

/* ---- the whole ---- */

static void finish(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;

    wait_for_libvirt(look);
    vp_record_gone(guest, false);
    if (look->diffs.count == 0)
        vp_unable_over(look->enforcer, guest, false);
    vp_pins_look(look->enforcer, guest, look->now_us);
    vp_record_save(look->enforcer, guest);
    vp_intent_done(&look->enforcer->intent);
    vp_watched_remember(guest, &look->threads, look->touched.count == 0 ? &look->seen : NULL);
    vp_watched_forget_events(guest, look->now_us);
    if (vp_now_ms() - guest->pins_since_ms > VP_NEW_PLAN_MS)
        vp_packed_clear(&guest->before);
    if (!look->enforcer->disabled && !vp_patience_held(guest))
        guest->fresh = false;
}

/* libvirt has begun to work on the guest since we began to look: its step is
 * not ours to undo half-way. */
static bool interrupted(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;
    int64_t wait;

    if (look->diffs.count == 0)
        return false;
    vp_writes_drain(look->enforcer);
    wait = vp_patience_wait(guest, vp_clock_us());
    if (wait <= 0)
        return false;
    vp_watched_due(guest, vp_clock_us() + wait);
    return true;
}

/* Something may be written that the plan wants. */
static bool acts(const struct vp_look *look)
{
    return look->diffs.count > 0 || vp_watched_tuning(look->guest);
}

static void look_now(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;
    struct vp_error err = {0};

    if (vp_look_all(look, &err) < 0) {
        if (err.code == VP_GONE) {
            look->enforcer->adopt_at_us = look->now_us + AGAIN_US;
            return;
        }
        vp_watched_due(guest, look->now_us + AGAIN_US);
        vp_enforcer_complain(look->enforcer, &err);
        vp_unable_begin(look->enforcer, guest, 0, &err);
        return;
    }
    /* A job (migration, save) owns the guest until it ends: the status file says when. */
    if (guest->status->job)
        return;
    /* Compared with a plan that is no longer the newest: the new one first. */
    if (acts(look) && vp_sync_outdated(look->enforcer)) {
        vp_watched_due(guest, look->now_us);
        return;
    }
    if (interrupted(look))
        return;
    guest->looks++;
    judge(look);
    repair(look);
    vp_tunelook(look->enforcer, guest, look->now_us);
    vp_memlook(look->enforcer, guest, look->now_us);
    finish(look);
    /* A decision made while we wrote may want something else than what we wrote. */
    if (acts(look) && vp_sync_outdated(look->enforcer))
        vp_watched_due(guest, vp_clock_us());
}

/* May it be judged now? If not, it is looked at when it may. */
static bool may_look(struct vp_watched *guest, int64_t now_us)
{
    int64_t wait = vp_patience_wait(guest, now_us);

    if (guest->row.state != VP_GUEST_RUNNING || guest->row.pid <= 0)
        return false;
    if (wait > 0) {
        vp_watched_due(guest, now_us + wait);
        return false;
    }
    guest->busy_since_us = 0;
    return true;
}

void vp_repair_look(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    struct vp_look look = {.enforcer = enforcer, .guest = guest, .now_us = vp_clock_us()};

    guest->look_at_us = 0;
    guest->first = false;
    if (!may_look(guest, look.now_us))
        return;
    if (vp_watched_audit(guest))
        guest->fresh = false;
    look_now(&look);
    vp_look_clear(&look);
}

/* ---- the first look ---- */

/* Where not all is as usual, all of it is looked at. */
static bool usual(const struct vp_enforcer *enforcer, const struct vp_watched *guest)
{
    return !enforcer->disabled && !enforcer->sync_wanted && !enforcer->adopt_wanted &&
           !guest->fresh && !guest->waiting && guest->resolved && guest->root[0] && guest->status &&
           !guest->status->job && !guest->status_changed && guest->setup_since_us == 0 &&
           guest->libvirt_since_us == 0 && !vp_watched_audit(guest) && !vp_patience_held(guest);
}

/* False if more of the guest has to be seen at once. */
static bool look_first(struct vp_look *look)
{
    struct vp_watched *guest = look->guest;
    bool contested;

    if (!usual(look->enforcer, guest) ||
        !vp_first_threads(guest, vp_now_ms(), &look->threads, &contested))
        return false;
    vp_first_taken(guest);
    if (contested)
        vp_watched_due(guest, look->now_us + VP_FIRST_CONTESTED_US);
    if (look->threads.count == 0)
        return true;
    if (vp_sync_outdated(look->enforcer) || vp_look_some(look, NULL) < 0)
        return false;
    if (interrupted(look))
        return true;
    judge(look);
    repair(look);
    vp_record_save(look->enforcer, guest);
    vp_intent_done(&look->enforcer->intent);
    vp_watched_due(guest, vp_clock_us() + VP_FIRST_THEN_FULL_US);
    return !guest->waiting && !look->setting_up && !look->follow_libvirt &&
           !vp_sync_outdated(look->enforcer);
}

void vp_repair_first(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    struct vp_look look = {.enforcer = enforcer, .guest = guest, .now_us = vp_clock_us()};

    guest->first = false;
    if (!may_look(guest, look.now_us))
        return;
    if (!look_first(&look))
        vp_watched_due(guest, look.now_us);
    vp_look_clear(&look);
}
