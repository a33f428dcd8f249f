/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "decide/place_priv.h"

/* One core of the answer: its CPUs are slot[first] to slot[first + slots - 1]. */
struct pick {
    int core, node, domain;
    size_t position; /* among the usable cores, by lowest CPU */
    unsigned slots, used;
    size_t first;
    bool extra; /* require: for an extra thread alone */
};

struct picker {
    struct vp_place *place;
    struct vp_place_answer *answer;
    struct pick *pick;
    size_t count;
    int *slot;
    size_t slot_count;
    unsigned *vcpu; /* of the node at hand */
    unsigned extra; /* extra threads placed so far */
};

/* How many CPUs of the next core of this type are used, given the order in
 * which the closed forms of place_cost.c count them. */
static unsigned next_take(const struct vp_place *place, struct vp_place_type *type, bool *extra)
{
    unsigned k = type->taken++, preferred = type->count * type->first, done;

    *extra = false;
    if (place->request->thread_policy == VP_THREADS_ISOLATE)
        return k < type->x;
    if (place->request->thread_policy == VP_THREADS_REQUIRE) {
        unsigned cores = (type->x + type->total - 1) / type->total;

        *extra = k >= cores;
        return k < cores ? type->total : k < cores + type->y;
    }
    if (type->first == 0 || type->first == type->free || type->x <= preferred) {
        unsigned each = type->first == 0 ? type->free : type->first;

        done = k * each;
        return done >= type->x ? 0 : type->x - done < each ? type->x - done : each;
    }
    /* More than is preferred: each core gives its preferred threads, and the
     * first ones the rest of theirs. */
    unsigned rest = type->x - preferred, more = (unsigned)(type->free - type->first);

    done = k * more;
    return type->first + (done >= rest ? 0 : rest - done < more ? rest - done : more);
}

static void add_slots(struct picker *picker, const struct vp_place_core *core, int index)
{
    const struct vp_place_host *host = picker->place->host;
    const struct vp_cpuset *cpus = &picker->place->topology->core[index];
    unsigned found = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int cpu = core->cpu; cpu >= 0 && found < core->free; cpu = vp_cpuset_next(cpus, cpu)) {
            if (!vp_cpuset_has(&host->usable, cpu) || cpu == picker->place->held_back ||
                vp_cpuset_has(&host->first, cpu) != (pass == 0))
                continue;
            picker->slot[picker->slot_count + found++] = cpu;
        }
    }
    picker->slot_count += found;
}

static void pick_cores(struct picker *picker)
{
    struct vp_place *place = picker->place;

    for (size_t i = 0; i < place->core_count; i++) {
        struct vp_place_core *core = &place->core[place->order[i]];
        const struct vp_pu *pu;
        unsigned take;
        bool extra;

        if (core->type < 0)
            continue;
        take = next_take(place, &place->type[core->type], &extra);
        if (take == 0)
            continue;
        pu = &place->topology->pu[place->topology->at[core->cpu]];
        picker->pick[picker->count++] = (struct pick){.core = place->order[i],
                                                      .node = pu->node,
                                                      .domain = pu->l3,
                                                      .position = i,
                                                      .slots = take,
                                                      .first = picker->slot_count,
                                                      .extra = extra};
        add_slots(picker, core, place->order[i]);
    }
}

/* By node and L3; in these the cores that give most threads first, so that
 * consecutive vCPUs are siblings and a single thread comes last. */
static int compare_picks(const void *a, const void *b)
{
    const struct pick *left = a, *right = b;

    if (left->node != right->node)
        return left->node < right->node ? -1 : 1;
    if (left->extra != right->extra)
        return left->extra ? 1 : -1;
    if (left->domain != right->domain)
        return left->domain < right->domain ? -1 : 1;
    if (left->slots != right->slots)
        return left->slots > right->slots ? -1 : 1;
    return left->position < right->position ? -1 : 1;
}

static int use_slot(struct picker *picker, struct pick *pick)
{
    int cpu = picker->slot[pick->first + pick->used++];

    vp_cpuset_add(&picker->answer->taken, cpu);
    return cpu;
}

/* vCPUs v[0..] that are one whole core of the guest: their number, else 1. */
static unsigned guest_core(const struct vp_place *place, const unsigned *v, unsigned count)
{
    unsigned threads = place->request->guest_threads;

    if (threads < 2 || threads > count || v[0] % threads != 0 ||
        v[threads - 1] != v[0] + threads - 1)
        return 1;
    return threads;
}

/* Whole guest cores go to cores with room for them all, single vCPUs and what
 * found no such core to what is left. A placed vCPU is marked in `vcpu`. */
#define PLACED UINT32_MAX

static void place_vcpus(struct picker *picker, struct pick *pick, size_t picks, unsigned count,
                        bool whole)
{
    const struct vp_place *place = picker->place;
    unsigned step;

    for (unsigned i = 0; i < count; i += step) {
        unsigned *v = &picker->vcpu[i];
        size_t at = 0;

        step = 1;
        if (*v == PLACED)
            continue;
        if (whole)
            step = guest_core(place, v, count - i);
        if (whole && step == 1 && place->request->guest_threads > 1)
            continue;
        while (at < picks && (pick[at].extra || pick[at].slots - pick[at].used < step))
            at++;
        if (at == picks)
            continue;
        for (unsigned k = 0; k < step; k++) {
            picker->answer->vcpu[v[k]] = use_slot(picker, &pick[at]);
            v[k] = PLACED;
        }
    }
}

static void place_extras(struct picker *picker, struct pick *pick, size_t picks, unsigned count)
{
    bool apart = picker->place->request->thread_policy == VP_THREADS_REQUIRE;

    for (size_t at = 0; at < picks && count > 0; at++) {
        while (count > 0 && pick[at].extra == apart && pick[at].used < pick[at].slots) {
            int cpu = use_slot(picker, &pick[at]);

            if (picker->extra == 0 && picker->place->request->emulator_isolate)
                picker->answer->emulator = cpu;
            else
                picker->answer->iothread[picker->extra - picker->place->request->emulator_isolate] =
                    cpu;
            picker->extra++;
            count--;
        }
    }
}

static void place_node(struct picker *picker, int node)
{
    struct vp_place *place = picker->place;
    struct pick *pick;
    size_t first = 0, last;
    unsigned count = 0;

    if (place->node[node].load_x == 0)
        return;
    while (first < picker->count && picker->pick[first].node != node)
        first++;
    for (last = first; last < picker->count && picker->pick[last].node == node;)
        last++;
    for (unsigned v = 0; v < place->request->vcpus; v++)
        if (place->vcpu_node[v] == node)
            picker->vcpu[count++] = v;
    pick = &picker->pick[first];
    place_vcpus(picker, pick, last - first, count, true);
    place_vcpus(picker, pick, last - first, count, false);
    place_extras(picker, pick, last - first, place->node[node].extras);
    vp_cpuset_add(&picker->answer->nodes, place->topology->node[node].os);
}

/* Under require and isolate the whole core is booked. */
static void book_idle(struct picker *picker)
{
    struct vp_place_answer *answer = picker->answer;

    if (!picker->place->whole_cores)
        return;
    for (size_t i = 0; i < picker->slot_count; i++)
        if (!vp_cpuset_has(&answer->taken, picker->slot[i]))
            vp_cpuset_add(&answer->idle, picker->slot[i]);
    vp_cpuset_or(&answer->taken, &answer->idle);
}

static bool prepare(struct picker *picker)
{
    struct vp_place *place = picker->place;
    const struct vp_place_request *request = place->request;
    struct vp_arena *arena = &place->arena;

    picker->pick = vp_arena_get(arena, place->core_count, sizeof(*picker->pick));
    picker->slot = vp_arena_get(arena, place->topology->count, sizeof(*picker->slot));
    picker->vcpu = vp_arena_get(arena, request->vcpus, sizeof(*picker->vcpu));
    picker->answer->vcpu = malloc(request->vcpus * sizeof(int));
    if (request->iothreads_isolate > 0)
        picker->answer->iothread = malloc(request->iothreads_isolate * sizeof(int));
    return !arena->failed && picker->answer->vcpu &&
           (request->iothreads_isolate == 0 || picker->answer->iothread);
}

bool vp_place_pick(struct vp_place *place, struct vp_place_answer *answer)
{
    struct picker picker = {.place = place, .answer = answer};

    if (!prepare(&picker))
        return false;
    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];

        if (place->node[node].load_x + place->node[node].load_y > 0 && !vp_place_split(place, node))
            return false;
    }
    pick_cores(&picker);
    if (picker.count > 1)
        qsort(picker.pick, picker.count, sizeof(*picker.pick), compare_picks);
    for (size_t i = 0; i < place->node_count; i++)
        place_node(&picker, place->node_order[i]);
    book_idle(&picker);
    return true;
}
