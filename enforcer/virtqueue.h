/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTQUEUE_H
#define VP_VIRTQUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/domain.h"

/* What is wanted of libvirt, guest by guest: one entry a guest, at most one
 * worker on it at a time. Its own lock; no call under it. */

struct vp_task {
    char uuid[VP_UUID_TEXT];
    unsigned wants; /* VP_VIRT_... still to be begun */
    bool running;   /* a worker has it */
    int64_t not_before_us;
    unsigned tries; /* put back so often in a row */
};

struct vp_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct vp_task *task; /* owned */
    size_t count;
    bool open; /* workers may take: libvirt is there */
};

int vp_queue_init(struct vp_queue *queue);

/* Adds wants to the guest's entry. Without memory they are dropped: the next
 * look asks again. */
void vp_queue_want(struct vp_queue *queue, const char *uuid, unsigned wants);

/* Lets workers take, or not. */
void vp_queue_open(struct vp_queue *queue, bool open);

/* Waits until there is work that may be begun; *task is a copy. With `wait`
 * false returns false at once where there is none. */
bool vp_queue_take(struct vp_queue *queue, struct vp_task *task, bool wait);

/* The worker is done with it; `again` is wanted still, not before delay_us. */
void vp_queue_done(struct vp_queue *queue, const struct vp_task *task, unsigned again,
                   int64_t delay_us);

#endif
