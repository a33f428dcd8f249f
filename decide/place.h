/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLACE_H
#define VP_PLACE_H

#include "decide/cpuset.h"
#include "decide/domain.h"
#include "decide/policy.h"
#include "decide/topology.h"

/* Which CPUs a dedicated guest gets. Pure, deterministic, bounded. */

struct vp_place_host {
    const struct vp_topology *topology;
    struct vp_cpuset usable; /* free for dedicated use by this guest */
    struct vp_cpuset
        first; /* of these, to be taken before others (isolated CPUs, one thread a core) */
    struct vp_cpuset pool; /* today's shared pool */
    bool pool_needed;      /* somebody uses the pool: one CPU of it must be left */
    /* KiB that this guest may still have of each node, in pages of its size; by the index of
     * topology->node, borrowed. NULL: memory sets no limit. */
    const uint64_t *memory_kib;
};

struct vp_place_request {
    unsigned vcpus; /* maximum, 1..VP_VCPUS_MAX */
    enum vp_thread_policy thread_policy;
    enum vp_numa numa;
    const struct vp_guest_cell *cell; /* borrowed; a vCPU in no cell counts to the first */
    size_t cell_count;
    unsigned guest_threads; /* threads a core of the guest's topology, 1 if unknown: vCPUs of one
                               guest core are put on thread siblings where siblings are taken */
    bool
        emulator_isolate; /* one CPU (a whole core under require, isolate) on a node of the guest */
    unsigned iothreads_isolate, vhost_isolate;
    enum vp_care cache;          /* each cell, else the guest, in one L3; extra threads need not */
    enum vp_core_type core_type; /* of no effect on a host of one kind */
    enum vp_fill fill;
    enum vp_care pci_locality;  /* require: every node of pci_nodes has a vCPU of the guest */
    struct vp_cpuset pci_nodes; /* the kernel's numbers of the nodes of its devices, as known */
    /* Where host.memory_kib is set: a node bears the memory of its cells (cell[].memory_kib); of a
     * guest without cells, or with cells cut over nodes, its share by vCPUs, rounded up to pages.
     */
    uint64_t memory_kib, page_kib; /* page_kib 0: 4 */
    bool unexplained;              /* a refusal says nothing: limit, why and help stay empty */
};

enum vp_limit {
    VP_LIMIT_NONE,
    VP_LIMIT_CPUS,
    VP_LIMIT_CORES,
    VP_LIMIT_NODE,
    VP_LIMIT_MEMORY,
    VP_LIMIT_CACHE,
    VP_LIMIT_PCI,
    VP_LIMIT_SHARED,
    VP_LIMIT_RESERVED,
};
const char *vp_limit_word(enum vp_limit limit); /* "cpus", "cores", ... */

struct vp_place_answer {
    int *vcpu;              /* request.vcpus CPU numbers; freed by vp_place_clear */
    int emulator;           /* -1 if not isolated */
    int *iothread;          /* request.iothreads_isolate CPU numbers */
    int *vhost;             /* request.vhost_isolate CPU numbers */
    struct vp_cpuset idle;  /* booked, left idle (siblings under require and isolate) */
    struct vp_cpuset taken; /* all of it */
    struct vp_cpuset nodes; /* the kernel's numbers of the nodes of the vCPUs */
    uint64_t *memory_kib;   /* what each node bears, by its index; NULL where memory set no limit */
    /* a refusal */
    enum vp_limit limit;
    unsigned short_by;
    char why[512];  /* "needs 8 dedicated CPUs on one node; node 0 has 6 free, node 1 has 4" */
    char help[256]; /* the smallest change that would help: "numa = fewest", "" if none is known */
};

/* 0: placed. 1: does not fit; limit, short_by, why and help say so. -1:
 * without memory. The answer is written anew in every case; clear it after. */
int vp_place(const struct vp_place_host *host, const struct vp_place_request *request,
             struct vp_place_answer *answer);
void vp_place_clear(struct vp_place_answer *answer);

/* The CPUs of that type: the most efficient in performance of hwloc's kinds, or
 * all others; every online CPU under VP_CORES_ANY and on a host of one kind. */
void vp_place_core_type(const struct vp_topology *topology, enum vp_core_type type,
                        struct vp_cpuset *cpus);

#endif
