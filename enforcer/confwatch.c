/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/confwatch.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/reload.h"
#include "host/clock.h"
#include "host/journal.h"

#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_ONLYDIR)

void vp_confwatch_disabled(struct vp_enforcer *enforcer)
{
    char why[256] = "";
    bool disabled = vp_conf_disabled(&enforcer->where, why);

    if (disabled == enforcer->disabled && strcmp(why, enforcer->disabled_why) == 0)
        return;
    if (disabled != enforcer->disabled) {
        vp_journal(LOG_NOTICE, VP_MSG_SWITCH, NULL, 0, "%s%s%s",
                   disabled ? "disabled, only watching: " : "enabled again", disabled ? why : "",
                   "");
        for (size_t i = 0; i < enforcer->guest_count; i++)
            vp_watched_due(enforcer->guest[i], vp_clock_us());
        enforcer->adopt_wanted |= !disabled;
    }
    enforcer->disabled = disabled;
    memcpy(enforcer->disabled_why, why, sizeof(why));
    if (enforcer->virtside)
        vp_virtside_enable(enforcer->virtside, !disabled);
}

/* ---- where files of ours are ---- */

static void watch_dir(struct vp_enforcer *enforcer, const char *dir)
{
    /* A directory that is not there is tried again at the next sweep. One that
     * is watched keeps its number; a new number is a directory made since. */
    int wd = inotify_add_watch(enforcer->conf_fd, dir, WATCHED);

    if (wd > enforcer->conf_wd && enforcer->conf_wd > 0)
        vp_reload_soon(enforcer);
    if (wd > enforcer->conf_wd)
        enforcer->conf_wd = wd;
}

static void watch_config(struct vp_enforcer *enforcer)
{
    char dir[PATH_MAX];
    char *slash;

    snprintf(dir, sizeof(dir), "%s",
             enforcer->where.config ? enforcer->where.config
                                    : VP_SYSCONFDIR "/virtpin/virtpin.conf");
    slash = strrchr(dir, '/');
    if (!slash)
        snprintf(dir, sizeof(dir), ".");
    else
        slash[slash == dir] = '\0';
    watch_dir(enforcer, dir);
}

void vp_confwatch_check(struct vp_enforcer *enforcer)
{
    watch_config(enforcer);
    if (enforcer->where.policy_dir) {
        watch_dir(enforcer, enforcer->where.policy_dir);
        return;
    }
    watch_dir(enforcer, VP_SYSCONFDIR "/virtpin/policy.d");
    watch_dir(enforcer, VP_PREFIX "/lib/virtpin/policy.d");
}

static bool is_policy(const char *name)
{
    size_t length = strlen(name);

    return length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

static int on_conf(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length;
    bool policies = false;

    (void)source, (void)events;
    while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            policies |= (event->mask & (IN_Q_OVERFLOW | IN_ISDIR)) != 0 ||
                        (event->len && is_policy(event->name));
            at += sizeof(*event) + event->len;
        }
    }
    vp_confwatch_disabled(enforcer);
    if (policies)
        vp_reload_soon(enforcer);
    vp_enforcer_run_due(enforcer);
    return 0;
}

int vp_confwatch_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result;

    enforcer->conf_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (enforcer->conf_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "inotify");
    vp_confwatch_check(enforcer);
    sd_event_source_set_enabled(enforcer->reload, SD_EVENT_OFF); /* they were read just now */
    result = sd_event_add_io(enforcer->event, NULL, enforcer->conf_fd, EPOLLIN, on_conf, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
