/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/sync.h"
#include "host/clock.h"
#include "host/journal.h"

#define SOON_US 1000000

void vp_reload_findings(const struct vp_findings *findings)
{
    char line[1024], number[16];

    for (size_t i = 0; i < findings->count; i++) {
        const struct vp_finding *finding = &findings->item[i];

        snprintf(number, sizeof(number), "%d", finding->line);
        vp_journal(finding->grade == VP_ERROR ? LOG_ERR : LOG_WARNING, VP_MSG_POLICY,
                   (const struct vp_field[]){{"VIRTPIN_FILE", finding->file},
                                             {"VIRTPIN_LINE", finding->line ? number : NULL},
                                             {"VIRTPIN_POLICY", finding->policy}},
                   3, "%s", vp_finding_line(finding, line, sizeof(line)));
    }
}

void vp_reload_say(const struct vp_engine *engine)
{
    vp_reload_findings(&engine->findings);
    if (engine->stale)
        vp_journal(LOG_ERR, VP_MSG_POLICY, NULL, 0,
                   "the policy files are broken: the last good set stays in force (%s)",
                   engine->set->hash);
}

/* Whether any has another plan now. */
static bool replan_each(struct vp_enforcer *enforcer)
{
    bool any = false;

    for (size_t i = 0; i < enforcer->guest_count; i++) {
        struct vp_watched *guest = enforcer->guest[i];
        struct vp_error err = {0};
        bool changed = false;

        if (guest->row.state == VP_GUEST_RUNNING &&
            vp_engine_replan(&enforcer->engine, guest->row.uuid, &changed, &err) < 0) {
            vp_wrap(&err, "planning %s anew", guest->row.name);
            vp_enforcer_complain(enforcer, &err);
        }
        if (changed) /* also of shares and quota, which no pin shows */
            vp_virtside_want(enforcer->virtside, guest->row.uuid, VP_VIRT_TELL);
        any |= changed;
    }
    return any;
}

/* The set is already the new one: every guest gets its plan by it. One that goes
 * back to CPUs of its own may leave those that another waits for: again, then. */
static void replan_all(struct vp_enforcer *enforcer)
{
    vp_engine_keep(&enforcer->engine, true);
    if (replan_each(enforcer))
        replan_each(enforcer);
    vp_engine_keep(&enforcer->engine, false);
    for (size_t i = 0; i < enforcer->guest_count; i++)
        if (enforcer->guest[i]->row.state == VP_GUEST_RUNNING)
            vp_sync_say_moved(enforcer, &enforcer->guest[i]->row);
    enforcer->sync_wanted = true;
    enforcer->adopt_wanted = true;
}

/* A running guest's plan is of another set than `data`, an enforcer's, has. */
static int is_missed(void *data, struct vp_guest_row *row, struct vp_error *err)
{
    const struct vp_enforcer *enforcer = data;

    if (row->state != VP_GUEST_RUNNING || !row->plan ||
        strcmp(row->plan->policy_hash, enforcer->engine.set->hash) == 0)
        return 0;
    return vp_fail(err, VP_REFUSED, "guest %s was placed under other policies", row->name);
}

void vp_reload_missed(struct vp_enforcer *enforcer)
{
    struct vp_error err = {0};

    if (vp_ledger_each_guest(enforcer->engine.ledger, is_missed, enforcer, &err) == 0)
        return;
    if (err.code != VP_REFUSED) {
        vp_enforcer_complain(enforcer, &err);
        return;
    }
    vp_journal(LOG_INFO, VP_MSG_POLICY, NULL, 0, "%s: all are planned anew (%s)", err.text,
               enforcer->engine.set->hash);
    replan_all(enforcer);
    vp_enforcer_run_due(enforcer);
}

/* The ledger stays open: its file and its lock are the same. */
static void swap_engines(struct vp_enforcer *enforcer, struct vp_engine *fresh)
{
    fresh->ledger = enforcer->engine.ledger;
    fresh->lock_ms = enforcer->engine.lock_ms;
    fresh->rebuilt = enforcer->engine.rebuilt;
    enforcer->engine.ledger = NULL;
    vp_engine_close(&enforcer->engine);
    enforcer->engine = *fresh;
}

static int load(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_engine fresh = {0};
    bool same_dir;

    if (vp_engine_open_here(&fresh, &enforcer->where, enforcer->topology, err) < 0) {
        vp_engine_close(&fresh);
        return -1;
    }
    vp_reload_say(&fresh);
    if (fresh.stale) {
        enforcer->engine.stale = true;
        vp_engine_close(&fresh);
        return 0;
    }
    same_dir = strcmp(fresh.set->host.run_dir, enforcer->engine.set->host.run_dir) == 0;
    if (!same_dir) {
        vp_engine_close(&fresh);
        return vp_fail(err, VP_INPUT, "run-dir cannot change while the enforcer runs: restart it");
    }
    swap_engines(enforcer, &fresh);
    vp_journal(LOG_INFO, VP_MSG_POLICY, NULL, 0, "%zu policies in force (%s)",
               enforcer->engine.set->count, enforcer->engine.set->hash);
    replan_all(enforcer);
    vp_virtside_policies(enforcer->virtside, enforcer->engine.set->host.uri);
    return 0;
}

void vp_reload_now(struct vp_enforcer *enforcer)
{
    struct vp_error err = {0};

    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)vp_clock_us());
    if (load(enforcer, &err) < 0) {
        vp_wrap(&err, "the policies stay as they were");
        vp_journal(LOG_ERR, VP_MSG_POLICY, NULL, 0, "%s", err.text);
    }
    sd_notify(0, "READY=1");
    vp_enforcer_run_due(enforcer);
}

static int on_reload(sd_event_source *source, uint64_t usec, void *data)
{
    (void)source, (void)usec;
    vp_reload_now(data);
    return 0;
}

int vp_reload_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result = sd_event_add_time(enforcer->event, &enforcer->reload, CLOCK_MONOTONIC, 0, 0,
                                   on_reload, enforcer);

    if (result >= 0)
        result = sd_event_source_set_enabled(enforcer->reload, SD_EVENT_OFF);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}

void vp_reload_soon(struct vp_enforcer *enforcer)
{
    sd_event_source_set_time(enforcer->reload, (uint64_t)vp_clock_us() + SOON_US);
    sd_event_source_set_enabled(enforcer->reload, SD_EVENT_ONESHOT);
}

void vp_reload_cgroups(struct vp_enforcer *enforcer)
{
    const struct vp_engine *engine = &enforcer->engine;
    struct vp_cgroups there = {0};
    struct vp_error err = {0};

    if (engine->cgroups.version != VP_CGROUP_NONE ||
        vp_cgroups_find(engine->set->host.cgroup_dir, NULL, &there, &err) < 0 ||
        there.version == VP_CGROUP_NONE)
        return;
    vp_journal(LOG_NOTICE, VP_MSG_HOST, NULL, 0, "the cpuset controller is there again: %s",
               there.mount);
    vp_reload_now(enforcer);
}

void vp_reload_online(struct vp_enforcer *enforcer)
{
    char text[sizeof(enforcer->online_text)] = "";
    int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    if (length <= 0 || enforcer->topology)
        return;
    text[strcspn(text, "\n")] = '\0';
    if (strcmp(text, enforcer->online_text) == 0)
        return;
    if (enforcer->online_text[0]) {
        vp_journal(LOG_NOTICE, VP_MSG_HOST, NULL, 0, "online CPUs were %s and are now %s",
                   enforcer->online_text, text);
        vp_reload_now(enforcer);
    }
    memcpy(enforcer->online_text, text, sizeof(text));
}
