/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One run of the hook as libvirt makes it (fork, exec, XML through a pipe,
 * both outputs read to their end), beside programs that do less, in turn.
 *
 * usage: bench_hook HOOK FLOOR TOPOLOGY [RUNS]
 * HOOK is run with 100 policies, a domain XML of about 10 KB and a booking in
 * the ledger; FLOOR only parses that XML. Needs root (the hook does nothing
 * for others). */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLICIES 100

static char dir[] = "/tmp/virtpin-bench.XXXXXX";
static char config[128], policies[128];
static char xml[32768];

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void die(const char *what)
{
    perror(what);
    exit(3);
}

static FILE *create(const char *name)
{
    char path[160];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    if (!file)
        die(path);
    return file;
}

static void make_files(void)
{
    FILE *file;

    if (!mkdtemp(dir))
        die(dir);
    snprintf(policies, sizeof(policies), "%s/policy.d", dir);
    mkdir(policies, 0755);
    snprintf(config, sizeof(config), "%s/virtpin.conf", dir);
    file = create("virtpin.conf");
    fprintf(file, "[host]\nrun-dir = %s/run\nstate-dir = %s/state\ncgroup-dir = %s/none\n", dir,
            dir, dir);
    fclose(file);
    for (int i = 0; i < POLICIES; i++) {
        char name[64];

        snprintf(name, sizeof(name), "policy.d/%03d.conf", i);
        file = create(name);
        fprintf(file,
                "[policy p%03d]\npriority = %d\nmode = enforce\nmatch-name = guest-%d-* other-%d\n"
                "placement = dedicated\nthread-policy = prefer\nnuma = fewest\n"
                "cpu-mode = host-passthrough\non-start = allow\n",
                i, i, i, i);
        fclose(file);
    }
}

/* A guest with disks and interfaces as in daily life, about 10 KB. */
static void make_xml(void)
{
    size_t used = (size_t)snprintf(
        xml, sizeof(xml),
        "<domain type='kvm'>\n  <name>guest-57-x</name>\n"
        "  <uuid>6f1a4f2e-1f5b-4a30-9c58-2a7d3bb0f001</uuid>\n"
        "  <memory unit='KiB'>8388608</memory>\n  <vcpu placement='static'>8</vcpu>\n"
        "  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>\n"
        "  <cpu mode='host-passthrough' check='none' migratable='on'/>\n  <devices>\n");

    for (int i = 0; i < 24; i++)
        used += (size_t)snprintf(
            xml + used, sizeof(xml) - used,
            "    <disk type='file' device='disk'>\n"
            "      <driver name='qemu' type='qcow2' cache='none' io='native'/>\n"
            "      <source file='/var/lib/libvirt/images/guest-57-%02d.qcow2' index='%d'/>\n"
            "      <target dev='vd%c' bus='virtio'/>\n      <alias name='virtio-disk%d'/>\n"
            "      <address type='pci' domain='0x0000' bus='0x%02x' slot='0x00' function='0x0'/>\n"
            "    </disk>\n",
            i, i, 'a' + i, i, i + 1);
    snprintf(xml + used, sizeof(xml) - used, "  </devices>\n</domain>\n");
}

/* Ours and its children's end of the pipes are closed as libvirt closes them. */
static int run(const char *const *argv, char *text, size_t size)
{
    int in[2], out[2], status;
    size_t used = 0, sent = 0, length = strlen(xml);
    ssize_t got;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        die("pipe");
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    while (sent < length && (got = write(in[1], xml + sent, length - sent)) > 0)
        sent += (size_t)got;
    close(in[1]);
    while ((got = read(out[0], text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(out[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static double timed(const char *const *argv)
{
    char text[4096];
    double began = now_ms(), took;
    int status = run(argv, text, sizeof(text));

    took = now_ms() - began;
    if (status != 0) {
        fprintf(stderr, "%s ended with %d: %s\n", argv[0], status, text);
        exit(3);
    }
    return took;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *value, int count)
{
    qsort(value, (size_t)count, sizeof(*value), by_value);
    return value[count / 2];
}

int main(int argc, char **argv)
{
    int runs = argc > 4 ? atoi(argv[4]) : 200;
    double *ours, *floor, *exec;

    if (argc < 4 || runs < 1)
        return fputs("usage: bench_hook HOOK FLOOR TOPOLOGY [RUNS]\n", stderr), 2;
    if (geteuid() != 0)
        return fputs("bench_hook: needs root\n", stderr), 77;
    signal(SIGPIPE, SIG_IGN); /* the launcher may end without reading */
    /* other work on the machine would be waited for in each of them, and more than once */
    bool steady =
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1}) == 0;
    ours = calloc((size_t)runs, sizeof(*ours));
    floor = calloc((size_t)runs, sizeof(*floor));
    exec = calloc((size_t)runs, sizeof(*exec));
    make_files();
    make_xml();
    const char *prepare[] = {argv[1],   "--config",   config,  "--policy-dir",
                             policies,  "--topology", argv[3], "guest-57-x",
                             "prepare", "begin",      "-",     NULL};
    const char *release[] = {argv[1],   "--config",   config,  "--policy-dir",
                             policies,  "--topology", argv[3], "guest-57-x",
                             "release", "end",        "-",     NULL};
    const char *nothing[] = {argv[1], "guest-57-x", "start", "begin", "-", NULL};
    const char *parse[] = {argv[2], NULL};

    for (int i = -5; i < runs; i++) { /* the first five warm the caches */
        double a = timed(prepare), b = timed(parse), c = timed(nothing);

        timed(release);
        if (i >= 0) {
            ours[i] = a;
            floor[i] = b;
            exec[i] = c;
        }
    }
    double a = median(ours, runs), b = median(floor, runs), c = median(exec, runs);

    printf("hook: prepare, %d policies, %zu bytes of XML, medians of %d%s\n", POLICIES, strlen(xml),
           runs, steady ? ", all at real-time priority" : "");
    printf("  launcher alone (an operation of no interest)  %6.2f ms\n", c);
    printf("  C program that parses the XML (floor)         %6.2f ms\n", b);
    printf("  virtpin-hook                                  %6.2f ms  %.2f x floor\n", a, a / b);
    const char *cleanup[] = {"/bin/rm", "-rf", dir, NULL};
    char text[256];

    return run(cleanup, text, sizeof(text));
}
