/* SPDX-License-Identifier: GPL-2.0-or-later */
/* [pool NAME]: its values, and what pools may not do to each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policydraftpriv.h"
#include "decide/policytext.h"

/* ---- values ---- */

static bool parse_pool(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    char *copy = strdup(text);

    (void)row;
    if (!copy) {
        snprintf(fault->why, sizeof(fault->why), "out of memory");
        return false;
    }
    if (!vp_item_word(copy, fault)) {
        free(copy);
        return false;
    }
    if (strcmp(copy, "default") == 0) {
        free(copy);
        copy = NULL;
    }
    *(char **)field = copy;
    return true;
}

static void print_pool(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    const char *name = *(char *const *)field;

    (void)row;
    (void)raw;
    vp_text_puts(out, name ? name : "default");
}

static void release_pool(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

const struct vp_value_ops vp_ops_pool = {parse_pool, print_pool, release_pool, false};

static bool parse_cpus(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    struct vp_pool_cpus *cpus = field;
    unsigned percent;

    if (strchr(text, '%')) {
        if (!vp_ops_percent.parse(row, &percent, text, fault) || percent == 0)
            return false;
        *cpus = (struct vp_pool_cpus){.kind = VP_POOL_PERCENT, .percent = percent};
        return true;
    }
    if (!vp_ops_vcpus.parse(row, &cpus->list, text, fault))
        return false;
    cpus->kind = VP_POOL_LIST;
    return true;
}

static void print_cpus(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    const struct vp_pool_cpus *cpus = field;

    if (cpus->kind == VP_POOL_PERCENT)
        vp_ops_percent.print(row, &cpus->percent, raw, out);
    else
        vp_ops_vcpus.print(row, &cpus->list, raw, out);
}

const struct vp_value_ops vp_ops_pool_cpus = {parse_cpus, print_cpus, NULL, false};

/* ---- building ---- */

const struct draft_section *draft_pool(const struct vp_draft *draft, const char *name)
{
    for (size_t i = 0; i < draft->count; i++)
        if (draft->section[i]->kind == DRAFT_POOL && strcmp(draft->section[i]->name, name) == 0)
            return draft->section[i];
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct vp_pool_conf *)a)->name, ((const struct vp_pool_conf *)b)->name);
}

static void read_pool(struct vp_draft *draft, const struct draft_section *section,
                      struct vp_pool_conf *pool, struct vp_findings *findings)
{
    const struct vp_key_row *rows = draft->rows[DRAFT_POOL];

    for (unsigned i = 0; i < draft->row_count[DRAFT_POOL]; i++) {
        const struct draft_value *value = section->own[i];
        void *field = (char *)pool + (rows[i].use ? rows[i].use->offset : 0);
        struct vp_fault fault = {0};

        if (!rows[i].served)
            continue;
        if (value && !rows[i].use->ops->parse(&rows[i], field, value->text, &fault))
            draft_report_value(draft, section, &rows[i], value, &fault, findings);
        else if (!value && rows[i].fallback[0] != '-')
            rows[i].use->ops->parse(&rows[i], field, rows[i].fallback, &fault);
    }
}

bool draft_build_pools(struct vp_draft *draft, struct vp_host_conf *host,
                       struct vp_findings *findings)
{
    host->pool = calloc(draft->count + 1, sizeof(*host->pool));
    if (!host->pool)
        return false;
    for (size_t i = 0; i < draft->count; i++) {
        struct draft_section *section = draft->section[i];
        const struct draft_section *first;
        struct vp_pool_conf *pool = &host->pool[host->pool_count];

        if (section->kind != DRAFT_POOL)
            continue;
        first = draft_pool(draft, section->name);
        if (first != section) {
            vp_draft_error(draft, section->file, section->line, findings,
                           "[pool %s] stands here and at %s:%d", section->name,
                           draft_base_name(first->file), first->line);
            continue;
        }
        pool->name = strdup(section->name);
        if (!pool->name)
            return false;
        host->pool_count++;
        read_pool(draft, section, pool, findings);
    }
    qsort(host->pool, host->pool_count, sizeof(*host->pool), by_name);
    return true;
}

/* ---- checking ---- */

/* At the line of the pool's `cpus`, or at its head. */
static void complain(struct vp_draft *draft, enum vp_grade grade, const struct vp_pool_conf *pool,
                     const char *text, struct vp_findings *findings)
{
    const struct vp_key_row *row = draft_find_row(draft, DRAFT_POOL, "cpus");
    const struct draft_section *section = draft_pool(draft, pool->name);
    const struct draft_value *value = section->own[row - draft->rows[DRAFT_POOL]];
    struct vp_finding at = {
        .grade = grade,
        .file = (char *)(value ? value->file : section->file),
        .line = value ? value->line : section->line,
        .policy = pool->name,
        .key = (char *)"cpus",
        .found = value ? value->text : NULL,
    };

    draft_report(draft, findings, &at, "%s", text);
}

static void check_overlap(struct vp_draft *draft, const struct vp_pool_conf *pool,
                          const struct vp_pool_conf *other, struct vp_findings *findings)
{
    struct vp_cpuset both = pool->cpus.list;
    char list[128], text[256];

    vp_cpuset_and(&both, &other->cpus.list);
    if (vp_cpuset_empty(&both))
        return;
    vp_cpuset_print(&both, list, sizeof(list));
    snprintf(text, sizeof(text), "pools %.50s and %.50s both have CPUs %s", other->name, pool->name,
             list);
    complain(draft, VP_ERROR, pool, text, findings);
}

static void check_list(struct vp_draft *draft, const struct vp_host_conf *host,
                       const struct vp_pool_conf *pool, struct vp_findings *findings)
{
    struct vp_cpuset both = pool->cpus.list;
    bool none = vp_cpuset_within(&both, &host->reserved);
    char list[128], text[256];

    vp_cpuset_and(&both, &host->reserved);
    if (pool->cpus.kind != VP_POOL_LIST || vp_cpuset_empty(&both))
        return;
    vp_cpuset_print(&both, list, sizeof(list));
    snprintf(text, sizeof(text),
             none ? "pool %.50s is empty: all its CPUs %s are reserved"
                  : "pool %.50s holds CPUs %s, which are reserved and stay so",
             pool->name, list);
    complain(draft, none ? VP_ERROR : VP_WARNING, pool, text, findings);
}

void draft_check_pools(struct vp_draft *draft, const struct vp_host_conf *host,
                       struct vp_findings *findings)
{
    unsigned percent = 0;
    char text[256];

    for (size_t i = 0; i < host->pool_count; i++) {
        const struct vp_pool_conf *pool = &host->pool[i];
        bool is_default = strcmp(pool->name, "default") == 0;

        if (pool->cpus.kind == VP_POOL_REST && !is_default)
            complain(draft, VP_ERROR, pool, "a pool needs cpus", findings);
        if (pool->cpus.kind != VP_POOL_REST && is_default)
            complain(draft, VP_ERROR, pool,
                     "the default pool has what [host] shared says, less the other pools: it "
                     "takes no cpus",
                     findings);
        for (size_t k = 0; k < i; k++)
            check_overlap(draft, pool, &host->pool[k], findings);
        check_list(draft, host, pool, findings);
        if (pool->cpus.kind != VP_POOL_PERCENT)
            continue;
        percent += pool->cpus.percent;
        if (percent <= 100)
            continue;
        snprintf(text, sizeof(text),
                 "the pools take %u%% of the shared CPUs in all, legal: up to "
                 "100%%",
                 percent);
        complain(draft, VP_ERROR, pool, text, findings);
    }
}
