/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TUNE_H
#define VP_TUNE_H

#include "decide/domain.h"
#include "decide/tuning.h"
#include "host/cgroup.h"

struct vp_error;

/* Shares, period, quota and schedulers of a running guest, by plain files and
 * system calls: the hook's path. `cpu` is what vp_cgroups_find_cpu found. */

/* What a guest has now: its own group's shares (the scope's under systemd, the
 * parent of libvirt's groups else), each vCPU's group and thread. What cannot be
 * read is flagged as unknown; vCPUs that end meanwhile are left out. The caller
 * clears. VP_GONE if the process has ended. */
int vp_tune_look(const struct vp_cgroups *cpu, const struct vp_status *status,
                 struct vp_tuned *tuned, struct vp_error *err);

struct vp_tune_report {
    unsigned written;            /* files and threads */
    struct vp_tuning_diffs left; /* what still differs after the read-back; the caller clears */
};

/* Writes what differs from `wanted`, then reads all of it back. What the kernel
 * refuses (EPERM for fifo and rr) stands in report->left and, the first of it, in
 * *err: returns 0 all the same. -1 without memory or VP_GONE. */
int vp_tune_apply(const struct vp_cgroups *cpu, const struct vp_status *status,
                  const struct vp_tuning *wanted, struct vp_tune_report *report,
                  struct vp_error *err);

/* What this host can hold of tuning. `cpu` as above; the kernel with RT_GROUP_SCHED
 * is told by cpu.rt_runtime_us (v1), where a new group has no real-time time. */
struct vp_tuning_host vp_tune_host(const struct vp_cgroups *cpu);

#endif
