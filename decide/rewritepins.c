/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "decide/rewritepart.h"
#include "decide/rewritetree.h"

bool vp_rewrite_is_pin(const xmlNode *node)
{
    return vp_xml_is(node, "vcpupin") || vp_xml_is(node, "emulatorpin") ||
           vp_xml_is(node, "iothreadpin");
}

bool vp_rewrite_is_mark(const xmlNode *node)
{
    return vp_xml_is_ns(node, VP_NS_APPLIED, "applied");
}

bool vp_rewrite_is_element(const xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE;
}

xmlNode *vp_rewrite_mark(const xmlNode *root)
{
    const xmlNode *metadata = vp_xml_child(root, "metadata");

    for (xmlNode *child = metadata ? metadata->children : NULL; child; child = child->next)
        if (vp_rewrite_is_mark(child))
            return child;
    return NULL;
}

bool vp_rewrite_is_auto_memory(const xmlNode *node)
{
    const char *placement;

    if (!vp_xml_is(node, "memory"))
        return false;
    placement = vp_xml_attr(node, "placement");
    return placement && strcmp(placement, "auto") == 0;
}

bool vp_rewrite_remove(xmlNode *parent, vp_rewrite_test *is)
{
    xmlNode *next;
    bool any = false;

    for (xmlNode *child = parent ? parent->children : NULL; child; child = next) {
        next = child->next;
        if (!is(child))
            continue;
        /* Removing the last content takes the white space behind it along. */
        while (next && next->type == XML_TEXT_NODE)
            next = next->next;
        vp_tree_remove(child);
        any = true;
    }
    return any;
}

bool vp_rewrite_remove_all(xmlNode *root, const char *part, vp_rewrite_test *is, bool keep)
{
    xmlNode *next;
    bool any = false;

    for (xmlNode *parent = vp_xml_child(root, part); parent; parent = next) {
        next = vp_xml_again(parent);
        if (vp_rewrite_remove(parent, is)) {
            any = true;
            if (!keep)
                vp_tree_remove_empty(parent);
        }
        keep = false;
    }
    return any;
}

/* ---- comparing ---- */

/* Pins as libvirt knows them. */
static int libvirts(const struct vp_pins *pins, struct vp_pins *told, struct vp_error *err)
{
    for (size_t i = 0; i < pins->count; i++) {
        const struct vp_pin *pin = &pins->item[i];
        struct vp_cpuset cpus;

        if (vp_pins_libvirts(pins, pin, &cpus) &&
            vp_pins_add(told, pin->role, pin->index, &cpus) < 0)
            return vp_xml_no_memory(err);
    }
    return 0;
}

static bool same_pins(const struct vp_pin **wanted, size_t count, const struct vp_pin **stated,
                      size_t stated_count)
{
    if (count != stated_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (wanted[i]->role != stated[i]->role || wanted[i]->index != stated[i]->index ||
            !vp_cpuset_equal(&wanted[i]->cpus, &stated[i]->cpus))
            return false;
    return true;
}

static bool has_auto_memory(const xmlNode *root)
{
    const xmlNode *numatune = vp_xml_child(root, "numatune");

    for (; numatune; numatune = vp_xml_again(numatune))
        for (const xmlNode *child = numatune->children; child; child = child->next)
            if (vp_rewrite_is_auto_memory(child))
                return true;
    return false;
}

static bool has_other_place(const xmlNode *root, const struct vp_domain *domain)
{
    return domain->has_vcpu_cpuset || domain->placement_auto || has_auto_memory(root);
}

/* ---- writing ---- */

static xmlNode *make_pin(xmlDoc *doc, const struct vp_pin *pin)
{
    VP_AUTO(free) char *cpus = vp_cpuset_format(&pin->cpus);
    const char *name = pin->role == VP_ROLE_VCPU       ? "vcpupin"
                       : pin->role == VP_ROLE_IOTHREAD ? "iothreadpin"
                                                       : "emulatorpin";
    xmlNode *node = cpus ? vp_tree_element(doc, name) : NULL;
    char index[16];

    if (!node)
        return NULL;
    snprintf(index, sizeof(index), "%u", pin->index);
    if ((pin->role == VP_ROLE_EMULATOR ||
         xmlNewProp(node, (const xmlChar *)vp_role_word(pin->role), (const xmlChar *)index)) &&
        xmlNewProp(node, (const xmlChar *)"cpuset", (const xmlChar *)cpus))
        return node;
    xmlFreeNode(node);
    return NULL;
}

static int write_pins(xmlNode *root, const struct vp_pin **pins, size_t count, struct vp_error *err)
{
    /* libvirt's order in <cputune> before its pins. */
    static const char *const before[] = {
        "shares",          "period",         "quota",           "global_period",  "global_quota",
        "emulator_period", "emulator_quota", "iothread_period", "iothread_quota", NULL};
    xmlNode *cputune, *after;

    if (count == 0)
        return 0;
    cputune = vp_tree_part(root, "cputune", err);
    if (!cputune)
        return -1;
    after = vp_tree_last_of(cputune, before);
    for (size_t i = 0; i < count; i++) {
        xmlNode *pin = make_pin(root->doc, pins[i]);

        if (!pin)
            return vp_xml_no_memory(err);
        if (vp_tree_insert(cputune, after, pin, err) < 0)
            return -1;
        after = pin;
    }
    return 0;
}

/* <vcpu cpuset=> and numad's placement would stand against the pins. */
static int remove_other_place(xmlNode *root, bool *changed, struct vp_error *err)
{
    xmlNode *vcpu = vp_xml_child(root, "vcpu");
    const char *placement = vp_xml_attr(vcpu, "placement");

    if (vcpu && vp_tree_set(vcpu, "cpuset", NULL, changed, err) < 0)
        return -1;
    if (placement && strcmp(placement, "auto") == 0 &&
        vp_tree_set(vcpu, "placement", "static", changed, err) < 0)
        return -1;
    if (vp_rewrite_remove_all(root, "numatune", vp_rewrite_is_auto_memory, false))
        *changed = true;
    return 0;
}

static xmlNode *make_mark(xmlDoc *doc)
{
    xmlNode *mark = vp_tree_element(doc, "applied");
    xmlNs *ns;

    if (!mark)
        return NULL;
    ns = xmlNewNs(mark, (const xmlChar *)VP_NS_APPLIED, (const xmlChar *)"virtpin");
    if (!ns) {
        xmlFreeNode(mark);
        return NULL;
    }
    xmlSetNs(mark, ns);
    return mark;
}

static int write_mark(xmlNode *root, const char *policy, struct vp_error *err)
{
    xmlNode *metadata = vp_tree_part(root, "metadata", err);
    xmlNode *mark = vp_rewrite_mark(root), *last;
    bool changed = false;

    if (!metadata)
        return -1;
    if (!mark) {
        mark = make_mark(root->doc);
        if (!mark)
            return vp_xml_no_memory(err);
        for (last = metadata->last; last && last->type != XML_ELEMENT_NODE;)
            last = last->prev;
        if (vp_tree_insert(metadata, last, mark, err) < 0)
            return -1;
    }
    return vp_tree_set(mark, "policy", policy, &changed, err);
}

static int check_pins(const struct vp_pin **pins, size_t count, struct vp_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (vp_cpuset_empty(&pins[i]->cpus))
            return vp_fail(err, VP_INPUT, "%s %u: found no CPU to pin it to",
                           vp_role_word(pins[i]->role), pins[i]->index);
        if (i > 0 && pins[i]->role == pins[i - 1]->role && pins[i]->index == pins[i - 1]->index)
            return vp_fail(err, VP_INPUT, "%s %u: found two pins", vp_role_word(pins[i]->role),
                           pins[i]->index);
    }
    return 0;
}

static int write_told(xmlNode *root, const struct vp_pins *pins, const char *policy, bool *changed,
                      struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) const struct vp_pin **wanted = vp_pins_sorted(pins);
    VP_AUTO(free) const struct vp_pin **stated = NULL;
    size_t count = pins->count;
    bool same, marked;

    *changed = false;
    if (!wanted)
        return vp_xml_no_memory(err);
    if (check_pins(wanted, count, err) < 0 || vp_domain_read(root, &domain, err) < 0)
        return -1;
    stated = vp_pins_sorted(&domain->pins);
    if (!stated)
        return vp_xml_no_memory(err);
    same = same_pins(wanted, count, stated, domain->pins.count);
    marked = domain->applied_policy && strcmp(domain->applied_policy, policy) == 0;
    if (same && marked && !has_other_place(root, domain))
        return 0;
    *changed = true;
    if (!same)
        vp_rewrite_remove_all(root, "cputune", vp_rewrite_is_pin, count > 0);
    if ((!same && write_pins(root, wanted, count, err) < 0) ||
        (!marked && write_mark(root, policy, err) < 0))
        return -1;
    return remove_other_place(root, changed, err);
}

int vp_rewrite_pins(xmlNode *root, const struct vp_pins *pins, const char *policy, bool *changed,
                    struct vp_error *err)
{
    struct vp_pins told = {0};
    int result = libvirts(pins, &told, err);

    *changed = false;
    if (result == 0)
        result = write_told(root, &told, policy, changed, err);
    vp_pins_clear(&told);
    return result;
}

int vp_rewrite_strip(xmlNode *root, bool *changed, struct vp_error *err)
{
    *changed = false;
    if (!root || !vp_xml_is(root, "domain"))
        return vp_fail(err, VP_INPUT, "found <%.40s> as the outermost element, legal is <domain>",
                       root ? (const char *)root->name : "");
    if (vp_rewrite_binds_memory(root))
        vp_rewrite_unbind_memory(root);
    if (!vp_rewrite_remove_all(root, "metadata", vp_rewrite_is_mark, false))
        return 0;
    *changed = true;
    vp_rewrite_remove_all(root, "cputune", vp_rewrite_is_pin, false);
    return 0;
}
