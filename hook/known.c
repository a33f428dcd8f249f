/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In virtpin-hook-worker only, in place of host/conf.c, discover.c and adoptall.c: it
 * knows policies and topology from what was kept of them. Whatever has to be
 * read or looked at anew is virtpin-hook-survey's, the same program linked with
 * inih, libmd and hwloc (and libudev behind it), whose loading would cost every
 * start of a guest more than planning does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "hook/worker.h"
#include "host/conf.h"
#include "host/confgood.h"
#include "host/discover.h"
#include "host/room.h"

#define SURVEY "virtpin-hook-survey"

static char *const *arguments;
static const char *guest;

void vp_hook_known(char *const *argv, const char *only)
{
    arguments = argv;
    guest = only;
}

/* Only what could not start over comes by: what was kept for the launcher holds. */
enum vp_verdict vp_hook_on_error(const struct vp_conf_where *where)
{
    (void)where;
    return VP_VERDICT_UNSET;
}

/* Starts over as the other program: nothing has been decided yet, and both
 * streams are files that can be read from their beginning. */
static int start_over(struct vp_error *err)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - sizeof(SURVEY) - 1);
    char *slash = NULL;

    if (length > 0) {
        path[length] = '\0';
        slash = strrchr(path, '/');
    }
    if (!slash)
        return vp_fail_errno(err, VP_HOST, errno, "/proc/self/exe");
    strcpy(slash + 1, SURVEY);
    execv(path, arguments);
    return vp_fail_errno(err, VP_HOST, errno, "%s", path);
}

int vp_conf_in_force(const struct vp_conf_where *where, struct vp_policy_set **set, bool *stale,
                     struct vp_findings *findings, struct vp_error *err)
{
    (void)findings;
    *stale = false;
    return vp_conf_known(where, guest, set) ? 0 : start_over(err);
}

int vp_discover(const char *spec, struct vp_topology **topology, struct vp_error *err)
{
    (void)spec;
    *topology = NULL;
    return start_over(err);
}

/* Which guests to move: every guest's policy is asked for. */
bool vp_engine_room(struct vp_engine *engine, const struct vp_domain *domain,
                    const struct vp_choice *choice, char *text, size_t size)
{
    struct vp_error err = {0};

    (void)engine, (void)domain, (void)choice, (void)text, (void)size;
    start_over(&err); /* if it cannot, the refusal stands without */
    return false;
}

/* A ledger made anew: every guest's policy is asked for. */
int vp_engine_adopt_all(struct vp_engine *engine, bool *changed, struct vp_error *err)
{
    (void)engine;
    if (changed)
        *changed = false;
    return start_over(err);
}
