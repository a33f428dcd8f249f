/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"
#include "host/threads_priv.h"

/* A guest's threads by /proc/PID/task. QEMU names them (libvirt always passes
 * debug-threads=on): "CPU 0/KVM", "IO iothread1", "vhost-4711" (vhost's kernel
 * threads are in there since 6.4), "worker". */

void vp_threads_clear(struct vp_threads *threads)
{
    free(threads->item);
    *threads = (struct vp_threads){0};
}

int vp_threads_add(struct vp_threads *threads, enum vp_role role, unsigned index, pid_t tid)
{
    if ((threads->count & (threads->count - 1)) == 0) { /* room is a power of two */
        size_t room = threads->count ? threads->count * 2 : 1;
        struct vp_thread *grown = realloc(threads->item, room * sizeof(*grown));

        if (!grown)
            return -1;
        threads->item = grown;
    }
    threads->item[threads->count++] = (struct vp_thread){role, index, tid};
    return 0;
}

/* A pid at *text, which is moved behind it; 0 if there is none. */
static pid_t read_pid(const char **text)
{
    char *end;
    long value;

    if (**text < '1' || **text > '9')
        return 0;
    value = strtol(*text, &end, 10);
    *text = end;
    return value > 0 && value <= INT32_MAX ? (pid_t)value : 0;
}

/* "IO iothread3": 3, 0 for any other name (ids start at 1; "IO mon_iothread"
 * is QEMU's own). */
static unsigned iothread_id(const char *comm)
{
    static const char prefix[] = "IO iothread";
    unsigned long id;
    char *end;

    if (strncmp(comm, prefix, strlen(prefix)) != 0 || comm[strlen(prefix)] < '1' ||
        comm[strlen(prefix)] > '9')
        return 0;
    id = strtoul(comm + strlen(prefix), &end, 10);
    return *end == '\0' && id <= INT32_MAX ? (unsigned)id : 0;
}

/* A vCPU's thread that the status file does not know yet: it is being plugged
 * and libvirt has not placed it. Not "ALL CPUs/TCG", which it never will. */
static bool is_unknown_vcpu(const char *comm)
{
    return strncmp(comm, "CPU ", 4) == 0 && comm[4] >= '0' && comm[4] <= '9';
}

/* False if the thread has ended. */
static bool read_comm(int dir, const char *entry, char *comm, size_t size)
{
    char path[64];

    snprintf(path, sizeof(path), "%.32s/comm", entry);
    return vp_file_read_line(dir, path, comm, size) > 0;
}

/* By its name, which is read; a thread that has ended is left out. */
static int add_named(struct vp_threads *threads, int dir, const char *entry, pid_t tid)
{
    char comm[64];
    unsigned id;

    if (!read_comm(dir, entry, comm, sizeof(comm)))
        return 0;
    if (is_unknown_vcpu(comm))
        return 0;
    id = iothread_id(comm);
    if (id > 0)
        return vp_threads_add(threads, VP_ROLE_IOTHREAD, id, tid);
    if (strncmp(comm, "vhost-", 6) == 0)
        return vp_threads_add(threads, VP_ROLE_VHOST, 0, tid);
    return vp_threads_add(threads, VP_ROLE_WORKER, 0, tid);
}

/* What is known by its id needs no name: that is most of a guest's threads, and
 * a name costs as much as all else that is asked of one. */
static int add_task(struct vp_threads *threads, const struct vp_status *status, int dir,
                    const char *entry, pid_t tid)
{
    if (tid == threads->pid)
        return vp_threads_add(threads, VP_ROLE_EMULATOR, 0, tid);
    for (size_t i = 0; status && i < status->vcpu_count; i++)
        if (status->vcpu[i].tid == tid)
            return vp_threads_add(threads, VP_ROLE_VCPU, status->vcpu[i].id, tid);
    return add_named(threads, dir, entry, tid);
}

static int list_tasks(DIR *dir, const struct vp_status *status, struct vp_threads *threads)
{
    struct dirent *entry;

    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        pid_t tid = read_pid(&name);

        if (tid != 0 && *name == '\0' &&
            add_task(threads, status, dirfd(dir), entry->d_name, tid) < 0)
            return -1;
    }
    return 0;
}

bool vp_threads_has(const struct vp_threads *threads, pid_t tid)
{
    for (size_t i = 0; i < threads->count; i++)
        if (threads->item[i].tid == tid)
            return true;
    return false;
}

/* A thread in the emulator's group that is none of QEMU's: of swtpm, virtiofsd
 * and the like, or a vhost kernel thread before 6.4. */
static int add_helper(const struct vp_cgroups *cgroups, int task_dir, pid_t tid,
                      struct vp_threads *threads)
{
    char name[32], path[320], comm[64];

    snprintf(name, sizeof(name), "%d", (int)tid);
    /* One of QEMU's that came after its list was read, or a vCPU's thread that
     * was left out of it on purpose. */
    if (faccessat(task_dir, name, F_OK, 0) == 0)
        return 0;
    snprintf(path, sizeof(path), "%s/%d/comm", cgroups->proc, (int)tid);
    if (vp_file_read_line(AT_FDCWD, path, comm, sizeof(comm)) <= 0)
        return 0;
    return vp_threads_add(threads, strncmp(comm, "vhost-", 6) == 0 ? VP_ROLE_VHOST : VP_ROLE_HELPER,
                          0, tid);
}

static int list_helpers(const struct vp_cgroups *cgroups, const char *guest_root, int task_dir,
                        struct vp_threads *threads, struct vp_error *err)
{
    const char *file = cgroups->version == VP_CGROUP_V2 ? "cgroup.threads" : "tasks";
    char path[1024], text[65536];
    const char *at = text;
    ssize_t length;

    if ((size_t)snprintf(path, sizeof(path), "%s/emulator/%s", guest_root, file) >= sizeof(path))
        return vp_fail(err, VP_HOST, "%s: the path is too long", guest_root);
    length = vp_file_read(AT_FDCWD, path, text, sizeof(text));
    if (length == -ENOENT || length == -ENODEV)
        return 0;
    if (length < 0)
        return vp_fail_errno(err, VP_HOST, (int)-length, "%s", path);
    while (*at) {
        pid_t tid = read_pid(&at);

        if (tid > 0 && !vp_threads_has(threads, tid) &&
            add_helper(cgroups, task_dir, tid, threads) < 0)
            return vp_fail(err, VP_HOST, "out of memory");
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
    return 0;
}

static int rank(const struct vp_thread *thread)
{
    switch (thread->role) {
    case VP_ROLE_EMULATOR:
        return 0;
    case VP_ROLE_VCPU:
        return 1;
    case VP_ROLE_IOTHREAD:
        return 2;
    case VP_ROLE_VHOST:
    case VP_ROLE_WORKER:
    case VP_ROLE_HELPER:
        break;
    }
    return 3;
}

static int by_order(const void *left, const void *right)
{
    const struct vp_thread *a = left, *b = right;

    if (rank(a) != rank(b))
        return rank(a) - rank(b);
    if (a->index != b->index)
        return a->index < b->index ? -1 : 1;
    return (a->tid > b->tid) - (a->tid < b->tid);
}

/* Each of a guest's vhost threads has a number, by the order of their ids. */
static void number_vhosts(struct vp_threads *threads)
{
    unsigned next = 0;

    for (size_t i = 0; i < threads->count; i++)
        if (threads->item[i].role == VP_ROLE_VHOST)
            threads->item[i].index = next++;
}

int vp_threads_list(const struct vp_cgroups *cgroups, pid_t pid, const struct vp_status *status,
                    const char *guest_root, struct vp_threads *threads, struct vp_error *err)
{
    char path[320];
    int result;
    DIR *dir;

    *threads = (struct vp_threads){.pid = pid};
    snprintf(path, sizeof(path), "%s/%d/task", cgroups->proc, (int)pid);
    dir = opendir(path);
    if (!dir && (errno == ENOENT || errno == ESRCH))
        return vp_fail(err, VP_GONE, "process %d has ended", (int)pid);
    if (!dir)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    result = list_tasks(dir, status, threads);
    if (result < 0)
        vp_fail(err, VP_HOST, "out of memory");
    else if (guest_root[0] && cgroups->version != VP_CGROUP_NONE)
        result = list_helpers(cgroups, guest_root, dirfd(dir), threads, err);
    closedir(dir);
    if (result == 0 && status)
        result = vp_threads_add_vhosts(cgroups->proc, status->vhosts, threads, err);
    if (result == 0 && threads->count == 0)
        result = vp_fail(err, VP_GONE, "process %d has ended", (int)pid);
    if (result < 0) {
        vp_threads_clear(threads);
        return -1;
    }
    qsort(threads->item, threads->count, sizeof(*threads->item), by_order);
    number_vhosts(threads);
    return 0;
}
