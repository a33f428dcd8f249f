/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SIGHT_H
#define VP_SIGHT_H

#include <stdbool.h>
#include <stdint.h>

struct vp_enforcer;

/* What the enforcer sees at once and what only the sweep shows it. */

enum vp_sight_of {
    VP_SIGHT_WRITES, /* fanotify on cgroups */
    VP_SIGHT_CALLS,  /* tracing */
    VP_SIGHT_STATUS, /* inotify on libvirt's status files */
    VP_SIGHT_FILES,  /* inotify on policies and virtpin.conf */
    VP_SIGHT_DEFINITIONS,
    VP_SIGHT_LEDGER, /* inotify on the run directory */
    VP_SIGHT_CPUS,   /* the kernel's messages of CPUs going off and on */
    VP_SIGHT_COUNT,
};

struct vp_sight {
    char blind[VP_SIGHT_COUNT][200];  /* why not at once; "": it does */
    int64_t until_us[VP_SIGHT_COUNT]; /* monotonic: blind after an overflow; 0: for good */
    int64_t looked_us;                /* when an overflow made us look at all guests last */
    bool look_wanted;                 /* another one came too soon after it */
};

/* Sweeps are this far apart under sweep = auto: where all is seen at once and
 * nothing is under way, and else. */
#define VP_SWEEP_REST_MS 30000
#define VP_SWEEP_MS 2000

/* It does not work, and why, as a sentence's end; NULL: it does again. */
void vp_sight_blind(struct vp_enforcer *enforcer, enum vp_sight_of what, const char *why);

/* Some of its events were lost: all guests are looked at, the sweep has its
 * quicker pace for a while, the journal has it, and status says so meanwhile. */
void vp_sight_lost(struct vp_enforcer *enforcer, enum vp_sight_of what);

/* At each sweep: what was lost long ago is forgotten, and what could not be
 * looked at at once is due now. */
void vp_sight_check(struct vp_enforcer *enforcer);

/* Milliseconds to the next sweep as things are now. */
unsigned vp_sight_pace_ms(const struct vp_enforcer *enforcer);

#endif
