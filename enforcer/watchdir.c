/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/watchdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "enforcer/enforcer.h"
#include "host/journal.h"

int vp_watchdir_open(struct vp_enforcer *enforcer, int *fd, sd_event_io_handler_t on_event)
{
    int fresh, result;

    if (*fd >= 0)
        return 0;
    fresh = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fresh < 0)
        return -errno;
    result = sd_event_add_io(enforcer->event, NULL, fresh, EPOLLIN, on_event, enforcer);
    if (result < 0) {
        close(fresh);
        return result;
    }
    *fd = fresh;
    return 0;
}

int vp_watchdir_add(int fd, const char *dir, uint32_t mask)
{
    int wd = inotify_add_watch(fd, dir, mask);

    return wd >= 0 ? wd : errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

void vp_watchdir_said(struct vp_enforcer *enforcer, enum vp_sight_of what, int result,
                      const char *dir)
{
    struct vp_sight *sight = &enforcer->sight;
    char why[160];

    if (result >= 0) {
        if (sight->blind[what][0] && sight->until_us[what] == 0)
            vp_sight_blind(enforcer, what, NULL);
        return;
    }
    if (sight->blind[what][0] && sight->until_us[what] == 0)
        return;
    snprintf(why, sizeof(why), "inotify on %.60s: %s%s", dir, strerror(-result),
             result == -ENOSPC   ? " (sysctl fs.inotify.max_user_watches)"
             : result == -EMFILE ? " (sysctl fs.inotify.max_user_instances)"
                                 : "");
    vp_sight_blind(enforcer, what, why);
    vp_journal(LOG_WARNING, VP_MSG_BLIND, NULL, 0, "%s", sight->blind[what]);
}

int vp_watchdir_read(int fd, void (*take)(void *data, const struct inotify_event *event),
                     void *data)
{
    char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length;
    int lost = 0;

    while (fd >= 0 && (length = read(fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            if (event->mask & IN_Q_OVERFLOW)
                lost = 1;
            else
                take(data, event);
            at += sizeof(*event) + event->len;
        }
    }
    return lost;
}

/* FNV-1a. */
static void mix(uint64_t *sum, const void *bytes, size_t length)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < length; i++)
        *sum = (*sum ^ at[i]) * 1099511628211u;
}

uint64_t vp_watchdir_sum(const char *dir, const char *end)
{
    DIR *list = opendir(dir);
    struct dirent *entry;
    uint64_t all = list ? 1 : 0;

    while (list && (entry = readdir(list))) {
        size_t length = strlen(entry->d_name);
        uint64_t sum = 14695981039346656037u;
        struct stat st;

        if (length <= strlen(end) || strcmp(entry->d_name + length - strlen(end), end) != 0 ||
            fstatat(dirfd(list), entry->d_name, &st, 0) < 0)
            continue;
        mix(&sum, entry->d_name, length);
        mix(&sum, &st.st_ino, sizeof(st.st_ino));
        mix(&sum, &st.st_size, sizeof(st.st_size));
        mix(&sum, &st.st_mode, sizeof(st.st_mode));
        mix(&sum, &st.st_mtim, sizeof(st.st_mtim));
        mix(&sum, &st.st_ctim, sizeof(st.st_ctim));
        all += sum; /* in whatever order they come */
    }
    if (list)
        closedir(list);
    return all;
}
