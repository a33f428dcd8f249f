/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Golden files are in tests/unit/golden/rewrite: NAME.xml goes in, CASE.ok is
 * what comes out with the changes above it. VIRTPIN_REGENERATE=1 writes the
 * .ok files anew: read the difference before it is committed. */
#include <check.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "tests/unit/goldencheck.h"

static const struct golden {
    const char *name, *input;
    enum vp_cpu_mode mode;
    const char *model;
    struct vp_guest_topology topology;
    const char *pins; /* "v0=1 e=0 i1=2-3", "" for none, NULL: not touched */
    bool strip;
} golden[] = {
    {"keep", "custom", VP_CPU_KEEP, NULL, {0}, NULL, false},
    /* guest CPU: from each mode to each other */
    {"custom-to-passthrough", "custom", VP_CPU_HOST_PASSTHROUGH, NULL, {0}, NULL, false},
    {"custom-to-host-model", "custom", VP_CPU_HOST_MODEL, NULL, {0}, NULL, false},
    {"custom-to-other-model", "custom", VP_CPU_CUSTOM, "Skylake-Server", {0}, NULL, false},
    {"custom-same-model", "custom", VP_CPU_CUSTOM, "EPYC", {0}, NULL, false},
    {"passthrough-to-custom", "passthrough", VP_CPU_CUSTOM, "EPYC", {0}, NULL, false},
    {"passthrough-to-host-model", "passthrough", VP_CPU_HOST_MODEL, NULL, {0}, NULL, false},
    {"passthrough-kept", "passthrough", VP_CPU_HOST_PASSTHROUGH, NULL, {0}, NULL, false},
    {"host-model-to-custom", "host-model", VP_CPU_CUSTOM, "EPYC", {0}, NULL, false},
    {"host-model-to-passthrough", "host-model", VP_CPU_HOST_PASSTHROUGH, NULL, {0}, NULL, false},
    {"host-model-kept", "host-model", VP_CPU_HOST_MODEL, NULL, {0}, NULL, false},
    {"no-cpu-to-passthrough", "plain", VP_CPU_HOST_PASSTHROUGH, NULL, {0}, NULL, false},
    {"no-cpu-to-custom", "plain", VP_CPU_CUSTOM, "EPYC", {0}, NULL, false},
    {"custom-fallback", "loose", VP_CPU_CUSTOM, "Westmere", {0}, NULL, false},
    {"cache-passthrough-refused", "cache", VP_CPU_CUSTOM, "EPYC", {0}, NULL, false},
    {"cache-passthrough-kept", "cache", VP_CPU_HOST_PASSTHROUGH, NULL, {0}, NULL, false},
    {"custom-without-model", "custom", VP_CPU_CUSTOM, NULL, {0}, NULL, false},
    {"model-escaped", "custom", VP_CPU_CUSTOM, "a<&>\"b", {0}, NULL, false},
    /* guest topology */
    {"topology-new", "plain", VP_CPU_KEEP, NULL, {1, 1, 1, 2, 2}, NULL, false},
    {"topology-new-dies", "plain", VP_CPU_KEEP, NULL, {1, 2, 1, 1, 2}, NULL, false},
    {"topology-new-clusters", "plain", VP_CPU_KEEP, NULL, {1, 1, 2, 2, 1}, NULL, false},
    {"topology-in-cpu", "host-model", VP_CPU_KEEP, NULL, {1, 1, 1, 4, 1}, NULL, false},
    {"topology-changed", "custom", VP_CPU_KEEP, NULL, {1, 1, 1, 2, 2}, NULL, false},
    {"topology-same", "custom", VP_CPU_KEEP, NULL, {2, 1, 1, 2, 1}, NULL, false},
    {"topology-impossible", "custom", VP_CPU_KEEP, NULL, {2, 1, 1, 4, 2}, NULL, false},
    {"topology-impossible-dies", "custom", VP_CPU_KEEP, NULL, {2, 2, 2, 4, 2}, NULL, false},
    {"cpu-and-topology", "plain", VP_CPU_HOST_PASSTHROUGH, NULL, {2, 1, 1, 1, 2}, NULL, false},
    {"cpu-but-not-topology", "plain", VP_CPU_HOST_PASSTHROUGH, NULL, {3, 1, 1, 1, 1}, NULL, false},
    /* pins */
    {"pins-new", "plain", VP_CPU_KEEP, NULL, {0}, "v1=5 v0=4 e=0-1 i1=2", false},
    {"pins-beside-tuning", "tuned", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5 v2=6 v3=7 e=0", false},
    {"pins-unmarked", "tuned", VP_CPU_KEEP, NULL, {0}, "e=1 v1=1 v0=0 i1=2", false},
    {"pins-same", "placed", VP_CPU_KEEP, NULL, {0}, "e=1 v1=1 v0=0 i1=2", false},
    {"pins-none", "tuned", VP_CPU_KEEP, NULL, {0}, "", false},
    {"pins-numad", "numad", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5", false},
    {"pins-numatune-kept", "numad-marked", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5", false},
    {"pins-cpuset", "custom", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5 v2=6 v3=7", false},
    {"pins-metadata", "metadata", VP_CPU_KEEP, NULL, {0}, "v0=4", false},
    {"pins-renamed", "marked", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5 e=0", false},
    {"pins-one-line", "line", VP_CPU_HOST_MODEL, NULL, {1, 1, 1, 2, 1}, "v0=4 v1=5", false},
    {"pins-twice", "twice", VP_CPU_KEEP, NULL, {0}, "v0=4 v1=5", false},
    {"comment-first", "comment", VP_CPU_HOST_MODEL, NULL, {1, 1, 1, 2, 1}, NULL, false},
    {"strip-marked", "marked", VP_CPU_KEEP, NULL, {0}, NULL, true},
    {"strip-unmarked", "tuned", VP_CPU_KEEP, NULL, {0}, NULL, true},
    {"everything",
     "custom",
     VP_CPU_HOST_PASSTHROUGH,
     NULL,
     {1, 1, 1, 2, 2},
     "v0=4 v3=7 e=1",
     false},
};

/* ---- a case's parts ---- */

static void make_policy(const struct golden *test, struct vp_policy *policy, char **model)
{
    *policy = (struct vp_policy){.cpu_mode = test->mode, .topology = test->topology};
    *model = (char *)test->model;
    policy->cpu_models.item = model;
    policy->cpu_models.count = test->model != NULL;
}

static void make_pins(const char *text, struct vp_pins *pins)
{
    char *copy = strdup(text), *save = NULL;

    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        enum vp_role role = word[0] == 'v'   ? VP_ROLE_VCPU
                            : word[0] == 'i' ? VP_ROLE_IOTHREAD
                                             : VP_ROLE_EMULATOR;
        struct vp_cpuset cpus;

        ck_assert_int_eq(vp_cpuset_parse(&cpus, strchr(word, '=') + 1, NULL), 0);
        ck_assert_int_eq(vp_pins_add(pins, role, (unsigned)atoi(word + 1), &cpus), 0);
    }
    /* What libvirt has no pins for is not written. */
    ck_assert_int_eq(vp_pins_add(pins, VP_ROLE_HELPER, 0, &(struct vp_cpuset){.w = {1}}), 0);
    free(copy);
}

static bool any_possible(const struct vp_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        if (!changes->item[i].impossible)
            return true;
    return false;
}

static void say_changes(const struct vp_changes *changes, FILE *out)
{
    for (size_t i = 0; i < changes->count; i++)
        fprintf(out, "# %s: %s -> %s%s\n", vp_facet_word(changes->item[i].facet),
                changes->item[i].from, changes->item[i].to,
                changes->item[i].impossible ? " (impossible)" : "");
}

/* Does what the case says to `doc`; true if anything changed. */
static bool run_case(const struct golden *test, xmlDoc *doc, FILE *out)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    struct vp_changes changes = {0};
    struct vp_pins pins = {0};
    struct vp_policy policy;
    struct vp_error err = {0};
    bool changed = false, guest_cpu;
    char *model;

    make_policy(test, &policy, &model);
    ck_assert_msg(vp_rewrite_guest_cpu(root, &policy, &changes, &err) == 0, "%s", err.text);
    guest_cpu = any_possible(&changes);
    if (test->pins) {
        make_pins(test->pins, &pins);
        ck_assert_msg(vp_rewrite_pins(root, &pins, "database", &changed, &err) == 0, "%s",
                      err.text);
    }
    if (test->strip)
        ck_assert_msg(vp_rewrite_strip(root, &changed, &err) == 0, "%s", err.text);
    if (out) {
        say_changes(&changes, out);
        fprintf(out, "# pins: %s\n", changed ? "changed" : "unchanged");
    }
    vp_changes_clear(&changes);
    vp_pins_clear(&pins);
    return changed || guest_cpu;
}

static int facets_of(const struct golden *test)
{
    return (test->mode != VP_CPU_KEEP ? CHECK_CPU : 0) |
           (test->topology.sockets > 0 ? CHECK_TOPOLOGY : 0) |
           (test->pins || test->strip ? CHECK_PINS : 0);
}

/* libvirt never writes an element twice; reverting joins what stood in two,
 * which means the same to it. */
static bool is_joined(const struct golden *test)
{
    return strcmp(test->input, "twice") == 0;
}

/* ---- the tests: each runs over every case ---- */

START_TEST(matches_golden)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL, *text = NULL, *printed = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    size_t length, printed_length, size;
    char name[100];
    bool changed;
    FILE *out = open_memstream(&text, &size);

    input = golden_input("rewrite", test->input, &length);
    doc = golden_parse(input, length);
    changed = run_case(test, doc, out);
    ck_assert_int_eq(vp_xml_print(doc, changed, input, length, &printed, &printed_length, NULL), 0);
    ck_assert_uint_eq(strlen(printed), printed_length);
    fputs(printed, out);
    fclose(out);
    snprintf(name, sizeof(name), "rewrite/%s", test->name);
    golden_compare(name, text);
}
END_TEST

START_TEST(leaves_the_rest)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL, *printed = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *again = NULL;
    size_t length, printed_length;
    bool changed;

    input = golden_input("rewrite", test->input, &length);
    before = golden_parse(input, length);
    doc = golden_parse(input, length);
    changed = run_case(test, doc, NULL);
    golden_equal(before, doc, changed ? facets_of(test) : 0);
    ck_assert_int_eq(vp_xml_print(doc, changed, input, length, &printed, &printed_length, NULL), 0);
    if (!changed) {
        ck_assert_uint_eq(printed_length, length);
        ck_assert_mem_eq(printed, input, length);
    }
    again = golden_parse(printed, printed_length);
    golden_equal(doc, again, 0);
}
END_TEST

START_TEST(is_idempotent)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *once = NULL;
    size_t length;

    input = golden_input("rewrite", test->input, &length);
    doc = golden_parse(input, length);
    run_case(test, doc, NULL);
    once = xmlCopyDoc(doc, 1);
    ck_assert(!run_case(test, doc, NULL));
    golden_equal(once, doc, 0);
}
END_TEST

START_TEST(reverts)
{
    static const enum vp_facet facets[] = {VP_FACET_CPU, VP_FACET_TOPOLOGY, VP_FACET_PINS};
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    struct vp_error err = {0};
    bool changed, reverted;
    size_t length;

    input = golden_input("rewrite", test->input, &length);
    before = golden_parse(input, length);
    doc = golden_parse(input, length);
    changed = run_case(test, doc, NULL);
    ck_assert_msg(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before), facets,
                                    3, &reverted, &err) == 0,
                  "%s", err.text);
    ck_assert_int_eq(reverted, changed);
    if (is_joined(test))
        return;
    golden_equal(before, doc, 0);
    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before),
                                       facets, 3, &reverted, &err),
                     0);
    ck_assert(!reverted);
}
END_TEST

/* Every facet alone: what the others changed stays. */
START_TEST(reverts_one)
{
    static const enum vp_facet facets[] = {VP_FACET_TOPOLOGY, VP_FACET_PINS, VP_FACET_CPU};
    static const int left[] = {CHECK_CPU | CHECK_PINS, CHECK_CPU, 0};
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    bool reverted;
    size_t length;

    input = golden_input("rewrite", test->input, &length);
    before = golden_parse(input, length);
    doc = golden_parse(input, length);
    run_case(test, doc, NULL);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before),
                                           &facets[i], 1, &reverted, NULL),
                         0);
        golden_equal(before, doc, is_joined(test) ? CHECK_PINS : left[i]);
    }
}
END_TEST

/* ---- what libvirt makes of a definition still meets the policy ---- */

static const struct {
    const char *cpu;
    enum vp_rewrite_op op;
    enum vp_cpu_mode mode;
    const char *model;
    struct vp_guest_topology topology;
    const char *changes; /* as the golden files have them, without # */
} checks[] = {
    /* As libvirt 9.0 printed them back after a define. */
    {"<cpu mode='host-passthrough' check='none' migratable='on'>"
     "<topology sockets='2' dies='1' cores='2' threads='1'/></cpu>",
     VP_OP_DEFINE,
     VP_CPU_HOST_PASSTHROUGH,
     NULL,
     {2, 1, 1, 2, 1},
     ""},
    {"<cpu mode='host-model' check='partial'/>", VP_OP_DEFINE, VP_CPU_HOST_MODEL, NULL, {0}, ""},
    {"<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>Westmere</model>"
     "</cpu>",
     VP_OP_DEFINE,
     VP_CPU_CUSTOM,
     "Westmere",
     {0},
     ""},
    {"<cpu><model fallback='forbid'>Westmere</model></cpu>",
     VP_OP_DEFINE,
     VP_CPU_CUSTOM,
     "Westmere",
     {0},
     ""},
    {"<cpu mode='custom'><topology sockets='4' dies='1' clusters='1' cores='1' threads='1'/></cpu>",
     VP_OP_DEFINE,
     VP_CPU_KEEP,
     NULL,
     {4, 1, 1, 1, 1},
     ""},
    /* Running: host-model has become custom. */
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model>"
     "<vendor>AMD</vendor><feature policy='require' name='x2apic'/></cpu>",
     VP_OP_MIGRATE,
     VP_CPU_HOST_MODEL,
     NULL,
     {0},
     ""},
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model></cpu>",
     VP_OP_RESTORE,
     VP_CPU_HOST_MODEL,
     NULL,
     {0},
     ""},
    {"<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model></cpu>",
     VP_OP_DEFINE,
     VP_CPU_HOST_MODEL,
     NULL,
     {0},
     "cpu: custom/EPYC -> host-model\n"},
    {"<cpu mode='host-passthrough'/>",
     VP_OP_MIGRATE,
     VP_CPU_HOST_MODEL,
     NULL,
     {0},
     "cpu: host-passthrough -> host-model\n"},
    {"<cpu mode='custom' match='minimum'><model fallback='allow'>EPYC</model></cpu>",
     VP_OP_MIGRATE,
     VP_CPU_CUSTOM,
     "EPYC",
     {0},
     ""},
    {"<cpu mode='custom' match='minimum'><model>EPYC</model></cpu>",
     VP_OP_DEFINE,
     VP_CPU_CUSTOM,
     "EPYC",
     {0},
     "cpu: custom/EPYC match=minimum fallback=allow -> "
     "custom/EPYC match=exact fallback=forbid\n"},
    {"<cpu mode='maximum'/>",
     VP_OP_DEFINE,
     VP_CPU_HOST_PASSTHROUGH,
     NULL,
     {0},
     "cpu: maximum -> host-passthrough\n"},
    {"", VP_OP_DEFINE, VP_CPU_CUSTOM, "EPYC", {0}, "cpu: none -> custom/EPYC\n"},
    /* A guest without <topology> runs with a socket for each vCPU. */
    {"", VP_OP_MIGRATE, VP_CPU_KEEP, NULL, {4, 1, 1, 1, 1}, ""},
    {"",
     VP_OP_DEFINE,
     VP_CPU_KEEP,
     NULL,
     {4, 1, 1, 1, 1},
     "topology: none -> 4 sockets x 1 core x 1 thread\n"},
    {"<cpu><topology sockets='4' cores='1' threads='1'/></cpu>",
     VP_OP_RESTORE,
     VP_CPU_KEEP,
     NULL,
     {1, 2, 1, 1, 2},
     "topology: 4 sockets x 1 core x 1 thread -> 1 socket x 2 dies x 1 core x 2 threads\n"},
    {"",
     VP_OP_DEFINE,
     VP_CPU_KEEP,
     NULL,
     {2, 1, 1, 4, 2},
     "topology: none -> sockets=2 x cores=4 x threads=2 makes 16, the guest has 4 vCPUs "
     "(impossible)\n"},
    {"",
     VP_OP_DEFINE,
     VP_CPU_KEEP,
     NULL,
     {4294967294, 4294967295, 4294967295, 1, 1},
     "topology: none -> sockets=4294967294 x dies=4294967295 x clusters=4294967295 x cores=1 "
     "x threads=1 makes 18446744073709551615, the guest has 4 vCPUs (impossible)\n"},
    {"<cpu mode='host-passthrough'><cache mode='passthrough'/></cpu>",
     VP_OP_DEFINE,
     VP_CPU_HOST_MODEL,
     NULL,
     {0},
     "cpu: host-passthrough -> host-model: the guest has <cache mode='passthrough'>, which only "
     "host-passthrough and maximum take (impossible)\n"},
};

START_TEST(checks_guest_cpu)
{
    const struct golden like = {NULL, NULL, checks[_i].mode, checks[_i].model, checks[_i].topology,
                                NULL, false};
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *text = NULL;
    struct vp_changes changes = {0};
    struct vp_policy policy;
    char xml[512], wanted[512] = "";
    char *model;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    snprintf(xml, sizeof(xml), "<domain><name>a</name><vcpu>4</vcpu>%s</domain>", checks[_i].cpu);
    ck_assert_int_eq(vp_domain_parse(xml, strlen(xml), &domain, NULL), 0);
    make_policy(&like, &policy, &model);
    ck_assert_int_eq(vp_guest_cpu_check(domain, &policy, checks[_i].op, &changes), 0);
    say_changes(&changes, out);
    fclose(out);
    if (checks[_i].changes[0] != '\0')
        snprintf(wanted, sizeof(wanted), "# %s", checks[_i].changes);
    ck_assert_str_eq(text, wanted);
    vp_changes_clear(&changes);
}
END_TEST

/* ---- apart from the table ---- */

static void strip_after(const char *xml)
{
    VP_AUTO(xmlFreeDoc) xmlDoc *before = golden_parse(xml, strlen(xml));
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = golden_parse(xml, strlen(xml));
    struct vp_pins pins = {0};
    bool changed;

    make_pins("v0=1 v1=2 e=0 i1=3", &pins);
    ck_assert_int_eq(vp_rewrite_pins(xmlDocGetRootElement(doc), &pins, "database", &changed, NULL),
                     0);
    ck_assert(changed);
    ck_assert_int_eq(vp_rewrite_strip(xmlDocGetRootElement(doc), &changed, NULL), 0);
    ck_assert(changed);
    golden_equal(before, doc, 0);
    vp_pins_clear(&pins);
}

START_TEST(strips_what_it_put)
{
    strip_after("<domain><name>a</name><vcpu>2</vcpu></domain>");
    strip_after("<domain>\n  <name>a</name>\n  <vcpu>2</vcpu>\n</domain>\n");
    strip_after("<domain>\n\t<vcpu>2</vcpu>\n\n\t<name>a</name>\n\t<!-- end -->\n</domain>\n");
    strip_after("<domain>\n  <name>a</name>\n  <cputune>\n    <shares>2</shares>\n"
                "    <vcpusched vcpus='0' scheduler='idle'/>\n  </cputune>\n</domain>\n");
    strip_after("<domain>\n  <name>a</name>\n  <cputune>\n    <!-- mine -->\n  </cputune>\n"
                "  <metadata>\n    <a xmlns='urn:a'/>\n    <!-- b -->\n  </metadata>\n</domain>\n");
}
END_TEST

START_TEST(refuses_pins)
{
    static const char xml[] = "<domain><name>a</name></domain>";
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = golden_parse(xml, sizeof(xml) - 1);
    struct vp_pins pins = {0};
    struct vp_cpuset none = {0}, one = {.w = {1}};
    struct vp_error err = {0};
    bool changed;

    vp_pins_add(&pins, VP_ROLE_VCPU, 3, &none);
    ck_assert_int_eq(vp_rewrite_pins(xmlDocGetRootElement(doc), &pins, "p", &changed, &err), -1);
    ck_assert_str_eq(err.text, "vcpu 3: found no CPU to pin it to");
    vp_pins_clear(&pins);
    vp_pins_add(&pins, VP_ROLE_VCPU, 1, &one);
    vp_pins_add(&pins, VP_ROLE_VCPU, 1, &one);
    ck_assert_int_eq(vp_rewrite_pins(xmlDocGetRootElement(doc), &pins, "p", &changed, &err), -1);
    ck_assert_str_eq(err.text, "vcpu 1: found two pins");
    vp_pins_clear(&pins);
}
END_TEST

START_TEST(keeps_prolog)
{
    static const char *const heads[] = {
        "",
        "<?xml version='1.0'?>\n",
        "<?xml version=\"1.0\" encoding='utf-8' standalone='yes'?>\n\n",
        "\xef\xbb\xbf<?xml version='1.0'?>",
        "\xef\xbb\xbf",
    };

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        static const char body[] = "<!-- a --><domain><name>\xc3\xa9</name></domain>";
        VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
        VP_AUTO(free) char *out = NULL;
        char text[200], wanted[300];
        size_t length;
        bool changed;

        snprintf(text, sizeof(text), "%s%s", heads[i], body);
        doc = golden_parse(text, strlen(text));
        ck_assert_int_eq(
            vp_rewrite_pins(xmlDocGetRootElement(doc), &(struct vp_pins){0}, "p", &changed, NULL),
            0);
        ck_assert_int_eq(vp_xml_print(doc, changed, text, strlen(text), &out, &length, NULL), 0);
        snprintf(wanted, sizeof(wanted),
                 "%s<!-- a -->\n<domain><name>\xc3\xa9</name><metadata><virtpin:applied "
                 "xmlns:virtpin=\"urn:virtpin:applied:1\" policy=\"p\"/></metadata></domain>\n",
                 heads[i]);
        ck_assert_str_eq(out, wanted);
    }
}
END_TEST

/* What somebody wrote after us stays when our facets go. */
START_TEST(reverts_on_today)
{
    static const enum vp_facet facets[] = {VP_FACET_CPU, VP_FACET_PINS};
    static const char old[] = "<domain><name>a</name><vcpu cpuset='1-2'>2</vcpu>"
                              "<cpu mode='custom'><model>EPYC</model></cpu></domain>";
    static const char now[] =
        "<domain><name>b</name><metadata><n:o xmlns:n='urn:n'/><v:applied "
        "xmlns:v='urn:virtpin:applied:1' policy='p'/></metadata><vcpu placement='static'>4</vcpu>"
        "<cputune><shares>7</shares><vcpupin vcpu='0' cpuset='3'/></cputune>"
        "<cpu mode='host-passthrough' check='none' migratable='on'><topology sockets='4' cores='1'"
        " threads='1'/><feature name='vmx'/></cpu></domain>";
    static const char wanted[] =
        "<domain><name>b</name><metadata><n:o xmlns:n=\"urn:n\"></n:o></metadata>"
        "<vcpu cpuset=\"1-2\">4</vcpu><cputune><shares>7</shares></cputune>"
        "<cpu mode=\"custom\"><model>EPYC</model><topology cores=\"1\" sockets=\"4\" threads=\"1\">"
        "</topology><feature name=\"vmx\"></feature></cpu></domain>";
    VP_AUTO(xmlFreeDoc) xmlDoc *original = golden_parse(old, sizeof(old) - 1);
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = golden_parse(now, sizeof(now) - 1);
    bool changed;
    char *text;

    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(original),
                                       facets, 2, &changed, NULL),
                     0);
    ck_assert(changed);
    text = check_canonical(doc, 0);
    ck_assert_str_eq(text, wanted);
    xmlFree(text);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *rewrite_suite(void)
{
    Suite *suite = suite_create("rewrite");
    TCase *table = tcase_create("golden"), *check = tcase_create("check");
    TCase *single = tcase_create("single");

    tcase_add_loop_test(table, matches_golden, 0, ROWS(golden));
    tcase_add_loop_test(table, leaves_the_rest, 0, ROWS(golden));
    tcase_add_loop_test(table, is_idempotent, 0, ROWS(golden));
    tcase_add_loop_test(table, reverts, 0, ROWS(golden));
    tcase_add_loop_test(table, reverts_one, 0, ROWS(golden));
    tcase_add_loop_test(check, checks_guest_cpu, 0, ROWS(checks));
    tcase_add_test(single, strips_what_it_put);
    tcase_add_test(single, refuses_pins);
    tcase_add_test(single, keeps_prolog);
    tcase_add_test(single, reverts_on_today);
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, check);
    suite_add_tcase(suite, single);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(rewrite_suite());
    int failed;

    xmlInitParser();
    xmlSetGenericErrorFunc(NULL, check_silent);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    xmlCleanupParser();
    return failed == 0 ? 0 : 1;
}
