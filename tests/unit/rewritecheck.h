/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TEST_REWRITECHECK_H
#define VP_TEST_REWRITECHECK_H

#include <libxml/c14n.h>
#include <libxml/tree.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decide/domain.h"
#include "decide/rewrite.h"

/* Canonical XML of a domain, whole or without what the facets may change. What
 * belongs to a facet is written down here again on purpose: the code under
 * test is not asked. */

enum {
    CHECK_CPU = 1,
    CHECK_TOPOLOGY = 2,
    CHECK_PINS = 4,
    CHECK_DETAILS = 256,
    CHECK_VCPUS = 8,
    CHECK_AGENT = 16,
    CHECK_TUNING = 32,
    CHECK_NUMA = 64,
    CHECK_MEMORY = 128 /* bound by the plan: all of <numatune> */
};

static inline int check_of(enum vp_facet facet)
{
    static const int of[] = {[VP_FACET_CPU] = CHECK_CPU,       [VP_FACET_TOPOLOGY] = CHECK_TOPOLOGY,
                             [VP_FACET_PINS] = CHECK_PINS,     [VP_FACET_FEATURES] = CHECK_DETAILS,
                             [VP_FACET_VCPUS] = CHECK_VCPUS,   [VP_FACET_AGENT] = CHECK_AGENT,
                             [VP_FACET_TUNING] = CHECK_TUNING, [VP_FACET_NUMA] = CHECK_NUMA};

    return of[facet];
}

static inline bool check_named(const xmlNode *node, const char *name)
{
    return node && node->type == XML_ELEMENT_NODE && !node->ns &&
           strcmp((const char *)node->name, name) == 0;
}

static inline bool check_blank(const xmlNode *node)
{
    return node->type == XML_TEXT_NODE &&
           node->content[strspn((const char *)node->content, " \t\r\n")] == '\0';
}

/* A <kvm> in which nothing but the hint stands. Where there is more, the hint
 * is taken out and the rest stays. */
static inline bool check_hint_only(xmlNode *kvm)
{
    xmlNode *next;

    if (!check_named(kvm, "kvm"))
        return false;
    for (xmlNode *child = kvm->children; child; child = next) {
        next = child->next;
        if (!check_blank(child) && !check_named(child, "hint-dedicated"))
            continue;
        xmlUnlinkNode(child);
        xmlFreeNode(child);
    }
    return !kvm->children && !kvm->properties;
}

static inline bool check_is_agent(const xmlNode *channel)
{
    for (xmlNode *target = channel->children; target; target = target->next) {
        xmlChar *name =
            check_named(target, "target") ? xmlGetNoNsProp(target, (const xmlChar *)"name") : NULL;
        bool is = name && strcmp((const char *)name, "org.qemu.guest_agent.0") == 0;

        xmlFree(name);
        if (is)
            return true;
    }
    return false;
}

static inline bool check_of_facet(xmlNode *node, int facets)
{
    const xmlNode *parent = node->parent;
    xmlChar *placement;
    bool automatic;

    if ((facets & CHECK_CPU) && check_named(parent, "cpu") &&
        (check_named(node, "model") || check_named(node, "vendor")))
        return true;
    if ((facets & CHECK_DETAILS) && check_named(parent, "cpu") &&
        (check_named(node, "feature") || check_named(node, "cache") ||
         check_named(node, "maxphysaddr")))
        return true;
    if ((facets & CHECK_DETAILS) && check_named(parent, "features") &&
        (check_named(node, "pmu") || check_hint_only(node)))
        return true;
    if ((facets & CHECK_TOPOLOGY) && check_named(parent, "cpu") && check_named(node, "topology"))
        return true;
    if ((facets & CHECK_NUMA) && check_named(parent, "cpu") && check_named(node, "numa"))
        return true;
    if ((facets & CHECK_VCPUS) && check_named(node, "vcpus"))
        return true;
    if ((facets & CHECK_AGENT) && check_named(node, "channel") && check_is_agent(node))
        return true;
    if ((facets & CHECK_TUNING) && check_named(parent, "cputune") &&
        (check_named(node, "shares") || check_named(node, "period") || check_named(node, "quota") ||
         check_named(node, "vcpusched")))
        return true;
    if ((facets & CHECK_MEMORY) && check_named(parent, "numatune"))
        return true;
    if (!(facets & CHECK_PINS))
        return false;
    if (check_named(parent, "cputune") &&
        (check_named(node, "vcpupin") || check_named(node, "emulatorpin") ||
         check_named(node, "iothreadpin")))
        return true;
    if (check_named(parent, "metadata") && node->type == XML_ELEMENT_NODE && node->ns &&
        strcmp((const char *)node->ns->href, "urn:virtpin:applied:1") == 0)
        return true;
    if (!check_named(parent, "numatune") || !check_named(node, "memory"))
        return false;
    placement = xmlGetNoNsProp(node, (const xmlChar *)"placement");
    automatic = placement && strcmp((const char *)placement, "auto") == 0;
    xmlFree(placement);
    return automatic;
}

/* Blanks that a removal leaves beside text that should not be there at all. */
static inline void check_squeeze(xmlNode *node)
{
    xmlChar *to = node->content;

    if (node->type != XML_TEXT_NODE)
        return;
    for (const xmlChar *from = node->content; *from; from++)
        if (!strchr(" \t\r\n", *from))
            *to++ = *from;
    *to = '\0';
}

/* All blanks in <kvm>, the one part whose children's children are ours. */
static inline void check_squeeze_kvm(xmlNode *kvm)
{
    xmlNode *next;

    for (xmlNode *child = kvm->children; child; child = next) {
        next = child->next;
        check_squeeze(child);
        if (!check_blank(child))
            continue;
        xmlUnlinkNode(child);
        xmlFreeNode(child);
    }
}

/* Removes the facets' children from one part of the domain, all blanks in it,
 * and the part itself if it is empty then. */
static inline void check_prune(xmlNode *part, int facets)
{
    xmlNode *next;

    for (xmlNode *child = part->children; child; child = next) {
        next = child->next;
        check_squeeze(child);
        if (check_named(part, "features") && check_named(child, "kvm"))
            check_squeeze_kvm(child);
        if (check_blank(child) || check_of_facet(child, facets)) {
            xmlUnlinkNode(child);
            xmlFreeNode(child);
        }
    }
    if (!part->children && !part->properties) {
        xmlUnlinkNode(part);
        xmlFreeNode(part);
    }
}

static inline void check_prune_attributes(xmlNode *node, int facets)
{
    static const char *const of_cpu[] = {"mode", "match", "check", "migratable"};
    static const char *const of_vcpu[] = {"placement", "cpuset"};

    for (size_t i = 0; i < 4 && (facets & CHECK_CPU) && check_named(node, "cpu"); i++)
        xmlUnsetProp(node, (const xmlChar *)of_cpu[i]);
    if ((facets & CHECK_VCPUS) && check_named(node, "vcpu"))
        xmlUnsetProp(node, (const xmlChar *)"current");
    for (size_t i = 0; i < 2 && (facets & CHECK_PINS) && check_named(node, "vcpu"); i++)
        xmlUnsetProp(node, (const xmlChar *)of_vcpu[i]);
}

static inline void check_prune_domain(xmlNode *root, int facets)
{
    xmlNode *next;

    for (xmlNode *part = root->children; part; part = next) {
        next = part->next;
        check_squeeze(part);
        if (check_blank(part)) {
            xmlUnlinkNode(part);
            xmlFreeNode(part);
            continue;
        }
        if (check_of_facet(part, facets)) {
            xmlUnlinkNode(part);
            xmlFreeNode(part);
            continue;
        }
        check_prune_attributes(part, facets);
        if ((facets & CHECK_VCPUS) && check_named(part, "vcpu")) {
            xmlNodeSetContent(part, NULL);
            check_prune(part, facets);
            continue;
        }
        if (((facets & CHECK_AGENT) && check_named(part, "devices")) || check_named(part, "cpu") ||
            check_named(part, "cputune") || check_named(part, "metadata") ||
            check_named(part, "numatune") || check_named(part, "features"))
            check_prune(part, facets);
    }
}

/* The caller frees with xmlFree; NULL where canonical XML does not exist (a
 * relative namespace URI). facets 0: the whole document as it is. */
static inline char *check_canonical(xmlDoc *doc, int facets)
{
    xmlDoc *copy = xmlCopyDoc(doc, 1);
    xmlChar *text = NULL;

    if (copy && facets != 0)
        check_prune_domain(xmlDocGetRootElement(copy), facets);
    if (copy && xmlC14NDocDumpMemory(copy, NULL, XML_C14N_1_0, NULL, 1, &text) < 0)
        text = NULL;
    xmlFreeDoc(copy);
    return (char *)text;
}

static inline void check_silent(void *context, const char *format, ...)
{
    (void)context;
    (void)format;
}

#endif
