/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cgroupfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"

/* Reads to the end: kernel files may hand out their text in parts. */
static ssize_t read_all(int fd, char *buf, size_t size)
{
    size_t used = 0;

    for (;;) {
        ssize_t got = pread(fd, buf + used, size - used, (off_t)used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        used += (size_t)got;
        if (used == size)
            return -EFBIG;
        if (got == 0)
            break;
        /* A list's only newline is at its end: saves the read that says 0. */
        if (buf[used - 1] == '\n')
            break;
    }
    buf[used] = '\0';
    return (ssize_t)used;
}

static ssize_t read_file(int dir, const char *path, char *buf, size_t size, bool line)
{
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *newline = NULL;
    size_t used = 0;
    ssize_t got;

    if (fd < 0)
        return -errno;
    do {
        got = read(fd, buf + used, size - used);
        if (got > 0 && line)
            newline = memchr(buf + used, '\n', (size_t)got);
        if (got > 0)
            used += (size_t)got;
    } while ((got > 0 && used < size && !newline) || (got < 0 && errno == EINTR));
    if (got < 0)
        got = -errno;
    else if (newline)
        got = newline - buf;
    else
        got = used == size ? -EFBIG : (ssize_t)used;
    close(fd);
    if (got >= 0)
        buf[got] = '\0';
    return got;
}

ssize_t vp_file_read(int dir, const char *path, char *buf, size_t size)
{
    return read_file(dir, path, buf, size, false);
}

ssize_t vp_file_read_line(int dir, const char *path, char *buf, size_t size)
{
    return read_file(dir, path, buf, size, true);
}

int vp_cpus_fd_read(int fd, struct vp_cpuset *cpus)
{
    char text[VP_CPUSET_TEXT + 2];
    ssize_t length = read_all(fd, text, sizeof(text));

    if (length < 0)
        return (int)length;
    return vp_cpuset_parse_kernel(cpus, text, NULL) == 0 ? 0 : -EIO;
}

int vp_cpus_fd_write(int fd, const struct vp_cpuset *cpus)
{
    char text[VP_CPUSET_TEXT];
    size_t length = vp_cpuset_print(cpus, text, sizeof(text));
    ssize_t done;

    do
        done = pwrite(fd, text, length, 0);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return -errno;
    return (size_t)done == length ? 0 : -EIO;
}

int vp_cpus_at_read(int dir, const char *group, const char *name, struct vp_cpuset *cpus)
{
    char path[1024];
    int fd, result;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", group, name) >= sizeof(path))
        return -ENAMETOOLONG;
    fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    result = vp_cpus_fd_read(fd, cpus);
    close(fd);
    return result;
}

int vp_cpus_at_effective(const struct vp_cgroups *cgroups, int dir, const char *group,
                         struct vp_cpuset *cpus)
{
    int result;

    if (cgroups->version == VP_CGROUP_V2)
        return vp_cpus_at_read(dir, group, "cpuset.cpus.effective", cpus);
    result = vp_cpus_at_read(dir, group, "cpuset.effective_cpus", cpus);
    /* Kernels before 3.17 have none; there the file written is in force. */
    return result == -ENOENT ? vp_cpus_at_read(dir, group, VP_CPUSET_FILE, cpus) : result;
}

int vp_cgroup_write_failed(enum vp_cgroup_version version, const char *group,
                           const struct vp_cpuset *cpus, int number, struct vp_error *err)
{
    char text[128];

    vp_cpuset_print(cpus, text, sizeof(text));
    switch (number) {
    case ENOENT:
    case ENODEV:
        return vp_fail(err, VP_GONE, "the group %s is gone", group);
    case EACCES:
    case EINVAL:
        if (version == VP_CGROUP_V1)
            return vp_fail(
                err, VP_HOST,
                "CPUs %s are not all in the cpuset of the group above %s, or are offline", text,
                group);
        break;
    case ENOSPC:
        return vp_fail(err, VP_HOST, "CPUs %s would leave %s, or a group below it, without any CPU",
                       text, group);
    case ERANGE:
        return vp_fail(err, VP_HOST, "CPUs %s: this kernel knows no CPU with the highest number",
                       text);
    case EBUSY:
        return vp_fail(err, VP_HOST,
                       "CPUs %s for %s: a group below it or an exclusive one beside it holds them",
                       text, group);
    case EROFS:
        return vp_fail(err, VP_HOST, "%s is mounted read-only", group);
    default:
        break;
    }
    return vp_fail_errno(err, VP_HOST, number, "CPUs %s for %s", text, group);
}

/* Whether the comma list `names` of `length` bytes has that controller. */
static bool lists(const char *names, size_t length, const char *controller)
{
    const char *end = names + length;

    while (names < end) {
        const char *comma = memchr(names, ',', (size_t)(end - names));
        size_t word = (size_t)((comma ? comma : end) - names);

        if (word == strlen(controller) && memcmp(names, controller, word) == 0)
            return true;
        names += word + 1;
    }
    return false;
}

char *vp_cgroup_line(enum vp_cgroup_version version, char *text)
{
    return vp_cgroup_line_of(version, "cpuset", text);
}

char *vp_cgroup_line_of(enum vp_cgroup_version version, const char *controller, char *text)
{
    char *next;

    for (char *line = text; line && *line; line = next) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!path || (next && path >= next))
            continue;
        names++;
        if (version == VP_CGROUP_V2 ? strncmp(line, "0::", 3) == 0
                                    : lists(names, (size_t)(path - names), controller))
            return path + 1;
    }
    return NULL;
}
