/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/memoryfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"

int vp_memoryfile_write(const char *run_dir, const struct vp_memory_moving *moving,
                        struct vp_error *err)
{
    char path[PATH_MAX], fresh[PATH_MAX], nodes[1024];
    int fd, written;

    snprintf(path, sizeof(path), "%.4000s/memory", run_dir);
    snprintf(fresh, sizeof(fresh), "%.4000s/memory.new", run_dir);
    vp_cpuset_print(&moving->nodes, nodes, sizeof(nodes));
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", fresh);
    written = dprintf(fd,
                      "uuid=%s\nnodes=%s\nsince_ms=%" PRId64 "\ntotal_kib=%" PRIu64
                      "\nleft_kib=%" PRIu64 "\n",
                      moving->uuid, nodes, moving->since_ms, moving->total_kib, moving->left_kib);
    close(fd);
    if (written > 0 && rename(fresh, path) == 0)
        return 0;
    vp_fail_errno(err, VP_HOST, errno, "cannot write %s", path);
    unlink(fresh);
    return -1;
}

void vp_memoryfile_remove(const char *run_dir)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.4000s/memory", run_dir);
    unlink(path);
}

static bool take(struct vp_memory_moving *moving, const char *key, const char *value)
{
    if (strcmp(key, "uuid") == 0)
        snprintf(moving->uuid, sizeof(moving->uuid), "%.36s", value);
    else if (strcmp(key, "nodes") == 0)
        return vp_cpuset_parse(&moving->nodes, value, NULL) == 0;
    else if (strcmp(key, "since_ms") == 0)
        moving->since_ms = strtoll(value, NULL, 10);
    else if (strcmp(key, "total_kib") == 0)
        moving->total_kib = strtoull(value, NULL, 10);
    else if (strcmp(key, "left_kib") == 0)
        moving->left_kib = strtoull(value, NULL, 10);
    return true;
}

bool vp_memoryfile_read(const char *run_dir, struct vp_memory_moving *moving)
{
    char path[PATH_MAX], line[1100];
    bool good = true;
    FILE *file;

    *moving = (struct vp_memory_moving){0};
    snprintf(path, sizeof(path), "%.4000s/memory", run_dir);
    file = fopen(path, "re");
    if (!file)
        return false;
    while (good && fgets(line, sizeof(line), file)) {
        char *equal = strchr(line, '=');

        line[strcspn(line, "\n")] = '\0';
        if (!equal)
            continue;
        *equal = '\0';
        good = take(moving, line, equal + 1);
    }
    fclose(file);
    return good && moving->uuid[0] && moving->total_kib > 0 &&
           moving->left_kib <= moving->total_kib;
}
