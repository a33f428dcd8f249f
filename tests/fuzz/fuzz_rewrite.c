/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A policy file, and behind it, from the first '<' on, a domain: the domain
 * rewritten to each policy of the file, and back. */
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/domain.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/guestnuma.h"
#include "decide/plan.h"
#include "decide/policy.h"
#include "decide/policydraft.h"
#include "decide/rewrite.h"
#include "host/confread.h"
#include "tests/fuzz/must.h"
#include "tests/unit/rewritecheck.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More policies of one file show nothing more. */
#define POLICIES 4

static struct vp_policy_set *read_set(const char *text, size_t size)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_policy_set *set;

    vp_conf_read_text(draft, "fuzz.conf", text, size, &findings);
    vp_draft_finish(draft, "h1.example", &set, &findings);
    vp_draft_free(draft);
    vp_findings_clear(&findings);
    return set;
}

/* Nodes of a host, by turns none, one or more. */
static void make_nodes(unsigned turn, unsigned vcpus, struct vp_numa_facts *nodes)
{
    memset(nodes, 0, sizeof(*nodes));
    nodes->count = turn % 4;
    nodes->mapped = turn % 5 == 0 && nodes->count == 2 && vcpus > 1;
    if (nodes->mapped) {
        vp_cpuset_add(&nodes->vcpus[0], 0);
        vp_cpuset_add_range(&nodes->vcpus[1], 1, (int)vcpus - 1);
    }
    nodes->has_distance = turn % 3 == 0;
    memset(nodes->distance, 10, sizeof(nodes->distance));
}

/* The policy on one of the hosts that there are, by turns. */
static struct vp_policy on_host(const struct vp_policy *policy, unsigned turn,
                                const struct vp_numa_facts *nodes)
{
    struct vp_policy one = vp_policy_for_host(policy, turn % 3 == 0 ? 0 : -1, turn / 3 % 3);

    one.numa_facts = nodes;
    one.tuning_host.cgroup = (int)(turn / 9 % 3);
    one.tuning_host.no_realtime = turn / 27 % 2;
    one.tuning_host.no_controller = turn / 54 % 4 == 3;
    return one;
}

static void pins_of(const struct vp_policy *policy, const struct vp_domain *domain,
                    struct vp_pins *pins)
{
    for (unsigned vcpu = 0; vcpu < domain->vcpus && vcpu < 64; vcpu++)
        for (size_t i = 0; i < policy->vcpupin_count; i++)
            if (vp_cpuset_has(&policy->vcpupin[i].vcpus, (int)vcpu))
                must(vp_pins_add(pins, VP_ROLE_VCPU, vcpu, &policy->vcpupin[i].cpus) == 0,
                     "memory");
}

/* As a plan binds memory, by turns not at all, as a whole, or by cells. */
static bool bind(xmlNode *root, const struct vp_domain *domain, unsigned turn)
{
    static const enum vp_memory modes[] = {VP_MEMORY_KEEP, VP_MEMORY_STRICT, VP_MEMORY_PREFERRED};
    struct vp_memory_cell cell[2] = {{0}, {.id = 1}};
    struct vp_memory_bind bind = {.mode = modes[turn % 3], .cell = cell};
    bool changed = false;

    vp_cpuset_add_range(&bind.nodes, 0, (int)(turn % 2));
    vp_cpuset_add(&cell[0].nodes, 0);
    vp_cpuset_add(&cell[1].nodes, (int)(turn % 2));
    if (domain->cell_count == 2 && turn % 5 > 1)
        bind.cell_count = 2;
    must(vp_rewrite_memory(root, &bind, &changed, NULL) == 0, "memory bound");
    return changed;
}

/* Returns the facets changed, and prints what should not be: the second time. */
static int rewrite(xmlDoc *doc, const struct vp_policy *policy, unsigned turn, bool again)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_changes changes = {0};
    struct vp_pins pins = {0};
    bool changed = false;
    int facets = 0;

    must(vp_rewrite_guest_cpu(root, policy, &changes, NULL) == 0, "guest CPU rewritten");
    for (size_t i = 0; i < changes.count; i++)
        if (!changes.item[i].impossible)
            facets |= check_of(changes.item[i].facet);
    if (again && facets != 0)
        say_changes(&changes);
    must(vp_domain_read(root, &domain, NULL) == 0, "a domain still");
    if (policy->placement == VP_PLACE_FIXED) {
        pins_of(policy, domain, &pins);
        must(vp_rewrite_pins(root, &pins, policy->name, &changed, NULL) == 0, "pins rewritten");
        if (pins.count > 0 && bind(root, domain, turn))
            facets |= CHECK_MEMORY | CHECK_PINS;
    }
    vp_changes_clear(&changes);
    vp_pins_clear(&pins);
    return facets | (changed ? CHECK_PINS : 0);
}

static void revert(xmlDoc *doc, const xmlDoc *before, bool backwards)
{
    enum vp_facet all[VP_FACETS];
    bool changed;

    for (int i = 0; i < VP_FACETS; i++)
        all[i] = (enum vp_facet)(backwards ? VP_FACETS - 1 - i : i);
    must(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before), all, VP_FACETS,
                           &changed, NULL) == 0,
         "reverted");
}

static void try_policy(const char *text, size_t size, const struct vp_policy *policy, unsigned turn)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *before = vp_xml_parse(text, size, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(text, size, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *again = NULL;
    VP_AUTO(free) char *out = NULL;
    bool changed = false;
    size_t length;
    int facets;

    must(before && doc, "parsed again");
    facets = rewrite(doc, policy, turn, false);
    must_equal(before, doc, facets, "equal outside the facets");
    must(vp_xml_print(doc, facets != 0, text, size, &out, &length, NULL) == 0, "printed");
    if (facets == 0)
        must(length == size && memcmp(out, text, size) == 0, "no change, same bytes");
    again = vp_xml_parse(out, length, NULL);
    must(again != NULL, "well-formed");
    must(rewrite(again, policy, turn, true) == 0, "idempotent");
    must(vp_rewrite_tuning(xmlDocGetRootElement(again), policy, &changed, NULL) == 0 && !changed,
         "tuned already");
    revert(again, before, turn % 2);
    if (!has_mixed(xmlDocGetRootElement(before)))
        must_equal(before, again, CHECK_PINS, "as before but for pins");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *xml = memchr(text, '<', size);
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = NULL;
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    size_t length;
    unsigned turn = 0;

    xmlSetGenericErrorFunc(NULL, check_silent);
    if (!xml)
        return 0;
    length = size - (size_t)(xml - text);
    if (vp_domain_parse(xml, length, &domain, NULL) < 0)
        return 0;
    set = read_set(text, (size_t)(xml - text));
    for (size_t i = 0; i < size; i++)
        turn = turn * 31 + data[i];
    for (size_t i = 0; set && i < set->count && i < POLICIES; i++) {
        unsigned vcpus = set->policy[i].vcpus > 0 ? set->policy[i].vcpus : domain->vcpus;
        struct vp_numa_facts nodes;
        struct vp_policy one = on_host(&set->policy[i], turn + (unsigned)i, &nodes);

        make_nodes(turn, vcpus, &nodes);

        try_policy(xml, length, &one, turn);
    }
    return 0;
}
