/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/pinthread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroupfile.h"

/* A CPU set's words are the kernel's mask as it stands. */
_Static_assert(sizeof(unsigned long) == sizeof(uint64_t), "a 64-bit host");

int vp_affinity_get(pid_t tid, struct vp_cpuset *cpus)
{
    *cpus = (struct vp_cpuset){0};
    return sched_getaffinity(tid, sizeof(cpus->w), (cpu_set_t *)cpus->w) < 0 ? -errno : 0;
}

int vp_affinity_set(pid_t tid, const struct vp_cpuset *cpus)
{
    return sched_setaffinity(tid, sizeof(cpus->w), (const cpu_set_t *)cpus->w) < 0 ? -errno : 0;
}

void vp_pin_eye_open(struct vp_pin_eye *eye, const struct vp_cgroups *cgroups, pid_t pid,
                     const char *guest_root)
{
    char path[320];

    *eye =
        (struct vp_pin_eye){.cgroups = cgroups, .root = guest_root, .task_fd = -1, .root_fd = -1};
    if (cgroups->version == VP_CGROUP_NONE)
        eye->root = "";
    snprintf(path, sizeof(path), "%s/%d/task", cgroups->proc, (int)pid);
    if (pid > 0)
        eye->task_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (eye->root[0])
        eye->root_fd = open(eye->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void vp_pin_eye_close(struct vp_pin_eye *eye)
{
    if (eye->task_fd >= 0)
        close(eye->task_fd);
    if (eye->root_fd >= 0)
        close(eye->root_fd);
    eye->task_fd = eye->root_fd = -1;
}

static ssize_t read_thread_file(const struct vp_pin_eye *eye, const struct vp_thread *thread,
                                const char *file, vp_file_reader read_file, char *text, size_t size)
{
    char path[320];

    if (thread->role != VP_ROLE_HELPER && thread->role != VP_ROLE_VHOST) {
        snprintf(path, sizeof(path), "%d/%s", (int)thread->tid, file);
        return eye->task_fd < 0 ? -ESRCH : read_file(eye->task_fd, path, text, size);
    }
    /* Helpers and, before 6.4, vhost threads are no threads of QEMU's. */
    snprintf(path, sizeof(path), "%s/%d/%s", eye->cgroups->proc, (int)thread->tid, file);
    return read_file(AT_FDCWD, path, text, size);
}

/* The path of the thread's cpuset group within its hierarchy, in text. NULL
 * if the thread has ended. /proc/PID/cpuset costs half of /proc/PID/cgroup. */
static const char *group_path(const struct vp_pin_eye *eye, const struct vp_thread *thread,
                              char *text, size_t size)
{
    if (read_thread_file(eye, thread, "cpuset", vp_file_read_line, text, size) > 0)
        return text;
    if (read_thread_file(eye, thread, "cgroup", vp_file_read, text, size) > 0)
        return vp_cgroup_line(eye->cgroups->version, text);
    return NULL;
}

static bool is_numbered(const char *name, const char *word)
{
    size_t length = strlen(word);

    return strncmp(name, word, length) == 0 && name[length] != '\0' &&
           strspn(name + length, "0123456789") == strlen(name + length);
}

/* Whether `name`, a group below the guest's directory, is a place of that
 * thread. Workers may be in any: a thread is born where its maker is. */
static bool is_place(const struct vp_thread *thread, const char *name)
{
    char own[32] = "emulator";

    if (thread->role == VP_ROLE_VCPU)
        snprintf(own, sizeof(own), "vcpu%u", thread->index);
    else if (thread->role == VP_ROLE_IOTHREAD)
        snprintf(own, sizeof(own), "iothread%u", thread->index);
    else if (thread->role != VP_ROLE_EMULATOR &&
             (is_numbered(name, "vcpu") || is_numbered(name, "iothread")))
        return true;
    return strcmp(name, own) == 0;
}

int vp_pin_locate(const struct vp_pin_eye *eye, const struct vp_thread *thread,
                  struct vp_seen *seen)
{
    size_t root = strlen(eye->root);
    char text[16384];
    const char *path;
    int length;

    seen->role = thread->role;
    seen->index = thread->index;
    seen->tid = thread->tid;
    seen->has_cpuset = root > 0;
    if (root == 0)
        return 0;
    path = group_path(eye, thread, text, sizeof(text));
    if (!path)
        return -ESRCH;
    length = snprintf(seen->group, sizeof(seen->group), "%s%s", eye->cgroups->mount,
                      strcmp(path, "/") == 0 ? "" : path);
    /* Before 6.4 a vhost thread is the kernel's and may be in nobody's group. */
    if (thread->role == VP_ROLE_VHOST && strncmp(seen->group, eye->root, root) != 0) {
        seen->has_cpuset = false;
        seen->group[0] = '\0';
        return 0;
    }
    seen->astray = length < 0 || (size_t)length >= sizeof(seen->group) ||
                   strncmp(seen->group, eye->root, root) != 0 || seen->group[root] != '/' ||
                   !is_place(thread, seen->group + root + 1);
    return 0;
}

/* The thread's group by a directory that is open, where it is below that: the
 * kernel takes each part of a path in this file system one by one. */
static const char *group_at(const struct vp_pin_eye *eye, const struct vp_seen *seen, int *dir)
{
    size_t root = strlen(eye->root);

    *dir = AT_FDCWD;
    if (eye->root_fd < 0 || root == 0 || strncmp(seen->group, eye->root, root) != 0 ||
        seen->group[root] != '/' || seen->group[root + 1] == '\0')
        return seen->group;
    *dir = eye->root_fd;
    return seen->group + root + 1;
}

int vp_pin_read(const struct vp_pin_eye *eye, struct vp_seen *seen, const struct vp_seen *other)
{
    int result = vp_affinity_get(seen->tid, &seen->affinity), dir;
    const char *group;

    if (result < 0 || !seen->has_cpuset)
        return result;
    if (other) {
        seen->cpuset = other->cpuset;
        seen->effective = other->effective;
        return 0;
    }
    group = group_at(eye, seen, &dir);
    result = vp_cpus_at_read(dir, group, VP_CPUSET_FILE, &seen->cpuset);
    /* The mask lies in the effective set and that in the file's: where the
     * outer two are equal, so is the third, and its read can be saved. */
    if (result == 0 && vp_cpuset_equal(&seen->affinity, &seen->cpuset))
        seen->effective = seen->cpuset;
    else if (result == 0)
        result = vp_cpus_at_effective(eye->cgroups, dir, group, &seen->effective);
    /* A thread that was moved may be where v2 has no such files: its root
     * group, or one without the controller. */
    if (result == -ENOENT && seen->astray) {
        seen->cpuset = (struct vp_cpuset){0};
        seen->effective = seen->affinity;
        result = 0;
    }
    return result == -ENOENT || result == -ENODEV ? -ESRCH : result;
}
