/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DISCOVER_FILES_H
#define VP_DISCOVER_FILES_H

#include <stddef.h>

struct vp_cpuset;
struct vp_error;

/* Small files of sysfs and procfs, below a root ("" for this host). */

/* The whole file ROOT/PATH into buf, NUL-terminated; one newline at the end is
 * dropped. The length, or -1 with errno (EFBIG where buf is too small). */
int vp_discover_read(const char *root, const char *path, char *buf, size_t size);

/* A CPU list as the kernel prints it (Documentation/admin-guide/cputopology.rst);
 * "(null)", which kernels print for nohz_full without one, and a missing file
 * are the empty set. 0, or -1 with VP_HOST. */
int vp_discover_cpus(const char *root, const char *path, struct vp_cpuset *set,
                     struct vp_error *err);

#endif
