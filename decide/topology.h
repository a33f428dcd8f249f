/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TOPOLOGY_H
#define VP_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/cpuset.h"

struct vp_error;

/* A host's shape as data. CPU numbers are the operating system's; cores, L3s,
 * nodes and packages are indices from 0 in hwloc's logical order. A host
 * without an L3 has one "L3" for each package. */
struct vp_pu {
    int cpu;
    int core, l3, node, package;
    int kind; /* hwloc's CPU kind, 0 the least efficient in performance; 0 where unknown */
};

enum { VP_HUGE_SIZES = 4 };
struct vp_huge_pages {
    uint64_t size_kib, count; /* the pool's, used or not */
};

struct vp_node {
    int os;                                   /* the kernel's node number */
    uint64_t memory_kib;                      /* all of it; 0 where not stated */
    struct vp_huge_pages huge[VP_HUGE_SIZES]; /* ends at the first size of 0 */
    struct vp_cpuset cpus;
};

struct vp_topology {
    struct vp_pu *pu; /* online PUs, ascending by cpu */
    size_t count;
    int16_t *at; /* VP_CPU_MAX entries: index into pu, -1: no such online CPU */
    size_t core_count, l3_count, node_count, package_count, kind_count;
    struct vp_node *node;   /* with and without CPUs */
    struct vp_cpuset *core; /* core_count sets of CPUs */
    struct vp_cpuset *l3;   /* l3_count */
    struct vp_cpuset *kind; /* kind_count, 0 the least efficient in performance */
    struct vp_cpuset online;
    struct vp_cpuset offline;  /* present in the machine, switched off */
    struct vp_cpuset isolated; /* isolcpus= and nohz_full= of the kernel's command line */
    bool smt;                  /* some core has more than one online thread */
    bool memory_known;
};

/* The caller frees. vp_topology_build makes the derived members (at, core,
 * l3, kind, online, smt, the counts, node[].cpus) from pu, node[].os and memory. 0 or -1 (VP_HOST
 * without memory, VP_INPUT for PUs out of range or listed twice). */
struct vp_topology *vp_topology_new(void);
int vp_topology_build(struct vp_topology *topology, struct vp_error *err);
void vp_topology_free(struct vp_topology *topology);
static inline void vp_topology_cleanup(struct vp_topology **topology)
{
    vp_topology_free(*topology);
}

/* The PU of an online CPU, NULL if there is none. */
const struct vp_pu *vp_topology_pu(const struct vp_topology *topology, int cpu);

/* The cache's text: one line an object, a version line first. The caller
 * frees *text. Parse accepts exactly what print writes (VP_INPUT otherwise). */
char *vp_topology_print(const struct vp_topology *topology); /* NULL without memory */
int vp_topology_parse(const char *text, struct vp_topology **topology, struct vp_error *err);

#endif
