/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"

/* Requests to the enforcer and the history of drift. */

#define DRIFT_RECORDS 10000

/* ---- requests ---- */

int vp_ledger_request(struct vp_ledger *ledger, const char *kind, const char *uuid,
                      struct vp_error *err)
{
    sqlite3_stmt *statement;
    bool own;
    int result = -1;

    if (vp_ledger_own_begin(ledger, &own, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_REQUEST_PUT, err);
    if (statement) {
        vp_sql_bind_text(statement, 1, kind);
        vp_sql_bind_text(statement, 2, uuid);
        result = vp_sql_run(ledger, VP_SQL_REQUEST_PUT, err);
    }
    return vp_ledger_own_end(ledger, own, result, err);
}

static int append_request(struct vp_ledger *ledger, sqlite3_stmt *from,
                          struct vp_request **requests, size_t *count, struct vp_error *err)
{
    struct vp_request *item = reallocarray(*requests, *count + 1, sizeof(*item));

    if (!item)
        return vp_fail(err, VP_HOST, "no memory for requests");
    *requests = item;
    item += *count;
    item->id = sqlite3_column_int64(from, 0);
    if (vp_sql_copy(from, 1, item->kind, sizeof(item->kind)) < 0 ||
        vp_sql_copy(from, 2, item->uuid, sizeof(item->uuid)) < 0)
        return vp_ledger_nonsense(ledger, "a request makes no sense", err);
    ++*count;
    return 0;
}

static int list_requests(struct vp_ledger *ledger, const char *kind, struct vp_request **requests,
                         size_t *count, struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_REQUESTS, err);
    int rc;

    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, kind);
    while ((rc = vp_sql_step(ledger, VP_SQL_REQUESTS, err)) == SQLITE_ROW) {
        if (append_request(ledger, statement, requests, count, err) < 0) {
            rc = -1;
            break;
        }
    }
    vp_sql_done(ledger, VP_SQL_REQUESTS);
    return rc < 0 ? -1 : 0;
}

static int any_request(struct vp_ledger *ledger, const char *kind, struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_REQUESTS, err);
    int rc;

    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, kind);
    rc = vp_sql_step(ledger, VP_SQL_REQUESTS, err);
    vp_sql_done(ledger, VP_SQL_REQUESTS);
    return rc < 0 ? -1 : rc == SQLITE_ROW;
}

static int take(struct vp_ledger *ledger, const char *kind, struct vp_request **requests,
                size_t *count, struct vp_error *err)
{
    sqlite3_stmt *statement;

    if (list_requests(ledger, kind, requests, count, err) < 0)
        return -1;
    if (*count == 0)
        return 0;
    statement = vp_sql(ledger, VP_SQL_REQUEST_TAKE, err);
    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, kind);
    return vp_sql_run(ledger, VP_SQL_REQUEST_TAKE, err);
}

int vp_ledger_take_requests(struct vp_ledger *ledger, const char *kind,
                            struct vp_request **requests, size_t *count, struct vp_error *err)
{
    bool own;
    int result;

    *requests = NULL;
    *count = 0;
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    result = any_request(ledger, kind, err);
    if (result <= 0)
        return result;
    if (vp_ledger_own_begin(ledger, &own, err) < 0)
        return -1;
    result = take(ledger, kind, requests, count, err);
    result = vp_ledger_own_end(ledger, own, result, err);
    if (result < 0) {
        free(*requests);
        *requests = NULL;
        *count = 0;
    }
    return result;
}

/* ---- drift ---- */

static int role_of(const char *word, enum vp_role *role)
{
    for (int i = VP_ROLE_VCPU; i <= VP_ROLE_HELPER; i++) {
        if (strcmp(word, vp_role_word((enum vp_role)i)) == 0) {
            *role = (enum vp_role)i;
            return 0;
        }
    }
    return -1;
}

static void bind_record(sqlite3_stmt *to, const struct vp_drift_record *record, const char *wanted,
                        const char *found)
{
    vp_sql_bind_text(to, 1, record->guest);
    vp_sql_bind_text(to, 2, record->uuid);
    sqlite3_bind_int(to, 3, record->tid);
    vp_sql_bind_text(to, 4, vp_role_word(record->role));
    sqlite3_bind_int64(to, 5, record->index);
    vp_sql_bind_text(to, 6, vp_drift_kind_word(record->kind));
    vp_sql_bind_text(to, 7, record->where);
    vp_sql_bind_text(to, 8, wanted);
    vp_sql_bind_text(to, 9, found);
    vp_sql_bind_text(to, 10, record->wanted_text);
    vp_sql_bind_text(to, 11, record->found_text);
    sqlite3_bind_int64(to, 12, record->first_ms);
    sqlite3_bind_int64(to, 13, record->last_ms);
    sqlite3_bind_int64(to, 14, record->count);
    vp_sql_bind_text(to, 15, vp_drift_state_word(record->state));
    sqlite3_bind_int64(to, 16, record->repaired_ms);
    sqlite3_bind_int64(to, 17, record->repair_us);
    sqlite3_bind_int(to, 18, record->by.pid);
    vp_sql_bind_text(to, 19, record->by.comm);
    sqlite3_bind_int64(to, 20, record->by.uid);
    vp_sql_bind_text(to, 21, record->by.unit);
    vp_sql_bind_text(to, 22, record->by.tty);
    sqlite3_bind_int(to, 23, record->by.exact);
}

static int write_record(struct vp_ledger *ledger, enum vp_sql which,
                        const struct vp_drift_record *record, struct vp_error *err)
{
    VP_AUTO(free) char *wanted = vp_cpuset_format(&record->wanted);
    VP_AUTO(free) char *found = vp_cpuset_format(&record->found);
    sqlite3_stmt *statement = vp_sql(ledger, which, err);
    int result;

    if (!statement)
        return -1;
    if (!wanted || !found)
        return vp_fail(err, VP_HOST, "no memory for a drift record");
    bind_record(statement, record, wanted, found);
    if (which == VP_SQL_DRIFT_UPDATE)
        sqlite3_bind_int64(statement, 24, record->id);
    result = vp_sql_run(ledger, which, err);
    sqlite3_clear_bindings(statement);
    return result;
}

static int insert_record(struct vp_ledger *ledger, const struct vp_drift_record *record,
                         int64_t *id, struct vp_error *err)
{
    sqlite3_stmt *trim = vp_sql(ledger, VP_SQL_DRIFT_TRIM, err);

    if (!trim || write_record(ledger, VP_SQL_DRIFT_INSERT, record, err) < 0)
        return -1;
    *id = sqlite3_last_insert_rowid(ledger->db);
    sqlite3_bind_int64(trim, 1, *id - DRIFT_RECORDS);
    return vp_sql_run(ledger, VP_SQL_DRIFT_TRIM, err);
}

int vp_ledger_drift_put(struct vp_ledger *ledger, struct vp_drift_record *record,
                        struct vp_error *err)
{
    int64_t id = record->id;
    bool own;
    int result = 0;

    if (vp_ledger_own_begin(ledger, &own, err) < 0)
        return -1;
    if (id > 0) {
        result = write_record(ledger, VP_SQL_DRIFT_UPDATE, record, err);
        if (result == 0 && sqlite3_changes(ledger->db) == 0)
            id = 0; /* trimmed, or of a ledger before this one */
    }
    if (result == 0 && id == 0)
        result = insert_record(ledger, record, &id, err);
    result = vp_ledger_own_end(ledger, own, result, err);
    if (result == 0)
        record->id = id;
    return result;
}

static int read_words(sqlite3_stmt *from, struct vp_drift_record *record)
{
    char role[16], kind[24], state[16];
    int kind_number, state_number;

    if (vp_sql_copy(from, 3, role, sizeof(role)) < 0 || role_of(role, &record->role) < 0 ||
        vp_sql_copy(from, 5, kind, sizeof(kind)) < 0 ||
        vp_sql_copy(from, 14, state, sizeof(state)) < 0)
        return -1;
    kind_number = vp_drift_kind_parse(kind);
    state_number = vp_drift_state_parse(state);
    if (kind_number < 0 || state_number < 0)
        return -1;
    record->kind = (enum vp_drift_kind)kind_number;
    record->state = (enum vp_drift_state)state_number;
    return 0;
}

static int read_set(sqlite3_stmt *from, int column, struct vp_cpuset *set)
{
    const char *text = (const char *)sqlite3_column_text(from, column);

    return text ? vp_cpuset_parse_kernel(set, text, NULL) : -1;
}

static int read_texts(sqlite3_stmt *from, struct vp_drift_record *record)
{
    struct vp_culprit *by = &record->by;

    if (vp_sql_copy(from, 0, record->guest, sizeof(record->guest)) < 0 ||
        vp_sql_copy(from, 1, record->uuid, sizeof(record->uuid)) < 0 ||
        vp_sql_copy(from, 6, record->where, sizeof(record->where)) < 0 ||
        vp_sql_copy(from, 9, record->wanted_text, sizeof(record->wanted_text)) < 0 ||
        vp_sql_copy(from, 10, record->found_text, sizeof(record->found_text)) < 0 ||
        vp_sql_copy(from, 18, by->comm, sizeof(by->comm)) < 0 ||
        vp_sql_copy(from, 20, by->unit, sizeof(by->unit)) < 0 ||
        vp_sql_copy(from, 21, by->tty, sizeof(by->tty)) < 0)
        return -1;
    return 0;
}

/* A word that this version does not know is a later minor's: such a record is
 * left out (0); 1 read, -1 after vp_fail. */
static int read_record(struct vp_ledger *ledger, sqlite3_stmt *from, struct vp_drift_record *record,
                       struct vp_error *err)
{
    memset(record, 0, sizeof(*record));
    if (read_words(from, record) < 0)
        return 0;
    if (read_texts(from, record) < 0 || read_set(from, 7, &record->wanted) < 0 ||
        read_set(from, 8, &record->found) < 0)
        return vp_ledger_nonsense(ledger, "a drift record makes no sense", err);
    record->tid = sqlite3_column_int(from, 2);
    record->index = (unsigned)sqlite3_column_int64(from, 4);
    record->first_ms = sqlite3_column_int64(from, 11);
    record->last_ms = sqlite3_column_int64(from, 12);
    record->count = (unsigned)sqlite3_column_int64(from, 13);
    record->repaired_ms = sqlite3_column_int64(from, 15);
    record->repair_us = sqlite3_column_int64(from, 16);
    record->by.pid = sqlite3_column_int(from, 17);
    record->by.uid = (long)sqlite3_column_int64(from, 19);
    record->by.exact = sqlite3_column_int(from, 22) != 0;
    record->id = sqlite3_column_int64(from, 23);
    return 1;
}

static int append_record(struct vp_ledger *ledger, sqlite3_stmt *from,
                         struct vp_drift_record **records, size_t *count, size_t *room,
                         struct vp_error *err)
{
    int result;

    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        struct vp_drift_record *item = reallocarray(*records, more, sizeof(*item));
        if (!item)
            return vp_fail(err, VP_HOST, "no memory for %zu drift records", more);
        *records = item;
        *room = more;
    }
    result = read_record(ledger, from, &(*records)[*count], err);
    if (result > 0)
        ++*count;
    return result < 0 ? -1 : 0;
}

/* The rows of a statement that is bound already. */
static int read_records(struct vp_ledger *ledger, enum vp_sql which, sqlite3_stmt *statement,
                        struct vp_drift_record **records, size_t *count, struct vp_error *err)
{
    size_t room = 0;
    int rc;

    while ((rc = vp_sql_step(ledger, which, err)) == SQLITE_ROW) {
        if (append_record(ledger, statement, records, count, &room, err) < 0) {
            rc = -1;
            break;
        }
    }
    vp_sql_done(ledger, which);
    if (rc >= 0)
        return 0;
    free(*records);
    *records = NULL;
    *count = 0;
    return -1;
}

int vp_ledger_drift_list(struct vp_ledger *ledger, int64_t since_ms, int64_t after_id,
                         struct vp_drift_record **records, size_t *count, struct vp_error *err)
{
    sqlite3_stmt *statement;

    *records = NULL;
    *count = 0;
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_DRIFT_LIST, err);
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, since_ms);
    sqlite3_bind_int64(statement, 2, after_id);
    return read_records(ledger, VP_SQL_DRIFT_LIST, statement, records, count, err);
}

int vp_ledger_drift_standing(struct vp_ledger *ledger, struct vp_drift_record **records,
                             size_t *count, struct vp_error *err)
{
    sqlite3_stmt *statement;

    *records = NULL;
    *count = 0;
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_DRIFT_STANDING, err);
    return statement ? read_records(ledger, VP_SQL_DRIFT_STANDING, statement, records, count, err)
                     : -1;
}

int vp_ledger_drift_states(struct vp_ledger *ledger, unsigned count[VP_DRIFT_STATES],
                           struct vp_error *err)
{
    sqlite3_stmt *statement;
    int rc, state;

    memset(count, 0, VP_DRIFT_STATES * sizeof(*count));
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_DRIFT_STATES, err);
    if (!statement)
        return -1;
    while ((rc = vp_sql_step(ledger, VP_SQL_DRIFT_STATES, err)) == SQLITE_ROW) {
        const char *word = (const char *)sqlite3_column_text(statement, 0);

        state = word ? vp_drift_state_parse(word) : -1;
        if (state >= 0)
            count[state] = (unsigned)sqlite3_column_int64(statement, 1);
    }
    vp_sql_done(ledger, VP_SQL_DRIFT_STATES);
    return rc < 0 ? -1 : 0;
}
