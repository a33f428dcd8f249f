/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/stat.h>
#include <unistd.h>

#include "host/pci.h"
#include "tests/unit/planhost.h"

#define GIB (1024u * 1024u)

static void setup_memory(void)
{
    setup();
    topology->memory_known = true;
    topology->node[0].memory_kib = topology->node[1].memory_kib = 16 * GIB;
    policy.memory = VP_MEMORY_STRICT;
    policy.numa = VP_NUMA_SINGLE;
    domain.memory_kib = 6 * GIB;
}

static void huge(unsigned node, unsigned long size_kib, unsigned long count)
{
    int at = topology->node[node].huge[0].size_kib > 0;

    topology->node[node].huge[at].size_kib = size_kib;
    topology->node[node].huge[at].count = count;
}

static int node_of(struct vp_plan *plan)
{
    int node = vp_cpuset_next(&plan->nodes, -1);

    vp_plan_free(plan);
    return node;
}

START_TEST(what_others_hold)
{
    struct vp_holding holding = another("", "");

    ck_assert_int_eq(node_of(plan_with(NULL, 0, NULL, VP_PLAN_OK)), 0);
    holding.memory_kib[0] = 11 * GIB;
    ck_assert_int_eq(node_of(plan_with(&holding, 1, NULL, VP_PLAN_OK)), 1);
    holding.memory_kib[1] = 12 * GIB;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    domain.memory_kib = 12 * GIB; /* more than both nodes have left */
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_int_eq(err.code, VP_REFUSED);
    strcpy(holding.uuid, domain.uuid); /* its own is no hindrance */
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
    strcpy(holding.uuid, "x");
    policy.memory = VP_MEMORY_KEEP;
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
}
END_TEST

START_TEST(pools_of_pages)
{
    struct vp_holding holding = another("", "");

    huge(0, 2048, 5 * 1024); /* 10 GiB: 6 are left */
    ck_assert_int_eq(node_of(plan_with(NULL, 0, NULL, VP_PLAN_OK)), 0);
    set->host.reserved_memory_kib = 1;
    ck_assert_int_eq(node_of(plan_with(NULL, 0, NULL, VP_PLAN_OK)), 1);
    domain.huge_pages = true; /* only node 0 has a pool */
    ck_assert_int_eq(node_of(plan_with(NULL, 0, NULL, VP_PLAN_OK)), 0);
    holding.page_kib = 2048;
    holding.memory_kib[0] = 5 * GIB;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    holding.page_kib = 0; /* on normal pages: another pool */
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
    domain.page_kib = GIB;
    plan_with(NULL, 0, NULL, VP_PLAN_REFUSED);
    huge(1, GIB, 6);
    ck_assert_int_eq(node_of(plan_with(NULL, 0, NULL, VP_PLAN_OK)), 1);
}
END_TEST

START_TEST(what_is_written_down)
{
    struct vp_plan *plan, *again;
    char *text, *same;

    policy.numa = VP_NUMA_FEWEST;
    domain.memory_kib = 20 * GIB;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->memory_count, 2);
    ck_assert_int_eq(plan->memory[1].node, 1);
    ck_assert_uint_eq(plan->memory[0].kib + plan->memory[1].kib, 20 * GIB);
    ck_assert_int_eq(plan->numatune, VP_MEMORY_STRICT);
    text = vp_plan_print(plan);
    ck_assert_msg(vp_plan_parse(text, &again, &err) == 0, "%s", err.text);
    same = vp_plan_print(again);
    ck_assert_str_eq(text, same);
    free(text);
    free(same);
    vp_plan_free(again);
    vp_plan_free(plan);
    /* under keep it lies with the vCPUs all the same */
    policy.memory = VP_MEMORY_KEEP;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->memory_count, 1);
    ck_assert_uint_eq(plan->memory[0].kib, 20 * GIB);
    vp_plan_free(plan);
}
END_TEST

START_TEST(what_is_not_honoured)
{
    topology->memory_known = false;
    policy.core_type = VP_CORES_EFFICIENCY;
    vp_plan_free(plan_with(NULL, 0, NULL, VP_PLAN_OK));
    ck_assert_uint_eq(findings.count, 2);
    ck_assert_ptr_nonnull(strstr(findings.item[0].text, "nodes state none"));
    ck_assert_ptr_nonnull(strstr(findings.item[1].text, "core-type"));
}
END_TEST

START_TEST(weight_of_the_pool)
{
    struct vp_pool_conf pool = {.name = (char *)"default", .weight = 50};
    struct vp_plan *plan;

    use_pools(set, &pool);
    set->host.pool_count = 1;
    policy.placement = VP_PLACE_SHARED;
    policy.tuning_host.cgroup = 2;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->tuning.shares, 50);
    vp_plan_free(plan);
    policy.tuning_host.cgroup = 1;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->tuning.shares, 512);
    vp_plan_free(plan);
    policy.tuning.shares = 700;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->tuning.shares, 700);
    vp_plan_free(plan);
    set->host.pool = NULL;
    set->host.pool_count = 0;
}
END_TEST

static void put(const char *root, const char *device, const char *text)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "mkdir -p %s/sys/bus/pci/devices/%s", root, device);
    ck_assert_int_eq(system(path), 0);
    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/numa_node", root, device);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

START_TEST(devices_nodes)
{
    char root[] = "/tmp/virtpin-pci.XXXXXX", command[64];
    char *item[] = {(char *)"0000:3b:00.0", (char *)"0000:af:00.1", (char *)"0000:00:01.0"};
    struct vp_strings devices = {item, 2};
    struct vp_cpuset nodes;
    bool unknown;

    ck_assert_ptr_nonnull(mkdtemp(root));
    put(root, item[0], "1\n");
    put(root, item[1], "3\n");
    put(root, item[2], "-1\n");
    vp_pci_nodes(root, &devices, &nodes, &unknown);
    assert_cpus(&nodes, "1,3");
    ck_assert(!unknown);
    devices.count = 3;
    vp_pci_nodes(root, &devices, &nodes, &unknown);
    assert_cpus(&nodes, "1,3");
    ck_assert(unknown);
    vp_pci_nodes("", &devices, &nodes, &unknown);
    assert_cpus(&nodes, "");
    ck_assert(unknown);
    snprintf(command, sizeof(command), "rm -r %s", root);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* The placer gets the nodes of the devices. */
START_TEST(near_the_device)
{
    struct vp_plan_input input = {
        .set = set, .policy = &policy, .domain = &domain, .topology = topology};
    struct vp_plan *plan;

    policy.pci_locality = VP_CARE_REQUIRE;
    input.pci_nodes = cpus("1");
    ck_assert_int_eq(vp_plan_make(&input, &plan, NULL, NULL, &err), VP_PLAN_OK);
    ck_assert_int_eq(node_of(plan), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plans and memory");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(core, setup_memory, teardown);
    tcase_add_test(core, what_others_hold);
    tcase_add_test(core, pools_of_pages);
    tcase_add_test(core, what_is_written_down);
    tcase_add_test(core, what_is_not_honoured);
    tcase_add_test(core, weight_of_the_pool);
    tcase_add_test(core, devices_nodes);
    tcase_add_test(core, near_the_device);
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
