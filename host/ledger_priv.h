/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_LEDGER_PRIV_H
#define VP_LEDGER_PRIV_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "host/ledger.h"

/* For host/ledger*.c and their tests only. */

/* PRAGMA user_version is major * 1000 + minor. Within a major only columns
 * with a default, tables and indexes are added, and no word to a column that
 * says what a guest is. */
#define VP_LEDGER_MAJOR 1
#define VP_LEDGER_MINOR 0
#define VP_LEDGER_APPLICATION 0x76706c31 /* "vpl1", PRAGMA application_id */

enum vp_ledger_file {
    VP_FILE_DB,
    VP_FILE_WAL,
    VP_FILE_SHM,
    VP_FILE_LOCK,
    VP_FILE_NEW,
    VP_FILE_NEW_WAL,
    VP_FILE_NEW_SHM,
    VP_FILE_BROKEN,
    VP_FILE_BROKEN_WAL,
    VP_FILE_COUNT,
};

enum vp_sql {
    VP_SQL_BEGIN,
    VP_SQL_COMMIT,
    VP_SQL_ROLLBACK,
    VP_SQL_VERSION,
    VP_SQL_DATA_VERSION,
    VP_SQL_META_GET,
    VP_SQL_META_SET,
    VP_SQL_META_FORGET,
    VP_SQL_GEN_RAISE,
    VP_SQL_GUESTS,
    VP_SQL_GUEST,
    VP_SQL_GUEST_PUT,
    VP_SQL_GUEST_TOUCH,
    VP_SQL_GUEST_REMOVE,
    VP_SQL_CPUS_FREE,
    VP_SQL_CPU_BOOK,
    VP_SQL_CPU_HOLDER,
    VP_SQL_CPU_FIXED,
    VP_SQL_FIXED_GUESTS,
    VP_SQL_REQUEST_PUT,
    VP_SQL_REQUESTS,
    VP_SQL_REQUEST_TAKE,
    VP_SQL_DRIFT_INSERT,
    VP_SQL_DRIFT_UPDATE,
    VP_SQL_DRIFT_TRIM,
    VP_SQL_DRIFT_LIST,
    VP_SQL_DRIFT_STANDING,
    VP_SQL_DRIFT_STATES,
    VP_SQL_CPUS,
    VP_SQL_COUNT_ADD,
    VP_SQL_COUNTS,
    VP_SQL_COUNT,
};

struct vp_file_id {
    bool there;
    dev_t dev;
    ino_t ino;
};

struct vp_ledger {
    char *path[VP_FILE_COUNT];
    bool may_create;
    unsigned lock_ms;
    int lock_fd;
    bool locked;
    bool in_transaction;
    int64_t data_version; /* as vp_ledger_news saw it last */
    bool damaged;         /* what is at the path is to be moved aside */
    bool rebuilt;
    int64_t deadline_ms; /* monotonic: until when SQLite's own locks are waited for */
    uint64_t serial;     /* of the transaction that is open */
    int changes_before;
    sqlite3 *db; /* NULL: not attached */
    sqlite3_stmt *statement[VP_SQL_COUNT];
    struct vp_file_id id[3]; /* of db, wal, shm as opened */
};

/* ---- ledger_sql.c ---- */

/* The statement, prepared and reset; NULL after vp_fail. */
sqlite3_stmt *vp_sql(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err);
/* SQLITE_ROW or SQLITE_DONE, -1 after vp_fail. Reset unless it is a row. */
int vp_sql_step(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err);
/* Steps a statement that has no rows: 0 or -1. */
int vp_sql_run(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err);
/* Ends a statement that may have more rows. */
void vp_sql_done(struct vp_ledger *ledger, enum vp_sql which);
void vp_sql_reset_all(struct vp_ledger *ledger);
void vp_sql_finalize_all(struct vp_ledger *ledger);
/* vp_fail for a SQLite result; sets ledger->damaged where it means damage. */
int vp_sql_fail(struct vp_ledger *ledger, int rc, const char *what, struct vp_error *err);
/* vp_fail for contents that virtpin never writes; sets ledger->damaged. */
int vp_ledger_nonsense(struct vp_ledger *ledger, const char *what, struct vp_error *err);
/* Binds a string or NULL; it must live until the statement is reset. */
void vp_sql_bind_text(sqlite3_stmt *statement, int column, const char *text);
/* The column's text into buf; -1 if NULL or too long. */
int vp_sql_copy(sqlite3_stmt *statement, int column, char *buf, size_t size);
/* The column's text on the heap, NULL for SQL's NULL; -1 without memory. */
int vp_sql_dup(sqlite3_stmt *statement, int column, char **text);

/* ---- ledger_file.c ---- */

int vp_ledger_paths(struct vp_ledger *ledger, const char *run_dir, struct vp_error *err);
int vp_ledger_lock(struct vp_ledger *ledger, struct vp_error *err);
void vp_ledger_unlock(struct vp_ledger *ledger);
int vp_ledger_lock_open(struct vp_ledger *ledger, struct vp_error *err);
/* The serial of the last commit as the lock file has it; 0 where it has none. */
uint64_t vp_ledger_witness(const struct vp_ledger *ledger);
void vp_ledger_witness_set(const struct vp_ledger *ledger, uint64_t serial);

struct vp_file_id vp_ledger_id(const struct vp_ledger *ledger, enum vp_ledger_file file);
bool vp_ledger_same_id(const struct vp_file_id *a, const struct vp_file_id *b);
/* Whether the files at the paths are still those that are open, and whole as
 * far as a glance can tell. */
bool vp_ledger_is_current(struct vp_ledger *ledger);
/* SQLite maps the -shm: touching what was cut off it would be a SIGBUS. Gives
 * it its length back, as zeros, from which SQLite makes it anew. */
bool vp_ledger_shm_whole(const struct vp_ledger *ledger);
/* With the lock held: moves the files aside; makes a new ledger in its place. */
void vp_ledger_set_aside(struct vp_ledger *ledger);
int vp_ledger_create(struct vp_ledger *ledger, struct vp_error *err);
/* With the lock held and the file not attached here: puts a copy of the
 * database in its own place, without what is only in its -wal (the witness
 * tells whether that was anything). */
int vp_ledger_copy(struct vp_ledger *ledger, struct vp_error *err);

/* ---- ledger_attach.c ---- */

/* Attached and current, making the file anew where it is missing or damaged
 * and may_create. */
int vp_ledger_attach(struct vp_ledger *ledger, struct vp_error *err);
void vp_ledger_detach(struct vp_ledger *ledger);
/* Version, serial (against the witness, which was read before) and whether
 * adoption is due. */
int vp_ledger_check(struct vp_ledger *ledger, uint64_t witness, struct vp_error *err);
bool vp_ledger_header_good(sqlite3 *db, bool *short_file);

/* ---- ledger.c ---- */

/* Before a read: nothing inside a transaction, else as vp_ledger_attach. */
int vp_ledger_ready(struct vp_ledger *ledger, struct vp_error *err);
/* A transaction around one call: *own says whether it was begun here. end
 * commits or, after a failure (result < 0), rolls back, and passes `result`. */
int vp_ledger_own_begin(struct vp_ledger *ledger, bool *own, struct vp_error *err);
int vp_ledger_own_end(struct vp_ledger *ledger, bool own, int result, struct vp_error *err);
/* A number of the meta table; 0 found, -1. */
int vp_ledger_meta_number(struct vp_ledger *ledger, const char *key, uint64_t *number,
                          struct vp_error *err);

#endif
