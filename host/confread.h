/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CONFREAD_H
#define VP_CONFREAD_H

#include <stddef.h>

struct vp_draft;
struct vp_findings;

/* Reads one file's text (size bytes, no file access) through inih into the
 * draft. Every line is looked at before inih sees it: overlong lines, NUL and
 * control characters, long section names, `:` as a separator and keys without
 * `=` are findings with the line's number, and the rest is read on. */
void vp_conf_read_text(struct vp_draft *draft, const char *file, const char *text, size_t size,
                       struct vp_findings *findings);

#endif
