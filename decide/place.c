/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/place.h"

#include <stdlib.h>
#include <string.h>

#include "decide/place_priv.h"

const char *vp_limit_word(enum vp_limit limit)
{
    switch (limit) {
    case VP_LIMIT_NONE:
        return "none";
    case VP_LIMIT_CPUS:
        return "cpus";
    case VP_LIMIT_CORES:
        return "cores";
    case VP_LIMIT_NODE:
        return "node";
    case VP_LIMIT_MEMORY:
        return "memory";
    case VP_LIMIT_CACHE:
        return "cache";
    case VP_LIMIT_PCI:
        return "pci";
    case VP_LIMIT_SHARED:
        return "shared";
    case VP_LIMIT_RESERVED:
        break;
    }
    return "reserved";
}

void vp_place_clear(struct vp_place_answer *answer)
{
    free(answer->vcpu);
    free(answer->iothread);
    free(answer->vhost);
    free(answer->memory_kib);
    answer->vcpu = answer->iothread = answer->vhost = NULL;
    answer->memory_kib = NULL;
}

void vp_place_core_type(const struct vp_topology *topology, enum vp_core_type type,
                        struct vp_cpuset *cpus)
{
    *cpus = topology->online;
    if (type == VP_CORES_ANY || topology->kind_count < 2)
        return;
    if (type == VP_CORES_PERFORMANCE)
        vp_cpuset_and(cpus, &topology->kind[topology->kind_count - 1]);
    else
        vp_cpuset_minus(cpus, &topology->kind[topology->kind_count - 1]);
}

/* vcpu_cell: first the index into the request's cells, then into place->cell,
 * which has no cell without vCPUs. A vCPU in no cell counts to the first, one
 * in two of them to the earlier. */
static void assign_cells(struct vp_place *place, unsigned *renumber)
{
    const struct vp_place_request *request = place->request;

    for (size_t i = request->cell_count; i-- > 1;)
        for (int v = vp_cpuset_next(&request->cell[i].vcpus, -1);
             v >= 0 && (unsigned)v < request->vcpus; v = vp_cpuset_next(&request->cell[i].vcpus, v))
            if (!vp_cpuset_has(&request->cell[0].vcpus, v))
                place->vcpu_cell[v] = (unsigned)i;
    for (size_t i = 0; i < request->cell_count; i++)
        renumber[i] = 0;
    for (unsigned v = 0; v < request->vcpus; v++)
        renumber[place->vcpu_cell[v]]++;
    for (size_t i = 0; i < request->cell_count; i++) {
        if (renumber[i] == 0)
            continue;
        place->cell[place->cell_count] = (struct vp_place_cell){
            .id = request->cell[i].id,
            .vcpus = renumber[i],
            .memory_kib = vp_place_pages(request, request->cell[i].memory_kib),
            .node = -1,
            .l3 = -1};
        renumber[i] = (unsigned)place->cell_count++;
    }
    for (unsigned v = request->vcpus; v-- > 0;) {
        place->vcpu_cell[v] = renumber[place->vcpu_cell[v]];
        place->cell[place->vcpu_cell[v]].first = v;
    }
}

static bool read_cells(struct vp_place *place)
{
    const struct vp_place_request *request = place->request;
    struct vp_arena *arena = &place->arena;
    unsigned *renumber = vp_arena_get(arena, request->cell_count + 1, sizeof(*renumber));

    place->cell = vp_arena_get(arena, request->cell_count + 1, sizeof(*place->cell));
    place->vcpu_cell = vp_arena_get(arena, request->vcpus, sizeof(*place->vcpu_cell));
    place->vcpu_node = vp_arena_get(arena, request->vcpus, sizeof(*place->vcpu_node));
    if (arena->failed)
        return false;
    memset(place->vcpu_cell, 0, request->vcpus * sizeof(*place->vcpu_cell));
    if (request->cell_count > 0)
        assign_cells(place, renumber);
    else
        place->cell_count = 1;
    if (place->cell_count == 1)
        place->cell[0] =
            (struct vp_place_cell){.vcpus = request->vcpus,
                                   .memory_kib = vp_place_share(request, request->vcpus),
                                   .node = -1,
                                   .l3 = -1};
    return true;
}

/* What all nodes together bear; most refusals need nothing more. */
static bool enough(const struct vp_place *place)
{
    unsigned x, y, threads = 0, most = 0;

    vp_place_units(place, place->request->vcpus, place->extras, &x, &y);
    for (size_t i = 0; i < place->node_count; i++) {
        threads += place->node[place->node_order[i]].threads;
        most += place->node[place->node_order[i]].most;
    }
    return place->mixed ? x <= threads && y <= most : x <= most;
}

/* Cells on nodes of their own; `fewest` then gives up "apart", then "whole". */
static int decide_cells(struct vp_place *place)
{
    bool strict = place->request->numa == VP_NUMA_SINGLE;
    int result;

    /* cut cells are the last resort, and the first thing to know */
    if (place->whether && place->request->numa == VP_NUMA_FEWEST && !place->one_l3)
        return vp_place_fewest(place);
    result = vp_place_apart(place);
    if (result == 0 && !strict) {
        place->cost += VP_COST_GIVEN_UP;
        result = vp_place_whole(place);
    }
    if (result != 0 || strict || place->one_l3)
        return result;
    place->cost += VP_COST_GIVEN_UP;
    return place->request->numa == VP_NUMA_SPREAD ? vp_place_even(place) : vp_place_fewest(place);
}

/* Where nodes matter, cells are apart. One cell on one node is always the fewest. */
static int decide_nodes(struct vp_place *place)
{
    enum vp_numa numa = place->request->numa;
    int result;

    if (!enough(place))
        return 0;
    if (place->request->pci_locality == VP_CARE_REQUIRE && place->pci_here < place->pci_count)
        return 0;
    vp_place_limit_memory(place);
    vp_place_bound(place);
    if (place->cell_count > 1 && numa != VP_NUMA_ANY)
        return decide_cells(place);
    if (place->cell_count > 1 && place->one_l3)
        return vp_place_whole(place);
    if (numa == VP_NUMA_SPREAD)
        return vp_place_even(place);
    /* that several nodes bear it is told without a search */
    result = place->whether && numa != VP_NUMA_SINGLE ? vp_place_fewest(place) : 0;
    if (result == 0)
        result = vp_place_single(place);
    if (result == 0 && numa != VP_NUMA_SINGLE && !place->whether)
        result = vp_place_fewest(place);
    return result;
}

/* Somebody runs in the pool and all of it may be booked. */
static bool pool_at_stake(const struct vp_place_host *host)
{
    return host->pool_needed && !vp_cpuset_empty(&host->pool) &&
           vp_cpuset_within(&host->pool, &host->usable);
}

/* Of the request alone: on this host it never fits. */
static bool hopeless(const struct vp_place_host *host, const struct vp_place_request *request)
{
    return request->vcpus == 0 || request->iothreads_isolate > VP_CPU_MAX ||
           request->vhost_isolate > VP_CPU_MAX ||
           request->vcpus + vp_place_extras(request) > host->topology->count ||
           (request->thread_policy == VP_THREADS_REQUIRE && !host->topology->smt);
}

static struct vp_place begin(const struct vp_place_host *host,
                             const struct vp_place_request *request, int held_back)
{
    return (struct vp_place){.host = host,
                             .request = request,
                             .topology = host->topology,
                             .extras = vp_place_extras(request),
                             .per = request->thread_policy == VP_THREADS_REQUIRE ? 0 : 1,
                             .one_l3 = request->cache == VP_CARE_REQUIRE,
                             .whole_cores = request->thread_policy != VP_THREADS_PREFER,
                             .held_back = held_back};
}

/* Whether it fits. A pool at stake is the caller's to see. */
static int whether(const struct vp_place_host *host, const struct vp_place_request *request,
                   int held_back)
{
    struct vp_place place = begin(host, request, held_back);
    int result = -1;

    place.whether = true;
    if (vp_place_scan(&place) && read_cells(&place))
        result = decide_nodes(&place);
    vp_arena_free(&place.arena);
    return result;
}

/* One attempt without the CPU `held_back` (-1: with all). As vp_place. */
static int attempt(const struct vp_place_host *host, const struct vp_place_request *request,
                   int held_back, struct vp_place_answer *answer, vp_cost *cost)
{
    struct vp_place place = begin(host, request, held_back);
    int result;

    memset(answer, 0, sizeof(*answer));
    answer->emulator = -1;
    if (hopeless(host, request))
        return 1;
    if (!vp_place_scan(&place) || !read_cells(&place))
        result = -1;
    else
        result = decide_nodes(&place);
    if (result > 0 && (!vp_place_pick(&place, answer) || !vp_place_bear_memory(&place, answer)))
        result = -1;
    *cost = place.cost;
    vp_arena_free(&place.arena);
    if (result <= 0)
        vp_place_clear(answer);
    return result > 0 ? 0 : result == 0 ? 1 : -1;
}

/* Cores of one L3 with the same threads are alike: of those that hold a CPU of
 * the pool it is enough to try the last. */
struct candidate {
    int node, l3, cpu;
    unsigned total, free, first;
    bool outside; /* the CPU is not one of `first` */
};

static struct candidate *core_candidates(const struct vp_place_host *host)
{
    const struct vp_topology *topology = host->topology;
    struct candidate *list = calloc(topology->core_count, sizeof(*list));

    for (size_t i = 0; list && i < topology->core_count; i++)
        list[i].cpu = -1;
    for (size_t i = 0; list && i < topology->count; i++) {
        const struct vp_pu *pu = &topology->pu[i];
        struct candidate *candidate = &list[pu->core];
        bool outside = !vp_cpuset_has(&host->first, pu->cpu);

        candidate->node = pu->node;
        candidate->l3 = pu->l3;
        candidate->total++;
        candidate->free += vp_cpuset_has(&host->usable, pu->cpu);
        candidate->first += vp_cpuset_has(&host->usable, pu->cpu) && !outside;
        if (!vp_cpuset_has(&host->pool, pu->cpu) || (candidate->outside && !outside))
            continue;
        candidate->cpu = pu->cpu;
        candidate->outside = outside;
    }
    return list;
}

static bool alike(const struct candidate *a, const struct candidate *b)
{
    return a->node == b->node && a->l3 == b->l3 && a->total == b->total && a->free == b->free &&
           a->first == b->first && a->outside == b->outside;
}

/* A larger host is not tried out core by core, nor placed on to see whether a
 * change would help. */
enum { SEARCHED = 512 };

static size_t most_tries(const struct vp_topology *topology)
{
    size_t tries = 32768 / topology->count;

    return topology->count <= SEARCHED ? SIZE_MAX : tries < 2 ? 2 : tries;
}

/* What is left of the cores' list. */
static size_t pick_candidates(struct candidate *list, size_t cores, size_t most)
{
    size_t count = 0, at;

    for (size_t core = 0; core < cores; core++) {
        struct candidate candidate = list[core];

        if (candidate.cpu < 0)
            continue;
        for (at = 0; at < count && !alike(&list[at], &candidate); at++)
            ;
        if (at == count && count < most)
            list[count++] = candidate;
        else if (at < count && candidate.cpu > list[at].cpu)
            list[at] = candidate;
    }
    return count;
}

/* All of the pool would be booked while somebody runs there: the best answer
 * that leaves one CPU of it. */
static int leave_pool(const struct vp_place_host *host, const struct vp_place_request *request,
                      struct vp_place_answer *answer)
{
    struct candidate *list = core_candidates(host);
    size_t count =
        list ? pick_candidates(list, host->topology->core_count, most_tries(host->topology)) : 0;
    int result = list ? 1 : -1;
    vp_cost best = 0;

    memset(answer, 0, sizeof(*answer));
    answer->emulator = -1;
    /* on a large host the first that fits is taken */
    for (size_t i = 0; i < count && result >= 0; i++) {
        struct vp_place_answer other;
        vp_cost cost = 0;
        int tried;

        if (result == 0 && host->topology->count > SEARCHED)
            break;
        /* without cells that is told at once, and mostly it is no */
        if (request->cell_count < 2 && whether(host, request, list[i].cpu) == 0)
            continue;
        tried = attempt(host, request, list[i].cpu, &other, &cost);
        if (tried < 0) {
            result = -1;
        } else if (tried == 0 && (result == 1 || cost < best)) {
            vp_place_clear(answer);
            *answer = other;
            best = cost;
            result = 0;
        } else {
            vp_place_clear(&other);
        }
    }
    free(list);
    return result;
}

/* As vp_place without the explanation; *pool_only: it fits but for the pool. */
static int place(const struct vp_place_host *whole, const struct vp_place_request *request,
                 struct vp_place_answer *answer, bool *pool_only)
{
    struct vp_place_host narrow;
    const struct vp_place_host *host = vp_place_narrow(whole, request, &narrow);
    vp_cost cost = 0;
    int result = attempt(host, request, -1, answer, &cost);

    *pool_only = false;
    if (result != 0 || !pool_at_stake(host) || !vp_cpuset_within(&host->pool, &answer->taken))
        return result;
    vp_place_clear(answer);
    *pool_only = true;
    return leave_pool(host, request, answer);
}

/* Whether it fits with one CPU of the pool left: 0 also where that is not known. */
static int whether_beside_pool(const struct vp_place_host *host,
                               const struct vp_place_request *request)
{
    struct candidate *list = core_candidates(host);
    size_t count =
        list ? pick_candidates(list, host->topology->core_count, most_tries(host->topology)) : 0;
    int result = list ? 0 : -1;

    for (size_t i = 0; i < count && result == 0; i++)
        result = whether(host, request, list[i].cpu);
    free(list);
    return result;
}

int vp_place_fits(const struct vp_place_host *whole, const struct vp_place_request *request)
{
    struct vp_place_host narrow;
    const struct vp_place_host *host = vp_place_narrow(whole, request, &narrow);
    struct vp_place_answer answer;
    bool pool_only;
    int result;

    if (hopeless(host, request))
        return 0;
    result = whether(host, request, -1);
    if (result <= 0 || !pool_at_stake(host))
        return result;
    result = whether_beside_pool(host, request);
    if (result != 0 || host->topology->count > SEARCHED)
        return result;
    result = place(whole, request, &answer, &pool_only);
    vp_place_clear(&answer);
    return result < 0 ? -1 : result == 0;
}

int vp_place(const struct vp_place_host *host, const struct vp_place_request *request,
             struct vp_place_answer *answer)
{
    bool pool_only;
    int result = place(host, request, answer, &pool_only);

    if (result == 1 && request->unexplained)
        *answer = (struct vp_place_answer){.emulator = -1};
    else if (result == 1 && !vp_place_why(host, request, pool_only, answer))
        return -1;
    if (result == -1)
        vp_place_clear(answer);
    return result;
}
