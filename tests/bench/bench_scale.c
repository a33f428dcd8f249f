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
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "tests/bench/madeup/host.h"

#define THREADS 16 /* emulator, 13 vCPUs, an I/O thread, a worker */
#define VCPUS 13
#define GROUPS (VCPUS + 2)
#define SWEEPS 6 /* that are measured */
#define SWEEP_US 2000000
#define FILES (THREADS + 2 * GROUPS) /* that a full look of a guest reads */
#define GUESTS_MOST 8000

static struct guest {
    pid_t pid, tid[THREADS];
    char root[200];
} guests[GUESTS_MOST];
static unsigned guest_count;
static char base[160];
static pid_t enforcer;
static const char *preload;        /* of guests that are files; NULL: they are processes */
static const char *proc = "/proc"; /* the real one */
static char base_cpus[256], base_mems[256];
static size_t mount_length; /* of the hierarchy's mount, in base */

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* What this process has used: the machine may have other work. */
static double used_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return done == (ssize_t)strlen(text);
}

static void get(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
}

/* ---- tidying ---- */

static void remove_groups(const char *dir)
{
    DIR *list = opendir(dir);
    struct dirent *entry;

    while (list && (entry = readdir(list))) {
        char path[512];

        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%.250s/%.250s", dir, entry->d_name);
        remove_groups(path);
    }
    if (list)
        closedir(list);
    for (int i = 0; i < 400 && rmdir(dir) < 0 && errno == EBUSY; i++)
        usleep(5000);
}

static void stop_enforcer(void)
{
    if (enforcer > 0) {
        kill(enforcer, SIGKILL);
        waitpid(enforcer, NULL, 0);
    }
    enforcer = 0;
}

static void tidy(void)
{
    stop_enforcer();
    for (unsigned i = 0; i < guest_count && !preload; i++)
        kill(guests[i].pid, SIGKILL);
    for (unsigned i = 0; i < guest_count && !preload; i++)
        waitpid(guests[i].pid, NULL, 0);
    guest_count = 0;
    if (base[0] && preload)
        umount2(base, MNT_DETACH);
    if (base[0])
        remove_groups(base);
    base[0] = '\0';
}

static void die(const char *what)
{
    fprintf(stderr, "bench_scale: %s: %s\n", what, strerror(errno));
    tidy();
    exit(3);
}

static void on_signal(int number)
{
    (void)number;
    tidy();
    _exit(3);
}

/* ---- stand-ins ---- */

/* What a thread says of itself, in whatever order. */
struct said {
    unsigned number;
    pid_t tid;
};

static struct start {
    char name[16];
    int out;
    unsigned number;
} starts[THREADS];

static void *stand_in_thread(void *data)
{
    const struct start *start = data;
    struct said said = {start->number, (pid_t)syscall(SYS_gettid)};

    prctl(PR_SET_NAME, start->name);
    if (write(start->out, &said, sizeof(said)) != sizeof(said))
        _exit(1);
    for (;;)
        pause();
    return NULL;
}

static void comm_of(unsigned i, char *comm, size_t size)
{
    if (i <= VCPUS)
        snprintf(comm, size, "CPU %u/KVM", i - 1);
    else
        snprintf(comm, size, i == VCPUS + 1 ? "IO iothread1" : "worker");
}

static void stand_in(int out, pid_t parent)
{
    pthread_attr_t attr;
    pthread_t thread;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 16384);
    for (unsigned i = 1; i < THREADS; i++) {
        comm_of(i, starts[i].name, sizeof(starts[i].name));
        starts[i].out = out;
        starts[i].number = i;
        if (pthread_create(&thread, &attr, stand_in_thread, &starts[i]) != 0)
            _exit(1);
    }
    for (;;)
        pause();
}

static void make_group(const char *above, const char *dir)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    char path[320], text[256];

    if (mkdir(dir, 0755) < 0)
        die(dir);
    /* Else a v1 kernel looks at every group of the host at each write of any: 35 ms with 15,000. */
    snprintf(path, sizeof(path), "%s/cpuset.sched_load_balance", dir);
    put(path, "0");
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", above, files[i]);
        get(path, text, sizeof(text));
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        if (!put(path, text))
            die(path);
    }
}

/* The group of the guest's thread i; the worker is in the emulator's. */
static char *group_of(const struct guest *guest, unsigned i, char *dir, size_t size)
{
    if (i == 0 || i == THREADS - 1)
        snprintf(dir, size, "%s/emulator", guest->root);
    else if (i <= VCPUS)
        snprintf(dir, size, "%s/vcpu%u", guest->root, i - 1);
    else
        snprintf(dir, size, "%s/iothread1", guest->root);
    return dir;
}

static void put_threads(const struct guest *guest)
{
    for (unsigned i = 0; i < THREADS; i++) {
        char dir[256], path[300], tid[16];

        group_of(guest, i, dir, sizeof(dir));
        if (i < THREADS - 1)
            make_group(guest->root, dir);
        snprintf(path, sizeof(path), "%s/tasks", dir);
        snprintf(tid, sizeof(tid), "%d", guest->tid[i]);
        if (!put(path, tid))
            die(path);
    }
}

static void write_status(const struct guest *guest, unsigned number)
{
    char path[96];
    FILE *file;

    snprintf(path, sizeof(path), "/run/libvirt/qemu/g%u.xml", number);
    file = fopen(path, "we");
    if (!file)
        die(path);
    fprintf(file, "<domstatus state='running' reason='booted' pid='%d'>\n  <vcpus>\n", guest->pid);
    for (unsigned i = 0; i < VCPUS; i++)
        fprintf(file, "    <vcpu id='%u' pid='%d'/>\n", i, guest->tid[i + 1]);
    fprintf(
        file,
        "  </vcpus>\n  <domain type='kvm' id='%u'>\n    <name>g%u</name>\n"
        "    <uuid>00000000-0000-4000-8000-%012u</uuid>\n    <memory unit='KiB'>65536</memory>\n"
        "    <vcpu>%d</vcpu>\n    <iothreads>1</iothreads>\n"
        "    <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
        "    <resource><partition>/machine</partition></resource>\n  </domain>\n</domstatus>\n",
        number + 1, number, number, VCPUS);
    fclose(file);
}

/* A guest that is files. */
static void make_up_guest(void)
{
    struct guest *guest = &guests[guest_count];
    char dir[320], comm[32], tasks[64];

    for (unsigned i = 0; i < THREADS; i++)
        guest->tid[i] = MADEUP_FIRST_ID + (pid_t)(guest_count * THREADS + i);
    guest->pid = guest->tid[0];
    guest_count++;
    snprintf(guest->root, sizeof(guest->root), "%s/qemu-%u-g%u.libvirt-qemu", base, guest_count,
             guest_count - 1);
    snprintf(tasks, sizeof(tasks), "%d\n%d\n", guest->tid[0], guest->tid[THREADS - 1]);
    if (!madeup_process(guest->pid) || !madeup_group(base, guest->root, base_cpus, base_mems, NULL))
        die("a made-up guest");
    for (unsigned i = 0; i < THREADS; i++) {
        group_of(guest, i, dir, sizeof(dir));
        comm_of(i, comm, sizeof(comm));
        if (i < THREADS - 1 &&
            !madeup_group(base, dir, base_cpus, base_mems, i == 0 ? tasks : NULL))
            die(dir);
        if (!madeup_thread(guest->pid, guest->tid[i], i == 0 ? "qemu" : comm, dir + mount_length))
            die("a made-up thread");
    }
    write_status(guest, guest_count - 1);
}

static void add_guest(void)
{
    struct guest *guest = &guests[guest_count];
    pid_t parent = getpid();
    struct said said;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        die("pipe");
    guest->pid = fork();
    if (guest->pid < 0)
        die("fork");
    if (guest->pid == 0)
        stand_in(ends[1], parent);
    close(ends[1]);
    guest_count++;
    guest->tid[0] = guest->pid;
    for (unsigned i = 1; i < THREADS; i++) {
        /* a thread has its name before it tells its id */
        if (read(ends[0], &said, sizeof(said)) != sizeof(said) || said.number >= THREADS)
            die("a stand-in");
        guest->tid[said.number] = said.tid;
    }
    close(ends[0]);
    snprintf(guest->root, sizeof(guest->root), "%s/qemu-%u-g%u.libvirt-qemu", base, guest_count,
             guest_count - 1);
    make_group(base, guest->root);
    put_threads(guest);
    write_status(guest, guest_count - 1);
}

/* ---- the host ---- */

static void make_host(struct vp_cgroups *cgroups)
{
    char own[120];

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/run", "tmpfs", 0, "mode=755") < 0)
        die("a mount namespace");
    mkdir("/run/libvirt", 0755);
    mkdir("/run/libvirt/qemu", 0755);
    mkdir("/run/policy.d", 0755);
    if (!put("/run/policy.d/all.conf", "[policy all]\nmatch-name = *\nmode = enforce\n"
                                       "placement = shared\n") ||
        vp_cgroups_find("/sys/fs/cgroup", NULL, cgroups, NULL) < 0 ||
        cgroups->version != VP_CGROUP_V1 ||
        vp_cgroup_of(cgroups, getpid(), 0, own, sizeof(own), NULL) < 0)
        die("a cgroup v1 cpuset hierarchy");
    snprintf(base, sizeof(base), "%s/vpbench-%d", own, getpid());
    make_group(own, base);
    mount_length = strlen(cgroups->mount);
}

/* Over the group that was made: whatever asks for its path finds files. */
static void make_up_host(void)
{
    char path[320];

    snprintf(path, sizeof(path), "%s/cpuset.cpus", base);
    get(path, base_cpus, sizeof(base_cpus));
    snprintf(path, sizeof(path), "%s/cpuset.mems", base);
    get(path, base_mems, sizeof(base_mems));
    if (mount("tmpfs", base, "tmpfs", 0, "mode=755,nr_inodes=0,size=8g") < 0 || !madeup_proc())
        die("a made-up host");
    proc = MADEUP_REAL_PROC;
}

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

/* The sweep's cheap question, asked bare: is each task directory as it was, has
 * each thread its mask? At the sweep's own pace: right after one another such
 * calls find all in the processor's caches, and cost a third. */
static double floor_quick(unsigned rounds)
{
    double spent = 0;

    for (unsigned round = 0; round < rounds; round++) {
        double began;

        usleep(SWEEP_US);
        began = used_us();
        for (unsigned i = 0; i < guest_count; i++) {
            unsigned char mask[1024];
            struct stat st;
            char path[32];

            snprintf(path, sizeof(path), "/proc/%d/task", guests[i].pid);
            stat(path, &st);
            for (unsigned j = 0; j < THREADS; j++)
                syscall(SYS_sched_getaffinity, preload ? 0 : guests[i].tid[j], sizeof(mask), mask);
        }
        spent += used_us() - began;
    }
    return spent / rounds;
}

/* The files of guest i that a full look reads, opened. */
static int open_all(unsigned i, int *file)
{
    char dir[256], path[320];
    int count = 0;

    for (unsigned j = 0; j < THREADS; j++) {
        group_of(&guests[i], j, dir, sizeof(dir));
        snprintf(path, sizeof(path), "/proc/%d/task/%d/cgroup", guests[i].pid, guests[i].tid[j]);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
        if (j == THREADS - 1)
            continue;
        snprintf(path, sizeof(path), "%s/cpuset.cpus", dir);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
        snprintf(path, sizeof(path), "%s/cpuset.effective_cpus", dir);
        file[count++] = open(path, O_RDONLY | O_CLOEXEC);
    }
    return count;
}

static void look_bare(unsigned i, const int *file)
{
    unsigned char mask[1024];
    char text[4096];

    for (unsigned j = 0; j < THREADS; j++)
        syscall(SYS_sched_getaffinity, preload ? 0 : guests[i].tid[j], sizeof(mask), mask);
    for (unsigned j = 0; j < FILES; j++)
        if (pread(file[j], text, sizeof(text), 0) < 0)
            die("pread");
}

static double look_bare_at_all(unsigned from, unsigned to, int (*file)[FILES], unsigned rounds)
{
    double spent = 0;

    for (unsigned round = 0; round < rounds; round++) {
        double began;

        usleep(SWEEP_US);
        began = used_us();
        for (unsigned i = from; i < to; i++)
            look_bare(i, file[i - from]);
        spent += used_us() - began;
    }
    return spent / rounds;
}

/* Everything, bare: each thread's mask and group, each group's file and what is in effect of it. As
 * a sweep does it, one guest after the other and at its pace; as many at once as files may be open.
 */
static double floor_full(unsigned rounds)
{
    struct rlimit limit;
    unsigned at_once;
    int(*file)[FILES];
    double spent = 0;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    at_once = (unsigned)((limit.rlim_cur < 100000 ? limit.rlim_cur : 100000) - 200) / FILES;
    file = calloc(at_once, sizeof(*file));
    if (!file)
        die("memory");
    for (unsigned from = 0; from < guest_count; from += at_once) {
        unsigned to = from + at_once < guest_count ? from + at_once : guest_count;

        for (unsigned i = from; i < to; i++)
            if (open_all(i, file[i - from]) != FILES)
                die("files");
        spent += look_bare_at_all(from, to, file, rounds);
        for (unsigned i = from; i < to; i++)
            for (unsigned j = 0; j < FILES; j++)
                close(file[i - from][j]);
    }
    free(file);
    return spent;
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
