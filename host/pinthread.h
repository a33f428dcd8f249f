/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PINTHREAD_H
#define VP_PINTHREAD_H

#include "decide/drift.h"
#include "host/cgroup.h"
#include "host/threads.h"

/* One thread's place and mask: what looking and applying have in common. */

struct vp_pin_eye {
    const struct vp_cgroups *cgroups;
    const char *root; /* the guest's directory; "": no cpuset controller */
    int task_fd;      /* /proc/PID/task; -1: the process has ended */
    int root_fd;      /* the guest's directory; -1: none */
};

/* pid 0: no thread will be located. */
void vp_pin_eye_open(struct vp_pin_eye *eye, const struct vp_cgroups *cgroups, pid_t pid,
                     const char *guest_root);
void vp_pin_eye_close(struct vp_pin_eye *eye);

/* Fills role, index, tid, has_cpuset, group and astray. 0, or -ESRCH if the
 * thread has ended. */
int vp_pin_locate(const struct vp_pin_eye *eye, const struct vp_thread *thread,
                  struct vp_seen *seen);

/* The group's own file, what is in force, and the thread's mask. 0 or -errno;
 * -ESRCH if the thread or its group is gone. Of the group all is taken from
 * `other` where that is a thread of it that was read just now; NULL: none. */
int vp_pin_read(const struct vp_pin_eye *eye, struct vp_seen *seen, const struct vp_seen *other);

/* sched_getaffinity(2), sched_setaffinity(2); 0 or -errno. */
int vp_affinity_get(pid_t tid, struct vp_cpuset *cpus);
int vp_affinity_set(pid_t tid, const struct vp_cpuset *cpus);

#endif
