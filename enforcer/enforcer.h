/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENFORCER_H
#define VP_ENFORCER_H

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "enforcer/definitionwatch.h"
#include "enforcer/intent.h"
#include "enforcer/memlook.h"
#include "enforcer/runfile.h"
#include "enforcer/sight.h"
#include "enforcer/unable.h"
#include "enforcer/virtside.h"
#include "enforcer/watched.h"
#include "host/engine.h"
#include "host/strangers.h"

struct vp_error;
struct vp_trace;

/* The watching thread and all that it owns. It never calls libvirt: what
 * needs libvirt is asked of the libvirt side (virtside.h) and not waited for. */
struct vp_enforcer {
    struct vp_conf_where where; /* as given on the command line */
    const char *topology;       /* --topology, NULL: this host */
    struct vp_engine engine;
    struct vp_runfile run;
    struct vp_intent intent;
    struct vp_virtside *virtside;
    sd_event *event;

    struct vp_watched **guest; /* the ledger's rows, by uuid */
    size_t guest_count;
    struct vp_cpuset pool;

    /* the ledger as it was read last */
    uint64_t gen;
    bool rebuilding;     /* it was made anew, and not all is adopted yet */
    bool sync_wanted;    /* something wrote to it */
    bool adopt_wanted;   /* guests are to be adopted, dead rows to be freed */
    int64_t adopt_at_us; /* the same, later; 0: not */
    bool first_sync;     /* start: rows that are there are no first contact */

    bool disabled;
    char disabled_why[256];
    char trouble[256]; /* why nothing can be decided (the ledger is not to be had ...) */
    struct vp_unable unable;
    bool writes_limited, calls_limited; /* enforcer/fight.h */
    bool noted;      /* a guest is due, or to have its first look, by an event just read */
    pid_t pid;       /* our own */
    bool swept_only; /* no fanotify: every sweep looks in full */
    uint64_t sweeps;
    struct vp_trace *trace; /* NULL: not to be had here */
    struct vp_sight sight;
    struct vp_memwork memwork;
    struct vp_strangers strangers;
    int64_t strangers_us; /* when they were looked at last */
    bool strangers_said;  /* there are dedicated CPUs, and the file says who is on them */
    sd_event_source *sweep;
    int64_t next_sweep_us;

    /* [host] repair-limit */
    int64_t repairs_since_us;
    unsigned repairs;
    bool limit_said;

    char online_text[1024]; /* /sys/devices/system/cpu/online as of the topology */
    sd_event_source *due;   /* the next look */
    sd_event_source *reload;
    int fanotify, status_fd, conf_fd, run_fd, definition_fd, uevent_fd; /* -1: not open */
    int conf_wd;                       /* the highest number of the watched directories */
    uint64_t conf_sum, definition_sum; /* of their files, where they are not watched; 0: not yet */
    int status_wd;                     /* of the status directory, 0: it is not there */
    struct vp_restored restored;
    struct {
        char text[200];
        int64_t at_us;
    } said[8]; /* complaints made lately */
};

/* Everything but the watchers: lock, engine, ledger. `enforcer` holds where
 * and topology; vp_enforcer_close is legal after a failure. */
int vp_enforcer_open(struct vp_enforcer *enforcer, struct vp_error *err);
void vp_enforcer_close(struct vp_enforcer *enforcer);

/* The loop, until SIGTERM or SIGINT: 0; or -1. Tells systemd when it is ready. */
int vp_enforcer_run(struct vp_enforcer *enforcer, struct vp_error *err);

/* The guest of that uuid or name; NULL: not in the ledger. */
struct vp_watched *vp_enforcer_guest(struct vp_enforcer *enforcer, const char *uuid);
/* ... among the first `count`, for while others are being added. */
struct vp_watched *vp_enforcer_among(struct vp_enforcer *enforcer, size_t count, const char *uuid);
/* Guests were added: they are put in order. */
void vp_enforcer_sort(struct vp_enforcer *enforcer);
struct vp_watched *vp_enforcer_named(struct vp_enforcer *enforcer, const char *name);

/* Looks at every guest whose time has come and sets the timer for the next. */
void vp_enforcer_run_due(struct vp_enforcer *enforcer);

/* Says what went wrong in the journal; the same text once a minute. */
void vp_enforcer_complain(struct vp_enforcer *enforcer, const struct vp_error *err);

/* Writes RUN-DIR/enforcer when what it says changed. */
void vp_enforcer_state(struct vp_enforcer *enforcer);

#endif
