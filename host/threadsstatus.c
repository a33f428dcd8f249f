/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/threads.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"

/* libvirt's status files. It replaces them by rename, so that a reader never
 * sees half a file. */

static int read_open_file(int fd, const char *path, char **bytes, size_t *length,
                          struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    size_t used = 0;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return vp_fail(err, VP_INPUT, "%s is no regular file", path);
    if (st.st_size > VP_XML_MAX)
        return vp_fail(err, VP_INPUT, "%s has %lld bytes, legal are up to %u", path,
                       (long long)st.st_size, VP_XML_MAX);
    text = malloc((size_t)st.st_size + 1);
    if (!text)
        return vp_fail(err, VP_HOST, "%s: out of memory", path);
    while (used < (size_t)st.st_size) {
        ssize_t got = read(fd, text + used, (size_t)st.st_size - used);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vp_fail_errno(err, VP_HOST, errno, "%s", path);
        if (got == 0)
            break;
        used += (size_t)got;
    }
    text[used] = '\0';
    *length = used;
    *bytes = VP_STEAL(text);
    return 0;
}

int vp_status_load(const char *status_dir, const char *name, struct vp_status **status,
                   struct vp_error *err)
{
    VP_AUTO(free) char *text = NULL;
    char path[1024];
    size_t length = 0;
    int fd, result;

    if (name[0] == '\0' || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return vp_fail(err, VP_INPUT, "found \"%.80s\" where a guest's name should be", name);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s.xml", status_dir, name) >= sizeof(path))
        return vp_fail(err, VP_INPUT, "the guest's name \"%.80s...\" is too long", name);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return vp_fail(err, VP_GONE, "guest %s is not running: there is no %s", name, path);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    result = read_open_file(fd, path, &text, &length, err);
    close(fd);
    if (result < 0)
        return -1;
    if (vp_status_parse(text, length, status, err) < 0)
        return vp_wrap(err, "%s", path);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

/* Appends the name of NAME.xml; other entries are no guests. */
static int add_name(char ***list, size_t *count, const char *entry)
{
    size_t length = strlen(entry);
    char **grown, *name;

    if (length <= 4 || entry[0] == '.' || strcmp(entry + length - 4, ".xml") != 0)
        return 0;
    name = strndup(entry, length - 4);
    grown = name ? realloc(*list, (*count + 1) * sizeof(*grown)) : NULL;
    if (!grown) {
        free(name);
        return -1;
    }
    *list = grown;
    grown[(*count)++] = name;
    return 0;
}

int vp_status_names(const char *status_dir, char ***names, size_t *count, struct vp_error *err)
{
    char **list = NULL;
    size_t found = 0;
    struct dirent *entry;
    int result = 0;
    DIR *dir;

    *names = NULL;
    *count = 0;
    dir = opendir(status_dir);
    if (!dir)
        return errno == ENOENT ? 0 : vp_fail_errno(err, VP_HOST, errno, "%s", status_dir);
    while (result == 0 && (entry = readdir(dir)))
        if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN)
            result = add_name(&list, &found, entry->d_name);
    closedir(dir);
    if (result < 0) {
        free_names(list, found);
        return vp_fail(err, VP_HOST, "%s: out of memory", status_dir);
    }
    if (found > 0)
        qsort(list, found, sizeof(*list), by_name);
    *names = list;
    *count = found;
    return 0;
}
