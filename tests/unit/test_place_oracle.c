/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vp_place against an oracle that tries every set of CPUs. The oracle shares
 * no code with it: hosts are bit masks, costs are counted from the set chosen.
 *
 * Every host of up to 4 CPUs (any cut into cores, L3s and nodes) in every
 * state (each CPU booked, free, or free and preferred) with every request is
 * tried, then all hosts of 5 CPUs free or booked, then random ones of up to
 * 11. VIRTPIN_ORACLE_ROUNDS sets the number of random hosts. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/place.h"
#include "tests/unit/placeoracle.h"

struct state {
    const struct shape *shape;
    struct vp_topology *topology;
    unsigned usable, first, pool;
    bool pool_needed;
    bool smt;
};

/* ---- the oracle: every way to book ---- */

#define CELLS 3
struct wish {
    enum vp_thread_policy policy;
    enum vp_numa numa;
    unsigned vcpus, extras, cells;
    unsigned size[CELLS];
};

/* What a way offers on each node: room for vCPUs, extra threads of it. Under
 * prefer and isolate a unit serves either. */
struct way {
    unsigned booked;
    unsigned room[CPUS], extra[CPUS];
};

/* Whether cells first..last fit on the way's nodes, each node used by exactly
 * one; extras[j] says what cell j's node must bear, -1: anything. */
static bool cells_fit(const struct state *state, const struct wish *wish, const struct way *way,
                      const int *extras, unsigned cell, unsigned used, unsigned spent)
{
    const struct shape *shape = state->shape;

    if (cell == wish->cells) {
        for (int i = 0; i < shape->nodes; i++)
            if ((used >> i & 1) == 0 && (way->room[i] > 0 || way->extra[i] > 0))
                return false;
        return spent == wish->extras;
    }
    for (int i = 0; i < shape->nodes; i++) {
        unsigned room = way->room[i], bears = way->extra[i];

        if ((used >> i & 1) != 0 || room < wish->size[cell])
            continue;
        if (wish->policy != VP_THREADS_REQUIRE)
            bears = room - wish->size[cell];
        if (extras[cell] >= 0 && bears != (unsigned)extras[cell])
            continue;
        if (cells_fit(state, wish, way, extras, cell + 1, used | 1u << i, spent + bears))
            return true;
    }
    return false;
}

static bool whole_fits(const struct state *state, const struct wish *wish, const struct way *way)
{
    unsigned room = 0, extra = 0, nodes = 0;

    for (int i = 0; i < state->shape->nodes; i++) {
        if (way->extra[i] > 0 && way->room[i] == 0)
            return false;
        nodes += way->room[i] > 0;
        room += way->room[i];
        extra += way->extra[i];
    }
    if (nodes > wish->vcpus || (wish->numa == VP_NUMA_SINGLE && nodes > 1))
        return false;
    if (wish->policy == VP_THREADS_REQUIRE)
        return room >= wish->vcpus && extra == wish->extras;
    return room == wish->vcpus + wish->extras;
}

static bool pool_kept(const struct state *state, unsigned booked)
{
    return !state->pool_needed || state->pool == 0 || (state->pool & ~booked) != 0;
}

/* Turns digit 0, 1, 2 (left, vCPUs, extra) of each core, or bits of each CPU,
 * into a way; false if it is none. */
static bool make_way(const struct state *state, const struct wish *wish, unsigned code,
                     struct way *way)
{
    const struct shape *shape = state->shape;

    memset(way, 0, sizeof(*way));
    if (wish->policy == VP_THREADS_PREFER) {
        way->booked = code;
        for (int i = 0; i < shape->nodes; i++)
            way->room[i] = bits(code & shape->node_mask[i]);
        return (code & ~state->usable) == 0;
    }
    for (int c = 0; c < shape->cores; c++, code /= 3) {
        unsigned digit = code % 3, mask = shape->core_mask[c];

        if (digit == 0)
            continue;
        if ((mask & ~state->usable) != 0 || (digit == 2 && wish->policy == VP_THREADS_ISOLATE))
            return false;
        way->booked |= mask;
        if (digit == 2)
            way->extra[shape->node[c]]++;
        else
            way->room[shape->node[c]] += wish->policy == VP_THREADS_ISOLATE ? 1 : bits(mask);
    }
    return true;
}

static unsigned codes(const struct state *state, const struct wish *wish)
{
    unsigned count = 1;

    if (wish->policy == VP_THREADS_PREFER)
        return 1u << state->shape->cpus;
    for (int c = 0; c < state->shape->cores; c++)
        count *= 3;
    return count;
}

static cost way_cost(const struct state *state, const struct wish *wish, unsigned booked,
                     bool cells)
{
    struct vp_place_request request = {.thread_policy = wish->policy};
    struct terms terms = {
        .request = &request, .usable = state->usable, .first = state->first, .cells = cells};

    return cost_of(state->shape, &terms, booked);
}

/* The least cost, NEVER if there is no way. extras as in cells_fit; NULL: the
 * guest has no cells that count. */
static cost oracle(const struct state *state, const struct wish *wish, const int *extras)
{
    unsigned count = codes(state, wish);
    cost best = NEVER;

    if (wish->policy == VP_THREADS_REQUIRE && !state->smt)
        return NEVER;
    for (unsigned code = 1; code < count; code++) {
        struct way way;
        cost sum;

        if (!make_way(state, wish, code, &way) || !pool_kept(state, way.booked))
            continue;
        if (extras ? !cells_fit(state, wish, &way, extras, 0, 0, 0)
                   : !whole_fits(state, wish, &way))
            continue;
        sum = way_cost(state, wish, way.booked, extras != NULL);
        best = sum < best ? sum : best;
    }
    return best;
}

/* Cells on nodes of their own: the extra threads are all on the node of the
 * first cell where they can be; *exact false: on no single one. */
static cost oracle_apart(const struct state *state, const struct wish *wish, bool *exact)
{
    static const int any[CELLS] = {-1, -1, -1};

    *exact = true;
    for (unsigned cell = 0; cell < wish->cells; cell++) {
        int extras[CELLS] = {0, 0, 0};
        cost best;

        extras[cell] = (int)wish->extras;
        best = oracle(state, wish, extras);
        if (best != NEVER)
            return best;
    }
    *exact = false;
    return oracle(state, wish, any);
}

/* ---- the host and the call ---- */

static void build_topology(struct state *state)
{
    const struct shape *shape = state->shape;
    struct vp_topology *topology = vp_topology_new();
    struct vp_error err;

    ck_assert_ptr_nonnull(topology);
    topology->pu = calloc((size_t)shape->cpus, sizeof(*topology->pu));
    topology->node = calloc((size_t)shape->nodes, sizeof(*topology->node));
    topology->count = (size_t)shape->cpus;
    topology->node_count = (size_t)shape->nodes;
    for (int i = 0; i < shape->nodes; i++)
        topology->node[i].os = i * 2;
    for (int i = 0; i < shape->cpus; i++) {
        int core = shape->core[i];

        topology->pu[i] =
            (struct vp_pu){shape->number[i], core, shape->l3[core], shape->node[core], 0, 0};
    }
    /* A package is no part of placement; a core must lie in one. */
    ck_assert_msg(vp_topology_build(topology, &err) == 0, "%s", err.text);
    state->topology = topology;
    state->smt = topology->smt;
}

static char *describe(const struct state *state, const struct wish *wish)
{
    static char text[1024];
    const struct shape *shape = state->shape;
    size_t used = 0;

    for (int i = 0; i < shape->cpus; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "cpu%d:c%d/l%d/n%d%s%s%s ",
                                 shape->number[i], shape->core[i], shape->l3[shape->core[i]],
                                 shape->node[shape->core[i]],
                                 (state->usable >> i & 1) != 0 ? "" : " booked",
                                 (state->first >> i & 1) != 0 ? " first" : "",
                                 (state->pool >> i & 1) != 0 ? " pool" : "");
    snprintf(text + used, sizeof(text) - used,
             "pool %s; %s, numa %s, %u vCPUs, %u extra, %u cells %u %u %u",
             state->pool_needed ? "needed" : "unused",
             wish->policy == VP_THREADS_PREFER    ? "prefer"
             : wish->policy == VP_THREADS_REQUIRE ? "require"
                                                  : "isolate",
             wish->numa == VP_NUMA_SINGLE   ? "single"
             : wish->numa == VP_NUMA_FEWEST ? "fewest"
                                            : "any",
             wish->vcpus, wish->extras, wish->cells, wish->size[0], wish->size[1], wish->size[2]);
    return text;
}

/* ck_assert would tell the runner about each of millions of good checks. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s: %s", #condition, describe(state, wish));                             \
    } while (0)

static int index_of(const struct shape *shape, int cpu)
{
    for (int i = 0; i < shape->cpus; i++)
        if (shape->number[i] == cpu)
            return i;
    return -1;
}

/* Marks one thread's CPU; its node. */
static int check_cpu(const struct state *state, const struct wish *wish, int cpu, unsigned *used)
{
    int i = index_of(state->shape, cpu);

    CHECK(i >= 0);
    CHECK((state->usable >> i & 1) != 0);
    CHECK((*used >> i & 1) == 0);
    *used |= 1u << i;
    return state->shape->node[state->shape->core[i]];
}

static void check_cores(const struct state *state, const struct wish *wish, unsigned vcpus,
                        unsigned extras, unsigned booked)
{
    const struct shape *shape = state->shape;

    for (int c = 0; c < shape->cores; c++) {
        unsigned mask = shape->core_mask[c];

        if ((mask & booked) == 0)
            continue;
        CHECK((mask & ~booked) == 0);
        if (wish->policy == VP_THREADS_ISOLATE)
            CHECK(bits(mask & (vcpus | extras)) == 1);
        else
            CHECK((mask & extras) == 0 || (bits(mask & extras) == 1 && (mask & vcpus) == 0));
    }
}

/* That the answer keeps every rule. Its cost is counted by the oracle's means. */
static cost check_answer(const struct state *state, const struct wish *wish,
                         const struct vp_place_answer *answer, bool cells)
{
    unsigned vcpus = 0, extras = 0, nodes = 0, cell_node[CELLS] = {0}, at = 0;
    unsigned booked = to_mask(state->shape, &answer->taken);
    unsigned idle = to_mask(state->shape, &answer->idle);

    for (unsigned cell = 0; cell < wish->cells; cell++)
        for (unsigned i = 0; i < wish->size[cell]; i++)
            cell_node[cell] |= 1u << check_cpu(state, wish, answer->vcpu[at++], &vcpus);
    for (unsigned cell = 0; cell < wish->cells; cell++) {
        CHECK(!cells || bits(cell_node[cell]) == 1);
        CHECK(!cells || (nodes & cell_node[cell]) == 0);
        nodes |= cell_node[cell];
    }
    if (wish->extras > 0)
        CHECK((nodes >> check_cpu(state, wish, answer->emulator, &extras) & 1) != 0);
    else
        CHECK(answer->emulator == -1);
    for (unsigned i = 1; i < wish->extras; i++)
        CHECK((nodes >> check_cpu(state, wish, answer->iothread[i - 1], &extras) & 1) != 0);
    CHECK((vcpus & extras) == 0);
    CHECK(((vcpus | extras) & idle) == 0);
    CHECK((vcpus | extras | idle) == booked);
    CHECK((booked & ~state->usable) == 0);
    CHECK(vp_cpuset_count(&answer->taken) == bits(booked));
    CHECK(vp_cpuset_count(&answer->nodes) == bits(nodes));
    for (int i = 0; i < state->shape->nodes; i++)
        CHECK(vp_cpuset_has(&answer->nodes, i * 2) == ((nodes >> i & 1) != 0));
    CHECK(pool_kept(state, booked));
    if (wish->policy == VP_THREADS_PREFER)
        CHECK(idle == 0);
    else
        check_cores(state, wish, vcpus, extras, booked);
    return way_cost(state, wish, booked, cells);
}

struct trial {
    const struct state *state;
    const struct wish *wish;
};

static const char *describe_trial(const void *of)
{
    const struct trial *trial = of;

    return describe(trial->state, trial->wish);
}

static void compare(const struct state *state, const struct wish *wish)
{
    struct vp_guest_cell cell[CELLS] = {{0}};
    struct vp_place_host host = {.topology = state->topology,
                                 .usable = to_set(state->shape, state->usable),
                                 .first = to_set(state->shape, state->first),
                                 .pool = to_set(state->shape, state->pool),
                                 .pool_needed = state->pool_needed};
    struct vp_place_request request = {.vcpus = wish->vcpus,
                                       .thread_policy = wish->policy,
                                       .numa = wish->numa,
                                       .cell = cell,
                                       .cell_count = wish->cells > 1 ? wish->cells : 0,
                                       .guest_threads = 2,
                                       .emulator_isolate = wish->extras > 0,
                                       .iothreads_isolate =
                                           wish->extras > 1 ? wish->extras - 1 : 0};
    bool cells = wish->cells > 1 && wish->numa != VP_NUMA_ANY, exact = true;
    struct trial trial = {state, wish};
    struct vp_place_answer answer;
    cost best = NEVER, got;
    int result, vcpu = 0;

    for (unsigned i = 0; i < wish->cells; i++) {
        cell[i].id = i;
        vp_cpuset_add_range(&cell[i].vcpus, vcpu, vcpu + (int)wish->size[i] - 1);
        vcpu += (int)wish->size[i];
    }
    if (cells)
        best = oracle_apart(state, wish, &exact);
    if (cells && best == NEVER && wish->numa == VP_NUMA_FEWEST) {
        cells = exact = false; /* some cells share a node or are cut: only that it is placed */
        best = oracle(state, wish, NULL);
    } else if (!cells) {
        best = oracle(state, wish, NULL);
    }
    result = vp_place(&host, &request, &answer);
    if (judge(&host, &request, &answer, result, best != NEVER, describe_trial, &trial)) {
        got = check_answer(state, wish, &answer, cells);
        if (exact)
            judge_cost(got, best, to_mask(state->shape, &answer.taken), describe_trial, &trial);
    }
    vp_place_clear(&answer);
}

/* ---- what is tried ---- */

static void all_requests(const struct state *state, unsigned most_extras, bool with_any)
{
    for (int policy = 0; policy <= VP_THREADS_ISOLATE; policy++) {
        for (int numa = 0; numa <= VP_NUMA_ANY; numa++) {
            if (numa == VP_NUMA_ANY && !with_any)
                continue;
            for (int n = 1; n <= state->shape->cpus + 1; n++) {
                for (unsigned extras = 0; extras <= most_extras; extras++) {
                    struct wish wish = {(enum vp_thread_policy)policy,
                                        (enum vp_numa)numa,
                                        (unsigned)n,
                                        extras,
                                        1,
                                        {(unsigned)n, 0, 0}};

                    compare(state, &wish);
                }
            }
        }
    }
}

static void all_cells(const struct state *state, unsigned most_extras)
{
    for (int policy = 0; policy <= VP_THREADS_ISOLATE; policy++)
        for (int numa = 0; numa < VP_NUMA_ANY; numa++)
            for (unsigned a = 1; a < 4; a++)
                for (unsigned b = 1; b < 4; b++)
                    for (unsigned extras = 0; extras <= most_extras; extras++) {
                        struct wish wish = {(enum vp_thread_policy)policy,
                                            (enum vp_numa)numa,
                                            a + b,
                                            extras,
                                            2,
                                            {a, b, 0}};

                        compare(state, &wish);
                    }
}

/* Shape `code`: between CPU i and i + 1 lies nothing (one core), a core's end,
 * an L3's, a node's within the L3, or both. False for shapes that no machine
 * has: an L3 and a node that cross. */
static bool make_shape(int cpus, unsigned code, struct shape *shape)
{
    unsigned nodes_of_l3[CPUS] = {0}, l3s_of_node[CPUS] = {0};
    int core = 0, l3 = 0, node = 0;

    memset(shape, 0, sizeof(*shape));
    shape->cpus = cpus;
    for (int i = 0; i < cpus; i++) {
        unsigned border = i == 0 ? 0 : code % 5;

        if (i > 0)
            code /= 5;
        core += border >= 1;
        l3 += border == 2 || border == 4;
        node += border >= 3;
        shape->number[i] = i;
        shape->core[i] = core;
        shape->l3[core] = l3;
        shape->node[core] = node;
        shape->core_mask[core] |= 1u << i;
        shape->node_mask[node] |= 1u << i;
        nodes_of_l3[l3] |= 1u << node;
        l3s_of_node[node] |= 1u << l3;
    }
    shape->cores = core + 1;
    shape->l3s = l3 + 1;
    shape->nodes = node + 1;
    for (int i = 0; i < shape->cores; i++)
        if (bits(nodes_of_l3[shape->l3[i]]) > 1 && bits(l3s_of_node[shape->node[i]]) > 1)
            return false;
    return true;
}

static unsigned power(unsigned base, int exponent)
{
    unsigned result = 1;

    while (exponent-- > 0)
        result *= base;
    return result;
}

/* Every state of every host of `cpus` CPUs; digits: 2 without preferred CPUs. */
static void every_host(int cpus, unsigned digits, unsigned most_extras)
{
    for (unsigned code = 0; code < power(5, cpus - 1); code++) {
        struct shape shape;
        struct state state = {.shape = &shape};

        if (!make_shape(cpus, code, &shape))
            continue;
        build_topology(&state);
        for (unsigned s = 0; s < power(digits, cpus); s++) {
            unsigned rest = s;

            state.usable = state.first = 0;
            for (int i = 0; i < cpus; i++, rest /= digits) {
                state.usable |= (unsigned)(rest % digits > 0) << i;
                state.first |= (unsigned)(rest % digits > 1) << i;
            }
            all_requests(&state, most_extras, digits == 3);
            if (shape.nodes > 1 && digits == 3)
                all_cells(&state, most_extras);
        }
        vp_topology_free(state.topology);
    }
}

START_TEST(every_small_host)
{
    every_host(_i, 3, 2);
}
END_TEST

START_TEST(every_host_of_five)
{
    every_host(5, 2, 1);
}
END_TEST

static uint64_t seed;
static unsigned below(unsigned limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % limit;
}

/* Numbers that follow no order, as firmware likes it. */
static void shuffle_numbers(struct shape *shape)
{
    for (int i = 0; i < shape->cpus; i++)
        shape->number[i] = i * 3 + 1;
    for (int i = shape->cpus - 1; i > 0; i--) {
        int j = (int)below((unsigned)i + 1), swap = shape->number[i];

        shape->number[i] = shape->number[j];
        shape->number[j] = swap;
    }
}

static void random_request(const struct state *state)
{
    struct wish wish = {(enum vp_thread_policy)below(3),
                        (enum vp_numa)below(3),
                        0,
                        below(4),
                        1 + below(CELLS),
                        {0}};

    for (unsigned i = 0; i < wish.cells; i++) {
        wish.size[i] = 1 + below(wish.cells == 1 ? (unsigned)state->shape->cpus : 4);
        wish.vcpus += wish.size[i];
    }
    /* With extra threads and the pool rule the choice of the cell that bears
     * them is not by cost alone. */
    if (wish.cells > 1 && state->pool_needed)
        wish.extras = 0;
    compare(state, &wish);
}

static void random_state(struct state *state)
{
    unsigned all = (1u << state->shape->cpus) - 1;

    state->usable = below(all + 1) | below(all + 1);
    state->first = below(3) == 0 ? below(all + 1) & state->usable : 0;
    state->pool = below(all + 1) & below(all + 1);
    state->pool_needed = below(2) == 0;
}

/* _i: 0 all sorts of cuts, 1 mostly cores of two threads (what hosts have). */
START_TEST(random_hosts)
{
    const char *rounds_text = getenv("VIRTPIN_ORACLE_ROUNDS");
    int rounds = rounds_text ? atoi(rounds_text) : 1500;

    seed = 1;
    for (int round = 0; round < rounds; round++) {
        int cpus = 6 + (int)below(CPUS - 5);
        struct state state = {0};
        struct shape shape;
        unsigned code = 0;

        for (int i = cpus - 1; i > 0; i--) {
            unsigned border = below(5);

            if (_i == 1)
                border = i % 2 == 1 ? 0 : below(3) == 0 ? 1 + below(4) : 1;
            code = code * 5 + border;
        }
        if (!make_shape(cpus, code, &shape))
            continue;
        shuffle_numbers(&shape);
        state.shape = &shape;
        build_topology(&state);
        for (int i = 0; i < 4; i++) {
            random_state(&state);
            for (int k = 0; k < 6; k++)
                random_request(&state);
        }
        vp_topology_free(state.topology);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place_oracle");
    TCase *tcase = tcase_create("oracle");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, every_small_host, 1, 5);
    tcase_add_test(tcase, every_host_of_five);
    tcase_add_loop_test(tcase, random_hosts, 0, 2);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
