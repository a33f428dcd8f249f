/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "host/engine.h"

/* A configuration that was named has to be there: the last good set, which a
 * hook would fall back to, is no answer to a slip of the pen. */
static int check_named(const char *path, struct vp_error *err)
{
    if (!path || access(path, R_OK) == 0)
        return 0;
    return vp_fail_errno(err, VP_INPUT, errno, "cannot read %s", path);
}

/* --policy-dir is a trial: its set is taken for this call, or refused, and
 * never becomes the good set of the hooks. */
static int take_policy_dir(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err)
{
    struct vp_policy_set *set = NULL;

    vp_findings_clear(&engine->findings);
    if (vp_conf_load(&ctl->where, &set, &engine->findings, err) != 0) {
        if (err->code == VP_OK)
            err->code = VP_INPUT;
        return -1;
    }
    vp_policy_set_free(engine->set);
    engine->set = set;
    engine->stale = false;
    engine->where = ctl->where;
    return vp_engine_tuning_facts(engine, err);
}

int vp_ctl_check_where(const struct vp_ctl *ctl, struct vp_error *err)
{
    if (check_named(ctl->where.config, err) != 0)
        return -1;
    return check_named(ctl->where.policy_dir, err);
}

int vp_ctl_open(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err)
{
    struct vp_conf_where where = ctl->where;

    if (vp_ctl_check_where(ctl, err) != 0)
        return -1;
    if (!where.policy_dir || ctl->topology)
        return vp_engine_open(engine, &where, ctl->topology, err);
    where.policy_dir = NULL;
    where.lenient_owner = false;
    if (vp_engine_open(engine, &where, NULL, err) != 0)
        return -1;
    return take_policy_dir(ctl, engine, err);
}

int vp_ctl_engine(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err)
{
    int result = vp_ctl_open(ctl, engine, err);
    char line[2048];

    for (size_t i = 0; i < engine->findings.count; i++)
        fprintf(stderr, "virtpin: %s: %s\n",
                engine->findings.item[i].grade == VP_ERROR ? "error" : "warning",
                vp_finding_line(&engine->findings.item[i], line, sizeof(line)));
    if (result == 0 && engine->stale)
        fprintf(stderr, "virtpin: the policy files are broken: the last good set is used "
                        "(virtpin policy check)\n");
    return result;
}

int vp_ctl_ledger(const struct vp_ctl *ctl, struct vp_engine *engine, bool may_create,
                  struct vp_error *err)
{
    char path[4096];

    if (ctl->topology)
        return 0;
    snprintf(path, sizeof(path), "%s/ledger.db", engine->set->host.run_dir);
    if (!may_create && access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    return vp_engine_ledger(engine, may_create, err);
}

int vp_ctl_open_acting(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err)
{
    char reason[256];

    if (ctl->topology)
        return vp_fail(err, VP_INPUT, "%s acts on this host: --topology is of no use here",
                       ctl->verb->name);
    if (vp_conf_disabled(&ctl->where, reason))
        return vp_fail(err, VP_REFUSED, "virtpin is disabled: %s (virtpin enable)", reason);
    if (vp_ctl_engine(ctl, engine, err) != 0 || vp_ctl_ledger(ctl, engine, false, err) != 0)
        return -1;
    if (!engine->ledger)
        return vp_fail(err, VP_REFUSED, "no guest runs under a policy here (virtpin status)");
    return 0;
}

static int read_all(int fd, const char *name, char **bytes, size_t *length, struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t room = 0, used = 0;
    ssize_t got;

    do {
        if (room - used < 2) {
            char *more = realloc(text, room ? room * 2 : 65536);

            if (!more)
                return vp_fail(err, VP_HOST, "out of memory reading %s", name);
            text = more;
            room = room ? room * 2 : 65536;
        }
        got = read(fd, text + used, room - used - 1);
        if (got < 0 && errno != EINTR)
            return vp_fail_errno(err, VP_INPUT, errno, "cannot read %s", name);
        used += got > 0 ? (size_t)got : 0;
        if (used > VP_XML_MAX)
            return vp_fail(err, VP_INPUT, "%s is longer than %u MiB", name, VP_XML_MAX >> 20);
    } while (got != 0);
    text[used] = '\0';
    *bytes = VP_STEAL(text);
    *length = used;
    return 0;
}

int vp_ctl_read(const char *path, char **bytes, size_t *length, struct vp_error *err)
{
    int fd, result;

    if (!path || strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "stdin", bytes, length, err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vp_fail_errno(err, VP_INPUT, errno, "cannot open %s", path);
    result = read_all(fd, path, bytes, length, err);
    close(fd);
    return result;
}
