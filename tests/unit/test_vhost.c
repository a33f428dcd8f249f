/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost threads: found, pinned apart from the emulator whose group they share,
 * and compared. Stand-ins: a thread of QEMU's (Linux 6.4 and later), a process
 * elsewhere (before). */
#include <check.h>
#include <sched.h>

#include "decide/domain.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "host/pin.h"
#include "tests/unit/standin.h"

static struct vp_error err;

static struct vp_cpuset cpus(const char *text)
{
    struct vp_cpuset result = {0};

    ck_assert_int_eq(vp_cpuset_parse(&result, text, NULL), 0);
    return result;
}

static void want(struct vp_pins *pins, enum vp_role role, unsigned index, const char *text)
{
    struct vp_cpuset set = cpus(text);

    ck_assert_int_eq(vp_pins_add(pins, role, index, &set), 0);
}

static void has_text(const struct vp_cpuset *found, const char *wanted)
{
    char text[256];

    vp_cpuset_print(found, text, sizeof(text));
    ck_assert_str_eq(text, wanted);
}

/* ---- finding ---- */

START_TEST(kernel_threads_of_old)
{
    struct vp_status status = {.vhosts = 2};
    struct vp_threads threads;
    struct vp_cgroups cgroups;
    unsigned found = 0;

    ck_assert_int_eq(
        vp_cgroups_find("tests/data/cgroup-v2/sys", "tests/data/cgroup-v2/proc", &cgroups, &err),
        0);
    ck_assert_int_eq(vp_threads_list(&cgroups, 800, &status, "", &threads, &err), 0);
    for (size_t i = 0; i < threads.count; i++)
        if (threads.item[i].role == VP_ROLE_VHOST) {
            ck_assert_int_eq(threads.item[i].tid, found == 0 ? 860 : 862);
            ck_assert_uint_eq(threads.item[i].index, found++);
        }
    ck_assert_uint_eq(found, 2);
    vp_threads_clear(&threads);
    status.vhosts = 0; /* nobody looks for what the guest does not have */
    ck_assert_int_eq(vp_threads_list(&cgroups, 800, &status, "", &threads, &err), 0);
    for (size_t i = 0; i < threads.count; i++)
        ck_assert_int_ne(threads.item[i].role, VP_ROLE_VHOST);
    vp_threads_clear(&threads);
}
END_TEST

/* ---- comparing ---- */

static const struct {
    enum vp_role role;
    unsigned index;
    bool grouped;
    const char *cpuset, *affinity;
    const char *found; /* "" none, "cpuset", "affinity" */
} seen_cases[] = {
    {VP_ROLE_EMULATOR, 0, true, "0,4-5", "0", ""},
    {VP_ROLE_VHOST, 0, true, "0,4-5", "4", ""},
    {VP_ROLE_VHOST, 1, true, "0,4-5", "5", ""},
    {VP_ROLE_WORKER, 0, true, "0,4-5", "0", ""},
    {VP_ROLE_VHOST, 2, true, "0,4-5", "0", ""}, /* one more than planned: with the emulator */
    {VP_ROLE_VHOST, 1, true, "0,4-5", "4", "affinity"},
    {VP_ROLE_EMULATOR, 0, true, "0", "0", "cpuset"}, /* as libvirt would write it alone */
    {VP_ROLE_VHOST, 0, false, "", "4", ""},
    {VP_ROLE_VHOST, 0, false, "", "0-7", "affinity"},
};

START_TEST(compares)
{
    struct vp_cpuset online = cpus("0-7");
    struct vp_seen seen[2] = {{.role = seen_cases[_i].role,
                               .index = seen_cases[_i].index,
                               .tid = 7,
                               .has_cpuset = seen_cases[_i].grouped,
                               .affinity = cpus(seen_cases[_i].affinity)},
                              {.role = VP_ROLE_EMULATOR, .tid = 6, .affinity = cpus("0")}};
    struct vp_pins pins = {0};
    struct vp_diffs diffs = {0};

    want(&pins, VP_ROLE_EMULATOR, 0, "0");
    want(&pins, VP_ROLE_VHOST, 0, "4");
    want(&pins, VP_ROLE_VHOST, 1, "5");
    if (seen_cases[_i].grouped) {
        seen[0].cpuset = seen[0].effective = cpus(seen_cases[_i].cpuset);
        strcpy(seen[0].group, "/g/emulator");
    }
    ck_assert_int_eq(vp_drift_compare(&pins, seen, 2, &online, &diffs), 0);
    if (seen_cases[_i].found[0]) {
        ck_assert_uint_eq(diffs.count, 1);
        ck_assert_str_eq(vp_drift_kind_word(diffs.item[0].kind), seen_cases[_i].found);
    } else {
        ck_assert_uint_eq(diffs.count, 0);
    }
    vp_diffs_clear(&diffs);
    vp_pins_clear(&pins);
}
END_TEST

/* libvirt knows no vhost threads: its emulator has their CPUs too. */
START_TEST(what_libvirt_is_told)
{
    struct vp_cpuset online = cpus("0-7"), told;
    struct vp_pins pins = {0}, libvirt = {0};
    struct vp_diffs diffs = {0};

    want(&pins, VP_ROLE_EMULATOR, 0, "0");
    want(&pins, VP_ROLE_VHOST, 0, "4");
    ck_assert(vp_pins_libvirts(&pins, &pins.item[0], &told));
    has_text(&told, "0,4");
    ck_assert(!vp_pins_libvirts(&pins, &pins.item[1], &told));
    want(&libvirt, VP_ROLE_EMULATOR, 0, "0,4");
    ck_assert_int_eq(vp_drift_compare_pins(&pins, &libvirt, &online, &diffs), 0);
    ck_assert_uint_eq(diffs.count, 0);
    libvirt.item[0].cpus = cpus("0");
    ck_assert_int_eq(vp_drift_compare_pins(&pins, &libvirt, &online, &diffs), 0);
    ck_assert_uint_eq(diffs.count, 1);
    vp_diffs_clear(&diffs);
    vp_pins_clear(&pins);
    vp_pins_clear(&libvirt);
}
END_TEST

/* ---- pinning ---- */

static struct standin guest;
static struct vp_threads threads;
static struct vp_pins pins;
static struct vp_pin_report report;
static struct vp_cpuset all, low, high, both;

static bool begin(const char *test)
{
    const char *why = standin_start(&guest, 1, 0, 1);
    struct vp_status_vcpu vcpu = {.id = 0};
    struct vp_status status = {.vcpu = &vcpu, .vcpu_count = 1};

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
    both = low;
    vp_cpuset_or(&both, &high);
    vcpu.tid = guest.tid[0];
    ck_assert_int_eq(
        vp_threads_list(&guest.cgroups, guest.pid, &status, guest.root, &threads, &err), 0);
    vp_pins_add(&pins, VP_ROLE_VCPU, 0, &low);
    vp_pins_add(&pins, VP_ROLE_EMULATOR, 0, &low);
    vp_pins_add(&pins, VP_ROLE_VHOST, 0, &high);
    return true;
}

static void end(void)
{
    vp_threads_clear(&threads);
    vp_pins_clear(&pins);
    vp_diffs_clear(&report.left);
    standin_stop(&guest);
}

static void apply(void)
{
    ck_assert_int_eq(
        vp_pin_apply(&guest.cgroups, &threads, guest.root, &pins, &all, false, &report, &err), 0);
    ck_assert_msg(err.code == VP_OK, "%s", err.text);
    ck_assert_uint_eq(report.left.count, 0);
}

static void runs_on(pid_t tid, const struct vp_cpuset *wanted)
{
    struct vp_cpuset mask = {0};

    ck_assert_int_gt(sched_getaffinity(tid, sizeof(mask.w), (cpu_set_t *)mask.w), -1);
    ck_assert(vp_cpuset_equal(&mask, wanted));
}

START_TEST(thread_of_qemu)
{
    struct vp_cpuset file;
    char dir[512];

    if (!begin("thread_of_qemu"))
        return;
    for (size_t i = 0; i < threads.count; i++)
        if (threads.item[i].role == VP_ROLE_WORKER)
            threads.item[i].role = VP_ROLE_VHOST;
    apply();
    snprintf(dir, sizeof(dir), "%s/emulator", guest.root);
    ck_assert_int_eq(vp_cpuset_parse_kernel(&file, standin_get(dir, "cpuset.cpus"), NULL), 0);
    ck_assert(vp_cpuset_equal(&file, &both));
    runs_on(guest.pid, &low);
    runs_on(guest.tid[1], &high);
    apply();
    ck_assert_uint_eq(report.cpusets_written + report.affinities_set, 0);
    end();
}
END_TEST

START_TEST(thread_of_the_kernel)
{
    pid_t child;

    if (!begin("thread_of_the_kernel"))
        return;
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    threads.item = reallocarray(threads.item, threads.count + 1, sizeof(*threads.item));
    threads.item[threads.count++] = (struct vp_thread){VP_ROLE_VHOST, 0, child};
    apply();
    runs_on(child, &high);
    runs_on(guest.pid, &low);
    runs_on(guest.tid[1], &low);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vhost");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_test(core, kernel_threads_of_old);
    tcase_add_loop_test(core, compares, 0, sizeof(seen_cases) / sizeof(seen_cases[0]));
    tcase_add_test(core, what_libvirt_is_told);
    tcase_add_test(core, thread_of_qemu);
    tcase_add_test(core, thread_of_the_kernel);
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
