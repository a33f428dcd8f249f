/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/statuswatch.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "enforcer/enforcer.h"
#include "enforcer/patience.h"
#include "enforcer/watchdir.h"
#include "host/clock.h"

/* How long the hook gets to take a guest into the ledger before we do. */
#define HOOK_US 3000000
/* libvirt writes one status file for each pin of a call after the other. */
#define GATHER_US 2000

static void all_changed(struct vp_enforcer *enforcer)
{
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        enforcer->guest[i]->status_changed = true;
        vp_watched_due(enforcer->guest[i], vp_clock_us());
    }
    enforcer->adopt_wanted = true;
}

static void adopt_later(struct vp_enforcer *enforcer)
{
    if (enforcer->adopt_at_us == 0)
        enforcer->adopt_at_us = vp_clock_us() + HOOK_US;
}

static void take_event(void *data, const struct inotify_event *event)
{
    struct vp_enforcer *enforcer = data;
    char name[NAME_MAX + 1];
    size_t length = event->len ? strlen(event->name) : 0;
    struct vp_watched *guest;

    if (length <= 4 || strcmp(event->name + length - 4, ".xml") != 0)
        return;
    snprintf(name, sizeof(name), "%.*s", (int)(length - 4), event->name);
    guest = vp_enforcer_named(enforcer, name);
    if (!guest || (event->mask & IN_DELETE)) {
        adopt_later(enforcer);
        return;
    }
    guest->status_changed = true;
    vp_patience_done(guest, vp_clock_us());
    if (guest->event_us == 0)
        guest->event_us = vp_clock_us();
    vp_watched_due(guest, vp_clock_us() + GATHER_US);
}

static int on_status(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)source, (void)events;
    if (vp_watchdir_read(fd, take_event, enforcer))
        vp_sight_lost(enforcer, VP_SIGHT_STATUS);
    vp_enforcer_run_due(enforcer);
    return 0;
}

void vp_statuswatch_check(struct vp_enforcer *enforcer)
{
    const char *dir = enforcer->engine.status_dir;
    int result = vp_watchdir_open(enforcer, &enforcer->status_fd, on_status);
    int wd = 0;

    /* Adding a watch that is there already changes nothing; a directory made
     * anew gets one, and what it holds is news. */
    if (result == 0)
        result = wd =
            vp_watchdir_add(enforcer->status_fd, dir, IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    vp_watchdir_said(enforcer, VP_SIGHT_STATUS, result, dir);
    if (result < 0 || (wd > 0 && wd != enforcer->status_wd))
        all_changed(enforcer);
    if (wd > 0)
        enforcer->status_wd = wd;
}
