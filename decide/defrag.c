/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which guests to move: sets of guests, the smallest sets first. Without the
 * guests of a set the target is placed, and each of the set that lies there is
 * placed elsewhere. */
#include "decide/defrag.h"

#include <stdlib.h>
#include <string.h>

#include "decide/defrag_priv.h"
#include "decide/error.h"

enum { TRIES = 20000, TRIES_LEAST = 64, TRIES_CPUS = 2000000 };

unsigned vp_defrag_tries(const struct vp_topology *topology)
{
    size_t tries = TRIES_CPUS / (topology->count + 1);

    return tries > TRIES ? TRIES : tries < TRIES_LEAST ? TRIES_LEAST : (unsigned)tries;
}

void vp_defrag_clear(struct vp_defrag *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        vp_plan_free(answer->move[i].plan);
    free(answer->move);
    vp_plan_free(answer->plan);
    *answer = (struct vp_defrag){0};
}

/* ---- what the search does to bookings ---- */

int vp_defrag_plan(struct vp_defrag_search *search, const struct vp_plan_input *input,
                   const struct vp_cpuset *within, struct vp_plan **plan)
{
    struct vp_plan_input own = *input;
    enum vp_plan_result result;

    *plan = NULL;
    if (search->tries >= search->tries_most) {
        search->gave_up = true;
        return 0;
    }
    search->tries++;
    if (within)
        own.allowed = *within;
    own.holding = search->holding;
    own.holding_count = search->holding_count;
    own.keep = NULL;
    own.keep_only = false;
    own.unexplained = true;
    result = vp_plan_make(&own, plan, NULL, NULL, NULL);
    if (result == VP_PLAN_FAILED)
        return -1;
    if (result == VP_PLAN_OK && !vp_plan_without_room(*plan))
        return 1;
    vp_plan_free(*plan);
    *plan = NULL;
    return 0;
}

bool vp_defrag_within(const struct vp_plan_input *input, const struct vp_cpuset *of,
                      struct vp_cpuset *within)
{
    *within = vp_cpuset_empty(&input->allowed) ? input->topology->online : input->allowed;
    if (of)
        vp_cpuset_and(within, of);
    return !vp_cpuset_empty(within);
}

void vp_defrag_move(struct vp_defrag_search *search, size_t guest, struct vp_plan *plan)
{
    search->trail[search->trail_count++] = (struct vp_defrag_move){guest, plan};
    search->plan[guest] = plan;
    vp_plan_hold(plan, search->in->guest[guest].input.topology,
                 &search->holding[search->own[guest]]);
}

void vp_defrag_back(struct vp_defrag_search *search)
{
    struct vp_defrag_move *last = &search->trail[--search->trail_count];
    const struct vp_plan *before = search->in->guest[last->guest].plan;

    for (size_t i = 0; i < search->trail_count; i++)
        if (search->trail[i].guest == last->guest)
            before = search->trail[i].plan;
    search->plan[last->guest] = before;
    vp_plan_hold(before, search->in->guest[last->guest].input.topology,
                 &search->holding[search->own[last->guest]]);
    vp_plan_free(last->plan);
}

void vp_defrag_nodes(const struct vp_topology *topology, const struct vp_plan *plan,
                     struct vp_cpuset *cpus)
{
    *cpus = (struct vp_cpuset){0};
    for (size_t i = 0; i < topology->node_count; i++)
        if (vp_cpuset_has(&plan->nodes, topology->node[i].os))
            vp_cpuset_or(cpus, &topology->node[i].cpus);
}

bool vp_defrag_bound(const struct vp_defrag_guest *guest)
{
    return guest->input.policy->memory != VP_MEMORY_KEEP && guest->plan->memory_count > 0;
}

/* ---- one set of guests ---- */

/* Out of its place under the target's booking, on its own nodes if it can be. */
static int place_elsewhere(struct vp_defrag_search *search, size_t guest, struct vp_plan **plan)
{
    const struct vp_defrag_guest *it = &search->in->guest[guest];
    struct vp_cpuset nodes, within;
    int result = 0;

    vp_defrag_nodes(it->input.topology, it->plan, &nodes);
    if (vp_defrag_within(&it->input, &nodes, &within))
        result = vp_defrag_plan(search, &it->input, &within, plan);
    if (result != 0 || vp_defrag_bound(it))
        return result;
    return vp_defrag_plan(search, &it->input, NULL, plan);
}

static bool is_in_the_way(const struct vp_defrag_search *search, size_t guest)
{
    const struct vp_holding *target = &search->holding[search->holding_count - 1];
    const struct vp_holding *own = &search->holding[search->own[guest]];

    return vp_cpuset_meets(&own->exclusive, &target->exclusive) ||
           vp_cpuset_meets(&own->exclusive, &target->fixed);
}

/* In every order, for the place of one may be what another leaves. */
static int clear_way(struct vp_defrag_search *search, const size_t *set, size_t count)
{
    bool blocked = false;

    for (size_t i = 0; i < count; i++) {
        struct vp_plan *plan;
        int result;

        if (!is_in_the_way(search, set[i]))
            continue;
        blocked = true;
        result = place_elsewhere(search, set[i], &plan);
        if (result < 0)
            return -1;
        if (result == 0)
            continue;
        vp_defrag_move(search, set[i], plan);
        result = clear_way(search, set, count);
        if (result != 0)
            return result;
        vp_defrag_back(search);
    }
    return blocked ? 0 : 1;
}

static int target_fits(struct vp_defrag_search *search, struct vp_plan **plan)
{
    return vp_defrag_plan(search, search->in->target, NULL, plan);
}

/* The set's guests count again, beside the target where it would go. */
static int clear_for(struct vp_defrag_search *search, const size_t *set, size_t count,
                     const struct vp_plan *target)
{
    struct vp_holding *last = &search->holding[search->holding_count++];
    struct vp_plan *plan = NULL;
    int result;

    *last = (struct vp_holding){0};
    strcpy(last->uuid, "target");
    vp_plan_hold(target, search->in->target->topology, last);
    result = clear_way(search, set, count);
    search->holding_count--;
    if (result == 1) {
        result = target_fits(search, &plan);
        vp_plan_free(plan);
        while (result == 0 && search->trail_count > 0)
            vp_defrag_back(search);
    }
    return result;
}

static void leave_out(struct vp_defrag_search *search, size_t guest)
{
    struct vp_holding *holding = &search->holding[search->own[guest]];

    holding->exclusive = holding->fixed = (struct vp_cpuset){0};
    memset(holding->memory_kib, 0, sizeof(holding->memory_kib));
    holding->uses_pool = false;
    holding->pool_vcpus = 0;
}

static void count_again(struct vp_defrag_search *search, size_t guest)
{
    vp_plan_hold(search->plan[guest], search->in->guest[guest].input.topology,
                 &search->holding[search->own[guest]]);
}

/* Where the target would go without the set's guests, on all nodes together and on each. */
static int try_set(struct vp_defrag_search *search, const size_t *set, size_t count)
{
    const struct vp_topology *topology = search->in->target->topology;
    int result = 0;

    for (size_t region = 0; result == 0 && region <= topology->node_count; region++) {
        struct vp_plan *plan = NULL;
        struct vp_cpuset within;

        if (region == 1 && topology->node_count == 1)
            break;
        if (!vp_defrag_within(search->in->target,
                              region == 0 ? NULL : &topology->node[region - 1].cpus, &within))
            continue;
        for (size_t i = 0; i < count; i++)
            leave_out(search, set[i]);
        result = vp_defrag_plan(search, search->in->target, &within, &plan);
        for (size_t i = 0; i < count; i++)
            count_again(search, set[i]);
        if (result == 0 && region == 0)
            break; /* then on no node */
        if (result == 1)
            result = clear_for(search, set, count, plan);
        vp_plan_free(plan);
    }
    return result;
}

static int try_sets(struct vp_defrag_search *search, size_t *set, size_t chosen, size_t most,
                    size_t from)
{
    int result = 0;

    if (chosen == most)
        return try_set(search, set, most);
    for (size_t i = from; result == 0 && !search->gave_up && i < search->movable_count; i++) {
        set[chosen] = search->movable[i];
        result = try_sets(search, set, chosen + 1, most, i + 1);
    }
    return result;
}

/* ---- all of it ---- */

/* Whether the target would fit if nobody were there who can be moved. */
static int could_ever_fit(struct vp_defrag_search *search)
{
    struct vp_plan *plan = NULL;
    int result;

    for (size_t i = 0; i < search->movable_count; i++)
        leave_out(search, search->movable[i]);
    result = target_fits(search, &plan);
    for (size_t i = 0; i < search->movable_count; i++)
        count_again(search, search->movable[i]);
    vp_plan_free(plan);
    return result;
}

static int make_room(struct vp_defrag_search *search, bool *complete)
{
    size_t set[VP_DEFRAG_MOVES];
    struct vp_plan *plan = NULL;
    int result = target_fits(search, &plan);

    vp_plan_free(plan);
    *complete = true;
    if (result != 0)
        return result;
    result = could_ever_fit(search);
    if (result <= 0)
        return result;
    result = 0;
    for (unsigned moves = 1; result == 0 && moves <= search->moves_most; moves++) {
        bool all = false;

        if (moves <= search->movable_count)
            result = try_sets(search, set, 0, moves, 0);
        if (result == 0)
            result = vp_defrag_deep(search, moves, &all);
        if (result == 0)
            *complete = *complete && all && !search->gave_up;
        if (search->gave_up)
            break;
    }
    if (result == 0)
        *complete = false; /* more moves might do */
    return result;
}

static unsigned size_of(const struct vp_defrag_search *search, size_t guest)
{
    return vp_cpuset_count(&search->holding[search->own[guest]].exclusive);
}

/* Smallest first: fewer threads are disturbed. */
static void add_movable(struct vp_defrag_search *search, size_t guest)
{
    size_t at = search->movable_count++;

    while (at > 0 && size_of(search, search->movable[at - 1]) > size_of(search, guest)) {
        search->movable[at] = search->movable[at - 1];
        at--;
    }
    search->movable[at] = guest;
}

static bool begin(struct vp_defrag_search *search)
{
    const struct vp_defrag_input *in = search->in;

    search->holding = malloc((in->holding_count + 1) * sizeof(*search->holding));
    search->own = calloc(in->guest_count + 1, sizeof(*search->own));
    search->movable = calloc(in->guest_count + 1, sizeof(*search->movable));
    search->plan = calloc(in->guest_count + 1, sizeof(*search->plan));
    search->trail = calloc(search->trail_room, sizeof(*search->trail));
    if (!search->holding || !search->own || !search->movable || !search->plan || !search->trail)
        return false;
    search->holding_count = in->holding_count;
    memcpy(search->holding, in->holding, in->holding_count * sizeof(*search->holding));
    for (size_t i = 0; i < in->guest_count; i++) {
        const struct vp_defrag_guest *guest = &in->guest[i];

        search->plan[i] = guest->plan;
        while (search->own[i] < in->holding_count &&
               strcmp(in->holding[search->own[i]].uuid, guest->input.domain->uuid) != 0)
            search->own[i]++;
        if (search->own[i] < in->holding_count && !guest->stays &&
            !vp_cpuset_empty(&in->holding[search->own[i]].exclusive))
            add_movable(search, i);
    }
    return true;
}

static void end(struct vp_defrag_search *search)
{
    while (search->trail_count > 0)
        vp_plan_free(search->trail[--search->trail_count].plan);
    free(search->holding);
    free(search->own);
    free(search->movable);
    free(search->plan);
    free(search->trail);
}

static int run(struct vp_defrag_search *search, struct vp_defrag *answer)
{
    int result;

    if (!search->in->target) {
        vp_defrag_measure(search, &answer->before);
        result = vp_defrag_lower(search) < 0 ? -1 : 1;
        vp_defrag_measure(search, &answer->after);
        answer->complete = !search->gave_up;
    } else {
        result = make_room(search, &answer->complete);
        search->tries_most = search->tries + 1; /* one more, for the answer */
        if (result == 1)
            result = target_fits(search, &answer->plan);
    }
    if (result == 1) {
        answer->move = search->trail;
        answer->count = search->trail_count;
        search->trail = NULL;
        search->trail_count = 0;
    }
    answer->tries = search->tries;
    return result;
}

int vp_defrag(const struct vp_defrag_input *in, struct vp_defrag *answer)
{
    struct vp_defrag_search search = {.in = in,
                                      .moves_most = VP_DEFRAG_MOVES,
                                      .trail_room = VP_DEFRAG_MOVES + 1,
                                      .tries_most = in->tries};
    const struct vp_topology *topology = in->target            ? in->target->topology
                                         : in->guest_count > 0 ? in->guest[0].input.topology
                                                               : NULL;
    int result;

    *answer = (struct vp_defrag){.complete = true};
    if (!topology)
        return 1; /* nobody is there */
    if (in->moves > 0 && in->moves < VP_DEFRAG_MOVES)
        search.moves_most = in->moves;
    if (in->tries == 0)
        search.tries_most = vp_defrag_tries(topology);
    result = begin(&search) ? run(&search, answer) : -1;
    end(&search);
    return result;
}
