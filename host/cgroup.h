/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CGROUP_H
#define VP_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "decide/cpuset.h"

struct vp_error;

/* The cpuset side of cgroups, v1, v2 and hybrid, by plain files: the hook's
 * path. What is not in its path uses libcgroup (hierarchy.h). Facts: kernel
 * Documentation/admin-guide/cgroup-v1/cpusets.rst and cgroup-v2.rst. */

enum vp_cgroup_version { VP_CGROUP_NONE, VP_CGROUP_V1, VP_CGROUP_V2 };

struct vp_cgroups {
    enum vp_cgroup_version version; /* the hierarchy that has the cpuset controller */
    char mount[256];                /* where it is mounted, e.g. /sys/fs/cgroup/cpuset */
    char proc[256];                 /* "/proc"; another root in tests */
};

/* Finds the hierarchy below cgroup_dir (/sys/fs/cgroup; a recorded tree in
 * tests) that has cpuset: v1 in DIR/cpuset (or a directory of joined
 * controllers that has cpuset.cpus), v2 where DIR/cgroup.controllers lists it.
 * VP_CGROUP_NONE where there is none (no error). proc NULL: "/proc". */
int vp_cgroups_find(const char *cgroup_dir, const char *proc, struct vp_cgroups *cgroups,
                    struct vp_error *err);

/* The same for the hierarchy that has the cpu controller: cpu.shares and
 * cpu.cfs_quota_us on v1, cpu.weight and cpu.max on v2. */
int vp_cgroups_find_cpu(const char *cgroup_dir, const char *proc, struct vp_cgroups *cgroups,
                        struct vp_error *err);

/* The directory of a process's group there; VP_GONE if it has ended. */
int vp_cgroup_cpu_of(const struct vp_cgroups *cgroups, pid_t pid, char *dir, size_t size,
                     struct vp_error *err);

/* The directory of the cpuset group of a process or, with tid > 0, of that
 * thread of it: from /proc/PID[/task/TID]/cgroup. VP_GONE if it has ended. */
int vp_cgroup_of(const struct vp_cgroups *cgroups, pid_t pid, pid_t tid, char *dir, size_t size,
                 struct vp_error *err);

/* The directory that holds a guest's emulator, vcpuN and iothreadN groups,
 * from its main thread's group: that path less "/emulator". VP_HOST with a
 * telling text if the path does not end so (the daemon runs without cgroups:
 * then only affinity can be used); VP_GONE as above. */
int vp_cgroup_guest_root(const struct vp_cgroups *cgroups, pid_t pid, char *dir, size_t size,
                         struct vp_error *err);

/* cpuset.cpus as written and as in effect (v1: cpuset.effective_cpus, the same
 * file where the kernel has none; v2: cpuset.cpus.effective). VP_GONE if the
 * group is not there. */
int vp_cgroup_read_cpus(const struct vp_cgroups *cgroups, const char *dir, struct vp_cpuset *cpus,
                        struct vp_cpuset *effective, struct vp_error *err);

/* Writes cpuset.cpus of one group. An empty set is refused (VP_INPUT). Kernel
 * errors become the operator's problem in words: EACCES or ENOSPC or EINVAL on
 * v1: CPUs not in the parent's cpuset; EBUSY; ENOENT = VP_GONE. */
int vp_cgroup_write_cpus(const struct vp_cgroups *cgroups, const char *dir,
                         const struct vp_cpuset *cpus, struct vp_error *err);

/* What guests of a partition ("/machine", "/machine/prod") may use: the
 * effective set of its slice or directory, the root's where it does not exist
 * yet. Empty where there is no cpuset controller. */
int vp_cgroup_partition_cpus(const struct vp_cgroups *cgroups, const char *partition,
                             struct vp_cpuset *cpus, struct vp_error *err);

#endif
