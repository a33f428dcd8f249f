/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of the guest on the nodes of its vCPUs. */
#include <stdlib.h>

#include "decide/place_priv.h"

uint64_t vp_place_pages(const struct vp_place_request *request, uint64_t kib)
{
    uint64_t page = request->page_kib > 0 ? request->page_kib : 4;
    uint64_t pages = kib / page + (kib % page != 0);

    return pages > UINT64_MAX / page ? UINT64_MAX : pages * page;
}

static uint64_t total_of(const struct vp_place_request *request)
{
    uint64_t sum = 0;

    if (request->memory_kib > 0)
        return request->memory_kib;
    for (size_t i = 0; i < request->cell_count; i++)
        sum += request->cell[i].memory_kib;
    return sum;
}

uint64_t vp_place_share(const struct vp_place_request *request, unsigned vcpus)
{
    unsigned __int128 share = (unsigned __int128)total_of(request) * vcpus;

    return vp_place_pages(request, (uint64_t)((share + request->vcpus - 1) / request->vcpus));
}

bool vp_place_memory_fits(const struct vp_place *place, int node, uint64_t kib)
{
    return !place->host->memory_kib || kib <= place->host->memory_kib[node];
}

static unsigned most_vcpus(const struct vp_place *place, int node)
{
    unsigned low = 0, high = place->request->vcpus + 1;

    while (high - low > 1) {
        unsigned middle = low + (high - low) / 2;

        if (vp_place_memory_fits(place, node, vp_place_share(place->request, middle)))
            low = middle;
        else
            high = middle;
    }
    return low;
}

void vp_place_limit_memory(struct vp_place *place)
{
    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];

        node->vcpus_max = place->host->memory_kib ? most_vcpus(place, place->node_order[i])
                                                  : place->request->vcpus;
    }
}

bool vp_place_bear_memory(const struct vp_place *place, struct vp_place_answer *answer)
{
    bool whole = true;

    if (!place->host->memory_kib)
        return true;
    answer->memory_kib = calloc(place->topology->node_count, sizeof(*answer->memory_kib));
    if (!answer->memory_kib)
        return false;
    for (size_t i = 0; i < place->cell_count; i++)
        whole = whole && place->cell[i].node >= 0;
    for (size_t i = 0; whole && i < place->cell_count; i++)
        answer->memory_kib[place->cell[i].node] += place->cell[i].memory_kib;
    for (size_t i = 0; !whole && i < place->topology->node_count; i++)
        if (place->node[i].vcpus > 0)
            answer->memory_kib[i] = vp_place_share(place->request, place->node[i].vcpus);
    return true;
}
