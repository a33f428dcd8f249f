/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_THREADS_H
#define VP_THREADS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/domain.h"
#include "decide/drift.h"
#include "decide/pins.h"
#include "host/cgroup.h"

struct vp_error;

/* Where libvirt keeps status files: /run/libvirt/qemu (a compile-time path of
 * libvirt; VP_LIBVIRT_STATUS_DIR in the build overrides). */
#ifndef VP_LIBVIRT_STATUS_DIR
#define VP_LIBVIRT_STATUS_DIR "/run/libvirt/qemu"
#endif

/* Reads and parses DIR/NAME.xml. VP_GONE if there is none; the caller frees.
 * A NAME with a slash, or "." or "..", is VP_INPUT. */
int vp_status_load(const char *status_dir, const char *name, struct vp_status **status,
                   struct vp_error *err);

/* Field 22 of /proc/PID/stat (clock ticks after boot): with the pid it names a
 * process for ever. 0 if there is no such process. */
uint64_t vp_process_start(const char *proc, pid_t pid);
/* The running qemu domains' names by their status files, sorted; the caller
 * frees each and the array. Missing directory: none. */
int vp_status_names(const char *status_dir, char ***names, size_t *count, struct vp_error *err);

struct vp_thread {
    enum vp_role role;
    unsigned index;
    pid_t tid;
};
struct vp_threads {
    pid_t pid;
    struct vp_thread *item; /* emulator first, vCPUs by id, I/O threads by id, the rest by tid */
    size_t count;
};
void vp_threads_clear(struct vp_threads *threads);

/* The threads of a guest now: vCPUs by the status file's ids, I/O threads by
 * their names ("IO iothreadN"), the main thread as emulator, "vhost-..." as
 * vhost, others as workers, and other processes of its emulator group as
 * helpers. guest_root may be "" (no cgroups: no helpers). VP_GONE if the
 * process has ended. */
int vp_threads_list(const struct vp_cgroups *cgroups, pid_t pid, const struct vp_status *status,
                    const char *guest_root, struct vp_threads *threads, struct vp_error *err);

/* Who a process is: comm, uid, systemd unit (from its cgroup), tty. Fields
 * that cannot be read stay unknown. */
void vp_culprit_of(const char *proc, pid_t pid, struct vp_culprit *culprit);

/* The unit alone; "" if it cannot be read. */
void vp_culprit_unit_of(const char *proc, pid_t pid, char *unit, size_t size);

/* The systemd unit of a group of the v2 hierarchy, by its inode number there;
 * "" if it has none, or the group is gone, or this process may not ask
 * (CAP_DAC_READ_SEARCH). */
void vp_culprit_unit(const char *v2_mount, uint64_t group, char *unit, size_t size);

#endif
