/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_CGROUPFILE_H
#define VP_CGROUPFILE_H

#include <sys/types.h>

#include "decide/cpuset.h"
#include "host/cgroup.h"

struct vp_error;

/* Small kernel files by descriptor, without stdio: what cgroup.c, threads.c
 * and pin.c are made of. */

#define VP_CPUSET_FILE "cpuset.cpus"

/* Reads a whole file below `dir` (AT_FDCWD: path as it is) and ends it with a
 * NUL. The length, or -errno; -EFBIG if it does not fit. */
ssize_t vp_file_read(int dir, const char *path, char *buf, size_t size);
/* The same for the first line only, without its newline: one read where the
 * whole file needs two. */
ssize_t vp_file_read_line(int dir, const char *path, char *buf, size_t size);
typedef ssize_t (*vp_file_reader)(int dir, const char *path, char *buf, size_t size);

/* The CPUs in an open cpuset file, read from its start. 0 or -errno; -EIO if
 * the kernel's text is no list. */
int vp_cpus_fd_read(int fd, struct vp_cpuset *cpus);
/* 0 or -errno. */
int vp_cpus_fd_write(int fd, const struct vp_cpuset *cpus);

/* CPUs in the file `name` of the group directory `group` below dir; 0 or -errno. */
int vp_cpus_at_read(int dir, const char *group, const char *name, struct vp_cpuset *cpus);
/* The effective set of a group, by the file that this kernel has for it. */
int vp_cpus_at_effective(const struct vp_cgroups *cgroups, int dir, const char *group,
                         struct vp_cpuset *cpus);

/* Fills *err with the operator's reading of a failed write of `cpus` to
 * GROUP/cpuset.cpus; `number` is the errno. Returns -1. */
int vp_cgroup_write_failed(enum vp_cgroup_version version, const char *group,
                           const struct vp_cpuset *cpus, int number, struct vp_error *err);

/* Finds the line of the cpuset hierarchy in the text of /proc/PID/cgroup and
 * cuts its path out (the text is changed). NULL if there is none. Pure. */
char *vp_cgroup_line(enum vp_cgroup_version version, char *text);
/* The same for another controller. */
char *vp_cgroup_line_of(enum vp_cgroup_version version, const char *controller, char *text);

#endif
