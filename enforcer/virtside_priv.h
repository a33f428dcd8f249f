/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTSIDE_PRIV_H
#define VP_VIRTSIDE_PRIV_H

#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "enforcer/virtdefinition.h"
#include "enforcer/virtqueue.h"
#include "enforcer/virtside.h"

/* One call to libvirt can hang on one guest; two more go on. */
#define VP_VIRT_WORKERS 3

/* Lives as long as the process: its threads are never joined, because they
 * may hang in libvirt. */
struct vp_virtside {
    const struct vp_conf_where *where;
    const char *topology;
    int notify_fd;
    int timer;             /* of libvirt's loop, to wake it */
    pthread_mutex_t mutex; /* uri, reconnect */
    char *uri;
    bool reconnect;
    virConnectPtr connection; /* for events; its own thread's alone */
    atomic_bool closed, connected, enabled, look_at_all;
    atomic_uint generation; /* of policies */
    atomic_uint epoch;      /* of the connection: rises when it comes or goes */
    struct vp_definitions definitions;
    struct vp_queue queue;
};

/* A connection of the caller's own to where the event connection goes; NULL:
 * there is none now, or *err. The caller closes. */
virConnectPtr vp_virtside_connect(struct vp_virtside *side, struct vp_error *err);

#endif
