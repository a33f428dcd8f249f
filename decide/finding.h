/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_FINDING_H
#define VP_FINDING_H

#include <stdbool.h>
#include <stddef.h>

/* What `policy check` and `status` report: never more than one sentence each,
 * with the place and the cure where there are any. */
enum vp_grade { VP_WARNING, VP_ERROR };

struct vp_finding {
    enum vp_grade grade;
    char *file;   /* base or path, NULL if none */
    int line;     /* from 1, 0 if none */
    char *policy; /* policy, "host" or NULL */
    char *key;
    char *found;
    char *legal;
    char *text;   /* the whole sentence without file and line; never NULL */
    char *remedy; /* a command or a key to change, NULL if none */
};

struct vp_findings {
    struct vp_finding *item;
    size_t count;
};

/* Appends one finding; every string is copied and may be NULL but text.
 * Without memory the list stays as it is and false is returned. */
bool vp_findings_add(struct vp_findings *list, const struct vp_finding *finding);

/* Appends a finding that has only a grade and a formatted text. */
bool vp_findings_note(struct vp_findings *list, enum vp_grade grade, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* How many are VP_ERROR. */
size_t vp_findings_errors(const struct vp_findings *list);

/* By file in byte order, then line; what stands on one line keeps its order. */
void vp_findings_sort(struct vp_findings *list);

/* "FILE:LINE: TEXT" (whatever of it there is) into buf; returns buf. */
char *vp_finding_line(const struct vp_finding *finding, char *buf, size_t size);

/* Frees what the list holds, not the list; the list is empty and usable then. */
void vp_findings_clear(struct vp_findings *list);

#endif
