/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_ledger.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Many processes at the ledger at once, and one that is stopped half-way. */

enum { PROCESSES = 64, VISITORS = 20, HOST_CPUS = 100 };

struct visit {
    int result; /* 1 booked, 0 no room, -1 failed */
    enum vp_code code;
    char text[200];
    double ms;
};
static struct visit *visit; /* shared with the children */

static void share_visits(void)
{
    test_dir_make();
    visit = mmap(NULL, sizeof(*visit) * PROCESSES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(visit, MAP_FAILED);
}

static void unshare_visits(void)
{
    munmap(visit, sizeof(*visit) * PROCESSES);
    test_dir_remove();
}

/* The two lowest CPUs that nobody holds; -1: there are none. */
static int free_pair(const struct vp_guest_rows *rows)
{
    struct vp_cpuset taken = {0}, cpus;

    for (size_t i = 0; i < rows->count; i++) {
        vp_plan_exclusive(rows->item[i].plan, &cpus);
        vp_cpuset_or(&taken, &cpus);
    }
    for (int cpu = 0; cpu < HOST_CPUS; cpu += 2)
        if (!vp_cpuset_has(&taken, cpu) && !vp_cpuset_has(&taken, cpu + 1))
            return cpu;
    return -1;
}

/* What a hook does: open, read, plan, book. */
static int book(unsigned number, unsigned lock_ms, struct vp_error *err)
{
    struct vp_ledger *ledger = NULL;
    struct vp_guest_rows rows = {0};
    struct vp_guest_row row;
    int result = -1, cpu;

    if (vp_ledger_open(&ledger, run_dir, true, lock_ms, NULL, err) < 0)
        return -1;
    if (vp_ledger_begin(ledger, err) == 0 && vp_ledger_guests(ledger, &rows, err) == 0) {
        cpu = free_pair(&rows);
        result = cpu < 0 ? 0 : 1;
        if (result) {
            row = guest_on(number, cpu, cpu + 1);
            if (vp_ledger_put(ledger, &row, err) < 0 || vp_ledger_commit(ledger, err) < 0)
                result = -1;
            vp_guest_row_clear(&row);
        }
        vp_guest_rows_clear(&rows);
    }
    vp_ledger_close(ledger);
    return result;
}

static void book_in_child(unsigned number, unsigned lock_ms, int gate)
{
    struct vp_error err = {0};
    struct visit *mine = &visit[number];
    double began;
    char token;

    if (read(gate, &token, 1) != 0) /* the parent's close lets all go at once */
        _exit(2);
    began = now_ms();
    mine->result = book(number, lock_ms, &err);
    mine->ms = now_ms() - began;
    mine->code = err.code;
    snprintf(mine->text, sizeof(mine->text), "%.199s", err.text);
    _exit(0);
}

static double book_at_once(unsigned count, unsigned lock_ms)
{
    pid_t child[PROCESSES];
    int gate[2];
    double began;

    ck_assert_int_eq(pipe(gate), 0);
    for (unsigned i = 0; i < count; i++) {
        child[i] = fork();
        ck_assert_int_ge(child[i], 0);
        if (child[i] == 0) {
            close(gate[1]);
            book_in_child(i, lock_ms, gate[0]);
        }
    }
    close(gate[0]);
    began = now_ms();
    close(gate[1]);
    for (unsigned i = 0; i < count; i++) {
        int status;
        ck_assert_int_eq(waitpid(child[i], &status, 0), child[i]);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child %u: status %x", i,
                      (unsigned)status);
    }
    return now_ms() - began;
}

static double slowest(unsigned count)
{
    double most = 0;

    for (unsigned i = 0; i < count; i++)
        most = visit[i].ms > most ? visit[i].ms : most;
    return most;
}

/* _i: 0 nobody has made the ledger yet; 1 it is there, closed; 2 open elsewhere. */
START_TEST(books_from_64_processes)
{
    static const char *const how[] = {"no ledger yet", "ledger closed", "ledger open elsewhere"};
    struct vp_ledger *ledger = _i ? open_ledger(NULL) : NULL;
    unsigned booked = 0;
    double all;

    if (_i == 1) {
        vp_ledger_close(ledger);
        ledger = NULL;
    }
    all = book_at_once(PROCESSES, 10000);
    for (unsigned i = 0; i < PROCESSES; i++) {
        ck_assert_msg(visit[i].result >= 0, "process %u: %s", i, visit[i].text);
        booked += visit[i].result == 1;
    }
    ck_assert_uint_eq(booked, HOST_CPUS / 2);
    printf("64 bookings at once, %s: all in %.1f ms, the slowest %.1f ms\n", how[_i], all,
           slowest(PROCESSES));
    if (!ledger)
        ledger = open_ledger(NULL);
    check_consistent(ledger, booked);
    vp_ledger_close(ledger);
}
END_TEST

/* ---- a stopped holder ---- */

static int stop_at;

static void stop_at_step(const char *statement)
{
    (void)statement;
    if (--stop_at == 0)
        raise(SIGSTOP);
}

/* A child that books for guest 50 and stops before statement number `at`
 * after it has begun. */
static pid_t stopped_holder(int at)
{
    pid_t child = fork();
    int status;

    ck_assert_int_ge(child, 0);
    if (child == 0) {
        struct vp_ledger *ledger = NULL;
        struct vp_guest_row row = guest_on(50, 98, 99);
        int result = -1;

        if (vp_ledger_open(&ledger, run_dir, false, 2000, NULL, NULL) == 0 &&
            vp_ledger_begin(ledger, NULL) == 0) {
            stop_at = at;
            vp_ledger_step = stop_at_step;
            if (vp_ledger_put(ledger, &row, NULL) == 0)
                result = vp_ledger_commit(ledger, NULL);
        }
        vp_ledger_close(ledger);
        vp_guest_row_clear(&row);
        _exit(result == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status))
        return child;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "holder: %x", (unsigned)status);
    return 0;
}

static void let_go(pid_t holder)
{
    int status;

    ck_assert_int_eq(kill(holder, SIGCONT), 0);
    ck_assert_int_eq(waitpid(holder, &status, 0), holder);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "holder: %x", (unsigned)status);
}

static size_t count_guests(struct vp_ledger *ledger)
{
    struct vp_guest_rows rows;
    size_t count;

    ck_ok(vp_ledger_guests(ledger, &rows, err));
    count = rows.count;
    vp_guest_rows_clear(&rows);
    return count;
}

/* Opening and reading take no lock of ours. */
static double read_anew(size_t guests)
{
    struct vp_ledger *ledger = NULL;
    double began = now_ms();

    ck_ok(vp_ledger_open(&ledger, run_dir, false, 2000, NULL, err));
    ck_assert_uint_eq(count_guests(ledger), guests);
    vp_ledger_close(ledger);
    return now_ms() - began;
}

START_TEST(stopped_holder_costs_lock_ms)
{
    enum { LOCK_MS = 250, SLACK_MS = 400 };
    struct vp_ledger *ledger = open_ledger(NULL);
    pid_t holder = stopped_holder(4);

    ck_assert_int_gt(holder, 0);
    book_at_once(VISITORS, LOCK_MS);
    for (unsigned i = 0; i < VISITORS; i++) {
        ck_assert_msg(visit[i].result == -1 && visit[i].code == VP_BUSY, "visitor %u: %d, %s", i,
                      visit[i].result, visit[i].text);
        ck_assert_double_ge(visit[i].ms, LOCK_MS - 5);
        ck_assert_double_le(visit[i].ms, LOCK_MS + SLACK_MS);
    }
    printf("20 bookings beside a stopped holder: the slowest gave up after %.1f ms (limit %d)\n",
           slowest(VISITORS), LOCK_MS);
    ck_assert_uint_eq(count_guests(ledger), 0);
    let_go(holder);
    check_consistent(ledger, 1);
    book_at_once(VISITORS, 10000);
    for (unsigned i = 0; i < VISITORS; i++)
        ck_assert_msg(visit[i].result == 1, "visitor %u: %s", i, visit[i].text);
    check_consistent(ledger, 1 + VISITORS);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(readers_pass_a_stopped_writer)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    double most = 0;
    int stops = 0;
    pid_t holder;

    put_guest(ledger, 1, 0, 1);
    while ((holder = stopped_holder(stops + 1)) > 0) {
        double took = now_ms(), anew;
        ck_assert_uint_eq(count_guests(ledger), stops ? 2 : 1);
        took = now_ms() - took;
        anew = read_anew(stops ? 2 : 1);
        took = anew > took ? anew : took;
        most = took > most ? took : most;
        let_go(holder);
        stops++;
    }
    printf("a reader beside a writer stopped before each of %d statements: at most %.1f ms\n",
           stops, most);
    ck_assert_int_ge(stops, 6);
    ck_assert_double_le(most, 500);
    check_consistent(ledger, 2);
    vp_ledger_close(ledger);
}
END_TEST

START_TEST(killed_holder_costs_nothing)
{
    struct vp_ledger *ledger = open_ledger(NULL);
    pid_t holder = stopped_holder(5);
    double began;
    int status;

    ck_assert_int_gt(holder, 0);
    kill(holder, SIGKILL);
    ck_assert_int_eq(waitpid(holder, &status, 0), holder);
    began = now_ms();
    put_guest(ledger, 1, 98, 99);
    printf("first booking after a holder was killed: %.2f ms\n", now_ms() - began);
    check_consistent(ledger, 1);
    vp_ledger_close(ledger);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ledger race");
    TCase *race = tcase_create("race");

    tcase_set_timeout(race, 60);
    tcase_add_checked_fixture(race, share_visits, unshare_visits);
    tcase_add_loop_test(race, books_from_64_processes, 0, 3);
    tcase_add_test(race, stopped_holder_costs_lock_ms);
    tcase_add_test(race, readers_pass_a_stopped_writer);
    tcase_add_test(race, killed_holder_costs_nothing);
    suite_add_tcase(suite, race);
    return run_suite(suite);
}
