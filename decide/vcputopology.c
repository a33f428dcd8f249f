/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/vcputopology.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "decide/guestnuma.h"

/* ---- the search ---- */

static bool within(unsigned value, unsigned maximum)
{
    return maximum == 0 || value <= maximum;
}

static unsigned apart(unsigned a, unsigned b)
{
    return a > b ? a - b : b - a;
}

/* The scores of a candidate in the order in which they decide; less is better. */
enum { SCORES = 5 };

static void score(const struct vp_topology_search *search, const struct vp_guest_topology *t,
                  unsigned scores[SCORES])
{
    unsigned met = (t->sockets == search->preferred_sockets) +
                   (t->cores == search->preferred_cores) +
                   (t->threads == search->preferred_threads);

    scores[0] = 3 - met;
    scores[1] = apart(t->threads, search->usual_threads);
    scores[2] = apart(t->sockets, search->usual_sockets);
    scores[3] = t->sockets;
    scores[4] = t->threads;
}

static bool is_better(const unsigned a[SCORES], const unsigned b[SCORES])
{
    for (int i = 0; i < SCORES; i++)
        if (a[i] != b[i])
            return a[i] < b[i];
    return false;
}

bool vp_topology_search(const struct vp_topology_search *search, struct vp_guest_topology *best)
{
    unsigned least[SCORES] = {UINT_MAX};

    for (unsigned sockets = 1; sockets <= search->vcpus; sockets++) {
        unsigned each = search->vcpus / sockets;

        if (search->vcpus % sockets != 0 || !within(sockets, search->max_sockets))
            continue;
        for (unsigned threads = 1; threads <= each; threads++) {
            struct vp_guest_topology here = {sockets, 1, 1, each / threads, threads};
            unsigned scores[SCORES];

            if (each % threads != 0 || !within(threads, search->max_threads) ||
                !within(here.cores, search->max_cores))
                continue;
            score(search, &here, scores);
            if (!is_better(scores, least))
                continue;
            memcpy(least, scores, sizeof(least));
            *best = here;
        }
    }
    return least[0] != UINT_MAX;
}

/* ---- what systems count ---- */

static const struct {
    const char *glob;
    unsigned sockets;
    const char *source;
} os_sockets[] = {
#define VP_OS_SOCKETS(glob, sockets, source) {glob, sockets, source},
#include "conf/os-sockets.def"
#undef VP_OS_SOCKETS
};

unsigned vp_os_sockets(const char *os, const char **source)
{
    for (size_t i = 0; os && i < sizeof(os_sockets) / sizeof(os_sockets[0]); i++) {
        if (fnmatch(os_sockets[i].glob, os, 0) != 0)
            continue;
        *source = os_sockets[i].source;
        return os_sockets[i].sockets;
    }
    return 0;
}

/* ---- for a guest ---- */

static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + used, size - used, format, args);
    va_end(args);
}

uint64_t vp_topology_product(const struct vp_guest_topology *topology)
{
    const unsigned part[] = {topology->sockets, topology->dies, topology->clusters, topology->cores,
                             topology->threads};
    uint64_t all = 1;

    for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
        if (__builtin_mul_overflow(all, part[i] > 0 ? part[i] : 1, &all))
            return UINT64_MAX;
    return all;
}

static unsigned at_least_one(unsigned part)
{
    return part > 0 ? part : 1;
}

/* "sockets=2 x cores=4 x threads=2 makes 16, the guest has 6 vCPUs". */
static void say_sum(const struct vp_guest_topology *topology, unsigned vcpus, char *text,
                    size_t size)
{
    snprintf(text, size, "sockets=%u", topology->sockets);
    if (topology->dies > 1)
        append(text, size, " x dies=%u", topology->dies);
    if (topology->clusters > 1)
        append(text, size, " x clusters=%u", topology->clusters);
    append(text, size, " x cores=%u x threads=%u makes %llu, the guest has %u vCPU%s",
           at_least_one(topology->cores), at_least_one(topology->threads),
           (unsigned long long)vp_topology_product(topology), vcpus, vcpus == 1 ? "" : "s");
}

/* "no sockets x cores x threads makes 7 within max-cores=4, max-threads=1 ..." */
static void say_limits(const struct vp_topology_search *search, const char *source, char *text,
                       size_t size)
{
    const struct {
        const char *name;
        unsigned most;
    } limits[] = {{"socket", search->max_sockets},
                  {"core", search->max_cores},
                  {"thread", search->max_threads}};
    const char *between = " within";

    snprintf(text, size, "no sockets x cores x threads makes %u", search->vcpus);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        if (limits[i].most == 0)
            continue;
        append(text, size, "%s %u %s%s", between, limits[i].most, limits[i].name,
               limits[i].most == 1 ? "" : "s");
        between = ",";
    }
    if (source)
        append(text, size, " (sockets that the guest's system counts: %s)", source);
}

/* Threads of one core in the guest are siblings on the host only where whole
 * cores are given; with thread-policy = prefer that is not known in advance. */
static unsigned usual_threads(const struct vp_policy *policy, unsigned vcpus)
{
    bool together =
        policy->placement == VP_PLACE_DEDICATED && policy->thread_policy == VP_THREADS_REQUIRE;

    return together && vcpus % 2 == 0 ? 2 : 1;
}

static bool search_for(const struct vp_domain *domain, const struct vp_policy *policy,
                       unsigned vcpus, struct vp_guest_topology *wanted, char *why, size_t size)
{
    unsigned cells = vp_guest_numa_count(domain, policy);
    struct vp_topology_search search = {
        .vcpus = vcpus,
        .max_sockets = policy->max_sockets,
        .max_cores = policy->max_cores,
        .max_threads = policy->max_threads,
        .preferred_sockets = policy->preferred_sockets,
        .preferred_cores = policy->preferred_cores,
        .preferred_threads = policy->preferred_threads,
        .usual_sockets = cells > 0 ? cells : 1,
        .usual_threads = usual_threads(policy, vcpus),
    };
    const char *source = NULL;
    unsigned counted = vp_os_sockets(domain->os, &source);

    if (counted > 0 && (search.max_sockets == 0 || counted < search.max_sockets))
        search.max_sockets = counted;
    else
        source = NULL;
    if (vp_topology_search(&search, wanted))
        return true;
    say_limits(&search, source, why, size);
    return false;
}

bool vp_vcpu_topology(const struct vp_domain *domain, const struct vp_policy *policy,
                      unsigned vcpus, struct vp_guest_topology *wanted, char *why, size_t size)
{
    *wanted = policy->topology;
    if (wanted->sockets == VP_TOPOLOGY_AUTO)
        return search_for(domain, policy, vcpus, wanted, why, size);
    if (wanted->sockets == 0 || vp_topology_product(wanted) == vcpus)
        return true;
    say_sum(wanted, vcpus, why, size);
    return false;
}
