/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tuning of running guests on made-up groups of either version, and what a plan
 * and a host say of it. */
#include <check.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "host/guestnuma.h"
#include "host/tune.h"
#include "tests/unit/scratch.h"

static char dir[64];

static void put(const char *name, const char *text)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void check_file(const char *name, const char *wanted)
{
    char path[300], text[100] = "";
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
    fclose(file);
    ck_assert_msg(strncmp(text, wanted, strlen(wanted)) == 0, "%s: %s", name, text);
}

static void setup(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-tune");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- groups as libvirt makes them: v1 without systemd, v2 below a scope ---- */

static struct vp_status_vcpu vcpus[2];
static struct vp_status guest = {.vcpu = vcpus, .vcpu_count = 1};

static void find(struct vp_cgroups *cpu)
{
    char sys[100], proc[100];

    guest.pid = getpid();
    vcpus[0] = (struct vp_status_vcpu){.id = 0, .tid = (pid_t)syscall(SYS_gettid)};
    snprintf(sys, sizeof(sys), "%s/sys", dir);
    snprintf(proc, sizeof(proc), "%s/proc", dir);
    ck_assert_int_eq(vp_cgroups_find_cpu(sys, proc, cpu, NULL), 0);
}

static void make_process(const char *text)
{
    char path[100];

    snprintf(path, sizeof(path), "proc/%d/cgroup", (int)getpid());
    put(path, text);
}

static void make_v1(struct vp_cgroups *cpu)
{
    put("sys/cpu,cpuacct/cpu.shares", "1024\n");
    put("sys/cpu,cpuacct/machine/g/cpu.shares", "1024\n");
    put("sys/cpu,cpuacct/machine/g/vcpu0/cpu.cfs_period_us", "100000\n");
    put("sys/cpu,cpuacct/machine/g/vcpu0/cpu.cfs_quota_us", "-1\n");
    make_process("4:cpuset:/machine/g/emulator\n3:cpu,cpuacct:/machine/g/emulator\n0::/\n");
    find(cpu);
    ck_assert_int_eq(cpu->version, VP_CGROUP_V1);
}

static void make_v2(struct vp_cgroups *cpu)
{
    put("sys/cgroup.controllers", "cpuset cpu io\n");
    put("sys/m.slice/g.scope/cpu.weight", "100\n");
    put("sys/m.slice/g.scope/libvirt/cpu.weight", "100\n");
    put("sys/m.slice/g.scope/libvirt/vcpu0/cpu.max", "max 100000\n");
    make_process("0::/m.slice/g.scope/libvirt/emulator\n");
    find(cpu);
    ck_assert_int_eq(cpu->version, VP_CGROUP_V2);
}

static void apply(const struct vp_cgroups *cpu, const struct vp_tuning *wanted, unsigned left)
{
    struct vp_tune_report report;
    struct vp_error err;

    ck_assert_int_eq(vp_tune_apply(cpu, &guest, wanted, &report, &err), 0);
    ck_assert_msg(report.left.count == left, "%zu left: %s", report.left.count, err.text);
    ck_assert_int_eq(err.code == VP_OK, left == 0);
    vp_tuning_diffs_clear(&report.left);
}

START_TEST(writes_v1)
{
    struct vp_tuning wanted = {.shares = 512, .period = 50000, .quota = 25000};
    struct vp_cgroups cpu;

    make_v1(&cpu);
    wanted.scheduler.policy = VP_SCHEDULER_BATCH;
    apply(&cpu, &wanted, 0);
    check_file("sys/cpu,cpuacct/machine/g/cpu.shares", "512");
    check_file("sys/cpu,cpuacct/machine/g/vcpu0/cpu.cfs_period_us", "50000");
    check_file("sys/cpu,cpuacct/machine/g/vcpu0/cpu.cfs_quota_us", "25000");
    ck_assert_int_eq(sched_getscheduler(0), SCHED_BATCH);
    wanted = (struct vp_tuning){.quota = -1};
    apply(&cpu, &wanted, 0);
    check_file("sys/cpu,cpuacct/machine/g/vcpu0/cpu.cfs_quota_us", "-1");
    check_file("sys/cpu,cpuacct/machine/g/cpu.shares", "512");
}
END_TEST

/* The shares are the scope's, which libvirt sets by systemd; the limits are the vCPU's. */
START_TEST(writes_v2)
{
    struct vp_tuning wanted = {.shares = 512, .quota = 25000};
    struct vp_cgroups cpu;

    make_v2(&cpu);
    apply(&cpu, &wanted, 0);
    check_file("sys/m.slice/g.scope/cpu.weight", "512");
    check_file("sys/m.slice/g.scope/libvirt/cpu.weight", "100");
    check_file("sys/m.slice/g.scope/libvirt/vcpu0/cpu.max", "25000 100000");
    wanted = (struct vp_tuning){.period = 20000, .quota = -1};
    apply(&cpu, &wanted, 0);
    check_file("sys/m.slice/g.scope/libvirt/vcpu0/cpu.max", "max 20000");
}
END_TEST

/* What cannot be put in force stands in the report, and nothing else is touched. */
START_TEST(reports_what_is_left)
{
    const struct vp_tuning wanted = {.shares = 512, .quota = 25000};
    struct vp_cgroups cpu;

    make_process("0::/\n");
    put("sys/cgroup.controllers", "memory\n");
    find(&cpu);
    ck_assert_int_eq(cpu.version, VP_CGROUP_NONE);
    ck_assert(vp_tune_host(&cpu).no_controller);
    apply(&cpu, &wanted, 2);
    put("sys/cgroup.controllers", "cpu\n");
    find(&cpu);
    apply(&cpu, &wanted, 2);
    ck_assert_int_eq(vp_tune_host(&cpu).cgroup, 2);
}
END_TEST

START_TEST(real_time_groups)
{
    struct vp_cgroups cpu;

    make_v1(&cpu);
    ck_assert(!vp_tune_host(&cpu).no_realtime);
    put("sys/cpu,cpuacct/cpu.rt_runtime_us", "950000\n");
    ck_assert(vp_tune_host(&cpu).no_realtime);
    ck_assert_int_eq(vp_tune_host(&cpu).cgroup, 1);
}
END_TEST

/* ---- what is given back, and kept in the ledger ---- */

START_TEST(gives_back)
{
    const struct vp_tuning was = {.shares = 7, .period = 5000, .quota = 2000, .scheduler = {3, 1}};
    const struct vp_tuning none = {0}, now = {.shares = 9};
    struct vp_domain domain = {.tuning = {.has_shares = true, .shares = 2048, .quota = 9000}};
    struct vp_tuning back = vp_tuning_back(&was, &none, &domain, 1);

    ck_assert_uint_eq(back.shares, 2048);
    ck_assert_uint_eq(back.period, 100000);
    ck_assert_int_eq(back.quota, 9000);
    ck_assert_int_eq(back.scheduler.policy, VP_SCHEDULER_OTHER);
    back = vp_tuning_back(&was, &now, NULL, 2);
    ck_assert_uint_eq(back.shares, 0);
    ck_assert_int_eq(back.quota, -1);
    ck_assert_uint_eq(vp_tuning_back(&was, &none, NULL, 2).shares, 100);
    ck_assert_uint_eq(vp_tuning_back(&was, &none, NULL, 1).shares, 1024);
    ck_assert(!vp_tuning_any(&(struct vp_tuning){0}));
}
END_TEST

START_TEST(plans_keep_it)
{
    static const char *const bad[] = {"shares x", "period -1", "quota", "scheduler fast",
                                      "scheduler fifo:100"};
    struct vp_plan plan = {.policy = (char *)"p", .placement = VP_PLACE_NONE};
    VP_AUTO(vp_plan) struct vp_plan *back = NULL;
    VP_AUTO(free) char *text = NULL;
    char line[300];

    plan.tuning =
        (struct vp_tuning){.shares = 300, .period = 1000, .quota = -1, .scheduler = {4, 99}};
    text = vp_plan_print(&plan);
    ck_assert_ptr_nonnull(strstr(text, "\nshares 300\nperiod 1000\nquota -1\nscheduler rr:99\n"));
    ck_assert_int_eq(vp_plan_parse(text, &back, NULL), 0);
    ck_assert_int_eq(memcmp(&back->tuning, &plan.tuning, sizeof(plan.tuning)), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct vp_plan *none = NULL;

        snprintf(line, sizeof(line), "virtpin plan 1\npolicy p\n%s\n", bad[i]);
        ck_assert_msg(vp_plan_parse(line, &none, NULL) < 0, "%s", line);
    }
}
END_TEST

/* ---- the host's nodes ---- */

START_TEST(reads_distances)
{
    const int nodes[] = {0, 4}, absent[] = {0, 2};
    struct vp_numa_facts facts = {.count = 2};
    char path[100];

    put("node/online", "0-1,4\n");
    put("node/node0/distance", "10 21 32\n");
    put("node/node1/distance", "21 10 21\n");
    put("node/node4/distance", "31 21 10\n");
    snprintf(path, sizeof(path), "%s/node", dir);
    ck_assert(vp_numa_distances(path, nodes, 2, &facts));
    ck_assert_uint_eq(facts.distance[0][0], 10);
    ck_assert_uint_eq(facts.distance[0][1], 32);
    ck_assert_uint_eq(facts.distance[1][0], 31);
    ck_assert(!vp_numa_distances(path, absent, 2, &facts));
    put("node/node4/distance", "31 21\n");
    ck_assert(!vp_numa_distances(path, nodes, 2, &facts));
    ck_assert(!vp_numa_distances("/nowhere", nodes, 2, &facts));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tune");
    TCase *tests = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, writes_v1);
    tcase_add_test(tests, writes_v2);
    tcase_add_test(tests, reports_what_is_left);
    tcase_add_test(tests, real_time_groups);
    tcase_add_test(tests, gives_back);
    tcase_add_test(tests, plans_keep_it);
    tcase_add_test(tests, reads_distances);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
