/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/sweep.h"

#include "decide/error.h"
#include "enforcer/confwatch.h"
#include "enforcer/definitionwatch.h"
#include "enforcer/enforcer.h"
#include "enforcer/metrics.h"
#include "enforcer/record.h"
#include "enforcer/reload.h"
#include "enforcer/statuswatch.h"
#include "enforcer/sync.h"
#include "enforcer/trim.h"
#include "enforcer/writes.h"

/* One in so many sweeps looks at a guest in full even where nothing seems to
 * have changed. */
#define FULL_EVERY 15
/* By this sweep guests are adopted, definitions looked at, libvirt told. */
#define TRIM_AT 5
#define TRIM_EVERY 300

/* Masks are compared with the last full look's; only where one differs, a
 * thread came or went, or a difference stands, is everything read. */
static void sweep_guest(struct vp_enforcer *enforcer, struct vp_watched *guest, size_t number)
{
    bool full = enforcer->swept_only || guest->waiting || vp_record_standing(guest) ||
                (enforcer->sweeps + number) % FULL_EVERY == 0;

    if (guest->row.state != VP_GUEST_RUNNING)
        return;
    if (full || !vp_watched_quiet(guest))
        vp_watched_due(guest, vp_clock_us());
    vp_record_save(enforcer, guest);
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *data)
{
    struct vp_enforcer *enforcer = data;
    int64_t began_us = vp_clock_us();

    enforcer->sweeps++;
    vp_writes_drain(enforcer);
    vp_confwatch_check(enforcer);
    vp_confwatch_disabled(enforcer);
    vp_statuswatch_check(enforcer);
    vp_definitionwatch_check(enforcer);
    vp_reload_online(enforcer);
    vp_reload_cgroups(enforcer);
    vp_sync_check(enforcer);
    for (size_t i = 0; i < enforcer->guest_count; i++)
        sweep_guest(enforcer, enforcer->guest[i], i);
    vp_enforcer_run_due(enforcer);
    vp_metrics_swept(enforcer, (int64_t)usec, began_us);
    vp_runfile_swept(&enforcer->run, vp_now_ms());
    if (enforcer->sweeps % TRIM_EVERY == TRIM_AT)
        vp_trim();
    sd_event_source_set_time(source, usec + enforcer->engine.set->host.sweep_ms * 1000ULL);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

int vp_sweep_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result =
        sd_event_add_time(enforcer->event, NULL, CLOCK_MONOTONIC,
                          (uint64_t)vp_clock_us() + enforcer->engine.set->host.sweep_ms * 1000ULL,
                          20000, on_sweep, enforcer);

    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
