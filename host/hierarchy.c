/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/hierarchy.h"

#include <errno.h>
#include <fcntl.h>
#include <libcgroup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/cgroupfile.h"

/* libcgroup prints its complaints by itself unless told otherwise. */
static void say_nothing(void *data, int level, const char *format, va_list args)
{
    (void)data;
    (void)level;
    (void)format;
    (void)args;
}

/* The mount table is read anew each time: libcgroup keeps the one of its last
 * start. Its codes are positive, from 50000 on. */
static int start(struct vp_error *err)
{
    int code;

    cgroup_set_logger(say_nothing, CGROUP_LOG_ERROR, NULL);
    code = cgroup_init();
    if (code == 0 || code == ECGROUPNOTMOUNTED)
        return code == 0 ? 0 : vp_fail(err, VP_HOST, "no cgroup hierarchy is mounted");
    if (code == ECGOTHER)
        return vp_fail_errno(err, VP_HOST, cgroup_get_last_errno(), "reading the cgroup mounts");
    return vp_fail(err, VP_HOST, "reading the cgroup mounts: %s", cgroup_strerror(code));
}

/* ---- what is mounted ---- */

void vp_hierarchies_clear(struct vp_hierarchies *list)
{
    free(list->item);
    *list = (struct vp_hierarchies){0};
}

static enum vp_cgroup_version version_of(const char *mount)
{
    char path[512];

    snprintf(path, sizeof(path), "%.255s/cgroup.controllers", mount);
    return access(path, F_OK) == 0 ? VP_CGROUP_V2 : VP_CGROUP_V1;
}

static int add_controller(struct vp_hierarchies *list, const char *name, const char *mount)
{
    struct vp_hierarchy *one = NULL;
    size_t used;

    if (strlen(mount) >= sizeof(one->mount))
        return 0; /* too deep for any path that we could watch there */
    for (size_t i = 0; i < list->count && !one; i++)
        if (strcmp(list->item[i].mount, mount) == 0)
            one = &list->item[i];
    if (!one) {
        one = realloc(list->item, (list->count + 1) * sizeof(*one));
        if (!one)
            return -1;
        list->item = one;
        one += list->count++;
        *one = (struct vp_hierarchy){.version = version_of(mount)};
        strcpy(one->mount, mount);
    }
    used = strlen(one->controllers);
    if (used + strlen(name) + 2 <= sizeof(one->controllers))
        snprintf(one->controllers + used, sizeof(one->controllers) - used, "%s%.254s",
                 used ? "," : "", name);
    return 0;
}

int vp_hierarchies_list(struct vp_hierarchies *list, struct vp_error *err)
{
    struct cgroup_mount_point point;
    void *handle = NULL;
    int code, result = 0;

    *list = (struct vp_hierarchies){0};
    if (start(err) < 0)
        return -1;
    for (code = cgroup_get_controller_begin(&handle, &point); code == 0 && result == 0;
         code = cgroup_get_controller_next(&handle, &point))
        result = add_controller(list, point.name, point.path);
    cgroup_get_controller_end(&handle);
    if (result < 0)
        vp_fail(err, VP_HOST, "out of memory");
    else if (code != ECGEOF)
        result = vp_fail(err, VP_HOST, "listing the cgroup mounts: %s", cgroup_strerror(code));
    if (result < 0)
        vp_hierarchies_clear(list);
    return result;
}

/* ---- a group's ancestors ---- */

void vp_levels_clear(struct vp_levels *levels)
{
    free(levels->item);
    *levels = (struct vp_levels){0};
}

/* Whether libcgroup means the same directory as we do; it knows no recorded
 * trees. */
static bool is_mounted(const struct vp_cgroups *cgroups)
{
    char *mount = NULL;
    bool same = start(NULL) == 0 && cgroup_get_subsys_mount_point("cpuset", &mount) == 0 &&
                strcmp(mount, cgroups->mount) == 0;

    free(mount);
    return same;
}

/* A list of CPUs by libcgroup. Its cgroup_get_value_string would cut it at 100
 * characters. 0 or -errno. */
static int read_mounted(const char *group, const char *file, struct vp_cpuset *cpus)
{
    char text[VP_CPUSET_TEXT + 2], name[64];
    void *handle = NULL;
    int code;

    snprintf(name, sizeof(name), "%s", file);
    text[0] = '\0';
    code = cgroup_read_value_begin("cpuset", group, name, &handle, text, sizeof(text));
    if (code == 0 || code == ECGEOF)
        cgroup_read_value_end(&handle);
    if (code == ECGOTHER)
        return cgroup_get_last_errno() > 0 ? -cgroup_get_last_errno() : -EIO;
    if (code != 0 && code != ECGEOF)
        return code == ECGROUPNOTEXIST ? -ENOENT : -EIO;
    return vp_cpuset_parse_kernel(cpus, text, NULL) == 0 ? 0 : -EIO;
}

static const char *effective_file(const struct vp_cgroups *cgroups)
{
    return cgroups->version == VP_CGROUP_V2 ? "cpuset.cpus.effective" : "cpuset.effective_cpus";
}

static int read_file(const struct vp_cgroups *cgroups, bool mounted, const char *dir,
                     const char *file, struct vp_cpuset *cpus)
{
    const char *group = dir + strlen(cgroups->mount);

    if (mounted)
        return read_mounted(*group ? group : "/", file, cpus);
    return vp_cpus_at_read(AT_FDCWD, dir, file, cpus);
}

/* 0 or -errno; -ENOENT only if the group itself is not there. */
static int read_level(const struct vp_cgroups *cgroups, bool mounted, const struct vp_cpuset *above,
                      struct vp_level *level)
{
    int result = read_file(cgroups, mounted, level->dir, VP_CPUSET_FILE, &level->cpus);

    if (result < 0 && result != -ENOENT)
        return result;
    if (access(level->dir, F_OK) < 0)
        return -errno;
    level->set = result == 0 && !vp_cpuset_empty(&level->cpus);
    result = read_file(cgroups, mounted, level->dir, effective_file(cgroups), &level->effective);
    if (result != -ENOENT)
        return result;
    /* No such file: v1 before 3.17, where the set written is in force; v2
     * without the controller, where the level above decides. */
    if (level->set)
        level->effective = level->cpus;
    else if (above)
        level->effective = *above;
    return 0;
}

static int levels_failed(struct vp_levels *levels, const char *dir, int number,
                         struct vp_error *err)
{
    vp_levels_clear(levels);
    if (number == ENOENT || number == ENODEV)
        return vp_fail(err, VP_GONE, "the group %s is gone", dir);
    return vp_fail_errno(err, VP_HOST, number, "reading the cpuset of %s", dir);
}

int vp_levels_read(const struct vp_cgroups *cgroups, const char *dir, struct vp_levels *levels,
                   struct vp_error *err)
{
    size_t mount = strlen(cgroups->mount), length = strlen(dir);
    bool mounted;

    *levels = (struct vp_levels){0};
    if (cgroups->version == VP_CGROUP_NONE || strncmp(dir, cgroups->mount, mount) != 0 ||
        (dir[mount] != '\0' && dir[mount] != '/') || length >= sizeof(levels->item->dir))
        return vp_fail(err, VP_INPUT, "%.400s is no group below %s", dir, cgroups->mount);
    mounted = is_mounted(cgroups);
    for (size_t end = mount;; end++) {
        struct vp_level *grown, *one;
        int result;

        if (dir[end] != '\0' && dir[end] != '/')
            continue;
        grown = realloc(levels->item, (levels->count + 1) * sizeof(*grown));
        if (!grown)
            return levels_failed(levels, dir, ENOMEM, err);
        levels->item = grown;
        one = &grown[levels->count++];
        memset(one, 0, sizeof(*one));
        memcpy(one->dir, dir, end);
        result = read_level(cgroups, mounted, levels->count > 1 ? &one[-1].effective : NULL, one);
        if (result < 0)
            return levels_failed(levels, dir, -result, err);
        if (dir[end] == '\0')
            return 0;
    }
}

int vp_levels_narrowing(const struct vp_cgroups *cgroups, const struct vp_levels *levels,
                        const struct vp_cpuset *wanted, const char **file, struct vp_cpuset *value)
{
    for (size_t i = 0; i < levels->count; i++) {
        const struct vp_level *level = &levels->item[i];
        bool own;

        if (vp_cpuset_within(wanted, &level->effective))
            continue;
        /* Its own file, or CPUs that a partition beside it has taken (v2). */
        own = level->set && !vp_cpuset_within(wanted, &level->cpus);
        if (file)
            *file = own ? VP_CPUSET_FILE : effective_file(cgroups);
        if (value)
            *value = own ? level->cpus : level->effective;
        return (int)i;
    }
    return -1;
}

int vp_levels_widen(const struct vp_cgroups *cgroups, const struct vp_levels *levels,
                    const struct vp_cpuset *wanted, struct vp_error *err)
{
    for (size_t i = 1; i + 1 < levels->count; i++) {
        const struct vp_level *level = &levels->item[i];
        struct vp_cpuset cpus = level->cpus;

        if (!level->set || vp_cpuset_within(wanted, &level->cpus))
            continue;
        vp_cpuset_or(&cpus, wanted);
        if (vp_cgroup_write_cpus(cgroups, level->dir, &cpus, err) < 0)
            return -1;
    }
    return 0;
}
