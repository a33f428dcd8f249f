/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_ledger.h"

/* The ledger's contract, one process. */

static mode_t mode_of(const char *path)
{
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    return st.st_mode & 07777;
}

START_TEST(makes_private_files)
{
    static const char *const file[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm",
                                       "ledger.lock"};
    bool rebuilt = false;
    mode_t old = umask(0);
    struct vp_ledger *ledger = open_ledger(&rebuilt);

    umask(old);
    ck_assert(rebuilt);
    ck_assert_uint_eq(mode_of(run_dir), 0700);
    for (size_t i = 0; i < sizeof(file) / sizeof(file[0]); i++)
        ck_assert_msg(mode_of(run_file(file[i])) == 0600, "%s: %04o", file[i],
                      (unsigned)mode_of(run_file(file[i])));
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(refuses_directory_of_others)
{
    struct vp_ledger *ledger = NULL;

    ck_assert_int_eq(mkdir(run_dir, 0700), 0);
    ck_assert_int_eq(chmod(run_dir, 0777), 0);
    ck_fails(vp_ledger_open(&ledger, run_dir, true, 100, NULL, err), VP_HOST, "written by others");
    ck_assert_ptr_null(ledger);
}
END_TEST

START_TEST(missing_is_gone_without_may_create)
{
    struct vp_ledger *ledger = NULL;

    ck_fails(vp_ledger_open(&ledger, run_dir, false, 100, NULL, err), VP_GONE, run_dir);
    ck_assert_int_eq(mkdir(run_dir, 0700), 0);
    ck_fails(vp_ledger_open(&ledger, run_dir, false, 100, NULL, err), VP_GONE, "ledger.db");
    ck_assert(!run_file_is("ledger.db"));
}
END_TEST

START_TEST(rebuilt_until_adopted)
{
    bool rebuilt = false;
    struct vp_ledger *ledger = open_ledger(&rebuilt);
    struct vp_ledger *other;

    ck_assert(rebuilt);
    vp_ledger_close(ledger);
    ledger = open_ledger(&rebuilt);
    ck_assert(rebuilt);
    other = open_ledger(&rebuilt);
    ck_ok(vp_ledger_adopted(ledger, err));
    ck_assert(!vp_ledger_rebuilt(ledger));
    ck_ok(vp_ledger_begin(other, err));
    ck_assert(!vp_ledger_rebuilt(other));
    vp_ledger_close(other);
    vp_ledger_close(ledger);
    ledger = open_ledger(&rebuilt);
    ck_assert(!rebuilt);
    vp_ledger_close(ledger);
}
END_TEST

static void fill_row(struct vp_guest_row *row)
{
    row->state = VP_GUEST_LEASE;
    strcpy(row->operation, "migrate");
    row->daemon_pid = 4711;
    row->daemon_start = UINT64_C(18446744073709551615);
    row->since_ms = 1700000000123;
    row->held_until_ms = 1700000060123;
    row->hold_until_ms = 9;
    row->pending = strdup("cpu-mode waits for the next start");
    row->would = strdup("what enforce would do\n");
}

static void check_row(const struct vp_guest_row *got, const struct vp_guest_row *want)
{
    ck_assert_str_eq(got->uuid, want->uuid);
    ck_assert_str_eq(got->name, want->name);
    ck_assert_int_eq(got->pid, want->pid);
    ck_assert_uint_eq(got->pid_start, want->pid_start);
    ck_assert_int_eq(got->state, want->state);
    ck_assert_str_eq(got->operation, want->operation);
    ck_assert_int_eq(got->daemon_pid, want->daemon_pid);
    ck_assert_uint_eq(got->daemon_start, want->daemon_start);
    ck_assert_int_eq(got->since_ms, want->since_ms);
    ck_assert_int_eq(got->held_until_ms, want->held_until_ms);
    ck_assert_int_eq(got->hold_until_ms, want->hold_until_ms);
    ck_assert_uint_eq(got->gen, want->gen);
    ck_assert_pstr_eq(got->pending, want->pending);
    ck_assert_pstr_eq(got->unplaced, want->unplaced);
    ck_assert_pstr_eq(got->would, want->would);
    ck_assert_int_eq(got->plan != NULL, want->plan != NULL);
    if (want->plan) {
        ck_assert_str_eq(got->plan->policy, want->plan->policy);
        ck_assert_int_eq(got->plan->mode, want->plan->mode);
        ck_assert_uint_eq(got->plan->want_count, want->plan->want_count);
        ck_assert(vp_cpuset_equal(&got->plan->vcpu_cpus, &want->plan->vcpu_cpus));
    }
}

START_TEST(row_comes_back_whole)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(1, 4, 11);
    struct vp_guest_row got;
    uint64_t before, after;

    fill_row(&row);
    ck_ok(vp_ledger_gen(ledger, &before, err));
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_put(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_ok(vp_ledger_gen(ledger, &after, err));
    ck_assert_uint_gt(after, before);
    ck_assert_uint_eq(row.gen, after);
    ck_assert_int_eq(vp_ledger_guest(ledger, row.uuid, &got, NULL), 1);
    check_row(&got, &row);
    vp_guest_row_clear(&got);
    ck_assert_int_eq(vp_ledger_guest(ledger, uuid_of(2), &got, NULL), 0);
    vp_guest_row_clear(&row);
    check_consistent(ledger, 1);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(put_replaces_cpus_and_touch_leaves_them)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(1, 20, 21), got;
    uint64_t gen;

    put_guest(ledger, 1, 4, 11);
    put_guest(ledger, 1, 8, 9);
    ck_assert_int_eq(cpu_count_of("1"), 2);
    ck_ok(vp_ledger_gen(ledger, &gen, err));
    row.pid = 5555;
    row.state = VP_GUEST_RESERVED;
    row.unplaced = strdup("no room");
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_touch(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_assert_int_eq(vp_ledger_guest(ledger, row.uuid, &got, NULL), 1);
    ck_assert_int_eq(got.pid, 5555);
    ck_assert_int_eq(got.state, VP_GUEST_RESERVED);
    ck_assert_str_eq(got.unplaced, "no room");
    ck_assert_uint_eq(got.gen, gen);
    ck_assert(vp_cpuset_has(&got.plan->vcpu_cpus, 8));
    ck_assert_int_eq(cpu_count_of("cpu IN (8, 9)"), 2);
    vp_guest_row_clear(&got);
    vp_guest_row_clear(&row);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(touch_of_nobody_is_gone)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(9, 0, 0);

    ck_fails(vp_ledger_touch(ledger, &row, err), VP_HOST, "no transaction");
    ck_ok(vp_ledger_begin(ledger, err));
    ck_fails(vp_ledger_touch(ledger, &row, err), VP_GONE, "guest-9");
    vp_ledger_rollback(ledger);
    vp_guest_row_clear(&row);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(a_cpu_has_one_holder)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(2, 5, 6);

    put_guest(ledger, 1, 4, 5);
    ck_ok(vp_ledger_begin(ledger, err));
    ck_fails(vp_ledger_put(ledger, &row, err), VP_REFUSED, "CPU 5 is held by guest guest-1");
    vp_ledger_rollback(ledger);
    check_consistent(ledger, 1);
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_remove(ledger, uuid_of(1), err));
    ck_ok(vp_ledger_put(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    check_consistent(ledger, 1);
    vp_guest_row_clear(&row);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(books_every_use)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(1, 0, 1);

    vp_cpuset_add(&row.plan->emulator_cpus, 2);
    vp_cpuset_add(&row.plan->iothread_cpus, 3);
    vp_cpuset_add_range(&row.plan->idle_cpus, 4, 8191);
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_put(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_assert_int_eq(cpu_count_of("use = 'vcpu' AND cpu IN (0, 1)"), 2);
    ck_assert_int_eq(cpu_count_of("use = 'emulator' AND cpu = 2"), 1);
    ck_assert_int_eq(cpu_count_of("use = 'iothread' AND cpu = 3"), 1);
    ck_assert_int_eq(cpu_count_of("use = 'idle'"), 8188);
    vp_guest_row_clear(&row);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(audit_and_unplaced_book_nothing)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row[3] = {guest_on(1, 0, 3), guest_on(2, 0, 3), guest_on(3, 0, -1)};

    row[0].plan->mode = VP_MODE_AUDIT;
    row[1].unplaced = strdup("no room");
    vp_plan_free(row[2].plan);
    row[2].plan = NULL;
    ck_ok(vp_ledger_begin(ledger, err));
    for (int i = 0; i < 3; i++)
        ck_ok(vp_ledger_put(ledger, &row[i], err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_assert_int_eq(cpu_count_of("1"), 0);
    for (int i = 0; i < 3; i++) {
        struct vp_guest_row got;
        ck_assert_int_eq(vp_ledger_guest(ledger, row[i].uuid, &got, NULL), 1);
        check_row(&got, &row[i]);
        vp_guest_row_clear(&got);
        vp_guest_row_clear(&row[i]);
    }
    vp_ledger_close(ledger);
}
END_TEST

static void put_fixed(struct vp_ledger *ledger, unsigned number, int first, int last)
{
    struct vp_guest_row row = guest_on(number, 0, -1);

    row.plan->placement = VP_PLACE_FIXED;
    vp_cpuset_add_range(&row.plan->fixed_cpus, first, last);
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_put(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    vp_guest_row_clear(&row);
}

static void remove_guest(struct vp_ledger *ledger, unsigned number)
{
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_remove(ledger, uuid_of(number), err));
    ck_ok(vp_ledger_commit(ledger, err));
}

START_TEST(fixed_rows_stand_where_nobody_else_is)
{
    struct vp_ledger *ledger = open_ledger(NULL);

    put_guest(ledger, 1, 2, 3);
    put_fixed(ledger, 2, 0, 3);
    ck_assert_int_eq(cpu_count_of("use = 'fixed'"), 2);
    put_fixed(ledger, 3, 1, 1);
    ck_assert_int_eq(cpu_count_of("use = 'fixed'"), 2);
    put_guest(ledger, 4, 0, 0);
    ck_assert_int_eq(cpu_count_of("use = 'vcpu' AND cpu = 0"), 1);
    remove_guest(ledger, 1);
    ck_assert_int_eq(cpu_count_of("use = 'fixed' AND cpu IN (1, 2, 3)"), 3);
    remove_guest(ledger, 2);
    ck_assert_int_eq(cpu_count_of("use = 'fixed' AND cpu = 1"), 1);
    ck_assert_int_eq(cpu_count_of("1"), 2);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(rollback_and_close_keep_nothing)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_guest_row row = guest_on(1, 0, 3);
    uint64_t before, after;

    vp_ledger_rollback(ledger);
    ck_ok(vp_ledger_gen(ledger, &before, err));
    for (int i = 0; i < 2; i++) {
        ck_ok(vp_ledger_begin(ledger, err));
        ck_fails(vp_ledger_begin(ledger, err), VP_HOST, "open already");
        ck_ok(vp_ledger_put(ledger, &row, err));
        if (i == 0) {
            vp_ledger_rollback(ledger);
        } else {
            vp_ledger_close(ledger);
            ledger = open_ledger(NULL);
        }
        check_consistent(ledger, 0);
    }
    ck_fails(vp_ledger_commit(ledger, err), VP_HOST, "no transaction");
    ck_ok(vp_ledger_gen(ledger, &after, err));
    ck_assert_uint_eq(before, after);
    vp_guest_row_clear(&row);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(requests_once_and_in_order)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_request *request;
    size_t count;

    ck_ok(vp_ledger_request(ledger, "tell", uuid_of(1), err));
    ck_ok(vp_ledger_request(ledger, "definition", uuid_of(2), err));
    ck_ok(vp_ledger_request(ledger, "tell", uuid_of(1), err));
    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_request(ledger, "tell", uuid_of(3), err));
    ck_ok(vp_ledger_commit(ledger, err));
    ck_ok(vp_ledger_take_requests(ledger, "tell", &request, &count, err));
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(request[0].uuid, uuid_of(1));
    ck_assert_str_eq(request[1].uuid, uuid_of(3));
    ck_assert_int_lt(request[0].id, request[1].id);
    free(request);
    ck_ok(vp_ledger_take_requests(ledger, NULL, &request, &count, err));
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(request[0].kind, "definition");
    free(request);
    ck_ok(vp_ledger_take_requests(ledger, NULL, &request, &count, err));
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(request);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(meta_keeps_small_facts)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    char *value;

    ck_assert_int_eq(vp_ledger_meta_get(ledger, "enforcer.pid", &value, NULL), 0);
    ck_ok(vp_ledger_meta_set(ledger, "enforcer.pid", "12", err));
    ck_ok(vp_ledger_meta_set(ledger, "enforcer.pid", "13", err));
    ck_assert_int_eq(vp_ledger_meta_get(ledger, "enforcer.pid", &value, NULL), 1);
    ck_assert_str_eq(value, "13");
    free(value);
    ck_ok(vp_ledger_meta_set(ledger, "enforcer.pid", NULL, err));
    ck_assert_int_eq(vp_ledger_meta_get(ledger, "enforcer.pid", &value, NULL), 0);
    ck_fails(vp_ledger_meta_set(ledger, "gen", "1", err), VP_INPUT, "own key");
    vp_ledger_close(ledger);
}
END_TEST

/* Set by memset, so that records can be compared as memory. */
static void drift_of(struct vp_drift_record *record, int number)
{
    memset(record, 0, sizeof(*record));
    strcpy(record->guest, "db-1");
    strcpy(record->uuid, uuid_of(1));
    record->tid = 100 + number;
    record->role = VP_ROLE_IOTHREAD;
    record->index = 3;
    record->kind = VP_DRIFT_CPUSET_ABOVE;
    strcpy(record->where, "/sys/fs/cgroup/machine/cpuset.cpus");
    vp_cpuset_add_range(&record->wanted, 2, 5);
    record->first_ms = 1000 + number;
    record->last_ms = 2000 + number;
    record->count = 2;
    record->state = VP_DRIFT_CONTESTED;
    record->repair_us = -1;
    record->by.pid = 9;
    strcpy(record->by.comm, "taskset");
    record->by.uid = -1;
    strcpy(record->by.unit, "a.scope");
    strcpy(record->by.tty, "pts/1");
    record->by.exact = true;
}

START_TEST(drift_comes_back_whole)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_drift_record record, *got;
    size_t count;

    drift_of(&record, 0);
    ck_ok(vp_ledger_drift_put(ledger, &record, err));
    ck_assert_int_gt(record.id, 0);
    record.count = 7;
    record.last_ms = 5000;
    record.state = VP_DRIFT_REPAIRED;
    record.repair_us = 830;
    ck_ok(vp_ledger_drift_put(ledger, &record, err));
    ck_ok(vp_ledger_drift_list(ledger, 5000, 0, &got, &count, err));
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(got->id, record.id);
    ck_assert_mem_eq(got, &record, sizeof(record));
    free(got);
    ck_ok(vp_ledger_drift_list(ledger, 5001, 0, &got, &count, err));
    ck_assert_uint_eq(count, 0);
    ck_ok(vp_ledger_drift_standing(ledger, &got, &count, err));
    ck_assert_uint_eq(count, 0);
    record.state = VP_DRIFT_CONTESTED;
    ck_ok(vp_ledger_drift_put(ledger, &record, err));
    ck_ok(vp_ledger_drift_standing(ledger, &got, &count, err));
    ck_assert_uint_eq(count, 1);
    ck_assert_mem_eq(got, &record, sizeof(record));
    free(got);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(drift_history_is_bounded)
{
    enum { EXTRA = 5, ALL = 10000 + EXTRA };
    struct vp_ledger *ledger = open_ledger(NULL);
    struct vp_drift_record record, *got;
    int64_t oldest = 0;
    size_t count;

    ck_ok(vp_ledger_begin(ledger, err));
    for (int i = 0; i < ALL; i++) {
        drift_of(&record, i);
        ck_ok(vp_ledger_drift_put(ledger, &record, err));
        if (i == 0)
            oldest = record.id;
    }
    ck_ok(vp_ledger_commit(ledger, err));
    ck_ok(vp_ledger_drift_list(ledger, 0, 0, &got, &count, err));
    ck_assert_uint_eq(count, 10000);
    ck_assert_int_eq(got[0].id, oldest + EXTRA);
    free(got);
    ck_ok(vp_ledger_drift_list(ledger, 0, record.id - 3, &got, &count, err));
    ck_assert_uint_eq(count, 3);
    free(got);
    drift_of(&record, 0); /* the record of the oldest, which is trimmed, comes again */
    record.id = oldest;
    ck_ok(vp_ledger_drift_put(ledger, &record, err));
    ck_assert_int_eq(record.id, oldest + ALL);
    vp_ledger_close(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger");
    TCase *contract = tcase_create("contract");

    tcase_add_checked_fixture(contract, test_dir_make, test_dir_remove);
    tcase_add_test(contract, makes_private_files);
    tcase_add_test(contract, refuses_directory_of_others);
    tcase_add_test(contract, missing_is_gone_without_may_create);
    tcase_add_test(contract, rebuilt_until_adopted);
    tcase_add_test(contract, row_comes_back_whole);
    tcase_add_test(contract, put_replaces_cpus_and_touch_leaves_them);
    tcase_add_test(contract, touch_of_nobody_is_gone);
    tcase_add_test(contract, a_cpu_has_one_holder);
    tcase_add_test(contract, books_every_use);
    tcase_add_test(contract, audit_and_unplaced_book_nothing);
    tcase_add_test(contract, fixed_rows_stand_where_nobody_else_is);
    tcase_add_test(contract, rollback_and_close_keep_nothing);
    tcase_add_test(contract, requests_once_and_in_order);
    tcase_add_test(contract, meta_keeps_small_facts);
    tcase_add_test(contract, drift_comes_back_whole);
    tcase_add_test(contract, drift_history_is_bounded);
    suite_add_tcase(suite, contract);
    return run_suite(suite);
}
