/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domain XML that others wrote: what is promised of rewriting holds for every
 * file of a corpus, $VIRTPIN_CORPUS or ../shared/corpus, where there is one. */
#include <check.h>
#include <dirent.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/plan.h"
#include "decide/rewrite.h"
#include "tests/unit/rewritecheck.h"

static char directory[512];
static struct dirent **entry;
static int entries;

static int is_xml(const struct dirent *file)
{
    size_t length = strlen(file->d_name);

    return length > 4 && strcmp(file->d_name + length - 4, ".xml") == 0;
}

static char *read_entry(int index, size_t *length)
{
    char path[1024];
    char *text = calloc(1, 1 << 17);
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", directory, entry[index]->d_name);
    file = fopen(path, "r");
    ck_assert_msg(text && file, "%s cannot be read", path);
    *length = fread(text, 1, 1 << 17, file);
    fclose(file);
    return text;
}

/* A policy of each kind; cores 0: topology = keep. */
static const struct trial {
    enum vp_cpu_mode mode;
    unsigned cores;
    bool pins, details, vcpus;
} trials[] = {
    {VP_CPU_KEEP, 0, false, false, false},       {VP_CPU_HOST_PASSTHROUGH, 0, false, false, false},
    {VP_CPU_HOST_MODEL, 1, false, false, false}, {VP_CPU_CUSTOM, 2, false, false, false},
    {VP_CPU_KEEP, 0, true, false, false},        {VP_CPU_CUSTOM, 1, true, false, false},
    {VP_CPU_KEEP, 0, false, true, false},        {VP_CPU_MAXIMUM, 0, false, true, false},
    {VP_CPU_CUSTOM, 2, true, true, false},       {VP_CPU_KEEP, 0, false, false, true},
    {VP_CPU_CUSTOM, 0, true, false, true},
};

/* Everything that a policy may say of the CPU beside mode and model. */
static void make_details(const struct trial *trial, struct vp_policy *policy)
{
    static char *features[] = {(char *)"+pcid", (char *)"-x2apic", (char *)"?aes", (char *)"!sse4a",
                               (char *)"=xsave"};

    policy->placement = VP_PLACE_DEDICATED;
    policy->guest_numa = 2;
    policy->tuning = (struct vp_tuning){
        .shares = 77, .period = 20000, .quota = 7000, .scheduler = {VP_SCHEDULER_RR, 3}};
    policy->cpu = (struct vp_cpu_wants){
        .match = VP_MATCH_MINIMUM,
        .check = VP_VERIFY_FULL,
        .migratable = VP_SWITCH_OFF,
        .features = {features, sizeof(features) / sizeof(features[0])},
        .nested = VP_SWITCH_OFF,
        .cache = trial->mode == VP_CPU_MAXIMUM ? VP_CACHE_PASSTHROUGH : VP_CACHE_EMULATE,
        .maxphysaddr = {VP_ADDR_EMULATE, 40},
        .pmu = VP_SWITCH_OFF,
        .hint_dedicated = VP_SWITCH_AUTO,
        .vendor = trial->pins ? VP_VENDOR_INTEL : VP_VENDOR_UNKNOWN,
    };
}

static void make_policy(const struct trial *trial, const struct vp_domain *domain,
                        struct vp_policy *policy, char **model)
{
    *policy = (struct vp_policy){.cpu_mode = trial->mode};
    *model = (char *)"Westmere";
    policy->cpu_models.item = model;
    policy->cpu_models.count = 1;
    if (trial->details)
        make_details(trial, policy);
    if (trial->vcpus) {
        policy->vcpus = domain->vcpus + 2;
        policy->vcpus_hotplug = VP_HOTPLUG_YES;
        policy->guest_agent = true;
        policy->topology.sockets = VP_TOPOLOGY_AUTO;
    }
    if (trial->cores > 0)
        policy->topology = (struct vp_guest_topology){
            domain->vcpus > trial->cores ? domain->vcpus / trial->cores : 1, 1, 1, trial->cores, 1};
}

static void make_pins(const struct vp_domain *domain, struct vp_pins *pins)
{
    struct vp_cpuset cpus = {0};

    for (unsigned i = 0; i < domain->vcpus; i++) {
        cpus = (struct vp_cpuset){0};
        vp_cpuset_add(&cpus, (int)i + 2);
        ck_assert_int_eq(vp_pins_add(pins, VP_ROLE_VCPU, i, &cpus), 0);
    }
    ck_assert_int_eq(vp_pins_add(pins, VP_ROLE_EMULATOR, 0, &cpus), 0);
    for (size_t i = 0; i < domain->iothread_count; i++)
        ck_assert_int_eq(vp_pins_add(pins, VP_ROLE_IOTHREAD, domain->iothread[i], &cpus), 0);
}

/* Rewrites; returns the facets that changed. */
static int rewrite(xmlDoc *doc, const struct trial *trial, const struct vp_domain *domain)
{
    xmlNode *root = xmlDocGetRootElement(doc);
    struct vp_changes changes = {0};
    struct vp_pins pins = {0};
    struct vp_policy policy;
    struct vp_error err = {0};
    bool changed = false;
    char *model;
    int facets = 0;

    make_policy(trial, domain, &policy, &model);
    ck_assert_msg(vp_rewrite_guest_cpu(root, &policy, &changes, &err) == 0, "%s", err.text);
    for (size_t i = 0; i < changes.count; i++)
        if (!changes.item[i].impossible)
            facets |= check_of(changes.item[i].facet);
    if (trial->pins) {
        make_pins(domain, &pins);
        ck_assert_msg(vp_rewrite_pins(root, &pins, "corpus", &changed, &err) == 0, "%s", err.text);
    }
    vp_changes_clear(&changes);
    vp_pins_clear(&pins);
    return facets | (changed ? CHECK_PINS : 0);
}

static void check_equal(xmlDoc *a, xmlDoc *b, int facets, const char *name)
{
    char *left = check_canonical(a, facets), *right = check_canonical(b, facets);

    ck_assert_msg(left && right, "%s has no canonical form", name);
    ck_assert_msg(strcmp(left, right) == 0, "%s:\n%s\nwanted:\n%s", name, right, left);
    xmlFree(left);
    xmlFree(right);
}

static void try(int index, const struct trial *trial, const char *text, size_t length)
{
    static const enum vp_facet all[] = {VP_FACET_CPU,    VP_FACET_TOPOLOGY, VP_FACET_PINS,
                                        VP_FACET_VCPUS,  VP_FACET_AGENT,    VP_FACET_FEATURES,
                                        VP_FACET_TUNING, VP_FACET_NUMA};
    const char *name = entry[index]->d_name;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = vp_xml_parse(text, length, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(text, length, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *again = NULL;
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *out = NULL;
    size_t out_length;
    bool reverted;
    int facets;

    ck_assert(before && doc);
    ck_assert_int_eq(vp_domain_read(xmlDocGetRootElement(doc), &domain, NULL), 0);
    facets = rewrite(doc, trial, domain);
    check_equal(before, doc, facets, name);
    ck_assert_int_eq(vp_xml_print(doc, facets != 0, text, length, &out, &out_length, NULL), 0);
    if (facets == 0)
        ck_assert_msg(out_length == length && memcmp(out, text, length) == 0,
                      "%s: other bytes without a change", name);
    again = vp_xml_parse(out, out_length, NULL);
    ck_assert_msg(again != NULL, "%s: not well-formed: %s", name, out);
    check_equal(doc, again, 0, name);
    ck_assert_msg(rewrite(again, trial, domain) == 0, "%s: not idempotent", name);
    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(again), xmlDocGetRootElement(before),
                                       all, VP_FACETS, &reverted, NULL),
                     0);
    ck_assert_int_eq(reverted, facets != 0);
    check_equal(before, again, 0, name);
}

/* What the migrate and restore hooks do to a guest: pins, nodes of memory and
 * tuning, which libvirt lets them change, and nothing else. */
static void bring_in(int index, const char *text, size_t length)
{
    struct vp_policy policy = {
        .tuning = {
            .shares = 77, .period = 20000, .quota = 7000, .scheduler = {VP_SCHEDULER_RR, 3}}};
    VP_AUTO(xmlFreeDoc) xmlDoc *before = vp_xml_parse(text, length, NULL);
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = vp_xml_parse(text, length, NULL);
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_memory_bind bind = {.mode = VP_MEMORY_STRICT};
    struct vp_pins pins = {0};
    struct vp_error err = {0};
    bool changed = false;
    xmlNode *root;

    ck_assert(before && doc);
    root = xmlDocGetRootElement(doc);
    ck_assert_int_eq(vp_domain_read(root, &domain, NULL), 0);
    make_pins(domain, &pins);
    vp_cpuset_add(&bind.nodes, 0);
    ck_assert_msg(vp_rewrite_pins(root, &pins, "corpus", &changed, &err) == 0 &&
                      vp_rewrite_memory(root, &bind, &changed, &err) == 0 &&
                      vp_rewrite_tuning(root, &policy, &changed, &err) == 0,
                  "%s", err.text);
    ck_assert(changed);
    check_equal(before, doc, CHECK_PINS | CHECK_TUNING | CHECK_MEMORY, entry[index]->d_name);
    vp_pins_clear(&pins);
}

START_TEST(incoming_keeps_what_libvirt_compares)
{
    VP_AUTO(free) char *text = NULL;
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    size_t length;

    text = read_entry(_i, &length);
    if (vp_domain_parse(text, length, &domain, NULL) == 0)
        bring_in(_i, text, length);
}
END_TEST

/* libvirt itself refuses some of the corpus; reading them may fail, too, but
 * with an error that says where. */
START_TEST(holds_for_all)
{
    VP_AUTO(free) char *text = NULL;
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    struct vp_error err = {0};
    size_t length;

    text = read_entry(_i, &length);
    if (vp_domain_parse(text, length, &domain, &err) < 0) {
        ck_assert_int_eq(err.code, VP_INPUT);
        ck_assert_msg(strncmp(err.text, "line ", 5) == 0, "%s", err.text);
        return;
    }
    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
        try(_i, &trials[i], text, length);
}
END_TEST

START_TEST(reads_most)
{
    int read = 0;

    for (int i = 0; i < entries; i++) {
        VP_AUTO(free) char *text = NULL;
        VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
        size_t length;

        text = read_entry(i, &length);
        read += vp_domain_parse(text, length, &domain, NULL) == 0;
    }
    ck_assert_msg(read * 100 >= entries * 95, "only %d of %d files could be read", read, entries);
}
END_TEST

static Suite *corpus_suite(void)
{
    Suite *suite = suite_create("corpus");
    TCase *all = tcase_create("domains");

    tcase_set_timeout(all, 60);
    tcase_add_loop_test(all, holds_for_all, 0, entries);
    tcase_add_loop_test(all, incoming_keeps_what_libvirt_compares, 0, entries);
    tcase_add_test(all, reads_most);
    suite_add_tcase(suite, all);
    return suite;
}

int main(void)
{
    const char *corpus = getenv("VIRTPIN_CORPUS");
    SRunner *runner;
    int failed;

    snprintf(directory, sizeof(directory), "%s/domains", corpus ? corpus : "../shared/corpus");
    entries = scandir(directory, &entry, is_xml, alphasort);
    if (entries <= 0) {
        printf("skip corpus: VIRTPIN_CORPUS: no domain XML in %s\n", directory);
        return 0;
    }
    xmlInitParser();
    xmlSetGenericErrorFunc(NULL, check_silent);
    runner = srunner_create(corpus_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    xmlCleanupParser();
    for (int i = 0; i < entries; i++)
        free(entry[i]);
    free(entry);
    return failed == 0 ? 0 : 1;
}
