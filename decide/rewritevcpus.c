/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewritetree.h"
#include "decide/vcpus.h"

static void drop_children(xmlNode *node)
{
    while (node->children) {
        xmlNode *child = node->children;

        xmlUnlinkNode(child);
        xmlFreeNode(child);
    }
}

static int set_text(xmlNode *node, const char *text, struct vp_error *err)
{
    xmlNode *content = xmlNewDocText(node->doc, (const xmlChar *)text);

    if (!content)
        return vp_xml_no_memory(err);
    drop_children(node);
    xmlAddChild(node, content);
    return 0;
}

/* ---- writing ---- */

static int write_vcpu(xmlNode *root, const struct vp_vcpus *vcpus, struct vp_error *err)
{
    xmlNode *vcpu = vp_tree_part(root, "vcpu", err);
    unsigned current = vp_cpuset_count(&vcpus->online);
    char text[16], number[16];
    VP_AUTO(free) char *now = vcpu ? vp_xml_text(vcpu) : NULL;
    bool changed = false;

    if (!vcpu)
        return -1;
    if (!now)
        return vp_xml_no_memory(err);
    snprintf(text, sizeof(text), "%u", vcpus->maximum);
    snprintf(number, sizeof(number), "%u", current);
    if (vp_tree_set(vcpu, "current", current < vcpus->maximum ? number : NULL, &changed, err) < 0)
        return -1;
    return strcmp(now, text) == 0 ? 0 : set_text(vcpu, text, err);
}

/* libvirt takes hotpluggable='no' only of vCPUs that are there at boot. */
static xmlNode *make_vcpu(xmlDoc *doc, const struct vp_vcpus *vcpus, unsigned id)
{
    bool online = vp_cpuset_has(&vcpus->online, (int)id);
    bool fixed = online && !vp_cpuset_has(&vcpus->hotpluggable, (int)id);
    xmlNode *node = vp_tree_element(doc, "vcpu");
    char number[16];

    if (!node)
        return NULL;
    snprintf(number, sizeof(number), "%u", id);
    if (xmlNewProp(node, (const xmlChar *)"id", (const xmlChar *)number) &&
        xmlNewProp(node, (const xmlChar *)"enabled", (const xmlChar *)(online ? "yes" : "no")) &&
        xmlNewProp(node, (const xmlChar *)"hotpluggable", (const xmlChar *)(fixed ? "no" : "yes")))
        return node;
    xmlFreeNode(node);
    return NULL;
}

/* Without order=: libvirt then plugs in the order of the ids, and refuses an
 * order that only some of them have. */
static int write_each(xmlNode *root, const struct vp_vcpus *vcpus, struct vp_error *err)
{
    xmlNode *part = vp_tree_part(root, "vcpus", err), *after = NULL;

    if (!part)
        return -1;
    for (unsigned i = 0; i < vcpus->maximum; i++) {
        xmlNode *vcpu = make_vcpu(root->doc, vcpus, i);

        if (!vcpu)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(part, after, vcpu, err) < 0)
            return -1;
        after = vcpu;
    }
    return 0;
}

/* A <vcpus> that is there stays where it is, so that it can be reverted there. */
int vp_vcpus_write(xmlNode *root, const struct vp_vcpus *vcpus, struct vp_error *err)
{
    xmlNode *part = vp_xml_child(root, "vcpus");
    struct vp_cpuset plain = {0};

    if (write_vcpu(root, vcpus, err) < 0)
        return -1;
    vp_cpuset_add_range(&plain, 0, (int)vp_cpuset_count(&vcpus->online) - 1);
    if (!part && vp_cpuset_empty(&vcpus->hotpluggable) && vp_cpuset_equal(&plain, &vcpus->online))
        return 0;
    if (part)
        drop_children(part);
    return write_each(root, vcpus, err);
}

/* ---- reverting ---- */

static int revert_vcpu(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    const xmlNode *before = vp_xml_child(original, "vcpu");
    xmlNode *vcpu = vp_xml_child(root, "vcpu");
    VP_AUTO(free) char *then = before ? vp_xml_text(before) : NULL;
    VP_AUTO(free) char *now = vcpu ? vp_xml_text(vcpu) : NULL;

    if (!vcpu && !before)
        return 0;
    if (!before) {
        *changed = true;
        vp_tree_remove(vcpu);
        return 0;
    }
    if (!vcpu) {
        *changed = true;
        vcpu = vp_tree_part(root, "vcpu", err);
        if (!vcpu)
            return -1;
    }
    if (vp_tree_set(vcpu, "current", vp_xml_attr(before, "current"), changed, err) < 0)
        return -1;
    if (!then)
        return vp_xml_no_memory(err);
    if (now && strcmp(now, then) == 0)
        return 0;
    *changed = true;
    return set_text(vcpu, then, err);
}

/* What is in `before` into `part`, which has nothing. */
static int copy_into(xmlNode *part, const xmlNode *before, struct vp_error *err)
{
    xmlNode *list = xmlDocCopyNodeList(part->doc, before->children);

    if (before->children && !list)
        return vp_xml_no_memory(err);
    if (list)
        xmlAddChildList(part, list);
    return 0;
}

static int revert_each(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    xmlNode *before = vp_xml_child(original, "vcpus");
    xmlNode *now = vp_xml_child(root, "vcpus");

    if (vp_tree_equal(now, before))
        return 0;
    *changed = true;
    if (!before) {
        vp_tree_remove(now);
        return 0;
    }
    now = vp_tree_part(root, "vcpus", err);
    if (!now)
        return -1;
    drop_children(now);
    return copy_into(now, before, err);
}

int vp_vcpus_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    if (revert_vcpu(root, original, changed, err) < 0)
        return -1;
    return revert_each(root, original, changed, err);
}
