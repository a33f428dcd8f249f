/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTWORK_H
#define VP_VIRTWORK_H

#include <libvirt/libvirt.h>

struct vp_virtside;

/* A worker: takes guests from the queue and makes the calls. */
void *vp_virtwork_thread(void *side);

/* Puts every persistent domain down for a look at its definition, and what runs
 * for one at pins of ours that nobody keeps. Called in the connection's thread. */
void vp_virtwork_all(struct vp_virtside *side, virConnectPtr connection);

#endif
