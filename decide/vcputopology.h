/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_VCPUTOPOLOGY_H
#define VP_VCPUTOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/domain.h"
#include "decide/policy.h"

/* Which sockets, cores and threads a guest gets under topology = auto. */

/* What is searched for. Limits and preferences of 0 are not there. */
struct vp_topology_search {
    unsigned vcpus; /* 1..VP_VCPUS_MAX */
    unsigned max_sockets, max_cores, max_threads;
    unsigned preferred_sockets, preferred_cores, preferred_threads;
    unsigned usual_sockets, usual_threads; /* without a preference; at least 1 */
};

/* Of all sockets x cores x threads = vcpus within the limits the one with
 * most preferences met; among these the one nearest to the usual threads, then
 * to the usual sockets, then with fewer sockets, then fewer threads. dies and
 * clusters are 1. False: there is none. */
bool vp_topology_search(const struct vp_topology_search *search, struct vp_guest_topology *best);

/* How many sockets the guest's system counts, by its libosinfo id: 0 if
 * nothing is known. *source says who says so. The table is conf/os-sockets.def. */
unsigned vp_os_sockets(const char *os, const char **source);

/* sockets x dies x clusters x cores x threads, omitted parts being 1;
 * UINT64_MAX beyond. */
uint64_t vp_topology_product(const struct vp_guest_topology *topology);

/* The topology that the policy wants for a guest with `vcpus` at most; its
 * sockets are 0 for `keep`. False: there is none, and why says so with the
 * arithmetic. */
bool vp_vcpu_topology(const struct vp_domain *domain, const struct vp_policy *policy,
                      unsigned vcpus, struct vp_guest_topology *wanted, char *why, size_t size);

#endif
