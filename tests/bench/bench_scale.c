/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The enforcer beside many guests that are stand-ins: processes whose threads
 * are named and grouped as libvirt does it, with status files made up, in a
 * mount namespace of their own. Beside each figure its floor.
 *
 * usage: bench_scale VIRTPIND VIRTPIN GUESTS [STORM [FIGHT_SECONDS [REST_SECONDS]]]
 *        bench_scale VIRTPIND VIRTPIN sizes GUESTS...
 *        bench_scale VIRTPIND VIRTPIN madeup PRELOAD GUESTS...
 * Each guest has 16 threads. STORM cpuset files are rewritten at once; for
 * FIGHT_SECONDS one file is, 1,000 times a second. sizes: what a thread costs
 * with more and more of them (GUESTS rising). madeup: the same, but guests are
 * files (tests/bench/madeup), for more threads than there can be. Needs root
 * and a cgroup v1 cpuset hierarchy. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "tests/bench/madeup/host.h"
#include "tests/bench/scale/floor.h"
#include "tests/bench/scale/guests.h"

#define SWEEPS 6 /* that are measured */

/* blind: without the right to events, so that each sweep looks at everything. */
static void start_enforcer(const char *program, const char *sweep, bool blind)
{
    char conf[256];

    snprintf(conf, sizeof(conf),
             "[host]\nrun-dir = /run/virtpin\nstate-dir = /run/state\nsweep = %s\n"
             "repair-limit = 100000/1s\n",
             sweep);
    unlink("/run/virtpin.conf");
    if (!put("/run/virtpin.conf", conf))
        die("/run/virtpin.conf");
    enforcer = fork();
    if (enforcer == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (preload) {
            char own[16];

            snprintf(own, sizeof(own), "%d", getpid());
            madeup_show(own);
            setenv("LD_PRELOAD", preload, 1);
        }
        if (blind)
            prctl(PR_CAPBSET_DROP, 21 /* CAP_SYS_ADMIN */, 0, 0, 0);
        execl(program, program, "--config", "/run/virtpin.conf", "--policy-dir", "/run/policy.d",
              NULL);
        _exit(127);
    }
}

/* A number of RUN-DIR/enforcer; -1: not there. */
static double of_enforcer(const char *key)
{
    char text[1024];
    int fd = open("/run/virtpin/enforcer", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
    const char *at;

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    at = strstr(text, key);
    return at ? strtod(at + strlen(key), NULL) : -1;
}

/* The value of a metric; -1: none. */
static double metric(const char *program, const char *name)
{
    char command[512], line[512];
    double value = -1;
    FILE *pipe;

    snprintf(command, sizeof(command),
             "%s metrics --config /run/virtpin.conf --policy-dir /run/policy.d 2>&1", program);
    pipe = popen(command, "re");
    while (pipe && fgets(line, sizeof(line), pipe))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ')
            value = strtod(line + strlen(name), NULL);
    if (pipe)
        pclose(pipe);
    return value;
}

static double status_kib(const char *key)
{
    char path[64], line[256];
    double value = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%d/status", proc, enforcer);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtod(line + strlen(key) + 1, NULL);
    if (file)
        fclose(file);
    return value;
}

/* Microseconds that all its threads have run. */
static double ran_us(void)
{
    char path[320], text[128];
    struct dirent *entry;
    double sum = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/%d/task", proc, enforcer);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%d/task/%.20s/schedstat", proc, enforcer, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        get(path, text, sizeof(text));
        sum += strtod(text, NULL) / 1e3;
    }
    if (dir)
        closedir(dir);
    return sum;
}

/* ---- figures ---- */

/* Seconds until everything is in force; 0: never. */
static double wait_for_all(const char *program)
{
    double began = now_us();

    while (now_us() - began < 300e6) {
        char path[320], text[64];

        usleep(200000);
        if (waitpid(enforcer, NULL, WNOHANG) == enforcer) {
            enforcer = 0;
            return 0;
        }
        /* the last guest's last group has been written or was right */
        snprintf(path, sizeof(path), "%s/vcpu0/cpuset.cpus", guests[guest_count - 1].root);
        get(path, text, sizeof(text));
        if (metric(program, "virtpin_guests{policy=\"all\",state=\"running\"}") == guest_count)
            return (now_us() - began) / 1e6;
    }
    return 0;
}

/* Waits for the next sweep's end; false: none in 30 s. */
static bool await_sweep(void)
{
    double seen = of_enforcer("last_sweep_ms=");

    for (unsigned waited = 0; waited < 30000; waited += 5) {
        usleep(5000);
        if (of_enforcer("last_sweep_ms=") != seen)
            return true;
    }
    return false;
}

/* Processor time of a sweep, in microseconds, the mean of some. */
static double cost_of_sweep(unsigned sweeps)
{
    double before;

    if (!await_sweep())
        return 0;
    before = ran_us();
    for (unsigned i = 0; i < sweeps; i++)
        if (!await_sweep())
            return 0;
    return (ran_us() - before) / sweeps;
}

static void rest(unsigned seconds)
{
    double before, began;

    sleep(20); /* what settles after the start is no rest */
    before = ran_us();
    began = now_us();
    sleep(seconds);
    printf("  at rest, sweep = auto, %u s                %8.3f %% of a core\n", seconds,
           (ran_us() - before) / (now_us() - began) * 100);
}

/* Rewrites `count` groups of as many guests at once, and waits until each is as it was. */
static void storm(const char *program, unsigned count)
{
    double found = metric(program, "virtpin_drift_total{kind=\"cpuset\"}");
    double repairs = metric(program, "virtpin_repairs_total"), began, wrote, ran;
    char was[64], text[64], path[320];
    unsigned left = count;

    snprintf(path, sizeof(path), "%s/vcpu0/cpuset.cpus", guests[0].root);
    get(path, was, sizeof(was));
    ran = ran_us();
    began = now_us();
    for (unsigned i = 0; i < count; i++) {
        snprintf(path, sizeof(path), "%s/vcpu%u/cpuset.cpus", guests[i % guest_count].root,
                 i / guest_count);
        if (!put(path, "0"))
            die(path);
    }
    wrote = now_us();
    for (left = count; left > 0 && now_us() - began < 60e6;) {
        unsigned i = count - left;

        snprintf(path, sizeof(path), "%s/vcpu%u/cpuset.cpus", guests[i % guest_count].root,
                 i / guest_count);
        get(path, text, sizeof(text));
        if (strcmp(text, was) == 0)
            left--;
        else
            usleep(500);
    }
    printf("  %u cpuset files rewritten in %.0f ms, all put back after %8.0f ms%s\n", count,
           (wrote - began) / 1e3, (now_us() - began) / 1e3, left ? " (NOT ALL)" : "");
    printf("    the enforcer's processor time for it    %8.0f ms\n", (ran_us() - ran) / 1e3);
    sleep(5);
    printf("    on record: %.0f found, %.0f repaired\n",
           metric(program, "virtpin_drift_total{kind=\"cpuset\"}") - found,
           metric(program, "virtpin_repairs_total") - repairs);
}

/* Somebody writes one file 1,000 times a second. */
static void fight(unsigned seconds)
{
    char path[320];
    double began, before = 0, counted = 0;
    unsigned writes = 0;
    int fd;

    snprintf(path, sizeof(path), "%s/vcpu1/cpuset.cpus", guests[0].root);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        die(path);
    began = now_us();
    while (now_us() - began < seconds * 1e6) {
        double ahead = began + writes * 1e3 - now_us();

        /* contested after five repairs: measured from the second second on */
        if (before == 0 && now_us() - began > 1e6) {
            before = ran_us();
            counted = now_us();
        }
        if (ahead > 0)
            usleep((unsigned)ahead);
        if (pwrite(fd, "0", 1, 0) != 1)
            die(path);
        writes++;
    }
    printf("  beside a writer of %.0f writes a second, contested, %u s  %8.3f %% of a core\n",
           writes / ((now_us() - began) / 1e6), seconds,
           (ran_us() - before) / (now_us() - counted) * 100);
    close(fd);
}

/* ---- sizes ---- */

/* Whether so many more threads leave others of the machine some room. */
static bool room_for(unsigned threads)
{
    char text[128];
    const char *slash;
    unsigned long most, now;

    get("/proc/sys/kernel/pid_max", text, sizeof(text));
    most = strtoul(text, NULL, 10);
    get("/proc/loadavg", text, sizeof(text)); /* ... RUNNING/ALL LAST */
    slash = strchr(text, '/');
    now = slash ? strtoul(slash + 1, NULL, 10) : 0;
    return preload || now + threads + 1500 <= most;
}

struct cost {
    unsigned threads;
    double quick, full, quick_floor, full_floor; /* microseconds a thread */
};

static bool measure(char **programs, struct cost *cost)
{
    double took;

    if (system("rm -rf /run/virtpin /run/state") != 0)
        return false;
    start_enforcer(programs[0], "2s", false);
    took = wait_for_all(programs[1]);
    if (took == 0)
        return false;
    sleep(14); /* memory of the start is given back with the fifth sweep */
    printf("%8u %8.1f s %8.1f MB %8.1f MB", guest_count * THREADS, took,
           status_kib("VmRSS:") / 1024, status_kib("VmHWM:") / 1024);
    *cost = (struct cost){.threads = guest_count * THREADS,
                          .quick_floor = floor_quick(SWEEPS),
                          .quick = cost_of_sweep(SWEEPS)};
    stop_enforcer();
    start_enforcer(programs[0], "3s", true);
    if (wait_for_all(programs[1]) == 0)
        return false;
    cost->full_floor = floor_full(3);
    sleep(4);
    cost->full = cost_of_sweep(3);
    stop_enforcer();
    printf(" %8.2f us %6.2f x %8.1f us %6.2f x\n", cost->quick / cost->threads,
           cost->quick / cost->quick_floor, cost->full / cost->threads,
           cost->full / cost->full_floor);
    return true;
}

static void sizes(char **programs, char **counts)
{
    struct cost first = {0}, last = {0};

    printf("enforcer, guests of %d threads that are %s\n", THREADS,
           preload ? "files" : "processes");
    printf("%8s %10s %11s %11s %11s %8s %11s %8s\n", "threads", "adopted", "resident", "peak",
           "quick", "floor", "in full", "floor");
    for (; *counts; counts++) {
        unsigned count = (unsigned)strtoul(*counts, NULL, 10);

        if (count <= guest_count || count > GUESTS_MOST) {
            printf("%8s not measured: 1 to %d, rising\n", *counts, GUESTS_MOST);
            continue;
        }
        if (!room_for((count - guest_count) * THREADS)) {
            printf("%8u not measured: kernel.pid_max leaves no room\n", count * THREADS);
            continue;
        }
        while (guest_count < count)
            preload ? make_up_guest() : add_guest();
        if (!measure(programs, &last))
            die("the enforcer");
        if (first.threads == 0)
            first = last;
    }
    if (first.threads < last.threads)
        printf("a thread of %u costs %.2f times one of %u in a quick sweep, %.2f times in full\n",
               last.threads, last.quick / last.threads / (first.quick / first.threads),
               first.threads, last.full / last.threads / (first.full / first.threads));
}

static unsigned argument(int argc, char **argv, int i, unsigned otherwise)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct vp_cgroups cgroups;
    bool many = argc > 4 && strcmp(argv[3], "sizes") == 0;
    bool made_up = argc > 5 && strcmp(argv[3], "madeup") == 0;
    unsigned count = argument(argc, argv, 3, 0), storms = argument(argc, argv, 4, 0);
    unsigned seconds = argument(argc, argv, 5, 0), resting = argument(argc, argv, 6, 0);
    double took, quick, full;

    if (many || made_up) {
        setvbuf(stdout, NULL, _IOLBF, 0);
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        make_host(&cgroups);
        if (made_up) {
            preload = argv[4];
            make_up_host();
        }
        sizes(argv + 1, argv + (made_up ? 5 : 4));
        tidy();
        return 0;
    }
    if (argc < 4 || count < 1 || count > GUESTS_MOST || storms > count * VCPUS) {
        fprintf(stderr, "usage: bench_scale VIRTPIND VIRTPIN GUESTS [STORM [FIGHT_SECONDS "
                        "[REST_SECONDS]]]\n");
        return 2;
    }
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    setvbuf(stdout, NULL, _IOLBF, 0);
    make_host(&cgroups);
    for (unsigned i = 0; i < count; i++)
        add_guest();
    printf("enforcer, %u guests, %u threads\n", count, count * THREADS);
    start_enforcer(argv[1], resting ? "auto" : "2s", false);
    took = wait_for_all(argv[2]);
    if (took == 0)
        die("the enforcer");
    printf("  all adopted after                         %8.1f s\n", took);
    sleep(14); /* memory of the start is given back with the fifth sweep */
    printf("  resident                                  %8.1f MB (peak %.1f MB)\n",
           status_kib("VmRSS:") / 1024, status_kib("VmHWM:") / 1024);
    if (resting)
        rest(resting);
    quick = floor_quick(SWEEPS);
    took = cost_of_sweep(SWEEPS);
    printf("  a sweep, a guest now and then in full     %8.1f ms  %5.2f x stat and "
           "sched_getaffinity (%.1f ms)\n",
           took / 1e3, took / quick, quick / 1e3);
    if (storms)
        storm(argv[2], storms);
    if (seconds)
        fight(seconds);
    stop_enforcer();
    start_enforcer(argv[1], "2s", true);
    if (wait_for_all(argv[2]) > 0) {
        full = floor_full(SWEEPS);
        sleep(4);
        took = cost_of_sweep(SWEEPS);
        printf("  a sweep, every guest in full              %8.1f ms  %5.2f x sched_getaffinity "
               "and pread (%.1f ms)\n",
               took / 1e3, took / full, full / 1e3);
    }
    tidy();
    return 0;
}
