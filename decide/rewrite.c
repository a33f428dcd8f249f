/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/rewrite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewritetree.h"

const char *vp_facet_word(enum vp_facet facet)
{
    switch (facet) {
    case VP_FACET_CPU:
        return "cpu";
    case VP_FACET_TOPOLOGY:
        return "topology";
    case VP_FACET_PINS:
        break;
    }
    return "pins";
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

static int add_change(struct vp_changes *changes, enum vp_facet facet, bool impossible,
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

static const char *wanted_model(const struct vp_policy *policy)
{
    return policy->cpu_models.count > 0 ? policy->cpu_models.item[0] : NULL;
}

/* libvirt's defaults: match='exact' beside a model, fallback='allow'. */
static bool exact(const struct vp_guest_cpu *cpu)
{
    return (!cpu->match || same(cpu->match, "exact")) && same(cpu->fallback, "forbid");
}

static bool cpu_is_met(const struct vp_guest_cpu *cpu, const struct vp_policy *policy,
                       enum vp_rewrite_op op)
{
    const char *mode = mode_of(cpu);

    if (policy->cpu_mode == VP_CPU_KEEP)
        return true;
    if (policy->cpu_mode == VP_CPU_CUSTOM)
        return same(mode, "custom") && same(cpu->model, wanted_model(policy)) &&
               (op != VP_OP_DEFINE || exact(cpu));
    if (policy->cpu_mode == VP_CPU_HOST_MODEL && op != VP_OP_DEFINE && same(mode, "custom"))
        return true;
    return same(mode, vp_cpu_mode_word(policy->cpu_mode));
}

/* Why this guest cannot have the policy's mode, or NULL. The rule on caches is
 * qemuValidateDomainDefCpu's (libvirt 9.0.0: refused when it is defined). */
static const char *cpu_obstacle(const struct vp_guest_cpu *cpu, const struct vp_policy *policy)
{
    if (policy->cpu_mode == VP_CPU_CUSTOM && !wanted_model(policy))
        return "the policy names no model";
    if (policy->cpu_mode != VP_CPU_HOST_PASSTHROUGH && same(cpu->cache, "passthrough"))
        return "the guest has <cache mode='passthrough'>, which only host-passthrough takes";
    return NULL;
}

static int check_cpu(const struct vp_guest_cpu *cpu, const struct vp_policy *policy,
                     enum vp_rewrite_op op, struct vp_changes *changes)
{
    const char *mode = mode_of(cpu), *model = wanted_model(policy);
    const char *obstacle = cpu_obstacle(cpu, policy);
    bool details;
    char from[512], to[512];

    if (cpu_is_met(cpu, policy, op))
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
        snprintf(to + used, sizeof(to) - used, " match=exact fallback=forbid");
    }
    if (obstacle) {
        size_t used = strlen(to);

        snprintf(to + used, sizeof(to) - used, ": %s", obstacle);
    }
    return add_change(changes, VP_FACET_CPU, obstacle != NULL, from, to);
}

/* ---- comparing: topology ---- */

static uint64_t product(const struct vp_guest_topology *topology)
{
    const unsigned part[] = {topology->sockets, topology->dies, topology->clusters, topology->cores,
                             topology->threads};
    uint64_t all = 1;

    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        if (__builtin_mul_overflow(all, part[i] > 0 ? part[i] : 1, &all))
            return UINT64_MAX;
    return all;
}

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

/* "sockets=2 x cores=4 x threads=2 makes 16, the guest has 6 vCPUs". */
static void say_sum(const struct vp_guest_topology *topology, unsigned vcpus, char *buf,
                    size_t size)
{
    snprintf(buf, size, "sockets=%u", topology->sockets);
    if (topology->dies > 1)
        append(buf, size, " x dies=%u", topology->dies);
    if (topology->clusters > 1)
        append(buf, size, " x clusters=%u", topology->clusters);
    append(buf, size, " x cores=%u x threads=%u makes %llu, the guest has %u vCPU%s",
           at_least_one(topology->cores), at_least_one(topology->threads),
           (unsigned long long)product(topology), vcpus, vcpus == 1 ? "" : "s");
}

static int check_topology(const struct vp_domain *domain, const struct vp_policy *policy,
                          enum vp_rewrite_op op, struct vp_changes *changes)
{
    /* What QEMU makes of -smp N, as libvirt writes it without <topology>. */
    const struct vp_guest_topology plain = {.sockets = domain->vcpus};
    const struct vp_guest_topology *wanted = &policy->topology;
    const struct vp_guest_topology *now = &domain->cpu.topology;
    char from[160] = "none", to[240];

    if (wanted->sockets == 0)
        return 0;
    if (domain->cpu.has_topology)
        say_topology(now, from, sizeof(from));
    else
        now = op == VP_OP_DEFINE ? NULL : &plain;
    if (now && same_topology(now, wanted))
        return 0;
    if (product(wanted) != domain->vcpus) {
        say_sum(wanted, domain->vcpus, to, sizeof(to));
        return add_change(changes, VP_FACET_TOPOLOGY, true, from, to);
    }
    say_topology(wanted, to, sizeof(to));
    return add_change(changes, VP_FACET_TOPOLOGY, false, from, to);
}

int vp_guest_cpu_check(const struct vp_domain *domain, const struct vp_policy *policy,
                       enum vp_rewrite_op op, struct vp_changes *changes)
{
    vp_changes_clear(changes);
    if (check_cpu(&domain->cpu, policy, op, changes) < 0 ||
        check_topology(domain, policy, op, changes) < 0)
        return -1;
    return 0;
}
