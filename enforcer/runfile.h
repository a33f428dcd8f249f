/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_RUNFILE_H
#define VP_RUNFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "enforcer/sight.h"

struct vp_error;

/* RUN-DIR/enforcer: lines key=value that say who enforces here and how well.
 * Readers take it only while its pid and start are those of a process. */
struct vp_runfile {
    char *dir; /* owned; NULL: not open */
    int lock_fd;
    int fd; /* of the file now at the path, -1: none */
    int64_t since_ms;
    int64_t last_sweep_ms;
    int64_t sweep_lag_us, sweep_us;  /* how late the last sweep began, how long it took */
    bool connected;                  /* libvirt=connected, else reconnecting */
    char why[256];                   /* "" : can_repair=yes; else can_repair=no and this why= */
    char remedy[256];                /* what would help against it, remedy=; "": none */
    char blind[VP_SIGHT_COUNT][200]; /* what only the sweep sees, a blind= each; "": none */
};

/* Makes the directory (0700) where it is missing, and takes
 * RUN-DIR/enforcer.lock for the life of the process. VP_REFUSED naming the
 * other's pid where another enforcer runs; VP_HOST else. */
int vp_runfile_open(struct vp_runfile *file, const char *run_dir, struct vp_error *err);

/* Writes it anew (write, rename); call after every change of a member. */
int vp_runfile_write(struct vp_runfile *file, struct vp_error *err);

/* Only what is about the last sweep, in place; and file and lock anew where they were deleted. */
void vp_runfile_swept(struct vp_runfile *file, int64_t now_ms);

/* Removes the file and gives the lock back. Legal when it was never opened. */
void vp_runfile_close(struct vp_runfile *file);

#endif
