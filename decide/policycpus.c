/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/policykeys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/policy.h"
#include "decide/policytext.h"

/* Values that hold CPU lists. */

static bool parse_cpus(struct vp_cpuset *set, const char *text, struct vp_fault *fault)
{
    struct vp_error err;

    if (vp_cpuset_parse(set, text, &err) < 0) {
        snprintf(fault->why, sizeof(fault->why),
                 "a CPU list is like 0-3,8,^2 without blanks, numbers 0 to %d", VP_CPU_MAX - 1);
        return false;
    }
    if (vp_cpuset_empty(set)) {
        snprintf(fault->why, sizeof(fault->why), "that list names no CPU");
        return false;
    }
    return true;
}

/* A list that excludes much may print longer than a line may be; what was
 * read then stands for itself, it did fit. */
static void put_cpus(struct vp_text *out, const struct vp_cpuset *set, const char *raw)
{
    char list[VP_LINE_MAX];

    if (vp_cpuset_print(set, list, sizeof(list)) < sizeof(list))
        vp_text_puts(out, list);
    else if (raw)
        vp_text_puts(out, raw);
    else
        out->failed = true;
}

/* ---- reserved: none or a list ---- */

static bool parse_cpuset(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    struct vp_cpuset set = {0};

    (void)row;
    if (strcmp(text, "none") != 0 && !parse_cpus(&set, text, fault))
        return false;
    *(struct vp_cpuset *)field = set;
    return true;
}

static void print_cpuset(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    const struct vp_cpuset *set = field;

    (void)row;
    if (vp_cpuset_empty(set))
        vp_text_puts(out, "none");
    else
        put_cpus(out, set, raw);
}

const struct vp_value_ops vp_ops_cpuset = {parse_cpuset, print_cpuset, NULL, true};

/* ---- auto, all or a list ---- */

static bool parse_choice(const struct vp_key_row *row, void *field, const char *text,
                         struct vp_fault *fault)
{
    struct vp_cpus_choice *choice = field;
    struct vp_cpuset list = {0};
    enum vp_cpus_kind kind = VP_CPUS_LIST;

    if (strcmp(text, "auto") == 0)
        kind = VP_CPUS_AUTO;
    else if (strcmp(text, "all") == 0 && vp_word_index(row->legal, text) >= 0)
        kind = VP_CPUS_ALL;
    else if (!parse_cpus(&list, text, fault))
        return false;
    choice->kind = kind;
    choice->list = list;
    return true;
}

static void print_choice(const struct vp_key_row *row, const void *field, const char *raw,
                         struct vp_text *out)
{
    const struct vp_cpus_choice *choice = field;

    (void)row;
    if (choice->kind == VP_CPUS_LIST)
        put_cpus(out, &choice->list, raw);
    else
        vp_text_puts(out, choice->kind == VP_CPUS_ALL ? "all" : "auto");
}

const struct vp_value_ops vp_ops_cpus_choice = {parse_choice, print_choice, NULL, true};

/* ---- where other threads run ---- */

static const char *const where_words[] = {
    [VP_WHERE_SHARED] = "shared",
    [VP_WHERE_ISOLATE] = "isolate",
    [VP_WHERE_WITH_VCPUS] = "with-vcpus",
    [VP_WHERE_WITH_EMULATOR] = "with-emulator",
};

static bool parse_where(const struct vp_key_row *row, void *field, const char *text,
                        struct vp_fault *fault)
{
    struct vp_place_where *place = field;
    struct vp_cpuset list;

    for (int i = 0; i < VP_WHERE_LIST; i++) {
        if (strcmp(text, where_words[i]) != 0 || vp_word_index(row->legal, text) < 0)
            continue;
        place->where = (enum vp_where)i;
        return true;
    }
    if (!parse_cpus(&list, text, fault))
        return false;
    place->where = VP_WHERE_LIST;
    place->cpus = list;
    return true;
}

static void print_where(const struct vp_key_row *row, const void *field, const char *raw,
                        struct vp_text *out)
{
    const struct vp_place_where *place = field;

    (void)row;
    if (place->where == VP_WHERE_LIST)
        put_cpus(out, &place->cpus, raw);
    else
        vp_text_puts(out, where_words[place->where]);
}

const struct vp_value_ops vp_ops_where = {parse_where, print_where, NULL, true};

/* ---- dedicated-vcpus: a list ---- */

static bool parse_vcpus(const struct vp_key_row *row, void *field, const char *text,
                        struct vp_fault *fault)
{
    struct vp_cpuset set = {0};

    (void)row;
    if (!parse_cpus(&set, text, fault))
        return false;
    *(struct vp_cpuset *)field = set;
    return true;
}

static void print_vcpus(const struct vp_key_row *row, const void *field, const char *raw,
                        struct vp_text *out)
{
    (void)row;
    put_cpus(out, field, raw);
}

const struct vp_value_ops vp_ops_vcpus = {parse_vcpus, print_vcpus, NULL, false};

/* ---- vcpupin ---- */

struct pins {
    struct vp_vcpupin *item;
    size_t count, room;
    struct vp_cpuset seen; /* vCPUs */
};

static bool add_pin(struct pins *pins, const struct vp_cpuset *vcpus, const struct vp_cpuset *cpus,
                    struct vp_fault *fault)
{
    if (vp_cpuset_meets(&pins->seen, vcpus)) {
        snprintf(fault->why, sizeof(fault->why), "a vCPU stands in it twice");
        return false;
    }
    if (pins->count == pins->room) {
        size_t room = pins->room > 0 ? 2 * pins->room : 8;
        struct vp_vcpupin *item = reallocarray(pins->item, room, sizeof(*item));

        if (!item) {
            snprintf(fault->why, sizeof(fault->why), "out of memory");
            return false;
        }
        pins->item = item;
        pins->room = room;
    }
    vp_cpuset_or(&pins->seen, vcpus);
    pins->item[pins->count].vcpus = *vcpus;
    pins->item[pins->count++].cpus = *cpus;
    return true;
}

/* True if the text is FIRST-LAST, so that its set has no gap. */
static bool is_range(const char *text)
{
    return strchr(text, '-') && !strchr(text, ',');
}

static bool add_one_to_one(struct pins *pins, const struct vp_cpuset *vcpus,
                           const struct vp_cpuset *cpus, struct vp_fault *fault)
{
    int cpu = -1;

    for (int vcpu = vp_cpuset_next(vcpus, -1); vcpu >= 0; vcpu = vp_cpuset_next(vcpus, vcpu)) {
        struct vp_cpuset one = {0}, its = {0};

        cpu = vp_cpuset_next(cpus, cpu);
        vp_cpuset_add(&one, vcpu);
        vp_cpuset_add(&its, cpu);
        if (!add_pin(pins, &one, &its, fault))
            return false;
    }
    return true;
}

/* One VCPUS:CPUS. */
static bool read_pin(struct pins *pins, const char *word, size_t length, struct vp_fault *fault)
{
    char vcpu_text[VP_LINE_MAX + 1];
    struct vp_cpuset vcpus, cpus;
    char *cpu_text;

    if (length > VP_LINE_MAX)
        return false;
    memcpy(vcpu_text, word, length);
    vcpu_text[length] = '\0';
    cpu_text = strchr(vcpu_text, ':');
    if (!cpu_text)
        return false;
    *cpu_text++ = '\0';
    if (!parse_cpus(&vcpus, vcpu_text, fault) || !parse_cpus(&cpus, cpu_text, fault))
        return false;
    if (is_range(vcpu_text) && is_range(cpu_text) &&
        vp_cpuset_count(&vcpus) == vp_cpuset_count(&cpus))
        return add_one_to_one(pins, &vcpus, &cpus, fault);
    return add_pin(pins, &vcpus, &cpus, fault);
}

static bool parse_vcpupin(const struct vp_key_row *row, void *field, const char *text,
                          struct vp_fault *fault)
{
    struct vp_policy *policy = (struct vp_policy *)((char *)field - row->use->offset);
    struct pins pins = {0};

    for (text += strspn(text, " \t"); *text != '\0'; text += strspn(text, " \t")) {
        size_t length = strcspn(text, " \t");

        if (!read_pin(&pins, text, length, fault)) {
            free(pins.item);
            return false;
        }
        text += length;
    }
    policy->vcpupin = pins.item;
    policy->vcpupin_count = pins.count;
    return true;
}

/* A set without a gap prints as FIRST,SECOND-LAST where FIRST-LAST would read
 * as one to one. */
static bool put_vcpus(struct vp_text *out, const struct vp_vcpupin *pin)
{
    unsigned count = vp_cpuset_count(&pin->vcpus);
    int first = vp_cpuset_next(&pin->vcpus, -1);
    bool range = vp_cpuset_last(&pin->vcpus) - first + 1 == (int)count;
    struct vp_cpuset rest = pin->vcpus;
    char list[VP_LINE_MAX];

    if (range && count > 1 && count == vp_cpuset_count(&pin->cpus)) {
        vp_text_putu(out, (unsigned)first);
        vp_text_putc(out, ',');
        vp_cpuset_remove(&rest, first);
    }
    if (vp_cpuset_print(&rest, list, sizeof(list)) >= sizeof(list) / 2)
        return false;
    vp_text_puts(out, list);
    return true;
}

static bool put_pins(struct vp_text *out, const struct vp_policy *policy)
{
    char list[VP_LINE_MAX];

    for (size_t i = 0; i < policy->vcpupin_count; i++) {
        if (i > 0)
            vp_text_putc(out, ' ');
        if (!put_vcpus(out, &policy->vcpupin[i]))
            return false;
        if (vp_cpuset_print(&policy->vcpupin[i].cpus, list, sizeof(list)) >= sizeof(list) / 2 - 8)
            return false;
        vp_text_putc(out, ':');
        vp_text_puts(out, list);
    }
    return true;
}

/* Falls back to what was read where a list prints too long, as put_cpus. */
static void print_vcpupin(const struct vp_key_row *row, const void *field, const char *raw,
                          struct vp_text *out)
{
    const struct vp_policy *policy =
        (const struct vp_policy *)((const char *)field - row->use->offset);
    size_t from = out->length;

    if (put_pins(out, policy))
        return;
    out->length = from;
    if (raw)
        vp_text_puts(out, raw);
    else
        out->failed = true;
}

static void release_vcpupin(void *field)
{
    free(*(struct vp_vcpupin **)field);
    *(struct vp_vcpupin **)field = NULL;
}

const struct vp_value_ops vp_ops_vcpupin = {parse_vcpupin, print_vcpupin, release_vcpupin, false};
