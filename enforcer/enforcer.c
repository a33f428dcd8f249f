/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/enforcer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/confwatch.h"
#include "enforcer/record.h"
#include "enforcer/reload.h"
#include "enforcer/repair.h"
#include "enforcer/sweep.h"
#include "enforcer/sync.h"
#include "enforcer/trace.h"
#include "enforcer/writes.h"
#include "host/clock.h"
#include "host/journal.h"

/* Writers wait this long for the ledger at most: a record can wait for the
 * next sweep, a repair must not wait for a record. */
#define LOCK_MS 100

#define COMPLAIN_AGAIN_US (60 * 1000000LL)

int vp_enforcer_open(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_engine *engine = &enforcer->engine;

    enforcer->run.lock_fd = enforcer->run.fd = -1;
    enforcer->fanotify = enforcer->status_fd = enforcer->conf_fd = enforcer->run_fd = -1;
    enforcer->definition_fd = enforcer->uevent_fd = enforcer->intent.fd = -1;
    enforcer->memwork.fd = -1;
    enforcer->first_sync = true;
    enforcer->pid = getpid();
    if (vp_engine_open_here(engine, &enforcer->where, enforcer->topology, err) < 0)
        return -1;
    engine->lock_ms = LOCK_MS;
    vp_reload_say(engine);
    if (vp_runfile_open(&enforcer->run, engine->set->host.run_dir, err) < 0)
        return -1;
    if (vp_intent_open(&enforcer->intent, engine->set->host.run_dir, err) < 0) {
        vp_enforcer_complain(enforcer, err); /* it only says more */
        *err = (struct vp_error){0};
    }
    enforcer->run.since_ms = vp_now_ms();
    enforcer->run.last_sweep_ms = enforcer->run.since_ms;
    if (vp_engine_ledger(engine, true, err) < 0)
        return vp_wrap(err, "the ledger");
    vp_reload_online(enforcer);
    vp_confwatch_disabled(enforcer);
    return 0;
}

void vp_enforcer_close(struct vp_enforcer *enforcer)
{
    for (size_t i = 0; i < enforcer->guest_count; i++)
        vp_watched_free(enforcer->guest[i]);
    free(enforcer->guest);
    vp_trace_stop(enforcer->trace);
    vp_memlook_stop(enforcer);
    vp_strangers_clear(&enforcer->strangers);
    sd_event_source_unref(enforcer->due);
    sd_event_source_unref(enforcer->sweep);
    sd_event_source_unref(enforcer->reload);
    sd_event_unref(enforcer->event);
    vp_intent_close(&enforcer->intent);
    vp_runfile_close(&enforcer->run);
    vp_engine_close(&enforcer->engine);
}

static int by_uuid(const void *a, const void *b)
{
    const struct vp_watched *const *x = a, *const *y = b;

    return strcmp((*x)->row.uuid, (*y)->row.uuid);
}

void vp_enforcer_sort(struct vp_enforcer *enforcer)
{
    if (enforcer->guest_count > 1)
        qsort(enforcer->guest, enforcer->guest_count, sizeof(struct vp_watched *), by_uuid);
}

struct vp_watched *vp_enforcer_among(struct vp_enforcer *enforcer, size_t count, const char *uuid)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(uuid, enforcer->guest[middle]->row.uuid);

        if (order == 0)
            return enforcer->guest[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct vp_watched *vp_enforcer_guest(struct vp_enforcer *enforcer, const char *uuid)
{
    return vp_enforcer_among(enforcer, enforcer->guest_count, uuid);
}

struct vp_watched *vp_enforcer_named(struct vp_enforcer *enforcer, const char *name)
{
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        if (strcmp(enforcer->guest[i]->row.name, name) == 0)
            return enforcer->guest[i];
    }
    return NULL;
}

static int64_t next_due(const struct vp_enforcer *enforcer)
{
    int64_t next = enforcer->noted ? vp_clock_us() : 0;

    for (size_t i = 0; i < enforcer->guest_count; i++) {
        int64_t at = enforcer->guest[i]->look_at_us;

        if (at != 0 && (next == 0 || at < next))
            next = at;
    }
    return next;
}

/* What events told of comes before all else. */
static void first_looks(struct vp_enforcer *enforcer)
{
    /* Whatever woke us: libvirt may have begun to work on a guest. */
    vp_writes_drain(enforcer);
    vp_trace_drain(enforcer);
    if (!enforcer->noted)
        return;
    enforcer->noted = false;
    for (size_t i = 0; i < enforcer->guest_count; i++)
        if (enforcer->guest[i]->first)
            vp_repair_first(enforcer, enforcer->guest[i]);
}

void vp_enforcer_run_due(struct vp_enforcer *enforcer)
{
    int64_t next;

    first_looks(enforcer);
    vp_sync(enforcer);
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        struct vp_watched *guest = enforcer->guest[i];

        if (guest->look_at_us == 0 || guest->look_at_us > vp_clock_us())
            continue;
        vp_repair_look(enforcer, guest);
        first_looks(enforcer); /* where many are looked at nobody waits for the last of them */
    }
    if (!enforcer->due)
        return;
    vp_sweep_hasten(enforcer);
    next = next_due(enforcer);
    sd_event_source_set_time(enforcer->due, (uint64_t)next);
    sd_event_source_set_enabled(enforcer->due, next ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

void vp_enforcer_complain(struct vp_enforcer *enforcer, const struct vp_error *err)
{
    int64_t now = vp_clock_us();
    size_t oldest = 0;

    for (size_t i = 0; i < sizeof(enforcer->said) / sizeof(enforcer->said[0]); i++) {
        if (strncmp(enforcer->said[i].text, err->text, sizeof(enforcer->said[i].text) - 1) == 0 &&
            now - enforcer->said[i].at_us < COMPLAIN_AGAIN_US)
            return;
        if (enforcer->said[i].at_us < enforcer->said[oldest].at_us)
            oldest = i;
    }
    snprintf(enforcer->said[oldest].text, sizeof(enforcer->said[oldest].text), "%.*s",
             (int)sizeof(enforcer->said[oldest].text) - 1, err->text);
    enforcer->said[oldest].at_us = now;
    vp_journal(LOG_WARNING, VP_MSG_TROUBLE, NULL, 0, "%s", err->text);
}

/* Each is a line of the status file. */
static void say_why(const struct vp_enforcer *enforcer, char why[256], char remedy[256])
{
    const char *unable = enforcer->unable.why, *help = enforcer->unable.remedy;

    if (enforcer->disabled) {
        snprintf(why, 256, "disabled: %.200s", enforcer->disabled_why);
        help = "virtpin enable";
    } else if (enforcer->trouble[0]) {
        snprintf(why, 256, "%s", enforcer->trouble);
        help = "virtpin doctor";
    } else {
        snprintf(why, 256, "%s", unable);
    }
    snprintf(remedy, 256, "%s", why[0] ? help : "");
    for (char *c = why; *c; c++) {
        if (*c == '\n')
            *c = ' ';
    }
}

void vp_enforcer_state(struct vp_enforcer *enforcer)
{
    struct vp_runfile *run = &enforcer->run;
    bool connected = enforcer->virtside && vp_virtside_connected(enforcer->virtside);
    struct vp_error err = {0};
    char why[sizeof(run->why)], remedy[sizeof(run->remedy)];

    say_why(enforcer, why, remedy);
    if (run->fd >= 0 && connected == run->connected && strcmp(why, run->why) == 0 &&
        memcmp(run->blind, enforcer->sight.blind, sizeof(run->blind)) == 0)
        return;
    run->connected = connected;
    memcpy(run->blind, enforcer->sight.blind, sizeof(run->blind));
    memcpy(run->why, why, sizeof(run->why));
    memcpy(run->remedy, remedy, sizeof(run->remedy));
    if (vp_runfile_write(run, &err) < 0)
        vp_enforcer_complain(enforcer, &err);
}
