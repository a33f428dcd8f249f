/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "ctl/guestrow.h"
#include "ctl/moving.h"
#include "ctl/output.h"
#include "ctl/view.h"
#include "decide/cleanup.h"
#include "decide/error.h"
#include "host/clock.h"
#include "host/engine.h"
#include "host/room.h"

struct move {
    struct vp_ctl *ctl;
    struct vp_engine *engine;
    const struct vp_guest_row *row;
    struct vp_plan *plan; /* owned; where it goes */
    bool same;            /* it is there already */
    struct vp_findings findings;
};

/* ---- where to ---- */

static const struct vp_defrag_guest *find(const struct vp_room *room, const char *name,
                                          const struct vp_guest_row **row)
{
    for (size_t i = 0; i < room->guest_count; i++)
        if (strcmp(room->row[i]->name, name) == 0 || strcasecmp(room->row[i]->uuid, name) == 0) {
            *row = room->row[i];
            return &room->guest[i];
        }
    return NULL;
}

static int check_guest(const struct vp_guest_row *row, const struct vp_defrag_guest *guest,
                       struct vp_error *err)
{
    if (row->hold_until_ms > vp_now_ms())
        return vp_fail(err, VP_REFUSED, "%s is held: virtpin hold %s --for 0s", row->name,
                       row->name);
    if (!vp_policy_books(guest->input.policy))
        return vp_fail(err, VP_REFUSED,
                       "%s has no CPUs of its own: placement = %s (policy %s); only dedicated and "
                       "mixed guests are moved",
                       row->name, vp_placement_word(guest->input.policy->placement),
                       guest->input.policy->name);
    if (guest->stays)
        return vp_fail(err, VP_REFUSED, "the policy of %s has changed: virtpin reconcile %s",
                       row->name, row->name);
    return 0;
}

static int narrow(struct vp_plan_input *input, const char *list, struct vp_error *err)
{
    struct vp_cpuset to = {0}, absent;
    VP_AUTO(free) char *text = NULL;

    if (vp_cpuset_parse(&to, list, err) != 0)
        return vp_wrap(err, "--to");
    if (vp_cpuset_empty(&to))
        return vp_fail(err, VP_INPUT, "--to: found \"%s\", legal is a list of CPUs", list);
    absent = to;
    vp_cpuset_minus(&absent, &input->topology->online);
    text = vp_cpuset_format(&absent);
    if (!vp_cpuset_empty(&absent))
        return vp_fail(err, VP_INPUT, "--to: found CPUs %s, which this host does not have online",
                       text ? text : "?");
    if (!vp_cpuset_empty(&input->allowed))
        vp_cpuset_and(&to, &input->allowed);
    if (vp_cpuset_empty(&to))
        return vp_fail(err, VP_REFUSED, "--to: the guest's partition has none of CPUs %s", list);
    input->allowed = to;
    return 0;
}

/* Pages are taken to the new nodes by the enforcer, which alone outlives this. */
static void note_memory(struct move *move)
{
    struct vp_enforcer_facts enforcer;

    vp_enforcer_read(move->engine->set->host.run_dir, &enforcer);
    if (enforcer.running && enforcer.can_repair)
        vp_findings_note(&move->findings, VP_WARNING,
                         "its memory follows: virtpin status %s shows how far it is",
                         move->row->name);
    else
        vp_findings_note(&move->findings, VP_WARNING,
                         "the memory of %s stays on its nodes until virtpind runs and can repair",
                         move->row->name);
}

static int plan_move(struct move *move, const struct vp_room *room,
                     const struct vp_defrag_guest *guest, struct vp_error *err)
{
    const char *list = vp_ctl_option(move->ctl, "to");
    struct vp_plan_input input = guest->input;
    struct vp_cpuset was, now;

    if (list && narrow(&input, list, err) != 0)
        return -1;
    input.holding = room->holding;
    input.holding_count = room->holding_count;
    if (vp_plan_make(&input, &move->plan, NULL, &move->findings, err) != VP_PLAN_OK)
        return list ? vp_wrap(err, "%s does not fit on CPUs %s", move->row->name, list)
                    : vp_wrap(err, "%s", move->row->name);
    if (vp_plan_without_room(move->plan))
        return vp_fail(err, VP_REFUSED, "%s has no room%s%s", move->row->name,
                       list ? " on CPUs " : "", list ? list : "");
    vp_plan_exclusive(guest->plan, &was);
    vp_plan_exclusive(move->plan, &now);
    move->same = vp_cpuset_equal(&was, &now);
    if (vp_defrag_bound(guest) && !vp_cpuset_equal(&guest->plan->nodes, &move->plan->nodes))
        note_memory(move);
    return 0;
}

/* ---- what is said ---- */

static void print_json(const struct move *move, enum vp_moved moved, const struct vp_error *why)
{
    json_object *object = vp_json_new("virtpin.move/1"), *notes = vp_json_array();
    struct vp_cpuset was, now;

    vp_plan_exclusive(move->row->plan, &was);
    vp_plan_exclusive(move->plan, &now);
    vp_json_time(object, "time", vp_now_ms());
    vp_json_string(object, "guest", move->row->name);
    vp_json_string(object, "uuid", move->row->uuid);
    vp_json_bool(object, "moved", moved == VP_MOVE_DONE && !move->same);
    vp_json_string(object, "state", move->same ? "there" : vp_moved_word(moved));
    vp_json_cpus(object, "from", &was);
    vp_json_cpus(object, "to", &now);
    vp_json_add(object, "threads", vp_moved_threads(move->row->plan, move->plan));
    vp_json_string(object, "why", moved == VP_MOVE_DONE ? NULL : why->text);
    for (size_t i = 0; i < move->findings.count; i++)
        vp_json_push(notes, json_object_new_string(move->findings.item[i].text));
    vp_json_add(object, "notes", notes);
    vp_json_print(object);
}

static void print_text(const struct move *move)
{
    VP_AUTO(free) char *left = NULL;
    VP_AUTO(free) char *right = NULL;
    struct vp_cpuset was, now;

    vp_plan_exclusive(move->row->plan, &was);
    vp_plan_exclusive(move->plan, &now);
    left = vp_cpuset_format(&was);
    right = vp_cpuset_format(&now);
    if (move->same)
        printf("%s is on CPUs %s already\n", move->row->name, left ? left : "?");
    else
        printf("%s: CPUs %s -> %s\n", move->row->name, left ? left : "?", right ? right : "?");
    if (!move->same)
        vp_moved_print(move->row->plan, move->plan, 2);
    for (size_t i = 0; i < move->findings.count; i++)
        fprintf(stderr, "virtpin: %s\n", move->findings.item[i].text);
}

static int act(struct move *move, struct vp_room *room, struct vp_error *err)
{
    enum vp_moved moved = VP_MOVE_DONE;

    if (!move->same)
        moved = vp_move_guest(move->engine, move->row, move->plan, &room->gen, err);
    if (move->ctl->json) {
        print_json(move, moved, err);
        return moved == VP_MOVE_DONE ? VP_EXIT_GOOD : VP_EXIT_FINDING;
    }
    if (moved == VP_MOVE_UNDONE)
        return vp_wrap(err, "%s is where it was, for it was not moved in full", move->row->name);
    if (moved != VP_MOVE_DONE)
        return vp_wrap(err, "%s was not moved", move->row->name);
    print_text(move);
    return VP_EXIT_GOOD;
}

static int run(struct move *move, struct vp_error *err)
{
    VP_AUTO(vp_room) struct vp_room room = {0};
    const struct vp_defrag_guest *guest;

    if (vp_room_read(move->engine, &room, err) != 0)
        return -1;
    guest = find(&room, move->ctl->argv[0], &move->row);
    if (!guest)
        return vp_fail(err, VP_REFUSED,
                       "no guest \"%s\" runs under a policy that puts it somewhere (virtpin "
                       "status lists them)",
                       move->ctl->argv[0]);
    if (check_guest(move->row, guest, err) != 0 || plan_move(move, &room, guest, err) != 0)
        return -1;
    return act(move, &room, err);
}

int vp_verb_move(struct vp_ctl *ctl, struct vp_error *err)
{
    VP_AUTO(vp_engine) struct vp_engine engine = {0};
    struct move move = {.ctl = ctl, .engine = &engine};
    int status;

    if (vp_ctl_open_acting(ctl, &engine, err) != 0)
        return -1;
    status = run(&move, err);
    vp_plan_free(move.plan);
    vp_findings_clear(&move.findings);
    return status;
}
