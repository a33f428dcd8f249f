/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_TUNING_H
#define VP_TUNING_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "decide/domain.h"
#include "decide/drift.h"
#include "decide/policy.h"
#include "decide/rewrite.h"

struct vp_error;

/* CPU time of a guest: shares (cpu.shares on cgroup v1, cpu.weight on v2, of the
 * guest's group), period and quota (of each vCPU's group: cpu.cfs_period_us and
 * cpu.cfs_quota_us, or cpu.max), scheduler of the vCPUs' threads. libvirt writes
 * <shares> as it stands on either version (src/util/vircgroupv1.c and
 * vircgroupv2.c, 9.0.0 to 11.3.0): 2..262144 or 1..10000. */

enum vp_tuning_key { VP_TUNE_SHARES, VP_TUNE_PERIOD, VP_TUNE_QUOTA, VP_TUNE_SCHEDULER };
enum { VP_TUNE_KEYS = VP_TUNE_SCHEDULER + 1 };

/* Whether it asks for anything. */
bool vp_tuning_any(const struct vp_tuning *tuning);
bool vp_tuning_asks(const struct vp_tuning *tuning, enum vp_tuning_key key);

/* Whether the host of policy->tuning_host can hold that key's value; false: why
 * says so. A host that is not known can. */
bool vp_tuning_fits(const struct vp_policy *policy, enum vp_tuning_key key, char *why, size_t size);
/* The policy's tuning without what its host cannot hold. */
struct vp_tuning vp_tuning_possible(const struct vp_policy *policy);

/* "shares 512", "quota 50000", "scheduler fifo:1". */
void vp_tuning_say(const struct vp_tuning *tuning, enum vp_tuning_key key, char *text, size_t size);

/* The same text taken apart, as word and rest: 0 read; 1: another word; -1: bad. */
int vp_tuning_parse(struct vp_tuning *tuning, const char *word, const char *rest);

/* The scheduler that a definition gives a vCPU; OTHER where it says nothing. */
struct vp_vcpu_scheduler vp_tuning_scheduler_of(const struct vp_domain *domain, unsigned vcpu);

/* What a guest has by its definition alone where `was` had put something else in
 * force: the definition's values, the kernel's defaults where it says nothing
 * (cgroup: 1 or 2). domain may be NULL. The scheduler is that of vCPU 0. */
struct vp_tuning vp_tuning_back(const struct vp_tuning *was, const struct vp_tuning *now,
                                const struct vp_domain *domain, int cgroup);

/* In what the definition misses the policy, for a guest of so many vCPUs. */
int vp_tuning_check(const struct vp_domain *domain, const struct vp_policy *policy, unsigned vcpus,
                    struct vp_changes *changes);
/* Makes it what it is in the original. */
int vp_tuning_revert(xmlNode *root, const xmlNode *original, bool *changed, struct vp_error *err);
bool vp_tuning_is(const xmlNode *node); /* one of its elements in <cputune> */

/* ---- a running guest ---- */

struct vp_tuned_vcpu {
    unsigned index;
    pid_t tid;
    bool has_limit; /* its group has the cpu controller; period and quota are known */
    unsigned long long period;
    long long quota; /* -1: no limit */
    struct vp_vcpu_scheduler scheduler;
    char group[512]; /* of the cpu controller, "" if unknown */
};

/* What a guest's groups and threads have (host/tune.h looks). */
struct vp_tuned {
    bool has_shares;
    unsigned long long shares;
    char group[512]; /* the guest's own, whose shares these are; "" if unknown */
    struct vp_tuned_vcpu *vcpu;
    size_t count;
};
void vp_tuned_clear(struct vp_tuned *tuned);

struct vp_tuning_diff {
    enum vp_drift_kind kind; /* VP_DRIFT_SHARES, _QUOTA (period and quota), _SCHEDULER */
    unsigned index;          /* vCPU; 0 for shares */
    pid_t tid;               /* 0 for shares */
    char wanted[64], found[64];
    char where[512]; /* the group, or "" */
};
struct vp_tuning_diffs {
    struct vp_tuning_diff *item;
    size_t count;
};
void vp_tuning_diffs_clear(struct vp_tuning_diffs *diffs);

/* What is wanted against what is there: at most one difference a vCPU and kind,
 * and one for the shares. What the plan keeps is not compared. The cpu
 * controller where it is missing: the finding "none". 0, or -1 without memory. */
int vp_tuning_compare(const struct vp_tuning *wanted, const struct vp_tuned *tuned,
                      struct vp_tuning_diffs *diffs);

#endif
