/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_GUESTNUMA_H
#define VP_GUESTNUMA_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#include "decide/domain.h"
#include "decide/policy.h"
#include "decide/rewrite.h"

struct vp_error;

/* The guest's NUMA cells (docs/formatdomain.rst, "Guest NUMA topology"): how
 * many, which vCPUs and how much memory each has, how far they are apart. */

#define VP_CELLS_MAX 32

/* What auto goes by: the host nodes on which the guest is, or would be, placed,
 * in the order of their numbers. */
struct vp_numa_facts {
    unsigned count; /* 0: not known; then auto leaves everything as it is */
    bool mapped;    /* each vCPU's node is known for good: its pin stands in the policy */
    struct vp_cpuset vcpus[VP_CELLS_MAX];
    bool has_distance;
    unsigned char distance[VP_CELLS_MAX][VP_CELLS_MAX]; /* the kernel's, 10 to 254 */
};

struct vp_cells {
    unsigned count; /* 0: the cells stay as they are */
    struct vp_cpuset vcpus[VP_CELLS_MAX];
    uint64_t memory_kib[VP_CELLS_MAX];
};

/* What the policy wants for a guest of so many vCPUs. Whole neighbours go into
 * one cell, as evenly as can be; memory follows in proportion, in units of the
 * guest's pages, of 1 MiB at least (256 MiB on pseries). Cells that hold every
 * vCPU once are left alone if their number is right. False: the guest cannot
 * have it, why says so. */
bool vp_guest_numa_wanted(const struct vp_domain *domain, const struct vp_policy *policy,
                          unsigned vcpus, struct vp_cells *cells, char *why, size_t size);

/* How many cells the guest has once the policy is met; 0: none. */
unsigned vp_guest_numa_count(const struct vp_domain *domain, const struct vp_policy *policy);

/* Makes the cells of `domain` what they are once its definition was written to
 * the policy: for planning the start that follows. */
void vp_guest_numa_foresee(struct vp_domain *domain, const struct vp_policy *policy);

/* Adds a change where the cells miss the policy. 0, or -1 without memory. */
int vp_guest_numa_check(const struct vp_domain *domain, const struct vp_policy *policy,
                        unsigned vcpus, struct vp_changes *changes);
/* Writes them into <cpu> of the <domain> at `root`. */
int vp_guest_numa_write(xmlNode *root, const struct vp_cells *cells,
                        const struct vp_numa_facts *facts, struct vp_error *err);

#endif
