/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENGINE_H
#define VP_ENGINE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "decide/domain.h"
#include "decide/finding.h"
#include "decide/plan.h"
#include "decide/policy.h"
#include "decide/topology.h"
#include "host/cgroup.h"
#include "host/conf.h"
#include "host/ledger.h"
#include "host/pin.h"
#include "host/tune.h"

struct vp_error;

/* Decisions on this host, the same for hook, enforcer and ctl: bookings and
 * policy give the plan, the plan is applied. Links no libvirt. */
struct vp_engine {
    struct vp_conf_where where;
    struct vp_policy_set *set;    /* owned */
    bool stale;                   /* the files are broken: set is the last good one */
    struct vp_findings findings;  /* of loading */
    struct vp_topology *topology; /* owned */
    struct vp_cgroups cgroups;
    struct vp_cgroups cpu_cgroups; /* the hierarchy that has the cpu controller */
    struct vp_ledger *ledger;      /* owned; NULL until vp_engine_ledger */
    bool rebuilt;                  /* the ledger was missing or broken: adopt what runs */
    char nodename[256];
    char status_dir[PATH_MAX];     /* libvirt's status files */
    char definition_dir[PATH_MAX]; /* and its definitions */
    char sys_root[PATH_MAX];       /* where /sys is: "/", a recorded root, "" nowhere */
    struct vp_kept *kept;          /* owned; NULL: holdings are read for each decision */
    unsigned lock_ms;              /* how long a decision waits for the ledger */
};

/* For the command line. spec NULL: this host, as vp_engine_open_here. Else
 * another host with the shape of `spec` (as vp_discover has it): nothing of
 * this one is read but the policy files, nothing is written.
 * vp_engine_close is legal after a failure. */
int vp_engine_open(struct vp_engine *engine, const struct vp_conf_where *where, const char *spec,
                   struct vp_error *err);
/* This host: loads policies (in force), the topology (cached; of `spec` where
 * a test or benchmark says so, NULL else) and the cgroup layout. */
int vp_engine_open_here(struct vp_engine *engine, const struct vp_conf_where *where,
                        const char *spec, struct vp_error *err);
int vp_engine_ledger(struct vp_engine *engine, bool may_create, struct vp_error *err);
void vp_engine_close(struct vp_engine *engine);
static inline void vp_engine_cleanup(struct vp_engine *engine)
{
    vp_engine_close(engine);
}

/* Which policy a domain has on this host. */
void vp_engine_choose(const struct vp_engine *engine, const struct vp_domain *domain,
                      struct vp_choice *choice);

/* The holdings of all guests in the ledger; *holding is the caller's. */
int vp_engine_holdings(struct vp_engine *engine, struct vp_holding **holding, size_t *count,
                       struct vp_error *err);
/* Between true and false, a pass over many guests, what they hold is kept in
 * memory and read again only when others decided. */
void vp_engine_keep(struct vp_engine *engine, bool keep);
/* Today's shared pool of that name, NULL: the default one. */
int vp_engine_pool(struct vp_engine *engine, const char *name, struct vp_cpuset *pool,
                   struct vp_error *err);
/* Takes from `pool` what guests of that partition may not use; not where that would leave
 * nothing, or where narrowing above guests is undone ([host] manage-slices). */
void vp_engine_pool_within(const struct vp_engine *engine, const char *partition,
                           struct vp_cpuset *pool);

/* Plans without booking anything (explain, plan, rewrite). */
enum vp_plan_result vp_engine_would(struct vp_engine *engine, const struct vp_domain *domain,
                                    const struct vp_choice *choice, struct vp_plan **plan,
                                    struct vp_place_answer *answer, struct vp_findings *findings,
                                    struct vp_error *err);

/* Who asks for a lease. */
struct vp_asker {
    const char *operation; /* "prepare", "migrate", "restore" */
    pid_t daemon_pid;
};

/* Plans and books in one transaction; a running guest's confirmed booking is
 * never replaced. *plan (the caller's, may come back NULL under mode off) is
 * what was booked, or under audit what would be. REFUSED: *err. */
enum vp_plan_result vp_engine_book(struct vp_engine *engine, const struct vp_domain *domain,
                                   const struct vp_choice *choice, const struct vp_asker *asker,
                                   struct vp_plan **plan, struct vp_findings *findings,
                                   struct vp_error *err);

/* started: the lease (or, without one that fits, a decision made now) becomes a
 * running booking of process `pid`. 0, or 1 if the decision was made now: then
 * nobody has made room yet. -1: *err. */
int vp_engine_confirm(struct vp_engine *engine, const struct vp_domain *domain, pid_t pid,
                      struct vp_error *err);

/* The guest has stopped: frees its CPUs, or keeps them for hold_ms. A row whose
 * pid is another, still living process is left alone. */
int vp_engine_free(struct vp_engine *engine, const char *uuid, int64_t hold_ms,
                   struct vp_error *err);

/* reserve = always: *plan is what a defined guest has, runs on, or gets now and
 * keeps while it is off. The guest is not started. */
enum vp_plan_result vp_engine_reserve(struct vp_engine *engine, const struct vp_domain *domain,
                                      const struct vp_choice *choice, struct vp_plan **plan,
                                      struct vp_findings *findings, struct vp_error *err);
/* Ends the reservation of a guest that is off; nothing where there is none. */
int vp_engine_unreserve(struct vp_engine *engine, const char *uuid, struct vp_error *err);

/* The CPU sets that a guest's threads should have now, the pool filled in and
 * kept to what its partition may use. Nothing for a guest without a place. The
 * caller clears *pins. */
int vp_engine_pins(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_domain *domain, struct vp_pins *pins, struct vp_error *err);

/* Puts pins in force on the threads of a guest whose status file was read.
 * report may be NULL, the caller clears report->left. */
int vp_engine_pin_status(struct vp_engine *engine, const struct vp_status *status,
                         const struct vp_pins *pins, bool always, struct vp_pin_report *report,
                         struct vp_error *err);

/* Finds the cpu controller and notes in every policy of the set what this host
 * can hold of its tuning: whoever replaces engine->set calls it again. */
int vp_engine_tuning_facts(struct vp_engine *engine, struct vp_error *err);

/* Puts the plan's shares, period, quota and scheduler in force on a guest whose
 * status file was read; nothing where the row's plan is not in force. What the
 * kernel refuses stands in *report (may be NULL; the caller clears left) and in
 * *err, and 0 is returned. */
int vp_engine_tune(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_status *status, struct vp_tune_report *report,
                   struct vp_error *err);

/* What `was` put in force and `now` does not becomes what the definition says. */
int vp_engine_tune_back(struct vp_engine *engine, const struct vp_status *status,
                        const struct vp_tuning *was, const struct vp_tuning *now,
                        struct vp_error *err);

/* Puts a running guest's plan in force and reads it back; repeats when the
 * ledger's gen rose meanwhile. Under audit nothing is written. *report may be
 * NULL. VP_GONE if the guest has ended. */
int vp_engine_apply(struct vp_engine *engine, const char *uuid, bool always,
                    struct vp_pin_report *report, struct vp_error *err);

/* Applies to every running guest of the ledger that uses the shared pool (but
 * `except`, may be NULL): after bookings changed. Goes on after a guest's
 * failure; the first error is returned. */
int vp_engine_apply_pool(struct vp_engine *engine, const char *except, struct vp_error *err);

/* A lease this old whose guest runs is one whose `started` was lost: adopting
 * makes it a running booking. */
#define VP_STARTED_LATE_MS 10000

/* Takes a running guest, known by its status file, into the ledger if it is
 * not there: keeps the pins that it has if they satisfy the policy and are
 * free (libvirt's first, then the threads' masks), else places it anew if that
 * takes no CPU from anybody, else notes it as unplaced. *adopted may be NULL.
 * Nothing is applied. */
int vp_engine_adopt(struct vp_engine *engine, const char *name, bool *adopted,
                    struct vp_error *err);
/* Adopts all in order of process start, and frees rows whose process is dead
 * and leases that have ended. `changed` (may be NULL) is true if bookings did.
 * Goes on after a guest that cannot be read (-1, *err the first of them), which
 * does not keep a ledger made anew from being taken for complete. */
int vp_engine_adopt_all(struct vp_engine *engine, bool *changed, struct vp_error *err);

/* What a guest runs on by its definition alone (the file in /etc/libvirt/qemu,
 * if there is one): its pins, else its vcpu cpuset, else every CPU that its
 * partition may use. The caller clears *pins. */
int vp_engine_unmanaged_pins(struct vp_engine *engine, const struct vp_domain *live,
                             struct vp_pins *pins, struct vp_error *err);

/* Puts a guest back on what its definition says. */
int vp_engine_give_back(struct vp_engine *engine, const struct vp_status *status, bool always,
                        struct vp_error *err);

/* Forgets a running guest and gives it back what its definition says. Nothing
 * is done if another run of the guest has taken the row's place. */
int vp_engine_unmanage(struct vp_engine *engine, const struct vp_guest_row *row,
                       struct vp_error *err);

/* Policies changed: a running guest's new plan replaces the old if it takes no
 * CPU from anybody, else pending says why not. *changed true if it did. A guest
 * that nothing is put in force for any more (no policy, mode off or audit,
 * placement none) is given back what its definition says. */
int vp_engine_replan(struct vp_engine *engine, const char *uuid, bool *changed,
                     struct vp_error *err);

/* Whether libvirt has snapshots of the guest (files below
 * /var/lib/libvirt/qemu/snapshot/NAME). */
bool vp_guest_has_snapshots(const char *name);

#endif
