/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/mems.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"

#define MEMS_FILE "cpuset.mems"

/* ---- seeing ---- */

static bool numbered(const char *name, const char *word, unsigned *index)
{
    size_t length = strlen(word);
    char *end;
    unsigned long value;

    if (strncmp(name, word, length) != 0 || !isdigit((unsigned char)name[length]))
        return false;
    value = strtoul(name + length, &end, 10);
    *index = (unsigned)value;
    return *end == '\0' && value <= VP_VCPUS_MAX;
}

static bool is_group(const char *name, struct vp_mems_group *group)
{
    if (strcmp(name, "emulator") == 0)
        group->role = VP_ROLE_EMULATOR;
    else if (numbered(name, "vcpu", &group->index))
        group->role = VP_ROLE_VCPU;
    else if (numbered(name, "iothread", &group->index))
        group->role = VP_ROLE_IOTHREAD;
    else
        return false;
    return true;
}

/* What is in force in a group; the file itself where there is none that says so. */
static int read_effective(const struct vp_cgroups *cgroups, int dir, const char *group,
                          struct vp_cpuset *nodes)
{
    int result = vp_cpus_at_read(dir, group,
                                 cgroups->version == VP_CGROUP_V2 ? "cpuset.mems.effective"
                                                                  : "cpuset.effective_mems",
                                 nodes);

    return result == -ENOENT ? vp_cpus_at_read(dir, group, MEMS_FILE, nodes) : result;
}

/* 1: there it is, 0: it has gone or has no such files, else -errno. */
static int read_group(const struct vp_cgroups *cgroups, int dir, const char *name,
                      struct vp_mems_group *group)
{
    int result = vp_cpus_at_read(dir, name, MEMS_FILE, &group->mems);

    group->set = result == 0 && !vp_cpuset_empty(&group->mems);
    if (result == 0)
        result = read_effective(cgroups, dir, name, &group->effective);
    if (result == -ENOENT || result == -ENODEV)
        return 0;
    return result < 0 ? result : 1;
}

static int add_group(const struct vp_cgroups *cgroups, int dir, const char *name,
                     struct vp_mems *mems)
{
    struct vp_mems_group group = {0}, *grown;
    int result;

    if (!is_group(name, &group))
        return 0;
    result = read_group(cgroups, dir, name, &group);
    if (result <= 0)
        return result;
    grown = reallocarray(mems->group, mems->count + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    mems->group = grown;
    grown[mems->count++] = group;
    return 0;
}

int vp_mems_look(const struct vp_cgroups *cgroups, const char *root, struct vp_mems *mems,
                 struct vp_error *err)
{
    DIR *dir = opendir(root);
    struct dirent *entry;
    int result;

    *mems = (struct vp_mems){0};
    if (!dir)
        return vp_fail_errno(err, errno == ENOENT ? VP_GONE : VP_HOST, errno, "%s", root);
    result = read_effective(cgroups, dirfd(dir), "..", &mems->above);
    while (result == 0 && (entry = readdir(dir)))
        result = add_group(cgroups, dirfd(dir), entry->d_name, mems);
    closedir(dir);
    if (result == 0)
        return 0;
    vp_mems_clear(mems);
    return vp_fail_errno(err, result == -ENOENT || result == -ENODEV ? VP_GONE : VP_HOST, -result,
                         "the memory nodes of %s", root);
}

static void group_dir(const char *root, const struct vp_mems_diff *diff, char *dir, size_t size)
{
    if (diff->role == VP_ROLE_EMULATOR)
        snprintf(dir, size, "%s/emulator", root);
    else
        snprintf(dir, size, "%s/%s%u", root, diff->role == VP_ROLE_VCPU ? "vcpu" : "iothread",
                 diff->index);
}

void vp_mems_where(const struct vp_cgroups *cgroups, const char *root,
                   const struct vp_mems_diff *diff, char *where, size_t size)
{
    char dir[512];

    group_dir(root, diff, dir, sizeof(dir));
    where[0] = '\0';
    for (char *slash; strlen(dir) > strlen(cgroups->mount); *slash = '\0') {
        struct vp_cpuset nodes;

        if (vp_cpus_at_read(AT_FDCWD, dir, MEMS_FILE, &nodes) == 0 && !vp_cpuset_empty(&nodes) &&
            (diff->own || !vp_cpuset_within(&diff->wanted, &nodes))) {
            snprintf(where, size, "%s/" MEMS_FILE, dir);
            return;
        }
        slash = strrchr(dir, '/');
        if (!slash)
            return;
    }
}

/* ---- putting right ---- */

void vp_mems_job_clear(struct vp_mems_job *job)
{
    free(job->write);
    *job = (struct vp_mems_job){0};
}

/* Each file once: what is wanted is the same for all of a guest. */
static int add_write(struct vp_mems_job *job, const char *dir, const struct vp_cpuset *nodes)
{
    struct vp_mems_write one, *grown;

    snprintf(one.path, sizeof(one.path), "%s/" MEMS_FILE, dir);
    vp_cpuset_print(nodes, one.text, sizeof(one.text));
    for (size_t i = 0; i < job->count; i++)
        if (strcmp(job->write[i].path, one.path) == 0)
            return 0;
    grown = reallocarray(job->write, job->count + 1, sizeof(*grown));
    if (!grown)
        return -1;
    job->write = grown;
    grown[job->count++] = one;
    return 0;
}

int vp_mems_job_add(struct vp_mems_job *job, const char *root, const struct vp_mems_diff *diff)
{
    struct vp_cpuset nodes;
    char dir[560];

    if (vp_cpus_at_read(AT_FDCWD, root, MEMS_FILE, &nodes) == 0 && !vp_cpuset_empty(&nodes) &&
        !vp_cpuset_within(&diff->wanted, &nodes)) {
        vp_cpuset_or(&nodes, &diff->wanted);
        if (add_write(job, root, &nodes) < 0)
            return -1;
    }
    if (!diff->own)
        return 0;
    group_dir(root, diff, dir, sizeof(dir));
    return add_write(job, dir, &diff->wanted);
}

/* After a fork of a program with threads: system calls and nothing else. */
static void do_job(const struct vp_mems_job *job)
{
    /* Its locks end with the enforcer, however long the kernel keeps us here. */
    syscall(SYS_close_range, 3, ~0u, 0);
    for (size_t i = 0; i < job->count; i++) {
        int fd = open(job->write[i].path, O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, job->write[i].text, strlen(job->write[i].text)) < 0)
            _exit(errno);
        close(fd);
    }
    _exit(0);
}

pid_t vp_mems_start(const struct vp_mems_job *job, int *fd, struct vp_error *err)
{
    pid_t pid = fork();

    if (pid == 0)
        do_job(job);
    *fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (*fd >= 0)
        return pid;
    vp_fail_errno(err, VP_HOST, errno, "a process to write %s", job->write[0].path);
    return -1;
}
