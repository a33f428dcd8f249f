/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"

/* Where libvirt puts a partition's guests: docs/cgroups.rst, "Systemd cgroups
 * integration" and "Non-systemd cgroups layout". */

/* "/machine/prod": "machine.slice/machine-prod.slice"; a dash of the name
 * itself would nest further, as systemd.slice(5) has it. */
static int slice_path(const char *partition, char *path, size_t size)
{
    char unit[512] = "";
    size_t used = 0, length = 0;

    path[0] = '\0';
    while (*partition) {
        size_t word;

        partition += strspn(partition, "/");
        word = strcspn(partition, "/");
        if (word == 0)
            break;
        if (used + word + 2 > sizeof(unit))
            return -1;
        if (used > 0)
            unit[used++] = '-';
        memcpy(unit + used, partition, word);
        unit[used += word] = '\0';
        partition += word;
        length += (size_t)snprintf(path + length, size - length, "/%s.slice", unit);
        if (length >= size)
            return -1;
    }
    return 0;
}

/* "/machine/prod": "machine/prod.partition". Only the three fixed directories
 * at the top and names with a suffix of their own stay as they are. */
static int manual_path(const char *partition, char *path, size_t size)
{
    size_t length = 0;

    path[0] = '\0';
    while (*partition) {
        bool top = length == 0, fixed;
        size_t word;

        partition += strspn(partition, "/");
        word = strcspn(partition, "/");
        if (word == 0)
            break;
        fixed = top && ((word == 7 && memcmp(partition, "machine", 7) == 0) ||
                        (word == 6 && memcmp(partition, "system", 6) == 0) ||
                        (word == 4 && memcmp(partition, "user", 4) == 0));
        fixed = fixed || memchr(partition, '.', word);
        length += (size_t)snprintf(path + length, size - length, "/%.*s%s", (int)word, partition,
                                   fixed ? "" : ".partition");
        if (length >= size)
            return -1;
        partition += word;
    }
    return 0;
}

/* Whether the first directory of `path` is there: which of the layouts it is. */
static bool top_exists(int mount, const char *path)
{
    char top[256];
    size_t length = path[0] ? strcspn(path + 1, "/") : 0;

    if (length == 0 || length >= sizeof(top))
        return false;
    memcpy(top, path + 1, length);
    top[length] = '\0';
    return faccessat(mount, top, F_OK, 0) == 0;
}

/* The effective set of `path` below the mount or, where that group is not
 * there or has no cpuset, of the nearest one above it: what is made later
 * inherits from that. */
static int nearest_effective(const struct vp_cgroups *cgroups, int mount, char *path,
                             struct vp_cpuset *cpus)
{
    int result;

    for (;;) {
        char *slash = strrchr(path, '/');

        result = vp_cpus_at_effective(cgroups, mount, path[0] ? path + 1 : ".", cpus);
        if (result != -ENOENT || !slash)
            return result;
        *slash = '\0';
    }
}

int vp_cgroup_partition_cpus(const struct vp_cgroups *cgroups, const char *partition,
                             struct vp_cpuset *cpus, struct vp_error *err)
{
    char slice[1024], manual[1024];
    int mount, result;

    *cpus = (struct vp_cpuset){0};
    if (cgroups->version == VP_CGROUP_NONE)
        return 0;
    if (partition[0] != '/' || strstr(partition, "/.."))
        return vp_fail(err, VP_INPUT,
                       "partition: found \"%.80s\", legal is an absolute path such as /machine",
                       partition);
    if (slice_path(partition, slice, sizeof(slice)) < 0 ||
        manual_path(partition, manual, sizeof(manual)) < 0)
        return vp_fail(err, VP_INPUT, "partition: \"%.80s...\" is too long", partition);
    mount = open(cgroups->mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mount < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", cgroups->mount);
    result = nearest_effective(cgroups, mount, top_exists(mount, slice) ? slice : manual, cpus);
    close(mount);
    if (result < 0)
        return vp_fail_errno(err, VP_HOST, -result, "the CPUs of the partition %s", partition);
    return 0;
}
