/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <string.h>

#include "decide/policy.h"
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

static bool parse_keep_auto(const struct vp_key_row *row, void *field, const char *text,
                            struct vp_fault *fault)
{
    if (strcmp(text, "auto") != 0)
        return parse_keep_number(row, field, text, fault);
    *(unsigned *)field = VP_GUEST_NUMA_AUTO;
    return true;
}

static void print_keep_auto(const struct vp_key_row *row, const void *field, const char *raw,
                            struct vp_text *out)
{
    if (*(const unsigned *)field == VP_GUEST_NUMA_AUTO)
        vp_text_puts(out, "auto");
    else
        print_keep_number(row, field, raw, out);
}

const struct vp_value_ops vp_ops_keep_auto = {parse_keep_auto, print_keep_auto, NULL, false};
