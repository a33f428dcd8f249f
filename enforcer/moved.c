/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUs that went offline under guests, as the journal has it. */
#include <syslog.h>

#include "enforcer/enforcer.h"
#include "enforcer/sync.h"
#include "host/journal.h"

/* What a row books that the host has not online. */
static bool lost_cpus(const struct vp_enforcer *enforcer, const struct vp_guest_row *row,
                      struct vp_cpuset *lost)
{
    *lost = (struct vp_cpuset){0};
    if (row->plan && row->plan->mode == VP_MODE_ENFORCE && !row->unplaced)
        vp_plan_exclusive(row->plan, lost);
    vp_cpuset_minus(lost, &enforcer->engine.topology->online);
    return !vp_cpuset_empty(lost);
}

void vp_sync_say_moved(struct vp_enforcer *enforcer, const struct vp_guest_row *was)
{
    struct vp_guest_row row = {0};
    struct vp_cpuset lost, left, now;
    char gone[256], has[256];
    bool away = lost_cpus(enforcer, was, &lost);
    bool back = was->plan && was->plan->home_count > 0;

    if ((!away && !back) || vp_ledger_guest(enforcer->engine.ledger, was->uuid, &row, NULL) != 1 ||
        !row.plan) {
        vp_guest_row_clear(&row);
        return;
    }
    vp_plan_exclusive(row.plan, &now);
    vp_cpuset_print(&lost, gone, sizeof(gone));
    vp_cpuset_print(&now, has, sizeof(has));
    const struct vp_field fields[] = {{"VIRTPIN_GUEST", row.name},
                                      {"VIRTPIN_UUID", row.uuid},
                                      {"VIRTPIN_POLICY", row.plan->policy},
                                      {"VIRTPIN_CPUS", has}};

    if (away && lost_cpus(enforcer, &row, &left))
        vp_journal(LOG_WARNING, VP_MSG_PLACED, fields, 4,
                   "guest %s: its CPUs %s are offline and there are no others for it: %s", row.name,
                   gone, row.pending ? row.pending : "no room");
    else if (away)
        vp_journal(LOG_NOTICE, VP_MSG_PLACED, fields, 4,
                   "guest %s: its CPUs %s are offline; it now has CPUs %s", row.name, gone, has);
    else if (row.plan->home_count == 0)
        vp_journal(LOG_NOTICE, VP_MSG_PLACED, fields, 4, "guest %s is back on its CPUs %s",
                   row.name, has);
    vp_guest_row_clear(&row);
}
