/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cpuset.h"
#include "decide/error.h"

static const struct {
    const char *text, *printed; /* printed NULL: an error */
} lists[] = {
    {"0", "0"},
    {"0-3,8,^2", "0-1,3,8"},
    {"3,2,1,0", "0-3"},
    {"5-5", "5"},
    {"0-3,2-6", "0-6"},
    {"^2,0-3", "0-3"},
    {"1,^1", ""},
    {"^9", ""},
    {"0-8191", "0-8191"},
    {"8191", "8191"},
    {"63-64,127-128", "63-64,127-128"},
    {"007", "7"},
    {"", NULL},
    {",", NULL},
    {"1,", NULL},
    {",1", NULL},
    {"1,,2", NULL},
    {"3-1", NULL},
    {"1-", NULL},
    {"-1", NULL},
    {"1 ,2", NULL},
    {" 1", NULL},
    {"1 ", NULL},
    {"+1", NULL},
    {"0x1", NULL},
    {"^", NULL},
    {"^1-2", NULL},
    {"1-^2", NULL},
    {"a", NULL},
    {"8192", NULL},
    {"0-8192", NULL},
    {"4294967296", NULL},
    {"99999999999999999999", NULL},
    {"1-2-3", NULL},
    {"1\n", NULL},
};

START_TEST(list)
{
    struct vp_cpuset set;
    struct vp_error err = {0};
    char *printed;

    memset(&set, 0xaa, sizeof(set));
    if (!lists[_i].printed) {
        struct vp_cpuset before = set;

        ck_assert_int_eq(vp_cpuset_parse(&set, lists[_i].text, &err), -1);
        ck_assert_int_eq(err.code, VP_INPUT);
        ck_assert_ptr_nonnull(strstr(err.text, lists[_i].text));
        ck_assert_ptr_nonnull(strstr(err.text, "0 to 8191"));
        ck_assert(vp_cpuset_equal(&set, &before));
        return;
    }
    ck_assert_int_eq(vp_cpuset_parse(&set, lists[_i].text, &err), 0);
    printed = vp_cpuset_format(&set);
    ck_assert_str_eq(printed, lists[_i].printed);
    free(printed);
}
END_TEST

static const struct {
    const char *text, *printed;
} kernel_lists[] = {
    {"0-3,8\n", "0-3,8"}, {"", ""},      {"\n", ""},     {"7", "7"},
    {"0-3,^2\n", NULL},   {"x\n", NULL}, {"0,\n", NULL}, {" \n", NULL},
};

START_TEST(kernel_list)
{
    struct vp_cpuset set;
    struct vp_error err = {0};
    char *printed;

    if (!kernel_lists[_i].printed) {
        ck_assert_int_eq(vp_cpuset_parse_kernel(&set, kernel_lists[_i].text, &err), -1);
        ck_assert_int_eq(err.code, VP_HOST);
        return;
    }
    ck_assert_int_eq(vp_cpuset_parse_kernel(&set, kernel_lists[_i].text, &err), 0);
    printed = vp_cpuset_format(&set);
    ck_assert_str_eq(printed, kernel_lists[_i].printed);
    free(printed);
}
END_TEST

START_TEST(outside_is_nothing)
{
    struct vp_cpuset set = {0};

    vp_cpuset_add(&set, -1);
    vp_cpuset_add(&set, VP_CPU_MAX);
    vp_cpuset_remove(&set, -1);
    vp_cpuset_remove(&set, VP_CPU_MAX);
    vp_cpuset_add_range(&set, 5, 3);
    ck_assert(vp_cpuset_empty(&set));
    ck_assert(!vp_cpuset_has(&set, -1));
    ck_assert(!vp_cpuset_has(&set, VP_CPU_MAX));
    vp_cpuset_add_range(&set, -7, 1);
    vp_cpuset_add_range(&set, 8190, 9000);
    ck_assert_uint_eq(vp_cpuset_count(&set), 4);
    ck_assert_int_eq(vp_cpuset_last(&set), 8191);
    ck_assert_int_eq(vp_cpuset_next(&set, 1), 8190);
    ck_assert_int_eq(vp_cpuset_next(&set, 8191), -1);
    ck_assert_int_eq(vp_cpuset_next(&set, 100000), -1);
}
END_TEST

START_TEST(algebra)
{
    struct vp_cpuset a, b, c;

    ck_assert_int_eq(vp_cpuset_parse(&a, "0-3,64-67", NULL), 0);
    ck_assert_int_eq(vp_cpuset_parse(&b, "2-5,67", NULL), 0);
    ck_assert(vp_cpuset_meets(&a, &b));
    ck_assert(!vp_cpuset_within(&b, &a));
    c = a;
    vp_cpuset_and(&c, &b);
    ck_assert_uint_eq(vp_cpuset_count(&c), 3);
    ck_assert(vp_cpuset_within(&c, &a) && vp_cpuset_within(&c, &b));
    c = a;
    vp_cpuset_minus(&c, &b);
    ck_assert(!vp_cpuset_meets(&c, &b));
    vp_cpuset_or(&c, &b);
    ck_assert(vp_cpuset_within(&a, &c) && vp_cpuset_within(&b, &c));
    ck_assert_uint_eq(vp_cpuset_count(&c), 10);
    c = (struct vp_cpuset){0};
    ck_assert(vp_cpuset_within(&c, &a));
    ck_assert(!vp_cpuset_meets(&c, &a));
    ck_assert_int_eq(vp_cpuset_next(&c, -1), -1);
    ck_assert_int_eq(vp_cpuset_last(&c), -1);
}
END_TEST

START_TEST(walk_visits_each_once)
{
    struct vp_cpuset set, seen = {0};

    ck_assert_int_eq(vp_cpuset_parse(&set, "0,31-33,63-65,4095-4097,8191", NULL), 0);
    for (int cpu = vp_cpuset_next(&set, -1); cpu >= 0; cpu = vp_cpuset_next(&set, cpu)) {
        ck_assert(!vp_cpuset_has(&seen, cpu));
        vp_cpuset_add(&seen, cpu);
    }
    ck_assert(vp_cpuset_equal(&set, &seen));
}
END_TEST

/* Every other CPU is the longest list there is; a small buffer cuts it and
 * the whole length is returned all the same. */
START_TEST(longest_print)
{
    static char whole[VP_CPUSET_TEXT], small[16];
    struct vp_cpuset set = {0}, again;
    size_t length;

    for (int cpu = 1; cpu < VP_CPU_MAX; cpu += 2)
        vp_cpuset_add(&set, cpu);
    length = vp_cpuset_print(&set, whole, sizeof(whole));
    ck_assert_uint_lt(length, sizeof(whole));
    ck_assert_uint_eq(strlen(whole), length);
    ck_assert_int_eq(vp_cpuset_parse(&again, whole, NULL), 0);
    ck_assert(vp_cpuset_equal(&set, &again));
    ck_assert_uint_eq(vp_cpuset_print(&set, small, sizeof(small)), length);
    ck_assert_uint_lt(strlen(small), sizeof(small));
    ck_assert_uint_eq(strncmp(small, whole, strlen(small)), 0);
    ck_assert_uint_eq(vp_cpuset_print(&set, NULL, 0), length);
}
END_TEST

/* Pairs print longer than singles: 0-1,3-4,... */
START_TEST(pairs_fit_too)
{
    static char whole[VP_CPUSET_TEXT];
    struct vp_cpuset set = {0};

    for (int cpu = 0; cpu + 1 < VP_CPU_MAX; cpu += 3)
        vp_cpuset_add_range(&set, cpu, cpu + 1);
    ck_assert_uint_lt(vp_cpuset_print(&set, whole, sizeof(whole)), sizeof(whole));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cpuset");
    TCase *core = tcase_create("core");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, core);
    tcase_add_loop_test(core, list, 0, sizeof(lists) / sizeof(lists[0]));
    tcase_add_loop_test(core, kernel_list, 0, sizeof(kernel_lists) / sizeof(kernel_lists[0]));
    tcase_add_test(core, outside_is_nothing);
    tcase_add_test(core, algebra);
    tcase_add_test(core, walk_visits_each_once);
    tcase_add_test(core, longest_print);
    tcase_add_test(core, pairs_fit_too);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
