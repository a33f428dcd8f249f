/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/record.h"
#include "host/clock.h"

/* After started the hook is still at work for some milliseconds. */
#define SETTLE_MS 500

void vp_patience_busy(struct vp_watched *guest, int64_t now_us, int64_t wait)
{
    if (guest->busy_since_us == 0)
        guest->busy_since_us = now_us;
    if (now_us + wait > guest->busy_until_us)
        guest->busy_until_us = now_us + wait;
}

void vp_patience_done(struct vp_watched *guest, int64_t now_us)
{
    if (guest->busy_until_us > now_us + VP_DAEMON_DONE_US)
        guest->busy_until_us = now_us + VP_DAEMON_DONE_US;
}

int64_t vp_patience_wait(const struct vp_watched *guest, int64_t now_us)
{
    int64_t settled_ms = guest->row.since_ms + SETTLE_MS - vp_now_ms();

    if (guest->busy_until_us > now_us && now_us - guest->busy_since_us < VP_BUSY_MAX_US)
        return guest->busy_until_us - now_us;
    /* A clock that was set back must not make the wait any longer. */
    return guest->fresh && settled_ms > 0 && settled_ms <= SETTLE_MS ? settled_ms * 1000 : 0;
}

bool vp_patience_held(const struct vp_watched *guest)
{
    return guest->row.hold_until_ms > vp_now_ms();
}

/* [host] repair-limit: so many on this host in so long. */
static bool over_limit(struct vp_enforcer *enforcer, int64_t now_us)
{
    const struct vp_host_conf *host = &enforcer->engine.set->host;
    struct vp_error err = {0};

    if (now_us - enforcer->repairs_since_us >= (int64_t)host->repair_ms * 1000) {
        enforcer->repairs_since_us = now_us;
        enforcer->repairs = 0;
    }
    if (enforcer->repairs++ < host->repair_count)
        return false;
    vp_fail(&err, VP_HOST, "repairs wait: more than %u in %u ms on this host (repair-limit)",
            host->repair_count, host->repair_ms);
    vp_enforcer_complain(enforcer, &err);
    return true;
}

static bool contest_allows(struct vp_enforcer *enforcer, struct vp_watched *guest,
                           struct vp_case *seen, int64_t now_us)
{
    const struct vp_host_conf *host = &enforcer->engine.set->host;
    int64_t now_ms = vp_now_ms();
    bool began = false;
    bool may = vp_contest_may_repair(&seen->contest, now_ms, host->contested_count,
                                     host->contested_ms, &began);

    if (began)
        vp_record_contested(seen, true);
    if (!may && seen->contest.next_repair_ms > now_ms)
        vp_watched_due(guest, now_us + (seen->contest.next_repair_ms - now_ms) * 1000);
    return may;
}

enum vp_drift_state vp_patience_state(struct vp_enforcer *enforcer, struct vp_watched *guest,
                                      struct vp_case *seen, int64_t now_us)
{
    if (vp_watched_audit(guest))
        return VP_DRIFT_AUDIT;
    if (enforcer->disabled)
        return VP_DRIFT_OPEN;
    if (vp_patience_held(guest))
        return VP_DRIFT_HELD;
    if (!contest_allows(enforcer, guest, seen, now_us))
        return VP_DRIFT_CONTESTED;
    if (over_limit(enforcer, now_us)) {
        vp_watched_due(guest, now_us + 1000000);
        return VP_DRIFT_OPEN;
    }
    return VP_DRIFT_REPAIRED;
}

enum vp_writer vp_patience_writer(const struct vp_enforcer *enforcer, const struct vp_culprit *by)
{
    if (by->pid > 0 && by->pid == vp_patience_daemon(enforcer))
        return VP_WRITER_LIBVIRT;
    if (by->uid == 0 && (strcmp(by->comm, "libvirtd") == 0 || strcmp(by->comm, "virtqemud") == 0))
        return VP_WRITER_LIBVIRT;
    /* comm has 15 characters */
    if (by->uid == 0 && strncmp(by->comm, "virtpin", 7) == 0)
        return VP_WRITER_OURS;
    return VP_WRITER_OTHER;
}

pid_t vp_patience_daemon(const struct vp_enforcer *enforcer)
{
    char path[PATH_MAX + 16], text[32] = "";
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%s/driver.pid", enforcer->engine.status_dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0 || text[0] < '1' || text[0] > '9')
        return 0;
    errno = 0;
    length = strtol(text, NULL, 10);
    return errno == 0 && length <= INT_MAX ? (pid_t)length : 0;
}
