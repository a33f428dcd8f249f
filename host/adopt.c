/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking running guests into the ledger, and planning them anew. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"
#include "host/threads.h"

static int single(const struct vp_cpuset *cpus)
{
    return vp_cpuset_count(cpus) == 1 ? vp_cpuset_next(cpus, -1) : -1;
}

/* libvirt's pin of a thread if it names one CPU, -1 else. */
static int pinned_cpu(const struct vp_status *status, enum vp_role role, unsigned index)
{
    const struct vp_pin *pin = vp_pins_find(&status->domain->pins, role, index);

    return pin ? single(&pin->cpus) : -1;
}

static int thread_cpu(const struct vp_threads *threads, enum vp_role role, unsigned index)
{
    for (size_t i = 0; i < threads->count; i++) {
        struct vp_cpuset affinity = {0};

        if (threads->item[i].role != role || threads->item[i].index != index)
            continue;
        if (sched_getaffinity(threads->item[i].tid, sizeof(affinity), (cpu_set_t *)&affinity) < 0)
            return -1;
        return single(&affinity);
    }
    return -1;
}

/* The CPUs that the guest has, in the order of vp_plan_input.keep: by libvirt's
 * pins (threads NULL) or by its threads' masks. */
static int *present_cpus(const struct vp_status *status, const struct vp_threads *threads)
{
    const struct vp_domain *domain = status->domain;
    int *keep = malloc(vp_domain_threads(domain) * sizeof(*keep));
    size_t at = 0;

    if (!keep)
        return NULL;
    for (unsigned i = 0; i < domain->vcpus; i++)
        keep[at++] =
            threads ? thread_cpu(threads, VP_ROLE_VCPU, i) : pinned_cpu(status, VP_ROLE_VCPU, i);
    keep[at++] = threads ? thread_cpu(threads, VP_ROLE_EMULATOR, 0)
                         : pinned_cpu(status, VP_ROLE_EMULATOR, 0);
    for (size_t i = 0; i < domain->iothread_count; i++)
        keep[at++] = threads ? thread_cpu(threads, VP_ROLE_IOTHREAD, domain->iothread[i])
                             : pinned_cpu(status, VP_ROLE_IOTHREAD, domain->iothread[i]);
    for (unsigned i = 0; i < domain->vhosts; i++) /* libvirt has no pins of these */
        keep[at++] = threads ? thread_cpu(threads, VP_ROLE_VHOST, i) : -1;
    return keep;
}

enum { KEEP_HOME, KEEP_PLAN, KEEP_LIBVIRT, KEEP_THREADS, KEEP_COUNT };

/* Tries the CPUs that it had before some went offline, those of its plan, libvirt's pins, the
 * threads' masks, any free CPUs. */
static enum vp_plan_result plan_present(struct vp_engine *engine, struct vp_plan_input *input,
                                        int *const *keep, struct vp_plan **plan,
                                        struct vp_error *err)
{
    for (size_t i = 0; vp_policy_books(input->policy) && i < KEEP_COUNT; i++) {
        enum vp_plan_result result;

        if (!keep[i])
            continue;

        input->keep = keep[i];
        input->keep_only = true;
        result = vp_engine_plan_locked(engine, input, plan, NULL, NULL);
        /* on-no-room = shared must not turn kept CPUs down */
        if (result == VP_PLAN_OK && !vp_cpuset_empty(&(*plan)->vcpu_cpus))
            return VP_PLAN_OK;
        vp_plan_free(*plan);
        *plan = NULL;
    }
    input->keep = NULL;
    input->keep_only = false;
    return vp_engine_plan_locked(engine, input, plan, NULL, err);
}

struct adoption {
    struct vp_status *status;
    uint64_t start;
    struct vp_choice choice;
    struct vp_plan_input input;
    int *keep[KEEP_COUNT]; /* NULL: not known */
};

static void adoption_clear(struct adoption *a)
{
    vp_status_free(a->status);
    for (int i = 0; i < KEEP_COUNT; i++)
        free(a->keep[i]);
}

/* Everything that is read from the host, before the transaction. */
static int adoption_read(struct vp_engine *engine, const char *name, struct adoption *a,
                         struct vp_error *err)
{
    struct vp_threads threads = {0};
    int result = 0;

    if (vp_status_load(engine->status_dir, name, &a->status, err) < 0)
        return -1;
    a->start = vp_process_start("/proc", a->status->pid);
    if (a->start == 0)
        return vp_fail(err, VP_GONE, "guest %s has ended", name);
    vp_engine_choose(engine, a->status->domain, &a->choice);
    if (!a->choice.policy || a->choice.policy->mode == VP_MODE_OFF)
        return 0;
    vp_engine_input(engine, a->status->domain, &a->choice, &a->input);
    if (vp_threads_list(&engine->cgroups, a->status->pid, a->status, "", &threads, err) < 0)
        return -1;
    a->keep[KEEP_LIBVIRT] = present_cpus(a->status, NULL);
    a->keep[KEEP_THREADS] = present_cpus(a->status, &threads);
    if (!a->keep[KEEP_LIBVIRT] || !a->keep[KEEP_THREADS])
        result = vp_fail(err, VP_HOST, "out of memory");
    vp_threads_clear(&threads);
    return result;
}

static int put_adopted(struct vp_engine *engine, struct adoption *a, struct vp_error *err)
{
    struct vp_guest_row row = {.state = VP_GUEST_RUNNING,
                               .pid = a->status->pid,
                               .pid_start = a->start,
                               .since_ms = vp_now_ms()};
    struct vp_error why = {0};
    enum vp_plan_result result = plan_present(engine, &a->input, a->keep, &row.plan, &why);
    int put = -1;

    snprintf(row.uuid, sizeof(row.uuid), "%s", a->status->domain->uuid);
    snprintf(row.name, sizeof(row.name), "%s", a->status->domain->name);
    if (result == VP_PLAN_REFUSED) {
        row.plan = vp_plan_unplaced(&a->input);
        row.unplaced = strdup(why.text);
    }
    if (result == VP_PLAN_FAILED || !row.plan)
        vp_fail(err, VP_HOST, "%s", why.text[0] ? why.text : "out of memory");
    else
        put = vp_ledger_put(engine->ledger, &row, err);
    if (put == 0)
        vp_kept_put(engine, &row);
    vp_guest_row_clear(&row);
    return put;
}

/* 1: adopted; 0: there was nothing to do. */
static int adopt_locked(struct vp_engine *engine, struct adoption *a, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found = vp_ledger_guest(engine->ledger, a->status->domain->uuid, &row, err);
    int result = 0;

    if (found < 0)
        return -1;
    if (found == 1 && row.state == VP_GUEST_RUNNING && row.pid == a->status->pid &&
        row.pid_start == a->start) {
        result = 0;
    } else if (found == 1 && row.state == VP_GUEST_LEASE) {
        /* a hook is at work, unless its `started` was lost */
        if (a->status->vcpu_count > 0 && vp_now_ms() - row.since_ms > VP_STARTED_LATE_MS) {
            row.state = VP_GUEST_RUNNING;
            row.operation[0] = '\0';
            row.pid = a->status->pid;
            row.pid_start = a->start;
            row.held_until_ms = 0;
            row.since_ms = vp_now_ms();
            result = vp_ledger_touch(engine->ledger, &row, err) < 0 ? -1 : 1;
            vp_kept_drop(engine);
        }
    } else if (a->choice.policy && a->choice.policy->mode != VP_MODE_OFF) {
        result = put_adopted(engine, a, err) < 0 ? -1 : 1;
    }
    vp_guest_row_clear(&row);
    return result;
}

int vp_engine_adopt_one(struct vp_engine *engine, const char *name, bool *adopted, bool *unreadable,
                        struct vp_error *err)
{
    struct adoption a = {0};
    int result = adoption_read(engine, name, &a, err);

    *adopted = false;
    *unreadable = result < 0;
    if (result == 0)
        result = vp_ledger_begin(engine->ledger, err);
    if (result == 0) {
        result = adopt_locked(engine, &a, err);
        if (result == 1 && vp_ledger_commit(engine->ledger, err) < 0)
            result = -1;
        if (result != 1)
            vp_ledger_rollback(engine->ledger);
        if (result < 0)
            vp_kept_drop(engine);
    }
    adoption_clear(&a);
    *adopted = result == 1;
    return result < 0 ? vp_wrap(err, "guest %s", name) : 0;
}

int vp_engine_adopt(struct vp_engine *engine, const char *name, bool *adopted, struct vp_error *err)
{
    bool done, unreadable;
    int result = vp_engine_adopt_one(engine, name, &done, &unreadable, err);

    if (adopted)
        *adopted = done;
    return result;
}

/* ---- policies changed ---- */

/* The same but for the policy set that they were made under. */
static bool same_plan(const struct vp_plan *a, const struct vp_plan *b)
{
    VP_AUTO(free) char *before = NULL;
    VP_AUTO(free) char *after = NULL;
    VP_AUTO(vp_plan) struct vp_plan *copy = a ? vp_plan_copy(a) : NULL;

    if (!copy)
        return false;
    memcpy(copy->policy_hash, b->policy_hash, sizeof(copy->policy_hash));
    before = vp_plan_print(copy);
    after = vp_plan_print(b);
    return before && after && strcmp(before, after) == 0;
}

static bool is_home(const struct vp_plan *plan, const struct vp_plan *before)
{
    for (size_t i = 0; i < before->home_count; i++) {
        const struct vp_home *home = &before->home[i];
        const struct vp_want *want = vp_plan_find(plan, home->role, home->index);

        if (!want || want->kind != VP_WANT_SET || vp_cpuset_count(&want->cpus) != 1 ||
            !vp_cpuset_has(&want->cpus, home->cpu))
            return false;
    }
    return true;
}

/* A guest that had to leave CPUs goes back when they are there again. */
static int remember_home(const struct vp_engine *engine, const struct vp_plan *before,
                         struct vp_plan *plan)
{
    struct vp_cpuset own;

    if (!before || before->placement != plan->placement || vp_cpuset_empty(&plan->vcpu_cpus))
        return 0;
    if (before->home_count > 0)
        return is_home(plan, before) ? 0 : vp_plan_set_home(plan, before);
    vp_plan_exclusive(before, &own);
    return vp_cpuset_within(&own, &engine->topology->online) ? 0 : vp_plan_set_home(plan, before);
}

/* Replaces the row's plan inside an open transaction, or notes why not. */
static int replan_locked(struct vp_engine *engine, struct vp_guest_row *row, struct adoption *a,
                         bool *changed, struct vp_error *err)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_error why = {0};
    enum vp_plan_result result = plan_present(engine, &a->input, a->keep, &plan, &why);

    if (result == VP_PLAN_FAILED)
        return vp_fail(err, VP_HOST, "%s", why.text);
    if (result == VP_PLAN_REFUSED && a->choice.policy->mode == VP_MODE_ENFORCE && row->plan &&
        !row->unplaced && row->plan->mode == VP_MODE_ENFORCE) {
        free(row->pending);
        row->pending = strdup(why.text);
        return vp_ledger_touch(engine->ledger, row, err);
    }
    free(row->pending);
    free(row->unplaced);
    row->pending = row->unplaced = NULL;
    if (result == VP_PLAN_REFUSED) {
        plan = vp_plan_unplaced(&a->input);
        row->unplaced = strdup(why.text);
    }
    if (!plan || remember_home(engine, row->plan, plan) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    *changed = !same_plan(row->plan, plan) || row->unplaced != NULL;
    vp_plan_free(row->plan);
    row->plan = VP_STEAL(plan);
    return vp_ledger_put(engine->ledger, row, err);
}

/* Plans anew the run of the guest that was read, if it is still that. */
static int replan_run(struct vp_engine *engine, struct adoption *a, bool *changed,
                      struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found, result = -1;

    if (vp_ledger_begin(engine->ledger, err) < 0)
        return -1;
    found = vp_ledger_guest(engine->ledger, a->status->domain->uuid, &row, err);
    if (found == 1 && row.state == VP_GUEST_RUNNING && row.pid == a->status->pid &&
        row.pid_start == a->start) {
        if (row.plan) {
            a->keep[KEEP_PLAN] = vp_keep_of_plan(row.plan, a->status->domain);
            a->keep[KEEP_HOME] = vp_keep_of_home(row.plan, a->status->domain);
        }
        result = replan_locked(engine, &row, a, changed, err);
        if (result == 0)
            vp_kept_put(engine, &row);
        if (result == 0)
            result = vp_ledger_commit(engine->ledger, err);
    } else if (found >= 0) {
        result = 0;
    }
    vp_ledger_rollback(engine->ledger); /* nothing, after a commit */
    vp_guest_row_clear(&row);
    if (result < 0)
        vp_kept_drop(engine);
    if (result < 0)
        *changed = false;
    return result;
}

/* Nothing is put in force any more: the threads first, so that whoever is
 * killed half-way does it again, and what changed meanwhile once more. */
static int replan_released(struct vp_engine *engine, struct adoption *a, bool *changed,
                           struct vp_error *err)
{
    if (vp_engine_give_back(engine, a->status, true, err) < 0 ||
        replan_run(engine, a, changed, err) < 0)
        return -1;
    return *changed ? vp_engine_give_back(engine, a->status, false, err) : 0;
}

/* Tuning takes nothing from anybody: the new plan's is in force at once, what
 * the old one's had besides goes back to the definition's. What the kernel
 * refuses is the enforcer's to report when it compares. */
static int retune(struct vp_engine *engine, const struct vp_guest_row *before,
                  const struct adoption *a, struct vp_error *err)
{
    struct vp_tuning was = vp_row_tuning(before), now;
    struct vp_guest_row row = {0};
    struct vp_error refused = {0};
    int result = vp_ledger_guest(engine->ledger, before->uuid, &row, err);

    if (result == 1 && row.pid == a->status->pid) {
        now = vp_row_tuning(&row);
        result = vp_engine_tune_back(engine, a->status, &was, &now, err);
        if (result == 0 && vp_engine_tune(engine, &row, a->status, NULL, &refused) < 0) {
            if (err)
                *err = refused;
            result = -1;
        }
    }
    vp_guest_row_clear(&row);
    return result < 0 ? -1 : 0;
}

int vp_engine_replan(struct vp_engine *engine, const char *uuid, bool *changed,
                     struct vp_error *err)
{
    struct vp_guest_row row = {0};
    struct adoption a = {0};
    const struct vp_policy *policy;
    int result = vp_ledger_guest(engine->ledger, uuid, &row, err);

    *changed = false;
    if (result == 1 && row.state == VP_GUEST_RUNNING) {
        result = adoption_read(engine, row.name, &a, err);
        policy = a.choice.policy;
        if (result == 0 && (!policy || policy->mode == VP_MODE_OFF)) {
            result = vp_engine_unmanage(engine, &row, err);
            *changed = result == 0;
        } else if (result == 0 && vp_row_in_force(&row) && a.status->pid == row.pid &&
                   (policy->mode == VP_MODE_AUDIT || policy->placement == VP_PLACE_NONE)) {
            result = replan_released(engine, &a, changed, err);
        } else if (result == 0) {
            result = replan_run(engine, &a, changed, err);
        }
        if (result == 0 && policy && policy->mode != VP_MODE_OFF)
            result = retune(engine, &row, &a, err);
    }
    adoption_clear(&a);
    vp_guest_row_clear(&row);
    return result < 0 ? -1 : 0;
}
