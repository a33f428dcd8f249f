/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/definitionwatch.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "enforcer/enforcer.h"
#include "enforcer/watchdir.h"
#include "host/clock.h"

/* A compile-time path of libvirt. */
#ifndef VP_LIBVIRT_ETC_DIR
#define VP_LIBVIRT_ETC_DIR "/etc/libvirt/qemu"
#endif

/* How long a reload of libvirtd may take to come. */
#define RESTORED_MS (10 * 60 * 1000)

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

/* The one that ends first makes room. */
static void note_restored(struct vp_restored *restored, const char *uuid)
{
    size_t count = sizeof(restored->item) / sizeof(restored->item[0]), at = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(restored->item[i].uuid, uuid) == 0) {
            at = i;
            break;
        }
        if (restored->item[i].until_ms < restored->item[at].until_ms)
            at = i;
    }
    snprintf(restored->item[at].uuid, sizeof(restored->item[at].uuid), "%s", uuid);
    restored->item[at].until_ms = vp_now_ms() + RESTORED_MS;
}

static void look_at_restored(struct vp_enforcer *enforcer)
{
    const struct vp_restored *restored = &enforcer->restored;
    int64_t now = vp_now_ms();

    for (size_t i = 0; i < sizeof(restored->item) / sizeof(restored->item[0]); i++)
        if (restored->item[i].until_ms > now)
            vp_virtside_want(enforcer->virtside, restored->item[i].uuid, VP_VIRT_DEFINITION);
}

/* What cannot be read here is libvirt's to complain of. */
static void definition_changed(struct vp_enforcer *enforcer, const char *name, bool restored)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *text = NULL;
    char path[PATH_MAX];
    size_t length = 0;

    if (snprintf(path, sizeof(path), VP_LIBVIRT_ETC_DIR "/%s", name) >= (int)sizeof(path))
        return;
    text = read_whole(path, &length);
    if (!text || vp_domain_parse(text, length, &domain, NULL) != 0 || !domain->uuid[0])
        return;
    if (restored)
        note_restored(&enforcer->restored, domain->uuid);
    vp_virtside_want(enforcer->virtside, domain->uuid, VP_VIRT_DEFINITION);
}

static bool ends_with(const struct inotify_event *event, const char *end)
{
    size_t length = event->len ? strlen(event->name) : 0;

    return length > strlen(end) && strcmp(event->name + length - strlen(end), end) == 0;
}

/* libvirt writes NAME.xml.new and renames it (virFileRewrite, 9.0 to 12.3). */
static void take_event(void *data, const struct inotify_event *event)
{
    struct vp_enforcer *enforcer = data;

    if ((event->mask & IN_MOVED_FROM) && ends_with(event, ".xml.new"))
        enforcer->restored.own_cookie = event->cookie;
    else if ((event->mask & (IN_MOVED_TO | IN_CLOSE_WRITE)) && ends_with(event, ".xml"))
        definition_changed(enforcer, event->name,
                           (event->mask & IN_CLOSE_WRITE) ||
                               event->cookie != enforcer->restored.own_cookie);
}

/* Which they were is not known: the libvirt side looks at them all. */
static void look_at_all(struct vp_enforcer *enforcer)
{
    if (enforcer->virtside)
        vp_virtside_policies(enforcer->virtside, enforcer->engine.set->host.uri);
}

static int on_definition(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;

    (void)source, (void)events;
    if (vp_watchdir_read(fd, take_event, enforcer)) {
        vp_sight_lost(enforcer, VP_SIGHT_DEFINITIONS);
        look_at_all(enforcer);
    }
    return 0;
}

void vp_definitionwatch_check(struct vp_enforcer *enforcer)
{
    int result = vp_watchdir_open(enforcer, &enforcer->definition_fd, on_definition);
    uint64_t sum;

    if (result == 0)
        result = vp_watchdir_add(enforcer->definition_fd, VP_LIBVIRT_ETC_DIR,
                                 IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_ONLYDIR);
    if (enforcer->virtside)
        look_at_restored(enforcer);
    vp_watchdir_said(enforcer, VP_SIGHT_DEFINITIONS, result, VP_LIBVIRT_ETC_DIR);
    if (result >= 0)
        return;
    sum = vp_watchdir_sum(VP_LIBVIRT_ETC_DIR, ".xml");
    if (sum != enforcer->definition_sum)
        look_at_all(enforcer);
    enforcer->definition_sum = sum;
}
