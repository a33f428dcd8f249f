/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/policydraftpriv.h"
#include "decide/vcputopology.h"

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

/* The mode that the policy says is the guest's; under keep it is not known. */
static bool mode_is(const struct check *check, enum vp_cpu_mode a, enum vp_cpu_mode b)
{
    enum vp_cpu_mode mode = check->policy->cpu_mode;

    return mode == VP_CPU_KEEP || mode == a || mode == b;
}

static void check_nested_features(const struct check *check)
{
    const struct vp_cpu_wants *cpu = &check->policy->cpu;

    if (cpu->nested == VP_SWITCH_KEEP)
        return;
    for (size_t i = 0; i < cpu->features.count; i++) {
        const char *name = cpu->features.item[i] + 1;

        if (strcmp(name, "vmx") == 0 || strcmp(name, "svm") == 0)
            complain(check, VP_ERROR, "cpu-features", "nested = keep",
                     "cpu-features names vmx or svm, which nested decides");
    }
}

/* What libvirt would refuse (qemuValidateDomainDefCpu and
 * qemuValidateDomainDefFeatures, 9.0.0). */
static void check_guest_cpu(const struct check *check)
{
    const struct vp_cpu_wants *cpu = &check->policy->cpu;
    const char *remedy = "cpu-mode = host-passthrough";
    bool real = mode_is(check, VP_CPU_HOST_PASSTHROUGH, VP_CPU_MAXIMUM);

    check_nested_features(check);
    if (cpu->cache == VP_CACHE_PASSTHROUGH && !real)
        complain(check, VP_ERROR, "cpu-cache", remedy,
                 "cpu-cache = passthrough is only for cpu-mode = host-passthrough or maximum");
    if (cpu->maxphysaddr.mode == VP_ADDR_PASSTHROUGH && !real)
        complain(check, VP_ERROR, "maxphysaddr", remedy,
                 "maxphysaddr = passthrough is only for cpu-mode = host-passthrough or maximum");
    if (cpu->hint_dedicated == VP_SWITCH_ON && !real)
        complain(check, VP_ERROR, "kvm-hint-dedicated", remedy,
                 "kvm-hint-dedicated = on is only for cpu-mode = host-passthrough or maximum");
}

/* ---- guest topology ---- */

static void check_sum(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    struct vp_guest_topology topology;
    struct vp_domain guest = {.vcpus = policy->vcpus};
    char why[512], text[600];

    if (policy->vcpus == 0 ||
        vp_vcpu_topology(&guest, policy, policy->vcpus, &topology, why, sizeof(why)))
        return;
    snprintf(text, sizeof(text), "topology and vcpus contradict each other: %s", why);
    complain(check, VP_ERROR, "topology", "topology = auto", text);
}

static void check_preference(const struct check *check, const char *key, unsigned preferred,
                             unsigned most)
{
    char text[160];

    if (most == 0 || preferred <= most)
        return;
    snprintf(text, sizeof(text), "%s = %u is beyond the limit of %u", key, preferred, most);
    complain(check, VP_ERROR, key, NULL, text);
}

/* A guest that the policy gives another number must still match it then. */
static bool still_matches(const struct vp_policy *policy)
{
    for (size_t i = 0; i < policy->match_vcpus.count; i++)
        if (policy->vcpus >= policy->match_vcpus.item[i].low &&
            policy->vcpus <= policy->match_vcpus.item[i].high)
            return true;
    return policy->match_vcpus.count == 0;
}

static void check_pinned(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    struct vp_cpuset all = {0};
    char text[200], list[80];

    for (size_t i = 0; i < policy->vcpupin_count; i++)
        vp_cpuset_or(&all, &policy->vcpupin[i].vcpus);
    if (policy->vcpupin_count == 0 || vp_cpuset_count(&all) == policy->vcpus)
        return;
    vp_cpuset_print(&all, list, sizeof(list));
    snprintf(text, sizeof(text), "vcpus = %u, but vcpupin is for vCPUs %s", policy->vcpus, list);
    complain(check, VP_ERROR, "vcpus", NULL, text);
}

static void check_vcpus(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    char text[160];

    check_sum(check);
    check_preference(check, "preferred-sockets", policy->preferred_sockets, policy->max_sockets);
    check_preference(check, "preferred-cores", policy->preferred_cores, policy->max_cores);
    check_preference(check, "preferred-threads", policy->preferred_threads, policy->max_threads);
    if (policy->vcpus == 0)
        return;
    check_pinned(check);
    if (policy->vcpus_current > policy->vcpus) {
        snprintf(text, sizeof(text), "vcpus-current = %u is more than vcpus = %u",
                 policy->vcpus_current, policy->vcpus);
        complain(check, VP_ERROR, "vcpus-current", NULL, text);
    }
    if (!still_matches(policy)) {
        snprintf(text, sizeof(text),
                 "vcpus = %u is not in match-vcpus: a guest that has it would leave the policy",
                 policy->vcpus);
        complain(check, VP_ERROR, "vcpus", NULL, text);
    }
}

/* A policy may stand in a file read before the pool's: all sections are known here. */
static void check_pool(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    char text[160];

    if (!policy->pool || draft_pool(check->draft, policy->pool))
        return;
    snprintf(text, sizeof(text), "pool: there is no [pool %.60s]", policy->pool);
    complain(check, VP_ERROR, "pool", NULL, text);
}

static void check_cells(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    char text[160];

    if (policy->guest_numa == VP_GUEST_NUMA_AUTO || policy->vcpus == 0 ||
        policy->guest_numa <= policy->vcpus)
        return;
    snprintf(text, sizeof(text), "guest-numa = %u cells for vcpus = %u: each needs a vCPU",
             policy->guest_numa, policy->vcpus);
    complain(check, VP_ERROR, "guest-numa", NULL, text);
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
    if (policy->placement == VP_PLACE_MIXED && vp_cpuset_empty(&policy->dedicated_vcpus))
        complain(check, VP_ERROR, "placement", "dedicated-vcpus = 0-1",
                 "placement = mixed needs dedicated-vcpus");
    if (policy->placement != VP_PLACE_MIXED && !vp_cpuset_empty(&policy->dedicated_vcpus))
        complain(check, VP_ERROR, "dedicated-vcpus",
                 own_value(check, "dedicated-vcpus") ? "placement = mixed"
                                                     : "dedicated-vcpus = default",
                 "dedicated-vcpus is only for placement = mixed");
    if (policy->cpu_mode == VP_CPU_CUSTOM && policy->cpu_models.count == 0)
        complain(check, VP_ERROR, "cpu-mode", "cpu-models = NAME",
                 "cpu-mode = custom needs cpu-models");
    check_guest_cpu(check);
    check_vcpus(check);
    check_pool(check);
    check_cells(check);
    if (vp_policy_books(policy))
        return;
    if (policy->emulator.where == VP_WHERE_ISOLATE)
        complain(check, VP_ERROR, "emulator", "placement = dedicated",
                 "emulator = isolate is only for placement = dedicated or mixed");
    if (policy->iothreads.where == VP_WHERE_ISOLATE)
        complain(check, VP_ERROR, "iothreads", "placement = dedicated",
                 "iothreads = isolate is only for placement = dedicated or mixed");
    if (policy->vhost.where == VP_WHERE_ISOLATE)
        complain(check, VP_ERROR, "vhost", "placement = dedicated",
                 "vhost = isolate is only for placement = dedicated or mixed");
}

static void warn_if_own(const struct check *check, const char *key, const char *why)
{
    char text[160];

    if (!own_value(check, key))
        return;
    snprintf(text, sizeof(text), "%s has no effect: %s", key, why);
    complain(check, VP_WARNING, key, NULL, text);
}

static void warn_guest_cpu(const struct check *check)
{
    const struct vp_cpu_wants *cpu = &check->policy->cpu;

    if (check->policy->cpu_mode != VP_CPU_CUSTOM) {
        if (check->policy->cpu_models.count > 0)
            warn_if_own(check, "cpu-models", "cpu-mode is not custom");
        warn_if_own(check, "cpu-match", "cpu-mode is not custom");
        warn_if_own(check, "cpu-fallback", "cpu-mode is not custom");
    }
    if (cpu->migratable != VP_SWITCH_KEEP &&
        !mode_is(check, VP_CPU_HOST_PASSTHROUGH, VP_CPU_MAXIMUM))
        warn_if_own(check, "cpu-migratable", "cpu-mode is neither host-passthrough nor maximum");
    if (cpu->hint_dedicated == VP_SWITCH_ON && check->policy->placement != VP_PLACE_DEDICATED)
        complain(check, VP_WARNING, "kvm-hint-dedicated", "kvm-hint-dedicated = auto",
                 "kvm-hint-dedicated = on without placement = dedicated: the guest spins on CPUs "
                 "that it shares");
}

/* A guest with the processor itself runs, and migrates, only where there is
 * another like it (docs/formatdomain.rst, CPU model and topology). */
static void warn_like_hosts(const struct check *check)
{
    enum vp_cpu_mode mode = check->policy->cpu_mode;
    char text[200];

    if (mode != VP_CPU_HOST_PASSTHROUGH && mode != VP_CPU_MAXIMUM)
        return;
    snprintf(text, sizeof(text),
             "cpu-mode = %s binds its guests to hosts with the same CPU, microcode and kernel: "
             "they migrate nowhere else",
             vp_cpu_mode_word(mode));
    complain(check, VP_WARNING, "cpu-mode", "cpu-mode = custom, or host-model", text);
}

/* A busy vCPU under fifo or rr leaves nothing to whoever shares its CPU. */
static void warn_tuning(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    enum vp_scheduler scheduler = policy->tuning.scheduler.policy;
    char text[200];

    if ((scheduler != VP_SCHEDULER_FIFO && scheduler != VP_SCHEDULER_RR) ||
        policy->placement == VP_PLACE_DEDICATED)
        return;
    snprintf(text, sizeof(text),
             "vcpu-scheduler = %s without placement = dedicated: a busy vCPU starves what else "
             "runs on its CPU",
             vp_scheduler_word(scheduler));
    complain(check, VP_WARNING, "vcpu-scheduler", "placement = dedicated", text);
}

static void warn_topology(const struct check *check)
{
    const struct vp_policy *policy = check->policy;
    const struct {
        const char *key;
        unsigned value;
    } parts[] = {
        {"max-sockets", policy->max_sockets},
        {"max-cores", policy->max_cores},
        {"max-threads", policy->max_threads},
        {"preferred-sockets", policy->preferred_sockets},
        {"preferred-cores", policy->preferred_cores},
        {"preferred-threads", policy->preferred_threads},
    };

    if (policy->guest_numa == VP_GUEST_NUMA_AUTO && policy->placement != VP_PLACE_DEDICATED &&
        policy->placement != VP_PLACE_FIXED)
        warn_if_own(check, "guest-numa",
                    "only placement = dedicated or fixed says which nodes a guest is on");
    if (policy->topology.sockets == VP_TOPOLOGY_AUTO)
        return;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (parts[i].value > 0)
            warn_if_own(check, parts[i].key, "topology is not auto");
}

/* Keys that only guests with CPUs of their own have a use for. */
static void warn_own_cpus(const struct check *check)
{
    static const char *const keys[] = {"cache", "core-type", "pci-locality", "memory", "fill"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!vp_policy_books(check->policy))
            warn_if_own(check, keys[i], "placement is neither dedicated nor mixed");
    if (vp_policy_books(check->policy) && check->policy->memory != VP_MEMORY_KEEP &&
        check->policy->reserve != VP_RESERVE_ALWAYS)
        complain(check, VP_WARNING, "memory", NULL,
                 "memory limits where the guest goes, but with reserve = running only a migration "
                 "or a restore puts it in force: a guest that starts has its memory where libvirt "
                 "puts it, until virtpind has moved it");
    if (!vp_policy_books(check->policy) && check->policy->placement != VP_PLACE_FIXED)
        warn_if_own(check, "reserve", "placement is none of dedicated, mixed and fixed");
}

static void warn_placement(const struct check *check)
{
    enum vp_placement placement = check->policy->placement;

    warn_guest_cpu(check);
    warn_like_hosts(check);
    warn_topology(check);
    warn_tuning(check);
    if (!vp_policy_books(check->policy))
        warn_if_own(check, "thread-policy", "placement is neither dedicated nor mixed");
    warn_own_cpus(check);
    if (placement == VP_PLACE_NONE)
        warn_if_own(check, "pool", "placement is none");
    if (placement == VP_PLACE_FIXED)
        warn_if_own(check, "numa", "placement is fixed");
    if (placement != VP_PLACE_NONE)
        return;
    warn_if_own(check, "numa", "placement is none");
    warn_if_own(check, "emulator", "placement is none");
    warn_if_own(check, "iothreads", "placement is none");
    warn_if_own(check, "vhost", "placement is none");
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
