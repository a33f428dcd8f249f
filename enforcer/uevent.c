/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/reload.h"

/* The kernel's own group; the other one is udev's. */
#define KERNEL_GROUP 1

/* "ACTION@DEVPATH", then KEY=VALUE, each ended by a NUL. */
static bool is_cpu(const char *text, const char *end)
{
    for (; text < end; text += strnlen(text, (size_t)(end - text)) + 1) {
        if (strcmp(text, "SUBSYSTEM=cpu") == 0)
            return true;
    }
    return false;
}

static int on_uevent(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct vp_enforcer *enforcer = data;
    struct sockaddr_nl from = {0};
    socklen_t from_size = sizeof(from);
    char text[8192];
    ssize_t length;
    bool changed = false;

    (void)source, (void)events;
    while ((length = recvfrom(fd, text, sizeof(text) - 1, 0, (struct sockaddr *)&from,
                              &from_size)) > 0) {
        text[length] = '\0';
        /* Port 0 is the kernel; anybody may send to a netlink socket. */
        changed |= from_size == sizeof(from) && from.nl_pid == 0 && is_cpu(text, text + length);
        from_size = sizeof(from);
    }
    /* ENOBUFS: more than the socket holds; one of them may have been it. */
    if (!changed && !(length < 0 && errno == ENOBUFS))
        return 0;
    vp_reload_online(enforcer);
    vp_enforcer_run_due(enforcer);
    return 0;
}

int vp_uevent_start(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP};
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    int result;

    if (fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "the kernel's messages");
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        int number = errno;

        close(fd);
        return vp_fail_errno(err, VP_HOST, number, "the kernel's messages");
    }
    enforcer->uevent_fd = fd;
    result = sd_event_add_io(enforcer->event, NULL, fd, EPOLLIN, on_uevent, enforcer);
    return result < 0 ? vp_fail_errno(err, VP_HOST, -result, "the event loop") : 0;
}
