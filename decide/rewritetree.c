/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/rewritetree.h"

#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"

/* libvirt's order (virDomainDefFormatInternalSetRootName, 9.0.0) up to <cpu>. */
static const char *const order[] = {
    "name",      "uuid",     "genid",         "title",       "description",     "metadata",
    "maxMemory", "memory",   "currentMemory", "blkiotune",   "memtune",         "memoryBacking",
    "vcpu",      "vcpus",    "iothreads",     "iothreadids", "defaultiothread", "cputune",
    "numatune",  "resource", "sysinfo",       "bootloader",  "bootloader_args", "os",
    "idmap",     "features", "cpu",           NULL,
};

static void xmlBufferFree_cleanup(xmlBufferPtr *buffer)
{
    xmlBufferFree(*buffer);
}

static bool is_blank(const xmlNode *node)
{
    return node && node->type == XML_TEXT_NODE && node->content &&
           node->content[strspn((const char *)node->content, " \t\r\n")] == '\0';
}

/* Anything in it that is more than white space? */
static bool has_content(const xmlNode *parent)
{
    for (const xmlNode *child = parent->children; child; child = child->next)
        if (!is_blank(child))
            return true;
    return false;
}

static void drop(xmlNode *node)
{
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

static void drop_children(xmlNode *parent)
{
    while (parent->children)
        drop(parent->children);
}

/* ---- indentation ---- */

/* The white space in front of a node, NULL if the tree is not indented there. */
static const char *indent_of(const xmlNode *node)
{
    if (!node || !is_blank(node->prev) || !strchr((const char *)node->prev->content, '\n'))
        return NULL;
    return (const char *)node->prev->content;
}

static const char *indent_of_children(const xmlNode *parent)
{
    for (const xmlNode *child = parent->children; child; child = child->next)
        if (child->type == XML_ELEMENT_NODE)
            return indent_of(child);
    return NULL;
}

/* One step deeper than `outer`: two blanks, as libvirt indents. */
static xmlNode *deeper(xmlDoc *doc, const char *outer)
{
    xmlNode *text = xmlNewDocText(doc, (const xmlChar *)outer);

    if (text)
        xmlNodeAddContentLen(text, (const xmlChar *)"  ", 2);
    return text;
}

/* The first element in an empty parent: white space before it, and before the
 * parent's end tag, follows from the parent's own. */
static int fill_empty(xmlNode *parent, xmlNode *element, struct vp_error *err)
{
    const char *outer =
        parent->parent && parent->parent->type == XML_ELEMENT_NODE ? indent_of(parent) : NULL;
    xmlNode *before, *behind;

    drop_children(parent);
    xmlAddChild(parent, element);
    if (!outer)
        return 0;
    before = deeper(parent->doc, outer);
    behind = xmlNewDocText(parent->doc, (const xmlChar *)outer);
    if (before && behind) {
        xmlAddPrevSibling(element, before);
        xmlAddNextSibling(element, behind);
        return 0;
    }
    xmlFreeNode(before);
    xmlFreeNode(behind);
    return vp_xml_no_memory(err);
}

/* `element` goes directly behind `after` and its white space in front of it,
 * so that removing both is the exact inverse. */
static int insert_behind(xmlNode *after, xmlNode *element, const char *indent, struct vp_error *err)
{
    xmlNode *text;

    xmlAddNextSibling(after, element);
    if (!indent)
        return 0;
    text = xmlNewDocText(element->doc, (const xmlChar *)indent);
    if (!text)
        return vp_xml_no_memory(err);
    xmlAddPrevSibling(element, text);
    return 0;
}

static int insert_first(xmlNode *parent, xmlNode *element, const char *indent, struct vp_error *err)
{
    xmlNode *text;

    xmlAddPrevSibling(parent->children, element);
    if (!indent)
        return 0;
    text = xmlNewDocText(element->doc, (const xmlChar *)indent);
    if (!text)
        return vp_xml_no_memory(err);
    xmlAddPrevSibling(element, text);
    return 0;
}

int vp_tree_insert(xmlNode *parent, xmlNode *after, xmlNode *element, struct vp_error *err)
{
    const char *indent;

    if (!has_content(parent))
        return fill_empty(parent, element, err);
    indent = after ? indent_of(after) : indent_of_children(parent);
    if (after)
        return insert_behind(after, element, indent, err);
    return insert_first(parent, element, indent, err);
}

xmlNode *vp_tree_last_of(const xmlNode *parent, const char *const *names)
{
    for (xmlNode *child = parent->last; child; child = child->prev)
        for (const char *const *name = names; *name; name++)
            if (vp_xml_is(child, *name))
                return child;
    return NULL;
}

/* ---- taking out ---- */

void vp_tree_remove(xmlNode *element)
{
    xmlNode *parent = element->parent, *before = element->prev;

    drop(element);
    if (is_blank(before))
        drop(before);
    if (parent && !has_content(parent))
        drop_children(parent);
}

void vp_tree_remove_empty(xmlNode *node)
{
    if (node && !node->properties && !has_content(node))
        vp_tree_remove(node);
}

/* ---- making ---- */

xmlNode *vp_tree_element(xmlDoc *doc, const char *name)
{
    return xmlNewDocNode(doc, NULL, (const xmlChar *)name, NULL);
}

int vp_tree_text(xmlNode *node, const char *text, struct vp_error *err)
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

int vp_tree_set(xmlNode *node, const char *name, const char *value, bool *changed,
                struct vp_error *err)
{
    const char *now = vp_xml_attr(node, name);

    if (!now && !value)
        return 0;
    if (now && value && strcmp(now, value) == 0)
        return 0;
    *changed = true;
    if (!value) {
        xmlUnsetProp(node, (const xmlChar *)name);
        return 0;
    }
    if (!xmlSetProp(node, (const xmlChar *)name, (const xmlChar *)value))
        return vp_xml_no_memory(err);
    return 0;
}

xmlNode *vp_tree_part(xmlNode *root, const char *name, struct vp_error *err)
{
    const char *before[sizeof(order) / sizeof(order[0])] = {0};
    xmlNode *part = vp_xml_child(root, name);

    if (part)
        return part;
    for (size_t i = 0; order[i] && strcmp(order[i], name) != 0; i++)
        before[i] = order[i];
    part = vp_tree_element(root->doc, name);
    if (!part) {
        vp_xml_no_memory(err);
        return NULL;
    }
    return vp_tree_insert(root, vp_tree_last_of(root, before), part, err) < 0 ? NULL : part;
}

bool vp_tree_equal(xmlNode *a, xmlNode *b)
{
    VP_AUTO(xmlBufferFree) xmlBufferPtr left = xmlBufferCreate();
    VP_AUTO(xmlBufferFree) xmlBufferPtr right = xmlBufferCreate();

    if (!a || !b)
        return a == b;
    if (!left || !right || xmlNodeDump(left, a->doc, a, 0, 0) < 0 ||
        xmlNodeDump(right, b->doc, b, 0, 0) < 0)
        return false;
    return xmlBufferLength(left) == xmlBufferLength(right) &&
           memcmp(xmlBufferContent(left), xmlBufferContent(right), (size_t)xmlBufferLength(left)) ==
               0;
}
