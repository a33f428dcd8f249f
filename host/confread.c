/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/confread.h"

#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policydraft.h"
#include "decide/policytext.h"

/* inih before r59 hands the rest of an overlong line over as a new line, cuts
 * section names at 49 bytes, takes `:` for `=`, and reports neither repeated
 * sections nor where a key stands. So our reader cuts comments, checks each
 * line, and knows its number when inih calls back. */

enum { SECTION_MAX = 48 };

enum above { ABOVE_NOTHING, ABOVE_KEY, ABOVE_BAD };

struct reader {
    struct vp_draft *draft;
    struct vp_findings *findings;
    const char *file;
    const char *at, *end; /* what was not read yet */
    int line;
    enum above above;  /* what an indented line would continue */
    bool continuation; /* the line that inih has now is one */
    /* the key that further lines may continue */
    char *key;
    char *value;
    size_t length, room;
    int key_line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* ---- one line, before inih ---- */

struct line {
    const char *text; /* not NUL-terminated */
    size_t length;    /* without newline, comment and blanks at the end */
};

static struct line take_line(struct reader *reader)
{
    const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    const char *end = newline ? newline : reader->end;
    struct line line = {.text = reader->at, .length = (size_t)(end - reader->at)};

    reader->at = newline ? newline + 1 : reader->end;
    reader->line++;
    return line;
}

#define complain(reader, ...)                                                                      \
    vp_draft_error((reader)->draft, (reader)->file, (reader)->line, (reader)->findings, __VA_ARGS__)

static bool has_bad_bytes(struct reader *reader, const struct line *line)
{
    if (line->length > VP_LINE_MAX) {
        complain(reader, "the line has %zu bytes, more than %d: go on in an indented line",
                 line->length, VP_LINE_MAX);
        return true;
    }
    for (size_t i = 0; i < line->length; i++) {
        unsigned char c = (unsigned char)line->text[i];

        if ((c < ' ' && c != '\t' && !is_blank((char)c)) || c == 0x7f) {
            complain(reader, "the line has a control character, code %u", c);
            return true;
        }
    }
    return false;
}

/* A ; after a blank starts a comment, as does a # or ; at the start. */
static void cut_comment(struct line *line)
{
    size_t first = 0;

    while (first < line->length && is_blank(line->text[first]))
        first++;
    if (first < line->length && (line->text[first] == '#' || line->text[first] == ';')) {
        line->length = 0;
        return;
    }
    for (const char *c = line->text; (c = memchr(c, ';', line->length - (size_t)(c - line->text)));
         c++) {
        if (c > line->text && is_blank(c[-1])) {
            line->length = (size_t)(c - line->text);
            break;
        }
    }
    while (line->length > 0 && is_blank(line->text[line->length - 1]))
        line->length--;
}

static void flush_key(struct reader *reader)
{
    if (!reader->key)
        return;
    vp_draft_key(reader->draft, reader->file, reader->key_line, reader->key, reader->value,
                 reader->findings);
    free(reader->key);
    reader->key = NULL;
    reader->length = 0;
}

/* The name between the brackets, or NULL after complaining. A host's globs may
 * hold brackets themselves, so the last ] of the line is the one. */
static const char *section_name(struct reader *reader, const struct line *line,
                                char section[SECTION_MAX + 1])
{
    const char *close = memrchr(line->text, ']', line->length);
    const char *name = line->text + 1;
    size_t length;

    if (!close || close + 1 != line->text + line->length) {
        complain(reader, "a section's line is [NAME] and nothing else");
        return NULL;
    }
    while (name < close && is_blank(*name))
        name++;
    while (close > name && is_blank(close[-1]))
        close--;
    length = (size_t)(close - name);
    if (length > SECTION_MAX) {
        complain(reader, "the section's name has %zu bytes, more than %d", length, SECTION_MAX);
        return NULL;
    }
    memcpy(section, name, length);
    section[length] = '\0';
    return section;
}

static bool read_section(struct reader *reader, const struct line *line)
{
    char buf[SECTION_MAX + 1];
    const char *section;

    flush_key(reader);
    reader->above = ABOVE_NOTHING;
    section = section_name(reader, line, buf);
    vp_draft_section(reader->draft, reader->file, reader->line, section, reader->findings);
    return section != NULL;
}

/* True if inih may have the line. */
static bool read_key_line(struct reader *reader, const struct line *line)
{
    const char *equals = memchr(line->text, '=', line->length);
    const char *colon = memchr(line->text, ':', line->length);

    flush_key(reader);
    reader->above = ABOVE_BAD;
    if (!equals) {
        complain(reader, colon ? "only = separates a key from its value, : does not"
                               : "neither a section nor KEY = VALUE");
        return false;
    }
    if (colon && colon < equals) {
        complain(reader, "only = separates a key from its value, : does not");
        return false;
    }
    if (equals == line->text) {
        complain(reader, "no key stands before the =");
        return false;
    }
    reader->above = ABOVE_KEY;
    return true;
}

static bool read_indented(struct reader *reader)
{
    if (reader->above == ABOVE_NOTHING)
        complain(reader, "an indented line continues the value above, but there is none");
    reader->continuation = reader->above == ABOVE_KEY;
    return reader->continuation;
}

/* True if inih is to see the line. */
static bool accept_line(struct reader *reader, struct line *line)
{
    reader->continuation = false;
    if (has_bad_bytes(reader, line)) {
        reader->above = ABOVE_BAD;
        return false;
    }
    cut_comment(line);
    if (line->length == 0)
        return false;
    if (is_blank(line->text[0]))
        return read_indented(reader);
    if (line->text[0] != '[')
        return read_key_line(reader, line);
    return read_section(reader, line);
}

/* As fgets: called by inih for each line. */
static char *next_line(char *buf, int size, void *user)
{
    struct reader *reader = user;

    while (reader->at < reader->end) {
        struct line line = take_line(reader);

        if (!accept_line(reader, &line))
            continue;
        if (line.length + 2 > (size_t)size) {
            complain(reader, "this inih reads only lines up to %d bytes", size - 2);
            reader->above = ABOVE_BAD;
            continue;
        }
        memcpy(buf, line.text, line.length);
        buf[line.length] = '\n';
        buf[line.length + 1] = '\0';
        return buf;
    }
    return NULL;
}

/* ---- what inih found in it ---- */

static bool append_value(struct reader *reader, const char *text)
{
    size_t length = strlen(text);
    size_t need = reader->length + length + 2;

    if (need > reader->room) {
        size_t room = 2 * need + 256;
        char *value = realloc(reader->value, room);

        if (!value)
            return false;
        reader->value = value;
        reader->room = room;
    }
    if (reader->length > 0)
        reader->value[reader->length++] = ' ';
    memcpy(reader->value + reader->length, text, length + 1);
    reader->length += length;
    return true;
}

/* inih's callback: 0 is an error. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;

    (void)section;
    if (!reader->continuation) {
        flush_key(reader);
        reader->key = strdup(name);
        reader->key_line = reader->line;
    }
    if (!reader->key || !append_value(reader, value)) {
        complain(reader, "out of memory");
        return 0;
    }
    return 1;
}

static void skip_byte_order_mark(struct reader *reader)
{
    if (reader->end - reader->at >= 3 && memcmp(reader->at, "\xef\xbb\xbf", 3) == 0)
        reader->at += 3;
}

void vp_conf_read_text(struct vp_draft *draft, const char *file, const char *text, size_t size,
                       struct vp_findings *findings)
{
    struct reader reader = {
        .draft = draft, .findings = findings, .file = file, .at = text, .end = text + size};
    int failed;

    vp_draft_file(draft, file);
    skip_byte_order_mark(&reader);
    failed = ini_parse_stream(next_line, &reader, on_key, &reader);
    flush_key(&reader);
    if (failed != 0)
        vp_draft_error(draft, file, 0, findings, "inih does not read this file");
    free(reader.value);
}
