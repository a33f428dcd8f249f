/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long vp_place takes for 8 vCPUs on hosts of three sizes in four states,
 * how long one of 8 NUMA cells and 32 vCPUs on 16 nodes and how long a refusal takes, and what
 * reading the topology cache costs a hook. Prints medians in microseconds; the aim is 10 for a
 * placement, 50 for that of cells and for the cache of a host of 96 CPUs. usage: bench_place
 * [ROUNDS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "decide/place.h"
#include "host/discover.h"

static unsigned rounds = 2001;

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

struct figure {
    double median, p99;
};

static struct figure summary(double *sample)
{
    qsort(sample, rounds, sizeof(*sample), compare);
    return (struct figure){sample[rounds / 2], sample[(size_t)rounds * 99 / 100]};
}

static const struct {
    const char *name, *spec;
} hosts[] = {
    {"1x8x2", "node:1 core:8 pu:2"},
    {"2x64x2", "node:2 core:64 pu:2"},
    {"8x32x2", "node:8 core:32 pu:2"},
};

static const char *const states[] = {"empty", "half", "scattered", "full"};

/* half: every second core is booked; scattered: CPUs in no order; full: all but seven. */
static void set_state(const struct vp_topology *topology, size_t state, struct vp_cpuset *usable)
{
    unsigned random = 7, left = 0;

    *usable = topology->online;
    for (size_t i = 0; i < topology->count; i++) {
        const struct vp_pu *pu = &topology->pu[i];

        random = random * 1103515245 + 12345;
        if ((state == 1 && pu->core % 2 == 1) || (state == 2 && (random >> 16) % 8 < 3) ||
            (state == 3 && left++ >= 7))
            vp_cpuset_remove(usable, pu->cpu);
    }
}

static struct figure measure(const struct vp_place_host *host,
                             const struct vp_place_request *request, double *sample, int *result)
{
    for (unsigned i = 0; i < rounds; i++) {
        struct vp_place_answer answer;
        double start = now_us();

        *result = vp_place(host, request, &answer);
        sample[i] = now_us() - start;
        vp_place_clear(&answer);
    }
    return summary(sample);
}

static void bench_host(size_t index, double *sample)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    static const struct {
        const char *name;
        struct vp_place_request request;
    } wishes[] = {
        {"prefer single", {.vcpus = 8, .numa = VP_NUMA_SINGLE, .guest_threads = 2}},
        {"prefer fewest", {.vcpus = 8, .numa = VP_NUMA_FEWEST, .guest_threads = 2}},
        {"require, emulator",
         {.vcpus = 8,
          .thread_policy = VP_THREADS_REQUIRE,
          .guest_threads = 2,
          .emulator_isolate = true}},
        {"isolate", {.vcpus = 8, .thread_policy = VP_THREADS_ISOLATE, .guest_threads = 1}},
    };

    if (vp_discover(hosts[index].spec, &topology, NULL) < 0)
        exit(3);
    for (size_t state = 0; state < sizeof(states) / sizeof(states[0]); state++) {
        struct vp_place_host host = {.topology = topology};

        set_state(topology, state, &host.usable);
        for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
            int result = 0;
            struct figure figure = measure(&host, &wishes[i].request, sample, &result);

            printf("%-7s %-10s %-18s %-8s %7.1f %7.1f\n", hosts[index].name, states[state],
                   wishes[i].name, result == 0 ? "placed" : "refused", figure.median, figure.p99);
        }
    }
}

/* A guest of eight NUMA cells, each on a node of its own, on a host of sixteen. */
static void bench_cells(enum vp_numa numa, const char *name, double *sample)
{
    VP_AUTO(vp_topology) struct vp_topology *topology = NULL;
    struct vp_guest_cell cell[8] = {0};
    struct vp_place_request request = {
        .vcpus = 32, .numa = numa, .guest_threads = 2, .cell = cell, .cell_count = 8};

    if (vp_discover("node:16 core:8 pu:2", &topology, NULL) < 0)
        exit(3);
    for (int i = 0; i < 8; i++) {
        cell[i].id = (unsigned)i;
        vp_cpuset_add_range(&cell[i].vcpus, i * 4, i * 4 + 3);
    }
    for (size_t state = 0; state < 3; state++) {
        struct vp_place_host host = {.topology = topology};
        struct figure figure;
        int result = 0;

        set_state(topology, state, &host.usable);
        figure = measure(&host, &request, sample, &result);
        printf("%-7s %-10s %-18s %-8s %7.1f %7.1f\n", "16x8x2", states[state], name,
               result == 0 ? "placed" : "refused", figure.median, figure.p99);
    }
}

static void bench_cache(const char *name, const char *spec, double *sample)
{
    char directory[] = "/tmp/bench-place-XXXXXX", path[64];
    struct figure figure;

    if (!mkdtemp(directory))
        exit(3);
    for (unsigned i = 0; i < rounds; i++) {
        struct vp_topology *topology = NULL;
        double start = now_us();

        if (vp_topology_cached(directory, spec, &topology, NULL) < 0)
            exit(3);
        sample[i] = now_us() - start;
        vp_topology_free(topology);
    }
    figure = summary(sample);
    printf("cache   %-38s %7.1f %7.1f\n", name, figure.median, figure.p99);
    snprintf(path, sizeof(path), "%s/topology", directory);
    unlink(path);
    rmdir(directory);
}

int main(int argc, char **argv)
{
    VP_AUTO(free) double *sample = NULL;

    if (argc > 1)
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
    if (rounds < 1)
        return 2;
    sample = calloc(rounds, sizeof(*sample));
    if (!sample)
        return 3;
    printf("%-7s %-10s %-18s %-8s %7s %7s\n", "host", "state", "8 vCPUs", "", "median", "p99");
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        bench_host(i, sample);
    bench_cells(VP_NUMA_SINGLE, "8 cells, single", sample);
    bench_cells(VP_NUMA_FEWEST, "8 cells, fewest", sample);
    bench_cache("this host", NULL, sample);
    bench_cache("a host of 96 CPUs", "pack:4 l3:4 core:6 pu:1", sample);
    return 0;
}
