/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/topology.h"

static struct vp_topology *draft(const struct vp_pu *pu, size_t count, size_t nodes)
{
    struct vp_topology *topology = vp_topology_new();

    ck_assert_ptr_nonnull(topology);
    topology->pu = calloc(count + 1, sizeof(*pu));
    topology->node = calloc(nodes + 1, sizeof(*topology->node));
    ck_assert(topology->pu && topology->node);
    memcpy(topology->pu, pu, count * sizeof(*pu));
    topology->count = count;
    topology->node_count = nodes;
    for (size_t i = 0; i < nodes; i++)
        topology->node[i].os = (int)i;
    return topology;
}

/* Two cores of two threads on node 0, one core on node 1, none on node 2;
 * numbers out of order. */
static const struct vp_pu odd[] = {
    {9, 0, 0, 0, 0, 1}, {3, 0, 0, 0, 0, 1},    {4, 1, 0, 0, 0, 1},
    {8, 1, 0, 0, 0, 1}, {8191, 2, 1, 1, 1, 0},
};

static struct vp_topology *odd_host(void)
{
    struct vp_topology *topology = draft(odd, 5, 3);
    struct vp_error err;

    topology->node[1].os = 7;
    topology->node[1].memory_kib = UINT64_C(1) << 40;
    topology->memory_known = true;
    ck_assert(vp_cpuset_parse(&topology->offline, "10-11", &err) == 0);
    ck_assert(vp_cpuset_parse(&topology->isolated, "4,8,11", &err) == 0);
    ck_assert_msg(vp_topology_build(topology, &err) == 0, "%s", err.text);
    return topology;
}

static void assert_set(const struct vp_cpuset *set, const char *text)
{
    VP_AUTO(free) char *found = vp_cpuset_format(set);

    ck_assert_str_eq(found, text);
}

START_TEST(build_derives)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = odd_host();

    ck_assert_uint_eq(topology->core_count, 3);
    ck_assert_uint_eq(topology->l3_count, 2);
    ck_assert_uint_eq(topology->package_count, 2);
    ck_assert_uint_eq(topology->kind_count, 2);
    ck_assert(topology->smt);
    assert_set(&topology->online, "3-4,8-9,8191");
    assert_set(&topology->core[0], "3,9");
    assert_set(&topology->core[1], "4,8");
    assert_set(&topology->l3[0], "3-4,8-9");
    assert_set(&topology->node[0].cpus, "3-4,8-9");
    assert_set(&topology->node[1].cpus, "8191");
    assert_set(&topology->node[2].cpus, "");
    ck_assert_int_eq(topology->pu[0].cpu, 3);
    ck_assert_int_eq(vp_topology_pu(topology, 9)->core, 0);
    ck_assert_int_eq(vp_topology_pu(topology, 8191)->node, 1);
    ck_assert_ptr_null(vp_topology_pu(topology, 10));
    ck_assert_ptr_null(vp_topology_pu(topology, -1));
    ck_assert_ptr_null(vp_topology_pu(topology, VP_CPU_MAX));
}
END_TEST

START_TEST(build_twice_is_the_same)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = odd_host();
    VP_AUTO(free) char *before = vp_topology_print(topology);
    VP_AUTO(free) char *after = NULL;

    ck_assert(vp_topology_build(topology, NULL) == 0);
    after = vp_topology_print(topology);
    ck_assert_str_eq(before, after);
    assert_set(&topology->node[0].cpus, "3-4,8-9");
}
END_TEST

START_TEST(one_thread_a_core_is_no_smt)
{
    static const struct vp_pu pu[] = {{0, 0, 0, 0, 0, 0}, {1, 1, 0, 0, 0, 0}};
    VP_AUTO(vp_topology) struct vp_topology *topology = draft(pu, 2, 1);

    ck_assert(vp_topology_build(topology, NULL) == 0);
    ck_assert(!topology->smt);
}
END_TEST

static const struct {
    struct vp_pu pu[2];
    size_t count, nodes;
    const char *says;
} bad_build[] = {
    {{{0}}, 0, 1, "without an online CPU"},
    {{{-1, 0, 0, 0, 0, 0}}, 1, 1, "CPU number -1"},
    {{{8192, 0, 0, 0, 0, 0}}, 1, 1, "CPU number 8192, legal 0 to 8191"},
    {{{3, 0, 0, 0, 0, 0}, {3, 1, 0, 0, 0, 0}}, 2, 1, "CPU 3 is listed twice"},
    {{{3, 0, 0, 1, 0, 0}}, 1, 1, "node index 1 of 1"},
    {{{3, 0, 0, -1, 0, 0}}, 1, 1, "node index -1"},
    {{{3, -1, 0, 0, 0, 0}}, 1, 1, "core -1"},
    {{{3, 0, 9000, 0, 0, 0}}, 1, 1, "L3 9000"},
    {{{3, 0, 0, 0, 0, 0}, {4, 0, 0, 1, 0, 0}}, 2, 2, "CPUs 3 and 4 are one core"},
    {{{3, 0, 0, 0, 0, 0}, {4, 0, 1, 0, 0, 0}}, 2, 2, "CPUs 3 and 4 are one core"},
};

START_TEST(build_refuses)
{
    VP_AUTO(vp_topology)
    struct vp_topology *topology =
        draft(bad_build[_i].pu, bad_build[_i].count, bad_build[_i].nodes);
    struct vp_error err = {VP_OK, ""};

    ck_assert_int_eq(vp_topology_build(topology, &err), -1);
    ck_assert_int_eq(err.code, VP_INPUT);
    ck_assert_msg(strstr(err.text, bad_build[_i].says) != NULL, "%s", err.text);
}
END_TEST

START_TEST(nodes_listed_twice)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = draft(odd, 5, 3);
    struct vp_error err = {VP_OK, ""};

    topology->node[2].os = 1;
    ck_assert_int_eq(vp_topology_build(topology, &err), -1);
    ck_assert_str_eq(err.text, "node 1 is listed twice");
}
END_TEST

static const char odd_text[] = "virtpin-topology 1\n"
                               "memory known\n"
                               "node 0 0\n"
                               "node 7 1099511627776\n"
                               "node 2 0\n"
                               "cpu 3 0 0 0 0 1\n"
                               "cpu 4 1 0 0 0 1\n"
                               "cpu 8 1 0 0 0 1\n"
                               "cpu 9 0 0 0 0 1\n"
                               "cpu 8191 2 1 1 1 0\n"
                               "offline 10-11\n"
                               "isolated 4,8,11\n"
                               "end\n";

START_TEST(print_and_parse)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = odd_host();
    VP_AUTO(vp_topology) struct vp_topology *again = NULL;
    VP_AUTO(free) char *text = vp_topology_print(topology);
    VP_AUTO(free) char *text_again = NULL;
    struct vp_error err;

    ck_assert_str_eq(text, odd_text);
    ck_assert_msg(vp_topology_parse(text, &again, &err) == 0, "%s", err.text);
    text_again = vp_topology_print(again);
    ck_assert_str_eq(text_again, text);
    ck_assert(again->memory_known && again->smt);
    ck_assert(again->node[1].memory_kib == UINT64_C(1) << 40);
    ck_assert_int_eq(again->node[1].os, 7);
    assert_set(&again->online, "3-4,8-9,8191");
    assert_set(&again->offline, "10-11");
    assert_set(&again->isolated, "4,8,11");
}
END_TEST

/* In odd_text `from` becomes `to`; line: where the error is, 0: anywhere. */
static const struct {
    const char *from, *to;
    int line;
} bad_text[] = {
    {"virtpin-topology 1\n", "virtpin-topology 2\n", 1},
    {"virtpin-topology 1\n", "", 1},
    {"memory known", "memory maybe", 2},
    {"node 0 0", "node  0 0", 3},
    {"node 0 0", "node 0", 3},
    {"node 0 0", "node 0 0 0", 3},
    {"node 0 0", "node 00 0", 3},
    {"node 0 0", "node 8192 0", 3},
    {"node 0 0", "node -1 0", 3},
    {"node 7 1099511627776", "node 7 18446744073709551616", 4},
    {"node 2 0", "node 7 0", 0},
    {"cpu 3 0 0 0 0 1", "cpu 3 0 0 0 0", 6},
    {"cpu 3 0 0 0 0 1", "cpu 3 0 0 0 0 1 1", 6},
    {"cpu 3 0 0 0 0 1", "cpu 3 0 0 0 0 1 ", 6},
    {"cpu 3 0 0 0 0 1", "cpu 3 0 0 5 0 1", 0},
    {"cpu 3 0 0 0 0 1", "cpu 4 0 0 0 0 1", 0},
    {"cpu 3 0 0 0 0 1", "cpu +3 0 0 0 0 1", 6},
    {"cpu 3 0 0 0 0 1", "cpu 0x3 0 0 0 0 1", 6},
    {"cpu 9 0", "cpu 5 0", 0},
    {"offline 10-11", "offline 10,11", 11},
    {"offline 10-11", "offline 11-10", 11},
    {"offline 10-11", "offline ^3", 11},
    {"isolated 4,8,11", "isolated 8,4,11", 12},
    {"isolated 4,8,11", "isolated", 12},
    {"end\n", "end", 13},
    {"end\n", "", 13},
    {"end\n", "end\nend\n", 14},
};

START_TEST(parse_refuses)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    const char *from = bad_text[_i].from, *hit = strstr(odd_text, from);
    char text[1024], line[32];
    struct vp_error err = {VP_OK, ""};

    ck_assert_ptr_nonnull(hit);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(hit - odd_text), odd_text, bad_text[_i].to,
             hit + strlen(from));
    ck_assert_int_eq(vp_topology_parse(text, &topology, &err), -1);
    ck_assert_ptr_null(topology);
    ck_assert_int_eq(err.code, VP_INPUT);
    snprintf(line, sizeof(line), "line %d:", bad_text[_i].line);
    ck_assert_msg(bad_text[_i].line == 0 || strstr(err.text, line) != NULL, "%s", err.text);
}
END_TEST

START_TEST(parse_refuses_every_cut)
{
    for (size_t length = 0; length + 1 < sizeof(odd_text); length++) {
        struct vp_topology *topology = NULL;
        char text[sizeof(odd_text)];

        memcpy(text, odd_text, length);
        text[length] = '\0';
        ck_assert_int_eq(vp_topology_parse(text, &topology, NULL), -1);
    }
}
END_TEST

START_TEST(free_nothing)
{
    vp_topology_free(NULL);
    vp_topology_free(vp_topology_new());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topology");
    TCase *build = tcase_create("build"), *text = tcase_create("text");
    SRunner *runner;
    int failed;

    tcase_add_test(build, build_derives);
    tcase_add_test(build, build_twice_is_the_same);
    tcase_add_test(build, one_thread_a_core_is_no_smt);
    tcase_add_loop_test(build, build_refuses, 0, sizeof(bad_build) / sizeof(bad_build[0]));
    tcase_add_test(build, nodes_listed_twice);
    tcase_add_test(build, free_nothing);
    tcase_add_test(text, print_and_parse);
    tcase_add_loop_test(text, parse_refuses, 0, sizeof(bad_text) / sizeof(bad_text[0]));
    tcase_add_test(text, parse_refuses_every_cut);
    suite_add_tcase(suite, build);
    suite_add_tcase(suite, text);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
