/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_ledger.h"

#include <fcntl.h>

/* Files that others have spoilt: no CPU is ever booked twice, nothing crashes,
 * and what was lost is said to be lost. */

/* ---- the damages ---- */

static void delete_file(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
}

static void empty_file(const char *path)
{
    ck_assert_int_eq(truncate(path, 0), 0);
}

static void cut_file(const char *path)
{
    ck_assert_int_eq(truncate(path, 5000), 0);
}

static void fill_with_noise(const char *path, off_t from)
{
    unsigned char noise[4096];
    struct stat st;
    int fd = open(path, O_WRONLY);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    srandom(7);
    for (off_t at = from; at < st.st_size; at += (off_t)sizeof(noise)) {
        size_t length = (size_t)(st.st_size - at);
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (unsigned char)random();
        length = length < sizeof(noise) ? length : sizeof(noise);
        ck_assert_int_eq(pwrite(fd, noise, length, at), (ssize_t)length);
    }
    close(fd);
}

static void noise_all(const char *path)
{
    fill_with_noise(path, 0);
}

static void noise_body(const char *path)
{
    fill_with_noise(path, 4096);
}

static void other_content(const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC);

    ck_assert_int_eq(write(fd, "[host]\n", 7), 7);
    close(fd);
}

static void foreign_database(const char *path)
{
    sqlite3 *db = NULL;

    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE guest(uuid)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void make_directory(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void make_fifo(const char *path)
{
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
}

static void make_symlink(const char *path)
{
    char real[PATH_MAX];

    snprintf(real, sizeof(real), "%s/elsewhere.db", test_dir);
    ck_assert_int_eq(rename(path, real), 0);
    ck_assert_int_eq(symlink(real, path), 0);
}

static void delete_all(const char *path)
{
    (void)path;
    empty_dir(run_dir);
}

static const struct {
    const char *name, *file;
    void (*damage)(const char *path);
    bool keeps; /* nothing that was booked is lost */
} fault[] = {
    {"all deleted", "ledger.db", delete_all, false},
    {"deleted", "ledger.db", delete_file, false},
    {"emptied", "ledger.db", empty_file, false},
    {"cut off", "ledger.db", cut_file, false},
    {"noise", "ledger.db", noise_all, false},
    {"noise after the first page", "ledger.db", noise_body, false},
    {"text", "ledger.db", other_content, false},
    {"another database", "ledger.db", foreign_database, false},
    {"a directory", "ledger.db", make_directory, false},
    {"a fifo", "ledger.db", make_fifo, false},
    {"a symbolic link", "ledger.db", make_symlink, false},
    {"deleted", "ledger.db-wal", delete_file, true},
    {"emptied", "ledger.db-wal", empty_file, true},
    {"cut off", "ledger.db-wal", cut_file, true},
    {"noise", "ledger.db-wal", noise_all, true},
    {"deleted", "ledger.db-shm", delete_file, true},
    {"emptied", "ledger.db-shm", empty_file, true},
    {"cut off", "ledger.db-shm", cut_file, true},
    {"noise", "ledger.db-shm", noise_all, true},
    {"deleted", "ledger.lock", delete_file, true},
    {"emptied", "ledger.lock", empty_file, true},
    {"noise", "ledger.lock", noise_all, true},
};
enum { FAULTS = sizeof(fault) / sizeof(fault[0]) };

/* ---- the check ---- */

/* Books CPU 9 for a guest; damage may cost one clean failure, not two. */
static int book_nine(struct vp_ledger *ledger, unsigned number, const char *name)
{
    struct vp_error err = {0};

    for (int i = 0; i < 2; i++) {
        struct vp_guest_row row = guest_on(number, 9, 9);
        int result = -1;
        err.code = VP_OK;
        if (vp_ledger_begin(ledger, &err) == 0) {
            result = vp_ledger_put(ledger, &row, &err);
            if (result == 0)
                result = vp_ledger_commit(ledger, &err);
            vp_ledger_rollback(ledger);
        }
        vp_guest_row_clear(&row);
        if (result == 0)
            return 1;
        if (err.code == VP_REFUSED)
            return 0;
    }
    ck_abort_msg("%s: %s", name, err.text);
    return -1;
}

/* The rows of guest 1, read twice at most. */
static int has_first(struct vp_ledger *ledger, const char *name)
{
    struct vp_error err = {0};
    struct vp_guest_row row;

    for (int i = 0; i < 2; i++) {
        int result = vp_ledger_guest(ledger, uuid_of(1), &row, &err);
        if (result > 0)
            vp_guest_row_clear(&row);
        if (result >= 0)
            return result;
        ck_assert_msg(strstr(err.text, "ledger"), "%s: %s", name, err.text);
    }
    ck_abort_msg("%s: %s", name, err.text);
    return -1;
}

static void damage(int which)
{
    fault[which].damage(run_file(fault[which].file));
}

static struct vp_ledger *make_first(void)
{
    struct vp_ledger *ledger = open_ledger(NULL);

    ck_ok(vp_ledger_adopted(ledger, err));
    put_guest(ledger, 1, 0, 3);
    return ledger;
}

/* Whoever comes second finds what the first did, in one file that both use. */
static void check_pair(struct vp_ledger *one, struct vp_ledger *two, int which)
{
    char name[128];
    int first, second, kept;

    snprintf(name, sizeof(name), "%s: %s", fault[which].file, fault[which].name);
    first = book_nine(one, 10, name);
    second = book_nine(two, 11, name);
    ck_assert_msg(first == 1 && second == 0, "%s: booked %d, %d", name, first, second);
    kept = has_first(one, name);
    ck_assert_int_eq(has_first(two, name), kept);
    ck_assert_msg(kept || (vp_ledger_rebuilt(one) && vp_ledger_rebuilt(two)),
                  "%s: lost, and nobody knows", name);
    if (fault[which].keeps)
        ck_assert_msg(kept && !vp_ledger_rebuilt(one), "%s: lost", name);
    check_consistent(one, kept ? 2 : 1);
    check_consistent(two, kept ? 2 : 1);
}

/* Both have it open when it happens. */
START_TEST(spoilt_while_two_have_it_open)
{
    struct vp_ledger *one = make_first();
    struct vp_ledger *two = open_ledger(NULL);

    damage(_i);
    check_pair(one, two, _i);
    vp_ledger_close(one);
    vp_ledger_close(two);
}
END_TEST

/* One has it open; another opens it after. _i odd: the newcomer books first. */
START_TEST(spoilt_before_another_opens)
{
    struct vp_ledger *one = make_first(), *two = NULL;
    struct vp_error err = {0};

    damage(_i / 2);
    if (vp_ledger_open(&two, run_dir, true, 2000, NULL, &err) < 0) {
        ck_assert_msg(strstr(err.text, "ledger"), "%s", err.text);
        two = open_ledger(NULL);
    }
    if (_i % 2)
        check_pair(two, one, _i / 2);
    else
        check_pair(one, two, _i / 2);
    vp_ledger_close(two);
    vp_ledger_close(one);
}
END_TEST

/* Nobody has it open; each process opens, tries once and closes, as hooks do. */
START_TEST(spoilt_and_opened_by_short_processes)
{
    struct vp_ledger *one, *two;
    struct vp_guest_rows rows;

    vp_ledger_close(make_first());
    if (access(run_file(fault[_i].file), F_OK) < 0)
        return;
    damage(_i);
    for (int i = 0; i < 2; i++) { /* the first may find the damage, and moves it aside */
        one = open_ledger(NULL);
        if (vp_ledger_begin(one, NULL) == 0 && vp_ledger_guests(one, &rows, NULL) == 0)
            vp_guest_rows_clear(&rows);
        vp_ledger_close(one);
    }
    one = open_ledger(NULL);
    two = open_ledger(NULL);
    check_pair(one, two, _i);
    vp_ledger_close(one);
    vp_ledger_close(two);
}
END_TEST

START_TEST(unwilling_opener_leaves_damage_alone)
{
    struct vp_ledger *ledger = NULL;
    struct stat before, after;

    vp_ledger_close(make_first());
    noise_all(run_file("ledger.db"));
    ck_assert_int_eq(stat(run_file("ledger.db"), &before), 0);
    ck_fails(vp_ledger_open(&ledger, run_dir, false, 100, NULL, err), VP_HOST, "damaged");
    ck_assert_int_eq(stat(run_file("ledger.db"), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    ck_assert(!run_file_is("ledger.db.broken"));
}
END_TEST

static void sql(const char *text)
{
    sqlite3 *db = NULL;
    char *message = NULL;

    ck_assert_int_eq(sqlite3_open(run_file("ledger.db"), &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &message) == SQLITE_OK, "%s", message);
    sqlite3_close(db);
}

/* SQLite's own shell deletes the -wal when it is the last to close. */
START_TEST(other_tools_may_look)
{
    bool rebuilt = true;
    struct vp_ledger *ledger;

    vp_ledger_close(make_first());
    sql("SELECT * FROM guest");
    ck_assert(!run_file_is("ledger.db-wal"));
    ledger = open_ledger(&rebuilt);
    ck_assert(!rebuilt);
    sql("SELECT * FROM guest");
    check_consistent(ledger, 1);
    vp_ledger_close(ledger);
}
END_TEST

/* An older state in the ledger's place is sound to SQLite, and wrong. */
START_TEST(old_copy_is_not_believed)
{
    char command[3 * PATH_MAX];
    struct vp_ledger *ledger = make_first();
    bool rebuilt = false;
    int copied;

    snprintf(command, sizeof(command), "cp %s %s/copy", run_file("ledger.db"), test_dir);
    copied = system(command);
    ck_assert_int_eq(copied, 0);
    put_guest(ledger, 2, 4, 7);
    vp_ledger_close(ledger);
    snprintf(command, sizeof(command), "cp %s/copy %s; rm %s-wal", test_dir, run_file("ledger.db"),
             run_file("ledger.db"));
    copied = system(command);
    ck_assert_int_eq(copied, 0);
    ledger = open_ledger(&rebuilt);
    ck_assert(rebuilt);
    vp_ledger_close(ledger);
}
END_TEST

static const char *const nonsense[] = {
    "UPDATE guest SET plan = 'x' || char(1) || plan",
    "UPDATE guest SET uuid = 'short'",
    "UPDATE guest SET state = 'flying'",
    "UPDATE guest SET state = ''",
    "DROP TABLE guest",
    "DROP TABLE meta",
    "DELETE FROM meta WHERE key = 'serial'",
    "PRAGMA user_version = 0",
};
enum { NONSENSES = sizeof(nonsense) / sizeof(nonsense[0]) };

START_TEST(nonsense_is_moved_aside)
{
    bool rebuilt = false;
    struct vp_guest_rows rows = {0};
    struct vp_ledger *ledger;

    vp_ledger_close(make_first());
    sql(nonsense[_i]);
    ledger = open_ledger(&rebuilt);
    if (!rebuilt)
        ck_fails(vp_ledger_guests(ledger, &rows, err), VP_HOST, "ledger");
    vp_ledger_close(ledger);
    ledger = open_ledger(&rebuilt);
    ck_assert_msg(rebuilt, "%s", nonsense[_i]);
    check_consistent(ledger, 0);
    vp_ledger_close(ledger);
    ck_assert(run_file_is("ledger.db.broken"));
}
END_TEST

/* ---- versions ---- */

START_TEST(newer_minor_is_used)
{
    struct vp_ledger *ledger = make_first();
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    sql("ALTER TABLE guest ADD COLUMN extra TEXT DEFAULT 'x'; ALTER TABLE cpu ADD COLUMN more"
        " INTEGER DEFAULT 3; CREATE TABLE lately(a); CREATE INDEX cpu_uuid ON cpu(uuid);"
        " UPDATE guest SET extra = 'kept'; PRAGMA user_version = 1007");
    put_guest(ledger, 1, 2, 5);
    put_guest(ledger, 2, 0, 1);
    check_consistent(ledger, 2);
    vp_ledger_close(ledger);
    ledger = open_ledger(NULL);
    check_consistent(ledger, 2);
    vp_ledger_close(ledger);
    ck_assert_int_eq(sqlite3_open(run_file("ledger.db"), &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "SELECT group_concat(extra) FROM guest", -1, &statement, NULL);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    ck_assert_str_eq((const char *)sqlite3_column_text(statement, 0), "kept,x");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}
END_TEST

START_TEST(newer_major_is_refused)
{
    struct vp_ledger *open = make_first(), *ledger = NULL;
    struct stat before, after;

    sql("PRAGMA user_version = 2003");
    ck_assert_int_eq(stat(run_file("ledger.db"), &before), 0);
    ck_fails(vp_ledger_begin(open, err), VP_HOST, "schema 2.3, this program knows 1.0");
    vp_ledger_close(open);
    ck_fails(vp_ledger_open(&ledger, run_dir, true, 100, NULL, err), VP_HOST,
             "schema 2.3, this program knows 1.0");
    ck_assert_int_eq(stat(run_file("ledger.db"), &after), 0);
    ck_assert_uint_eq(before.st_ino, after.st_ino);
    sql("PRAGMA user_version = 1000");
    ledger = open_ledger(NULL);
    check_consistent(ledger, 1);
    vp_ledger_close(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger faults");
    TCase *files = tcase_create("files");
    TCase *versions = tcase_create("versions");

    tcase_set_timeout(files, 30);
    tcase_add_checked_fixture(files, test_dir_make, test_dir_remove);
    tcase_add_loop_test(files, spoilt_while_two_have_it_open, 0, FAULTS);
    tcase_add_loop_test(files, spoilt_before_another_opens, 0, 2 * FAULTS);
    tcase_add_loop_test(files, spoilt_and_opened_by_short_processes, 0, FAULTS);
    tcase_add_test(files, unwilling_opener_leaves_damage_alone);
    tcase_add_test(files, other_tools_may_look);
    tcase_add_test(files, old_copy_is_not_believed);
    tcase_add_loop_test(files, nonsense_is_moved_aside, 0, NONSENSES);
    suite_add_tcase(suite, files);
    tcase_add_checked_fixture(versions, test_dir_make, test_dir_remove);
    tcase_add_test(versions, newer_minor_is_used);
    tcase_add_test(versions, newer_major_is_refused);
    suite_add_tcase(suite, versions);
    return run_suite(suite);
}
