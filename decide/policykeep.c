/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <string.h>

#include "decide/policytext.h"

/* A number, or `keep`, which is 0. */

static bool parse_keep_number(const struct vp_key_row *row, void *field, const char *text,
                              struct vp_fault *fault)
{
    if (strcmp(text, "keep") != 0)
        return vp_ops_number.parse(row, field, text, fault);
    *(int *)field = 0;
    return true;
}

static void print_keep_number(const struct vp_key_row *row, const void *field, const char *raw,
                              struct vp_text *out)
{
    if (*(const int *)field == 0)
        vp_text_puts(out, "keep");
    else
        vp_ops_number.print(row, field, raw, out);
}

const struct vp_value_ops vp_ops_keep_number = {parse_keep_number, print_keep_number, NULL, false};
