/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_GUESTMEMORY_H
#define VP_GUESTMEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/plan.h"

struct vp_error;

/* What of a process lies on which node, by the kernel's numbers. */
struct vp_memory_nodes {
    uint64_t kib[VP_NODES_MAX];
};

/* Adds one line of numa_maps (proc(5): "N<node>=<pages>", of kernelpagesize_kB
 * each, 4 where that is missing); what is no such word is passed over. */
void vp_memory_add_line(const char *line, struct vp_memory_nodes *nodes);

/* One line: a mapping and where its pages are. */
struct vp_memory_area {
    uint64_t start;
    uint64_t page_kib;
    bool file;  /* of a file, which other processes may have mapped too */
    bool moves; /* what the process has written, not its program and libraries */
    struct vp_memory_nodes nodes;
};
/* False where the line is none. */
bool vp_memory_area(const char *line, struct vp_memory_area *area);

/* Sums PROC/PID/numa_maps: every page that the process has, its own and those
 * that it shares, huge pages as well. The kernel walks the page tables for it,
 * which takes some milliseconds a GiB of small pages; not for loops. VP_GONE
 * where the process has ended. */
int vp_memory_read(const char *proc, pid_t pid, struct vp_memory_nodes *nodes,
                   struct vp_error *err);

#endif
