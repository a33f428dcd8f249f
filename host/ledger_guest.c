/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/ledger_priv.h"

#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"

/* Guests and the CPUs that they hold. */

static const char *const state_word[] = {
    [VP_GUEST_LEASE] = "lease",
    [VP_GUEST_RUNNING] = "running",
    [VP_GUEST_RESERVED] = "reserved",
};

const char *vp_guest_state_word(enum vp_guest_state state)
{
    return state_word[state];
}

static int state_of(const char *word, enum vp_guest_state *state)
{
    for (size_t i = 0; i < sizeof(state_word) / sizeof(state_word[0]); i++) {
        if (strcmp(word, state_word[i]) == 0) {
            *state = (enum vp_guest_state)i;
            return 0;
        }
    }
    return -1;
}

void vp_guest_row_clear(struct vp_guest_row *row)
{
    vp_plan_free(row->plan);
    free(row->pending);
    free(row->unplaced);
    free(row->would);
    memset(row, 0, sizeof(*row));
}

void vp_guest_rows_clear(struct vp_guest_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        vp_guest_row_clear(&rows->item[i]);
    free(rows->item);
    rows->item = NULL;
    rows->count = 0;
}

/* ---- reading ---- */

static int read_plan(struct vp_ledger *ledger, const char *text, struct vp_guest_row *row,
                     struct vp_error *err)
{
    if (!text || vp_plan_parse(text, &row->plan, err) == 0)
        return 0;
    /* Only a text that cannot be understood is damage; without memory is not. */
    if (!err || err->code == VP_INPUT)
        ledger->damaged = true;
    if (err)
        err->code = VP_HOST;
    return vp_wrap(err, "ledger %s: guest %s", ledger->path[VP_FILE_DB], row->name);
}

static void read_numbers(sqlite3_stmt *from, struct vp_guest_row *row)
{
    row->pid = sqlite3_column_int(from, 2);
    row->pid_start = (uint64_t)sqlite3_column_int64(from, 3);
    row->daemon_pid = sqlite3_column_int(from, 6);
    row->daemon_start = (uint64_t)sqlite3_column_int64(from, 7);
    row->since_ms = sqlite3_column_int64(from, 8);
    row->held_until_ms = sqlite3_column_int64(from, 9);
    row->hold_until_ms = sqlite3_column_int64(from, 10);
    row->gen = (uint64_t)sqlite3_column_int64(from, 11);
}

static int read_row(struct vp_ledger *ledger, sqlite3_stmt *from, struct vp_guest_row *row,
                    struct vp_error *err)
{
    char state[16];

    memset(row, 0, sizeof(*row));
    if (vp_sql_copy(from, 0, row->uuid, sizeof(row->uuid)) < 0 ||
        strlen(row->uuid) != VP_UUID_TEXT - 1 ||
        vp_sql_copy(from, 1, row->name, sizeof(row->name)) < 0 ||
        vp_sql_copy(from, 4, state, sizeof(state)) < 0 || state_of(state, &row->state) < 0 ||
        vp_sql_copy(from, 5, row->operation, sizeof(row->operation)) < 0)
        return vp_ledger_nonsense(ledger, "a guest's row makes no sense", err);
    read_numbers(from, row);
    if (vp_sql_dup(from, 13, &row->pending) < 0 || vp_sql_dup(from, 14, &row->unplaced) < 0 ||
        vp_sql_dup(from, 15, &row->would) < 0)
        vp_fail(err, VP_HOST, "no memory for guest %s", row->name);
    else if (read_plan(ledger, (const char *)sqlite3_column_text(from, 12), row, err) == 0)
        return 0;
    vp_guest_row_clear(row);
    return -1;
}

int vp_ledger_each_guest(struct vp_ledger *ledger,
                         int (*each)(void *data, struct vp_guest_row *row, struct vp_error *err),
                         void *data, struct vp_error *err)
{
    sqlite3_stmt *statement;
    int rc;

    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_GUESTS, err);
    if (!statement)
        return -1;
    while ((rc = vp_sql_step(ledger, VP_SQL_GUESTS, err)) == SQLITE_ROW) {
        struct vp_guest_row row;

        if (read_row(ledger, statement, &row, err) < 0) {
            rc = -1;
            break;
        }
        rc = each(data, &row, err);
        vp_guest_row_clear(&row);
        if (rc < 0)
            break;
    }
    vp_sql_done(ledger, VP_SQL_GUESTS);
    return rc < 0 ? -1 : 0;
}

struct collected {
    struct vp_guest_rows *rows;
    size_t room;
};

static int append_row(void *data, struct vp_guest_row *row, struct vp_error *err)
{
    struct collected *to = data;

    if (to->rows->count == to->room) {
        size_t more = to->room ? to->room * 2 : 32;
        struct vp_guest_row *item = reallocarray(to->rows->item, more, sizeof(*item));

        if (!item)
            return vp_fail(err, VP_HOST, "no memory for %zu guests", more);
        to->rows->item = item;
        to->room = more;
    }
    to->rows->item[to->rows->count++] = *row;
    *row = (struct vp_guest_row){0};
    return 0;
}

int vp_ledger_guests(struct vp_ledger *ledger, struct vp_guest_rows *rows, struct vp_error *err)
{
    struct collected to = {.rows = rows};

    *rows = (struct vp_guest_rows){0};
    if (vp_ledger_each_guest(ledger, append_row, &to, err) == 0)
        return 0;
    vp_guest_rows_clear(rows);
    return -1;
}

int vp_ledger_guest(struct vp_ledger *ledger, const char *uuid, struct vp_guest_row *row,
                    struct vp_error *err)
{
    sqlite3_stmt *statement;
    int rc;

    memset(row, 0, sizeof(*row));
    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_GUEST, err);
    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, uuid);
    rc = vp_sql_step(ledger, VP_SQL_GUEST, err);
    if (rc == SQLITE_ROW && read_row(ledger, statement, row, err) < 0)
        rc = -1;
    vp_sql_done(ledger, VP_SQL_GUEST);
    return rc < 0 ? -1 : rc == SQLITE_ROW;
}

/* ---- writing ---- */

static int needs_transaction(const struct vp_ledger *ledger, const char *uuid, struct vp_error *err)
{
    if (!ledger->in_transaction)
        return vp_fail(err, VP_HOST, "ledger %s: no transaction is open", ledger->path[VP_FILE_DB]);
    if (strlen(uuid) != VP_UUID_TEXT - 1)
        return vp_fail(err, VP_INPUT, "'%s' is not a uuid of %d characters", uuid,
                       VP_UUID_TEXT - 1);
    return 0;
}

static int run_on_uuid(struct vp_ledger *ledger, enum vp_sql which, const char *uuid,
                       struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, which, err);

    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 1, uuid);
    return vp_sql_run(ledger, which, err);
}

static int raise_gen(struct vp_ledger *ledger, uint64_t *gen, struct vp_error *err)
{
    if (vp_sql_run(ledger, VP_SQL_GEN_RAISE, err) < 0)
        return -1;
    return vp_ledger_gen(ledger, gen, err);
}

static int refuse_cpu(struct vp_ledger *ledger, int cpu, struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_CPU_HOLDER, err);
    const char *name;
    int rc;

    if (!statement)
        return -1;
    sqlite3_bind_int(statement, 1, cpu);
    rc = vp_sql_step(ledger, VP_SQL_CPU_HOLDER, err);
    if (rc == SQLITE_ROW) {
        name = (const char *)sqlite3_column_text(statement, 2);
        vp_fail(err, VP_REFUSED, "CPU %d is held by guest %s (%s, %s)", cpu, name ? name : "?",
                sqlite3_column_text(statement, 0), sqlite3_column_text(statement, 1));
    } else if (rc == SQLITE_DONE) {
        vp_ledger_nonsense(ledger, "a CPU has a holder and has none", err);
    }
    vp_sql_done(ledger, VP_SQL_CPU_HOLDER);
    return -1;
}

static int book_cpus(struct vp_ledger *ledger, const char *uuid, const char *use,
                     const struct vp_cpuset *cpus, struct vp_error *err)
{
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_CPU_BOOK, err);

    if (!statement)
        return -1;
    vp_sql_bind_text(statement, 2, uuid);
    vp_sql_bind_text(statement, 3, use);
    for (int cpu = vp_cpuset_next(cpus, -1); cpu >= 0; cpu = vp_cpuset_next(cpus, cpu)) {
        sqlite3_bind_int(statement, 1, cpu);
        if (vp_sql_run(ledger, VP_SQL_CPU_BOOK, err) < 0)
            return -1;
        if (sqlite3_changes(ledger->db) == 0)
            return refuse_cpu(ledger, cpu, err);
    }
    return 0;
}

static int book_plan(struct vp_ledger *ledger, const char *uuid, const struct vp_plan *plan,
                     struct vp_error *err)
{
    if (book_cpus(ledger, uuid, "vcpu", &plan->vcpu_cpus, err) < 0 ||
        book_cpus(ledger, uuid, "emulator", &plan->emulator_cpus, err) < 0 ||
        book_cpus(ledger, uuid, "iothread", &plan->iothread_cpus, err) < 0 ||
        book_cpus(ledger, uuid, "vhost", &plan->vhost_cpus, err) < 0)
        return -1;
    return book_cpus(ledger, uuid, "idle", &plan->idle_cpus, err);
}

static int fill_fixed_of(struct vp_ledger *ledger, sqlite3_stmt *guest, struct vp_error *err)
{
    sqlite3_stmt *into = vp_sql(ledger, VP_SQL_CPU_FIXED, err);
    const char *list = (const char *)sqlite3_column_text(guest, 1);
    struct vp_cpuset cpus;

    if (!into)
        return -1;
    if (!list || vp_cpuset_parse(&cpus, list, NULL) < 0)
        return vp_ledger_nonsense(ledger, "a guest's fixed CPUs make no sense", err);
    vp_sql_bind_text(into, 2, (const char *)sqlite3_column_text(guest, 0));
    for (int cpu = vp_cpuset_next(&cpus, -1); cpu >= 0; cpu = vp_cpuset_next(&cpus, cpu)) {
        sqlite3_bind_int(into, 1, cpu);
        if (vp_sql_run(ledger, VP_SQL_CPU_FIXED, err) < 0)
            return -1;
    }
    return 0;
}

/* CPUs that became free get back the rows of the fixed guests on them. */
static int fill_fixed(struct vp_ledger *ledger, struct vp_error *err)
{
    sqlite3_stmt *guests = vp_sql(ledger, VP_SQL_FIXED_GUESTS, err);
    int rc;

    if (!guests)
        return -1;
    while ((rc = vp_sql_step(ledger, VP_SQL_FIXED_GUESTS, err)) == SQLITE_ROW) {
        if (fill_fixed_of(ledger, guests, err) < 0) {
            rc = -1;
            break;
        }
    }
    vp_sql_done(ledger, VP_SQL_FIXED_GUESTS);
    return rc < 0 ? -1 : 0;
}

static void bind_row(sqlite3_stmt *to, const struct vp_guest_row *row, const char *plan,
                     const char *fixed)
{
    vp_sql_bind_text(to, 1, row->uuid);
    vp_sql_bind_text(to, 2, row->name);
    sqlite3_bind_int(to, 3, row->pid);
    sqlite3_bind_int64(to, 4, (sqlite3_int64)row->pid_start);
    vp_sql_bind_text(to, 5, vp_guest_state_word(row->state));
    vp_sql_bind_text(to, 6, row->operation);
    sqlite3_bind_int(to, 7, row->daemon_pid);
    sqlite3_bind_int64(to, 8, (sqlite3_int64)row->daemon_start);
    sqlite3_bind_int64(to, 9, row->since_ms);
    sqlite3_bind_int64(to, 10, row->held_until_ms);
    sqlite3_bind_int64(to, 11, row->hold_until_ms);
    sqlite3_bind_int64(to, 12, (sqlite3_int64)row->gen);
    vp_sql_bind_text(to, 13, plan);
    vp_sql_bind_text(to, 14, row->pending);
    vp_sql_bind_text(to, 15, row->unplaced);
    vp_sql_bind_text(to, 16, row->would);
    vp_sql_bind_text(to, 17, row->plan && row->plan->policy ? row->plan->policy : "");
    vp_sql_bind_text(to, 18, row->plan ? row->plan->policy_hash : "");
    vp_sql_bind_text(to, 19, row->plan ? vp_mode_word(row->plan->mode) : "");
    vp_sql_bind_text(to, 20, fixed);
}

static int write_row(struct vp_ledger *ledger, const struct vp_guest_row *row, bool booked,
                     struct vp_error *err)
{
    VP_AUTO(free) char *plan = row->plan ? vp_plan_print(row->plan) : NULL;
    VP_AUTO(free) char *fixed = booked ? vp_cpuset_format(&row->plan->fixed_cpus) : strdup("");
    sqlite3_stmt *statement = vp_sql(ledger, VP_SQL_GUEST_PUT, err);
    int result;

    if (!statement)
        return -1;
    if (!fixed || (row->plan && !plan))
        return vp_fail(err, VP_HOST, "no memory for guest %s", row->name);
    bind_row(statement, row, plan, fixed);
    result = vp_sql_run(ledger, VP_SQL_GUEST_PUT, err);
    sqlite3_clear_bindings(statement); /* the texts go now */
    return result;
}

int vp_ledger_put(struct vp_ledger *ledger, struct vp_guest_row *row, struct vp_error *err)
{
    bool booked = row->plan && row->plan->mode == VP_MODE_ENFORCE && !row->unplaced;

    if (needs_transaction(ledger, row->uuid, err) < 0 || raise_gen(ledger, &row->gen, err) < 0 ||
        write_row(ledger, row, booked, err) < 0 ||
        run_on_uuid(ledger, VP_SQL_CPUS_FREE, row->uuid, err) < 0)
        return -1;
    if (booked && book_plan(ledger, row->uuid, row->plan, err) < 0)
        return -1;
    return fill_fixed(ledger, err);
}

int vp_ledger_touch(struct vp_ledger *ledger, const struct vp_guest_row *row, struct vp_error *err)
{
    sqlite3_stmt *to;

    if (needs_transaction(ledger, row->uuid, err) < 0)
        return -1;
    to = vp_sql(ledger, VP_SQL_GUEST_TOUCH, err);
    if (!to)
        return -1;
    vp_sql_bind_text(to, 1, row->uuid);
    sqlite3_bind_int(to, 2, row->pid);
    sqlite3_bind_int64(to, 3, (sqlite3_int64)row->pid_start);
    vp_sql_bind_text(to, 4, vp_guest_state_word(row->state));
    vp_sql_bind_text(to, 5, row->operation);
    sqlite3_bind_int(to, 6, row->daemon_pid);
    sqlite3_bind_int64(to, 7, (sqlite3_int64)row->daemon_start);
    sqlite3_bind_int64(to, 8, row->since_ms);
    sqlite3_bind_int64(to, 9, row->held_until_ms);
    sqlite3_bind_int64(to, 10, row->hold_until_ms);
    vp_sql_bind_text(to, 11, row->pending);
    vp_sql_bind_text(to, 12, row->unplaced);
    if (vp_sql_run(ledger, VP_SQL_GUEST_TOUCH, err) < 0)
        return -1;
    if (sqlite3_changes(ledger->db) == 0)
        return vp_fail(err, VP_GONE, "guest %s is not in the ledger", row->name);
    return 0;
}

int vp_ledger_remove(struct vp_ledger *ledger, const char *uuid, struct vp_error *err)
{
    uint64_t gen;

    if (needs_transaction(ledger, uuid, err) < 0 || raise_gen(ledger, &gen, err) < 0 ||
        run_on_uuid(ledger, VP_SQL_CPUS_FREE, uuid, err) < 0 ||
        run_on_uuid(ledger, VP_SQL_GUEST_REMOVE, uuid, err) < 0)
        return -1;
    return fill_fixed(ledger, err);
}

int vp_ledger_cpus(struct vp_ledger *ledger, void (*each)(void *data, int cpu, const char *use),
                   void *data, struct vp_error *err)
{
    sqlite3_stmt *statement;
    int rc;

    if (vp_ledger_ready(ledger, err) < 0)
        return -1;
    statement = vp_sql(ledger, VP_SQL_CPUS, err);
    if (!statement)
        return -1;
    while ((rc = vp_sql_step(ledger, VP_SQL_CPUS, err)) == SQLITE_ROW) {
        const char *use = (const char *)sqlite3_column_text(statement, 1);

        each(data, sqlite3_column_int(statement, 0), use ? use : "");
    }
    vp_sql_done(ledger, VP_SQL_CPUS);
    return rc < 0 ? -1 : 0;
}
