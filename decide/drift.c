/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/drift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_words[] = {
    [VP_DRIFT_AFFINITY] = "affinity",
    [VP_DRIFT_CPUSET] = "cpuset",
    [VP_DRIFT_CPUSET_ABOVE] = "cpuset-above",
    [VP_DRIFT_MEMS] = "mems",
    [VP_DRIFT_PIN] = "pin",
    [VP_DRIFT_GROUP] = "group",
    [VP_DRIFT_SCHEDULER] = "scheduler",
    [VP_DRIFT_SHARES] = "shares",
    [VP_DRIFT_QUOTA] = "quota",
    [VP_DRIFT_PARTITION] = "partition",
    [VP_DRIFT_MISSING] = "missing",
    [VP_DRIFT_DEFINITION] = "definition",
};

static const char *const state_words[] = {
    [VP_DRIFT_OPEN] = "open", [VP_DRIFT_REPAIRED] = "repaired", [VP_DRIFT_CONTESTED] = "contested",
    [VP_DRIFT_HELD] = "held", [VP_DRIFT_AUDIT] = "audit",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int find_word(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

const char *vp_drift_kind_word(enum vp_drift_kind kind)
{
    return (size_t)kind < COUNT(kind_words) ? kind_words[kind] : "unknown";
}

int vp_drift_kind_parse(const char *word)
{
    return find_word(kind_words, COUNT(kind_words), word);
}

const char *vp_drift_state_word(enum vp_drift_state state)
{
    return (size_t)state < COUNT(state_words) ? state_words[state] : "unknown";
}

int vp_drift_state_parse(const char *word)
{
    return find_word(state_words, COUNT(state_words), word);
}

void vp_diffs_clear(struct vp_diffs *diffs)
{
    free(diffs->item);
    *diffs = (struct vp_diffs){0};
}

static const struct vp_pin *pin_of(const struct vp_pins *pins, enum vp_role role, unsigned index)
{
    for (size_t i = 0; i < pins->count; i++)
        if (pins->item[i].role == role && pins->item[i].index == index)
            return &pins->item[i];
    return NULL;
}

/* "vcpu3", "iothread1" and the like; false for other names. */
static bool numbered(const char *name, const char *word, unsigned *index)
{
    size_t length = strlen(word);
    char *end;
    unsigned long value;

    if (strncmp(name, word, length) != 0 || name[length] < '0' || name[length] > '9')
        return false;
    value = strtoul(name + length, &end, 10);
    if (*end != '\0' || value > VP_CPU_MAX)
        return false;
    *index = (unsigned)value;
    return true;
}

const struct vp_pin *vp_drift_wanted(const struct vp_pins *wanted, enum vp_role role,
                                     unsigned index, const char *group)
{
    const char *slash = strrchr(group, '/');
    const char *name = slash ? slash + 1 : group;
    unsigned number;

    if (role == VP_ROLE_VCPU || role == VP_ROLE_IOTHREAD)
        return pin_of(wanted, role, index);
    if (role != VP_ROLE_EMULATOR) {
        if (numbered(name, "vcpu", &number))
            return pin_of(wanted, VP_ROLE_VCPU, number);
        if (numbered(name, "iothread", &number))
            return pin_of(wanted, VP_ROLE_IOTHREAD, number);
    }
    if (role == VP_ROLE_VHOST && pin_of(wanted, role, index))
        return pin_of(wanted, role, index);
    return pin_of(wanted, VP_ROLE_EMULATOR, 0);
}

void vp_drift_group(const struct vp_pins *wanted, const struct vp_pin *pin, const char *group,
                    struct vp_cpuset *cpus)
{
    const char *slash = strrchr(group, '/');

    *cpus = pin->cpus;
    if (pin->role == VP_ROLE_EMULATOR || pin->role == VP_ROLE_VHOST)
        if (strcmp(slash ? slash + 1 : group, "emulator") == 0)
            vp_pins_emulator_group(wanted, cpus);
}

static struct vp_diff *add(struct vp_diffs *diffs)
{
    struct vp_diff *grown;

    if ((diffs->count & (diffs->count - 1)) == 0) { /* room is a power of two */
        size_t room = diffs->count ? diffs->count * 2 : 1;

        grown = realloc(diffs->item, room * sizeof(*grown));
        if (!grown)
            return NULL;
        diffs->item = grown;
    }
    grown = &diffs->item[diffs->count++];
    memset(grown, 0, sizeof(*grown));
    return grown;
}

static int note(struct vp_diffs *diffs, const struct vp_seen *seen, enum vp_drift_kind kind,
                const struct vp_cpuset *wanted, const struct vp_cpuset *found)
{
    struct vp_diff *diff = add(diffs);

    if (!diff)
        return -1;
    diff->role = seen->role;
    diff->index = seen->index;
    diff->tid = seen->tid;
    diff->kind = kind;
    diff->wanted = *wanted;
    diff->found = *found;
    if (kind == VP_DRIFT_GROUP)
        snprintf(diff->where, sizeof(diff->where), "%s", seen->group);
    else if (kind != VP_DRIFT_AFFINITY && seen->group[0])
        snprintf(diff->where, sizeof(diff->where), "%.498s/cpuset.cpus", seen->group);
    return 0;
}

/* Equal among online CPUs, and nothing beyond `wanted` that might come online. */
static bool file_is_right(const struct vp_cpuset *file, const struct vp_cpuset *wanted,
                          const struct vp_cpuset *wanted_online)
{
    return vp_cpuset_within(file, wanted) && vp_cpuset_within(wanted_online, file);
}

/* Whether the mask is what the kernel makes of `wanted` under `effective`: the
 * intersection or, where there is none, all of the group's CPUs. */
static bool explained(const struct vp_cpuset *affinity, const struct vp_cpuset *effective,
                      const struct vp_cpuset *wanted_online, const struct vp_cpuset *online)
{
    struct vp_cpuset made = *wanted_online;

    vp_cpuset_and(&made, effective);
    if (vp_cpuset_empty(&made)) {
        made = *effective;
        vp_cpuset_and(&made, online);
    }
    return vp_cpuset_equal(affinity, &made);
}

static int compare_one(const struct vp_seen *seen, const struct vp_cpuset *wanted,
                       const struct vp_cpuset *file, const struct vp_cpuset *online,
                       struct vp_diffs *diffs)
{
    struct vp_cpuset here = *wanted, there = *file;
    bool above = false;

    vp_cpuset_and(&here, online);
    vp_cpuset_and(&there, online);
    if (seen->has_cpuset && seen->astray) {
        if (note(diffs, seen, VP_DRIFT_GROUP, wanted, &seen->effective) < 0)
            return -1;
    } else if (seen->has_cpuset) {
        bool unset = vp_cpuset_empty(&seen->cpuset);

        if (unset ? !vp_cpuset_equal(&seen->effective, &there)
                  : !file_is_right(&seen->cpuset, file, &there)) {
            if (note(diffs, seen, VP_DRIFT_CPUSET, file, unset ? &seen->effective : &seen->cpuset) <
                0)
                return -1;
        } else {
            above = !vp_cpuset_within(&there, &seen->effective);
            if (above && note(diffs, seen, VP_DRIFT_CPUSET_ABOVE, file, &seen->effective) < 0)
                return -1;
        }
    }
    if (vp_cpuset_equal(&seen->affinity, &here) ||
        (above && explained(&seen->affinity, &seen->effective, &here, online)))
        return 0;
    return note(diffs, seen, VP_DRIFT_AFFINITY, wanted, &seen->affinity);
}

/* A guest whose main thread is not there is not whole: it has no vCPUs either,
 * and saying it once is enough. */
static int compare_missing(const struct vp_pins *wanted, const struct vp_seen *seen,
                           size_t seen_count, struct vp_diffs *diffs)
{
    static const struct vp_seen absent = {.role = VP_ROLE_EMULATOR};
    static const struct vp_cpuset none;
    const struct vp_pin *pin = pin_of(wanted, VP_ROLE_EMULATOR, 0);

    if (!pin)
        return 0;
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].role == VP_ROLE_EMULATOR)
            return 0;
    return note(diffs, &absent, VP_DRIFT_MISSING, &pin->cpus, &none);
}

int vp_drift_compare(const struct vp_pins *wanted, const struct vp_seen *seen, size_t seen_count,
                     const struct vp_cpuset *online, struct vp_diffs *diffs)
{
    for (size_t i = 0; i < seen_count; i++) {
        const struct vp_pin *pin = vp_drift_wanted(wanted, seen[i].role, seen[i].index,
                                                   seen[i].astray ? "" : seen[i].group);
        struct vp_cpuset file;

        if (!pin)
            continue;
        vp_drift_group(wanted, pin, seen[i].astray ? "" : seen[i].group, &file);
        if (compare_one(&seen[i], &pin->cpus, &file, online, diffs) < 0)
            return -1;
    }
    return compare_missing(wanted, seen, seen_count, diffs);
}

void vp_drift_drop_missing(struct vp_diffs *diffs)
{
    size_t kept = 0;

    for (size_t i = 0; i < diffs->count; i++) {
        if (diffs->item[i].kind == VP_DRIFT_MISSING)
            continue;
        if (kept != i)
            diffs->item[kept] = diffs->item[i];
        kept++;
    }
    diffs->count = kept;
}

int vp_drift_compare_pins(const struct vp_pins *wanted, const struct vp_pins *libvirt,
                          const struct vp_cpuset *online, struct vp_diffs *diffs)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct vp_pin *want = &wanted->item[i];
        const struct vp_pin *has = pin_of(libvirt, want->role, want->index);
        struct vp_cpuset told, here, there = has ? has->cpus : *online;
        struct vp_seen thread = {.role = want->role, .index = want->index};

        if (!vp_pins_libvirts(wanted, want, &told))
            continue;
        here = told;
        vp_cpuset_and(&here, online);
        vp_cpuset_and(&there, online);
        if (!vp_cpuset_equal(&here, &there) &&
            note(diffs, &thread, VP_DRIFT_PIN, &told, has ? &has->cpus : online) < 0)
            return -1;
    }
    return 0;
}
