/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_ledger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

/* kill -9 before every statement of every operation, in turn: the next opener
 * finds the old state or the new one, whole. */

static int kill_at;

static void kill_at_step(const char *statement)
{
    (void)statement;
    if (--kill_at == 0)
        raise(SIGKILL);
}

/* ---- the state as text ---- */

static void dump_table(sqlite3 *db, const char *select, FILE *out)
{
    sqlite3_stmt *statement = NULL;

    ck_assert_msg(sqlite3_prepare_v2(db, select, -1, &statement, NULL) == SQLITE_OK, "%s: %s",
                  select, sqlite3_errmsg(db));
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const unsigned char *text = sqlite3_column_text(statement, i);
            fprintf(out, "%s|", text ? (const char *)text : "NULL");
        }
        fputc('\n', out);
    }
    ck_assert_int_eq(sqlite3_finalize(statement), SQLITE_OK);
}

/* Opens through the ledger's own door, then reads all tables. */
static char *dump(void)
{
    static const char *const table[] = {
        "SELECT * FROM guest ORDER BY uuid", "SELECT * FROM cpu ORDER BY cpu",
        "SELECT * FROM request ORDER BY id", "SELECT * FROM drift ORDER BY id",
        "SELECT * FROM meta ORDER BY key",   "PRAGMA integrity_check",
    };
    bool rebuilt = true;
    struct vp_ledger *ledger = open_ledger(&rebuilt);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ck_assert_msg(!rebuilt, "the ledger was taken for broken");
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        dump_table(ledger->db, table[i], out);
    fclose(out);
    vp_ledger_close(ledger);
    ck_assert_msg(strstr(text, "\nok|\n"), "%s", text);
    return text;
}

/* ---- a copy of the ledger to kill on ---- */

static void copy_file(const char *from, const char *to)
{
    char buf[65536];
    ssize_t length;
    int in = open(from, O_RDONLY), out;

    if (in < 0)
        return;
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(out, 0);
    while ((length = read(in, buf, sizeof(buf))) > 0)
        ck_assert_int_eq(write(out, buf, (size_t)length), length);
    close(in);
    close(out);
}

static void copy_ledger(const char *from_dir, const char *to_dir)
{
    static const char *const name[] = {"ledger.db", "ledger.db-wal", "ledger.lock"};
    char from[PATH_MAX], to[PATH_MAX];

    empty_dir(to_dir);
    mkdir(to_dir, 0700);
    for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
        snprintf(from, sizeof(from), "%s/%s", from_dir, name[i]);
        snprintf(to, sizeof(to), "%s/%s", to_dir, name[i]);
        copy_file(from, to);
    }
}

/* ---- the operations ---- */

static int in_transaction(struct vp_ledger *ledger,
                          int (*work)(struct vp_ledger *ledger, struct vp_error *err),
                          struct vp_error *err)
{
    if (vp_ledger_begin(ledger, err) < 0 || work(ledger, err) < 0)
        return -1;
    return vp_ledger_commit(ledger, err);
}

static int put_row(struct vp_ledger *ledger, unsigned number, int first, int last,
                   struct vp_error *err)
{
    struct vp_guest_row row = guest_on(number, first, last);
    int result = vp_ledger_put(ledger, &row, err);

    vp_guest_row_clear(&row);
    return result;
}

static int put_new(struct vp_ledger *ledger, struct vp_error *err)
{
    return put_row(ledger, 5, 20, 23, err);
}

static int put_moved(struct vp_ledger *ledger, struct vp_error *err)
{
    return put_row(ledger, 1, 3, 8, err);
}

static int remove_one(struct vp_ledger *ledger, struct vp_error *err)
{
    return vp_ledger_remove(ledger, uuid_of(1), err);
}

static int swap_two(struct vp_ledger *ledger, struct vp_error *err)
{
    if (vp_ledger_remove(ledger, uuid_of(1), err) < 0)
        return -1;
    return put_row(ledger, 6, 0, 3, err);
}

static int touch_one(struct vp_ledger *ledger, struct vp_error *err)
{
    struct vp_guest_row row = guest_on(1, 0, -1);
    int result;

    row.state = VP_GUEST_RESERVED;
    row.pending = strdup("later");
    result = vp_ledger_touch(ledger, &row, err);
    vp_guest_row_clear(&row);
    return result;
}

static int act_put_new(struct vp_ledger *ledger, struct vp_error *err)
{
    return in_transaction(ledger, put_new, err);
}

static int act_put_moved(struct vp_ledger *ledger, struct vp_error *err)
{
    return in_transaction(ledger, put_moved, err);
}

static int act_remove(struct vp_ledger *ledger, struct vp_error *err)
{
    return in_transaction(ledger, remove_one, err);
}

static int act_swap(struct vp_ledger *ledger, struct vp_error *err)
{
    return in_transaction(ledger, swap_two, err);
}

static int act_touch(struct vp_ledger *ledger, struct vp_error *err)
{
    return in_transaction(ledger, touch_one, err);
}

static int act_drift(struct vp_ledger *ledger, struct vp_error *err)
{
    struct vp_drift_record record = {.guest = "guest-1", .kind = VP_DRIFT_AFFINITY};

    snprintf(record.uuid, sizeof(record.uuid), "%s", uuid_of(1));
    return vp_ledger_drift_put(ledger, &record, err);
}

static int act_request(struct vp_ledger *ledger, struct vp_error *err)
{
    return vp_ledger_request(ledger, "definition", uuid_of(1), err);
}

static int act_take(struct vp_ledger *ledger, struct vp_error *err)
{
    struct vp_request *request = NULL;
    size_t count;
    int result = vp_ledger_take_requests(ledger, NULL, &request, &count, err);

    free(request);
    return result;
}

static int act_meta(struct vp_ledger *ledger, struct vp_error *err)
{
    return vp_ledger_meta_set(ledger, "enforcer.pid", "99", err);
}

static const struct {
    const char *name;
    int (*act)(struct vp_ledger *ledger, struct vp_error *err);
    int steps; /* statements at least */
} operation[] = {
    {"put of a new guest", act_put_new, 10},
    {"put that moves a guest", act_put_moved, 10},
    {"remove", act_remove, 8},
    {"remove and put in one", act_swap, 12},
    {"touch", act_touch, 6},
    {"drift_put", act_drift, 6},
    {"request", act_request, 6},
    {"take_requests", act_take, 6},
    {"meta_set", act_meta, 6},
};
enum { OPERATIONS = sizeof(operation) / sizeof(operation[0]) };

/* 1: killed before statement `at`; 0: it came to its end before that. */
static int run_and_kill(int at, int (*act)(struct vp_ledger *ledger, struct vp_error *err))
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct vp_ledger *ledger = NULL;
        int result;

        kill_at = at;
        vp_ledger_step = kill_at_step;
        result = vp_ledger_open(&ledger, run_dir, true, 1000, NULL, NULL);
        if (result == 0 && act)
            result = act(ledger, NULL);
        vp_ledger_close(ledger);
        _exit(result == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return 1;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "step %d: status %x", at,
                  (unsigned)status);
    return 0;
}

/* The state before: two guests, one of them fixed, a request, a record. */
static void make_base(void)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row fixed = guest_on(2, 0, -1);

    ck_ok(vp_ledger_adopted(ledger, err));
    put_guest(ledger, 1, 0, 3);
    vp_cpuset_add_range(&fixed.plan->fixed_cpus, 2, 6);
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_put(ledger, &fixed, err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_ok(vp_ledger_request(ledger, "tell", uuid_of(1), err));
    ck_ok(act_drift(ledger, err));
    vp_guest_row_clear(&fixed);
    vp_ledger_close(ledger);
}

START_TEST(killed_before_each_statement)
{
    char base[PATH_MAX];
    char *old, *new;
    int at, olds = 0, news = 0;

    make_base();
    snprintf(base, sizeof(base), "%s/base", test_dir);
    copy_ledger(run_dir, base);
    old = dump();
    ck_assert_int_eq(run_and_kill(0, operation[_i].act), 0);
    new = dump();
    ck_assert_str_ne(old, new);
    for (at = 1;; at++) {
        char *found;
        int killed;

        copy_ledger(base, run_dir);
        killed = run_and_kill(at, operation[_i].act);
        found = dump();
        ck_assert_msg(strcmp(found, new) == 0 || (killed && strcmp(found, old) == 0),
                      "%s, killed before statement %d:\n%s", operation[_i].name, at, found);
        olds += strcmp(found, old) == 0;
        news += strcmp(found, new) == 0;
        free(found);
        if (!killed)
            break;
    }
    printf("%s: killed before each of %d statements: old state %d times, new %d\n",
           operation[_i].name, at - 1, olds, news);
    ck_assert_int_ge(at - 1, operation[_i].steps);
    ck_assert_int_ge(news, 2); /* after the commit, and at the end */
    free(old);
    free(new);
}
END_TEST

/* While another has the ledger open, who then books at once. */
START_TEST(killed_beside_another)
{
    struct vp_ledger *other;
    int at = 1;

    make_base();
    other = open_ledger(NULL);
    while (run_and_kill(at, act_swap)) {
        struct vp_guest_row row;
        int there = vp_ledger_guest(other, uuid_of(6), &row, NULL);

        ck_assert_int_ge(there, 0);
        vp_guest_row_clear(&row);
        check_consistent(other, 2);
        put_guest(other, 5, 30, 31);
        ck_ok(vp_ledger_begin(other, err));
        ck_ok(vp_ledger_remove(other, uuid_of(5), err));
        ck_ok(vp_ledger_remove(other, uuid_of(6), err));
        ck_ok(put_row(other, 1, 0, 3, err));
        ck_ok(vp_ledger_commit(other, err));
        at++;
    }
    ck_assert_int_ge(at, 12);
    check_consistent(other, 2);
    vp_ledger_close(other);
}
END_TEST

/* _i 0: while the first ledger is made; 1: while a broken one is replaced. */
START_TEST(killed_while_made)
{
    int at = 1;
    bool more = true;

    while (more) {
        bool rebuilt = false;
        struct vp_ledger *ledger;

        empty_dir(run_dir);
        mkdir(run_dir, 0700);
        if (_i == 1) {
            int fd = open(run_file("ledger.db"), O_WRONLY | O_CREAT, 0600);
            ck_assert_int_eq(write(fd, "noise", 5), 5);
            close(fd);
        }
        more = run_and_kill(at++, NULL);
        ledger = open_ledger(&rebuilt);
        ck_assert_msg(rebuilt, "killed at %d: nobody would adopt", at - 1);
        put_guest(ledger, 1, 0, 3);
        check_consistent(ledger, 1);
        vp_ledger_close(ledger);
        ck_assert(!run_file_is("ledger.db.new"));
        ck_assert(_i == 0 || run_file_is("ledger.db.broken"));
    }
    ck_assert_int_ge(at, 6);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger kill");
    TCase *killed = tcase_create("kill");

    tcase_set_timeout(killed, 60);
    tcase_add_checked_fixture(killed, test_dir_make, test_dir_remove);
    tcase_add_loop_test(killed, killed_before_each_statement, 0, OPERATIONS);
    tcase_add_test(killed, killed_beside_another);
    tcase_add_loop_test(killed, killed_while_made, 0, 2);
    suite_add_tcase(suite, killed);
    return run_suite(suite);
}
