/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/rewrite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/guestnuma.h"
#include "decide/rewritecpupart.h"
#include "decide/rewritetree.h"
#include "decide/tuning.h"
#include "decide/vcpus.h"
#include "decide/vcputopology.h"

const char *vp_facet_word(enum vp_facet facet)
{
    switch (facet) {
    case VP_FACET_CPU:
        return "cpu";
    case VP_FACET_FEATURES:
        return "features";
    case VP_FACET_TOPOLOGY:
        return "topology";
    case VP_FACET_VCPUS:
        return "vcpus";
    case VP_FACET_AGENT:
        return "agent";
    case VP_FACET_TUNING:
        return "tuning";
    case VP_FACET_NUMA:
        return "numa";
    case VP_FACET_PINS:
        break;
    }
    return "pins";
}

const char *vp_facet_noun(enum vp_facet facet)
{
    switch (facet) {
    case VP_FACET_CPU:
        return "CPU";
    case VP_FACET_FEATURES:
        return "feature";
    case VP_FACET_VCPUS:
        return "vCPU count";
    case VP_FACET_NUMA:
        return "NUMA topology";
    default:
        return vp_facet_word(facet);
    }
}

bool vp_facet_is_guest_cpu(enum vp_facet facet)
{
    return facet == VP_FACET_CPU || facet == VP_FACET_FEATURES || facet == VP_FACET_TOPOLOGY ||
           facet == VP_FACET_VCPUS || facet == VP_FACET_NUMA;
}

void vp_changes_clear(struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        free(changes->item[i].from);
        free(changes->item[i].to);
    }
    free(changes->item);
    *changes = (struct vp_changes){0};
}

int vp_changes_add(struct vp_changes *changes, enum vp_facet facet, bool impossible,
                   const char *from, const char *to)
{
    struct vp_change *grown = reallocarray(changes->item, changes->count + 1, sizeof(*grown));
    struct vp_change *change;

    if (!grown)
        return -1;
    changes->item = grown;
    change = &grown[changes->count];
    *change = (struct vp_change){.facet = facet, .impossible = impossible};
    change->from = strdup(from);
    change->to = strdup(to);
    if (!change->from || !change->to) {
        free(change->from);
        free(change->to);
        return -1;
    }
    changes->count++;
    return 0;
}

/* ---- comparing: mode and model ---- */

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* libvirt's default where <cpu> has a model and no mode; without either the
 * hypervisor's default CPU, which is no mode at all. */
static const char *mode_of(const struct vp_guest_cpu *cpu)
{
    if (cpu->mode)
        return cpu->mode;
    return cpu->model ? "custom" : "none";
}

/* Any model of the list meets the policy; one that does not becomes the first. */
static const char *wanted_model(const struct vp_guest_cpu *cpu, const struct vp_policy *policy)
{
    for (size_t i = 0; i < policy->cpu_models.count; i++)
        if (same(cpu->model, policy->cpu_models.item[i]))
            return policy->cpu_models.item[i];
    return policy->cpu_models.count > 0 ? policy->cpu_models.item[0] : NULL;
}

static const char *match_word(const struct vp_policy *policy)
{
    static const char *const words[] = {"exact", "minimum", "strict"};

    return words[policy->cpu.match];
}

static const char *fallback_word(const struct vp_policy *policy)
{
    return policy->cpu.fallback_allowed ? "allow" : "forbid";
}

/* libvirt's defaults: match='exact' beside a model, fallback='allow'. */
static bool match_is_met(const struct vp_guest_cpu *cpu, const struct vp_policy *policy)
{
    return same(cpu->match ? cpu->match : "exact", match_word(policy)) &&
           same(cpu->fallback ? cpu->fallback : "allow", fallback_word(policy));
}

bool vp_cpu_mode_is_met(const struct vp_guest_cpu *cpu, const struct vp_policy *policy,
                        enum vp_rewrite_op op)
{
    const char *mode = mode_of(cpu);

    if (policy->cpu_mode == VP_CPU_KEEP)
        return true;
    if (policy->cpu_mode == VP_CPU_CUSTOM && op != VP_OP_DEFINE)
        return same(mode, "custom") &&
               (policy->cpu.fallback_allowed || same(cpu->model, wanted_model(cpu, policy)));
    if (policy->cpu_mode == VP_CPU_CUSTOM)
        return same(mode, "custom") && same(cpu->model, wanted_model(cpu, policy)) &&
               match_is_met(cpu, policy);
    if (policy->cpu_mode == VP_CPU_HOST_MODEL && op != VP_OP_DEFINE && same(mode, "custom"))
        return true;
    return same(mode, vp_cpu_mode_word(policy->cpu_mode));
}

/* What the guest has and keeps of this fits host-passthrough and maximum only
 * (qemuValidateDomainDefCpu and qemuValidateDomainDefFeatures, libvirt 9.0.0:
 * refused when it is defined). */
static const char *real_only(const struct vp_guest_cpu *cpu, const struct vp_cpu_wants *wants)
{
    if (wants->cache == VP_CACHE_KEEP && same(cpu->cache, "passthrough"))
        return "the guest has <cache mode='passthrough'>, which only host-passthrough and maximum "
               "take";
    if (wants->maxphysaddr.mode == VP_ADDR_KEEP && same(cpu->addr_mode, "passthrough"))
        return "the guest has <maxphysaddr mode='passthrough'>, which only host-passthrough and "
               "maximum take";
    if ((wants->hint_dedicated == VP_SWITCH_KEEP || wants->hint_dedicated == VP_SWITCH_ON) &&
        same(cpu->hint_dedicated, "on"))
        return "the guest has <hint-dedicated>, which only host-passthrough and maximum take";
    return NULL;
}

const char *vp_cpu_mode_obstacle(const struct vp_guest_cpu *cpu, const struct vp_policy *policy)
{
    if (policy->cpu_mode == VP_CPU_CUSTOM && policy->cpu_models.count == 0)
        return "the policy names no model";
    if (policy->cpu_mode == VP_CPU_CUSTOM || policy->cpu_mode == VP_CPU_HOST_MODEL)
        return real_only(cpu, &policy->cpu);
    return NULL;
}

void vp_cpu_view(const struct vp_domain *domain, const struct vp_policy *policy,
                 enum vp_rewrite_op op, struct vp_cpu_view *view)
{
    const char *now = mode_of(&domain->cpu);
    bool keeps = policy->cpu_mode == VP_CPU_KEEP || op != VP_OP_DEFINE ||
                 vp_cpu_mode_obstacle(&domain->cpu, policy);

    *view = (struct vp_cpu_view){.domain = domain, .policy = policy, .op = op};
    view->mode = keeps ? now : vp_cpu_mode_word(policy->cpu_mode);
    view->fresh = !same(view->mode, now);
}

static int check_cpu(const struct vp_guest_cpu *cpu, const struct vp_policy *policy,
                     enum vp_rewrite_op op, struct vp_changes *changes)
{
    const char *mode = mode_of(cpu), *model = wanted_model(cpu, policy);
    const char *obstacle = vp_cpu_mode_obstacle(cpu, policy);
    bool details;
    char from[512], to[512];

    if (vp_cpu_mode_is_met(cpu, policy, op))
        return 0;
    /* Only where mode and model agree do the lesser attributes tell. */
    details = policy->cpu_mode == VP_CPU_CUSTOM && same(mode, "custom") && same(cpu->model, model);
    snprintf(from, sizeof(from), "%s%s%s", mode, same(mode, "custom") && cpu->model ? "/" : "",
             same(mode, "custom") && cpu->model ? cpu->model : "");
    snprintf(to, sizeof(to), "%s%s%s", vp_cpu_mode_word(policy->cpu_mode),
             policy->cpu_mode == VP_CPU_CUSTOM && model ? "/" : "",
             policy->cpu_mode == VP_CPU_CUSTOM && model ? model : "");
    if (details) {
        size_t used = strlen(from);

        snprintf(from + used, sizeof(from) - used, " match=%s fallback=%s",
                 cpu->match ? cpu->match : "exact", cpu->fallback ? cpu->fallback : "allow");
        used = strlen(to);
        snprintf(to + used, sizeof(to) - used, " match=%s fallback=%s", match_word(policy),
                 fallback_word(policy));
    }
    if (obstacle) {
        size_t used = strlen(to);

        snprintf(to + used, sizeof(to) - used, ": %s", obstacle);
    }
    return vp_changes_add(changes, VP_FACET_CPU, obstacle != NULL, from, to);
}

/* ---- comparing: topology ---- */

static unsigned at_least_one(unsigned part)
{
    return part > 0 ? part : 1;
}

static bool same_topology(const struct vp_guest_topology *a, const struct vp_guest_topology *b)
{
    return at_least_one(a->sockets) == at_least_one(b->sockets) &&
           at_least_one(a->dies) == at_least_one(b->dies) &&
           at_least_one(a->clusters) == at_least_one(b->clusters) &&
           at_least_one(a->cores) == at_least_one(b->cores) &&
           at_least_one(a->threads) == at_least_one(b->threads);
}

static void append(char *buf, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *buf, size_t size, const char *format, ...)
{
    size_t used = strlen(buf);
    va_list args;

    va_start(args, format);
    vsnprintf(buf + used, size - used, format, args);
    va_end(args);
}

static void say_part(char *buf, size_t size, unsigned count, const char *noun)
{
    append(buf, size, "%s%u %s%s", buf[0] != '\0' ? " x " : "", count, noun, count == 1 ? "" : "s");
}

/* "2 sockets x 4 cores x 1 thread"; dies and clusters only where there are some. */
static void say_topology(const struct vp_guest_topology *topology, char *buf, size_t size)
{
    buf[0] = '\0';
    say_part(buf, size, at_least_one(topology->sockets), "socket");
    if (topology->dies > 1)
        say_part(buf, size, topology->dies, "die");
    if (topology->clusters > 1)
        say_part(buf, size, topology->clusters, "cluster");
    say_part(buf, size, at_least_one(topology->cores), "core");
    say_part(buf, size, at_least_one(topology->threads), "thread");
}

static int check_topology(const struct vp_domain *domain, const struct vp_policy *policy,
                          unsigned vcpus, enum vp_rewrite_op op, struct vp_changes *changes)
{
    /* What QEMU makes of -smp N, as libvirt writes it without <topology>. */
    const struct vp_guest_topology plain = {.sockets = vcpus};
    const struct vp_guest_topology *now = &domain->cpu.topology;
    struct vp_guest_topology wanted;
    char from[160] = "none", to[512];
    bool possible = vp_vcpu_topology(domain, policy, vcpus, &wanted, to, sizeof(to));

    if (possible && wanted.sockets == 0)
        return 0;
    if (domain->cpu.has_topology)
        say_topology(now, from, sizeof(from));
    else
        now = op == VP_OP_DEFINE ? NULL : &plain;
    if (now && possible && same_topology(now, &wanted))
        return 0;
    if (possible)
        say_topology(&wanted, to, sizeof(to));
    return vp_changes_add(changes, VP_FACET_TOPOLOGY, !possible, from, to);
}

/* ---- comparing: vCPUs and the guest agent ---- */

static int check_vcpus(const struct vp_domain *domain, const struct vp_policy *policy,
                       enum vp_rewrite_op op, unsigned *maximum, struct vp_changes *changes)
{
    struct vp_vcpus now, wanted;
    char from[512], to[512];
    bool possible = vp_vcpus_wanted(domain, policy, op, &wanted, to, sizeof(to));

    *maximum = wanted.maximum;
    vp_vcpus_of(domain, &now);
    if (possible && vp_vcpus_equal(&now, &wanted))
        return 0;
    vp_vcpus_say(&now, from, sizeof(from));
    if (possible)
        vp_vcpus_say(&wanted, to, sizeof(to));
    return vp_changes_add(changes, VP_FACET_VCPUS, !possible, from, to);
}

static int check_agent(const struct vp_domain *domain, const struct vp_policy *policy,
                       struct vp_changes *changes)
{
    if (!policy->guest_agent || domain->has_agent)
        return 0;
    return vp_changes_add(changes, VP_FACET_AGENT, false, "none", "channel org.qemu.guest_agent.0");
}

int vp_guest_cpu_check(const struct vp_domain *domain, const struct vp_policy *policy,
                       enum vp_rewrite_op op, struct vp_changes *changes)
{
    struct vp_cpu_view view;
    unsigned vcpus;

    vp_changes_clear(changes);
    vp_cpu_view(domain, policy, op, &view);
    if (check_cpu(&domain->cpu, policy, op, changes) < 0 ||
        vp_cpu_details_check(&view, changes) < 0 ||
        check_vcpus(domain, policy, op, &vcpus, changes) < 0 ||
        vp_guest_numa_check(domain, policy, vcpus, changes) < 0 ||
        check_topology(domain, policy, vcpus, op, changes) < 0 ||
        check_agent(domain, policy, changes) < 0 ||
        (op == VP_OP_DEFINE && vp_tuning_check(domain, policy, vcpus, changes) < 0))
        return -1;
    return 0;
}
