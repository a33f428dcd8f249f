/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests come and go on hosts of four shapes; virtpin's placer beside models of
 * how others choose CPUs, written from descriptions of their algorithms:
 *   nova     one node a guest, nodes with most free CPUs first (its default since
 *            26.0.0, "spread"); on a node the cores with most free threads, in
 *            the host's order, all of them
 *   novapack the same with the fullest node first (what it did before, and does
 *            with packing_host_numa_cells_allocation_strategy)
 *   kubelet  "packed": whole nodes, then whole free cores, then CPUs, each where
 *            the node and the core have fewest free
 *   ovirt    the socket with most free CPUs, its cores in order, until placed
 *   pinvirt  one thread of each core in the order of sockets and cores, then the
 *            next threads
 * The first two are beside numa = single, the others, which know no such bound, beside
 * numa = fewest; thread-policy is prefer for all.
 *
 * Sizes and lifetimes are a table of our own, after what is told of public clouds
 * (Cortez et al., Resource Central, SOSP 2017, has figures of Azure's): most
 * guests have 1 or 2 vCPUs, each doubling is rarer; most live for minutes to
 * hours, few for weeks, and those hold most of the CPU time (here sizes 1 to 32,
 * lifetimes log-normal with sigma 1.5). Load is mean CPUs wanted over CPUs of the
 * host.
 * usage: churn [ARRIVALS [SEEDS]] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "decide/place.h"

static const struct shape {
    const char *name;
    int nodes, l3s, cores, threads; /* L3s of a node, cores of an L3 */
} shapes[] = {
    {"1x8x2", 1, 1, 8, 2}, {"2x64x2", 2, 8, 8, 2}, {"8x32x2", 8, 4, 8, 2}, {"4x12x2", 4, 2, 6, 2}};

enum model { NOVA, NOVAPACK, KUBELET, OVIRT, PINVIRT, MODELS };
static const char *const names[] = {"nova", "novapack", "kubelet", "ovirt", "pinvirt"};

static uint64_t state;
static double uniform(void)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static unsigned guest_size(void)
{
    static const struct {
        double share;
        unsigned vcpus;
    } sizes[] = {{0.40, 1}, {0.72, 2}, {0.89, 4}, {0.96, 8}, {0.99, 16}, {1.0, 32}};
    double x = uniform();
    size_t i = 0;

    while (x > sizes[i].share)
        i++;
    return sizes[i].vcpus;
}

#define MEAN_SIZE (0.40 + 0.32 * 2 + 0.17 * 4 + 0.07 * 8 + 0.03 * 16 + 0.01 * 32)

static double guest_life(void) /* mean 1 */
{
    double normal = sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform());

    return exp(1.5 * normal - 1.5 * 1.5 / 2);
}

/* ---- the host ---- */

static struct vp_topology *build(const struct shape *shape)
{
    struct vp_topology *topology = vp_topology_new();
    int cores = shape->nodes * shape->l3s * shape->cores;
    struct vp_error err;

    topology->count = (size_t)(cores * shape->threads);
    topology->node_count = (size_t)shape->nodes;
    topology->pu = calloc(topology->count, sizeof(*topology->pu));
    topology->node = calloc(topology->node_count, sizeof(*topology->node));
    for (int i = 0; i < shape->nodes; i++)
        topology->node[i].os = i;
    for (int i = 0; i < cores * shape->threads; i++) {
        int core = i % cores, node = core / shape->cores / shape->l3s;

        topology->pu[i] = (struct vp_pu){i, core, core / shape->cores, node, node, 0};
    }
    if (vp_topology_build(topology, &err) < 0)
        exit(3);
    return topology;
}

struct view {
    const struct vp_topology *topology;
    const struct vp_cpuset *free;
};

static unsigned core_free(const struct view *view, int core)
{
    struct vp_cpuset cpus = view->topology->core[core];

    vp_cpuset_and(&cpus, view->free);
    return vp_cpuset_count(&cpus);
}

static unsigned node_free(const struct view *view, size_t node)
{
    struct vp_cpuset cpus = view->topology->node[node].cpus;

    vp_cpuset_and(&cpus, view->free);
    return vp_cpuset_count(&cpus);
}

static int node_of(const struct view *view, int core)
{
    return vp_topology_pu(view->topology, vp_cpuset_next(&view->topology->core[core], -1))->node;
}

/* Up to `most` free CPUs of a core that are not taken yet; their number. */
static unsigned take(const struct view *view, int core, unsigned most, struct vp_cpuset *taken)
{
    unsigned count = 0;

    for (int cpu = vp_cpuset_next(&view->topology->core[core], -1); cpu >= 0 && count < most;
         cpu = vp_cpuset_next(&view->topology->core[core], cpu)) {
        if (!vp_cpuset_has(view->free, cpu) || vp_cpuset_has(taken, cpu))
            continue;
        vp_cpuset_add(taken, cpu);
        count++;
    }
    return count;
}

/* ---- the models: CPUs for so many vCPUs, empty if none ---- */

/* Of one node: cores with at least n free threads, the largest n with enough
 * room in such cores (n threads of each) first. */
static bool nova_node(const struct view *view, size_t node, unsigned vcpus, struct vp_cpuset *taken)
{
    for (unsigned n = 8; n > 0; n--) {
        unsigned room = 0, left = vcpus;

        for (size_t core = 0; core < view->topology->core_count; core++)
            if (node_of(view, (int)core) == (int)node && core_free(view, (int)core) >= n)
                room += n;
        if (room < vcpus)
            continue;
        for (size_t core = 0; core < view->topology->core_count && left > 0; core++)
            if (node_of(view, (int)core) == (int)node && core_free(view, (int)core) >= n)
                left -= take(view, (int)core, n < left ? n : left, taken);
        return true;
    }
    if (node_free(view, node) < vcpus)
        return false;
    for (size_t core = 0; core < view->topology->core_count && vcpus > 0; core++)
        if (node_of(view, (int)core) == (int)node)
            vcpus -= take(view, (int)core, vcpus, taken);
    return true;
}

static void nova_nodes(const struct view *view, unsigned vcpus, bool pack, struct vp_cpuset *taken)
{
    bool tried[64] = {false};

    for (size_t i = 0; i < view->topology->node_count; i++) {
        size_t best = view->topology->node_count;

        for (size_t node = 0; node < view->topology->node_count; node++) {
            unsigned free = node_free(view, node);

            if (tried[node])
                continue;
            if (best == view->topology->node_count ||
                (pack ? free < node_free(view, best) : free > node_free(view, best)))
                best = node;
        }
        tried[best] = true;
        if (nova_node(view, best, vcpus, taken))
            return;
    }
}

static void nova(const struct view *view, unsigned vcpus, struct vp_cpuset *taken)
{
    nova_nodes(view, vcpus, false, taken);
}

static void nova_pack(const struct view *view, unsigned vcpus, struct vp_cpuset *taken)
{
    nova_nodes(view, vcpus, true, taken);
}

/* The free core (whole) or the core with a free CPU that kubelet takes next. */
static int kubelet_core(const struct view *view, const struct vp_cpuset *taken, bool whole)
{
    struct vp_cpuset free = *view->free;
    struct view now = {view->topology, &free};
    unsigned least = UINT32_MAX;
    int best = -1;

    vp_cpuset_minus(&free, taken);
    for (size_t core = 0; core < view->topology->core_count; core++) {
        unsigned here = core_free(&now, (int)core), rank;

        if (here == 0 || (whole && here < vp_cpuset_count(&view->topology->core[core])))
            continue;
        rank = node_free(&now, (size_t)node_of(view, (int)core)) * 16 + here;
        if (rank < least) {
            least = rank;
            best = (int)core;
        }
    }
    return best;
}

static void kubelet(const struct view *view, unsigned vcpus, struct vp_cpuset *taken)
{
    unsigned threads = vp_cpuset_count(&view->topology->core[0]);

    if (vp_cpuset_count(view->free) < vcpus)
        return;
    for (size_t node = 0; node < view->topology->node_count; node++) {
        unsigned all = vp_cpuset_count(&view->topology->node[node].cpus);

        if (vcpus < all || node_free(view, node) < all)
            continue;
        vp_cpuset_or(taken, &view->topology->node[node].cpus);
        vcpus -= all;
    }
    while (vcpus >= threads) {
        int core = kubelet_core(view, taken, true);

        if (core < 0)
            break;
        vcpus -= take(view, core, threads, taken);
    }
    while (vcpus > 0)
        vcpus -= take(view, kubelet_core(view, taken, false), 1, taken);
}

static void ovirt(const struct view *view, unsigned vcpus, struct vp_cpuset *taken)
{
    if (vp_cpuset_count(view->free) < vcpus)
        return;
    while (vcpus > 0) {
        struct vp_cpuset free = *view->free;
        struct view now = {view->topology, &free};
        size_t best = 0;

        vp_cpuset_minus(&free, taken);
        for (size_t node = 1; node < view->topology->node_count; node++)
            if (node_free(&now, node) > node_free(&now, best))
                best = node;
        for (size_t core = 0; core < view->topology->core_count && vcpus > 0; core++)
            if (node_of(view, (int)core) == (int)best)
                vcpus -= take(view, (int)core, vcpus, taken);
    }
}

static void pinvirt(const struct view *view, unsigned vcpus, struct vp_cpuset *taken)
{
    if (vp_cpuset_count(view->free) < vcpus)
        return;
    while (vcpus > 0)
        for (size_t core = 0; core < view->topology->core_count && vcpus > 0; core++)
            vcpus -= take(view, (int)core, 1, taken);
}

static void choose(enum model model, const struct view *view, unsigned vcpus,
                   struct vp_cpuset *taken)
{
    static void (*const models[])(const struct view *, unsigned,
                                  struct vp_cpuset *) = {nova, nova_pack, kubelet, ovirt, pinvirt};

    models[model](view, vcpus, taken);
}

static void choose_virtpin(enum vp_numa numa, const struct view *view, unsigned vcpus,
                           struct vp_cpuset *taken)
{
    struct vp_place_host host = {.topology = view->topology, .usable = *view->free};
    struct vp_place_request request = {.vcpus = vcpus, .numa = numa, .guest_threads = 1};
    struct vp_place_answer answer;

    if (vp_place(&host, &request, &answer) == 0)
        *taken = answer.taken;
    vp_place_clear(&answer);
}

/* ---- one run ---- */

struct locality {
    unsigned long nodes, l3s, shared;
};

static void measure(const struct view *view, const struct vp_cpuset *taken, struct locality *sum)
{
    const struct vp_topology *topology = view->topology;

    for (size_t i = 0; i < topology->node_count; i++)
        sum->nodes += vp_cpuset_meets(&topology->node[i].cpus, taken);
    for (size_t i = 0; i < topology->l3_count; i++)
        sum->l3s += vp_cpuset_meets(&topology->l3[i], taken);
    for (size_t i = 0; i < topology->core_count; i++)
        sum->shared += vp_cpuset_meets(&topology->core[i], taken) &&
                       !vp_cpuset_within(&topology->core[i], view->free);
}

struct guest {
    double end;
    struct vp_cpuset held[2]; /* virtpin's, the model's */
};

struct result {
    unsigned accepted[2], both;
    struct locality locality[2];
};

static struct guest *live;
static size_t live_count;

static void leave(double now, struct vp_cpuset *free)
{
    for (size_t i = 0; i < live_count;) {
        if (live[i].end > now) {
            i++;
            continue;
        }
        vp_cpuset_or(&free[0], &live[i].held[0]);
        vp_cpuset_or(&free[1], &live[i].held[1]);
        live[i] = live[--live_count];
    }
}

static void run(const struct vp_topology *topology, enum model model, double load,
                unsigned arrivals, uint64_t seed, struct result *result)
{
    struct vp_cpuset free[2] = {topology->online, topology->online};
    double now = 0, gap = MEAN_SIZE / (load * (double)topology->count);
    enum vp_numa numa = model <= NOVAPACK ? VP_NUMA_SINGLE : VP_NUMA_FEWEST;

    state = seed;
    live_count = 0;
    for (unsigned i = 0; i < arrivals; i++) {
        struct guest guest = {0};
        struct view view[2] = {{topology, &free[0]}, {topology, &free[1]}};
        unsigned vcpus = guest_size();
        bool in[2];

        now -= gap * log(uniform());
        guest.end = now + guest_life();
        leave(now, free);
        choose_virtpin(numa, &view[0], vcpus, &guest.held[0]);
        choose(model, &view[1], vcpus, &guest.held[1]);
        for (int k = 0; k < 2; k++) {
            in[k] = !vp_cpuset_empty(&guest.held[k]);
            result->accepted[k] += in[k];
        }
        for (int k = 0; k < 2 && in[0] && in[1]; k++)
            measure(&view[k], &guest.held[k], &result->locality[k]);
        result->both += in[0] && in[1];
        for (int k = 0; k < 2; k++)
            vp_cpuset_minus(&free[k], &guest.held[k]);
        live[live_count++] = guest;
    }
}

/* Adds a host shape's runs under a model and load to the model's sums. */
static void compare(const struct vp_topology *topology, const char *name, enum model model,
                    double load, unsigned arrivals, unsigned seeds, struct result *sum,
                    unsigned *fewer)
{
    struct result here = {0};

    for (unsigned seed = 1; seed <= seeds; seed++) {
        struct result one = {0};

        run(topology, model, load, arrivals, seed, &one);
        *fewer += one.accepted[0] < one.accepted[1];
        for (int k = 0; k < 2; k++) {
            here.accepted[k] += one.accepted[k];
            here.locality[k].nodes += one.locality[k].nodes;
            here.locality[k].l3s += one.locality[k].l3s;
            here.locality[k].shared += one.locality[k].shared;
        }
    }
    printf("%-7s %3.0f%% %-8s %7u %7u %8lu %8lu %8lu %8lu %8lu %8lu\n", name, load * 100,
           names[model], here.accepted[0], here.accepted[1], here.locality[0].nodes,
           here.locality[1].nodes, here.locality[0].l3s, here.locality[1].l3s,
           here.locality[0].shared, here.locality[1].shared);
    for (int k = 0; k < 2; k++) {
        sum->accepted[k] += here.accepted[k];
        sum->locality[k].nodes += here.locality[k].nodes;
        sum->locality[k].l3s += here.locality[k].l3s;
        sum->locality[k].shared += here.locality[k].shared;
    }
}

int main(int argc, char **argv)
{
    unsigned arrivals = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000;
    unsigned seeds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3;
    static const double loads[] = {0.8, 1.0, 1.2};
    struct result sum[MODELS] = {0};
    unsigned fewer[MODELS] = {0};

    live = calloc(arrivals + 1, sizeof(*live));
    if (!live)
        return 3;
    printf("guests accepted, then nodes, L3s and cores shared with others of guests that both\n"
           "accepted; virtpin beside the model; seeds 1 to %u, %u arrivals each\n",
           seeds, arrivals);
    printf("%-7s %4s %-8s %15s %17s %17s %17s\n", "host", "load", "model", "accepted", "nodes",
           "L3s", "shared cores");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct vp_topology *topology = build(&shapes[i]);

        for (size_t l = 0; l < 3; l++)
            for (int model = 0; model < MODELS; model++)
                compare(topology, shapes[i].name, (enum model)model, loads[l], arrivals, seeds,
                        &sum[model], &fewer[model]);
        vp_topology_free(topology);
    }
    for (int model = 0; model < MODELS; model++)
        printf("total        %-8s %7u %7u %8lu %8lu %8lu %8lu %8lu %8lu   runs with fewer: %u\n",
               names[model], sum[model].accepted[0], sum[model].accepted[1],
               sum[model].locality[0].nodes, sum[model].locality[1].nodes,
               sum[model].locality[0].l3s, sum[model].locality[1].l3s,
               sum[model].locality[0].shared, sum[model].locality[1].shared, fewer[model]);
    free(live);
    return 0;
}
