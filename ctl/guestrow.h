/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_GUESTROW_H
#define VP_GUESTROW_H

#include <stdint.h>

struct vp_engine;
struct vp_error;
struct vp_guest_row;

/* The ledger's row of a guest by name or uuid; the caller clears *row.
 * VP_REFUSED if there is none. */
int vp_guest_row_find(struct vp_engine *engine, const char *name, struct vp_guest_row *row,
                      struct vp_error *err);

/* Sets until when the guest's drift is left alone; 0: no longer. */
int vp_guest_row_hold(struct vp_engine *engine, const char *uuid, int64_t until_ms,
                      struct vp_error *err);

#endif
