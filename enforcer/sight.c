/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/sight.h"

#include <stdio.h>
#include <syslog.h>

#include "enforcer/enforcer.h"
#include "host/clock.h"
#include "host/journal.h"

/* Whoever made so many events may go on. */
#define LOST_US (60 * 1000000LL)
/* At the start everything settles. */
#define SETTLE_MS 15000
/* Looking at all guests is for the sweep where it would be more often. */
#define LOOK_ALL_US (VP_SWEEP_MS * 1000LL)

static const char *const events[VP_SIGHT_COUNT] = {
    [VP_SIGHT_WRITES] = "writes to cgroups",          [VP_SIGHT_CALLS] = "calls on threads",
    [VP_SIGHT_STATUS] = "libvirt's status files",     [VP_SIGHT_FILES] = "policies",
    [VP_SIGHT_DEFINITIONS] = "libvirt's definitions", [VP_SIGHT_LEDGER] = "decisions of hooks",
    [VP_SIGHT_CPUS] = "CPUs going off and on",
};

void vp_sight_blind(struct vp_enforcer *enforcer, enum vp_sight_of what, const char *why)
{
    struct vp_sight *sight = &enforcer->sight;

    if (why)
        snprintf(sight->blind[what], sizeof(sight->blind[what]), "%s are not seen at once: %.150s",
                 events[what], why);
    else
        sight->blind[what][0] = '\0';
    sight->until_us[what] = 0;
    if (enforcer->run.fd >= 0) /* else it is still starting */
        vp_enforcer_state(enforcer);
}

static void look_at_all(struct vp_enforcer *enforcer)
{
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        enforcer->guest[i]->status_changed = true;
        vp_watched_due(enforcer->guest[i], vp_clock_us());
    }
    enforcer->adopt_wanted = true;
    enforcer->sight.looked_us = vp_clock_us();
    enforcer->sight.look_wanted = false;
}

void vp_sight_lost(struct vp_enforcer *enforcer, enum vp_sight_of what)
{
    struct vp_sight *sight = &enforcer->sight;
    int64_t now = vp_clock_us();

    if (!sight->blind[what][0]) {
        vp_journal(LOG_WARNING, VP_MSG_BLIND, NULL, 0,
                   "more events of %s than the kernel keeps: all guests are looked at",
                   events[what]);
        vp_sight_blind(enforcer, what, "there were more than the kernel keeps");
    }
    sight->until_us[what] = now + LOST_US;
    if (now - sight->looked_us < LOOK_ALL_US)
        sight->look_wanted = true;
    else
        look_at_all(enforcer);
}

void vp_sight_check(struct vp_enforcer *enforcer)
{
    struct vp_sight *sight = &enforcer->sight;

    for (int i = 0; i < VP_SIGHT_COUNT; i++) {
        if (sight->until_us[i] != 0 && vp_clock_us() >= sight->until_us[i])
            vp_sight_blind(enforcer, (enum vp_sight_of)i, NULL);
    }
    if (sight->look_wanted)
        look_at_all(enforcer);
}

/* What is contested has its own time to be looked at again. */
static bool standing(const struct vp_watched *guest)
{
    for (size_t i = 0; i < guest->case_count; i++)
        if (guest->cases[i].standing && !guest->cases[i].contest.contested)
            return true;
    return false;
}

/* Something is under way whose end the sweep has to notice. */
static bool busy(const struct vp_enforcer *enforcer)
{
    if (vp_now_ms() - enforcer->run.since_ms < SETTLE_MS)
        return true;
    if (enforcer->sync_wanted || enforcer->adopt_wanted || enforcer->adopt_at_us != 0 ||
        enforcer->rebuilding || enforcer->disabled || enforcer->trouble[0] ||
        enforcer->unable.why[0] || enforcer->status_wd == 0)
        return true;
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        const struct vp_watched *guest = enforcer->guest[i];

        if (guest->row.state == VP_GUEST_LEASE || guest->waiting || standing(guest))
            return true;
    }
    return false;
}

unsigned vp_sight_pace_ms(const struct vp_enforcer *enforcer)
{
    if (enforcer->engine.set->host.sweep_ms != VP_SWEEP_AUTO)
        return enforcer->engine.set->host.sweep_ms;
    for (int i = 0; i < VP_SIGHT_COUNT; i++) {
        if (enforcer->sight.blind[i][0])
            return VP_SWEEP_MS;
    }
    return busy(enforcer) ? VP_SWEEP_MS : VP_SWEEP_REST_MS;
}
