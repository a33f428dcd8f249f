/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policydraft.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policydraftpriv.h"

/* Bounds what a hostile or broken file can make us allocate. */
enum { SECTIONS_MAX = 4096 };

/* ---- memory that lives as long as the draft ---- */

enum { CHUNK_SIZE = 65536 };

struct draft_chunk {
    struct draft_chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

static void *draft_alloc(struct vp_draft *draft, size_t size)
{
    struct draft_chunk *chunk = draft->chunks;
    void *memory;

    size = (size + 7) & ~(size_t)7;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;

        chunk = malloc(sizeof(*chunk) + room);
        if (!chunk) {
            draft->failed = true;
            return NULL;
        }
        *chunk = (struct draft_chunk){.next = draft->chunks, .size = room};
        draft->chunks = chunk;
    }
    memory = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    return memory;
}

static char *draft_copy(struct vp_draft *draft, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = draft_alloc(draft, size);

    return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- the index of rows ---- */

static unsigned hash_key(enum draft_kind kind, const char *key)
{
    uint32_t hash = 2166136261u ^ (uint32_t)kind;

    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return (hash ^ hash >> 15) % 512;
}

static void index_rows(struct vp_draft *draft, enum draft_kind kind, const char *section)
{
    draft->rows[kind] = vp_keys_of(section, &draft->row_count[kind]);
    for (unsigned i = 0; i < draft->row_count[kind]; i++) {
        unsigned at = hash_key(kind, draft->rows[kind][i].name);

        while (draft->index[at] != 0)
            at = (at + 1) % 512;
        draft->index[at] = (uint8_t)(i + 1);
    }
}

/* All kinds share the index: a hit of another kind fails the comparison. */
const struct vp_key_row *draft_find_row(const struct vp_draft *draft, enum draft_kind kind,
                                        const char *key)
{
    for (unsigned at = hash_key(kind, key); draft->index[at] != 0; at = (at + 1) % 512) {
        unsigned i = draft->index[at] - 1u;

        if (i < draft->row_count[kind] && strcmp(draft->rows[kind][i].name, key) == 0)
            return &draft->rows[kind][i];
    }
    return NULL;
}

/* ---- the object ---- */

struct vp_draft *vp_draft_new_known(void)
{
    struct vp_draft *draft = calloc(1, sizeof(*draft));

    if (!draft)
        return NULL;
    draft->known = true;
    draft->skipped.kind = DRAFT_SKIP;
    index_rows(draft, DRAFT_POLICY, "policy");
    index_rows(draft, DRAFT_HOST, "host");
    index_rows(draft, DRAFT_POOL, "pool");
    return draft;
}

void vp_draft_free(struct vp_draft *draft)
{
    if (!draft)
        return;
    for (size_t i = 0; i < draft->count; i++)
        free(draft->section[i]->globs.item);
    free(draft->section);
    for (size_t i = 0; i < draft->files.count; i++)
        free(draft->files.item[i]);
    free(draft->files.item);
    while (draft->chunks) {
        struct draft_chunk *chunk = draft->chunks;

        draft->chunks = chunk->next;
        free(chunk);
    }
    free(draft);
}

void vp_draft_without_hash(struct vp_draft *draft)
{
    draft->hash = NULL;
}

/* One copy of each file's name; the set takes them over. */
static const char *draft_file(struct vp_draft *draft, const char *file)
{
    struct vp_strings *files = &draft->files;
    char **item;

    if (files->count > 0 && strcmp(files->item[files->count - 1], file) == 0)
        return files->item[files->count - 1];
    item = reallocarray(files->item, files->count + 1, sizeof(*item));
    if (item) {
        files->item = item;
        item[files->count] = strdup(file);
        if (item[files->count])
            return item[files->count++];
    }
    draft->failed = true;
    return "";
}

void vp_draft_file(struct vp_draft *draft, const char *file)
{
    draft_file(draft, file);
}

/* ---- findings ---- */

const char *draft_base_name(const char *file)
{
    const char *slash = file ? strrchr(file, '/') : NULL;

    return slash ? slash + 1 : file;
}

static void report(struct vp_draft *draft, struct vp_findings *findings,
                   const struct vp_finding *at, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static void report(struct vp_draft *draft, struct vp_findings *findings,
                   const struct vp_finding *at, const char *format, va_list args)
{
    struct vp_finding finding = *at;
    char text[1024];

    vsnprintf(text, sizeof(text), format, args);
    finding.text = text;
    finding.file = (char *)draft_base_name(at->file);
    if (finding.grade == VP_ERROR)
        draft->errors++;
    if (!vp_findings_add(findings, &finding))
        draft->failed = true;
}

void draft_report(struct vp_draft *draft, struct vp_findings *findings, const struct vp_finding *at,
                  const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report(draft, findings, at, format, args);
    va_end(args);
}

void vp_draft_error(struct vp_draft *draft, const char *file, int line,
                    struct vp_findings *findings, const char *format, ...)
{
    struct vp_finding at = {.grade = VP_ERROR, .file = (char *)file, .line = line};
    va_list args;

    va_start(args, format);
    report(draft, findings, &at, format, args);
    va_end(args);
}

/* ---- sections ---- */

static struct draft_section *add_section(struct vp_draft *draft, enum draft_kind kind,
                                         const char *file, int line, const char *name)
{
    struct draft_section *section;

    if (draft->count == draft->room) {
        size_t room = draft->room > 0 ? 2 * draft->room : 32;
        struct draft_section **list = reallocarray(draft->section, room, sizeof(*list));

        if (!list) {
            draft->failed = true;
            return &draft->skipped;
        }
        draft->section = list;
        draft->room = room;
    }
    section = draft_alloc(draft, sizeof(*section));
    if (!section)
        return &draft->skipped;
    memset(section, 0, sizeof(*section));
    section->kind = kind;
    section->file = draft_file(draft, file);
    section->line = line;
    if (name)
        section->name = draft_copy(draft, name);
    if (name && !section->name)
        return &draft->skipped;
    draft->section[draft->count++] = section;
    return section;
}

static struct draft_section *open_named(struct vp_draft *draft, enum draft_kind kind,
                                        const char *file, int line, const char *name,
                                        struct vp_findings *findings)
{
    struct vp_fault fault = {0};
    char copy[64];

    snprintf(copy, sizeof(copy), "%s", name);
    if (strlen(name) >= sizeof(copy) || !vp_item_word(copy, &fault)) {
        vp_draft_error(draft, file, line, findings, "%s name: found \"%.60s\": %s",
                       kind == DRAFT_POOL ? "pool" : "policy", name,
                       fault.why[0] != '\0' ? fault.why : "it is too long");
        return &draft->skipped;
    }
    return add_section(draft, kind, file, line, name);
}

/* Sections of one head are one section, wherever they stand. */
static struct draft_section *open_host(struct vp_draft *draft, const char *file, int line,
                                       const char *globs, struct vp_findings *findings)
{
    static const struct vp_key_use use = {.ops = &vp_ops_list, .item = vp_item_glob};
    static const struct vp_key_row row = {.name = "host", .use = &use};
    struct vp_fault fault = {0};
    struct vp_strings list = {0};
    struct draft_section *section;

    for (size_t i = 0; i < draft->count; i++) {
        section = draft->section[i];
        if (section->kind == DRAFT_HOST && !section->name == !globs &&
            (!globs || strcmp(section->name, globs) == 0))
            return section;
    }
    if (globs && !vp_ops_list.parse(&row, &list, globs, &fault)) {
        vp_draft_error(draft, file, line, findings, "host globs: found \"%.60s\": %s", globs,
                       fault.why);
        return &draft->skipped;
    }
    section = add_section(draft, DRAFT_HOST, file, line, globs);
    if (section == &draft->skipped)
        free(list.item);
    else
        section->globs = list;
    return section;
}

/* The text behind the word and its blanks; NULL if `head` is not that word. */
static const char *behind(const char *head, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(head, word, length) != 0)
        return NULL;
    head += length;
    if (*head != '\0' && *head != ' ' && *head != '\t')
        return NULL;
    return head + strspn(head, " \t");
}

void vp_draft_section(struct vp_draft *draft, const char *file, int line, const char *section,
                      struct vp_findings *findings)
{
    const char *rest;

    draft->open = &draft->skipped;
    if (!section)
        return;
    if (draft->count >= SECTIONS_MAX) {
        if (!draft->too_many)
            vp_draft_error(draft, file, line, findings, "more than %d sections", SECTIONS_MAX);
        draft->too_many = true;
    } else if ((rest = behind(section, "policy"))) {
        draft->open = open_named(draft, DRAFT_POLICY, file, line, rest, findings);
    } else if ((rest = behind(section, "host"))) {
        draft->open = open_host(draft, file, line, *rest != '\0' ? rest : NULL, findings);
    } else if ((rest = behind(section, "pool"))) {
        draft->open = open_named(draft, DRAFT_POOL, file, line, rest, findings);
    } else {
        vp_draft_error(
            draft, file, line, findings,
            "unknown section [%.60s], legal: [policy NAME], [host], [host GLOB], [pool NAME]",
            section);
    }
}

/* ---- keys ---- */

char *draft_subject(const struct draft_section *section)
{
    return section->kind == DRAFT_HOST ? (char *)"host" : section->name;
}

static void report_unknown(struct vp_draft *draft, const char *file, int line, const char *key,
                           struct vp_findings *findings)
{
    static const struct {
        const char *word, *head;
    } kinds[DRAFT_KINDS] = {
        [DRAFT_POLICY] = {"policy", "policy NAME"},
        [DRAFT_HOST] = {"host", "host"},
        [DRAFT_POOL] = {"pool", "pool NAME"},
    };
    enum draft_kind kind = draft->open->kind;
    struct vp_finding at = {
        .grade = VP_ERROR,
        .file = (char *)file,
        .line = line,
        .policy = draft_subject(draft->open),
        .key = (char *)key,
        .found = (char *)key,
    };
    char near[256];

    for (enum draft_kind other = DRAFT_POLICY; other < DRAFT_KINDS; other++)
        if (other != kind && draft_find_row(draft, other, key)) {
            draft_report(draft, findings, &at, "%s is a key of [%s], not of [%s]", key,
                         kinds[other].head, kinds[kind].head);
            return;
        }
    vp_key_nearest(kinds[kind].word, key, near, sizeof(near));
    if (near[0] != '\0') {
        at.legal = near;
        draft_report(draft, findings, &at, "unknown key \"%.60s\", nearest: %s", key, near);
    } else {
        draft_report(draft, findings, &at,
                     "unknown key \"%.60s\"; virtpin-policy(5) and virtpin.conf(5) list them", key);
    }
}

static void store(struct vp_draft *draft, struct draft_value **slot, const char *file, int line,
                  const char *value)
{
    struct draft_value *stored = draft_alloc(draft, sizeof(*stored));

    if (!stored)
        return;
    stored->text = draft_copy(draft, value);
    stored->file = draft_file(draft, file);
    stored->line = line;
    if (stored->text)
        *slot = stored;
}

void vp_draft_key(struct vp_draft *draft, const char *file, int line, const char *key,
                  const char *value, struct vp_findings *findings)
{
    struct draft_section *open = draft->open;
    struct vp_finding at = {
        .grade = VP_ERROR, .file = (char *)file, .line = line, .key = (char *)key};
    const struct vp_key_row *row;
    struct draft_value **slot;

    if (!open) {
        draft_report(draft, findings, &at, "%.60s stands before any section", key);
        return;
    }
    if (open->kind == DRAFT_SKIP)
        return;
    at.policy = draft_subject(open);
    row = draft_find_row(draft, open->kind, key);
    if (!row) {
        report_unknown(draft, file, line, key, findings);
        return;
    }
    slot = &open->own[row - draft->rows[open->kind]];
    if (!row->served)
        draft_report(draft, findings, &at, "%s is not served by this version", key);
    else if (value[0] == '\0')
        draft_report(draft, findings, &at, "%s has no value", key);
    else if (*slot)
        draft_report(draft, findings, &at, "%s stands here and at %s:%d", key,
                     draft_base_name((*slot)->file), (*slot)->line);
    else
        store(draft, slot, file, line, value);
}

const char *vp_draft_run_dir(const struct vp_draft *draft, const char *nodename)
{
    const struct vp_key_row *row = draft_find_row(draft, DRAFT_HOST, "run-dir");
    ptrdiff_t slot = row - draft->rows[DRAFT_HOST];
    const char *plain = NULL, *matching = NULL;

    for (size_t i = 0; i < draft->count; i++) {
        const struct draft_section *section = draft->section[i];
        struct vp_fault fault = {0};

        if (section->kind != DRAFT_HOST || !section->own[slot] ||
            !vp_item_path(section->own[slot]->text, &fault))
            continue;
        if (!section->name)
            plain = section->own[slot]->text;
        else if (vp_host_globs_hold(&section->globs, nodename))
            matching = section->own[slot]->text;
    }
    if (matching)
        return matching;
    return plain ? plain : row->fallback;
}
