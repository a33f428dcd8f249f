/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/planhost.h"

static struct vp_pool_conf pools[4];

static void add_pool(const char *name, const char *list, unsigned percent, unsigned ratio)
{
    struct vp_pool_conf *pool = &pools[set->host.pool_count++];

    *pool = (struct vp_pool_conf){.name = (char *)name, .ratio = ratio};
    if (list) {
        pool->cpus.kind = VP_POOL_LIST;
        pool->cpus.list = cpus(list);
    } else if (percent > 0) {
        pool->cpus.kind = VP_POOL_PERCENT;
        pool->cpus.percent = percent;
    }
    use_pools(set, pools);
}

static void teardown_pools(void)
{
    set->host.pool = NULL; /* not the set's to free */
    set->host.pool_count = 0;
    teardown();
}

static void pool_is(const char *name, const struct vp_holding *holding, size_t count,
                    const char *wanted)
{
    struct vp_cpuset pool;

    vp_pool_named(&set->host, topology, name, holding, count, &pool);
    assert_cpus(&pool, wanted);
}

static struct vp_holding in_pool(const char *pool, unsigned vcpus)
{
    struct vp_holding holding = another("", "");

    holding.uses_pool = true;
    holding.pool_vcpus = vcpus;
    snprintf(holding.pool, sizeof(holding.pool), "%s", pool);
    return holding;
}

START_TEST(lists_and_the_rest)
{
    struct vp_holding holding = another("4,9", "");
    struct vp_cpuset all;

    add_pool("gold", "4-5,12", 0, 0);
    set->host.reserved = cpus("12");
    topology->isolated = cpus("7");
    pool_is("gold", NULL, 0, "4-5");
    pool_is(NULL, NULL, 0, "0-3,6,8-11,13-15");
    pool_is("unknown", NULL, 0, "0-3,6,8-11,13-15");
    pool_is("gold", &holding, 1, "5");
    pool_is("", &holding, 1, "0-3,6,8,10-11,13-15");
    vp_pools(&set->host, topology, &holding, 1, &all);
    assert_cpus(&all, "0-3,5-6,8,10-11,13-15");
}
END_TEST

/* Whole cores from the highest down; never more than the share but for one. */
START_TEST(percentages)
{
    add_pool("a", NULL, 50, 0);
    add_pool("b", NULL, 1, 0);
    pool_is("a", NULL, 0, "4-7,12-15");
    pool_is("b", NULL, 0, "3,11");
    pool_is(NULL, NULL, 0, "0-2,8-10");
    set->host.reserved = cpus("7,15"); /* 14 CPUs: half of them is 7, three cores */
    pool_is("a", NULL, 0, "4-6,12-14");
    add_pool("c", "6", 0, 0); /* lists come first */
    pool_is("a", NULL, 0, "3-5,11-14");
}
END_TEST

START_TEST(a_guest_runs_in_its_pool)
{
    struct vp_plan *plan, *again;
    char *text;

    add_pool("gold", "4-7", 0, 0);
    policy.placement = VP_PLACE_SHARED;
    policy.pool = (char *)"gold";
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_str_eq(plan->pool, "gold");
    ck_assert_uint_eq(vp_plan_pool_vcpus(plan), 4);
    text = vp_plan_print(plan);
    ck_assert_int_eq(vp_plan_parse(text, &again, &err), 0);
    ck_assert_str_eq(again->pool, "gold");
    free(text);
    vp_plan_free(again);
    vp_plan_free(plan);
}
END_TEST

START_TEST(ratio_is_a_limit)
{
    struct vp_holding holding[2] = {in_pool("gold", 5), in_pool("", 100)};

    add_pool("gold", "4-5", 0, 4);
    policy.placement = VP_PLACE_SHARED;
    policy.pool = (char *)"gold";
    domain.vcpus = 3;
    vp_plan_free(plan_with(holding, 2, NULL, VP_PLAN_OK));
    domain.vcpus = 4;
    plan_with(holding, 2, NULL, VP_PLAN_REFUSED);
    ck_assert_str_eq(err.text, "pool gold has 2 CPUs for 8 vCPUs at ratio 4, 5 of them taken; the "
                               "guest needs 4: 1 CPU short; give the pool more CPUs or a higher "
                               "ratio");
    /* the default pool may have one too */
    add_pool("default", NULL, 0, 8);
    policy.pool = NULL;
    vp_plan_free(plan_with(holding, 2, NULL, VP_PLAN_OK));
    holding[1].pool_vcpus = 110;
    plan_with(holding, 2, NULL, VP_PLAN_REFUSED);
}
END_TEST

START_TEST(limit_and_emptiness)
{
    struct vp_holding holding = another("4-5", "");
    struct vp_plan_input input = {.set = set,
                                  .policy = &policy,
                                  .domain = &domain,
                                  .topology = topology,
                                  .holding = &holding,
                                  .holding_count = 1};
    struct vp_place_answer answer = {0};
    struct vp_plan *plan;

    add_pool("gold", "4-5", 0, 4);
    policy.placement = VP_PLACE_SHARED;
    policy.pool = (char *)"gold";
    ck_assert_int_eq(vp_plan_make(&input, &plan, &answer, NULL, &err), VP_PLAN_REFUSED);
    ck_assert_int_eq(answer.limit, VP_LIMIT_SHARED);
    ck_assert_ptr_nonnull(strstr(err.text, "pool gold is empty"));
    vp_place_clear(&answer);
}
END_TEST

/* The last CPUs that a pool's guests need are nobody's to book. */
START_TEST(dedicated_leaves_each_pool_its_cpus)
{
    struct vp_holding holding = in_pool("gold", 6);
    struct vp_plan *plan;
    struct vp_cpuset gold;

    add_pool("gold", "4-7", 0, 3);
    domain.vcpus = 12; /* of 14 dedicable, two must stay with gold */
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    gold = cpus("4-7");
    vp_cpuset_minus(&gold, &plan->vcpu_cpus);
    ck_assert_uint_ge(vp_cpuset_count(&gold), 2);
    vp_plan_free(plan);
    domain.vcpus = 13;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "pool gold must keep 2 CPUs"));
    /* nobody is in the pool: it has nothing to keep */
    holding = another("", "");
    domain.vcpus = 14;
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
}
END_TEST

/* On one node of eight CPUs, gold's only CPU is withheld wherever it is. */
START_TEST(which_cpu_stays_is_tried)
{
    struct vp_holding holding[2] = {in_pool("gold", 1), another("0-3,8-11", "")};
    struct vp_plan *plan;

    strcpy(holding[1].uuid, "00000000-0000-0000-0000-0000000000aa");
    add_pool("gold", "6-7,14-15", 0, 0);
    policy.emulator.where = VP_WHERE_WITH_VCPUS; /* nobody is in the default pool */
    policy.thread_policy = VP_THREADS_REQUIRE;
    domain.vcpus = 6;
    plan = plan_with(holding, 2, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(vp_cpuset_count(&plan->vcpu_cpus), 6);
    vp_plan_free(plan);
    domain.vcpus = 8;
    plan_with(holding, 2, NULL, VP_PLAN_REFUSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pools");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(core, setup, teardown_pools);
    tcase_add_test(core, lists_and_the_rest);
    tcase_add_test(core, percentages);
    tcase_add_test(core, a_guest_runs_in_its_pool);
    tcase_add_test(core, ratio_is_a_limit);
    tcase_add_test(core, limit_and_emptiness);
    tcase_add_test(core, dedicated_leaves_each_pool_its_cpus);
    tcase_add_test(core, which_cpu_stays_is_tried);
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
