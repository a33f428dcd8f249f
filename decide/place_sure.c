/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether several nodes bear a guest, exactly and without a search. Each node
 * in use has one vCPU at least. Further ones go where a core bears most of
 * them, which leaves as many cores as can be to the extra threads; and one node
 * more, the largest that is left, never takes room away. */
#include <string.h>

#include "decide/place_many.h"

struct sure {
    struct vp_place *place;
    unsigned most;    /* vCPUs that the largest core bears */
    int *node;        /* those of use: first that must be, then the largest */
    size_t count;     /* of node */
    unsigned *cores;  /* by rank in `node`: how many bear 0, 1, ... `most` vCPUs */
    unsigned *gather; /* as one row of it */
};

static struct vp_place_node *node_at(const struct sure *sure, size_t rank)
{
    return &sure->place->node[sure->node[rank]];
}

static unsigned *row(const struct sure *sure, size_t rank)
{
    return sure->cores + rank * (sure->most + 1);
}

static bool is_before(const struct vp_place_node *a, const struct vp_place_node *b)
{
    return a->must != b->must ? a->must : a->most > b->most;
}

static void order_nodes(struct sure *sure)
{
    struct vp_place *place = sure->place;

    for (size_t i = 0; i < place->node_count; i++) {
        int index = place->node_order[i];
        size_t at = sure->count;

        if (place->node[index].high == 0 || place->node[index].most == 0)
            continue;
        for (; at > 0 && is_before(&place->node[index], node_at(sure, at - 1)); at--)
            sure->node[at] = sure->node[at - 1];
        sure->node[at] = index;
        sure->count++;
    }
}

/* How many vCPUs each core bears, the largest cores up to the node's high. */
static void count_cores(struct sure *sure, size_t rank)
{
    const struct vp_place *place = sure->place;
    const struct vp_place_node *node = node_at(sure, rank);
    unsigned *cores = row(sure, rank), left = node->high;

    memset(cores, 0, (sure->most + 1) * sizeof(*cores));
    memset(sure->gather, 0, (sure->most + 1) * sizeof(*cores));
    if (!place->mixed)
        sure->gather[place->per] = node->most;
    for (int d = node->domain; place->mixed && d >= 0; d = place->domain[d].next)
        for (int t = place->domain[d].type; t >= 0; t = place->type[t].next)
            sure->gather[place->type[t].total] += place->type[t].count;
    for (unsigned size = sure->most; size > 0 && left > 0; size--) {
        cores[size] += vp_least(sure->gather[size], left / size);
        left -= cores[size] * size;
        if (left == 0 || left >= size || cores[size] == sure->gather[size])
            continue;
        cores[left]++; /* the last core in part */
        left = 0;
    }
}

static unsigned largest_core(const struct sure *sure, size_t rank)
{
    unsigned size = sure->most;

    while (size > 1 && row(sure, rank)[size] == 0)
        size--;
    return size;
}

static bool prepare(struct vp_place *place, struct sure *sure)
{
    struct vp_arena *arena = &place->arena;

    *sure = (struct sure){.place = place, .most = place->per};
    for (size_t i = 0; place->mixed && i < place->type_count; i++)
        sure->most = place->type[i].total > sure->most ? place->type[i].total : sure->most;
    sure->node = vp_arena_get(arena, place->node_count, sizeof(*sure->node));
    sure->cores = vp_arena_get(arena, place->node_count * (sure->most + 1), sizeof(*sure->cores));
    sure->gather = vp_arena_get(arena, sure->most + 1, sizeof(*sure->gather));
    if (arena->failed)
        return false;
    order_nodes(sure);
    for (size_t rank = 0; rank < sure->count; rank++)
        count_cores(sure, rank);
    return true;
}

/* Whether the first nodes, so many, bear the guest. */
static bool bear(const struct sure *sure, size_t nodes)
{
    const struct vp_place *place = sure->place;
    unsigned vcpus = place->request->vcpus, taken = (unsigned)nodes, cores = 0;

    memset(sure->gather, 0, (sure->most + 1) * sizeof(*sure->gather));
    for (size_t rank = 0; rank < nodes; rank++) {
        unsigned first = largest_core(sure, rank);

        cores += node_at(sure, rank)->most;
        vcpus -= vp_least(vcpus, first);
        for (unsigned size = 1; size <= sure->most; size++)
            sure->gather[size] += row(sure, rank)[size];
        sure->gather[first]--;
    }
    for (unsigned size = sure->most; size > 0 && vcpus > 0; size--) {
        unsigned more = vp_least(sure->gather[size], (vcpus + size - 1) / size);

        taken += more;
        vcpus -= vp_least(vcpus, more * size);
    }
    return vcpus == 0 && cores >= taken && cores - taken >= place->extras;
}

/* The loads by which the first nodes bear it. */
static void load(const struct sure *sure, size_t nodes)
{
    struct vp_place *place = sure->place;
    unsigned vcpus = place->request->vcpus - (unsigned)nodes, extras = place->extras;

    vp_place_unload(place);
    for (size_t rank = 0; rank < nodes; rank++) {
        struct vp_place_node *node = node_at(sure, rank);
        unsigned more = vp_least(vcpus, largest_core(sure, rank) - 1);

        node->vcpus = 1 + more;
        node->extras = node->most - 1; /* cores that are left, for now */
        row(sure, rank)[largest_core(sure, rank)]--;
        vcpus -= more;
    }
    for (unsigned size = sure->most; size > 0; size--)
        for (size_t rank = 0; rank < nodes && vcpus > 0; rank++) {
            unsigned more = vp_least(row(sure, rank)[size], (vcpus + size - 1) / size);

            node_at(sure, rank)->extras -= more;
            node_at(sure, rank)->vcpus += vp_least(vcpus, more * size);
            vcpus -= vp_least(vcpus, more * size);
        }
    for (size_t rank = 0; rank < nodes; rank++) {
        struct vp_place_node *node = node_at(sure, rank);

        node->extras = vp_least(node->extras, extras);
        extras -= node->extras;
    }
    vp_place_hand_out(place);
}

int vp_place_sure(struct vp_place *place, bool loads)
{
    size_t must = 0, most;
    struct sure sure;

    if (!prepare(place, &sure))
        return -1;
    for (size_t i = 0; i < place->node_count; i++)
        must += place->node[place->node_order[i]].must;
    most = vp_least((unsigned)sure.count, place->request->vcpus);
    for (size_t i = 0; i < must; i++)
        if (i >= most || !node_at(&sure, i)->must)
            return 0;
    if (most == 0 || !bear(&sure, most))
        return 0;
    if (place->whether)
        return 1;
    /* one node more never takes room away */
    for (size_t low = must > 0 ? must - 1 : 0; most - low > 1;) {
        size_t middle = low + (most - low) / 2;

        if (bear(&sure, middle))
            most = middle;
        else
            low = middle;
    }
    place->sure_nodes = (unsigned)most;
    if (loads)
        load(&sure, most);
    return 1;
}
