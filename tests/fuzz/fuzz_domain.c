/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "tests/fuzz/must.h"
#include "tests/unit/rewritecheck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The policies: by turns, so that one input sees one of each. */
static void make_policy(unsigned turn, unsigned vcpus, struct vp_policy *policy, char **model)
{
    static const enum vp_cpu_mode modes[] = {VP_CPU_KEEP, VP_CPU_CUSTOM, VP_CPU_HOST_MODEL,
                                             VP_CPU_HOST_PASSTHROUGH, VP_CPU_MAXIMUM};
    static char *features[] = {(char *)"+pcid", (char *)"-aes", (char *)"?x2apic"};

    *policy = (struct vp_policy){.cpu_mode = modes[turn % 5]};
    *model = (char *)"EPYC";
    policy->cpu_models.item = model;
    policy->cpu_models.count = 1;
    if (turn % 7 > 2) {
        policy->cpu.features = (struct vp_strings){features, turn % 4};
        policy->cpu.nested = turn % 3;
        policy->cpu.cache = turn % 4;
        policy->cpu.maxphysaddr = (struct vp_maxphysaddr){turn % 3, 40};
        policy->cpu.pmu = turn / 7 % 3;
        policy->cpu.hint_dedicated = turn / 7 % 4;
        policy->cpu.check = turn / 7 % 4;
        policy->cpu.migratable = turn % 3;
        policy->cpu.vendor = turn % 3;
        policy->placement = turn % 4;
    }
    if (turn % 3 == 1)
        policy->topology = (struct vp_guest_topology){vcpus, 1, 1, 1, 1};
    if (turn % 3 == 2)
        policy->topology = (struct vp_guest_topology){1, 1, 2, 3, 1};
    if (turn % 3 == 0 && turn % 4 > 0)
        policy->topology.sockets = VP_TOPOLOGY_AUTO;
    if (turn % 11 > 4)
        policy->vcpus = vcpus < VP_VCPUS_MAX ? vcpus + 1 : vcpus - 2;
    if (turn % 11 > 7)
        policy->vcpus_current = 1 + vcpus / 2;
    if (turn % 7 < 3)
        policy->guest_numa = turn % 4;
    if (turn % 13 > 3)
        policy->tuning = (struct vp_tuning){.shares = turn % 13 > 5 ? 100 : 0,
                                            .period = turn % 2 ? 5000 : 0,
                                            .quota = (long long)(turn % 3) - 1,
                                            .scheduler = {turn % 5, turn % 5 > 2 ? 1 : 0}};
    policy->vcpus_hotplug = turn / 3 % 3;
    policy->guest_agent = turn % 2 == 0;
    if (turn % 5 != 0) /* only such a policy's pins stand in definitions */
        policy->placement = VP_PLACE_FIXED;
}

static void make_pins(unsigned turn, struct vp_pins *pins)
{
    struct vp_cpuset cpus = {.w = {turn + 1}};

    if (turn % 2 == 0)
        must(vp_pins_add(pins, VP_ROLE_VCPU, 0, &cpus) == 0, "memory");
    if (turn % 3 == 0)
        must(vp_pins_add(pins, VP_ROLE_EMULATOR, 0, &cpus) == 0, "memory");
    must(vp_pins_add(pins, VP_ROLE_VHOST, 0, &cpus) == 0, "memory");
}

/* Returns the facets changed, and prints what should not be: the second time. */
static int rewrite(xmlDoc *doc, unsigned turn, unsigned vcpus, bool again)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    struct vp_changes changes = {0};
    struct vp_pins pins = {0};
    struct vp_policy policy;
    bool changed = false;
    char *model;
    int facets = 0;

    make_policy(turn, vcpus, &policy, &model);
    must(vp_rewrite_guest_cpu(root, &policy, &changes, NULL) == 0, "guest CPU rewritten");
    for (size_t i = 0; i < changes.count; i++)
        if (!changes.item[i].impossible)
            facets |= check_of(changes.item[i].facet);
    if (again && facets != 0)
        say_changes(&changes);
    if (turn % 5 != 0) {
        make_pins(turn, &pins);
        must(vp_rewrite_pins(root, &pins, "fuzz", &changed, NULL) == 0, "pins rewritten");
    }
    vp_changes_clear(&changes);
    vp_pins_clear(&pins);
    return facets | (changed ? CHECK_PINS : 0);
}

static void try_rewrite(const char *text, size_t size, unsigned turn, unsigned vcpus)
{
    static const enum vp_facet all[] = {VP_FACET_CPU,    VP_FACET_TOPOLOGY, VP_FACET_PINS,
                                        VP_FACET_VCPUS,  VP_FACET_AGENT,    VP_FACET_FEATURES,
                                        VP_FACET_TUNING, VP_FACET_NUMA};
    VP_AUTO(xmlFreeDoc) xmlDoc *before = vp_xml_parse(text, size, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(text, size, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *again = NULL;
    VP_AUTO(free) char *out = NULL;
    bool changed;
    size_t length;
    int facets;

    must(before && doc, "parsed again");
    facets = rewrite(doc, turn, vcpus, false);
    must_equal(before, doc, facets, "equal outside the facets");
    must(vp_xml_print(doc, facets != 0, text, size, &out, &length, NULL) == 0, "printed");
    if (facets == 0)
        must(length == size && memcmp(out, text, size) == 0, "no change, same bytes");
    again = vp_xml_parse(out, length, NULL);
    must(again != NULL, "well-formed");
    must(rewrite(again, turn, vcpus, true) == 0, "idempotent");
    must(vp_rewrite_revert(xmlDocGetRootElement(again), xmlDocGetRootElement(before), all,
                           VP_FACETS, &changed, NULL) == 0,
         "reverted");
    if (!has_mixed(xmlDocGetRootElement(before)))
        must_equal(before, again, CHECK_PINS, "as before but for pins");
    must(vp_rewrite_strip(xmlDocGetRootElement(doc), &changed, NULL) == 0, "stripped");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    const char *text = (const char *)data;
    struct vp_error err = {0};
    unsigned turn = 0;

    xmlSetGenericErrorFunc(NULL, check_silent);
    if (vp_domain_parse(text, size, &domain, &err) < 0) {
        must(!domain && err.code != VP_OK && err.text[0] != '\0', "a refusal says why");
        must(!strchr(err.text, '\n'), "a refusal is one line");
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        turn = turn * 31 + data[i];
    try_rewrite(text, size, turn % 5460, domain->vcpus);
    return 0;
}
