/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared pools: which CPUs each has, and how many its guests need. */
#include <stdio.h>
#include <string.h>

#include "decide/error.h"
#include "decide/plan_priv.h"

/* ---- the CPUs of a pool ---- */

/* What may be shared at all: online, neither reserved nor isolated, and in
 * [host] shared where that is a list. */
static void shareable(const struct vp_host_conf *host, const struct vp_topology *topology,
                      struct vp_cpuset *cpus)
{
    *cpus = topology->online;
    if (host->shared.kind == VP_CPUS_LIST)
        vp_cpuset_and(cpus, &host->shared.list);
    vp_cpuset_minus(cpus, &host->reserved);
    vp_cpuset_minus(cpus, &topology->isolated);
}

/* Pools that are listed may also have CPUs outside of [host] shared. */
static void listed(const struct vp_host_conf *host, const struct vp_topology *topology,
                   const struct vp_pool_conf *pool, struct vp_cpuset *cpus)
{
    *cpus = topology->online;
    vp_cpuset_and(cpus, &pool->cpus.list);
    vp_cpuset_minus(cpus, &host->reserved);
    vp_cpuset_minus(cpus, &topology->isolated);
}

/* N% in whole cores from the highest down: at least one, else no more than the
 * share. `rest` loses them. */
static void cut_share(const struct vp_topology *topology, unsigned target, struct vp_cpuset *rest,
                      struct vp_cpuset *cpus)
{
    *cpus = (struct vp_cpuset){0};
    for (size_t i = topology->core_count; i-- > 0;) {
        struct vp_cpuset core = topology->core[i];
        unsigned have = vp_cpuset_count(cpus);

        vp_cpuset_and(&core, rest);
        if (vp_cpuset_empty(&core) || (have > 0 && have + vp_cpuset_count(&core) > target))
            continue;
        vp_cpuset_or(cpus, &core);
        if (vp_cpuset_count(cpus) >= target)
            break;
    }
    vp_cpuset_minus(rest, cpus);
}

/* The pool's CPUs before bookings; *all (may be NULL) gets those of all pools
 * but the default one. Pools are taken in the order of their names, lists
 * first, so that the same files always give the same pools. */
static void pool_base(const struct vp_host_conf *host, const struct vp_topology *topology,
                      const char *name, struct vp_cpuset *pool)
{
    struct vp_cpuset rest, cpus;
    unsigned whole;

    shareable(host, topology, &rest);
    whole = vp_cpuset_count(&rest);
    for (int percent = 0; percent < 2; percent++) {
        for (size_t i = 0; i < host->pool_count; i++) {
            const struct vp_pool_conf *conf = &host->pool[i];

            if (conf->cpus.kind == VP_POOL_REST || (conf->cpus.kind == VP_POOL_PERCENT) != percent)
                continue;
            if (percent)
                cut_share(topology, whole * conf->cpus.percent / 100, &rest, &cpus);
            else
                listed(host, topology, conf, &cpus);
            vp_cpuset_minus(&rest, &cpus);
            if (name && strcmp(conf->name, name) == 0) {
                *pool = cpus;
                return;
            }
        }
    }
    *pool = rest;
}

static void less_bookings(const struct vp_holding *holding, size_t count, struct vp_cpuset *cpus)
{
    for (size_t i = 0; i < count; i++)
        if (!holding[i].no_cpus)
            vp_cpuset_minus(cpus, &holding[i].exclusive);
}

void vp_pool_named(const struct vp_host_conf *host, const struct vp_topology *topology,
                   const char *name, const struct vp_holding *holding, size_t holding_count,
                   struct vp_cpuset *pool)
{
    pool_base(host, topology, name, pool);
    less_bookings(holding, holding_count, pool);
}

void vp_pool(const struct vp_host_conf *host, const struct vp_topology *topology,
             const struct vp_holding *holding, size_t holding_count, struct vp_cpuset *pool)
{
    vp_pool_named(host, topology, NULL, holding, holding_count, pool);
}

void vp_pools(const struct vp_host_conf *host, const struct vp_topology *topology,
              const struct vp_holding *holding, size_t holding_count, struct vp_cpuset *cpus)
{
    shareable(host, topology, cpus);
    for (size_t i = 0; i < host->pool_count; i++) {
        struct vp_cpuset its = {0};

        if (host->pool[i].cpus.kind == VP_POOL_LIST)
            listed(host, topology, &host->pool[i], &its);
        vp_cpuset_or(cpus, &its);
    }
    less_bookings(holding, holding_count, cpus);
}

/* ---- what its guests need ---- */

unsigned vp_plan_pool_vcpus(const struct vp_plan *plan)
{
    unsigned count = 0;

    for (size_t i = 0; i < plan->want_count; i++)
        count += plan->want[i].role == VP_ROLE_VCPU && plan->want[i].kind == VP_WANT_POOL;
    return count;
}

bool vp_plan_is_own(const struct vp_plan_input *in, const struct vp_holding *holding)
{
    return strcmp(holding->uuid, in->domain->uuid) == 0;
}

/* 100 is the kernel's own weight, 1024 its shares. */
void vp_plan_weigh(struct vp_plan *plan, const struct vp_plan_input *in)
{
    const struct vp_pool_conf *pool = vp_pool_find(&in->set->host, plan->pool);
    int cgroup = in->policy->tuning_host.cgroup;

    if (!pool || pool->weight == 100 || in->policy->tuning.shares > 0 || cgroup == 0 ||
        in->policy->placement != VP_PLACE_SHARED)
        return;
    plan->tuning.shares = cgroup == 2 ? pool->weight : pool->weight * 1024 / 100;
    if (plan->tuning.shares < 2 && cgroup == 1)
        plan->tuning.shares = 2;
}

bool vp_pool_is(const struct vp_holding *holding, const char *name)
{
    return strcmp(holding->pool, name ? name : "") == 0;
}

/* CPUs that a pool of `vcpus` vCPUs must have. */
static unsigned needed(const struct vp_host_conf *host, const char *name, bool used, unsigned vcpus)
{
    const struct vp_pool_conf *conf = vp_pool_find(host, name);
    unsigned ratio = conf ? conf->ratio : 0;
    unsigned count = ratio > 0 ? (vcpus + ratio - 1) / ratio : 0;

    return count > 0 ? count : used;
}

static int say_full(struct vp_making *m, unsigned have, unsigned own, unsigned need)
{
    const char *name = m->plan->pool;
    const struct vp_pool_conf *conf = vp_pool_find(&m->in->set->host, name);

    vp_plan_limited(m, VP_LIMIT_SHARED, need - have);
    return vp_fail(m->err, VP_REFUSED,
                   "pool %s has %u CPU%s for %u vCPUs at ratio %u, %u of them taken; the guest "
                   "needs %u: %u CPU%s short; give the pool more CPUs or a higher ratio",
                   conf->name, have, have == 1 ? "" : "s", have * conf->ratio, conf->ratio,
                   m->pool_vcpus, own, need - have, need - have == 1 ? "" : "s");
}

int vp_plan_need_pool(struct vp_making *m)
{
    unsigned own = vp_plan_pool_vcpus(m->plan), have = vp_cpuset_count(&m->pool), need;

    if (!vp_plan_uses_pool(m->plan))
        return 0;
    need = needed(&m->in->set->host, m->plan->pool, true, own > 0 ? own + m->pool_vcpus : 0);
    if (need <= have)
        return 0;
    if (have > 0)
        return say_full(m, have, own, need);
    vp_plan_limited(m, VP_LIMIT_SHARED, 1);
    if (m->plan->pool)
        return vp_fail(m->err, VP_REFUSED,
                       "pool %s is empty: every CPU of it is offline, reserved, isolated or "
                       "dedicated to guests; stop one, or give [pool %s] more CPUs",
                       m->plan->pool, m->plan->pool);
    return vp_fail(m->err, VP_REFUSED,
                   "the shared pool is empty: every CPU is reserved, isolated or dedicated to "
                   "guests; stop one, or give [host] shared more CPUs");
}

/* ---- dedicated CPUs that pools must not lose ---- */

/* What other guests have in that pool. */
static void tally(const struct vp_making *m, const char *name, bool *used, unsigned *vcpus)
{
    *used = false;
    *vcpus = 0;
    for (size_t i = 0; i < m->in->holding_count; i++) {
        const struct vp_holding *holding = &m->in->holding[i];

        if (strcmp(holding->uuid, m->in->domain->uuid) == 0 || !vp_pool_is(holding, name))
            continue;
        *used = *used || holding->uses_pool;
        *vcpus += holding->pool_vcpus;
    }
}

/* `count` CPUs of `from`: the attempt says at which of them to begin. */
static void withhold_some(const struct vp_cpuset *from, unsigned count, unsigned attempt,
                          struct vp_cpuset *withhold)
{
    int cpu = vp_cpuset_next(from, -1);

    for (unsigned i = 0; i < attempt && cpu >= 0; i++)
        cpu = vp_cpuset_next(from, cpu);
    for (unsigned i = 0; i < count; i++) {
        if (cpu < 0)
            cpu = vp_cpuset_next(from, -1);
        if (cpu < 0)
            return;
        vp_cpuset_add(withhold, cpu);
        cpu = vp_cpuset_next(from, cpu);
    }
}

static bool pool_stands(const struct vp_making *m, const char *name, const struct vp_cpuset *taken,
                        const struct vp_cpuset *usable, unsigned attempt,
                        struct vp_cpuset *withhold, char *why, size_t size)
{
    struct vp_cpuset pool, left, from;
    unsigned vcpus, need, safe;
    bool used;

    tally(m, name, &used, &vcpus);
    if (!used)
        return true;
    need = needed(&m->in->set->host, name, used, vcpus);
    vp_pool_named(&m->in->set->host, m->in->topology, name, m->in->holding, m->in->holding_count,
                  &pool);
    left = pool;
    vp_cpuset_minus(&left, taken);
    /* a pool that is short already cannot be made worse by a guest that takes nothing of it */
    if (vp_cpuset_count(&left) >= need || !vp_cpuset_meets(&pool, taken))
        return true;
    from = pool;
    vp_cpuset_and(&from, usable);
    safe = vp_cpuset_count(&pool) - vp_cpuset_count(&from);
    if (safe < need)
        withhold_some(&from, need - safe, attempt, withhold);
    snprintf(why, size, "pool %s must keep %u CPU%s for its guests", name ? name : "default", need,
             need == 1 ? "" : "s");
    return false;
}

bool vp_plan_pools_stand(const struct vp_making *m, const struct vp_cpuset *taken,
                         const struct vp_cpuset *usable, unsigned attempt,
                         struct vp_cpuset *withhold, char *why, size_t size)
{
    const struct vp_host_conf *host = &m->in->set->host;

    if (host->pool_count == 0)
        return true; /* the placer itself leaves the only pool a CPU */
    if (!pool_stands(m, NULL, taken, usable, attempt, withhold, why, size))
        return false;
    for (size_t i = 0; i < host->pool_count; i++)
        if (strcmp(host->pool[i].name, "default") != 0 &&
            !pool_stands(m, host->pool[i].name, taken, usable, attempt, withhold, why, size))
            return false;
    return true;
}

/* ---- dedicated CPUs ---- */

/* The core of the lowest CPU that is neither reserved nor isolated. */
static void lowest_core(const struct vp_host_conf *host, const struct vp_topology *topology,
                        struct vp_cpuset *core)
{
    struct vp_cpuset open = topology->online;
    const struct vp_pu *pu;

    *core = (struct vp_cpuset){0};
    vp_cpuset_minus(&open, &host->reserved);
    vp_cpuset_minus(&open, &topology->isolated);
    pu = vp_topology_pu(topology, vp_cpuset_next(&open, -1));
    if (pu)
        *core = topology->core[pu->core];
}

void vp_dedicable(const struct vp_host_conf *host, const struct vp_topology *topology,
                  struct vp_cpuset *cpus)
{
    *cpus = topology->online;
    if (host->dedicated.kind == VP_CPUS_LIST)
        vp_cpuset_and(cpus, &host->dedicated.list);
    if (host->dedicated.kind == VP_CPUS_AUTO) {
        struct vp_cpuset core;

        lowest_core(host, topology, &core);
        vp_cpuset_minus(cpus, &core);
    }
    vp_cpuset_minus(cpus, &host->reserved);
    if (host->isolated_avoid)
        vp_cpuset_minus(cpus, &topology->isolated);
}
