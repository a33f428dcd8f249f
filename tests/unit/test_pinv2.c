/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pins on cgroup v2, which the machine may not have: a made tree, a real
 * thread. */
#include <check.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/pin.h"
#include "tests/unit/scratch.h"

static struct vp_error err;
static struct vp_cpuset all;

static char tree[64];

static void put(const char *path, const char *text)
{
    char whole[512];
    FILE *file;

    snprintf(whole, sizeof(whole), "%s/%s", tree, path);
    for (char *slash = strchr(whole + strlen(tree) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    file = fopen(whole, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void place_self(const char *group)
{
    char path[128], line[128];

    snprintf(path, sizeof(path), "proc/%d/task/%d/cgroup", (int)getpid(), (int)getpid());
    snprintf(line, sizeof(line), "0::%s\n", group);
    put(path, line);
}

static void remove_tree(const char *path)
{
    DIR *list = opendir(path);
    struct dirent *entry;

    while (list && (entry = readdir(list))) {
        char below[1024];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof(below), "%.700s/%.255s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            remove_tree(below);
        else
            unlink(below);
    }
    if (list)
        closedir(list);
    rmdir(path);
}

static void make_v2(struct vp_cgroups *cgroups, const char *cpus, const char *effective)
{
    char sys[64], proc[64];

    vp_scratch(tree, sizeof(tree), "virtpin-pinv2");
    ck_assert_ptr_nonnull(mkdtemp(tree));
    put("sys/cgroup.controllers", "cpuset cpu\n");
    put("sys/g/cpuset.cpus", "\n");
    put("sys/cpuset.cpus.effective", effective);
    put("sys/g/cpuset.cpus.effective", effective);
    put("sys/g/emulator/cpuset.cpus", cpus);
    put("sys/g/emulator/cpuset.cpus.effective", effective);
    put("sys/elsewhere/cgroup.threads", "");
    snprintf(sys, sizeof(sys), "%s/sys", tree);
    snprintf(proc, sizeof(proc), "%s/proc", tree);
    ck_assert_int_eq(vp_cgroups_find(sys, proc, cgroups, &err), 0);
    ck_assert_int_eq(cgroups->version, VP_CGROUP_V2);
    ck_assert_int_ge(sched_getaffinity(0, sizeof(all.w), (cpu_set_t *)all.w), 0);
}

static const struct {
    const char *group;       /* where the thread is */
    const char *cpus;        /* the emulator group's file */
    bool narrowed;           /* what is in force there lacks one of the wanted CPUs */
    unsigned written;        /* to have all CPUs */
    enum vp_drift_kind left; /* VP_DRIFT_DEFINITION: nothing */
} v2_cases[] = {
    {"/g/emulator", "\n", false, 0, VP_DRIFT_DEFINITION}, /* unset, and that is enough */
    {"/g/emulator", "\n", true, 1, VP_DRIFT_CPUSET_ABOVE},
    {"/elsewhere", "\n", false, 0, VP_DRIFT_GROUP}, /* a group without cpuset files */
    {"/g", "\n", false, 0, VP_DRIFT_GROUP},
};

START_TEST(made_v2_tree)
{
    struct vp_thread self = {.role = VP_ROLE_EMULATOR, .tid = getpid()};
    struct vp_threads own = {.pid = getpid(), .item = &self, .count = 1};
    struct vp_pin_report report;
    struct vp_cgroups cgroups;
    struct vp_pins pins = {0};
    char effective[4096], root[128];

    ck_assert_int_ge(sched_getaffinity(0, sizeof(all.w), (cpu_set_t *)all.w), 0);
    vp_cpuset_print(&all, effective, sizeof(effective));
    make_v2(&cgroups, v2_cases[_i].cpus, effective);
    place_self(v2_cases[_i].group);
    snprintf(root, sizeof(root), "%.100s/g", cgroups.mount);
    if (v2_cases[_i].narrowed)
        vp_cpuset_add(&all, 8190);
    ck_assert_int_eq(vp_pins_add(&pins, VP_ROLE_EMULATOR, 0, &all), 0);
    ck_assert_int_eq(vp_pin_apply(&cgroups, &own, root, &pins, &all, false, &report, &err), 0);
    ck_assert_uint_eq(report.cpusets_written, v2_cases[_i].written);
    if (v2_cases[_i].left == VP_DRIFT_DEFINITION) {
        ck_assert_uint_eq(report.left.count, 0);
    } else {
        ck_assert_uint_ge(report.left.count, 1);
        ck_assert_int_eq(report.left.item[0].kind, v2_cases[_i].left);
    }
    vp_diffs_clear(&report.left);
    vp_pins_clear(&pins);
    remove_tree(tree);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pin on v2");
    TCase *tcase = tcase_create("made tree");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_loop_test(tcase, made_v2_tree, 0, (int)(sizeof(v2_cases) / sizeof(v2_cases[0])));
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
