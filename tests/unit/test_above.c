/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Groups above a guest's on a made-up v2 hierarchy: narrowed, and CPUs that a partition beside them
 * has taken. The enforcer is a program and no archive, so the file under test is taken in whole. */
#include "enforcer/above.c"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"

#define SCOPE "/machine.slice/machine-qemu\\x2d1\\x2ddb1.scope"
#define GROUP SCOPE "/libvirt/vcpu0"

static char dir[64];
static struct vp_cgroups cgroups;

static struct vp_cpuset cpus(const char *text)
{
    struct vp_cpuset set = {0};

    if (*text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static void put(const char *group, const char *file, const char *text)
{
    char path[400];
    FILE *out;

    snprintf(path, sizeof(path), "%s%s/%s", dir, group, file);
    for (char *slash = strchr(path + strlen(dir) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    fprintf(out, "%s\n", text);
    fclose(out);
}

/* A group as the kernel shows it; a set of "" is not set. */
static void group(const char *name, const char *set, const char *effective)
{
    put(name, "cpuset.cpus", set);
    put(name, "cpuset.cpus.effective", effective);
    put(name, "cpuset.cpus.partition", "member");
}

static void setup(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-above");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    put("", "cpuset.cpus.effective", "0-7");
    group("/machine.slice", "", "0-7");
    group(SCOPE, "", "0-7");
    group(SCOPE "/libvirt", "", "0-7");
    group(GROUP, "4", "4");
    cgroups = (struct vp_cgroups){.version = VP_CGROUP_V2, .proc = "/proc"};
    snprintf(cgroups.mount, sizeof(cgroups.mount), "%s", dir);
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static struct vp_diff find(void)
{
    struct vp_cpuset online = cpus("0-7");
    struct vp_diff diff = {.kind = VP_DRIFT_CPUSET_ABOVE, .wanted = cpus("4")};
    char name[400];

    snprintf(name, sizeof(name), "%s" GROUP, dir);
    vp_above_where(&cgroups, name, &online, &diff);
    return diff;
}

static void assert_where(const struct vp_diff *diff, const char *where)
{
    ck_assert_msg(strncmp(diff->where, dir, strlen(dir)) == 0 &&
                      strcmp(diff->where + strlen(dir), where) == 0,
                  "%s, wanted %s", diff->where, where);
}

START_TEST(slice_narrowed)
{
    struct vp_diff diff;

    group("/machine.slice", "0-3", "0-3");
    group(SCOPE, "", "0-3");
    group(SCOPE "/libvirt", "", "0-3");
    group(GROUP, "4", "0-3");
    diff = find();
    ck_assert_int_eq(diff.kind, VP_DRIFT_CPUSET_ABOVE);
    assert_where(&diff, "/machine.slice/cpuset.cpus");
    ck_assert(vp_cpuset_has(&diff.found, 3) && !vp_cpuset_has(&diff.found, 4));
}
END_TEST

START_TEST(scope_narrowed)
{
    struct vp_diff diff;

    group(SCOPE, "0-3", "0-3");
    group(SCOPE "/libvirt", "", "0-3");
    group(GROUP, "4", "0-3");
    diff = find();
    ck_assert_int_eq(diff.kind, VP_DRIFT_CPUSET_ABOVE);
    assert_where(&diff, SCOPE "/cpuset.cpus");
}
END_TEST

/* Nobody wrote a file of the guest's or above it: another slice became a root
 * of its own, with CPUs of the guest. */
START_TEST(partition_beside_it)
{
    struct vp_diff diff;

    group("/realtime.slice", "4-5", "4-5");
    put("/realtime.slice", "cpuset.cpus.partition", "isolated");
    put("", "cpuset.cpus.effective", "0-3,6-7");
    group("/machine.slice", "", "0-3,6-7");
    group(SCOPE, "", "0-3,6-7");
    group(SCOPE "/libvirt", "", "0-3,6-7");
    group(GROUP, "4", "0-3,6-7");
    diff = find();
    ck_assert_int_eq(diff.kind, VP_DRIFT_PARTITION);
    ck_assert(!vp_cpuset_has(&diff.found, 4));
    assert_where(&diff, "/cpuset.cpus.effective");
}
END_TEST

/* It is given up, and what was a partition is a mere member again. */
START_TEST(partition_given_up)
{
    struct vp_diff diff;

    group("/realtime.slice", "4-5", "4-5");
    diff = find();
    ck_assert_int_eq(diff.kind, VP_DRIFT_CPUSET_ABOVE);
    ck_assert_str_eq(diff.where, "");
}
END_TEST

START_TEST(partition_below_the_slice)
{
    struct vp_diff diff;

    group("/machine.slice", "0-7", "0-3,5-7");
    group("/machine.slice/other.scope", "4", "4");
    put("/machine.slice/other.scope", "cpuset.cpus.partition", "root");
    group(SCOPE, "", "0-3,5-7");
    group(SCOPE "/libvirt", "", "0-3,5-7");
    group(GROUP, "4", "0-3,5-7");
    diff = find();
    ck_assert_int_eq(diff.kind, VP_DRIFT_PARTITION);
    assert_where(&diff, "/machine.slice/cpuset.cpus.effective");
}
END_TEST

START_TEST(widening)
{
    struct vp_cpuset online = cpus("0-7"), wanted = cpus("4"), seen = {0};
    struct vp_error err = {0};
    char name[400];

    group("/machine.slice", "0-3", "0-3");
    snprintf(name, sizeof(name), "%s" GROUP, dir);
    ck_assert(vp_above_keeps_out(&cgroups, name, &wanted, &online) == false);
    ck_assert_msg(vp_above_widen(&cgroups, name, &wanted, &online, &err) == 0, "%s", err.text);
    ck_assert_int_eq(vp_cpus_at_read(AT_FDCWD, cgroups.mount, "machine.slice/cpuset.cpus", &seen),
                     0);
    ck_assert(vp_cpuset_has(&seen, 4) && vp_cpuset_has(&seen, 0));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("above");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, slice_narrowed);
    tcase_add_test(core, scope_narrowed);
    tcase_add_test(core, partition_beside_it);
    tcase_add_test(core, partition_given_up);
    tcase_add_test(core, partition_below_the_slice);
    tcase_add_test(core, widening);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
