/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/definition_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"

/* More than so many writes within one define are no race but a storm. */
#define EVENTS_MAX 64

struct seen {
    ino_t inode;
    int fd;
};

struct entry {
    enum vp_watch_event event;
    ino_t inode; /* of what stood there when we looked; 0 nothing */
    char *text;
};

struct vp_watch {
    char name[NAME_MAX + 1];  /* "db-1.xml" */
    char fresh[NAME_MAX + 8]; /* "db-1.xml.new" */
    int dir_fd, notify_fd, stop_fd;
    pthread_t thread;
    bool running;
    struct seen seen[EVENTS_MAX]; /* held open, so that no inode number comes again */
    size_t seen_count;
    struct entry entry[EVENTS_MAX];
    size_t entry_count;
};

/* Opens the file and remembers its inode; 0 if it is not there. */
static ino_t look(struct vp_watch *watch, const char *name)
{
    int fd = openat(watch->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return 0;
    }
    for (size_t i = 0; i < watch->seen_count; i++)
        if (watch->seen[i].inode == st.st_ino) {
            close(fd);
            return st.st_ino;
        }
    if (watch->seen_count == EVENTS_MAX) {
        close(fd);
        return 0;
    }
    watch->seen[watch->seen_count++] = (struct seen){st.st_ino, fd};
    return st.st_ino;
}

static void note(struct vp_watch *watch, enum vp_watch_event event, ino_t inode)
{
    if (watch->entry_count < EVENTS_MAX)
        watch->entry[watch->entry_count++] = (struct entry){.event = event, .inode = inode};
}

static void handle(struct vp_watch *watch, const struct inotify_event *event)
{
    if (event->len == 0)
        return;
    if (strcmp(event->name, watch->fresh) == 0) {
        if (event->mask & (IN_CREATE | IN_MODIFY))
            look(watch, watch->fresh);
        return;
    }
    if (strcmp(event->name, watch->name) != 0)
        return;
    if (event->mask & IN_MOVED_TO)
        note(watch, VP_WATCH_WRITTEN, look(watch, watch->name));
    else if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        note(watch, VP_WATCH_REMOVED, 0);
}

/* False when there is nothing more to read for now. */
static bool drain(struct vp_watch *watch)
{
    char buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t got = read(watch->notify_fd, buffer, sizeof(buffer));

    for (ssize_t at = 0; at < got;) {
        const struct inotify_event *event = (const void *)(buffer + at);

        handle(watch, event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    return got > 0;
}

static void *run(void *opaque)
{
    struct vp_watch *watch = opaque;
    struct pollfd fds[] = {{.fd = watch->notify_fd, .events = POLLIN},
                           {.fd = watch->stop_fd, .events = POLLIN}};

    /* Some milliseconds of work at most, and late is too late. */
    setpriority(PRIO_PROCESS, (id_t)gettid(), -20);

    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        while (drain(watch))
            ;
        if (fds[1].revents)
            return NULL;
    }
}

struct vp_watch *vp_watch_begin(const char *dir, const char *name)
{
    struct vp_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->notify_fd = watch->stop_fd = -1;
    watch->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (watch->dir_fd >= 0 && strlen(name) + strlen(".xml") <= NAME_MAX) {
        snprintf(watch->name, sizeof(watch->name), "%.250s.xml", name);
        snprintf(watch->fresh, sizeof(watch->fresh), "%s.new", watch->name);
        watch->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        watch->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (watch->notify_fd >= 0 && watch->stop_fd >= 0 &&
        inotify_add_watch(watch->notify_fd, dir,
                          IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) >= 0) {
        look(watch, watch->name);
        watch->running = pthread_create(&watch->thread, NULL, run, watch) == 0;
    }
    if (watch->running)
        return watch;
    vp_watch_free(watch);
    return NULL;
}

static char *read_text(int fd)
{
    VP_AUTO(free) char *text = NULL;
    struct stat st;
    char *end;

    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > VP_XML_MAX)
        return NULL;
    text = calloc(1, (size_t)st.st_size + 1);
    if (!text || pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
        return NULL;
    /* libvirt's warning at the top is not part of what it prints elsewhere */
    end = strncmp(text, "<!--", 4) == 0 ? strstr(text, "-->") : NULL;
    if (end) {
        end += 3;
        end += strspn(end, "\r\n");
        memmove(text, end, strlen(end) + 1);
    }
    return VP_STEAL(text);
}

static int fd_of(const struct vp_watch *watch, ino_t inode)
{
    for (size_t i = 0; i < watch->seen_count; i++)
        if (watch->seen[i].inode == inode)
            return watch->seen[i].fd;
    return -1;
}

/* Two writes so close together that both times the second was found: the
 * first is one that was seen while it was written, if there is one. */
static void assign_overtaken(struct vp_watch *watch)
{
    for (size_t i = 0; i + 1 < watch->entry_count; i++) {
        struct entry *entry = &watch->entry[i];
        ino_t other = 0;

        if (entry->event != VP_WATCH_WRITTEN || entry[1].event != VP_WATCH_WRITTEN ||
            entry->inode != entry[1].inode)
            continue;
        for (size_t j = 1; j < watch->seen_count; j++) {
            bool taken = false;

            for (size_t k = 0; k < watch->entry_count; k++)
                taken |= watch->entry[k].inode == watch->seen[j].inode;
            if (!taken)
                other = watch->seen[j].inode;
        }
        entry->inode = other;
    }
}

void vp_watch_stop(struct vp_watch *watch)
{
    uint64_t one = 1;

    if (!watch || !watch->running)
        return;
    while (write(watch->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(watch->thread, NULL);
    watch->running = false;
    while (drain(watch))
        ;
    assign_overtaken(watch);
    for (size_t i = 0; i < watch->entry_count; i++) {
        int fd = watch->entry[i].inode ? fd_of(watch, watch->entry[i].inode) : -1;

        if (fd >= 0)
            watch->entry[i].text = read_text(fd);
    }
}

void vp_watch_free(struct vp_watch *watch)
{
    if (!watch)
        return;
    vp_watch_stop(watch);
    for (size_t i = 0; i < watch->entry_count; i++)
        free(watch->entry[i].text);
    for (size_t i = 0; i < watch->seen_count; i++)
        close(watch->seen[i].fd);
    if (watch->stop_fd >= 0)
        close(watch->stop_fd);
    if (watch->notify_fd >= 0)
        close(watch->notify_fd);
    if (watch->dir_fd >= 0)
        close(watch->dir_fd);
    free(watch);
}

bool vp_watch_event(const struct vp_watch *watch, size_t at, enum vp_watch_event *event,
                    const char **text)
{
    if (!watch || at >= watch->entry_count)
        return false;
    *event = watch->entry[at].event;
    *text = watch->entry[at].text;
    return true;
}
