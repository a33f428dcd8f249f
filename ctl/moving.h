/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_MOVING_H
#define VP_MOVING_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "decide/error.h"

struct vp_engine;
struct vp_guest_row;
struct vp_plan;

enum vp_moved {
    VP_MOVE_DONE,
    VP_MOVE_NOT_BOOKED, /* nothing was changed */
    VP_MOVE_UNDONE,     /* it did not come into force; the guest is where it was */
    VP_MOVE_LEFT,       /* nor could it be taken back in full */
};
const char *vp_moved_word(enum vp_moved moved);

/* Moves a running guest (row: as it is booked) to `plan`: books it, makes
 * shared guests leave, pins the guest and reads back; what is not in force
 * then is undone. *gen as for vp_engine_move. Not VP_MOVE_DONE: *err says why. */
enum vp_moved vp_move_guest(struct vp_engine *engine, const struct vp_guest_row *row,
                            const struct vp_plan *plan, uint64_t *gen, struct vp_error *err);

/* Each thread that goes elsewhere: [{"role","index","from","to"}]. */
json_object *vp_moved_threads(const struct vp_plan *from, const struct vp_plan *to);
/* "vcpu 0: 1 -> 3", a line each after `indent` blanks. */
void vp_moved_print(const struct vp_plan *from, const struct vp_plan *to, int indent);

#endif
