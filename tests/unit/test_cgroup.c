/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>

#include "decide/error.h"
#include "host/cgroupfile.h"
#include "host/hierarchy.h"
#include "tests/unit/standin.h"

static struct vp_error err;

static const char *text_of(const struct vp_cpuset *set)
{
    static char text[VP_CPUSET_TEXT];

    vp_cpuset_print(set, text, sizeof(text));
    return text;
}

static struct vp_cpuset set_of(const char *text)
{
    struct vp_cpuset set = {0};

    if (text[0])
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static struct vp_cgroups tree(const char *name)
{
    struct vp_cgroups cgroups;
    char sys[128], proc[128];

    snprintf(sys, sizeof(sys), "tests/data/cgroup-%s/sys", name);
    snprintf(proc, sizeof(proc), "tests/data/cgroup-%s/proc", name);
    ck_assert_msg(vp_cgroups_find(sys, proc, &cgroups, &err) == 0, "%s", err.text);
    return cgroups;
}

/* ---- recorded trees ---- */

static const struct {
    const char *name, *mount;
    enum vp_cgroup_version version;
    pid_t pid, tid;
    const char *thread_group, *root;
} trees[] = {
    {"v1", "tests/data/cgroup-v1/sys/cpuset", VP_CGROUP_V1, 4711, 4720,
     "/machine/qemu-3-db.libvirt-qemu/vcpu0", "/machine/qemu-3-db.libvirt-qemu"},
    {"v2", "tests/data/cgroup-v2/sys", VP_CGROUP_V2, 800, 821,
     "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/vcpu1",
     "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt"},
    {"hybrid", "tests/data/cgroup-hybrid/sys/cpu,cpuset", VP_CGROUP_V1, 900, 920,
     "/machine.slice/machine-qemu\\x2d2\\x2dold.scope/libvirt/vcpu0",
     "/machine.slice/machine-qemu\\x2d2\\x2dold.scope/libvirt"},
};

START_TEST(finds_hierarchy_and_groups)
{
    struct vp_cgroups cgroups = tree(trees[_i].name);
    char dir[512];

    ck_assert_int_eq(cgroups.version, trees[_i].version);
    ck_assert_str_eq(cgroups.mount, trees[_i].mount);
    ck_assert_int_eq(vp_cgroup_of(&cgroups, trees[_i].pid, trees[_i].tid, dir, sizeof(dir), &err),
                     0);
    ck_assert_str_eq(dir + strlen(cgroups.mount), trees[_i].thread_group);
    ck_assert_msg(vp_cgroup_guest_root(&cgroups, trees[_i].pid, dir, sizeof(dir), &err) == 0, "%s",
                  err.text);
    ck_assert_str_eq(dir + strlen(cgroups.mount), trees[_i].root);
}
END_TEST

START_TEST(no_hierarchy_is_no_error)
{
    struct vp_cgroups cgroups;
    struct vp_cpuset cpus = set_of("1");
    char dir[512];

    ck_assert_int_eq(vp_cgroups_find("tests/data/cgroup-v1/sys/memory", NULL, &cgroups, &err), 0);
    ck_assert_int_eq(cgroups.version, VP_CGROUP_NONE);
    ck_assert_str_eq(cgroups.proc, "/proc");
    ck_assert_int_eq(vp_cgroups_find("tests/data/nowhere", NULL, &cgroups, &err), 0);
    ck_assert_int_eq(cgroups.version, VP_CGROUP_NONE);
    /* A v2 mount without cpuset is none, whatever lies in its groups. */
    ck_assert_int_eq(vp_cgroups_find("tests/data/cgroup-hybrid/sys/unified", NULL, &cgroups, &err),
                     0);
    ck_assert_int_eq(cgroups.version, VP_CGROUP_NONE);
    ck_assert_int_eq(vp_cgroup_of(&cgroups, 1, 0, dir, sizeof(dir), &err), -1);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_int_eq(vp_cgroup_partition_cpus(&cgroups, "/machine", &cpus, &err), 0);
    ck_assert(vp_cpuset_empty(&cpus));
}
END_TEST

static const struct {
    const char *tree;
    pid_t pid;
    enum vp_code code;
    const char *says;
} bad_roots[] = {
    {"v1", 5001, VP_HOST, "outside of this cgroup namespace"},
    {"v1", 5002, VP_GONE, "is gone"},
    {"v1", 5003, VP_HOST, "not in an emulator group"},
    {"v1", 5004, VP_HOST, "no line for the cpuset controller"},
    {"v1", 5999, VP_GONE, "process 5999 has ended"},
    {"v1", 5005, VP_HOST, "joined/emulator has no cpuset controller"},
    {"v2", 801, VP_HOST, "cron.service/extra, not in an emulator group"},
    {"v2", 802, VP_HOST, "has no cpuset controller"},
};

START_TEST(refuses_what_is_no_guest)
{
    struct vp_cgroups cgroups = tree(bad_roots[_i].tree);
    char dir[512];

    ck_assert_int_eq(vp_cgroup_guest_root(&cgroups, bad_roots[_i].pid, dir, sizeof(dir), &err), -1);
    ck_assert_int_eq(err.code, bad_roots[_i].code);
    ck_assert_msg(strstr(err.text, bad_roots[_i].says), "\"%s\" lacks \"%s\"", err.text,
                  bad_roots[_i].says);
}
END_TEST

START_TEST(path_longer_than_the_buffer)
{
    struct vp_cgroups cgroups = tree("v1");
    char dir[16];

    ck_assert_int_eq(vp_cgroup_of(&cgroups, 4711, 0, dir, sizeof(dir), &err), -1);
    ck_assert_int_eq(err.code, VP_HOST);
}
END_TEST

static const struct {
    const char *tree, *group, *cpus, *effective;
} groups[] = {
    {"v1", "/machine/qemu-3-db.libvirt-qemu/vcpu0", "4", "4"},
    {"v2", "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/vcpu1", "", "0-7"},
    {"v2", "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/vcpu2", "9", "0-7"},
    {"hybrid", "/machine.slice", "0-3", "0-3"},
};

START_TEST(reads_groups)
{
    struct vp_cgroups cgroups = tree(groups[_i].tree);
    struct vp_cpuset cpus, effective;
    char dir[512];

    snprintf(dir, sizeof(dir), "%s%s", cgroups.mount, groups[_i].group);
    ck_assert_msg(vp_cgroup_read_cpus(&cgroups, dir, &cpus, &effective, &err) == 0, "%s", err.text);
    ck_assert_str_eq(text_of(&cpus), groups[_i].cpus);
    ck_assert_str_eq(text_of(&effective), groups[_i].effective);
    snprintf(dir, sizeof(dir), "%s/none", cgroups.mount);
    ck_assert_int_eq(vp_cgroup_read_cpus(&cgroups, dir, &cpus, &effective, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

static const struct {
    const char *tree, *partition, *cpus;
} partitions[] = {
    {"v1", "/machine", "0-13"},        {"v1", "/machine/prod", "8-11"},
    {"v1", "/machine/absent", "0-13"}, /* what is made there inherits from /machine */
    {"v1", "/absent", "0-15"},         {"v2", "/machine", "0-7"},
    {"v2", "/machine/prod", "4-7"},    {"v2", "/machine/prod/deeper", "4-7"},
    {"v2", "/absent", "0-15"},         {"v2", "/", "0-15"},
    {"hybrid", "/machine", "0-3"},
};

START_TEST(partition_cpus)
{
    struct vp_cgroups cgroups = tree(partitions[_i].tree);
    struct vp_cpuset cpus;

    ck_assert_msg(vp_cgroup_partition_cpus(&cgroups, partitions[_i].partition, &cpus, &err) == 0,
                  "%s", err.text);
    ck_assert_str_eq(text_of(&cpus), partitions[_i].cpus);
    ck_assert_int_eq(vp_cgroup_partition_cpus(&cgroups, "/a/../../etc", &cpus, &err), -1);
    ck_assert_int_eq(vp_cgroup_partition_cpus(&cgroups, "machine", &cpus, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
}
END_TEST

/* ---- ancestors ---- */

START_TEST(ancestors_of_a_recorded_guest)
{
    struct vp_cgroups cgroups = tree("v2");
    struct vp_levels levels;
    struct vp_cpuset value, wanted = set_of("9");
    const char *file;
    char dir[512];
    int level;

    snprintf(dir, sizeof(dir), "%s%s/vcpu2", cgroups.mount, trees[1].root);
    ck_assert_msg(vp_levels_read(&cgroups, dir, &levels, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(levels.count, 5); /* mount, slice, scope, libvirt, vcpu2 */
    ck_assert_str_eq(levels.item[0].dir, cgroups.mount);
    ck_assert_str_eq(levels.item[4].dir, dir);
    ck_assert(!levels.item[0].set && levels.item[1].set && !levels.item[2].set);
    level = vp_levels_narrowing(&cgroups, &levels, &wanted, &file, &value);
    ck_assert_int_eq(level, 1);
    ck_assert_str_eq(file, "cpuset.cpus");
    ck_assert_str_eq(text_of(&value), "0-7");
    wanted = set_of("3");
    ck_assert_int_eq(vp_levels_narrowing(&cgroups, &levels, &wanted, NULL, NULL), -1);
    vp_levels_clear(&levels);
    ck_assert_int_eq(vp_levels_read(&cgroups, "/etc", &levels, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    snprintf(dir, sizeof(dir), "%s/machine.slice/gone", cgroups.mount);
    ck_assert_int_eq(vp_levels_read(&cgroups, dir, &levels, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

START_TEST(taken_by_a_partition_beside_it)
{
    struct vp_cgroups cgroups = {.version = VP_CGROUP_V2};
    struct vp_level level[2] = {{.effective = set_of("0-7")},
                                {.set = true, .cpus = set_of("0-3"), .effective = set_of("0-1")}};
    struct vp_levels levels = {level, 2};
    struct vp_cpuset value, wanted = set_of("2");
    const char *file;

    ck_assert_int_eq(vp_levels_narrowing(&cgroups, &levels, &wanted, &file, &value), 1);
    ck_assert_str_eq(file, "cpuset.cpus.effective");
    ck_assert_str_eq(text_of(&value), "0-1");
}
END_TEST

/* ---- this machine ---- */

START_TEST(real_groups)
{
    struct standin guest;
    struct vp_cpuset cpus, effective, one = {0}, all, none = {0}, beyond = set_of("8191");
    struct vp_levels levels;
    char dir[384];
    const char *why = standin_start(&guest, 1, 0, 0);

    if (why) {
        printf("skip real_groups: %s\n", why);
        return;
    }
    ck_assert_int_eq(vp_cgroup_guest_root(&guest.cgroups, guest.pid, dir, sizeof(dir), &err), 0);
    ck_assert_str_eq(dir, guest.root);
    snprintf(dir, sizeof(dir), "%s/vcpu0", guest.root);
    ck_assert_int_eq(vp_cgroup_read_cpus(&guest.cgroups, dir, &all, &effective, &err), 0);
    ck_assert(vp_cpuset_equal(&all, &effective));
    vp_cpuset_add(&one, vp_cpuset_last(&all));
    ck_assert_msg(vp_cgroup_write_cpus(&guest.cgroups, dir, &one, &err) == 0, "%s", err.text);
    ck_assert_int_eq(vp_cgroup_read_cpus(&guest.cgroups, dir, &cpus, &effective, &err), 0);
    ck_assert(vp_cpuset_equal(&cpus, &one));

    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, dir, &none, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, dir, &beyond, &err), -1);
    ck_assert_int_eq(err.code, VP_HOST);
    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, guest.root, &one, &err), -1);
    ck_assert_msg(strstr(err.text, "group below"), "%s", err.text); /* the emulator has them */
    /* v1: a child's CPUs must be its parent's. */
    snprintf(dir, sizeof(dir), "%s/emulator", guest.root);
    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, dir, &one, &err), 0);
    ck_assert_msg(vp_cgroup_write_cpus(&guest.cgroups, guest.root, &one, &err) == 0, "%s",
                  err.text);
    if (vp_cpuset_count(&all) > 1) {
        const char *file;
        int level;

        ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, dir, &all, &err), -1);
        ck_assert_int_eq(err.code, VP_HOST);
        ck_assert_msg(strstr(err.text, "group above"), "%s", err.text);
        ck_assert_msg(vp_levels_read(&guest.cgroups, dir, &levels, &err) == 0, "%s", err.text);
        level = vp_levels_narrowing(&guest.cgroups, &levels, &all, &file, &cpus);
        ck_assert_str_eq(levels.item[level].dir, guest.root);
        ck_assert_str_eq(file, "cpuset.cpus");
        ck_assert(vp_cpuset_equal(&cpus, &one));
        vp_levels_clear(&levels);
    }
    strcpy(dir, guest.root);
    standin_stop(&guest);
    ck_assert_int_ne(access(dir, F_OK), 0);
    ck_assert_int_eq(vp_cgroups_find("/sys/fs/cgroup", NULL, &guest.cgroups, &err), 0);
    ck_assert_int_eq(vp_cgroup_write_cpus(&guest.cgroups, dir, &one, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

START_TEST(mounted_hierarchies)
{
    struct vp_hierarchies list;
    struct vp_cgroups cgroups;
    bool found = false;

    ck_assert_int_eq(vp_cgroups_find("/sys/fs/cgroup", NULL, &cgroups, &err), 0);
    if (cgroups.version == VP_CGROUP_NONE) {
        printf("skip mounted_hierarchies: no cpuset controller on this machine\n");
        return;
    }
    ck_assert_msg(vp_hierarchies_list(&list, &err) == 0, "%s", err.text);
    for (size_t i = 0; i < list.count; i++) {
        ck_assert_int_eq(access(list.item[i].mount, F_OK), 0);
        if (strcmp(list.item[i].mount, cgroups.mount) != 0)
            continue;
        found = true;
        ck_assert_int_eq(list.item[i].version, cgroups.version);
        ck_assert_ptr_nonnull(strstr(list.item[i].controllers, "cpuset"));
    }
    ck_assert(found);
    vp_hierarchies_clear(&list);
}
END_TEST

/* ---- the operator's words ---- */

static const struct {
    enum vp_cgroup_version version;
    int number;
    enum vp_code code;
    const char *says;
} words[] = {
    {VP_CGROUP_V1, EACCES, VP_HOST, "group above"},
    {VP_CGROUP_V1, EINVAL, VP_HOST, "offline"},
    {VP_CGROUP_V2, ENOSPC, VP_HOST, "without any CPU"},
    {VP_CGROUP_V1, EBUSY, VP_HOST, "group below"},
    {VP_CGROUP_V1, ENOENT, VP_GONE, "gone"},
    {VP_CGROUP_V1, ENODEV, VP_GONE, "gone"},
    {VP_CGROUP_V2, ERANGE, VP_HOST, "highest"},
    {VP_CGROUP_V2, EROFS, VP_HOST, "read-only"},
    {VP_CGROUP_V2, EINVAL, VP_HOST, "Invalid"},
    {VP_CGROUP_V1, EPERM, VP_HOST, "permitted"},
};

START_TEST(kernel_errors_in_words)
{
    struct vp_cpuset cpus = set_of("4-7");

    ck_assert_int_eq(
        vp_cgroup_write_failed(words[_i].version, "/g/vcpu0", &cpus, words[_i].number, &err), -1);
    ck_assert_int_eq(err.code, words[_i].code);
    ck_assert_msg(strstr(err.text, words[_i].says), "\"%s\" lacks \"%s\"", err.text,
                  words[_i].says);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *recorded = tcase_create("recorded"), *live = tcase_create("live");
    SRunner *runner = srunner_create(suite);
    int failed;

    standin_owner = getpid();
#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))
    tcase_add_loop_test(recorded, finds_hierarchy_and_groups, 0, COUNT(trees));
    tcase_add_test(recorded, no_hierarchy_is_no_error);
    tcase_add_loop_test(recorded, refuses_what_is_no_guest, 0, COUNT(bad_roots));
    tcase_add_test(recorded, path_longer_than_the_buffer);
    tcase_add_loop_test(recorded, reads_groups, 0, COUNT(groups));
    tcase_add_loop_test(recorded, partition_cpus, 0, COUNT(partitions));
    tcase_add_test(recorded, ancestors_of_a_recorded_guest);
    tcase_add_test(recorded, taken_by_a_partition_beside_it);
    tcase_add_loop_test(recorded, kernel_errors_in_words, 0, COUNT(words));
    tcase_add_test(live, real_groups);
    tcase_add_test(live, mounted_hierarchies);
    suite_add_tcase(suite, recorded);
    suite_add_tcase(suite, live);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    standin_sweep();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
