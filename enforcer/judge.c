/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/judge.h"

#include <stdio.h>
#include <string.h>

#include "enforcer/patience.h"
#include "enforcer/watched.h"

bool vp_judge_settled(const struct vp_watched *guest, const struct vp_seen *seen)
{
    char own[32] = "emulator";
    const char *last = strrchr(seen->group, '/');

    if (!seen->has_cpuset || !guest->root[0] || !last)
        return true;
    if (seen->astray) /* out of the guest is no step of libvirt's */
        return strncmp(seen->group, guest->root, strlen(guest->root)) != 0;
    if (seen->role == VP_ROLE_VCPU)
        snprintf(own, sizeof(own), "vcpu%u", seen->index);
    else if (seen->role == VP_ROLE_IOTHREAD)
        snprintf(own, sizeof(own), "iothread%u", seen->index);
    else if (seen->role != VP_ROLE_EMULATOR)
        /* a vCPU that is being plugged is a worker until the status file names it */
        return strncmp(last + 1, "vcpu", 4) != 0;
    return strcmp(last + 1, own) == 0;
}

/* Said already to be elsewhere for longer than any step of libvirt's takes. Waiting for it anew
 * would close and open its record again and again. */
static bool stays_astray(const struct vp_watched *guest, const struct vp_seen *seen)
{
    for (size_t i = 0; seen->astray && i < guest->case_count; i++) {
        const struct vp_case *one = &guest->cases[i];

        if (one->standing && one->record.kind == VP_DRIFT_GROUP && one->record.role == seen->role &&
            one->record.index == seen->index)
            return true;
    }
    return false;
}

static const struct vp_seen *seen_of(const struct vp_judgement *judgement,
                                     const struct vp_diff *diff)
{
    for (size_t i = 0; i < judgement->seen_count; i++) {
        if (judgement->seen[i].tid == diff->tid && judgement->seen[i].role == diff->role)
            return &judgement->seen[i];
    }
    return NULL;
}

/* False if that thread has no pin among them. */
static bool pin_of(const struct vp_packed *packed, const struct vp_diff *diff,
                   const struct vp_seen *seen, struct vp_cpuset *cpus)
{
    const struct vp_pin *pin = NULL;
    struct vp_pins pins;

    if (vp_packed_get(packed, &pins) == 0)
        pin = vp_drift_wanted(&pins, diff->role, diff->index,
                              seen && !seen->astray ? seen->group : "");
    if (pin)
        *cpus = pin->cpus;
    vp_pins_clear(&pins);
    return pin != NULL;
}

/* One file, many threads in its group: the first difference has the record. A
 * narrowed cpuset narrows the masks of its threads too. */
static bool follows(const struct vp_judgement *judgement, const struct vp_diff *diff,
                    const struct vp_seen *seen, size_t number)
{
    const struct vp_diffs *diffs = judgement->diffs;

    for (size_t i = 0; i < diffs->count; i++) {
        const struct vp_diff *other = &diffs->item[i];

        if (diff->kind != VP_DRIFT_AFFINITY && i < number && other->kind == diff->kind &&
            diff->where[0] && strcmp(other->where, diff->where) == 0)
            return true;
        if (diff->kind == VP_DRIFT_AFFINITY && seen && other->kind == VP_DRIFT_CPUSET &&
            seen->group[0] && strncmp(other->where, seen->group, strlen(seen->group)) == 0 &&
            other->where[strlen(seen->group)] == '/' &&
            vp_cpuset_within(&seen->affinity, &seen->effective))
            return true;
    }
    return false;
}

static bool has_old_plan(const struct vp_watched *guest, const struct vp_judgement *judgement,
                         const struct vp_diff *diff, const struct vp_seen *seen)
{
    const struct vp_write *write = vp_watched_write(guest, diff->where);
    struct vp_cpuset old, usable;

    if ((write && write->foreign) || judgement->now_ms - guest->pins_since_ms > VP_NEW_PLAN_MS ||
        !pin_of(&guest->before, diff, seen, &old))
        return false;
    usable = old;
    vp_cpuset_and(&usable, judgement->online);
    return vp_cpuset_equal(&diff->found, &old) || vp_cpuset_equal(&diff->found, &usable);
}

static bool has_libvirts(const struct vp_watched *guest, const struct vp_diff *diff,
                         const struct vp_seen *seen)
{
    struct vp_cpuset cpus;

    return pin_of(&guest->known.pins, diff, seen, &cpus) && vp_cpuset_equal(&cpus, &diff->found);
}

/* The daemon wrote it a moment ago and may be about to set the affinity. */
static bool libvirt_writes(const struct vp_watched *guest, const struct vp_judgement *judgement,
                           const struct vp_diff *diff)
{
    const struct vp_write *write = vp_watched_write(guest, diff->where);

    return write && write->libvirt && judgement->now_us - write->at_us < VP_DAEMON_WRITE_US;
}

enum vp_verdict_of_diff vp_judge(const struct vp_watched *guest,
                                 const struct vp_judgement *judgement, size_t number)
{
    const struct vp_diff *diff = &judgement->diffs->item[number];
    const struct vp_seen *seen = seen_of(judgement, diff);

    if (seen && !vp_judge_settled(guest, seen) && !judgement->setup_late &&
        !stays_astray(guest, seen))
        return VP_DIFF_WATCH;
    if (follows(judgement, diff, seen, number))
        return VP_DIFF_FOLLOWS;
    if (diff->kind != VP_DRIFT_CPUSET && diff->kind != VP_DRIFT_AFFINITY)
        return VP_DIFF_DRIFT;
    if (guest->fresh || (guest->threads.count > 0 && !vp_watched_knows(guest, diff->tid)) ||
        has_old_plan(guest, judgement, diff, seen))
        return VP_DIFF_QUIET;
    if (judgement->libvirt_repairs &&
        (has_libvirts(guest, diff, seen) || libvirt_writes(guest, judgement, diff)))
        return VP_DIFF_LIBVIRT;
    return VP_DIFF_DRIFT;
}
