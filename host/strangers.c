/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/strangers.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroupfile.h"
#include "host/threads.h"

/* So many are kept in mind; on a host with more the first found are said. */
#define STRANGERS_MAX 128
/* PF_KTHREAD and PF_NO_SETAFFINITY of linux/sched.h, in /proc/PID/stat since 2.6. */
#define KERNEL_THREAD 0x00200000ul
#define BOUND 0x04000000ul

struct seen {
    char comm[32];
    unsigned long flags;
    uint64_t ticks, start;
    int cpu;
};

void vp_strangers_clear(struct vp_strangers *strangers)
{
    if (strangers->procs)
        closedir(strangers->procs);
    if (strangers->tasks)
        closedir(strangers->tasks);
    free(strangers->item);
    *strangers = (struct vp_strangers){0};
}

/* ---- one thread ---- */

/* /proc/PID/task/TID/stat: fields 9 flags, 14 and 15 user and system time, 22
 * start, 39 CPU. comm, in brackets, may hold anything. */
static bool parse(char *text, struct seen *seen)
{
    char *open = strchr(text, '('), *at = strrchr(text, ')'), *rest = NULL;
    uint64_t user = 0;
    int field = 2;

    if (!open || !at || at < open)
        return false;
    *at = '\0';
    snprintf(seen->comm, sizeof(seen->comm), "%.31s", open + 1);
    for (char *c = seen->comm; *c; c++)
        if (!isprint((unsigned char)*c))
            *c = '?';
    for (char *word = strtok_r(at + 1, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        field++;
        if (field == 9)
            seen->flags = strtoul(word, NULL, 10);
        else if (field == 14)
            user = strtoull(word, NULL, 10);
        else if (field == 15)
            seen->ticks = user + strtoull(word, NULL, 10);
        else if (field == 22)
            seen->start = strtoull(word, NULL, 10);
        else if (field == 39)
            seen->cpu = (int)strtol(word, NULL, 10);
    }
    return field >= 39;
}

static bool read_thread(const char *proc, pid_t pid, pid_t tid, struct seen *seen)
{
    char path[320], text[2048];

    snprintf(path, sizeof(path), "%.200s/%d/task/%d/stat", proc, (int)pid, (int)tid);
    return vp_file_read_line(AT_FDCWD, path, text, sizeof(text)) > 0 && parse(text, seen);
}

/* libvirt passes "-name guest=NAME,debug-threads=on". */
static bool guest_name(const char *proc, pid_t pid, char *name, size_t size)
{
    char path[320], text[4096], *at = NULL;
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%.200s/%d/cmdline", proc, (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return false;
    text[length] = '\0';
    at = memmem(text, (size_t)length, "guest=", 6);
    if (!at || at == text || at[-1] != '\0')
        return false;
    snprintf(name, size, "%.*s", (int)strcspn(at + 6, ","), at + 6);
    return true;
}

static void name_it(const char *proc, struct vp_stranger *stranger)
{
    struct vp_culprit who;

    vp_culprit_of(proc, stranger->pid, &who);
    stranger->uid = who.uid;
    snprintf(stranger->unit, sizeof(stranger->unit), "%s", who.unit);
    if (stranger->kind == VP_STRANGER_HOST &&
        guest_name(proc, stranger->pid, stranger->guest, sizeof(stranger->guest)))
        stranger->kind = VP_STRANGER_GUEST;
}

/* ---- the known ones ---- */

/* False if it is to be forgotten: ended, or gone elsewhere without having run. */
static bool look_again(struct vp_strangers *strangers, struct vp_stranger *one,
                       const struct vp_stranger_host *host, int64_t now_ms)
{
    static long tick_ms;
    struct seen seen = {.cpu = -1};
    uint64_t ran;
    bool there;

    if (tick_ms == 0)
        tick_ms = 1000 / sysconf(_SC_CLK_TCK);
    if (!read_thread(host->proc, one->pid, one->tid, &seen) || seen.start != one->start)
        return false;
    there = seen.cpu >= 0 && vp_cpuset_has(host->dedicated, seen.cpu) &&
            !host->ours(host->data, one->pid, one->tid, seen.cpu);
    ran = seen.ticks > one->ticks ? (seen.ticks - one->ticks) * (uint64_t)tick_ms : 0;
    one->ticks = seen.ticks;
    if (!there)
        return false;
    one->cpu = seen.cpu;
    if (ran == 0)
        return true;
    if (one->ran_ms == 0) {
        name_it(host->proc, one);
        one->first_ms = now_ms;
    }
    snprintf(one->owner, sizeof(one->owner), "%s", host->owner(host->data, seen.cpu));
    one->ran_ms += ran;
    one->last_ms = now_ms;
    strangers->total_ms[one->kind] += ran;
    return true;
}

static void look_at_known(struct vp_strangers *strangers, const struct vp_stranger_host *host,
                          int64_t now_ms)
{
    size_t kept = 0;

    for (size_t i = 0; i < strangers->count; i++) {
        struct vp_stranger *one = &strangers->item[i];

        if (!look_again(strangers, one, host, now_ms))
            continue;
        if (kept != i)
            strangers->item[kept] = *one;
        kept++;
    }
    strangers->count = kept;
}

/* ---- the walk ---- */

static bool is_known(const struct vp_strangers *strangers, pid_t tid)
{
    for (size_t i = 0; i < strangers->count; i++)
        if (strangers->item[i].tid == tid)
            return true;
    return false;
}

static void take(struct vp_strangers *strangers, const struct vp_stranger_host *host, pid_t tid)
{
    struct seen seen = {.cpu = -1};
    struct vp_stranger *grown;
    bool kernel;

    if (is_known(strangers, tid) || strangers->count == STRANGERS_MAX ||
        !read_thread(host->proc, strangers->pid, tid, &seen) || seen.cpu < 0 ||
        !vp_cpuset_has(host->dedicated, seen.cpu) ||
        host->ours(host->data, strangers->pid, tid, seen.cpu))
        return;
    kernel = seen.flags & KERNEL_THREAD;
    /* Each CPU has some that cannot be elsewhere; workers without a CPU can. */
    if (kernel && (seen.flags & BOUND) && strncmp(seen.comm, "kworker/u", 9) != 0)
        return;
    grown = reallocarray(strangers->item, strangers->count + 1, sizeof(*grown));
    if (!grown)
        return;
    strangers->item = grown;
    grown += strangers->count++;
    *grown = (struct vp_stranger){.pid = strangers->pid,
                                  .tid = tid,
                                  .kind = kernel ? VP_STRANGER_KERNEL : VP_STRANGER_HOST,
                                  .cpu = seen.cpu,
                                  .uid = -1,
                                  .start = seen.start,
                                  .ticks = seen.ticks};
    memcpy(grown->comm, seen.comm, sizeof(grown->comm));
}

/* The next number in a directory of /proc; 0: no more. */
static pid_t next_number(DIR *dir)
{
    struct dirent *entry;

    while ((entry = readdir(dir)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            return (pid_t)strtol(entry->d_name, NULL, 10);
    return 0;
}

/* Opens the tasks of the next process that is nobody's of ours. False at the end. */
static bool next_process(struct vp_strangers *strangers, const struct vp_stranger_host *host)
{
    char path[320];

    while ((strangers->pid = next_number(strangers->procs)) > 0) {
        if (host->ours(host->data, strangers->pid, 0, -1))
            continue;
        snprintf(path, sizeof(path), "%.200s/%d/task", host->proc, (int)strangers->pid);
        strangers->tasks = opendir(path);
        if (strangers->tasks)
            return true;
    }
    return false;
}

static void walk(struct vp_strangers *strangers, const struct vp_stranger_host *host,
                 unsigned budget)
{
    if (!strangers->procs)
        strangers->procs = opendir(host->proc);
    while (strangers->procs && budget > 0) {
        pid_t tid;

        if (!strangers->tasks && !next_process(strangers, host)) {
            closedir(strangers->procs); /* a round is over */
            strangers->procs = NULL;
            return;
        }
        for (; budget > 0 && (tid = next_number(strangers->tasks)) > 0; budget--)
            take(strangers, host, tid);
        if (budget > 0) {
            closedir(strangers->tasks);
            strangers->tasks = NULL;
            budget--;
        }
    }
}

void vp_strangers_look(struct vp_strangers *strangers, const struct vp_stranger_host *host,
                       unsigned budget, int64_t now_ms)
{
    look_at_known(strangers, host, now_ms);
    if (!vp_cpuset_empty(host->dedicated))
        walk(strangers, host, budget);
}
