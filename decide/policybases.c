/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "decide/policydraftpriv.h"

/* Policies by name, and the chains of their bases. */

enum { DEPTH_MAX = 8 };

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct draft_section *const *)a)->name,
                  (*(struct draft_section *const *)b)->name);
}

static struct draft_section *find_named(const struct draft_names *names, const char *name)
{
    struct draft_section key = {.name = (char *)name}, *wanted = &key, **found;

    found = bsearch(&wanted, names->item, names->count, sizeof(wanted), by_name);
    return found ? *found : NULL;
}

static void report_twice(struct draft_names *names, struct draft_section *section,
                         const struct draft_section *first)
{
    struct vp_finding at = {.grade = VP_ERROR,
                            .file = (char *)section->file,
                            .line = section->line,
                            .policy = section->name};

    section->duplicate = true;
    draft_report(names->draft, names->findings, &at, "policy %s stands here and at %s:%d",
                 section->name, draft_base_name(first->file), first->line);
}

/* qsort may swap equals, so which one is the duplicate goes by their order in
 * the draft: sorted pointers of one name are compared by place. */
static int by_name_then_place(const void *a, const void *b)
{
    const struct draft_section *left = *(struct draft_section *const *)a;
    const struct draft_section *right = *(struct draft_section *const *)b;
    int order = strcmp(left->name, right->name);

    if (order != 0)
        return order;
    order = strcmp(left->file, right->file);
    return order != 0 ? order : left->line - right->line;
}

bool draft_collect_names(struct draft_names *names)
{
    struct vp_draft *draft = names->draft;
    size_t kept = 0;

    names->item = calloc(draft->count + 1, sizeof(struct draft_section *));
    if (!names->item)
        return false;
    for (size_t i = 0; i < draft->count; i++)
        if (draft->section[i]->kind == DRAFT_POLICY)
            names->item[names->count++] = draft->section[i];
    qsort(names->item, names->count, sizeof(struct draft_section *), by_name_then_place);
    for (size_t i = 0; i < names->count; i++) {
        struct draft_section *section = names->item[i];

        if (kept > 0 && strcmp(names->item[kept - 1]->name, section->name) == 0)
            report_twice(names, section, names->item[kept - 1]);
        else
            names->item[kept++] = section;
    }
    names->count = kept;
    return true;
}

static void report_base(struct draft_names *names, struct draft_section *section, const char *why)
{
    const struct draft_value *value = section->own[names->base_slot];
    struct vp_finding at = {.grade = VP_ERROR,
                            .file = (char *)value->file,
                            .line = value->line,
                            .policy = section->name,
                            .key = (char *)"base",
                            .found = value->text};

    draft_report(names->draft, names->findings, &at, "base: found \"%.60s\", %s", value->text, why);
}

static void link_base(struct draft_names *names, struct draft_section *section)
{
    const struct draft_value *value = section->own[names->base_slot];

    if (!value)
        return;
    section->base = find_named(names, value->text);
    if (section->base) {
        section->base->used_as_base = true;
        return;
    }
    section->unsound = true;
    report_base(names, section, "no policy has that name");
}

/* A circle that the policy itself is not on, or a long one, only shows as a
 * chain without an end. */
static void check_depth(struct draft_names *names, struct draft_section *section)
{
    unsigned depth = 0;

    for (struct draft_section *up = section->base; up && depth < 64; up = up->base) {
        depth++;
        if (up == section) {
            section->unsound = true;
            report_base(names, section, "the bases run in a circle");
            return;
        }
    }
    if (depth <= DEPTH_MAX)
        return;
    section->unsound = true;
    report_base(names, section,
                depth < 64 ? "the chain of bases is deeper than 8"
                           : "the bases run in a circle or are far too deep");
}

void draft_resolve_bases(struct draft_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        link_base(names, names->item[i]);
    for (size_t i = 0; i < names->count; i++)
        check_depth(names, names->item[i]);
    for (size_t i = 0; i < names->count; i++)
        if (names->item[i]->unsound)
            names->item[i]->base = NULL;
}
