/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_FUZZ_MUST_H
#define VP_FUZZ_MUST_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/rewrite.h"
#include "tests/unit/rewritecheck.h"

/* What the targets that rewrite domains ask of it. */

static inline void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort();
}

static inline void must_equal(xmlDoc *a, xmlDoc *b, int facets, const char *what)
{
    char *left = check_canonical(a, facets), *right = check_canonical(b, facets);

    /* A namespace with a relative URI has no canonical form. */
    if (left && right && strcmp(left, right) != 0)
        fprintf(stderr, "--- was\n%s\n--- is\n%s\n", left, right);
    must(!left || !right || strcmp(left, right) == 0, what);
    xmlFree(left);
    xmlFree(right);
}

static inline void say_changes(const struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        fprintf(stderr, "%s: %s -> %s%s\n", vp_facet_word(changes->item[i].facet),
                changes->item[i].from, changes->item[i].to,
                changes->item[i].impossible ? " (impossible)" : "");
}

/* Text among the elements, which no domain has: a rewrite joins or parts it,
 * and the places of its neighbours cannot be told any more. */
static inline bool is_mixed(const xmlNode *part)
{
    for (const xmlNode *child = part->children; child; child = child->next)
        if ((xmlNodeIsText(child) || child->type == XML_CDATA_SECTION_NODE) &&
            !check_blank(child) && (child->next || child->prev))
            return true;
    return false;
}

static inline bool has_mixed(const xmlNode *root)
{
    for (const xmlNode *part = root->children; part; part = part->next) {
        if (is_mixed(part))
            return true;
        for (const xmlNode *child = part->children; child; child = child->next)
            if (check_named(child, "kvm") && is_mixed(child))
                return true;
    }
    return false;
}

#endif
