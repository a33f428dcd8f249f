/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTSIDE_H
#define VP_VIRTSIDE_H

#include <stdbool.h>

struct vp_conf_where;
struct vp_error;

/* The libvirt side: one thread owns the connection and its events, a few
 * workers own calls. It may hang as long as libvirt does; nobody waits for it. */
struct vp_virtside;

enum vp_virt_want {
    VP_VIRT_TELL = 1,       /* libvirt's live pins = what is in force */
    VP_VIRT_DEFINITION = 2, /* the definition to the policy */
    VP_VIRT_UNDEFINED = 8,  /* its definition was taken away: so is what we kept of it */
    VP_VIRT_UNTELL = 16,    /* left to its definition: libvirt's live pins = what that says */
    VP_VIRT_LEASE = 4,      /* a lease that stays: ask whether the guest is active at all */
};

/* Starts the threads. where and topology must outlive the side; uri is copied.
 * *notify_fd becomes readable (eventfd) whenever the connection comes or goes. */
int vp_virtside_start(struct vp_virtside **side, const struct vp_conf_where *where,
                      const char *topology, const char *uri, int *notify_fd, struct vp_error *err);

/* Asks for work on a guest; what is asked again before it was begun is done
 * once, with what is newest then. */
void vp_virtside_want(struct vp_virtside *side, const char *uuid, unsigned wants);

/* Policies or the host's shape changed: workers read them anew, and every
 * definition is looked at again. The connection is made anew if uri differs. */
void vp_virtside_policies(struct vp_virtside *side, const char *uri);

/* While off (disabled) nothing is written. Taken up again at `on`. */
void vp_virtside_enable(struct vp_virtside *side, bool on);

bool vp_virtside_connected(struct vp_virtside *side);

#endif
