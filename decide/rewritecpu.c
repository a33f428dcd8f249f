/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/guestnuma.h"
#include "decide/rewrite.h"
#include "decide/rewritecpupart.h"
#include "decide/rewriteagent.h"
#include "decide/rewritetree.h"
#include "decide/vcpus.h"
#include "decide/vcputopology.h"

/* The tree operations below report through *changed; what changed is already
 * known from the comparison. */

static void remove_child(xmlNode *parent, const char *name)
{
    xmlNode *child = vp_xml_child(parent, name);

    if (child)
        vp_tree_remove(child);
}

/* A <vendor> was said of the model that goes: beside one of another vendor the
 * guest would not start. */
static int write_model(xmlNode *cpu, const char *name, const char *fallback, struct vp_error *err)
{
    xmlNode *model = vp_xml_child(cpu, "model");
    VP_AUTO(free) char *now = model ? vp_xml_text(model) : NULL;
    bool changed = false;

    if (model && !now)
        return vp_xml_no_memory(err);
    if (!now || strcmp(now, name) != 0)
        remove_child(cpu, "vendor");
    if (!model) {
        model = vp_tree_element(cpu->doc, "model");
        if (!model)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(cpu, NULL, model, err) < 0)
            return -1;
    }
    if (vp_tree_set(model, "fallback", fallback, &changed, err) < 0)
        return -1;
    return now && strcmp(now, name) == 0 ? 0 : vp_tree_text(model, name, err);
}

/* <cpu> to the policy's mode. What belonged to another mode goes: check= and
 * migratable= of the old one, model and vendor where the mode takes none. */
static int write_mode(xmlNode *cpu, const struct vp_policy *policy, const char *model,
                      struct vp_error *err)
{
    static const char *const match[] = {"exact", "minimum", "strict"};
    const char *mode = vp_cpu_mode_word(policy->cpu_mode);
    const char *before = vp_xml_attr(cpu, "mode");
    bool custom = policy->cpu_mode == VP_CPU_CUSTOM;
    bool changed = false;

    if (!before)
        before = vp_xml_child(cpu, "model") ? "custom" : "";
    if (strcmp(before, mode) != 0 && (vp_tree_set(cpu, "check", NULL, &changed, err) < 0 ||
                                      vp_tree_set(cpu, "migratable", NULL, &changed, err) < 0))
        return -1;
    if (vp_tree_set(cpu, "mode", mode, &changed, err) < 0 ||
        vp_tree_set(cpu, "match", custom ? match[policy->cpu.match] : NULL, &changed, err) < 0)
        return -1;
    if (custom)
        return write_model(cpu, model, policy->cpu.fallback_allowed ? "allow" : "forbid", err);
    remove_child(cpu, "model");
    remove_child(cpu, "vendor");
    return 0;
}

/* An attribute of 1 that is not there stays away: it is libvirt's default,
 * and libvirt 9.0 does not know clusters=. */
static int write_part(xmlNode *topology, const char *name, unsigned count, bool always,
                      struct vp_error *err)
{
    bool changed = false;
    char text[16];

    if (!always && count <= 1 && !vp_xml_attr(topology, name))
        return 0;
    snprintf(text, sizeof(text), "%u", count > 0 ? count : 1);
    return vp_tree_set(topology, name, text, &changed, err);
}

static int write_topology(xmlNode *cpu, const struct vp_guest_topology *wanted,
                          struct vp_error *err)
{
    static const char *const before[] = {"arch",      "model",       "vendor",  "microcode",
                                         "signature", "maxphysaddr", "counter", NULL};
    xmlNode *topology = vp_xml_child(cpu, "topology");

    if (!topology) {
        topology = vp_tree_element(cpu->doc, "topology");
        if (!topology)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(cpu, vp_tree_last_of(cpu, before), topology, err) < 0)
            return -1;
    }
    if (write_part(topology, "sockets", wanted->sockets, true, err) < 0 ||
        write_part(topology, "dies", wanted->dies, false, err) < 0 ||
        write_part(topology, "clusters", wanted->clusters, false, err) < 0 ||
        write_part(topology, "cores", wanted->cores, true, err) < 0 ||
        write_part(topology, "threads", wanted->threads, true, err) < 0)
        return -1;
    return 0;
}

/* Mode and model, then the details: what goes with the old mode is gone by then. */
static int write_cpu(xmlNode *root, const struct vp_domain *domain, const struct vp_policy *policy,
                     struct vp_error *err)
{
    struct vp_cpu_view view;

    vp_cpu_view(domain, policy, VP_OP_DEFINE, &view);
    if (!vp_cpu_mode_is_met(&domain->cpu, policy, VP_OP_DEFINE) &&
        !vp_cpu_mode_obstacle(&domain->cpu, policy)) {
        xmlNode *cpu = vp_tree_part(root, "cpu", err);
        const char *model = policy->cpu_models.count > 0 ? policy->cpu_models.item[0] : NULL;

        for (size_t i = 0; i < policy->cpu_models.count && domain->cpu.model; i++)
            if (strcmp(policy->cpu_models.item[i], domain->cpu.model) == 0)
                model = policy->cpu_models.item[i];
        if (!cpu || write_mode(cpu, policy, model, err) < 0)
            return -1;
    }
    return vp_cpu_details_write(&view, root, err);
}

static int write_vcpus(xmlNode *root, const struct vp_domain *domain,
                       const struct vp_policy *policy, struct vp_error *err)
{
    struct vp_vcpus wanted;
    char why[512];

    if (!vp_vcpus_wanted(domain, policy, VP_OP_DEFINE, &wanted, why, sizeof(why)))
        return 0;
    return vp_vcpus_write(root, &wanted, err);
}

static int write_wanted_topology(xmlNode *root, const struct vp_domain *domain,
                                 const struct vp_policy *policy, struct vp_error *err)
{
    struct vp_guest_topology topology;
    struct vp_vcpus vcpus;
    char why[512];
    xmlNode *cpu;

    vp_vcpus_wanted(domain, policy, VP_OP_DEFINE, &vcpus, why, sizeof(why));
    if (!vp_vcpu_topology(domain, policy, vcpus.maximum, &topology, why, sizeof(why)))
        return 0;
    cpu = vp_tree_part(root, "cpu", err);
    return cpu ? write_topology(cpu, &topology, err) : -1;
}

static int write_numa(xmlNode *root, const struct vp_domain *domain, const struct vp_policy *policy,
                      struct vp_error *err)
{
    struct vp_vcpus vcpus;
    struct vp_cells cells;
    char why[600];

    vp_vcpus_wanted(domain, policy, VP_OP_DEFINE, &vcpus, why, sizeof(why));
    if (!vp_guest_numa_wanted(domain, policy, vcpus.maximum, &cells, why, sizeof(why)))
        return 0;
    return vp_guest_numa_write(
        root, &cells, policy->guest_numa == VP_GUEST_NUMA_AUTO ? policy->numa_facts : NULL, err);
}

/* After <vcpu>: schedulers are for as many vCPUs as there are then. */
static int write_tuning(xmlNode *root, const struct vp_policy *policy, struct vp_error *err)
{
    bool changed = false;

    return vp_rewrite_tuning(root, policy, &changed, err);
}

static bool any_possible(const struct vp_changes *changes, enum vp_facet facet)
{
    for (size_t i = 0; i < changes->count; i++)
        if (changes->item[i].facet == facet && !changes->item[i].impossible)
            return true;
    return false;
}

int vp_rewrite_guest_cpu(xmlNode *root, const struct vp_policy *policy, struct vp_changes *changes,
                         struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;

    vp_changes_clear(changes);
    if (vp_domain_read(root, &domain, err) < 0)
        return -1;
    if (vp_guest_cpu_check(domain, policy, VP_OP_DEFINE, changes) < 0)
        return vp_xml_no_memory(err);
    if ((any_possible(changes, VP_FACET_CPU) || any_possible(changes, VP_FACET_FEATURES)) &&
        write_cpu(root, domain, policy, err) < 0)
        return -1;
    if (any_possible(changes, VP_FACET_VCPUS) && write_vcpus(root, domain, policy, err) < 0)
        return -1;
    if (any_possible(changes, VP_FACET_NUMA) && write_numa(root, domain, policy, err) < 0)
        return -1;
    if (any_possible(changes, VP_FACET_TOPOLOGY) &&
        write_wanted_topology(root, domain, policy, err) < 0)
        return -1;
    if (any_possible(changes, VP_FACET_TUNING) && write_tuning(root, policy, err) < 0)
        return -1;
    return any_possible(changes, VP_FACET_AGENT) ? vp_agent_write(root, err) : 0;
}
