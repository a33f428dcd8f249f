/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/place_why.h"

/* What there is, counted plainly, apart from the search. */
struct supply {
    const struct vp_topology *topology;
    bool cores; /* units are whole free cores, else CPUs */
    enum vp_thread_policy policy;
    unsigned *node;           /* units on each node */
    unsigned total;           /* units */
    unsigned usable, threads; /* CPUs; those of wholly free cores */
    unsigned most;            /* threads of the largest core */
};

/* Threads, and usable threads, of each core. */
static void count_threads(const struct vp_place_host *host, unsigned *total, unsigned *usable)
{
    for (size_t i = 0; i < host->topology->count; i++) {
        const struct vp_pu *pu = &host->topology->pu[i];

        total[pu->core]++;
        usable[pu->core] += vp_cpuset_has(&host->usable, pu->cpu);
    }
}

static bool count_supply(const struct vp_place_host *host, const struct vp_place_request *request,
                         struct supply *supply)
{
    const struct vp_topology *topology = host->topology;
    unsigned *total = calloc(topology->core_count * 2, sizeof(*total));
    unsigned *usable = total ? total + topology->core_count : NULL;

    *supply = (struct supply){.topology = topology,
                              .policy = request->thread_policy,
                              .cores = request->thread_policy != VP_THREADS_PREFER,
                              .most = 1};
    supply->node = calloc(topology->node_count, sizeof(*supply->node));
    if (!total || !supply->node) {
        free(total);
        free(supply->node);
        return false;
    }
    count_threads(host, total, usable);
    for (size_t i = 0; i < topology->count; i++) {
        const struct vp_pu *pu = &topology->pu[i];

        if (total[pu->core] > supply->most)
            supply->most = total[pu->core];
        supply->usable += vp_cpuset_has(&host->usable, pu->cpu);
        if (!supply->cores) {
            supply->node[pu->node] += vp_cpuset_has(&host->usable, pu->cpu);
        } else if (usable[pu->core] == total[pu->core]) {
            supply->node[pu->node]++;
            supply->threads += total[pu->core];
            usable[pu->core] = 0; /* counted */
        }
    }
    for (size_t i = 0; i < topology->node_count; i++)
        supply->total += supply->node[i];
    free(total);
    return true;
}

/* Units for a number of vCPUs and extra threads, at least. */
static unsigned demand(const struct supply *supply, unsigned vcpus, unsigned extras)
{
    if (supply->policy != VP_THREADS_REQUIRE)
        return vcpus + extras;
    return (vcpus + supply->most - 1) / supply->most + extras;
}

void vp_why_put(struct vp_why *text, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text->at + text->used, text->size - text->used, format, args);
    va_end(args);
    if (length > 0)
        text->used += (size_t)length;
    if (text->used >= text->size)
        text->used = text->size - 1;
}

static void put_nodes(struct vp_why *text, const struct supply *supply)
{
    const char *before = "";
    size_t listed = 0;

    for (size_t i = 0; i < supply->topology->node_count; i++) {
        if (vp_cpuset_empty(&supply->topology->node[i].cpus))
            continue;
        if (listed++ == 8) {
            vp_why_put(text, ", ...");
            break;
        }
        vp_why_put(text, "%snode %d has %u%s", before, supply->topology->node[i].os,
                   supply->node[i], listed == 1 ? " free" : "");
        before = ", ";
    }
}

static const char *unit_word(const struct supply *supply, unsigned count)
{
    if (supply->cores)
        return count == 1 ? "wholly free core" : "wholly free cores";
    return count == 1 ? "dedicated CPU" : "dedicated CPUs";
}

/* "8 dedicated CPUs (7 vCPUs and 1 other thread)" */
static void put_demand(struct vp_why *text, const struct supply *supply, unsigned vcpus,
                       unsigned extras)
{
    unsigned units = demand(supply, vcpus, extras);

    vp_why_put(text, "%u %s", units, unit_word(supply, units));
    if (extras > 0 || supply->policy == VP_THREADS_REQUIRE)
        vp_why_put(text, " (%u vCPU%s", vcpus, vcpus == 1 ? "" : "s");
    if (extras > 0)
        vp_why_put(text, ", %u emulator or I/O thread%s", extras, extras == 1 ? "" : "s");
    if (extras > 0 || supply->policy == VP_THREADS_REQUIRE)
        vp_why_put(text, ")");
}

static int descending(const void *a, const void *b)
{
    unsigned left = *(const unsigned *)a, right = *(const unsigned *)b;

    return (left < right) - (left > right);
}

static unsigned minus(unsigned a, unsigned b)
{
    return a > b ? a - b : 0;
}

/* The first of the sorted cells that is larger than the node of its rank. */
static bool why_cells(const struct supply *supply, const struct vp_place_request *request,
                      struct vp_place_answer *answer, struct vp_why *text)
{
    unsigned *size = calloc(request->cell_count + supply->topology->node_count, sizeof(*size));
    unsigned *room, nodes = 0;

    if (!size)
        return false;
    room = size + request->cell_count;
    for (size_t i = 0; i < request->cell_count; i++)
        size[i] = demand(supply, vp_cpuset_count(&request->cell[i].vcpus), 0);
    for (size_t i = 0; i < supply->topology->node_count; i++)
        if (supply->node[i] > 0)
            room[nodes++] = supply->node[i];
    qsort(size, request->cell_count, sizeof(*size), descending);
    qsort(room, nodes, sizeof(*room), descending);
    for (size_t i = 0; i < request->cell_count && size[i] > 0; i++) {
        unsigned has = i < nodes ? room[i] : 0;

        if (size[i] <= has)
            continue;
        answer->short_by = size[i] - has;
        vp_why_put(text, "%zu guest NUMA cells need a node each, one of them with %u %s; ",
                   request->cell_count, size[i], unit_word(supply, size[i]));
        put_nodes(text, supply);
        free(size);
        return true;
    }
    free(size);
    answer->short_by = 1;
    vp_why_put(text,
               "the guest's NUMA cells and its %u emulator or I/O threads do not fit on nodes of "
               "their own; ",
               vp_place_extras(request));
    put_nodes(text, supply);
    return true;
}

static bool why_node(const struct supply *supply, const struct vp_place_request *request,
                     struct vp_place_answer *answer, struct vp_why *text)
{
    unsigned need = demand(supply, request->vcpus, vp_place_extras(request)), most = 0;

    answer->limit = VP_LIMIT_NODE;
    if (request->cell_count > 1 && request->numa == VP_NUMA_SINGLE)
        return why_cells(supply, request, answer, text);
    for (size_t i = 0; i < supply->topology->node_count; i++)
        most = supply->node[i] > most ? supply->node[i] : most;
    answer->short_by = need > most ? need - most : 1;
    vp_why_put(text, "needs ");
    put_demand(text, supply, request->vcpus, vp_place_extras(request));
    vp_why_put(text, request->numa == VP_NUMA_SINGLE
                         ? " on one node; "
                         : " with emulator and I/O threads on nodes of its vCPUs; ");
    put_nodes(text, supply);
    return true;
}

static void why_total(const struct supply *supply, const struct vp_place_request *request,
                      unsigned need, struct vp_place_answer *answer, struct vp_why *text)
{
    answer->limit = supply->cores ? VP_LIMIT_CORES : VP_LIMIT_CPUS;
    answer->short_by = need > supply->total ? need - supply->total : 1;
    vp_why_put(text, "needs ");
    put_demand(text, supply, request->vcpus, vp_place_extras(request));
    vp_why_put(text, ", %u %s free", supply->total, supply->total == 1 ? "is" : "are");
    if (supply->topology->node_count > 1) {
        vp_why_put(text, ": ");
        put_nodes(text, supply);
    }
    if (supply->cores) {
        unsigned rest = supply->usable - supply->threads;

        vp_why_put(text, "; %u free CPU%s on cores in part use", rest, rest == 1 ? " is" : "s are");
    }
}

static void why_pool(const struct supply *supply, const struct vp_place_request *request,
                     struct vp_place_answer *answer, struct vp_why *text)
{
    unsigned need = demand(supply, request->vcpus, vp_place_extras(request));

    answer->limit = VP_LIMIT_SHARED;
    answer->short_by = 1;
    vp_why_put(text, "needs ");
    put_demand(text, supply, request->vcpus, vp_place_extras(request));
    vp_why_put(text,
               "; %u %s free, but the last CPU of the shared pool cannot be booked while guests or "
               "threads run there",
               supply->total, supply->total == 1 ? "is" : "are");
    answer->short_by = minus(need + 1, supply->total) > 0 ? minus(need + 1, supply->total) : 1;
}

/* ---- what would help: each change is tried ---- */

struct change {
    const char *text;
    int numa, thread_policy; /* -1: as asked */
    bool emulator, iothreads, vhost, cache, pci, core_type;
};

/* From the smallest on. */
static const struct change changes[] = {
    {"cache = prefer", -1, -1, .cache = true},
    {"pci-locality = prefer", -1, -1, .pci = true},
    {"numa = fewest", VP_NUMA_FEWEST, -1, .emulator = false},
    {"core-type = any", -1, -1, .core_type = true},
    {"emulator = shared", -1, -1, .emulator = true},
    {"iothreads = with-emulator", -1, -1, .iothreads = true},
    {"vhost = with-emulator", -1, -1, .vhost = true},
    {"thread-policy = require", -1, VP_THREADS_REQUIRE, .emulator = false},
    {"thread-policy = prefer", -1, VP_THREADS_PREFER, .emulator = false},
    {"emulator = shared and iothreads = with-emulator", -1, -1, .emulator = true,
     .iothreads = true},
    {"numa = fewest and thread-policy = prefer", VP_NUMA_FEWEST, VP_THREADS_PREFER,
     .emulator = false},
    {"numa = fewest and emulator = shared", VP_NUMA_FEWEST, -1, .emulator = true},
    {"numa = fewest and cache = prefer", VP_NUMA_FEWEST, -1, .cache = true},
};

static bool apply_rest(const struct change *change, struct vp_place_request *request)
{
    if ((change->vhost && request->vhost_isolate == 0) ||
        (change->cache && request->cache != VP_CARE_REQUIRE) ||
        (change->pci && request->pci_locality != VP_CARE_REQUIRE) ||
        (change->core_type && request->core_type == VP_CORES_ANY))
        return false;
    if (change->vhost)
        request->vhost_isolate = 0;
    if (change->cache)
        request->cache = VP_CARE_PREFER;
    if (change->pci)
        request->pci_locality = VP_CARE_PREFER;
    if (change->core_type)
        request->core_type = VP_CORES_ANY;
    return true;
}

/* False if the change would change nothing. */
static bool apply(const struct change *change, struct vp_place_request *request)
{
    if (change->numa >= 0) {
        if (request->numa != VP_NUMA_SINGLE && request->numa != VP_NUMA_SPREAD)
            return false;
        request->numa = (enum vp_numa)change->numa;
    }
    if (change->thread_policy >= 0) {
        if (request->thread_policy == (enum vp_thread_policy)change->thread_policy ||
            request->thread_policy == VP_THREADS_PREFER ||
            (change->thread_policy == VP_THREADS_REQUIRE &&
             request->thread_policy != VP_THREADS_ISOLATE))
            return false;
        request->thread_policy = (enum vp_thread_policy)change->thread_policy;
    }
    if (change->emulator) {
        if (!request->emulator_isolate)
            return false;
        request->emulator_isolate = false;
    }
    if (change->iothreads) {
        if (request->iothreads_isolate == 0)
            return false;
        request->iothreads_isolate = 0;
    }
    return apply_rest(change, request);
}

/* The most vCPUs that fit; fewer than fit always fit too. */
static int most_vcpus(const struct vp_place_host *host, struct vp_place_request request,
                      unsigned tries, unsigned *most)
{
    unsigned low = 0, high = vp_cpuset_count(&host->usable) + 1;

    if (request.vcpus < high)
        high = request.vcpus;
    while (high - low > 1 && tries-- > 0) {
        int fits;

        request.vcpus = low + (high - low) / 2;
        fits = vp_place_fits(host, &request);
        if (fits < 0)
            return -1;
        if (fits)
            low = request.vcpus;
        else
            high = request.vcpus;
    }
    *most = low;
    return 0;
}

static bool find_help(const struct vp_place_host *host, const struct vp_place_request *request,
                      struct vp_place_answer *answer)
{
    /* on large hosts a try takes up to a millisecond, with many cells more */
    size_t tries = 16384 / host->topology->count / (1 + request->cell_count / 16) + 2;
    unsigned most = 0;

    for (size_t i = 0; tries > 0 && i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct vp_place_request other = *request;
        int fits;

        if (!apply(&changes[i], &other))
            continue;
        tries--;
        fits = vp_place_fits(host, &other);
        if (fits < 0)
            return false;
        if (fits) {
            snprintf(answer->help, sizeof(answer->help), "%s", changes[i].text);
            return true;
        }
    }
    if (request->cell_count > 1)
        return true;
    if (most_vcpus(host, *request, (unsigned)tries, &most) < 0)
        return false;
    if (most > 0)
        snprintf(answer->help, sizeof(answer->help), "at most %u vCPU%s", most,
                 most == 1 ? "" : "s");
    return true;
}

static bool too_few(const struct supply *supply, const struct vp_place_request *request,
                    unsigned need)
{
    if (need > supply->total)
        return true;
    if (supply->policy != VP_THREADS_REQUIRE || request->vcpus <= supply->threads)
        return false;
    return true;
}

static bool explain(const struct vp_place_host *host, const struct vp_place_request *request,
                    bool pool_only, const struct supply *supply, struct vp_place_answer *answer)
{
    struct vp_why text = {answer->why, sizeof(answer->why), 0};
    unsigned need = demand(supply, request->vcpus, vp_place_extras(request));
    bool few = pool_only || too_few(supply, request, need);
    int other = few ? VP_LIMIT_NONE : vp_place_other_limit(host, request);

    if (other < 0)
        return false;
    if (other != VP_LIMIT_NONE) {
        answer->limit = (enum vp_limit)other;
        return vp_place_why_limit(host, request, answer, &text);
    } else if (request->thread_policy == VP_THREADS_REQUIRE && !host->topology->smt) {
        answer->limit = VP_LIMIT_CORES;
        answer->short_by = need;
        vp_why_put(&text,
                   "thread-policy require asks for thread siblings, and no core of this host has "
                   "more than one thread online");
    } else if (pool_only) {
        why_pool(supply, request, answer, &text);
    } else if (few) {
        why_total(supply, request, need, answer, &text);
    } else {
        return why_node(supply, request, answer, &text);
    }
    return true;
}

bool vp_place_why(const struct vp_place_host *whole, const struct vp_place_request *request,
                  bool pool_only, struct vp_place_answer *answer)
{
    struct vp_place_host narrow;
    const struct vp_place_host *host = vp_place_narrow(whole, request, &narrow);
    struct supply supply;
    bool good;

    memset(answer, 0, sizeof(*answer));
    answer->emulator = -1;
    if (!count_supply(host, request, &supply))
        return false;
    good = explain(host, request, pool_only, &supply, answer) && find_help(whole, request, answer);
    free(supply.node);
    return good;
}
