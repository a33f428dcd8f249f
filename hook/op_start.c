/* SPDX-License-Identifier: GPL-2.0-or-later */
/* prepare and started: a guest starts on this host. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "decide/cleanup.h"
#include "decide/guestnuma.h"
#include "decide/rewrite.h"
#include "hook/worker.h"
#include "host/domcaps.h"
#include "host/journal.h"
#include "host/room.h"
#include "host/threads.h"

/* "cpu is custom/EPYC, policy db wants host-passthrough" for each change. */
static void describe(const struct vp_changes *changes, const char *policy, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < changes->count && used < size; i++) {
        const struct vp_change *change = &changes->item[i];

        used += (size_t)snprintf(
            text + used, size - used,
            change->impossible ? "%sguest %s is %s: %s" : "%sguest %s is %s, policy wants %s",
            i > 0 ? "; " : "", vp_facet_noun(change->facet), change->from, change->to);
    }
    if (used < size)
        snprintf(text + used, size - used, " (policy %s)", policy);
}

static bool all_impossible(const struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (!changes->item[i].impossible)
            return false;
    return true;
}

/* The guest CPU alone is what on-start is about: a channel that is missing is no
 * CPU, and tuning is put in force at started. */
static bool misses_cpu(const struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (vp_facet_is_guest_cpu(changes->item[i].facet))
            return true;
    return false;
}

/* Of tuning only what this host cannot have is worth a word. */
static void drop_tuning(struct vp_changes *changes)
{
    size_t kept = 0;

    for (size_t i = 0; i < changes->count; i++) {
        if (changes->item[i].facet != VP_FACET_TUNING || changes->item[i].impossible) {
            changes->item[kept++] = changes->item[i];
            continue;
        }
        free(changes->item[i].from);
        free(changes->item[i].to);
    }
    changes->count = kept;
}

/* Incoming, restored and reverted guests must not be refused for their CPU:
 * a refusal there loses a guest that exists. */
static bool may_refuse_cpu(struct vp_hook *hook)
{
    struct vp_guest_row row = {0};
    bool incoming;

    if (hook->choice.policy->mode != VP_MODE_ENFORCE ||
        hook->choice.policy->on_start != VP_VERDICT_REFUSE)
        return false;
    incoming = vp_ledger_guest(hook->engine.ledger, hook->domain->uuid, &row, NULL) == 1 &&
               row.state == VP_GUEST_LEASE && strcmp(row.operation, "prepare") != 0;
    vp_guest_row_clear(&row);
    return !incoming && !vp_guest_has_snapshots(hook->domain->name);
}

static int check_guest_cpu(struct vp_hook *hook, struct vp_error *err)
{
    struct vp_changes changes = {0};
    struct vp_numa_facts nodes;
    struct vp_policy one;
    char text[768];
    int result = 0;
    bool rewritten;

    vp_domcaps_known(&hook->engine, hook->domain, xmlDocGetRootElement(hook->doc),
                     hook->choice.policy, &one);
    vp_hook_nodes(hook, &one, &nodes);
    if (vp_guest_cpu_check(hook->domain, &one, VP_OP_DEFINE, &changes) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    rewritten = !all_impossible(&changes) && hook->choice.policy->mode == VP_MODE_ENFORCE;
    if (rewritten)
        vp_hook_request(hook, "definition");
    drop_tuning(&changes);
    rewritten = rewritten && !all_impossible(&changes);
    if (changes.count > 0) {
        describe(&changes, hook->choice.policy->name, text, sizeof(text));
        if (misses_cpu(&changes) && may_refuse_cpu(hook))
            result = vp_fail(err, VP_REFUSED, "%s; %s", text,
                             rewritten ? "virtpind now writes the definition to the policy: start "
                                         "the guest again, or run: virtpin start NAME"
                                       : "change the guest or the policy");
        else
            vp_hook_say(hook, LOG_WARNING, VP_MSG_DEFINITION, NULL, 0, "guest %s: %s; %s",
                        hook->name, text,
                        rewritten ? "this takes effect at its next start" : "left");
    }
    vp_changes_clear(&changes);
    return result;
}

/* The bookings are looked at after the transaction: nobody waits for the search. */
static void add_room(struct vp_hook *hook, struct vp_error *err)
{
    size_t used = strlen(err->text);
    char text[512];

    if (vp_engine_room(&hook->engine, hook->domain, &hook->choice, text, sizeof(text)))
        snprintf(err->text + used, sizeof(err->text) - used, "; %s", text);
}

int vp_op_prepare(struct vp_hook *hook, struct vp_error *err)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_asker asker = {.operation = "prepare", .daemon_pid = hook->daemon_pid};
    enum vp_plan_result result;

    if (!vp_hook_managed(hook))
        return 0;
    if (vp_engine_ledger(&hook->engine, true, err) < 0)
        return -1;
    if (check_guest_cpu(hook, err) < 0)
        return -1;
    result = vp_engine_book(&hook->engine, hook->domain, &hook->choice, &asker, &plan,
                            &hook->findings, err);
    if (result == VP_PLAN_REFUSED)
        add_room(hook, err);
    if (result != VP_PLAN_OK)
        return -1;
    vp_hook_report(hook);
    if (plan && plan->mode == VP_MODE_ENFORCE)
        vp_hook_apply_pool(hook);
    return 0;
}

/* What could not be put in force is the enforcer's to repeat. */
static void report_left(const struct vp_hook *hook, const struct vp_pin_report *report)
{
    for (size_t i = 0; i < report->left.count; i++) {
        const struct vp_diff *diff = &report->left.item[i];
        char wanted[128], found[128], index[16];

        vp_cpuset_print(&diff->wanted, wanted, sizeof(wanted));
        vp_cpuset_print(&diff->found, found, sizeof(found));
        snprintf(index, sizeof(index), "%u", diff->index);
        vp_hook_say(hook, LOG_WARNING, VP_MSG_DRIFT,
                    (const struct vp_field[]){{"VIRTPIN_ROLE", vp_role_word(diff->role)},
                                              {"VIRTPIN_INDEX", index},
                                              {"VIRTPIN_KIND", vp_drift_kind_word(diff->kind)},
                                              {"VIRTPIN_STATE", vp_drift_state_word(VP_DRIFT_OPEN)},
                                              {"VIRTPIN_WANTED", wanted},
                                              {"VIRTPIN_FOUND", found}},
                    6, "guest %s starts with %s %u on CPUs %s instead of %s (%s)", hook->name,
                    vp_role_word(diff->role), diff->index, found, wanted,
                    vp_drift_kind_word(diff->kind));
    }
    if (report->tuning[0])
        vp_journal(LOG_WARNING, VP_MSG_DRIFT, &(struct vp_field){"VIRTPIN_GUEST", hook->name}, 1,
                   "guest %s starts without the tuning of its policy: %s", hook->name,
                   report->tuning);
}

int vp_op_started(struct vp_hook *hook, struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_pin_report report = {0};
    int decided;

    if (!vp_hook_managed(hook))
        return 0;
    if (vp_status_load(hook->engine.status_dir, hook->name, &status, err) < 0)
        return -1;
    if (vp_engine_ledger(&hook->engine, true, err) < 0)
        return -1;
    decided = vp_engine_confirm(&hook->engine, hook->domain, status->pid, err);
    if (decided < 0)
        return -1;
    if (vp_engine_apply(&hook->engine, hook->domain->uuid, true, &report, err) < 0)
        return -1;
    report_left(hook, &report);
    vp_diffs_clear(&report.left);
    if (decided > 0) /* its prepare did not come to a booking */
        vp_hook_apply_pool(hook);
    vp_hook_request(hook, "tell");
    return 0;
}
