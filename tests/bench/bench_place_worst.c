/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hunts inputs for which vp_place takes long: random hosts of up to 128 nodes and
 * 8192 PUs, bookings and requests, the slowest of which are mutated again and again.
 * Prints the slowest found, and the kept ones (seeds that earlier hunts found).
 * usage: bench_place_worst [SECONDS [SEED]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decide/error.h"
#include "decide/place.h"

/* A case in numbers, each 0 to 999, so that it can be mutated without knowing. */
enum gene {
    NODES,
    L3S,
    CORES,
    THREADS,
    UNEVEN, /* how unlike the nodes are */
    BOOKED,
    BOOKED_CORES,
    FIRST,
    POLICY,
    NUMA,
    VCPUS,
    EXTRAS,
    CELLS,
    CELLS_UNEVEN,
    CACHE,
    FILL,
    PCI,
    MEMORY,
    POOL,
    SHARED_L3,
    SHAPE, /* by bits of it, which are by factors rather than evenly drawn: few nodes, few L3s */
    GENES
};
struct input {
    unsigned gene[GENES];
    unsigned seed;
};

static uint64_t state;
static unsigned below(unsigned limit)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % limit;
}

static unsigned scale(const struct input *in, enum gene gene, unsigned low, unsigned high)
{
    return low + (unsigned)((uint64_t)in->gene[gene] * (high - low + 1) / 1000);
}

/* The same, where that bit of SHAPE is set, so that each doubling is as likely. */
static unsigned scale_by(const struct input *in, unsigned bit, enum gene gene, unsigned low,
                         unsigned high)
{
    unsigned steps = 0, step;

    if ((in->gene[SHAPE] >> bit & 1) == 0)
        return scale(in, gene, low, high);
    while (low << (steps + 1) <= high)
        steps++;
    step = in->gene[gene] * (steps + 1) / 1000;
    high = step == steps ? high : (low << (step + 1)) - 1;
    low <<= step;
    return low + in->gene[gene] * (steps + 1) % 1000 * (high - low + 1) / 1000;
}

struct work {
    struct vp_topology *topology;
    struct vp_place_host host;
    struct vp_place_request request;
    struct vp_guest_cell cell[128];
    uint64_t memory[128];
};

static void add_node(struct work *work, const struct input *in, int node, int *core, int *l3,
                     unsigned cores)
{
    unsigned threads = 1u << scale(in, THREADS, 0, 3);
    unsigned per_l3 = cores / scale_by(in, 1, L3S, 1, 64);
    bool shared = in->gene[SHARED_L3] > 900;

    if (in->gene[UNEVEN] > 500)
        cores -= below(cores / 2 + 1);
    for (unsigned c = 0; c < cores; c++, ++*core) {
        unsigned here = in->gene[UNEVEN] > 800 ? 1 + below(threads) : threads;

        if (c > 0 && per_l3 > 0 && c % per_l3 == 0 && !shared)
            ++*l3;
        for (unsigned t = 0; t < here && work->topology->count < VP_CPU_MAX; t++) {
            struct vp_pu *pu = &work->topology->pu[work->topology->count];

            *pu = (struct vp_pu){
                .cpu = (int)work->topology->count, .core = *core, .l3 = *l3, .node = node};
            work->topology->count++;
        }
    }
    if (!shared || node % 4 == 3)
        ++*l3;
}

static void make_host(struct work *work, const struct input *in)
{
    unsigned nodes = scale_by(in, 0, NODES, 1, 128), threads = 1u << scale(in, THREADS, 0, 3);
    unsigned most = VP_CPU_MAX / nodes / threads, cores = scale(in, CORES, 1, most > 0 ? most : 1);
    struct vp_error err;
    int core = 0, l3 = 0;

    work->topology = vp_topology_new();
    work->topology->pu = calloc(VP_CPU_MAX, sizeof(struct vp_pu));
    work->topology->node = calloc(nodes, sizeof(struct vp_node));
    work->topology->node_count = nodes;
    for (unsigned i = 0; i < nodes; i++) {
        work->topology->node[i].os = (int)i;
        add_node(work, in, (int)i, &core, &l3, cores);
    }
    if (vp_topology_build(work->topology, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(3);
    }
}

static void make_state(struct work *work, const struct input *in)
{
    const struct vp_topology *topology = work->topology;

    work->host = (struct vp_place_host){.topology = topology, .usable = topology->online};
    for (size_t i = 0; i < topology->count; i++) {
        int cpu = topology->pu[i].cpu;

        if (below(1000) < in->gene[BOOKED] * 2 / 3)
            vp_cpuset_remove(&work->host.usable, cpu);
        if (below(1000) < in->gene[BOOKED_CORES] * 2 / 3)
            for (int c = 0; c < 2; c++)
                vp_cpuset_minus(&work->host.usable, &topology->core[topology->pu[i].core]);
        if (in->gene[FIRST] > 700 && below(1000) < in->gene[FIRST] - 500)
            vp_cpuset_add(&work->host.first, cpu);
        if (in->gene[POOL] > 700 && below(1000) < (in->gene[POOL] - 700) * 3)
            vp_cpuset_add(&work->host.pool, cpu);
    }
    vp_cpuset_and(&work->host.pool, &work->host.usable);
    work->host.pool_needed = in->gene[POOL] > 700;
    for (size_t i = 0; i < topology->node_count; i++)
        work->memory[i] = below(1 + in->gene[MEMORY] * ((in->gene[SHAPE] & 8) != 0 ? 64 : 1));
    if (in->gene[MEMORY] > 600)
        work->host.memory_kib = work->memory;
}

static void make_request(struct work *work, const struct input *in)
{
    unsigned free = vp_cpuset_count(&work->host.usable), at = 0;
    unsigned cells = scale(in, CELLS, 0, 256);

    cells = cells > 128 ? cells - 128 : 0;
    if ((in->gene[SHAPE] & 4) != 0) /* about as many as nodes */
        cells = cells * (unsigned)work->topology->node_count / 128 + cells % 2;
    work->request = (struct vp_place_request){
        .vcpus = 1 + (unsigned)((uint64_t)free * in->gene[VCPUS] / 1000),
        .thread_policy = (enum vp_thread_policy)scale(in, POLICY, 0, 2),
        .numa = (enum vp_numa)scale(in, NUMA, 0, 3),
        .guest_threads = 1 + in->seed % 2,
        .emulator_isolate = in->gene[EXTRAS] > 500,
        .iothreads_isolate = in->gene[EXTRAS] > 700 ? in->gene[EXTRAS] - 700 : 0,
        .cache = (enum vp_care)scale(in, CACHE, 0, 2),
        .fill = (enum vp_fill)scale(in, FILL, 0, 1),
        .pci_locality = (enum vp_care)scale(in, PCI, 0, 2),
        .memory_kib = 4 * work->topology->node_count,
        .cell = work->cell,
    };
    for (unsigned i = 0; i < 4 && in->gene[PCI] % 4 == 1; i++)
        vp_cpuset_add(&work->request.pci_nodes, (int)below((unsigned)work->topology->node_count));
    for (unsigned i = 0; i < cells; i++) {
        unsigned size = work->request.vcpus / cells;

        if (in->gene[CELLS_UNEVEN] > 300)
            size = size / 2 + below(size + 1);
        size = size > 0 ? size : 1;
        work->cell[i] = (struct vp_guest_cell){.id = i, .memory_kib = 4 * (1 + below(4))};
        vp_cpuset_add_range(&work->cell[i].vcpus, (int)at, (int)(at + size - 1));
        at += size;
    }
    work->request.cell_count = cells;
    if (cells > 0)
        work->request.vcpus = at < 8192 ? at : 8192;
}

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The best of three: what the input costs, not what else the machine does. */
static double measure(const struct input *in, int *result)
{
    static struct work work;
    double best = 1e9;

    memset(&work, 0, sizeof(work));
    state = in->seed;
    make_host(&work, in);
    make_state(&work, in);
    make_request(&work, in);
    for (int i = 0; i < 3; i++) {
        struct vp_place_answer answer;
        double start = now_ms(), took;

        *result = vp_place(&work.host, &work.request, &answer);
        took = now_ms() - start;
        best = took < best ? took : best;
        vp_place_clear(&answer);
        if (best < 0.5)
            break;
    }
    vp_topology_free(work.topology);
    return best;
}

static void print_case(const struct input *in, double ms, int result)
{
    printf("%8.2f ms %-7s {{", ms, result == 0 ? "placed" : "refused");
    for (int i = 0; i < GENES; i++)
        printf("%s%u", i > 0 ? ", " : "", in->gene[i]);
    printf("}, %u},\n", in->seed);
    fflush(stdout);
}

#define POPULATION 24
static struct input population[POPULATION];
static double slow[POPULATION];

static void mutate(struct input *in, unsigned *random)
{
    for (int i = 0; i < GENES; i++) {
        *random = *random * 1103515245 + 12345;
        if ((*random >> 16) % 6 == 0) {
            *random = *random * 1103515245 + 12345;
            in->gene[i] = (*random >> 12) % 1000;
        }
    }
    if ((*random >> 16) % 3 == 0)
        in->seed = *random;
}

static void hunt(double seconds, unsigned random)
{
    double end = now_ms() + seconds * 1e3, worst = 0;
    struct timespec start;
    int result;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned turn = 0; now_ms() < end; turn++) {
        struct input in = population[turn % POPULATION];
        unsigned at = turn % POPULATION;
        double ms;

        if (turn < POPULATION * 20 || turn % 50 == 0)
            for (int i = 0; i < GENES; i++) {
                random = random * 1103515245 + 12345;
                in.gene[i] = (random >> 12) % 1000;
            }
        mutate(&in, &random);
        ms = measure(&in, &result);
        if (ms <= slow[at])
            continue;
        slow[at] = ms;
        population[at] = in;
        if (ms > worst) {
            worst = ms;
            print_case(&in, ms, result);
        }
    }
    printf("slowest found in %.0f s: %.2f ms\n", seconds, worst);
}

/* What hunts found slow at some time, before the cause was removed or as the
 * slowest that is left. */
static const struct input kept[] = {
    {{935, 83, 850, 65, 48, 552, 682, 490, 538, 327, 47, 749, 923, 185, 462, 127, 940, 21, 358, 41},
     2102736524},
    {{999, 0, 999, 334, 0, 0, 0, 0, 400, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1},
    {{999, 0, 999, 334, 0, 300, 0, 0, 0, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 2},
    {{999, 100, 999, 334, 900, 300, 0, 0, 400, 0, 300, 800, 0, 0, 0, 0, 0, 0, 0, 0}, 3},
    {{999, 0, 999, 334, 0, 300, 0, 0, 0, 300, 300, 0, 999, 999, 0, 0, 0, 0, 0, 0}, 4},
    {{0, 999, 999, 334, 0, 300, 0, 0, 0, 0, 500, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 5},
    {{60,  90,  767, 318, 407, 46,  511, 949, 50,  970,
      970, 987, 313, 387, 283, 392, 223, 693, 783, 378},
     1877056720},
    {{638, 676, 567, 85, 484, 188, 76,  470, 780, 880,
      766, 932, 641, 96, 659, 602, 977, 607, 792, 440},
     128225525},
    {{285, 552, 695, 425, 27,  604, 268, 809, 447, 288,
      146, 982, 888, 337, 651, 333, 216, 677, 669, 578},
     4055063223},
    {{74,  466, 557, 699, 375, 3,   262, 893, 344, 660,
      994, 655, 244, 780, 613, 384, 895, 997, 755, 963},
     0},
    {{253, 984, 813, 402, 897, 37,  47, 657, 374, 566,
      394, 509, 599, 906, 442, 405, 33, 261, 355, 220},
     2369335838},
    {{983, 642, 970, 74,  39,  194, 345, 489, 752, 853,
      867, 644, 960, 328, 497, 592, 400, 643, 876, 283},
     2426374187},
    {{716, 765, 988, 112, 979, 477, 156, 690, 18,  787,
      849, 866, 818, 998, 406, 484, 482, 233, 250, 500},
     0},
    {{848, 121, 694, 195, 687, 43,  841, 667, 310, 516,
      200, 681, 345, 205, 16,  481, 127, 992, 781, 822},
     1989929780},
    {{210, 718, 938, 354, 451, 229, 10,  154, 201, 778,
      737, 390, 586, 525, 649, 993, 725, 622, 960, 19},
     3640048604},
    {{59,  459, 979, 148, 354, 118, 167, 956, 256, 915,
      771, 592, 220, 972, 607, 941, 878, 53,  841, 727},
     3758194049},
    {{15,  281, 993, 125, 50,  213, 89, 348, 295, 990,
      790, 634, 919, 578, 980, 689, 8,  876, 262, 469},
     3409795649},
    {{594, 679, 934, 311, 96,  367, 144, 171, 649, 597,
      127, 551, 385, 731, 269, 147, 687, 948, 888, 378},
     3490389268},
    {{422, 485, 389, 721, 804, 46,  161, 960, 588, 798,
      262, 961, 835, 382, 472, 298, 581, 888, 944, 276},
     2142892153},
    {{842, 599, 963, 250, 908, 23,  32,  157, 365, 763, 246,
      637, 955, 403, 363, 494, 337, 686, 694, 839, 550},
     3377189465},
    {{965, 491, 32, 254, 886, 228, 17,  306, 392, 878, 11,
      755, 785, 26, 174, 7,   869, 937, 724, 907, 299},
     3952464625},
    {{223, 911, 556, 229, 344, 45,  112, 209, 53,  825, 880,
      954, 541, 677, 494, 485, 842, 993, 896, 985, 445},
     3694862347},
    {{275, 863, 962, 191, 26,  143, 150, 992, 290, 921, 957,
      845, 432, 358, 930, 330, 406, 75,  200, 857, 543},
     2262384303},
    {{925, 3,   609, 494, 845, 762, 639, 764, 53,  963, 641,
      991, 903, 800, 413, 89,  630, 962, 843, 328, 701},
     1996208050},
    {{396, 590, 959, 173, 98,  30,  107, 233, 314, 692, 215,
      650, 898, 850, 248, 172, 153, 950, 970, 420, 975},
     1527708673},
    {{970, 699, 802, 324, 944, 285, 614, 278, 569, 942, 714,
      965, 964, 965, 414, 351, 364, 653, 531, 561, 58},
     3630802142},
    {{651, 989, 961, 210, 667, 270, 329, 774, 73,  205, 844,
      493, 260, 300, 818, 990, 955, 271, 862, 471, 745},
     895980524},
    {{186, 430, 998, 50,  379, 20,  3,   232, 885, 304, 576,
      728, 824, 597, 653, 264, 810, 529, 925, 836, 293},
     3525821529},
};

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 0, worst = 0;

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        int result;
        double ms = measure(&kept[i], &result);

        worst = ms > worst ? ms : worst;
        print_case(&kept[i], ms, result);
    }
    printf("slowest kept: %.2f ms\n", worst);
    if (seconds > 0)
        hunt(seconds, argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1);
    return 0;
}
