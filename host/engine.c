/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "host/engine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/discover.h"
#include "host/engine_priv.h"
#include "host/pci.h"
#include "host/threads.h"

#ifndef VP_LIBVIRT_ETC_DIR
#define VP_LIBVIRT_ETC_DIR "/etc/libvirt/qemu"
#endif
#ifndef VP_LIBVIRT_LIB_DIR
#define VP_LIBVIRT_LIB_DIR "/var/lib/libvirt/qemu"
#endif

int vp_engine_begin(struct vp_engine *engine, const struct vp_conf_where *where,
                    struct vp_error *err)
{
    *engine = (struct vp_engine){.lock_ms = 1000};
    if (where)
        engine->where = *where;
    snprintf(engine->status_dir, sizeof(engine->status_dir), "%s", VP_LIBVIRT_STATUS_DIR);
    snprintf(engine->definition_dir, sizeof(engine->definition_dir), "%s", VP_LIBVIRT_ETC_DIR);
    if (engine->where.nodename)
        snprintf(engine->nodename, sizeof(engine->nodename), "%s", engine->where.nodename);
    else if (gethostname(engine->nodename, sizeof(engine->nodename) - 1) < 0)
        return vp_fail(err, VP_HOST, "this host has no readable name");
    return 0;
}

void vp_engine_sys_root(struct vp_engine *engine, const char *spec)
{
    struct stat st;

    if (!spec)
        snprintf(engine->sys_root, sizeof(engine->sys_root), "/");
    else if (stat(spec, &st) == 0 && S_ISDIR(st.st_mode))
        snprintf(engine->sys_root, sizeof(engine->sys_root), "%s", spec);
}

int vp_engine_open_here(struct vp_engine *engine, const struct vp_conf_where *where,
                        const char *spec, struct vp_error *err)
{
    if (vp_engine_begin(engine, where, err) < 0 ||
        vp_conf_in_force(&engine->where, &engine->set, &engine->stale, &engine->findings, err) < 0)
        return -1;
    vp_engine_sys_root(engine, spec);
    if (vp_cgroups_find(engine->set->host.cgroup_dir, NULL, &engine->cgroups, err) < 0 ||
        vp_engine_tuning_facts(engine, err) < 0)
        return -1;
    return vp_topology_cached(engine->set->host.run_dir, spec, &engine->topology, err);
}

int vp_engine_ledger(struct vp_engine *engine, bool may_create, struct vp_error *err)
{
    if (engine->ledger)
        return 0;
    return vp_ledger_open(&engine->ledger, engine->set->host.run_dir, may_create, engine->lock_ms,
                          &engine->rebuilt, err);
}

void vp_engine_close(struct vp_engine *engine)
{
    vp_engine_keep(engine, false);
    vp_ledger_close(engine->ledger);
    vp_topology_free(engine->topology);
    vp_policy_set_free(engine->set);
    vp_findings_clear(&engine->findings);
    *engine = (struct vp_engine){0};
}

void vp_engine_choose(const struct vp_engine *engine, const struct vp_domain *domain,
                      struct vp_choice *choice)
{
    struct vp_match_facts facts;

    vp_domain_facts(domain, engine->nodename, &facts);
    vp_policy_choose(engine->set, &facts, choice);
}

void vp_holding_of(const struct vp_topology *topology, const struct vp_guest_row *row,
                   struct vp_holding *holding)
{
    *holding = (struct vp_holding){.held_until_ms = row->held_until_ms};
    snprintf(holding->uuid, sizeof(holding->uuid), "%s", row->uuid);
    snprintf(holding->name, sizeof(holding->name), "%s", row->name);
    if (!row->plan || row->plan->mode != VP_MODE_ENFORCE || row->unplaced)
        return;
    vp_plan_hold(row->plan, topology, holding);
}

struct held {
    const struct vp_topology *topology;
    struct vp_holding *item;
    size_t count, room;
};

static int note_held(void *data, struct vp_guest_row *row, struct vp_error *err)
{
    struct held *held = data;

    if (held->count == held->room) {
        size_t more = held->room ? held->room * 2 : 32;
        struct vp_holding *item = reallocarray(held->item, more, sizeof(*item));

        if (!item)
            return vp_fail(err, VP_HOST, "out of memory");
        held->item = item;
        held->room = more;
    }
    vp_holding_of(held->topology, row, &held->item[held->count++]);
    return 0;
}

int vp_engine_holdings(struct vp_engine *engine, struct vp_holding **holding, size_t *count,
                       struct vp_error *err)
{
    struct held held = {.topology = engine->topology};

    *holding = NULL;
    *count = 0;
    if (!engine->ledger)
        return 0;
    held.item = calloc(1, sizeof(*held.item)); /* not NULL with no guest */
    held.room = 1;
    if (!held.item)
        return vp_fail(err, VP_HOST, "out of memory");
    if (vp_ledger_each_guest(engine->ledger, note_held, &held, err) < 0) {
        free(held.item);
        return -1;
    }
    *holding = held.item;
    *count = held.count;
    return 0;
}

int vp_engine_pool(struct vp_engine *engine, const char *name, struct vp_cpuset *pool,
                   struct vp_error *err)
{
    VP_AUTO(free) struct vp_holding *own = NULL;
    const struct vp_holding *holding;
    size_t count;

    if (vp_holdings_now(engine, &holding, &count, &own, err) < 0)
        return -1;
    vp_pool_named(&engine->set->host, engine->topology, name, holding, count, pool);
    return 0;
}

void vp_engine_allowed(const struct vp_engine *engine, const char *partition,
                       struct vp_cpuset *allowed)
{
    *allowed = (struct vp_cpuset){0};
    if (engine->cgroups.version == VP_CGROUP_NONE)
        return;
    if (vp_cgroup_partition_cpus(&engine->cgroups, partition, allowed, NULL) < 0)
        *allowed = (struct vp_cpuset){0};
}

void vp_engine_pool_within(const struct vp_engine *engine, const char *partition,
                           struct vp_cpuset *pool)
{
    struct vp_cpuset allowed;

    if (engine->set->host.manage_slices)
        return;
    vp_engine_allowed(engine, partition, &allowed);
    if (vp_cpuset_meets(pool, &allowed))
        vp_cpuset_and(pool, &allowed);
}

void vp_engine_input(const struct vp_engine *engine, const struct vp_domain *domain,
                     const struct vp_choice *choice, struct vp_plan_input *input)
{
    *input = (struct vp_plan_input){
        .set = engine->set,
        .policy = choice->policy,
        .chosen_by = choice->by,
        .domain = domain,
        .topology = engine->topology,
    };
    vp_engine_allowed(engine, domain->partition, &input->allowed);
    if (choice->policy && choice->policy->pci_locality != VP_CARE_ANY)
        vp_pci_nodes(engine->sys_root, &domain->pci, &input->pci_nodes, &input->pci_unknown);
}

enum vp_plan_result vp_engine_would(struct vp_engine *engine, const struct vp_domain *domain,
                                    const struct vp_choice *choice, struct vp_plan **plan,
                                    struct vp_place_answer *answer, struct vp_findings *findings,
                                    struct vp_error *err)
{
    VP_AUTO(free) struct vp_holding *holding = NULL;
    VP_AUTO(free) int *keep = NULL;
    struct vp_guest_row own = {0};
    struct vp_plan_input input;
    size_t count;
    enum vp_plan_result result;

    *plan = NULL;
    if (!choice->policy || choice->policy->mode == VP_MODE_OFF)
        return VP_PLAN_OK;
    if (vp_engine_holdings(engine, &holding, &count, err) < 0)
        return VP_PLAN_FAILED;
    vp_engine_input(engine, domain, choice, &input);
    input.holding = holding;
    input.holding_count = count;
    /* what the guest has already is what it would have */
    if (engine->ledger && vp_ledger_guest(engine->ledger, domain->uuid, &own, NULL) == 1 &&
        own.plan)
        keep = vp_keep_of_plan(own.plan, domain);
    input.keep = keep;
    result = vp_plan_make(&input, plan, answer, findings, err);
    vp_guest_row_clear(&own);
    return result;
}

bool vp_guest_has_snapshots(const char *name)
{
    char path[PATH_MAX];
    struct dirent *entry;
    bool found = false;
    DIR *dir;

    if (snprintf(path, sizeof(path), "%s/snapshot/%s", VP_LIBVIRT_LIB_DIR, name) >=
        (int)sizeof(path))
        return false;
    dir = opendir(path);
    if (!dir)
        return false;
    while (!found && (entry = readdir(dir)))
        found = entry->d_name[0] != '.';
    closedir(dir);
    return found;
}
