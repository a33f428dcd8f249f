/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PIN_H
#define VP_PIN_H

#include "decide/drift.h"
#include "decide/pins.h"
#include "host/cgroup.h"
#include "host/threads.h"

struct vp_error;

/* Puts pins in force on a guest's threads and looks at what they have. */

struct vp_seen_list {
    struct vp_seen *item;
    size_t count;
};
void vp_seen_clear(struct vp_seen_list *list);

/* What every thread has now. Threads that end meanwhile are left out. */
int vp_pin_look(const struct vp_cgroups *cgroups, const struct vp_threads *threads,
                const char *guest_root, struct vp_seen_list *seen, struct vp_error *err);

struct vp_pin_report {
    unsigned cpusets_written, affinities_set, gone;
    struct vp_diffs left; /* what still differs after the read-back; the caller clears */
    int denied;           /* errno where the kernel lets us write nothing (EPERM, EROFS ...), 0 */
    char tuning[256];     /* vp_engine_apply: why the tuning is not in force; "" it is */
};

/* For each thread that has a pin (workers, vhost, helpers: the emulator's):
 * the cpuset of its group, then its affinity, then both read back. Only what
 * differs is written unless `always`. A group's file is written once for all
 * its threads. Threads that end meanwhile are counted in gone, no error. What
 * the kernel refuses stands in report->left and, the first of it, in *err
 * (returns 0 all the same: the rest was done; err->code is VP_OK if nothing
 * was refused and nothing is left). `threads` may be some of a guest's only. If the guest's own
 * directory, the groups' parent, keeps a pin out, it is widened as far as the group above it
 * allows. -1 only without memory. Without a cpuset controller (guest_root ""): affinity only. Never
 * moves a thread between groups, never writes cpuset.mems. */
int vp_pin_apply(const struct vp_cgroups *cgroups, const struct vp_threads *threads,
                 const char *guest_root, const struct vp_pins *pins, const struct vp_cpuset *online,
                 bool always, struct vp_pin_report *report, struct vp_error *err);

/* The same for threads that were looked at just now: where they are is not asked
 * again. Only what differs is written. */
int vp_pin_apply_seen(const struct vp_cgroups *cgroups, const struct vp_seen_list *seen,
                      const char *guest_root, const struct vp_pins *pins,
                      const struct vp_cpuset *online, struct vp_pin_report *report,
                      struct vp_error *err);

#endif
