/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy.h"
#include "decide/policytext.h"

/* The kinds of values that only the guest CPU's keys have. */

/* What QEMU's x86 CPUs take (phys-bits, target/i386/cpu.c, 7.2). */
enum { ADDR_BITS_MIN = 32, ADDR_BITS_MAX = 52 };

const char *vp_cpu_feature_word(char sign)
{
    switch (sign) {
    case '+':
        return "require";
    case '-':
        return "disable";
    case '?':
        return "optional";
    case '!':
        return "forbid";
    case '=':
        return "force";
    default:
        return NULL;
    }
}

bool vp_item_feature(char *item, struct vp_fault *fault)
{
    if (!vp_cpu_feature_word(item[0])) {
        snprintf(fault->why, sizeof(fault->why),
                 "one of + - ? ! = stands in front of a feature: \"%.60s\"", item);
        return false;
    }
    return vp_item_word(item + 1, fault);
}

/* ---- lists of names; the row's low says where in an item the name starts ---- */

static const char *repeated(const struct vp_strings *list, long long start)
{
    for (size_t i = 1; i < list->count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(list->item[i] + start, list->item[j] + start) == 0)
                return list->item[i] + start;
    return NULL;
}

static bool parse_names(const struct vp_key_row *row, void *field, const char *text,
                        struct vp_fault *fault)
{
    struct vp_strings list = {0};
    const char *twice;

    if (!vp_ops_list.parse(row, &list, text, fault))
        return false;
    twice = repeated(&list, row->use->low);
    if (twice) {
        snprintf(fault->why, sizeof(fault->why), "%.80s is named twice", twice);
        vp_ops_list.release(&list);
        return false;
    }
    *(struct vp_strings *)field = list;
    return true;
}

static void print_names(const struct vp_key_row *row, const void *field, const char *raw,
                        struct vp_text *out)
{
    vp_ops_list.print(row, field, raw, out);
}

static void release_names(void *field)
{
    vp_ops_list.release(field);
}

const struct vp_value_ops vp_ops_names = {parse_names, print_names, release_names, false};

/* ---- maxphysaddr ---- */

static bool parse_maxphysaddr(const struct vp_key_row *row, void *field, const char *text,
                              struct vp_fault *fault)
{
    static const char emulate[] = "emulate:";
    struct vp_maxphysaddr *to = field;
    unsigned long long bits;

    (void)row;
    if (strcmp(text, "keep") == 0 || strcmp(text, "passthrough") == 0) {
        *to = (struct vp_maxphysaddr){.mode = text[0] == 'k' ? VP_ADDR_KEEP : VP_ADDR_PASSTHROUGH};
        return true;
    }
    if (strncmp(text, emulate, strlen(emulate)) != 0)
        return false;
    text += strlen(emulate);
    if (!vp_read_number(&text, &bits) || *text != '\0' || bits < ADDR_BITS_MIN ||
        bits > ADDR_BITS_MAX) {
        snprintf(fault->why, sizeof(fault->why), "an x86 guest has %d to %d bits", ADDR_BITS_MIN,
                 ADDR_BITS_MAX);
        return false;
    }
    *to = (struct vp_maxphysaddr){.mode = VP_ADDR_EMULATE, .bits = (unsigned)bits};
    return true;
}

static void print_maxphysaddr(const struct vp_key_row *row, const void *field, const char *raw,
                              struct vp_text *out)
{
    const struct vp_maxphysaddr *value = field;

    (void)row;
    (void)raw;
    if (value->mode != VP_ADDR_EMULATE) {
        vp_text_puts(out, value->mode == VP_ADDR_KEEP ? "keep" : "passthrough");
        return;
    }
    vp_text_puts(out, "emulate:");
    vp_text_putu(out, value->bits);
}

const struct vp_value_ops vp_ops_maxphysaddr = {parse_maxphysaddr, print_maxphysaddr, NULL, false};

struct vp_policy vp_policy_for_host(const struct vp_policy *policy, int model,
                                    enum vp_cpu_vendor vendor)
{
    struct vp_policy one = *policy;

    if (model >= 0 && (size_t)model < policy->cpu_models.count)
        one.cpu_models = (struct vp_strings){&policy->cpu_models.item[model], 1};
    if (vendor != VP_VENDOR_UNKNOWN)
        one.cpu.vendor = vendor;
    return one;
}
