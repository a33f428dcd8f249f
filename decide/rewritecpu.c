/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "decide/rewritetree.h"

/* The tree operations below report through *changed; what changed is already
 * known from the comparison. */

static int set_text(xmlNode *node, const char *text, struct vp_error *err)
{
    xmlNode *content = xmlNewDocText(node->doc, (const xmlChar *)text);

    if (!content)
        return vp_xml_no_memory(err);
    while (node->children) {
        xmlNode *child = node->children;

        xmlUnlinkNode(child);
        xmlFreeNode(child);
    }
    xmlAddChild(node, content);
    return 0;
}

static void remove_child(xmlNode *parent, const char *name)
{
    xmlNode *child = vp_xml_child(parent, name);

    if (child)
        vp_tree_remove(child);
}

/* A <vendor> was said of the model that goes: beside one of another vendor the
 * guest would not start. */
static int write_model(xmlNode *cpu, const char *name, struct vp_error *err)
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
    if (vp_tree_set(model, "fallback", "forbid", &changed, err) < 0)
        return -1;
    return now && strcmp(now, name) == 0 ? 0 : set_text(model, name, err);
}

/* <cpu> to the policy's mode. What belonged to another mode goes: check= and
 * migratable= of the old one, model and vendor where the mode takes none. */
static int write_mode(xmlNode *cpu, const struct vp_policy *policy, struct vp_error *err)
{
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
        vp_tree_set(cpu, "match", custom ? "exact" : NULL, &changed, err) < 0)
        return -1;
    if (custom)
        return write_model(cpu, policy->cpu_models.item[0], err);
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

static int apply(xmlNode *root, const struct vp_policy *policy, enum vp_facet facet,
                 struct vp_error *err)
{
    xmlNode *cpu = vp_tree_part(root, "cpu", err);

    if (!cpu)
        return -1;
    if (facet == VP_FACET_CPU)
        return write_mode(cpu, policy, err);
    return write_topology(cpu, &policy->topology, err);
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
    for (size_t i = 0; i < changes->count; i++)
        if (!changes->item[i].impossible && apply(root, policy, changes->item[i].facet, err) < 0)
            return -1;
    return 0;
}
