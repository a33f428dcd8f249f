/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "decide/error.h"
#include "host/engine.h"

/* ---- families and samples ---- */

static struct vp_metric *family(struct vp_metrics *metrics, const char *name,
                                enum vp_metric_type type, const char *help)
{
    struct vp_metric *more = reallocarray(metrics->item, metrics->count + 1, sizeof(*more));

    if (!more) {
        metrics->failed = true;
        return NULL;
    }
    metrics->item = more;
    more += metrics->count++;
    *more = (struct vp_metric){.name = name, .help = help, .type = type};
    return more;
}

/* A sample of the family begun last; NULL without memory. */
static struct vp_sample *sample(struct vp_metrics *metrics, const char *suffix, double value)
{
    struct vp_metric *metric = metrics->count ? &metrics->item[metrics->count - 1] : NULL;
    struct vp_sample *more;

    if (!metric || metrics->failed)
        return NULL;
    more = reallocarray(metric->sample, metric->count + 1, sizeof(*more));
    if (!more) {
        metrics->failed = true;
        return NULL;
    }
    metric->sample = more;
    more += metric->count++;
    *more = (struct vp_sample){.suffix = suffix, .value = value};
    return more;
}

static void label(struct vp_sample *to, unsigned number, const char *name, const char *value)
{
    if (!to)
        return;
    to->label[number].name = name;
    snprintf(to->label[number].value, sizeof(to->label[number].value), "%s", value);
}

static void one(struct vp_metrics *metrics, const char *name, enum vp_metric_type type,
                double value, const char *help)
{
    family(metrics, name, type, help);
    sample(metrics, "", value);
}

static void histogram(struct vp_metrics *metrics, const struct vp_histogram *histogram,
                      const char *operation)
{
    uint64_t sum = 0;
    char text[32];

    for (unsigned i = 0; i < VP_BUCKETS; i++) {
        struct vp_sample *bucket =
            sample(metrics, "_bucket", (double)(sum += histogram->bucket[i]));

        if (i < VP_BUCKETS - 1)
            snprintf(text, sizeof(text), "%g", vp_bucket_us[i] / 1e6);
        else
            snprintf(text, sizeof(text), "+Inf");
        if (operation)
            label(bucket, 0, "operation", operation);
        label(bucket, 1, "le", text);
    }
    for (int i = 0; i < 2; i++) {
        struct vp_sample *last = i == 0 ? sample(metrics, "_sum", (double)histogram->sum_us / 1e6)
                                        : sample(metrics, "_count", (double)sum);

        if (operation)
            label(last, 0, "operation", operation);
    }
}

/* ---- what there is to say ---- */

static void say_guests(struct vp_metrics *metrics, const struct vp_facts *facts)
{
    family(metrics, "virtpin_guests", VP_GAUGE,
           "Guests by policy and state; unmanaged ones run without a policy.");
    for (size_t i = 0; i < facts->guests_count; i++) {
        struct vp_sample *guests = sample(metrics, "", facts->guests[i].count);

        label(guests, 0, "policy", facts->guests[i].policy);
        label(guests, 1, "state", facts->guests[i].state);
    }
    one(metrics, "virtpin_managed_threads", VP_GAUGE, facts->threads,
        "Threads of running guests that a policy puts in force.");
}

static void say_drift(struct vp_metrics *metrics, const struct vp_facts *facts)
{
    const struct vp_counters *counters = &facts->counters;

    family(metrics, "virtpin_drift_total", VP_COUNTER,
           "Differences from the plan that were found, by kind, whatever became of them.");
    for (int kind = 0; kind < VP_DRIFT_KINDS; kind++)
        label(sample(metrics, "", (double)counters->drift[kind]), 0, "kind",
              vp_drift_kind_word((enum vp_drift_kind)kind));
    family(metrics, "virtpin_drift_standing", VP_GAUGE,
           "Differences that are not repaired now, by state.");
    for (int state = 0; state < VP_DRIFT_STATES; state++)
        if (state != VP_DRIFT_REPAIRED)
            label(sample(metrics, "", facts->standing[state]), 0, "state",
                  vp_drift_state_word((enum vp_drift_state)state));
    one(metrics, "virtpin_contests_total", VP_COUNTER, (double)counters->contested,
        "Differences that somebody made again and again, so that repairs had to wait.");
    one(metrics, "virtpin_repairs_total", VP_COUNTER, (double)vp_histogram_count(&counters->repair),
        "Differences that virtpin put right.");
    family(metrics, "virtpin_repair_duration_seconds", VP_HISTOGRAM,
           "From the event, or where there was none its detection, to the value read back.");
    histogram(metrics, &counters->repair, NULL);
}

static void say_strangers(struct vp_metrics *metrics, const struct vp_facts *facts)
{
    family(metrics, "virtpin_dedicated_strangers", VP_GAUGE,
           "Threads of others that ran on CPUs that guests have for themselves, by whose.");
    for (int kind = 0; kind < VP_STRANGER_KINDS; kind++)
        label(sample(metrics, "", facts->strangers[kind]), 0, "kind",
              vp_stranger_word((enum vp_stranger_kind)kind));
    family(metrics, "virtpin_dedicated_stranger_seconds_total", VP_COUNTER,
           "CPU time of others that was seen there since the enforcer started, by whose.");
    for (int kind = 0; kind < VP_STRANGER_KINDS; kind++)
        label(sample(metrics, "", (double)facts->stranger_ms[kind] / 1e3), 0, "kind",
              vp_stranger_word((enum vp_stranger_kind)kind));
}

static void say_hook(struct vp_metrics *metrics, const struct vp_counters *counters)
{
    family(metrics, "virtpin_hook_runs_total", VP_COUNTER,
           "Runs of the hook, by libvirt's operation and how they ended.");
    for (unsigned i = 0; i < VP_HOOK_OPERATIONS; i++) {
        for (unsigned j = 0; j < VP_HOOK_RESULTS; j++) {
            struct vp_sample *runs = sample(metrics, "", (double)counters->hook[i].result[j]);

            label(runs, 0, "operation", vp_hook_operation(i));
            label(runs, 1, "result", vp_hook_result_word((enum vp_hook_result)j));
        }
    }
    family(metrics, "virtpin_hook_duration_seconds", VP_HISTOGRAM,
           "How long libvirt waited for the hook, by operation.");
    for (unsigned i = 0; i < VP_HOOK_OPERATIONS; i++)
        histogram(metrics, &counters->hook[i].time, vp_hook_operation(i));
}

static void say_enforcer(struct vp_metrics *metrics, const struct vp_facts *facts)
{
    one(metrics, "virtpin_enforcer_up", VP_GAUGE, facts->enforcer_running,
        "Whether the enforcer runs.");
    if (!facts->enforcer_running)
        return;
    one(metrics, "virtpin_enforcer_start_time_seconds", VP_GAUGE, (double)facts->since_ms / 1e3,
        "When the enforcer started, since 1970.");
    one(metrics, "virtpin_enforcer_can_repair", VP_GAUGE, facts->can_repair,
        "Whether the enforcer can repair: 0 while it is disabled or in trouble.");
    one(metrics, "virtpin_enforcer_libvirt_connected", VP_GAUGE, facts->connected,
        "Whether the enforcer is connected to libvirt.");
    one(metrics, "virtpin_enforcer_last_sweep_time_seconds", VP_GAUGE,
        (double)facts->last_sweep_ms / 1e3, "When the last sweep ended, since 1970.");
    if (facts->sweep_lag_us >= 0)
        one(metrics, "virtpin_enforcer_sweep_lag_seconds", VP_GAUGE,
            (double)facts->sweep_lag_us / 1e6, "How late the last sweep began.");
    if (facts->sweep_us >= 0)
        one(metrics, "virtpin_enforcer_sweep_duration_seconds", VP_GAUGE,
            (double)facts->sweep_us / 1e6, "How long the last sweep took.");
}

static const char *const uses[] = {"vcpu", "emulator", "iothread", "vhost", "idle", "fixed"};
#define USES (sizeof(uses) / sizeof(uses[0]))

/* One CPU of the ledger: counted for its node. */
struct booked {
    const struct vp_topology *topology;
    unsigned (*count)[USES];
};

static void count_cpu(void *data, int cpu, const char *use)
{
    struct booked *booked = data;
    const struct vp_pu *pu = vp_topology_pu(booked->topology, cpu);

    for (size_t i = 0; pu && i < USES; i++)
        if (strcmp(use, uses[i]) == 0)
            booked->count[pu->node][i]++;
}

static void say_node(struct vp_metrics *metrics, const struct vp_node *node, const unsigned *count)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", node->os);
    for (size_t use = 0; use < USES; use++) {
        struct vp_sample *booked = sample(metrics, "", count[use]);

        label(booked, 0, "node", text);
        label(booked, 1, "use", uses[use]);
    }
}

static int say_cpus(struct vp_metrics *metrics, struct vp_engine *engine, struct vp_error *err)
{
    const struct vp_topology *topology = engine->topology;
    struct booked booked = {topology, calloc(topology->node_count + 1, sizeof(*booked.count))};
    struct vp_cpuset pool;
    char text[16];
    int result = 0;

    if (!booked.count)
        return vp_fail(err, VP_HOST, "out of memory");
    family(metrics, "virtpin_node_cpus", VP_GAUGE, "Online CPUs of a NUMA node.");
    for (size_t i = 0; i < topology->node_count; i++) {
        snprintf(text, sizeof(text), "%d", topology->node[i].os);
        label(sample(metrics, "", vp_cpuset_count(&topology->node[i].cpus)), 0, "node", text);
    }
    if (engine->ledger)
        result = vp_ledger_cpus(engine->ledger, count_cpu, &booked, err);
    family(metrics, "virtpin_node_booked_cpus", VP_GAUGE,
           "CPUs of a NUMA node that guests hold for themselves, by use.");
    for (size_t i = 0; i < topology->node_count; i++)
        say_node(metrics, &topology->node[i], booked.count[i]);
    free(booked.count);
    if (result == 0)
        result = vp_engine_pool(engine, NULL, &pool, err);
    if (result == 0)
        one(metrics, "virtpin_shared_pool_cpus", VP_GAUGE, vp_cpuset_count(&pool),
            "CPUs of the default shared pool.");
    return result;
}

int vp_metrics_make(struct vp_engine *engine, const struct vp_facts *facts,
                    struct vp_metrics *metrics, struct vp_error *err)
{
    *metrics = (struct vp_metrics){0};
    family(metrics, "virtpin_build_info", VP_GAUGE, "The version; its value is always 1.");
    label(sample(metrics, "", 1), 0, "version", facts->version);
    one(metrics, "virtpin_enabled", VP_GAUGE, facts->enabled, "0 after `virtpin disable`.");
    one(metrics, "virtpin_policies", VP_GAUGE, facts->policies, "Policies in force.");
    one(metrics, "virtpin_policies_stale", VP_GAUGE, facts->stale,
        "1 while the policy files are broken and the last good set is used.");
    say_guests(metrics, facts);
    if (say_cpus(metrics, engine, err) < 0)
        return -1;
    say_drift(metrics, facts);
    say_hook(metrics, &facts->counters);
    say_enforcer(metrics, facts);
    if (facts->enforcer_running)
        say_strangers(metrics, facts);
    return metrics->failed ? vp_fail(err, VP_HOST, "out of memory") : 0;
}
