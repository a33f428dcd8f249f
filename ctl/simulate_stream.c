/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines in, answers out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/simulate.h"
#include "decide/error.h"

#define READ_SIZE 65536

struct reader {
    int fd;
    FILE *out;
    char *line, *block;
    size_t length; /* of line; more than VP_SIM_LINE_MAX: the rest was passed over */
    size_t at, end;
    bool ended;
};

/* Whoever waits for the answer before it writes the next line gets it. */
static int refill(struct reader *reader, struct vp_error *err)
{
    ssize_t got;

    if (fflush(reader->out) != 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write answers");
    do {
        got = read(reader->fd, reader->block, READ_SIZE);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return vp_fail_errno(err, VP_INPUT, errno, "cannot read lines");
    reader->at = 0;
    reader->end = (size_t)got;
    reader->ended = got == 0;
    return 0;
}

static void append(struct reader *reader, const char *bytes, size_t length)
{
    if (reader->length <= VP_SIM_LINE_MAX && length <= VP_SIM_LINE_MAX - reader->length) {
        memcpy(reader->line + reader->length, bytes, length);
        reader->length += length;
    } else {
        reader->length = VP_SIM_LINE_MAX + 1;
    }
}

/* 1: a line, without its newline; 0: the end; -1. */
static int next_line(struct reader *reader, struct vp_error *err)
{
    reader->length = 0;
    for (bool some = false;; some = true) {
        char *start = reader->block + reader->at, *newline;
        size_t rest = reader->end - reader->at;

        if (rest == 0) {
            if (refill(reader, err) < 0)
                return -1;
            if (reader->ended)
                return some && reader->length > 0;
            start = reader->block;
            rest = reader->end;
        }
        newline = memchr(start, '\n', rest);
        append(reader, start, newline ? (size_t)(newline - start) : rest);
        reader->at += newline ? (size_t)(newline - start) + 1 : rest;
        if (newline)
            return 1;
    }
}

static bool is_blank(const struct reader *reader)
{
    if (reader->length > VP_SIM_LINE_MAX)
        return false;
    for (size_t i = 0; i < reader->length; i++)
        if (!strchr(" \t\r", reader->line[i]) || reader->line[i] == '\0')
            return false;
    return true;
}

/* As vp_sim_line, of the line's bytes. */
static int answer_line(struct vp_sim *sim, struct reader *reader, json_object **answer,
                       struct vp_error *err)
{
    json_object *object;
    int result;

    if (reader->length > VP_SIM_LINE_MAX) {
        vp_fail(err, VP_INPUT, "longer than %u bytes", VP_SIM_LINE_MAX);
        return 1;
    }
    reader->line[reader->length] = '\0';
    if (vp_sim_parse(reader->line, reader->length, &object, err) < 0)
        return err->code == VP_INPUT ? 1 : -1;
    result = vp_sim_line(sim, object, answer, err);
    json_object_put(object);
    return result;
}

static int print(FILE *out, json_object *answer, struct vp_error *err)
{
    size_t length;
    const char *text = json_object_to_json_string_length(
        answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
    bool good = text && fwrite(text, 1, length, out) == length && putc('\n', out) != EOF;

    if (!good)
        vp_fail_errno(err, VP_HOST, text ? errno : ENOMEM, "cannot write answers");
    json_object_put(answer);
    return good ? 0 : -1;
}

static int run(struct vp_sim *sim, struct reader *reader, size_t *bad, struct vp_error *err)
{
    int more;

    for (size_t number = 1; (more = next_line(reader, err)) > 0; number++) {
        json_object *answer = NULL;
        int result;

        if (is_blank(reader))
            continue;
        result = answer_line(sim, reader, &answer, err);
        if (result < 0)
            return vp_wrap(err, "line %zu", number);
        if (result > 0) {
            answer = vp_sim_answer_bad(number, err->text);
            ++*bad;
        }
        if (print(reader->out, answer, err) < 0)
            return -1;
    }
    return more;
}

int vp_sim_stream(struct vp_sim *sim, int fd, FILE *out, size_t *bad, struct vp_error *err)
{
    struct reader reader = {.fd = fd, .out = out};
    int result;

    reader.line = malloc(VP_SIM_LINE_MAX + 1);
    reader.block = malloc(READ_SIZE);
    if (reader.line && reader.block)
        result = run(sim, &reader, bad, err);
    else
        result = vp_fail(err, VP_HOST, "out of memory");
    free(reader.block);
    free(reader.line);
    return result;
}
