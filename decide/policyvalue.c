/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <ctype.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/policy.h"
#include "decide/policytext.h"

/* Words, numbers, sizes, times, strings and topology. Lists are in
 * policylist.c, CPU lists in policycpus.c. */

bool vp_read_number(const char **text, unsigned long long *number)
{
    const char *at = *text;
    unsigned long long value = 0;

    if (!isdigit((unsigned char)*at))
        return false;
    for (; isdigit((unsigned char)*at); at++) {
        value = value * 10 + (unsigned)(*at - '0');
        if (value > 1ULL << 50)
            return false;
    }
    *text = at;
    *number = value;
    return true;
}

const char *vp_word_at(const char *words, int index, size_t *length)
{
    for (;; index--) {
        size_t end = 0;

        while (words[end] != ' ' && words[end] != '\0')
            end++;
        *length = end;
        if (end == 0)
            return NULL;
        if (index == 0)
            return words;
        words += *length;
        while (*words == ' ')
            words++;
    }
}

int vp_word_index(const char *words, const char *text)
{
    for (int i = 0; *words != '\0'; i++) {
        size_t at = 0;

        while (words[at] == text[at] && text[at] != '\0' && text[at] != ' ')
            at++;
        if (text[at] == '\0' && (words[at] == ' ' || words[at] == '\0'))
            return i;
        words = strchrnul(words + at, ' ');
        while (*words == ' ')
            words++;
    }
    return -1;
}

static bool not_served(const struct vp_key_row *row, const char *text, struct vp_fault *fault)
{
    if (row->use->later && vp_word_index(row->use->later, text) >= 0)
        fault->not_served = true;
    return false;
}

/* ---- words ---- */

static bool parse_word(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    int index = vp_word_index(row->legal, text);
    unsigned value;

    if (index < 0)
        return not_served(row, text, fault);
    value = (unsigned)(row->use->low + index);
    memcpy(field, &value, sizeof(value));
    return true;
}

static void print_word(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    unsigned value;
    size_t length;
    const char *word;

    (void)raw;
    memcpy(&value, field, sizeof(value));
    word = vp_word_at(row->legal, (int)(value - (unsigned)row->use->low), &length);
    if (word)
        vp_text_put(out, word, length);
}

const struct vp_value_ops vp_ops_word = {parse_word, print_word, NULL, true};

/* Two words and a bool, which is true for the first; for the second if the
 * row's low is 1. */
static bool parse_yes_no(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    int index = vp_word_index(row->legal, text);

    (void)fault;
    if (index < 0)
        return false;
    *(bool *)field = index == row->use->low;
    return true;
}

static void print_yes_no(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    bool first = *(const bool *)field == (row->use->low == 0);
    size_t length;
    const char *word = vp_word_at(row->legal, first ? 0 : 1, &length);

    (void)raw;
    vp_text_put(out, word, length);
}

const struct vp_value_ops vp_ops_yes_no = {parse_yes_no, print_yes_no, NULL, true};

/* ---- numbers ---- */

static bool parse_number(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    bool negative = *text == '-';
    unsigned long long magnitude;
    long long value;

    (void)fault;
    if (negative)
        text++;
    if (!vp_read_number(&text, &magnitude) || *text != '\0')
        return false;
    value = negative ? -(long long)magnitude : (long long)magnitude;
    if (value < row->use->low || value > row->use->high)
        return false;
    *(int *)field = (int)value;
    return true;
}

static void print_number(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    int value = *(const int *)field;

    (void)row;
    (void)raw;
    if (value < 0)
        vp_text_putc(out, '-');
    vp_text_putu(out, (unsigned long long)llabs(value));
}

const struct vp_value_ops vp_ops_number = {parse_number, print_number, NULL, false};

static bool parse_percent(const struct vp_key_row *row, void *field, const char *text,
                          struct vp_fault *fault)
{
    unsigned long long value;

    (void)row;
    (void)fault;
    if (!vp_read_number(&text, &value) || strcmp(text, "%") != 0 || value > 100)
        return false;
    *(unsigned *)field = (unsigned)value;
    return true;
}

static void print_percent(const struct vp_key_row *row, const void *field, const char *raw,
                          struct vp_text *out)
{
    (void)row;
    (void)raw;
    vp_text_putu(out, *(const unsigned *)field);
    vp_text_putc(out, '%');
}

const struct vp_value_ops vp_ops_percent = {parse_percent, print_percent, NULL, false};

/* ---- times ---- */

static bool read_time(const char *text, const struct vp_key_use *use, unsigned *ms)
{
    static const struct {
        const char *name;
        unsigned ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    unsigned long long value;

    if (!vp_read_number(&text, &value) || value > UINT_MAX)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        value *= units[i].ms;
        if (value < (unsigned long long)use->low || value > (unsigned long long)use->high)
            return false;
        *ms = (unsigned)value;
        return true;
    }
    return false;
}

static void put_time(struct vp_text *out, unsigned ms)
{
    vp_text_putu(out, ms % 1000 == 0 ? ms / 1000 : ms);
    vp_text_puts(out, ms % 1000 == 0 ? "s" : "ms");
}

static bool parse_time(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    (void)fault;
    return read_time(text, row->use, field);
}

static void print_time(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    (void)row;
    (void)raw;
    put_time(out, *(const unsigned *)field);
}

const struct vp_value_ops vp_ops_time = {parse_time, print_time, NULL, false};

static bool parse_sweep(const struct vp_key_row *row, void *field, const char *text,
                        struct vp_fault *fault)
{
    if (strcmp(text, "auto") != 0)
        return parse_time(row, field, text, fault);
    *(unsigned *)field = VP_SWEEP_AUTO;
    return true;
}

static void print_sweep(const struct vp_key_row *row, const void *field, const char *raw,
                        struct vp_text *out)
{
    if (*(const unsigned *)field == VP_SWEEP_AUTO)
        vp_text_puts(out, "auto");
    else
        print_time(row, field, raw, out);
}

const struct vp_value_ops vp_ops_sweep = {parse_sweep, print_sweep, NULL, false};

static bool parse_rate(const struct vp_key_row *row, void *field, const char *text,
                       struct vp_fault *fault)
{
    unsigned *count_and_ms = field;
    unsigned long long count;
    unsigned ms;

    (void)fault;
    if (!vp_read_number(&text, &count) || count < 1 || count > 1000000 || *text++ != '/')
        return false;
    if (!read_time(text, row->use, &ms))
        return false;
    count_and_ms[0] = (unsigned)count;
    count_and_ms[1] = ms;
    return true;
}

static void print_rate(const struct vp_key_row *row, const void *field, const char *raw,
                       struct vp_text *out)
{
    const unsigned *count_and_ms = field;

    (void)row;
    (void)raw;
    vp_text_putu(out, count_and_ms[0]);
    vp_text_putc(out, '/');
    put_time(out, count_and_ms[1]);
}

const struct vp_value_ops vp_ops_rate = {parse_rate, print_rate, NULL, false};

/* ---- strings ---- */

static bool parse_string(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    char *copy = strdup(text);

    if (!copy) {
        snprintf(fault->why, sizeof(fault->why), "out of memory");
        return false;
    }
    if (!row->use->item(copy, fault)) {
        free(copy);
        return false;
    }
    *(char **)field = copy;
    return true;
}

static void print_string(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    const char *value = *(char *const *)field;

    (void)row;
    (void)raw;
    if (value)
        vp_text_puts(out, value);
}

static void release_string(void *field)
{
    free(*(char **)field);
    *(char **)field = NULL;
}

const struct vp_value_ops vp_ops_string = {parse_string, print_string, release_string, false};

/* ---- topology ---- */

static const struct {
    const char *name;
    size_t offset;
} parts[] = {
    {"sockets", offsetof(struct vp_guest_topology, sockets)},
    {"dies", offsetof(struct vp_guest_topology, dies)},
    {"clusters", offsetof(struct vp_guest_topology, clusters)},
    {"cores", offsetof(struct vp_guest_topology, cores)},
    {"threads", offsetof(struct vp_guest_topology, threads)},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static unsigned *part_of(struct vp_guest_topology *topology, size_t i)
{
    return (unsigned *)((char *)topology + parts[i].offset);
}

/* One NAME=N at *text, which is moved behind it; the part must be 0 so far. */
static bool read_part(const char **text, struct vp_guest_topology *topology)
{
    size_t length = strcspn(*text, "= \t");

    for (size_t i = 0; i < PARTS; i++) {
        unsigned long long value;

        if (strlen(parts[i].name) != length || memcmp(*text, parts[i].name, length) != 0)
            continue;
        *text += length;
        if (*(*text)++ != '=' || !vp_read_number(text, &value))
            return false;
        if (value < 1 || value > VP_CPU_MAX || *part_of(topology, i) != 0)
            return false;
        *part_of(topology, i) = (unsigned)value;
        return true;
    }
    return false;
}

static bool check_product(struct vp_guest_topology *topology, struct vp_fault *fault)
{
    unsigned long long product = 1;

    for (size_t i = 0; i < PARTS; i++) {
        unsigned *part = part_of(topology, i);

        if (*part == 0)
            *part = 1;
        product *= *part;
        if (product > VP_CPU_MAX) {
            snprintf(fault->why, sizeof(fault->why), "that is more than %d vCPUs", VP_CPU_MAX);
            return false;
        }
    }
    return true;
}

static bool parse_topology(const struct vp_key_row *row, void *field, const char *text,
                           struct vp_fault *fault)
{
    struct vp_guest_topology topology = {0};
    struct vp_guest_topology *to = field;

    if (strcmp(text, "keep") == 0 || strcmp(text, "auto") == 0) {
        topology.sockets = *text == 'a' ? VP_TOPOLOGY_AUTO : 0;
        *to = topology;
        return true;
    }
    not_served(row, text, fault);
    while (*text != '\0') {
        if (!read_part(&text, &topology))
            return false;
        if (*text != '\0' && *text != ' ' && *text != '\t')
            return false;
        text += strspn(text, " \t");
    }
    if (!check_product(&topology, fault))
        return false;
    *to = topology;
    return true;
}

static void print_topology(const struct vp_key_row *row, const void *field, const char *raw,
                           struct vp_text *out)
{
    struct vp_guest_topology topology = *(const struct vp_guest_topology *)field;

    (void)row;
    (void)raw;
    if (topology.sockets == 0 || topology.sockets == VP_TOPOLOGY_AUTO) {
        vp_text_puts(out, topology.sockets == 0 ? "keep" : "auto");
        return;
    }
    for (size_t i = 0; i < PARTS; i++) {
        if (i > 0)
            vp_text_putc(out, ' ');
        vp_text_puts(out, parts[i].name);
        vp_text_putc(out, '=');
        vp_text_putu(out, *part_of(&topology, i));
    }
}

const struct vp_value_ops vp_ops_topology = {parse_topology, print_topology, NULL, false};
