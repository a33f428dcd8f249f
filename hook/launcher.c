/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtpin-hook: what libvirt executes. Static, without libraries, so that no
 * missing library, no crash and no hang of the worker behind it can end a
 * guest: libvirt kills a running guest when its hook fails in `reconnect`, and
 * has no time limit for hooks (libvirt 9.0.0 to 11.3.0, src/util/virhook.c).
 *
 * The worker gets memory files as stdin, stdout and stderr: libvirt reads its
 * pipes to their end, so nothing that may hang must ever hold one of them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hook/launchlog.h"
#include "hook/protocol.h"

#define INPUT_MAX (16u << 20)
#define LIMIT_MS 2000 /* [host] hook-limit as long as nobody said otherwise */
#define LIMIT_MOST_MS 3600000
#define ARGUMENTS_MAX 32
#define WORKER "virtpin-hook-worker"

enum kind {
    KIND_IGNORE, /* nothing of ours happens in this operation */
    KIND_QUIET,  /* the worker runs, its result does not matter */
    KIND_ASKED,  /* the worker's answer is libvirt's */
};

struct launch {
    const char *operation;
    bool asked;                    /* the operation is of KIND_ASKED */
    const char *result;            /* "ok", "refused", "failed" */
    char run_dir[VP_RUN_DIR_MOST]; /* "": not known */
    bool refuse;                   /* on-error */
    long limit_ms;
    int in, out, err, control; /* memory files */
};

static long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long now_ms(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static enum kind kind_of(const char *operation)
{
    static const char *const quiet[] = {"stopped", "release", "reconnect"};
    static const char *const asked[] = {"prepare", "started", "migrate", "restore"};

    for (size_t i = 0; i < sizeof(quiet) / sizeof(*quiet); i++)
        if (strcmp(operation, quiet[i]) == 0)
            return KIND_QUIET;
    for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++)
        if (strcmp(operation, asked[i]) == 0)
            return KIND_ASKED;
    return KIND_IGNORE;
}

/* A small file's text, cut at the end; false if it cannot be read. A FIFO in
 * its place must not hold us. */
static bool read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t length;

    if (fd < 0)
        return false;
    length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length >= 0;
}

/* The off switch, as vp_conf_disabled reads it: whatever is odd counts as "off". */
static bool disabled(const char *config)
{
    char path[4096], text[512];
    const char *slash = strrchr(config, '/');
    int dir = slash ? (int)(slash - config + 1) : 0;
    long long until;
    char *end;

    if ((size_t)snprintf(path, sizeof(path), "%.*sdisabled", dir, config) >= sizeof(path))
        return false;
    if (!read_small(path, text, sizeof(text)))
        return access(path, F_OK) == 0;
    if (strncmp(text, "until=", 6) != 0 || text[6] < '0' || text[6] > '9')
        return true;
    errno = 0;
    until = strtoll(text + 6, &end, 10);
    if (errno != 0 || (*end != '\n' && *end != '\0'))
        return true;
    return now_ms(CLOCK_REALTIME) / 1000 < until;
}

/* "limit=MS" and "on-error=refuse|allow" lines, from the worker or from an
 * earlier one. */
static void take_words(struct launch *launch, const char *text)
{
    const char *word = strstr(text, "limit=");
    long limit = word ? strtol(word + 6, NULL, 10) : 0;

    if (limit > 0)
        launch->limit_ms = limit < LIMIT_MOST_MS ? limit : LIMIT_MOST_MS;
    if (strstr(text, "on-error=refuse"))
        launch->refuse = true;
    else if (strstr(text, "on-error=allow"))
        launch->refuse = false;
    word = strstr(text, "run-dir=/");
    if (word)
        snprintf(launch->run_dir, sizeof(launch->run_dir), "%.*s", (int)strcspn(word + 8, "\n"),
                 word + 8);
}

static void take_control(struct launch *launch)
{
    char text[VP_RUN_DIR_MOST + 256];
    ssize_t length = pread(launch->control, text, sizeof(text) - 1, 0);

    if (length > 0) {
        text[length] = '\0';
        take_words(launch, text);
    }
}

/* virtpin itself failed: by on-error, said where the operator will look. */
static int failed(struct launch *launch, const char *guest, const char *why)
{
    char text[1600];
    int length;

    take_control(launch);
    launch->result = "failed";
    length =
        snprintf(text, sizeof(text), "guest %.250s, %.32s: %.1000s", guest, launch->operation, why);
    if (launch->asked)
        snprintf(text + length, sizeof(text) - (size_t)length, "; on-error = %s",
                 launch->refuse ? "refuse" : "allow");
    vp_launch_log(guest, launch->operation, text);
    if (!launch->asked || !launch->refuse)
        return 0;
    dprintf(STDERR_FILENO, "virtpin: %s (on-error = refuse)\n", why);
    return 1;
}

/* All of libvirt's XML into the memory file, within the limit. */
static bool read_input(const struct launch *launch, long deadline)
{
    char buffer[65536];
    size_t total = 0;

    for (;;) {
        struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
        long left = deadline - now_ms(CLOCK_MONOTONIC);
        ssize_t length;

        if (left <= 0 || poll(&wait, 1, (int)left) <= 0)
            return false;
        length = read(STDIN_FILENO, buffer, sizeof(buffer));
        if (length == 0)
            break;
        if (length < 0 || (total += (size_t)length) > INPUT_MAX ||
            write(launch->in, buffer, (size_t)length) != length)
            return false;
    }
    return lseek(launch->in, 0, SEEK_SET) == 0;
}

static void copy_out(int from, int to)
{
    char buffer[65536];
    off_t at = 0;
    ssize_t length;

    while ((length = pread(from, buffer, sizeof(buffer), at)) > 0) {
        ssize_t done = write(to, buffer, (size_t)length);

        if (done <= 0)
            return;
        at += done;
    }
}

/* Beside this program, as in a build directory, else where it was installed. */
static void exec_worker(char **argv)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - sizeof(WORKER) - 1);
    char *slash;
    char *const env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LC_ALL=C", NULL};

    if (length > 0) {
        self[length] = '\0';
        slash = strrchr(self, '/');
        if (slash) {
            strcpy(slash + 1, WORKER);
            argv[0] = self;
            execve(self, argv, env);
        }
    }
    argv[0] = (char *)(VP_LIBEXECDIR "/" WORKER);
    execve(argv[0], argv, env);
    _exit(127);
}

/* In the child: nothing of libvirt's stays open, and it dies with us. */
static void become_worker(const struct launch *launch, char **argv, pid_t launcher)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launcher)
        _exit(127);
    setpgid(0, 0);
    if (dup2(launch->in, STDIN_FILENO) < 0 || dup2(launch->out, STDOUT_FILENO) < 0 ||
        dup2(launch->err, STDERR_FILENO) < 0 || dup2(launch->control, VP_CONTROL_FD) < 0)
        _exit(127);
    syscall(SYS_close_range, VP_CONTROL_FD + 1, ~0U, 0);
    exec_worker(argv);
}

/* The worker's wait status, -1 if it was still there at the deadline. The
 * limit may rise while it runs: the worker says so when it has read it. */
static int await(struct launch *launch, pid_t worker, long began)
{
    int pidfd = (int)syscall(SYS_pidfd_open, worker, 0);
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int status;

    for (;;) {
        long left = began + launch->limit_ms - now_ms(CLOCK_MONOTONIC);
        long before = launch->limit_ms;

        /* no pidfd (before Linux 5.3): look every two milliseconds */
        if (left > 0)
            poll(&wait, pidfd >= 0 ? 1 : 0, pidfd >= 0 ? (int)left : 2);
        if (waitpid(worker, &status, WNOHANG) == worker)
            return status;
        if (left > 0)
            continue;
        take_control(launch);
        if (launch->limit_ms <= before)
            break;
    }
    kill(-worker, SIGKILL); /* and what it may have started */
    kill(worker, SIGKILL);
    /* a process that the kernel holds is not waited for */
    poll(&wait, pidfd >= 0 ? 1 : 0, 50);
    waitpid(worker, &status, WNOHANG);
    return -1;
}

static int answer(struct launch *launch, const char *guest, int status)
{
    static const char prefix[] = "virtpin: ";
    char text[1100];
    char *why = text;

    if (status == -1) {
        snprintf(text, sizeof(text), "the hook's worker did not end within %ld ms and was ended",
                 launch->limit_ms);
        return failed(launch, guest, text);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        copy_out(launch->out, STDOUT_FILENO);
        return 0;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == VP_WORKER_REFUSED) {
        copy_out(launch->err, STDERR_FILENO);
        launch->result = "refused";
        return 1;
    }
    if (WIFSIGNALED(status))
        snprintf(text, sizeof(text), "the hook's worker was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == 127)
        snprintf(text, sizeof(text), "the hook's worker could not be executed");
    else {
        ssize_t length = pread(launch->err, text, sizeof(text) - 1, 0);

        text[length > 0 ? length : 0] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
            why += sizeof(prefix) - 1;
    }
    return failed(launch, guest, why[0] != '\0' ? why : "the hook's worker failed");
}

/* Options first, then libvirt's four words, whatever they look like. */
static void child_arguments(int argc, char **argv, int first, char *daemon, char **child)
{
    int count = 1;

    child[count++] = daemon;
    for (int i = 1; i < first; i++)
        child[count++] = argv[i];
    child[count++] = (char *)"--";
    for (int i = first; i < argc; i++)
        child[count++] = argv[i];
    child[count] = NULL;
}

static int launch(struct launch *launch, int argc, char **argv, int first)
{
    char *child[ARGUMENTS_MAX + 4] = {NULL};
    char daemon[32];
    long began = now_ms(CLOCK_MONOTONIC);
    pid_t launcher = getpid(), worker;

    snprintf(daemon, sizeof(daemon), "--daemon=%d", (int)getppid());
    child_arguments(argc, argv, first, daemon, child);
    launch->in = memfd_create("virtpin-in", MFD_CLOEXEC);
    launch->out = memfd_create("virtpin-out", MFD_CLOEXEC);
    launch->err = memfd_create("virtpin-err", MFD_CLOEXEC);
    launch->control = memfd_create("virtpin-control", MFD_CLOEXEC);
    if (launch->in < 0 || launch->out < 0 || launch->err < 0 || launch->control < 0)
        return failed(launch, argv[first], "no memory files to be had");
    if (!read_input(launch, began + launch->limit_ms))
        return failed(launch, argv[first],
                      "libvirt's XML did not come whole, in time or is above 16 MiB");
    worker = fork();
    if (worker < 0)
        return failed(launch, argv[first], "no process to be had");
    if (worker == 0)
        become_worker(launch, child, launcher);
    return answer(launch, argv[first], await(launch, worker, began));
}

/* One short line at the end of a file needs neither lock nor waiting. Nothing
 * depends on it. */
static void count_run(struct launch *launch, long began_us)
{
    char path[VP_RUN_DIR_MOST + 16], line[64];
    struct stat st;
    int fd, length;

    take_control(launch);
    snprintf(path, sizeof(path), "%s/" VP_RUNS_FILE, launch->run_dir);
    if (launch->run_dir[0] == '\0')
        return;
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return;
    length = snprintf(line, sizeof(line), "%.12s %ld %s\n", launch->operation, now_us() - began_us,
                      launch->result);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < VP_RUNS_MOST &&
        write(fd, line, (size_t)length) != length)
        line[0] = '\0'; /* no room: this run is not counted */
    close(fd);
}

static int usage(int out, int status)
{
    dprintf(out, "usage: virtpin-hook [--config FILE] [--policy-dir DIR] [--topology X]\n"
                 "                    NAME OPERATION SUBOPERATION EXTRA\n"
                 "libvirt's qemu hook (see virtpin-hook(8)); the domain's XML is read from "
                 "stdin.\n");
    return status;
}

/* --config into *config; false: not an option of ours, or half of one. */
static bool options_good(int first, char **argv, const char **config)
{
    if (first % 2 != 1 || first > ARGUMENTS_MAX - 4)
        return false;
    for (int i = 1; i < first; i += 2) {
        if (strcmp(argv[i], "--config") == 0)
            *config = argv[i + 1];
        else if (strcmp(argv[i], "--topology") != 0 && strcmp(argv[i], "--policy-dir") != 0)
            return false;
    }
    return true;
}

/* A descriptor that is missing would be taken by a memory file. */
static void open_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
    struct launch self = {.limit_ms = LIMIT_MS, .control = -1, .result = "ok"};
    long began_us = now_us();
    const char *config = VP_SYSCONFDIR "/virtpin/virtpin.conf";
    int first = argc - 4; /* libvirt's words are always four; guests may be named like options */
    char words[VP_RUN_DIR_MOST + 256];
    enum kind kind;
    int result;

    /* session daemons run the same hook as an ordinary user */
    if (geteuid() != 0)
        return 0;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(STDOUT_FILENO, 0);
    if (first < 1)
        return usage(STDERR_FILENO, 2);
    open_standard_streams();
    self.operation = argv[first + 1];
    kind = kind_of(self.operation);
    if (kind == KIND_IGNORE)
        return 0;
    self.asked = kind == KIND_ASKED;
    /* a limit on file sizes counts for memory files too */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (read_small(VP_LAUNCHER_FILE, words, sizeof(words)))
        take_words(&self, words);
    if (first > 1)
        self.run_dir[0] = '\0'; /* the kept words are of the usual configuration */
    if (!options_good(first, argv, &config))
        result = failed(&self, argv[first], "its options are not those that virtpin-hook has");
    else if (disabled(config))
        return 0;
    else
        result = launch(&self, argc, argv, first);
    count_run(&self, began_us);
    return self.asked ? result : 0;
}
