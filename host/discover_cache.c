/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/discover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"
#include "host/discover_files.h"

/* A host that hot-plugs or switches a CPU or node changes one of these; a
 * reboot, with it another BIOS or kernel, changes the boot id. */
static const char *const stamp_files[] = {
    "/proc/sys/kernel/random/boot_id",
    "/sys/devices/system/cpu/online",
    "/sys/devices/system/cpu/present",
    "/sys/devices/system/node/online",
};

#define STAMP_PART 4096
#define STAMP_SIZE (4 * (STAMP_PART + 1) + 8)
#define CACHE_MAX (1u << 20) /* 8192 CPUs take about 300 KiB */

/* The same for a host that is only described: by the description, and its
 * file's time where it is one. */
static bool read_spec_stamp(const char *spec, char stamp[STAMP_SIZE])
{
    struct stat st = {0};

    if (stat(spec, &st) < 0)
        st = (struct stat){0};
    return !strchr(spec, '\n') &&
           snprintf(stamp, STAMP_SIZE, "stamp of %s %lld %lld.%09ld\n", spec, (long long)st.st_size,
                    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec) < STAMP_SIZE;
}

/* One line: "stamp BOOT-ID ONLINE PRESENT NODES\n"; "-" for a kernel without
 * that file. false if it would not fit, then nothing is cached. */
static bool read_stamp(const char *spec, char stamp[STAMP_SIZE])
{
    char *out = stpcpy(stamp, "stamp");

    if (spec)
        return read_spec_stamp(spec, stamp);

    for (size_t i = 0; i < sizeof(stamp_files) / sizeof(stamp_files[0]); i++) {
        *out++ = ' ';
        int length = vp_discover_read("", stamp_files[i], out, STAMP_PART);

        if (length < 0 && errno != ENOENT)
            return false;
        if (length <= 0) {
            *out = '-';
            length = 1;
        }
        out += length;
    }
    strcpy(out, "\n");
    return true;
}

static bool read_cache(const char *path, const char *stamp, struct vp_topology **topology)
{
    VP_AUTO(free) char *text = NULL;
    size_t stamp_length = strlen(stamp);
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > CACHE_MAX)
        return false;
    text = malloc((size_t)st.st_size + 2);
    if (!text)
        return false;
    int length = vp_discover_read("", path, text, (size_t)st.st_size + 1);
    if (length < 0 || strncmp(text, stamp, stamp_length) != 0)
        return false;
    text[length] = '\n'; /* which vp_discover_read dropped */
    text[length + 1] = '\0';
    return vp_topology_parse(text + stamp_length, topology, NULL) == 0;
}

static bool write_all(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        ssize_t put = write(fd, text, left);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        text += put;
        left -= (size_t)put;
    }
    return true;
}

/* Several hooks may write at once: each its own new file, the last one stays. */
static void write_cache(const char *path, const char *stamp, const struct vp_topology *topology)
{
    VP_AUTO(free) char *text = vp_topology_print(topology);
    char draft[PATH_MAX];
    bool good;
    int fd;

    if (!text || (size_t)snprintf(draft, sizeof(draft), "%s.XXXXXX", path) >= sizeof(draft))
        return;
    fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0)
        return;
    good = write_all(fd, stamp) && write_all(fd, text);
    if (close(fd) < 0 || !good || rename(draft, path) < 0)
        unlink(draft);
}

int vp_topology_cached(const char *run_dir, const char *spec, struct vp_topology **topology,
                       struct vp_error *err)
{
    char path[PATH_MAX];
    char stamp[STAMP_SIZE], after[STAMP_SIZE];
    bool stamped = read_stamp(spec, stamp);

    if ((size_t)snprintf(path, sizeof(path), "%s/topology", run_dir) >= sizeof(path))
        return vp_fail(err, VP_INPUT, "%.200s...: the path is too long", run_dir);
    if (stamped && read_cache(path, stamp, topology))
        return 0;
    if (vp_discover(spec, topology, err) < 0)
        return -1;
    /* A CPU that came or went meanwhile must not be cached under the old stamp. */
    if (stamped && read_stamp(spec, after) && strcmp(stamp, after) == 0)
        write_cache(path, stamp, *topology);
    return 0;
}
