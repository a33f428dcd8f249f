/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "decide/rewriteagent.h"
#include "decide/rewritepart.h"
#include "decide/rewritetree.h"
#include "decide/tuning.h"
#include "decide/vcpus.h"

/* Each facet is some attributes and some children of a few elements; reverting
 * makes just these what they are in the original. */

static bool is_cpu_child(const xmlNode *node)
{
    return vp_xml_is(node, "model") || vp_xml_is(node, "vendor");
}

static bool is_detail(const xmlNode *node)
{
    return vp_xml_is(node, "cache") || vp_xml_is(node, "maxphysaddr") || vp_xml_is(node, "feature");
}

static bool is_pmu(const xmlNode *node)
{
    return vp_xml_is(node, "pmu");
}

static bool is_hint(const xmlNode *node)
{
    return vp_xml_is(node, "hint-dedicated");
}

static bool is_topology(const xmlNode *node)
{
    return vp_xml_is(node, "topology");
}

static bool is_numa(const xmlNode *node)
{
    return vp_xml_is(node, "numa");
}

static xmlNode *next_such(xmlNode *node, vp_rewrite_test *is)
{
    while (node && !is(node))
        node = node->next;
    return node;
}

static bool same_children(const xmlNode *a, const xmlNode *b, vp_rewrite_test *is)
{
    xmlNode *left = next_such(a ? a->children : NULL, is);
    xmlNode *right = next_such(b ? b->children : NULL, is);

    while (left && right && vp_tree_equal(left, right)) {
        left = next_such(left->next, is);
        right = next_such(right->next, is);
    }
    return !left && !right;
}

/* The next node that is not text: comments count, too. */
static xmlNode *next_solid(xmlNode *node)
{
    while (node && xmlNodeIsText(node))
        node = node->next;
    return node;
}

static bool alike(const xmlNode *a, const xmlNode *b)
{
    return a->type == b->type && a->name && b->name && xmlStrEqual(a->name, b->name);
}

/* What any facet may have put beside it, into <cpu> or <cputune>. */
static bool is_any_facets(const xmlNode *node)
{
    return is_cpu_child(node) || is_topology(node) || is_detail(node) || is_numa(node) ||
           vp_tuning_is(node) || vp_rewrite_is_pin(node);
}

/* The first from `ahead` on that is like `child`; NULL if there is none. In
 * between may be what other facets have put there, and one thing more. */
static xmlNode *find_alike(const xmlNode *child, xmlNode *ahead)
{
    unsigned others = 0;

    for (; ahead; ahead = next_solid(ahead->next)) {
        if (alike(child, ahead))
            return ahead;
        if (!is_any_facets(ahead) && ++others > 1)
            return NULL;
    }
    return NULL;
}

/* Copies the children of `original` for which `is` holds into `parent`, each
 * behind what stands before it there and still stands here: where nothing
 * else changed, that is its old place. */
static int copy_children(xmlNode *parent, const xmlNode *original, vp_rewrite_test *is,
                         struct vp_error *err)
{
    xmlNode *after = NULL, *ahead = next_solid(parent->children);

    for (xmlNode *child = next_solid(original->children); child; child = next_solid(child->next)) {
        xmlNode *copy;

        if (!is(child)) {
            xmlNode *found = find_alike(child, ahead);

            after = found ? found : after;
            ahead = found ? next_solid(found->next) : ahead;
            continue;
        }
        copy = xmlDocCopyNode(child, parent->doc, 1);
        if (!copy)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(parent, after, copy, err) < 0)
            return -1;
        after = copy;
    }
    return 0;
}

/* Makes those children of the <domain>'s part `name` what they are in the
 * original; a part that held nothing else goes with them. */
static int revert_children(xmlNode *root, const xmlNode *original, const char *name,
                           vp_rewrite_test *is, bool *changed, struct vp_error *err)
{
    xmlNode *part = vp_xml_child(root, name);
    const xmlNode *before = vp_xml_child(original, name);

    if (same_children(part, before, is))
        return 0;
    *changed = true;
    vp_rewrite_remove(part, is);
    if (before && next_such(before->children, is)) {
        part = vp_tree_part(root, name, err);
        return part ? copy_children(part, before, is, err) : -1;
    }
    if (part && !before)
        vp_tree_remove_empty(part);
    return 0;
}

static int revert_attributes(xmlNode *node, const xmlNode *original, const char *const *names,
                             bool *changed, struct vp_error *err)
{
    for (; *names; names++)
        if (vp_tree_set(node, *names, vp_xml_attr(original, *names), changed, err) < 0)
            return -1;
    return 0;
}

/* <hint-dedicated> in <kvm> in <features>, each of which we may have made. */
static int revert_hint(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    const xmlNode *before = vp_xml_child(vp_xml_child(original, "features"), "kvm");
    xmlNode *features = vp_xml_child(root, "features");
    xmlNode *kvm = vp_xml_child(features, "kvm");

    if (same_children(kvm, before, is_hint))
        return 0;
    *changed = true;
    vp_rewrite_remove(kvm, is_hint);
    if (!before || !next_such(before->children, is_hint)) {
        if (kvm && !before)
            vp_tree_remove_empty(kvm);
        if (!vp_xml_child(original, "features"))
            vp_tree_remove_empty(features);
        return 0;
    }
    if (!kvm) {
        features = vp_tree_part(root, "features", err);
        kvm = features ? vp_tree_element(root->doc, "kvm") : NULL;
        if (!kvm)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(features, NULL, kvm, err) < 0)
            return -1;
    }
    return copy_children(kvm, before, is_hint, err);
}

static int revert_details(xmlNode *root, const xmlNode *original, bool *changed,
                          struct vp_error *err)
{
    if (revert_hint(root, original, changed, err) < 0 ||
        revert_children(root, original, "features", is_pmu, changed, err) < 0)
        return -1;
    return revert_children(root, original, "cpu", is_detail, changed, err);
}

static int revert_cpu(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    static const char *const names[] = {"mode", "match", "check", "migratable", NULL};
    const xmlNode *before = vp_xml_child(original, "cpu");
    xmlNode *cpu = vp_xml_child(root, "cpu");

    if (!cpu && !before)
        return 0;
    if (!cpu) {
        *changed = true;
        cpu = vp_tree_part(root, "cpu", err);
        if (!cpu)
            return -1;
    }
    if (revert_attributes(cpu, before, names, changed, err) < 0)
        return -1;
    if (revert_children(root, original, "cpu", is_cpu_child, changed, err) < 0)
        return -1;
    cpu = vp_xml_child(root, "cpu");
    if (cpu && !before)
        vp_tree_remove_empty(cpu);
    return 0;
}

/* Pins and tuning stand in every <cputune> there is. */
static bool same_cputune(const xmlNode *root, const xmlNode *original, vp_rewrite_test *is)
{
    const xmlNode *left = vp_xml_child(root, "cputune");
    const xmlNode *right = vp_xml_child(original, "cputune");

    while (left && right && same_children(left, right, is)) {
        left = vp_xml_again(left);
        right = vp_xml_again(right);
    }
    if (!left && !right)
        return true;
    return left ? !next_such(left->children, is) && !vp_xml_again(left) && !right
                : !next_such(right->children, is) && !vp_xml_again(right);
}

static size_t count_cputune(const xmlNode *root)
{
    size_t count = 0;

    for (const xmlNode *at = vp_xml_child(root, "cputune"); at; at = vp_xml_again(at))
        count++;
    return count;
}

/* As many as there were: each is what it was. */
static int revert_each(xmlNode *root, const xmlNode *before, vp_rewrite_test *is,
                       struct vp_error *err)
{
    for (xmlNode *now = vp_xml_child(root, "cputune"); now && before;
         now = vp_xml_again(now), before = vp_xml_again(before)) {
        if (same_children(now, before, is))
            continue;
        vp_rewrite_remove(now, is);
        if (copy_children(now, before, is, err) < 0)
            return -1;
    }
    return 0;
}

static int revert_cputune(xmlNode *root, const xmlNode *original, vp_rewrite_test *is,
                          bool *changed, struct vp_error *err)
{
    const xmlNode *before = vp_xml_child(original, "cputune");

    if (same_cputune(root, original, is))
        return 0;
    *changed = true;
    if (count_cputune(root) == count_cputune(original))
        return revert_each(root, before, is, err);
    vp_rewrite_remove_all(root, "cputune", is, before != NULL);
    for (; before; before = vp_xml_again(before)) {
        xmlNode *cputune;

        if (!next_such(before->children, is))
            continue;
        cputune = vp_tree_part(root, "cputune", err);
        if (!cputune || copy_children(cputune, before, is, err) < 0)
            return -1;
    }
    return 0;
}

int vp_tuning_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    return revert_cputune(root, original, vp_tuning_is, changed, err);
}

static int revert_pins(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    static const char *const names[] = {"placement", "cpuset", NULL};
    xmlNode *vcpu = vp_xml_child(root, "vcpu");
    const xmlNode *before = vp_xml_child(original, "vcpu");
    bool memory = vp_rewrite_binds_memory(root);

    if (memory &&
        revert_children(root, original, "numatune", vp_rewrite_is_element, changed, err) < 0)
        return -1;
    if (revert_cputune(root, original, vp_rewrite_is_pin, changed, err) < 0 ||
        revert_children(root, original, "metadata", vp_rewrite_is_mark, changed, err) < 0)
        return -1;
    if (vcpu && before && revert_attributes(vcpu, before, names, changed, err) < 0)
        return -1;
    if (memory)
        return 0;
    /* A <memory> that somebody wrote meanwhile is not ours to replace. */
    if (vp_xml_child(vp_xml_child(root, "numatune"), "memory"))
        return 0;
    return revert_children(root, original, "numatune", vp_rewrite_is_auto_memory, changed, err);
}

static int revert_facet(xmlNode *root, const xmlNode *original, enum vp_facet facet, bool *changed,
                        struct vp_error *err)
{
    switch (facet) {
    case VP_FACET_CPU:
        return revert_cpu(root, original, changed, err);
    case VP_FACET_FEATURES:
        return revert_details(root, original, changed, err);
    case VP_FACET_TOPOLOGY:
        return revert_children(root, original, "cpu", is_topology, changed, err);
    case VP_FACET_VCPUS:
        return vp_vcpus_revert(root, original, changed, err);
    case VP_FACET_AGENT:
        return vp_agent_revert(root, original, changed, err);
    case VP_FACET_NUMA:
        return revert_children(root, original, "cpu", is_numa, changed, err);
    case VP_FACET_TUNING:
        return vp_tuning_revert(root, original, changed, err);
    case VP_FACET_PINS:
        break;
    }
    return revert_pins(root, original, changed, err);
}

int vp_rewrite_revert(xmlNode *root, xmlNode *original, const enum vp_facet *facets,
                      size_t facet_count, bool *changed, struct vp_error *err)
{
    *changed = false;
    if (!root || !original || !vp_xml_is(root, "domain") || !vp_xml_is(original, "domain"))
        return vp_fail(err, VP_INPUT, "found no <domain> as the outermost element");
    for (size_t i = 0; i < facet_count; i++)
        if (revert_facet(root, original, facets[i], changed, err) < 0)
            return -1;
    return 0;
}
