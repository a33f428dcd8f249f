/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VIRTDEFINITION_H
#define VP_VIRTDEFINITION_H

#include <libvirt/libvirt.h>

struct vp_engine;
struct vp_error;

/* Brings one definition to the policy and records what was done: drift of
 * kind definition. -1: worth another try. A worker's thread. */
int vp_virtdefinition(struct vp_engine *engine, virDomainPtr domain, struct vp_error *err);

#endif
