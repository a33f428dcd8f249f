/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that follows its guest: when it does, where each page goes, what the
 * process that moves it makes of a kernel that cannot, and what status reads. */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/guestmemory.h"
#include "host/memmove.h"
#include "host/memoryfile.h"
#include "tests/unit/scratch.h"

static char dir[64];
static struct vp_error err;

static struct vp_cpuset nodes(const char *text)
{
    struct vp_cpuset set = {0};

    if (*text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static void setup(void)
{
    vp_scratch(dir, sizeof(dir), "virtpin-memmove");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    err = (struct vp_error){0};
}

static void teardown(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

/* ---- when ---- */

enum says { RIGHT, FOLLOWS, DRIFT };
static const struct {
    bool confines;
    const char *tune, *cell; /* cell "": none */
    const char *plan, *passed, *found;
    enum says says;
    const char *wanted;
} whens[] = {
    /* as it was started */
    {true, "0", "", "0", "", "0", RIGHT, NULL},
    {true, "0", "", "0", "", "1", DRIFT, "0"},
    {true, "0", "", "", "", "1", DRIFT, "0"},
    /* the guest went to node 1: what libvirt wrote, half-way, there, and neither */
    {true, "0", "", "1", "", "0", FOLLOWS, NULL},
    {true, "0", "", "1", "", "0-1", FOLLOWS, NULL},
    {true, "0", "", "1", "", "1", RIGHT, NULL},
    {true, "0", "", "1", "", "2", DRIFT, "1"},
    {true, "0", "", "1", "", "0-3", DRIFT, "1"},
    /* and back, before that was done or after */
    {true, "0", "", "0", "0-1", "0-1", FOLLOWS, NULL},
    {true, "0", "", "0", "0-1", "1", FOLLOWS, NULL},
    {true, "0", "", "0", "0-1", "0", RIGHT, NULL},
    {true, "0", "", "0", "0-1", "2", DRIFT, "0"},
    /* cells: libvirt's ways of writing them */
    {true, "0", "1", "0-1", "", "0", RIGHT, NULL},
    {true, "0", "1", "2-3", "", "1", FOLLOWS, NULL},
    {true, "0", "1", "2-3", "", "0-3", FOLLOWS, NULL},
    /* no group confines it: nothing is written */
    {false, "0", "", "1", "", "0-3", RIGHT, NULL},
};

START_TEST(when_it_follows)
{
    struct vp_cpuset cell = nodes(whens[_i].cell);
    struct vp_guest_numatune tune = {.confines = whens[_i].confines,
                                     .nodes = nodes(whens[_i].tune),
                                     .cell = &cell,
                                     .cell_count = whens[_i].cell[0] ? 1 : 0};
    struct vp_mems_plan plan = {nodes(whens[_i].plan), nodes(whens[_i].passed)};
    struct vp_mems mems = {.above = nodes("0-3")};
    struct vp_mems_group group = {
        .set = true, .mems = nodes(whens[_i].found), .effective = nodes(whens[_i].found)};
    struct vp_mems_diff diff = {0};
    bool right = vp_mems_right(&tune, &plan, &mems, &group, &diff);
    char text[64];

    ck_assert_int_eq(right, whens[_i].says != DRIFT);
    ck_assert_int_eq(vp_mems_follows(&tune, &plan, &group), whens[_i].says == FOLLOWS);
    if (right)
        return;
    vp_cpuset_print(&diff.wanted, text, sizeof(text));
    ck_assert_str_eq(text, whens[_i].wanted);
    ck_assert(diff.own && diff.possible);
}
END_TEST

/* A group that says nothing of its own has nothing to follow with. */
START_TEST(unset_stays)
{
    struct vp_guest_numatune tune = {.confines = true, .nodes = nodes("0")};
    struct vp_mems_plan plan = {.nodes = nodes("1")};
    struct vp_mems_group group = {.set = false, .effective = nodes("0-1")};

    ck_assert(!vp_mems_follows(&tune, &plan, &group));
}
END_TEST

/* ---- where ---- */

struct where {
    const char *was, *now;
    const char *was_cell[2], *now_cell[2]; /* NULL: no cells */
    int from, to;
};
static const struct where wheres[] = {
    {"0", "1", {NULL}, {NULL}, 0, 1},
    {"0", "1", {NULL}, {NULL}, 1, 1},
    {"0", "1", {NULL}, {NULL}, 5, 1},
    /* as many as come go: in order */
    {"0-1", "2-3", {NULL}, {NULL}, 0, 2},
    {"0-1", "2-3", {NULL}, {NULL}, 1, 3},
    {"0-1", "1-2", {NULL}, {NULL}, 0, 2},
    {"0-1", "1-2", {NULL}, {NULL}, 1, 1},
    /* where most is missing: node 2 wants 300 and has 100, node 3 wants 300 and has 200 */
    {"0", "2-3", {NULL}, {NULL}, 0, 2},
    /* cells stay whole */
    {"0-1", "2-3", {"0", "1"}, {"3", "2"}, 0, 3},
    {"0-1", "2-3", {"0", "1"}, {"3", "2"}, 1, 2},
    /* two cells of one node that part: by what is missing */
    {"0", "2-3", {"0", "0"}, {"2", "3"}, 0, 2},
};

START_TEST(where_it_goes)
{
    const struct where *it = &wheres[_i];
    struct vp_cpuset was[2];
    struct vp_memory_cell now[2];
    struct vp_guest_numatune tune = {.confines = true, .nodes = nodes(it->was), .cell = was};
    struct vp_memory_bind bind = {.nodes = nodes(it->now), .cell = now};
    struct vp_node_memory want[] = {{2, 300}, {3, 300}};
    struct vp_plan plan = {.memory = want, .memory_count = 2};
    uint64_t have[VP_NODES_MAX] = {[2] = 100, [3] = 200};
    struct vp_memory_aim aim;

    for (unsigned i = 0; i < 2 && it->was_cell[i]; i++) {
        was[tune.cell_count++] = nodes(it->was_cell[i]);
        now[bind.cell_count++] = (struct vp_memory_cell){i, nodes(it->now_cell[i])};
    }
    vp_memory_aim_make(&tune, &bind, &plan, &aim);
    ck_assert_int_eq(vp_memory_aim_at(&aim, have, it->from), it->to);
}
END_TEST

static const struct {
    const char *line;
    bool good, file, moves;
} areas[] = {
    {"7f2a default anon=513 dirty=513 N0=513 kernelpagesize_kB=4", true, false, true},
    {"5600 default heap anon=3 dirty=3 N0=3 kernelpagesize_kB=4", true, false, true},
    {"7f00 bind:1 file=/dev/hugepages/a huge dirty=4 N1=4 kernelpagesize_kB=2048", true, true,
     true},
    {"7f00 bind:1 file=/memfd:ram\\040(deleted) dirty=4 mapmax=2 N1=4 kernelpagesize_kB=4", true,
     true, true},
    {"7f00 default file=/usr/lib/libc.so.6 mapped=4 mapmax=90 N1=4 kernelpagesize_kB=4", true, true,
     false},
    {"", false, false, false},
    {"nonsense", false, false, false},
    {"7f00 default anon=1 N0=1 kernelpagesize_kB=0", false, false, false},
};

START_TEST(which_areas)
{
    struct vp_memory_area area;

    ck_assert_int_eq(vp_memory_area(areas[_i].line, &area), areas[_i].good);
    if (!areas[_i].good)
        return;
    ck_assert_uint_eq(area.start, strtoull(areas[_i].line, NULL, 16));
    ck_assert_int_eq(area.file, areas[_i].file);
    ck_assert_int_eq(area.moves, areas[_i].moves);
}
END_TEST

/* ---- the process ---- */

#define SIZE_MIB 300

/* A process that has so much memory, and waits. */
static pid_t stuffed(void)
{
    int pipes[2];
    char ready;
    pid_t pid;

    ck_assert_int_eq(pipe(pipes), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        mmap(NULL, (size_t)SIZE_MIB << 20, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (write(pipes[1], "x", 1) == 1)
            pause();
        _exit(0);
    }
    ck_assert_int_eq(read(pipes[0], &ready, 1), 1);
    close(pipes[0]);
    close(pipes[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void put(const char *name, const char *text, char *path, size_t size)
{
    FILE *file;

    snprintf(path, size, "%s/%s", dir, name);
    file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void expect(const char *path, const char *text)
{
    char found[64] = "";
    FILE *file = fopen(path, "re");

    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(found, sizeof(found), file));
    fclose(file);
    ck_assert_str_eq(found, text);
}

/* One write of `text` to `path`. */
static void one_write(struct vp_mems_job *job, const char *path, const char *text)
{
    job->write = calloc(1, sizeof(*job->write));
    ck_assert_ptr_nonnull(job->write);
    job->count = 1;
    snprintf(job->write->path, sizeof(job->write->path), "%s", path);
    snprintf(job->write->text, sizeof(job->write->text), "%s", text);
}

static int run(const struct vp_memory_job *job)
{
    int fd, status;
    pid_t pid = vp_memory_move_start(job, &fd, &err);
    struct pollfd poller;

    ck_assert_msg(pid > 0, "%s", err.text);
    poller = (struct pollfd){.fd = fd, .events = POLLIN};
    ck_assert_int_eq(poll(&poller, 1, 20000), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    close(fd);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool kernel_lets(int result)
{
    return result != EPERM && result != ENOSYS && result != EACCES && result != ENOENT;
}

/* To a node that no host has: all of it stays, is counted, and asking for it ends soon. */
START_TEST(what_cannot_be_moved)
{
    struct vp_memory_job job;
    uint64_t total;
    int result;

    ck_assert_int_eq(vp_memory_job_init(&job, &err), 0);
    job.pid = stuffed();
    job.aim.nodes = nodes("127");
    result = vp_memory_move("/proc", &job);
    end(job.pid);
    if (kernel_lets(result)) {
        ck_assert_int_eq(result, 0);
        total = atomic_load(&job.progress->total_kib);
        ck_assert_uint_ge(total, (uint64_t)SIZE_MIB << 10);
        ck_assert_uint_ge(atomic_load(&job.progress->stayed_kib), 256 << 10);
        ck_assert_uint_lt(atomic_load(&job.progress->left_kib), total);
    }
    vp_memory_job_clear(&job);
}
END_TEST

/* All is where it belongs: groups become wide, then narrow. */
START_TEST(groups_are_written)
{
    struct vp_memory_job job;
    char wide[100], narrow[100];
    int result;

    put("wide", "0", wide, sizeof(wide));
    put("narrow", "0", narrow, sizeof(narrow));
    ck_assert_int_eq(vp_memory_job_init(&job, &err), 0);
    job.pid = stuffed();
    job.aim.nodes = nodes("0-127");
    one_write(&job.wide, wide, "0-1");
    one_write(&job.narrow, narrow, "1");
    result = run(&job);
    end(job.pid);
    ck_assert_int_eq(result, 0);
    expect(wide, "0-1");
    expect(narrow, "1");
    ck_assert_uint_eq(atomic_load(&job.progress->total_kib), 0);
    ck_assert_uint_eq(atomic_load(&job.progress->left_kib), 0);
    vp_memory_job_clear(&job);
}
END_TEST

/* Nothing is begun where the first write is refused; who has ended is no trouble. */
START_TEST(refused_and_gone)
{
    struct vp_memory_job job;
    char narrow[100];

    put("narrow", "0", narrow, sizeof(narrow));
    ck_assert_int_eq(vp_memory_job_init(&job, &err), 0);
    job.pid = 0x7fffffff;
    job.aim.nodes = nodes("0");
    one_write(&job.wide, "/proc/none/cpuset.mems", "0-1");
    one_write(&job.narrow, narrow, "1");
    ck_assert_int_eq(run(&job), ENOENT);
    expect(narrow, "0");
    vp_mems_job_clear(&job.wide);
    ck_assert_int_eq(run(&job), ENOENT);
    expect(narrow, "0");
    vp_memory_job_clear(&job);
}
END_TEST

/* ---- what status reads ---- */

static const char *const broken[] = {
    "",
    "uuid=a\n",
    "uuid=a\nnodes=x\ntotal_kib=5\nleft_kib=1\n",
    "nodes=1\ntotal_kib=5\nleft_kib=1\n",
    "uuid=a\nnodes=1\ntotal_kib=5\nleft_kib=6\n",
};

START_TEST(file_of_progress)
{
    struct vp_memory_moving moving = {.uuid = "00000000-0000-4000-8000-000000000001",
                                      .nodes = nodes("1,3"),
                                      .since_ms = 1700000000000,
                                      .total_kib = 4096,
                                      .left_kib = 1024};
    struct vp_memory_moving read;
    char path[100];

    ck_assert(!vp_memoryfile_read(dir, &read));
    ck_assert_msg(vp_memoryfile_write(dir, &moving, &err) == 0, "%s", err.text);
    ck_assert(vp_memoryfile_read(dir, &read));
    ck_assert_str_eq(read.uuid, moving.uuid);
    ck_assert(vp_cpuset_equal(&read.nodes, &moving.nodes));
    ck_assert_int_eq(read.since_ms, moving.since_ms);
    ck_assert_uint_eq(read.total_kib, 4096);
    ck_assert_uint_eq(read.left_kib, 1024);
    vp_memoryfile_remove(dir);
    ck_assert(!vp_memoryfile_read(dir, &read));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        put("memory", broken[i], path, sizeof(path));
        ck_assert_msg(!vp_memoryfile_read(dir, &read), "%s", broken[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memmove");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_loop_test(core, when_it_follows, 0, sizeof(whens) / sizeof(whens[0]));
    tcase_add_test(core, unset_stays);
    tcase_add_loop_test(core, where_it_goes, 0, sizeof(wheres) / sizeof(wheres[0]));
    tcase_add_loop_test(core, which_areas, 0, sizeof(areas) / sizeof(areas[0]));
    tcase_add_test(core, what_cannot_be_moved);
    tcase_add_test(core, groups_are_written);
    tcase_add_test(core, refused_and_gone);
    tcase_add_test(core, file_of_progress);
    suite_add_tcase(suite, core);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
