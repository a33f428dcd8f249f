/* SPDX-License-Identifier: GPL-2.0-or-later */
/* policy + domain + topology + bookings -> what should be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/plan_priv.h"
#include "decide/vcputopology.h"

static void gather_holdings(struct vp_making *m)
{
    const struct vp_plan_input *in = m->in;

    for (size_t i = 0; i < in->holding_count; i++) {
        const struct vp_holding *holding = &in->holding[i];

        if (strcmp(holding->uuid, in->domain->uuid) == 0)
            continue;
        vp_cpuset_or(&m->taken, &holding->exclusive);
        vp_cpuset_or(&m->fixed, &holding->fixed);
        m->others_use_pool = m->others_use_pool || holding->uses_pool;
    }
    vp_pool(&in->set->host, in->topology, NULL, 0, &m->pool);
    vp_cpuset_minus(&m->pool, &m->taken);
}

static void limited(struct vp_making *m, enum vp_limit limit, unsigned short_by)
{
    m->answer->limit = limit;
    m->answer->short_by = short_by;
}

static int need_pool(struct vp_making *m)
{
    if (!vp_plan_uses_pool(m->plan) || !vp_cpuset_empty(&m->pool))
        return 0;
    limited(m, VP_LIMIT_SHARED, 1);
    return vp_fail(m->err, VP_REFUSED,
                   "the shared pool is empty: every CPU is reserved, isolated or dedicated to "
                   "guests; stop one, or give [host] shared more CPUs");
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

static int plan_shared(struct vp_making *m)
{
    struct vp_cpuset part;

    pool_part(m, &part);
    for (unsigned i = 0; i < m->in->domain->vcpus; i++)
        vp_plan_add(m->plan, VP_ROLE_VCPU, i, VP_WANT_POOL, &part);
    if (vp_plan_others(m, NULL) < 0)
        return -1;
    return need_pool(m);
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
        limited(m, VP_LIMIT_CPUS, vp_cpuset_count(&absent));
        return vp_fail(m->err, VP_REFUSED,
                       "policy %s pins vCPU %u to CPU %s, which this host does not have online",
                       m->in->policy->name, vcpu, text);
    }
    vp_cpuset_and(&reserved, &m->in->set->host.reserved);
    if (!vp_cpuset_empty(&reserved)) {
        vp_cpuset_print(&reserved, text, sizeof(text));
        limited(m, VP_LIMIT_RESERVED, vp_cpuset_count(&reserved));
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
            limited(m, VP_LIMIT_CPUS, 1);
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
        limited(m, VP_LIMIT_CPUS, vp_cpuset_count(&all));
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
    return need_pool(m);
}

static void make_place_host(const struct vp_making *m, struct vp_place_host *host)
{
    const struct vp_plan_input *in = m->in;
    const struct vp_host_conf *conf = &in->set->host;

    *host = (struct vp_place_host){.topology = in->topology, .pool = m->pool};
    vp_dedicable(conf, in->topology, &host->usable);
    if (!vp_cpuset_empty(&in->allowed))
        vp_cpuset_and(&host->usable, &in->allowed);
    vp_cpuset_minus(&host->usable, &m->taken);
    vp_cpuset_minus(&host->usable, &m->fixed);
    if (!conf->isolated_avoid)
        host->first = in->topology->isolated;
    host->pool_needed =
        m->others_use_pool || in->policy->emulator.where == VP_WHERE_SHARED ||
        (in->policy->iothreads.where == VP_WHERE_SHARED && in->domain->iothread_count > 0);
    /* what the emulator or I/O threads are listed on is not for vCPUs */
    if (in->policy->emulator.where == VP_WHERE_LIST)
        vp_cpuset_minus(&host->usable, &in->policy->emulator.cpus);
    if (in->policy->iothreads.where == VP_WHERE_LIST && in->domain->iothread_count > 0)
        vp_cpuset_minus(&host->usable, &in->policy->iothreads.cpus);
}

static void make_request(const struct vp_making *m, struct vp_place_request *request)
{
    const struct vp_policy *policy = m->in->policy;
    const struct vp_domain *domain = m->in->domain;
    struct vp_guest_topology topology;
    char why[512];
    bool exact = vp_vcpu_topology(domain, policy, domain->vcpus, &topology, why, sizeof(why)) &&
                 topology.sockets != 0;

    *request = (struct vp_place_request){
        .vcpus = domain->vcpus,
        .thread_policy = policy->thread_policy,
        .numa = policy->numa,
        .cell = domain->cell,
        .cell_count = domain->cell_count,
        .guest_threads = 1,
        .emulator_isolate = policy->emulator.where == VP_WHERE_ISOLATE,
        .cache = policy->cache,
        .core_type = policy->core_type,
        .fill = policy->fill,
        .pci_locality = policy->pci_locality,
    };
    if (exact)
        request->guest_threads = topology.threads;
    else if (domain->cpu.has_topology)
        request->guest_threads = domain->cpu.topology.threads;
    if (policy->iothreads.where == VP_WHERE_ISOLATE)
        request->iothreads_isolate = (unsigned)domain->iothread_count;
}

/* The CPUs that the guest has already, with their idle siblings, as the only
 * ones that the placer may use; false if they are not all free for it. */
static bool limit_to_kept(const struct vp_plan_input *in, const struct vp_place_request *request,
                          struct vp_place_host *host)
{
    unsigned count =
        request->vcpus + (request->emulator_isolate ? 1 : 0) + request->iothreads_isolate;
    struct vp_cpuset kept = {0};

    for (unsigned i = 0; i < count; i++) {
        const struct vp_pu *pu = vp_topology_pu(in->topology, in->keep[i]);

        if (!pu || !vp_cpuset_has(&host->usable, pu->cpu) || vp_cpuset_has(&kept, pu->cpu))
            return false;
        vp_cpuset_add(&kept, pu->cpu);
    }
    if (request->thread_policy != VP_THREADS_PREFER)
        for (unsigned i = 0; i < count; i++)
            vp_cpuset_or(&kept,
                         &in->topology->core[vp_topology_pu(in->topology, in->keep[i])->core]);
    vp_cpuset_and(&host->usable, &kept);
    return true;
}

/* Gives each thread the CPU that it has, where the placer, confined to the kept
 * CPUs, found a legal set of them. Idle siblings stay idle: the placer's choice
 * must be the kept CPUs themselves. */
static bool put_kept(const struct vp_plan_input *in, const struct vp_place_request *request,
                     struct vp_place_answer *answer)
{
    struct vp_cpuset kept = {0}, chosen = answer->taken;
    unsigned at = request->vcpus;

    for (unsigned i = 0; i < request->vcpus; i++)
        vp_cpuset_add(&kept, in->keep[i]);
    if (request->emulator_isolate)
        vp_cpuset_add(&kept, in->keep[at++]);
    for (unsigned i = 0; i < request->iothreads_isolate; i++)
        vp_cpuset_add(&kept, in->keep[at + i]);
    if (!vp_cpuset_within(&kept, &chosen))
        return false;
    vp_cpuset_minus(&chosen, &kept);
    answer->idle = chosen;
    for (unsigned i = 0; i < request->vcpus; i++)
        answer->vcpu[i] = in->keep[i];
    if (request->emulator_isolate)
        answer->emulator = in->keep[request->vcpus];
    for (unsigned i = 0; i < request->iothreads_isolate; i++)
        answer->iothread[i] = in->keep[at + i];
    return true;
}

/* 1: the kept CPUs do; 0: they do not; -1: without memory. A guest with cells
 * is placed anew: which cell sits where is the placer's to say. */
static int place_kept(const struct vp_making *m, const struct vp_place_host *host,
                      const struct vp_place_request *request, struct vp_place_answer *answer)
{
    struct vp_place_host narrow = *host;
    int result;

    if (!m->in->keep || request->cell_count > 1 || !limit_to_kept(m->in, request, &narrow))
        return 0;
    result = vp_place(&narrow, request, answer);
    if (result == 0 && put_kept(m->in, request, answer))
        return 1;
    vp_place_clear(answer);
    return result < 0 ? -1 : 0;
}

static void book_answer(struct vp_plan *plan, const struct vp_place_request *request,
                        const struct vp_place_answer *answer)
{
    for (unsigned i = 0; i < request->vcpus; i++) {
        vp_plan_add_cpu(plan, VP_ROLE_VCPU, i, answer->vcpu[i]);
        vp_cpuset_add(&plan->vcpu_cpus, answer->vcpu[i]);
    }
    if (answer->emulator >= 0)
        vp_cpuset_add(&plan->emulator_cpus, answer->emulator);
    for (unsigned i = 0; i < request->iothreads_isolate; i++)
        vp_cpuset_add(&plan->iothread_cpus, answer->iothread[i]);
    plan->idle_cpus = answer->idle;
    plan->nodes = answer->nodes;
}

/* Who has the CPUs that this guest could have had: "; db-1 has CPUs 4-7, db-2
 * has CPU 8 for 10 s after its stop, fw-1 is pinned to CPU 9, 3 more guests". */
static void say_holders(const struct vp_making *m, char *text, size_t size)
{
    size_t used = 0;
    unsigned named = 0, more = 0;

    text[0] = '\0';
    for (size_t i = 0; i < m->in->holding_count; i++) {
        const struct vp_holding *holding = &m->in->holding[i];
        bool pinned = vp_cpuset_empty(&holding->exclusive);
        const struct vp_cpuset *has = pinned ? &holding->fixed : &holding->exclusive;
        char list[64], cpus[80];
        unsigned count = vp_cpuset_count(has);

        if (count == 0 || strcmp(holding->uuid, m->in->domain->uuid) == 0)
            continue;
        if (named == 3) {
            more++;
            continue;
        }
        if (vp_cpuset_print(has, list, sizeof(list)) >= sizeof(list))
            snprintf(cpus, sizeof(cpus), "%u CPUs", count);
        else
            snprintf(cpus, sizeof(cpus), "CPU%s %s", count == 1 ? "" : "s", list);
        used += (size_t)snprintf(text + used, size - used, "%s%.60s %s %s%s",
                                 named++ == 0 ? "; " : ", ", holding->name,
                                 pinned ? "is pinned to" : "has", cpus,
                                 holding->held_until_ms != 0 ? " for 10 s after its stop" : "");
    }
    if (more > 0)
        snprintf(text + used, size - used, ", %u more guest%s", more, more == 1 ? "" : "s");
}

/* 0 planned; 1 does not fit (*m->err says why); -1 failed. */
static int plan_dedicated(struct vp_making *m, struct vp_place_answer *answer)
{
    char holders[512];
    struct vp_place_host host;
    struct vp_place_request request;
    int result;

    make_place_host(m, &host);
    make_request(m, &request);
    result = place_kept(m, &host, &request, answer);
    if (result < 0)
        return vp_fail(m->err, VP_HOST, "out of memory");
    if (result == 0 && m->in->keep_only) {
        vp_fail(m->err, VP_REFUSED, "the CPUs that guest %s has do not meet policy %s",
                m->in->domain->name, m->in->policy->name);
        return 1;
    }
    if (result == 0) {
        result = vp_place(&host, &request, answer);
        if (result < 0)
            return vp_fail(m->err, VP_HOST, "out of memory");
        result = result == 0;
    }
    if (result == 0) {
        say_holders(m, holders, sizeof(holders));
        vp_fail(m->err, VP_REFUSED, "%s%s%s%s", answer->why, holders, answer->help[0] ? "; " : "",
                answer->help);
        return 1;
    }
    book_answer(m->plan, &request, answer);
    vp_cpuset_minus(&m->pool, &answer->taken);
    if (vp_plan_others(m, answer) < 0)
        return -1;
    return need_pool(m);
}

static struct vp_plan *new_plan(const struct vp_plan_input *in)
{
    VP_AUTO(vp_plan) struct vp_plan *plan = calloc(1, sizeof(*plan));

    if (!plan)
        return NULL;
    plan->policy = strdup(in->policy->name);
    plan->want = calloc(in->domain->vcpus + 1 + in->domain->iothread_count, sizeof(*plan->want));
    if (!plan->policy || !plan->want)
        return NULL;
    snprintf(plan->policy_hash, sizeof(plan->policy_hash), "%s", in->set->hash);
    plan->mode = in->policy->mode;
    plan->placement = in->policy->placement;
    plan->chosen_by = in->chosen_by;
    return VP_STEAL(plan);
}

/* Starts the plan's wants and bookings again, for the second choice. */
static void forget(struct vp_plan *plan)
{
    const struct vp_cpuset none = {0};

    plan->want_count = 0;
    plan->vcpu_cpus = plan->emulator_cpus = plan->iothread_cpus = none;
    plan->idle_cpus = plan->fixed_cpus = plan->nodes = none;
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
    return plan_shared(m) == 0 ? VP_PLAN_OK : VP_PLAN_REFUSED;
}

static enum vp_plan_result make(struct vp_making *m, struct vp_place_answer *answer)
{
    int result = 0;

    switch (m->in->policy->placement) {
    case VP_PLACE_NONE:
        return VP_PLAN_OK;
    case VP_PLACE_SHARED:
        result = plan_shared(m);
        break;
    case VP_PLACE_DEDICATED:
        result = plan_dedicated(m, answer);
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
    result = make(&m, m.answer);
    vp_place_clear(&own_answer);
    if (result == VP_PLAN_OK)
        *plan = m.plan;
    else
        vp_plan_free(m.plan);
    return result;
}
