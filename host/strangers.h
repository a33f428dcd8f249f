/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_STRANGERS_H
#define VP_STRANGERS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "decide/cpuset.h"

/* Who really runs on CPUs that guests have for themselves: by /proc, a bounded
 * number of threads at a time. A thread counts when its CPU time rose between
 * two looks and it was on such a CPU at both. To the clock tick (10 ms), and a
 * thread that is there for less than a round of looks is not seen. */

enum vp_stranger_kind {
    VP_STRANGER_HOST,   /* a process of the host's */
    VP_STRANGER_GUEST,  /* a guest that is not managed */
    VP_STRANGER_KERNEL, /* the kernel's, and not bound to this CPU */
    VP_STRANGER_KINDS,
};
const char *vp_stranger_word(enum vp_stranger_kind kind); /* "host", "guest", "kernel" */

struct vp_stranger {
    pid_t pid, tid;
    enum vp_stranger_kind kind;
    int cpu;                   /* where it was seen last */
    uint64_t ran_ms;           /* on such CPUs, since it was seen first; 0: it only was there */
    int64_t first_ms, last_ms; /* when it was seen to have run, since 1970 */
    long uid;                  /* -1: unknown */
    char comm[32], unit[128];
    char guest[128]; /* its name, kind guest */
    char owner[128]; /* the guest whose CPU it is */
    uint64_t start, ticks;
};

struct vp_strangers {
    struct vp_stranger *item; /* owned; also those that only were there */
    size_t count;
    uint64_t total_ms[VP_STRANGER_KINDS]; /* of all there were */
    DIR *procs, *tasks;                   /* where the walk is; NULL: it begins anew */
    pid_t pid;                            /* whose tasks */
};

/* What a look needs to know. */
struct vp_stranger_host {
    const char *proc;                  /* "/proc" */
    const struct vp_cpuset *dedicated; /* CPUs that somebody has for himself */
    /* whether a process (tid 0), or a thread on that CPU, is a managed guest's */
    bool (*ours)(const void *data, pid_t pid, pid_t tid, int cpu);
    const char *(*owner)(const void *data, int cpu); /* a guest's name; "" none */
    const void *data;
};

/* Looks again at those it knows and at most at `budget` further threads. */
void vp_strangers_look(struct vp_strangers *strangers, const struct vp_stranger_host *host,
                       unsigned budget, int64_t now_ms);
void vp_strangers_clear(struct vp_strangers *strangers);

/* A guest whose timer chip (PIT) the kernel plays has a thread of the kernel's
 * for it, "kvm-pit/PID" (arch/x86/kvm/i8254.c), in none of its groups: where one
 * is among the strangers, its mask is set to what `cpus_of` says of the process
 * (false: it is left alone). How many were set. */
unsigned vp_strangers_place_pits(const struct vp_strangers *strangers,
                                 bool (*cpus_of)(const void *data, pid_t pid,
                                                 struct vp_cpuset *cpus),
                                 const void *data);

/* ---- RUN-DIR/strangers: totals, and those who ran in the last minutes, the
 * busiest first ---- */
int vp_strangers_write(const struct vp_strangers *strangers, FILE *file, int64_t now_ms);
/* Missing file: none. What is no line of ours is passed over. 0, or -1 without
 * memory; the caller clears. */
int vp_strangers_read(struct vp_strangers *strangers, const char *run_dir);

#endif
