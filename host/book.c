/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Decisions that change who holds which CPU: one transaction each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"
#include "host/threads.h"

/* A stopped, restoring or incoming guest that libvirt forgets without a word
 * (it may refuse after our answer and call nothing) ends by time. */
#define ANSWER_MS 60000
#define CLOCK_MS 1000 /* a clock may be corrected by so much */

bool vp_process_alive(pid_t pid, uint64_t start)
{
    char path[64], text[512];
    const char *state;
    size_t length;
    FILE *file;

    if (pid <= 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    state = strrchr(text, ')'); /* the name before it may hold anything */
    if (!state || state[1] == '\0' || state[2] == 'Z' || state[2] == 'X')
        return false;
    return start == 0 || vp_process_start("/proc", pid) == start;
}

bool vp_row_in_force(const struct vp_guest_row *row)
{
    return row->plan && row->plan->mode == VP_MODE_ENFORCE && !row->unplaced &&
           row->plan->placement != VP_PLACE_NONE;
}

/* A clock that was set back must not keep CPUs held. */
static bool time_is_over(const struct vp_guest_row *row, int64_t now_ms)
{
    return row->held_until_ms != 0 &&
           (row->held_until_ms <= now_ms || row->since_ms > now_ms + CLOCK_MS);
}

bool vp_row_ended(const struct vp_guest_row *row, int64_t now_ms)
{
    switch (row->state) {
    case VP_GUEST_RUNNING:
        return !vp_process_alive(row->pid, row->pid_start);
    case VP_GUEST_LEASE:
        if (time_is_over(row, now_ms))
            return true;
        if (strcmp(row->operation, "stopped") == 0)
            return false;
        return row->daemon_pid > 0 && !vp_process_alive(row->daemon_pid, row->daemon_start);
    case VP_GUEST_RESERVED:
        break;
    }
    return false;
}

static int keep_cpu(const struct vp_plan *plan, enum vp_role role, unsigned index)
{
    const struct vp_want *want = vp_plan_find(plan, role, index);

    if (!want || want->kind != VP_WANT_SET || vp_cpuset_count(&want->cpus) != 1)
        return -1;
    return vp_cpuset_next(&want->cpus, -1);
}

int *vp_keep_of_plan(const struct vp_plan *plan, const struct vp_domain *domain)
{
    int *keep = malloc(vp_domain_threads(domain) * sizeof(*keep));
    size_t at = 0;

    if (!keep)
        return NULL;
    for (unsigned i = 0; i < domain->vcpus; i++)
        keep[at++] = keep_cpu(plan, VP_ROLE_VCPU, i);
    keep[at++] = vp_cpuset_empty(&plan->emulator_cpus) ? -1 : keep_cpu(plan, VP_ROLE_EMULATOR, 0);
    for (size_t i = 0; i < domain->iothread_count; i++)
        keep[at++] = keep_cpu(plan, VP_ROLE_IOTHREAD, domain->iothread[i]);
    for (unsigned i = 0; i < domain->vhosts; i++)
        keep[at++] = keep_cpu(plan, VP_ROLE_VHOST, i);
    return keep;
}

int *vp_keep_of_home(const struct vp_plan *plan, const struct vp_domain *domain)
{
    int *keep = plan->home_count > 0 ? vp_keep_of_plan(plan, domain) : NULL;

    for (size_t i = 0; keep && i < plan->home_count; i++) {
        const struct vp_home *home = &plan->home[i];

        if (home->role == VP_ROLE_VCPU && home->index < domain->vcpus)
            keep[home->index] = home->cpu;
        else if (home->role == VP_ROLE_EMULATOR)
            keep[domain->vcpus] = home->cpu;
        for (size_t t = 0; home->role == VP_ROLE_IOTHREAD && t < domain->iothread_count; t++)
            if (domain->iothread[t] == home->index)
                keep[domain->vcpus + 1 + t] = home->cpu;
        if (home->role == VP_ROLE_VHOST && home->index < domain->vhosts)
            keep[domain->vcpus + 1 + domain->iothread_count + home->index] = home->cpu;
    }
    return keep;
}

int vp_engine_remove_ended(struct vp_engine *engine, const struct vp_guest_rows *seen,
                           unsigned *freed, struct vp_error *err)
{
    int64_t now = vp_now_ms();

    for (size_t i = 0; i < seen->count; i++) {
        struct vp_guest_row today = {0};
        int found;

        if (!vp_row_over(engine, &seen->item[i], now))
            continue;
        found = vp_ledger_guest(engine->ledger, seen->item[i].uuid, &today, err);
        if (found < 0)
            return -1;
        /* touched or planned anew since we looked: judged another time */
        if (found == 1 && today.gen == seen->item[i].gen && today.state == seen->item[i].state &&
            today.since_ms == seen->item[i].since_ms) {
            if (vp_row_end(engine, &today, err) < 0) {
                vp_guest_row_clear(&today);
                return -1;
            }
            if (freed)
                (*freed)++;
        }
        vp_guest_row_clear(&today);
    }
    return 0;
}

enum vp_plan_result vp_engine_plan_locked(struct vp_engine *engine, struct vp_plan_input *input,
                                          struct vp_plan **plan, struct vp_findings *findings,
                                          struct vp_error *err)
{
    VP_AUTO(free) struct vp_holding *own = NULL;
    const struct vp_holding *holding;
    size_t count;
    enum vp_plan_result result;

    if (vp_holdings_now(engine, &holding, &count, &own, err) < 0)
        return VP_PLAN_FAILED;
    input->holding = holding;
    input->holding_count = count;
    result = vp_plan_make(input, plan, NULL, findings, err);
    input->holding = NULL;
    input->holding_count = 0;
    return result;
}

/* Begins a transaction on a ledger that knows all that runs: one made anew,
 * also under our feet, first adopts it: then 1, else 0. */
static int begin_adopted(struct vp_engine *engine, struct vp_error *err)
{
    for (int times = 0; times < 3; times++) {
        struct vp_error own = {0};

        if (vp_ledger_begin(engine->ledger, err) < 0)
            return -1;
        if (!vp_ledger_rebuilt(engine->ledger))
            return times > 0;
        vp_ledger_rollback(engine->ledger);
        if (vp_engine_adopt_all(engine, NULL, &own) < 0 && vp_ledger_rebuilt(engine->ledger)) {
            if (err)
                *err = own;
            return -1;
        }
    }
    return vp_fail(err, VP_BUSY, "the ledger is replaced again and again");
}

/* Whether a plan knows just the threads that the domain has. */
static bool plan_fits(const struct vp_plan *plan, const struct vp_domain *domain)
{
    unsigned vcpus = 0;

    if (plan->placement == VP_PLACE_NONE)
        return true;
    for (size_t i = 0; i < plan->want_count; i++)
        vcpus += plan->want[i].role == VP_ROLE_VCPU;
    for (size_t i = 0; i < domain->iothread_count; i++)
        if (!vp_plan_find(plan, VP_ROLE_IOTHREAD, domain->iothread[i]))
            return false;
    return vcpus == domain->vcpus;
}

/* Whether an earlier answer of ours, already printed into the guest's XML or
 * held for a revert, still stands for this domain. */
static bool lease_stands(const struct vp_engine *engine, const struct vp_guest_row *row,
                         const struct vp_domain *domain, const struct vp_choice *choice)
{
    return row->plan && !row->unplaced && row->state != VP_GUEST_RUNNING &&
           strcmp(row->plan->policy, choice->policy->name) == 0 &&
           strcmp(row->plan->policy_hash, engine->set->hash) == 0 && plan_fits(row->plan, domain);
}

bool vp_reservation_stands(const struct vp_engine *engine, const struct vp_guest_row *row,
                           const struct vp_domain *domain, const struct vp_choice *choice)
{
    return lease_stands(engine, row, domain, choice);
}

static void fill_lease(struct vp_guest_row *row, const struct vp_domain *domain,
                       const struct vp_asker *asker)
{
    snprintf(row->uuid, sizeof(row->uuid), "%s", domain->uuid);
    snprintf(row->name, sizeof(row->name), "%s", domain->name);
    snprintf(row->operation, sizeof(row->operation), "%s", asker->operation);
    row->state = VP_GUEST_LEASE;
    row->pid = 0;
    row->pid_start = 0;
    row->daemon_pid = asker->daemon_pid;
    row->daemon_start = vp_process_start("/proc", asker->daemon_pid);
    row->since_ms = vp_now_ms();
    row->held_until_ms = strcmp(asker->operation, "prepare") == 0 ? 0 : row->since_ms + ANSWER_MS;
}

/* Makes `row` a lease with a new plan. Under audit a guest that would not fit
 * is not refused: the row says so. */
static enum vp_plan_result lease_anew(struct vp_engine *engine, struct vp_plan_input *input,
                                      const struct vp_asker *asker, struct vp_guest_row *row,
                                      struct vp_findings *findings, struct vp_error *err)
{
    VP_AUTO(free) int *keep = row->plan ? vp_keep_of_plan(row->plan, input->domain) : NULL;
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    enum vp_plan_result result;

    input->keep = keep;
    result = vp_engine_plan_locked(engine, input, &plan, findings, err);
    input->keep = NULL;
    vp_guest_row_clear(row);
    if (result == VP_PLAN_REFUSED && input->policy->mode == VP_MODE_AUDIT) {
        plan = vp_plan_unplaced(input);
        row->unplaced = strdup(err ? err->text : "does not fit");
        if (plan && row->unplaced)
            result = VP_PLAN_OK;
    }
    if (result != VP_PLAN_OK)
        return result;
    fill_lease(row, input->domain, asker);
    row->plan = VP_STEAL(plan);
    if (vp_ledger_put(engine->ledger, row, err) < 0)
        return VP_PLAN_FAILED;
    return VP_PLAN_OK;
}

static enum vp_plan_result lease(struct vp_engine *engine, struct vp_plan_input *input,
                                 const struct vp_choice *choice, const struct vp_asker *asker,
                                 struct vp_guest_row *row, struct vp_findings *findings,
                                 struct vp_error *err)
{
    int found = vp_ledger_guest(engine->ledger, input->domain->uuid, row, err);

    if (found < 0)
        return VP_PLAN_FAILED;
    if (found == 1 && row->state == VP_GUEST_RUNNING)
        return VP_PLAN_OK; /* confirmed and alive: never replaced by a lease */
    if (found == 1 && lease_stands(engine, row, input->domain, choice)) {
        fill_lease(row, input->domain, asker);
        return vp_ledger_touch(engine->ledger, row, err) < 0 ? VP_PLAN_FAILED : VP_PLAN_OK;
    }
    return lease_anew(engine, input, asker, row, findings, err);
}

enum vp_plan_result vp_engine_book(struct vp_engine *engine, const struct vp_domain *domain,
                                   const struct vp_choice *choice, const struct vp_asker *asker,
                                   struct vp_plan **plan, struct vp_findings *findings,
                                   struct vp_error *err)
{
    struct vp_guest_rows seen = {0};
    struct vp_guest_row row = {0};
    struct vp_plan_input input;
    enum vp_plan_result result = VP_PLAN_FAILED;

    *plan = NULL;
    if (!choice->policy || choice->policy->mode == VP_MODE_OFF)
        return VP_PLAN_OK;
    vp_engine_input(engine, domain, choice, &input);
    if (begin_adopted(engine, err) < 0)
        return VP_PLAN_FAILED;
    if (vp_ledger_guests(engine->ledger, &seen, err) == 0 &&
        vp_engine_remove_ended(engine, &seen, NULL, err) == 0)
        result = lease(engine, &input, choice, asker, &row, findings, err);
    if (result == VP_PLAN_OK && vp_ledger_commit(engine->ledger, err) < 0)
        result = VP_PLAN_FAILED;
    if (result != VP_PLAN_OK)
        vp_ledger_rollback(engine->ledger);
    else
        *plan = VP_STEAL(row.plan);
    vp_guest_row_clear(&row);
    vp_guest_rows_clear(&seen);
    return result;
}

/* The guest runs without a lease that fits: a decision is made now, taking what
 * is free. `row` holds state and process. 1, 0 if there is nothing to decide. */
static int confirm_anew(struct vp_engine *engine, const struct vp_domain *domain,
                        struct vp_guest_row *row, struct vp_error *err)
{
    struct vp_error why = {0};
    struct vp_plan_input input;
    struct vp_choice choice;
    enum vp_plan_result result;

    vp_engine_choose(engine, domain, &choice);
    if (!choice.policy || choice.policy->mode == VP_MODE_OFF)
        return 0;
    vp_engine_input(engine, domain, &choice, &input);
    result = vp_engine_plan_locked(engine, &input, &row->plan, NULL, &why);
    if (result == VP_PLAN_REFUSED) {
        row->plan = vp_plan_unplaced(&input);
        row->unplaced = strdup(why.text);
    }
    if (!row->plan || (result == VP_PLAN_REFUSED && !row->unplaced))
        return vp_fail(err, VP_HOST, "%s", why.text[0] ? why.text : "out of memory");
    snprintf(row->uuid, sizeof(row->uuid), "%s", domain->uuid);
    snprintf(row->name, sizeof(row->name), "%s", domain->name);
    return vp_ledger_put(engine->ledger, row, err) < 0 ? -1 : 1;
}

static void fill_running(struct vp_guest_row *row, pid_t pid, uint64_t start)
{
    row->state = VP_GUEST_RUNNING;
    row->operation[0] = '\0';
    row->pid = pid;
    row->pid_start = start;
    row->held_until_ms = 0;
    row->since_ms = vp_now_ms();
}

static int confirm_locked(struct vp_engine *engine, const struct vp_domain *domain, pid_t pid,
                          uint64_t start, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found = vp_ledger_guest(engine->ledger, domain->uuid, &row, err);
    int result;

    if (found < 0)
        return -1;
    if (found == 1 && row.plan && !row.unplaced && plan_fits(row.plan, domain)) {
        fill_running(&row, pid, start);
        result = vp_ledger_touch(engine->ledger, &row, err);
    } else {
        vp_guest_row_clear(&row);
        row = (struct vp_guest_row){0};
        fill_running(&row, pid, start);
        result = confirm_anew(engine, domain, &row, err);
    }
    vp_guest_row_clear(&row);
    return result;
}

int vp_engine_confirm(struct vp_engine *engine, const struct vp_domain *domain, pid_t pid,
                      struct vp_error *err)
{
    uint64_t start = vp_process_start("/proc", pid);
    int adopted, result;

    if (start == 0)
        return vp_fail(err, VP_GONE, "guest %s has ended", domain->name);
    adopted = begin_adopted(engine, err);
    if (adopted < 0)
        return -1;
    result = confirm_locked(engine, domain, pid, start, err);
    if (result >= 0 && vp_ledger_commit(engine->ledger, err) == 0)
        return adopted || result;
    vp_ledger_rollback(engine->ledger);
    return -1;
}

static int free_locked(struct vp_engine *engine, const char *uuid, int64_t hold_ms,
                       struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found = vp_ledger_guest(engine->ledger, uuid, &row, err);
    int result = found < 0 ? -1 : 0;

    if (found == 1 && row.state == VP_GUEST_RUNNING && vp_process_alive(row.pid, row.pid_start)) {
        /* another start of the same guest got here first */
    } else if (found == 1 && row.state == VP_GUEST_RESERVED) {
        /* release comes after stopped: kept is kept */
    } else if (found == 1 && hold_ms > 0 && !vp_row_reserves(engine, &row)) {
        row.state = VP_GUEST_LEASE;
        snprintf(row.operation, sizeof(row.operation), "stopped");
        row.since_ms = vp_now_ms();
        row.held_until_ms = row.since_ms + hold_ms;
        row.pid = 0;
        row.pid_start = 0;
        result = vp_ledger_touch(engine->ledger, &row, err);
    } else if (found == 1) {
        result = vp_row_end(engine, &row, err);
    }
    vp_guest_row_clear(&row);
    return result;
}

int vp_engine_free(struct vp_engine *engine, const char *uuid, int64_t hold_ms,
                   struct vp_error *err)
{
    if (vp_ledger_begin(engine->ledger, err) < 0)
        return -1;
    if (free_locked(engine, uuid, hold_ms, err) == 0 && vp_ledger_commit(engine->ledger, err) == 0)
        return 0;
    vp_ledger_rollback(engine->ledger);
    return -1;
}
