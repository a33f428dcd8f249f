/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/virtqueue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "enforcer/watched.h"
#include "host/clock.h"

int vp_queue_init(struct vp_queue *queue)
{
    pthread_condattr_t attr;
    int result;

    *queue = (struct vp_queue){0};
    if (pthread_mutex_init(&queue->mutex, NULL) != 0 || pthread_condattr_init(&attr) != 0)
        return -1;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    result = pthread_cond_init(&queue->changed, &attr);
    pthread_condattr_destroy(&attr);
    return result == 0 ? 0 : -1;
}

static struct vp_task *find(struct vp_queue *queue, const char *uuid)
{
    for (size_t i = 0; i < queue->count; i++) {
        if (strcmp(queue->task[i].uuid, uuid) == 0)
            return &queue->task[i];
    }
    return NULL;
}

static struct vp_task *add(struct vp_queue *queue, const char *uuid)
{
    struct vp_task *grown = realloc(queue->task, (queue->count + 1) * sizeof(*grown));

    if (!grown)
        return NULL;
    queue->task = grown;
    grown += queue->count++;
    *grown = (struct vp_task){0};
    snprintf(grown->uuid, sizeof(grown->uuid), "%s", uuid);
    return grown;
}

void vp_queue_want(struct vp_queue *queue, const char *uuid, unsigned wants)
{
    struct vp_task *task;

    pthread_mutex_lock(&queue->mutex);
    task = find(queue, uuid);
    if (!task)
        task = add(queue, uuid);
    if (task) {
        task->wants |= wants;
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
}

void vp_queue_open(struct vp_queue *queue, bool open)
{
    pthread_mutex_lock(&queue->mutex);
    queue->open = open;
    for (size_t i = 0; open && i < queue->count; i++)
        queue->task[i].not_before_us = 0;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

/* The first task that may be begun; else *next_us is when one may, 0: none. */
static struct vp_task *ready(struct vp_queue *queue, int64_t *next_us)
{
    int64_t now = vp_clock_us();

    *next_us = 0;
    for (size_t i = 0; queue->open && i < queue->count; i++) {
        struct vp_task *task = &queue->task[i];

        if (task->running || task->wants == 0)
            continue;
        if (task->not_before_us <= now)
            return task;
        if (*next_us == 0 || task->not_before_us < *next_us)
            *next_us = task->not_before_us;
    }
    return NULL;
}

static void wait_until(struct vp_queue *queue, int64_t at_us)
{
    struct timespec at = {.tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000};

    if (at_us == 0)
        pthread_cond_wait(&queue->changed, &queue->mutex);
    else
        pthread_cond_timedwait(&queue->changed, &queue->mutex, &at);
}

bool vp_queue_take(struct vp_queue *queue, struct vp_task *task, bool wait)
{
    struct vp_task *found;
    int64_t next;

    pthread_mutex_lock(&queue->mutex);
    while (!(found = ready(queue, &next)) && wait)
        wait_until(queue, next);
    if (found) {
        *task = *found;
        found->wants = 0;
        found->running = true;
    }
    pthread_mutex_unlock(&queue->mutex);
    return found != NULL;
}

void vp_queue_done(struct vp_queue *queue, const struct vp_task *task, unsigned again,
                   int64_t delay_us)
{
    struct vp_task *found;

    pthread_mutex_lock(&queue->mutex);
    found = find(queue, task->uuid);
    if (found) {
        found->running = false;
        found->wants |= again;
        found->tries = again ? found->tries + 1 : 0;
        found->not_before_us = again ? vp_clock_us() + delay_us : 0;
        if (found->wants == 0)
            *found = queue->task[--queue->count];
        pthread_cond_signal(&queue->changed);
    }
    pthread_mutex_unlock(&queue->mutex);
}
