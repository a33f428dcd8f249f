/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest CPU's keys, from the words of a policy to the XML. Inputs are those
 * of golden/rewrite, tests/unit/golden/guestcpu/CASE.ok is what comes out.
 * VIRTPIN_REGENERATE=1 writes the .ok files anew: read the difference before
 * it is committed. */
#include <check.h>
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/finding.h"
#include "decide/guestnuma.h"
#include "decide/policydraft.h"
#include "decide/policykeys.h"
#include "decide/rewrite.h"
#include "host/confread.h"
#include "host/nested.h"
#include "tests/unit/goldencheck.h"

#define ALL_FACETS                                                                                 \
    (CHECK_CPU | CHECK_DETAILS | CHECK_TOPOLOGY | CHECK_TUNING | CHECK_VCPUS | CHECK_NUMA |        \
     CHECK_AGENT)

static const struct vp_numa_facts one_node = {.count = 1};
static const struct vp_numa_facts two_nodes = {
    .count = 2, .has_distance = true, .distance = {{10, 21}, {21, 10}}};
/* vCPU 0 and 2 to 7 on one node, vCPU 1 on the other */
static const struct vp_numa_facts mapped_nodes = {
    .count = 2, .mapped = true, .vcpus = {{.w = {0xfd}}, {.w = {2}}}};
/* the same for 12 vCPUs, which a kept topology of 8 keeps the guest from having */
static const struct vp_numa_facts mapped_for_12 = {
    .count = 2, .mapped = true, .vcpus = {{.w = {0xffd}}, {.w = {2}}}};

static const struct golden {
    const char *name, *input, *keys;
    enum vp_cpu_vendor vendor;
    int cgroup; /* of the host, 0 not known, -1 none */
    bool no_realtime;
    const struct vp_numa_facts *nodes;
} golden[] = {
    {"maximum", "custom", "cpu-mode = maximum\n", 0, 0, 0, NULL},
    {"maximum-kept", "featured", "cpu-mode = maximum\ncpu-migratable = on\n", 0, 0, 0, NULL},
    {"models-first", "plain", "cpu-mode = custom\ncpu-models = EPYC-Rome EPYC Westmere\n", 0, 0, 0,
     NULL},
    {"models-any", "custom", "cpu-mode = custom\ncpu-models = EPYC-Rome EPYC Westmere\n", 0, 0, 0,
     NULL},
    {"models-fallback", "custom",
     "cpu-mode = custom\ncpu-models = Westmere EPYC\ncpu-fallback = allow\n", 0, 0, 0, NULL},
    {"match-minimum", "custom", "cpu-mode = custom\ncpu-models = EPYC\ncpu-match = minimum\n", 0, 0,
     0, NULL},
    {"match-strict", "host-model", "cpu-mode = custom\ncpu-models = EPYC\ncpu-match = strict\n", 0,
     0, 0, NULL},
    {"match-exact", "host-model",
     "cpu-mode = custom\ncpu-models = EPYC\ncpu-match = exact\ncpu-fallback = forbid\n"
     "cpu-check = partial\n",
     0, 0, 0, NULL},
    {"check-full", "custom", "cpu-check = full\n", 0, 0, 0, NULL},
    {"check-new-mode", "passthrough", "cpu-mode = host-model\ncpu-check = none\n", 0, 0, 0, NULL},
    {"check-no-cpu", "plain", "cpu-check = full\n", 0, 0, 0, NULL},
    {"migratable-off", "passthrough", "cpu-mode = host-passthrough\ncpu-migratable = off\n", 0, 0,
     0, NULL},
    {"migratable-custom", "custom", "cpu-migratable = off\n", 0, 0, 0, NULL},
    {"migratable-new-mode", "host-model", "cpu-mode = maximum\ncpu-migratable = on\n", 0, 0, 0,
     NULL},
    {"features-added", "custom", "cpu-features = +pcid -vmx ?x2apic !svm =aes\n", 0, 0, 0, NULL},
    {"features-changed", "featured", "cpu-features = -vmx +pcid +sse4.1\n", 0, 0, 0, NULL},
    {"features-met", "featured", "cpu-features = +vmx -pcid\n", 0, 0, 0, NULL},
    {"features-no-cpu", "plain", "cpu-features = +pcid\n", 0, 0, 0, NULL},
    {"features-new-cpu", "plain", "cpu-mode = host-model\ncpu-features = +pcid -x2apic\n", 0, 0, 0,
     NULL},
    {"features-one-line", "line", "cpu-mode = host-model\ncpu-features = +pcid\n", 0, 0, 0, NULL},
    {"nested-off", "featured", "nested = off\n", 0, 0, 0, NULL},
    {"nested-off-intel", "featured", "nested = off\n", VP_VENDOR_INTEL, 0, 0, NULL},
    {"nested-off-amd", "host-model", "nested = off\n", VP_VENDOR_AMD, 0, 0, NULL},
    {"nested-off-custom", "plain", "cpu-mode = custom\ncpu-models = Westmere\nnested = off\n",
     VP_VENDOR_INTEL, 0, 0, NULL},
    {"nested-on-intel", "passthrough", "nested = on\n", VP_VENDOR_INTEL, 0, 0, NULL},
    {"nested-on-amd", "featured", "nested = on\n", VP_VENDOR_AMD, 0, 0, NULL},
    {"nested-on-unknown", "passthrough", "nested = on\n", 0, 0, 0, NULL},
    {"nested-arm", "arm", "nested = off\ncpu-cache = disable\nmaxphysaddr = emulate:40\n", 0, 0, 0,
     NULL},
    {"cache-emulate", "featured", "cpu-cache = emulate\n", 0, 0, 0, NULL},
    {"cache-disable", "custom", "cpu-cache = disable\n", 0, 0, 0, NULL},
    {"cache-passthrough", "passthrough", "cpu-cache = passthrough\n", 0, 0, 0, NULL},
    {"cache-passthrough-custom", "custom", "cpu-cache = passthrough\n", 0, 0, 0, NULL},
    {"cache-with-mode", "cache", "cpu-mode = host-model\ncpu-cache = emulate\n", 0, 0, 0, NULL},
    {"addr-emulate", "featured", "maxphysaddr = emulate:42\n", 0, 0, 0, NULL},
    {"addr-new", "custom", "maxphysaddr = emulate:40\n", 0, 0, 0, NULL},
    {"addr-passthrough", "passthrough", "maxphysaddr = passthrough\n", 0, 0, 0, NULL},
    {"addr-passthrough-custom", "custom", "maxphysaddr = passthrough\n", 0, 0, 0, NULL},
    {"addr-obstacle", "featured", "cpu-mode = host-model\ncpu-cache = disable\n", 0, 0, 0, NULL},
    {"pmu-off", "featured", "pmu = off\n", 0, 0, 0, NULL},
    {"pmu-new", "plain", "pmu = on\n", 0, 0, 0, NULL},
    {"pmu-met", "featured", "pmu = on\n", 0, 0, 0, NULL},
    {"hint-on", "passthrough", "kvm-hint-dedicated = on\n", 0, 0, 0, NULL},
    {"hint-on-custom", "custom", "kvm-hint-dedicated = on\n", 0, 0, 0, NULL},
    {"hint-off", "featured", "kvm-hint-dedicated = off\n", 0, 0, 0, NULL},
    {"hint-off-absent", "custom", "kvm-hint-dedicated = off\n", 0, 0, 0, NULL},
    {"hint-auto-dedicated", "passthrough", "kvm-hint-dedicated = auto\nplacement = dedicated\n", 0,
     0, 0, NULL},
    {"hint-auto-shared", "featured", "kvm-hint-dedicated = auto\nplacement = shared\n", 0, 0, 0,
     NULL},
    {"hint-auto-custom", "custom", "kvm-hint-dedicated = auto\nplacement = dedicated\n", 0, 0, 0,
     NULL},
    {"hint-obstacle", "featured",
     "cpu-mode = host-model\ncpu-cache = disable\nmaxphysaddr = emulate:40\n", 0, 0, 0, NULL},
    {"hint-auto-new-mode", "featured",
     "cpu-mode = host-model\ncpu-cache = disable\nmaxphysaddr = emulate:40\n"
     "kvm-hint-dedicated = auto\n",
     0, 0, 0, NULL},
    {"all-of-it", "plain",
     "cpu-mode = host-passthrough\ncpu-check = none\ncpu-migratable = off\ncpu-features = -pcid\n"
     "nested = on\ncpu-cache = passthrough\nmaxphysaddr = emulate:45\npmu = off\n"
     "kvm-hint-dedicated = auto\nplacement = dedicated\n"
     "topology = sockets=1 cores=2 threads=2\n",
     VP_VENDOR_AMD, 0, 0, NULL},
    {"all-commented", "comment",
     "cpu-mode = maximum\ncpu-features = -pcid\nnested = off\npmu = off\n"
     "kvm-hint-dedicated = on\nplacement = dedicated\n",
     VP_VENDOR_INTEL, 0, 0, NULL},
    {"tuning-new", "plain", "shares = 512\nperiod = 50000\nquota = 25000\n", 0, 0, 0, NULL},
    {"tuning-changed", "tuned", "shares = 512\nquota = 25000\nvcpu-scheduler = batch\n", 0, 0, 0,
     NULL},
    {"tuning-met", "tuned", "shares = 2048\n", 0, 0, 0, NULL},
    {"tuning-keep", "tuned", "shares = keep\nquota = keep\nvcpu-scheduler = keep\n", 0, 0, 0, NULL},
    {"tuning-no-limit", "tuned", "quota = -1\n", 0, 0, 0, NULL},
    {"tuning-no-limit-met", "plain", "quota = -1\n", 0, 0, 0, NULL},
    {"tuning-fifo", "passthrough", "vcpu-scheduler = fifo:5\n", 0, 0, 0, NULL},
    {"tuning-rr-one-line", "line", "vcpu-scheduler = rr:99\nshares = 2\n", 0, 0, 0, NULL},
    {"tuning-schedulers", "scheduled", "vcpu-scheduler = idle\n", 0, 0, 0, NULL},
    {"tuning-scheduler-met", "scheduled", "vcpu-scheduler = keep\nperiod = 100000\n", 0, 0, 0,
     NULL},
    {"tuning-more-vcpus", "scheduled", "vcpus = 6\nvcpu-scheduler = batch\n", 0, 0, 0, NULL},
    {"tuning-twice", "twice", "shares = 3\nvcpu-scheduler = batch\n", 0, 0, 0, NULL},
    {"tuning-v1-too-few", "plain", "shares = 1\nperiod = 50000\n", 0, 1, 0, NULL},
    {"tuning-v2-too-many", "tuned", "shares = 20000\nquota = 1000\n", 0, 2, 0, NULL},
    {"tuning-v2-few", "plain", "shares = 1\n", 0, 2, 0, NULL},
    {"tuning-no-controller", "plain", "shares = 512\nquota = 5000\nvcpu-scheduler = batch\n", 0, -1,
     0, NULL},
    {"tuning-no-realtime", "plain", "shares = 512\nvcpu-scheduler = fifo:1\n", 0, 1, true, NULL},
    {"tuning-all", "comment",
     "cpu-mode = maximum\ntopology = auto\nshares = 512\nperiod = 20000\nquota = -1\n"
     "vcpu-scheduler = rr:1\n",
     0, 0, 0, NULL},
    {"topology-max-sockets", "plain",
     "vcpus = 12\ntopology = auto\nmax-sockets = 2\npreferred-cores = 2\n", 0, 0, 0, NULL},
    {"topology-max-cores", "plain", "vcpus = 12\ntopology = auto\nmax-cores = 4\n", 0, 0, 0, NULL},
    {"topology-max-threads", "plain",
     "vcpus = 12\ntopology = auto\nmax-threads = 1\nplacement = dedicated\nthread-policy = "
     "require\n",
     0, 0, 0, NULL},
    {"topology-max-too-little", "plain",
     "topology = auto\nmax-sockets = 1\nmax-cores = 3\nmax-threads = 1\n", 0, 0, 0, NULL},
    {"topology-preferred-sockets", "plain", "topology = auto\npreferred-sockets = 2\n", 0, 0, 0,
     NULL},
    {"topology-preferred-cores", "plain", "vcpus = 12\ntopology = auto\npreferred-cores = 3\n", 0,
     0, 0, NULL},
    {"topology-preferred-threads", "line", "topology = auto\npreferred-threads = 2\n", 0, 0, 0,
     NULL},
    {"vcpus-and-agent", "plain",
     "vcpus = 6\nvcpus-current = 2\nvcpus-hotplug = yes\nguest-agent = yes\n", 0, 0, 0, NULL},
    {"vcpus-no-hotplug", "plain", "vcpus-current = 3\nvcpus-hotplug = no\n", 0, 0, 0, NULL},
    {"numa-two", "plain", "guest-numa = 2\n", 0, 0, 0, NULL},
    {"numa-uneven", "custom", "vcpus = 7\nguest-numa = 3\n", 0, 0, 0, NULL},
    {"numa-topology", "cells", "vcpus = 12\nguest-numa = 3\ntopology = auto\n", 0, 0, 0, NULL},
    {"numa-met", "cells", "guest-numa = 2\n", 0, 0, 0, NULL},
    {"numa-one", "cells", "guest-numa = 1\n", 0, 0, 0, NULL},
    {"numa-four", "cells", "guest-numa = 4\n", 0, 0, 0, NULL},
    {"numa-one-line", "line", "guest-numa = 2\n", 0, 0, 0, NULL},
    {"numa-too-many", "plain", "guest-numa = 32\n", 0, 0, 0, NULL},
    {"numa-too-little", "line", "guest-numa = 2\nvcpus = 4\n", 0, 0, 0, NULL},
    {"numa-huge", "huge", "guest-numa = 2\n", 0, 0, 0, NULL},
    {"numa-named", "named", "guest-numa = 3\n", 0, 0, 0, NULL},
    {"numa-named-vcpus", "named", "vcpus = 12\nguest-numa = 3\n", 0, 0, 0, NULL},
    {"numa-unknown-vcpus", "cells", "vcpus = 12\nguest-numa = auto\n", 0, 0, 0, NULL},
    {"numa-held-already", "cells-more", "vcpus = 4\nguest-numa = 1\n", 0, 0, 0, NULL},
    {"numa-with-all", "comment",
     "cpu-mode = host-model\ncpu-features = +pcid\nguest-numa = 2\ntopology = auto\n"
     "vcpu-scheduler = batch\n",
     0, 0, 0, NULL},
    {"numa-auto-unknown", "plain", "guest-numa = auto\n", 0, 0, 0, NULL},
    {"numa-auto-one", "plain", "guest-numa = auto\n", 0, 0, 0, &one_node},
    {"numa-auto-one-of-two", "cells", "guest-numa = auto\n", 0, 0, 0, &one_node},
    {"numa-auto-two", "plain", "guest-numa = auto\ntopology = auto\n", 0, 0, 0, &two_nodes},
    {"numa-auto-mapped", "cells", "guest-numa = auto\n", 0, 0, 0, &mapped_nodes},
    {"numa-auto-mapped-others", "cells", "vcpus = 12\ntopology = keep\nguest-numa = auto\n", 0, 0,
     0, &mapped_for_12},
};

static struct vp_policy_set *make_set(const char *keys)
{
    struct vp_draft *draft = vp_draft_new();
    struct vp_findings findings = {0};
    struct vp_policy_set *set = NULL;
    char text[1024], line[1024] = "";

    snprintf(text, sizeof(text), "[policy p]\nmatch-name = *\nmode = enforce\n%s", keys);
    vp_conf_read_text(draft, "p.conf", text, strlen(text), &findings);
    if (vp_draft_finish(draft, "host", &set, &findings) < 0 && findings.count > 0)
        vp_finding_line(&findings.item[0], line, sizeof(line));
    ck_assert_msg(set != NULL, "%s: %s", keys, line);
    vp_draft_free(draft);
    vp_findings_clear(&findings);
    return set;
}

static xmlDoc *read_input(const struct golden *test, char **input, size_t *length)
{
    *input = golden_input("rewrite", test->input, length);
    return golden_parse(*input, *length);
}

static void say_changes(const struct vp_changes *changes, FILE *out)
{
    for (size_t i = 0; i < changes->count; i++)
        fprintf(out, "# %s: %s -> %s%s\n", vp_facet_word(changes->item[i].facet),
                changes->item[i].from, changes->item[i].to,
                changes->item[i].impossible ? " (impossible)" : "");
}

/* Rewrites; true if anything changed. */
static bool run_case(const struct golden *test, xmlDoc *doc, FILE *out)
{
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = make_set(test->keys);
    struct vp_policy one = vp_policy_for_host(&set->policy[0], -1, test->vendor);
    struct vp_changes changes = {0};
    struct vp_error err = {0};
    bool changed = false;

    one.numa_facts = test->nodes;
    one.tuning_host = (struct vp_tuning_host){.cgroup = test->cgroup > 0 ? test->cgroup : 0,
                                              .no_controller = test->cgroup < 0,
                                              .no_realtime = test->no_realtime};
    ck_assert_msg(vp_rewrite_guest_cpu(xmlDocGetRootElement(doc), &one, &changes, &err) == 0, "%s",
                  err.text);
    for (size_t i = 0; i < changes.count; i++)
        changed |= !changes.item[i].impossible;
    if (out)
        say_changes(&changes, out);
    vp_changes_clear(&changes);
    return changed;
}

START_TEST(matches_golden)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL, *text = NULL, *printed = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    size_t length, printed_length, size;
    FILE *out = open_memstream(&text, &size);
    char name[100];
    bool changed;

    doc = read_input(test, &input, &length);
    changed = run_case(test, doc, out);
    ck_assert_int_eq(vp_xml_print(doc, changed, input, length, &printed, &printed_length, NULL), 0);
    if (!changed)
        ck_assert_str_eq(printed, input);
    fputs(changed ? printed : "# unchanged\n", out);
    fclose(out);
    snprintf(name, sizeof(name), "guestcpu/%s", test->name);
    golden_compare(name, text);
}
END_TEST

/* Equal outside the facets, idempotent, and revert gives back what was there. */
START_TEST(keeps_its_promises)
{
    static const enum vp_facet facets[] = {VP_FACET_TOPOLOGY, VP_FACET_FEATURES, VP_FACET_TUNING,
                                           VP_FACET_NUMA,     VP_FACET_VCPUS,    VP_FACET_AGENT,
                                           VP_FACET_CPU};
    static const enum vp_facet backwards[] = {VP_FACET_CPU,     VP_FACET_AGENT, VP_FACET_VCPUS,
                                              VP_FACET_TUNING,  VP_FACET_NUMA,  VP_FACET_FEATURES,
                                              VP_FACET_TOPOLOGY};
    enum { FACETS = sizeof(facets) / sizeof(facets[0]) };
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL, *again = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *once = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *other = NULL;
    bool changed, reverted;
    size_t length;

    before = read_input(test, &input, &length);
    doc = read_input(test, &again, &length);
    changed = run_case(test, doc, NULL);
    golden_equal(before, doc, changed ? ALL_FACETS : 0);
    once = xmlCopyDoc(doc, 1);
    ck_assert(!run_case(test, doc, NULL));
    golden_equal(once, doc, 0);
    other = xmlCopyDoc(doc, 1);
    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before),
                                       facets, FACETS, &reverted, NULL),
                     0);
    ck_assert_int_eq(reverted, changed);
    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(other), xmlDocGetRootElement(before),
                                       backwards, FACETS, &reverted, NULL),
                     0);
    golden_equal(before, other, 0);
    golden_equal(before, doc, 0);
}
END_TEST

/* ---- no key without one ---- */

static bool is_tried(const char *key, const char *word)
{
    char line[100];

    snprintf(line, sizeof(line), "\n%s = %s%s", key, word, word[0] ? "\n" : "");
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        char keys[1024];

        snprintf(keys, sizeof(keys), "\n%s", golden[i].keys);
        if (strstr(keys, line))
            return true;
    }
    return false;
}

static void every_word_is_tried(const struct vp_key_row *row)
{
    char words[256], *rest, *word;

    snprintf(words, sizeof(words), "%s", row->legal);
    for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        ck_assert_msg(strcmp(word, "keep") == 0 || is_tried(row->name, word),
                      "no golden pair for %s = %s", row->name, word);
}

START_TEST(every_key_has_a_golden)
{
    unsigned count, seen = 0;
    const struct vp_key_row *row = vp_keys_of("policy", &count);

    for (unsigned i = 0; i < count; i++) {
        if (strcmp(row[i].group, "guest CPU") != 0 && strcmp(row[i].group, "guest topology") != 0 &&
            strcmp(row[i].group, "tuning") != 0)
            continue;
        seen++;
        ck_assert_msg(is_tried(row[i].name, ""), "no golden pair for %s", row[i].name);
        if (row[i].use->ops->alternatives)
            every_word_is_tried(&row[i]);
    }
    ck_assert_uint_eq(seen, 28);
}
END_TEST

/* ---- what libvirt makes of a definition still meets the policy ---- */

static const struct {
    const char *xml, *keys;
    enum vp_rewrite_op op;
    const char *changes;
} checks[] = {
    /* Running: libvirt has expanded the mode, checked the CPU, decided on the optional. */
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model>"
     "<feature policy='require' name='x2apic'/><feature policy='disable' name='svm'/>"
     "<feature policy='disable' name='pcid'/></cpu>",
     "cpu-mode = host-model\ncpu-check = partial\ncpu-features = ?x2apic ?aes !pcid\nnested = "
     "off\n",
     VP_OP_MIGRATE, ""},
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>Westmere</model>"
     "<feature policy='require' name='pcid'/></cpu>",
     "cpu-mode = custom\ncpu-models = EPYC Westmere\ncpu-match = minimum\ncpu-features = =pcid\n",
     VP_OP_RESTORE, ""},
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>Nehalem</model></cpu>",
     "cpu-mode = custom\ncpu-models = Westmere\ncpu-fallback = allow\n", VP_OP_MIGRATE, ""},
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>Nehalem</model></cpu>",
     "cpu-mode = custom\ncpu-models = Westmere EPYC\n", VP_OP_MIGRATE,
     "# cpu: custom/Nehalem -> custom/Westmere\n"},
    {"<cpu mode='host-passthrough' check='none'/>",
     "cpu-mode = host-passthrough\ncpu-migratable = on\n", VP_OP_MIGRATE, ""},
    {"<cpu mode='host-passthrough' check='none'/>",
     "cpu-mode = host-passthrough\ncpu-migratable = off\n", VP_OP_MIGRATE,
     "# cpu: migratable=none -> migratable=off\n"},
    {"<cpu mode='custom'><model>EPYC</model><feature policy='require' name='svm'/></cpu>",
     "nested = off\n", VP_OP_RESTORE,
     "# features: nested (vmx=none svm=require) -> nested off (vmx=disable svm=disable)\n"},
    {"<features><pmu/></features><cpu mode='maximum'/>", "cpu-mode = maximum\npmu = on\n",
     VP_OP_MIGRATE, ""},
    /* Whoever wrote it knew the vendor. */
    {"<cpu mode='host-model'><feature policy='disable' name='vmx'/></cpu>", "nested = off\n",
     VP_OP_DEFINE, ""},
    {"<cpu mode='host-model'><feature name='vmx'/></cpu>", "nested = on\n", VP_OP_DEFINE, ""},
    /* It goes with the old mode and comes with the new one: the guest's is the same. */
    {"<cpu mode='host-model' check='partial'/>", "cpu-mode = maximum\ncpu-check = partial\n",
     VP_OP_DEFINE, "# cpu: host-model -> maximum\n"},
    /* What is not there is no check='none'. */
    {"<cpu mode='host-model'/>", "cpu-check = none\n", VP_OP_DEFINE,
     "# cpu: check=default -> check=none\n"},
};

START_TEST(compares)
{
    VP_AUTO(vp_policy_set) struct vp_policy_set *set = make_set(checks[_i].keys);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *text = NULL;
    struct vp_changes changes = {0};
    char xml[800];
    size_t size;
    FILE *out = open_memstream(&text, &size);

    snprintf(xml, sizeof(xml), "<domain><name>a</name><vcpu>4</vcpu>%s</domain>", checks[_i].xml);
    ck_assert_int_eq(vp_domain_parse(xml, strlen(xml), &domain, NULL), 0);
    ck_assert_int_eq(vp_guest_cpu_check(domain, &set->policy[0], checks[_i].op, &changes), 0);
    say_changes(&changes, out);
    fclose(out);
    ck_assert_str_eq(text, checks[_i].changes);
    vp_changes_clear(&changes);
}
END_TEST

/* ---- the kernel module's parameter ---- */

START_TEST(asks_the_module)
{
    char dir[] = "/tmp/virtpin-nested-XXXXXX", path[100], why[512] = "";
    static const char *const made[] = {"", "/kvm_intel", "/kvm_intel/parameters"};
    FILE *file;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof(path), "%s%s", dir, made[i]);
        ck_assert_int_eq(mkdir(path, 0755), 0);
    }
    ck_assert(vp_nested_allowed(dir, VP_VENDOR_INTEL, why));
    snprintf(path, sizeof(path), "%s/kvm_intel/parameters/nested", dir);
    for (int i = 0; i < 4; i++) {
        file = fopen(path, "w");
        fprintf(file, "%c\n", "YN10"[i]);
        fclose(file);
        ck_assert_int_eq(vp_nested_allowed(dir, VP_VENDOR_INTEL, why), i % 2 == 0);
    }
    ck_assert_ptr_nonnull(strstr(why, "options kvm_intel nested=1"));
    ck_assert(vp_nested_allowed(dir, VP_VENDOR_AMD, why));
    ck_assert(vp_nested_allowed(dir, VP_VENDOR_UNKNOWN, why));
    remove(path);
    for (int i = 2; i >= 0; i--) {
        snprintf(path, sizeof(path), "%s%s", dir, made[i]);
        remove(path);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guestcpu");
    TCase *tcase = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int cases = sizeof(golden) / sizeof(golden[0]), failed;

    suite_add_tcase(suite, tcase);
    tcase_add_loop_test(tcase, matches_golden, 0, cases);
    tcase_add_loop_test(tcase, keeps_its_promises, 0, cases);
    tcase_add_loop_test(tcase, compares, 0, sizeof(checks) / sizeof(checks[0]));
    tcase_add_test(tcase, every_key_has_a_golden);
    tcase_add_test(tcase, asks_the_module);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
