/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "host/strangers.h"

/* Whose timer it is; 0: it is none. Any process may have such a name. */
static pid_t guest_of(const struct vp_stranger *stranger)
{
    static const char prefix[] = "kvm-pit/";
    const char *digits = stranger->comm + strlen(prefix);
    char *end;
    long pid;

    if (stranger->kind != VP_STRANGER_KERNEL ||
        strncmp(stranger->comm, prefix, strlen(prefix)) != 0 || *digits < '1' || *digits > '9')
        return 0;
    pid = strtol(digits, &end, 10);
    return *end == '\0' && pid <= INT_MAX ? (pid_t)pid : 0;
}

unsigned vp_strangers_place_pits(const struct vp_strangers *strangers,
                                 bool (*cpus_of)(const void *data, pid_t pid,
                                                 struct vp_cpuset *cpus),
                                 const void *data)
{
    unsigned placed = 0;

    for (size_t i = 0; i < strangers->count; i++) {
        const struct vp_stranger *stranger = &strangers->item[i];
        pid_t pid = guest_of(stranger);
        struct vp_cpuset cpus;

        /* one that cannot be moved, or has ended, stays a stranger or is none */
        if (pid > 0 && cpus_of(data, pid, &cpus) &&
            sched_setaffinity(stranger->tid, sizeof(cpus), (const cpu_set_t *)&cpus) == 0)
            placed++;
    }
    return placed;
}
