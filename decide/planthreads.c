/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a plan wants of single threads: emulator, I/O and vhost threads. */
#include "decide/error.h"
#include "decide/plan_priv.h"

void vp_plan_add(struct vp_plan *plan, enum vp_role role, unsigned index, enum vp_want_kind kind,
                 const struct vp_cpuset *cpus)
{
    struct vp_want *want = &plan->want[plan->want_count++];

    *want = (struct vp_want){.role = role, .index = index, .kind = kind};
    if (cpus)
        want->cpus = *cpus;
}

void vp_plan_add_cpu(struct vp_plan *plan, enum vp_role role, unsigned index, int cpu)
{
    struct vp_cpuset one = {0};

    vp_cpuset_add(&one, cpu);
    vp_plan_add(plan, role, index, VP_WANT_SET, &one);
}

/* The union of the vCPUs' wants: CPUs, the pool, or both under mixed. */
static void want_like_vcpus(struct vp_plan *plan, enum vp_role role, unsigned index)
{
    struct vp_cpuset all = {0}, part = {0};
    bool pool = false;

    for (size_t i = 0; i < plan->want_count; i++) {
        const struct vp_want *want = &plan->want[i];

        if (want->role != VP_ROLE_VCPU)
            continue;
        pool = pool || want->kind == VP_WANT_POOL;
        vp_cpuset_or(want->kind == VP_WANT_POOL ? &part : &all, &want->cpus);
    }
    if (vp_cpuset_empty(&all))
        vp_plan_add(plan, role, index, pool ? VP_WANT_POOL : VP_WANT_NOTHING, &part);
    else
        vp_plan_add(plan, role, index, pool ? VP_WANT_BOTH : VP_WANT_SET, &all);
}

/* A CPULIST for threads: what is online and nobody else's. */
static int want_list(struct vp_making *m, enum vp_role role, unsigned index,
                     const struct vp_cpuset *list)
{
    struct vp_cpuset cpus = *list;
    char text[256];

    vp_cpuset_and(&cpus, &m->in->topology->online);
    vp_cpuset_minus(&cpus, &m->taken);
    if (vp_cpuset_empty(&cpus)) {
        vp_cpuset_print(list, text, sizeof(text));
        m->answer->limit = VP_LIMIT_CPUS;
        m->answer->short_by = 1;
        return vp_fail(m->err, VP_REFUSED,
                       "policy %s puts %s threads on CPUs %s: each of them is offline, absent or "
                       "another guest's; change %s in the policy",
                       m->in->policy->name, vp_role_word(role), text,
                       role == VP_ROLE_EMULATOR   ? "emulator"
                       : role == VP_ROLE_IOTHREAD ? "iothreads"
                                                  : "vhost");
    }
    vp_cpuset_or(&m->plan->fixed_cpus, &cpus);
    vp_plan_add(m->plan, role, index, VP_WANT_SET, &cpus);
    return 0;
}

/* One emulator, I/O or vhost thread; isolated_cpu is the CPU that the placer gave to
 * it under isolate. */
static int want_where(struct vp_making *m, enum vp_role role, unsigned index,
                      const struct vp_place_where *where, int isolated_cpu)
{
    switch (where->where) {
    case VP_WHERE_SHARED:
        vp_plan_add(m->plan, role, index, VP_WANT_POOL, NULL);
        return 0;
    case VP_WHERE_ISOLATE:
        if (isolated_cpu >= 0)
            vp_plan_add_cpu(m->plan, role, index, isolated_cpu);
        else
            vp_plan_add(m->plan, role, index, VP_WANT_POOL, NULL);
        return 0;
    case VP_WHERE_WITH_VCPUS:
        want_like_vcpus(m->plan, role, index);
        return 0;
    case VP_WHERE_LIST:
        return want_list(m, role, index, &where->cpus);
    case VP_WHERE_WITH_EMULATOR:
        break;
    }
    const struct vp_want *emulator = vp_plan_find(m->plan, VP_ROLE_EMULATOR, 0);

    vp_plan_add(m->plan, role, index, emulator ? emulator->kind : VP_WANT_NOTHING,
                emulator ? &emulator->cpus : NULL);
    return 0;
}

int vp_plan_others(struct vp_making *m, const struct vp_place_answer *answer)
{
    const struct vp_policy *policy = m->in->policy;
    const struct vp_domain *domain = m->in->domain;

    if (want_where(m, VP_ROLE_EMULATOR, 0, &policy->emulator, answer ? answer->emulator : -1) < 0)
        return -1;
    for (size_t i = 0; i < domain->iothread_count; i++)
        if (want_where(m, VP_ROLE_IOTHREAD, domain->iothread[i], &policy->iothreads,
                       answer && answer->iothread ? answer->iothread[i] : -1) < 0)
            return -1;
    if (policy->vhost.where == VP_WHERE_WITH_EMULATOR)
        return 0;
    for (unsigned i = 0; i < domain->vhosts; i++)
        if (want_where(m, VP_ROLE_VHOST, i, &policy->vhost,
                       answer && answer->vhost ? answer->vhost[i] : -1) < 0)
            return -1;
    return 0;
}
