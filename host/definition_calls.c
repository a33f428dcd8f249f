/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pins and tuning need no define: libvirt changes them itself, without a race. */
#include <libvirt/virterror.h>

#include "decide/domxml.h"
#include "decide/tuning.h"
#include "host/definition_priv.h"
#include "host/virt.h"

/* For schedulers there is no call; what is not set any more cannot be called away. */
static bool tuning_calls_suffice(const struct vp_domain *before, const struct vp_domain *after)
{
    for (unsigned i = 0; i < after->vcpus; i++) {
        struct vp_vcpu_scheduler was = vp_tuning_scheduler_of(before, i);
        struct vp_vcpu_scheduler is = vp_tuning_scheduler_of(after, i);

        if (was.policy != is.policy || was.priority != is.priority)
            return false;
    }
    return after->tuning.scheduler_count == before->tuning.scheduler_count;
}

/* Calls can set pins but not take one out, nor <vcpu cpuset=>. */
bool vp_work_calls_suffice(const struct vp_work *work, xmlNode *root,
                           const struct vp_domain *before, const struct vp_domain *after)
{
    const xmlNode *memory = vp_xml_child(vp_xml_child(root, "numatune"), "memory");

    for (int i = 0; i < VP_FACETS; i++)
        if (work->keep[i] && i != VP_FACET_PINS && i != VP_FACET_TUNING)
            return false;
    if (work->keep[VP_FACET_TUNING] && !tuning_calls_suffice(before, after))
        return false;
    if (!work->keep[VP_FACET_PINS])
        return true;
    if (before->applied_memory || after->applied_memory) /* nodes and mark: at once */
        return false;
    if (before->has_vcpu_cpuset || before->placement_auto || vp_xml_attr(memory, "placement"))
        return false;
    for (size_t i = 0; i < before->pins.count; i++)
        if (!vp_pins_find(&after->pins, before->pins.item[i].role, before->pins.item[i].index))
            return false;
    return true;
}

/* The driver that has no such call says one of these; the test driver does. */
static int call_failed(void)
{
    int code = virGetLastErrorCode();

    return code == VIR_ERR_INVALID_ARG || code == VIR_ERR_NO_SUPPORT ? 1 : -1;
}

int vp_work_call(struct vp_work *work, const struct vp_domain *before,
                 const struct vp_domain *after, struct vp_error *err)
{
    struct vp_tuning tuning = vp_tuning_possible(&work->one);
    unsigned told = 0;

    if (work->keep[VP_FACET_TUNING] &&
        vp_virt_set_tuning(work->domain, &tuning, &before->tuning, VIR_DOMAIN_AFFECT_CONFIG, &told,
                           err) != 0)
        return call_failed();
    if (!work->keep[VP_FACET_PINS])
        return 0;
    if (vp_virt_set_pins(work->domain, &after->pins, &before->pins, VIR_DOMAIN_AFFECT_CONFIG, &told,
                         err) != 0)
        return call_failed();
    if (vp_virt_mark(work->domain, work->choice.policy->name, VIR_DOMAIN_AFFECT_CONFIG, &told,
                     err) != 0)
        return -1;
    return 0;
}
