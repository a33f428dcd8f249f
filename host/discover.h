/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_DISCOVER_H
#define VP_DISCOVER_H

#include <stdbool.h>

struct vp_error;
struct vp_topology;

/* Discovers a host's shape by hwloc (INCLUDE_DISALLOWED: our own cpuset may be
 * narrowed). spec NULL: this host; an existing file: hwloc XML; a directory: a
 * recorded root (HWLOC_FSROOT); anything else: a synthetic string, whose nodes
 * have memory only where it says memory=. The caller frees *topology.
 * VP_INPUT for a bad spec, VP_HOST where hwloc fails. */
int vp_discover(const char *spec, struct vp_topology **topology, struct vp_error *err);

/* This host's shape from RUN-DIR/topology when its stamp (boot id, online and
 * present CPUs, online nodes) is still right, else discovered and written
 * there (write, rename; a failed write is no error). spec not NULL: the
 * shape that vp_discover makes of it, kept in the same way. */
int vp_topology_cached(const char *run_dir, const char *spec, struct vp_topology **topology,
                       struct vp_error *err);

#endif
