/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The launcher against workers that do everything wrong. It is built with its
 * fixed paths ("launcher", the kept words, and "log", syslog's socket) in the
 * working directory: each test has one of its own, with a worker beside it. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "host/journal.h"
#include "tests/unit/scratch.h"

static char build[4096], dir[64];

struct outcome {
    int status; /* exit status, -signal */
    long ms;
    size_t out_length, err_length;
    char out[1 << 20], err[8192];
};
static struct outcome seen;

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void put(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void worker(const char *script)
{
    char text[2048];

    snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    put("virtpin-hook-worker", text, 0755);
}

static void copy_program(const char *from, const char *to)
{
    char command[8400];

    snprintf(command, sizeof(command), "cp %s %s", from, to);
    ck_assert_int_eq(system(command), 0);
}

static void setup(void)
{
    char path[4200];

    vp_scratch(dir, sizeof(dir), "virtpin-launcher");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chmod(dir, 0755), 0);
    ck_assert_int_eq(chdir(dir), 0);
    snprintf(path, sizeof(path), "%s/launcher", build);
    copy_program(path, "hook");
    put("launcher", "limit=1500\non-error=refuse\n", 0600);
}

static void teardown(void)
{
    char command[128];

    ck_assert_int_eq(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    ck_assert_int_eq(system(command), 0);
}

/* How the standard streams are given to the hook. */
struct streams {
    const char *in;   /* text, then its end */
    size_t in_length; /* 0: strlen(in) */
    bool endless;     /* it never ends */
    bool none;        /* all three closed */
    bool reader_gone; /* nobody reads stdout */
    uid_t uid;
};

static void child(char *const *argv, const struct streams *streams, const int *in, const int *out,
                  const int *err)
{
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    if (streams->none)
        for (int fd = 0; fd < 3; fd++)
            close(fd);
    if (streams->uid && setuid(streams->uid) < 0)
        _exit(126);
    execv(argv[0], argv);
    _exit(126);
}

/* Writes and reads all at once, as libvirt does; an end of both outputs is
 * waited for even when the hook has ended: who holds them holds libvirt. */
static void exchange(const struct streams *streams, int in, int out, int err)
{
    const char *text = streams->in ? streams->in : "";
    size_t left = streams->in_length ? streams->in_length : strlen(text);
    struct pollfd fds[] = {{in, POLLOUT, 0}, {out, POLLIN, 0}, {err, POLLIN, 0}};

    fcntl(in, F_SETFL, O_NONBLOCK);
    while (fds[1].fd >= 0 || fds[2].fd >= 0) {
        if (left == 0 && !streams->endless && fds[0].fd >= 0) {
            close(fds[0].fd);
            fds[0].fd = -1;
        }
        if (left == 0)
            fds[0].events = 0;
        ck_assert_int_gt(poll(fds, 3, 10000), 0);
        if (fds[0].fd >= 0 && (fds[0].revents & (POLLOUT | POLLERR))) {
            ssize_t done = write(fds[0].fd, text, left);

            if (done < 0 && errno == EPIPE) {
                close(fds[0].fd);
                fds[0].fd = -1;
            } else if (done > 0) {
                text += done;
                left -= (size_t)done;
            }
        }
        for (int i = 1; i < 3; i++) {
            char *to = i == 1 ? seen.out + seen.out_length : seen.err + seen.err_length;
            size_t room = i == 1 ? sizeof(seen.out) - 1 - seen.out_length
                                 : sizeof(seen.err) - 1 - seen.err_length;
            ssize_t got;

            if (fds[i].fd < 0 || fds[i].revents == 0)
                continue;
            got = read(fds[i].fd, to, room);
            if (got <= 0) {
                close(fds[i].fd);
                fds[i].fd = -1;
            } else if (i == 1) {
                seen.out_length += (size_t)got;
            } else {
                seen.err_length += (size_t)got;
            }
        }
    }
    if (fds[0].fd >= 0)
        close(fds[0].fd);
}

static void run_argv(char *const *argv, const struct streams *streams)
{
    int in[2], out[2], err[2], status;
    long began = now_ms();
    pid_t pid;

    memset(&seen, 0, sizeof(seen));
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (streams->reader_gone)
            close(out[0]);
        child(argv, streams, in, out, err);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    if (streams->reader_gone) {
        close(out[0]);
        out[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    exchange(streams, in[1], out[0], err[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    seen.ms = now_ms() - began;
    seen.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void run_with(const char *name, const char *operation, const struct streams *streams)
{
    char *const argv[] = {(char *)"./hook",
                          (char *)"--config",
                          (char *)"virtpin.conf",
                          (char *)name,
                          (char *)operation,
                          (char *)"begin",
                          (char *)"-",
                          NULL};

    run_argv(argv, streams);
}

static void run(const char *operation)
{
    run_with("g1", operation, &(struct streams){.in = "<domain/>"});
}

/* ---- what the worker may do ---- */

static const struct misdeed {
    const char *name, *script;
    const char *sentence; /* in stderr where it is refused */
    long least_ms, most_ms;
} misdeeds[] = {
    {"hangs", "exec sleep 30", "did not end within 150 ms", 140, 1400},
    {"ignores signals", "trap '' TERM INT HUP; while :; do sleep 0.05; done",
     "did not end within 150 ms", 140, 1400},
    {"leaves a child that holds its outputs, and hangs", "sleep 30 & sleep 30",
     "did not end within 150 ms", 140, 1400},
    {"crashes", "kill -SEGV $$", "ended by signal 11", 0, 1400},
    {"aborts", "kill -ABRT $$", "ended by signal 6", 0, 1400},
    {"cannot be loaded", "exit 127", "could not be executed", 0, 1400},
    {"fails", "echo 'virtpin: no ledger' >&2; echo noise; exit 3",
     "virtpin: no ledger (on-error = refuse)\n", 0, 1400},
    {"fails without a word", "exit 3", "virtpin: the hook's worker failed (on-error", 0, 1400},
    {"misuse", "exit 2", "the hook's worker failed", 0, 1400},
};
static const char *const asked[] = {"prepare", "started", "migrate", "restore"};
static const char *const quiet[] = {"reconnect", "stopped", "release"};

static void misdeed(const struct misdeed *deed, const char *verdict)
{
    char script[512];

    snprintf(script, sizeof(script), "printf 'limit=150\\non-error=%s\\n' >&3; %s", verdict,
             deed->script);
    worker(script);
    put("launcher", "limit=150\n", 0600);
}

START_TEST(failure_by_on_error)
{
    const struct misdeed *deed = &misdeeds[_i / 4];

    misdeed(deed, "refuse");
    run(asked[_i % 4]);
    ck_assert_msg(seen.status == 1, "%s: %d", deed->name, seen.status);
    ck_assert_msg(strstr(seen.err, deed->sentence), "%s: %s", deed->name, seen.err);
    ck_assert_ptr_null(strstr(seen.err, "virtpin: virtpin:"));
    ck_assert_uint_eq(seen.out_length, 0);
    ck_assert_msg(seen.ms >= deed->least_ms && seen.ms < deed->most_ms, "%ld ms", seen.ms);
    misdeed(deed, "allow");
    run(asked[_i % 4]);
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.out_length + seen.err_length, 0);
}
END_TEST

START_TEST(quiet_operations_always_good)
{
    misdeed(&misdeeds[_i / 3], "refuse");
    put("launcher", "limit=150\non-error=refuse\n", 0600);
    run(quiet[_i % 3]);
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.err_length, 0);
    ck_assert_int_lt(seen.ms, 1400);
}
END_TEST

START_TEST(a_child_that_outlives_the_worker_holds_nobody)
{
    worker("sleep 3 & exit 0");
    run("prepare");
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_lt(seen.ms, 1000);
}
END_TEST

START_TEST(what_the_worker_started_ends_with_it)
{
    char text[32] = "";
    int fd, child_pid;

    worker("sleep 30 & echo $! >child; wait");
    put("launcher", "limit=200\n", 0600);
    run("prepare");
    fd = open("child", O_RDONLY | O_CLOEXEC);
    ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
    close(fd);
    child_pid = atoi(text);
    for (int i = 0; i < 100 && kill(child_pid, 0) == 0; i++) {
        char path[64], state[256] = "";

        snprintf(path, sizeof(path), "/proc/%d/stat", child_pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read(fd, state, sizeof(state) - 1) <= 0 || strstr(state, ") Z "))
            child_pid = -1;
        close(fd);
        if (child_pid < 0)
            return;
        usleep(10000);
    }
    ck_assert_msg(kill(child_pid, 0) < 0, "the worker's child still runs");
}
END_TEST

START_TEST(missing_worker)
{
    run("started");
    ck_assert_int_eq(seen.status, 1);
    ck_assert_ptr_nonnull(strstr(seen.err, "could not be executed"));
    run("reconnect");
    ck_assert_int_eq(seen.status, 0);
    put("launcher", "on-error=allow\n", 0600);
    run("started");
    ck_assert_int_eq(seen.status, 0);
    unlink("launcher");
    run("started"); /* nobody ever said: allow */
    ck_assert_int_eq(seen.status, 0);
}
END_TEST

START_TEST(refused)
{
    worker("echo 'virtpin: guest g1: no room' >&2; echo noise; exit 1");
    run(asked[_i]);
    ck_assert_int_eq(seen.status, 1);
    ck_assert_str_eq(seen.err, "virtpin: guest g1: no room\n");
    ck_assert_uint_eq(seen.out_length, 0);
}
END_TEST

/* A worker may have more time than the launcher knew of, or less. */
START_TEST(limit_from_the_worker)
{
    put("launcher", "limit=200\n", 0600);
    worker("echo limit=1500 >&3; sleep 0.5; exit 0");
    run("prepare");
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_ge(seen.ms, 490);
    put("launcher", "limit=99999999999999999999999\n", 0600);
    worker("exit 0");
    run("prepare");
    ck_assert_int_eq(seen.status, 0);
    put("launcher", "limit=-5\non-error=refuse", 0600);
    run("prepare");
    ck_assert_int_eq(seen.status, 0);
}
END_TEST

/* ---- streams ---- */

START_TEST(whole_output)
{
    worker("head -c 400000 /dev/zero | tr '\\0' x");
    run("migrate");
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.out_length, 400000);
    ck_assert_uint_eq(strspn(seen.out, "x"), 400000);
}
END_TEST

START_TEST(input_reaches_the_worker)
{
    size_t length = 300000;
    char *text = malloc(length);

    memset(text, 'y', length);
    worker("cat");
    run_with("g1", "restore", &(struct streams){.in = text, .in_length = length});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.out_length, length);
    free(text);
}
END_TEST

START_TEST(endless_input)
{
    worker("touch ran");
    put("launcher", "limit=150\non-error=refuse\n", 0600);
    run_with("g1", "prepare", &(struct streams){.in = "<dom", .endless = true});
    ck_assert_int_eq(seen.status, 1);
    ck_assert_int_ge(seen.ms, 140);
    ck_assert_int_lt(seen.ms, 1400);
    ck_assert_ptr_nonnull(strstr(seen.err, "XML did not come whole"));
    ck_assert_int_lt(access("ran", F_OK), 0);
    run_with("g1", "reconnect", &(struct streams){.in = "<dom", .endless = true});
    ck_assert_int_eq(seen.status, 0);
}
END_TEST

START_TEST(huge_input)
{
    size_t length = (16u << 20) + 1;
    char *text = calloc(1, length);

    worker("exit 0");
    run_with("g1", "prepare", &(struct streams){.in = text, .in_length = length});
    ck_assert_int_eq(seen.status, 1);
    ck_assert_ptr_nonnull(strstr(seen.err, "16 MiB"));
    run_with("g1", "prepare", &(struct streams){.in = text, .in_length = length - 1});
    ck_assert_int_eq(seen.status, 0);
    free(text);
}
END_TEST

START_TEST(no_streams)
{
    /* its own descriptors must not take the place of those that are missing */
    worker("[ -e /proc/self/fd/0 ] && [ -e /proc/self/fd/3 ] && echo limit=500 >&3 && touch good");
    run_with("g1", "prepare", &(struct streams){.none = true});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_eq(access("good", F_OK), 0);
}
END_TEST

START_TEST(reader_gone)
{
    worker("head -c 400000 /dev/zero");
    run_with("g1", "migrate", &(struct streams){.in = "x", .reader_gone = true});
    ck_assert_int_eq(seen.status, 0);
}
END_TEST

/* The log's reader stands still and its queue is full. */
START_TEST(log_that_blocks)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "log"};
    int log = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int filler = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char text[4096];
    ssize_t got;

    ck_assert_int_eq(bind(log, (struct sockaddr *)&address, sizeof(address)), 0);
    worker("exit 3");
    run("prepare");
    got = recv(log, text, sizeof(text) - 1, MSG_DONTWAIT);
    ck_assert_int_gt(got, 0);
    text[got] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "guest g1, prepare: the hook's worker failed; on-error"));
    while (sendto(filler, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1)
        continue;
    run("prepare");
    ck_assert_int_eq(seen.status, 1);
    ck_assert_int_lt(seen.ms, 1000);
    close(log);
    close(filler);
}
END_TEST

/* The journal gets the record with its kind and fields, and syslog none. */
START_TEST(log_to_the_journal)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "journal"};
    int log = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[4096];
    ssize_t got;

    ck_assert_int_eq(bind(log, (struct sockaddr *)&address, sizeof(address)), 0);
    worker("exit 3");
    run("prepare");
    got = recv(log, text, sizeof(text) - 1, MSG_DONTWAIT);
    ck_assert_int_gt(got, 0);
    text[got] = '\0';
    ck_assert_ptr_nonnull(strstr(text, "MESSAGE=guest g1, prepare: the hook's worker failed; on-"));
    ck_assert_ptr_nonnull(strstr(text, "\nPRIORITY=3\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nMESSAGE_ID=" VP_MSG_HOOK_ERROR "\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nVIRTPIN_GUEST=g1\nVIRTPIN_OPERATION=prepare\n"));
    close(log);
    unlink("journal");
}
END_TEST

/* ---- runs are counted ---- */

static const struct {
    const char *script, *operation, *result; /* result NULL: it is not counted */
} counted[] = {
    {"echo run-dir=$PWD >&3; exit 0", "prepare", "ok"},
    {"echo run-dir=$PWD >&3; exit 1", "prepare", "refused"},
    {"echo run-dir=$PWD >&3; exit 3", "started", "failed"},
    {"echo run-dir=$PWD >&3; kill -9 $$", "stopped", "failed"},
    {"echo run-dir=$PWD >&3; exec sleep 5", "restore", "failed"},
    {"exit 0", "prepare", NULL},
    {"echo run-dir= >&3; exit 0", "prepare", NULL},
    {"echo run-dir=relative >&3; exit 0", "prepare", NULL},
    {"echo run-dir=/nowhere >&3; exit 0", "prepare", NULL},
};

START_TEST(runs_are_counted)
{
    char got[256] = "", operation[16], result[16];
    long us = -1;
    FILE *file;

    /* the run-dir that others kept is none of a run's with a configuration of its own */
    snprintf(got, sizeof(got), "limit=1500\nrun-dir=%s\n", dir);
    put("launcher", got, 0600);
    worker(counted[_i].script);
    run(counted[_i].operation);
    file = fopen("hook-runs", "re");
    if (!counted[_i].result) {
        ck_assert_ptr_null(file);
        return;
    }
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(got, sizeof(got), file));
    fclose(file);
    ck_assert_msg(sscanf(got, "%15s %ld %15s\n", operation, &us, result) == 3, "%s", got);
    ck_assert_str_eq(operation, counted[_i].operation);
    ck_assert_str_eq(result, counted[_i].result);
    ck_assert_int_ge(us, 100);
    ck_assert_int_lt(us, 5000000);
}
END_TEST

/* Nobody reads it: it does not grow for ever. And nobody waits for a FIFO. */
START_TEST(counting_ends)
{
    struct stat st;

    put("launcher", "limit=1500\n", 0600);
    worker("echo run-dir=$PWD >&3; exit 0");
    put("hook-runs", "", 0600);
    ck_assert_int_eq(truncate("hook-runs", 1 << 20), 0);
    run("prepare");
    ck_assert_int_eq(stat("hook-runs", &st), 0);
    ck_assert_int_eq(st.st_size, 1 << 20);
    ck_assert_int_eq(unlink("hook-runs"), 0);
    ck_assert_int_eq(mkfifo("hook-runs", 0600), 0);
    run("prepare");
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_lt(seen.ms, 1000);
}
END_TEST

/* ---- when nothing happens ---- */

START_TEST(unknown_operations)
{
    static const char *const names[] = {"start", "attach", "newer", "", "PREPARE", "-"};

    worker("touch ran; echo noise; exit 1");
    run(names[_i]);
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.out_length + seen.err_length, 0);
    ck_assert_int_lt(access("ran", F_OK), 0);
}
END_TEST

START_TEST(ordinary_user)
{
    if (geteuid() != 0)
        return;
    worker("touch ran; exit 1");
    run_with("g1", "prepare", &(struct streams){.in = "x", .uid = 65534});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_uint_eq(seen.out_length + seen.err_length, 0);
}
END_TEST

static const struct off_case {
    const char *text;
    bool off;
} off_cases[] = {
    {"until=\nwork on the rack\n", true},
    {"until=99999999999\n", true},
    {"until=1\n", false},
    {"until=1", false},
    {"until=1x\n", true},
    {"until=-1\n", true},
    {"until= 1\n", true},
    {"until=99999999999999999999999\n", true},
    {"", true},
    {"noise", true},
    {"Until=1\n", true},
};

START_TEST(off_switch)
{
    const struct off_case *c = &off_cases[_i];

    worker("echo ran");
    put("disabled", c->text, 0600);
    run("migrate");
    ck_assert_int_eq(seen.status, 0);
    ck_assert_msg((seen.out_length == 0) == c->off, "\"%s\"", c->text);
}
END_TEST

START_TEST(off_switch_of_odd_kinds)
{
    worker("echo ran");
    ck_assert_int_eq(mkfifo("disabled", 0600), 0);
    run("migrate");
    ck_assert_uint_eq(seen.out_length, 0);
    ck_assert_int_lt(seen.ms, 1000);
    ck_assert_int_eq(unlink("disabled"), 0);
    ck_assert_int_eq(mkdir("disabled", 0755), 0);
    run("migrate");
    ck_assert_uint_eq(seen.out_length, 0);
    ck_assert_int_eq(rmdir("disabled"), 0);
    run("migrate");
    ck_assert_str_eq(seen.out, "ran\n");
}
END_TEST

/* ---- words ---- */

static const char *const names[] = {
    "--help", "--config", "--topology", "--daemon=1", "--", "-", "a b", "\xc3\xbc;$(x)'\"", "%s%n",
};

START_TEST(guests_named_like_options)
{
    char *argv[] = {(char *)"./hook", (char *)names[_i], NULL, (char *)"begin", (char *)"-", NULL};

    worker("for a; do printf '[%s]' \"$a\"; done; exit 0");
    argv[2] = (char *)"migrate";
    run_argv(argv, &(struct streams){.in = "x"});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_eq(strncmp(seen.out, "[--daemon=", 10), 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "][--]["));
    ck_assert_msg(strncmp(strstr(seen.out, "][--][") + 6, names[_i], strlen(names[_i])) == 0, "%s",
                  seen.out);
    worker("touch ran; exit 1");
    argv[2] = (char *)"reconnect";
    run_argv(argv, &(struct streams){.in = "x"});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_int_eq(access("ran", F_OK), 0);
}
END_TEST

START_TEST(wrong_options)
{
    char *argv[] = {(char *)"./hook", (char *)"--confg", (char *)"x", (char *)"g", NULL,
                    (char *)"begin",  (char *)"-",       NULL};

    for (size_t i = 0; i < 3; i++) {
        argv[4] = (char *)quiet[i];
        run_argv(argv, &(struct streams){.in = "x"});
        ck_assert_int_eq(seen.status, 0);
    }
    argv[4] = (char *)"prepare";
    run_argv(argv, &(struct streams){.in = "x"});
    ck_assert_int_eq(seen.status, 1);
    ck_assert_ptr_nonnull(strstr(seen.err, "options"));
}
END_TEST

START_TEST(usage)
{
    char *help[] = {(char *)"./hook", (char *)"--help", NULL};
    char *few[] = {(char *)"./hook", (char *)"g", (char *)"prepare", NULL};

    run_argv(help, &(struct streams){0});
    ck_assert_int_eq(seen.status, 0);
    ck_assert_ptr_nonnull(strstr(seen.out, "usage: virtpin-hook"));
    run_argv(few, &(struct streams){0});
    ck_assert_int_eq(seen.status, 2);
    ck_assert_ptr_nonnull(strstr(seen.err, "usage: virtpin-hook"));
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("launcher");
    TCase *tests = tcase_create("worker");
    const int deeds = sizeof(misdeeds) / sizeof(*misdeeds);

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, failure_by_on_error, 0, deeds * 4);
    tcase_add_loop_test(tests, quiet_operations_always_good, 0, deeds * 3);
    tcase_add_test(tests, a_child_that_outlives_the_worker_holds_nobody);
    tcase_add_test(tests, what_the_worker_started_ends_with_it);
    tcase_add_test(tests, missing_worker);
    tcase_add_loop_test(tests, refused, 0, 4);
    tcase_add_test(tests, limit_from_the_worker);
    suite_add_tcase(suite, tests);

    tests = tcase_create("streams and words");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, whole_output);
    tcase_add_test(tests, input_reaches_the_worker);
    tcase_add_test(tests, endless_input);
    tcase_add_test(tests, huge_input);
    tcase_add_test(tests, no_streams);
    tcase_add_test(tests, reader_gone);
    tcase_add_test(tests, log_that_blocks);
    tcase_add_test(tests, log_to_the_journal);
    tcase_add_loop_test(tests, runs_are_counted, 0, sizeof(counted) / sizeof(counted[0]));
    tcase_add_test(tests, counting_ends);
    tcase_add_loop_test(tests, unknown_operations, 0, 6);
    tcase_add_test(tests, ordinary_user);
    tcase_add_loop_test(tests, off_switch, 0, sizeof(off_cases) / sizeof(*off_cases));
    tcase_add_test(tests, off_switch_of_odd_kinds);
    tcase_add_loop_test(tests, guests_named_like_options, 0, sizeof(names) / sizeof(*names));
    tcase_add_test(tests, wrong_options);
    tcase_add_test(tests, usage);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(void)
{
    ssize_t length = readlink("/proc/self/exe", build, sizeof(build) - 1);
    SRunner *runner;
    int failed;

    if (length <= 0)
        return 2;
    build[length] = '\0';
    *strrchr(build, '/') = '\0';
    if (geteuid() != 0) {
        puts("skip launcher: the hook does nothing for ordinary users");
        return 0;
    }
    runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
