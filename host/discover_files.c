/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/discover_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/cpuset.h"
#include "decide/error.h"

static int read_whole(int fd, char *buf, size_t size)
{
    size_t used = 0;

    for (;;) {
        ssize_t got = read(fd, buf + used, size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        used += (size_t)got;
        if (used == size) {
            errno = EFBIG;
            return -1;
        }
    }
    if (used > 0 && buf[used - 1] == '\n')
        used--;
    buf[used] = '\0';
    return (int)used;
}

int vp_discover_read(const char *root, const char *path, char *buf, size_t size)
{
    char full[PATH_MAX];
    int fd, length, number;

    if ((size_t)snprintf(full, sizeof(full), "%s%s", root, path) >= sizeof(full)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    length = read_whole(fd, buf, size);
    number = errno;
    close(fd);
    errno = number;
    return length;
}

int vp_discover_cpus(const char *root, const char *path, struct vp_cpuset *set,
                     struct vp_error *err)
{
    char text[VP_CPUSET_TEXT];

    *set = (struct vp_cpuset){0};
    if (vp_discover_read(root, path, text, sizeof(text)) < 0) {
        if (errno == ENOENT)
            return 0;
        return vp_fail_errno(err, VP_HOST, errno, "%s%s", root, path);
    }
    /* The kernel's "%*pbl" of a mask that is not there: as wide as there are possible CPUs. */
    if (strcmp(text + strspn(text, " "), "(null)") == 0)
        return 0;
    if (vp_cpuset_parse_kernel(set, text, err) < 0)
        return vp_wrap(err, "%s%s", root, path);
    return 0;
}
