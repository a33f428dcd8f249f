/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENGINE_PRIV_H
#define VP_ENGINE_PRIV_H

#include "host/engine.h"

/* What engine.c, book.c, apply.c and adopt.c share. */

/* Everything of an engine but policies, topology, cgroups and ledger. */
int vp_engine_begin(struct vp_engine *engine, const struct vp_conf_where *where,
                    struct vp_error *err);

/* Where the /sys of the host of `spec` is. */
void vp_engine_sys_root(struct vp_engine *engine, const char *spec);

/* What a ledger row holds; nothing exclusive under audit or unplaced. */
void vp_holding_of(const struct vp_topology *topology, const struct vp_guest_row *row,
                   struct vp_holding *holding);

/* The holdings of all guests; *own (the caller frees it, may be NULL) where they
 * are not kept. Inside an open transaction they are what is decided on. */
int vp_holdings_now(struct vp_engine *engine, const struct vp_holding **holding, size_t *count,
                    struct vp_holding **own, struct vp_error *err);
/* A row was put, in a transaction that is about to be committed; and: it was
 * not, or somebody else's part of the ledger was written. */
void vp_kept_put(struct vp_engine *engine, const struct vp_guest_row *row);
void vp_kept_drop(struct vp_engine *engine);

/* What guests of that partition may use; empty: everything. */
void vp_engine_allowed(const struct vp_engine *engine, const char *partition,
                       struct vp_cpuset *allowed);

/* A planning input without holdings and keep. */
void vp_engine_input(const struct vp_engine *engine, const struct vp_domain *domain,
                     const struct vp_choice *choice, struct vp_plan_input *input);

/* The CPUs of a plan's threads in the order of vp_plan_input.keep; threads
 * without exactly one CPU are -1. The caller frees; NULL without memory. */
int *vp_keep_of_plan(const struct vp_plan *plan, const struct vp_domain *domain);

/* The same of where they were before CPUs went offline; NULL: nowhere else. */
int *vp_keep_of_home(const struct vp_plan *plan, const struct vp_domain *domain);

/* Whether a row's plan keeps the guest's threads somewhere. */
bool vp_row_in_force(const struct vp_guest_row *row);

/* The tuning that a row keeps in force; nothing if it does not. */
struct vp_tuning vp_row_tuning(const struct vp_guest_row *row);

/* The definition on disk, without pins that virtpin wrote; NULL if there is none. */
struct vp_domain *vp_engine_definition(const struct vp_engine *engine, const char *name);

/* Whether the process still runs (a zombie does not). */
bool vp_process_alive(pid_t pid, uint64_t start);

/* Whether a row holds nothing any more: a running guest whose process is dead,
 * a lease whose time or whose daemon has ended. */
bool vp_row_ended(const struct vp_guest_row *row, int64_t now_ms);

/* Plans with the ledger's holdings inside an open transaction. */
enum vp_plan_result vp_engine_plan_locked(struct vp_engine *engine, struct vp_plan_input *input,
                                          struct vp_plan **plan, struct vp_findings *findings,
                                          struct vp_error *err);

/* As vp_engine_adopt; *unreadable: the guest is the trouble, not the ledger. */
int vp_engine_adopt_one(struct vp_engine *engine, const char *name, bool *adopted, bool *unreadable,
                        struct vp_error *err);

/* ---- reserve.c ---- */
/* Whether the guest keeps what it has when it ends. */
bool vp_row_reserves(const struct vp_engine *engine, const struct vp_guest_row *row);
/* As vp_row_ended, and a reservation whose guest is not defined any more. */
bool vp_row_over(const struct vp_engine *engine, const struct vp_guest_row *row, int64_t now_ms);
/* Inside a transaction: frees what the row holds, or keeps it reserved. */
int vp_row_end(struct vp_engine *engine, struct vp_guest_row *row, struct vp_error *err);
/* Takes reservations from the definitions, for a ledger made anew. */
void vp_engine_reserve_all(struct vp_engine *engine);
/* Whether a reservation is still what the policies would have (book.c). */
bool vp_reservation_stands(const struct vp_engine *engine, const struct vp_guest_row *row,
                           const struct vp_domain *domain, const struct vp_choice *choice);
/* The definition on disk with all that is in it; NULL if there is none. */
struct vp_domain *vp_engine_definition_as_is(const struct vp_engine *engine, const char *name);

/* Removes, inside an open transaction, the rows of `seen` that had ended and
 * have not changed since (gen). *freed counts them, may be NULL. */
int vp_engine_remove_ended(struct vp_engine *engine, const struct vp_guest_rows *seen,
                           unsigned *freed, struct vp_error *err);

#endif
