/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who else runs on dedicated CPUs, on a made-up /proc. */
#include <check.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/strangers.h"
#include "tests/unit/scratch.h"

#define NOW 1700000000000

static char dir[64];
static struct vp_cpuset dedicated;
static struct vp_strangers strangers;

static void put(const char *name, const char *text, size_t length)
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
    ck_assert_uint_eq(fwrite(text, 1, length, file), length);
    fclose(file);
}

/* A thread that was on `cpu` last and has run so many ticks. */
static void thread(int pid, int tid, const char *comm, unsigned long flags, unsigned ticks, int cpu)
{
    char name[64], text[512];

    snprintf(
        text, sizeof(text),
        "%d (%s) S 1 %d %d 0 -1 %lu 1 2 3 4 %u %u 0 0 20 0 1 0 %d 1000 200 18446744073709551615 "
        "1 1 0 0 0 0 0 0 0 0 0 0 17 %d 0 0 0 0 0\n",
        tid, comm, pid, pid, flags, ticks - ticks / 4, ticks / 4, 7000 + tid, cpu);
    snprintf(name, sizeof(name), "%d/task/%d/stat", pid, tid);
    put(name, text, strlen(text));
}

static void cmdline(int pid, const char *text, size_t length)
{
    char name[64];

    snprintf(name, sizeof(name), "%d/cmdline", pid);
    put(name, text, length);
}

/* 500 is a guest of ours with a helper 600, the owner of CPU 3. */
static bool is_ours(const void *data, pid_t pid, pid_t tid, int cpu)
{
    (void)data;
    return tid == 0 ? pid == 500 : tid == 600 && cpu == 3;
}

static const char *owner_of(const void *data, int cpu)
{
    (void)data;
    return cpu == 3 ? "db1" : "";
}

static void look(unsigned budget, int64_t now_ms)
{
    const struct vp_stranger_host host = {dir, &dedicated, is_ours, owner_of, NULL};

    vp_strangers_look(&strangers, &host, budget, now_ms);
}

static const struct vp_stranger *find(pid_t tid)
{
    for (size_t i = 0; i < strangers.count; i++)
        if (strangers.item[i].tid == tid)
            return &strangers.item[i];
    return NULL;
}

static void setup(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-strangers");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    dedicated = (struct vp_cpuset){0};
    vp_cpuset_add(&dedicated, 3);
}

static void teardown(void)
{
    char command[128];

    vp_strangers_clear(&strangers);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

START_TEST(who_ran_and_who_only_was_there)
{
    const struct vp_stranger *one;

    thread(100, 100, "my) (sql", 0, 40, 3);
    thread(100, 101, "elsewhere", 0, 40, 1);
    thread(200, 200, "sleeper", 0, 40, 3);
    thread(500, 500, "CPU 0/KVM", 0, 40, 3);
    thread(600, 600, "swtpm", 0, 40, 3);
    look(100, NOW);
    ck_assert_uint_eq(strangers.count, 2);
    ck_assert_uint_eq(find(100)->ran_ms, 0);
    thread(100, 100, "my) (sql", 0, 65, 3);
    thread(500, 500, "CPU 0/KVM", 0, 90, 3);
    thread(600, 600, "swtpm", 0, 90, 3);
    look(100, NOW + 2000);
    one = find(100);
    ck_assert_ptr_nonnull(one);
    ck_assert_uint_eq(one->ran_ms, 250);
    ck_assert_int_eq(one->kind, VP_STRANGER_HOST);
    ck_assert_str_eq(one->comm, "my) (sql");
    ck_assert_str_eq(one->owner, "db1");
    ck_assert_int_eq(one->cpu, 3);
    ck_assert_uint_eq(find(200)->ran_ms, 0);
    ck_assert_uint_eq(strangers.total_ms[VP_STRANGER_HOST], 250);
    thread(100, 100, "my) (sql", 0, 99, 1); /* it has gone elsewhere */
    look(100, NOW + 4000);
    ck_assert_ptr_null(find(100));
    ck_assert_uint_eq(strangers.total_ms[VP_STRANGER_HOST], 250);
}
END_TEST

START_TEST(kernel_threads)
{
    thread(10, 10, "ksoftirqd/3", 0x04208040, 10, 3);
    thread(11, 11, "kworker/3:1-events", 0x04208060, 10, 3);
    thread(12, 12, "kworker/u32:1-x", 0x04208060, 10, 3);
    thread(13, 13, "kswapd0", 0x00228840, 10, 3);
    look(100, NOW);
    ck_assert_uint_eq(strangers.count, 2);
    thread(12, 12, "kworker/u32:1-x", 0x04208060, 11, 3);
    look(100, NOW + 2000);
    ck_assert_int_eq(find(12)->kind, VP_STRANGER_KERNEL);
    ck_assert_uint_eq(find(12)->ran_ms, 10);
    ck_assert_ptr_nonnull(find(13));
}
END_TEST

START_TEST(unmanaged_guest)
{
    static const char arguments[] = "qemu\0-name\0guest=stray,debug-threads=on\0-S";
    static const char trick[] = "sh\0-c\0echo guest=no,x";

    thread(700, 702, "CPU 1/KVM", 0, 10, 3);
    cmdline(700, arguments, sizeof(arguments));
    thread(800, 800, "sh", 0, 10, 3);
    cmdline(800, trick, sizeof(trick));
    look(100, NOW);
    thread(700, 702, "CPU 1/KVM", 0, 110, 3);
    thread(800, 800, "sh", 0, 110, 3);
    look(100, NOW + 2000);
    ck_assert_int_eq(find(702)->kind, VP_STRANGER_GUEST);
    ck_assert_str_eq(find(702)->guest, "stray");
    ck_assert_int_eq(find(800)->kind, VP_STRANGER_HOST);
    ck_assert_uint_eq(strangers.total_ms[VP_STRANGER_GUEST], 1000);
}
END_TEST

/* However many threads there are, a look takes so many, and the next goes on. */
START_TEST(bounded)
{
    for (int pid = 1000; pid < 1050; pid++) {
        thread(pid, pid, "a", 0, 1, 3);
        thread(pid, pid + 5000, "b", 0, 1, 3);
    }
    look(30, NOW);
    ck_assert_uint_ge(strangers.count, 15);
    ck_assert_uint_le(strangers.count, 30);
    for (int i = 0; i < 6; i++)
        look(30, NOW);
    ck_assert_uint_eq(strangers.count, 100);
    for (int pid = 2000; pid < 2050; pid++)
        thread(pid, pid, "a", 0, 1, 3);
    for (int i = 0; i < 12; i++)
        look(30, NOW);
    ck_assert_uint_eq(strangers.count, 128);
}
END_TEST

START_TEST(number_used_again)
{
    thread(100, 100, "a", 0, 50, 3);
    look(100, NOW);
    thread(100, 101, "b", 0, 50, 1); /* only another start time makes it another */
    put("100/task/100/stat",
        "100 (b) S 1 1 1 0 -1 0 1 2 3 4 90 0 0 0 20 0 1 0 99 1 2 3 1 1 0 0 0 0 "
        "0 0 0 0 0 0 17 3 0 0 0 0 0\n",
        97);
    look(0, NOW + 2000);
    ck_assert_ptr_null(find(100));
    ck_assert_uint_eq(strangers.total_ms[VP_STRANGER_HOST], 0);
}
END_TEST

/* A stand-in for the kernel's thread, which only the kind tells from others of that name. */
static bool pit_cpus(const void *data, pid_t pid, struct vp_cpuset *cpus)
{
    *cpus = *(const struct vp_cpuset *)data;
    return pid == 500;
}

START_TEST(timers_go_with_the_emulator)
{
    static const struct {
        const char *comm;
        enum vp_stranger_kind kind;
        bool placed;
    } rows[] = {
        {"kvm-pit/500", VP_STRANGER_KERNEL, true},   {"kvm-pit/501", VP_STRANGER_KERNEL, false},
        {"kvm-pit/500", VP_STRANGER_HOST, false},    {"kvm-pit/500x", VP_STRANGER_KERNEL, false},
        {"kvm-pit/", VP_STRANGER_KERNEL, false},     {"kvm-pit/0", VP_STRANGER_KERNEL, false},
        {"kvm-pit/-500", VP_STRANGER_KERNEL, false}, {"vhost-500", VP_STRANGER_KERNEL, false},
    };
    struct vp_cpuset was = {0}, one = {0}, now = {0};
    pid_t child = fork();

    if (child == 0) {
        pause();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq(sched_getaffinity(child, sizeof(was), (cpu_set_t *)&was), 0);
    vp_cpuset_add(&one, vp_cpuset_last(&was));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vp_stranger stranger = {.pid = child, .tid = child, .kind = rows[i].kind};
        struct vp_strangers list = {.item = &stranger, .count = 1};

        snprintf(stranger.comm, sizeof(stranger.comm), "%s", rows[i].comm);
        sched_setaffinity(child, sizeof(was), (cpu_set_t *)&was);
        ck_assert_uint_eq(vp_strangers_place_pits(&list, pit_cpus, &one), rows[i].placed);
        memset(&now, 0, sizeof(now));
        ck_assert_int_eq(sched_getaffinity(child, sizeof(now), (cpu_set_t *)&now), 0);
        ck_assert_msg(vp_cpuset_equal(&now, rows[i].placed ? &one : &was), "%s", rows[i].comm);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}
END_TEST

START_TEST(written_and_read)
{
    struct vp_strangers again;
    char path[100];
    FILE *file;

    thread(100, 100, "a b", 0, 50, 3);
    thread(200, 200, "idle", 0, 50, 3);
    look(100, NOW);
    thread(100, 100, "a b", 0, 60, 3);
    look(100, NOW + 2000);
    snprintf(path, sizeof(path), "%s/strangers", dir);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(vp_strangers_write(&strangers, file, NOW + 3000), 0);
    fputs("nonsense\nstranger x\n", file);
    fclose(file);
    ck_assert_int_eq(vp_strangers_read(&again, dir), 0);
    ck_assert_uint_eq(again.count, 1);
    ck_assert_str_eq(again.item[0].comm, "a b");
    ck_assert_str_eq(again.item[0].owner, "db1");
    ck_assert_uint_eq(again.item[0].ran_ms, 100);
    ck_assert_int_eq(again.item[0].first_ms, NOW + 2000);
    ck_assert_uint_eq(again.total_ms[VP_STRANGER_HOST], 100);
    vp_strangers_clear(&again);
    file = fopen(path, "we"); /* long ago */
    ck_assert_int_eq(vp_strangers_write(&strangers, file, NOW + 3600000), 0);
    fclose(file);
    ck_assert_int_eq(vp_strangers_read(&again, dir), 0);
    ck_assert_uint_eq(again.count, 0);
    ck_assert_uint_eq(again.total_ms[VP_STRANGER_HOST], 100);
    vp_strangers_clear(&again);
    ck_assert_int_eq(vp_strangers_read(&again, "/nowhere"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("strangers");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, who_ran_and_who_only_was_there);
    tcase_add_test(core, kernel_threads);
    tcase_add_test(core, unmanaged_guest);
    tcase_add_test(core, bounded);
    tcase_add_test(core, number_used_again);
    tcase_add_test(core, written_and_read);
    tcase_add_test(core, timers_go_with_the_emulator);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
