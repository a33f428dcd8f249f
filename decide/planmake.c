/* SPDX-License-Identifier: GPL-2.0-or-later */
/* policy + domain + topology + bookings -> what should be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/plan_priv.h"
#include "decide/tuning.h"

static void gather_holdings(struct vp_making *m)
{
    const struct vp_plan_input *in = m->in;

    for (size_t i = 0; i < in->holding_count; i++) {
        const struct vp_holding *holding = &in->holding[i];

        if (strcmp(holding->uuid, in->domain->uuid) == 0)
            continue;
        if (!holding->no_cpus) {
            vp_cpuset_or(&m->taken, &holding->exclusive);
            vp_cpuset_or(&m->fixed, &holding->fixed);
        }
        if (!vp_pool_is(holding, in->policy->pool))
            continue;
        m->others_use_pool = m->others_use_pool || holding->uses_pool;
        m->pool_vcpus += holding->pool_vcpus;
    }
    vp_pool_named(&in->set->host, in->topology, in->policy->pool, NULL, 0, &m->pool);
    vp_cpuset_minus(&m->pool, &m->taken);
}

void vp_plan_limited(struct vp_making *m, enum vp_limit limit, unsigned short_by)
{
    m->answer->limit = limit;
    m->answer->short_by = short_by;
}

/* numa = single keeps a shared guest to the node that has most of the pool. */
static void pool_part(const struct vp_making *m, struct vp_cpuset *part)
{
    unsigned most = 0;

    *part = (struct vp_cpuset){0};
    if (m->in->policy->numa != VP_NUMA_SINGLE)
        return;
    for (size_t i = 0; i < m->in->topology->node_count; i++) {
        struct vp_cpuset here = m->in->topology->node[i].cpus;
        unsigned count;

        vp_cpuset_and(&here, &m->pool);
        count = vp_cpuset_count(&here);
        if (count > most) {
            most = count;
            *part = m->in->topology->node[i].cpus;
            m->plan->nodes = (struct vp_cpuset){0};
            vp_cpuset_add(&m->plan->nodes, m->in->topology->node[i].os);
        }
    }
}

int vp_plan_shared(struct vp_making *m)
{
    struct vp_cpuset part;

    pool_part(m, &part);
    for (unsigned i = 0; i < m->in->domain->vcpus; i++)
        vp_plan_add(m->plan, VP_ROLE_VCPU, i, VP_WANT_POOL, &part);
    if (vp_plan_others(m, NULL) < 0)
        return -1;
    return vp_plan_need_pool(m);
}

static const struct vp_cpuset *fixed_cpus_of(const struct vp_policy *policy, unsigned vcpu)
{
    for (size_t i = 0; i < policy->vcpupin_count; i++)
        if (vp_cpuset_has(&policy->vcpupin[i].vcpus, (int)vcpu))
            return &policy->vcpupin[i].cpus;
    return NULL;
}

/* Why a fixed guest's vCPU cannot have its CPUs; 0, or -1 with the sentence. */
static int check_fixed(struct vp_making *m, unsigned vcpu, const struct vp_cpuset *cpus)
{
    struct vp_cpuset absent = *cpus, reserved = *cpus;
    char text[256];

    vp_cpuset_minus(&absent, &m->in->topology->online);
    if (!vp_cpuset_empty(&absent)) {
        vp_cpuset_print(&absent, text, sizeof(text));
        vp_plan_limited(m, VP_LIMIT_CPUS, vp_cpuset_count(&absent));
        return vp_fail(m->err, VP_REFUSED,
                       "policy %s pins vCPU %u to CPU %s, which this host does not have online",
                       m->in->policy->name, vcpu, text);
    }
    vp_cpuset_and(&reserved, &m->in->set->host.reserved);
    if (!vp_cpuset_empty(&reserved)) {
        vp_cpuset_print(&reserved, text, sizeof(text));
        vp_plan_limited(m, VP_LIMIT_RESERVED, vp_cpuset_count(&reserved));
        return vp_fail(m->err, VP_REFUSED,
                       "policy %s pins vCPU %u to CPU %s, which [host] reserved keeps from guests",
                       m->in->policy->name, vcpu, text);
    }
    return 0;
}

/* 0 planned; 1 overlaps a dedicated booking; -1 refused. */
static int plan_fixed(struct vp_making *m)
{
    struct vp_cpuset all = {0};

    for (unsigned i = 0; i < m->in->domain->vcpus; i++) {
        const struct vp_cpuset *cpus = fixed_cpus_of(m->in->policy, i);

        if (!cpus) {
            vp_plan_limited(m, VP_LIMIT_CPUS, 1);
            return vp_fail(m->err, VP_REFUSED,
                           "policy %s has no vcpupin for vCPU %u; the guest has up to %u vCPUs",
                           m->in->policy->name, i, m->in->domain->vcpus);
        }
        if (check_fixed(m, i, cpus) < 0)
            return -1;
        vp_cpuset_or(&all, cpus);
        vp_plan_add(m->plan, VP_ROLE_VCPU, i, VP_WANT_SET, cpus);
    }
    if (vp_cpuset_meets(&all, &m->taken)) {
        char text[256];

        vp_cpuset_and(&all, &m->taken);
        vp_plan_limited(m, VP_LIMIT_CPUS, vp_cpuset_count(&all));
        vp_cpuset_print(&all, text, sizeof(text));
        vp_fail(m->err, VP_REFUSED, "policy %s pins vCPUs to CPUs %s, dedicated to another guest",
                m->in->policy->name, text);
        return 1;
    }
    if (vp_cpuset_meets(&all, &m->fixed) && m->findings)
        vp_findings_note(m->findings, VP_WARNING,
                         "guest %s is pinned to CPUs that another fixed guest is pinned to as well",
                         m->in->domain->name);
    m->plan->fixed_cpus = all;
    if (vp_plan_others(m, NULL) < 0)
        return -1;
    return vp_plan_need_pool(m);
}

static struct vp_plan *new_plan(const struct vp_plan_input *in)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return NULL;
    plan->policy = strdup(in->policy->name);
    if (in->policy->pool && !(plan->pool = strdup(in->policy->pool)))
        return NULL;
    plan->want = calloc(vp_domain_threads(in->domain), sizeof(*plan->want));
    if (!plan->policy || !plan->want)
        return NULL;
    snprintf(plan->policy_hash, sizeof(plan->policy_hash), "%s", in->set->hash);
    plan->mode = in->policy->mode;
    plan->placement = in->policy->placement;
    plan->chosen_by = in->chosen_by;
    plan->reserve = in->policy->reserve == VP_RESERVE_ALWAYS &&
                    (vp_policy_books(in->policy) || plan->placement == VP_PLACE_FIXED);
    plan->tuning = vp_tuning_possible(in->policy);
    vp_plan_weigh(plan, in);
    return VP_STEAL(plan);
}

/* Starts the plan's wants and bookings again, for the second choice. */
static void forget(struct vp_plan *plan)
{
    const struct vp_cpuset none = {0};

    plan->want_count = plan->memory_count = 0;
    plan->numatune = VP_MEMORY_KEEP;
    plan->vcpu_cpus = plan->emulator_cpus = plan->iothread_cpus = none;
    plan->vhost_cpus = plan->idle_cpus = plan->fixed_cpus = plan->nodes = none;
}

/* The guest does not fit where it should: shared, where the policy says so. */
static enum vp_plan_result fall_back(struct vp_making *m)
{
    if (m->in->policy->on_no_room != VP_VERDICT_SHARED)
        return VP_PLAN_REFUSED;
    if (m->findings)
        vp_findings_note(m->findings, VP_WARNING, "guest %s runs in the shared pool: %s",
                         m->in->domain->name, m->err ? m->err->text : "no room");
    forget(m->plan);
    return vp_plan_shared(m) == 0 ? VP_PLAN_OK : VP_PLAN_REFUSED;
}

static enum vp_plan_result make(struct vp_making *m)
{
    int result = 0;

    switch (m->in->policy->placement) {
    case VP_PLACE_NONE:
        return VP_PLAN_OK;
    case VP_PLACE_SHARED:
        result = vp_plan_shared(m);
        break;
    case VP_PLACE_DEDICATED:
    case VP_PLACE_MIXED:
        result = vp_plan_dedicated(m);
        break;
    case VP_PLACE_FIXED:
        result = plan_fixed(m);
        break;
    }
    if (result == 0)
        return VP_PLAN_OK;
    if (result > 0)
        return fall_back(m);
    return m->err->code == VP_HOST ? VP_PLAN_FAILED : VP_PLAN_REFUSED;
}

struct vp_plan *vp_plan_unplaced(const struct vp_plan_input *input)
{
    return new_plan(input);
}

enum vp_plan_result vp_plan_make(const struct vp_plan_input *input, struct vp_plan **plan,
                                 struct vp_place_answer *answer, struct vp_findings *findings,
                                 struct vp_error *err)
{
    struct vp_error own_error = {0};
    struct vp_place_answer own_answer = {.emulator = -1};
    struct vp_making m = {.in = input, .findings = findings, .err = err ? err : &own_error};
    enum vp_plan_result result;

    *plan = NULL;
    m.plan = new_plan(input);
    if (!m.plan) {
        vp_fail(err, VP_HOST, "out of memory");
        return VP_PLAN_FAILED;
    }
    m.answer = answer ? answer : &own_answer;
    gather_holdings(&m);
    result = make(&m);
    vp_place_clear(&own_answer);
    if (result == VP_PLAN_OK)
        *plan = m.plan;
    else
        vp_plan_free(m.plan);
    return result;
}
