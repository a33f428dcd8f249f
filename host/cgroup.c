/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"

/* One line a hierarchy (v1 has about a dozen), each path below PATH_MAX. */
#define PROC_CGROUP_TEXT 16384

static bool has_word(const char *text, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = text; (at = strstr(at, word)); at += length) {
        bool starts = at == text || at[-1] == ' ';

        if (starts && (at[length] == '\0' || at[length] == ' ' || at[length] == '\n'))
            return true;
    }
    return false;
}

/* A controller, and the file by which a group of its own v1 hierarchy is told. */
struct kind {
    const char *controller, *file;
};
static const struct kind cpuset_kind = {"cpuset", VP_CPUSET_FILE};
static const struct kind cpu_kind = {"cpu", "cpu.shares"};

/* What the mount point `dir` is: v2 with or without the controller, a v1
 * hierarchy with it, or neither. *is_v2 says whether it is a v2 mount at all. */
static enum vp_cgroup_version probe(const struct kind *kind, const char *dir, bool *is_v2)
{
    char path[512], text[1024];

    *is_v2 = false;
    if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.controllers", dir) >= sizeof(path))
        return VP_CGROUP_NONE;
    if (vp_file_read(AT_FDCWD, path, text, sizeof(text)) >= 0) {
        *is_v2 = true;
        return has_word(text, kind->controller) ? VP_CGROUP_V2 : VP_CGROUP_NONE;
    }
    snprintf(path, sizeof(path), "%s/%s", dir, kind->file);
    return access(path, F_OK) == 0 ? VP_CGROUP_V1 : VP_CGROUP_NONE;
}

static int found(struct vp_cgroups *cgroups, enum vp_cgroup_version version, const char *dir,
                 struct vp_error *err)
{
    if (strlen(dir) >= sizeof(cgroups->mount))
        return vp_fail(err, VP_HOST, "%s: the path is too long", dir);
    strcpy(cgroups->mount, dir);
    cgroups->version = version;
    return 0;
}

/* v1 and hybrid: each controller, or a few joined ones, in a directory. */
static int find_below(const struct kind *kind, const char *dir, struct vp_cgroups *cgroups,
                      struct vp_error *err)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    int result = 0;

    if (!list)
        return errno == ENOENT ? 0 : vp_fail_errno(err, VP_HOST, errno, "%s", dir);
    while (cgroups->version == VP_CGROUP_NONE && result == 0 && (entry = readdir(list))) {
        char path[512];
        enum vp_cgroup_version version;
        bool is_v2;

        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name) >= sizeof(path))
            continue;
        version = probe(kind, path, &is_v2);
        if (version != VP_CGROUP_NONE)
            result = found(cgroups, version, path, err);
    }
    closedir(list);
    return result;
}

static int find(const struct kind *kind, const char *cgroup_dir, const char *proc,
                struct vp_cgroups *cgroups, struct vp_error *err)
{
    enum vp_cgroup_version version;
    char path[512];
    bool is_v2;

    *cgroups = (struct vp_cgroups){0};
    if (!proc)
        proc = "/proc";
    if (strlen(proc) >= sizeof(cgroups->proc) || strlen(cgroup_dir) >= sizeof(cgroups->mount))
        return vp_fail(err, VP_INPUT, "%s, %s: a path is too long", cgroup_dir, proc);
    strcpy(cgroups->proc, proc);
    /* First the unified layout: below a v2 mount every group's directory has a
     * cpuset.cpus and would look like a v1 mount. */
    version = probe(kind, cgroup_dir, &is_v2);
    if (is_v2 && version == VP_CGROUP_NONE)
        return 0;
    if (is_v2)
        return found(cgroups, version, cgroup_dir, err);
    snprintf(path, sizeof(path), "%s/%s", cgroup_dir, kind->controller);
    version = probe(kind, path, &is_v2);
    if (version != VP_CGROUP_NONE)
        return found(cgroups, version, path, err);
    return find_below(kind, cgroup_dir, cgroups, err);
}

int vp_cgroups_find(const char *cgroup_dir, const char *proc, struct vp_cgroups *cgroups,
                    struct vp_error *err)
{
    return find(&cpuset_kind, cgroup_dir, proc, cgroups, err);
}

int vp_cgroups_find_cpu(const char *cgroup_dir, const char *proc, struct vp_cgroups *cgroups,
                        struct vp_error *err)
{
    return find(&cpu_kind, cgroup_dir, proc, cgroups, err);
}

/* The path that the kernel gives for a process, made a directory of ours. */
static int group_dir(const struct vp_cgroups *cgroups, const char *path, pid_t pid, char *dir,
                     size_t size, struct vp_error *err)
{
    size_t length = strlen(path);
    const char *deleted = " (deleted)";

    if (length > strlen(deleted) && strcmp(path + length - strlen(deleted), deleted) == 0)
        return vp_fail(err, VP_GONE, "the group of process %d is gone", (int)pid);
    if (strncmp(path, "/..", 3) == 0)
        return vp_fail(err, VP_HOST,
                       "process %d is in the group %s, outside of this cgroup namespace", (int)pid,
                       path);
    if (strcmp(path, "/") == 0)
        path = "";
    if ((size_t)snprintf(dir, size, "%s%s", cgroups->mount, path) >= size)
        return vp_fail(err, VP_HOST, "the group %s of process %d has too long a path", path,
                       (int)pid);
    return 0;
}

static int group_of(const struct vp_cgroups *cgroups, const char *controller, pid_t pid, pid_t tid,
                    char *dir, size_t size, struct vp_error *err)
{
    char path[320], text[PROC_CGROUP_TEXT];
    const char *group;
    ssize_t length;

    if (cgroups->version == VP_CGROUP_NONE)
        return vp_fail(err, VP_HOST, "this host has no %s controller", controller);
    if (tid > 0)
        snprintf(path, sizeof(path), "%s/%d/task/%d/cgroup", cgroups->proc, (int)pid, (int)tid);
    else
        snprintf(path, sizeof(path), "%s/%d/cgroup", cgroups->proc, (int)pid);
    length = vp_file_read(AT_FDCWD, path, text, sizeof(text));
    if (length == -ENOENT || length == -ESRCH)
        return vp_fail(err, VP_GONE, "process %d has ended", (int)(tid > 0 ? tid : pid));
    if (length < 0)
        return vp_fail_errno(err, VP_HOST, (int)-length, "%s", path);
    group = vp_cgroup_line_of(cgroups->version, controller, text);
    if (!group || group[0] != '/')
        return vp_fail(err, VP_HOST, "%s has no line for the %s controller", path, controller);
    return group_dir(cgroups, group, pid, dir, size, err);
}

int vp_cgroup_of(const struct vp_cgroups *cgroups, pid_t pid, pid_t tid, char *dir, size_t size,
                 struct vp_error *err)
{
    return group_of(cgroups, cpuset_kind.controller, pid, tid, dir, size, err);
}

int vp_cgroup_cpu_of(const struct vp_cgroups *cgroups, pid_t pid, char *dir, size_t size,
                     struct vp_error *err)
{
    return group_of(cgroups, cpu_kind.controller, pid, 0, dir, size, err);
}

int vp_cgroup_guest_root(const struct vp_cgroups *cgroups, pid_t pid, char *dir, size_t size,
                         struct vp_error *err)
{
    static const char emulator[] = "/emulator";
    char path[1024];
    size_t length;

    if (vp_cgroup_of(cgroups, pid, 0, dir, size, err) < 0)
        return -1;
    length = strlen(dir);
    if (length < strlen(emulator) || strcmp(dir + length - strlen(emulator), emulator) != 0)
        return vp_fail(err, VP_HOST,
                       "process %d is in %s, not in an emulator group: libvirt has given it no "
                       "cpuset groups",
                       (int)pid, dir);
    /* v2 makes the groups for other controllers too, without cpuset files
     * (cgroup_controllers of qemu.conf without cpuset). */
    if ((size_t)snprintf(path, sizeof(path), "%s/" VP_CPUSET_FILE, dir) >= sizeof(path) ||
        (access(path, F_OK) < 0 && errno == ENOENT))
        return vp_fail(err, VP_HOST, "%s has no cpuset controller", dir);
    dir[length - strlen(emulator)] = '\0';
    return 0;
}

static int read_failed(const char *dir, int number, struct vp_error *err)
{
    if (number == ENOENT || number == ENODEV)
        return vp_fail(err, VP_GONE, "the group %s is gone", dir);
    return vp_fail_errno(err, VP_HOST, number, "reading the cpuset of %s", dir);
}

int vp_cgroup_read_cpus(const struct vp_cgroups *cgroups, const char *dir, struct vp_cpuset *cpus,
                        struct vp_cpuset *effective, struct vp_error *err)
{
    int result = vp_cpus_at_read(AT_FDCWD, dir, VP_CPUSET_FILE, cpus);

    if (result == 0)
        result = vp_cpus_at_effective(cgroups, AT_FDCWD, dir, effective);
    return result == 0 ? 0 : read_failed(dir, -result, err);
}

int vp_cgroup_write_cpus(const struct vp_cgroups *cgroups, const char *dir,
                         const struct vp_cpuset *cpus, struct vp_error *err)
{
    char path[1024];
    int fd, result;

    if (vp_cpuset_empty(cpus))
        return vp_fail(err, VP_INPUT, "%s: an empty set of CPUs is no cpuset", dir);
    if ((size_t)snprintf(path, sizeof(path), "%s/" VP_CPUSET_FILE, dir) >= sizeof(path))
        return vp_fail(err, VP_INPUT, "%s: the path is too long", dir);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return vp_cgroup_write_failed(cgroups->version, dir, cpus, errno == EACCES ? EPERM : errno,
                                      err);
    result = vp_cpus_fd_write(fd, cpus);
    close(fd);
    return result == 0 ? 0 : vp_cgroup_write_failed(cgroups->version, dir, cpus, -result, err);
}
