/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TEST_STANDIN_H
#define VP_TEST_STANDIN_H

/* A process that looks like QEMU from outside: its threads are named and lie
 * in cpuset groups as libvirt makes them, below the caller's own group (v1).
 * What was made is removed by standin_stop; the process ends with its parent
 * in any case. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cgroup.h"

#define STANDIN_THREADS 32

struct standin {
    struct vp_cgroups cgroups;
    char base[256], root[320]; /* base holds what is ours; root is the guest's directory */
    pid_t pid;
    pid_t tid[STANDIN_THREADS]; /* vCPUs, I/O threads, workers */
    unsigned vcpus, iothreads, workers;
};

struct standin_start {
    char name[24];
    pid_t tid;
};

static inline void *standin_thread(void *data)
{
    struct standin_start *start = data;

    prctl(PR_SET_NAME, start->name);
    __atomic_store_n(&start->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    for (;;)
        pause();
    return NULL;
}

/* Runs in the child: makes the threads, tells their ids, sleeps. */
static inline void standin_child(const struct standin *standin, int out, pid_t parent)
{
    static struct standin_start start[STANDIN_THREADS];
    unsigned count = standin->vcpus + standin->iothreads + standin->workers;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (unsigned i = 0; i < count; i++) {
        pthread_t thread;

        if (i < standin->vcpus)
            snprintf(start[i].name, sizeof(start[i].name), "CPU %u/TCG", i % 100);
        else if (i < standin->vcpus + standin->iothreads)
            snprintf(start[i].name, sizeof(start[i].name), "IO iothread%u", i - standin->vcpus + 1);
        else
            snprintf(start[i].name, sizeof(start[i].name), "worker");
        if (pthread_create(&thread, NULL, standin_thread, &start[i]) != 0)
            _exit(1);
    }
    for (unsigned i = 0; i < count; i++) {
        while (__atomic_load_n(&start[i].tid, __ATOMIC_ACQUIRE) == 0)
            usleep(100);
        if (write(out, &start[i].tid, sizeof(pid_t)) != sizeof(pid_t))
            _exit(1);
    }
    for (;;)
        pause();
}

static inline bool standin_put(const char *dir, const char *file, const char *text)
{
    char path[1024];
    ssize_t done;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    done = write(fd, text, strlen(text));
    close(fd);
    return done == (ssize_t)strlen(text);
}

/* The first line of DIR/FILE, in a static buffer; "" if there is none. */
static inline const char *standin_get(const char *dir, const char *file)
{
    static char text[4096];
    char path[1024];
    ssize_t got = -1;
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* A v1 group starts without CPUs and memory: it gets what the one above has. */
static inline bool standin_group(const char *above, const char *dir)
{
    char cpus[4096], mems[4096];

    if (mkdir(dir, 0755) < 0)
        return false;
    snprintf(cpus, sizeof(cpus), "%s", standin_get(above, "cpuset.cpus"));
    snprintf(mems, sizeof(mems), "%s", standin_get(above, "cpuset.mems"));
    return standin_put(dir, "cpuset.cpus", cpus) && standin_put(dir, "cpuset.mems", mems);
}

static inline bool standin_move(const char *dir, pid_t tid)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", (int)tid);
    return standin_put(dir, "tasks", text);
}

/* Removes a tree of groups, the innermost first. */
static inline void standin_remove(const char *dir)
{
    DIR *list = opendir(dir);
    struct dirent *entry;

    while (list && (entry = readdir(list))) {
        char path[1024];

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%.700s/%.255s", dir, entry->d_name);
        standin_remove(path);
    }
    if (list)
        closedir(list);
    for (int i = 0; i < 200 && rmdir(dir) < 0 && errno == EBUSY; i++)
        usleep(5000); /* the kernel lets a dead thread's group go a little later */
}

static inline void standin_stop(struct standin *standin)
{
    if (standin->pid > 0) {
        kill(standin->pid, SIGKILL);
        waitpid(standin->pid, NULL, 0);
    }
    if (standin->base[0])
        standin_remove(standin->base);
    *standin = (struct standin){0};
}

static inline bool standin_place_threads(const struct standin *standin)
{
    char dir[384], pid[16];

    snprintf(dir, sizeof(dir), "%s/emulator", standin->root);
    snprintf(pid, sizeof(pid), "%d", (int)standin->pid);
    if (!standin_group(standin->root, dir) || !standin_put(dir, "cgroup.procs", pid))
        return false;
    for (unsigned i = 0; i < standin->vcpus + standin->iothreads; i++) {
        if (i < standin->vcpus)
            snprintf(dir, sizeof(dir), "%s/vcpu%u", standin->root, i);
        else
            snprintf(dir, sizeof(dir), "%s/iothread%u", standin->root, i - standin->vcpus + 1);
        if (!standin_group(standin->root, dir) || !standin_move(dir, standin->tid[i]))
            return false;
    }
    return true;
}

static inline bool standin_run(struct standin *standin)
{
    unsigned count = standin->vcpus + standin->iothreads + standin->workers;
    pid_t parent = getpid();
    int ends[2];
    bool good = true;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    standin->pid = fork();
    if (standin->pid == 0) {
        close(ends[0]);
        standin_child(standin, ends[1], parent);
        _exit(1);
    }
    close(ends[1]);
    for (unsigned i = 0; i < count && good; i++)
        good = read(ends[0], &standin->tid[i], sizeof(pid_t)) == sizeof(pid_t);
    close(ends[0]);
    return standin->pid > 0 && good;
}

/* Removes what a test that failed half-way has left: its process is gone, its
 * groups are empty. Also what an owner that has died left. For a main's end. */
static inline void standin_sweep(void)
{
    struct vp_cgroups cgroups;
    char own[200], dir[512];
    struct dirent *entry;
    DIR *list;

    if (geteuid() != 0 || vp_cgroups_find("/sys/fs/cgroup", NULL, &cgroups, NULL) < 0 ||
        cgroups.version != VP_CGROUP_V1 ||
        vp_cgroup_of(&cgroups, getpid(), 0, own, sizeof(own), NULL) < 0)
        return;
    list = opendir(own);
    while (list && (entry = readdir(list))) {
        int owner;

        if (sscanf(entry->d_name, "vptest-%d-", &owner) != 1 ||
            (owner != getpid() && (kill(owner, 0) == 0 || errno != ESRCH)))
            continue;
        snprintf(dir, sizeof(dir), "%s/%.255s", own, entry->d_name);
        standin_remove(dir);
    }
    if (list)
        closedir(list);
}

/* Check runs each test in a fork; the runner outlives them. */
static pid_t standin_owner;

/* NULL, or why this machine cannot do it. Counts up to STANDIN_THREADS in all. */
static inline const char *standin_start(struct standin *standin, unsigned vcpus, unsigned iothreads,
                                        unsigned workers)
{
    static unsigned serial;
    char own[200];

    *standin = (struct standin){.vcpus = vcpus, .iothreads = iothreads, .workers = workers};
    if (geteuid() != 0)
        return "needs root";
    if (vp_cgroups_find("/sys/fs/cgroup", NULL, &standin->cgroups, NULL) < 0 ||
        standin->cgroups.version != VP_CGROUP_V1)
        return "needs a cgroup v1 cpuset hierarchy";
    if (vp_cgroup_of(&standin->cgroups, getpid(), 0, own, sizeof(own), NULL) < 0)
        return "has no group of its own to work in";
    snprintf(standin->base, sizeof(standin->base), "%s/vptest-%d-%d-%u", own,
             (int)(standin_owner ? standin_owner : getpid()), (int)getpid(), serial++);
    if (!standin_group(own, standin->base)) {
        standin->base[0] = '\0';
        return "may not make cpuset groups";
    }
    snprintf(standin->root, sizeof(standin->root), "%s/qemu-1-standin.libvirt-qemu", standin->base);
    if (standin_run(standin) && standin_group(standin->base, standin->root) &&
        standin_place_threads(standin))
        return NULL;
    standin_stop(standin);
    return "could not make the stand-in's groups";
}

#endif
