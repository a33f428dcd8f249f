/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pins on real threads in real cpuset groups of its own; affinity alone where
 * the groups are not to be had. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>

#include "decide/error.h"
#include "host/pin.h"
#include "tests/unit/standin.h"

static struct vp_error err;
static struct standin guest;
static struct vp_status_vcpu vcpu[STANDIN_THREADS];
static struct vp_status status = {.vcpu = vcpu};
static struct vp_threads threads;
static struct vp_pins pins;
static struct vp_pin_report report;
static struct vp_cpuset all, low, high;

/* A guest with two vCPUs, an I/O thread and a worker, unpinned. */
static bool begin(const char *test)
{
    const char *why = standin_start(&guest, 2, 1, 1);

    if (!why && vp_cpuset_parse_kernel(&all, standin_get(guest.root, "cpuset.cpus"), NULL) == 0 &&
        vp_cpuset_count(&all) < 2) {
        standin_stop(&guest);
        why = "needs two CPUs";
    }
    if (why) {
        printf("skip %s: %s\n", test, why);
        return false;
    }
    low = high = (struct vp_cpuset){0};
    vp_cpuset_add(&low, vp_cpuset_next(&all, -1));
    vp_cpuset_add(&high, vp_cpuset_last(&all));
    status.vcpu_count = guest.vcpus;
    for (unsigned i = 0; i < guest.vcpus; i++)
        vcpu[i] = (struct vp_status_vcpu){.id = i, .tid = guest.tid[i]};
    ck_assert_msg(vp_threads_list(&guest.cgroups, guest.pid, &status, guest.root, &threads, &err) ==
                      0,
                  "%s", err.text);
    return true;
}

static void end(void)
{
    vp_threads_clear(&threads);
    vp_pins_clear(&pins);
    vp_diffs_clear(&report.left);
    standin_stop(&guest);
}

static void want(enum vp_role role, unsigned index, const struct vp_cpuset *cpus)
{
    ck_assert_int_eq(vp_pins_add(&pins, role, index, cpus), 0);
}

static void want_usual(void)
{
    want(VP_ROLE_VCPU, 0, &high);
    want(VP_ROLE_VCPU, 1, &low);
    want(VP_ROLE_EMULATOR, 0, &low);
    want(VP_ROLE_IOTHREAD, 1, &high);
}

static void apply(bool always)
{
    vp_diffs_clear(&report.left);
    ck_assert_int_eq(
        vp_pin_apply(&guest.cgroups, &threads, guest.root, &pins, &all, always, &report, &err), 0);
}

static void has(pid_t tid, const struct vp_cpuset *cpus)
{
    struct vp_cpuset mask = {0};

    ck_assert_int_gt(sched_getaffinity(tid, sizeof(mask.w), (cpu_set_t *)mask.w), -1);
    ck_assert(vp_cpuset_equal(&mask, cpus));
}

static void set_mask(pid_t tid, const struct vp_cpuset *cpus)
{
    ck_assert_int_eq(sched_setaffinity(tid, sizeof(cpus->w), (const cpu_set_t *)cpus->w), 0);
}

static char *in_group(const char *name)
{
    static char dir[512];

    snprintf(dir, sizeof(dir), "%s/%s", guest.root, name);
    return dir;
}

static void file_has(const char *group, const struct vp_cpuset *cpus)
{
    struct vp_cpuset file;

    ck_assert_int_eq(
        vp_cpuset_parse_kernel(&file, standin_get(in_group(group), "cpuset.cpus"), NULL), 0);
    ck_assert(vp_cpuset_equal(&file, cpus));
}

static void write_file(const char *group, const struct vp_cpuset *cpus)
{
    ck_assert_msg(vp_cgroup_write_cpus(&guest.cgroups, in_group(group), cpus, &err) == 0, "%s",
                  err.text);
}

START_TEST(puts_pins_in_force)
{
    if (!begin("puts_pins_in_force"))
        return;
    ck_assert_uint_eq(threads.count, 5);
    want_usual();
    apply(false);
    ck_assert_int_eq(err.code, VP_OK);
    ck_assert_uint_eq(report.left.count, 0);
    ck_assert_uint_eq(report.cpusets_written, 4); /* the worker shares the emulator's */
    ck_assert_uint_eq(report.affinities_set, 5);
    file_has("vcpu0", &high);
    file_has("vcpu1", &low);
    file_has("emulator", &low);
    file_has("iothread1", &high);
    has(guest.tid[0], &high);
    has(guest.tid[1], &low);
    has(guest.tid[2], &high);
    has(guest.tid[3], &low);
    has(guest.pid, &low);
    /* Nothing differs: nothing is written, unless it is asked for. */
    apply(false);
    ck_assert_uint_eq(report.cpusets_written + report.affinities_set, 0);
    apply(true);
    ck_assert_uint_eq(report.cpusets_written, 4);
    ck_assert_uint_eq(report.affinities_set, 5);
    ck_assert_uint_eq(report.left.count, 0);
    end();
}
END_TEST

/* Each cause of drift: what look and compare say of it, and that apply repairs
 * it with no more than it takes. */
enum cause { TASKSET, NARROWED, WIDENED, MASK_AND_FILE, CAUSES };

static void disturb(enum cause cause)
{
    if (cause == NARROWED || cause == MASK_AND_FILE)
        write_file("vcpu0", &low);
    if (cause == WIDENED || cause == TASKSET)
        write_file("vcpu0", &all);
    if (cause == TASKSET || cause == MASK_AND_FILE)
        set_mask(guest.tid[0], &low);
}

START_TEST(repairs)
{
    struct vp_seen_list seen;
    struct vp_diffs diffs = {0};
    bool cpuset = false;

    if (!begin("repairs"))
        return;
    want_usual();
    apply(false);
    disturb(_i);
    ck_assert_int_eq(vp_pin_look(&guest.cgroups, &threads, guest.root, &seen, &err), 0);
    ck_assert_uint_eq(seen.count, 5);
    ck_assert_int_eq(vp_drift_compare(&pins, seen.item, seen.count, &all, &diffs), 0);
    ck_assert_uint_ge(diffs.count, 1);
    for (size_t i = 0; i < diffs.count; i++) {
        ck_assert_int_eq(diffs.item[i].tid, guest.tid[0]);
        ck_assert_int_eq(diffs.item[i].role, VP_ROLE_VCPU);
        cpuset = cpuset || diffs.item[i].kind == VP_DRIFT_CPUSET;
        if (diffs.item[i].kind == VP_DRIFT_CPUSET)
            ck_assert_ptr_nonnull(strstr(diffs.item[i].where, "vcpu0/cpuset.cpus"));
    }
    ck_assert(cpuset);
    apply(false);
    ck_assert_uint_eq(report.left.count, 0);
    ck_assert_uint_eq(report.cpusets_written, 1);
    ck_assert_uint_eq(report.affinities_set, 1);
    file_has("vcpu0", &high);
    has(guest.tid[0], &high);
    vp_diffs_clear(&diffs);
    vp_seen_clear(&seen);
    end();
}
END_TEST

START_TEST(mask_alone)
{
    if (!begin("mask_alone"))
        return;
    want(VP_ROLE_VCPU, 0, &all);
    want(VP_ROLE_EMULATOR, 0, &all);
    apply(false);
    set_mask(guest.tid[0], &low);
    apply(false);
    ck_assert_uint_eq(report.cpusets_written, 0);
    ck_assert_uint_eq(report.affinities_set, 1);
    has(guest.tid[0], &all);
    end();
}
END_TEST

/* A mask that the group hides must not come back with the group's widening:
 * kernels from 6.2 remember it. */
START_TEST(hidden_mask)
{
    if (!begin("hidden_mask"))
        return;
    want(VP_ROLE_VCPU, 0, &high);
    apply(false);
    write_file("vcpu0", &low); /* the mask, high, is remembered below it */
    vp_pins_clear(&pins);
    want(VP_ROLE_VCPU, 0, &all);
    apply(false);
    ck_assert_uint_eq(report.left.count, 0);
    file_has("vcpu0", &all);
    has(guest.tid[0], &all);
    end();
}
END_TEST

START_TEST(worker_in_an_iothreads_group)
{
    if (!begin("worker_in_an_iothreads_group"))
        return;
    ck_assert(standin_move(in_group("iothread1"), guest.tid[3]));
    want_usual();
    apply(false);
    ck_assert_uint_eq(report.left.count, 0);
    ck_assert_uint_eq(report.cpusets_written, 4);
    file_has("iothread1", &high);
    has(guest.tid[3], &high);
    end();
}
END_TEST

START_TEST(thread_moved_away)
{
    struct vp_seen_list seen;
    char text[512];

    if (!begin("thread_moved_away"))
        return;
    want_usual();
    apply(false);
    ck_assert(standin_move(guest.base, guest.tid[0]));
    write_file("vcpu0", &low);
    apply(false);
    file_has("vcpu0", &high); /* where it should be is right again */
    ck_assert_uint_eq(report.left.count, 1);
    ck_assert_msg(strstr(err.text, "still differs: group"), "%s", err.text);
    ck_assert_int_eq(report.left.item[0].kind, VP_DRIFT_GROUP);
    ck_assert_int_eq(report.left.item[0].tid, guest.tid[0]);
    ck_assert_str_eq(report.left.item[0].where, guest.base);
    has(guest.tid[0], &high); /* its mask at least */
    ck_assert_int_eq(
        vp_cgroup_of(&guest.cgroups, guest.pid, guest.tid[0], text, sizeof(text), &err), 0);
    ck_assert_str_eq(text, guest.base); /* never moved by us */
    ck_assert_int_eq(vp_pin_look(&guest.cgroups, &threads, guest.root, &seen, &err), 0);
    for (size_t i = 0; i < seen.count; i++)
        ck_assert_int_eq(seen.item[i].astray, seen.item[i].tid == guest.tid[0]);
    vp_seen_clear(&seen);
    end();
}
END_TEST

/* v1: the guest's directory lost a CPU (as when one went offline): widened. */
START_TEST(guest_directory_too_narrow)
{
    if (!begin("guest_directory_too_narrow"))
        return;
    write_file("vcpu0", &low);
    write_file("vcpu1", &low);
    write_file("emulator", &low);
    write_file("iothread1", &low);
    write_file(".", &low);
    want_usual();
    apply(false);
    ck_assert_msg(report.left.count == 0, "%zu left: %s", report.left.count, err.text);
    ck_assert_int_eq(err.code, VP_OK);
    file_has(".", &all);
    file_has("vcpu0", &high);
    has(guest.tid[0], &high);
    end();
}
END_TEST

/* An ancestor that is not the guest's own is not ours to change. */
START_TEST(ancestor_too_narrow)
{
    bool cpuset = false;

    if (!begin("ancestor_too_narrow"))
        return;
    write_file("vcpu0", &low);
    write_file("vcpu1", &low);
    write_file("emulator", &low);
    write_file("iothread1", &low);
    write_file(".", &low);
    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, guest.base, &low, &err), 0);
    want_usual();
    apply(false);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_msg(strstr(err.text, "group above"), "%s", err.text);
    for (size_t i = 0; i < report.left.count; i++) {
        ck_assert(report.left.item[i].tid == guest.tid[0] ||
                  report.left.item[i].tid == guest.tid[2]);
        cpuset = cpuset || report.left.item[i].kind == VP_DRIFT_CPUSET;
    }
    ck_assert(cpuset);
    has(guest.tid[1], &low); /* the rest was done */
    has(guest.pid, &low);
    end();
}
END_TEST

START_TEST(threads_that_end)
{
    if (!begin("threads_that_end"))
        return;
    want_usual();
    threads.item[1].tid = 0x3ffffff0; /* above any pid_max */
    apply(false);
    ck_assert_uint_eq(report.gone, 1);
    ck_assert_uint_eq(report.left.count, 0);
    kill(guest.pid, SIGKILL);
    waitpid(guest.pid, NULL, 0);
    guest.pid = 0;
    apply(true);
    ck_assert_uint_eq(report.gone, 5);
    ck_assert_uint_eq(report.left.count, 0);
    end();
}
END_TEST

/* One thread of a guest: the others are neither touched nor missed. */
START_TEST(some_threads)
{
    struct vp_threads one;

    if (!begin("some_threads"))
        return;
    want_usual();
    one = (struct vp_threads){.pid = guest.pid, .item = &threads.item[1], .count = 1};
    ck_assert_int_eq(
        vp_pin_apply(&guest.cgroups, &one, guest.root, &pins, &all, false, &report, &err), 0);
    ck_assert_int_eq(err.code, VP_OK);
    ck_assert_uint_eq(report.left.count, 0);
    ck_assert_uint_eq(report.cpusets_written, 1);
    ck_assert_uint_eq(report.affinities_set, 1);
    has(guest.tid[0], &high);
    has(guest.pid, &all);
    end();
}
END_TEST

START_TEST(offline_cpus)
{
    struct vp_cpuset wanted;

    if (!begin("offline_cpus"))
        return;
    wanted = high;
    vp_cpuset_add(&wanted, 8000); /* a CPU that is not online here */
    want(VP_ROLE_VCPU, 0, &wanted);
    apply(false);
    ck_assert_uint_eq(report.left.count, 0);
    file_has("vcpu0", &high);
    vp_pins_clear(&pins);
    vp_cpuset_remove(&wanted, vp_cpuset_last(&all));
    want(VP_ROLE_VCPU, 0, &wanted);
    apply(false);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_msg(strstr(err.text, "none of its CPUs is online"), "%s", err.text);
    ck_assert_uint_ge(report.left.count, 1);
    file_has("vcpu0", &high); /* as it was */
    end();
}
END_TEST

START_TEST(affinity_only)
{
    struct vp_threads own = {.pid = getpid(), .count = 1};
    struct vp_thread main_thread = {.role = VP_ROLE_EMULATOR, .tid = getpid()};
    struct vp_cgroups none;
    struct vp_seen_list seen;

    own.item = &main_thread;
    ck_assert_int_eq(vp_cgroups_find("tests/data/nowhere", NULL, &none, &err), 0);
    ck_assert_int_ge(sched_getaffinity(0, sizeof(all.w), (cpu_set_t *)all.w), 0);
    high = (struct vp_cpuset){0};
    vp_cpuset_add(&high, vp_cpuset_last(&all));
    want(VP_ROLE_EMULATOR, 0, &high);
    ck_assert_int_eq(vp_pin_apply(&none, &own, "", &pins, &all, false, &report, &err), 0);
    ck_assert_uint_eq(report.left.count, 0);
    ck_assert_uint_eq(report.cpusets_written, 0);
    has(getpid(), &high);
    ck_assert_int_eq(vp_pin_look(&none, &own, "", &seen, &err), 0);
    ck_assert_uint_eq(seen.count, 1);
    ck_assert(!seen.item[0].has_cpuset);
    ck_assert_str_eq(seen.item[0].group, "");
    ck_assert(vp_cpuset_equal(&seen.item[0].affinity, &high));
    vp_seen_clear(&seen);
    vp_pins_clear(&pins);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pin");
    TCase *tcase = tcase_create("real threads");
    SRunner *runner = srunner_create(suite);
    int failed;

    standin_owner = getpid();
    tcase_add_test(tcase, puts_pins_in_force);
    tcase_add_loop_test(tcase, repairs, 0, CAUSES);
    tcase_add_test(tcase, mask_alone);
    tcase_add_test(tcase, hidden_mask);
    tcase_add_test(tcase, worker_in_an_iothreads_group);
    tcase_add_test(tcase, thread_moved_away);
    tcase_add_test(tcase, guest_directory_too_narrow);
    tcase_add_test(tcase, ancestor_too_narrow);
    tcase_add_test(tcase, threads_that_end);
    tcase_add_test(tcase, some_threads);
    tcase_add_test(tcase, offline_cpus);
    tcase_add_test(tcase, affinity_only);
    tcase_set_timeout(tcase, 20);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    standin_sweep();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
