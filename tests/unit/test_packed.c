/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdlib.h>

#include "enforcer/packed.c"

static void add(struct vp_pins *pins, enum vp_role role, unsigned index, int first, int last)
{
    struct vp_cpuset cpus = {0};

    if (first >= 0)
        vp_cpuset_add_range(&cpus, first, last);
    ck_assert_int_eq(vp_pins_add(pins, role, index, &cpus), 0);
}

static void assert_same(const struct vp_pins *a, const struct vp_pins *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        ck_assert_int_eq(a->item[i].role, b->item[i].role);
        ck_assert_uint_eq(a->item[i].index, b->item[i].index);
        ck_assert(vp_cpuset_equal(&a->item[i].cpus, &b->item[i].cpus));
    }
}

START_TEST(pins_come_back)
{
    struct vp_packed packed = {0};
    struct vp_pins pins = {0}, got;

    ck_assert_int_eq(vp_packed_set(&packed, &pins), 0);
    ck_assert_int_eq(vp_packed_get(&packed, &got), 0);
    ck_assert_uint_eq(got.count, 0);
    add(&pins, VP_ROLE_VCPU, 0, 0, 0);
    add(&pins, VP_ROLE_VCPU, 1, 63, 64);
    add(&pins, VP_ROLE_EMULATOR, 0, -1, -1);
    add(&pins, VP_ROLE_IOTHREAD, 4000000000u, 0, VP_CPU_MAX - 1);
    add(&pins, VP_ROLE_VCPU, 8191, VP_CPU_MAX - 1, VP_CPU_MAX - 1);
    ck_assert_int_eq(vp_packed_set(&packed, &pins), 0);
    ck_assert_int_eq(vp_packed_get(&packed, &got), 0);
    assert_same(&got, &pins);
    /* what came back can be added to, as any list */
    for (unsigned i = 0; i < 20; i++) {
        add(&got, VP_ROLE_WORKER, i, (int)i, (int)i);
        add(&pins, VP_ROLE_WORKER, i, (int)i, (int)i);
    }
    assert_same(&got, &pins);
    vp_pins_clear(&got);
    vp_pins_clear(&pins);
    vp_packed_clear(&packed);
    ck_assert_uint_eq(packed.size, 0);
}
END_TEST

static struct vp_cpuset range(int first, int last)
{
    struct vp_cpuset cpus = {0};

    if (first >= 0)
        vp_cpuset_add_range(&cpus, first, last);
    return cpus;
}

/* What is kept of a plan resolves as the plan does, whatever the pool has become. */
START_TEST(wants_resolve_as_the_plans)
{
    struct vp_want want[] = {
        {VP_ROLE_VCPU, 0, VP_WANT_SET, range(5, 5)},
        {VP_ROLE_VCPU, 1, VP_WANT_POOL, range(-1, -1)},
        {VP_ROLE_VCPU, 2, VP_WANT_POOL, range(2, 3)},
        {VP_ROLE_EMULATOR, 0, VP_WANT_BOTH, range(8191, 8191)},
        {VP_ROLE_IOTHREAD, 7, VP_WANT_NOTHING, range(-1, -1)},
        {VP_ROLE_IOTHREAD, 4000000000u, VP_WANT_SET, range(63, 64)},
    };
    const struct vp_plan plan = {.want = want, .want_count = sizeof(want) / sizeof(want[0])};
    const struct vp_cpuset pools[] = {range(0, 3), range(0, 1), range(-1, -1), range(100, 8191)};
    struct vp_packed packed = {0};

    ck_assert_int_eq(vp_packed_wants(&packed, &plan), 0);
    for (size_t i = 0; i < sizeof(pools) / sizeof(pools[0]); i++) {
        struct vp_pins expected = {0}, got = {0};

        ck_assert_int_eq(vp_plan_resolve(&plan, &pools[i], &expected), 0);
        ck_assert_int_eq(vp_packed_resolve(&packed, &pools[i], &got), 0);
        assert_same(&got, &expected);
        vp_pins_clear(&got);
        vp_pins_clear(&expected);
    }
    ck_assert_int_eq(vp_packed_wants(&packed, NULL), 0);
    ck_assert_uint_eq(packed.count, 0);
    vp_packed_clear(&packed);
}
END_TEST

/* A guest with 16 threads on a host of 128 CPUs. */
START_TEST(packed_is_small)
{
    struct vp_packed packed = {0};
    struct vp_pins pins = {0};

    for (unsigned i = 0; i < 16; i++)
        add(&pins, VP_ROLE_VCPU, i, 127, 127);
    ck_assert_int_eq(vp_packed_set(&packed, &pins), 0);
    ck_assert_uint_le(packed.size, 512);
    vp_pins_clear(&pins);
    vp_packed_clear(&packed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("packed");
    TCase *tcase = tcase_create("pins");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_add_test(tcase, pins_come_back);
    tcase_add_test(tcase, packed_is_small);
    tcase_add_test(tcase, wants_resolve_as_the_plans);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
