/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As few nodes as it takes. */
#include "decide/place_many.h"

/* Memory bounds vCPUs, not extra threads; a core under require bears several. */
static void limit(struct vp_place *place)
{
    bool memory = place->host->memory_kib != NULL;

    place->apart = place->mixed || (memory && (place->extras > 0 || place->per > 1));
    for (size_t i = 0; i < place->node_count; i++) {
        struct vp_place_node *node = &place->node[place->node_order[i]];

        node->low = 1;
        node->high = memory ? node->vcpus_max : UINT32_MAX;
        node->must = node->pci && place->request->pci_locality == VP_CARE_REQUIRE;
    }
}

/* Within one L3 that several nodes share. */
static int in_one_l3(struct vp_place *place)
{
    vp_cost best = VP_COST_NEVER, cost;
    int best_l3 = -1, result;
    bool fits;

    for (size_t l3 = 0; l3 <= place->topology->l3_count; l3++) {
        int only = l3 < place->topology->l3_count ? (int)l3 : best_l3;

        if (only < 0 || place->l3_home[only] != -2)
            continue;
        limit(place);
        for (size_t i = 0; i < place->node_count; i++)
            if (vp_place_shared_l3(place, place->node_order[i]) != only)
                place->node[place->node_order[i]].high = 0;
        cost = 0;
        result = vp_place_sure(place, false);
        if (result > 0 && place->whether)
            return 1;
        fits = result > 0;
        if (fits)
            result = vp_place_many(place, 0, &cost);
        if (result == VP_DEEP || (result == 0 && fits))
            result = vp_place_sure(place, true);
        if (result < 0)
            return -1;
        if (result > 0 && l3 == place->topology->l3_count)
            break;
        vp_place_unload(place);
        if (result > 0 && cost < best) {
            best = cost;
            best_l3 = only;
        }
    }
    place->cost += best_l3 >= 0 ? best : 0;
    return best_l3 >= 0;
}

int vp_place_fewest(struct vp_place *place)
{
    vp_cost cost;
    int result;

    if (place->one_l3)
        return in_one_l3(place);
    limit(place);
    result = vp_place_sure(place, false);
    if (result <= 0 || place->whether)
        return result;
    result = vp_place_many(place, 0, &cost);
    if (result == VP_DEEP || result == 0) /* it fits: nodes taken in full were the wrong ones */
        return vp_place_sure(place, true);
    if (result > 0)
        place->cost += cost;
    return result;
}
