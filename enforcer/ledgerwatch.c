/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/ledgerwatch.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"

static bool is_ours(const struct inotify_event *event)
{
    if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) /* lost events, or the directory itself */
        return true;
    return event->len &&
           (strncmp(event->name, "ledger.db", 9) == 0 || strcmp(event->name, "wake") == 0);
}

static int on_run_dir(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length;
    bool ours = false;

    (void)source, (void)events;
    while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            ours |= is_ours(event);
            at += sizeof(*event) + event->len;
        }
    }
    if (!ours)
        return 0;
    enforcer->sync_wanted = true;
    vp_enforcer_run_due(enforcer);
    return 0;
}

static int add_watch(struct vp_enforcer *enforcer)
{
    return inotify_add_watch(enforcer->run_fd, enforcer->engine.set->host.run_dir,
                             IN_MODIFY | IN_ATTRIB | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR);
}

/* The watch on a directory that is there already stays as it is. */
void vp_ledgerwatch_check(struct vp_enforcer *enforcer)
{
    add_watch(enforcer);
}

int vp_ledgerwatch_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result;

    enforcer->run_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (enforcer->run_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "inotify");
    if (add_watch(enforcer) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "inotify on %s",
                             enforcer->engine.set->host.run_dir);
    result =
        sd_event_add_io(enforcer->event, NULL, enforcer->run_fd, EPOLLIN, on_run_dir, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
