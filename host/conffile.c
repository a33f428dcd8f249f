/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/conffile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "decide/finding.h"
#include "decide/policydraft.h"
#include "host/confread.h"

/* ---- who may have written it ---- */

/* A sticky directory lets nobody replace another's file. */
static int check_safe(const struct stat *st, const char *path, struct vp_error *err)
{
    bool sticky_dir = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) != 0;

    if (st->st_uid != 0 && st->st_uid != geteuid())
        return vp_fail(err, VP_INPUT, "%s belongs to uid %u, legal: root or the caller", path,
                       (unsigned)st->st_uid);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_dir)
        return vp_fail(err, VP_INPUT, "%s has mode %04o, others than its owner may write it", path,
                       (unsigned)st->st_mode & 07777);
    return 0;
}

static void add_finding(struct vp_findings *findings, enum vp_grade grade, const char *path,
                        const char *text, const char *remedy)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    struct vp_finding finding = {
        .grade = grade,
        .file = (char *)(slash && slash[1] != '\0' ? slash + 1 : path),
        .text = (char *)text,
        .remedy = (char *)remedy,
    };

    vp_findings_add(findings, &finding);
}

/* 0 if the object may be believed, with a warning where lenient. */
static int believe(const struct stat *st, const char *path, bool lenient,
                   struct vp_findings *findings, struct vp_error *err)
{
    struct vp_error unsafe;

    if (check_safe(st, path, &unsafe) == 0)
        return 0;
    if (!lenient)
        return vp_fail(err, unsafe.code, "%s", unsafe.text);
    add_finding(findings, VP_WARNING, path, unsafe.text, "chown root and chmod go-w");
    return 0;
}

/* ---- reading ---- */

static int make_room(struct vp_file *file, size_t size, const char *path, struct vp_error *err)
{
    char *bytes;

    if (size <= file->room)
        return 0;
    bytes = realloc(file->bytes, size + 4096);
    if (!bytes)
        return vp_fail(err, VP_HOST, "%s: out of memory", path);
    file->bytes = bytes;
    file->room = size + 4096;
    return 0;
}

/* One byte more is asked for than fstat promised, to see a file that grows. */
static int read_all(int fd, size_t size, const char *path, struct vp_file *file,
                    struct vp_error *err)
{
    if (make_room(file, size + 1, path, err) < 0)
        return -1;
    file->size = 0;
    while (file->size <= size) {
        ssize_t got = read(fd, file->bytes + file->size, size + 1 - file->size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vp_fail_errno(err, VP_HOST, errno, "%s", path);
        file->size += (size_t)got;
        if (got == 0 || file->size == size)
            return 0;
    }
    return vp_fail(err, VP_INPUT, "%s grows while it is read", path);
}

static int read_open(int fd, const char *path, bool lenient, struct vp_file *file,
                     struct vp_findings *findings, struct vp_error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return vp_fail(err, VP_INPUT, "%s is not a regular file", path);
    if (st.st_size > VP_CONF_FILE_MAX)
        return vp_fail(err, VP_INPUT, "%s has %lld bytes, more than %d", path,
                       (long long)st.st_size, VP_CONF_FILE_MAX);
    if (believe(&st, path, lenient, findings, err) < 0)
        return -1;
    return read_all(fd, (size_t)st.st_size, path, file, err);
}

enum vp_file_state vp_conf_read_file(int dirfd, const char *name, const char *path, bool lenient,
                                     struct vp_file *file, struct vp_findings *findings,
                                     struct vp_error *err)
{
    /* Not blocking: a FIFO there must not hold up a hook. */
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int result;

    if (fd < 0) {
        int number = errno;

        vp_fail_errno(err, VP_INPUT, number, "%s", path);
        return number == ENOENT || number == ENOTDIR ? VP_FILE_ABSENT : VP_FILE_BAD;
    }
    result = read_open(fd, path, lenient, file, findings, err);
    close(fd);
    return result == 0 ? VP_FILE_READ : VP_FILE_BAD;
}

/* ---- a directory's files ---- */

struct entry {
    char *name;
    size_t dir; /* which of the directories */
};

struct listing {
    struct entry *item;
    size_t count, room;
};

struct place {
    const char *path;
    int fd;
};

static bool is_conf(const char *name)
{
    size_t length = strlen(name);

    return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

static int add_entry(struct listing *listing, const char *name, size_t dir)
{
    if (listing->count == listing->room) {
        size_t room = listing->room > 0 ? 2 * listing->room : 64;
        struct entry *item = reallocarray(listing->item, room, sizeof(*item));

        if (!item)
            return -1;
        listing->item = item;
        listing->room = room;
    }
    listing->item[listing->count].name = strdup(name);
    if (!listing->item[listing->count].name)
        return -1;
    listing->item[listing->count++].dir = dir;
    return 0;
}

static int list_open_dir(struct listing *listing, int fd, const char *path, size_t number,
                         struct vp_error *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *found;
    int result = 0;

    if (!dir) {
        int cause = errno;

        if (copy >= 0)
            close(copy);
        return vp_fail_errno(err, VP_HOST, cause, "%s", path);
    }
    for (errno = 0; result == 0 && (found = readdir(dir)); errno = 0)
        if (is_conf(found->d_name) && add_entry(listing, found->d_name, number) < 0)
            result = vp_fail(err, VP_HOST, "%s: out of memory", path);
    if (result == 0 && errno != 0)
        result = vp_fail_errno(err, VP_HOST, errno, "%s", path);
    closedir(dir);
    return result;
}

static int list_dir(struct listing *listing, struct place *place, size_t number, bool must_exist,
                    bool lenient, struct vp_findings *findings, struct vp_error *err)
{
    struct stat st;

    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (place->fd < 0 && errno == ENOENT && !must_exist)
        return 0;
    if (place->fd < 0 || fstat(place->fd, &st) < 0)
        return vp_fail_errno(err, VP_INPUT, errno, "%s", place->path);
    if (believe(&st, place->path, lenient, findings, err) < 0)
        return -1;
    return list_open_dir(listing, place->fd, place->path, number, err);
}

static int by_name(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    if (order != 0)
        return order;
    return left->dir < right->dir ? -1 : left->dir > right->dir;
}

static void read_entry(struct vp_draft *draft, const struct place *place, const char *name,
                       bool lenient, struct vp_file *file, struct vp_findings *findings)
{
    struct vp_error err;
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", place->path, name);
    if (vp_conf_read_file(place->fd, name, path, lenient, file, findings, &err) == VP_FILE_READ)
        vp_conf_read_text(draft, path, file->bytes, file->size, findings);
    else
        vp_draft_error(draft, path, 0, findings, "%s", err.text);
}

enum { DIRS_MAX = 4 };

void vp_conf_read_dirs(struct vp_draft *draft, const char *const *dirs, size_t count,
                       bool must_exist, bool lenient, struct vp_findings *findings)
{
    struct place place[DIRS_MAX];
    struct listing listing = {0};
    struct vp_file file = {0};

    for (size_t i = 0; i < count && i < DIRS_MAX; i++) {
        struct vp_error err;

        place[i] = (struct place){.path = dirs[i], .fd = -1};
        if (list_dir(&listing, &place[i], i, must_exist, lenient, findings, &err) < 0)
            vp_draft_error(draft, dirs[i], 0, findings, "%s", err.text);
    }
    if (listing.count > 0)
        qsort(listing.item, listing.count, sizeof(*listing.item), by_name);
    for (size_t i = 0; i < listing.count; i++) {
        const struct entry *entry = &listing.item[i];

        if (i + 1 == listing.count || strcmp(entry->name, entry[1].name) != 0)
            read_entry(draft, &place[entry->dir], entry->name, lenient, &file, findings);
    }
    for (size_t i = 0; i < listing.count; i++)
        free(listing.item[i].name);
    for (size_t i = 0; i < count && i < DIRS_MAX; i++)
        if (place[i].fd >= 0)
            close(place[i].fd);
    free(listing.item);
    free(file.bytes);
}

/* ---- one file ---- */

static int check_parent(const char *path, bool lenient, struct vp_findings *findings,
                        struct vp_error *err)
{
    char dir[4096];
    char *slash;
    struct stat st;

    snprintf(dir, sizeof(dir), "%s", path);
    slash = strrchr(dir, '/');
    if (!slash)
        snprintf(dir, sizeof(dir), ".");
    else
        slash[slash == dir ? 1 : 0] = '\0';
    if (stat(dir, &st) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", dir);
    return believe(&st, dir, lenient, findings, err);
}

void vp_conf_read_one(struct vp_draft *draft, const char *path, bool must_exist, bool lenient,
                      struct vp_findings *findings)
{
    struct vp_file file = {0};
    struct vp_error err;
    enum vp_file_state state =
        vp_conf_read_file(AT_FDCWD, path, path, lenient, &file, findings, &err);

    if (state == VP_FILE_READ && check_parent(path, lenient, findings, &err) < 0)
        state = VP_FILE_BAD;
    if (state == VP_FILE_READ)
        vp_conf_read_text(draft, path, file.bytes, file.size, findings);
    else if (state == VP_FILE_BAD || must_exist)
        vp_draft_error(draft, path, 0, findings, "%s", err.text);
    free(file.bytes);
}

/* ---- writing ---- */

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(fd, bytes, size);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        bytes += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

int vp_conf_write_file(const char *path, const char *bytes, size_t size, unsigned mode,
                       struct vp_error *err)
{
    char temporary[4096];
    int fd, cause;

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return vp_fail(err, VP_INPUT, "%.200s...: the path is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "%s", temporary);
    if (write_all(fd, bytes, size) == 0 && fchmod(fd, mode) == 0 && close(fd) == 0) {
        if (rename(temporary, path) == 0)
            return 0;
        fd = -1;
    }
    cause = errno;
    if (fd >= 0)
        close(fd);
    unlink(temporary);
    return vp_fail_errno(err, VP_HOST, cause, "%s", path);
}
