/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/fight.h"

#include "enforcer/enforcer.h"

/* Events of one file and writer become one while they wait in the kernel. */
#define PAUSE_US 250000
#define BURST 2

static bool fighting(const struct vp_enforcer *enforcer)
{
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        const struct vp_watched *guest = enforcer->guest[i];

        for (size_t j = 0; j < guest->case_count; j++)
            if (guest->cases[j].contest.contested)
                return true;
    }
    return false;
}

void vp_fight_limit(const struct vp_enforcer *enforcer, sd_event_source *source, bool *limited)
{
    bool limit = fighting(enforcer);

    if (limit != *limited &&
        sd_event_source_set_ratelimit(source, limit ? PAUSE_US : 0, limit ? BURST : 0) >= 0)
        *limited = limit;
}
