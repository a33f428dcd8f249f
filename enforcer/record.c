/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "enforcer/driftlog.h"
#include "enforcer/enforcer.h"
#include "enforcer/metrics.h"
#include "host/clock.h"

/* A difference that comes back within this time is the same record again; the
 * time after which a contest is over. */
#define SAME_MS (10 * 60 * 1000LL)
/* How often `last` of a standing difference is brought up to date. */
#define REFRESH_MS 30000

struct vp_case *vp_record_find(struct vp_watched *guest, enum vp_role role, unsigned index,
                               enum vp_drift_kind kind)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_drift_record *record = &guest->cases[i].record;

        if (record->role == role && record->index == index && record->kind == kind)
            return &guest->cases[i];
    }
    return NULL;
}

struct vp_case *vp_record_case(struct vp_watched *guest, enum vp_role role, unsigned index,
                               enum vp_drift_kind kind)
{
    struct vp_case *found = vp_record_find(guest, role, index, kind);
    struct vp_case *grown;

    if (found)
        return found;
    grown = realloc(guest->cases, (guest->case_count + 1) * sizeof(*grown));
    if (!grown)
        return NULL;
    guest->cases = grown;
    found = &grown[guest->case_count++];
    *found = (struct vp_case){
        .record = {.role = role, .index = index, .kind = kind, .repair_us = -1, .by = {.uid = -1}}};
    snprintf(found->record.uuid, sizeof(found->record.uuid), "%s", guest->row.uuid);
    snprintf(found->record.guest, sizeof(found->record.guest), "%.127s", guest->row.name);
    return found;
}

static void begin(struct vp_case *seen, int64_t now_ms, int64_t event_us,
                  const struct vp_culprit *by)
{
    struct vp_drift_record *record = &seen->record;

    if (record->id == 0 || now_ms - record->last_ms > SAME_MS) {
        record->id = 0;
        record->first_ms = now_ms;
        record->count = 0;
    }
    record->count++;
    vp_count_drift(record->kind);
    record->by = *by;
    record->repaired_ms = 0;
    record->repair_us = -1;
    seen->event_us = event_us;
    seen->standing = true;
    seen->said = false;
    seen->unsaved = true;
}

void vp_record_seen(struct vp_watched *guest, struct vp_case *seen, const struct vp_diff *diff,
                    const struct vp_culprit *by, int64_t event_us)
{
    struct vp_drift_record *record = &seen->record;
    int64_t now_ms = vp_now_ms();

    if (!seen->standing)
        begin(seen, now_ms, event_us, by);
    if (now_ms - record->last_ms > REFRESH_MS || !vp_cpuset_equal(&record->found, &diff->found))
        seen->unsaved = true;
    record->last_ms = now_ms;
    record->tid = diff->tid;
    record->wanted = diff->wanted;
    record->found = diff->found;
    snprintf(record->where, sizeof(record->where), "%s", diff->where);
    seen->look = guest->looks;
}

void vp_record_state(struct vp_case *seen, enum vp_drift_state state, int64_t repair_us)
{
    struct vp_drift_record *record = &seen->record;
    bool news = !seen->said || record->state != state;

    record->state = state;
    if (state == VP_DRIFT_REPAIRED) {
        record->repaired_ms = vp_now_ms();
        record->repair_us = repair_us;
        vp_count_repair(repair_us);
        seen->standing = false;
    }
    if (!news)
        return;
    seen->unsaved = true;
    seen->said = true;
    /* Of a contested one the journal hears at the start and at the end only. */
    if (!seen->contest.contested)
        vp_driftlog(record);
}

void vp_record_settle(struct vp_watched *guest, enum vp_role role, unsigned index,
                      enum vp_drift_kind kind, bool differs)
{
    struct vp_case *seen = vp_record_find(guest, role, index, kind);

    if (!seen || !seen->standing)
        return; /* a quiet one */
    if (differs) {
        vp_record_state(seen, VP_DRIFT_OPEN, -1);
        return;
    }
    vp_contest_repaired(&seen->contest, vp_now_ms());
    vp_record_state(seen, VP_DRIFT_REPAIRED, vp_clock_us() - seen->event_us);
}

void vp_record_contested(const struct vp_case *seen, bool begins)
{
    if (begins)
        vp_count_contest();
    vp_driftlog_contest(&seen->record, begins);
}

void vp_record_gone(struct vp_watched *guest, bool pins)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (seen->standing && seen->look != guest->looks &&
            (seen->record.kind == VP_DRIFT_PIN) == pins && seen->record.kind != VP_DRIFT_DEFINITION)
            vp_record_state(seen, VP_DRIFT_REPAIRED, -1);
    }
}

bool vp_record_standing(const struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        if (guest->cases[i].standing)
            return true;
    }
    return false;
}

/* ---- the ledger ---- */

static void forget_old(struct vp_watched *guest, int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (vp_contest_over(&seen->contest, now_ms)) {
            vp_record_contested(seen, false);
            if (seen->record.state == VP_DRIFT_CONTESTED && !seen->standing) {
                seen->record.state = VP_DRIFT_REPAIRED;
                seen->unsaved = true;
            }
        }
        if (seen->standing || seen->unsaved || now_ms - seen->record.last_ms <= SAME_MS)
            guest->cases[kept++] = *seen;
    }
    guest->case_count = kept;
}

void vp_record_save(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    struct vp_error err = {0};

    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (!seen->unsaved)
            continue;
        if (!enforcer->engine.ledger ||
            vp_ledger_drift_put(enforcer->engine.ledger, &seen->record, &err) < 0) {
            if (err.text[0] && err.code != VP_BUSY)
                vp_enforcer_complain(enforcer, &err);
            return;
        }
        seen->unsaved = false;
    }
    forget_old(guest, vp_now_ms());
}

static void recall_one(struct vp_enforcer *enforcer, struct vp_drift_record *record)
{
    struct vp_watched *guest = vp_enforcer_guest(enforcer, record->uuid);
    struct vp_case *seen =
        guest ? vp_record_case(guest, record->role, record->index, record->kind) : NULL;

    if (seen) {
        seen->record = *record;
        seen->standing = true;
        seen->said = true;
        seen->event_us = vp_clock_us();
    } else if (!guest) {
        record->state = VP_DRIFT_REPAIRED;
        record->repaired_ms = vp_now_ms();
        vp_ledger_drift_put(enforcer->engine.ledger, record, NULL);
    }
}

void vp_record_recall(struct vp_enforcer *enforcer)
{
    VP_AUTO(free) struct vp_drift_record *records = NULL;
    struct vp_error err = {0};
    size_t count = 0;

    if (vp_ledger_drift_standing(enforcer->engine.ledger, &records, &count, &err) < 0)
        vp_enforcer_complain(enforcer, &err);
    for (size_t i = 0; i < count; i++) {
        /* definitions are the libvirt side's */
        if (records[i].kind != VP_DRIFT_DEFINITION)
            recall_one(enforcer, &records[i]);
    }
}

void vp_record_ended(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    guest->looks++;
    vp_record_gone(guest, false);
    vp_record_gone(guest, true);
    vp_record_save(enforcer, guest);
}

void vp_record_forget_ids(struct vp_enforcer *enforcer)
{
    vp_metrics_again();
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        for (size_t j = 0; j < enforcer->guest[i]->case_count; j++) {
            struct vp_case *seen = &enforcer->guest[i]->cases[j];

            seen->record.id = 0;
            seen->unsaved = true;
        }
    }
}
