/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/clock.h"

static int make_directory(const char *run_dir, struct vp_error *err)
{
    struct stat st;

    if (mkdir(run_dir, 0700) < 0 && errno != EEXIST && errno != EROFS)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", run_dir);
    if (stat(run_dir, &st) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot look at %s", run_dir);
    if (!S_ISDIR(st.st_mode))
        return vp_fail(err, VP_HOST, "%s is not a directory", run_dir);
    if (st.st_uid != geteuid() || st.st_mode & 022)
        return vp_fail(err, VP_HOST,
                       "%s may be written by others (owner %u, mode %04o): it must be ours, 0700",
                       run_dir, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    return 0;
}

static struct vp_ledger *ledger_new(const char *run_dir, bool may_create, unsigned lock_ms,
                                    struct vp_error *err)
{
    struct vp_ledger *ledger = calloc(1, sizeof(*ledger));

    if (!ledger) {
        vp_fail(err, VP_HOST, "no memory for the ledger");
        return NULL;
    }
    ledger->may_create = may_create;
    ledger->lock_ms = lock_ms;
    ledger->lock_fd = -1;
    if (vp_ledger_paths(ledger, run_dir, err) < 0) {
        vp_ledger_close(ledger);
        return NULL;
    }
    return ledger;
}

int vp_ledger_open(struct vp_ledger **ledger, const char *run_dir, bool may_create,
                   unsigned lock_ms, bool *rebuilt, struct vp_error *err)
{
    struct vp_ledger *made;

    *ledger = NULL;
    if (may_create) {
        if (make_directory(run_dir, err) < 0)
            return -1;
    } else if (access(run_dir, F_OK) < 0 && errno == ENOENT) {
        return vp_fail(err, VP_GONE, "there is no ledger in %s", run_dir);
    }
    made = ledger_new(run_dir, may_create, lock_ms, err);
    if (!made)
        return -1;
    made->deadline_ms = vp_clock_ms() + lock_ms;
    if (vp_ledger_lock_open(made, err) < 0 || vp_ledger_attach(made, err) < 0) {
        vp_ledger_close(made);
        return -1;
    }
    if (rebuilt)
        *rebuilt = made->rebuilt;
    *ledger = made;
    return 0;
}

/* With the lock held: what a statement found damaged goes aside, if it is
 * still what stands at the path. */
static void drop_damaged(struct vp_ledger *ledger)
{
    struct vp_file_id now = vp_ledger_id(ledger, VP_FILE_DB);

    if (!ledger->damaged)
        return;
    if (ledger->may_create && vp_ledger_same_id(&now, &ledger->id[VP_FILE_DB]))
        vp_ledger_set_aside(ledger);
    vp_ledger_detach(ledger);
    ledger->damaged = false;
}

void vp_ledger_close(struct vp_ledger *ledger)
{
    if (!ledger)
        return;
    vp_ledger_rollback(ledger);
    if (ledger->damaged && ledger->may_create && vp_ledger_lock(ledger, NULL) == 0)
        drop_damaged(ledger);
    vp_ledger_detach(ledger);
    vp_ledger_unlock(ledger);
    if (ledger->lock_fd >= 0)
        close(ledger->lock_fd);
    for (int i = 0; i < VP_FILE_COUNT; i++)
        free(ledger->path[i]);
    free(ledger);
}

bool vp_ledger_rebuilt(const struct vp_ledger *ledger)
{
    return ledger->rebuilt;
}

/* ---- transactions ---- */

/* SQLite ends a transaction by itself after some errors. */
static void end_transaction(struct vp_ledger *ledger)
{
    ledger->in_transaction = false;
    if (!ledger->db)
        return;
    vp_sql_reset_all(ledger);
    if (!sqlite3_get_autocommit(ledger->db))
        vp_sql_run(ledger, VP_SQL_ROLLBACK, NULL);
}

static int start_transaction(struct vp_ledger *ledger, struct vp_error *err)
{
    if (vp_sql_run(ledger, VP_SQL_BEGIN, err) == 0 &&
        vp_ledger_check(ledger, vp_ledger_witness(ledger), err) == 0) {
        ledger->in_transaction = true;
        ledger->changes_before = sqlite3_total_changes(ledger->db);
        return 0;
    }
    end_transaction(ledger);
    return -1;
}

/* On a read-only file system SQLite opens for reading only, and stays so. */
static int attach_to_write(struct vp_ledger *ledger, struct vp_error *err)
{
    bool current = vp_ledger_is_current(ledger) && sqlite3_db_readonly(ledger->db, "main") == 0;

    if (!current && vp_ledger_attach(ledger, err) < 0)
        return -1;
    if (sqlite3_db_readonly(ledger->db, "main") != 0)
        return vp_fail(err, VP_HOST,
                       "ledger %s cannot be written: it or its file system is"
                       " read-only",
                       ledger->path[VP_FILE_DB]);
    return 0;
}

void vp_ledger_patience(struct vp_ledger *ledger, unsigned lock_ms)
{
    ledger->lock_ms = lock_ms;
}

int vp_ledger_begin(struct vp_ledger *ledger, struct vp_error *err)
{
    if (ledger->in_transaction)
        return vp_fail(err, VP_HOST, "ledger %s: a transaction is open already",
                       ledger->path[VP_FILE_DB]);
    if (vp_ledger_lock(ledger, err) < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        drop_damaged(ledger);
        if (attach_to_write(ledger, err) < 0)
            break;
        if (start_transaction(ledger, err) == 0)
            return 0;
        if (!ledger->damaged || !ledger->may_create)
            break;
    }
    vp_ledger_unlock(ledger);
    return -1;
}

/* The serial rises with every transaction that changed something. */
static int raise_serial(struct vp_ledger *ledger, bool *raised, struct vp_error *err)
{
    uint64_t next = ledger->serial + 1;
    sqlite3_stmt *statement;

    *raised = sqlite3_total_changes(ledger->db) != ledger->changes_before;
    if (!*raised)
        return 0;
    statement = vp_sql(ledger, VP_SQL_META_SET, err);
    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, "serial");
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)next);
    return vp_sql_run(ledger, VP_SQL_META_SET, err);
}

int vp_ledger_commit(struct vp_ledger *ledger, struct vp_error *err)
{
    bool raised = false;
    int result = -1;

    if (!ledger->in_transaction)
        return vp_fail(err, VP_HOST, "ledger %s: no transaction is open", ledger->path[VP_FILE_DB]);
    vp_sql_reset_all(ledger);
    if (ledger->damaged)
        vp_fail(err, VP_HOST, "ledger %s is damaged: nothing was written",
                ledger->path[VP_FILE_DB]);
    else if (raise_serial(ledger, &raised, err) == 0)
        result = vp_sql_run(ledger, VP_SQL_COMMIT, err);
    if (result < 0) {
        vp_ledger_rollback(ledger);
        return -1;
    }
    ledger->in_transaction = false;
    if (raised)
        vp_ledger_witness_set(ledger, ledger->serial + 1);
    vp_ledger_unlock(ledger);
    return 0;
}

void vp_ledger_rollback(struct vp_ledger *ledger)
{
    if (!ledger->in_transaction)
        return;
    end_transaction(ledger);
    drop_damaged(ledger);
    vp_ledger_unlock(ledger);
}

int vp_ledger_own_begin(struct vp_ledger *ledger, bool *own, struct vp_error *err)
{
    *own = !ledger->in_transaction;
    return *own ? vp_ledger_begin(ledger, err) : 0;
}

int vp_ledger_own_end(struct vp_ledger *ledger, bool own, int result, struct vp_error *err)
{
    if (!own)
        return result;
    if (result >= 0)
        return vp_ledger_commit(ledger, err) < 0 ? -1 : result;
    vp_ledger_rollback(ledger);
    return result;
}

int vp_ledger_ready(struct vp_ledger *ledger, struct vp_error *err)
{
    int result = 0;

    if (ledger->in_transaction)
        return 0;
    ledger->deadline_ms = vp_clock_ms() + ledger->lock_ms;
    if (ledger->damaged && ledger->may_create) {
        if (vp_ledger_lock(ledger, err) < 0)
            return -1;
        drop_damaged(ledger);
    }
    ledger->damaged = false;
    if (!vp_ledger_is_current(ledger))
        result = vp_ledger_attach(ledger, err);
    vp_ledger_unlock(ledger);
    return result;
}

/* ---- meta ---- */

int vp_ledger_meta_number(struct vp_ledger *ledger, const char *key, uint64_t *number,
                          struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_META_GET, err);
    int rc;

    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, key);
    rc = vp_sql_step(ledger, VP_SQL_META_GET, err);
    if (rc == SQLITE_ROW)
        *number = (uint64_t)sqlite3_column_int64(statement, 0);
    vp_sql_done(ledger, VP_SQL_META_GET);
    return rc < 0 ? -1 : 0;
}

int vp_ledger_meta_get(struct vp_ledger *ledger, const char *key, char **value,
                       struct vp_error *err)
{
    sqlite3_stmt *statement;
    int rc;

    *value = NULL;
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_META_GET, err);
    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, key);
    rc = vp_sql_step(ledger, VP_SQL_META_GET, err);
    if (rc == SQLITE_ROW && vp_sql_dup(statement, 0, value) < 0)
        rc = vp_fail(err, VP_HOST, "no memory for the ledger's '%s'", key);
    vp_sql_done(ledger, VP_SQL_META_GET);
    return rc < 0 ? -1 : rc == SQLITE_ROW;
}

static int meta_write(struct vp_ledger *ledger, const char *key, const char *value,
                      struct vp_error *err)
{
    enum vp_sql which = value ? VP_SQL_META_SET : VP_SQL_META_FORGET;
    sqlite3_stmt *statement;
    bool own;
    int result = -1;

    if (vp_ledger_own_begin(ledger, &own, err) < 0)
        return -1;
    statement = vp_sql(ledger, which, err);
    if (statement) {
        vp_sql_bind_text(statement, 1, key);
        if (value)
            vp_sql_bind_text(statement, 2, value);
        result = vp_sql_run(ledger, which, err);
    }
    return vp_ledger_own_end(ledger, own, result, err);
}

int vp_ledger_meta_set(struct vp_ledger *ledger, const char *key, const char *value,
                       struct vp_error *err)
{
    if (strcmp(key, "gen") == 0 || strcmp(key, "serial") == 0 || strcmp(key, "adopt") == 0)
        return vp_fail(err, VP_INPUT, "'%s' is the ledger's own key", key);
    return meta_write(ledger, key, value, err);
}

int vp_ledger_adopted(struct vp_ledger *ledger, struct vp_error *err)
{
    if (meta_write(ledger, "adopt", NULL, err) < 0)
        return -1;
    ledger->rebuilt = false;
    return 0;
}

int vp_ledger_gen(struct vp_ledger *ledger, uint64_t *gen, struct vp_error *err)
{
    *gen = 0;
    if (vp_ledger_ready(ledger, err) < 0 || vp_ledger_meta_number(ledger, "gen", gen, err) < 0)
        return -1;
    return *gen ? 0 : vp_ledger_nonsense(ledger, "it has no generation", err);
}

bool vp_ledger_news(struct vp_ledger *ledger)
{
    int64_t version = 0;

    if (vp_ledger_ready(ledger, NULL) < 0 || !vp_sql(ledger, VP_SQL_DATA_VERSION, NULL))
        return true;
    if (vp_sql_step(ledger, VP_SQL_DATA_VERSION, NULL) == SQLITE_ROW)
        version = sqlite3_column_int64(vp_sql(ledger, VP_SQL_DATA_VERSION, NULL), 0);
    vp_sql_done(ledger, VP_SQL_DATA_VERSION);
    if (version != 0 && version == ledger->data_version)
        return false;
    ledger->data_version = version;
    return true;
}
