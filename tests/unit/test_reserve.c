/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/domain.h"
#include "decide/rewrite.h"
#include "tests/unit/planhost.h"

/* Pins and nodes of memory in a definition. */

#define GIB (1024u * 1024u)

static const char plain[] = "<domain type='qemu'>\n"
                            "  <name>g</name>\n"
                            "  <uuid>00000000-0000-0000-0000-000000000001</uuid>\n"
                            "  <memory>4194304</memory>\n"
                            "  <vcpu>4</vcpu>\n"
                            "  <numatune>\n"
                            "    <memory mode='preferred' nodeset='1'/>\n"
                            "  </numatune>\n"
                            "  <cpu>\n"
                            "    <numa>\n"
                            "      <cell id='0' cpus='0-1' memory='2097152'/>\n"
                            "      <cell id='1' cpus='2-3' memory='2097152'/>\n"
                            "    </numa>\n"
                            "  </cpu>\n"
                            "</domain>\n";

static xmlDoc *doc, *original;

static void setup_guest(void)
{
    struct vp_domain *read = NULL;

    setup();
    topology->memory_known = true;
    topology->node[0].memory_kib = topology->node[1].memory_kib = 16 * GIB;
    policy.memory = VP_MEMORY_STRICT;
    policy.reserve = VP_RESERVE_ALWAYS;
    policy.emulator.where = VP_WHERE_WITH_VCPUS;
    doc = vp_xml_parse(plain, strlen(plain), &err);
    original = vp_xml_parse(plain, strlen(plain), &err);
    ck_assert_int_eq(vp_domain_parse(plain, strlen(plain), &read, &err), 0);
    domain.cell = read->cell; /* handed over */
    domain.cell_count = read->cell_count;
    domain.memory_kib = 4 * GIB;
    read->cell = NULL;
    read->cell_count = 0;
    vp_domain_free(read);
}

static void teardown_guest(void)
{
    free(domain.cell);
    domain.cell = NULL;
    domain.cell_count = 0;
    xmlFreeDoc(doc);
    xmlFreeDoc(original);
    teardown();
}

static bool write_plan(const struct vp_plan *plan)
{
    struct vp_memory_bind bind;
    struct vp_pins pins = {0};
    bool changed = false, bound = false;
    xmlNode *root = xmlDocGetRootElement(doc);

    ck_assert_int_eq(vp_plan_own_pins(plan, &pins), 0);
    ck_assert_int_eq(vp_plan_bind(plan, topology, &domain, &bind), 0);
    ck_assert_msg(vp_rewrite_pins(root, &pins, "p", &changed, &err) == 0, "%s", err.text);
    ck_assert_msg(vp_rewrite_memory(root, &bind, &bound, &err) == 0, "%s", err.text);
    vp_memory_bind_clear(&bind);
    vp_pins_clear(&pins);
    return changed || bound;
}

static void assert_text(const char *part, bool there)
{
    char *text;
    size_t length;

    ck_assert_int_eq(vp_xml_print(doc, true, plain, strlen(plain), &text, &length, &err), 0);
    ck_assert_msg((strstr(text, part) != NULL) == there, "%s in:\n%s", part, text);
    free(text);
}

START_TEST(cells_and_their_nodes)
{
    struct vp_plan *plan = plan_with(NULL, 0, NULL, VP_PLAN_OK), *again = NULL;
    char *text = vp_plan_print(plan);
    enum vp_facet facet = VP_FACET_PINS;
    bool changed;

    ck_assert(plan->reserve);
    ck_assert(write_plan(plan));
    assert_text("<memory mode=\"strict\" nodeset=\"0-1\"/>", true);
    assert_text("<memnode mode=\"strict\" nodeset=\"0\" cellid=\"0\"/>", true);
    assert_text("<memnode mode=\"strict\" nodeset=\"1\" cellid=\"1\"/>", true);
    assert_text("preferred", false);
    assert_text("memory=\"strict\"", true);
    ck_assert(!write_plan(plan)); /* there already */

    ck_assert_int_eq(vp_plan_parse(text, &again, &err), 0);
    ck_assert(again->reserve);
    vp_plan_free(again);
    free(text);

    ck_assert_int_eq(vp_rewrite_revert(xmlDocGetRootElement(doc), xmlDocGetRootElement(original),
                                       &facet, 1, &changed, &err),
                     0);
    ck_assert(changed);
    assert_text("<memory mode=\"preferred\" nodeset=\"1\"/>", true);
    assert_text("memnode", false);
    assert_text("applied", false);
    vp_plan_free(plan);
}
END_TEST

START_TEST(without_memory_again)
{
    struct vp_plan *plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    bool changed;

    ck_assert(write_plan(plan));
    plan->numatune = VP_MEMORY_KEEP;
    ck_assert(write_plan(plan));
    assert_text("numatune", false); /* what is ours goes */
    assert_text("vcpupin", true);
    plan->numatune = VP_MEMORY_RESTRICTIVE;
    ck_assert(write_plan(plan));
    assert_text("<memory mode=\"restrictive\"", true);
    ck_assert_int_eq(vp_rewrite_strip(xmlDocGetRootElement(doc), &changed, &err), 0);
    ck_assert(changed);
    assert_text("numatune", false);
    assert_text("vcpupin", false);
    vp_plan_free(plan);
}
END_TEST

START_TEST(only_with_cpus_of_its_own)
{
    struct vp_plan *plan;

    policy.placement = VP_PLACE_SHARED;
    policy.emulator.where = VP_WHERE_SHARED;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert(!plan->reserve);
    vp_plan_free(plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reserve");
    TCase *tcase = tcase_create("definition");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup_guest, teardown_guest);
    tcase_add_test(tcase, cells_and_their_nodes);
    tcase_add_test(tcase, without_memory_again);
    tcase_add_test(tcase, only_with_cpus_of_its_own);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
