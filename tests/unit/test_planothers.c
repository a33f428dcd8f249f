/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/planhost.h"

static void mix(const char *vcpus)
{
    policy.placement = VP_PLACE_MIXED;
    policy.dedicated_vcpus = cpus(vcpus);
}

static int cpu_of(const struct vp_plan *plan, unsigned vcpu)
{
    const struct vp_want *want = vp_plan_find(plan, VP_ROLE_VCPU, vcpu);

    ck_assert_int_eq(want->kind, VP_WANT_SET);
    ck_assert_uint_eq(vp_cpuset_count(&want->cpus), 1);
    return vp_cpuset_next(&want->cpus, -1);
}

START_TEST(some_of_each)
{
    struct vp_pins pins = {0};
    struct vp_cpuset pool = cpus("0,8");
    struct vp_plan *plan;

    mix("1,3");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(vp_cpuset_count(&plan->vcpu_cpus), 2);
    ck_assert(vp_cpuset_has(&plan->vcpu_cpus, cpu_of(plan, 1)));
    ck_assert(vp_cpuset_has(&plan->vcpu_cpus, cpu_of(plan, 3)));
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_VCPU, 0)->kind, VP_WANT_POOL);
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_VCPU, 2)->kind, VP_WANT_POOL);
    ck_assert_uint_eq(plan->want_count, 5);
    ck_assert_int_eq(vp_plan_resolve(plan, &pool, &pins), 0);
    assert_cpus(&vp_pins_find(&pins, VP_ROLE_VCPU, 2)->cpus, "0,8");
    vp_pins_clear(&pins);
    vp_plan_free(plan);
}
END_TEST

/* Two vCPUs of one guest core go to two threads of one host core; where the
 * dedicated ones are halves of two cores there is nothing to keep together. */
START_TEST(guest_cores)
{
    struct vp_plan *plan;

    domain.cpu.has_topology = true;
    domain.cpu.topology = (struct vp_guest_topology){1, 1, 1, 2, 2};
    policy.thread_policy = VP_THREADS_REQUIRE;
    mix("2-3");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_int_eq(cpu_of(plan, 2) % 8, cpu_of(plan, 3) % 8);
    ck_assert(vp_cpuset_empty(&plan->idle_cpus));
    vp_plan_free(plan);
    mix("1,2");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert(vp_cpuset_empty(&plan->idle_cpus));
    vp_plan_free(plan);
}
END_TEST

START_TEST(cells_keep_their_dedicated_vcpus)
{
    struct vp_guest_cell cell[2] = {{.id = 0, .vcpus = cpus("0-1")},
                                    {.id = 1, .vcpus = cpus("2-3")}};
    struct vp_plan *plan;

    domain.cell = cell;
    domain.cell_count = 2;
    policy.numa = VP_NUMA_SINGLE;
    mix("1,2");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_int_ne(cpu_of(plan, 1) % 8 / 4, cpu_of(plan, 2) % 8 / 4);
    assert_cpus(&plan->nodes, "0-1");
    vp_plan_free(plan);
    mix("0-1"); /* only the first cell has any */
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_int_eq(cpu_of(plan, 0) % 8 / 4, cpu_of(plan, 1) % 8 / 4);
    vp_plan_free(plan);
    domain.cell = NULL;
    domain.cell_count = 0;
}
END_TEST

/* numa = single: the pooled vCPUs keep to the node of the others. */
START_TEST(single_node)
{
    struct vp_holding holding = another("0-3,8-11", "");
    struct vp_plan *plan;
    struct vp_pins pins = {0};
    struct vp_cpuset pool = cpus("0-3,8-15");

    policy.numa = VP_NUMA_SINGLE;
    mix("0-1");
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    assert_cpus(&plan->nodes, "1");
    vp_plan_resolve(plan, &pool, &pins);
    assert_cpus(&vp_pins_find(&pins, VP_ROLE_VCPU, 3)->cpus, "12-15");
    vp_pins_clear(&pins);
    vp_plan_free(plan);
}
END_TEST

START_TEST(the_pool_keeps_a_cpu)
{
    /* all that is left is CPUs 7 and 15: two dedicated vCPUs would leave the
     * others nowhere to run */
    struct vp_holding holding = another("0-6,8-14", "");

    domain.vcpus = 3;
    mix("0-1");
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_int_eq(err.code, VP_REFUSED);
    mix("0");
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
}
END_TEST

START_TEST(vcpus_that_the_guest_has_not)
{
    struct vp_plan *plan;

    mix("3-5");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(vp_cpuset_count(&plan->vcpu_cpus), 1);
    ck_assert_uint_eq(findings.count, 1);
    ck_assert_ptr_nonnull(strstr(findings.item[0].text, "vCPUs 4-5"));
    vp_plan_free(plan);
    mix("8");
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert(vp_cpuset_empty(&plan->vcpu_cpus));
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_VCPU, 0)->kind, VP_WANT_POOL);
    vp_plan_free(plan);
}
END_TEST

START_TEST(kept_and_printed)
{
    static const int keep[] = {-1, 6, -1, 14, -1, -1};
    struct vp_plan *plan, *again;
    char *text, *same;

    mix("1,3");
    policy.emulator.where = VP_WHERE_WITH_VCPUS;
    plan = plan_with(NULL, 0, keep, VP_PLAN_OK);
    ck_assert_int_eq(cpu_of(plan, 1), 6);
    ck_assert_int_eq(cpu_of(plan, 3), 14);
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_EMULATOR, 0)->kind, VP_WANT_BOTH);
    text = vp_plan_print(plan);
    ck_assert_msg(vp_plan_parse(text, &again, &err) == 0, "%s", err.text);
    same = vp_plan_print(again);
    ck_assert_str_eq(text, same);
    free(text);
    free(same);
    vp_plan_free(plan);
    vp_plan_free(again);
}
END_TEST

/* Threads that run with the vCPUs have their CPUs and the pool. */
START_TEST(with_vcpus)
{
    struct vp_plan *plan;
    struct vp_pins pins = {0};
    struct vp_cpuset pool = cpus("0,8"), all = pool;

    mix("0-1");
    policy.emulator.where = VP_WHERE_WITH_VCPUS;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert(vp_plan_uses_pool(plan));
    vp_plan_resolve(plan, &pool, &pins);
    vp_cpuset_or(&all, &plan->vcpu_cpus);
    ck_assert(vp_cpuset_equal(&vp_pins_find(&pins, VP_ROLE_EMULATOR, 0)->cpus, &all));
    vp_pins_clear(&pins);
    vp_plan_free(plan);
}
END_TEST

/* ---- vhost threads ---- */

START_TEST(vhost_with_the_emulator)
{
    struct vp_plan *plan;

    domain.vhosts = 2;
    policy.vhost.where = VP_WHERE_WITH_EMULATOR;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_ptr_null(vp_plan_find(plan, VP_ROLE_VHOST, 0));
    ck_assert_ptr_eq(vp_plan_want(plan, VP_ROLE_VHOST, 1), vp_plan_find(plan, VP_ROLE_EMULATOR, 0));
    vp_plan_free(plan);
}
END_TEST

START_TEST(vhost_elsewhere)
{
    struct vp_plan *plan;

    domain.vhosts = 2;
    policy.emulator = (struct vp_place_where){.where = VP_WHERE_LIST, .cpus = cpus("0")};
    policy.vhost = (struct vp_place_where){.where = VP_WHERE_LIST, .cpus = cpus("6-7,40")};
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    assert_cpus(&vp_plan_want(plan, VP_ROLE_VHOST, 1)->cpus, "6-7");
    assert_cpus(&vp_plan_want(plan, VP_ROLE_VHOST, 2)->cpus, "0"); /* plugged later */
    assert_cpus(&plan->fixed_cpus, "0,6-7");
    ck_assert(!vp_cpuset_meets(&plan->vcpu_cpus, &plan->fixed_cpus));
    vp_plan_free(plan);
    policy.vhost.where = VP_WHERE_SHARED;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_VHOST, 0)->kind, VP_WANT_POOL);
    vp_plan_free(plan);
    policy.vhost.where = VP_WHERE_WITH_VCPUS;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert(vp_cpuset_equal(&vp_plan_find(plan, VP_ROLE_VHOST, 0)->cpus, &plan->vcpu_cpus));
    vp_plan_free(plan);
    policy.vhost = (struct vp_place_where){.where = VP_WHERE_LIST, .cpus = cpus("40")};
    plan_with(NULL, 0, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "change vhost in the policy"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plans of mixed guests and other threads");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, some_of_each);
    tcase_add_test(core, guest_cores);
    tcase_add_test(core, cells_keep_their_dedicated_vcpus);
    tcase_add_test(core, single_node);
    tcase_add_test(core, the_pool_keeps_a_cpu);
    tcase_add_test(core, vcpus_that_the_guest_has_not);
    tcase_add_test(core, kept_and_printed);
    tcase_add_test(core, with_vcpus);
    tcase_add_test(core, vhost_with_the_emulator);
    tcase_add_test(core, vhost_elsewhere);
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
