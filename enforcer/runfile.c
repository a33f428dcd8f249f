/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/runfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "host/threads.h"

/* As many digits as let the numbers be overwritten in place: until 2286, and a day long. */
#define SWEEP_FORMAT                                                                               \
    "last_sweep_ms=%013" PRId64 "\nsweep_lag_us=%011" PRId64 "\nsweep_us=%011" PRId64 "\n"
#define SWEEP_MOST_US 86400000000

static int64_t at_most_a_day(int64_t us)
{
    return us < 0 ? 0 : us < SWEEP_MOST_US ? us : SWEEP_MOST_US;
}

static int held_by_another(const char *path, int fd, struct vp_error *err)
{
    char pid[32] = "";
    ssize_t length = pread(fd, pid, sizeof(pid) - 1, 0);

    pid[length > 0 ? strcspn(pid, "\n") : 0] = '\0';
    return vp_fail(err, VP_REFUSED, "another enforcer runs already, pid %s (it holds %s)",
                   *pid ? pid : "unknown", path);
}

static int take_lock(struct vp_runfile *file, struct vp_error *err)
{
    char path[PATH_MAX];
    int fd;

    snprintf(path, sizeof(path), "%s/enforcer.lock", file->dir);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int number = errno;

        if (number == EWOULDBLOCK)
            held_by_another(path, fd, err);
        else
            vp_fail_errno(err, VP_HOST, number, "cannot lock %s", path);
        close(fd);
        return -1;
    }
    file->lock_fd = fd;
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", path);
    return 0;
}

int vp_runfile_open(struct vp_runfile *file, const char *run_dir, struct vp_error *err)
{
    file->lock_fd = -1;
    file->fd = -1;
    if (mkdir(run_dir, 0700) < 0 && errno != EEXIST)
        return vp_fail_errno(err, VP_HOST, errno, "cannot make %s", run_dir);
    file->dir = strdup(run_dir);
    if (!file->dir)
        return vp_fail(err, VP_HOST, "out of memory");
    return take_lock(file, err);
}

static int print_members(const struct vp_runfile *file, int fd)
{
    int length = dprintf(
        fd,
        SWEEP_FORMAT "pid=%d\nstart=%" PRIu64 "\nsince_ms=%" PRId64
                     "\nlibvirt=%s\ncan_repair=%s\n%s%s%s%s%s%s",
        file->last_sweep_ms, at_most_a_day(file->sweep_lag_us), at_most_a_day(file->sweep_us),
        (int)getpid(), vp_process_start("/proc", getpid()), file->since_ms,
        file->connected ? "connected" : "reconnecting", file->why[0] ? "no" : "yes",
        file->why[0] ? "why=" : "", file->why, file->why[0] ? "\n" : "",
        file->remedy[0] ? "remedy=" : "", file->remedy, file->remedy[0] ? "\n" : "");

    for (int i = 0; i < VP_SIGHT_COUNT && length >= 0; i++) {
        if (file->blind[i][0])
            length = dprintf(fd, "blind=%s\n", file->blind[i]);
    }
    return length;
}

int vp_runfile_write(struct vp_runfile *file, struct vp_error *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int fd;

    if (snprintf(path, sizeof(path), "%s/enforcer", file->dir) >= (int)sizeof(path) - 8)
        return vp_fail(err, VP_HOST, "the path %s is too long", file->dir);
    snprintf(fresh, sizeof(fresh), "%s/enforcer.new", file->dir);
    fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", fresh);
    if (print_members(file, fd) < 0 || rename(fresh, path) < 0) {
        int number = errno;

        close(fd);
        unlink(fresh);
        return vp_fail_errno(err, VP_HOST, number, "cannot write %s", path);
    }
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    return 0;
}

static bool deleted(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink == 0;
}

/* Somebody emptied the directory: a lock that has no name keeps nobody out. */
static void make_again(struct vp_runfile *file)
{
    struct vp_error err = {0};
    int lock = file->lock_fd;

    if (deleted(lock) && (mkdir(file->dir, 0700) == 0 || errno == EEXIST)) {
        file->lock_fd = -1;
        take_lock(file, &err);
        if (file->lock_fd >= 0)
            close(lock);
        else
            file->lock_fd = lock; /* another one has it; the next sweep tries again */
    }
    if (deleted(file->fd))
        vp_runfile_write(file, &err);
}

void vp_runfile_swept(struct vp_runfile *file, int64_t now_ms)
{
    char line[128];
    int length;

    file->last_sweep_ms = now_ms;
    if (file->fd < 0)
        return;
    make_again(file);
    length = snprintf(line, sizeof(line), SWEEP_FORMAT, now_ms, at_most_a_day(file->sweep_lag_us),
                      at_most_a_day(file->sweep_us));
    /* Of a failure nothing follows but that status shows an older sweep. */
    if (pwrite(file->fd, line, (size_t)length, 0) != length)
        file->last_sweep_ms = now_ms;
}

void vp_runfile_close(struct vp_runfile *file)
{
    char path[PATH_MAX];

    if (!file->dir)
        return;
    if (file->fd >= 0) {
        snprintf(path, sizeof(path), "%s/enforcer", file->dir);
        unlink(path);
        close(file->fd);
    }
    if (file->lock_fd >= 0)
        close(file->lock_fd);
    free(file->dir);
    *file = (struct vp_runfile){.lock_fd = -1, .fd = -1};
}
