/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/conf.h"
#include "host/conffile.h"

/* The off switch. Whatever is wrong with the file, it counts as off: somebody
 * put it there because virtpin was to leave the guests alone. */

enum { REASON_SIZE = 256 };

static int switch_path(const struct vp_conf_where *where, char *path, size_t size,
                       struct vp_error *err)
{
    const char *config = where->config ? where->config : VP_SYSCONFDIR "/virtpin/virtpin.conf";
    const char *slash = strrchr(config, '/');
    int dir = slash ? (int)(slash - config + 1) : 0;

    if (snprintf(path, size, "%.*sdisabled", dir, config) < (int)size)
        return 0;
    return vp_fail(err, VP_INPUT, "%.200s...: the path is too long", config);
}

/* Control characters would let a reason forge lines of a journal. */
static void copy_reason(char *to, const char *from, size_t length)
{
    if (length >= REASON_SIZE)
        length = REASON_SIZE - 1;
    for (size_t i = 0; i < length; i++)
        to[i] = (unsigned char)from[i] < ' ' || from[i] == 0x7f ? ' ' : from[i];
    to[length] = '\0';
}

/* True while the first line does not name a time that has passed. */
static bool still_holds(const char *text)
{
    long long until;
    char *end;

    if (strncmp(text, "until=", 6) != 0 || text[6] < '0' || text[6] > '9')
        return true;
    errno = 0;
    until = strtoll(text + 6, &end, 10);
    if (errno != 0 || (*end != '\n' && *end != '\0'))
        return true;
    return (long long)time(NULL) < until;
}

bool vp_conf_disabled(const struct vp_conf_where *where, char *reason)
{
    char path[4096], text[1024] = "";
    const char *second;
    ssize_t got;
    int fd;

    if (reason)
        reason[0] = '\0';
    if (switch_path(where, path, sizeof(path), NULL) < 0)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno != ENOENT && errno != ENOTDIR;
    got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return true;
    if (!still_holds(text))
        return false;
    second = strchr(text, '\n');
    if (reason && second)
        copy_reason(reason, second + 1, strcspn(second + 1, "\n"));
    return true;
}

int vp_conf_disable(const struct vp_conf_where *where, const char *reason, long long for_ms,
                    struct vp_error *err)
{
    char path[4096], text[REASON_SIZE + 64], clean[REASON_SIZE], until[32] = "";

    if (switch_path(where, path, sizeof(path), err) < 0)
        return -1;
    copy_reason(clean, reason ? reason : "", reason ? strlen(reason) : 0);
    if (for_ms > 0)
        snprintf(until, sizeof(until), "%lld", (long long)time(NULL) + (for_ms + 999) / 1000);
    snprintf(text, sizeof(text), "until=%s\n%s\n", until, clean);
    return vp_conf_write_file(path, text, strlen(text), 0644, err);
}

int vp_conf_enable(const struct vp_conf_where *where, struct vp_error *err)
{
    char path[4096];

    if (switch_path(where, path, sizeof(path), err) < 0)
        return -1;
    if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    return 0;
}
