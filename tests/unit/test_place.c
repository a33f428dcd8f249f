/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What an operator may expect of a placement, by example; that it is the best
 * of all is test_place_oracle's matter. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/place.h"

/* nodes x L3s x cores x threads. apart: a core's threads are numbered
 * c, c + cores, ... as firmware mostly does; else side by side. */
struct machine {
    int nodes, l3s, cores, threads;
    bool apart;
};

static struct vp_topology *make(const struct machine *machine)
{
    struct vp_topology *topology = vp_topology_new();
    int cores = machine->nodes * machine->l3s * machine->cores;
    struct vp_error err;

    ck_assert_ptr_nonnull(topology);
    topology->count = (size_t)(cores * machine->threads);
    topology->node_count = (size_t)machine->nodes;
    topology->pu = calloc(topology->count, sizeof(*topology->pu));
    topology->node = calloc(topology->node_count, sizeof(*topology->node));
    ck_assert(topology->pu && topology->node);
    for (int i = 0; i < machine->nodes; i++)
        topology->node[i].os = i;
    for (int core = 0; core < cores; core++)
        for (int t = 0; t < machine->threads; t++)
            topology->pu[core * machine->threads + t] = (struct vp_pu){
                .cpu = machine->apart ? core + t * cores : core * machine->threads + t,
                .core = core,
                .l3 = core / machine->cores,
                .node = core / machine->cores / machine->l3s};
    ck_assert_msg(vp_topology_build(topology, &err) == 0, "%s", err.text);
    return topology;
}

struct wish {
    struct machine machine;
    const char *usable; /* NULL: all */
    unsigned vcpus;
    enum vp_thread_policy policy;
    enum vp_numa numa;
    unsigned emulator, iothreads, guest_threads;
    const char *cells[4];
    const char *first, *pool; /* pool: it is in use */
};

static struct vp_cpuset list(const char *text)
{
    struct vp_cpuset set = {0};

    if (text)
        ck_assert_int_eq(vp_cpuset_parse(&set, text, NULL), 0);
    return set;
}

static int call(const struct wish *wish, struct vp_place_answer *answer)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = make(&wish->machine);
    struct vp_guest_cell cell[4] = {{0}};
    struct vp_place_host host = {.topology = topology,
                                 .usable = wish->usable ? list(wish->usable) : topology->online,
                                 .first = list(wish->first),
                                 .pool = list(wish->pool),
                                 .pool_needed = wish->pool != NULL};
    struct vp_place_request request = {.vcpus = wish->vcpus,
                                       .thread_policy = wish->policy,
                                       .numa = wish->numa,
                                       .cell = cell,
                                       .guest_threads =
                                           wish->guest_threads ? wish->guest_threads : 1,
                                       .emulator_isolate = wish->emulator > 0,
                                       .iothreads_isolate = wish->iothreads};

    for (; request.cell_count < 4 && wish->cells[request.cell_count]; request.cell_count++) {
        cell[request.cell_count].id = (unsigned)request.cell_count;
        cell[request.cell_count].vcpus = list(wish->cells[request.cell_count]);
    }
    return vp_place(&host, &request, answer);
}

/* "vcpus 0 4; emulator 1; iothreads 5; idle 2-3; nodes 0", absent parts left out. */
static char *describe(const struct vp_place_answer *answer, const struct wish *wish)
{
    VP_AUTO(free) char *idle = vp_cpuset_format(&answer->idle);
    VP_AUTO(free) char *nodes = vp_cpuset_format(&answer->nodes);
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    ck_assert_ptr_nonnull(out);
    fprintf(out, "vcpus");
    for (unsigned v = 0; v < wish->vcpus; v++)
        fprintf(out, " %d", answer->vcpu[v]);
    if (answer->emulator >= 0)
        fprintf(out, "; emulator %d", answer->emulator);
    for (unsigned i = 0; i < wish->iothreads; i++)
        fprintf(out, "%s %d", i == 0 ? "; iothreads" : "", answer->iothread[i]);
    if (idle[0] != '\0')
        fprintf(out, "; idle %s", idle);
    fprintf(out, "; nodes %s", nodes);
    fclose(out);
    return text;
}

#define PREFER VP_THREADS_PREFER
#define REQUIRE VP_THREADS_REQUIRE
#define ISOLATE VP_THREADS_ISOLATE
#define SINGLE VP_NUMA_SINGLE
#define FEWEST VP_NUMA_FEWEST
#define ANY VP_NUMA_ANY

static const struct {
    struct wish wish;
    const char *answer;
} placed[] = {
    /* siblings together, whatever their numbers */
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 4}, "vcpus 0 4 1 5; nodes 0"},
    {{.machine = {1, 1, 4, 2, false}, .vcpus = 4}, "vcpus 0 1 2 3; nodes 0"},
    {{.machine = {1, 1, 2, 4, false}, .vcpus = 6}, "vcpus 0 1 2 3 4 5; nodes 0"},
    /* whole cores before halves beside another guest; one core is broken at most */
    {{.machine = {1, 1, 8, 2, true}, .usable = "0-7,12-15", .vcpus = 4},
     "vcpus 4 12 5 13; nodes 0"},
    {{.machine = {1, 1, 8, 2, true}, .usable = "0-7,12-15", .vcpus = 3}, "vcpus 4 12 5; nodes 0"},
    /* no whole core left: any CPU, also a lone one */
    {{.machine = {1, 1, 4, 2, true}, .usable = "1,6,7", .vcpus = 3}, "vcpus 1 6 7; nodes 0"},
    /* one L3 where one suffices, the fullest node stays whole for a larger guest */
    {{.machine = {1, 2, 4, 2, false}, .usable = "2-15", .vcpus = 8},
     "vcpus 8 9 10 11 12 13 14 15; nodes 0"},
    {{.machine = {2, 1, 4, 2, false}, .usable = "0-3,8-15", .vcpus = 4}, "vcpus 0 1 2 3; nodes 0"},
    /* nodes */
    {{.machine = {2, 1, 4, 2, false}, .usable = "4-15", .vcpus = 8, .numa = SINGLE},
     "vcpus 8 9 10 11 12 13 14 15; nodes 1"},
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 6, .numa = FEWEST}, "vcpus 0 1 2 3 4 5; nodes 0-1"},
    {{.machine = {4, 1, 2, 2, false}, .usable = "0,4,5,8-15", .vcpus = 6, .numa = ANY},
     "vcpus 4 5 8 9 10 11; nodes 1-2"},
    /* require: whole cores, the remainder idle; extra threads on cores of their own */
    {{.machine = {1, 1, 4, 2, true}, .usable = "0-3,5-7", .vcpus = 3, .policy = REQUIRE},
     "vcpus 1 5 2; idle 6; nodes 0"},
    {{.machine = {1, 1, 4, 2, false}, .vcpus = 3, .policy = REQUIRE, .emulator = 1, .iothreads = 1},
     "vcpus 0 1 2; emulator 4; iothreads 6; idle 3,5,7; nodes 0"},
    /* isolate: a core each, siblings idle; without SMT just CPUs */
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 2, .policy = ISOLATE, .emulator = 1},
     "vcpus 0 1; emulator 2; idle 4-6; nodes 0"},
    {{.machine = {1, 1, 4, 1, false}, .vcpus = 3, .policy = ISOLATE}, "vcpus 0 1 2; nodes 0"},
    /* extra threads on a node of the guest */
    {{.machine = {2, 1, 2, 2, false}, .usable = "1-7", .vcpus = 3, .numa = SINGLE, .emulator = 1},
     "vcpus 4 5 6; emulator 7; nodes 1"},
    /* guest cores stay together where the host's cores have room for them */
    {{.machine = {1, 1, 4, 2, false}, .usable = "1-5", .vcpus = 5, .guest_threads = 2},
     "vcpus 2 3 4 5 1; nodes 0"},
    {{.machine = {1, 1, 2, 4, false}, .usable = "0-2,4-7", .vcpus = 6, .guest_threads = 2},
     "vcpus 4 5 6 7 0 1; nodes 0"},
    /* preferred CPUs come first */
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 2, .first = "2-3"}, "vcpus 2 3; nodes 0"},
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 3, .first = "3,7"}, "vcpus 3 7 0; nodes 0"},
    /* cells: each on a node of its own, larger cells where they fit */
    {{.machine = {2, 1, 2, 2, false},
      .usable = "0-1,4-7",
      .vcpus = 5,
      .numa = SINGLE,
      .cells = {"0-2", "3-4"}},
     "vcpus 4 5 6 0 1; nodes 0-1"},
    {{.machine = {4, 1, 4, 1, false},
      .usable = "0,2-7,9-10,12-13",
      .vcpus = 4,
      .numa = SINGLE,
      .cells = {"0", "1-3"}},
     "vcpus 9 0 2 3; nodes 0,2"},
    /* one that nothing says about counts to the first cell */
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 4, .numa = FEWEST, .cells = {"0", "2"}},
     "vcpus 0 1 4 2; nodes 0-1"},
    /* fewest: apart, else whole, else cut */
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 4, .numa = FEWEST, .cells = {"0-1", "2-3"}},
     "vcpus 0 1 4 5; nodes 0-1"},
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 6, .numa = FEWEST, .cells = {"0-1", "2-3", "4-5"}},
     "vcpus 0 1 4 5 2 3; nodes 0-1"},
    {{.machine = {2, 1, 2, 2, false},
      .usable = "0-2,4-6",
      .vcpus = 6,
      .numa = FEWEST,
      .cells = {"0-1", "2-3", "4-5"}},
     "vcpus 0 1 2 4 5 6; nodes 0-1"},
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 4, .numa = ANY, .cells = {"0-1", "2-3"}},
     "vcpus 0 1 2 3; nodes 0"},
    /* the emulator goes with the first cell that has room for it */
    {{.machine = {2, 1, 2, 2, false},
      .usable = "0-6",
      .vcpus = 6,
      .numa = SINGLE,
      .emulator = 1,
      .cells = {"0-2", "3-5"}},
     "vcpus 0 1 2 4 5 6; emulator 3; nodes 0-1"},
    /* someone uses the pool: one CPU of it is left */
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 6, .pool = "0-1,4-5"}, "vcpus 0 4 2 6 3 7; nodes 0"},
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 2, .pool = "0,4"}, "vcpus 1 5; nodes 0"},
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 7, .pool = "0"}, "vcpus 1 5 2 6 3 7 4; nodes 0"},
};

START_TEST(places)
{
    const struct wish *wish = &placed[_i].wish;
    struct vp_place_answer answer;
    VP_AUTO(free) char *text = NULL;
    int result = call(wish, &answer);

    ck_assert_msg(result == 0, "%d: refused: %s", _i, answer.why);
    text = describe(&answer, wish);
    ck_assert_msg(strcmp(text, placed[_i].answer) == 0, "%d: %s, expected %s", _i, text,
                  placed[_i].answer);
    ck_assert_int_eq(answer.limit, VP_LIMIT_NONE);
    vp_place_clear(&answer);
}
END_TEST

static const struct {
    struct wish wish;
    enum vp_limit limit;
    unsigned short_by;
    const char *why, *help;
} refused[] = {
    {{.machine = {1, 1, 4, 2, false}, .usable = "0-4", .vcpus = 8},
     VP_LIMIT_CPUS,
     3,
     "needs 8 dedicated CPUs, 5 are free",
     "at most 5 vCPUs"},
    {{.machine = {2, 1, 2, 2, false}, .usable = "0-2,4", .vcpus = 5, .numa = SINGLE},
     VP_LIMIT_CPUS,
     1,
     "needs 5 dedicated CPUs, 4 are free: node 0 has 3 free, node 1 has 1",
     "at most 3 vCPUs"},
    {{.machine = {2, 1, 4, 2, false}, .usable = "0-5,8-11", .vcpus = 8, .numa = SINGLE},
     VP_LIMIT_NODE,
     2,
     "needs 8 dedicated CPUs on one node; node 0 has 6 free, node 1 has 4",
     "numa = fewest"},
    {{.machine = {2, 1, 2, 2, false}, .vcpus = 4, .numa = SINGLE, .emulator = 1},
     VP_LIMIT_NODE,
     1,
     "needs 5 dedicated CPUs (4 vCPUs, 1 emulator or I/O thread) on one node; "
     "node 0 has 4 free, node 1 has 4",
     "numa = fewest"},
    {{.machine = {1, 1, 2, 2, false}, .vcpus = 4, .emulator = 1},
     VP_LIMIT_CPUS,
     1,
     "needs 5 dedicated CPUs (4 vCPUs, 1 emulator or I/O thread), 4 are free",
     "emulator = shared"},
    {{.machine = {1, 1, 2, 2, false}, .vcpus = 4, .iothreads = 2},
     VP_LIMIT_CPUS,
     2,
     "2 emulator or I/O threads), 4 are free",
     "iothreads = with-emulator"},
    {{.machine = {1, 1, 4, 2, true}, .usable = "0-6", .vcpus = 7, .policy = REQUIRE},
     VP_LIMIT_CORES,
     1,
     "needs 4 wholly free cores (7 vCPUs), 3 are free; 1 free CPU is on cores in part use",
     "thread-policy = prefer"},
    {{.machine = {1, 1, 4, 2, true}, .vcpus = 5, .policy = ISOLATE},
     VP_LIMIT_CORES,
     1,
     "needs 5 wholly free cores, 4 are free",
     "thread-policy = require"},
    {{.machine = {1, 1, 4, 1, true}, .vcpus = 2, .policy = REQUIRE},
     VP_LIMIT_CORES,
     2,
     "no core of this host has more than one thread",
     "thread-policy = prefer"},
    {{.machine = {2, 1, 2, 2, false},
      .usable = "0-4",
      .vcpus = 4,
      .numa = SINGLE,
      .cells = {"0-1", "2-3"}},
     VP_LIMIT_NODE,
     1,
     "2 guest NUMA cells need a node each, one of them with 2 dedicated CPUs; "
     "node 0 has 4 free, node 1 has 1",
     "numa = fewest"},
    {{.machine = {1, 1, 4, 2, false}, .vcpus = 4, .numa = SINGLE, .cells = {"0-1", "2-3"}},
     VP_LIMIT_NODE,
     2,
     "2 guest NUMA cells need a node each",
     "numa = fewest"},
    {{.machine = {1, 1, 2, 2, false}, .vcpus = 4, .pool = "0-1"},
     VP_LIMIT_SHARED,
     1,
     "the last CPU of the shared pool",
     "at most 3 vCPUs"},
    {{.machine = {2, 1, 1, 2, false}, .vcpus = 1, .emulator = 1, .iothreads = 2},
     VP_LIMIT_NODE,
     2,
     "with emulator and I/O threads on nodes of its vCPUs",
     "iothreads = with-emulator"},
    {{.machine = {1, 1, 2, 2, false}, .usable = "0", .vcpus = 9000 - 808},
     VP_LIMIT_CPUS,
     8191,
     "needs 8192 dedicated CPUs, 1 is free",
     "at most 1 vCPU"},
};

START_TEST(refuses)
{
    const struct wish *wish = &refused[_i].wish;
    struct vp_place_answer answer;

    ck_assert_int_eq(call(wish, &answer), 1);
    ck_assert_msg(strstr(answer.why, refused[_i].why) != NULL, "%d: %s", _i, answer.why);
    ck_assert_str_eq(vp_limit_word(answer.limit), vp_limit_word(refused[_i].limit));
    ck_assert_uint_eq(answer.short_by, refused[_i].short_by);
    ck_assert_str_eq(answer.help, refused[_i].help);
    ck_assert_ptr_null(answer.vcpu);
    ck_assert_ptr_null(answer.iothread);
    vp_place_clear(&answer);
}
END_TEST

START_TEST(nothing_is_usable)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = make(&(struct machine){2, 1, 2, 2, false});
    struct vp_place_host host = {.topology = topology};

    for (int policy = PREFER; policy <= ISOLATE; policy++) {
        struct vp_place_request request = {.vcpus = 1,
                                           .thread_policy = (enum vp_thread_policy)policy};
        struct vp_place_answer answer;

        ck_assert_int_eq(vp_place(&host, &request, &answer), 1);
        ck_assert_uint_eq(answer.short_by, 1);
        ck_assert_str_eq(answer.help, "");
        vp_place_clear(&answer);
    }
}
END_TEST

START_TEST(same_input_same_answer)
{
    const struct wish wish = {.machine = {4, 2, 4, 2, true},
                              .usable = "1-20,33-50,60-63",
                              .vcpus = 21,
                              .emulator = 1,
                              .guest_threads = 2};
    struct vp_place_answer a, b;

    ck_assert_int_eq(call(&wish, &a), 0);
    ck_assert_int_eq(call(&wish, &b), 0);
    VP_AUTO(free) char *one = describe(&a, &wish);
    VP_AUTO(free) char *two = describe(&b, &wish);
    ck_assert_str_eq(one, two);
    vp_place_clear(&a);
    vp_place_clear(&b);
}
END_TEST

/* ---- the largest hosts: an answer comes, and in bounded time ---- */

static const struct machine large[] = {
    {128, 1, 32, 2, true}, {1, 1, 4096, 2, true},  {2, 256, 8, 2, false},
    {16, 8, 8, 8, true},   {1, 1, 1, 8192, false}, {1024, 1, 4, 2, false},
};

static void check_distinct(const struct vp_place_answer *answer, unsigned vcpus,
                           const struct vp_cpuset *usable)
{
    struct vp_cpuset seen = {0};

    for (unsigned v = 0; v < vcpus; v++) {
        ck_assert(vp_cpuset_has(usable, answer->vcpu[v]));
        ck_assert(!vp_cpuset_has(&seen, answer->vcpu[v]));
        vp_cpuset_add(&seen, answer->vcpu[v]);
    }
    ck_assert(vp_cpuset_within(&seen, &answer->taken));
    ck_assert(vp_cpuset_within(&answer->taken, usable));
}

START_TEST(large_hosts)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = make(&large[_i / 3]);
    struct vp_place_host host = {.topology = topology, .usable = topology->online};
    static const unsigned sizes[] = {1, 100, 3000, 8192};
    unsigned random = 1;

    /* Two thirds of the CPUs, in no order. */
    for (int cpu = 0; cpu < VP_CPU_MAX; cpu++) {
        random = random * 1103515245 + 12345;
        if (_i % 3 == 1 && (random >> 16) % 3 == 0)
            vp_cpuset_remove(&host.usable, cpu);
        if (_i % 3 == 2 && (random >> 16) % 3 == 0)
            vp_cpuset_add(&host.first, cpu);
    }
    for (size_t i = 0; i < 4 * 3; i++) {
        struct vp_place_request request = {.vcpus = sizes[i % 4],
                                           .thread_policy = (enum vp_thread_policy)(i / 4),
                                           .iothreads_isolate = i == 5 ? 3 : 0};
        struct vp_place_answer answer;
        int result;

        if (request.vcpus >= 3000 && (_i % 3 == 2) == (request.vcpus == 8192))
            continue; /* these two take time */
        result = vp_place(&host, &request, &answer);
        if (request.thread_policy == PREFER && request.vcpus <= vp_cpuset_count(&host.usable))
            ck_assert_int_eq(result, 0);
        ck_assert_int_ge(result, 0);
        if (result == 0)
            check_distinct(&answer, request.vcpus, &host.usable);
        vp_place_clear(&answer);
    }
}
END_TEST

START_TEST(many_cells)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = make(&large[0]);
    struct vp_place_host host = {.topology = topology, .usable = topology->online};
    struct vp_guest_cell *cell = calloc(128, sizeof(*cell));
    struct vp_place_request request = {
        .numa = SINGLE, .cell = cell, .cell_count = 128, .iothreads_isolate = 2};
    struct vp_place_answer answer;

    ck_assert_ptr_nonnull(cell);
    for (int i = 0; i < 128; i++) {
        cell[i].id = (unsigned)i;
        vp_cpuset_add_range(&cell[i].vcpus, (int)request.vcpus, (int)request.vcpus + i % 64);
        request.vcpus += (unsigned)i % 64 + 1;
    }
    ck_assert_int_eq(vp_place(&host, &request, &answer), 0);
    check_distinct(&answer, request.vcpus, &host.usable);
    for (int i = 0; i < 128; i++) {
        int first = vp_cpuset_next(&cell[i].vcpus, -1), last = vp_cpuset_last(&cell[i].vcpus);

        ck_assert_int_eq(vp_topology_pu(topology, answer.vcpu[first])->node,
                         vp_topology_pu(topology, answer.vcpu[last])->node);
    }
    vp_place_clear(&answer);
    free(cell);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place");
    TCase *core = tcase_create("core"), *limits = tcase_create("limits");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(core, places, 0, sizeof(placed) / sizeof(placed[0]));
    tcase_add_loop_test(core, refuses, 0, sizeof(refused) / sizeof(refused[0]));
    tcase_add_test(core, nothing_is_usable);
    tcase_add_test(core, same_input_same_answer);
    tcase_set_timeout(limits, 120);
    tcase_add_loop_test(limits, large_hosts, 0, 3 * (int)(sizeof(large) / sizeof(large[0])));
    tcase_add_test(limits, many_cells);
    suite_add_tcase(suite, core);
    suite_add_tcase(suite, limits);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
