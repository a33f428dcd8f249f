/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TEST_LEDGER_H
#define VP_TEST_LEDGER_H

#include <check.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/ledger_priv.h"

/* What the ledger's test programs share: a run directory of each test's own,
 * and guests to put into it. */

static char test_dir[PATH_MAX / 2];
static char run_dir[PATH_MAX / 2 + 8];

static inline void empty_dir(const char *path)
{
    char *name;
    struct dirent *entry;
    DIR *dir = opendir(path);

    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (asprintf(&name, "%s/%s", path, entry->d_name) < 0)
            break;
        if (unlink(name) < 0) {
            empty_dir(name);
            rmdir(name);
        }
        free(name);
    }
    if (dir)
        closedir(dir);
}

static inline void test_dir_make(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(test_dir, sizeof(test_dir), "%s/virtpin-ledger-XXXXXX", base ? base : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(test_dir));
    snprintf(run_dir, sizeof(run_dir), "%s/run", test_dir);
}

static inline void test_dir_remove(void)
{
    empty_dir(test_dir);
    rmdir(test_dir);
}

static inline const char *run_file(const char *name)
{
    static char path[4][PATH_MAX];
    static unsigned turn;
    char *to = path[turn++ % 4];

    snprintf(to, PATH_MAX, "%s/%s", run_dir, name);
    return to;
}

static inline bool run_file_is(const char *name)
{
    return access(run_file(name), F_OK) == 0;
}

#define ck_ok(call)                                                                                \
    do {                                                                                           \
        struct vp_error error_ = {0}, *err = &error_;                                              \
        ck_assert_msg((call) >= 0, "%s: %s", #call, error_.text);                                  \
    } while (0)

#define ck_fails(call, wanted_code, part)                                                          \
    do {                                                                                           \
        struct vp_error error_ = {0}, *err = &error_;                                              \
        ck_assert_msg((call) == -1, "%s did not fail", #call);                                     \
        ck_assert_msg(error_.code == (wanted_code), "%s: code %d, %s", #call, (int)error_.code,    \
                      error_.text);                                                                \
        ck_assert_msg(strstr(error_.text, part), "'%s' has no '%s'", error_.text, part);           \
    } while (0)

static inline struct vp_ledger *open_ledger(bool *rebuilt)
{
    struct vp_ledger *ledger = NULL;

    ck_ok(vp_ledger_open(&ledger, run_dir, true, 2000, rebuilt, err));
    ck_assert_ptr_nonnull(ledger);
    return ledger;
}

static inline const char *uuid_of(unsigned number)
{
    static char uuid[4][VP_UUID_TEXT];
    static unsigned turn;
    char *to = uuid[turn++ % 4];

    snprintf(to, VP_UUID_TEXT, "%08x-0000-4000-8000-000000000000", number);
    return to;
}

/* Guest `number` on the CPUs first..last, one vCPU on each; none if last < first. */
static inline struct vp_guest_row guest_on(unsigned number, int first, int last)
{
    struct vp_guest_row row = {.state = VP_GUEST_RUNNING, .pid = (pid_t)(1000 + number)};
    struct vp_plan *plan = calloc(1, sizeof(*plan));

    snprintf(row.uuid, sizeof(row.uuid), "%s", uuid_of(number));
    snprintf(row.name, sizeof(row.name), "guest-%u", number);
    row.pid_start = 77000 + number;
    plan->policy = strdup("db");
    snprintf(plan->policy_hash, sizeof(plan->policy_hash), "sha256:%064u", number);
    plan->mode = VP_MODE_ENFORCE;
    plan->placement = VP_PLACE_DEDICATED;
    plan->want = calloc(1 + (size_t)(last < first ? 0 : last - first + 1), sizeof(*plan->want));
    for (int cpu = first; cpu <= last; cpu++) {
        struct vp_want *want = &plan->want[plan->want_count++];
        want->role = VP_ROLE_VCPU;
        want->index = (unsigned)(cpu - first);
        want->kind = VP_WANT_SET;
        vp_cpuset_add(&want->cpus, cpu);
        vp_cpuset_add(&plan->vcpu_cpus, cpu);
    }
    row.plan = plan;
    return row;
}

static inline void put_guest(struct vp_ledger *ledger, unsigned number, int first, int last)
{
    struct vp_guest_row row = guest_on(number, first, last);

    ck_ok(vp_ledger_begin(ledger, err));
    ck_ok(vp_ledger_put(ledger, &row, err));
    ck_ok(vp_ledger_commit(ledger, err));
    vp_guest_row_clear(&row);
}

static inline int cpu_count_of(const char *condition)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char text[256];
    int count;

    snprintf(text, sizeof(text), "SELECT count(*) FROM cpu WHERE %s", condition);
    ck_assert_int_eq(sqlite3_open(run_file("ledger.db"), &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 1000);
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    ck_assert_int_eq(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(statement), SQLITE_ROW);
    count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

/* Every booked CPU belongs to a guest whose plan books it, and the reverse. */
static inline void check_consistent(struct vp_ledger *ledger, size_t guests)
{
    struct vp_guest_rows rows;
    struct vp_cpuset seen = {0}, cpus;
    unsigned total = 0;

    ck_ok(vp_ledger_guests(ledger, &rows, err));
    ck_assert_uint_eq(rows.count, guests);
    for (size_t i = 0; i < rows.count; i++) {
        if (!rows.item[i].plan || rows.item[i].unplaced)
            continue;
        vp_plan_exclusive(rows.item[i].plan, &cpus);
        ck_assert_msg(!vp_cpuset_meets(&seen, &cpus), "%s has another's CPU", rows.item[i].name);
        vp_cpuset_or(&seen, &cpus);
        total += vp_cpuset_count(&cpus);
        char condition[128];
        snprintf(condition, sizeof(condition), "uuid = '%s' AND use <> 'fixed'", rows.item[i].uuid);
        ck_assert_int_eq(cpu_count_of(condition), (int)vp_cpuset_count(&cpus));
    }
    ck_assert_int_eq(cpu_count_of("use <> 'fixed'"), (int)total);
    vp_guest_rows_clear(&rows);
}

static inline double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}

#endif
