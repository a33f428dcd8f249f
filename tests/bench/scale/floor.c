/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/scale/floor.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/scale/guests.h"

#define FILES (THREADS + 2 * GROUPS) /* that a full look of a guest reads */

/* The sweep's cheap question, asked bare: is each task directory as it was, has
 * each thread its mask? At the sweep's own pace: right after one another such
 * calls find all in the processor's caches, and cost a third. */
double floor_quick(unsigned rounds)
{
    double spent = 0;

    for (unsigned round = 0; round < rounds; round++) {
        double began;

        usleep(SWEEP_US);
        began = used_us();
        for (unsigned i = 0; i < guest_count; i++) {
            unsigned char mask[1024];
            struct stat st;
            char path[32];

            snprintf(path, sizeof(path), "/proc/%d/task", guests[i].pid);
            stat(path, &st);
            for (unsigned j = 0; j < THREADS; j++)
                syscall(SYS_sched_getaffinity, preload ? 0 : guests[i].tid[j], sizeof(mask), mask);
        }
        spent += used_us() - began;
    }
    return spent / rounds;
}

/* The files of guest i that a full look reads, opened. */
static int open_all(unsigned i, int *file)
{
    char dir[256], path[320];
    int count = 0;

    for (unsigned j = 0; j < THREADS; j++) {
        group_of(&guests[i], j, dir, sizeof(dir));
        snprintf(path, sizeof(path), "/proc/%d/task/%d/cgroup", guests[i].pid, guests[i].tid[j]);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
        if (j == THREADS - 1)
            continue;
        snprintf(path, sizeof(path), "%s/cpuset.cpus", dir);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(path, sizeof(path), "%s/cpuset.effective_cpus", dir);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
    }
    return count;
}

static void look_bare(unsigned i, const int *file)
{
    unsigned char mask[1024];
    char text[4096];

    for (unsigned j = 0; j < THREADS; j++)
        syscall(SYS_sched_getaffinity, preload ? 0 : guests[i].tid[j], sizeof(mask), mask);
    for (unsigned j = 0; j < FILES; j++)
        if (pread(file[j], text, sizeof(text), 0) < 0)
            die("pread");
}

static double look_bare_at_all(unsigned from, unsigned to, int (*file)[FILES], unsigned rounds)
{
    double spent = 0;

    for (unsigned round = 0; round < rounds; round++) {
        double began;

        usleep(SWEEP_US);
        began = used_us();
        for (unsigned i = from; i < to; i++)
            look_bare(i, file[i - from]);
        spent += used_us() - began;
    }
    return spent / rounds;
}

/* Everything, bare: each thread's mask and group, each group's file and what is in effect of it. As
 * a sweep does it, one guest after the other and at its pace; as many at once as files may be open.
 */
double floor_full(unsigned rounds)
{
    struct rlimit limit;
    unsigned at_once;
    int(*file)[FILES];
    double spent = 0;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    at_once = (unsigned)((limit.rlim_cur < 100000 ? limit.rlim_cur : 100000) - 200) / FILES;
    file = calloc(at_once, sizeof(*file));
    if (!file)
        die("memory");
    for (unsigned from = 0; from < guest_count; from += at_once) {
        unsigned to = from + at_once < guest_count ? from + at_once : guest_count;

        for (unsigned i = from; i < to; i++)
            if (open_all(i, file[i - from]) != FILES)
                die("files");
        spent += look_bare_at_all(from, to, file, rounds);
        for (unsigned i = from; i < to; i++)
            for (unsigned j = 0; j < FILES; j++)
                close(file[i - from][j]);
    }
    free(file);
    return spent;
}
