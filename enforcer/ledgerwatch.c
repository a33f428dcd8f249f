/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/ledgerwatch.h"

#include <string.h>

#include "enforcer/enforcer.h"
#include "enforcer/watchdir.h"

static void take_event(void *data, const struct inotify_event *event)
{
    bool *ours = data;

    *ours |= (event->mask & IN_IGNORED) || /* the directory itself */
             (event->len &&
              (strncmp(event->name, "ledger.db", 9) == 0 || strcmp(event->name, "wake") == 0));
}

static int on_run_dir(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    bool ours = false;

    (void)source, (void)events;
    if (vp_watchdir_read(fd, take_event, &ours)) {
        vp_sight_lost(enforcer, VP_SIGHT_LEDGER);
        ours = true;
    }
    if (!ours)
        return 0;
    enforcer->sync_wanted = true;
    vp_enforcer_run_due(enforcer);
    return 0;
}

void vp_ledgerwatch_check(struct vp_enforcer *enforcer)
{
    const char *dir = enforcer->engine.set->host.run_dir;
    int result = vp_watchdir_open(enforcer, &enforcer->run_fd, on_run_dir);

    /* The watch on a directory that is there already stays as it is. */
    if (result == 0)
        result = vp_watchdir_add(enforcer->run_fd, dir,
                                 IN_MODIFY | IN_ATTRIB | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
    vp_watchdir_said(enforcer, VP_SIGHT_LEDGER, result, dir);
    if (result < 0)
        enforcer->sync_wanted = true;
}
