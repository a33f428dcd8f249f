/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/definition.h"

#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/policytext.h"
#include "decide/vcpus.h"
#include "host/clock.h"
#include "host/definition_priv.h"
#include "host/definition_redefine.h"
#include "host/domcaps.h"
#include "host/engine.h"
#include "host/guestnuma.h"
#include "host/threads.h"
#include "host/virt.h"

static void forget_attempt(struct vp_work *work)
{
    for (int i = 0; i < VP_FACETS; i++) {
        vp_kept_clear(&work->kept[i]);
        vp_kept_clear(&work->prior[i]);
        work->keep[i] = work->had[i] = false;
    }
    vp_changes_clear(work->changes);
    vp_findings_clear(work->findings);
    work->written = work->impossible = work->contested = false;
}

/* ---- may it be written at all ---- */

/* libvirt refuses much, and answers late, while a job is under way; a hook's
 * guest is just being started from the definition that we would replace. */
static int check_idle(struct vp_work *work, const char *name, struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_guest_row row = {0};
    bool lease;

    if (vp_status_load(work->engine->status_dir, name, &status, NULL) == 0 &&
        (status->job || status->migrating))
        return vp_fail(err, VP_BUSY, "libvirt has a job under way for %s", name);
    if (!work->engine->ledger || vp_ledger_guest(work->engine->ledger, work->uuid, &row, NULL) != 1)
        return 0;
    lease = row.state == VP_GUEST_LEASE && strcmp(row.operation, "stopped") != 0;
    vp_guest_row_clear(&row);
    if (lease)
        return vp_fail(err, VP_BUSY, "%s is being started", name);
    return 0;
}

static bool reverted(const struct vp_work *work, const char *xml, size_t length)
{
    char hash[VP_HASH_TEXT], policy[VP_HASH_TEXT];

    vp_text_hash(xml, length, hash);
    vp_policy_print_of(work->choice.policy, policy);
    return vp_reverted_holds(work->state_dir, work->uuid, hash, policy);
}

static char *emulator_of(xmlNode *root)
{
    const xmlNode *emulator = vp_xml_child(vp_xml_child(root, "devices"), "emulator");

    return emulator ? vp_xml_text(emulator) : NULL;
}

/* 1: libvirt would start it, work->one is what to write; 0: reported; -1. */
static int check_host(struct vp_work *work, const struct vp_domain *domain, xmlNode *root,
                      struct vp_error *err)
{
    VP_AUTO(free) char *emulator = emulator_of(root);
    bool cpu = vp_policy_asks_host(work->choice.policy);
    char why[512];
    int usable;

    work->one = *work->choice.policy;
    if (vp_guest_cpu_check(domain, &work->one, VP_OP_DEFINE, work->changes) != 0)
        return vp_fail(err, VP_HOST, "out of memory");
    for (size_t i = 0; i < work->changes->count; i++)
        cpu |= (work->changes->item[i].facet == VP_FACET_CPU ||
                work->changes->item[i].facet == VP_FACET_FEATURES) &&
               !work->changes->item[i].impossible;
    if (!cpu)
        return 1;
    usable = vp_domcaps_usable(work->engine, virDomainGetConnect(work->domain), domain, emulator,
                               work->choice.policy, &work->one, why, err);
    if (usable == 0)
        vp_work_report(work, VP_ERROR, why,
                       "cpu-mode, cpu-models, cpu-features and nested of the policy");
    return usable;
}

/* ---- the new text ---- */

static void report_impossible(struct vp_work *work)
{
    char text[1024];

    for (size_t i = 0; i < work->changes->count; i++) {
        const struct vp_change *change = &work->changes->item[i];

        if (!change->impossible)
            continue;
        work->impossible = true;
        snprintf(text, sizeof(text), "the definition keeps its %s (%s): %s",
                 vp_facet_word(change->facet), change->from, change->to);
        vp_work_report(work, VP_ERROR, text, NULL);
    }
}

static int note_pins(struct vp_work *work, const struct vp_domain *before,
                     const struct vp_pins *pins)
{
    struct vp_change *item =
        reallocarray(work->changes->item, work->changes->count + 1, sizeof(*item));
    struct vp_change change = {.facet = VP_FACET_PINS};
    char text[64];

    if (!item)
        return -1;
    work->changes->item = item;
    snprintf(text, sizeof(text), "%zu pins", before->pins.count);
    change.from = strdup(before->pins.count ? text : "no pins");
    snprintf(text, sizeof(text), "%zu pins of the policy", pins->count);
    change.to = strdup(text);
    if (!change.from || !change.to) {
        free(change.from);
        free(change.to);
        return -1;
    }
    work->changes->item[work->changes->count++] = change;
    return 0;
}

/* The plan whose pins and nodes are to stand in the definition; NULL: none is. */
static int plan_pinned(struct vp_work *work, const struct vp_domain *domain, struct vp_plan **plan,
                       struct vp_error *err)
{
    const struct vp_policy *policy = work->choice.policy;
    bool reserve = policy->reserve == VP_RESERVE_ALWAYS && policy->mode == VP_MODE_ENFORCE &&
                   (vp_policy_books(policy) || policy->placement == VP_PLACE_FIXED);
    struct vp_error why = {0};
    enum vp_plan_result result;

    *plan = NULL;
    if (reserve && !work->dry_run)
        result = vp_engine_reserve(work->engine, domain, &work->choice, plan, NULL, &why);
    else if (reserve || policy->placement == VP_PLACE_FIXED)
        result = vp_engine_would(work->engine, domain, &work->choice, plan, NULL, NULL, &why);
    else
        return work->dry_run ? 0 : vp_engine_unreserve(work->engine, work->uuid, err);
    if (result == VP_PLAN_FAILED && why.code == VP_BUSY) {
        *err = why;
        return -1;
    }
    if (result == VP_PLAN_OK && *plan)
        return 0;
    work->impossible = true;
    vp_work_report(work, VP_ERROR, why.text[0] ? why.text : "the guest has no place", NULL);
    return 0;
}

/* placement = fixed and reserve = always: pins that do not change with other
 * guests, so they can stand in the definition. What follows the shared pool cannot. */
static int alter_pins(struct vp_work *work, xmlNode *root, const struct vp_domain *domain,
                      bool *changed, struct vp_error *err)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = NULL;
    struct vp_memory_bind bind = {0};
    struct vp_pins pins = {0};
    int result;

    if (plan_pinned(work, domain, &plan, err) != 0)
        return -1;
    if (!plan)
        return 0;
    if (vp_plan_own_pins(plan, &pins) != 0 ||
        (plan->reserve && vp_plan_bind(plan, work->engine->topology, domain, &bind) != 0))
        result = vp_fail(err, VP_HOST, "out of memory");
    else
        result = vp_rewrite_pins(root, &pins, work->choice.policy->name, changed, err);
    if (result == 0)
        result = vp_rewrite_memory(root, &bind, changed, err);
    if (result == 0 && *changed && note_pins(work, domain, &pins) != 0)
        result = vp_fail(err, VP_HOST, "out of memory");
    vp_memory_bind_clear(&bind);
    vp_pins_clear(&pins);
    return result;
}

/* The nodes of guest-numa = auto, for the guest as the policy wants it. */
static int find_nodes(struct vp_work *work, xmlNode *root, struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;

    work->own = *work->choice.policy;
    if (work->own.guest_numa != VP_GUEST_NUMA_AUTO)
        return 0;
    if (vp_domain_read(root, &domain, err) != 0)
        return -1;
    vp_vcpus_foresee(domain, &work->own);
    if (vp_engine_numa_facts(work->engine, domain, &work->choice, VP_NODES_DIR, &work->numa, err) !=
        0)
        return -1;
    work->own.numa_facts = &work->numa;
    work->choice.policy = &work->own;
    return 0;
}

/* Changes the tree; *changed says whether there is anything to define. */
static int alter(struct vp_work *work, xmlNode *root, const struct vp_domain *domain, bool *changed,
                 struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *after = NULL;
    bool pins = false;
    int usable;

    *changed = false;
    if (find_nodes(work, root, err) != 0)
        return -1;
    usable = check_host(work, domain, root, err);
    if (usable < 0)
        return -1;
    if (usable == 0) {
        report_impossible(work);
        work->impossible = true;
        return 0;
    }
    if (vp_rewrite_guest_cpu(root, &work->one, work->changes, err) != 0)
        return -1;
    report_impossible(work);
    for (size_t i = 0; i < work->changes->count; i++)
        *changed |= !work->changes->item[i].impossible;
    if (vp_domain_read(root, &after, err) != 0 || alter_pins(work, root, after, &pins, err) != 0)
        return -1;
    *changed |= pins;
    return 0;
}

/* ---- after it ---- */

static void report_dropped(struct vp_work *work, const struct vp_domain *now)
{
    struct vp_changes left = {0};
    char text[1024];

    if (vp_guest_cpu_check(now, &work->one, VP_OP_DEFINE, &left) == 0)
        for (size_t i = 0; i < left.count; i++) {
            if (left.item[i].impossible)
                continue;
            snprintf(text, sizeof(text),
                     "libvirt dropped a part of the %s: asked for %s, it has %s",
                     vp_facet_word(left.item[i].facet), left.item[i].to, left.item[i].from);
            vp_work_report(work, VP_WARNING, text, NULL);
        }
    vp_changes_clear(&left);
}

/* xml is what libvirt has made of what was written. */
static int done(void *context, const char *xml, size_t length, struct vp_error *err)
{
    struct vp_work *work = context;
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;

    if (vp_domain_parse(xml, length, &now, err) != 0)
        return -1;
    for (int i = 0; i < VP_FACETS; i++) {
        if (!work->keep[i])
            continue;
        vp_facet_print(now, (enum vp_facet)i, work->kept[i].got);
        vp_text_hash(xml, length, work->kept[i].after);
        vp_kept_written(&work->kept[i], vp_now_ms());
    }
    vp_reverted_remove(work->state_dir, work->uuid);
    report_dropped(work, now);
    return vp_work_save(work, err);
}

/* Calls are not watched: what is there now counts as theirs only if it is. */
static int read_calls_back(struct vp_work *work, struct vp_error *err)
{
    VP_AUTO(free) char *xml = vp_definition_read(work->domain, err);
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;
    char print[VP_HASH_TEXT];

    if (!xml || vp_domain_parse(xml, strlen(xml), &now, err) != 0)
        return -1;
    for (int i = 0; i < VP_FACETS; i++) {
        vp_facet_print(now, (enum vp_facet)i, print);
        if (work->keep[i] && strcmp(print, work->kept[i].wrote) != 0)
            return 0;
    }
    return done(work, xml, strlen(xml), err);
}

/* ---- the two callbacks of vp_redefine ---- */

/* 1: *text is the new definition; 0: nothing to do, or done. */
static int print_new(struct vp_work *work, xmlDoc *doc, const struct vp_domain *before,
                     const char *xml, size_t length, char **text, size_t *text_length,
                     struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *after = NULL;
    int write;

    if (vp_xml_print(doc, true, xml, length, text, text_length, err) != 0 ||
        vp_domain_parse(*text, *text_length, &after, err) != 0)
        return -1;
    write = vp_work_prepare(work, before, after, xml, length, err);
    if (write != 1)
        return write;
    work->written = true;
    if (work->dry_run)
        return 0;
    if (vp_work_save(work, err) != 0)
        return -1;
    if (!vp_work_calls_suffice(work, xmlDocGetRootElement(doc), before, after))
        return 1;
    write = vp_work_call(work, before, after, err);
    return write == 0 ? read_calls_back(work, err) : write;
}

static int make(void *context, const char *xml, size_t length, char **text, size_t *text_length,
                struct vp_error *err)
{
    struct vp_work *work = context;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(xml, length, err);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    bool changed;

    forget_attempt(work);
    if (!doc || vp_domain_read(xmlDocGetRootElement(doc), &domain, err) != 0)
        return -1;
    vp_engine_choose(work->engine, domain, &work->choice);
    if (!work->choice.policy || work->choice.policy->mode == VP_MODE_OFF)
        return work->dry_run ? 0 : vp_engine_unreserve(work->engine, work->uuid, err);
    if (reverted(work, xml, length))
        return 0;
    work->audit = work->choice.policy->mode == VP_MODE_AUDIT;
    work->dry_run |= work->audit;
    if (!work->dry_run && check_idle(work, domain->name, err) != 0)
        return -1;
    if (alter(work, xmlDocGetRootElement(doc), domain, &changed, err) != 0)
        return -1;
    if (!changed) /* the tree may have been, where this host cannot have it */
        return 0;
    return print_new(work, doc, domain, xml, length, text, text_length, err);
}

/* What libvirt dropped is still ours: the facet is neither what we found nor,
 * if it is, written by somebody since; that libvirt drops all of a facet is
 * told from a foreign write by the facets that did arrive. */
static int check(void *context, const char *xml, size_t length, struct vp_error *err)
{
    const struct vp_work *work = context;
    VP_AUTO(vp_domain) struct vp_domain *now = NULL;
    unsigned kept = 0, undone = 0;

    if (vp_domain_parse(xml, length, &now, err) != 0)
        return -1;
    for (int i = 0; i < VP_FACETS; i++) {
        char print[VP_HASH_TEXT];

        if (!work->keep[i])
            continue;
        vp_facet_print(now, (enum vp_facet)i, print);
        kept++;
        undone +=
            strcmp(print, work->kept[i].before) == 0 && strcmp(print, work->kept[i].wrote) != 0;
    }
    return kept == 0 || undone < kept;
}

static enum vp_definition_result finish(struct vp_work *work, enum vp_redefined redefined,
                                        bool dry_run, struct vp_error *err)
{
    switch (redefined) {
    case VP_REDEFINED_NOTHING:
        if (work->contested)
            return VP_DEFINITION_CONTESTED;
        if (work->written && !work->audit)
            return VP_DEFINITION_WRITTEN;
        return work->impossible ? VP_DEFINITION_IMPOSSIBLE : VP_DEFINITION_SAME;
    case VP_REDEFINED_DONE:
        return VP_DEFINITION_WRITTEN;
    case VP_REDEFINED_GONE:
        if (!dry_run)
            vp_definition_forget(work->state_dir, work->uuid);
        return VP_DEFINITION_SAME;
    case VP_REDEFINED_CONTESTED:
        vp_fail(err, VP_BUSY, "the definition of %s changes all the time",
                virDomainGetName(work->domain));
        return VP_DEFINITION_CONTESTED;
    case VP_REDEFINED_FAILED:
        break;
    }
    return VP_DEFINITION_FAILED;
}

static const struct vp_redefine_ops ops = {
    .make = make, .check = check, .done = done, .abandon = vp_work_abandon};

enum vp_definition_result vp_definition_rewrite(struct vp_engine *engine, virDomainPtr domain,
                                                bool dry_run, struct vp_changes *changes,
                                                struct vp_findings *findings, struct vp_error *err)
{
    struct vp_work work = {.engine = engine,
                           .domain = domain,
                           .dry_run = dry_run,
                           .state_dir = engine->set->host.state_dir};
    struct vp_changes own_changes = {0};
    struct vp_findings own_findings = {0};
    enum vp_definition_result result;
    enum vp_redefined redefined;
    struct vp_error own = {0};
    int lock = -1;

    work.changes = changes ? changes : &own_changes;
    work.findings = findings ? findings : &own_findings;
    if (!err)
        err = &own;
    if (virDomainGetUUIDString(domain, work.uuid) != 0) {
        vp_virt_fail(err, "the uuid of a guest");
        return VP_DEFINITION_FAILED;
    }
    if (!dry_run && (lock = vp_definition_lock(work.state_dir, work.uuid, err)) < 0)
        return VP_DEFINITION_FAILED;
    redefined = vp_redefine(domain, &ops, &work, err);
    result = finish(&work, redefined, dry_run, err);
    if (result == VP_DEFINITION_SAME && !work.audit)
        vp_changes_clear(work.changes);
    for (int i = 0; i < VP_FACETS; i++) {
        vp_kept_clear(&work.kept[i]);
        vp_kept_clear(&work.prior[i]);
    }
    vp_changes_clear(&own_changes);
    vp_findings_clear(&own_findings);
    if (lock >= 0)
        close(lock);
    return result;
}
