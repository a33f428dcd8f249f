/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewritecpupart.h"
#include "decide/rewritepart.h"
#include "decide/rewritetree.h"
#include "decide/tuning.h"

/* Shares, period, quota and vcpusched in <cputune>. */

static const char *const element_of[] = {"shares", "period", "quota", "vcpusched"};

bool vp_tuning_is(const xmlNode *node)
{
    for (int i = 0; i < VP_TUNE_KEYS; i++)
        if (vp_xml_is(node, element_of[i]))
            return true;
    return false;
}

static bool is_scheduler(const xmlNode *node)
{
    return vp_xml_is(node, "vcpusched");
}

/* ---- comparing ---- */

/* Each vCPU by itself; where they differ, "mixed". */
static bool scheduler_is_met(const struct vp_domain *domain, const struct vp_vcpu_scheduler *wanted,
                             unsigned vcpus, struct vp_vcpu_scheduler *now, bool *mixed)
{
    bool met = true;

    *now = vp_tuning_scheduler_of(domain, 0);
    *mixed = false;
    for (unsigned i = 0; i < vcpus; i++) {
        struct vp_vcpu_scheduler has = vp_tuning_scheduler_of(domain, i);

        met &= has.policy == wanted->policy && has.priority == wanted->priority;
        *mixed |= has.policy != now->policy || has.priority != now->priority;
    }
    return met;
}

/* libvirt takes any quota below 0, and none, for no limit. */
static bool is_met(const struct vp_domain *domain, const struct vp_tuning *wanted,
                   enum vp_tuning_key key, unsigned vcpus)
{
    const struct vp_guest_tuning *has = &domain->tuning;
    struct vp_vcpu_scheduler now;
    bool mixed;

    switch (key) {
    case VP_TUNE_SHARES:
        return has->has_shares && has->shares == wanted->shares;
    case VP_TUNE_PERIOD:
        return has->period == wanted->period;
    case VP_TUNE_QUOTA:
        return wanted->quota < 0 ? has->quota <= 0 : has->quota == wanted->quota;
    case VP_TUNE_SCHEDULER:
        break;
    }
    return scheduler_is_met(domain, &wanted->scheduler, vcpus, &now, &mixed);
}

static void say_now(const struct vp_domain *domain, enum vp_tuning_key key, unsigned vcpus,
                    char *text, size_t size)
{
    static const char *const nothing[] = {"shares not set", "period not set", "quota not set"};
    const struct vp_guest_tuning *has = &domain->tuning;
    const struct vp_vcpu_scheduler none = {0};
    struct vp_tuning now = {.period = (unsigned)has->period, .quota = has->quota};
    bool mixed = false;

    now.shares = has->has_shares ? (unsigned)has->shares : 0;
    if (key == VP_TUNE_SCHEDULER)
        scheduler_is_met(domain, &none, vcpus, &now.scheduler, &mixed);
    if (mixed)
        snprintf(text, size, "scheduler differs from vCPU to vCPU");
    else if (vp_tuning_asks(&now, key))
        vp_tuning_say(&now, key, text, size);
    else
        snprintf(text, size, "%s", nothing[key]);
}

int vp_tuning_check(const struct vp_domain *domain, const struct vp_policy *policy, unsigned vcpus,
                    struct vp_changes *changes)
{
    for (int i = 0; i < VP_TUNE_KEYS; i++) {
        enum vp_tuning_key key = (enum vp_tuning_key)i;
        char from[80], to[400], why[256];
        bool fits;

        if (!vp_tuning_asks(&policy->tuning, key) || is_met(domain, &policy->tuning, key, vcpus))
            continue;
        fits = vp_tuning_fits(policy, key, why, sizeof(why));
        say_now(domain, key, vcpus, from, sizeof(from));
        vp_tuning_say(&policy->tuning, key, to, sizeof(to));
        if (!fits)
            snprintf(to + strlen(to), sizeof(to) - strlen(to), ": %s", why);
        if (vp_changes_add(changes, VP_FACET_TUNING, !fits, from, to) < 0)
            return -1;
    }
    return 0;
}

/* ---- writing ---- */

/* libvirt's order (virDomainCputuneFormat, 9.0.0). */
static xmlNode *last_before(const xmlNode *cputune, enum vp_tuning_key key)
{
    static const char *const order[] = {"shares",
                                        "period",
                                        "quota",
                                        "global_period",
                                        "global_quota",
                                        "emulator_period",
                                        "emulator_quota",
                                        "iothread_period",
                                        "iothread_quota",
                                        "vcpupin",
                                        "emulatorpin",
                                        "iothreadpin",
                                        NULL};
    const char *before[sizeof(order) / sizeof(order[0])] = {0};

    for (size_t i = 0; order[i] && (key == VP_TUNE_SCHEDULER || i < (size_t)key); i++)
        before[i] = order[i];
    return vp_tree_last_of(cputune, before);
}

/* The first of that name, in whichever <cputune>, is the one that libvirt reads. */
static xmlNode *make_element(xmlNode *cputune, enum vp_tuning_key key, struct vp_error *err)
{
    xmlNode *node = NULL;

    for (xmlNode *at = cputune; at && !node; at = vp_xml_again(at))
        node = vp_xml_child(at, element_of[key]);
    if (node)
        return node;
    node = vp_tree_element(cputune->doc, element_of[key]);
    if (!node) {
        vp_xml_no_memory(err);
        return NULL;
    }
    return vp_tree_insert(cputune, last_before(cputune, key), node, err) < 0 ? NULL : node;
}

static int write_number(xmlNode *cputune, enum vp_tuning_key key, long long value,
                        struct vp_error *err)
{
    xmlNode *node = make_element(cputune, key, err);
    char text[32];

    if (!node)
        return -1;
    snprintf(text, sizeof(text), "%lld", value);
    return vp_tree_text(node, text, err);
}

static int write_scheduler(xmlNode *cputune, const struct vp_vcpu_scheduler *scheduler,
                           unsigned vcpus, struct vp_error *err)
{
    char list[32], priority[16];
    bool changed = false;
    xmlNode *node, *again;

    node = make_element(cputune, VP_TUNE_SCHEDULER, err);
    if (!node)
        return -1;
    while ((again = vp_xml_again(node)) != NULL)
        vp_tree_remove(again);
    /* libvirt writes one <cputune>; of a second one's it would read all. */
    for (xmlNode *more = vp_xml_again(node->parent); more; more = vp_xml_again(more))
        vp_rewrite_remove(more, is_scheduler);
    snprintf(list, sizeof(list), vcpus > 1 ? "0-%u" : "%u", vcpus - 1);
    snprintf(priority, sizeof(priority), "%u", scheduler->priority);
    if (vp_tree_set(node, "vcpus", list, &changed, err) < 0 ||
        vp_tree_set(node, "scheduler", vp_scheduler_word(scheduler->policy), &changed, err) < 0 ||
        vp_tree_set(node, "priority", scheduler->priority > 0 ? priority : NULL, &changed, err) < 0)
        return -1;
    return 0;
}

static int write_key(xmlNode *cputune, const struct vp_tuning *tuning, enum vp_tuning_key key,
                     unsigned vcpus, struct vp_error *err)
{
    switch (key) {
    case VP_TUNE_SHARES:
        return write_number(cputune, key, tuning->shares, err);
    case VP_TUNE_PERIOD:
        return write_number(cputune, key, tuning->period, err);
    case VP_TUNE_QUOTA:
        return write_number(cputune, key, tuning->quota, err);
    case VP_TUNE_SCHEDULER:
        break;
    }
    return write_scheduler(cputune, &tuning->scheduler, vcpus, err);
}

int vp_rewrite_tuning(xmlNode *root, const struct vp_policy *policy, bool *changed,
                      struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_tuning can = vp_tuning_possible(policy);
    xmlNode *cputune;

    if (!vp_tuning_any(&can))
        return 0;
    if (vp_domain_read(root, &domain, err) < 0)
        return -1;
    for (int i = 0; i < VP_TUNE_KEYS; i++) {
        enum vp_tuning_key key = (enum vp_tuning_key)i;

        if (!vp_tuning_asks(&can, key) || is_met(domain, &can, key, domain->vcpus))
            continue;
        *changed = true;
        cputune = vp_tree_part(root, "cputune", err);
        if (!cputune || write_key(cputune, &can, key, domain->vcpus, err) < 0)
            return -1;
    }
    return 0;
}
