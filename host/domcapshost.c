/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/domxml.h"
#include "decide/error.h"
#include "host/definition.h"
#include "host/domcaps.h"
#include "host/engine.h"
#include "host/nested.h"
#include "host/virt.h"

/* What this host can run, asked of libvirt. */

struct ask {
    virConnectPtr connection;
    const struct vp_domain *domain;
    const char *emulator;
};

static char *cpu_text(const char *model, const char *feature)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *cpu = doc ? xmlNewDocNode(doc, NULL, (const xmlChar *)"cpu", NULL) : NULL;
    xmlBuffer *buffer = xmlBufferCreate();
    char *text = NULL;
    xmlNode *node;

    if (cpu && buffer) {
        xmlDocSetRootElement(doc, cpu);
        xmlNewProp(cpu, (const xmlChar *)"mode", (const xmlChar *)"custom");
        xmlNewProp(cpu, (const xmlChar *)"match", (const xmlChar *)"exact");
        xmlNewTextChild(cpu, NULL, (const xmlChar *)"model", (const xmlChar *)model);
        node = feature ? xmlNewChild(cpu, NULL, (const xmlChar *)"feature", NULL) : NULL;
        if (node) {
            xmlNewProp(node, (const xmlChar *)"policy", (const xmlChar *)"disable");
            xmlNewProp(node, (const xmlChar *)"name", (const xmlChar *)feature);
        }
        if (xmlNodeDump(buffer, doc, cpu, 0, 0) >= 0)
            text = strdup((const char *)xmlBufferContent(buffer));
    }
    xmlBufferFree(buffer);
    return text;
}

/* Whether libvirt can make sense of that CPU at all. Features that are not
 * there at all come back as an error (x86ModelFromCPU, 9.0.0), a CPU that this
 * host cannot run does not. */
static bool is_sound(const struct ask *ask, const char *model, const char *feature)
{
    VP_AUTO(free) char *text = cpu_text(model, feature);

    return !text ||
           virConnectCompareHypervisorCPU(ask->connection, ask->emulator, ask->domain->arch,
                                          ask->domain->machine, ask->domain->type, text, 0) >= 0;
}

/* With the names of all features that libvirt gives the host's own model. */
static void no_feature(const struct ask *ask, const struct vp_domcaps *caps, const char *model,
                       const char *name, char why[512])
{
    VP_AUTO(free) char *text = cpu_text(model, NULL);
    const char *one[] = {text};
    VP_AUTO(free) char *full = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;

    if (text)
        full = virConnectBaselineHypervisorCPU(ask->connection, ask->emulator, ask->domain->arch,
                                               ask->domain->machine, ask->domain->type, one, 1,
                                               VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES);
    doc = full ? vp_xml_parse(full, strlen(full), NULL) : NULL;
    vp_domcaps_no_feature(caps, doc ? xmlDocGetRootElement(doc) : NULL, name, why);
}

static bool features_known(const struct ask *ask, const struct vp_domcaps *caps,
                           const struct vp_policy *policy, char why[512])
{
    const struct vp_strings *features = &policy->cpu.features;
    VP_AUTO(free) char *model = vp_domcaps_model(caps);

    for (size_t i = 0; model && i < features->count; i++) {
        const char *name = features->item[i] + 1;

        if (vp_domcaps_names_feature(caps, name) || is_sound(ask, model, name))
            continue;
        if (!is_sound(ask, model, NULL)) /* it is not the feature */
            return true;
        no_feature(ask, caps, model, name, why);
        return false;
    }
    return true;
}

static bool is_kvm(const struct vp_domain *domain)
{
    return domain->type && strcmp(domain->type, "kvm") == 0;
}

char *vp_domcaps_ask(struct vp_engine *engine, virConnectPtr connection,
                     const struct vp_domain *domain, const char *emulator, struct vp_error *err)
{
    char *text = virConnectGetDomainCapabilities(connection, emulator, domain->arch,
                                                 domain->machine, domain->type, 0);

    if (text) {
        vp_domcaps_keep(engine, domain, emulator, text);
        return text;
    }
    vp_virt_fail(err, "what CPUs this host can run (%s, %s, %s)", domain->type ? domain->type : "?",
                 domain->arch ? domain->arch : "?", domain->machine ? domain->machine : "?");
    return vp_domcaps_kept(engine, domain, emulator);
}

int vp_domcaps_usable(struct vp_engine *engine, virConnectPtr connection,
                      const struct vp_domain *domain, const char *emulator,
                      const struct vp_policy *policy, struct vp_policy *one, char why[512],
                      struct vp_error *err)
{
    const struct ask ask = {connection, domain, emulator};
    VP_AUTO(vp_domcaps) struct vp_domcaps *caps = NULL;
    VP_AUTO(free) char *text = NULL;

    *one = *policy;
    if (policy->cpu_mode == VP_CPU_KEEP && policy->cpu.nested == VP_SWITCH_KEEP &&
        policy->cpu.features.count == 0)
        return 1;
    text = vp_domcaps_ask(engine, connection, domain, emulator, err);
    if (!text || vp_domcaps_parse(text, strlen(text), &caps, err) != 0)
        return -1;
    if (!vp_domcaps_choose(caps, policy, one, why) || !features_known(&ask, caps, policy, why))
        return 0;
    if (policy->cpu.nested == VP_SWITCH_ON && is_kvm(domain))
        return vp_nested_allowed("/sys/module", one->cpu.vendor, why);
    return 1;
}
