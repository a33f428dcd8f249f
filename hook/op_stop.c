/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stopped and release: a guest's CPUs are given back. reconnect: a restarted
 * daemon found it running. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "decide/cleanup.h"
#include "hook/worker.h"

/* A snapshot revert stops the guest and starts it again at once; its CPUs are
 * kept for it that long. Only a guest with snapshots can be reverted. */
#define REVERT_MS 10000

/* libvirt 10.5.0 and later say in `release` why the guest stopped. */
static bool may_be_revert(const struct vp_hook *hook)
{
    return strcmp(hook->extra, "-") == 0 || strcmp(hook->extra, "unknown") == 0 ||
           strcmp(hook->extra, "from snapshot") == 0;
}

/* 1: something was freed or kept; 0: the guest held nothing. */
static int free_guest(struct vp_hook *hook, struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found = vp_ledger_guest(hook->engine.ledger, hook->domain->uuid, &row, err);
    int64_t hold = 0;
    bool leave;

    if (found <= 0)
        return found;
    /* a guest that was never confirmed has no CPUs to come back to */
    if (row.state == VP_GUEST_RUNNING && vp_guest_has_snapshots(hook->domain->name))
        hold = REVERT_MS;
    /* release comes after stopped: what that kept is kept, unless it is now
     * known that no revert follows */
    leave =
        row.state == VP_GUEST_LEASE && strcmp(row.operation, "stopped") == 0 && may_be_revert(hook);
    vp_guest_row_clear(&row);
    if (leave)
        return 0;
    return vp_engine_free(&hook->engine, hook->domain->uuid, hold, err) < 0 ? -1 : 1;
}

int vp_op_stopped(struct vp_hook *hook, struct vp_error *err)
{
    char ledger[PATH_MAX];
    int freed;

    /* where nothing was ever booked nothing is made */
    snprintf(ledger, sizeof(ledger), "%s/ledger.db", hook->engine.set->host.run_dir);
    if (access(ledger, F_OK) < 0)
        return 0;
    if (vp_engine_ledger(&hook->engine, true, err) < 0)
        return -1;
    freed = free_guest(hook, err);
    if (freed == 1)
        vp_hook_apply_pool(hook);
    return freed < 0 ? -1 : 0;
}

int vp_op_reconnect(struct vp_hook *hook, struct vp_error *err)
{
    bool adopted;

    if (!vp_hook_managed(hook))
        return 0;
    if (vp_engine_ledger(&hook->engine, true, err) < 0)
        return -1;
    if (vp_engine_adopt(&hook->engine, hook->name, &adopted, err) < 0)
        return -1;
    if (adopted)
        vp_hook_apply_pool(hook);
    return vp_engine_apply(&hook->engine, hook->domain->uuid, false, NULL, err);
}
