/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/confwait.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policy.h"
#include "enforcer/reload.h"
#include "host/conf.h"
#include "host/journal.h"

/* What was said last, so that it is not said every second. */
struct said {
    size_t errors;
    char text[VP_ERROR_TEXT];
};

static void say(struct said *said, const struct vp_findings *findings, const struct vp_error *why)
{
    size_t errors = vp_findings_errors(findings);

    if (errors == said->errors && strcmp(why->text, said->text) == 0)
        return;
    said->errors = errors;
    memcpy(said->text, why->text, sizeof(said->text));
    vp_reload_findings(findings);
    vp_journal(
        LOG_ERR, VP_MSG_POLICY, NULL, 0,
        "no policies can be had, and no guest is kept in its place until they are mended: %s",
        why->text);
    sd_notifyf(0,
               "READY=1\nSTATUS=keeps no guest in its place until the policies are mended: %.400s",
               why->text);
}

/* As vp_confwait; what may be waited for is said. */
static bool there_is_a_set(const struct vp_conf_where *where, struct said *said,
                           struct vp_error *err)
{
    struct vp_findings findings = {0};
    struct vp_policy_set *set = NULL;
    bool stale;

    *err = (struct vp_error){0};
    if (vp_conf_in_force(where, &set, &stale, &findings, err) < 0 && err->code == VP_INPUT)
        say(said, &findings, err);
    vp_policy_set_free(set);
    vp_findings_clear(&findings);
    return err->code == VP_OK;
}

int vp_confwait(const struct vp_conf_where *where, struct vp_error *err)
{
    static const struct timespec second = {.tv_sec = 1};
    struct said said = {0};
    sigset_t mask;

    if (!getenv("NOTIFY_SOCKET"))
        return 0;
    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "blocking signals");
    while (!there_is_a_set(where, &said, err)) {
        int signal = err->code == VP_INPUT ? sigtimedwait(&mask, NULL, &second) : -1;

        if (err->code != VP_INPUT)
            return -1;
        *err = (struct vp_error){0};
        if (signal == SIGTERM || signal == SIGINT)
            return 1;
        sd_notify(0, signal == SIGHUP ? "RELOADING=1\nREADY=1\nWATCHDOG=1" : "WATCHDOG=1");
    }
    return 0;
}
