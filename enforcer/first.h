/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_FIRST_H
#define VP_FIRST_H

#include <stdbool.h>
#include <stdint.h>

struct vp_threads;
struct vp_watched;

/* What is looked at before its guest as a whole: somebody wrote the CPUs of one
 * group, or called for one thread's mask, and the event says which. */

/* A guest is looked at in full this long after that: what one hand did, another
 * event tells of. */
#define VP_FIRST_THEN_FULL_US 100000
/* What is contested waits for its time, but is looked at so often. */
#define VP_FIRST_CONTESTED_US 1000000

/* Whether `where` is cpuset.cpus of a group of the guest's that has its threads. */
bool vp_first_is_cpus(const struct vp_watched *guest, const char *where);

/* Fills *threads (empty; the caller clears) with those that writes and calls
 * since the last look were about, of those that it saw. False if it takes more
 * than that to judge: libvirt's or our own hand in it, another file, a group or
 * a scheduler changed. What is contested and not yet to be repaired is left
 * out, and *contested set. */
bool vp_first_threads(const struct vp_watched *guest, int64_t now_ms, struct vp_threads *threads,
                      bool *contested);

/* They have been looked at: the next first look is about what comes now. */
void vp_first_taken(struct vp_watched *guest);

#endif
