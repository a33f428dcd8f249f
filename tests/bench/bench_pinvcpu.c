/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the same pins cost through libvirt: pinVcpu for each vCPU of a running
 * guest over one connection. usage: bench_pinvcpu GUEST VCPUS ROUNDS
 * Prints the median of a round in milliseconds. */
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    unsigned vcpus = argc > 3 ? (unsigned)atoi(argv[2]) : 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 0;
    virConnectPtr connection;
    virDomainPtr guest;
    double *took;

    if (vcpus < 1 || rounds < 1)
        return fputs("usage: bench_pinvcpu GUEST VCPUS ROUNDS\n", stderr), 2;
    took = calloc((size_t)rounds, sizeof(*took));
    connection = virConnectOpen("qemu:///system");
    guest = connection ? virDomainLookupByName(connection, argv[1]) : NULL;
    if (!guest || !took)
        return 3;
    for (int round = 0; round < rounds; round++) {
        /* CPU 0 and CPUs 0-1 in turn, so that there is always something to do */
        unsigned char map[1] = {(round & 1) != 0 ? 1 : 3};
        double began = now_ms();

        for (unsigned vcpu = 0; vcpu < vcpus; vcpu++)
            if (virDomainPinVcpuFlags(guest, vcpu, map, 1, VIR_DOMAIN_AFFECT_LIVE) < 0)
                return 3;
        took[round] = now_ms() - began;
    }
    qsort(took, (size_t)rounds, sizeof(*took), by_value);
    printf("%.2f\n", took[rounds / 2]);
    virDomainFree(guest);
    virConnectClose(connection);
    return 0;
}
