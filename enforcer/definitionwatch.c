/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/definitionwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "enforcer/enforcer.h"

/* A compile-time path of libvirt. */
#ifndef VP_LIBVIRT_ETC_DIR
#define VP_LIBVIRT_ETC_DIR "/etc/libvirt/qemu"
#endif

static char *read_whole(const char *path, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = NULL;
    struct stat st;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size < VP_XML_MAX)
        text = malloc((size_t)st.st_size);
    if (text && read(fd, text, (size_t)st.st_size) != st.st_size) {
        free(text);
        text = NULL;
    }
    *length = (size_t)st.st_size;
    close(fd);
    return text;
}

/* What cannot be read here is libvirt's to complain of. */
static void definition_changed(struct vp_enforcer *enforcer, const char *name)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *text = NULL;
    char path[PATH_MAX];
    size_t length = 0;

    if (snprintf(path, sizeof(path), VP_LIBVIRT_ETC_DIR "/%s", name) >= (int)sizeof(path))
        return;
    text = read_whole(path, &length);
    if (text && vp_domain_parse(text, length, &domain, NULL) == 0 && domain->uuid[0])
        vp_virtside_want(enforcer->virtside, domain->uuid, VP_VIRT_DEFINITION);
}

static bool is_definition(const struct inotify_event *event)
{
    size_t length = event->len ? strlen(event->name) : 0;

    return length > 4 && strcmp(event->name + length - 4, ".xml") == 0;
}

static int on_definition(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t length;

    (void)source, (void)events;
    while ((length = read(fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + length;) {
            const struct inotify_event *event = (const struct inotify_event *)(void *)at;

            if (is_definition(event))
                definition_changed(enforcer, event->name);
            at += sizeof(*event) + event->len;
        }
    }
    return 0;
}

void vp_definitionwatch_check(struct vp_enforcer *enforcer)
{
    inotify_add_watch(enforcer->definition_fd, VP_LIBVIRT_ETC_DIR, IN_MOVED_TO | IN_ONLYDIR);
}

int vp_definitionwatch_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    int result;

    enforcer->definition_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (enforcer->definition_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "inotify");
    vp_definitionwatch_check(enforcer);
    result = sd_event_add_io(enforcer->event, NULL, enforcer->definition_fd, EPOLLIN, on_definition,
                             enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
