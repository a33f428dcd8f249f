/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/sync.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/metrics.h"
#include "enforcer/patience.h"
#include "enforcer/record.h"
#include "enforcer/trace.h"
#include "host/clock.h"
#include "host/journal.h"

/* A prepare lease has no age limit; from this on libvirt is asked. */
#define LEASE_ASK_MS 30000
/* A plan that a guest has outgrown and that could not be made anew, a lock being busy. */
#define OUTGROWN_AGAIN_US 1000000

/* ---- the ledger ---- */

/* The ledger notices by itself that its file was deleted, replaced or is
 * broken, and makes a new one; then all that runs is adopted anew. */
static int follow_ledger(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_engine *engine = &enforcer->engine;

    if (!engine->ledger && vp_engine_ledger(engine, true, err) < 0)
        return vp_wrap(err, "the ledger");
    vp_sync_outdated(enforcer);
    if (!vp_ledger_rebuilt(engine->ledger)) {
        enforcer->rebuilding = false;
        return 0;
    }
    if (!enforcer->rebuilding) {
        vp_journal(LOG_NOTICE, VP_MSG_LEDGER, NULL, 0, "a new ledger: adopting what runs");
        vp_record_forget_ids(enforcer);
    }
    enforcer->rebuilding = true;
    enforcer->adopt_wanted = true;
    return 0;
}

bool vp_sync_outdated(struct vp_enforcer *enforcer)
{
    struct vp_error err = {0};
    uint64_t gen = 0;

    if (!enforcer->engine.ledger || vp_ledger_gen(enforcer->engine.ledger, &gen, &err) < 0)
        return false;
    if (gen != enforcer->gen)
        enforcer->sync_wanted = true;
    return gen != enforcer->gen;
}

/* ---- requests ---- */

static int take_requests(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_ledger *ledger = enforcer->engine.ledger;
    VP_AUTO(free) struct vp_request *requests = NULL;
    size_t count = 0;

    if (vp_ledger_take_requests(ledger, NULL, &requests, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(requests[i].kind, "definition") == 0)
            vp_virtside_want(enforcer->virtside, requests[i].uuid, VP_VIRT_DEFINITION);
        else if (strcmp(requests[i].kind, "tell") == 0)
            vp_virtside_want(enforcer->virtside, requests[i].uuid, VP_VIRT_TELL);
        else if (strcmp(requests[i].kind, "adopt") == 0)
            enforcer->adopt_wanted = true;
    }
    return 0;
}

/* ---- rows ---- */

static int add_guest(struct vp_enforcer *enforcer, struct vp_guest_row *row)
{
    struct vp_watched **grown =
        realloc(enforcer->guest, (enforcer->guest_count + 1) * sizeof(struct vp_watched *));
    struct vp_watched *guest;

    if (!grown)
        return -1;
    enforcer->guest = grown;
    guest = vp_watched_new(row);
    if (!guest)
        return -1;
    guest->in_ledger = true;
    guest->fresh = !enforcer->first_sync || enforcer->rebuilding;
    enforcer->guest[enforcer->guest_count++] = guest;
    return 0;
}

static bool row_changed(const struct vp_watched *guest, const struct vp_guest_row *row)
{
    return guest->row.gen != row->gen || guest->row.state != row->state ||
           guest->row.pid != row->pid || guest->row.pid_start != row->pid_start ||
           guest->row.hold_until_ms != row->hold_until_ms || guest->row.since_ms != row->since_ms;
}

/* One row of all; those whose guests are known are found among the first `known`,
 * which are in order. */
struct reading {
    struct vp_enforcer *enforcer;
    size_t known;
};

static int take_row(void *data, struct vp_guest_row *row, struct vp_error *err)
{
    struct reading *reading = data;
    struct vp_enforcer *enforcer = reading->enforcer;
    struct vp_watched *guest = vp_enforcer_among(enforcer, reading->known, row->uuid);

    if (!guest)
        return add_guest(enforcer, row) < 0 ? vp_fail(err, VP_HOST, "out of memory") : 0;
    guest->in_ledger = true;
    if (row_changed(guest, row))
        vp_watched_due(guest, vp_clock_us());
    /* Its process is another: a new run of the guest, and first contact with it. */
    if (guest->row.pid_start != row->pid_start)
        guest->fresh = true;
    return vp_watched_row(guest, row) < 0 ? vp_fail(err, VP_HOST, "out of memory") : 0;
}

static bool alive(pid_t pid, uint64_t start)
{
    return pid > 0 && vp_process_start("/proc", pid) == start;
}

/* True if a guest is gone that held CPUs, or might have. */
static bool drop_guests(struct vp_enforcer *enforcer)
{
    size_t before = enforcer->guest_count, kept = 0;

    for (size_t i = 0; i < enforcer->guest_count; i++) {
        struct vp_watched *guest = enforcer->guest[i];

        if (guest->in_ledger) {
            enforcer->guest[kept++] = guest;
            continue;
        }
        /* Given back to its definition, by whoever: libvirt has to hear of it. */
        if (guest->row.state == VP_GUEST_RUNNING && alive(guest->row.pid, guest->row.pid_start))
            vp_virtside_want(enforcer->virtside, guest->row.uuid, VP_VIRT_UNTELL);
        vp_record_ended(enforcer, guest);
        vp_trace_follow(enforcer->trace, &guest->followed, NULL);
        vp_watched_free(guest);
    }
    enforcer->guest_count = kept;
    return kept < before;
}

static void say_placed(const struct vp_enforcer *enforcer, const struct vp_guest_row *was)
{
    struct vp_guest_row row = {0};
    char cpus[256];

    if (vp_ledger_guest(enforcer->engine.ledger, was->uuid, &row, NULL) == 1 && row.plan &&
        !row.unplaced) {
        vp_cpuset_print(&row.plan->vcpu_cpus, cpus, sizeof(cpus));
        vp_journal(LOG_NOTICE, VP_MSG_PLACED,
                   (const struct vp_field[]){{"VIRTPIN_GUEST", row.name},
                                             {"VIRTPIN_UUID", row.uuid},
                                             {"VIRTPIN_POLICY", row.plan->policy},
                                             {"VIRTPIN_CPUS", cpus}},
                   4, "guest %s %s and now has CPUs %s", row.name,
                   was->unplaced ? "had no place" : "was in the shared pool", cpus);
    }
    vp_guest_row_clear(&row);
}

/* Without a place, or in the pool for want of another. */
static bool waits(const struct vp_watched *guest)
{
    return guest->row.unplaced ||
           (guest->plan.there && guest->plan.mode == VP_MODE_ENFORCE && guest->plan.without_room);
}

/* Guests that had no place may have one where others have left. */
static void place_waiting(struct vp_enforcer *enforcer)
{
    for (size_t i = 0; i < enforcer->guest_count && !enforcer->disabled; i++) {
        const struct vp_guest_row *row = &enforcer->guest[i]->row;
        struct vp_error err = {0};
        bool changed = false;

        if (row->state != VP_GUEST_RUNNING || !waits(enforcer->guest[i]))
            continue;
        if (vp_engine_replan(&enforcer->engine, row->uuid, &changed, &err) < 0) {
            vp_wrap(&err, "placing %s", row->name);
            vp_enforcer_complain(enforcer, &err);
        } else if (changed) {
            say_placed(enforcer, row);
        }
    }
}

/* *room becomes true if there may be more of it than before. */
static int read_rows(struct vp_enforcer *enforcer, bool *room, struct vp_error *err)
{
    struct reading reading = {enforcer, enforcer->guest_count};
    int result;

    /* gen first: a decision made while reading is then seen as a later one */
    if (vp_ledger_gen(enforcer->engine.ledger, &enforcer->gen, err) < 0)
        return -1;
    for (size_t i = 0; i < enforcer->guest_count; i++)
        enforcer->guest[i]->in_ledger = false;
    result = vp_ledger_each_guest(enforcer->engine.ledger, take_row, &reading, err);
    if (result == 0 && drop_guests(enforcer))
        *room = true;
    vp_enforcer_sort(enforcer);
    return result;
}

/* What guests of its partition may use of its pool. */
static int pool_of(struct vp_enforcer *enforcer, const struct vp_watched *guest,
                   struct vp_cpuset *pool, struct vp_error *err)
{
    *pool = enforcer->pool;
    if (guest->plan.pool && vp_engine_pool(&enforcer->engine, guest->plan.pool, pool, err) < 0)
        return -1;
    vp_engine_pool_within(&enforcer->engine, guest->known.partition, pool);
    return 0;
}

static int resolve_all(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int64_t now_ms = vp_now_ms();

    if (vp_engine_pool(&enforcer->engine, NULL, &enforcer->pool, err) < 0)
        return -1;
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        struct vp_watched *guest = enforcer->guest[i];
        struct vp_error own = {0};
        struct vp_cpuset pool;
        bool changed;

        if (guest->row.state != VP_GUEST_RUNNING ||
            vp_watched_refresh(guest, &enforcer->engine, &own) < 0)
            continue; /* it is ending: the status directory and the sweep say so */
        if (pool_of(enforcer, guest, &pool, err) < 0)
            return -1;
        if (vp_watched_resolve(guest, &pool, now_ms, &changed) < 0)
            return vp_fail(err, VP_HOST, "out of memory");
        if (changed)
            vp_watched_due(guest, vp_clock_us());
    }
    return 0;
}

static int adopt(struct vp_enforcer *enforcer, struct vp_error *err)
{
    bool changed = false;

    enforcer->adopt_wanted = false;
    enforcer->adopt_at_us = 0;
    if (enforcer->disabled)
        return 0;
    if (vp_engine_adopt_all(&enforcer->engine, &changed, err) < 0) {
        enforcer->adopt_at_us = vp_clock_us() + 1000000;
        return vp_wrap(err, "adopting guests");
    }
    if (changed)
        enforcer->sync_wanted = true;
    return 0;
}

static int sync_rows(struct vp_enforcer *enforcer, struct vp_error *err)
{
    bool room = enforcer->first_sync;
    int resolved;

    enforcer->sync_wanted = false;
    if (read_rows(enforcer, &room, err) < 0)
        return -1;
    if (enforcer->first_sync) {
        vp_metrics_recall(enforcer);
        vp_record_recall(enforcer);
    }
    enforcer->first_sync = false;
    if (take_requests(enforcer, err) < 0)
        return -1;
    if (enforcer->adopt_wanted && (adopt(enforcer, err) < 0 || read_rows(enforcer, &room, err) < 0))
        return -1;
    if (room)
        place_waiting(enforcer);
    if (room && read_rows(enforcer, &room, err) < 0)
        return -1;
    vp_engine_keep(&enforcer->engine, true);
    resolved = resolve_all(enforcer, err);
    vp_engine_keep(&enforcer->engine, false);
    if (resolved < 0)
        return -1;
    enforcer->sync_wanted = false;
    return 0;
}

/* The package was updated under us: a ledger of a newer schema is for the new
 * program, which the service manager starts when this one ends. */
static bool program_replaced(void)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    path[length > 0 ? length : 0] = '\0';
    return length > 10 && strcmp(path + length - 10, " (deleted)") == 0;
}

void vp_sync(struct vp_enforcer *enforcer)
{
    struct vp_error err = {0};
    int result = follow_ledger(enforcer, &err);

    if (result == 0 && (enforcer->sync_wanted || enforcer->adopt_wanted))
        result = sync_rows(enforcer, &err);
    if (result < 0) {
        enforcer->sync_wanted = true;
        vp_enforcer_complain(enforcer, &err);
        if (err.code == VP_HOST && program_replaced())
            sd_event_exit(enforcer->event, EXIT_FAILURE);
    }
    /* A lock that was busy is no trouble yet: the next sweep tries again. */
    if (result == 0 || err.code != VP_BUSY)
        snprintf(enforcer->trouble, sizeof(enforcer->trouble), "%.250s",
                 result < 0 ? err.text : "");
    vp_enforcer_state(enforcer);
}

/* An I/O thread that came while the guest runs has no place in its plan yet:
 * libvirt puts it on all CPUs, others' own among them. One that went may still
 * have a CPU booked. */
static bool outgrown(const struct vp_watched *guest)
{
    const struct vp_known *known = &guest->known;
    const struct vp_planned *plan = &guest->plan;

    if (!plan->there || guest->row.unplaced || plan->mode != VP_MODE_ENFORCE || !guest->plan.wants)
        return false;
    for (size_t i = 0; i < known->iothread_count; i++) {
        bool planned = false;

        for (size_t j = 0; j < guest->plan.iothread_count; j++)
            planned |= guest->plan.iothread[j] == known->iothread[i];
        if (!planned)
            return true;
    }
    return guest->plan.iothread_count > known->iothread_count;
}

void vp_sync_outgrown(struct vp_enforcer *enforcer, struct vp_watched *guest)
{
    struct vp_error err = {0};
    bool changed;

    if (!outgrown(guest) || enforcer->disabled || vp_patience_held(guest) ||
        !enforcer->engine.ledger)
        return;
    if (vp_engine_replan(&enforcer->engine, guest->row.uuid, &changed, &err) < 0) {
        vp_enforcer_complain(enforcer, &err);
        vp_watched_due(guest, vp_clock_us() + OUTGROWN_AGAIN_US);
    }
    enforcer->sync_wanted = true;
}

/* ---- the sweep's part ---- */

static void check_lease(struct vp_enforcer *enforcer, const struct vp_guest_row *row,
                        int64_t now_ms)
{
    if (!alive(row->daemon_pid, row->daemon_start) && strcmp(row->operation, "stopped") != 0)
        enforcer->adopt_wanted = true;
    if (row->held_until_ms != 0 && now_ms > row->held_until_ms)
        enforcer->adopt_wanted = true;
    /* the guest may run, its `started` lost: adopting looks */
    if (now_ms - row->since_ms > VP_STARTED_LATE_MS && strcmp(row->operation, "stopped") != 0)
        enforcer->adopt_wanted = true;
    if (strcmp(row->operation, "prepare") == 0 && now_ms - row->since_ms > LEASE_ASK_MS)
        vp_virtside_want(enforcer->virtside, row->uuid, VP_VIRT_LEASE);
}

bool vp_sync_lives(const struct vp_guest_row *row)
{
    return alive(row->pid, row->pid_start);
}

void vp_sync_check(struct vp_enforcer *enforcer)
{
    int64_t now_ms = vp_now_ms();

    if (enforcer->adopt_at_us != 0 && vp_clock_us() >= enforcer->adopt_at_us)
        enforcer->adopt_wanted = true;
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        const struct vp_guest_row *row = &enforcer->guest[i]->row;

        if (row->state == VP_GUEST_LEASE)
            check_lease(enforcer, row, now_ms);
    }
}
