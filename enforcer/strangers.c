/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/strangers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "enforcer/patience.h"
#include "host/clock.h"

#define AGAIN_US (5 * 1000000LL)
/* Some 10 us each. */
#define BUDGET 512

static const struct vp_watched *guest_of(const struct vp_enforcer *enforcer, pid_t pid)
{
    for (size_t i = 0; i < enforcer->guest_count; i++)
        if (enforcer->guest[i]->row.pid == pid)
            return enforcer->guest[i];
    return NULL;
}

static bool has_own(const struct vp_watched *guest)
{
    return guest->plan.there && guest->plan.mode == VP_MODE_ENFORCE && !guest->row.unplaced;
}

static const struct vp_watched *holder(const struct vp_enforcer *enforcer, int cpu)
{
    struct vp_cpuset own;

    for (size_t i = 0; i < enforcer->guest_count; i++) {
        if (!has_own(enforcer->guest[i]))
            continue;
        vp_watched_own(enforcer->guest[i], &own);
        if (vp_cpuset_has(&own, cpu))
            return enforcer->guest[i];
    }
    return NULL;
}

/* A managed guest on another's CPU is drift, and said there. Its helpers are
 * processes of their own. */
static bool is_ours(const void *data, pid_t pid, pid_t tid, int cpu)
{
    const struct vp_enforcer *enforcer = data;
    const struct vp_watched *guest;

    if (tid == 0) {
        guest = guest_of(enforcer, pid);
        return guest && has_own(guest);
    }
    guest = holder(enforcer, cpu);
    return guest && vp_watched_knows(guest, tid);
}

static const char *owner_of(const void *data, int cpu)
{
    const struct vp_watched *guest = holder(data, cpu);

    return guest ? guest->row.name : "";
}

static bool emulator_cpus(const void *data, pid_t pid, struct vp_cpuset *cpus)
{
    const struct vp_watched *guest = guest_of(data, pid);
    const struct vp_pin *pin = NULL;
    struct vp_pins pins;

    if (!guest || !has_own(guest) || vp_patience_held(guest) ||
        vp_packed_get(&guest->pins, &pins) < 0)
        return false;
    pin = vp_pins_find(&pins, VP_ROLE_EMULATOR, 0);
    if (pin)
        *cpus = pin->cpus;
    vp_pins_clear(&pins);
    return pin != NULL;
}

static int write_file(struct vp_enforcer *enforcer, struct vp_error *err)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    FILE *file;
    int fd;

    snprintf(path, sizeof(path), "%.4000s/strangers", enforcer->engine.set->host.run_dir);
    snprintf(fresh, sizeof(fresh), "%.4080s.new", path);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", path);
    vp_strangers_write(&enforcer->strangers, file, vp_now_ms());
    if (fclose(file) != 0 || rename(fresh, path) < 0)
        return vp_fail_errno(err, VP_HOST, errno, "cannot write %s", path);
    return 0;
}

void vp_strangers_sweep(struct vp_enforcer *enforcer)
{
    struct vp_cpuset dedicated = {0}, own;
    const struct vp_stranger_host host = {"/proc", &dedicated, is_ours, owner_of, enforcer};
    int64_t now_us = vp_clock_us();
    struct vp_error err = {0};

    if (enforcer->strangers_us != 0 && now_us - enforcer->strangers_us < AGAIN_US)
        return;
    enforcer->strangers_us = now_us;
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        if (!has_own(enforcer->guest[i]))
            continue;
        vp_watched_own(enforcer->guest[i], &own);
        vp_cpuset_or(&dedicated, &own);
    }
    if (vp_cpuset_empty(&dedicated) && enforcer->strangers.count == 0 && !enforcer->strangers_said)
        return;
    vp_strangers_look(&enforcer->strangers, &host, BUDGET, vp_now_ms());
    if (!enforcer->disabled)
        vp_strangers_place_pits(&enforcer->strangers, emulator_cpus, enforcer);
    enforcer->strangers_said = !vp_cpuset_empty(&dedicated);
    if (write_file(enforcer, &err) < 0)
        vp_enforcer_complain(enforcer, &err);
}
