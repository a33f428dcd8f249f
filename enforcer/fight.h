/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_FIGHT_H
#define VP_FIGHT_H

#include <stdbool.h>
#include <systemd/sd-event.h>

struct vp_enforcer;

/* Whoever changes what is contested may do so a thousand times a second. As long
 * as anything is, `source` wakes the loop a few times a second only; *limited
 * says whether it is so. Repairs of what is contested wait longer than that. */
void vp_fight_limit(const struct vp_enforcer *enforcer, sd_event_source *source, bool *limited);

#endif
