/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/planhost.h"

START_TEST(dedicated_books_one_cpu_each)
{
    struct vp_plan *plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    struct vp_cpuset exclusive;

    vp_plan_exclusive(plan, &exclusive);
    ck_assert_uint_eq(vp_cpuset_count(&exclusive), 4);
    ck_assert(!vp_cpuset_has(&exclusive, 0)); /* the core of CPU 0 stays shared */
    ck_assert(!vp_cpuset_has(&exclusive, 8));
    for (unsigned i = 0; i < 4; i++) {
        const struct vp_want *want = vp_plan_find(plan, VP_ROLE_VCPU, i);

        ck_assert_int_eq(want->kind, VP_WANT_SET);
        ck_assert_uint_eq(vp_cpuset_count(&want->cpus), 1);
        ck_assert(vp_cpuset_within(&want->cpus, &exclusive));
    }
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_EMULATOR, 0)->kind, VP_WANT_POOL);
    ck_assert(vp_plan_uses_pool(plan));
    vp_plan_free(plan);
}
END_TEST

START_TEST(others_are_never_taken)
{
    struct vp_holding holding = another("1-7", "9-10");
    struct vp_plan *plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);

    ck_assert(!vp_cpuset_meets(&plan->vcpu_cpus, &holding.exclusive));
    ck_assert(!vp_cpuset_meets(&plan->vcpu_cpus, &holding.fixed));
    vp_plan_free(plan);
    domain.vcpus = 6;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_int_eq(err.code, VP_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "6"));
    ck_assert_ptr_nonnull(strstr(err.text, "; other has CPUs 1-7"));
    holding.held_until_ms = 1;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "other has CPUs 1-7 for 10 s after its stop"));
    holding = another("", "1-7");
    vp_plan_free(plan_with(&holding, 1, NULL, VP_PLAN_OK));
    domain.vcpus = 8;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "; other is pinned to CPUs 1-7"));
    domain.vcpus = 6;
    holding = another("1-7", "9-10");
    policy.on_no_room = VP_VERDICT_SHARED;
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    ck_assert(vp_cpuset_empty(&plan->vcpu_cpus));
    ck_assert_int_eq(vp_plan_find(plan, VP_ROLE_VCPU, 5)->kind, VP_WANT_POOL);
    vp_plan_free(plan);
}
END_TEST

START_TEST(reserved_and_listed)
{
    struct vp_cpuset dedicable;

    set->host.reserved = cpus("0,8");
    vp_dedicable(&set->host, topology, &dedicable);
    assert_cpus(&dedicable, "2-7,10-15"); /* the core of CPU 1 is now the lowest */
    set->host.dedicated.kind = VP_CPUS_ALL;
    vp_dedicable(&set->host, topology, &dedicable);
    assert_cpus(&dedicable, "1-7,9-15");
    set->host.dedicated.kind = VP_CPUS_LIST;
    set->host.dedicated.list = cpus("0-3,40");
    vp_dedicable(&set->host, topology, &dedicable);
    assert_cpus(&dedicable, "1-3");
}
END_TEST

START_TEST(isolated_cpus)
{
    struct vp_holding none = {0};
    struct vp_cpuset dedicable, pool;

    topology->isolated = cpus("4-7");
    vp_dedicable(&set->host, topology, &dedicable);
    assert_cpus(&dedicable, "1-7,9-15");
    vp_pool(&set->host, topology, &none, 1, &pool);
    assert_cpus(&pool, "0-3,8-15");
    set->host.isolated_avoid = true;
    vp_dedicable(&set->host, topology, &dedicable);
    assert_cpus(&dedicable, "1-3,9-15");
}
END_TEST

START_TEST(pool_follows_bookings)
{
    struct vp_holding holding[2] = {another("2-3", ""), another("4", "5")};
    struct vp_cpuset pool;

    vp_pool(&set->host, topology, holding, 2, &pool);
    assert_cpus(&pool, "0-1,5-15");
    set->host.shared.kind = VP_CPUS_LIST;
    set->host.shared.list = cpus("0-3,99");
    vp_pool(&set->host, topology, holding, 2, &pool);
    assert_cpus(&pool, "0-1");
}
END_TEST

START_TEST(shared_resolves_to_the_pool)
{
    struct vp_pins pins = {0};
    struct vp_cpuset pool = cpus("0-3");
    struct vp_plan *plan;

    policy.placement = VP_PLACE_SHARED;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_int_eq(vp_plan_resolve(plan, &pool, &pins), 0);
    ck_assert_uint_eq(pins.count, 5);
    assert_cpus(&vp_pins_find(&pins, VP_ROLE_VCPU, 3)->cpus, "0-3");
    vp_pins_clear(&pins);
    vp_plan_free(plan);
    /* numa = single keeps to the node with most of the pool */
    policy.numa = VP_NUMA_SINGLE;
    struct vp_holding holding = another("1-3", "");
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    pool = cpus("0,4-15");
    ck_assert_int_eq(vp_plan_resolve(plan, &pool, &pins), 0);
    assert_cpus(&vp_pins_find(&pins, VP_ROLE_VCPU, 0)->cpus, "4-7,12-15");
    assert_cpus(&plan->nodes, "1");
    vp_pins_clear(&pins);
    pool = cpus("0-3"); /* the node has none of it any more: the whole pool */
    ck_assert_int_eq(vp_plan_resolve(plan, &pool, &pins), 0);
    assert_cpus(&vp_pins_find(&pins, VP_ROLE_VCPU, 0)->cpus, "0-3");
    vp_pins_clear(&pins);
    vp_plan_free(plan);
}
END_TEST

START_TEST(empty_pool_is_refused)
{
    struct vp_holding holding = another("0-15", "");

    policy.placement = VP_PLACE_SHARED;
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "shared pool is empty"));
}
END_TEST

START_TEST(none_wants_nothing)
{
    struct vp_plan *plan;

    policy.placement = VP_PLACE_NONE;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    ck_assert_uint_eq(plan->want_count, 0);
    vp_plan_free(plan);
}
END_TEST

static struct vp_vcpupin pinned[4];

static void make_fixed(const char *a, const char *b, const char *c, const char *d)
{
    const char *text[] = {a, b, c, d};

    for (int i = 0; i < 4; i++) {
        pinned[i] = (struct vp_vcpupin){.cpus = cpus(text[i])};
        vp_cpuset_add(&pinned[i].vcpus, i);
    }
    policy.placement = VP_PLACE_FIXED;
    policy.vcpupin = pinned;
    policy.vcpupin_count = 4;
}

START_TEST(fixed_as_written)
{
    struct vp_plan *plan;

    make_fixed("2", "3", "4-5", "4-5");
    policy.emulator = (struct vp_place_where){.where = VP_WHERE_LIST, .cpus = cpus("0-1")};
    domain.iothread = (unsigned[]){1, 4};
    domain.iothread_count = 2;
    policy.iothreads.where = VP_WHERE_WITH_VCPUS;
    plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);
    assert_cpus(&vp_plan_find(plan, VP_ROLE_VCPU, 2)->cpus, "4-5");
    assert_cpus(&vp_plan_find(plan, VP_ROLE_EMULATOR, 0)->cpus, "0-1");
    assert_cpus(&vp_plan_find(plan, VP_ROLE_IOTHREAD, 4)->cpus, "2-5");
    assert_cpus(&plan->fixed_cpus, "0-5");
    ck_assert(vp_cpuset_empty(&plan->vcpu_cpus));
    /* workers and helpers go where the emulator goes */
    assert_cpus(&vp_plan_want(plan, VP_ROLE_WORKER, 7)->cpus, "0-1");
    vp_plan_free(plan);
    domain.iothread_count = 0;
}
END_TEST

START_TEST(fixed_refusals)
{
    struct vp_holding holding = another("3", "");

    make_fixed("2", "3", "4", "99");
    plan_with(NULL, 0, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "CPU 99"));
    make_fixed("2", "3", "4", "5");
    plan_with(&holding, 1, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "dedicated to another guest"));
    set->host.reserved = cpus("5");
    plan_with(NULL, 0, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "reserved"));
    set->host.reserved = cpus("");
    domain.vcpus = 5;
    plan_with(NULL, 0, NULL, VP_PLAN_REFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, "up to 5 vCPUs"));
}
END_TEST

START_TEST(kept_cpus_stay)
{
    static const int keep[] = {3, 11, 2, 10, -1, -1};
    struct vp_holding holding = another("3", "");
    struct vp_plan *plan = plan_with(NULL, 0, keep, VP_PLAN_OK);

    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(vp_cpuset_next(&vp_plan_find(plan, VP_ROLE_VCPU, i)->cpus, -1), keep[i]);
    vp_plan_free(plan);
    plan_with(&holding, 1, keep, VP_PLAN_REFUSED); /* CPU 3 is another's now */
    policy.thread_policy = VP_THREADS_ISOLATE;     /* two vCPUs on one core */
    plan_with(NULL, 0, keep, VP_PLAN_REFUSED);
}
END_TEST

START_TEST(kept_isolate_keeps_idle_siblings)
{
    static const int keep[] = {1, 2, 3, 12, -1, -1};
    struct vp_plan *plan;

    policy.thread_policy = VP_THREADS_ISOLATE;
    plan = plan_with(NULL, 0, keep, VP_PLAN_OK);
    assert_cpus(&plan->vcpu_cpus, "1-3,12");
    assert_cpus(&plan->idle_cpus, "4,9-11");
    vp_plan_free(plan);
}
END_TEST

START_TEST(text_round_trip)
{
    struct vp_holding holding = another("1", "2");
    struct vp_plan *plan, *again;
    char *text, *same;

    policy.emulator.where = VP_WHERE_ISOLATE;
    domain.iothread = (unsigned[]){1};
    domain.iothread_count = 1;
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    domain.iothread_count = 0;
    text = vp_plan_print(plan);
    ck_assert_msg(vp_plan_parse(text, &again, &err) == 0, "%s", err.text);
    same = vp_plan_print(again);
    ck_assert_str_eq(text, same);
    ck_assert(vp_cpuset_equal(&plan->emulator_cpus, &again->emulator_cpus));
    ck_assert_uint_eq(again->want_count, plan->want_count);
    free(text);
    free(same);
    vp_plan_free(plan);
    vp_plan_free(again);
}
END_TEST

START_TEST(for_want_of_room)
{
    struct vp_holding holding = another("0-7,9-15", "");
    struct vp_plan *plan = plan_with(NULL, 0, NULL, VP_PLAN_OK);

    ck_assert(!vp_plan_without_room(plan));
    vp_plan_free(plan);
    policy.on_no_room = VP_VERDICT_SHARED;
    plan = plan_with(&holding, 1, NULL, VP_PLAN_OK);
    ck_assert(vp_plan_without_room(plan));
    vp_plan_free(plan);
}
END_TEST

START_TEST(text_refusals)
{
    static const char *const bad[] = {
        "",
        "virtpin plan 2\npolicy p\n",
        "virtpin plan 1\n",
        "virtpin plan 1\npolicy p\nmode x\n",
        "virtpin plan 1\npolicy p\nwant vcpu 0 maybe\n",
        "virtpin plan 1\npolicy p\nwant cpu 0 set 1\n",
        "virtpin plan 1\npolicy p\nvcpu 1-\n",
        "virtpin plan 1\nnonsense\n",
    };
    struct vp_plan *plan = NULL;

    ck_assert_int_eq(vp_plan_parse(bad[_i], &plan, &err), -1);
    ck_assert_ptr_null(plan);
    ck_assert_ptr_nonnull(strstr(err.text, " "));
}
END_TEST

START_TEST(text_of_a_later_minor_is_read)
{
    struct vp_plan *plan = NULL;

    ck_assert_int_eq(vp_plan_parse("virtpin plan 1\npolicy p\nvhost-cpus 4\nvcpu 2\n", &plan, &err),
                     0);
    assert_cpus(&plan->vcpu_cpus, "2");
    vp_plan_free(plan);
}
END_TEST

/* Two and one, though by now no node but the first could bear two. */
START_TEST(spread_keeps_its_shares)
{
    static const int even[] = {1, 2, 4, -1};
    struct vp_holding holding = another("5-7,12-15", "");
    struct vp_plan *plan;

    policy.numa = VP_NUMA_SPREAD;
    domain.vcpus = 3;
    plan = plan_with(&holding, 1, even, VP_PLAN_OK);
    assert_cpus(&plan->vcpu_cpus, "1-2,4");
    vp_plan_free(plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan");
    TCase *core = tcase_create("core");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(core, setup, teardown);
    tcase_add_test(core, spread_keeps_its_shares);
    tcase_add_test(core, dedicated_books_one_cpu_each);
    tcase_add_test(core, others_are_never_taken);
    tcase_add_test(core, reserved_and_listed);
    tcase_add_test(core, isolated_cpus);
    tcase_add_test(core, pool_follows_bookings);
    tcase_add_test(core, shared_resolves_to_the_pool);
    tcase_add_test(core, empty_pool_is_refused);
    tcase_add_test(core, none_wants_nothing);
    tcase_add_test(core, fixed_as_written);
    tcase_add_test(core, fixed_refusals);
    tcase_add_test(core, kept_cpus_stay);
    tcase_add_test(core, kept_isolate_keeps_idle_siblings);
    tcase_add_test(core, text_round_trip);
    tcase_add_test(core, for_want_of_room);
    tcase_add_loop_test(core, text_refusals, 0, 8);
    tcase_add_test(core, text_of_a_later_minor_is_read);
    suite_add_tcase(suite, core);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
