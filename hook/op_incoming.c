/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate and restore: the only operations whose stdout libvirt reads. A guest
 * comes in with the pins of another host or another day; it leaves with ours.
 * The XML holds secrets and is never logged. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/guestnuma.h"
#include "decide/rewrite.h"
#include "hook/worker.h"
#include "host/journal.h"

static enum vp_rewrite_op op_of(const struct vp_hook *hook)
{
    return strcmp(hook->operation, "migrate") == 0 ? VP_OP_MIGRATE : VP_OP_RESTORE;
}

/* The guest's CPU is what it is: compared, reported or refused, never changed. */
static int check_guest_cpu(struct vp_hook *hook, struct vp_error *err)
{
    const struct vp_policy *policy = hook->choice.policy;
    struct vp_policy one = *policy;
    struct vp_changes changes = {0};
    struct vp_numa_facts nodes;
    int result = 0;

    vp_hook_nodes(hook, &one, &nodes);
    if (vp_guest_cpu_check(hook->domain, &one, op_of(hook), &changes) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    for (size_t i = 0; i < changes.count && result == 0; i++) {
        const struct vp_change *change = &changes.item[i];

        if (policy->mode == VP_MODE_ENFORCE && policy->on_migrate == VP_VERDICT_REFUSE &&
            vp_facet_is_guest_cpu(change->facet))
            result = vp_fail(err, VP_REFUSED,
                             "guest %s is %s, policy %s wants %s; this takes effect at the next "
                             "cold start (on-migrate = refuse)",
                             vp_facet_noun(change->facet), change->from, policy->name, change->to);
        else
            vp_hook_say(
                hook, LOG_WARNING, VP_MSG_DEFINITION, NULL, 0,
                "guest %s comes in with %s %s, policy %s wants %s; this takes effect at its "
                "next cold start",
                hook->name, vp_facet_noun(change->facet), change->from, policy->name, change->to);
    }
    vp_changes_clear(&changes);
    return result;
}

static int print(struct vp_hook *hook, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t length, at = 0;

    if (vp_xml_print(hook->doc, true, hook->xml, hook->xml_length, &text, &length, err) < 0)
        return -1;
    while (at < length) {
        ssize_t done = write(STDOUT_FILENO, text + at, length - at);

        if (done <= 0)
            return vp_fail(err, VP_HOST, "the XML could not be handed to libvirt");
        at += (size_t)done;
    }
    return 0;
}

/* Without a local policy, pins that virtpin set elsewhere mean nothing here. */
static int strip(struct vp_hook *hook, struct vp_error *err)
{
    bool changed = false;

    if (vp_rewrite_strip(xmlDocGetRootElement(hook->doc), &changed, err) < 0)
        return -1;
    return changed ? print(hook, err) : 0;
}

/* Its memory is about to come: it goes where the plan has it. */
static int bind_memory(struct vp_hook *hook, const struct vp_plan *plan, bool *changed,
                       struct vp_error *err)
{
    struct vp_memory_bind bind;
    int result;

    if (vp_plan_bind(plan, hook->engine.topology, hook->domain, &bind) < 0)
        return vp_fail(err, VP_HOST, "out of memory");
    result = vp_rewrite_memory(xmlDocGetRootElement(hook->doc), &bind, changed, err);
    vp_memory_bind_clear(&bind);
    return result;
}

static int print_plan(struct vp_hook *hook, const struct vp_plan *plan, struct vp_error *err)
{
    struct vp_guest_row row = {.plan = (struct vp_plan *)plan};
    struct vp_pins pins = {0};
    bool changed = false, tuned = false;
    int result = vp_engine_pins(&hook->engine, &row, hook->domain, &pins, err);

    if (result == 0 && pins.count > 0)
        result =
            vp_rewrite_pins(xmlDocGetRootElement(hook->doc), &pins, plan->policy, &changed, err);
    else if (result == 0)
        result = vp_rewrite_strip(xmlDocGetRootElement(hook->doc), &changed, err);
    if (result == 0 && pins.count > 0)
        result = bind_memory(hook, plan, &tuned, err);
    if (result == 0)
        result =
            vp_rewrite_tuning(xmlDocGetRootElement(hook->doc), hook->choice.policy, &tuned, err);
    if (result == 0 && (changed || tuned))
        result = print(hook, err);
    vp_pins_clear(&pins);
    return result;
}

int vp_op_incoming(struct vp_hook *hook, struct vp_error *err)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_asker asker = {.operation = hook->operation, .daemon_pid = hook->daemon_pid};

    if (!vp_hook_managed(hook))
        return strip(hook, err);
    if (check_guest_cpu(hook, err) < 0)
        return -1;
    if (vp_engine_ledger(&hook->engine, true, err) < 0)
        return -1;
    if (vp_engine_book(&hook->engine, hook->domain, &hook->choice, &asker, &plan, &hook->findings,
                       err) != VP_PLAN_OK)
        return -1;
    vp_hook_report(hook);
    if (!plan || plan->mode != VP_MODE_ENFORCE)
        return strip(hook, err);
    vp_hook_apply_pool(hook);
    return print_plan(hook, plan, err);
}
