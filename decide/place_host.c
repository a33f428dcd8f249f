/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "decide/place_priv.h"

static bool has(const struct vp_cpuset *set, int cpu)
{
    return (set->w[cpu / 64] >> (cpu % 64) & 1) != 0;
}

/* PUs come in ascending order, so cores enter `order` by their lowest usable
 * CPU; everything that prefers low numbers follows from this order. */
static void count_threads(struct vp_place *place)
{
    const struct vp_topology *topology = place->topology;
    const struct vp_place_host *host = place->host;

    for (size_t i = 0; i < topology->count; i++) {
        int cpu = topology->pu[i].cpu, index = topology->pu[i].core;
        struct vp_place_core *core = &place->core[index];

        core->total++;
        if (!has(&host->usable, cpu) || cpu == place->held_back)
            continue;
        if (core->free == 0) {
            core->cpu = cpu;
            place->order[place->core_count++] = index;
        }
        core->free++;
        core->first = (uint16_t)(core->first + has(&host->first, cpu));
    }
}

/* The domain of that L3 on the node, -1: none yet. Mostly an L3 has one. */
static int find_domain(const struct vp_place *place, int node, int l3)
{
    int last = place->l3_domain[l3];

    if (last < 0 || place->domain[last].node == node)
        return last;
    for (int i = place->node[node].domain; i >= 0; i = place->domain[i].next)
        if (place->domain[i].l3 == l3)
            return i;
    return -1;
}

static struct vp_place_domain *domain_of(struct vp_place *place, int node, int l3)
{
    int found = find_domain(place, node, l3);
    struct vp_place_domain *domain;

    if (found >= 0)
        return &place->domain[found];
    domain = &place->domain[place->domain_count];
    *domain = (struct vp_place_domain){
        .node = node, .l3 = l3, .type = -1, .next = place->node[node].domain};
    place->l3_domain[l3] = place->node[node].domain = (int)place->domain_count++;
    if (place->l3_home[l3] == -1)
        place->l3_home[l3] = node;
    else if (place->l3_home[l3] != node)
        place->l3_home[l3] = -2;
    return domain;
}

static int type_of(struct vp_place *place, struct vp_place_domain *domain,
                   const struct vp_place_core *core)
{
    struct vp_place_type *type;

    for (int i = domain->type; i >= 0; i = place->type[i].next) {
        type = &place->type[i];
        if (type->total == core->total && type->free == core->free && type->first == core->first &&
            type->cut == core->cut)
            return i;
    }
    type = &place->type[place->type_count];
    *type = (struct vp_place_type){.total = core->total,
                                   .free = core->free,
                                   .first = core->first,
                                   .cut = core->cut,
                                   .next = domain->type};
    domain->type = (int)place->type_count;
    return (int)place->type_count++;
}

static void add_core(struct vp_place *place, int index)
{
    struct vp_place_core *core = &place->core[index];
    const struct vp_pu *pu = &place->topology->pu[place->topology->at[core->cpu]];
    struct vp_place_node *node = &place->node[pu->node];

    if (node->free == 0)
        place->node_order[place->node_count++] = pu->node;
    node->free += core->free;
    core->type = -1;
    if (place->whole_cores && core->free != core->total)
        return;
    core->type = (int16_t)type_of(place, domain_of(place, pu->node, pu->l3), core);
    place->type[core->type].count++;
    node->threads += core->free;
    node->most += place->whole_cores ? 1 : core->free;
    if (place->request->thread_policy != VP_THREADS_REQUIRE)
        return;
    place->mixed = place->mixed || (place->per != 0 && place->per != core->total);
    place->per = core->total;
}

/* For vp_place_most_left. What the pool keeps is free all the same. */
static void rank_nodes(struct vp_place *place)
{
    if (place->held_back >= 0)
        place->node[vp_topology_pu(place->topology, place->held_back)->node].free++;
    place->freest = -1;
    for (size_t i = 0; i < place->topology->node_count; i++) {
        unsigned free = place->node[i].free;

        if (place->freest < 0 || free > place->most_free) {
            place->next_free = place->freest < 0 ? 0 : place->most_free;
            place->most_free = free;
            place->freest = (int)i;
        } else if (free > place->next_free) {
            place->next_free = free;
        }
    }
}

static void find_pci(struct vp_place *place)
{
    const struct vp_place_request *request = place->request;
    bool wanted = request->pci_locality != VP_CARE_ANY && !vp_cpuset_empty(&request->pci_nodes);

    for (size_t i = 0; wanted && i < place->topology->node_count && place->pci_count < 255; i++) {
        if (!has(&request->pci_nodes, place->topology->node[i].os))
            continue;
        place->node[i].pci = true;
        place->pci_count++;
        place->pci_here += place->node[i].domain >= 0;
    }
}

static bool prepare(struct vp_place *place)
{
    const struct vp_topology *topology = place->topology;
    struct vp_arena *arena = &place->arena;

    place->core = vp_arena_get(arena, topology->core_count, sizeof(*place->core));
    place->order = vp_arena_get(arena, topology->core_count, sizeof(*place->order));
    place->node = vp_arena_get(arena, topology->node_count, sizeof(*place->node));
    place->node_order = vp_arena_get(arena, topology->node_count, sizeof(*place->node_order));
    place->l3_home = vp_arena_get(arena, topology->l3_count, sizeof(*place->l3_home));
    place->l3_domain = vp_arena_get(arena, topology->l3_count, sizeof(*place->l3_domain));
    if (arena->failed)
        return false;
    memset(place->core, 0, topology->core_count * sizeof(*place->core));
    memset(place->l3_home, -1, topology->l3_count * sizeof(*place->l3_home));
    memset(place->l3_domain, -1, topology->l3_count * sizeof(*place->l3_domain));
    for (size_t i = 0; i < topology->node_count; i++)
        place->node[i] =
            (struct vp_place_node){.domain = -1, .low = 1, .high = UINT32_MAX, .l3_cell = -1};
    return true;
}

bool vp_place_scan(struct vp_place *place)
{
    struct vp_arena *arena = &place->arena;

    if (!prepare(place))
        return false;
    count_threads(place);
    if (place->held_back >= 0) {
        struct vp_place_core *core =
            &place->core[vp_topology_pu(place->topology, place->held_back)->core];

        core->cut = core->free + 1 == core->total;
    }
    place->type = vp_arena_get(arena, place->core_count, sizeof(*place->type));
    place->domain = vp_arena_get(arena, place->core_count, sizeof(*place->domain));
    if (arena->failed)
        return false;
    for (size_t i = 0; i < place->core_count; i++)
        add_core(place, place->order[i]);
    if (place->per == 0 || place->mixed)
        place->per = 1;
    rank_nodes(place);
    find_pci(place);
    return true;
}

const struct vp_place_host *vp_place_narrow(const struct vp_place_host *host,
                                            const struct vp_place_request *request,
                                            struct vp_place_host *narrow)
{
    struct vp_cpuset cpus;

    if (request->core_type == VP_CORES_ANY || host->topology->kind_count < 2)
        return host;
    vp_place_core_type(host->topology, request->core_type, &cpus);
    *narrow = *host;
    vp_cpuset_and(&narrow->usable, &cpus);
    return narrow;
}
