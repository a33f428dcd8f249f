/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/scale/guests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/cgroup.h"
#include "tests/bench/madeup/host.h"

struct guest guests[GUESTS_MOST];
unsigned guest_count;
pid_t enforcer;
const char *preload;
const char *proc = "/proc";
static char base[160];
static char base_cpus[256], base_mems[256];
static size_t mount_length; /* of the hierarchy's mount, in base */

double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* What this process has used: the machine may have other work. */
double used_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    ssize_t done = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return done == (ssize_t)strlen(text);
}

void get(const char *path, char *text, size_t size)
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

void stop_enforcer(void)
{
    if (enforcer > 0) {
        kill(enforcer, SIGKILL);
        waitpid(enforcer, NULL, 0);
    }
    enforcer = 0;
}

void tidy(void)
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

void die(const char *what)
{
    fprintf(stderr, "bench_scale: %s: %s\n", what, strerror(errno));
    tidy();
    exit(3);
}

void on_signal(int number)
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
char *group_of(const struct guest *guest, unsigned i, char *dir, size_t size)
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
void make_up_guest(void)
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

void add_guest(void)
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

void make_host(struct vp_cgroups *cgroups)
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
void make_up_host(void)
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
