/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/policydraftpriv.h"

/* What single values cannot show: keys that contradict each other, and keys
 * that would be without effect. */

struct check {
    struct vp_draft *draft;
    const struct draft_section *section;
    const struct vp_policy *policy;
    struct vp_findings *findings;
};

static const struct draft_value *own_value(const struct check *check, const char *key)
{
    const struct vp_key_row *row = draft_find_row(check->draft, DRAFT_POLICY, key);

    return check->section->own[row - check->draft->rows[DRAFT_POLICY]];
}

/* At the key's line, or at the section's where the value is inherited. */
static void complain(const struct check *check, enum vp_grade grade, const char *key,
                     const char *remedy, const char *text)
{
    const struct draft_value *value = own_value(check, key);
    struct vp_finding at = {
        .grade = grade,
        .file = (char *)(value ? value->file : check->section->file),
        .line = value ? value->line : check->section->line,
        .policy = check->policy->name,
        .key = (char *)key,
        .found = value ? value->text : NULL,
        .remedy = (char *)remedy,
    };

    draft_report(check->draft, check->findings, &at, "%s", text);
}

static void check_contradictions(const struct check *check)
{
    const struct vp_policy *policy = check->policy;

    if (policy->placement == VP_PLACE_FIXED && policy->vcpupin_count == 0)
        complain(check, VP_ERROR, "placement", "vcpupin = 0-3:4-7",
                 "placement = fixed needs vcpupin");
    if (policy->placement != VP_PLACE_FIXED && policy->vcpupin_count > 0)
        complain(check, VP_ERROR, "vcpupin",
                 own_value(check, "vcpupin") ? "placement = fixed" : "vcpupin = default",
                 "vcpupin is only for placement = fixed");
    if (policy->cpu_mode == VP_CPU_CUSTOM && policy->cpu_models.count == 0)
        complain(check, VP_ERROR, "cpu-mode", "cpu-models = NAME",
                 "cpu-mode = custom needs cpu-models");
    if (policy->placement == VP_PLACE_DEDICATED)
        return;
    if (policy->emulator.where == VP_WHERE_ISOLATE)
        complain(check, VP_ERROR, "emulator", "placement = dedicated",
                 "emulator = isolate is only for placement = dedicated");
    if (policy->iothreads.where == VP_WHERE_ISOLATE)
        complain(check, VP_ERROR, "iothreads", "placement = dedicated",
                 "iothreads = isolate is only for placement = dedicated");
}

static void warn_if_own(const struct check *check, const char *key, const char *why)
{
    char text[160];

    if (!own_value(check, key))
        return;
    snprintf(text, sizeof(text), "%s has no effect: %s", key, why);
    complain(check, VP_WARNING, key, NULL, text);
}

static void warn_placement(const struct check *check)
{
    enum vp_placement placement = check->policy->placement;

    if (check->policy->cpu_mode != VP_CPU_CUSTOM && check->policy->cpu_models.count > 0)
        warn_if_own(check, "cpu-models", "cpu-mode is not custom");
    if (placement != VP_PLACE_DEDICATED)
        warn_if_own(check, "thread-policy", "placement is not dedicated");
    if (placement == VP_PLACE_FIXED)
        warn_if_own(check, "numa", "placement is fixed");
    if (placement != VP_PLACE_NONE)
        return;
    warn_if_own(check, "numa", "placement is none");
    warn_if_own(check, "emulator", "placement is none");
    warn_if_own(check, "iothreads", "placement is none");
    warn_if_own(check, "on-no-room", "placement is none");
}

static void warn_unreachable(const struct check *check)
{
    struct vp_finding at = {
        .grade = VP_WARNING,
        .file = (char *)check->section->file,
        .line = check->section->line,
        .policy = check->policy->name,
        .remedy = (char *)"match-name = GLOB",
    };

    warn_if_own(check, "rollout", "the policy has no match- key");
    if (check->policy->by_metadata)
        return;
    warn_if_own(check, "priority", "the policy has no match- key");
    if (!check->section->used_as_base)
        draft_report(check->draft, check->findings, &at,
                     "policy %s applies to no guest: it has no match- key, no by-metadata = yes "
                     "and is no policy's base",
                     check->policy->name);
}

void draft_check_policy(struct vp_draft *draft, const struct draft_section *section,
                        const struct vp_policy *policy, struct vp_findings *findings)
{
    struct check check = {draft, section, policy, findings};
    bool matches = vp_policy_matches_some(policy);

    check_contradictions(&check);
    if (!matches)
        warn_unreachable(&check);
    if ((matches || policy->by_metadata) && policy->mode != VP_MODE_OFF)
        warn_placement(&check);
}

static void check_reserved(struct vp_draft *draft, const struct vp_host_conf *host,
                           const struct vp_cpus_choice *choice, const char *key,
                           struct vp_findings *findings)
{
    struct vp_finding at = {.grade = VP_WARNING, .policy = (char *)"host", .key = (char *)key};
    struct vp_cpuset both = choice->list;
    char list[128];

    vp_cpuset_and(&both, &host->reserved);
    if (choice->kind != VP_CPUS_LIST || vp_cpuset_empty(&both))
        return;
    vp_cpuset_print(&both, list, sizeof(list));
    draft_report(draft, findings, &at, "%s holds CPUs %s, which are reserved and stay so", key,
                 list);
}

void draft_check_host(struct vp_draft *draft, const struct vp_host_conf *host,
                      struct vp_findings *findings)
{
    check_reserved(draft, host, &host->dedicated, "dedicated", findings);
    check_reserved(draft, host, &host->shared, "shared", findings);
}
