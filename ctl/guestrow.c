/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/guestrow.h"

#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "decide/error.h"
#include "host/engine.h"

static int no_guest(const char *name, struct vp_error *err)
{
    return vp_fail(err, VP_REFUSED,
                   "virtpin manages no guest \"%s\" here (virtpin status lists them; virtpin "
                   "reconcile adopts)",
                   name);
}

int vp_guest_row_find(struct vp_engine *engine, const char *name, struct vp_guest_row *row,
                      struct vp_error *err)
{
    struct vp_guest_rows rows = {0};
    int found = 0;

    if (!engine->ledger)
        return no_guest(name, err);
    if (vp_ledger_guests(engine->ledger, &rows, err) != 0)
        return -1;
    for (size_t i = 0; i < rows.count && !found; i++) {
        if (strcmp(rows.item[i].name, name) != 0 && strcasecmp(rows.item[i].uuid, name) != 0)
            continue;
        *row = rows.item[i];
        rows.item[i] = (struct vp_guest_row){0};
        found = 1;
    }
    vp_guest_rows_clear(&rows);
    return found ? 0 : no_guest(name, err);
}

int vp_guest_row_hold(struct vp_engine *engine, const char *uuid, int64_t until_ms,
                      struct vp_error *err)
{
    struct vp_guest_row row = {0};
    int found, result = -1;

    if (vp_ledger_begin(engine->ledger, err) != 0)
        return -1;
    found = vp_ledger_guest(engine->ledger, uuid, &row, err);
    if (found == 0)
        vp_fail(err, VP_GONE, "the guest has ended meanwhile");
    if (found == 1) {
        row.hold_until_ms = until_ms;
        result = vp_ledger_touch(engine->ledger, &row, err);
    }
    vp_guest_row_clear(&row);
    if (result == 0)
        result = vp_ledger_commit(engine->ledger, err);
    if (result != 0)
        vp_ledger_rollback(engine->ledger);
    return result;
}
