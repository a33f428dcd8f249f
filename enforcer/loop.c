/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/confwatch.h"
#include "enforcer/definitionwatch.h"
#include "enforcer/enforcer.h"
#include "enforcer/ledgerwatch.h"
#include "enforcer/reload.h"
#include "enforcer/statuswatch.h"
#include "enforcer/sweep.h"
#include "enforcer/sync.h"
#include "enforcer/trace.h"
#include "enforcer/uevent.h"
#include "enforcer/writes.h"
#include "host/clock.h"
#include "host/journal.h"

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
    (void)source, (void)info;
    vp_reload_now(data);
    return 0;
}

static int on_due(sd_event_source *source, uint64_t usec, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)source, (void)usec;
    vp_enforcer_run_due(enforcer);
    return 0;
}

/* The connection to libvirt came or went. */
static int on_virtside(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    uint64_t number;

    (void)source, (void)events;
    if (read(fd, &number, sizeof(number)) < 0)
        return 0;
    /* What could not be told while it was away is told now. */
    for (size_t i = 0; i < enforcer->guest_count; i++)
        vp_watched_due(enforcer->guest[i], vp_clock_us());
    vp_enforcer_state(enforcer);
    vp_enforcer_run_due(enforcer);
    return 0;
}

static int add_signals(struct vp_enforcer *enforcer)
{
    sigset_t mask;
    int result;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    /* Before any thread is started: they inherit it. */
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return -errno;
    signal(SIGPIPE, SIG_IGN);
    /* Without a handler these two end the loop. */
    result = sd_event_add_signal(enforcer->event, NULL, SIGTERM, NULL, NULL);
    if (result >= 0)
        result = sd_event_add_signal(enforcer->event, NULL, SIGINT, NULL, NULL);
    if (result >= 0)
        result = sd_event_add_signal(enforcer->event, NULL, SIGHUP, on_hangup, enforcer);
    return result;
}

static int add_timers(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result = sd_event_add_time(enforcer->event, &enforcer->due, CLOCK_MONOTONIC, 0, 500, on_due,
                                   enforcer);

    if (result >= 0)
        result = sd_event_source_set_enabled(enforcer->due, SD_EVENT_OFF);
    if (result >= 0)
        result = sd_event_set_watchdog(enforcer->event, 1);
    if (result < 0)
        return vp_fail_errno(err, VP_HOST, -result, "the event loop");
    return vp_reload_start(enforcer, err);
}

/* Watches that the kernel may not have: the sweep takes their place. */
static void start_sight(struct vp_enforcer *enforcer, enum vp_sight_of what,
                        int (*watch)(struct vp_enforcer *enforcer, struct vp_error *err))
{
    struct vp_error err = {0};

    if (watch(enforcer, &err) == 0)
        return;
    vp_sight_blind(enforcer, what, err.text);
    vp_journal(LOG_WARNING, VP_MSG_BLIND, NULL, 0, "%s", enforcer->sight.blind[what]);
}

static int start_watchers(struct vp_enforcer *enforcer, struct vp_error *err)
{
    start_sight(enforcer, VP_SIGHT_WRITES, vp_writes_start);
    start_sight(enforcer, VP_SIGHT_CALLS, vp_trace_start);
    start_sight(enforcer, VP_SIGHT_CPUS, vp_uevent_start);
    enforcer->swept_only = enforcer->fanotify < 0;
    vp_statuswatch_check(enforcer);
    vp_confwatch_start(enforcer);
    vp_ledgerwatch_check(enforcer);
    vp_definitionwatch_check(enforcer);
    return vp_sweep_start(enforcer, err);
}

static int start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int notify_fd = -1;
    int result = sd_event_new(&enforcer->event);

    if (result >= 0)
        result = add_signals(enforcer);
    if (result < 0)
        return vp_fail_errno(err, VP_HOST, -result, "the event loop");
    if (add_timers(enforcer, err) < 0 || start_watchers(enforcer, err) < 0)
        return -1;
    if (vp_virtside_start(&enforcer->virtside, &enforcer->where, enforcer->topology,
                          enforcer->engine.set->host.uri, &notify_fd, err) < 0)
        return -1;
    vp_virtside_enable(enforcer->virtside, !enforcer->disabled);
    result = sd_event_add_io(enforcer->event, NULL, notify_fd, EPOLLIN, on_virtside, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}

int vp_enforcer_run(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result;

    if (start(enforcer, err) < 0)
        return -1;
    enforcer->sync_wanted = true;
    enforcer->adopt_wanted = true;
    vp_enforcer_run_due(enforcer);
    vp_reload_missed(enforcer);
    sd_notifyf(0, "READY=1\nSTATUS=%zu guests, %zu policies", enforcer->guest_count,
               enforcer->engine.set->count);
    result = sd_event_loop(enforcer->event);
    sd_notify(0, "STOPPING=1");
    if (result > 0)
        return vp_fail(err, VP_HOST, "this program has been replaced: to be started anew");
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
