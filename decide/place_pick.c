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
    unsigned *vcpu, *mine; /* by node; of the cell at hand */
    unsigned extra;        /* extra threads placed so far */
};

/* How many CPUs of the next core of this type are used, given the order in
 * which the closed forms of place_cost.c count them. */
static unsigned next_take(const struct vp_place *place, struct vp_place_type *type, bool *extra)
{
    unsigned k = type->taken++, preferred = type->count * type->first, done;

    *extra = false;
    if (place->whole_cores && !place->mixed)
        return k < type->x ? place->per : 0;
    if (place->mixed) {
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

struct picks {
    struct pick *item;
    size_t count;
};

/* In one pass every step is as long, so what has no room for one has none later. */
static void place_vcpus(struct picker *picker, struct picks picks, unsigned *vcpu, unsigned count,
                        bool whole)
{
    const struct vp_place *place = picker->place;
    size_t at = 0;
    unsigned step;

    for (unsigned i = 0; i < count; i += step) {
        step = 1;
        if (vcpu[i] == PLACED)
            continue;
        if (whole)
            step = guest_core(place, &vcpu[i], count - i);
        if (whole && step == 1 && place->request->guest_threads > 1)
            continue;
        while (at < picks.count &&
               (picks.item[at].extra || picks.item[at].slots - picks.item[at].used < step))
            at++;
        if (at == picks.count)
            return;
        for (unsigned k = 0; k < step; k++) {
            picker->answer->vcpu[vcpu[i + k]] = use_slot(picker, &picks.item[at]);
            vcpu[i + k] = PLACED;
        }
    }
}

static void give_extra(struct picker *picker, int cpu)
{
    const struct vp_place_request *request = picker->place->request;
    unsigned i = picker->extra++;

    if (i < request->emulator_isolate) {
        picker->answer->emulator = cpu;
        return;
    }
    i -= request->emulator_isolate;
    if (i < request->iothreads_isolate)
        picker->answer->iothread[i] = cpu;
    else
        picker->answer->vhost[i - request->iothreads_isolate] = cpu;
}

static void place_extras(struct picker *picker, struct picks picks, unsigned count)
{
    bool apart = picker->place->request->thread_policy == VP_THREADS_REQUIRE;

    for (size_t at = 0; at < picks.count; at++) {
        struct pick *pick = &picks.item[at];

        for (; count > 0 && pick->extra == apart && pick->used < pick->slots; count--)
            give_extra(picker, use_slot(picker, pick));
    }
}

/* Where cores are alike under require, those that the vCPUs leave over are the
 * extra threads', one each. */
static void leave_extras(const struct vp_place *place, struct picks picks, unsigned vcpus)
{
    unsigned cores = (vcpus + place->per - 1) / place->per;

    if (place->request->thread_policy != VP_THREADS_REQUIRE || place->mixed)
        return;
    for (size_t at = cores; at < picks.count; at++) {
        picks.item[at].extra = true;
        picks.item[at].slots = 1;
    }
}

/* Of a node's picks those in one L3. */
static struct picks in_l3(struct picks picks, int l3)
{
    struct picks found = {picks.item, 0};

    while (picks.count > 0 && (found.item->domain != l3 || found.item->extra)) {
        found.item++;
        picks.count--;
    }
    while (found.count < picks.count && found.item[found.count].domain == l3)
        found.count++;
    return found;
}

/* vcpu: the node's vCPUs in ascending order; those of each cell are put in its L3. */
static void place_cells(struct picker *picker, int node, struct picks picks, const unsigned *vcpu,
                        unsigned count)
{
    const struct vp_place *place = picker->place;
    unsigned *mine = picker->mine, used;

    for (int d = place->node[node].domain; d >= 0; d = place->domain[d].next) {
        struct picks here = in_l3(picks, place->domain[d].l3);

        used = 0;
        for (unsigned i = 0; i < count; i++)
            if (place->cell[place->vcpu_cell[vcpu[i]]].l3 == place->domain[d].l3)
                mine[used++] = vcpu[i];
        leave_extras(place, here, used);
        place_vcpus(picker, here, mine, used, true);
        place_vcpus(picker, here, mine, used, false);
    }
}

static void place_node(struct picker *picker, int index, unsigned *vcpu)
{
    struct vp_place *place = picker->place;
    const struct vp_place_node *node = &place->node[index];
    struct picks picks = {picker->pick, 0};

    if (node->vcpus == 0)
        return;
    while (picks.item->node != index)
        picks.item++;
    while (picks.item + picks.count < picker->pick + picker->count &&
           picks.item[picks.count].node == index)
        picks.count++;
    if (place->by_domain || node->l3_cell >= 0) {
        place_cells(picker, index, picks, vcpu, node->vcpus);
    } else {
        leave_extras(place, picks, node->vcpus);
        place_vcpus(picker, picks, vcpu, node->vcpus, true);
        place_vcpus(picker, picks, vcpu, node->vcpus, false);
    }
    place_extras(picker, picks, node->extras);
    vp_cpuset_add(&picker->answer->nodes, place->topology->node[index].os);
}

/* vCPUs by node, each node's in ascending order. */
static bool place_nodes(struct picker *picker)
{
    struct vp_place *place = picker->place;
    unsigned *first = vp_arena_get(&place->arena, place->topology->node_count, sizeof(*first));
    unsigned at = 0;

    if (!first)
        return false;
    for (size_t i = 0; i < place->node_count; i++) {
        first[place->node_order[i]] = at;
        at += place->node[place->node_order[i]].vcpus;
    }
    for (unsigned v = 0; v < place->request->vcpus; v++)
        picker->vcpu[first[place->vcpu_node[v]]++] = v;
    at = 0;
    for (size_t i = 0; i < place->node_count; i++) {
        place_node(picker, place->node_order[i], picker->vcpu + at);
        at += place->node[place->node_order[i]].vcpus;
    }
    return true;
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
    picker->mine = vp_arena_get(arena, request->vcpus, sizeof(*picker->mine));
    picker->answer->vcpu = malloc(request->vcpus * sizeof(int));
    if (request->iothreads_isolate > 0)
        picker->answer->iothread = malloc(request->iothreads_isolate * sizeof(int));
    if (request->vhost_isolate > 0)
        picker->answer->vhost = malloc(request->vhost_isolate * sizeof(int));
    return !arena->failed && picker->answer->vcpu &&
           (request->iothreads_isolate == 0 || picker->answer->iothread) &&
           (request->vhost_isolate == 0 || picker->answer->vhost);
}

bool vp_place_pick(struct vp_place *place, struct vp_place_answer *answer)
{
    struct picker picker = {.place = place, .answer = answer};

    if (!prepare(&picker))
        return false;
    for (size_t i = 0; i < place->node_count; i++) {
        int node = place->node_order[i];

        if (place->node[node].vcpus > 0 && !vp_place_split(place, node))
            return false;
    }
    pick_cores(&picker);
    if (picker.count > 1)
        qsort(picker.pick, picker.count, sizeof(*picker.pick), compare_picks);
    if (!place_nodes(&picker))
        return false;
    book_idle(&picker);
    return true;
}
