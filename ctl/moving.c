/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ctl/moving.h"

#include <stdio.h>
#include <stdlib.h>

#include "ctl/output.h"
#include "ctl/repair.h"
#include "ctl/tell.h"
#include "decide/cleanup.h"
#include "host/room.h"

const char *vp_moved_word(enum vp_moved moved)
{
    static const char *const words[] = {"done", "failed", "undone", "left"};

    return words[moved];
}

/* Shared guests first: the guest's CPUs are its own when it comes. 0: in force. */
static int put_in_force(struct vp_engine *engine, const struct vp_guest_row *row,
                        struct vp_error *err)
{
    struct vp_repaired repaired;
    struct vp_error shared = {0};

    if (vp_engine_apply_pool(engine, row->uuid, &shared) != 0)
        fprintf(stderr, "virtpin: shared guests: %s\n", shared.text);
    if (vp_repair_guest(engine, row, false, &repaired, err) != 0)
        return -1;
    if (repaired.left > 0)
        return vp_fail(err, VP_REFUSED, "%s", repaired.why);
    vp_tell_guest(engine, row->uuid);
    return 0;
}

enum vp_moved vp_move_guest(struct vp_engine *engine, const struct vp_guest_row *row,
                            const struct vp_plan *plan, uint64_t *gen, struct vp_error *err)
{
    struct vp_guest_row moved = *row;
    struct vp_error why = {0};

    if (vp_engine_move(engine, row, plan, gen, err) != 0)
        return VP_MOVE_NOT_BOOKED;
    moved.plan = (struct vp_plan *)plan;
    if (put_in_force(engine, &moved, err) == 0)
        return VP_MOVE_DONE;
    if (vp_engine_move(engine, row, row->plan, gen, &why) == 0 &&
        put_in_force(engine, row, &why) == 0)
        return VP_MOVE_UNDONE;
    vp_wrap(err, "it could not be taken back (%.200s; virtpin status %s) after", why.text,
            row->name);
    return VP_MOVE_LEFT;
}

/* What a thread has; "pool" where it shares. */
static char *want_text(const struct vp_want *want)
{
    const char *word = want->kind == VP_WANT_POOL   ? "pool"
                       : want->kind == VP_WANT_BOTH ? "pool and more"
                                                    : "nothing";
    char *text = NULL;

    if (want->kind == VP_WANT_SET)
        return vp_cpuset_format(&want->cpus);
    return asprintf(&text, "%s", word) < 0 ? NULL : text;
}

static void each_thread(const struct vp_plan *from, const struct vp_plan *to, int indent,
                        json_object *list)
{
    for (size_t i = 0; i < to->want_count; i++) {
        const struct vp_want *now = &to->want[i];
        const struct vp_want *was = vp_plan_find(from, now->role, now->index);
        VP_AUTO(free) char *left = was ? want_text(was) : NULL;
        VP_AUTO(free) char *right = want_text(now);
        json_object *object;

        if (was && was->kind == now->kind && vp_cpuset_equal(&was->cpus, &now->cpus))
            continue;
        if (!list) {
            printf("%*s%s %u: %s -> %s\n", indent, "", vp_role_word(now->role), now->index,
                   left ? left : "?", right ? right : "?");
            continue;
        }
        object = vp_json_object();
        vp_json_string(object, "role", vp_role_word(now->role));
        vp_json_int(object, "index", now->index);
        vp_json_string(object, "from", left);
        vp_json_string(object, "to", right);
        vp_json_push(list, object);
    }
}

json_object *vp_moved_threads(const struct vp_plan *from, const struct vp_plan *to)
{
    json_object *list = vp_json_array();

    each_thread(from, to, 0, list);
    return list;
}

void vp_moved_print(const struct vp_plan *from, const struct vp_plan *to, int indent)
{
    each_thread(from, to, indent, NULL);
}
