/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/virtside.h"

#include <errno.h>
#include <libxml/parser.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/virtside_priv.h"
#include "enforcer/virtwork.h"
#include "host/journal.h"
#include "host/virt.h"

#define BACKOFF_MIN_S 1
#define BACKOFF_MAX_S 30

static void notify(struct vp_virtside *side)
{
    uint64_t one = 1;

    /* A full counter is readable all the same. */
    if (write(side->notify_fd, &one, sizeof(one)) < 0)
        return;
}

static void *keep_uri(struct vp_virtside *side, const char *uri)
{
    char *copy = strdup(uri);

    pthread_mutex_lock(&side->mutex);
    if (copy && side->uri && strcmp(side->uri, copy) != 0)
        side->reconnect = true;
    if (copy) {
        free(side->uri);
        side->uri = copy;
    }
    pthread_mutex_unlock(&side->mutex);
    return copy;
}

static void wake(struct vp_virtside *side)
{
    if (side->timer >= 0)
        virEventUpdateTimeout(side->timer, 0);
}

/* ---- events: in the connection's thread ---- */

/* From whichever thread sees the end, which may be one that waits for an answer. */
static void on_close(virConnectPtr connection, int reason, void *data)
{
    struct vp_virtside *side = data;

    (void)connection, (void)reason;
    atomic_store(&side->closed, true);
    wake(side);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                        void *data)
{
    struct vp_virtside *side = data;
    char uuid[VIR_UUID_STRING_BUFLEN];

    (void)connection, (void)detail;
    if (virDomainGetUUIDString(domain, uuid) < 0)
        return 0;
    if (event == VIR_DOMAIN_EVENT_DEFINED)
        vp_queue_want(&side->queue, uuid, VP_VIRT_DEFINITION);
    else if (event == VIR_DOMAIN_EVENT_UNDEFINED)
        vp_queue_want(&side->queue, uuid, VP_VIRT_UNDEFINED);
    /* There was no place for it when it was defined: there is one now. */
    else if (event == VIR_DOMAIN_EVENT_STARTED && vp_virtdefinition_open(&side->definitions, uuid))
        vp_queue_want(&side->queue, uuid, VP_VIRT_DEFINITION);
    return 0;
}

/* Woken by another thread: look whether the connection is to be made anew, or
 * every definition to be looked at. */
static void on_wake(int timer, void *data)
{
    struct vp_virtside *side = data;

    virEventUpdateTimeout(timer, -1);
    pthread_mutex_lock(&side->mutex);
    if (side->reconnect)
        atomic_store(&side->closed, true);
    pthread_mutex_unlock(&side->mutex);
    if (side->connection && !atomic_load(&side->closed) &&
        atomic_exchange(&side->look_at_all, false))
        vp_virtwork_all(side, side->connection);
}

/* ---- the connection ---- */

static int set_up(struct vp_virtside *side, virConnectPtr connection, struct vp_error *err)
{
    atomic_store(&side->closed, false);
    if (virConnectRegisterCloseCallback(connection, on_close, side, NULL) < 0)
        return vp_virt_fail(err, "watching the connection to libvirt");
    if (virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), side, NULL) < 0)
        return vp_virt_fail(err, "registering for libvirt's events");
    return 0;
}

static virConnectPtr connect_once(struct vp_virtside *side, struct vp_error *err)
{
    char uri[512];
    virConnectPtr connection;

    pthread_mutex_lock(&side->mutex);
    snprintf(uri, sizeof(uri), "%s", side->uri);
    side->reconnect = false;
    pthread_mutex_unlock(&side->mutex);
    connection = vp_virt_open(uri, err);
    if (connection && set_up(side, connection, err) < 0) {
        virConnectClose(connection);
        connection = NULL;
    }
    return connection;
}

static void hand_out(struct vp_virtside *side, virConnectPtr connection)
{
    side->connection = connection;
    atomic_fetch_add(&side->epoch, 1);
    atomic_store(&side->connected, connection != NULL);
    vp_queue_open(&side->queue, connection != NULL && atomic_load(&side->enabled));
    notify(side);
}

static void serve(struct vp_virtside *side, virConnectPtr connection)
{
    hand_out(side, connection);
    vp_journal(LOG_INFO, VP_MSG_LIBVIRT, NULL, 0, "connected to libvirt");
    vp_virtwork_all(side, connection);
    while (!atomic_load(&side->closed)) {
        if (virEventRunDefaultImpl() < 0)
            break;
    }
    hand_out(side, NULL);
    vp_journal(LOG_WARNING, VP_MSG_LIBVIRT, NULL, 0,
               "the connection to libvirt has ended: guests are kept in place all the same");
    virConnectUnregisterCloseCallback(connection, on_close);
    virConnectClose(connection);
}

static void *connection_thread(void *data)
{
    struct vp_virtside *side = data;
    unsigned backoff = BACKOFF_MIN_S;
    bool said = false;

    for (;;) {
        struct vp_error err = {0};
        virConnectPtr connection = connect_once(side, &err);

        if (connection) {
            serve(side, connection);
            backoff = BACKOFF_MIN_S;
            said = false;
        } else if (!said) {
            vp_journal(LOG_WARNING, VP_MSG_LIBVIRT, NULL, 0, "%s: trying again", err.text);
            said = true;
        }
        sleep(backoff);
        if (!connection && backoff < BACKOFF_MAX_S)
            backoff = backoff * 2 < BACKOFF_MAX_S ? backoff * 2 : BACKOFF_MAX_S;
    }
    return NULL;
}

virConnectPtr vp_virtside_connect(struct vp_virtside *side, struct vp_error *err)
{
    char uri[512];

    if (!atomic_load(&side->connected))
        return NULL;
    pthread_mutex_lock(&side->mutex);
    snprintf(uri, sizeof(uri), "%s", side->uri);
    pthread_mutex_unlock(&side->mutex);
    return vp_virt_open_quiet(uri, err);
}

/* ---- for the watching thread: nothing here waits for libvirt ---- */

static int start_threads(struct vp_virtside *side, struct vp_error *err)
{
    pthread_t thread;
    int result = pthread_create(&thread, NULL, connection_thread, side);

    for (unsigned i = 0; result == 0 && i < VP_VIRT_WORKERS; i++)
        result = pthread_create(&thread, NULL, vp_virtwork_thread, side);
    return result == 0 ? 0 : vp_fail_errno(err, VP_HOST, result, "starting a thread");
}

int vp_virtside_start(struct vp_virtside **out, const struct vp_conf_where *where,
                      const char *topology, const char *uri, int *notify_fd, struct vp_error *err)
{
    struct vp_virtside *side = calloc(1, sizeof(*side));

    if (!side || vp_queue_init(&side->queue) < 0 || pthread_mutex_init(&side->mutex, NULL) != 0 ||
        pthread_mutex_init(&side->definitions.mutex, NULL) != 0 || !keep_uri(side, uri))
        return vp_fail(err, VP_HOST, "out of memory");
    /* libxml2 wants to be set up before threads parse (xmlInitParser's manual). */
    xmlInitParser();
    side->where = where;
    side->topology = topology;
    atomic_store(&side->enabled, true);
    side->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (side->notify_fd < 0)
        return vp_fail_errno(err, VP_HOST, errno, "eventfd");
    if (virEventRegisterDefaultImpl() < 0)
        return vp_virt_fail(err, "libvirt's event loop");
    side->timer = virEventAddTimeout(-1, on_wake, side, NULL);
    *notify_fd = side->notify_fd;
    *out = side;
    return start_threads(side, err);
}

void vp_virtside_want(struct vp_virtside *side, const char *uuid, unsigned wants)
{
    if (side)
        vp_queue_want(&side->queue, uuid, wants);
}

void vp_virtside_policies(struct vp_virtside *side, const char *uri)
{
    if (!side)
        return;
    keep_uri(side, uri);
    atomic_fetch_add(&side->generation, 1);
    atomic_store(&side->look_at_all, true);
    wake(side);
}

void vp_virtside_enable(struct vp_virtside *side, bool on)
{
    if (atomic_exchange(&side->enabled, on) == on)
        return;
    vp_queue_open(&side->queue, on && atomic_load(&side->connected));
    if (on) {
        atomic_store(&side->look_at_all, true);
        wake(side);
    }
}

bool vp_virtside_connected(struct vp_virtside *side)
{
    return side && atomic_load(&side->connected);
}
