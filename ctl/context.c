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

int vp_ctl_engine(const struct vp_ctl *ctl, struct vp_engine *engine, struct vp_error *err)
{
    char line[2048];

    if (vp_engine_open(engine, &ctl->where, ctl->topology, err) != 0)
        return -1;
    for (size_t i = 0; i < engine->findings.count; i++)
        fprintf(stderr, "virtpin: %s: %s\n",
                engine->findings.item[i].grade == VP_ERROR ? "error" : "warning",
                vp_finding_line(&engine->findings.item[i], line, sizeof(line)));
    if (engine->stale)
        fprintf(stderr, "virtpin: the policy files are broken: the last good set is used "
                        "(virtpin policy check)\n");
    return 0;
}

int vp_ctl_ledger(const struct vp_ctl *ctl, struct vp_engine *engine, bool may_create,
                  struct vp_error *err)
{
    char path[4096];

    if (ctl->topology)
        return 0;
    snprintf(path, sizeof(path), "%s/ledger.db", engine->set->host.run_dir);
    if (!may_create && access(path, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    return vp_engine_ledger(engine, may_create, err);
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
