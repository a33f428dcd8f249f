/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vp_place under every key (numa = spread, cache, fill, core-type, pci-locality,
 * memory, isolated threads of all sorts) against an oracle that tries every way to
 * give each CPU or core to nobody, vCPUs or extra threads. Random small hosts with
 * recorded seeds; VIRTPIN_ORACLE_ROUNDS sets their number. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/place.h"
#include "tests/unit/placeoracle.h"

#define MOST_CPUS 8
#define CELLS 2

/* ---- the host ---- */

struct machine {
    struct shape shape;
    int kind[CPUS];                  /* of a core */
    unsigned usable, first, devices; /* devices: nodes */
    uint64_t memory[CPUS];           /* KiB of a node */
    bool memory_known, smt;
};

struct wish {
    struct vp_place_request request;
    struct vp_guest_cell cell[CELLS];
    unsigned extras;
};

static uint64_t pages(uint64_t kib)
{
    return (kib + 1023) / 1024 * 1024; /* pages of 1 MiB */
}

/* ---- one way to use the host ---- */

struct way {
    unsigned booked;
    unsigned room[CPUS], extra[CPUS]; /* of a node: for vCPUs at most, extra threads */
    unsigned l3_of_vcpus[CPUS];       /* of a node: a mask */
    unsigned nodes;                   /* used: a mask */
};

/* Digit of each CPU under prefer, of each core else: 0 nobody, 1 vCPUs, 2 an
 * extra thread. False if that is no way. */
static bool make_way(const struct machine *m, const struct wish *wish, unsigned code,
                     struct way *way)
{
    bool cpus = wish->request.thread_policy == VP_THREADS_PREFER;
    int count = cpus ? m->shape.cpus : m->shape.cores;

    memset(way, 0, sizeof(*way));
    for (int i = 0; i < count; i++, code /= 3) {
        int core = cpus ? m->shape.core[i] : i, node = m->shape.node[core];
        unsigned mask = cpus ? 1u << i : m->shape.core_mask[i];

        if (code % 3 == 0)
            continue;
        if ((mask & ~m->usable) != 0)
            return false;
        way->booked |= mask;
        way->nodes |= 1u << node;
        if (code % 3 == 2) {
            way->extra[node]++;
            continue;
        }
        way->room[node] += wish->request.thread_policy == VP_THREADS_REQUIRE ? bits(mask) : 1;
        way->l3_of_vcpus[node] |= 1u << m->shape.l3[core];
    }
    return true;
}

/* Least and most vCPUs that a used node can have: by room and memory. Under
 * prefer and isolate each place for one is taken. */
static bool bounds(const struct machine *m, const struct wish *wish, const struct way *way,
                   int node, unsigned *low, unsigned *high)
{
    uint64_t total = wish->request.memory_kib, n = wish->request.vcpus;

    *low = wish->request.thread_policy == VP_THREADS_REQUIRE ? 1 : way->room[node];
    *high = way->room[node];
    while (m->memory_known && *high > 0 && pages((total * *high + n - 1) / n) > m->memory[node])
        (*high)--;
    return *low > 0 && *low <= *high;
}

/* Room for so many vCPUs on a node, whatever else. */
static bool holds(const struct machine *m, const struct wish *wish, int node, unsigned vcpus)
{
    unsigned room = 0;

    for (int c = 0; c < m->shape.cores; c++) {
        unsigned mask = m->shape.core_mask[c], free = bits(mask & m->usable);

        if (m->shape.node[c] != node)
            continue;
        if (wish->request.thread_policy == VP_THREADS_PREFER)
            room += free;
        else if (free == bits(mask))
            room += wish->request.thread_policy == VP_THREADS_REQUIRE ? free : 1;
    }
    return room >= vcpus &&
           (!m->memory_known || pages((wish->request.memory_kib * vcpus + wish->request.vcpus - 1) /
                                      wish->request.vcpus) <= m->memory[node]);
}

/* k: the number of even shares, 0: no matter. */
static bool whole_guest(const struct machine *m, const struct wish *wish, const struct way *way,
                        unsigned k)
{
    unsigned least = 0, most = 0, extras = 0, l3s = 0, n = wish->request.vcpus;

    for (int i = 0; i < m->shape.nodes; i++) {
        unsigned low, high;

        if ((way->nodes >> i & 1) == 0)
            continue;
        if (!bounds(m, wish, way, i, &low, &high))
            return false;
        if (k > 0) {
            if (!holds(m, wish, i, (n + k - 1) / k))
                return false;
            low = low > n / k ? low : n / k;
            high = high < (n + k - 1) / k ? high : (n + k - 1) / k;
            if (low > high)
                return false;
        }
        least += low;
        most += high;
        extras += way->extra[i];
        l3s |= way->l3_of_vcpus[i];
    }
    if (extras != wish->extras || least > n || most < n)
        return false;
    if (wish->request.cache == VP_CARE_REQUIRE && bits(l3s) != 1)
        return false;
    return k > 0 ? bits(way->nodes) == k
                 : wish->request.numa != VP_NUMA_SINGLE || bits(way->nodes) == 1;
}

/* Two cells on two nodes, all extra threads with cell `with`. */
static bool two_cells(const struct machine *m, const struct wish *wish, const struct way *way,
                      unsigned with)
{
    for (int a = 0; a < m->shape.nodes; a++) {
        for (int b = 0; b < m->shape.nodes; b++) {
            int node[CELLS] = {a, b};
            bool good = a != b && way->nodes == (1u << a | 1u << b);

            for (unsigned i = 0; good && i < CELLS; i++) {
                unsigned size = vp_cpuset_count(&wish->cell[i].vcpus), room = way->room[node[i]];

                good =
                    way->extra[node[i]] == (i == with ? wish->extras : 0) &&
                    (wish->request.thread_policy == VP_THREADS_REQUIRE ? room >= size
                                                                       : room == size) &&
                    (!m->memory_known || pages(wish->cell[i].memory_kib) <= m->memory[node[i]]) &&
                    (wish->request.cache != VP_CARE_REQUIRE ||
                     bits(way->l3_of_vcpus[node[i]]) == 1);
            }
            if (good)
                return true;
        }
    }
    return false;
}

/* ---- its cost, from the definition ---- */

static cost way_cost(const struct machine *m, const struct wish *wish, unsigned booked)
{
    struct terms terms = {.request = &wish->request,
                          .usable = m->usable,
                          .first = m->first,
                          .devices = m->devices,
                          .cells = wish->request.cell_count > 1,
                          .fill = true};

    return cost_of(&m->shape, &terms, booked);
}

/* ---- the best of all ways ---- */

/* k as in whole_guest; with >= 0: cells, as in two_cells. */
static cost best_way(const struct machine *m, const struct wish *wish, unsigned k, int with)
{
    bool cpus = wish->request.thread_policy == VP_THREADS_PREFER;
    unsigned codes = 1;
    cost best = NEVER;

    if (wish->request.thread_policy == VP_THREADS_REQUIRE && !m->smt)
        return NEVER;
    for (int i = 0; i < (cpus ? m->shape.cpus : m->shape.cores); i++)
        codes *= 3;
    for (unsigned code = 1; code < codes; code++) {
        struct way way;
        cost sum;

        if (!make_way(m, wish, code, &way))
            continue;
        if (with >= 0 ? !two_cells(m, wish, &way, (unsigned)with) : !whole_guest(m, wish, &way, k))
            continue;
        if (wish->request.pci_locality == VP_CARE_REQUIRE && (m->devices & ~way.nodes) != 0)
            continue;
        sum = way_cost(m, wish, way.booked);
        best = sum < best ? sum : best;
    }
    return best;
}

static cost oracle(const struct machine *m, const struct wish *wish)
{
    cost best = NEVER;

    if (wish->request.cell_count > 1) {
        for (int with = 0; with < CELLS && best == NEVER; with++)
            best = best_way(m, wish, 0, with);
        return best;
    }
    if (wish->request.numa != VP_NUMA_SPREAD)
        return best_way(m, wish, 0, -1);
    for (unsigned k = (unsigned)m->shape.nodes; k > 0 && best == NEVER; k--)
        if (k <= wish->request.vcpus)
            best = best_way(m, wish, k, -1);
    return best;
}

/* ---- the call ---- */

static const char *describe(const struct machine *m, const struct wish *wish)
{
    static char text[2048];
    const struct vp_place_request *r = &wish->request;
    size_t at = 0;

    for (int i = 0; i < m->shape.cpus; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "cpu%d:c%d/l%d/n%d/k%d%s%s ",
                               m->shape.number[i], m->shape.core[i], m->shape.l3[m->shape.core[i]],
                               m->shape.node[m->shape.core[i]], m->kind[m->shape.core[i]],
                               (m->usable >> i & 1) != 0 ? "" : "-",
                               (m->first >> i & 1) != 0 ? "+" : "");
    for (int i = 0; i < m->shape.nodes; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "n%d:%llu%s ", i,
                               m->memory_known ? (unsigned long long)m->memory[i] : 0,
                               (m->devices >> i & 1) != 0 ? " device" : "");
    snprintf(text + at, sizeof(text) - at,
             "threads %d numa %s cache %d fill %d pci %d kind %d; %u vCPUs %u extras %llu KiB, "
             "cells %zu: %u (%llu) %u (%llu)",
             r->thread_policy, vp_numa_word(r->numa), r->cache, r->fill, r->pci_locality,
             r->core_type, r->vcpus, wish->extras, (unsigned long long)r->memory_kib, r->cell_count,
             vp_cpuset_count(&wish->cell[0].vcpus), (unsigned long long)wish->cell[0].memory_kib,
             vp_cpuset_count(&wish->cell[1].vcpus), (unsigned long long)wish->cell[1].memory_kib);
    return text;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("%s: %s", #condition, describe(m, wish));                                 \
    } while (0)

static unsigned bit_of(const struct machine *m, int cpu)
{
    for (int i = 0; i < m->shape.cpus; i++)
        if (m->shape.number[i] == cpu)
            return 1u << i;
    return 0;
}

static int core_of(const struct machine *m, unsigned bit)
{
    return m->shape.core[__builtin_ctz(bit)];
}

/* The threads one by one, memory, L3s, shares; the set as the oracle costs it. */
static void check_answer(const struct machine *m, const struct wish *wish,
                         const struct vp_place_answer *answer)
{
    const struct vp_place_request *r = &wish->request;
    unsigned used = 0, node_vcpus[CPUS] = {0}, l3s[CELLS] = {0}, nodes = 0;
    uint64_t memory[CPUS] = {0};

    for (unsigned v = 0; v < r->vcpus; v++) {
        unsigned bit = bit_of(m, answer->vcpu[v]);
        unsigned cell = r->cell_count > 1 && vp_cpuset_has(&wish->cell[1].vcpus, (int)v);

        CHECK(bit != 0 && (bit & m->usable) != 0 && (used & bit) == 0);
        used |= bit;
        node_vcpus[m->shape.node[core_of(m, bit)]]++;
        nodes |= 1u << m->shape.node[core_of(m, bit)];
        l3s[cell] |= 1u << m->shape.l3[core_of(m, bit)];
    }
    for (unsigned i = 0; i < wish->extras; i++) {
        int cpu = i == 0                      ? answer->emulator
                  : i <= r->iothreads_isolate ? answer->iothread[i - 1]
                                              : answer->vhost[i - 1 - r->iothreads_isolate];
        unsigned bit = bit_of(m, cpu);

        CHECK(bit != 0 && (bit & m->usable) != 0 && (used & bit) == 0);
        CHECK((nodes >> m->shape.node[core_of(m, bit)] & 1) != 0);
        used |= bit;
    }
    for (int i = 0; i < CELLS; i++)
        CHECK(r->cache != VP_CARE_REQUIRE || bits(l3s[i]) <= 1);
    for (int i = 0; i < m->shape.nodes && m->memory_known; i++) {
        if (r->cell_count < 2 && node_vcpus[i] > 0)
            memory[i] = pages((r->memory_kib * node_vcpus[i] + r->vcpus - 1) / r->vcpus);
        CHECK(answer->memory_kib[i] <= m->memory[i]);
        CHECK(r->cell_count > 1 || answer->memory_kib[i] == memory[i]);
    }
    for (int i = 0; i < m->shape.nodes && r->numa == VP_NUMA_SPREAD && r->cell_count < 2; i++)
        CHECK(node_vcpus[i] == 0 || node_vcpus[i] == r->vcpus / bits(nodes) ||
              node_vcpus[i] == r->vcpus / bits(nodes) + 1);
}

struct trial {
    const struct machine *m;
    const struct wish *wish;
};

static const char *describe_trial(const void *of)
{
    const struct trial *trial = of;

    return describe(trial->m, trial->wish);
}

static void compare(const struct machine *m, struct wish *wish, const struct vp_topology *topology,
                    uint64_t tried[2])
{
    struct vp_place_host host = {.topology = topology,
                                 .usable = to_set(&m->shape, m->usable),
                                 .first = to_set(&m->shape, m->first),
                                 .memory_kib = m->memory_known ? m->memory : NULL};
    struct machine narrow = *m;
    struct vp_place_answer answer;
    struct trial trial = {m, wish};
    unsigned booked;
    cost best;
    int result;

    for (int i = 0; i < m->shape.cpus && topology->kind_count > 1; i++)
        if (wish->request.core_type != VP_CORES_ANY &&
            (m->kind[m->shape.core[i]] == 1) != (wish->request.core_type == VP_CORES_PERFORMANCE))
            narrow.usable &= ~(1u << i);
    best = oracle(&narrow, wish);
    wish->request.cell = wish->cell;
    result = vp_place(&host, &wish->request, &answer);
    tried[result == 0]++;
    if (judge(&host, &wish->request, &answer, result, best != NEVER, describe_trial, &trial)) {
        check_answer(&narrow, wish, &answer);
        booked = to_mask(&m->shape, &answer.taken);
        judge_cost(way_cost(&narrow, wish, booked), best, booked, describe_trial, &trial);
    }
    vp_place_clear(&answer);
}

/* ---- what is tried ---- */

static uint64_t seed;
static unsigned below(unsigned limit)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % limit;
}

/* An L3 may hold several nodes or a node several L3s; they do not cross. */
static void make_machine(struct machine *m)
{
    bool wide = below(4) == 0;

    *m = (struct machine){.shape.cpus = 2 + (int)below(MOST_CPUS - 1)};
    for (int i = 0; i < m->shape.cpus; i++) {
        if (i > 0 && below(i % 2 == 1 ? 4 : 8) >= (i % 2 == 1 ? 3u : 1u)) {
            unsigned border = below(3);

            m->shape.cores++;
            m->shape.nodes += border == 0 || (wide && border == 1);
            m->shape.l3s += border == 0 || (!wide && border == 1);
            m->kind[m->shape.cores] = (int)below(2);
        }
        m->shape.core[i] = m->shape.cores;
        m->shape.node[m->shape.cores] = m->shape.nodes;
        m->shape.l3[m->shape.cores] = m->shape.l3s;
        m->shape.core_mask[m->shape.cores] |= 1u << i;
        m->shape.node_mask[m->shape.nodes] |= 1u << i;
        m->smt = m->smt || bits(m->shape.core_mask[m->shape.cores]) > 1;
        m->shape.number[i] = (i % 2 == 0 ? i : MOST_CPUS * 2 - i) * 3;
    }
    m->shape.cores++;
    m->shape.nodes++;
    m->shape.l3s++;
}

static struct vp_topology *build(const struct machine *m)
{
    struct vp_topology *topology = vp_topology_new();
    struct vp_error err;

    ck_assert_ptr_nonnull(topology);
    topology->pu = calloc((size_t)m->shape.cpus, sizeof(*topology->pu));
    topology->node = calloc((size_t)m->shape.nodes, sizeof(*topology->node));
    topology->count = (size_t)m->shape.cpus;
    topology->node_count = (size_t)m->shape.nodes;
    for (int i = 0; i < m->shape.nodes; i++)
        topology->node[i].os = i * 2;
    for (int i = 0; i < m->shape.cpus; i++) {
        int core = m->shape.core[i];

        topology->pu[i] = (struct vp_pu){m->shape.number[i],  core, m->shape.l3[core],
                                         m->shape.node[core], 0,    m->kind[core]};
    }
    ck_assert_msg(vp_topology_build(topology, &err) == 0, "%s", err.text);
    return topology;
}

static void fill_state(struct machine *m)
{
    unsigned all = (1u << m->shape.cpus) - 1;

    m->usable = (below(all + 1) | below(all + 1)) & all;
    m->first = below(4) == 0 ? below(all + 1) & m->usable : 0;
    m->devices = below(2) == 0 ? below(1u << m->shape.nodes) : 0;
    m->memory_known = below(2) == 0;
    for (int i = 0; i < m->shape.nodes; i++)
        m->memory[i] = (uint64_t)below(9) * 1024;
}

static void make_wish(const struct machine *m, struct wish *wish)
{
    struct vp_place_request *r = &wish->request;
    bool cells = m->shape.nodes > 1 && below(3) == 0;
    int at = 0;

    *wish = (struct wish){.extras = below(3) == 0 ? 1 + below(3) : 0};
    *r = (struct vp_place_request){.vcpus = 1 + below((unsigned)m->shape.cpus),
                                   .thread_policy = (enum vp_thread_policy)below(3),
                                   .numa = (enum vp_numa)below(4),
                                   .guest_threads = 1 + below(2),
                                   .cache = (enum vp_care)below(3),
                                   .core_type = below(4) ? VP_CORES_ANY : 1 + below(2),
                                   .fill = (enum vp_fill)below(2),
                                   .pci_locality = (enum vp_care)below(3),
                                   .memory_kib = 512 * (1 + below(24)),
                                   .page_kib = 1024};
    for (int i = 0; i < m->shape.nodes; i++)
        if ((m->devices >> i & 1) != 0)
            vp_cpuset_add(&r->pci_nodes, i * 2);
    for (unsigned i = 0; cells && i < CELLS; i++) {
        int size = 1 + (int)below(3);

        wish->cell[i].id = i;
        vp_cpuset_add_range(&wish->cell[i].vcpus, at, at + size - 1);
        wish->cell[i].memory_kib = 512 * (1 + below(12));
        at += size;
    }
    if (cells) {
        r->numa = VP_NUMA_SINGLE;
        r->vcpus = (unsigned)at;
        r->memory_kib = wish->cell[0].memory_kib + wish->cell[1].memory_kib;
        r->cell_count = CELLS;
        wish->extras = wish->extras > 0;
    }
    r->emulator_isolate = wish->extras > 0;
    r->iothreads_isolate = wish->extras > 1;
    r->vhost_isolate = wish->extras > 2;
}

START_TEST(all_keys)
{
    const char *rounds_text = getenv("VIRTPIN_ORACLE_ROUNDS");
    int rounds = rounds_text ? atoi(rounds_text) : 1500;
    uint64_t tried[2] = {0};

    seed = 11 + (unsigned)_i;
    for (int round = 0; round < rounds; round++) {
        struct machine machine;
        struct vp_topology *topology;

        make_machine(&machine);
        topology = build(&machine);
        for (int i = 0; i < 4; i++) {
            fill_state(&machine);
            for (int k = 0; k < 6; k++) {
                struct wish wish;

                make_wish(&machine, &wish);
                compare(&machine, &wish, topology, tried);
            }
        }
        vp_topology_free(topology);
    }
    ck_assert_msg(tried[0] > 0 && tried[1] > 0, "%llu refused, %llu placed",
                  (unsigned long long)tried[0], (unsigned long long)tried[1]);
}
END_TEST

/* ---- what a refusal says ---- */

/* Two nodes of two L3s of two CPUs, none with thread siblings. */
static void make_even(struct machine *m)
{
    *m = (struct machine){
        .shape.cpus = 8, .shape.cores = 8, .shape.nodes = 2, .shape.l3s = 4, .usable = 0xff};
    for (int i = 0; i < m->shape.cpus; i++) {
        m->shape.number[i] = m->shape.core[i] = i;
        m->shape.core_mask[i] = 1u << i;
        m->shape.node[i] = i / 4;
        m->shape.l3[i] = i / 2;
        m->shape.node_mask[i / 4] |= 1u << i;
    }
}

START_TEST(refusals)
{
    static const struct {
        struct vp_place_request request;
        int device; /* -1: none */
        bool memory;
        enum vp_limit limit;
        unsigned short_by;
        const char *why, *help;
    } cases[] = {
        {{.vcpus = 3, .cache = VP_CARE_REQUIRE},
         -1,
         false,
         VP_LIMIT_CACHE,
         1,
         "needs 3 vCPUs in one L3; the freest L3 has 2 CPUs free",
         "cache = prefer"},
        {{.vcpus = 4, .numa = VP_NUMA_SINGLE, .memory_kib = 4 << 20},
         -1,
         true,
         VP_LIMIT_MEMORY,
         1024,
         "needs 4096 MiB on nodes with CPUs free for it; node 0 has 3072 MiB free, node 2 has "
         "2048 MiB",
         "numa = fewest"},
        {{.vcpus = 1, .pci_locality = VP_CARE_REQUIRE},
         6,
         false,
         VP_LIMIT_PCI,
         1,
         "its PCI devices are on node 0 (4 CPUs free), node 2 (4 CPUs free), and the guest cannot "
         "have vCPUs on each of them",
         "pci-locality = prefer"},
    };
    uint64_t memory[] = {3 << 20, 2 << 20};
    struct vp_place_request request = cases[_i].request;
    struct vp_place_answer answer;
    struct machine machine;
    struct vp_place_host host;
    struct vp_topology *topology;

    make_even(&machine);
    topology = build(&machine);
    host = (struct vp_place_host){.topology = topology,
                                  .usable = topology->online,
                                  .memory_kib = cases[_i].memory ? memory : NULL};
    if (cases[_i].device >= 0) {
        vp_cpuset_add(&request.pci_nodes, 0);
        vp_cpuset_add(&request.pci_nodes, 2);
    }
    ck_assert_int_eq(vp_place(&host, &request, &answer), 1);
    ck_assert_str_eq(answer.why, cases[_i].why);
    ck_assert_str_eq(answer.help, cases[_i].help);
    ck_assert_int_eq(answer.limit, cases[_i].limit);
    ck_assert_uint_eq(answer.short_by, cases[_i].short_by);
    vp_place_clear(&answer);
    vp_topology_free(topology);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("place_keys");
    TCase *tcase = tcase_create("oracle");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 3600);
    tcase_add_loop_test(tcase, all_keys, 0, 4);
    tcase_add_loop_test(tcase, refusals, 0, 3);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
