/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MADEUP_HOST_H
#define VP_MADEUP_HOST_H

/* A /proc and a directory of cpuset groups that are files on a tmpfs, for more
 * threads than the machine can have. Nothing that is read of a guest by path is
 * missing; what is alike is one file with many names. In the caller's mount
 * namespace. The real /proc is at MADEUP_REAL_PROC. */

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/madeup/ids.h"

#define MADEUP_REAL_PROC "/run/proc"

static inline bool madeup_put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return done == (ssize_t)strlen(text);
}

/* Another name for the file with that text; the first makes it. A name's file
 * is in `dir`, on whose file system it has to be. */
static inline bool madeup_alike(const char *dir, const char *kind, const char *path,
                                const char *text)
{
    char alike[300];

    snprintf(alike, sizeof(alike), "%s/.%s", dir, kind);
    for (char *c = alike + strlen(dir) + 1; *c; c++)
        if (*c == '/' || *c == ' ')
            *c = '-';
    if (link(alike, path) == 0)
        return true;
    /* also where the file has as many names as it may have */
    unlink(alike);
    return madeup_put(alike, text) && link(alike, path) == 0;
}

/* That process as the real /proc has it. */
static inline void madeup_show(const char *name)
{
    char real[300], path[300];

    snprintf(real, sizeof(real), MADEUP_REAL_PROC "/%.200s", name);
    snprintf(path, sizeof(path), "/proc/%.200s", name);
    if (symlink(real, path) < 0)
        return; /* it is there */
}

static inline bool madeup_proc(void)
{
    struct dirent *entry;
    DIR *dir;

    mkdir(MADEUP_REAL_PROC, 0755);
    if (mount("proc", MADEUP_REAL_PROC, "proc", 0, NULL) < 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, "mode=755,nr_inodes=0,size=8g") < 0)
        return false;
    dir = opendir(MADEUP_REAL_PROC);
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.' && (entry->d_name[0] < '0' || entry->d_name[0] > '9'))
            madeup_show(entry->d_name);
    if (dir)
        closedir(dir);
    return dir != NULL;
}

/* A thread of process `pid` in `group`, the path below the hierarchy's mount. */
static inline bool madeup_thread(int pid, int tid, const char *comm, const char *group)
{
    char path[160], text[512];

    snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
    if (mkdir(path, 0755) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", pid, tid);
    snprintf(text, sizeof(text), "%s\n", comm);
    if (!madeup_alike("/proc", comm, path, text))
        return false;
    snprintf(text, sizeof(text), "12:cpuset:%.450s\n0::/\n", group);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/cgroup", pid, tid);
    if (!madeup_put(path, text))
        return false;
    if (pid != tid)
        return true;
    snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
    return madeup_put(path, text);
}

static inline bool madeup_process(int pid)
{
    char path[160], text[300];

    snprintf(path, sizeof(path), "/proc/%d", pid);
    if (mkdir(path, 0755) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    if (mkdir(path, 0755) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    snprintf(
        text, sizeof(text),
        "%d (qemu) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 16 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
        "17 0 0 0 0 0 0\n",
        pid, pid);
    return madeup_put(path, text);
}

/* A group with the files that are read of one; `base` is where all are. */
static inline bool madeup_group(const char *base, const char *dir, const char *cpus,
                                const char *mems, const char *tasks)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.effective_cpus", "cpuset.mems",
                                        "cpuset.effective_mems", "cpuset.sched_load_balance"};
    char path[400], text[300];

    if (mkdir(dir, 0755) < 0)
        return false;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%.350s/%s", dir, files[i]);
        snprintf(text, sizeof(text), "%s\n", i < 2 ? cpus : i < 4 ? mems : "1");
        if (!madeup_alike(base, files[i], path, text))
            return false;
    }
    snprintf(path, sizeof(path), "%.350s/tasks", dir);
    return tasks ? madeup_put(path, tasks) : madeup_alike(base, "tasks", path, "");
}

#endif
