/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DISCOVER_HWLOC_H
#define VP_DISCOVER_HWLOC_H

#include <hwloc.h>

struct vp_error;
struct vp_topology;

/* Fills and builds `topology` (fresh from vp_topology_new) from a loaded
 * hwloc topology: PUs, nodes, memory, CPU kinds; CPUs that hwloc knows but
 * that are not in the topology become offline. 0, or -1 (VP_INPUT for CPU or
 * node numbers above what a vp_cpuset holds, VP_HOST without memory). */
int vp_hwloc_fill(hwloc_topology_t hwloc, struct vp_topology *topology, struct vp_error *err);

#endif
