/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/cpuset.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "decide/error.h"

static bool in_range(int cpu)
{
    return cpu >= 0 && cpu < VP_CPU_MAX;
}

void vp_cpuset_add(struct vp_cpuset *set, int cpu)
{
    if (in_range(cpu))
        set->w[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}

/* By words: a hostile list can hold a million ranges. */
void vp_cpuset_add_range(struct vp_cpuset *set, int first, int last)
{
    int from = first < 0 ? 0 : first;
    int to = last < VP_CPU_MAX ? last : VP_CPU_MAX - 1;

    for (int word = from / 64; from <= to && word <= to / 64; word++) {
        uint64_t bits = ~UINT64_C(0);

        if (word == from / 64)
            bits &= ~UINT64_C(0) << (from % 64);
        if (word == to / 64)
            bits &= ~UINT64_C(0) >> (63 - to % 64);
        set->w[word] |= bits;
    }
}

void vp_cpuset_remove(struct vp_cpuset *set, int cpu)
{
    if (in_range(cpu))
        set->w[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
}

bool vp_cpuset_has(const struct vp_cpuset *set, int cpu)
{
    return in_range(cpu) && (set->w[cpu / 64] >> (cpu % 64) & 1) != 0;
}

bool vp_cpuset_empty(const struct vp_cpuset *set)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        if (set->w[i] != 0)
            return false;
    return true;
}

bool vp_cpuset_equal(const struct vp_cpuset *a, const struct vp_cpuset *b)
{
    return memcmp(a->w, b->w, sizeof(a->w)) == 0;
}

bool vp_cpuset_within(const struct vp_cpuset *inner, const struct vp_cpuset *outer)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        if ((inner->w[i] & ~outer->w[i]) != 0)
            return false;
    return true;
}

bool vp_cpuset_meets(const struct vp_cpuset *a, const struct vp_cpuset *b)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        if ((a->w[i] & b->w[i]) != 0)
            return true;
    return false;
}

unsigned vp_cpuset_count(const struct vp_cpuset *set)
{
    unsigned count = 0;

    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        count += (unsigned)__builtin_popcountll(set->w[i]);
    return count;
}

int vp_cpuset_next(const struct vp_cpuset *set, int after)
{
    int from = after + 1;

    if (from < 0 || from >= VP_CPU_MAX)
        return -1;
    for (int word = from / 64; word < VP_CPUSET_WORDS; word++) {
        uint64_t bits = set->w[word];

        if (word == from / 64)
            bits &= ~UINT64_C(0) << (from % 64);
        if (bits != 0)
            return word * 64 + __builtin_ctzll(bits);
    }
    return -1;
}

int vp_cpuset_last(const struct vp_cpuset *set)
{
    for (int word = VP_CPUSET_WORDS - 1; word >= 0; word--)
        if (set->w[word] != 0)
            return word * 64 + 63 - __builtin_clzll(set->w[word]);
    return -1;
}

void vp_cpuset_or(struct vp_cpuset *to, const struct vp_cpuset *other)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        to->w[i] |= other->w[i];
}

void vp_cpuset_and(struct vp_cpuset *to, const struct vp_cpuset *other)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        to->w[i] &= other->w[i];
}

void vp_cpuset_minus(struct vp_cpuset *to, const struct vp_cpuset *other)
{
    for (size_t i = 0; i < VP_CPUSET_WORDS; i++)
        to->w[i] &= ~other->w[i];
}

/* One number at *text, which is moved behind it; -1 if there is none or it
 * is above the highest CPU. */
static int read_number(const char **text)
{
    const char *at = *text;
    int value = 0;

    if (!isdigit((unsigned char)*at))
        return -1;
    for (; isdigit((unsigned char)*at); at++) {
        value = value * 10 + (*at - '0');
        if (value >= VP_CPU_MAX)
            return -1;
    }
    *text = at;
    return value;
}

/* One part of a list: N, N-M or, where `caret` allows, ^N. */
static int read_part(struct vp_cpuset *set, const char **text, bool caret)
{
    bool exclude = caret && **text == '^';
    int first, last;

    if (exclude)
        (*text)++;
    first = last = read_number(text);
    if (first < 0)
        return -1;
    if (!exclude && **text == '-') {
        (*text)++;
        last = read_number(text);
        if (last < first)
            return -1;
    }
    if (exclude)
        vp_cpuset_remove(set, first);
    else
        vp_cpuset_add_range(set, first, last);
    return 0;
}

static int read_list(struct vp_cpuset *set, const char *text, const char *end, bool caret)
{
    struct vp_cpuset draft = {0};

    for (;;) {
        if (read_part(&draft, &text, caret) < 0)
            return -1;
        if (text == end)
            break;
        if (*text++ != ',')
            return -1;
    }
    *set = draft;
    return 0;
}

int vp_cpuset_parse(struct vp_cpuset *set, const char *text, struct vp_error *err)
{
    if (read_list(set, text, text + strlen(text), true) == 0)
        return 0;
    return vp_fail(
        err, VP_INPUT,
        "found \"%.80s\", legal is a list such as 0-3,8,^2 without blanks, numbers 0 to %d", text,
        VP_CPU_MAX - 1);
}

int vp_cpuset_parse_kernel(struct vp_cpuset *set, const char *text, struct vp_error *err)
{
    size_t length = strcspn(text, "\n");

    if (length == 0) {
        *set = (struct vp_cpuset){0};
        return 0;
    }
    if (read_list(set, text, text + length, false) == 0)
        return 0;
    return vp_fail(err, VP_HOST, "found \"%.80s\" where the kernel should print a CPU list", text);
}

size_t vp_cpuset_print(const struct vp_cpuset *set, char *buf, size_t size)
{
    size_t used = 0;
    int first = vp_cpuset_next(set, -1);

    if (size > 0)
        buf[0] = '\0';
    while (first >= 0) {
        char part[32];
        int last = first;
        int length;

        while (vp_cpuset_has(set, last + 1))
            last++;
        if (last == first)
            length = snprintf(part, sizeof(part), "%s%d", used > 0 ? "," : "", first);
        else
            length = snprintf(part, sizeof(part), "%s%d-%d", used > 0 ? "," : "", first, last);
        if (used + (size_t)length < size)
            memcpy(buf + used, part, (size_t)length + 1);
        used += (size_t)length;
        first = vp_cpuset_next(set, last);
    }
    return used;
}

char *vp_cpuset_format(const struct vp_cpuset *set)
{
    char text[VP_CPUSET_TEXT];

    vp_cpuset_print(set, text, sizeof(text));
    return strdup(text);
}
