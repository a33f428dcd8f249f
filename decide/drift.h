/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DRIFT_H
#define VP_DRIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/cpuset.h"
#include "decide/pins.h"
#include "decide/topology.h"

/* What is wanted against what is seen. Pure. */

/* What a thread really has. Sets that are not known are flagged, not empty. */
struct vp_seen {
    enum vp_role role;
    unsigned index;
    pid_t tid;
    bool has_cpuset;            /* the guest's groups have the cpuset controller */
    struct vp_cpuset cpuset;    /* cpuset.cpus of the thread's group; v2: empty = unset */
    struct vp_cpuset effective; /* what the kernel makes of it, ancestors included */
    struct vp_cpuset affinity;  /* sched_getaffinity */
    char group[512];            /* the group's directory, "" if unknown */
    bool astray;                /* it is in another group than libvirt's for its role */
};

enum vp_drift_kind {
    VP_DRIFT_AFFINITY,
    VP_DRIFT_CPUSET,
    VP_DRIFT_CPUSET_ABOVE,
    VP_DRIFT_MEMS,
    VP_DRIFT_PIN,
    VP_DRIFT_GROUP, /* a thread in another group than libvirt's for it */
    VP_DRIFT_SCHEDULER,
    VP_DRIFT_SHARES,
    VP_DRIFT_QUOTA,
    VP_DRIFT_PARTITION, /* cpuset-above, where another group's cpuset partition has the CPUs */
    VP_DRIFT_MISSING,
    VP_DRIFT_DEFINITION,
    VP_DRIFT_KINDS, /* how many there are */
};
const char *vp_drift_kind_word(enum vp_drift_kind kind); /* "affinity", "cpuset-above", ... */
/* The kind of that word; -1 if there is none. */
int vp_drift_kind_parse(const char *word);

struct vp_diff {
    enum vp_role role;
    unsigned index;
    pid_t tid; /* 0 for missing */
    enum vp_drift_kind kind;
    struct vp_cpuset wanted, found;
    char where[512]; /* file, or "" */
};

struct vp_diffs {
    struct vp_diff *item;
    size_t count;
};
void vp_diffs_clear(struct vp_diffs *diffs);

/* What is wanted of a thread: its own pin; for workers, helpers and vhost
 * threads without a pin the emulator's, except in the group of a vCPU or an I/O thread, of
 * which they have that one's pin: a thread pool's worker is born in its I/O
 * thread's group, and no mask reaches beyond a group's cpuset. `group` is the
 * last part of the group's path or all of it, "" if unknown. NULL: nothing. */
const struct vp_pin *vp_drift_wanted(const struct vp_pins *wanted, enum vp_role role,
                                     unsigned index, const char *group);

/* What the file of that group should say for a thread of it that is to have
 * `pin`: the emulator's group also holds vhost threads, whose pins may differ. */
void vp_drift_group(const struct vp_pins *wanted, const struct vp_pin *pin, const char *group,
                    struct vp_cpuset *cpus);

/* Compares one guest. Roles without an own pin in `wanted` (workers, vhost,
 * helpers) are compared with the emulator's pin; threads of which nothing is
 * wanted are skipped. At most one difference a thread and kind:
 * cpuset: the group's own file differs (v2 unset counts as different unless
 * effective equals wanted); cpuset-above: the file is right but effective is
 * narrower; affinity: the thread's mask is not wanted & online, unless
 * cpuset-above already explains it; group: the thread is astray, then its
 * group's files are not judged; missing: a wanted emulator thread that is
 * not there (vCPUs and I/O threads that are not plugged are not missing).
 * Offline CPUs in `wanted` are no difference. 0, or -1 without memory. */
int vp_drift_compare(const struct vp_pins *wanted, const struct vp_seen *seen, size_t seen_count,
                     const struct vp_cpuset *online, struct vp_diffs *diffs);

/* Takes the missing out: of some of a guest's threads nobody can tell which are. */
void vp_drift_drop_missing(struct vp_diffs *diffs);

/* libvirt's pins against the wanted ones, kind pin; a thread without a pin in
 * libvirt counts as `all_online`. */
int vp_drift_compare_pins(const struct vp_pins *wanted, const struct vp_pins *libvirt,
                          const struct vp_cpuset *online, struct vp_diffs *diffs);

/* ---- one difference over time (the ledger's drift row) ---- */
enum vp_drift_state {
    VP_DRIFT_OPEN,
    VP_DRIFT_REPAIRED,
    VP_DRIFT_CONTESTED,
    VP_DRIFT_HELD,
    VP_DRIFT_AUDIT,
    VP_DRIFT_STATES, /* how many there are */
};
const char *vp_drift_state_word(enum vp_drift_state state);
int vp_drift_state_parse(const char *word); /* -1 if there is none */

struct vp_culprit {
    pid_t pid; /* 0: unknown */
    char comm[32];
    long uid; /* -1: unknown */
    char unit[128];
    char tty[32];
    bool exact; /* named by the kernel for this very write; else the likely one */
};

struct vp_drift_record {
    int64_t id; /* 0: not yet in the ledger */
    char guest[128];
    char uuid[37];
    pid_t tid;
    enum vp_role role;
    unsigned index;
    enum vp_drift_kind kind;
    char where[512];
    struct vp_cpuset wanted, found;
    char wanted_text[256], found_text[256]; /* kind definition: words instead of sets; "" else */
    int64_t first_ms, last_ms;              /* since 1970, UTC */
    unsigned count;
    enum vp_drift_state state;
    int64_t repaired_ms; /* 0: not */
    int64_t repair_us;   /* event (or detection) to read-back; -1: not */
    struct vp_culprit by;
};

/* When a thing counts as contested: `count` repairs within `window_ms`; then
 * repairs wait 1 s, doubling to 5 min; over after 10 min without recurrence. */
struct vp_contest {
    int64_t repairs[16]; /* ring of the last repair times, ms */
    unsigned repair_count;
    bool contested;
    int64_t next_repair_ms, backoff_ms, last_seen_ms;
};
/* Notes a sighting at now_ms; true if a repair may be made now. *began is set
 * when it becomes contested by this call. count 1..16. */
bool vp_contest_may_repair(struct vp_contest *contest, int64_t now_ms, unsigned count,
                           int64_t window_ms, bool *began);
void vp_contest_repaired(struct vp_contest *contest, int64_t now_ms);
/* True once, when 10 min passed without recurrence; the contest is reset. */
bool vp_contest_over(struct vp_contest *contest, int64_t now_ms);

#endif
