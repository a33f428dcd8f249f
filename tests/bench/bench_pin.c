/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bench_pin [ROUNDS]: pinning a 16-vCPU guest, beside the writes and calls
 * that it must make in any case. Real cgroups of its own, v1. */
#include <sched.h>
#include <time.h>

#include "decide/error.h"
#include "host/pin.h"
#include "tests/unit/standin.h"

#define VCPUS 16
#define ROUNDS_MAX 1000

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *value, int count)
{
    qsort(value, (size_t)count, sizeof(*value), by_value);
    return value[count / 2];
}

/* What nobody can do without: 16 times open, write, close and 16 calls. */
static double floor_us(const struct standin *guest, int cpu)
{
    char path[512], text[16];
    cpu_set_t mask;
    double start = now_us();

    for (unsigned i = 0; i < VCPUS; i++) {
        int fd, length;

        snprintf(path, sizeof(path), "%s/vcpu%u/cpuset.cpus", guest->root, i);
        length = snprintf(text, sizeof(text), "%d", cpu);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, (size_t)length) != length)
            exit(3);
        close(fd);
    }
    CPU_ZERO(&mask);
    CPU_SET(cpu, &mask);
    for (unsigned i = 0; i < VCPUS; i++)
        if (sched_setaffinity(guest->tid[i], sizeof(mask), &mask) < 0)
            exit(3);
    return now_us() - start;
}

static double apply_us(const struct standin *guest, const struct vp_threads *threads,
                       const struct vp_pins *pins, const struct vp_cpuset *online, bool always)
{
    struct vp_pin_report report;
    struct vp_error err;
    double start = now_us(), took;

    if (vp_pin_apply(&guest->cgroups, threads, guest->root, pins, online, always, &report, &err) <
            0 ||
        report.left.count != 0) {
        fprintf(stderr, "bench_pin: %zu differences left: %s\n", report.left.count, err.text);
        exit(3);
    }
    took = now_us() - start;
    vp_diffs_clear(&report.left);
    return took;
}

static double list_us(const struct standin *guest, struct vp_status *status)
{
    struct vp_threads threads;
    double start = now_us(), took;

    if (vp_threads_list(&guest->cgroups, guest->pid, status, guest->root, &threads, NULL) < 0)
        exit(3);
    took = now_us() - start;
    vp_threads_clear(&threads);
    return took;
}

static double look_us(const struct standin *guest, const struct vp_threads *threads)
{
    struct vp_seen_list seen;
    double start = now_us(), took;

    if (vp_pin_look(&guest->cgroups, threads, guest->root, &seen, NULL) < 0)
        exit(3);
    took = now_us() - start;
    vp_seen_clear(&seen);
    return took;
}

static void pin_all(struct vp_pins *pins, int cpu)
{
    struct vp_cpuset set = {0};

    vp_cpuset_add(&set, cpu);
    for (unsigned i = 0; i < VCPUS; i++)
        if (vp_pins_add(pins, VP_ROLE_VCPU, i, &set) < 0)
            exit(3);
}

int main(int argc, char **argv)
{
    static double floor[ROUNDS_MAX], pinned[ROUNDS_MAX], rest[ROUNDS_MAX], list[ROUNDS_MAX],
        look[ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : 200, cpu[2];
    struct vp_status_vcpu vcpu[VCPUS];
    struct vp_status status = {.vcpu = vcpu, .vcpu_count = VCPUS};
    struct vp_pins pins[2] = {{0}, {0}};
    struct vp_threads threads = {0};
    struct vp_cpuset online;
    struct standin guest;
    const char *why = standin_start(&guest, VCPUS, 0, 0);

    if (rounds < 1 || rounds > ROUNDS_MAX) {
        standin_stop(&guest);
        fprintf(stderr, "bench_pin: rounds: legal are 1 to %d\n", ROUNDS_MAX);
        return 2;
    }
    if (why) {
        printf("skip pin: %s\n", why);
        return 0;
    }
    if (vp_cpuset_parse_kernel(&online, standin_get(guest.root, "cpuset.cpus"), NULL) < 0)
        return 3;
    cpu[0] = vp_cpuset_next(&online, -1);
    cpu[1] = vp_cpuset_last(&online);
    for (unsigned i = 0; i < VCPUS; i++)
        vcpu[i] = (struct vp_status_vcpu){.id = i, .tid = guest.tid[i]};
    pin_all(&pins[0], cpu[0]);
    pin_all(&pins[1], cpu[1]);
    if (vp_threads_list(&guest.cgroups, guest.pid, &status, guest.root, &threads, NULL) < 0)
        return 3;
    for (int i = 0; i < rounds; i++) {
        /* Each starts from the other CPU, so that every write changes something. */
        floor[i] = floor_us(&guest, cpu[0]);
        pinned[i] = apply_us(&guest, &threads, &pins[1], &online, false);
        rest[i] = apply_us(&guest, &threads, &pins[1], &online, false);
        list[i] = list_us(&guest, &status);
        look[i] = look_us(&guest, &threads);
    }
    printf("first round: floor %.0f us, pinning %.0f us\n", floor[0], pinned[0]);
    double base = median(floor, rounds), ours = median(pinned, rounds);

    printf("%-52s %8.0f us\n", "16 x open, write, close and sched_setaffinity", base);
    printf("%-52s %8.0f us  (%.2f times)\n", "vp_pin_apply, 16 vCPUs, all to be changed", ours,
           ours / base);
    printf("%-52s %8.0f us\n", "vp_pin_apply, nothing to be changed", median(rest, rounds));
    printf("%-52s %8.0f us\n", "vp_threads_list", median(list, rounds));
    printf("%-52s %8.0f us\n", "vp_pin_look", median(look, rounds));
    vp_threads_clear(&threads);
    vp_pins_clear(&pins[0]);
    vp_pins_clear(&pins[1]);
    standin_stop(&guest);
    standin_sweep();
    return 0;
}
