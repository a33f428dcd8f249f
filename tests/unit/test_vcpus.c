/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vCPUs, topology = auto and the guest agent. Golden files are in
 * tests/unit/golden/vcpus: INPUT.xml goes in, CASE.ok is what comes out with
 * the changes above it. VIRTPIN_REGENERATE=1 writes the .ok files anew: read
 * the difference before it is committed. */
#include <check.h>
#include <libxml/parser.h>
#include <libxml/xmlerror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/rewrite.h"
#include "decide/vcpus.h"
#include "decide/vcputopology.h"
#include "tests/unit/goldencheck.h"

#define AUTO                                                                                       \
    {                                                                                              \
        .sockets = VP_TOPOLOGY_AUTO                                                                \
    }

/* ---- the search ---- */

static const struct {
    struct vp_topology_search search;
    unsigned sockets, cores, threads; /* sockets 0: there is none */
} searches[] = {
    {{.vcpus = 1, .usual_sockets = 1, .usual_threads = 1}, 1, 1, 1},
    {{.vcpus = 6, .usual_sockets = 1, .usual_threads = 1}, 1, 6, 1},
    {{.vcpus = 7, .usual_sockets = 1, .usual_threads = 2}, 1, 7, 1},
    {{.vcpus = 8, .usual_sockets = 1, .usual_threads = 2}, 1, 4, 2},
    {{.vcpus = 8, .usual_sockets = 2, .usual_threads = 2}, 2, 2, 2},
    {{.vcpus = 8, .usual_sockets = 2, .usual_threads = 1}, 2, 4, 1},
    {{.vcpus = 9, .usual_sockets = 2, .usual_threads = 1}, 1, 9, 1},
    /* limits */
    {{.vcpus = 8, .max_cores = 4, .usual_sockets = 1, .usual_threads = 1}, 2, 4, 1},
    {{.vcpus = 8, .max_cores = 4, .max_sockets = 1, .usual_sockets = 1, .usual_threads = 1},
     1,
     4,
     2},
    {{.vcpus = 8,
      .max_cores = 4,
      .max_sockets = 1,
      .max_threads = 1,
      .usual_sockets = 1,
      .usual_threads = 1},
     0,
     0,
     0},
    {{.vcpus = 12, .max_cores = 5, .usual_sockets = 1, .usual_threads = 1}, 3, 4, 1},
    {{.vcpus = 8, .max_threads = 1, .usual_sockets = 1, .usual_threads = 2}, 1, 8, 1},
    {{.vcpus = 5, .max_cores = 4, .max_sockets = 2, .usual_sockets = 1, .usual_threads = 1},
     1,
     1,
     5},
    {{.vcpus = 8192, .usual_sockets = 1, .usual_threads = 2}, 1, 4096, 2},
    /* preferences */
    {{.vcpus = 8, .preferred_sockets = 4, .usual_sockets = 1, .usual_threads = 1}, 4, 2, 1},
    {{.vcpus = 8, .preferred_threads = 2, .usual_sockets = 1, .usual_threads = 1}, 1, 4, 2},
    {{.vcpus = 8, .preferred_cores = 2, .usual_sockets = 1, .usual_threads = 1}, 4, 2, 1},
    {{.vcpus = 8,
      .preferred_cores = 2,
      .preferred_threads = 2,
      .usual_sockets = 1,
      .usual_threads = 1},
     2,
     2,
     2},
    /* two that fit together beat one that does not fit with them */
    {{.vcpus = 8,
      .preferred_sockets = 8,
      .preferred_cores = 4,
      .preferred_threads = 2,
      .usual_sockets = 1,
      .usual_threads = 1},
     1,
     4,
     2},
    {{.vcpus = 7, .preferred_sockets = 2, .usual_sockets = 1, .usual_threads = 1}, 1, 7, 1},
    {{.vcpus = 8, .max_sockets = 2, .preferred_sockets = 4, .usual_sockets = 1, .usual_threads = 1},
     1,
     8,
     1},
};

START_TEST(searches_topology)
{
    struct vp_guest_topology best = {0};

    ck_assert_int_eq(vp_topology_search(&searches[_i].search, &best), searches[_i].sockets != 0);
    ck_assert_uint_eq(best.sockets, searches[_i].sockets);
    ck_assert_uint_eq(best.cores, searches[_i].cores);
    ck_assert_uint_eq(best.threads, searches[_i].threads);
    if (searches[_i].sockets != 0)
        ck_assert_uint_eq(best.dies * best.clusters, 1);
}
END_TEST

/* Whatever is found has the product and keeps the limits; without limits
 * there always is one. */
START_TEST(searches_soundly)
{
    for (unsigned n = 0; n < 200000; n += 7) {
        struct vp_topology_search search = {.vcpus = n % 96 + 1,
                                            .max_sockets = n % 5,
                                            .max_cores = n / 5 % 9,
                                            .max_threads = n / 45 % 4,
                                            .preferred_cores = n / 180 % 4,
                                            .usual_sockets = n / 720 % 3 + 1,
                                            .usual_threads = n / 2160 % 2 + 1};
        struct vp_guest_topology best = {0};

        if (!vp_topology_search(&search, &best)) {
            ck_assert(search.max_sockets + search.max_cores + search.max_threads > 0);
            continue;
        }
        ck_assert_uint_eq(vp_topology_product(&best), search.vcpus);
        ck_assert(search.max_sockets == 0 || best.sockets <= search.max_sockets);
        ck_assert(search.max_cores == 0 || best.cores <= search.max_cores);
        ck_assert(search.max_threads == 0 || best.threads <= search.max_threads);
    }
}
END_TEST

static const struct {
    const char *os;
    unsigned sockets;
} systems[] = {
    {"http://microsoft.com/win/xp", 2},
    {"http://microsoft.com/win/7", 2},
    {"http://microsoft.com/win/8.1", 2},
    {"http://microsoft.com/win/10", 2},
    {"http://microsoft.com/win/11", 2},
    {"http://microsoft.com/win/2k3r2", 4},
    {"http://microsoft.com/win/2k8r2", 4},
    {"http://microsoft.com/win/2k12r2", 64},
    {"http://microsoft.com/win/2k16", 64},
    {"http://microsoft.com/win/2k19", 64},
    {"http://microsoft.com/win/2k22", 64},
    {"http://microsoft.com/win/2k25", 64},
    {"http://microsoft.com/win/vista", 2},
    {"http://microsoft.com/win/2k", 0},
    {"http://debian.org/debian/12", 0},
    {"", 0},
    {NULL, 0},
};

START_TEST(knows_systems)
{
    const char *source = NULL;

    ck_assert_uint_eq(vp_os_sockets(systems[_i].os, &source), systems[_i].sockets);
    ck_assert_int_eq(source != NULL && source[0] != '\0', systems[_i].sockets > 0);
}
END_TEST

/* ---- rewriting ---- */

static const struct golden {
    const char *name, *input;
    struct vp_policy policy;
    int facets;
} golden[] = {
    {"keep", "plugs", {.name = NULL}, 0},
    {"more", "plain", {.vcpus = 6}, CHECK_VCPUS},
    {"fewer", "plain", {.vcpus = 2}, CHECK_VCPUS},
    {"some-at-boot", "plain", {.vcpus_current = 2}, CHECK_VCPUS},
    {"more-but-not-at-boot", "plain", {.vcpus = 6, .vcpus_current = 4}, CHECK_VCPUS},
    {"too-many-at-boot", "plain", {.vcpus_current = 5}, 0},
    {"hotplug", "plain", {.vcpus_hotplug = VP_HOTPLUG_YES}, CHECK_VCPUS},
    {"hotplug-all",
     "plain",
     {.vcpus = 6, .vcpus_current = 4, .vcpus_hotplug = VP_HOTPLUG_YES},
     CHECK_VCPUS},
    {"hotplug-one", "bare", {.vcpus_hotplug = VP_HOTPLUG_YES}, 0},
    {"bare-more", "bare", {.vcpus = 2, .vcpus_hotplug = VP_HOTPLUG_YES}, CHECK_VCPUS},
    {"plugs-hotplug", "plugs", {.vcpus_hotplug = VP_HOTPLUG_YES}, CHECK_VCPUS},
    {"plugs-no-hotplug", "plugs", {.vcpus_hotplug = VP_HOTPLUG_NO}, CHECK_VCPUS},
    {"plugs-more", "plugs", {.vcpus = 6, .vcpus_current = 5}, CHECK_VCPUS},
    {"plugs-fewer", "plugs", {.vcpus = 2}, CHECK_VCPUS},
    {"plugs-one-at-boot", "plugs", {.vcpus_current = 1}, CHECK_VCPUS},
    {"more-than-topology", "topology", {.vcpus = 8}, 0},
    {"more-with-auto", "topology", {.vcpus = 8, .topology = AUTO}, CHECK_VCPUS | CHECK_TOPOLOGY},
    {"fewer-than-pins", "topology", {.vcpus = 2, .topology = AUTO}, 0},
    {"other-than-cells", "cells", {.vcpus = 6}, 0},
    /* topology = auto */
    {"auto", "plain", {.topology = AUTO}, CHECK_TOPOLOGY},
    {"auto-same", "topology", {.topology = AUTO}, 0},
    {"auto-siblings",
     "plain",
     {.topology = AUTO, .placement = VP_PLACE_DEDICATED, .thread_policy = VP_THREADS_REQUIRE},
     CHECK_TOPOLOGY},
    {"auto-cells", "cells", {.topology = AUTO}, CHECK_TOPOLOGY},
    {"auto-windows", "windows", {.topology = AUTO, .max_cores = 4}, CHECK_TOPOLOGY},
    {"auto-windows-none", "windows", {.topology = AUTO, .max_cores = 2, .max_threads = 1}, 0},
    {"auto-preferred", "windows", {.topology = AUTO, .preferred_sockets = 2}, CHECK_TOPOLOGY},
    /* guest agent */
    {"agent-added", "plain", {.guest_agent = true}, CHECK_AGENT},
    {"agent-beside", "plugs", {.guest_agent = true}, CHECK_AGENT},
    {"agent-there", "agent", {.guest_agent = true}, 0},
    {"agent-without-devices", "bare", {.guest_agent = true}, CHECK_AGENT},
    {"all",
     "plugs",
     {.vcpus = 8,
      .vcpus_current = 2,
      .vcpus_hotplug = VP_HOTPLUG_YES,
      .guest_agent = true,
      .topology = AUTO},
     CHECK_VCPUS | CHECK_TOPOLOGY | CHECK_AGENT},
};
enum { GOLDENS = sizeof(golden) / sizeof(golden[0]) };

static bool rewrite(const struct golden *test, xmlDoc *doc, FILE *out)
{
    struct vp_changes changes = {0};
    struct vp_error err = {0};
    bool changed = false;

    ck_assert_msg(vp_rewrite_guest_cpu(xmlDocGetRootElement(doc), &test->policy, &changes, &err) ==
                      0,
                  "%s", err.text);
    for (size_t i = 0; i < changes.count; i++) {
        const struct vp_change *change = &changes.item[i];

        changed |= !change->impossible;
        if (out)
            fprintf(out, "# %s: %s -> %s%s\n", vp_facet_word(change->facet), change->from,
                    change->to, change->impossible ? " (impossible)" : "");
    }
    vp_changes_clear(&changes);
    return changed;
}

START_TEST(matches_golden)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL, *text = NULL, *printed = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    size_t length, printed_length, size;
    char name[100];
    FILE *out = open_memstream(&text, &size);
    bool changed;

    input = golden_input("vcpus", test->input, &length);
    doc = golden_parse(input, length);
    changed = rewrite(test, doc, out);
    ck_assert_int_eq(changed, test->facets != 0);
    ck_assert_int_eq(vp_xml_print(doc, changed, input, length, &printed, &printed_length, NULL), 0);
    fputs(printed, out);
    fclose(out);
    snprintf(name, sizeof(name), "vcpus/%s", test->name);
    golden_compare(name, text);
}
END_TEST

START_TEST(leaves_the_rest)
{
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *once = NULL;
    size_t length;

    input = golden_input("vcpus", test->input, &length);
    before = golden_parse(input, length);
    doc = golden_parse(input, length);
    rewrite(test, doc, NULL);
    golden_equal(before, doc, test->facets);
    once = xmlCopyDoc(doc, 1);
    ck_assert_msg(!rewrite(test, doc, NULL), "not idempotent");
    golden_equal(once, doc, 0);
}
END_TEST

START_TEST(reverts)
{
    static const enum vp_facet facets[] = {VP_FACET_TOPOLOGY, VP_FACET_VCPUS, VP_FACET_AGENT};
    static const int of[] = {CHECK_TOPOLOGY, CHECK_VCPUS, CHECK_AGENT};
    const struct golden *test = &golden[_i];
    VP_AUTO(free) char *input = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *before = NULL;
    VP_AUTO(xmlFreeDoc) xmlDoc *doc = NULL;
    int left = test->facets;
    size_t length;

    input = golden_input("vcpus", test->input, &length);
    before = golden_parse(input, length);
    doc = golden_parse(input, length);
    rewrite(test, doc, NULL);
    for (int i = 0; i < 3; i++) {
        struct vp_error err = {0};
        bool reverted;

        ck_assert_msg(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(before),
                                        &facets[i], 1, &reverted, &err) == 0,
                      "%s", err.text);
        ck_assert_int_eq(reverted, (left & of[i]) != 0);
        left &= ~of[i];
        golden_equal(before, doc, left);
    }
}
END_TEST

/* ---- what is there and what is wanted, by operation ---- */

#define PLUGGED                                                                                    \
    "<vcpu current='3'>4</vcpu><vcpus>"                                                            \
    "<vcpu id='0' enabled='yes' hotpluggable='no' order='1'/>"                                     \
    "<vcpu id='1' enabled='yes' hotpluggable='yes' order='3'/>"                                    \
    "<vcpu id='2' enabled='yes' hotpluggable='yes' order='2'/>"                                    \
    "<vcpu id='3' enabled='no' hotpluggable='yes'/></vcpus>"

static const struct {
    const char *xml;
    enum vp_rewrite_op op;
    struct vp_policy policy;
    const char *changes;
} checks[] = {
    {PLUGGED, VP_OP_DEFINE, {.vcpus_hotplug = VP_HOTPLUG_YES}, ""},
    /* What was plugged since its boot is no miss, nor is vcpus-current. */
    {PLUGGED, VP_OP_MIGRATE, {.vcpus_hotplug = VP_HOTPLUG_NO, .vcpus_current = 1}, ""},
    {PLUGGED, VP_OP_RESTORE, {.vcpus = 4, .vcpus_current = 2}, ""},
    {PLUGGED,
     VP_OP_DEFINE,
     {.vcpus_current = 1},
     "vcpus: 4 vCPUs, 3 at boot, all but vCPU 0 can be unplugged -> 4 vCPUs, 1 at boot\n"},
    {PLUGGED,
     VP_OP_MIGRATE,
     {.vcpus = 6},
     "vcpus: 4 vCPUs, 3 at boot, all but vCPU 0 can be unplugged -> 6 vCPUs, 3 at boot, "
     "all but vCPU 0 can be unplugged\n"},
    {"<vcpu>2</vcpu>",
     VP_OP_MIGRATE,
     {.vcpus_hotplug = VP_HOTPLUG_YES},
     "vcpus: 2 vCPUs -> 2 vCPUs, all but vCPU 0 can be unplugged\n"},
    {"<vcpu>4</vcpu>", VP_OP_MIGRATE, {.topology = AUTO, .preferred_sockets = 4}, ""},
    {"<vcpu>4</vcpu>",
     VP_OP_MIGRATE,
     {.topology = AUTO},
     "topology: none -> 1 socket x 4 cores x 1 thread\n"},
    {"<vcpu>4</vcpu>",
     VP_OP_RESTORE,
     {.guest_agent = true},
     "agent: none -> channel org.qemu.guest_agent.0\n"},
};

START_TEST(checks_guest)
{
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;
    VP_AUTO(free) char *text = NULL;
    struct vp_changes changes = {0};
    char xml[1024];
    size_t size;
    FILE *out = open_memstream(&text, &size);

    snprintf(xml, sizeof(xml), "<domain><name>a</name>%s</domain>", checks[_i].xml);
    ck_assert_int_eq(vp_domain_parse(xml, strlen(xml), &domain, NULL), 0);
    ck_assert_int_eq(vp_guest_cpu_check(domain, &checks[_i].policy, checks[_i].op, &changes), 0);
    for (size_t i = 0; i < changes.count; i++)
        fprintf(out, "%s: %s -> %s\n", vp_facet_word(changes.item[i].facet), changes.item[i].from,
                changes.item[i].to);
    fclose(out);
    ck_assert_str_eq(text, checks[_i].changes);
    vp_changes_clear(&changes);
}
END_TEST

/* Planning looks at the guest as it will be. */
START_TEST(foresees)
{
    static const char xml[] = "<domain><name>a</name><vcpu>2</vcpu></domain>";
    struct vp_policy policy = {.mode = VP_MODE_AUDIT, .vcpus = 6, .vcpus_current = 4};
    VP_AUTO(vp_domain) struct vp_domain *domain = NULL;

    ck_assert_int_eq(vp_domain_parse(xml, strlen(xml), &domain, NULL), 0);
    vp_vcpus_foresee(domain, &policy);
    ck_assert_uint_eq(domain->vcpus, 2);
    policy.mode = VP_MODE_ENFORCE;
    vp_vcpus_foresee(domain, &policy);
    ck_assert_uint_eq(domain->vcpus, 6);
    ck_assert_uint_eq(domain->vcpus_current, 4);
    ck_assert_uint_eq(vp_cpuset_count(&domain->vcpus_online), 4);
}
END_TEST

static Suite *vcpus_suite(void)
{
    Suite *suite = suite_create("vcpus");
    TCase *topology = tcase_create("topology"), *goldens = tcase_create("golden");
    TCase *guest = tcase_create("guest");

    tcase_add_loop_test(topology, searches_topology, 0, sizeof(searches) / sizeof(searches[0]));
    tcase_add_test(topology, searches_soundly);
    tcase_add_loop_test(topology, knows_systems, 0, sizeof(systems) / sizeof(systems[0]));
    suite_add_tcase(suite, topology);
    tcase_add_loop_test(goldens, matches_golden, 0, GOLDENS);
    tcase_add_loop_test(goldens, leaves_the_rest, 0, GOLDENS);
    tcase_add_loop_test(goldens, reverts, 0, GOLDENS);
    suite_add_tcase(suite, goldens);
    tcase_add_loop_test(guest, checks_guest, 0, sizeof(checks) / sizeof(checks[0]));
    tcase_add_test(guest, foresees);
    suite_add_tcase(suite, guest);
    return suite;
}

int main(void)
{
    SRunner *runner;
    int failed;

    xmlInitParser();
    xmlSetGenericErrorFunc(NULL, check_silent);
    runner = srunner_create(vcpus_suite());
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    xmlCleanupParser();
    return failed == 0 ? 0 : 1;
}
