/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Room for a guest by moving others. */
#include "host/room.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine_priv.h"
#include "host/threads.h"

void vp_room_clear(struct vp_room *room)
{
    for (size_t i = 0; i < room->guest_count; i++)
        vp_status_free(room->status[i]);
    free(room->status);
    free(room->row);
    free(room->guest);
    free(room->holding);
    vp_guest_rows_clear(&room->rows);
    *room = (struct vp_room){0};
}

/* A guest whose policy is another by now is planned anew by the enforcer first. */
static void add_guest(struct vp_engine *engine, struct vp_room *room,
                      const struct vp_guest_row *row)
{
    VP_AUTO(vp_status) struct vp_status *status = NULL;
    struct vp_defrag_guest *guest = &room->guest[room->guest_count];
    struct vp_choice choice;

    if (row->state != VP_GUEST_RUNNING || !vp_row_in_force(row) ||
        vp_status_load(engine->status_dir, row->name, &status, NULL) < 0 || status->pid != row->pid)
        return;
    vp_engine_choose(engine, status->domain, &choice);
    if (!choice.policy || choice.policy->mode != VP_MODE_ENFORCE)
        return;
    *guest = (struct vp_defrag_guest){.plan = row->plan};
    vp_engine_input(engine, status->domain, &choice, &guest->input);
    guest->stays = row->hold_until_ms > vp_now_ms() || !vp_policy_books(choice.policy) ||
                   strcmp(choice.policy->name, row->plan->policy) != 0;
    room->row[room->guest_count] = row;
    room->status[room->guest_count++] = VP_STEAL(status);
}

int vp_room_read(struct vp_engine *engine, struct vp_room *room, struct vp_error *err)
{
    size_t count;

    *room = (struct vp_room){0};
    if (vp_ledger_gen(engine->ledger, &room->gen, err) < 0 ||
        vp_ledger_guests(engine->ledger, &room->rows, err) < 0)
        return -1;
    count = room->rows.count + 1;
    room->status = calloc(count, sizeof(*room->status));
    room->row = calloc(count, sizeof(*room->row));
    room->guest = calloc(count, sizeof(*room->guest));
    room->holding = calloc(count, sizeof(*room->holding));
    if (!room->status || !room->row || !room->guest || !room->holding)
        return vp_fail(err, VP_HOST, "out of memory");
    for (size_t i = 0; i < room->rows.count; i++) {
        vp_holding_of(engine->topology, &room->rows.item[i], &room->holding[room->holding_count++]);
        add_guest(engine, room, &room->rows.item[i]);
    }
    return 0;
}

int vp_room_search(struct vp_engine *engine, const struct vp_room *room,
                   const struct vp_domain *domain, const struct vp_choice *choice, unsigned tries,
                   struct vp_defrag *answer)
{
    struct vp_plan_input target;
    struct vp_defrag_input in = {.guest = room->guest,
                                 .guest_count = room->guest_count,
                                 .holding = room->holding,
                                 .holding_count = room->holding_count,
                                 .tries = tries};

    if (domain) {
        vp_engine_input(engine, domain, choice, &target);
        in.target = &target;
    }
    return vp_defrag(&in, answer);
}

static int put_moved(struct vp_engine *engine, const struct vp_guest_row *row,
                     const struct vp_plan *plan, uint64_t *gen, struct vp_error *err)
{
    struct vp_guest_row today = {0};
    uint64_t now;
    int result = -1;

    if (vp_ledger_gen(engine->ledger, &now, err) < 0)
        return -1;
    if (now != *gen)
        return vp_fail(err, VP_BUSY, "bookings have changed meanwhile; try again");
    switch (vp_ledger_guest(engine->ledger, row->uuid, &today, err)) {
    case 0:
        return vp_fail(err, VP_GONE, "guest %s has ended", row->name);
    case 1:
        break;
    default:
        return -1;
    }
    if (today.state != VP_GUEST_RUNNING || today.pid != row->pid ||
        today.pid_start != row->pid_start) {
        vp_fail(err, VP_GONE, "guest %s has ended", row->name);
    } else {
        vp_plan_free(today.plan);
        today.plan = vp_plan_copy(plan);
        result = today.plan ? vp_ledger_put(engine->ledger, &today, err)
                            : vp_fail(err, VP_HOST, "out of memory");
        if (result == 0)
            result = vp_ledger_request(engine->ledger, "tell", today.uuid, err);
        if (result == 0 && plan->reserve)
            result = vp_ledger_request(engine->ledger, "definition", today.uuid, err);
        *gen = today.gen;
    }
    vp_guest_row_clear(&today);
    return result;
}

int vp_engine_move(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_plan *plan, uint64_t *gen, struct vp_error *err)
{
    int result;

    if (vp_ledger_begin(engine->ledger, err) < 0)
        return -1;
    result = put_moved(engine, row, plan, gen, err);
    if (result == 0)
        result = vp_ledger_commit(engine->ledger, err);
    if (result < 0)
        vp_ledger_rollback(engine->ledger);
    return result;
}
