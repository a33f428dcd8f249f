/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What planning says beside the plan. */
#include <stdio.h>
#include <string.h>

#include "decide/finding.h"
#include "decide/plan_priv.h"

void vp_plan_say_not_honoured(const struct vp_making *m)
{
    const struct vp_policy *policy = m->in->policy;
    const char *guest = m->in->domain->name;

    if (!m->findings)
        return;
    if (policy->memory != VP_MEMORY_KEEP && !m->in->topology->memory_known)
        vp_findings_note(m->findings, VP_WARNING,
                         "guest %s: memory sets no limit: this host's nodes state none", guest);
    if (policy->pci_locality == VP_CARE_REQUIRE && m->in->pci_unknown)
        vp_findings_note(m->findings, VP_WARNING,
                         "guest %s: pci-locality: the node of a PCI device is not known", guest);
    if (policy->core_type != VP_CORES_ANY && m->in->topology->kind_count < 2)
        vp_findings_note(m->findings, VP_WARNING,
                         "policy %s wants CPUs of one core-type, and this host's are of one kind: "
                         "guest %s may have any",
                         policy->name, guest);
}

void vp_plan_say_holders(const struct vp_making *m, char *text, size_t size)
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
