/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <stdio.h>
#include <string.h>

#include "decide/policy.h"
#include "decide/policytext.h"

/* The kinds of values that only the tuning keys have. */

static bool parse_quota(const struct vp_key_row *row, void *field, const char *text,
                        struct vp_fault *fault)
{
    unsigned long long value;

    (void)fault;
    if (strcmp(text, "keep") == 0 || strcmp(text, "-1") == 0) {
        *(long long *)field = text[0] == 'k' ? 0 : -1;
        return true;
    }
    if (!vp_read_number(&text, &value) || *text != '\0' ||
        value < (unsigned long long)row->use->low || value > (unsigned long long)row->use->high)
        return false;
    *(long long *)field = (long long)value;
    return true;
}

static void print_quota(const struct vp_key_row *row, const void *field, const char *raw,
                        struct vp_text *out)
{
    long long value = *(const long long *)field;

    (void)row;
    (void)raw;
    if (value <= 0)
        vp_text_puts(out, value == 0 ? "keep" : "-1");
    else
        vp_text_putu(out, (unsigned long long)value);
}

const struct vp_value_ops vp_ops_quota = {parse_quota, print_quota, NULL, false};

static const char *const schedulers[] = {"keep", "batch", "idle", "fifo", "rr", "other"};

const char *vp_scheduler_word(enum vp_scheduler scheduler)
{
    return schedulers[scheduler];
}

static bool parse_scheduler(const struct vp_key_row *row, void *field, const char *text,
                            struct vp_fault *fault)
{
    struct vp_vcpu_scheduler value = {0};
    size_t length = strcspn(text, ":");
    unsigned long long priority = 0;
    bool timed;

    while (strlen(schedulers[value.policy]) != length ||
           memcmp(schedulers[value.policy], text, length) != 0)
        if (value.policy++ == VP_SCHEDULER_RR)
            return false;
    timed = value.policy == VP_SCHEDULER_FIFO || value.policy == VP_SCHEDULER_RR;
    text += length;
    if (timed && *text == '\0') {
        snprintf(fault->why, sizeof(fault->why), "fifo and rr need a priority, such as fifo:1");
        return false;
    }
    if (timed && (*text++ != ':' || !vp_read_number(&text, &priority) ||
                  priority < (unsigned long long)row->use->low ||
                  priority > (unsigned long long)row->use->high))
        return false;
    if (*text != '\0')
        return false;
    value.priority = (unsigned)priority;
    *(struct vp_vcpu_scheduler *)field = value;
    return true;
}

static void print_scheduler(const struct vp_key_row *row, const void *field, const char *raw,
                            struct vp_text *out)
{
    const struct vp_vcpu_scheduler *value = field;

    (void)row;
    (void)raw;
    vp_text_puts(out, schedulers[value->policy]);
    if (value->priority == 0)
        return;
    vp_text_putc(out, ':');
    vp_text_putu(out, value->priority);
}

const struct vp_value_ops vp_ops_scheduler = {parse_scheduler, print_scheduler, NULL, false};
