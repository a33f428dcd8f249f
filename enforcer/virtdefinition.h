/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTDEFINITION_H
#define VP_VIRTDEFINITION_H

#include <libvirt/libvirt.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "decide/drift.h"

struct vp_engine;
struct vp_error;

/* Definitions that differ and have not been put right: one record a guest,
 * which goes on when it is seen again. Its own lock. */
struct vp_definitions {
    pthread_mutex_t mutex;
    bool loaded;                  /* what an enforcer before this one left open is taken up */
    struct vp_drift_record *open; /* owned */
    size_t count;
};

/* Brings one definition to the policy and records what was done: drift of
 * kind definition. -1: worth another try. A worker's thread. */
int vp_virtdefinition(struct vp_definitions *definitions, struct vp_engine *engine,
                      virDomainPtr domain, struct vp_error *err);

/* Whether that guest's definition is, or may be, on record as not put right. */
bool vp_virtdefinition_open(struct vp_definitions *definitions, const char *uuid);

/* The guest was undefined: nothing of it is kept, and its record is closed. */
int vp_virtdefinition_gone(struct vp_definitions *definitions, struct vp_engine *engine,
                           const char *uuid, struct vp_error *err);

#endif
