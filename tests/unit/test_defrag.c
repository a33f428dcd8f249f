/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/defrag.h"

#include "tests/unit/planhost.h"

/* ---- a small host, its guests, and every way to move them ---- */

/* MOVES: more are not looked for. */
enum { GUESTS = 4, STATES = 1 << 18, MOVES = 2 };

struct small {
    unsigned nodes, cores, threads; /* cores a node, threads a core */
    unsigned count;                 /* running guests; [count] is the one that asks */
    unsigned vcpus[GUESTS];
    struct vp_policy policy[GUESTS];
    struct vp_domain domain[GUESTS];
    unsigned mask[GUESTS]; /* CPUs */
};

static unsigned next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(*state >> 33);
}

static unsigned cpu_count(const struct small *s)
{
    return s->nodes * s->cores * s->threads;
}

/* CPU c is thread c % threads of core c / threads. */
static void make_host(const struct small *s)
{
    vp_topology_free(topology);
    topology = vp_topology_new();
    topology->count = cpu_count(s);
    topology->pu = calloc(topology->count, sizeof(*topology->pu));
    for (int c = 0; c < (int)topology->count; c++) {
        int core = c / (int)s->threads, node = core / (int)s->cores;

        topology->pu[c] =
            (struct vp_pu){.cpu = c, .core = core, .l3 = node, .node = node, .package = node};
    }
    topology->node = calloc(s->nodes, sizeof(*topology->node));
    topology->node_count = s->nodes;
    for (unsigned i = 0; i < s->nodes; i++)
        topology->node[i].os = (int)i;
    ck_assert_int_eq(vp_topology_build(topology, &err), 0);
    set->host.dedicated.kind = VP_CPUS_ALL;
}

static bool one_node(const struct small *s, unsigned mask)
{
    unsigned each = s->cores * s->threads, part = (1u << each) - 1;

    for (unsigned i = 0; i < s->nodes; i++)
        if ((mask & ~(part << (i * each))) == 0)
            return true;
    return false;
}

/* Whether a guest may have just these CPUs, idle ones among them. */
static bool legal(const struct small *s, unsigned guest, unsigned mask)
{
    const struct vp_policy *own = &s->policy[guest];
    unsigned whole = 0, n = s->vcpus[guest], core = (1u << s->threads) - 1;

    if (own->numa == VP_NUMA_SINGLE && !one_node(s, mask))
        return false;
    if (own->thread_policy == VP_THREADS_PREFER)
        return (unsigned)__builtin_popcount(mask) == n;
    for (unsigned i = 0; i < s->nodes * s->cores; i++) {
        unsigned has = mask >> (i * s->threads) & core;

        if (has != 0 && has != core)
            return false;
        whole += has == core;
    }
    if (own->thread_policy == VP_THREADS_ISOLATE)
        return whole == n;
    return s->threads > 1 && whole == (n + s->threads - 1) / s->threads;
}

static bool has_room(const struct small *s, unsigned guest, unsigned taken)
{
    for (unsigned mask = 1; mask < 1u << cpu_count(s); mask++)
        if ((mask & taken) == 0 && legal(s, guest, mask))
            return true;
    return false;
}

/* Fewest moves until the last guest has room, -1: never. A state is 8 bits a guest. */
static int fewest(const struct small *s)
{
    static unsigned queue[STATES];
    static unsigned char seen[1 << 24];
    unsigned head = 0, tail = 0, depth = 0, level, start = 0;
    int result = -1;

    memset(seen, 0, sizeof(seen));
    for (unsigned i = 0; i < s->count; i++)
        start |= s->mask[i] << (8 * i);
    queue[tail++] = start;
    seen[start] = 1;
    level = tail;
    while (head < tail && result < 0 && depth <= MOVES) {
        unsigned state = queue[head++], taken = 0;

        for (unsigned i = 0; i < s->count; i++)
            taken |= state >> (8 * i) & 0xff;
        if (has_room(s, s->count, taken)) {
            result = (int)depth;
            break;
        }
        for (unsigned g = 0; g < s->count; g++) {
            unsigned own = state >> (8 * g) & 0xff;

            for (unsigned mask = 1; mask < 1u << cpu_count(s); mask++) {
                unsigned other = (state & ~(0xffu << (8 * g))) | mask << (8 * g);

                if ((mask & taken & ~own) != 0 || seen[other] || !legal(s, g, mask))
                    continue;
                seen[other] = 1;
                ck_assert_uint_lt(tail, STATES);
                queue[tail++] = other;
            }
        }
        if (head == level) {
            level = tail;
            depth++;
        }
    }
    return result;
}

static const unsigned shapes[][3] = {{1, 4, 1}, {2, 2, 1}, {1, 3, 2}, {2, 2, 2},
                                     {2, 3, 1}, {2, 4, 1}, {4, 2, 1}, {1, 4, 2}};

static void make_guest(struct small *s, unsigned guest, uint64_t *state)
{
    static const enum vp_thread_policy threads[] = {VP_THREADS_PREFER, VP_THREADS_PREFER,
                                                    VP_THREADS_REQUIRE, VP_THREADS_ISOLATE};

    s->vcpus[guest] = 1 + next_random(state) % 4;
    s->policy[guest] = policy;
    s->policy[guest].numa = next_random(state) % 3 == 0 ? VP_NUMA_ANY : VP_NUMA_SINGLE;
    s->policy[guest].thread_policy = threads[next_random(state) % 4];
    s->policy[guest].emulator.where = VP_WHERE_WITH_VCPUS;
    s->domain[guest] = domain;
    s->domain[guest].vcpus = s->domain[guest].vcpus_current = s->vcpus[guest];
    snprintf(s->domain[guest].uuid, sizeof(domain.uuid), "00000000-0000-0000-0000-00000000001%u",
             guest);
}

/* Guests lie anywhere that is legal, so that there is something to be moved. */
static void scatter(struct small *s, uint64_t *state)
{
    unsigned taken = 0, wanted = 1 + next_random(state) % 3;

    s->count = 0;
    while (s->count < wanted) {
        unsigned from = next_random(state) % 256, mask = 0;

        make_guest(s, s->count, state);
        /* small ones in the way of a large one */
        s->vcpus[s->count] = s->domain[s->count].vcpus = (s->vcpus[s->count] + 1) / 2;
        for (unsigned i = 0; i < 256 && mask == 0; i++) {
            unsigned other = (from + i * 7) % 256;

            if (other != 0 && other < 1u << cpu_count(s) && (other & taken) == 0 &&
                legal(s, s->count, other))
                mask = other;
        }
        if (mask == 0)
            break;
        taken |= mask;
        s->mask[s->count++] = mask;
    }
    make_guest(s, s->count, state);
}

static struct vp_plan *plan_on(struct vp_plan_input *input, unsigned mask)
{
    struct vp_plan *plan = NULL;
    struct vp_cpuset has;

    for (int c = 0; c < 8; c++)
        if (mask >> c & 1)
            vp_cpuset_add(&input->allowed, c);
    ck_assert_msg(vp_plan_make(input, &plan, NULL, NULL, &err) == VP_PLAN_OK, "%s", err.text);
    vp_plan_exclusive(plan, &has);
    ck_assert(vp_cpuset_equal(&has, &input->allowed));
    input->allowed = (struct vp_cpuset){0};
    return plan;
}

/* Moves come one after the other, to free CPUs, and the target has room in the end. */
static void check_moves(const struct small *s, const struct vp_defrag *answer)
{
    struct small now = *s;
    unsigned taken = 0;

    for (size_t i = 0; i < answer->count; i++) {
        size_t guest = answer->move[i].guest;
        struct vp_cpuset has;

        vp_plan_exclusive(answer->move[i].plan, &has);
        taken = 0;
        for (unsigned g = 0; g < s->count; g++)
            if (g != guest)
                taken |= now.mask[g];
        ck_assert_uint_eq(has.w[0] & taken, 0);
        ck_assert(legal(s, (unsigned)guest, (unsigned)has.w[0]));
        now.mask[guest] = (unsigned)has.w[0];
    }
    taken = 0;
    for (unsigned g = 0; g < s->count; g++)
        taken |= now.mask[g];
    ck_assert(has_room(s, s->count, taken));
    ck_assert_ptr_nonnull(answer->plan);
}

static int search(const struct small *s, struct vp_defrag *answer, bool with_target)
{
    struct vp_defrag_guest guest[GUESTS] = {0};
    struct vp_holding holding[GUESTS] = {0};
    struct vp_plan_input target = {0};
    struct vp_defrag_input in = {.guest = guest,
                                 .guest_count = s->count,
                                 .holding = holding,
                                 .holding_count = s->count,
                                 .target = with_target ? &target : NULL,
                                 .moves = MOVES,
                                 .tries = 100000};
    int result;

    for (unsigned i = 0; i <= s->count; i++) {
        struct vp_plan_input *input = i < s->count ? &guest[i].input : &target;

        *input = (struct vp_plan_input){
            .set = set, .policy = &s->policy[i], .domain = &s->domain[i], .topology = topology};
        if (i == s->count)
            break;
        guest[i].plan = plan_on(input, s->mask[i]);
        strcpy(holding[i].uuid, s->domain[i].uuid);
        vp_plan_hold(guest[i].plan, topology, &holding[i]);
    }
    result = vp_defrag(&in, answer);
    for (unsigned i = 0; i < s->count; i++)
        vp_plan_free((struct vp_plan *)guest[i].plan);
    return result;
}

START_TEST(as_few_moves_as_can_be)
{
    uint64_t state = (uint64_t)_i + 1;
    unsigned moved = 0, none = 0;

    for (int round = 0; round < 150; round++) {
        const unsigned *shape = shapes[next_random(&state) % 8];
        struct small s = {.nodes = shape[0], .cores = shape[1], .threads = shape[2]};
        struct vp_defrag answer, again;
        int wanted, found;

        make_host(&s);
        scatter(&s, &state);
        wanted = fewest(&s);
        found = search(&s, &answer, true);
        ck_assert_msg(found == (wanted >= 0), "seed %d, round %d: %d moves do, found %d of %u", _i,
                      round, wanted, found, answer.tries);
        if (found == 1) {
            ck_assert_msg((int)answer.count == wanted, "seed %d, round %d: %zu moves, %d do", _i,
                          round, answer.count, wanted);
            ck_assert(answer.complete);
            check_moves(&s, &answer);
            moved += answer.count > 0;
        } else {
            none++;
        }
        ck_assert_int_eq(search(&s, &again, true), found);
        ck_assert_uint_eq(again.tries, answer.tries);
        vp_defrag_clear(&again);
        vp_defrag_clear(&answer);
    }
    ck_assert_uint_gt(moved, 0);
    ck_assert_uint_gt(none, 0);
}
END_TEST

static const unsigned apart[] = {1u << 0 | 1u << 4, 1u << 1};

/* A guest of two CPUs lies on both nodes though one would do. */
START_TEST(what_lies_badly_is_put_together)
{
    struct small s = {.nodes = 2, .cores = 4, .threads = 1, .count = 2};
    struct vp_defrag answer;
    uint64_t state = 1;

    make_host(&s);
    for (unsigned i = 0; i < 3; i++) {
        make_guest(&s, i, &state);
        s.policy[i].numa = VP_NUMA_FEWEST;
        s.policy[i].thread_policy = VP_THREADS_PREFER;
        s.domain[i].vcpus = s.vcpus[i] = i == 0 ? 2 : 1;
        s.mask[i] = i < 2 ? apart[i] : 0;
    }
    ck_assert_int_eq(search(&s, &answer, false), 1);
    ck_assert_uint_eq(answer.count, 1);
    ck_assert_uint_eq(answer.move[0].guest, 0);
    ck_assert_uint_eq(answer.before.nodes, 3);
    ck_assert_uint_eq(answer.after.nodes, 2);
    assert_cpus(&answer.move[0].plan->nodes, "0");
    s.mask[0] = (unsigned)answer.move[0].plan->vcpu_cpus.w[0];
    vp_defrag_clear(&answer);
    ck_assert_int_eq(search(&s, &answer, false), 1);
    ck_assert_uint_eq(answer.count, 0);
    vp_defrag_clear(&answer);
}
END_TEST

/* What stays is not moved, what has its memory bound stays on its nodes. */
START_TEST(not_everything_is_moved)
{
    struct small s = {.nodes = 2, .cores = 4, .threads = 1, .count = 1};
    struct vp_defrag_guest guest = {0};
    struct vp_holding holding = {0};
    struct vp_plan_input target;
    struct vp_defrag_input in = {.guest = &guest,
                                 .guest_count = 1,
                                 .holding = &holding,
                                 .holding_count = 1,
                                 .target = &target};
    struct vp_defrag answer;
    struct vp_policy asks = policy;
    struct vp_domain big = domain;
    struct vp_plan *plan;

    make_host(&s);
    policy.numa = asks.numa = VP_NUMA_SINGLE;
    asks.emulator.where = policy.emulator.where = VP_WHERE_WITH_VCPUS;
    domain.vcpus = 1;
    big.vcpus = 4;
    strcpy(big.uuid, "00000000-0000-0000-0000-000000000002");
    set->host.reserved = cpus("7"); /* node 1 has three */
    guest.input = (struct vp_plan_input){
        .set = set, .policy = &policy, .domain = &domain, .topology = topology};
    target =
        (struct vp_plan_input){.set = set, .policy = &asks, .domain = &big, .topology = topology};
    plan = plan_on(&guest.input, 1);
    guest.plan = plan;
    strcpy(holding.uuid, domain.uuid);
    vp_plan_hold(plan, topology, &holding);

    ck_assert_int_eq(vp_defrag(&in, &answer), 1);
    ck_assert_uint_eq(answer.count, 1);
    assert_cpus(&answer.plan->vcpu_cpus, "0-3");
    vp_defrag_clear(&answer);

    guest.stays = true;
    ck_assert_int_eq(vp_defrag(&in, &answer), 0);
    ck_assert(answer.complete);
    vp_defrag_clear(&answer);

    guest.stays = false;
    policy.memory = VP_MEMORY_STRICT;
    plan->memory = calloc(1, sizeof(*plan->memory));
    plan->memory_count = 1;
    ck_assert_int_eq(vp_defrag(&in, &answer), 0);
    vp_defrag_clear(&answer);

    policy.memory = VP_MEMORY_KEEP;
    in.tries = 2; /* a search that gives up says so */
    ck_assert_int_eq(vp_defrag(&in, &answer), 0);
    ck_assert(!answer.complete);
    ck_assert_uint_le(answer.tries, 3);
    vp_defrag_clear(&answer);
    vp_plan_free(plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("defrag");
    TCase *tcase = tcase_create("moves");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, as_few_moves_as_can_be, 0, 10);
    tcase_add_test(tcase, what_lies_badly_is_put_together);
    tcase_add_test(tcase, not_everything_is_moved);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
