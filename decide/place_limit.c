/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What limits beside CPUs: without it the guest would be placed. */
#include <stdlib.h>

#include "decide/place_why.h"

static int fits_without(const struct vp_place_host *host, struct vp_place_request request,
                        enum vp_limit limit)
{
    struct vp_place_host other = *host;

    if (limit == VP_LIMIT_MEMORY)
        other.memory_kib = NULL;
    if (limit == VP_LIMIT_CACHE)
        request.cache = VP_CARE_PREFER;
    if (limit == VP_LIMIT_PCI)
        request.pci_locality = VP_CARE_PREFER;
    return vp_place_fits(&other, &request);
}

int vp_place_other_limit(const struct vp_place_host *host, const struct vp_place_request *request)
{
    const struct {
        enum vp_limit limit;
        bool there;
    } limits[] = {
        {VP_LIMIT_MEMORY, host->memory_kib != NULL},
        {VP_LIMIT_CACHE, request->cache == VP_CARE_REQUIRE},
        {VP_LIMIT_PCI, request->pci_locality == VP_CARE_REQUIRE},
    };

    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        int fits = limits[i].there ? fits_without(host, *request, limits[i].limit) : 0;

        if (fits != 0)
            return fits < 0 ? -1 : (int)limits[i].limit;
    }
    return VP_LIMIT_NONE;
}

static uint64_t largest_memory(const struct vp_place_request *request)
{
    uint64_t most = 0;

    if (request->cell_count < 2)
        return request->memory_kib;
    for (size_t i = 0; i < request->cell_count; i++)
        if (request->cell[i].memory_kib > most)
            most = request->cell[i].memory_kib;
    return most;
}

/* In MiB, as operators count. */
static void why_memory(const struct vp_place_host *host, const struct vp_place_request *request,
                       struct vp_place_answer *answer, struct vp_why *text)
{
    uint64_t need = largest_memory(request), most = 0;
    unsigned listed = 0;

    vp_why_put(text, "needs %llu MiB%s on nodes with CPUs free for it; ",
               (unsigned long long)((need + 1023) / 1024),
               request->cell_count > 1 ? " for its largest NUMA cell" : "");
    for (size_t i = 0; i < host->topology->node_count; i++) {
        most = host->memory_kib[i] > most ? host->memory_kib[i] : most;
        if (listed < 8)
            vp_why_put(text, "%snode %d has %llu MiB%s", listed > 0 ? ", " : "",
                       host->topology->node[i].os, (unsigned long long)(host->memory_kib[i] / 1024),
                       listed == 0 ? " free" : "");
        listed++;
    }
    if (listed > 8)
        vp_why_put(text, ", ...");
    answer->short_by = need > most ? (unsigned)((need - most + 1023) / 1024) : 1;
}

/* Usable CPUs of the freest L3; false without memory. */
static bool freest_l3(const struct vp_place_host *host, unsigned *most)
{
    const struct vp_topology *topology = host->topology;
    unsigned *free_cpus = calloc(topology->l3_count, sizeof(*free_cpus));

    *most = 0;
    if (!free_cpus)
        return false;
    for (size_t i = 0; i < topology->count; i++) {
        const struct vp_pu *pu = &topology->pu[i];

        if (vp_cpuset_has(&host->usable, pu->cpu) && ++free_cpus[pu->l3] > *most)
            *most = free_cpus[pu->l3];
    }
    free(free_cpus);
    return true;
}

static bool why_cache(const struct vp_place_host *host, const struct vp_place_request *request,
                      struct vp_place_answer *answer, struct vp_why *text)
{
    unsigned most = 0, need = request->vcpus;

    if (request->cell_count > 1)
        need = 0;
    for (size_t i = 0; i < request->cell_count && request->cell_count > 1; i++)
        if (vp_cpuset_count(&request->cell[i].vcpus) > need)
            need = vp_cpuset_count(&request->cell[i].vcpus);
    if (!freest_l3(host, &most))
        return false;
    vp_why_put(text, "needs %u vCPU%s in one L3%s; the freest L3 has %u CPU%s free", need,
               need == 1 ? "" : "s", request->cell_count > 1 ? " for its largest NUMA cell" : "",
               most, most == 1 ? "" : "s");
    answer->short_by = need > most ? need - most : 1;
    return true;
}

static void why_pci(const struct vp_place_host *host, const struct vp_place_request *request,
                    struct vp_place_answer *answer, struct vp_why *text)
{
    unsigned listed = 0;

    vp_why_put(text, "its PCI devices are on ");
    for (size_t i = 0; i < host->topology->node_count; i++) {
        struct vp_cpuset here = host->topology->node[i].cpus;

        if (!vp_cpuset_has(&request->pci_nodes, host->topology->node[i].os))
            continue;
        vp_cpuset_and(&here, &host->usable);
        vp_why_put(text, "%snode %d (%u CPUs free)", listed > 0 ? ", " : "",
                   host->topology->node[i].os, vp_cpuset_count(&here));
        listed++;
    }
    vp_why_put(text, ", and the guest cannot have vCPUs on %s",
               listed == 1 ? "it" : "each of them");
    answer->short_by = 1;
}

bool vp_place_why_limit(const struct vp_place_host *host, const struct vp_place_request *request,
                        struct vp_place_answer *answer, struct vp_why *text)
{
    if (answer->limit == VP_LIMIT_CACHE)
        return why_cache(host, request, answer, text);
    if (answer->limit == VP_LIMIT_MEMORY)
        why_memory(host, request, answer, text);
    else
        why_pci(host, request, answer, text);
    return true;
}
