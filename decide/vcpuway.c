/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/vcpuway.h"

#include <stdio.h>

#include "decide/error.h"

const char *vp_vcpu_way_word(enum vp_vcpu_way way)
{
    static const char *const words[] = {
        [VP_WAY_NONE] = "none",
        [VP_WAY_PLUG] = "plug",
        [VP_WAY_UNPLUG] = "unplug",
        [VP_WAY_AGENT] = "agent",
        [VP_WAY_DEFINITION] = "definition",
    };

    return words[way];
}

/* The vCPUs that QEMU has. */
static unsigned plugged(const struct vp_vcpu_facts *facts)
{
    return vp_cpuset_count(&facts->listed) - vp_cpuset_count(&facts->lost);
}

unsigned vp_vcpu_count(const struct vp_vcpu_facts *facts)
{
    if (!facts->running)
        return facts->defined;
    return facts->agent ? vp_cpuset_count(&facts->guest_online) : plugged(facts);
}

/* ---- each way ---- */

static int plug(const struct vp_vcpu_facts *facts, struct vp_vcpu_steps *steps,
                struct vp_error *err)
{
    char list[128];

    vp_cpuset_print(&facts->lost, list, sizeof(list));
    if (!vp_cpuset_empty(&facts->lost))
        return vp_fail(err, VP_REFUSED,
                       "libvirt has not noticed that vCPU %s is unplugged: a vCPU that is plugged "
                       "now may end the guest; one more is to be had at its next start",
                       list);
    steps->way = VP_WAY_PLUG;
    if (facts->agent) {
        steps->guest_online = facts->guest_vcpus;
        vp_cpuset_minus(&steps->guest_online, &facts->guest_online);
    }
    return 0;
}

/* The lowest that are offline come back first, the highest online go first:
 * as libvirt plugs and unplugs. */
static int agent_up(const struct vp_vcpu_facts *facts, unsigned more, struct vp_vcpu_steps *steps)
{
    int cpu = -1;

    steps->way = VP_WAY_AGENT;
    while (more > 0 && (cpu = vp_cpuset_next(&facts->guest_vcpus, cpu)) >= 0) {
        if (vp_cpuset_has(&facts->guest_online, cpu))
            continue;
        vp_cpuset_add(&steps->guest_online, cpu);
        more--;
    }
    return more == 0 ? 0 : -1;
}

static void take_highest(struct vp_cpuset from, unsigned count, struct vp_cpuset *taken)
{
    *taken = (struct vp_cpuset){0};
    for (int cpu = vp_cpuset_last(&from); count > 0 && cpu >= 0; cpu = vp_cpuset_last(&from)) {
        vp_cpuset_add(taken, cpu);
        vp_cpuset_remove(&from, cpu);
        count--;
    }
}

static bool agent_down(const struct vp_vcpu_facts *facts, unsigned less,
                       struct vp_vcpu_steps *steps)
{
    struct vp_cpuset can = facts->guest_online;

    vp_cpuset_and(&can, &facts->guest_offlinable);
    if (!facts->agent || vp_cpuset_count(&can) < less)
        return false;
    steps->way = VP_WAY_AGENT;
    take_highest(can, less, &steps->guest_offline);
    return true;
}

static int definition(const struct vp_vcpu_facts *facts, unsigned wanted,
                      struct vp_vcpu_steps *steps, struct vp_error *err)
{
    const char *space = facts->running ? "; " : "";

    if (!facts->persistent)
        return vp_fail(err, VP_REFUSED, "%s%sit has no definition that could change", steps->why,
                       space);
    if (wanted > facts->defined_most)
        return vp_fail(err, VP_REFUSED, "%s%sits definition has at most %u", steps->why, space,
                       facts->defined_most);
    if (facts->policy_current > 0 && facts->policy_current != wanted)
        return vp_fail(err, VP_REFUSED,
                       "%s%spolicy %s has vcpus-current = %u, which would be written back into its "
                       "definition",
                       steps->why, space, facts->policy, facts->policy_current);
    steps->way = facts->defined == wanted ? VP_WAY_NONE : VP_WAY_DEFINITION;
    return 0;
}

static int down(const struct vp_vcpu_facts *facts, unsigned wanted, struct vp_vcpu_steps *steps,
                struct vp_error *err)
{
    unsigned less = plugged(facts) - wanted;

    if (vp_cpuset_count(&facts->unpluggable) >= less) {
        steps->way = VP_WAY_UNPLUG;
        take_highest(facts->unpluggable, less, &steps->unplug);
        return 0;
    }
    if (agent_down(facts, vp_vcpu_count(facts) - wanted, steps))
        return 0;
    snprintf(steps->why, sizeof(steps->why),
             "it gives back no more than %u while it runs (vcpus-hotplug = yes in its policy, from "
             "its next start) and %s",
             vp_cpuset_count(&facts->unpluggable),
             facts->agent ? "its agent can take no more offline"
                          : "no guest agent answers (guest-agent = yes)");
    if (definition(facts, wanted, steps, err) != 0)
        return -1;
    steps->way = VP_WAY_DEFINITION; /* said even where it says so already: the guest runs on */
    return 0;
}

int vp_vcpu_choose(const struct vp_vcpu_facts *facts, unsigned wanted, struct vp_vcpu_steps *steps,
                   struct vp_error *err)
{
    unsigned has = vp_vcpu_count(facts);

    *steps = (struct vp_vcpu_steps){.way = VP_WAY_NONE};
    if (wanted < 1 || wanted > facts->maximum)
        return vp_fail(err, VP_REFUSED,
                       "found %u vCPUs, legal 1 to %u, the guest's maximum (vcpus = %u in its "
                       "policy, from its next start)",
                       wanted, facts->maximum, wanted);
    if (!facts->running)
        return definition(facts, wanted, steps, err);
    if (wanted > plugged(facts))
        return plug(facts, steps, err);
    if (facts->paused && wanted != has)
        return vp_fail(err, VP_REFUSED,
                       "it is paused, and only a guest that runs gives vCPUs back (virsh resume)");
    if (wanted < has)
        return down(facts, wanted, steps, err);
    if (wanted > has && agent_up(facts, wanted - has, steps) != 0)
        return vp_fail(err, VP_REFUSED, "the guest uses %u of its %u vCPUs and knows of no other",
                       has, plugged(facts));
    return 0;
}
