/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/statuswatch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/patience.h"
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

static void take_event(struct vp_enforcer *enforcer, const struct inotify_event *event)
{
    char name[NAME_MAX + 1];
    size_t length = event->len ? strlen(event->name) : 0;
    struct vp_watched *guest;

    if (event->mask & IN_Q_OVERFLOW) {
        all_changed(enforcer);
        return;
    }
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
    char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length;

    (void)source, (void)events;
    while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            take_event(enforcer, event);
            at += sizeof(*event) + event->len;
        }
    }
    vp_enforcer_run_due(enforcer);
    return 0;
}

void vp_statuswatch_check(struct vp_enforcer *enforcer)
{
    /* Adding a watch that is there already changes nothing; a directory made
     * anew gets one, and what it holds is news. */
    int wd = inotify_add_watch(enforcer->status_fd, enforcer->engine.status_dir,
                               IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);

    if (wd >= 0 && wd != enforcer->status_wd) {
        enforcer->status_wd = wd;
        all_changed(enforcer);
    }
}

int vp_statuswatch_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result;

    enforcer->status_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (enforcer->status_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "inotify");
    vp_statuswatch_check(enforcer);
    result =
        sd_event_add_io(enforcer->event, NULL, enforcer->status_fd, EPOLLIN, on_status, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
