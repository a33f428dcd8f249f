/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SYNC_H
#define VP_SYNC_H

#include <stdbool.h>

struct vp_enforcer;
struct vp_watched;

/* The ledger's rows become the guests that are watched. */

/* Reads the ledger again if it was written to (sync_wanted) or replaced,
 * adopts where that is due, takes the requests of hooks and ctl, and puts
 * guests whose wanted pins changed down for a look. Cheap when nothing is due. */
void vp_sync(struct vp_enforcer *enforcer);

/* Whether a decision was made since the last vp_sync: one small read. */
bool vp_sync_outdated(struct vp_enforcer *enforcer);

/* Whether that guest's process is still the one of the row. */
struct vp_guest_row;
bool vp_sync_lives(const struct vp_guest_row *row);

/* Sweep: leases that have ended, the ledger's
 * file replaced; sets adopt_wanted or asks libvirt about old leases. */
void vp_sync_check(struct vp_enforcer *enforcer);

/* At each look, the guest's status being loaded: plans it again if it has an I/O
 * thread that its plan does not know; where that fails, a look is due again. */
void vp_sync_outgrown(struct vp_enforcer *enforcer, struct vp_watched *guest);

/* Says of a guest that some of its CPUs are offline, and where it is now; of one
 * that was away, that it is back. `was`: its row before it was planned anew. */
void vp_sync_say_moved(struct vp_enforcer *enforcer, const struct vp_guest_row *was);

#endif
