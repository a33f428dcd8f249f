/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_HOST_GUESTNUMA_H
#define VP_HOST_GUESTNUMA_H

#include "decide/guestnuma.h"
#include "host/engine.h"

/* The kernel's: nodeN/distance, online. */
#define VP_NODES_DIR "/sys/devices/system/node"

/* For guest-numa = auto: the nodes on which the guest would be placed now, were
 * it as its policy wants it. Other policies, and guests whose vCPUs have no CPUs
 * of their own or no room: facts->count is 0. nodes_dir: where distances are read,
 * NULL for another host than this one. 0, or -1 (*err). */
int vp_engine_numa_facts(struct vp_engine *engine, const struct vp_domain *domain,
                         const struct vp_choice *choice, const char *nodes_dir,
                         struct vp_numa_facts *facts, struct vp_error *err);

/* Distances of these nodes (the kernel's numbers) from nodes_dir; false where one
 * cannot be read. */
bool vp_numa_distances(const char *nodes_dir, const int *node, unsigned count,
                       struct vp_numa_facts *facts);

#endif
