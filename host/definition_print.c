/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "decide/policytext.h"
#include "decide/tuning.h"
#include "decide/vcpus.h"
#include "host/definition_kept.h"

/* Facets and policies as hashes: enough to tell whether they are the same. */

static void put(struct vp_text *text, const char *value)
{
    vp_text_puts(text, value ? value : "-");
    vp_text_putc(text, '|');
}

static void put_number(struct vp_text *text, unsigned long long number)
{
    vp_text_putu(text, number);
    vp_text_putc(text, '|');
}

static void put_cpus(struct vp_text *text, const struct vp_cpuset *cpus)
{
    char *list = vp_cpuset_format(cpus);

    if (!list)
        text->failed = true;
    put(text, list);
    free(list);
}

static void put_topology(struct vp_text *text, const struct vp_guest_topology *topology)
{
    put_number(text, topology->sockets);
    put_number(text, topology->dies);
    put_number(text, topology->clusters);
    put_number(text, topology->cores);
    put_number(text, topology->threads);
}

static void put_pins(struct vp_text *text, const struct vp_domain *domain)
{
    put(text, domain->applied_policy);
    put_number(text, domain->placement_auto);
    if (domain->has_vcpu_cpuset)
        put_cpus(text, &domain->vcpu_cpuset);
    if (domain->applied_memory) {
        put_cpus(text, &domain->numatune.nodes);
        for (size_t i = 0; i < domain->numatune.cell_count; i++)
            put_cpus(text, &domain->numatune.cell[i]);
    }
    for (size_t i = 0; i < domain->pins.count; i++) {
        put(text, vp_role_word(domain->pins.item[i].role));
        put_number(text, domain->pins.item[i].index);
        put_cpus(text, &domain->pins.item[i].cpus);
    }
}

static void put_details(struct vp_text *text, const struct vp_guest_cpu *cpu)
{
    put(text, cpu->cache);
    put(text, cpu->cache_level);
    put(text, cpu->addr_mode);
    put(text, cpu->addr_bits);
    put(text, cpu->pmu);
    put(text, cpu->hint_dedicated);
    for (size_t i = 0; i < cpu->feature_count; i++) {
        put(text, cpu->feature[i].name);
        put(text, cpu->feature[i].policy);
    }
}

static void put_wants(struct vp_text *text, const struct vp_cpu_wants *cpu)
{
    put_number(text, cpu->match);
    put_number(text, cpu->fallback_allowed);
    put_number(text, cpu->check);
    put_number(text, cpu->migratable);
    put_number(text, cpu->nested);
    put_number(text, cpu->cache);
    put_number(text, cpu->maxphysaddr.mode);
    put_number(text, cpu->maxphysaddr.bits);
    put_number(text, cpu->pmu);
    put_number(text, cpu->hint_dedicated);
    for (size_t i = 0; i < cpu->features.count; i++)
        put(text, cpu->features.item[i]);
}

static void put_vcpus(struct vp_text *text, const struct vp_domain *domain)
{
    struct vp_vcpus vcpus;

    vp_vcpus_of(domain, &vcpus);
    put_number(text, vcpus.maximum);
    put_cpus(text, &vcpus.online);
    put_cpus(text, &vcpus.hotpluggable);
}

/* libvirt puts equal schedulers into one element: vCPU by vCPU it is the same. */
static void put_tuning(struct vp_text *text, const struct vp_domain *domain)
{
    const struct vp_guest_tuning *tuning = &domain->tuning;

    put_number(text, tuning->has_shares);
    put_number(text, tuning->shares);
    put_number(text, tuning->period);
    put_number(text, (unsigned long long)(tuning->quota > 0 ? tuning->quota : 0));
    for (unsigned i = 0; i < domain->vcpus && tuning->scheduler_count > 0; i++) {
        struct vp_vcpu_scheduler has = vp_tuning_scheduler_of(domain, i);

        put_number(text, has.policy);
        put_number(text, has.priority);
    }
}

/* Without memory: a hash that equals no other. */
static void finish(struct vp_text *text, char print[VP_HASH_TEXT])
{
    if (text->failed || !text->bytes)
        strcpy(print, "unknown");
    else
        vp_text_hash(text->bytes, text->length, print);
    vp_text_free(text);
}

void vp_facet_print(const struct vp_domain *domain, enum vp_facet facet, char print[VP_HASH_TEXT])
{
    const struct vp_guest_cpu *cpu = &domain->cpu;
    struct vp_text text = {0};

    put(&text, vp_facet_word(facet));
    switch (facet) {
    case VP_FACET_CPU:
        put(&text, cpu->mode);
        put(&text, cpu->match);
        put(&text, cpu->model);
        put(&text, cpu->fallback);
        put(&text, cpu->check);
        put(&text, cpu->migratable);
        break;
    case VP_FACET_FEATURES:
        put_details(&text, cpu);
        break;
    case VP_FACET_TOPOLOGY:
        if (cpu->has_topology)
            put_topology(&text, &cpu->topology);
        break;
    case VP_FACET_PINS:
        put_pins(&text, domain);
        break;
    case VP_FACET_VCPUS:
        put_vcpus(&text, domain);
        break;
    case VP_FACET_AGENT:
        put_number(&text, domain->has_agent);
        break;
    case VP_FACET_NUMA:
        for (size_t i = 0; i < domain->cell_count; i++) {
            put_number(&text, domain->cell[i].id);
            put_cpus(&text, &domain->cell[i].vcpus);
            put_number(&text, domain->cell[i].memory_kib);
        }
        break;
    case VP_FACET_TUNING:
        put_tuning(&text, domain);
        break;
    }
    finish(&text, print);
}

static void put_wanted_vcpus(struct vp_text *text, const struct vp_policy *policy)
{
    put_number(text, policy->max_sockets);
    put_number(text, policy->max_cores);
    put_number(text, policy->max_threads);
    put_number(text, policy->preferred_sockets);
    put_number(text, policy->preferred_cores);
    put_number(text, policy->preferred_threads);
    put_number(text, policy->vcpus);
    put_number(text, policy->vcpus_current);
    put_number(text, policy->vcpus_hotplug);
    put_number(text, policy->guest_agent);
    /* the threads of topology = auto follow it */
    put_number(text, policy->thread_policy);
}

void vp_policy_print_of(const struct vp_policy *policy, char print[VP_HASH_TEXT])
{
    struct vp_text text = {0};

    put(&text, policy->name);
    put(&text, vp_cpu_mode_word(policy->cpu_mode));
    for (size_t i = 0; i < policy->cpu_models.count; i++)
        put(&text, policy->cpu_models.item[i]);
    put_wants(&text, &policy->cpu);
    put_topology(&text, &policy->topology);
    put_wanted_vcpus(&text, policy);
    put(&text, vp_placement_word(policy->placement));
    for (size_t i = 0; i < policy->vcpupin_count; i++) {
        put_cpus(&text, &policy->vcpupin[i].vcpus);
        put_cpus(&text, &policy->vcpupin[i].cpus);
    }
    /* Only where there is some: marks of older versions hold without. */
    if (policy->guest_numa != 0)
        put_number(&text, policy->guest_numa);
    if (vp_tuning_any(&policy->tuning)) {
        put_number(&text, policy->tuning.shares);
        put_number(&text, policy->tuning.period);
        put_number(&text, (unsigned long long)policy->tuning.quota);
        put_number(&text, policy->tuning.scheduler.policy);
        put_number(&text, policy->tuning.scheduler.priority);
    }
    finish(&text, print);
}
