/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/cgroupfile.h"
#include "host/threads.h"

/* Who a process is, from /proc: proc(5). */

/* In one read, because whoever is asked about may end any moment, and somebody
 * waits for the repair: these files are made whole at the first. */
static bool read_of(const char *proc, pid_t pid, const char *file, char *text, size_t size)
{
    char path[320];
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "%.256s/%d/%s", proc, (int)pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length >= 0;
}

/* Field `number` (from 3, the state) of /proc/PID/stat; comm, the second, may
 * hold blanks and brackets, its end is the last bracket. NULL if too short. */
static const char *stat_field(const char *text, int number)
{
    const char *at = strrchr(text, ')');

    for (int field = 2; at && field < number; field++) {
        at = strchr(at, ' ');
        if (at)
            at++;
    }
    return at;
}

uint64_t vp_process_start(const char *proc, pid_t pid)
{
    char text[2048];
    const char *field;

    if (!read_of(proc, pid, "stat", text, sizeof(text)))
        return 0;
    field = stat_field(text, 22);
    return field && isdigit((unsigned char)*field) ? strtoull(field, NULL, 10) : 0;
}

/* From the text of /proc/PID/stat. Terminal and journal get this: a process may
 * call itself anything, brackets and line ends too. */
static void take_comm(const char *text, struct vp_culprit *culprit)
{
    const char *from = strchr(text, '('), *to = strrchr(text, ')');

    if (!from || !to || to < from)
        return;
    snprintf(culprit->comm, sizeof(culprit->comm), "%.*s", (int)(to - from - 1), from + 1);
    for (char *at = culprit->comm; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
}

static void read_uid(const char *proc, struct vp_culprit *culprit)
{
    char text[8192];
    const char *line;

    if (!read_of(proc, culprit->pid, "status", text, sizeof(text)))
        return;
    line = strstr(text, "\nUid:");
    if (!line)
        return;
    line += strlen("\nUid:");
    line += strspn(line, " \t");
    if (isdigit((unsigned char)*line))
        culprit->uid = strtol(line, NULL, 10);
}

/* Majors as in the kernel's Documentation/admin-guide/devices.txt. */
static void take_tty(const char *text, struct vp_culprit *culprit)
{
    const char *field;
    unsigned long device;
    unsigned major, minor;

    field = stat_field(text, 7);
    device = field && isdigit((unsigned char)*field) ? strtoul(field, NULL, 10) : 0;
    major = (unsigned)(device >> 8 & 0xfff);
    minor = (unsigned)((device & 0xff) | (device >> 12 & 0xfff00));
    if (major >= 136 && major <= 143)
        snprintf(culprit->tty, sizeof(culprit->tty), "pts/%u", (major - 136) * 256 + minor);
    else if (major == 4 && minor < 64)
        snprintf(culprit->tty, sizeof(culprit->tty), "tty%u", minor);
    else if (major == 4)
        snprintf(culprit->tty, sizeof(culprit->tty), "ttyS%u", minor - 64);
}

/* The path of systemd's own hierarchy: "name=systemd" under v1 and hybrid,
 * else the unified one. */
static const char *systemd_path(char *text)
{
    const char *unified = NULL;
    char *next;

    for (char *line = text; line && *line; line = next) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!path)
            continue;
        if (strncmp(names, ":name=systemd:", 14) == 0)
            return path + 1;
        if (strncmp(names, "::", 2) == 0)
            unified = path + 1;
    }
    return unified;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t tail = strlen(end);

    return length > tail && memcmp(text + length - tail, end, tail) == 0;
}

/* The outermost part of the path that is a service or a scope, as systemd
 * itself counts (cg_path_get_unit); what is below belongs to it. */
static void unit_of_path(const char *path, char *unit, size_t size)
{
    unit[0] = '\0';
    while (path && *path) {
        size_t length;

        path += strspn(path, "/");
        length = strcspn(path, "/");
        if (ends_with(path, length, ".service") || ends_with(path, length, ".scope")) {
            snprintf(unit, size, "%.*s", (int)length, path);
            return;
        }
        path += length;
    }
}

void vp_culprit_unit_of(const char *proc, pid_t pid, char *unit, size_t size)
{
    char text[16384];

    unit[0] = '\0';
    if (read_of(proc, pid, "cgroup", text, sizeof(text)))
        unit_of_path(systemd_path(text), unit, size);
}

/* kernfs's handle (FILEID_KERNFS of linux/exportfs.h) is the inode's number. */
void vp_culprit_unit(const char *v2_mount, uint64_t group, char *unit, size_t size)
{
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + sizeof(group)];
    } id = {.handle = {.handle_bytes = sizeof(group), .handle_type = 0xfe}};
    char link[64], path[PATH_MAX];
    int mount = open(v2_mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
    ssize_t length = -1;

    unit[0] = '\0';
    memcpy(id.handle.f_handle, &group, sizeof(group));
    if (mount >= 0)
        dir = open_by_handle_at(mount, &id.handle, O_PATH | O_CLOEXEC);
    if (dir >= 0) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
        length = readlink(link, path, sizeof(path) - 1);
        close(dir);
    }
    if (mount >= 0)
        close(mount);
    if (length <= (ssize_t)strlen(v2_mount))
        return;
    path[length] = '\0';
    if (strncmp(path, v2_mount, strlen(v2_mount)) == 0)
        unit_of_path(path + strlen(v2_mount), unit, size);
}

void vp_culprit_of(const char *proc, pid_t pid, struct vp_culprit *culprit)
{
    char text[2048];

    *culprit = (struct vp_culprit){.pid = pid, .uid = -1};
    if (pid <= 0)
        return;
    if (read_of(proc, pid, "stat", text, sizeof(text))) {
        take_comm(text, culprit);
        take_tty(text, culprit);
    }
    read_uid(proc, culprit);
    vp_culprit_unit_of(proc, pid, culprit->unit, sizeof(culprit->unit));
}
