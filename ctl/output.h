/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_OUTPUT_H
#define VP_OUTPUT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/cpuset.h"
#include "decide/finding.h"

struct vp_error;
struct vp_finding;

/* ---- times ---- */

/* RFC 3339 UTC with milliseconds: "2026-01-31T12:00:00.000Z". */
#define VP_TIME_TEXT 32
char *vp_time_text(int64_t ms, char text[VP_TIME_TEXT]);
/* "1.2 s", "5 min", "3 h", "12 d". */
char *vp_span_text(int64_t ms, char text[VP_TIME_TEXT]);
/* "500ms", "30s", "10m", "24h", "7d". VP_INPUT quoting the text. */
int vp_span_parse(const char *text, int64_t *ms, struct vp_error *err);
/* A span back from now_ms, or a date: "2026-01-31[T12:00[:00[.000]][Z]]", UTC. */
int vp_since_parse(const char *text, int64_t now_ms, int64_t *ms, struct vp_error *err);

/* ---- text for people ---- */

enum vp_colour { VP_PLAIN, VP_BOLD, VP_GREEN, VP_YELLOW, VP_RED };
/* The escape that begins a colour and the one that ends it; "" unless stdout is
 * a terminal and $NO_COLOR is not set. */
const char *vp_colour(enum vp_colour colour);
const char *vp_colour_end(void);

/* Columns as wide as their longest word. Cells are copied. */
struct vp_table {
    char **cell; /* row by row */
    enum vp_colour *colour;
    size_t count;
    unsigned columns;
    bool failed;
};
void vp_table_begin(struct vp_table *table, unsigned columns, const char *const *heading);
/* NULL or "" prints as "-". */
void vp_table_cell(struct vp_table *table, enum vp_colour colour, const char *text);
void vp_table_cell_cpus(struct vp_table *table, const struct vp_cpuset *cpus);
/* Prints to stdout, each line after `indent` blanks, and frees. */
void vp_table_end(struct vp_table *table, unsigned indent);

/* "error: FILE:LINE: TEXT (REMEDY)", one line each, to stdout. */
void vp_findings_print(const struct vp_findings *findings);

/* ---- JSON ---- */

/* An object with "schema":"virtpin.VERB/1". Without memory the program ends
 * with status 3: half an object must never be printed. */
json_object *vp_json_new(const char *schema);
json_object *vp_json_object(void);
json_object *vp_json_array(void);
void vp_json_add(json_object *object, const char *key, json_object *value);   /* takes value */
void vp_json_push(json_object *array, json_object *value);                    /* takes value */
void vp_json_string(json_object *object, const char *key, const char *value); /* NULL: null */
void vp_json_bool(json_object *object, const char *key, bool value);
void vp_json_int(json_object *object, const char *key, int64_t value);
void vp_json_null(json_object *object, const char *key);
void vp_json_time(json_object *object, const char *key, int64_t ms); /* 0: null */
void vp_json_cpus(json_object *object, const char *key, const struct vp_cpuset *cpus);
/* Prints it as one line to stdout and frees it. */
void vp_json_print(json_object *object);

/* ---- waiting ---- */

/* From a second on says "virtpin: DOING" on stderr (a terminal) once and then
 * every ten seconds, until vp_waited. limit_s > 0: after that long the program
 * ends with status 3 and says that it gave up. The text is borrowed. */
void vp_waiting(const char *doing, unsigned limit_s);
void vp_waited(void);

#endif
