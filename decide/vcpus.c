/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/vcpus.h"

#include <stdio.h>
#include <string.h>

#include "decide/guestnuma.h"
#include "decide/vcputopology.h"

static unsigned online_count(const struct vp_vcpus *vcpus)
{
    return vp_cpuset_count(&vcpus->online);
}

static void first_ones(struct vp_cpuset *set, unsigned from, unsigned count)
{
    *set = (struct vp_cpuset){0};
    if (count > from)
        vp_cpuset_add_range(set, (int)from, (int)count - 1);
}

void vp_vcpus_of(const struct vp_domain *domain, struct vp_vcpus *vcpus)
{
    *vcpus = (struct vp_vcpus){.maximum = domain->vcpus, .online = domain->vcpus_online};
    if (domain->has_vcpus)
        vcpus->hotpluggable = domain->vcpus_hotpluggable;
}

bool vp_vcpus_equal(const struct vp_vcpus *a, const struct vp_vcpus *b)
{
    return a->maximum == b->maximum && vp_cpuset_equal(&a->online, &b->online) &&
           vp_cpuset_equal(&a->hotpluggable, &b->hotpluggable);
}

static bool all_but_0(const struct vp_vcpus *vcpus)
{
    struct vp_cpuset others = vcpus->online;

    vp_cpuset_remove(&others, 0);
    return vp_cpuset_equal(&others, &vcpus->hotpluggable);
}

void vp_vcpus_say(const struct vp_vcpus *vcpus, char *text, size_t size)
{
    unsigned count = online_count(vcpus);
    struct vp_cpuset plain;
    char list[128], boot[160] = "", plug[160] = "";

    first_ones(&plain, 0, count);
    vp_cpuset_print(&vcpus->online, list, sizeof(list));
    if (!vp_cpuset_equal(&plain, &vcpus->online))
        snprintf(boot, sizeof(boot), ", vCPUs %s at boot", list);
    else if (count < vcpus->maximum)
        snprintf(boot, sizeof(boot), ", %u at boot", count);
    vp_cpuset_print(&vcpus->hotpluggable, list, sizeof(list));
    if (vp_cpuset_empty(&vcpus->hotpluggable))
        plug[0] = '\0';
    else if (all_but_0(vcpus))
        snprintf(plug, sizeof(plug), ", all but vCPU 0 can be unplugged");
    else
        snprintf(plug, sizeof(plug), ", vCPUs %s can be unplugged", list);
    snprintf(text, size, "%u vCPU%s%s%s", vcpus->maximum, vcpus->maximum == 1 ? "" : "s", boot,
             plug);
}

/* ---- what the policy wants ---- */

/* Cells that hold as many vCPUs as there are then, as they are or as guest-numa
 * makes them anew. */
static bool cells_follow(const struct vp_domain *domain, const struct vp_policy *policy)
{
    struct vp_cpuset held = {0}, wanted;
    struct vp_cells cells;
    char why[256];

    for (size_t i = 0; i < domain->cell_count; i++)
        vp_cpuset_or(&held, &domain->cell[i].vcpus);
    first_ones(&wanted, 0, policy->vcpus);
    if (vp_cpuset_equal(&held, &wanted))
        return true;
    return vp_guest_numa_wanted(domain, policy, policy->vcpus, &cells, why, sizeof(why)) &&
           cells.count > 0;
}

static bool names_beyond(const struct vp_guest_tuning *tuning, unsigned vcpus)
{
    for (size_t i = 0; i < tuning->scheduler_count; i++)
        if (vp_cpuset_last(&tuning->scheduler[i].vcpus) >= (int)vcpus)
            return true;
    return false;
}

/* Anything that names vCPUs, and would no longer hold with another maximum? */
static bool maximum_may_change(const struct vp_domain *domain, const struct vp_policy *policy,
                               char *why, size_t size)
{
    struct vp_guest_topology topology;
    char sum[256];

    if (domain->cell_count > 0 && !cells_follow(domain, policy)) {
        snprintf(why, size, "vcpus = %u, but the guest's NUMA cells hold %u", policy->vcpus,
                 domain->vcpus);
        return false;
    }
    for (size_t i = 0; policy->placement != VP_PLACE_FIXED && i < domain->pins.count; i++) {
        const struct vp_pin *pin = &domain->pins.item[i];

        if (pin->role != VP_ROLE_VCPU || pin->index < policy->vcpus)
            continue;
        snprintf(why, size, "vcpus = %u, but the guest has a vcpupin for vCPU %u", policy->vcpus,
                 pin->index);
        return false;
    }
    if (policy->tuning.scheduler.policy == VP_SCHEDULER_KEEP &&
        names_beyond(&domain->tuning, policy->vcpus)) {
        snprintf(why, size, "vcpus = %u, but the guest has a vcpusched for a later vCPU",
                 policy->vcpus);
        return false;
    }
    if (!domain->cpu.has_topology)
        return true;
    if (!vp_vcpu_topology(domain, policy, policy->vcpus, &topology, sum, sizeof(sum))) {
        snprintf(why, size, "vcpus = %u, but %s", policy->vcpus, sum);
        return false;
    }
    if (topology.sockets == 0 && vp_topology_product(&domain->cpu.topology) != policy->vcpus) {
        snprintf(why, size,
                 "vcpus = %u, but the guest has a topology that makes %llu (see topology)",
                 policy->vcpus, (unsigned long long)vp_topology_product(&domain->cpu.topology));
        return false;
    }
    return true;
}

/* Takes the last ones out, or brings the first absent ones in, up to `count`. */
static void resize(struct vp_vcpus *vcpus, unsigned count, bool individual)
{
    for (unsigned i = vcpus->maximum; i > 1 && online_count(vcpus) > count; i--) {
        vp_cpuset_remove(&vcpus->online, (int)i - 1);
        vp_cpuset_remove(&vcpus->hotpluggable, (int)i - 1);
    }
    for (unsigned i = 0; i < vcpus->maximum && online_count(vcpus) < count; i++) {
        if (vp_cpuset_has(&vcpus->online, (int)i))
            continue;
        vp_cpuset_add(&vcpus->online, (int)i);
        if (individual) /* those that cannot be unplugged have to come first */
            vp_cpuset_add(&vcpus->hotpluggable, (int)i);
    }
}

static void set_maximum(struct vp_vcpus *vcpus, unsigned maximum)
{
    struct vp_cpuset legal;

    first_ones(&legal, 0, maximum);
    vcpus->maximum = maximum;
    vp_cpuset_and(&vcpus->online, &legal);
    vp_cpuset_and(&vcpus->hotpluggable, &legal);
}

static void set_hotplug(struct vp_vcpus *vcpus, enum vp_hotplug hotplug)
{
    unsigned count = online_count(vcpus);

    if (hotplug == VP_HOTPLUG_YES && !all_but_0(vcpus)) {
        first_ones(&vcpus->online, 0, count);
        first_ones(&vcpus->hotpluggable, 1, count);
    }
    if (hotplug == VP_HOTPLUG_NO && !vp_cpuset_empty(&vcpus->hotpluggable)) {
        first_ones(&vcpus->online, 0, count);
        vcpus->hotpluggable = (struct vp_cpuset){0};
    }
}

bool vp_vcpus_wanted(const struct vp_domain *domain, const struct vp_policy *policy,
                     enum vp_rewrite_op op, struct vp_vcpus *wanted, char *why, size_t size)
{
    unsigned maximum = policy->vcpus > 0 ? policy->vcpus : domain->vcpus;
    unsigned current = op == VP_OP_DEFINE ? policy->vcpus_current : 0;
    enum vp_hotplug hotplug = policy->vcpus_hotplug;

    vp_vcpus_of(domain, wanted);
    if (op != VP_OP_DEFINE && hotplug == VP_HOTPLUG_NO)
        hotplug = VP_HOTPLUG_KEEP;
    if (current > maximum) {
        snprintf(why, size, "vcpus-current = %u, the guest has at most %u vCPUs", current, maximum);
        return false;
    }
    if (maximum != domain->vcpus && !maximum_may_change(domain, policy, why, size))
        return false;
    if (current == 0) {
        current = online_count(wanted);
        if (current >= domain->vcpus || current > maximum)
            current = maximum;
    }
    set_maximum(wanted, maximum);
    resize(wanted, current, domain->has_vcpus);
    set_hotplug(wanted, hotplug);
    return true;
}

void vp_vcpus_foresee(struct vp_domain *domain, const struct vp_policy *policy)
{
    struct vp_vcpus wanted;
    char why[512];

    if (policy->mode != VP_MODE_ENFORCE ||
        !vp_vcpus_wanted(domain, policy, VP_OP_DEFINE, &wanted, why, sizeof(why)))
        return;
    domain->vcpus = wanted.maximum;
    domain->vcpus_current = online_count(&wanted);
    domain->vcpus_online = wanted.online;
    domain->vcpus_hotpluggable = wanted.hotpluggable;
}
