/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/decision.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "host/engine.h"
#include "host/pin.h"
#include "host/threads.h"

static struct vp_view_guest *add_guest(struct vp_view *view, const char *name, const char *uuid)
{
    struct vp_view_guest *guest;

    guest = reallocarray(view->guest, view->guest_count + 1, sizeof(*guest));
    if (!guest)
        return NULL;
    view->guest = guest;
    guest = &view->guest[view->guest_count];
    *guest = (struct vp_view_guest){.mode = VP_MODE_OFF, .placement = VP_PLACE_NONE};
    snprintf(guest->uuid, sizeof(guest->uuid), "%s", uuid);
    guest->name = strdup(name);
    if (!guest->name)
        return NULL;
    view->guest_count++;
    return guest;
}

static struct vp_view_guest *find_guest(struct vp_view *view, const char *uuid)
{
    for (size_t i = 0; i < view->guest_count; i++)
        if (strcmp(view->guest[i].uuid, uuid) == 0)
            return &view->guest[i];
    return NULL;
}

/* When a process began, by its start in clock ticks after boot. */
static int64_t process_since_ms(pid_t pid)
{
    uint64_t start = vp_process_start("/proc", pid);
    long long boot = 0;
    char line[256];
    FILE *file = fopen("/proc/stat", "re");

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "btime %lld", &boot) == 1)
            break;
    if (file)
        fclose(file);
    if (start == 0 || boot == 0)
        return 0;
    return boot * 1000 + (int64_t)(start * 1000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* ---- the ledger's side ---- */

static void nodes_of(const struct vp_topology *host, const struct vp_cpuset *cpus,
                     struct vp_cpuset *nodes)
{
    for (size_t i = 0; i < host->node_count; i++)
        if (vp_cpuset_meets(&host->node[i].cpus, cpus))
            vp_cpuset_add(nodes, host->node[i].os);
}

/* The CPUs that a guest holds, else those that its vCPUs run on. */
static void held_cpus(const struct vp_plan *plan, const struct vp_cpuset *pool,
                      struct vp_cpuset *cpus)
{
    vp_plan_exclusive(plan, cpus);
    vp_cpuset_or(cpus, &plan->fixed_cpus);
    if (!vp_cpuset_empty(cpus))
        return;
    for (size_t i = 0; i < plan->want_count; i++) {
        if (plan->want[i].role != VP_ROLE_VCPU)
            continue;
        if (plan->want[i].kind == VP_WANT_POOL)
            vp_cpuset_or(cpus, pool);
        else if (plan->want[i].kind == VP_WANT_SET)
            vp_cpuset_or(cpus, &plan->want[i].cpus);
    }
}

static bool in_force(const struct vp_guest_row *row)
{
    return row->plan && row->plan->mode == VP_MODE_ENFORCE && !row->unplaced;
}

static enum vp_view_state state_of(const struct vp_guest_row *row)
{
    static const enum vp_view_state states[] = {
        [VP_GUEST_LEASE] = VP_VIEW_LEASE,
        [VP_GUEST_RUNNING] = VP_VIEW_RUNNING,
        [VP_GUEST_RESERVED] = VP_VIEW_RESERVED,
    };

    return row->unplaced ? VP_VIEW_UNPLACED : states[row->state];
}

static int take_plan(const struct vp_engine *engine, struct vp_view *view,
                     const struct vp_guest_row *row, struct vp_view_guest *guest)
{
    const struct vp_plan *plan = row->plan;

    guest->policy = plan->policy ? strdup(plan->policy) : NULL;
    guest->chosen_by = plan->chosen_by;
    guest->mode = plan->mode;
    guest->placement = plan->placement;
    if (plan->policy && !guest->policy)
        return -1;
    if (row->unplaced)
        return 0;
    held_cpus(plan, vp_view_pool(view, plan->pool), &guest->cpus);
    nodes_of(engine->topology, &guest->cpus, &guest->nodes);
    if (!in_force(row))
        return 0;
    if (!guest->pending && vp_plan_without_room(plan)) {
        guest->pending = strdup("in the shared pool: there was no room (on-no-room = shared)");
        if (!guest->pending)
            return -1;
    }
    vp_plan_exclusive(plan, &guest->own);
    guest->exclusive_known = !vp_cpuset_empty(&guest->own);
    guest->exclusive = guest->exclusive_known;
    vp_cpuset_or(&view->dedicated, &plan->vcpu_cpus);
    vp_cpuset_or(&view->dedicated, &plan->emulator_cpus);
    vp_cpuset_or(&view->dedicated, &plan->iothread_cpus);
    vp_cpuset_or(&view->dedicated, &plan->vhost_cpus);
    vp_cpuset_or(&view->idle, &plan->idle_cpus);
    return 0;
}

static int take_row(const struct vp_engine *engine, struct vp_view *view,
                    const struct vp_guest_row *row)
{
    struct vp_view_guest *guest = add_guest(view, row->name, row->uuid);

    if (!guest)
        return -1;
    guest->pid = row->pid;
    guest->since_ms = row->since_ms;
    guest->state = state_of(row);
    guest->held_until_ms = row->hold_until_ms > view->now_ms ? row->hold_until_ms : 0;
    guest->pending = row->pending ? strdup(row->pending) : NULL;
    guest->unplaced = row->unplaced ? strdup(row->unplaced) : NULL;
    if ((row->pending && !guest->pending) || (row->unplaced && !guest->unplaced))
        return -1;
    return row->plan ? take_plan(engine, view, row, guest) : 0;
}

/* ---- threads ---- */

static void mark_differing(struct vp_view_guest *guest, const struct vp_diffs *diffs)
{
    for (size_t i = 0; i < diffs->count; i++)
        for (size_t j = 0; j < guest->thread_count; j++)
            if (guest->thread[j].tid == diffs->item[i].tid)
                guest->thread[j].ok = false;
}

static void take_thread(const struct vp_seen *seen, const struct vp_pins *wanted,
                        const struct vp_status *status, const struct vp_cpuset *online,
                        struct vp_view_thread *thread)
{
    const struct vp_pin *pin = vp_drift_wanted(wanted, seen->role, seen->index, seen->group);
    bool pinnable = seen->role == VP_ROLE_VCPU || seen->role == VP_ROLE_EMULATOR ||
                    seen->role == VP_ROLE_IOTHREAD;

    *thread = (struct vp_view_thread){.role = seen->role,
                                      .index = seen->index,
                                      .tid = seen->tid,
                                      .has_wanted = pin != NULL,
                                      .has_libvirt = pinnable,
                                      .has_cpuset = seen->has_cpuset,
                                      .affinity = seen->affinity,
                                      .ok = true};
    if (pin)
        thread->wanted = pin->cpus;
    if (pinnable) {
        pin = vp_pins_find(&status->domain->pins, seen->role, seen->index);
        thread->libvirt = pin                               ? pin->cpus
                          : status->domain->has_vcpu_cpuset ? status->domain->vcpu_cpuset
                                                            : *online;
    }
    thread->cpuset = vp_cpuset_empty(&seen->cpuset) ? seen->effective : seen->cpuset;
}

static int take_seen(const struct vp_engine *engine, const struct vp_status *status,
                     const struct vp_pins *wanted, const struct vp_seen_list *seen,
                     struct vp_view_guest *guest)
{
    struct vp_diffs diffs = {0};

    guest->thread = calloc(seen->count + 1, sizeof(*guest->thread));
    if (!guest->thread)
        return -1;
    guest->thread_count = seen->count;
    for (size_t i = 0; i < seen->count; i++)
        take_thread(&seen->item[i], wanted, status, &engine->topology->online, &guest->thread[i]);
    if (vp_drift_compare(wanted, seen->item, seen->count, &engine->topology->online, &diffs) != 0)
        return -1;
    mark_differing(guest, &diffs);
    vp_diffs_clear(&diffs);
    return 0;
}

/* A guest that ends meanwhile has no threads any more: no error. */
static int take_threads(struct vp_engine *engine, const struct vp_guest_row *row,
                        const struct vp_status *status, struct vp_view_guest *guest,
                        struct vp_error *err)
{
    struct vp_threads threads = {0};
    struct vp_seen_list seen = {0};
    struct vp_pins wanted = {0};
    char root[PATH_MAX] = "";
    int result = 0;

    if (engine->cgroups.version != VP_CGROUP_NONE &&
        vp_cgroup_guest_root(&engine->cgroups, status->pid, root, sizeof(root), NULL) != 0)
        root[0] = '\0';
    if (vp_threads_list(&engine->cgroups, status->pid, status, root, &threads, NULL) != 0)
        return 0;
    if (row)
        result = vp_engine_pins(engine, row, status->domain, &wanted, err);
    if (result == 0)
        result = vp_pin_look(&engine->cgroups, &threads, root, &seen, err);
    if (result == 0 && take_seen(engine, status, &wanted, &seen, guest) != 0)
        result = vp_fail(err, VP_HOST, "out of memory");
    vp_pins_clear(&wanted);
    vp_seen_clear(&seen);
    vp_threads_clear(&threads);
    return result;
}

static const struct vp_guest_row *find_row(const struct vp_guest_rows *rows, const char *uuid)
{
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->item[i].uuid, uuid) == 0)
            return &rows->item[i];
    return NULL;
}

/* What a running guest without a row would have; shown, not acted upon. */
static void take_choice(const struct vp_engine *engine, const struct vp_status *status,
                        struct vp_view_guest *guest)
{
    struct vp_choice choice;

    guest->state = VP_VIEW_UNMANAGED;
    guest->since_ms = process_since_ms(status->pid);
    vp_engine_choose(engine, status->domain, &choice);
    if (!choice.policy)
        return;
    guest->policy = strdup(choice.policy->name);
    guest->chosen_by = choice.by;
    guest->mode = choice.policy->mode;
    guest->placement = choice.policy->placement;
}

/* The guest CPU of what runs never changes: where it misses the policy, that is
 * for the next start. What the guest cannot have at all is no matter of time. */
static int note_next_start(const struct vp_engine *engine, const struct vp_status *status,
                           struct vp_view_guest *guest)
{
    struct vp_changes changes = {0};
    struct vp_choice choice;
    char line[1024], text[1100];
    int result = 0;

    vp_engine_choose(engine, status->domain, &choice);
    if (guest->pending || !choice.policy || choice.policy->mode != VP_MODE_ENFORCE)
        return 0;
    if (vp_guest_cpu_check(status->domain, choice.policy, VP_OP_MIGRATE, &changes) != 0)
        return -1;
    for (size_t i = 0; result == 0 && !guest->pending && i < changes.count; i++) {
        if (changes.item[i].impossible)
            continue;
        vp_change_text(&changes.item[i], line, sizeof(line));
        snprintf(text, sizeof(text), "at next start %s", line);
        guest->pending = strdup(text);
        result = guest->pending ? 0 : -1;
    }
    vp_changes_clear(&changes);
    return result;
}

static int take_running(struct vp_engine *engine, struct vp_view *view,
                        const struct vp_guest_rows *rows, const char *name, struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    const struct vp_guest_row *row;
    struct vp_view_guest *guest;
    struct vp_error own = {0};

    if (vp_status_load(engine->status_dir, name, &status, &own) != 0) {
        if (own.code != VP_GONE)
            vp_findings_note(&view->findings, VP_ERROR, "guest %s: %s", name, own.text);
        return 0;
    }
    if (vp_process_start("/proc", status->pid) == 0)
        return 0;
    row = find_row(rows, status->domain->uuid);
    guest = find_guest(view, status->domain->uuid);
    if (!guest) {
        guest = add_guest(view, name, status->domain->uuid);
        if (!guest)
            return vp_fail(err, VP_HOST, "out of memory");
        take_choice(engine, status, guest);
    }
    guest->pid = status->pid;
    if (note_next_start(engine, status, guest) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    return take_threads(engine, row, status, guest, err);
}

static int take_all_running(struct vp_engine *engine, struct vp_view *view,
                            const struct vp_guest_rows *rows, struct vp_error *err)
{
    char **names = NULL;
    size_t count = 0;
    int result;

    result = vp_status_names(engine->status_dir, &names, &count, err);
    for (size_t i = 0; i < count; i++) {
        if (result == 0)
            result = take_running(engine, view, rows, names[i], err);
        free(names[i]);
    }
    free(names);
    return result;
}

static int count_drift(struct vp_engine *engine, struct vp_view *view, struct vp_error *err)
{
    VP_AUTO(free) struct vp_drift_record *record = NULL;
    size_t count = 0;

    if (vp_ledger_drift_list(engine->ledger, 0, 0, &record, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct vp_view_guest *guest = find_guest(view, record[i].uuid);

        if (!guest)
            continue;
        guest->open += record[i].state == VP_DRIFT_OPEN;
        guest->contested += record[i].state == VP_DRIFT_CONTESTED;
        guest->repaired += record[i].state == VP_DRIFT_REPAIRED;
        guest->audit += record[i].state == VP_DRIFT_AUDIT;
    }
    return 0;
}

static int by_name(const void *left, const void *right)
{
    const struct vp_view_guest *a = left, *b = right;

    return strcmp(a->name, b->name);
}

int vp_view_guests(struct vp_engine *engine, struct vp_view *view, struct vp_error *err)
{
    struct vp_guest_rows rows = {0};
    int result = 0;

    view->reserved = engine->set->host.reserved;
    if (vp_view_pools(engine, view, err) != 0)
        return -1;
    if (engine->ledger)
        result = vp_ledger_guests(engine->ledger, &rows, err);
    for (size_t i = 0; result == 0 && i < rows.count; i++)
        if (take_row(engine, view, &rows.item[i]) != 0)
            result = vp_fail(err, VP_HOST, "out of memory");
    if (result == 0)
        result = take_all_running(engine, view, &rows, err);
    if (result == 0 && engine->ledger)
        result = count_drift(engine, view, err);
    if (view->guest_count > 1)
        qsort(view->guest, view->guest_count, sizeof(*view->guest), by_name);
    vp_guest_rows_clear(&rows);
    return result;
}
