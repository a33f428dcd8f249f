/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIEW_H
#define VP_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/cpuset.h"
#include "decide/drift.h"
#include "decide/finding.h"
#include "decide/pins.h"
#include "decide/plan.h"
#include "host/guestmemory.h"
#include "host/memoryfile.h"
#include "host/strangers.h"

struct vp_ctl;
struct vp_engine;
struct vp_error;

/* What `status` shows: gathered from ledger, /proc, cgroups and libvirt's
 * status files, without a call of libvirt. */

struct vp_view_thread {
    enum vp_role role;
    unsigned index;
    pid_t tid;
    bool has_wanted, has_libvirt, has_cpuset;
    struct vp_cpuset wanted, libvirt; /* libvirt: its pin, else all online CPUs */
    struct vp_cpuset cpuset;          /* of its group; on v2 what is in effect where unset */
    struct vp_cpuset affinity;
    bool ok; /* the kernel has it as wanted; true where nothing is */
};

enum vp_view_state {
    VP_VIEW_LEASE,
    VP_VIEW_RUNNING,
    VP_VIEW_RESERVED,
    VP_VIEW_UNMANAGED, /* runs, and no policy has it */
    VP_VIEW_UNPLACED,  /* has a policy and no place under it */
};
const char *vp_view_state_word(enum vp_view_state state);

struct vp_view_guest {
    char *name;
    char uuid[37];
    pid_t pid; /* 0: none */
    int64_t since_ms;
    char *policy; /* NULL: none */
    enum vp_chosen_by chosen_by;
    enum vp_mode mode;
    enum vp_view_state state;
    int64_t held_until_ms;
    enum vp_placement placement;
    struct vp_cpuset cpus, nodes;
    bool exclusive_known; /* the guest has CPUs of its own, booked and in force */
    bool exclusive;
    struct vp_cpuset own; /* those CPUs */
    char *pending, *unplaced;
    unsigned open, contested, repaired, audit;
    struct vp_view_thread *thread;
    size_t thread_count;
    struct vp_memory_nodes *memory; /* where its pages are; NULL: not asked for, not known */
};

struct vp_enforcer_facts {
    bool known, running;
    pid_t pid;
    int64_t since_ms, last_sweep_ms;
    int64_t sweep_lag_us, sweep_us; /* -1: unknown */
    char libvirt[32];               /* "connected", "reconnecting", "" unknown */
    bool can_repair;
    char why[256];      /* "" none */
    char remedy[256];   /* against it; "" none */
    char blind[8][256]; /* what it does not see at once, a sentence each */
    size_t blind_count;
};

struct vp_view_pool {
    char name[64];
    struct vp_cpuset cpus; /* now: without booked ones */
    unsigned ratio, vcpus; /* of the guests in it */
};

struct vp_view {
    int64_t now_ms;
    char host[256];
    bool enabled;
    char disabled_why[256];
    struct vp_enforcer_facts enforcer;
    struct vp_cpuset reserved, dedicated, idle, shared; /* shared: all pools */
    struct vp_view_pool *pool;                          /* at least the default one */
    size_t pool_count;
    int64_t policy_loaded_ms;
    struct vp_view_guest *guest; /* by name */
    size_t guest_count;
    struct vp_memory_moving moving; /* whose memory is on its way; uuid "": nobody's */
    struct vp_strangers strangers;  /* on dedicated CPUs, as the enforcer saw them last */
    struct vp_findings findings;
};

/* Gathers everything; with `only` that guest's row alone is kept (VP_INPUT if
 * there is none), but looks at all for exclusiveness. The ledger of `engine`
 * is opened if there is one. The caller clears, also after a failure. */
int vp_view_gather(const struct vp_ctl *ctl, struct vp_engine *engine, const char *only,
                   struct vp_view *view, struct vp_error *err);
void vp_view_clear(struct vp_view *view);
static inline void vp_view_cleanup(struct vp_view *view)
{
    vp_view_clear(view);
}

/* True if `status` has to end with 1. */
bool vp_view_has_finding(const struct vp_view *view);

/* ---- parts (view_*.c) ---- */

/* RUN-DIR/enforcer; running only if that process lives. */
void vp_enforcer_read(const char *run_dir, struct vp_enforcer_facts *facts);

/* Fills guest[] and the sets of the view from ledger and status files. */
int vp_view_guests(struct vp_engine *engine, struct vp_view *view, struct vp_error *err);

/* Fills pool[] and shared. */
int vp_view_pools(struct vp_engine *engine, struct vp_view *view, struct vp_error *err);
/* The CPUs of the pool of that name, NULL: the default one. */
const struct vp_cpuset *vp_view_pool(const struct vp_view *view, const char *name);

/* Fills memory of every guest in the view that runs. It makes the kernel walk
 * their page tables: for few guests. */
int vp_view_memory(struct vp_view *view, struct vp_error *err);
/* The move of memory that is under way for it; NULL: none. */
const struct vp_memory_moving *vp_view_moving(const struct vp_view *view,
                                              const struct vp_view_guest *guest);
/* What of it is on other nodes than the guest's CPUs, in KiB. */
uint64_t vp_view_elsewhere(const struct vp_view_guest *guest);

/* Sets exclusive of every guest, with a finding for each that is not. */
int vp_view_exclusive(struct vp_view *view);

/* Findings about the host, the enforcer and guests. */
int vp_view_findings(const struct vp_engine *engine, struct vp_view *view);

/* ---- output (status_*.c) ---- */
void vp_status_json(const struct vp_engine *engine, const struct vp_view *view);
void vp_status_text(const struct vp_engine *engine, const struct vp_view *view, bool threads);

#endif
