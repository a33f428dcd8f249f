/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/decision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/capabilities.h"
#include "ctl/ctl.h"
#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/vcpus.h"
#include "host/domcaps.h"
#include "host/engine.h"
#include "host/guestnuma.h"
#include "host/room.h"

void vp_decision_clear(struct vp_decision *decision)
{
    vp_domain_free(decision->domain);
    xmlFreeDoc(decision->doc);
    free(decision->xml);
    vp_changes_clear(&decision->changes);
    free(decision->host_model);
    vp_plan_free(decision->plan);
    vp_pins_clear(&decision->pins);
    vp_findings_clear(&decision->findings);
    vp_place_clear(&decision->answer);
    *decision = (struct vp_decision){0};
}

void vp_change_text(const struct vp_change *change, char *text, size_t size)
{
    snprintf(text, size, change->impossible ? "%s stays %s: %s" : "%s: %s -> %s",
             vp_facet_word(change->facet), change->from, change->to);
}

static void refuse(struct vp_decision *decision, const char *why)
{
    if (decision->refused)
        return;
    decision->refused = true;
    snprintf(decision->why, sizeof(decision->why), "%s", why);
}

/* ---- the guest CPU ---- */

static bool cpu_changes(const struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if ((changes->item[i].facet == VP_FACET_CPU ||
             changes->item[i].facet == VP_FACET_FEATURES) &&
            !changes->item[i].impossible)
            return true;
    return false;
}

static int decide_cpu(const struct vp_ctl *ctl, struct vp_engine *engine, enum vp_rewrite_op op,
                      struct vp_decision *decision, struct vp_error *err)
{
    const struct vp_policy *policy = decision->choice.policy;
    enum vp_verdict verdict = op == VP_OP_DEFINE ? policy->on_start : policy->on_migrate;
    char text[900], why[1024];

    if (vp_guest_cpu_check(decision->domain, policy, op, &decision->changes) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    decision->one = *policy;
    if (op == VP_OP_DEFINE && (cpu_changes(&decision->changes) || vp_policy_asks_host(policy))) {
        if (vp_ctl_capable(ctl, engine, decision->domain, decision->doc, policy, &decision->one,
                           decision->host_cannot, err) != 0)
            return -1;
        if (vp_guest_cpu_check(decision->domain, &decision->one, op, &decision->changes) != 0)
            return vp_fail(err, VP_HOST, "out of memory");
    }
    if (policy->mode != VP_MODE_ENFORCE || verdict != VP_VERDICT_REFUSE)
        return 0;
    if (decision->host_cannot[0])
        refuse(decision, decision->host_cannot);
    for (size_t i = 0; i < decision->changes.count; i++) {
        if (!vp_facet_is_guest_cpu(decision->changes.item[i].facet))
            continue;
        if (op == VP_OP_DEFINE && !decision->changes.item[i].impossible)
            continue; /* rewriting it is what meets the policy */
        vp_change_text(&decision->changes.item[i], text, sizeof(text));
        snprintf(why, sizeof(why), "the guest misses policy %s: %s", policy->name, text);
        refuse(decision, why);
    }
    return 0;
}

/* ---- the place ---- */

/* Another way out of a refusal, where there is one. */
static void add_room(struct vp_engine *engine, struct vp_decision *decision)
{
    char text[160], other[sizeof(decision->answer.help)];

    if (!vp_engine_room(engine, decision->domain, &decision->choice, text, sizeof(text)))
        return;
    snprintf(other, sizeof(other), "%.80s", decision->answer.help);
    snprintf(decision->answer.help, sizeof(decision->answer.help), "%.80s%s%s", other,
             other[0] ? "; or " : "", text);
}

static int decide_place(struct vp_engine *engine, struct vp_decision *decision,
                        struct vp_error *err)
{
    struct vp_guest_row row = {0};
    struct vp_error why = {0};

    switch (vp_engine_would(engine, decision->domain, &decision->choice, &decision->plan,
                            &decision->answer, &decision->findings, &why)) {
    case VP_PLAN_OK:
        break;
    case VP_PLAN_REFUSED:
        decision->no_place = true;
        add_room(engine, decision);
        if (decision->choice.policy->mode == VP_MODE_ENFORCE)
            refuse(decision, why.text);
        else
            snprintf(decision->why, sizeof(decision->why), "%s", why.text);
        return 0;
    case VP_PLAN_FAILED:
        *err = why;
        return -1;
    }
    if (!decision->plan)
        return 0;
    decision->topology = engine->topology;
    row.plan = decision->plan;
    return vp_engine_pins(engine, &row, decision->domain, &decision->pins, err);
}

/* The nodes of guest-numa = auto, for the guest as the policy wants it. */
static int find_nodes(const struct vp_ctl *ctl, struct vp_engine *engine,
                      struct vp_decision *decision, struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;

    decision->own = *decision->choice.policy;
    if (decision->own.guest_numa != VP_GUEST_NUMA_AUTO)
        return 0;
    if (vp_domain_read(xmlDocGetRootElement(decision->doc), &domain, err) != 0)
        return -1;
    vp_vcpus_foresee(domain, &decision->own);
    if (vp_engine_numa_facts(engine, domain, &decision->choice, ctl->topology ? NULL : VP_NODES_DIR,
                             &decision->numa, err) != 0)
        return -1;
    decision->own.numa_facts = &decision->numa;
    decision->choice.policy = &decision->own;
    return 0;
}

int vp_decide(const struct vp_ctl *ctl, struct vp_engine *engine, char *xml, size_t length,
              enum vp_rewrite_op op, struct vp_decision *decision, struct vp_error *err)
{
    *decision = (struct vp_decision){.xml = xml, .length = length};
    decision->doc = vp_xml_parse(xml, length, err);
    if (!decision->doc ||
        vp_domain_read(xmlDocGetRootElement(decision->doc), &decision->domain, err) != 0)
        return -1;
    vp_engine_choose(engine, decision->domain, &decision->choice);
    if (!decision->choice.policy || decision->choice.policy->mode == VP_MODE_OFF)
        return 0;
    if (op == VP_OP_DEFINE && find_nodes(ctl, engine, decision, err) != 0)
        return -1;
    if (decide_cpu(ctl, engine, op, decision, err) != 0)
        return -1;
    if (op == VP_OP_DEFINE) {
        vp_vcpus_foresee(decision->domain, decision->choice.policy);
        vp_guest_numa_foresee(decision->domain, decision->choice.policy);
    }
    return decide_place(engine, decision, err);
}

/* ---- doing it to the tree ---- */

static int apply_pins(struct vp_decision *decision, xmlNode *root, const struct vp_pins *pins,
                      bool bind_memory, bool *changed, struct vp_error *err)
{
    struct vp_memory_bind bind = {0};
    int result;

    if (bind_memory &&
        vp_plan_bind(decision->plan, decision->topology, decision->domain, &bind) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    result = vp_rewrite_pins(root, pins, decision->choice.policy->name, changed, err);
    if (result == 0)
        result = vp_rewrite_memory(root, &bind, changed, err);
    vp_memory_bind_clear(&bind);
    return result;
}

static int apply_definition(struct vp_decision *decision, xmlNode *root, bool *changed,
                            struct vp_error *err)
{
    const struct vp_policy *policy = decision->choice.policy;
    struct vp_pins pins = {0};
    bool pinned = false;
    int result = 0;

    if (!decision->host_cannot[0]) {
        if (vp_rewrite_guest_cpu(root, &decision->one, &decision->changes, err) != 0)
            return -1;
        for (size_t i = 0; i < decision->changes.count; i++)
            *changed |= !decision->changes.item[i].impossible;
    }
    if (!decision->plan || (policy->placement != VP_PLACE_FIXED && !decision->plan->reserve))
        return 0;
    if (vp_plan_own_pins(decision->plan, &pins) != 0)
        result = vp_fail(err, VP_HOST, "out of memory");
    else
        result = apply_pins(decision, root, &pins, decision->plan->reserve, &pinned, err);
    vp_pins_clear(&pins);
    *changed |= pinned;
    return result;
}

int vp_decision_apply(struct vp_decision *decision, enum vp_rewrite_op op, bool *changed,
                      struct vp_error *err)
{
    const struct vp_policy *policy = decision->choice.policy;
    xmlNode *root = xmlDocGetRootElement(decision->doc);
    bool managed = policy && policy->mode == VP_MODE_ENFORCE;

    *changed = false;
    if (op == VP_OP_DEFINE)
        return managed ? apply_definition(decision, root, changed, err) : 0;
    if (!managed || decision->pins.count == 0) {
        if (vp_rewrite_strip(root, changed, err) != 0)
            return -1;
    } else if (apply_pins(decision, root, &decision->pins, true, changed, err) != 0) {
        return -1;
    }
    return managed ? vp_rewrite_tuning(root, policy, changed, err) : 0;
}
