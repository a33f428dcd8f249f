/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other tool that moves guests' threads, for rig and benchmark: changes
 * something again and again, waits until somebody has put it back, and says how
 * long that took.
 *
 * usage: meddle affinity TID CPU COUNT      sched_setaffinity of that thread
 *        meddle cpuset FILE LIST COUNT      a write to a cpuset file
 *        meddle calls TID COUNT             so many sched_setaffinity to what that thread has
 *        meddle writers FILE COUNT          so many processes write FILE's own text to it
 *        meddle renames DIR COUNT           so many files renamed into DIR
 * The first two print: COUNT median p90 p99 max, in microseconds. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Between two changes, so that each is one of its own. */
#define PAUSE_US 20000
#define POLL_US 20
#define LONGEST_US 60000000

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "meddle: %s: %s\n", what, strerror(errno));
    exit(1);
}

static long number(const char *text)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value < 0 || value > 10000000) {
        fprintf(stderr, "meddle: %s is no number\n", text);
        exit(2);
    }
    return value;
}

static int by_size(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

    return (a > b) - (a < b);
}

static void print_times(int64_t *took, size_t count)
{
    qsort(took, count, sizeof(*took), by_size);
    printf("%zu %lld %lld %lld %lld\n", count, (long long)took[count / 2],
           (long long)took[count * 9 / 10], (long long)took[count * 99 / 100],
           (long long)took[count - 1]);
}

/* ---- changes that somebody undoes ---- */

struct thing {
    pid_t tid;
    cpu_set_t right, wrong;
    int fd; /* of the cpuset file; -1: the affinity it is */
    char right_text[4096];
    const char *wrong_text;
};

static void read_text(const struct thing *thing, char *text, size_t size)
{
    ssize_t length = pread(thing->fd, text, size - 1, 0);

    if (length < 0)
        die("reading");
    text[length] = '\0';
}

static void change(const struct thing *thing)
{
    if (thing->fd < 0 && sched_setaffinity(thing->tid, sizeof(thing->wrong), &thing->wrong) < 0)
        die("sched_setaffinity");
    if (thing->fd >= 0 && pwrite(thing->fd, thing->wrong_text, strlen(thing->wrong_text), 0) < 0)
        die("writing");
}

static int is_back(const struct thing *thing)
{
    char text[sizeof(thing->right_text)];
    cpu_set_t now;

    if (thing->fd < 0) {
        if (sched_getaffinity(thing->tid, sizeof(now), &now) < 0)
            die("sched_getaffinity");
        return CPU_EQUAL(&now, &thing->right);
    }
    read_text(thing, text, sizeof(text));
    return strcmp(text, thing->right_text) == 0;
}

static void repeat(const struct thing *thing, size_t count)
{
    int64_t *took = calloc(count, sizeof(*took));

    if (!took || count == 0)
        die("no room");
    for (size_t i = 0; i < count; i++) {
        int64_t start = now_us();

        change(thing);
        while (!is_back(thing)) {
            if (now_us() - start > LONGEST_US) {
                fprintf(stderr, "meddle: nobody puts it back\n");
                exit(1);
            }
            usleep(POLL_US);
        }
        took[i] = now_us() - start;
        usleep(PAUSE_US);
    }
    print_times(took, count);
    free(took);
}

/* ---- floods ---- */

static int write_same(void *data)
{
    const struct thing *thing = data;

    _exit(pwrite(thing->fd, thing->right_text, strlen(thing->right_text), 0) < 0);
}

/* A process each: the kernel makes one event of equal ones. They share all that processes can, and
 * are waited for by the batch: on a busy machine each wait is a turn of everybody else's. */
static void writers(const char *path, long count)
{
    enum { BATCH = 64, STACK = 16384 };
    struct thing thing = {.fd = open(path, O_RDWR | O_CLOEXEC)};
    char *stacks = aligned_alloc(STACK, (size_t)BATCH * STACK);

    if (thing.fd < 0 || !stacks)
        die(path);
    read_text(&thing, thing.right_text, sizeof(thing.right_text));
    while (count > 0) {
        long batch = count < BATCH ? count : BATCH;

        for (long i = 0; i < batch; i++)
            if (clone(write_same, stacks + (i + 1) * STACK,
                      CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &thing) < 0)
                die("clone");
        for (long i = 0; i < batch; i++)
            if (wait(NULL) < 0)
                die("wait");
        count -= batch;
    }
    free(stacks);
}

static void calls(pid_t tid, long count)
{
    cpu_set_t mask;

    if (sched_getaffinity(tid, sizeof(mask), &mask) < 0)
        die("sched_getaffinity");
    for (long i = 0; i < count; i++)
        if (sched_setaffinity(tid, sizeof(mask), &mask) < 0)
            die("sched_setaffinity");
}

static void renames(const char *dir, long count)
{
    char from[4096], to[4096];

    snprintf(from, sizeof(from), "%s/meddle.new", dir);
    for (long i = 0; i < count; i++) {
        int fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
            die(from);
        close(fd);
        snprintf(to, sizeof(to), "%s/meddle%ld", dir, i % 2);
        if (rename(from, to) < 0)
            die(to);
    }
    for (long i = 0; i < 2; i++) {
        snprintf(to, sizeof(to), "%s/meddle%ld", dir, i);
        unlink(to);
    }
}

int main(int argc, char **argv)
{
    static struct thing thing = {.fd = -1};

    if (argc == 5 && strcmp(argv[1], "affinity") == 0) {
        thing.tid = (pid_t)number(argv[2]);
        CPU_SET(number(argv[3]), &thing.wrong);
        if (sched_getaffinity(thing.tid, sizeof(thing.right), &thing.right) < 0)
            die(argv[2]);
        repeat(&thing, (size_t)number(argv[4]));
    } else if (argc == 5 && strcmp(argv[1], "cpuset") == 0) {
        thing.fd = open(argv[2], O_RDWR | O_CLOEXEC);
        if (thing.fd < 0)
            die(argv[2]);
        read_text(&thing, thing.right_text, sizeof(thing.right_text));
        thing.wrong_text = argv[3];
        repeat(&thing, (size_t)number(argv[4]));
    } else if (argc == 4 && strcmp(argv[1], "writers") == 0) {
        writers(argv[2], number(argv[3]));
    } else if (argc == 4 && strcmp(argv[1], "calls") == 0) {
        calls((pid_t)number(argv[2]), number(argv[3]));
    } else if (argc == 4 && strcmp(argv[1], "renames") == 0) {
        renames(argv[2], number(argv[3]));
    } else {
        fprintf(stderr, "usage: meddle affinity TID CPU COUNT | cpuset FILE LIST COUNT |\n"
                        "              calls TID COUNT | writers FILE COUNT | renames DIR COUNT\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
