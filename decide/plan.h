/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PLAN_H
#define VP_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/cpuset.h"
#include "decide/domain.h"
#include "decide/pins.h"
#include "decide/place.h"
#include "decide/policy.h"
#include "decide/topology.h"

struct vp_error;
struct vp_findings;

/* policy + domain + topology + bookings -> what should be. Pure. */

/* What one thread should have. A pool want follows the shared pool, which
 * changes with every booking, and is therefore resolved when it is applied;
 * its `cpus`, if not empty, are the part of the pool to keep to while that
 * part is not empty (placement = shared with numa = single). VP_WANT_BOTH is
 * the pool and `cpus` (threads of a mixed guest that run with its vCPUs). */
enum vp_want_kind { VP_WANT_NOTHING, VP_WANT_POOL, VP_WANT_SET, VP_WANT_BOTH };
struct vp_want {
    enum vp_role role;
    unsigned index;
    enum vp_want_kind kind;
    struct vp_cpuset cpus;
};

/* What a guest has, or is to have, on a node. */
struct vp_node_memory {
    int node; /* the kernel's number */
    uint64_t kib;
};
enum { VP_NODES_MAX = 128 };

/* A thread's CPU of its own. */
struct vp_home {
    enum vp_role role;
    unsigned index;
    int cpu;
};

struct vp_plan {
    char *policy;
    char policy_hash[72];
    enum vp_mode mode;
    enum vp_placement placement;
    enum vp_chosen_by chosen_by;
    /* vCPUs 0..maximum-1, the emulator, I/O threads by id, vhost threads from 0
     * unless they run with the emulator. Workers and helpers have what the
     * emulator has. */
    struct vp_want *want;
    size_t want_count;
    /* exclusive bookings, disjoint */
    struct vp_cpuset vcpu_cpus, emulator_cpus, iothread_cpus, vhost_cpus, idle_cpus;
    struct vp_cpuset fixed_cpus; /* non-exclusive: placement = fixed, emulator = CPULIST */
    struct vp_cpuset nodes;      /* the kernel's numbers */
    struct vp_tuning tuning;     /* of the guest's groups and vCPU threads */
    /* what its nodes bear, where the host's memory is known; none: not said */
    struct vp_node_memory *memory;
    size_t memory_count;
    uint64_t page_kib;       /* of huge pages, 0: normal ones */
    enum vp_memory numatune; /* the mode that is to be in force with it */
    char *pool;              /* which pool its pool wants are of; NULL: the default one */
    bool reserve;            /* its CPUs stay its own while it is off */
    /* where its threads were before CPUs went offline; they go back there */
    struct vp_home *home; /* owned */
    size_t home_count;
};

void vp_plan_free(struct vp_plan *plan);
static inline void vp_plan_cleanup(struct vp_plan **plan)
{
    vp_plan_free(*plan);
}

/* A deep copy; NULL without memory. */
struct vp_plan *vp_plan_copy(const struct vp_plan *plan);

/* `plan` stands in for `before`, whose CPUs are not all online: it remembers
 * where its threads were then, or where they were before that. 0, or -1 without
 * memory. */
int vp_plan_set_home(struct vp_plan *plan, const struct vp_plan *before);

/* Every CPU that the plan books for itself alone. */
void vp_plan_exclusive(const struct vp_plan *plan, struct vp_cpuset *cpus);
/* Whether on-no-room = shared has let it into the pool, where its placement is
 * another. */
bool vp_plan_without_room(const struct vp_plan *plan);
/* Whether any thread of the plan runs in the shared pool. */
bool vp_plan_uses_pool(const struct vp_plan *plan);
const struct vp_want *vp_plan_find(const struct vp_plan *plan, enum vp_role role, unsigned index);
/* What a thread of that role and index should have: workers and helpers have
 * the emulator's, so have vhost threads without a want. NULL: nothing is wanted
 * of it. */
const struct vp_want *vp_plan_want(const struct vp_plan *plan, enum vp_role role, unsigned index);

/* One want as a CPU set; empty where nothing is wanted. */
void vp_want_resolve(const struct vp_want *want, const struct vp_cpuset *pool,
                     struct vp_cpuset *cpus);
/* Wants as CPU sets, the pool filled in; VP_WANT_NOTHING is left out, an empty
 * pool too. The caller clears *pins. 0, or -1 without memory. */
int vp_plan_resolve(const struct vp_plan *plan, const struct vp_cpuset *pool, struct vp_pins *pins);

/* The ledger's text for a plan, one line an object; parse accepts what print
 * writes of this major version (unknown line words are skipped: within a major
 * only additions). The caller frees. */
char *vp_plan_print(const struct vp_plan *plan);
int vp_plan_parse(const char *text, struct vp_plan **plan, struct vp_error *err);

/* ---- what can stand in a definition ---- */

/* Pins of threads that have CPUs of the plan's own; what follows the pool is
 * left out. The caller clears *pins. 0, or -1 without memory. */
int vp_plan_own_pins(const struct vp_plan *plan, struct vp_pins *pins);

/* Which nodes memory is bound to: the guest's and, where each vCPU of every cell
 * has CPUs of its own, each cell's. mode KEEP: to none. */
struct vp_memory_cell {
    unsigned id;
    struct vp_cpuset nodes;
};
struct vp_memory_bind {
    enum vp_memory mode;
    struct vp_cpuset nodes;      /* the kernel's numbers */
    struct vp_memory_cell *cell; /* owned */
    size_t cell_count;
};
int vp_plan_bind(const struct vp_plan *plan, const struct vp_topology *topology,
                 const struct vp_domain *domain, struct vp_memory_bind *bind);
void vp_memory_bind_clear(struct vp_memory_bind *bind);

/* ---- planning ---- */

/* Another guest's holdings, as the ledger has them. */
struct vp_holding {
    char uuid[VP_UUID_TEXT];
    char name[256];
    struct vp_cpuset exclusive;
    struct vp_cpuset fixed;
    bool no_cpus; /* both are empty, for sure: thousands of such need not be gone through */
    bool uses_pool;
    char pool[64];       /* which; "": the default one */
    unsigned pool_vcpus; /* how many vCPUs run in it */
    /* by the index of topology->node, in pages of that size (0: normal ones) */
    uint64_t memory_kib[VP_NODES_MAX];
    uint64_t page_kib;
    long long held_until_ms; /* a stopped guest whose CPUs are kept; 0 else */
};

struct vp_plan_input {
    const struct vp_policy_set *set;
    const struct vp_policy *policy;
    enum vp_chosen_by chosen_by;
    const struct vp_domain *domain;
    const struct vp_topology *topology;
    struct vp_cpuset pci_nodes;       /* nodes of the guest's PCI devices, as far as known */
    bool pci_unknown;                 /* some device's is not */
    struct vp_cpuset allowed;         /* what the guest's partition may use; empty: all online */
    const struct vp_holding *holding; /* others'; the guest's own is skipped by uuid */
    size_t holding_count;
    /* CPUs that a dedicated guest has already and should keep if they are free
     * for it and satisfy the policy (adoption, a revert's second start): the
     * vCPUs', then the emulator's, the I/O threads' in order, the vhost threads';
     * -1 unknown, or none of its own. NULL: none. keep_only: refused rather than placed
     * elsewhere. */
    const int *keep;
    bool keep_only;
    bool unexplained; /* a refusal needs no sentence, which may take longer than the plan */
};

enum vp_plan_result { VP_PLAN_OK, VP_PLAN_REFUSED, VP_PLAN_FAILED };

/* OK: *plan is the caller's; findings (may be NULL) may gain warnings (fell
 * back to shared, a key that this host cannot honour, fixed guests overlap).
 * REFUSED: *err holds the sentence, *answer (may be NULL) the placer's limit.
 * FAILED: without memory. */
enum vp_plan_result vp_plan_make(const struct vp_plan_input *input, struct vp_plan **plan,
                                 struct vp_place_answer *answer, struct vp_findings *findings,
                                 struct vp_error *err);

/* A plan that names policy, mode and placement and wants nothing: for a guest
 * that could not be placed. The caller frees; NULL without memory. */
struct vp_plan *vp_plan_unplaced(const struct vp_plan_input *input);

/* What a guest with this plan in force holds; uuid, name and held_until_ms stay
 * as they are. */
void vp_plan_hold(const struct vp_plan *plan, const struct vp_topology *topology,
                  struct vp_holding *holding);

/* The default shared pool of a host under these holdings: [host] shared, less
 * the pools that have CPUs of their own, and what is booked exclusively,
 * reserved or isolated. May be empty. */
void vp_pool(const struct vp_host_conf *host, const struct vp_topology *topology,
             const struct vp_holding *holding, size_t holding_count, struct vp_cpuset *pool);
/* A pool by its name; NULL, "" and names that no section has: the default one. */
void vp_pool_named(const struct vp_host_conf *host, const struct vp_topology *topology,
                   const char *name, const struct vp_holding *holding, size_t holding_count,
                   struct vp_cpuset *pool);
/* All of them together. */
void vp_pools(const struct vp_host_conf *host, const struct vp_topology *topology,
              const struct vp_holding *holding, size_t holding_count, struct vp_cpuset *cpus);
/* How many vCPUs of the plan run in its pool. */
unsigned vp_plan_pool_vcpus(const struct vp_plan *plan);

/* CPUs that [host] dedicated allows, before bookings. */
void vp_dedicable(const struct vp_host_conf *host, const struct vp_topology *topology,
                  struct vp_cpuset *cpus);

#endif
