/* SPDX-License-Identifier: GPL-2.0-or-later */
/* reserve = always: a guest that is off keeps its CPUs, as long as it is defined. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"

static bool is_defined(const struct vp_engine *engine, const char *name)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s.xml", engine->definition_dir, name) <
               (int)sizeof(path) &&
           access(path, F_OK) == 0;
}

bool vp_row_reserves(const struct vp_engine *engine, const struct vp_guest_row *row)
{
    return row->plan && row->plan->reserve && row->plan->mode == VP_MODE_ENFORCE &&
           !row->unplaced && is_defined(engine, row->name);
}

bool vp_row_over(const struct vp_engine *engine, const struct vp_guest_row *row, int64_t now_ms)
{
    if (row->state == VP_GUEST_RESERVED)
        return !is_defined(engine, row->name);
    return vp_row_ended(row, now_ms);
}

int vp_row_end(struct vp_engine *engine, struct vp_guest_row *row, struct vp_error *err)
{
    if (row->state == VP_GUEST_RESERVED || !vp_row_reserves(engine, row))
        return vp_ledger_remove(engine->ledger, row->uuid, err);
    row->state = VP_GUEST_RESERVED;
    row->operation[0] = '\0';
    row->pid = row->daemon_pid = 0;
    row->pid_start = row->daemon_start = 0;
    row->held_until_ms = row->hold_until_ms = 0;
    row->since_ms = vp_now_ms();
    return vp_ledger_touch(engine->ledger, row, err);
}

/* ---- reserving ---- */

/* What the definition says, where that is one CPU a thread. */
static int *keep_of_pins(const struct vp_domain *domain)
{
    int *keep = malloc(vp_domain_threads(domain) * sizeof(*keep));
    size_t count = vp_domain_threads(domain);

    for (size_t i = 0; keep && i < count; i++) {
        bool vcpu = i < domain->vcpus, emulator = i == domain->vcpus;
        size_t other = i - domain->vcpus - 1;
        const struct vp_pin *pin = NULL;

        keep[i] = -1;
        if (vcpu)
            pin = vp_pins_find(&domain->pins, VP_ROLE_VCPU, (unsigned)i);
        else if (emulator)
            pin = vp_pins_find(&domain->pins, VP_ROLE_EMULATOR, 0);
        else if (other < domain->iothread_count)
            pin = vp_pins_find(&domain->pins, VP_ROLE_IOTHREAD, domain->iothread[other]);
        if (pin && vp_cpuset_count(&pin->cpus) == 1)
            keep[i] = vp_cpuset_next(&pin->cpus, -1);
    }
    return keep;
}

/* A plan under the policies as they are, the guest's CPUs kept if they can be. */
static enum vp_plan_result plan_anew(struct vp_engine *engine, const struct vp_domain *domain,
                                     const struct vp_choice *choice, const struct vp_guest_row *row,
                                     struct vp_plan **plan, struct vp_findings *findings,
                                     struct vp_error *err)
{
    VP_AUTO(free) int *keep = NULL;
    struct vp_plan_input input;

    vp_engine_input(engine, domain, choice, &input);
    if (row->plan)
        keep = vp_keep_of_plan(row->plan, domain);
    else if (domain->applied_policy)
        keep = keep_of_pins(domain);
    input.keep = keep;
    return vp_engine_plan_locked(engine, &input, plan, findings, err);
}

static int put_reserved(struct vp_engine *engine, const struct vp_domain *domain,
                        struct vp_guest_row *row, struct vp_plan *plan, struct vp_error *err)
{
    vp_guest_row_clear(row);
    *row = (struct vp_guest_row){
        .state = VP_GUEST_RESERVED, .since_ms = vp_now_ms(), .plan = vp_plan_copy(plan)};
    if (!row->plan)
        return vp_fail(err, VP_HOST, "out of memory");
    snprintf(row->uuid, sizeof(row->uuid), "%s", domain->uuid);
    snprintf(row->name, sizeof(row->name), "%s", domain->name);
    return vp_ledger_put(engine->ledger, row, err);
}

/* Inside a transaction. *changed: it is to be committed. */
static enum vp_plan_result reserve_locked(struct vp_engine *engine, const struct vp_domain *domain,
                                          const struct vp_choice *choice, struct vp_plan **plan,
                                          bool *changed, struct vp_findings *findings,
                                          struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found = vp_ledger_guest(engine->ledger, domain->uuid, &row, err);
    bool runs = found == 1 && row.state != VP_GUEST_RESERVED;
    enum vp_plan_result result = VP_PLAN_FAILED;

    if (found == 1 && row.plan && !row.unplaced &&
        (runs || vp_reservation_stands(engine, &row, domain, choice))) {
        *plan = VP_STEAL(row.plan); /* what it has is what its next start is to have */
        result = VP_PLAN_OK;
    } else if (found >= 0) {
        result = plan_anew(engine, domain, choice, &row, plan, findings, err);
        *changed = !runs && result != VP_PLAN_FAILED;
        if (*changed && result == VP_PLAN_OK && vp_plan_without_room(*plan)) {
            vp_plan_free(*plan);
            *plan = NULL;
            vp_fail(err, VP_REFUSED, "there is no room to keep for it");
            result = VP_PLAN_REFUSED;
        }
        if (*changed && result == VP_PLAN_OK && put_reserved(engine, domain, &row, *plan, err) < 0)
            result = VP_PLAN_FAILED;
        if (*changed && result == VP_PLAN_REFUSED && found == 1 &&
            vp_ledger_remove(engine->ledger, domain->uuid, err) < 0)
            result = VP_PLAN_FAILED;
    }
    if (result != VP_PLAN_OK) {
        vp_plan_free(*plan);
        *plan = NULL;
    }
    vp_guest_row_clear(&row);
    return result;
}

enum vp_plan_result vp_engine_reserve(struct vp_engine *engine, const struct vp_domain *domain,
                                      const struct vp_choice *choice, struct vp_plan **plan,
                                      struct vp_findings *findings, struct vp_error *err)
{
    enum vp_plan_result result;
    bool changed = false;

    *plan = NULL;
    if (vp_engine_ledger(engine, true, err) < 0 || vp_ledger_begin(engine->ledger, err) < 0)
        return VP_PLAN_FAILED;
    result = reserve_locked(engine, domain, choice, plan, &changed, findings, err);
    if (result != VP_PLAN_FAILED && changed && vp_ledger_commit(engine->ledger, err) < 0) {
        vp_plan_free(*plan);
        *plan = NULL;
        result = VP_PLAN_FAILED;
    }
    vp_ledger_rollback(engine->ledger); /* nothing, after a commit */
    return result;
}

int vp_engine_unreserve(struct vp_engine *engine, const char *uuid, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found, result = 0;

    if (!engine->ledger)
        return 0;
    found = vp_ledger_guest(engine->ledger, uuid, &row, err);
    if (found == 1 && row.state == VP_GUEST_RESERVED) {
        vp_guest_row_clear(&row);
        if (vp_ledger_begin(engine->ledger, err) < 0)
            return -1;
        found = vp_ledger_guest(engine->ledger, uuid, &row, err);
        if (found == 1 && row.state == VP_GUEST_RESERVED)
            result = vp_ledger_remove(engine->ledger, uuid, err);
        if (result == 0)
            result = vp_ledger_commit(engine->ledger, err);
        vp_ledger_rollback(engine->ledger);
    }
    vp_guest_row_clear(&row);
    return found < 0 ? -1 : result;
}

/* ---- after the ledger was lost ---- */

static void reserve_definition(struct vp_engine *engine, const char *name)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = vp_engine_definition_as_is(engine, name);
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_choice choice;
    struct vp_error ignored;

    if (!domain || !domain->applied_policy)
        return;
    vp_engine_choose(engine, domain, &choice);
    if (choice.policy && choice.policy->mode == VP_MODE_ENFORCE &&
        choice.policy->reserve == VP_RESERVE_ALWAYS)
        vp_engine_reserve(engine, domain, &choice, &plan, NULL, &ignored);
}

static int is_definition(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && strcmp(entry->d_name + length - 4, ".xml") == 0;
}

void vp_engine_reserve_all(struct vp_engine *engine)
{
    struct dirent **entry = NULL;
    int count = scandir(engine->definition_dir, &entry, is_definition, alphasort);

    for (int i = 0; i < count; i++) {
        entry[i]->d_name[strlen(entry[i]->d_name) - 4] = '\0';
        reserve_definition(engine, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
}
