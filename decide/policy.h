/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_POLICY_H
#define VP_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "decide/cpuset.h"

struct vp_error;
struct vp_findings;

/* A policy set: [host] merged for this host, every policy with its base
 * resolved, keys checked. Built by policydraft.h, never changed afterwards. */

enum vp_mode { VP_MODE_AUDIT, VP_MODE_ENFORCE, VP_MODE_OFF };
enum vp_cpu_mode {
    VP_CPU_KEEP,
    VP_CPU_CUSTOM,
    VP_CPU_HOST_MODEL,
    VP_CPU_HOST_PASSTHROUGH,
    VP_CPU_MAXIMUM,
};
enum vp_placement {
    VP_PLACE_NONE,
    VP_PLACE_SHARED,
    VP_PLACE_DEDICATED,
    VP_PLACE_MIXED,
    VP_PLACE_FIXED
};
enum vp_thread_policy { VP_THREADS_PREFER, VP_THREADS_REQUIRE, VP_THREADS_ISOLATE };
enum vp_numa { VP_NUMA_FEWEST, VP_NUMA_SINGLE, VP_NUMA_ANY, VP_NUMA_SPREAD };
enum vp_care { VP_CARE_PREFER, VP_CARE_REQUIRE, VP_CARE_ANY }; /* of cache and pci-locality */
enum vp_core_type { VP_CORES_ANY, VP_CORES_PERFORMANCE, VP_CORES_EFFICIENCY };
enum vp_fill { VP_FILL_PACK, VP_FILL_SPREAD };
/* numatune's mode; anything but KEEP makes memory limit placement. */
enum vp_memory { VP_MEMORY_KEEP, VP_MEMORY_STRICT, VP_MEMORY_RESTRICTIVE, VP_MEMORY_PREFERRED };
const char *vp_memory_word(enum vp_memory memory);
enum vp_reserve { VP_RESERVE_RUNNING, VP_RESERVE_ALWAYS };
/* Where emulator, I/O and vhost threads run. WITH_EMULATOR is not for the emulator. */
enum vp_where {
    VP_WHERE_SHARED,
    VP_WHERE_ISOLATE,
    VP_WHERE_WITH_VCPUS,
    VP_WHERE_WITH_EMULATOR,
    VP_WHERE_LIST,
};
enum vp_verdict { VP_VERDICT_UNSET, VP_VERDICT_ALLOW, VP_VERDICT_REFUSE, VP_VERDICT_SHARED };

struct vp_strings {
    char **item;
    size_t count;
};

/* low..high inclusive; an open end is 0 or UINT64_MAX. Sizes are in KiB. */
struct vp_range {
    uint64_t low, high;
};
struct vp_ranges {
    struct vp_range *item;
    size_t count;
};

/* vcpupin = VCPUS:CPUS; a range to an equal range is already expanded here. */
struct vp_vcpupin {
    struct vp_cpuset vcpus;
    struct vp_cpuset cpus;
};

struct vp_place_where {
    enum vp_where where;
    struct vp_cpuset cpus; /* VP_WHERE_LIST */
};

/* topology = keep: sockets is 0; topology = auto: VP_TOPOLOGY_AUTO. */
#define VP_TOPOLOGY_AUTO 0xffffffffu
struct vp_guest_topology {
    unsigned sockets, dies, clusters, cores, threads;
};

/* guest-numa = auto */
#define VP_GUEST_NUMA_AUTO 0xffffffffu
struct vp_numa_facts;

enum vp_hotplug { VP_HOTPLUG_KEEP, VP_HOTPLUG_YES, VP_HOTPLUG_NO };

/* ---- guest CPU ---- */
enum vp_cpu_match { VP_MATCH_EXACT, VP_MATCH_MINIMUM, VP_MATCH_STRICT };
enum vp_cpu_verify { VP_VERIFY_KEEP, VP_VERIFY_NONE, VP_VERIFY_PARTIAL, VP_VERIFY_FULL };
enum vp_switch { VP_SWITCH_KEEP, VP_SWITCH_ON, VP_SWITCH_OFF, VP_SWITCH_AUTO };
enum vp_cpu_cache { VP_CACHE_KEEP, VP_CACHE_PASSTHROUGH, VP_CACHE_EMULATE, VP_CACHE_DISABLE };
enum vp_addr_mode { VP_ADDR_KEEP, VP_ADDR_PASSTHROUGH, VP_ADDR_EMULATE };
/* Whose nested virtualisation a host has: vmx or svm. */
enum vp_cpu_vendor { VP_VENDOR_UNKNOWN, VP_VENDOR_INTEL, VP_VENDOR_AMD };

struct vp_maxphysaddr {
    enum vp_addr_mode mode;
    unsigned bits; /* VP_ADDR_EMULATE */
};

struct vp_cpu_wants {
    enum vp_cpu_match match;
    bool fallback_allowed;
    enum vp_cpu_verify check;
    enum vp_switch migratable;
    struct vp_strings features; /* "+pcid", "-vmx", "?N", "!N", "=N" */
    enum vp_switch nested;
    enum vp_cpu_cache cache;
    struct vp_maxphysaddr maxphysaddr;
    enum vp_switch pmu, hint_dedicated;
    enum vp_cpu_vendor vendor; /* no key: the host's, where vp_policy_for_host filled it in */
};

/* ---- tuning ---- */
enum vp_scheduler {
    VP_SCHEDULER_KEEP,
    VP_SCHEDULER_BATCH,
    VP_SCHEDULER_IDLE,
    VP_SCHEDULER_FIFO,
    VP_SCHEDULER_RR,
    VP_SCHEDULER_OTHER /* no policy's: what threads have that nobody gave another */
};
/* "keep", "batch", "idle", "fifo", "rr", "other" */
const char *vp_scheduler_word(enum vp_scheduler scheduler);

struct vp_vcpu_scheduler {
    enum vp_scheduler policy;
    unsigned priority; /* FIFO, RR */
};

/* 0 and KEEP: left as it is. */
struct vp_tuning {
    unsigned shares; /* cpu.shares on cgroup v1, cpu.weight on v2, the guest's */
    unsigned period; /* microseconds, each vCPU's */
    long long quota; /* microseconds, each vCPU's; -1: no limit */
    struct vp_vcpu_scheduler scheduler;
};

/* What a host can hold of it; no key, filled in by whoever knows the host. */
struct vp_tuning_host {
    int cgroup;         /* version of the hierarchy that has the cpu controller; 0 not known */
    bool no_controller; /* there is none */
    bool no_realtime;   /* groups get no real-time time: fifo and rr fail with EPERM */
};

struct vp_policy {
    char *name;
    const char *file; /* owned by the set */
    int line;
    /* choosing */
    char *base; /* NULL if none; already resolved */
    int priority;
    enum vp_mode mode;
    unsigned rollout; /* percent */
    bool by_metadata;
    struct vp_strings match_name, match_title, match_uuid, match_metadata, match_os, match_type;
    struct vp_strings match_arch, match_machine, match_partition, match_host;
    struct vp_ranges match_vcpus, match_memory;
    /* guest CPU and topology */
    enum vp_cpu_mode cpu_mode;
    struct vp_strings cpu_models; /* the first that the host can run; any of them meets */
    struct vp_cpu_wants cpu;
    struct vp_guest_topology topology;
    /* of topology = auto; 0 where not said */
    unsigned max_sockets, max_cores, max_threads;
    unsigned preferred_sockets, preferred_cores, preferred_threads;
    unsigned guest_numa;                    /* cells; 0: keep */
    const struct vp_numa_facts *numa_facts; /* no key: of auto, the caller's (guestnuma.h) */
    unsigned vcpus, vcpus_current;          /* 0: keep */
    enum vp_hotplug vcpus_hotplug;
    bool guest_agent;
    /* placement */
    enum vp_placement placement;
    struct vp_cpuset dedicated_vcpus; /* mixed */
    struct vp_vcpupin *vcpupin;
    size_t vcpupin_count;
    enum vp_thread_policy thread_policy;
    enum vp_numa numa;
    enum vp_care cache, pci_locality;
    enum vp_core_type core_type;
    enum vp_fill fill;
    enum vp_memory memory;
    enum vp_reserve reserve;
    char *pool; /* NULL: the default one */
    struct vp_place_where emulator, iothreads, vhost;
    struct vp_tuning tuning;
    struct vp_tuning_host tuning_host;
    /* behaviour; on_error is UNSET where the host's holds */
    enum vp_verdict on_start, on_no_room, on_migrate, on_error;
};

enum vp_cpus_kind { VP_CPUS_AUTO, VP_CPUS_ALL, VP_CPUS_LIST };
struct vp_cpus_choice {
    enum vp_cpus_kind kind;
    struct vp_cpuset list;
};

/* [pool NAME]: a part of the shared CPUs. A percentage is of all CPUs that may
 * be shared, in whole cores. */
enum vp_pool_kind { VP_POOL_REST, VP_POOL_LIST, VP_POOL_PERCENT };
struct vp_pool_cpus {
    enum vp_pool_kind kind; /* REST: the pool "default" alone, what the others leave */
    unsigned percent;
    struct vp_cpuset list;
};
struct vp_pool_conf {
    char *name;
    struct vp_pool_cpus cpus;
    unsigned ratio;  /* vCPUs a CPU, 0: no limit */
    unsigned weight; /* 1..10000 */
};

struct vp_host_conf {
    struct vp_pool_conf *pool; /* by name in byte order */
    size_t pool_count;
    struct vp_cpuset reserved;
    struct vp_cpus_choice dedicated; /* auto, all, list */
    struct vp_cpus_choice shared;    /* auto, list */
    bool isolated_avoid;
    uint64_t reserved_memory_kib;
    char *uri;
    bool tell_libvirt;
    bool manage_slices;
    enum vp_verdict on_error; /* ALLOW or REFUSE */
    unsigned hook_limit_ms;
    unsigned sweep_ms; /* VP_SWEEP_AUTO: the enforcer knows */
#define VP_SWEEP_AUTO 0
    unsigned contested_count, contested_ms;
    unsigned repair_count, repair_ms;
    char *metrics_file; /* a path, or "none" */
    char *run_dir, *state_dir, *cgroup_dir;
};

struct vp_policy_set {
    struct vp_host_conf host;
    struct vp_policy *policy; /* sorted by name in byte order */
    size_t count;
    char hash[72]; /* "sha256:" and 64 hex digits, of the normalised text */
    char *text;    /* the normalised text: parses again to the same set */
    struct vp_strings files;
};

void vp_policy_set_free(struct vp_policy_set *set);
static inline void vp_policy_set_cleanup(struct vp_policy_set **set)
{
    vp_policy_set_free(*set);
}

/* What the program uses before any file was read: POLICY.md's defaults. The
 * caller frees with vp_policy_set_free; NULL without memory. */
struct vp_policy_set *vp_policy_set_defaults(void);

/* The policy of that name, NULL if there is none. */
const struct vp_policy *vp_policy_find(const struct vp_policy_set *set, const char *name);

/* The pool of that name (NULL: "default"); NULL where no section says anything of it. */
const struct vp_pool_conf *vp_pool_find(const struct vp_host_conf *host, const char *name);

/* Whether its guests get CPUs of their own: dedicated, mixed. */
static inline bool vp_policy_books(const struct vp_policy *policy)
{
    return policy->placement == VP_PLACE_DEDICATED || policy->placement == VP_PLACE_MIXED;
}

/* Fills set->hash from set->text; for a set made without (see policydraft.h). */
void vp_policy_set_hash(struct vp_policy_set *set);

/* Warns of policies that have match keys and the same priority, unless what
 * they match shows that no guest can have both. Not part of building a set:
 * it looks at every pair. */
void vp_policy_warn_ties(const struct vp_policy_set *set, struct vp_findings *findings);

/* Frees what a policy or a host configuration holds, not the object. */
void vp_policy_clear(struct vp_policy *policy);
void vp_host_conf_clear(struct vp_host_conf *host);

/* True if any match-* key is set. */
bool vp_policy_matches_some(const struct vp_policy *policy);

/* The policy as it is for one host: of cpu-models the one of that index (below
 * 0: all stay), and the vendor of its CPU. Shallow: it shares everything with
 * `policy`, which must outlive it, and is never cleared. */
struct vp_policy vp_policy_for_host(const struct vp_policy *policy, int model,
                                    enum vp_cpu_vendor vendor);

/* require, disable, optional, forbid, force: what + - ? ! = in front of a
 * feature's name says. NULL for any other character. */
const char *vp_cpu_feature_word(char sign);

/* The words of the enums as policy files have them ("host-passthrough"). */
const char *vp_mode_word(enum vp_mode mode);
const char *vp_cpu_mode_word(enum vp_cpu_mode mode);
const char *vp_placement_word(enum vp_placement placement);
const char *vp_thread_policy_word(enum vp_thread_policy policy);
const char *vp_numa_word(enum vp_numa numa);

/* ---- which policy a guest has (match.c) ---- */

/* What matching looks at; strings may be NULL where the domain has none. */
struct vp_match_facts {
    const char *name, *uuid, *title, *os, *type, *arch, *machine, *partition, *host;
    unsigned vcpus; /* maximum */
    uint64_t memory_kib;
    const char *named_policy; /* <virtpin:guest policy=>, NULL if none */
    /* metadata elements as "{URI}name" and their text, for match-metadata */
    const struct vp_metadata_element *metadata;
    size_t metadata_count;
};
struct vp_metadata_element {
    char *name; /* "{URI}local" */
    char *text;
};

enum vp_chosen_by { VP_CHOSEN_NONE, VP_CHOSEN_MATCH, VP_CHOSEN_METADATA };
struct vp_choice {
    const struct vp_policy *policy; /* of the set, NULL: none applies */
    enum vp_chosen_by by;
    char why[512];     /* for explain: "match-name db-* and priority 20; ..." */
    char warning[256]; /* "" or: metadata names a policy that is not there or may not be named */
};

/* Pure; see "Which policy applies" in virtpin-policy(5). */
void vp_policy_choose(const struct vp_policy_set *set, const struct vp_match_facts *facts,
                      struct vp_choice *choice);

/* True if the globs hold for a host's name or for its first label. */
bool vp_host_globs_hold(const struct vp_strings *globs, const char *nodename);
/* Whether the globs of a match-name hold for a domain's name. */
bool vp_name_globs_hold(const struct vp_strings *globs, const char *name);

/* FNV-1a-64 of "POLICY:uuid in lower case" mod 100 is below percent. */
bool vp_rollout_in(const char *policy, const char *uuid, unsigned percent);

#endif
