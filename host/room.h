/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ROOM_H
#define VP_ROOM_H

#include "decide/defrag.h"
#include "host/engine.h"

/* Who runs where on this host, for searching which guests to move. Needs the
 * policies of every guest. */
struct vp_room {
    struct vp_guest_rows rows;
    struct vp_status **status; /* of each guest, owned */
    const struct vp_guest_row **row;
    struct vp_defrag_guest *guest; /* those that have a place in force */
    size_t guest_count;
    struct vp_holding *holding;
    size_t holding_count;
    uint64_t gen; /* the ledger's when it was read */
};
void vp_room_clear(struct vp_room *room);
static inline void vp_room_cleanup(struct vp_room *room)
{
    vp_room_clear(room);
}

/* Guests that end meanwhile are left out; held ones stay. The ledger is open. */
int vp_room_read(struct vp_engine *engine, struct vp_room *room, struct vp_error *err);

/* Which moves would let `domain` in (NULL: lower the cost). As vp_defrag. */
int vp_room_search(struct vp_engine *engine, const struct vp_room *room,
                   const struct vp_domain *domain, const struct vp_choice *choice, unsigned tries,
                   struct vp_defrag *answer);

/* In a few tries: "moving db-1 would make room: virtpin defrag --for NAME", or
 * false. Nothing is changed. */
bool vp_engine_room(struct vp_engine *engine, const struct vp_domain *domain,
                    const struct vp_choice *choice, char *text, size_t size);

/* Books `plan` for a running guest in place of what it has, in one transaction,
 * if no booking has changed since the generation *gen (VP_BUSY else), and asks
 * the enforcer to tell libvirt. *gen becomes today's. Nothing is applied. */
int vp_engine_move(struct vp_engine *engine, const struct vp_guest_row *row,
                   const struct vp_plan *plan, uint64_t *gen, struct vp_error *err);

#endif
