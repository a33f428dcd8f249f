/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tuning on this host: what it can hold, and putting plans' in force. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/engine_priv.h"

/* On cgroup v2 nothing but the kernel's configuration tells that groups get no
 * real-time time; where it cannot be read, groups are taken to have it. */
static bool built_with_groups(void)
{
    struct utsname name;
    char path[128], line[128];
    bool with = false;
    FILE *file;

    if (uname(&name) < 0)
        return false;
    snprintf(path, sizeof(path), "/boot/config-%s", name.release);
    file = fopen(path, "re");
    while (file && !with && fgets(line, sizeof(line), file))
        with = strcmp(line, "CONFIG_RT_GROUP_SCHED=y\n") == 0;
    if (file)
        fclose(file);
    return with;
}

static bool wants_realtime(const struct vp_policy_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->policy[i].tuning.scheduler.policy == VP_SCHEDULER_FIFO ||
            set->policy[i].tuning.scheduler.policy == VP_SCHEDULER_RR)
            return true;
    return false;
}

int vp_engine_tuning_facts(struct vp_engine *engine, struct vp_error *err)
{
    struct vp_tuning_host host;

    if (vp_cgroups_find_cpu(engine->set->host.cgroup_dir, NULL, &engine->cpu_cgroups, err) < 0)
        return -1;
    host = vp_tune_host(&engine->cpu_cgroups);
    if (host.cgroup == 2 && wants_realtime(engine->set))
        host.no_realtime = built_with_groups();
    for (size_t i = 0; i < engine->set->count; i++)
        engine->set->policy[i].tuning_host = host;
    return 0;
}

struct vp_tuning vp_row_tuning(const struct vp_guest_row *row)
{
    if (row->plan && row->plan->mode == VP_MODE_ENFORCE && !row->unplaced)
        return row->plan->tuning;
    return (struct vp_tuning){0};
}

int vp_engine_tune(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_status *status, struct vp_tune_report *report,
                   struct vp_error *err)
{
    struct vp_tuning wanted = vp_row_tuning(row);
    struct vp_tune_report own;
    int result = vp_tune_apply(&engine->cpu_cgroups, status, &wanted, report ? report : &own, err);

    if (!report)
        vp_tuning_diffs_clear(&own.left);
    return result;
}

int vp_engine_tune_back(struct vp_engine *engine, const struct vp_status *status,
                        const struct vp_tuning *was, const struct vp_tuning *now,
                        struct vp_error *err)
{
    VP_AUTO(vp_domain) struct vp_domain *definition = NULL;
    struct vp_tune_report report;
    struct vp_error refused = {0};
    struct vp_tuning back;
    int result;

    if (!vp_tuning_any(was))
        return 0;
    definition = vp_engine_definition(engine, status->domain->name);
    back =
        vp_tuning_back(was, now, definition, engine->cpu_cgroups.version == VP_CGROUP_V2 ? 2 : 1);
    result = vp_tune_apply(&engine->cpu_cgroups, status, &back, &report, &refused);
    vp_tuning_diffs_clear(&report.left);
    if (result < 0 && err)
        *err = refused;
    return result;
}
