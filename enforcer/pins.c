/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/pins.h"

#include <stdio.h>

#include "enforcer/enforcer.h"
#include "enforcer/patience.h"
#include "enforcer/record.h"
#include "host/clock.h"

/* libvirt gets this long to repair by itself what it has changed. */
#define LIBVIRT_US 2000000

static bool told_pins(const struct vp_enforcer *enforcer, const struct vp_watched *guest)
{
    return enforcer->engine.set->host.tell_libvirt && !vp_watched_audit(guest) &&
           vp_watched_compared(guest) && guest->status;
}

static bool contested(const struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        const struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind == VP_DRIFT_PIN && seen->standing && seen->contest.contested)
            return true;
    }
    return false;
}

bool vp_pins_left_to_libvirt(struct vp_enforcer *enforcer, const struct vp_watched *guest,
                             int64_t now_us)
{
    if (!told_pins(enforcer, guest))
        return false;
    if (contested(guest))
        return true;
    return vp_virtside_connected(enforcer->virtside) &&
           (guest->libvirt_since_us == 0 || now_us - guest->libvirt_since_us < LIBVIRT_US);
}

/* The daemon made the call; which client asked for it is not to be known. */
static void libvirt_did(struct vp_enforcer *enforcer, struct vp_culprit *by)
{
    pid_t pid = vp_patience_daemon(enforcer);

    *by = (struct vp_culprit){.uid = -1};
    if (pid > 0) {
        vp_culprit_of("/proc", pid, by);
        by->pid = pid;
        by->exact = true;
    } else {
        snprintf(by->comm, sizeof(by->comm), "libvirt");
    }
}

static bool drifted(struct vp_enforcer *enforcer, struct vp_watched *guest,
                    const struct vp_diff *diff, int64_t now_us)
{
    struct vp_case *seen = vp_record_case(guest, diff->role, diff->index, VP_DRIFT_PIN);
    struct vp_culprit by;
    enum vp_drift_state state;

    if (!seen)
        return false;
    if (!seen->standing)
        seen->asked = false;
    libvirt_did(enforcer, &by);
    vp_record_seen(guest, seen, diff, &by, guest->event_us ? guest->event_us : now_us);
    if (seen->asked) {
        if (now_us - seen->event_us > LIBVIRT_US)
            vp_record_state(seen, VP_DRIFT_OPEN, -1);
        return true;
    }
    state = vp_patience_state(enforcer, guest, seen, now_us);
    seen->asked = state == VP_DRIFT_REPAIRED;
    /* Asked: the journal hears once, of the repair, or that it does not come. */
    if (seen->asked)
        seen->record.state = VP_DRIFT_OPEN;
    else
        vp_record_state(seen, state, -1);
    return seen->asked;
}

/* What stood and was not seen again: by our telling, or by itself. */
static void close_cases(struct vp_watched *guest, int64_t now_us)
{
    for (size_t i = 0; i < guest->case_count; i++) {
        struct vp_case *seen = &guest->cases[i];

        if (seen->record.kind != VP_DRIFT_PIN || !seen->standing || seen->look == guest->looks)
            continue;
        if (seen->asked)
            vp_contest_repaired(&seen->contest, vp_now_ms());
        vp_record_state(seen, VP_DRIFT_REPAIRED, seen->asked ? now_us - seen->event_us : -1);
        seen->asked = false;
    }
}

void vp_pins_look(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us)
{
    const struct vp_cpuset *online = &enforcer->engine.topology->online;
    struct vp_diffs diffs = {0};
    struct vp_pins pins, libvirts;
    bool tell = false;
    int result;

    if (!told_pins(enforcer, guest)) {
        close_cases(guest, now_us);
        return;
    }
    if (vp_packed_get(&guest->pins, &pins) < 0)
        return;
    result = vp_packed_get(&guest->known.pins, &libvirts);
    if (result == 0)
        result = vp_drift_compare_pins(&pins, &libvirts, online, &diffs);
    vp_pins_clear(&pins);
    vp_pins_clear(&libvirts);
    if (result < 0)
        return;
    if (diffs.count == 0)
        guest->told = true;
    if (!guest->told)
        tell = !enforcer->disabled && !vp_patience_held(guest);
    else
        for (size_t i = 0; i < diffs.count; i++)
            tell |= drifted(enforcer, guest, &diffs.item[i], now_us);
    close_cases(guest, now_us);
    if (tell)
        vp_virtside_want(enforcer->virtside, guest->row.uuid, VP_VIRT_TELL);
    vp_diffs_clear(&diffs);
}
