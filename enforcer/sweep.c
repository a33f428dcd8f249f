/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/sweep.h"

#include "decide/error.h"
#include "enforcer/confwatch.h"
#include "enforcer/definitionwatch.h"
#include "enforcer/enforcer.h"
#include "enforcer/ledgerwatch.h"
#include "enforcer/metrics.h"
#include "enforcer/record.h"
#include "enforcer/reload.h"
#include "enforcer/sight.h"
#include "enforcer/statuswatch.h"
#include "enforcer/strangers.h"
#include "enforcer/sync.h"
#include "enforcer/trace.h"
#include "enforcer/trim.h"
#include "enforcer/writes.h"
#include "host/clock.h"

/* A guest is looked at in full once in so many sweeps even where nothing seems
 * to have changed: a look costs as much as some forty sweeps. At the usual
 * paces that is every two and every five minutes. */
static unsigned full_every(const struct vp_enforcer *enforcer)
{
    unsigned pace_ms = vp_sight_pace_ms(enforcer);

    return pace_ms < VP_SWEEP_MS ? 15 : pace_ms < VP_SWEEP_REST_MS ? 60 : 10;
}

/* By this sweep guests are adopted, definitions looked at, libvirt told. */
#define TRIM_AT 5
#define TRIM_EVERY 300

/* Masks are compared with the last full look's; only where one differs, a
 * thread came or went, or a difference stands, is everything read. */
static void sweep_guest(struct vp_enforcer *enforcer, struct vp_watched *guest, bool in_turn)
{
    if (guest->row.state != VP_GUEST_RUNNING)
        return;
    if (in_turn || enforcer->swept_only || guest->waiting || vp_record_standing(guest) ||
        !vp_watched_quiet(guest))
        vp_watched_due(guest, vp_clock_us());
    vp_record_save(enforcer, guest);
}

static void set_next(struct vp_enforcer *enforcer, int64_t from_us)
{
    enforcer->next_sweep_us = from_us + vp_sight_pace_ms(enforcer) * 1000LL;
    sd_event_source_set_time(enforcer->sweep, (uint64_t)enforcer->next_sweep_us);
    sd_event_source_set_enabled(enforcer->sweep, SD_EVENT_ONESHOT);
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *data)
{
    struct vp_enforcer *enforcer = data;
    int64_t began_us = vp_clock_us();
    unsigned every = full_every(enforcer);

    (void)source;
    enforcer->sweeps++;
    vp_writes_drain(enforcer);
    vp_trace_drain(enforcer);
    vp_sight_check(enforcer);
    vp_confwatch_check(enforcer);
    vp_confwatch_disabled(enforcer);
    vp_statuswatch_check(enforcer);
    vp_definitionwatch_check(enforcer);
    vp_ledgerwatch_check(enforcer);
    vp_reload_online(enforcer);
    vp_reload_cgroups(enforcer);
    vp_sync_check(enforcer);
    vp_unable_check(enforcer);
    for (size_t i = 0; i < enforcer->guest_count; i++)
        sweep_guest(enforcer, enforcer->guest[i], (enforcer->sweeps + i) % every == 0);
    vp_enforcer_run_due(enforcer);
    vp_strangers_sweep(enforcer);
    vp_metrics_swept(enforcer, (int64_t)usec, began_us);
    vp_runfile_swept(&enforcer->run, vp_now_ms());
    if (enforcer->sweeps % TRIM_EVERY == TRIM_AT)
        vp_trim();
    set_next(enforcer, (int64_t)usec);
    return 0;
}

void vp_sweep_hasten(struct vp_enforcer *enforcer)
{
    int64_t now = vp_clock_us();

    if (enforcer->sweep && enforcer->next_sweep_us > now + VP_SWEEP_MS * 1000LL &&
        enforcer->next_sweep_us > now + vp_sight_pace_ms(enforcer) * 1000LL)
        set_next(enforcer, now);
}

int vp_sweep_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result = sd_event_add_time(enforcer->event, &enforcer->sweep, CLOCK_MONOTONIC, UINT64_MAX,
                                   20000, on_sweep, enforcer);

    if (result < 0)
        return vp_fail_errno(err, VP_HOST, -result, "the event loop");
    set_next(enforcer, vp_clock_us());
    return 0;
}
