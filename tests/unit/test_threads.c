/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdlib.h>

#include "decide/error.h"
#include "host/threads.h"
#include "tests/unit/standin.h"
#include "tests/unit/scratch.h"

static struct vp_error err;

static struct vp_cgroups tree(const char *name)
{
    struct vp_cgroups cgroups;
    char sys[128], proc[128];

    snprintf(sys, sizeof(sys), "tests/data/cgroup-%s/sys", name);
    snprintf(proc, sizeof(proc), "tests/data/cgroup-%s/proc", name);
    ck_assert_int_eq(vp_cgroups_find(sys, proc, &cgroups, &err), 0);
    return cgroups;
}

static void expect(const struct vp_threads *threads, const struct vp_thread *expected, size_t count)
{
    ck_assert_uint_eq(threads->count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(threads->item[i].role, expected[i].role);
        ck_assert_uint_eq(threads->item[i].index, expected[i].index);
        ck_assert_int_eq(threads->item[i].tid, expected[i].tid);
    }
}

#define EXPECT(threads, table) expect(threads, table, sizeof(table) / sizeof((table)[0]))

/* ---- recorded trees ---- */

/* vCPU 2's thread (4733) is not in the status file: it is being plugged. */
static const struct vp_thread v1_threads[] = {
    {VP_ROLE_EMULATOR, 0, 4711}, {VP_ROLE_VCPU, 0, 4720},   {VP_ROLE_VCPU, 1, 4721},
    {VP_ROLE_IOTHREAD, 1, 4730}, {VP_ROLE_WORKER, 0, 4731}, {VP_ROLE_VHOST, 0, 4732},
    {VP_ROLE_WORKER, 0, 4734},   {VP_ROLE_HELPER, 0, 4740}, {VP_ROLE_HELPER, 0, 4741},
    {VP_ROLE_VHOST, 1, 4750},
};

START_TEST(lists_v1)
{
    struct vp_cgroups cgroups = tree("v1");
    struct vp_status_vcpu vcpu[] = {{1, 4721}, {0, 4720}, {3, 4799}};
    struct vp_status status = {.vcpu = vcpu, .vcpu_count = 3};
    struct vp_threads threads;
    char root[512];

    ck_assert_int_eq(vp_cgroup_guest_root(&cgroups, 4711, root, sizeof(root), &err), 0);
    ck_assert_msg(vp_threads_list(&cgroups, 4711, &status, root, &threads, &err) == 0, "%s",
                  err.text);
    ck_assert_int_eq(threads.pid, 4711);
    EXPECT(&threads, v1_threads);
    vp_threads_clear(&threads);
    ck_assert_uint_eq(threads.count, 0);
    /* Without groups there are no helpers. */
    ck_assert_int_eq(vp_threads_list(&cgroups, 4711, &status, "", &threads, &err), 0);
    expect(&threads, v1_threads, 7);
    vp_threads_clear(&threads);
}
END_TEST

/* Status ids need not follow the threads' names, and come first. */
static const struct vp_thread v2_threads[] = {
    {VP_ROLE_EMULATOR, 0, 800}, {VP_ROLE_VCPU, 4, 820},   {VP_ROLE_VCPU, 5, 821},
    {VP_ROLE_VCPU, 12, 822},    {VP_ROLE_HELPER, 0, 830}, {VP_ROLE_WORKER, 0, 831},
};

START_TEST(lists_v2)
{
    struct vp_cgroups cgroups = tree("v2");
    struct vp_status_vcpu vcpu[] = {{12, 822}, {4, 820}, {5, 821}};
    struct vp_status status = {.vcpu = vcpu, .vcpu_count = 3};
    struct vp_threads threads;
    char root[512];

    ck_assert_int_eq(vp_cgroup_guest_root(&cgroups, 800, root, sizeof(root), &err), 0);
    ck_assert_int_eq(vp_threads_list(&cgroups, 800, &status, root, &threads, &err), 0);
    EXPECT(&threads, v2_threads);
    vp_threads_clear(&threads);
}
END_TEST

START_TEST(process_that_has_ended)
{
    struct vp_cgroups cgroups = tree("v1");
    struct vp_threads threads;

    ck_assert_int_eq(vp_threads_list(&cgroups, 5999, NULL, "", &threads, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
    ck_assert_ptr_null(threads.item);
    /* Its directory is still there, its threads are not. */
    ck_assert_int_eq(vp_threads_list(&cgroups, 5001, NULL, "", &threads, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

START_TEST(start_times)
{
    ck_assert_uint_eq(vp_process_start("tests/data/cgroup-v1/proc", 4711), 123456);
    ck_assert_uint_eq(vp_process_start("tests/data/cgroup-v1/proc", 991), 777);
    ck_assert_uint_eq(vp_process_start("tests/data/cgroup-v1/proc", 994), 0); /* cut short */
    ck_assert_uint_eq(vp_process_start("tests/data/cgroup-v1/proc", 5999), 0);
    ck_assert_uint_gt(vp_process_start("/proc", getpid()), 0);
}
END_TEST

static const struct {
    const char *tree;
    pid_t pid;
    const char *comm;
    long uid;
    const char *unit, *tty;
} culprits[] = {
    {"v1", 991, "task)?set", 1000, "session-3.scope", "pts/2"},
    {"v1", 992, "agetty", -1, "", "tty1"},
    {"v1", 993, "x", -1, "", "ttyS1"},
    {"v1", 5999, "", -1, "", ""},
    {"v1", 0, "", -1, "", ""},
    {"v2", 801, "irqbalance", -1, "cron.service", ""},
    {"hybrid", 900, "qemu-system-x86", -1, "machine-qemu\\x2d2\\x2dold.scope", ""},
};

START_TEST(names_culprits)
{
    struct vp_culprit culprit;
    char proc[128];

    snprintf(proc, sizeof(proc), "tests/data/cgroup-%s/proc", culprits[_i].tree);
    vp_culprit_of(proc, culprits[_i].pid, &culprit);
    ck_assert_int_eq(culprit.pid, culprits[_i].pid);
    ck_assert_str_eq(culprit.comm, culprits[_i].comm);
    ck_assert_int_eq(culprit.uid, culprits[_i].uid);
    ck_assert_str_eq(culprit.unit, culprits[_i].unit);
    ck_assert_str_eq(culprit.tty, culprits[_i].tty);
    ck_assert(!culprit.exact);
}
END_TEST

START_TEST(names_itself)
{
    struct vp_culprit culprit;

    prctl(PR_SET_NAME, "vp test\n(x");
    vp_culprit_of("/proc", getpid(), &culprit);
    ck_assert_int_eq(culprit.uid, getuid());
    ck_assert_int_eq(strncmp(culprit.comm, "vp test", 7), 0);
    ck_assert_ptr_null(strchr(culprit.comm, '\n'));
    ck_assert_uint_gt(vp_process_start("/proc", getpid()), 0);
}
END_TEST

/* ---- status files ---- */

static char dir[64];

static void put(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static const char status_xml[] =
    "<domstatus state='running' reason='booted' pid='4711'>\n"
    "  <vcpus><vcpu id='0' pid='4720'/><vcpu id='1' pid='4721'/></vcpus>\n"
    "  <domain type='kvm' id='3'><name>db-1</name>\n"
    "    <uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>\n"
    "    <memory unit='KiB'>65536</memory><vcpu>2</vcpu>\n"
    "    <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
    "  </domain>\n</domstatus>\n";

START_TEST(loads_status)
{
    struct vp_status *status = NULL;

    put("db-1.xml", status_xml);
    put("broken.xml", "<domstatus state='running'");
    ck_assert_msg(vp_status_load(dir, "db-1", &status, &err) == 0, "%s", err.text);
    ck_assert_int_eq(status->pid, 4711);
    ck_assert_uint_eq(status->vcpu_count, 2);
    ck_assert_int_eq(status->vcpu[1].tid, 4721);
    vp_status_free(status);
    status = NULL;
    ck_assert_int_eq(vp_status_load(dir, "broken", &status, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, "/broken.xml: "), "%s", err.text);
    ck_assert_int_eq(vp_status_load(dir, "absent", &status, &err), -1);
    ck_assert_int_eq(err.code, VP_GONE);
}
END_TEST

static const char *const bad_names[] = {"", ".", "..", "a/b", "../db-1"};

START_TEST(refuses_names)
{
    struct vp_status *status = NULL;

    ck_assert_int_eq(vp_status_load(dir, bad_names[_i], &status, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    struct vp_status *status = NULL;
    char path[512];

    snprintf(path, sizeof(path), "%s/pipe.xml", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(vp_status_load(dir, "pipe", &status, &err), -1); /* and does not wait */
    ck_assert_int_eq(err.code, VP_INPUT);
    snprintf(path, sizeof(path), "%s/huge.xml", dir);
    put("huge.xml", "");
    ck_assert_int_eq(truncate(path, VP_XML_MAX + 1), 0);
    ck_assert_int_eq(vp_status_load(dir, "huge", &status, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, "legal are up to"), "%s", err.text);
}
END_TEST

START_TEST(names_of_guests)
{
    char path[512], **names;
    size_t count;

    put("b.xml", "");
    put("a with blank.xml", "");
    put("b.pid", "1");
    put("driver.pid", "1");
    put(".xml", "");
    put(".hidden.xml", "");
    put("b.xml.new", "");
    snprintf(path, sizeof(path), "%s/sub.xml", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(vp_status_names(dir, &names, &count, &err), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_str_eq(names[0], "a with blank");
    ck_assert_str_eq(names[1], "b");
    free(names[0]);
    free(names[1]);
    free(names);
    ck_assert_int_eq(vp_status_names("/nonexistent/qemu", &names, &count, &err), 0);
    ck_assert_uint_eq(count, 0);
    ck_assert_ptr_null(names);
}
END_TEST

/* ---- this machine ---- */

START_TEST(real_threads)
{
    struct vp_status_vcpu vcpu[2];
    struct vp_status status = {.vcpu = vcpu, .vcpu_count = 2};
    struct vp_threads threads;
    struct standin guest;
    const char *why = standin_start(&guest, 2, 1, 1);
    char emulator[384];
    pid_t helper;

    if (why) {
        printf("skip real_threads: %s\n", why);
        return;
    }
    /* libvirt numbers them as it likes: here the other way round. */
    vcpu[0] = (struct vp_status_vcpu){1, guest.tid[0]};
    vcpu[1] = (struct vp_status_vcpu){0, guest.tid[1]};
    /* kvm's thread for huge pages is the kernel's, and put into its maker's group. */
    helper = fork();
    if (helper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        prctl(PR_SET_NAME, "kvm-nx-lpage-re");
        for (;;)
            pause();
    }
    snprintf(emulator, sizeof(emulator), "%s/emulator", guest.root);
    ck_assert(standin_move(emulator, helper));
    ck_assert_int_eq(
        vp_threads_list(&guest.cgroups, guest.pid, &status, guest.root, &threads, &err), 0);
    const struct vp_thread expected[] = {
        {VP_ROLE_EMULATOR, 0, guest.pid},  {VP_ROLE_VCPU, 0, guest.tid[1]},
        {VP_ROLE_VCPU, 1, guest.tid[0]},   {VP_ROLE_IOTHREAD, 1, guest.tid[2]},
        {VP_ROLE_WORKER, 0, guest.tid[3]}, {VP_ROLE_HELPER, 0, helper},
    };
    EXPECT(&threads, expected);
    vp_threads_clear(&threads);
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    standin_stop(&guest);
}
END_TEST

static void make_dir(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-threads");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
    DIR *list = opendir(dir);
    struct dirent *entry;

    while (list && (entry = readdir(list)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(list), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0);
    if (list)
        closedir(list);
    rmdir(dir);
}

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *recorded = tcase_create("recorded"), *files = tcase_create("status files"),
          *live = tcase_create("live");
    SRunner *runner = srunner_create(suite);
    int failed;

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))
    standin_owner = getpid();
    tcase_add_test(recorded, lists_v1);
    tcase_add_test(recorded, lists_v2);
    tcase_add_test(recorded, process_that_has_ended);
    tcase_add_test(recorded, start_times);
    tcase_add_loop_test(recorded, names_culprits, 0, COUNT(culprits));
    tcase_add_checked_fixture(files, make_dir, remove_dir);
    tcase_add_test(files, loads_status);
    tcase_add_loop_test(files, refuses_names, 0, COUNT(bad_names));
    tcase_add_test(files, refuses_what_is_no_file);
    tcase_add_test(files, names_of_guests);
    tcase_add_test(live, names_itself);
    tcase_add_test(live, real_threads);
    suite_add_tcase(suite, recorded);
    suite_add_tcase(suite, files);
    suite_add_tcase(suite, live);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    standin_sweep();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
