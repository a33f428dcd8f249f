/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/output.h"

static bool coloured(void)
{
    static int known = -1;
    const char *no_colour = getenv("NO_COLOR");

    if (known < 0)
        known = isatty(STDOUT_FILENO) && !(no_colour && no_colour[0]);
    return known;
}

const char *vp_colour(enum vp_colour colour)
{
    static const char *const escape[] = {"", "\033[1m", "\033[32m", "\033[33m", "\033[31m"};

    return coloured() ? escape[colour] : "";
}

const char *vp_colour_end(void)
{
    return coloured() ? "\033[0m" : "";
}

static void append(struct vp_table *table, enum vp_colour colour, const char *text)
{
    char **cell = reallocarray(table->cell, table->count + 1, sizeof(*cell));
    enum vp_colour *paint;

    if (cell)
        table->cell = cell;
    paint = reallocarray(table->colour, table->count + 1, sizeof(*paint));
    if (paint)
        table->colour = paint;
    if (!cell || !paint || !(table->cell[table->count] = strdup(text))) {
        table->failed = true;
        return;
    }
    table->colour[table->count++] = colour;
}

void vp_table_begin(struct vp_table *table, unsigned columns, const char *const *heading)
{
    *table = (struct vp_table){.columns = columns};
    for (unsigned i = 0; i < columns; i++)
        append(table, VP_BOLD, heading[i]);
}

void vp_table_cell(struct vp_table *table, enum vp_colour colour, const char *text)
{
    append(table, colour, text && text[0] ? text : "-");
}

void vp_table_cell_cpus(struct vp_table *table, const struct vp_cpuset *cpus)
{
    char *text = vp_cpuset_format(cpus);

    if (!text)
        table->failed = true;
    vp_table_cell(table, VP_PLAIN, text);
    free(text);
}

static int width(const struct vp_table *table, unsigned column)
{
    size_t widest = 0;

    for (size_t i = column; i < table->count; i += table->columns) {
        size_t length = strlen(table->cell[i]);

        if (length > widest)
            widest = length;
    }
    return (int)widest;
}

void vp_table_end(struct vp_table *table, unsigned indent)
{
    unsigned last = table->columns - 1;

    for (size_t i = 0; i < table->count; i++) {
        unsigned column = (unsigned)(i % table->columns);
        int pad = column == last ? 0 : width(table, column) - (int)strlen(table->cell[i]) + 2;

        printf("%*s%s%s%s%*s%s", column == 0 ? (int)indent : 0, "", vp_colour(table->colour[i]),
               table->cell[i], table->colour[i] == VP_PLAIN ? "" : vp_colour_end(), pad, "",
               column == last ? "\n" : "");
    }
    if (table->failed)
        fputs("virtpin: out of memory: the table is not whole\n", stderr);
    for (size_t i = 0; i < table->count; i++) /* width() needs them until the last row */
        free(table->cell[i]);
    free(table->cell);
    free(table->colour);
    *table = (struct vp_table){0};
}

void vp_findings_print(const struct vp_findings *findings)
{
    char line[4096];

    for (size_t i = 0; i < findings->count; i++) {
        const struct vp_finding *finding = &findings->item[i];
        bool bad = finding->grade == VP_ERROR;

        printf("%s%s%s: %s%s%s%s\n", vp_colour(bad ? VP_RED : VP_YELLOW), bad ? "error" : "warning",
               vp_colour_end(), vp_finding_line(finding, line, sizeof(line)),
               finding->remedy ? " (" : "", finding->remedy ? finding->remedy : "",
               finding->remedy ? ")" : "");
    }
}
