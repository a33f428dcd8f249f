/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/confwatch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "enforcer/enforcer.h"
#include "enforcer/reload.h"
#include "enforcer/watchdir.h"
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

/* The directories of config file and policies; *count of them, at most three. */
static void list_dirs(const struct vp_enforcer *enforcer, char dir[3][PATH_MAX], size_t *count)
{
    const char *config = enforcer->where.config;
    char *slash;

    snprintf(dir[0], PATH_MAX, "%s", config ? config : VP_SYSCONFDIR "/virtpin/virtpin.conf");
    slash = strrchr(dir[0], '/');
    if (!slash)
        snprintf(dir[0], PATH_MAX, ".");
    else
        slash[slash == dir[0]] = '\0';
    *count = enforcer->where.policy_dir ? 2 : 3;
    snprintf(dir[1], PATH_MAX, "%s",
             *count == 2 ? enforcer->where.policy_dir : VP_SYSCONFDIR "/virtpin/policy.d");
    snprintf(dir[2], PATH_MAX, VP_PREFIX "/lib/virtpin/policy.d");
}

static int watch_dir(struct vp_enforcer *enforcer, const char *dir)
{
    /* A directory that is not there is tried again at the next sweep. One that
     * is watched keeps its number; a new number is a directory made since. */
    int wd = vp_watchdir_add(enforcer->conf_fd, dir, WATCHED);

    if (wd > enforcer->conf_wd && enforcer->conf_wd > 0)
        vp_reload_soon(enforcer);
    if (wd > enforcer->conf_wd)
        enforcer->conf_wd = wd;
    return wd;
}

/* Without a watch. */
static void compare_files(struct vp_enforcer *enforcer, char dir[3][PATH_MAX], size_t count)
{
    uint64_t sum = 1;

    for (size_t i = 0; i < count; i++)
        sum = sum * 31 + vp_watchdir_sum(dir[i], ".conf");
    if (enforcer->conf_sum != 0 && sum != enforcer->conf_sum)
        vp_reload_soon(enforcer);
    enforcer->conf_sum = sum;
}

static bool is_policy(const char *name)
{
    size_t length = strlen(name);

    return length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

static void take_event(void *data, const struct inotify_event *event)
{
    bool *policies = data;

    *policies |= (event->mask & IN_ISDIR) || (event->len && is_policy(event->name));
}

static int on_conf(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    bool policies = false;

    (void)source, (void)events;
    if (vp_watchdir_read(fd, take_event, &policies)) {
        vp_sight_lost(enforcer, VP_SIGHT_FILES);
        policies = true;
    }
    vp_confwatch_disabled(enforcer);
    if (policies)
        vp_reload_soon(enforcer);
    vp_enforcer_run_due(enforcer);
    return 0;
}

void vp_confwatch_check(struct vp_enforcer *enforcer)
{
    int result = vp_watchdir_open(enforcer, &enforcer->conf_fd, on_conf);
    char dir[3][PATH_MAX];
    size_t count, failed = 0;

    list_dirs(enforcer, dir, &count);
    for (size_t i = 0; i < count && result >= 0; i++) {
        result = watch_dir(enforcer, dir[i]);
        failed = i;
    }
    vp_watchdir_said(enforcer, VP_SIGHT_FILES, result, dir[failed]);
    if (result < 0)
        compare_files(enforcer, dir, count);
}

void vp_confwatch_start(struct vp_enforcer *enforcer)
{
    vp_confwatch_check(enforcer);
    sd_event_source_set_enabled(enforcer->reload, SD_EVENT_OFF); /* they were read just now */
}
