/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_THREADS_PRIV_H
#define VP_THREADS_PRIV_H

#include "host/threads.h"

/* What threads.c and threadsvhost.c share. */

/* Appends: 0, or -1 without memory. */
int vp_threads_add(struct vp_threads *threads, enum vp_role role, unsigned index, pid_t tid);
bool vp_threads_has(const struct vp_threads *threads, pid_t tid);

/* Adds the vhost threads of the guest that are none of its process, where
 * fewer than `expected` are known: before Linux 6.4 they are the kernel's own
 * threads, named "vhost-PID". 0, or -1 without memory. */
int vp_threads_add_vhosts(const char *proc, unsigned expected, struct vp_threads *threads,
                          struct vp_error *err);

#endif
