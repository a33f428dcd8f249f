/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policydraft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policydraftpriv.h"
#include "decide/policytext.h"

/* From a draft to a policy set: bases resolved, values read, text printed. */

struct build {
    struct vp_draft *draft;
    struct vp_findings *findings;
    struct draft_names names;
    struct vp_policy built_in; /* nothing of it is allocated */
    struct vp_policy_set *set;
    struct vp_text text, value;
};

/* Stands in a list of effective values for a `default`. */
static struct draft_value built_in_value;

static void *field_of(const struct vp_key_row *row, void *object)
{
    return (char *)object + row->use->offset;
}

void draft_report_value(struct vp_draft *draft, const struct draft_section *section,
                        const struct vp_key_row *row, const struct draft_value *value,
                        const struct vp_fault *fault, struct vp_findings *findings)
{
    struct vp_finding at = {
        .grade = VP_ERROR,
        .file = (char *)value->file,
        .line = value->line,
        .policy = draft_subject(section),
        .key = (char *)row->name,
        .found = value->text,
    };
    char legal[256];

    at.legal = (char *)vp_key_legal(row, legal, sizeof(legal));
    if (fault->not_served)
        draft_report(draft, findings, &at, "%s: \"%.80s\" is not served by this version, legal: %s",
                     row->name, value->text, legal);
    else if (strcmp(value->text, "default") == 0 && section->kind == DRAFT_POLICY)
        draft_report(draft, findings, &at,
                     "%s: \"default\" has a meaning only in a policy with a base, legal: %s",
                     row->name, legal);
    else
        draft_report(draft, findings, &at, "%s: found \"%.80s\", legal: %s%s%s", row->name,
                     value->text, legal, fault->why[0] != '\0' ? "; " : "", fault->why);
}

/* ---- policies ---- */

static bool is_sound(const struct draft_section *section)
{
    for (; section; section = section->base)
        if (section->unsound)
            return false;
    return true;
}

/* A list may hold the word `default` as a name; only what a base can give can
 * be given back. */
static bool is_default(const struct build *build, const struct vp_key_row *row,
                       const struct draft_section *section, const struct draft_value *value)
{
    bool restorable = !row->use->own || !row->use->item;

    return restorable && section->own[build->names.base_slot] &&
           strcmp(value->text, "default") == 0;
}

static void effective_values(const struct build *build, const struct draft_section *section,
                             struct draft_value **value)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_POLICY];

    for (const struct draft_section *from = section; from; from = from->base) {
        for (unsigned i = 0; i < build->draft->row_count[DRAFT_POLICY]; i++) {
            if (!from->own[i] || value[i] || (from != section && rows[i].use->own))
                continue;
            value[i] =
                is_default(build, &rows[i], from, from->own[i]) ? &built_in_value : from->own[i];
        }
    }
}

static void print_key(struct build *build, const struct vp_key_row *row, void *object,
                      const char *raw)
{
    vp_text_reset(&build->value);
    row->use->ops->print(row, field_of(row, object), raw, &build->value);
    if (build->value.failed || !build->value.bytes ||
        strcmp(build->value.bytes, row->fallback) == 0)
        return;
    vp_text_put_key(&build->text, row->name, build->value.bytes);
}

static void print_policy(struct build *build, struct vp_policy *policy, struct draft_value **value)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_POLICY];

    if (build->draft->known)
        return;
    if (build->text.length > 0)
        vp_text_putc(&build->text, '\n');
    vp_text_puts(&build->text, "[policy ");
    vp_text_puts(&build->text, policy->name);
    vp_text_puts(&build->text, "]\n");
    for (unsigned i = 0; i < build->draft->row_count[DRAFT_POLICY]; i++)
        if (value[i] && value[i] != &built_in_value && i != (unsigned)build->names.base_slot)
            print_key(build, &rows[i], policy, value[i]->text);
}

/* Reads the effective values; a bad one is reported where it stands, not in
 * every policy that inherits it. */
static bool read_values(struct build *build, struct draft_section *section,
                        struct draft_value **value, struct vp_policy *policy)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_POLICY];
    bool good = true;

    for (unsigned i = 0; i < build->draft->row_count[DRAFT_POLICY]; i++) {
        struct vp_fault fault;

        if (!value[i] || value[i] == &built_in_value)
            continue;
        fault.not_served = false;
        fault.why[0] = '\0';
        if (rows[i].use->ops->parse(&rows[i], field_of(&rows[i], policy), value[i]->text, &fault))
            continue;
        good = false;
        if (value[i] == section->own[i])
            draft_report_value(build->draft, section, &rows[i], value[i], &fault, build->findings);
    }
    return good;
}

static void build_policy(struct build *build, struct draft_section *section,
                         struct vp_policy *policy)
{
    struct draft_value *value[VP_KEYS_MAX] = {0};

    *policy = build->built_in;
    policy->name = strdup(section->name);
    policy->file = section->file;
    policy->line = section->line;
    if (!policy->name) {
        build->draft->failed = true;
        return;
    }
    effective_values(build, section, value);
    if (!read_values(build, section, value, policy) || !is_sound(section))
        return;
    draft_check_policy(build->draft, section, policy, build->findings);
    print_policy(build, policy, value);
}

/* What no policy of the set comes of has its values checked all the same. */
static void check_duplicates(struct build *build)
{
    for (size_t i = 0; i < build->draft->count; i++) {
        struct draft_section *section = build->draft->section[i];
        struct vp_policy scratch = build->built_in;

        if (section->kind != DRAFT_POLICY || !section->duplicate)
            continue;
        read_values(build, section, section->own, &scratch);
        vp_policy_clear(&scratch);
    }
}

/* ---- host ---- */

static void check_host_values(struct build *build, const struct draft_section *section)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_HOST];
    struct vp_host_conf scratch = {0};

    for (unsigned i = 0; i < build->draft->row_count[DRAFT_HOST]; i++) {
        struct vp_fault fault = {0};
        const struct draft_value *value = section->own[i];

        if (value &&
            !rows[i].use->ops->parse(&rows[i], field_of(&rows[i], &scratch), value->text, &fault))
            draft_report_value(build->draft, section, &rows[i], value, &fault, build->findings);
    }
    vp_host_conf_clear(&scratch);
}

static void host_values(struct build *build, const char *nodename, struct draft_value **value)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < build->draft->count; i++) {
            struct draft_section *section = build->draft->section[i];

            if (section->kind != DRAFT_HOST || (section->name != NULL) != (pass == 1))
                continue;
            if (pass == 1 && !vp_host_globs_hold(&section->globs, nodename))
                continue;
            for (unsigned k = 0; k < build->draft->row_count[DRAFT_HOST]; k++)
                if (section->own[k])
                    value[k] = section->own[k];
        }
    }
}

static void build_pools(struct build *build, struct vp_host_conf *host)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_POOL];

    if (!draft_build_pools(build->draft, host, build->findings)) {
        build->draft->failed = true;
        return;
    }
    draft_check_pools(build->draft, host, build->findings);
    for (size_t i = 0; i < host->pool_count && !build->draft->known; i++) {
        const struct draft_section *section = draft_pool(build->draft, host->pool[i].name);

        vp_text_puts(&build->text, build->text.length > 0 ? "\n[pool " : "[pool ");
        vp_text_puts(&build->text, host->pool[i].name);
        vp_text_puts(&build->text, "]\n");
        for (unsigned k = 0; k < build->draft->row_count[DRAFT_POOL]; k++)
            if (section->own[k])
                print_key(build, &rows[k], &host->pool[i], section->own[k]->text);
    }
}

static void build_host(struct build *build, const char *nodename)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_HOST];
    struct draft_value *value[VP_KEYS_MAX] = {0};
    struct vp_host_conf *host = &build->set->host;
    size_t errors = build->draft->errors;

    for (size_t i = 0; i < build->draft->count; i++)
        if (build->draft->section[i]->kind == DRAFT_HOST)
            check_host_values(build, build->draft->section[i]);
    if (build->draft->errors > errors)
        return;
    host_values(build, nodename, value);
    vp_text_puts(&build->text, "[host]\n");
    for (unsigned i = 0; i < build->draft->row_count[DRAFT_HOST]; i++) {
        struct vp_fault fault = {0};
        const char *text = value[i] ? value[i]->text : rows[i].fallback;

        if (!rows[i].served)
            continue;
        if (!rows[i].use->ops->parse(&rows[i], field_of(&rows[i], host), text, &fault))
            build->draft->failed = true;
        else if (value[i] && !build->draft->known)
            print_key(build, &rows[i], host, value[i]->text);
    }
    if (build->text.length == strlen("[host]\n"))
        vp_text_reset(&build->text);
    draft_check_host(build->draft, host, build->findings);
    build_pools(build, host);
}

/* ---- the set ---- */

static void read_built_in(struct build *build)
{
    const struct vp_key_row *rows = build->draft->rows[DRAFT_POLICY];

    for (unsigned i = 0; i < build->draft->row_count[DRAFT_POLICY]; i++) {
        struct vp_fault fault;

        if (rows[i].served && rows[i].fallback[0] != '-' && rows[i].fallback[0] != '[')
            rows[i].use->ops->parse(&rows[i], field_of(&rows[i], &build->built_in),
                                    rows[i].fallback, &fault);
    }
}

static void build_set(struct build *build, const char *nodename)
{
    read_built_in(build);
    build->names.base_slot =
        draft_find_row(build->draft, DRAFT_POLICY, "base") - build->draft->rows[DRAFT_POLICY];
    build->set = calloc(1, sizeof(*build->set));
    if (!build->set || !draft_collect_names(&build->names)) {
        build->draft->failed = true;
        return;
    }
    build_host(build, nodename);
    check_duplicates(build);
    draft_resolve_bases(&build->names);
    build->set->policy = calloc(build->names.count + 1, sizeof(struct vp_policy));
    if (!build->set->policy) {
        build->draft->failed = true;
        return;
    }
    build->set->count = build->names.count;
    for (size_t i = 0; i < build->names.count; i++)
        build_policy(build, build->names.item[i], &build->set->policy[i]);
}

/* Hands text and file names to the set. */
static void seal(struct build *build)
{
    struct vp_policy_set *set = build->set;

    vp_text_put(&build->text, "", 0);
    if (build->text.failed || build->value.failed)
        build->draft->failed = true;
    if (build->draft->failed)
        return;
    set->text = build->text.bytes;
    build->text.bytes = NULL;
    if (build->draft->hash)
        build->draft->hash(set);
    set->files = build->draft->files;
    build->draft->files = (struct vp_strings){0};
}

int vp_draft_finish(struct vp_draft *draft, const char *nodename, struct vp_policy_set **set,
                    struct vp_findings *findings)
{
    struct build build = {
        .draft = draft, .findings = findings, .names = {.draft = draft, .findings = findings}};

    *set = NULL;
    build_set(&build, nodename);
    if (!draft->failed && draft->errors == 0 && vp_findings_errors(findings) == 0)
        seal(&build);
    if (draft->failed)
        vp_findings_note(findings, VP_ERROR, "out of memory");
    if (!draft->failed && draft->errors == 0 && vp_findings_errors(findings) == 0) {
        *set = build.set;
        build.set = NULL;
    }
    vp_policy_set_free(build.set);
    vp_text_free(&build.text);
    vp_text_free(&build.value);
    free(build.names.item);
    return *set ? 0 : -1;
}
