/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_WATCHED_H
#define VP_WATCHED_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "decide/drift.h"
#include "decide/pins.h"
#include "enforcer/kept.h"
#include "enforcer/packed.h"
#include "host/ledger.h"
#include "host/pin.h"
#include "host/threads.h"

struct vp_engine;
struct vp_error;
struct vp_memfollow;

/* What the enforcer keeps in memory of one guest of the ledger. */

/* One difference of a guest over time. */
struct vp_case {
    struct vp_drift_record record; /* role, index and kind are its key within the guest */
    struct vp_contest contest;
    bool standing;    /* seen by the last look and not put right */
    bool asked;       /* kind pin: libvirt was asked to repair it */
    bool said;        /* the journal has heard of this occurrence */
    bool unsaved;     /* the ledger has not got the latest of it */
    uint64_t look;    /* the look that saw it last */
    int64_t event_us; /* when this occurrence began, monotonic */
};

/* A write to a cpuset file by somebody, from fanotify. */
struct vp_write {
    char where[512];
    struct vp_culprit by;
    bool libvirt; /* the daemon's */
    bool foreign; /* neither libvirt's nor ours */
    bool taken;   /* it had its first look (enforcer/first.h) */
    int64_t at_us;
};
#define VP_WRITES_KEPT 8

/* A call that changed a thread, as the kernel's tracing told it; one a thread. */
struct vp_call {
    pid_t tid;
    struct vp_culprit by;
    bool scheduler; /* its scheduling class, else its affinity */
    bool libvirt;   /* the daemon's */
    bool foreign;   /* neither libvirt's nor ours */
    bool moved;     /* it is no call, but the thread was put into another group */
    bool taken;     /* it had its first look */
    int64_t at_us;
};
#define VP_CALLS_MAX 1024

struct vp_watched {
    struct vp_guest_row row; /* the ledger's, as read last, without its plans */
    struct vp_planned plan;
    bool audit;
    bool in_ledger;           /* its row was there when all were read last */
    struct vp_status *status; /* libvirt's status file, its domain NULL; NULL: not read; owned */
    struct vp_known known;    /* ... of that domain */
    bool status_changed;      /* libvirt wrote it since it was read */
    char root[1024];          /* the guest's cpuset group, "" without the controller */
    bool fresh;               /* first contact: what differs is applied and is no drift */
    bool waiting;             /* something differs that may not be applied yet */
    bool resolved;            /* the row's wants are in pins, and freed */
    bool first;               /* what happened is to have its first look (enforcer/first.h) */
    struct vp_packed pins;    /* what each thread should have now */
    struct vp_packed before;  /* ... and had to have a moment before pins_since_ms */
    int64_t pins_since_ms;
    int64_t plan_since_ms;      /* since when the ledger has the plan that it has */
    int64_t libvirt_since_us;   /* since when threads follow pins of libvirt's that differ; 0 */
    bool told;                  /* libvirt's pins were seen to be ours since then */
    struct vp_threads threads;  /* as the last full look found them */
    struct vp_threads followed; /* those whose calls are traced */
    unsigned char *mask;        /* their affinity then, mask_size bytes each; owned */
    size_t mask_size;
    unsigned long task_links;    /* number of links of /proc/PID/task then */
    int64_t look_at_us;          /* when to look in full, monotonic; 0: not due */
    int64_t event_us;            /* the event that the coming look answers; 0: none */
    int64_t busy_since_us;       /* ... continuously since then; 0: not */
    int64_t busy_until_us;       /* libvirt (or a hook) is at work on its groups; 0: not */
    int64_t setup_since_us;      /* since when a thread is not in its own group; 0 */
    int64_t mems_until_us;       /* libvirt may have opened its memory nodes until then */
    struct vp_memfollow *follow; /* its memory, where a plan binds it; owned */
    uint64_t looks;
    struct vp_write *write; /* since the last look; owned */
    size_t write_room;      /* VP_WRITES_KEPT, or 0: none */
    unsigned writes;
    struct vp_call *calls; /* since the last look; owned */
    size_t call_count;
    int64_t thread_look_us; /* when new threads were, or are to be, looked at last */
    struct vp_case *cases;  /* owned */
    size_t case_count;
};

/* Takes *row over (it is empty afterwards). NULL without memory. */
struct vp_watched *vp_watched_new(struct vp_guest_row *row);
void vp_watched_free(struct vp_watched *guest);

/* Replaces the row by a newer one, which is taken over. 0, or -1 without memory. */
int vp_watched_row(struct vp_watched *guest, struct vp_guest_row *row);

/* Whether there is a plan that the guest is compared with: the ledger's, under
 * audit the one that enforce would have made. */
bool vp_watched_compared(const struct vp_watched *guest);
/* ... and its tuning; NULL: nothing of that is wanted. */
const struct vp_tuning *vp_watched_tuning(const struct vp_watched *guest);
bool vp_watched_audit(const struct vp_watched *guest);
/* The CPUs that it has for itself alone, by its plan, and the nodes that its
 * memory is bound to; empty: none. */
void vp_watched_own(const struct vp_watched *guest, struct vp_cpuset *cpus);
void vp_watched_nodes(const struct vp_watched *guest, struct vp_cpuset *nodes);
/* libvirt's <numatune> of it; never NULL. */
const struct vp_guest_numatune *vp_watched_numatune(const struct vp_watched *guest);

/* Resolves the wanted pins of a row just read against today's pool; *changed if
 * they are others than before. 0, or -1 without memory. */
int vp_watched_resolve(struct vp_watched *guest, const struct vp_cpuset *pool, int64_t now_ms,
                       bool *changed);

/* Reads the status file and the guest's groups again where they changed.
 * VP_GONE if the guest has ended. */
int vp_watched_refresh(struct vp_watched *guest, struct vp_engine *engine, struct vp_error *err);

/* Keeps threads and masks for the next quick look. Takes *threads over. The masks
 * are those of `seen`, or with NULL, or where a thread is not in it, read now. */
void vp_watched_remember(struct vp_watched *guest, struct vp_threads *threads,
                         const struct vp_seen_list *seen);
/* The sweep's cheap question: are there the same threads with the same masks
 * as at the last full look? One stat and one sched_getaffinity a thread. */
bool vp_watched_quiet(const struct vp_watched *guest);
/* Whether that thread was there at the last full look. */
bool vp_watched_knows(const struct vp_watched *guest, pid_t tid);

/* A place for a write to that file, in the place of an older one; *lost is set
 * if that was of another file and had not been looked at. NULL without memory. */
struct vp_write *vp_watched_write_add(struct vp_watched *guest, const char *where, bool *lost);
/* The last write to that file since the last look, NULL: none was seen. */
const struct vp_write *vp_watched_write(const struct vp_watched *guest, const char *where);

/* A place for a call on that thread, in the place of an older one; NULL: no room. */
struct vp_call *vp_watched_call_add(struct vp_watched *guest, pid_t tid);
/* The last call on that thread since the last look, NULL: none was seen. */
const struct vp_call *vp_watched_call(const struct vp_watched *guest, pid_t tid);
/* Writes and calls before then, monotonic, have been looked at. */
void vp_watched_forget_events(struct vp_watched *guest, int64_t before_us);

/* Brings the next look forward to at_us (monotonic microseconds). */
void vp_watched_due(struct vp_watched *guest, int64_t at_us);

#endif
