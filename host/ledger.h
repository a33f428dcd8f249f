/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LEDGER_H
#define VP_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "decide/domain.h"
#include "decide/drift.h"
#include "decide/plan.h"

struct vp_error;

/* Who holds which CPU, in RUN-DIR/ledger.db (SQLite, WAL). One transaction a
 * decision: flock(RUN-DIR/ledger.lock), check that the open file is still the
 * one at the path, BEGIN IMMEDIATE; inside it only planning and SQL. */
struct vp_ledger;

enum vp_guest_state { VP_GUEST_LEASE, VP_GUEST_RUNNING, VP_GUEST_RESERVED };
const char *vp_guest_state_word(enum vp_guest_state state);

struct vp_guest_row {
    char uuid[VP_UUID_TEXT];
    char name[256];     /* a file name's length: libvirt keeps NAME.xml */
    pid_t pid;          /* QEMU's main process, 0 before started */
    uint64_t pid_start; /* vp_process_start */
    enum vp_guest_state state;
    char operation[16]; /* of a lease: "prepare", "migrate", "restore", "stopped"; "" else */
    pid_t daemon_pid;   /* the libvirt daemon that asked, and its start */
    uint64_t daemon_start;
    int64_t since_ms;      /* in this state; milliseconds since 1970 */
    int64_t held_until_ms; /* a lease that ends by time (stopped, migrate, restore); 0: none */
    int64_t hold_until_ms; /* `virtpin hold`: drift is left alone until then; 0: none */
    uint64_t gen;          /* set by vp_ledger_put: the ledger's gen of that decision */
    struct vp_plan *plan;  /* owned; its exclusive CPUs are the cpu rows, none in audit */
    char *pending;         /* a sentence: what waits for the next start; NULL: nothing. owned */
    char *unplaced;        /* why the guest has no place under its policy; NULL: it has. owned */
    char *would;           /* audit: the plan that enforce would have made, as text; owned */
};
void vp_guest_row_clear(struct vp_guest_row *row);

struct vp_guest_rows {
    struct vp_guest_row *item;
    size_t count;
};
void vp_guest_rows_clear(struct vp_guest_rows *rows);

/* Opens, creating directory (0700, last component only) and file and schema
 * where `may_create` (the hook creates a missing file with the current schema
 * but never changes an existing schema). A file that is no database, truncated
 * or of garbage is moved aside as ledger.db.broken (under the exclusive lock)
 * and a new one made: *rebuilt is then true and the caller adopts what runs;
 * also true when the file was not there. A newer major version: VP_HOST
 * naming both. lock_ms: how long later calls may wait for the lock. Without
 * may_create a missing file or directory is VP_GONE. *rebuilt (may be NULL)
 * stays true for every opener until vp_ledger_adopted: whoever made the file
 * may have been killed before it adopted. A ledger is used by one thread at a
 * time, and never across fork. */
int vp_ledger_open(struct vp_ledger **ledger, const char *run_dir, bool may_create,
                   unsigned lock_ms, bool *rebuilt, struct vp_error *err);
void vp_ledger_close(struct vp_ledger *ledger);
static inline void vp_ledger_cleanup(struct vp_ledger **ledger)
{
    vp_ledger_close(*ledger);
}

/* As *rebuilt of open, now: a file that was deleted or damaged while open is
 * made anew by the next begin or read (where may_create). */
bool vp_ledger_rebuilt(const struct vp_ledger *ledger);
/* Says that all that runs has been adopted: ends `rebuilt`. Opens and commits
 * a transaction of its own when none is open. */
int vp_ledger_adopted(struct vp_ledger *ledger, struct vp_error *err);

/* The lock is tried every millisecond until lock_ms: VP_BUSY then. If the
 * file at the path is no longer the open one, it is opened anew first. */
int vp_ledger_begin(struct vp_ledger *ledger, struct vp_error *err);
/* How long calls from now on may wait for the lock. */
void vp_ledger_patience(struct vp_ledger *ledger, unsigned lock_ms);
/* A failure has rolled back: nothing of the transaction is kept. Both this and
 * rollback give the lock back. */
int vp_ledger_commit(struct vp_ledger *ledger, struct vp_error *err);
void vp_ledger_rollback(struct vp_ledger *ledger); /* legal when nothing was begun */

/* Reads, inside or outside a transaction; guests by uuid. One guest: 1 found,
 * 0 not, -1. Damage found on the way: VP_HOST, and where may_create the file
 * is moved aside by the next rollback, begin, read outside, or close. */
int vp_ledger_guests(struct vp_ledger *ledger, struct vp_guest_rows *rows, struct vp_error *err);
/* The same, one row at a time: a thousand plans are 24 MB. `each` may take what
 * the row owns (and then empties the row), asks nothing of the ledger, and ends
 * it by -1 with *err set. */
int vp_ledger_each_guest(struct vp_ledger *ledger,
                         int (*each)(void *data, struct vp_guest_row *row, struct vp_error *err),
                         void *data, struct vp_error *err);
int vp_ledger_guest(struct vp_ledger *ledger, const char *uuid, struct vp_guest_row *row,
                    struct vp_error *err);
/* The generation: rises with every put and remove, and when the file is made
 * anew (it begins as milliseconds since 1970). */
int vp_ledger_gen(struct vp_ledger *ledger, uint64_t *gen, struct vp_error *err);
/* Whether anybody else has committed anything since it was asked last; true
 * also where that cannot be told. Not inside a transaction. */
bool vp_ledger_news(struct vp_ledger *ledger);

/* Inside a transaction. put replaces the guest's row and its cpu rows by the
 * plan's (mode enforce, unplaced NULL; else none), raises gen and stores it in
 * row->gen. A CPU held by another guest: VP_REFUSED naming it (and the caller
 * rolls back). Fixed CPUs are not exclusive: use 'fixed' rows stand only where
 * the CPU has no other row. */
int vp_ledger_put(struct vp_ledger *ledger, struct vp_guest_row *row, struct vp_error *err);
/* Updates state, operation, pid, times, pending, unplaced and hold only: plan,
 * cpus and gen stay. VP_GONE if the guest has no row. */
int vp_ledger_touch(struct vp_ledger *ledger, const struct vp_guest_row *row, struct vp_error *err);
int vp_ledger_remove(struct vp_ledger *ledger, const char *uuid, struct vp_error *err);

/* Requests of hooks and ctl to the enforcer, oldest first: kind "definition"
 * (rewrite that guest's definition), "adopt", "tell" (libvirt the pins),
 * "pool" (shared guests may have more room). One row a (kind, uuid). */
int vp_ledger_request(struct vp_ledger *ledger, const char *kind, const char *uuid,
                      struct vp_error *err);
struct vp_request {
    int64_t id;
    char kind[16];
    char uuid[VP_UUID_TEXT];
};
/* Takes (deletes) all requests of the kind, NULL any; the caller frees *requests.
 * These two open and commit a transaction of their own when none is open; take
 * needs no lock where there is no request. */
int vp_ledger_take_requests(struct vp_ledger *ledger, const char *kind,
                            struct vp_request **requests, size_t *count, struct vp_error *err);

/* Drift history, at most 10,000 records. put inserts (id 0, sets it) or
 * updates; these two open and commit a transaction of their own when none is
 * open. list: last_ms >= since_ms, by id ascending; the caller frees. */
int vp_ledger_drift_put(struct vp_ledger *ledger, struct vp_drift_record *record,
                        struct vp_error *err);
int vp_ledger_drift_list(struct vp_ledger *ledger, int64_t since_ms, int64_t after_id,
                         struct vp_drift_record **records, size_t *count, struct vp_error *err);
/* The same, of those only that are not repaired: a whole history is 36 MB. */
int vp_ledger_drift_standing(struct vp_ledger *ledger, struct vp_drift_record **records,
                             size_t *count, struct vp_error *err);

/* How many records stand (are not repaired), by vp_drift_state. */
int vp_ledger_drift_states(struct vp_ledger *ledger, unsigned count[VP_DRIFT_STATES],
                           struct vp_error *err);

/* Calls `each` for every booked CPU with its use ("vcpu", "idle" ...). */
int vp_ledger_cpus(struct vp_ledger *ledger, void (*each)(void *data, int cpu, const char *use),
                   void *data, struct vp_error *err);

/* Small facts by key ("enforcer.pid" ...). get: 1 found (the caller frees
 * *value), 0 not, -1. set (NULL: forgets the key) opens a transaction of its own when none is open.
 */
int vp_ledger_meta_get(struct vp_ledger *ledger, const char *key, char **value,
                       struct vp_error *err);
int vp_ledger_meta_set(struct vp_ledger *ledger, const char *key, const char *value,
                       struct vp_error *err);

/* Test builds: called before every statement with its name; NULL else. */
extern void (*vp_ledger_step)(const char *statement);

#endif
