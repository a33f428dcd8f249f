/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void release(struct vp_finding *finding)
{
    free(finding->file);
    free(finding->policy);
    free(finding->key);
    free(finding->found);
    free(finding->legal);
    free(finding->text);
    free(finding->remedy);
}

static bool copy_string(char **to, const char *from)
{
    if (!from)
        return true;
    *to = strdup(from);
    return *to != NULL;
}

static bool copy(struct vp_finding *to, const struct vp_finding *from)
{
    *to = (struct vp_finding){.grade = from->grade, .line = from->line};
    if (copy_string(&to->file, from->file) && copy_string(&to->policy, from->policy) &&
        copy_string(&to->key, from->key) && copy_string(&to->found, from->found) &&
        copy_string(&to->legal, from->legal) && copy_string(&to->text, from->text) &&
        copy_string(&to->remedy, from->remedy))
        return true;
    release(to);
    return false;
}

bool vp_findings_add(struct vp_findings *list, const struct vp_finding *finding)
{
    /* The room is the next power of two, so only at one does it grow. */
    if ((list->count & (list->count - 1)) == 0) {
        size_t room = list->count > 0 ? 2 * list->count : 1;
        struct vp_finding *item = reallocarray(list->item, room, sizeof(*item));

        if (!item)
            return false;
        list->item = item;
    }
    if (!copy(&list->item[list->count], finding))
        return false;
    list->count++;
    return true;
}

bool vp_findings_note(struct vp_findings *list, enum vp_grade grade, const char *format, ...)
{
    struct vp_finding finding = {.grade = grade};
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    finding.text = text;
    return vp_findings_add(list, &finding);
}

size_t vp_findings_errors(const struct vp_findings *list)
{
    size_t errors = 0;

    for (size_t i = 0; i < list->count; i++)
        if (list->item[i].grade == VP_ERROR)
            errors++;
    return errors;
}

struct placed {
    struct vp_finding finding;
    size_t found_as;
};

static int by_place(const void *left, const void *right)
{
    const struct placed *a = left, *b = right;
    int order =
        strcmp(a->finding.file ? a->finding.file : "", b->finding.file ? b->finding.file : "");

    if (order != 0)
        return order;
    if (a->finding.line != b->finding.line)
        return a->finding.line < b->finding.line ? -1 : 1;
    return a->found_as < b->found_as ? -1 : 1;
}

/* Without memory the order stays as it is: it is a courtesy to the reader. */
void vp_findings_sort(struct vp_findings *list)
{
    struct placed *placed;

    if (list->count < 2)
        return;
    placed = calloc(list->count, sizeof(*placed));
    if (!placed)
        return;
    for (size_t i = 0; i < list->count; i++)
        placed[i] = (struct placed){.finding = list->item[i], .found_as = i};
    qsort(placed, list->count, sizeof(*placed), by_place);
    for (size_t i = 0; i < list->count; i++)
        list->item[i] = placed[i].finding;
    free(placed);
}

char *vp_finding_line(const struct vp_finding *finding, char *buf, size_t size)
{
    if (finding->file && finding->line > 0)
        snprintf(buf, size, "%s:%d: %s", finding->file, finding->line, finding->text);
    else if (finding->file)
        snprintf(buf, size, "%s: %s", finding->file, finding->text);
    else
        snprintf(buf, size, "%s", finding->text);
    return buf;
}

void vp_findings_clear(struct vp_findings *list)
{
    for (size_t i = 0; i < list->count; i++)
        release(&list->item[i]);
    free(list->item);
    *list = (struct vp_findings){0};
}
