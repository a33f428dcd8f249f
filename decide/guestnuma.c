/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/guestnuma.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/rewritecpupart.h"

/* What libvirt rounds a cell's memory to (qemuDomainAlignMemorySizes, 9.0.0). */
enum { UNIT_KIB = 1024, UNIT_PSERIES_KIB = 256 * 1024, HUGE_DEFAULT_KIB = 2048 };

static const struct vp_numa_facts unknown;

static const struct vp_numa_facts *facts_of(const struct vp_policy *policy)
{
    return policy->numa_facts ? policy->numa_facts : &unknown;
}

/* 0: the policy says nothing, or nothing is known. One node is what a guest
 * without cells has, too. */
static unsigned wanted_count(const struct vp_domain *domain, const struct vp_policy *policy)
{
    if (policy->guest_numa != VP_GUEST_NUMA_AUTO)
        return policy->guest_numa;
    if (facts_of(policy)->count == 1 && domain->cell_count == 0)
        return 0;
    return facts_of(policy)->count;
}

unsigned vp_guest_numa_count(const struct vp_domain *domain, const struct vp_policy *policy)
{
    unsigned wanted = wanted_count(domain, policy);

    return wanted > 0 ? wanted : (unsigned)domain->cell_count;
}

/* A map of other vCPUs than the guest has is none: it was made for a count
 * that the guest cannot have. */
static bool is_mapped(const struct vp_policy *policy, unsigned vcpus)
{
    const struct vp_numa_facts *facts = facts_of(policy);
    struct vp_cpuset all = {0}, every = {0};

    if (policy->guest_numa != VP_GUEST_NUMA_AUTO || !facts->mapped)
        return false;
    vp_cpuset_add_range(&every, 0, (int)vcpus - 1);
    for (unsigned i = 0; i < facts->count; i++)
        vp_cpuset_or(&all, &facts->vcpus[i]);
    return vp_cpuset_equal(&all, &every);
}

/* Every vCPU in one cell, ids as they stand, and where the nodes are known for
 * good on these. */
static bool is_met(const struct vp_domain *domain, const struct vp_policy *policy, unsigned vcpus,
                   unsigned count)
{
    bool mapped = is_mapped(policy, vcpus);
    struct vp_cpuset all = {0}, every = {0};

    if (domain->cell_count != count)
        return false;
    vp_cpuset_add_range(&every, 0, (int)vcpus - 1);
    for (unsigned i = 0; i < count; i++) {
        const struct vp_guest_cell *cell = &domain->cell[i];

        if (cell->id != i || vp_cpuset_empty(&cell->vcpus) || vp_cpuset_meets(&all, &cell->vcpus))
            return false;
        if (mapped && !vp_cpuset_equal(&cell->vcpus, &facts_of(policy)->vcpus[i]))
            return false;
        vp_cpuset_or(&all, &cell->vcpus);
    }
    return vp_cpuset_equal(&all, &every);
}

static uint64_t unit_of(const struct vp_domain *domain)
{
    uint64_t unit =
        domain->arch && strncmp(domain->arch, "ppc64", 5) == 0 ? UNIT_PSERIES_KIB : UNIT_KIB;
    uint64_t page = domain->page_kib > 0 ? domain->page_kib : HUGE_DEFAULT_KIB;

    return domain->huge_pages && page > unit ? page : unit;
}

static void split_vcpus(const struct vp_policy *policy, unsigned vcpus, struct vp_cells *cells)
{
    bool mapped = is_mapped(policy, vcpus);
    unsigned next = 0;

    for (unsigned i = 0; i < cells->count; i++) {
        unsigned share = vcpus / cells->count + (i < vcpus % cells->count);

        if (mapped) {
            cells->vcpus[i] = facts_of(policy)->vcpus[i];
            continue;
        }
        vp_cpuset_add_range(&cells->vcpus[i], (int)next, (int)(next + share) - 1);
        next += share;
    }
}

/* The last cell takes what rounding leaves. */
static bool split_memory(const struct vp_domain *domain, unsigned vcpus, struct vp_cells *cells,
                         char *why, size_t size)
{
    uint64_t unit = unit_of(domain), left = domain->memory_kib;
    uint64_t units = domain->memory_kib / unit;

    for (unsigned i = 0; i < cells->count; i++) {
        uint64_t part = units / vcpus * vp_cpuset_count(&cells->vcpus[i]) +
                        units % vcpus * vp_cpuset_count(&cells->vcpus[i]) / vcpus;

        cells->memory_kib[i] = i + 1 < cells->count ? part * unit : left;
        if (cells->memory_kib[i] >= unit) {
            left -= cells->memory_kib[i];
            continue;
        }
        snprintf(why, size,
                 "guest-numa makes %u cells, but %llu KiB of memory are too few for as "
                 "many in units of %llu KiB",
                 cells->count, (unsigned long long)domain->memory_kib, (unsigned long long)unit);
        return false;
    }
    return true;
}

bool vp_guest_numa_wanted(const struct vp_domain *domain, const struct vp_policy *policy,
                          unsigned vcpus, struct vp_cells *cells, char *why, size_t size)
{
    unsigned count = wanted_count(domain, policy);

    memset(cells, 0, sizeof(*cells));
    if (count == 0 || is_met(domain, policy, vcpus, count))
        return true;
    if (count > vcpus || count > VP_CELLS_MAX) {
        snprintf(why, size, "guest-numa makes %u cells, the guest has %u vCPU%s", count, vcpus,
                 vcpus == 1 ? "" : "s");
        return false;
    }
    if (domain->cells_named_by && count != domain->cell_count) {
        snprintf(why, size, "guest-numa makes %u cells, but %s of the guest names cells by number",
                 count, domain->cells_named_by);
        return false;
    }
    cells->count = count;
    split_vcpus(policy, vcpus, cells);
    return split_memory(domain, vcpus, cells, why, size);
}

/* "2 cells (vCPUs 0-3, 4-7)". */
static void say(unsigned count, const struct vp_cpuset *vcpus, size_t stride, char *text,
                size_t size)
{
    size_t used = (size_t)snprintf(text, size, "%u cell%s", count, count == 1 ? "" : "s");

    for (unsigned i = 0; i < count && used + 80 < size; i++) {
        const struct vp_cpuset *set = (const struct vp_cpuset *)((const char *)vcpus + i * stride);
        char list[64];

        if (vp_cpuset_print(set, list, sizeof(list)) >= sizeof(list))
            snprintf(list, sizeof(list), "%u vCPUs", vp_cpuset_count(set));
        used += (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? " (vCPUs " : ", ",
                                 list[0] ? list : "none");
    }
    if (count > 0)
        snprintf(text + used, size - used, ")");
}

int vp_guest_numa_check(const struct vp_domain *domain, const struct vp_policy *policy,
                        unsigned vcpus, struct vp_changes *changes)
{
    struct vp_cells cells;
    char from[600], to[600];
    bool possible = vp_guest_numa_wanted(domain, policy, vcpus, &cells, to, sizeof(to));

    if (possible && cells.count == 0)
        return 0;
    if (domain->cell_count == 0)
        snprintf(from, sizeof(from), "no cells");
    else
        say((unsigned)domain->cell_count, &domain->cell[0].vcpus, sizeof(domain->cell[0]), from,
            sizeof(from));
    if (possible)
        say(cells.count, cells.vcpus, sizeof(cells.vcpus[0]), to, sizeof(to));
    return vp_changes_add(changes, VP_FACET_NUMA, !possible, from, to);
}

void vp_guest_numa_foresee(struct vp_domain *domain, const struct vp_policy *policy)
{
    struct vp_guest_cell *cell;
    struct vp_cells cells;
    char why[600];

    if (!vp_guest_numa_wanted(domain, policy, domain->vcpus, &cells, why, sizeof(why)) ||
        cells.count == 0)
        return;
    cell = calloc(cells.count, sizeof(*cell));
    if (!cell)
        return;
    for (unsigned i = 0; i < cells.count; i++)
        cell[i] = (struct vp_guest_cell){
            .id = i, .vcpus = cells.vcpus[i], .memory_kib = cells.memory_kib[i]};
    free(domain->cell);
    domain->cell = cell;
    domain->cell_count = cells.count;
}
