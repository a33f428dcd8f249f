/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"

void (*vp_ledger_step)(const char *statement);

#define GUEST_COLUMNS                                                                              \
    "uuid, name, pid, pid_start, state, operation, daemon_pid, daemon_start, since, held_until, "  \
    "hold_until, gen, plan, pending, unplaced, would"

#define DRIFT_COLUMNS                                                                              \
    "guest, uuid, tid, role, number, kind, path, wanted, found, wanted_text, found_text, first, "  \
    "last, count, state, repaired, repair_us, by_pid, by_comm, by_uid, by_unit, by_tty, by_exact"

/* Every statement names its columns, and a guest is updated, never replaced:
 * a column that a later minor version added keeps its value. */
static const struct {
    const char *name;
    const char *text;
} sql[VP_SQL_COUNT] = {
    [VP_SQL_BEGIN] = {"begin", "BEGIN IMMEDIATE"},
    [VP_SQL_COMMIT] = {"commit", "COMMIT"},
    [VP_SQL_ROLLBACK] = {"rollback", "ROLLBACK"},
    [VP_SQL_VERSION] = {"version", "PRAGMA user_version"},
    [VP_SQL_DATA_VERSION] = {"data-version", "PRAGMA data_version"},
    [VP_SQL_META_GET] = {"meta-get", "SELECT value FROM meta WHERE key = ?1"},
    [VP_SQL_META_SET] = {"meta-set", "INSERT INTO meta(key, value) VALUES(?1, ?2)"
                                     " ON CONFLICT(key) DO UPDATE SET value = excluded.value"},
    [VP_SQL_META_FORGET] = {"meta-forget", "DELETE FROM meta WHERE key = ?1"},
    [VP_SQL_GEN_RAISE] = {"gen-raise", "UPDATE meta SET value = value + 1 WHERE key = 'gen'"},
    [VP_SQL_GUESTS] = {"guests", "SELECT " GUEST_COLUMNS " FROM guest ORDER BY uuid"},
    [VP_SQL_GUEST] = {"guest", "SELECT " GUEST_COLUMNS " FROM guest WHERE uuid = ?1"},
    [VP_SQL_GUEST_PUT] =
        {"guest-put",
         "INSERT INTO guest(" GUEST_COLUMNS ", policy, policy_hash, mode, fixed)"
         " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,"
         " ?17, ?18, ?19, ?20) ON CONFLICT(uuid) DO UPDATE SET"
         " name = excluded.name, pid = excluded.pid, pid_start = excluded.pid_start,"
         " state = excluded.state, operation = excluded.operation,"
         " daemon_pid = excluded.daemon_pid, daemon_start = excluded.daemon_start,"
         " since = excluded.since, held_until = excluded.held_until,"
         " hold_until = excluded.hold_until, gen = excluded.gen, plan = excluded.plan,"
         " pending = excluded.pending, unplaced = excluded.unplaced, would = excluded.would,"
         " policy = excluded.policy, policy_hash = excluded.policy_hash, mode = excluded.mode,"
         " fixed = excluded.fixed"},
    [VP_SQL_GUEST_TOUCH] =
        {"guest-touch",
         "UPDATE guest SET pid = ?2, pid_start = ?3, state = ?4, operation = ?5, daemon_pid = ?6,"
         " daemon_start = ?7, since = ?8, held_until = ?9, hold_until = ?10, pending = ?11,"
         " unplaced = ?12 WHERE uuid = ?1"},
    [VP_SQL_GUEST_REMOVE] = {"guest-remove", "DELETE FROM guest WHERE uuid = ?1"},
    [VP_SQL_CPUS_FREE] = {"cpus-free", "DELETE FROM cpu WHERE uuid = ?1"},
    /* Takes over a fixed row, which excludes nobody; changes nothing where the
     * CPU is another's. */
    [VP_SQL_CPU_BOOK] = {"cpu-book",
                         "INSERT INTO cpu(cpu, uuid, use) VALUES(?1, ?2, ?3) ON CONFLICT(cpu)"
                         " DO UPDATE SET uuid = excluded.uuid, use = excluded.use"
                         " WHERE cpu.use = 'fixed'"},
    [VP_SQL_CPU_HOLDER] = {"cpu-holder",
                           "SELECT cpu.uuid, cpu.use, guest.name FROM cpu"
                           " LEFT JOIN guest ON guest.uuid = cpu.uuid WHERE cpu.cpu = ?1"},
    [VP_SQL_CPU_FIXED] = {"cpu-fixed",
                          "INSERT OR IGNORE INTO cpu(cpu, uuid, use) VALUES(?1, ?2, 'fixed')"},
    [VP_SQL_FIXED_GUESTS] = {"fixed-guests", "SELECT uuid, fixed FROM guest WHERE fixed <> ''"},
    [VP_SQL_REQUEST_PUT] = {"request-put",
                            "INSERT OR IGNORE INTO request(kind, uuid) VALUES(?1, ?2)"},
    [VP_SQL_REQUESTS] = {"requests", "SELECT id, kind, uuid FROM request"
                                     " WHERE ?1 IS NULL OR kind = ?1 ORDER BY id"},
    [VP_SQL_REQUEST_TAKE] = {"request-take", "DELETE FROM request WHERE ?1 IS NULL OR kind = ?1"},
    [VP_SQL_DRIFT_INSERT] = {"drift-insert",
                             "INSERT INTO drift(" DRIFT_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6,"
                             " ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
                             " ?21, ?22, ?23)"},
    /* uuid and first as well: after a rebuild the number may be another's. */
    [VP_SQL_DRIFT_UPDATE] =
        {"drift-update",
         "UPDATE drift SET guest = ?1, tid = ?3, role = ?4, number = ?5, kind = ?6, path = ?7,"
         " wanted = ?8, found = ?9, wanted_text = ?10, found_text = ?11, last = ?13, count = ?14,"
         " state = ?15, repaired = ?16, repair_us = ?17, by_pid = ?18, by_comm = ?19,"
         " by_uid = ?20, by_unit = ?21, by_tty = ?22, by_exact = ?23"
         " WHERE id = ?24 AND uuid = ?2 AND first = ?12"},
    [VP_SQL_DRIFT_TRIM] = {"drift-trim", "DELETE FROM drift WHERE id <= ?1"},
    [VP_SQL_DRIFT_LIST] = {"drift-list", "SELECT " DRIFT_COLUMNS ", id FROM drift"
                                         " WHERE id > ?2 AND last >= ?1 ORDER BY id"},
    [VP_SQL_DRIFT_STANDING] = {"drift-standing", "SELECT " DRIFT_COLUMNS ", id FROM drift"
                                                 " WHERE state <> 'repaired' ORDER BY id"},
    [VP_SQL_DRIFT_STATES] = {"drift-states", "SELECT state, count(*) FROM drift"
                                             " WHERE state <> 'repaired' GROUP BY state"},
    [VP_SQL_CPUS] = {"cpus", "SELECT cpu, use FROM cpu"},
    [VP_SQL_COUNT_ADD] = {"count-add",
                          "INSERT INTO meta(key, value) VALUES(?1, ?2) ON CONFLICT(key)"
                          " DO UPDATE SET value = value + excluded.value"},
    [VP_SQL_COUNTS] = {"counts", "SELECT key, value FROM meta"
                                 " WHERE key >= 'count.' AND key < 'count/'"},
};

static bool means_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB ||
           rc == SQLITE_IOERR_SHORT_READ;
}

int vp_sql_fail(struct vp_ledger *ledger, int rc, const char *what, struct vp_error *err)
{
    const char *path = ledger->path[VP_FILE_DB];
    int number;

    if (means_damage(rc)) {
        ledger->damaged = true;
        return vp_fail(err, VP_HOST, "ledger %s is damaged: %s (%s)", path, sqlite3_errstr(rc),
                       what);
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return vp_fail(err, VP_BUSY, "ledger %s is busy (%s)", path, what);
    case SQLITE_FULL:
        return vp_fail(err, VP_HOST, "ledger %s: no space left on its file system (%s)", path,
                       what);
    case SQLITE_READONLY:
        return vp_fail(err, VP_HOST, "ledger %s cannot be written: %s (%s)", path,
                       sqlite3_errstr(rc), what);
    }
    number = ledger->db ? sqlite3_system_errno(ledger->db) : 0;
    if (number && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN))
        return vp_fail_errno(err, VP_HOST, number, "ledger %s (%s)", path, what);
    return vp_fail(err, VP_HOST, "ledger %s: %s (%s)", path,
                   ledger->db ? sqlite3_errmsg(ledger->db) : sqlite3_errstr(rc), what);
}

int vp_ledger_nonsense(struct vp_ledger *ledger, const char *what, struct vp_error *err)
{
    ledger->damaged = true;
    return vp_fail(err, VP_HOST, "ledger %s is damaged: %s", ledger->path[VP_FILE_DB], what);
}

sqlite3_stmt *vp_sql(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err)
{
    int rc;

    if (!ledger->db) {
        vp_fail(err, VP_HOST, "ledger %s is not open", ledger->path[VP_FILE_DB]);
        return NULL;
    }
    if (ledger->statement[which])
        return ledger->statement[which];
    rc = sqlite3_prepare_v2(ledger->db, sql[which].text, -1, &ledger->statement[which], NULL);
    if (rc == SQLITE_OK)
        return ledger->statement[which];
    if (rc == SQLITE_ERROR) { /* a table or column is not there */
        vp_ledger_nonsense(ledger, sqlite3_errmsg(ledger->db), err);
        return NULL;
    }
    vp_sql_fail(ledger, rc, sql[which].name, err);
    return NULL;
}

int vp_sql_step(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, which, err);
    int rc;

    if (!statement)
        return -1;
    if (vp_ledger_step)
        vp_ledger_step(sql[which].name);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return rc;
    if (rc != SQLITE_DONE) {
        vp_sql_fail(ledger, rc, sql[which].name, err);
        rc = -1;
    }
    sqlite3_reset(statement);
    return rc;
}

int vp_sql_run(struct vp_ledger *ledger, enum vp_sql which, struct vp_error *err)
{
    int rc = vp_sql_step(ledger, which, err);

    vp_sql_done(ledger, which);
    return rc < 0 ? -1 : 0;
}

void vp_sql_done(struct vp_ledger *ledger, enum vp_sql which)
{
    if (ledger->statement[which])
        sqlite3_reset(ledger->statement[which]);
}

void vp_sql_reset_all(struct vp_ledger *ledger)
{
    for (int i = 0; i < VP_SQL_COUNT; i++)
        vp_sql_done(ledger, (enum vp_sql)i);
}

void vp_sql_finalize_all(struct vp_ledger *ledger)
{
    for (int i = 0; i < VP_SQL_COUNT; i++) {
        sqlite3_finalize(ledger->statement[i]);
        ledger->statement[i] = NULL;
    }
}

void vp_sql_bind_text(sqlite3_stmt *statement, int column, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, column, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, column);
}

int vp_sql_copy(sqlite3_stmt *statement, int column, char *buf, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t length = text ? strlen(text) : size;

    if (length >= size)
        return -1;
    memcpy(buf, text, length + 1);
    return 0;
}

int vp_sql_dup(sqlite3_stmt *statement, int column, char **text)
{
    const char *found = (const char *)sqlite3_column_text(statement, column);

    *text = NULL;
    if (!found)
        return sqlite3_column_type(statement, column) == SQLITE_NULL ? 0 : -1;
    *text = strdup(found);
    return *text ? 0 : -1;
}
