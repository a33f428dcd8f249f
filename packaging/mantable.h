/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MANTABLE_H
#define VP_MANTABLE_H

#include <stdbool.h>

struct vp_text;

/* A manual page (man(7)) whose tables of keys come from the program's own.
 * What stands in `page` between the lines
 *     .\" keys of SECTION
 *     .\" end of keys
 * is replaced by a list of that section's keys ("policy", "host"); all else is
 * copied. False if a table is not closed, names no section, or there is none,
 * or without memory; *out (the caller frees) is then of no use. */
bool vp_man_fill(const char *page, struct vp_text *out);

#endif
