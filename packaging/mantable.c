/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "packaging/mantable.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "decide/policykeys.h"
#include "decide/policytext.h"

static const char opening[] = ".\\\" keys of ";
static const char closing[] = ".\\\" end of keys\n";

/* Input lines are kept below the 80 bytes that mandoc -T lint asks for. */
enum { LINE_MAX_ROFF = 78 };

/* ---- roff ---- */

static void put_escaped(struct vp_text *out, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '-')
            vp_text_puts(out, "\\-");
        else if (word[i] == '\\')
            vp_text_puts(out, "\\e");
        else
            vp_text_putc(out, word[i]);
    }
}

/* Words in one font, as filled text: the column says how long the input line is. */
struct flow {
    struct vp_text *out;
    size_t line; /* where the input line starts */
};

static void flow_start(struct flow *flow, struct vp_text *out)
{
    *flow = (struct flow){out, out->length};
}

/* One word, in font B, I or R, with a mark behind it in R. */
static void flow_word(struct flow *flow, char font, const char *word, size_t length,
                      const char *mark)
{
    struct vp_text *out = flow->out;

    if (out->length > flow->line) {
        if (out->length - flow->line + length + 12 > LINE_MAX_ROFF) {
            vp_text_putc(out, '\n');
            flow->line = out->length;
        } else {
            vp_text_putc(out, ' ');
        }
    }
    if (out->length == flow->line && (word[0] == '.' || word[0] == '\''))
        vp_text_puts(out, "\\&");
    if (font != 'R') {
        vp_text_puts(out, "\\f");
        vp_text_putc(out, font);
    }
    put_escaped(out, word, length);
    if (font != 'R')
        vp_text_puts(out, "\\fR");
    vp_text_puts(out, mark);
}

/* A phrase, word by word, and the mark behind its last. */
static void flow_phrase(struct flow *flow, char font, const char *phrase, const char *mark)
{
    while (*phrase != '\0') {
        size_t length = strcspn(phrase, " ");
        const char *next = phrase + length + strspn(phrase + length, " ");

        flow_word(flow, font, phrase, length, *next == '\0' ? mark : "");
        phrase = next;
    }
}

static void flow_end(struct flow *flow)
{
    vp_text_putc(flow->out, '\n');
}

/* ---- one key ---- */

/* What is written as it stands is bold; CPULIST, N and the like stand for something. */
static char font_of(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (isupper((unsigned char)word[i]))
            return 'I';
    return 'B';
}

static void flow_words(struct flow *flow, const char *words, const char *mark)
{
    for (int i = 0;; i++) {
        size_t length;
        const char *word = vp_word_at(words, i, &length);

        if (!word)
            return;
        flow_word(flow, font_of(word, length), word, length,
                  vp_word_at(words, i + 1, &(size_t){0}) ? "," : mark);
    }
}

static void put_legal(struct vp_text *out, const struct vp_key_row *row)
{
    bool has_default = strcmp(row->fallback, "-") != 0;
    struct flow flow;

    flow_start(&flow, out);
    if (row->use->ops->alternatives)
        flow_words(&flow, row->legal, has_default ? ";" : "");
    else
        flow_phrase(&flow, 'R', row->legal, has_default ? ";" : "");
    if (has_default) {
        flow_phrase(&flow, 'R', "default", "");
        flow_phrase(&flow, row->fallback[0] == '[' ? 'R' : 'B', row->fallback, "");
    }
    flow_end(&flow);
}

static void put_key(struct vp_text *out, const struct vp_key_row *row)
{
    struct flow flow;

    vp_text_puts(out, ".TP\n.B ");
    put_escaped(out, row->name, strlen(row->name));
    vp_text_putc(out, '\n');
    put_legal(out, row);
    vp_text_puts(out, ".br\n");
    flow_start(&flow, out);
    flow_phrase(&flow, 'R', row->meaning, "");
    flow_end(&flow);
    if (!row->use->later)
        return;
    vp_text_puts(out, ".br\n");
    flow_start(&flow, out);
    flow_phrase(&flow, 'R', "not served by this version:", "");
    flow_words(&flow, row->use->later, "");
    flow_end(&flow);
}

/* ---- the keys of a section ---- */

static void put_heading(struct vp_text *out, const char *group)
{
    vp_text_puts(out, ".SS ");
    vp_text_putc(out, (char)toupper((unsigned char)group[0]));
    vp_text_puts(out, group + 1);
    vp_text_putc(out, '\n');
}

static const struct vp_key_row *next_not_served(const struct vp_key_row *row,
                                                const struct vp_key_row *end)
{
    while (row < end && row->served)
        row++;
    return row < end ? row : NULL;
}

static void put_not_served(struct vp_text *out, const struct vp_key_row *row, unsigned count)
{
    const struct vp_key_row *end = row + count;
    struct flow flow;

    row = next_not_served(row, end);
    if (!row)
        return;
    vp_text_puts(out, ".SS Not served by this version\n");
    flow_start(&flow, out);
    flow_phrase(&flow, 'R', "An error says so where one of these stands:", "");
    while (row) {
        const struct vp_key_row *next = next_not_served(row + 1, end);

        flow_word(&flow, 'B', row->name, strlen(row->name), next ? "," : "");
        row = next;
    }
    flow_end(&flow);
}

/* Headings only where there are several groups. */
static bool put_table(struct vp_text *out, const char *section)
{
    unsigned count;
    const struct vp_key_row *row = vp_keys_of(section, &count);
    const char *group = NULL;

    for (unsigned i = 0; i < count; i++) {
        if (!row[i].served)
            continue;
        if (strcmp(row[0].group, row[count - 1].group) != 0 &&
            (!group || strcmp(group, row[i].group) != 0))
            put_heading(out, row[i].group);
        group = row[i].group;
        put_key(out, &row[i]);
    }
    if (group)
        put_not_served(out, row, count);
    return group != NULL;
}

bool vp_man_fill(const char *page, struct vp_text *out)
{
    const char *table;
    bool any = false;

    while ((table = strstr(page, opening))) {
        const char *name = table + sizeof(opening) - 1;
        const char *newline = strchr(name, '\n');
        const char *end = newline ? strstr(newline, closing) : NULL;
        char section[16];

        if (!end)
            return false;
        snprintf(section, sizeof(section), "%.*s", (int)(newline - name), name);
        vp_text_put(out, page, (size_t)(newline + 1 - page));
        if (!put_table(out, section))
            return false;
        any = true;
        page = end;
    }
    vp_text_puts(out, page);
    return any && !out->failed;
}
