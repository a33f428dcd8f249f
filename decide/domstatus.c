/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"

static int read_vcpu(const xmlNode *node, struct vp_status *status, struct vp_error *err)
{
    uint64_t id = UINT64_MAX, tid = 0;

    if (vp_xml_attr_number(node, "id", 0, VP_VCPUS_MAX - 1, &id, err) < 0 ||
        vp_xml_attr_number(node, "pid", 1, INT_MAX, &tid, err) < 0)
        return -1;
    if (id == UINT64_MAX || tid == 0)
        return vp_fail(err, VP_INPUT,
                       "line %ld: <vcpu>: found no id= or no pid=", xmlGetLineNo(node));
    status->vcpu[status->vcpu_count].id = (unsigned)id;
    status->vcpu[status->vcpu_count].tid = (pid_t)tid;
    status->vcpu_count++;
    return 0;
}

static int read_vcpus(const xmlNode *vcpus, struct vp_status *status, struct vp_error *err)
{
    size_t count = 0;

    for (const xmlNode *at = vp_xml_child(vcpus, "vcpu"); at; at = vp_xml_again(at))
        count++;
    if (count == 0)
        return 0;
    status->vcpu = calloc(count, sizeof(*status->vcpu));
    if (!status->vcpu)
        return vp_xml_no_memory(err);
    for (const xmlNode *at = vp_xml_child(vcpus, "vcpu"); at; at = vp_xml_again(at))
        if (read_vcpu(at, status, err) < 0)
            return -1;
    return 0;
}

static bool says(const char *value, const char *word)
{
    return value && strcmp(value, word) == 0;
}

/* <job type='modify' async='migration out' ...>; both words are "none" or the
 * element is absent while there is no job (src/hypervisor/domain_job.c). */
static void read_job(const xmlNode *job, struct vp_status *status)
{
    const char *type = vp_xml_attr(job, "type"), *async = vp_xml_attr(job, "async");

    status->job = (type && !says(type, "none")) || (async && !says(async, "none"));
    status->migrating = says(async, "migration out") || says(async, "migration in");
}

/* Seconds that libvirt waits for the guest agent; -2 is its default, no limit
 * (src/qemu/qemu_domain.c, qemuDomainObjPrivateXMLFormat). */
static void read_agent_timeout(const xmlNode *timeout, struct vp_status *status)
{
    VP_AUTO(free) char *text = timeout ? vp_xml_text(timeout) : NULL;

    status->agent_blocks = !text || strtol(text, NULL, 10) == -2;
}

static int read_status(const xmlNode *root, struct vp_status *status, struct vp_error *err)
{
    xmlNode *domain = vp_xml_child(root, "domain");
    uint64_t pid = 0;

    if (vp_xml_attr_copy(root, "state", &status->state, err) < 0 ||
        vp_xml_attr_copy(root, "reason", &status->reason, err) < 0 ||
        vp_xml_attr_number(root, "pid", 0, INT_MAX, &pid, err) < 0 ||
        read_vcpus(vp_xml_child(root, "vcpus"), status, err) < 0)
        return -1;
    status->pid = (pid_t)pid;
    read_job(vp_xml_child(root, "job"), status);
    read_agent_timeout(vp_xml_child(root, "agentTimeout"), status);
    if (!domain)
        return vp_fail(err, VP_INPUT, "line %ld: <domstatus>: found no <domain> in it",
                       xmlGetLineNo(root));
    if (vp_domain_read(domain, &status->domain, err) < 0)
        return -1;
    status->vhosts = status->domain->vhosts;
    return 0;
}

int vp_status_parse(const char *bytes, size_t length, struct vp_status **status,
                    struct vp_error *err)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(bytes, length, err);
    VP_AUTO(vp_status) struct vp_status *draft = NULL;
    const xmlNode *root;

    *status = NULL;
    if (!doc)
        return -1;
    root = xmlDocGetRootElement(doc);
    if (!root || !vp_xml_is(root, "domstatus"))
        return vp_fail(err, VP_INPUT,
                       "found <%.40s> as the outermost element, legal is <domstatus>",
                       root ? (const char *)root->name : "");
    draft = calloc(1, sizeof(*draft));
    if (!draft)
        return vp_xml_no_memory(err);
    if (read_status(root, draft, err) < 0)
        return vp_xml_clean(err);
    *status = VP_STEAL(draft);
    return 0;
}

void vp_status_free(struct vp_status *status)
{
    if (!status)
        return;
    free(status->state);
    free(status->reason);
    free(status->vcpu);
    vp_domain_free(status->domain);
    free(status);
}
