/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/rewriteagent.h"

#include <string.h>

#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewritetree.h"

#define AGENT "org.qemu.guest_agent.0"

/* libvirt's order in <devices> up to its channels. */
static const char *const before[] = {"emulator",   "disk",      "controller", "lease",
                                     "filesystem", "interface", "smartcard",  "serial",
                                     "parallel",   "console",   "channel",    NULL};

xmlNode *vp_agent_channel(const xmlNode *devices)
{
    for (xmlNode *channel = vp_xml_child(devices, "channel"); channel;
         channel = vp_xml_again(channel)) {
        const char *name = vp_xml_attr(vp_xml_child(channel, "target"), "name");

        if (name && strcmp(name, AGENT) == 0)
            return channel;
    }
    return NULL;
}

static xmlNode *devices_of(xmlNode *root, struct vp_error *err)
{
    xmlNode *devices = vp_xml_child(root, "devices");

    if (devices)
        return devices;
    devices = vp_tree_element(root->doc, "devices");
    if (!devices) {
        vp_xml_no_memory(err);
        return NULL;
    }
    return vp_tree_insert(root, xmlLastElementChild(root), devices, err) < 0 ? NULL : devices;
}

/* The tree owns the channel (NULL: without memory) from then on. */
static int put(xmlNode *root, xmlNode *channel, struct vp_error *err)
{
    xmlNode *devices = channel ? devices_of(root, err) : NULL;

    if (!channel)
        return vp_xml_no_memory(err);
    if (!devices) {
        xmlFreeNode(channel);
        return -1;
    }
    return vp_tree_insert(devices, vp_tree_last_of(devices, before), channel, err);
}

int vp_agent_write(xmlNode *root, struct vp_error *err)
{
    xmlNode *channel = vp_tree_element(root->doc, "channel");
    xmlNode *target;

    if (put(root, channel, err) < 0)
        return -1;
    target = vp_tree_element(root->doc, "target");
    if (!target)
        return vp_xml_no_memory(err);
    if (vp_tree_insert(channel, NULL, target, err) < 0)
        return -1;
    if (!xmlNewProp(channel, (const xmlChar *)"type", (const xmlChar *)"unix") ||
        !xmlNewProp(target, (const xmlChar *)"type", (const xmlChar *)"virtio") ||
        !xmlNewProp(target, (const xmlChar *)"name", (const xmlChar *)AGENT))
        return vp_xml_no_memory(err);
    return 0;
}

/* A <devices> that held nothing else goes if the original has none, and gets
 * the original's white space back otherwise. */
static int leave(xmlNode *devices, const xmlNode *original, struct vp_error *err)
{
    xmlNode *copy;

    if (!original)
        vp_tree_remove_empty(devices);
    if (!original || devices->children || !original->children)
        return 0;
    copy = xmlDocCopyNode(original->children, devices->doc, 1);
    if (!copy)
        return vp_xml_no_memory(err);
    xmlAddChild(devices, copy);
    return 0;
}

int vp_agent_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err)
{
    const xmlNode *devices = vp_xml_child(original, "devices");
    xmlNode *then = vp_agent_channel(devices);
    xmlNode *now = vp_agent_channel(vp_xml_child(root, "devices"));

    if (!then == !now)
        return 0;
    *changed = true;
    if (!now)
        return put(root, xmlDocCopyNode(then, root->doc, 1), err);
    vp_tree_remove(now);
    return leave(vp_xml_child(root, "devices"), devices, err);
}
