/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOST_MEMORYFILE_H
#define VP_HOST_MEMORYFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "decide/cpuset.h"

struct vp_error;

/* RUN-DIR/memory: whose memory the enforcer is moving, and how far it is. There
 * while it does; readers take it only while that enforcer runs. */
struct vp_memory_moving {
    char uuid[37];
    struct vp_cpuset nodes; /* where it goes */
    int64_t since_ms;
    uint64_t total_kib, left_kib;
};

/* Writes it anew (write, rename). 0, or -1 (VP_HOST). */
int vp_memoryfile_write(const char *run_dir, const struct vp_memory_moving *moving,
                        struct vp_error *err);
void vp_memoryfile_remove(const char *run_dir);

/* False where there is none, or it says nothing. */
bool vp_memoryfile_read(const char *run_dir, struct vp_memory_moving *moving);

#endif
