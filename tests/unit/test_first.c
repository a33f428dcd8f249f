/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which threads are looked at before their guest as a whole. The enforcer is a program and no
 * archive, so the files under test are taken in whole. */
#include "enforcer/first.c"
#include "enforcer/packed.c"
#include "enforcer/watched.c"
#include "enforcer/kept.c"

#include <check.h>

#define ROOT "/sys/fs/cgroup/cpuset/machine/qemu-1-db1.libvirt-qemu"
#define NOW_MS 1700000000000

/* Its threads: emulator 10, vCPUs 11 and 12, I/O thread 13, worker 14. */
static struct vp_thread threads[] = {{VP_ROLE_EMULATOR, 0, 10},
                                     {VP_ROLE_VCPU, 0, 11},
                                     {VP_ROLE_VCPU, 1, 12},
                                     {VP_ROLE_IOTHREAD, 1, 13},
                                     {VP_ROLE_WORKER, 0, 14}};

static void make_guest(struct vp_watched *guest)
{
    *guest = (struct vp_watched){.row = {.pid = 10}, .threads = {10, threads, 5}};
    strcpy(guest->root, ROOT);
}

static struct vp_write *write_to(struct vp_watched *guest, const char *where)
{
    bool lost;
    struct vp_write *write = vp_watched_write_add(guest, where, &lost);

    ck_assert(!lost);
    write->at_us = 1;
    write->foreign = true;
    return write;
}

static struct vp_call *call_on(struct vp_watched *guest, pid_t tid)
{
    struct vp_call *call = vp_watched_call_add(guest, tid);

    call->foreign = true;
    return call;
}

/* The threads' ids in their order, "simple" first: "11 14"; "no" where it takes a full look. */
static void assert_first(const struct vp_watched *guest, const char *expected)
{
    struct vp_threads found = {0};
    char text[64] = "no";
    bool contested;
    size_t used = 0;

    if (vp_first_threads(guest, NOW_MS, &found, &contested)) {
        text[0] = '\0';
        for (size_t i = 0; i < found.count; i++)
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d", used ? " " : "",
                                     (int)found.item[i].tid);
    }
    vp_threads_clear(&found);
    ck_assert_str_eq(text, expected);
}

static void clear(struct vp_watched *guest)
{
    vp_watched_forget_events(guest, INT64_MAX);
}

START_TEST(groups_and_masks)
{
    struct vp_watched guest;

    make_guest(&guest);
    assert_first(&guest, "");
    write_to(&guest, ROOT "/vcpu1/cpuset.cpus");
    assert_first(&guest, "12");
    call_on(&guest, 11);
    assert_first(&guest, "11 12");
    write_to(&guest, ROOT "/emulator/cpuset.cpus");
    write_to(&guest, ROOT "/iothread1/cpuset.cpus");
    assert_first(&guest, "10 11 12 13 14");
    vp_first_taken(&guest);
    assert_first(&guest, "");
    write_to(&guest, ROOT "/vcpu1/cpuset.cpus");
    call_on(&guest, 14);
    assert_first(&guest, "12 14");
    clear(&guest);
}
END_TEST

START_TEST(files_of_leaves)
{
    struct vp_watched guest;

    make_guest(&guest);
    ck_assert(vp_first_is_cpus(&guest, ROOT "/vcpu0/cpuset.cpus"));
    ck_assert(vp_first_is_cpus(&guest, ROOT "/emulator/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "/vcpu0/cpuset.mems"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "/vcpu0/sub/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "/vcpu11/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "/vcpu/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, "/sys/fs/cgroup/cpuset/machine/cpuset.cpus"));
    ck_assert(!vp_first_is_cpus(&guest, ROOT "x/vcpu0/cpuset.cpus"));
    guest.root[0] = '\0';
    ck_assert(!vp_first_is_cpus(&guest, "/vcpu0/cpuset.cpus"));
}
END_TEST

/* Whatever else happened: libvirt between its two steps, our own hook, memory nodes, another
 * group, a scheduler, a thread that no look has seen. */
START_TEST(more_than_one_thread)
{
    static const char *const where[] = {ROOT "/cpuset.cpus", ROOT "/vcpu1/cpuset.mems",
                                        "/sys/fs/cgroup/cpuset/machine/cpuset.cpus"};
    struct vp_watched guest;

    for (int i = 0; i < 8; i++) {
        make_guest(&guest);
        write_to(&guest, ROOT "/vcpu0/cpuset.cpus");
        if (i < 3)
            write_to(&guest, where[i]);
        else if (i == 3)
            write_to(&guest, ROOT "/vcpu1/cpuset.cpus")->foreign = false;
        else if (i == 4)
            call_on(&guest, 12)->foreign = false;
        else if (i == 5)
            call_on(&guest, 12)->scheduler = true;
        else if (i == 6)
            call_on(&guest, 12)->moved = true;
        else
            call_on(&guest, 99);
        assert_first(&guest, "no");
        clear(&guest);
    }
}
END_TEST

/* Until its time nothing of it is looked at, and others are. */
START_TEST(contested_waits)
{
    struct vp_case cases[2] = {
        {.record = {.role = VP_ROLE_VCPU, .index = 0, .kind = VP_DRIFT_CPUSET},
         .contest = {.contested = true, .next_repair_ms = NOW_MS + 500},
         .standing = true},
        {.record = {.role = VP_ROLE_VCPU, .index = 1, .kind = VP_DRIFT_AFFINITY},
         .contest = {.contested = true, .next_repair_ms = NOW_MS + 500},
         .standing = true}};
    struct vp_threads found = {0};
    struct vp_watched guest;
    bool contested;

    make_guest(&guest);
    guest.cases = cases;
    guest.case_count = 2;
    strcpy(cases[0].record.where, ROOT "/vcpu0/cpuset.cpus");
    write_to(&guest, ROOT "/vcpu0/cpuset.cpus");
    call_on(&guest, 12);
    assert_first(&guest, "");
    ck_assert(vp_first_threads(&guest, NOW_MS, &found, &contested));
    ck_assert(contested);
    vp_threads_clear(&found);
    write_to(&guest, ROOT "/vcpu1/cpuset.cpus");
    assert_first(&guest, "12");
    cases[0].contest.next_repair_ms = NOW_MS;
    assert_first(&guest, "11 12");
    cases[0].contest.next_repair_ms = NOW_MS + 500;
    cases[0].standing = false;
    assert_first(&guest, "11 12");
    clear(&guest);
}
END_TEST

/* As many files as there is room for; a file that is written again takes no more of it. */
START_TEST(writes_are_not_lost_unnoticed)
{
    struct vp_watched guest;
    char where[600];
    bool lost;

    make_guest(&guest);
    for (int i = 0; i < 100; i++)
        write_to(&guest, ROOT "/vcpu0/cpuset.cpus");
    for (int i = 1; i < VP_WRITES_KEPT; i++) {
        snprintf(where, sizeof(where), ROOT "/vcpu%d/cpuset.cpus", i);
        write_to(&guest, where);
    }
    vp_watched_write_add(&guest, ROOT "/vcpu8/cpuset.cpus", &lost);
    ck_assert(lost);
    vp_first_taken(&guest);
    write_to(&guest, ROOT "/vcpu9/cpuset.cpus");
    clear(&guest);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("first");
    TCase *tcase = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, groups_and_masks);
    tcase_add_test(tcase, files_of_leaves);
    tcase_add_test(tcase, more_than_one_thread);
    tcase_add_test(tcase, contested_waits);
    tcase_add_test(tcase, writes_are_not_lost_unnoticed);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
