/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Plans of guests that have CPUs of their own: all vCPUs (dedicated), some (mixed). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/plan_priv.h"
#include "decide/vcputopology.h"

/* What the placer is asked. It numbers the vCPUs that it places from 0. */
struct ask {
    struct vp_place_request request;
    struct vp_cpuset own;       /* the guest's numbers of these vCPUs */
    struct vp_guest_cell *cell; /* owned; the guest's cells in the placer's numbers */
    uint64_t *memory_kib;       /* owned; what nodes can bear */
};

static void ask_clear(struct ask *ask)
{
    free(ask->cell);
    free(ask->memory_kib);
}

/* Where threads other than vCPUs go, and how many the guest has. */
struct others {
    const struct vp_place_where *want;
    size_t count;
};

static void make_place_host(const struct vp_making *m, const struct ask *ask,
                            struct vp_place_host *host)
{
    const struct vp_plan_input *in = m->in;
    const struct vp_host_conf *conf = &in->set->host;
    const struct others others[] = {{&in->policy->emulator, 1},
                                    {&in->policy->iothreads, in->domain->iothread_count},
                                    {&in->policy->vhost, in->domain->vhosts}};

    *host = (struct vp_place_host){
        .topology = in->topology, .pool = m->pool, .memory_kib = ask->memory_kib};
    vp_dedicable(conf, in->topology, &host->usable);
    if (!vp_cpuset_empty(&in->allowed))
        vp_cpuset_and(&host->usable, &in->allowed);
    vp_cpuset_minus(&host->usable, &m->taken);
    vp_cpuset_minus(&host->usable, &m->fixed);
    if (!conf->isolated_avoid)
        host->first = in->topology->isolated;
    host->pool_needed = m->others_use_pool || ask->request.vcpus < in->domain->vcpus;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (others[i].count == 0)
            continue;
        host->pool_needed |= others[i].want->where == VP_WHERE_SHARED;
        if (others[i].want->where == VP_WHERE_LIST)
            vp_cpuset_minus(&host->usable, &others[i].want->cpus);
    }
}

/* ---- the question ---- */

static unsigned threads_of(const struct vp_plan_input *in)
{
    const struct vp_domain *domain = in->domain;
    struct vp_guest_topology topology;
    char why[512];

    if (vp_vcpu_topology(domain, in->policy, domain->vcpus, &topology, why, sizeof(why)) &&
        topology.sockets != 0)
        return topology.threads;
    return domain->cpu.has_topology ? domain->cpu.topology.threads : 1;
}

/* Whether the set holds the guest's cores whole, so that the placer's numbers
 * fall into the same cores. */
static bool whole_cores(const struct vp_cpuset *own, unsigned threads)
{
    for (int vcpu = vp_cpuset_next(own, -1); vcpu >= 0; vcpu = vp_cpuset_next(own, vcpu))
        for (unsigned i = 0; i < threads; i++)
            if (!vp_cpuset_has(own, vcpu - vcpu % (int)threads + (int)i))
                return false;
    return true;
}

/* The guest's cells with only their dedicated vCPUs; cells without any go. */
static int number_cells(struct ask *ask, const struct vp_domain *domain)
{
    struct vp_cpuset seen = {0};
    size_t count = 0;

    ask->cell = calloc(domain->cell_count + 1, sizeof(*ask->cell));
    if (!ask->cell)
        return -1;
    for (size_t i = 0; i < domain->cell_count; i++) {
        struct vp_guest_cell *cell = &ask->cell[count];
        int number = 0;

        *cell = (struct vp_guest_cell){.id = domain->cell[i].id,
                                       .memory_kib = domain->cell[i].memory_kib};
        for (int v = vp_cpuset_next(&ask->own, -1); v >= 0;
             v = vp_cpuset_next(&ask->own, v), number++)
            if (vp_cpuset_has(&domain->cell[i].vcpus, v) && !vp_cpuset_has(&seen, v)) {
                vp_cpuset_add(&cell->vcpus, number);
                vp_cpuset_add(&seen, v);
            }
        count += !vp_cpuset_empty(&cell->vcpus);
    }
    ask->request.cell = ask->cell;
    ask->request.cell_count = count;
    return 0;
}

/* Which vCPUs get a CPU each. A number in dedicated-vcpus that the guest does
 * not have is said; it may come when the guest grows. */
static void choose_vcpus(const struct vp_making *m, struct ask *ask)
{
    const struct vp_policy *policy = m->in->policy;
    struct vp_cpuset beyond = policy->dedicated_vcpus;
    char text[128];

    vp_cpuset_add_range(&ask->own, 0, (int)m->in->domain->vcpus - 1);
    if (policy->placement != VP_PLACE_MIXED)
        return;
    vp_cpuset_minus(&beyond, &ask->own);
    vp_cpuset_and(&ask->own, &policy->dedicated_vcpus);
    if (vp_cpuset_empty(&beyond) || !m->findings)
        return;
    vp_cpuset_print(&beyond, text, sizeof(text));
    vp_findings_note(m->findings, VP_WARNING,
                     "dedicated-vcpus names vCPUs %s, guest %s has 0 to %u", text,
                     m->in->domain->name, m->in->domain->vcpus - 1);
}

static int make_ask(const struct vp_making *m, struct ask *ask)
{
    const struct vp_policy *policy = m->in->policy;
    const struct vp_domain *domain = m->in->domain;

    choose_vcpus(m, ask);
    ask->request = (struct vp_place_request){
        .vcpus = vp_cpuset_count(&ask->own),
        .thread_policy = policy->thread_policy,
        .numa = policy->numa,
        .cell = domain->cell,
        .cell_count = domain->cell_count,
        .guest_threads = threads_of(m->in),
        .emulator_isolate = policy->emulator.where == VP_WHERE_ISOLATE,
        .cache = policy->cache,
        .core_type = policy->core_type,
        .fill = policy->fill,
        .pci_locality = policy->pci_locality,
        .pci_nodes = m->in->pci_nodes,
        .memory_kib = domain->memory_kib,
        .page_kib = vp_plan_page_kib(m->in),
        .unexplained = m->in->unexplained,
    };
    if (vp_plan_free_memory(m, &ask->memory_kib) < 0)
        return -1;
    if (policy->iothreads.where == VP_WHERE_ISOLATE)
        ask->request.iothreads_isolate = (unsigned)domain->iothread_count;
    if (policy->vhost.where == VP_WHERE_ISOLATE)
        ask->request.vhost_isolate = domain->vhosts;
    if (ask->request.vcpus == domain->vcpus)
        return 0;
    if (!whole_cores(&ask->own, ask->request.guest_threads))
        ask->request.guest_threads = 1;
    return number_cells(ask, domain);
}

/* ---- CPUs that the guest has already ---- */

static unsigned asked(const struct ask *ask)
{
    return ask->request.vcpus + (ask->request.emulator_isolate ? 1 : 0) +
           ask->request.iothreads_isolate + ask->request.vhost_isolate;
}

/* in->keep in the placer's order: vCPUs, emulator, I/O threads, vhost threads. */
static int *keep_of(const struct vp_plan_input *in, const struct ask *ask)
{
    int *keep = calloc(asked(ask) + 1, sizeof(*keep));
    unsigned at = 0;

    if (!keep)
        return NULL;
    for (int v = vp_cpuset_next(&ask->own, -1); v >= 0; v = vp_cpuset_next(&ask->own, v))
        keep[at++] = in->keep[v];
    if (ask->request.emulator_isolate)
        keep[at++] = in->keep[in->domain->vcpus];
    for (unsigned i = 0; i < ask->request.iothreads_isolate; i++)
        keep[at++] = in->keep[in->domain->vcpus + 1 + i];
    for (unsigned i = 0; i < ask->request.vhost_isolate; i++)
        keep[at++] = in->keep[in->domain->vcpus + 1 + in->domain->iothread_count + i];
    return keep;
}

/* Leaves the placer these CPUs and their idle siblings only; false if they are
 * not all free for the guest. */
static bool limit_to_kept(const struct vp_topology *topology, const struct ask *ask,
                          const int *keep, struct vp_place_host *host)
{
    struct vp_cpuset kept = {0};

    for (unsigned i = 0; i < asked(ask); i++) {
        const struct vp_pu *pu = vp_topology_pu(topology, keep[i]);

        if (!pu || !vp_cpuset_has(&host->usable, pu->cpu) || vp_cpuset_has(&kept, pu->cpu))
            return false;
        vp_cpuset_add(&kept, pu->cpu);
    }
    if (ask->request.thread_policy != VP_THREADS_PREFER)
        for (unsigned i = 0; i < asked(ask); i++)
            vp_cpuset_or(&kept, &topology->core[vp_topology_pu(topology, keep[i])->core]);
    vp_cpuset_and(&host->usable, &kept);
    return true;
}

/* Gives each thread the CPU that it has, where the placer, confined to the kept
 * CPUs, found a legal set of them. Idle siblings stay idle: the placer's choice
 * must be the kept CPUs themselves. */
static bool put_kept(const struct ask *ask, const int *keep, struct vp_place_answer *answer)
{
    struct vp_cpuset kept = {0}, chosen = answer->taken;
    unsigned at = 0;

    for (unsigned i = 0; i < asked(ask); i++)
        vp_cpuset_add(&kept, keep[i]);
    if (!vp_cpuset_within(&kept, &chosen))
        return false;
    vp_cpuset_minus(&chosen, &kept);
    answer->idle = chosen;
    for (unsigned i = 0; i < ask->request.vcpus; i++)
        answer->vcpu[i] = keep[at++];
    if (ask->request.emulator_isolate)
        answer->emulator = keep[at++];
    for (unsigned i = 0; i < ask->request.iothreads_isolate; i++)
        answer->iothread[i] = keep[at++];
    for (unsigned i = 0; i < ask->request.vhost_isolate && answer->vhost; i++)
        answer->vhost[i] = keep[at++];
    return true;
}

/* Whether the nodes that have kept vCPUs have the same number of them, or one less. */
static bool kept_evenly(const struct vp_topology *topology, const struct ask *ask, const int *keep)
{
    unsigned least = UINT_MAX, most = 0;

    for (size_t n = 0; n < topology->node_count; n++) {
        unsigned here = 0;

        for (unsigned i = 0; i < ask->request.vcpus; i++)
            here += vp_cpuset_has(&topology->node[n].cpus, keep[i]);
        if (here == 0)
            continue;
        least = here < least ? here : least;
        most = here > most ? here : most;
    }
    return most - least <= 1;
}

/* 1: the kept CPUs do for the request; 0: they do not; -1: without memory. */
static int place_kept(const struct vp_making *m, const struct vp_place_host *host,
                      const struct ask *ask, struct vp_place_request request,
                      struct vp_place_answer *answer)
{
    VP_AUTO(free) int *keep = NULL;
    struct vp_place_host narrow = *host;
    int result;

    if (!m->in->keep)
        return 0;
    keep = keep_of(m->in, ask);
    if (!keep)
        return -1;
    if (!limit_to_kept(m->in->topology, ask, keep, &narrow))
        return 0;
    for (;;) {
        result = vp_place(&narrow, &request, answer);
        if (result == 0 && put_kept(ask, keep, answer))
            return 1;
        /* spread asks for nodes that could all bear the larger share: others may have come since */
        if (result < 0 || request.numa != VP_NUMA_SPREAD ||
            !kept_evenly(m->in->topology, ask, keep))
            break;
        vp_place_clear(answer);
        request.numa = VP_NUMA_ANY;
    }
    vp_place_clear(answer);
    return result < 0 ? -1 : 0;
}

/* Cells that spread has cut keep their shares as well; a refusal in *answer stays. */
static int place_cut(const struct vp_making *m, const struct vp_place_host *host,
                     const struct ask *ask, struct vp_place_answer *answer)
{
    struct vp_place_request request = ask->request;
    struct vp_place_answer refusal = *answer;
    int result;

    if (request.cell_count < 2 || request.numa != VP_NUMA_SPREAD)
        return 0;
    request.cell_count = 0;
    result = place_kept(m, host, ask, request, answer);
    if (result <= 0)
        *answer = refusal;
    return result;
}

/* ---- the answer ---- */

static void shared_vcpu(const struct vp_making *m, unsigned vcpu)
{
    struct vp_cpuset part = {0};

    if (m->in->policy->numa == VP_NUMA_SINGLE)
        for (size_t i = 0; i < m->in->topology->node_count; i++)
            if (vp_cpuset_has(&m->plan->nodes, m->in->topology->node[i].os))
                vp_cpuset_or(&part, &m->in->topology->node[i].cpus);
    vp_plan_add(m->plan, VP_ROLE_VCPU, vcpu, VP_WANT_POOL, &part);
}

static void book_answer(const struct vp_making *m, const struct ask *ask,
                        const struct vp_place_answer *answer)
{
    struct vp_plan *plan = m->plan;
    unsigned at = 0;

    plan->idle_cpus = answer->idle;
    plan->nodes = answer->nodes;
    for (unsigned i = 0; i < m->in->domain->vcpus; i++) {
        if (!vp_cpuset_has(&ask->own, (int)i)) {
            shared_vcpu(m, i);
            continue;
        }
        vp_plan_add_cpu(plan, VP_ROLE_VCPU, i, answer->vcpu[at]);
        vp_cpuset_add(&plan->vcpu_cpus, answer->vcpu[at++]);
    }
    if (answer->emulator >= 0)
        vp_cpuset_add(&plan->emulator_cpus, answer->emulator);
    for (unsigned i = 0; i < ask->request.iothreads_isolate; i++)
        vp_cpuset_add(&plan->iothread_cpus, answer->iothread[i]);
    for (unsigned i = 0; i < ask->request.vhost_isolate && answer->vhost; i++)
        vp_cpuset_add(&plan->vhost_cpus, answer->vhost[i]);
}

/* How often CPUs of a pool are withheld, others each time. */
enum { ATTEMPTS = 64 };

/* The placer knows of one pool. Where the answer takes CPUs that guests of
 * another one need, it is asked again without some of them. */
static int place_beside_pools(const struct vp_making *m, const struct vp_place_host *host,
                              const struct ask *ask, struct vp_place_answer *answer)
{
    int result = vp_place(host, &ask->request, answer);
    char pools[128] = "";

    for (unsigned attempt = 0; attempt < ATTEMPTS && result == 0; attempt++) {
        struct vp_place_host narrow = *host;
        struct vp_cpuset withhold = {0};

        /* each round may find another pool short */
        for (size_t i = 0; i <= m->in->set->host.pool_count + 1 && result == 0; i++) {
            if (vp_plan_pools_stand(m, &answer->taken, &host->usable, attempt, &withhold, pools,
                                    sizeof(pools)))
                return 0;
            vp_place_clear(answer);
            narrow.usable = host->usable;
            vp_cpuset_minus(&narrow.usable, &withhold);
            result = vp_place(&narrow, &ask->request, answer);
        }
        if (result == 1 && attempt + 1 < ATTEMPTS) {
            vp_place_clear(answer);
            result = vp_place(host, &ask->request, answer);
        }
    }
    if (result == 0) {
        vp_place_clear(answer);
        result = 1;
    }
    if (result == 1 && pools[0] != '\0') {
        answer->limit = VP_LIMIT_SHARED;
        answer->short_by = answer->short_by > 0 ? answer->short_by : 1;
        snprintf(answer->why, sizeof(answer->why), "does not fit on the dedicated CPUs: %s", pools);
        answer->help[0] = '\0';
    }
    return result;
}

/* 0 placed; 1 does not fit (*m->err says why); -1 failed. */
static int place(struct vp_making *m, const struct ask *ask, struct vp_place_answer *answer)
{
    char holders[512];
    struct vp_place_host host;
    int result;

    make_place_host(m, ask, &host);
    /* a guest with cells is placed anew: which cell sits where is the placer's to say */
    result = ask->request.cell_count > 1 ? 0 : place_kept(m, &host, ask, ask->request, answer);
    if (result < 0)
        return vp_fail(m->err, VP_HOST, "out of memory");
    if (result > 0)
        return 0;
    if (m->in->keep_only) {
        vp_fail(m->err, VP_REFUSED, "the CPUs that guest %s has do not meet policy %s",
                m->in->domain->name, m->in->policy->name);
        return 1;
    }
    result = place_beside_pools(m, &host, ask, answer);
    if (result == 0)
        return 0;
    if (result > 0 && (result = place_cut(m, &host, ask, answer)) > 0)
        return 0;
    if (result < 0)
        return vp_fail(m->err, VP_HOST, "out of memory");
    if (m->in->unexplained)
        holders[0] = '\0';
    else
        vp_plan_say_holders(m, holders, sizeof(holders));
    vp_fail(m->err, VP_REFUSED, "%s%s%s%s", answer->why, holders, answer->help[0] ? "; " : "",
            answer->help);
    return 1;
}

int vp_plan_dedicated(struct vp_making *m)
{
    struct vp_place_answer *answer = m->answer;
    struct ask ask = {0};
    int result;

    if (make_ask(m, &ask) < 0) {
        result = vp_fail(m->err, VP_HOST, "out of memory");
    } else if (ask.request.vcpus == 0) {
        result = vp_plan_shared(m);
    } else {
        vp_plan_say_not_honoured(m);
        result = place(m, &ask, answer);
        if (result == 0) {
            book_answer(m, &ask, answer);
            vp_cpuset_minus(&m->pool, &answer->taken);
            if (vp_plan_bear_memory(m, answer) < 0)
                result = vp_fail(m->err, VP_HOST, "out of memory");
            else
                result = vp_plan_others(m, answer) < 0 ? -1 : vp_plan_need_pool(m);
        }
    }
    ask_clear(&ask);
    return result;
}
