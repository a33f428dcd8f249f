/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SCALE_GUESTS_H
#define VP_SCALE_GUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct vp_cgroups;

/* Stand-ins for guests, and the host around them, of tests/bench/bench_scale.c.
 * Whatever does not work ends the program with status 3, tidied. */

#define THREADS 16 /* emulator, 13 vCPUs, an I/O thread, a worker */
#define VCPUS 13
#define GROUPS (VCPUS + 2)
#define GUESTS_MOST 8000

struct guest {
    pid_t pid, tid[THREADS];
    char root[200];
};
extern struct guest guests[GUESTS_MOST];
extern unsigned guest_count;
extern pid_t enforcer;      /* 0: none; tidy() ends it */
extern const char *preload; /* of guests that are files; NULL: they are processes */
extern const char *proc;    /* the real one */

/* By the clock, and what this process has used: the machine may have other work. */
double now_us(void);
double used_us(void);

bool put(const char *path, const char *text);
/* The file's first line, "" if it has none or is not there. */
void get(const char *path, char *text, size_t size);

void stop_enforcer(void);
/* Ends the enforcer and all guests, and removes their groups. */
void tidy(void);
void die(const char *what);
void on_signal(int number);

/* A mount namespace with an empty /run and a policy, and a group for guests. */
void make_host(struct vp_cgroups *cgroups);
/* For guests that are files, after make_host(). */
void make_up_host(void);
/* One guest more: a process with its threads and groups, or files. */
void add_guest(void);
void make_up_guest(void);
/* The directory of the group of a guest's thread; `dir` is returned. */
char *group_of(const struct guest *guest, unsigned i, char *dir, size_t size);

#endif
