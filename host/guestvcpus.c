/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/guestvcpus.h"

#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "decide/policy.h"
#include "host/engine.h"
#include "host/threads.h"
#include "host/virt.h"

#define AGENT_LIMIT_S 5

/* ---- looking ---- */

static bool thread_lives(pid_t pid, pid_t tid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task/%d", (int)pid, (int)tid);
    return access(path, F_OK) == 0;
}

int vp_guest_vcpus_listed(struct vp_engine *engine, const char *name, struct vp_vcpu_facts *facts,
                          struct vp_error *err)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;

    if (vp_status_load(engine->status_dir, name, &status, err) != 0)
        return -1;
    facts->maximum = status->domain->vcpus;
    facts->paused = status->state && strcmp(status->state, "paused") == 0;
    facts->listed = status->domain->vcpus_online;
    facts->lost = (struct vp_cpuset){0};
    for (size_t i = 0; i < status->vcpu_count; i++)
        if (vp_cpuset_has(&facts->listed, (int)status->vcpu[i].id) &&
            !thread_lives(status->pid, status->vcpu[i].tid))
            vp_cpuset_add(&facts->lost, (int)status->vcpu[i].id);
    facts->unpluggable = status->domain->vcpus_hotpluggable;
    vp_cpuset_and(&facts->unpluggable, &facts->listed);
    vp_cpuset_minus(&facts->unpluggable, &facts->lost);
    return 0;
}

static int look_at_definition(struct vp_engine *engine, virDomainPtr domain,
                              struct vp_vcpu_facts *facts, struct vp_error *err)
{
    VP_AUTO(free) char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    VP_AUTO(vp_domain) struct vp_domain *defined = NULL;
    struct vp_choice choice = {0};

    if (!xml)
        return vp_virt_fail(err, "reading the definition");
    if (vp_domain_parse(xml, strlen(xml), &defined, err) != 0)
        return -1;
    facts->defined = defined->vcpus_current;
    facts->defined_most = defined->vcpus;
    vp_engine_choose(engine, defined, &choice);
    if (choice.policy && choice.policy->mode == VP_MODE_ENFORCE) {
        facts->policy = choice.policy->name;
        facts->policy_current = choice.policy->vcpus_current;
    }
    return 0;
}

int vp_guest_vcpus_facts(struct vp_engine *engine, virDomainPtr domain, struct vp_vcpu_facts *facts,
                         struct vp_error *err)
{
    *facts = (struct vp_vcpu_facts){
        .running = virDomainIsActive(domain) == 1,
        .persistent = virDomainIsPersistent(domain) == 1,
    };
    if (facts->persistent && look_at_definition(engine, domain, facts, err) != 0)
        return -1;
    facts->maximum = facts->defined_most;
    if (!facts->running)
        return 0;
    return vp_guest_vcpus_listed(engine, virDomainGetName(domain), facts, err);
}

/* ---- the agent ---- */

bool vp_guest_vcpus_limit(struct vp_engine *engine, virDomainPtr domain)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_error ignored;

    return vp_status_load(engine->status_dir, virDomainGetName(domain), &status, &ignored) == 0 &&
           status->agent_blocks && virDomainAgentSetResponseTimeout(domain, AGENT_LIMIT_S, 0) == 0;
}

void vp_guest_vcpus_unlimit(virDomainPtr domain)
{
    virDomainAgentSetResponseTimeout(domain, VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_BLOCK, 0);
}

static bool take_list(virTypedParameterPtr params, int count, const char *name,
                      struct vp_cpuset *set)
{
    const char *text = NULL;

    *set = (struct vp_cpuset){0};
    if (virTypedParamsGetString(params, count, name, &text) != 1 || !text)
        return false;
    return text[0] == '\0' || vp_cpuset_parse(set, text, NULL) == 0;
}

void vp_guest_vcpus_agent(virDomainPtr domain, struct vp_vcpu_facts *facts, struct vp_error *why)
{
    virTypedParameterPtr params = NULL;
    unsigned count = 0;

    facts->agent = false;
    if (virDomainGetGuestVcpus(domain, &params, &count, 0) != 0) {
        vp_virt_fail(why, "the guest agent");
        return;
    }
    facts->agent = take_list(params, (int)count, "vcpus", &facts->guest_vcpus) &&
                   take_list(params, (int)count, "online", &facts->guest_online) &&
                   take_list(params, (int)count, "offlinable", &facts->guest_offlinable);
    if (!facts->agent)
        vp_fail(why, VP_HOST, "the guest agent's list of vCPUs is none that virtpin understands");
    virTypedParamsFree(params, (int)count);
}

/* ---- acting ---- */

int vp_guest_vcpus_plug(virDomainPtr domain, unsigned count, struct vp_error *err)
{
    if (virDomainSetVcpusFlags(domain, count, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return 0;
    return vp_virt_fail(err, "plugging up to %u vCPUs", count);
}

int vp_guest_vcpus_unplug(virDomainPtr domain, unsigned vcpu, struct vp_error *err)
{
    char map[16];

    snprintf(map, sizeof(map), "%u", vcpu);
    if (virDomainSetVcpu(domain, map, 0, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return 0;
    if (virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT)
        return 1;
    /* QEMU, while firmware or kernel have not turned ACPI CPU hotplug on */
    if (strstr(virGetLastErrorMessage(), "unplug request for not supported device"))
        return vp_fail(err, VP_REFUSED,
                       "the guest does not take part in CPU hotplug: has its kernel booted?");
    return vp_virt_fail(err, "unplugging vCPU %u", vcpu);
}

int vp_guest_vcpus_switch(virDomainPtr domain, const struct vp_cpuset *vcpus, bool online,
                          struct vp_error *err)
{
    VP_AUTO(free) char *map = vp_cpuset_format(vcpus);

    if (!map)
        return vp_fail(err, VP_HOST, "out of memory");
    if (virDomainSetGuestVcpus(domain, map, online, 0) == 0)
        return 0;
    return vp_virt_fail(err, "the guest agent taking CPUs %s %s", map,
                        online ? "online" : "offline");
}

int vp_guest_vcpus_define(virDomainPtr domain, unsigned count, struct vp_error *err)
{
    VP_AUTO(free) char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    VP_AUTO(vp_domain) struct vp_domain *defined = NULL;
    unsigned flags = VIR_DOMAIN_AFFECT_CONFIG;

    if (!xml)
        return vp_virt_fail(err, "reading the definition");
    if (vp_domain_parse(xml, strlen(xml), &defined, err) != 0)
        return -1;
    if (defined->has_vcpus && !vp_cpuset_empty(&defined->vcpus_hotpluggable))
        flags |= VIR_DOMAIN_VCPU_HOTPLUGGABLE;
    if (virDomainSetVcpusFlags(domain, count, flags) == 0)
        return 0;
    return vp_virt_fail(err, "setting %u vCPUs in the definition", count);
}
