/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the enforcer makes of a difference. The enforcer is a program and no archive, so the
 * files under test are taken in whole. */
#include "enforcer/judge.c"
#include "enforcer/packed.c"
#include "enforcer/watched.c"
#include "enforcer/kept.c"

#include <check.h>
#include <stdlib.h>

#define ROOT "/sys/fs/cgroup/cpuset/machine/qemu-1-db1.libvirt-qemu"
#define NOW_US 10000000
#define NOW_MS 1700000000000

static struct vp_cpuset cpus(const char *text)
{
    struct vp_cpuset set = {0};

    if (*text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

/* A guest with vCPU 0 (tid 11) on CPU 2, I/O thread 1 (tid 12) and the emulator (tid 10) on 0-1;
 * what a case changes of it. */
struct row {
    const char *name;
    enum vp_role role;
    unsigned index;
    pid_t tid;
    const char *group; /* below ROOT, or absolute */
    enum vp_drift_kind kind;
    const char *found;
    bool fresh, unknown, late, astray, connected, standing;
    const char *before; /* what the plan before this one wanted of it, NULL: nothing */
    int before_age_ms;
    const char *libvirt; /* libvirt's pin of it */
    int writer;          /* 0: nobody was seen writing the file, 1: a foreigner, 2: libvirt */
    enum vp_verdict_of_diff verdict;
};

static const struct row rows[] = {
    {.name = "a narrowed cpuset",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "1",
     .verdict = VP_DIFF_DRIFT},
    {.name = "an affinity",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_AFFINITY,
     .found = "1",
     .verdict = VP_DIFF_DRIFT},
    {.name = "from above",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET_ABOVE,
     .found = "1",
     .fresh = true,
     .verdict = VP_DIFF_DRIFT},
    {.name = "first contact",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "1",
     .fresh = true,
     .verdict = VP_DIFF_QUIET},
    {.name = "a thread that was just plugged",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0-3",
     .unknown = true,
     .verdict = VP_DIFF_QUIET},
    {.name = "still in the emulator's group",
     .tid = 11,
     .group = "emulator",
     .astray = true,
     .kind = VP_DRIFT_GROUP,
     .found = "0-1",
     .verdict = VP_DIFF_WATCH},
    {.name = "and still after three seconds",
     .tid = 11,
     .group = "emulator",
     .astray = true,
     .kind = VP_DRIFT_GROUP,
     .found = "0-1",
     .late = true,
     .verdict = VP_DIFF_DRIFT},
    {.name = "said then, and to be said as long as it is so",
     .tid = 11,
     .group = "",
     .astray = true,
     .kind = VP_DRIFT_GROUP,
     .found = "0-1",
     .standing = true,
     .verdict = VP_DIFF_DRIFT},
    {.name = "out of the guest",
     .tid = 11,
     .group = "/sys/fs/cgroup/cpuset",
     .astray = true,
     .kind = VP_DRIFT_GROUP,
     .found = "0-1",
     .verdict = VP_DIFF_DRIFT},
    {.name = "a worker in a vCPU's group is one that libvirt does not name yet",
     .role = VP_ROLE_WORKER,
     .tid = 13,
     .group = "vcpu1",
     .kind = VP_DRIFT_CPUSET,
     .found = "0-1",
     .verdict = VP_DIFF_WATCH},
    {.name = "a worker of an I/O thread",
     .role = VP_ROLE_WORKER,
     .tid = 13,
     .group = "iothread1",
     .kind = VP_DRIFT_CPUSET,
     .found = "3",
     .verdict = VP_DIFF_DRIFT},
    {.name = "what the old plan wanted",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0-1",
     .before = "0-1",
     .before_age_ms = 100,
     .verdict = VP_DIFF_QUIET},
    {.name = "long after the plan changed",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0-1",
     .before = "0-1",
     .before_age_ms = VP_NEW_PLAN_MS + 1,
     .verdict = VP_DIFF_DRIFT},
    {.name = "something else than the old plan wanted",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "1",
     .before = "0-1",
     .before_age_ms = 100,
     .verdict = VP_DIFF_DRIFT},
    {.name = "the old plan's, written by a foreigner",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0-1",
     .before = "0-1",
     .before_age_ms = 100,
     .writer = 1,
     .verdict = VP_DIFF_DRIFT},
    {.name = "libvirt's pin",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "1",
     .libvirt = "1",
     .connected = true,
     .verdict = VP_DIFF_LIBVIRT},
    {.name = "libvirt's pin, libvirt away",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "1",
     .libvirt = "1",
     .verdict = VP_DIFF_DRIFT},
    {.name = "not libvirt's pin",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0",
     .libvirt = "1",
     .connected = true,
     .verdict = VP_DIFF_DRIFT},
    {.name = "written by libvirt just now",
     .tid = 11,
     .group = "vcpu0",
     .kind = VP_DRIFT_CPUSET,
     .found = "0",
     .libvirt = "1",
     .connected = true,
     .writer = 2,
     .verdict = VP_DIFF_LIBVIRT},
};

static void make_guest(struct vp_watched *guest, const struct row *row)
{
    struct vp_pin pin = {.role = row->role, .index = row->index};

    strcpy(guest->root, ROOT);
    guest->fresh = row->fresh;
    guest->pins_since_ms = NOW_MS - row->before_age_ms;
    if (row->before) {
        pin.cpus = cpus(row->before);
        ck_assert_int_eq(vp_packed_set(&guest->before, &(struct vp_pins){&pin, 1}), 0);
    }
    guest->threads.item = calloc(2, sizeof(*guest->threads.item));
    guest->threads.count = 2;
    guest->threads.item[0].tid = 10;
    guest->threads.item[1].tid = row->unknown ? 99 : row->tid;
    if (row->standing) {
        guest->cases = calloc(1, sizeof(*guest->cases));
        guest->case_count = 1;
        guest->cases[0].standing = true;
        guest->cases[0].record.kind = VP_DRIFT_GROUP;
        guest->cases[0].record.role = row->role;
        guest->cases[0].record.index = row->index;
    }
    if (row->libvirt) {
        pin.cpus = cpus(row->libvirt);
        ck_assert_int_eq(vp_packed_set(&guest->known.pins, &(struct vp_pins){&pin, 1}), 0);
    }
}

START_TEST(verdicts)
{
    const struct row *row = &rows[_i];
    struct vp_write write[VP_WRITES_KEPT] = {0};
    struct vp_watched guest = {0};
    struct vp_cpuset online = cpus("0-3");
    struct vp_seen seen = {.role = row->role,
                           .index = row->index,
                           .tid = row->tid,
                           .has_cpuset = true,
                           .astray = row->astray,
                           .affinity = cpus(row->found)};
    struct vp_diff diff = {.role = row->role,
                           .index = row->index,
                           .tid = row->tid,
                           .kind = row->kind,
                           .found = cpus(row->found)};
    struct vp_diffs diffs = {&diff, 1};
    struct vp_judgement judgement = {.diffs = &diffs,
                                     .seen = &seen,
                                     .seen_count = 1,
                                     .online = &online,
                                     .libvirt_repairs = row->connected,
                                     .setup_late = row->late,
                                     .now_ms = NOW_MS,
                                     .now_us = NOW_US};

    make_guest(&guest, row);
    snprintf(seen.group, sizeof(seen.group), "%s%s%s", *row->group == '/' ? "" : ROOT,
             *row->group == '/' ? "" : "/", row->group);
    snprintf(diff.where, sizeof(diff.where), "%.490s/cpuset.cpus", seen.group);
    if (row->writer != 0) {
        guest.write = write;
        guest.write_room = VP_WRITES_KEPT;
        write[3] = (struct vp_write){
            .at_us = NOW_US - 1000, .foreign = row->writer == 1, .libvirt = row->writer == 2};
        memcpy(write[3].where, diff.where, sizeof(diff.where));
    }
    ck_assert_msg(vp_judge(&guest, &judgement, 0) == row->verdict, "%s: verdict %d", row->name,
                  (int)vp_judge(&guest, &judgement, 0));
    vp_packed_clear(&guest.before);
    vp_packed_clear(&guest.known.pins);
    free(guest.threads.item);
    free(guest.cases);
}
END_TEST

/* One file rewritten: the record is the first thread's, masks and other threads follow. */
START_TEST(one_file_one_record)
{
    struct vp_watched guest = {0};
    struct vp_cpuset online = cpus("0-3");
    struct vp_seen seen[3] = {{.role = VP_ROLE_EMULATOR, .tid = 10},
                              {.role = VP_ROLE_WORKER, .tid = 11},
                              {.role = VP_ROLE_WORKER, .tid = 12}};
    struct vp_diff diff[5] = {{.role = VP_ROLE_EMULATOR, .tid = 10, .kind = VP_DRIFT_CPUSET},
                              {.role = VP_ROLE_EMULATOR, .tid = 10, .kind = VP_DRIFT_AFFINITY},
                              {.role = VP_ROLE_WORKER, .tid = 11, .kind = VP_DRIFT_CPUSET},
                              {.role = VP_ROLE_WORKER, .tid = 11, .kind = VP_DRIFT_AFFINITY},
                              {.role = VP_ROLE_WORKER, .tid = 12, .kind = VP_DRIFT_AFFINITY}};
    struct vp_diffs diffs = {diff, 5};
    struct vp_judgement judgement = {.diffs = &diffs,
                                     .seen = seen,
                                     .seen_count = 3,
                                     .online = &online,
                                     .now_ms = NOW_MS,
                                     .now_us = NOW_US};

    strcpy(guest.root, ROOT);
    for (int i = 0; i < 3; i++) {
        seen[i].has_cpuset = true;
        strcpy(seen[i].group, ROOT "/emulator");
        seen[i].cpuset = seen[i].effective = seen[i].affinity = cpus("0");
    }
    strcpy(diff[0].where, ROOT "/emulator/cpuset.cpus");
    strcpy(diff[2].where, ROOT "/emulator/cpuset.cpus");
    /* this mask is no consequence of the cpuset */
    seen[2].affinity = cpus("3");
    ck_assert_int_eq(vp_judge(&guest, &judgement, 0), VP_DIFF_DRIFT);
    ck_assert_int_eq(vp_judge(&guest, &judgement, 1), VP_DIFF_FOLLOWS);
    ck_assert_int_eq(vp_judge(&guest, &judgement, 2), VP_DIFF_FOLLOWS);
    ck_assert_int_eq(vp_judge(&guest, &judgement, 3), VP_DIFF_FOLLOWS);
    ck_assert_int_eq(vp_judge(&guest, &judgement, 4), VP_DIFF_DRIFT);
}
END_TEST

/* The sweep's cheap look: our own thread, whose mask changes. */
START_TEST(quiet_until_a_mask_changes)
{
    struct vp_watched guest = {.row = {.pid = getpid()}};
    struct vp_threads threads = {
        .pid = getpid(), .count = 1, .item = calloc(1, sizeof(struct vp_thread))};
    cpu_set_t all, one;

    threads.item[0].tid = getpid();
    ck_assert(!vp_watched_quiet(&guest));
    vp_watched_remember(&guest, &threads, NULL);
    ck_assert_uint_eq(threads.count, 0);
    ck_assert(vp_watched_quiet(&guest));
    ck_assert(vp_watched_knows(&guest, getpid()));
    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    for (int c = 0; c < CPU_SETSIZE && CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &all))
            CPU_SET(c, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    ck_assert(vp_watched_quiet(&guest) == (CPU_COUNT(&all) == 1));
    ck_assert_int_eq(sched_setaffinity(0, sizeof(all), &all), 0);
    ck_assert(vp_watched_quiet(&guest));
    vp_threads_clear(&guest.threads);
    free(guest.mask);
}
END_TEST

START_TEST(earliest_look_counts)
{
    struct vp_watched guest = {0};

    vp_watched_due(&guest, 500);
    vp_watched_due(&guest, 700);
    ck_assert_int_eq(guest.look_at_us, 500);
    vp_watched_due(&guest, 300);
    ck_assert_int_eq(guest.look_at_us, 300);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("judge");
    TCase *tcase = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, verdicts, 0, (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tcase, one_file_one_record);
    tcase_add_test(tcase, quiet_until_a_mask_changes);
    tcase_add_test(tcase, earliest_look_counts);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
