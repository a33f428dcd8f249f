/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/error.h"
#include "enforcer/enforcer.h"
#include "host/clock.h"
#include "host/metrics.h"
#include "version.h"

/* The libvirt side's threads count as well. `fresh` is what the ledger has not
 * got yet; `total` belongs to the watching thread. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct vp_counters fresh;
static struct vp_counters total;
static bool total_known;

void vp_count_drift(enum vp_drift_kind kind)
{
    pthread_mutex_lock(&mutex);
    fresh.drift[kind]++;
    pthread_mutex_unlock(&mutex);
}

void vp_count_contest(void)
{
    pthread_mutex_lock(&mutex);
    fresh.contested++;
    pthread_mutex_unlock(&mutex);
}

void vp_count_repair(int64_t us)
{
    if (us < 0)
        return;
    pthread_mutex_lock(&mutex);
    vp_histogram_add(&fresh.repair, (uint64_t)us);
    pthread_mutex_unlock(&mutex);
}

void vp_metrics_again(void)
{
    pthread_mutex_lock(&mutex);
    vp_counters_sum(&fresh, &total);
    pthread_mutex_unlock(&mutex);
    total = (struct vp_counters){0};
    total_known = true;
}

/* ---- the ledger ---- */

static void give_back(const struct vp_counters *more)
{
    pthread_mutex_lock(&mutex);
    vp_counters_sum(&fresh, more);
    pthread_mutex_unlock(&mutex);
}

static int recall(struct vp_ledger *ledger, struct vp_error *err)
{
    if (!total_known && vp_counters_read(ledger, &total, err) < 0)
        return -1;
    total_known = true;
    return 0;
}

void vp_metrics_recall(struct vp_enforcer *enforcer)
{
    struct vp_error err = {0};

    if (recall(enforcer->engine.ledger, &err) < 0)
        vp_enforcer_complain(enforcer, &err); /* the next sweep tries again */
}

static int keep_counts(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_ledger *ledger = enforcer->engine.ledger;
    struct vp_counters more;

    if (recall(ledger, err) < 0)
        return -1;
    pthread_mutex_lock(&mutex);
    more = fresh;
    fresh = (struct vp_counters){0};
    pthread_mutex_unlock(&mutex);
    if (vp_counters_add(ledger, &more, err) < 0) {
        give_back(&more);
        return -1;
    }
    vp_counters_sum(&total, &more);
    return vp_hook_runs_take(ledger, enforcer->engine.set->host.run_dir, &total, err);
}

/* ---- the textfile ---- */

static bool is_guest(const void *data, const char *name)
{
    /* only looked up */
    return vp_enforcer_named((struct vp_enforcer *)(uintptr_t)data, name) != NULL;
}

static int gather(struct vp_enforcer *enforcer, struct vp_facts *facts, struct vp_error *err)
{
    const struct vp_runfile *run = &enforcer->run;

    *facts = (struct vp_facts){
        .version = VP_VERSION,
        .enabled = !enforcer->disabled,
        .policies = (unsigned)enforcer->engine.set->count,
        .stale = enforcer->engine.stale,
        .counters = total,
        .enforcer_running = true,
        .connected = run->connected,
        .can_repair = !run->why[0],
        .since_ms = run->since_ms,
        .last_sweep_ms = run->last_sweep_ms,
        .sweep_lag_us = run->sweep_lag_us,
        .sweep_us = run->sweep_us,
    };
    vp_facts_strangers(facts, &enforcer->strangers);
    for (size_t i = 0; i < enforcer->guest_count; i++) {
        const struct vp_watched *guest = enforcer->guest[i];

        if (!vp_facts_guest(facts, &guest->row))
            return vp_fail(err, VP_HOST, "out of memory");
        for (size_t j = 0; j < guest->case_count; j++)
            facts->standing[guest->cases[j].record.state] += guest->cases[j].standing;
    }
    return vp_facts_unmanaged(facts, enforcer->engine.status_dir, is_guest, enforcer, err);
}

static FILE *make_file(const char *path, struct vp_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    FILE *file = NULL;

    /* node_exporter is not root, whatever our umask is */
    if (fd >= 0 && fchmod(fd, 0644) == 0)
        file = fdopen(fd, "w");
    if (!file) {
        vp_fail_errno(err, VP_HOST, errno, "metrics-file: cannot write %s", path);
        if (fd >= 0)
            close(fd);
    }
    return file;
}

/* node_exporter reads *.prom: the other name is none of its. */
static int write_file(const char *path, const struct vp_metrics *metrics, struct vp_error *err)
{
    char other[PATH_MAX];
    FILE *file;
    bool written;

    if (snprintf(other, sizeof(other), "%s.new", path) >= (int)sizeof(other))
        return vp_fail(err, VP_INPUT, "metrics-file: %.80s... is too long", path);
    file = make_file(other, err);
    if (!file)
        return -1;
    written = vp_metrics_print(metrics, file);
    if (fclose(file) != 0 || !written || rename(other, path) < 0) {
        int number = errno;

        unlink(other);
        return vp_fail_errno(err, VP_HOST, number, "metrics-file: cannot write %s", path);
    }
    return 0;
}

static int write_metrics(struct vp_enforcer *enforcer, struct vp_error *err)
{
    struct vp_metrics metrics = {0};
    struct vp_facts facts;
    int result = gather(enforcer, &facts, err);

    if (result == 0)
        result = vp_metrics_make(&enforcer->engine, &facts, &metrics, err);
    if (result == 0)
        result = write_file(enforcer->engine.set->host.metrics_file, &metrics, err);
    vp_metrics_clear(&metrics);
    vp_facts_clear(&facts);
    return result;
}

void vp_metrics_swept(struct vp_enforcer *enforcer, int64_t due_us, int64_t began_us)
{
    struct vp_error err = {0};

    enforcer->run.sweep_lag_us = began_us > due_us ? began_us - due_us : 0;
    enforcer->run.sweep_us = vp_clock_us() - began_us;
    if (!enforcer->engine.ledger)
        return;
    if (keep_counts(enforcer, &err) < 0 && err.code != VP_BUSY)
        vp_enforcer_complain(enforcer, &err);
    err = (struct vp_error){0};
    if (enforcer->engine.set->host.metrics_file[0] == '/' && write_metrics(enforcer, &err) < 0)
        vp_enforcer_complain(enforcer, &err);
}
