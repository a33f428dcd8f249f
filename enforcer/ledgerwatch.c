/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/ledgerwatch.h"

#include <string.h>

#include "enforcer/enforcer.h"
#include "enforcer/watchdir.h"

struct seen {
    bool ledger, other;
};

static void take_event(void *data, const struct inotify_event *event)
{
    struct seen *seen = data;

    if (event->mask & IN_IGNORED) /* the directory itself */
        seen->other = true;
    if (event->len && strcmp(event->name, "wake") == 0)
        seen->other = true;
    if (event->len && strncmp(event->name, "ledger.db", 9) == 0) {
        seen->ledger = true;
        seen->other |= (event->mask & (IN_MODIFY | IN_ATTRIB)) == 0; /* taken away, or put there */
    }
}

static int on_run_dir(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    struct seen seen = {0};

    (void)source, (void)events;
    if (vp_watchdir_read(fd, take_event, &seen)) {
        vp_sight_lost(enforcer, VP_SIGHT_LEDGER);
        seen.other = true;
    }
    /* Most writes are our own records, and reading every row for each of them
     * made a storm of drift on a large host last as long as there are rows. */
    if (seen.ledger && !seen.other)
        seen.other = !enforcer->engine.ledger || vp_ledger_news(enforcer->engine.ledger);
    if (!seen.other)
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
