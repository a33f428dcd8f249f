/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SIMULATE_CPU_H
#define VP_SIMULATE_CPU_H

#include "ctl/simulate.h"

/* What simulate.c and simulate_cpu.c share. */

void vp_sim_book(struct vp_sim *sim, const struct vp_sim_guest *guest);
void vp_sim_unbook(struct vp_sim *sim, const struct vp_sim_guest *guest);

/* Plans a guest that is not booked. OK: guest->booking is new (the old one is
 * the caller's to keep or free) and *plan the caller's. *answer has nothing to
 * be freed. */
enum vp_plan_result vp_sim_plan(struct vp_sim *sim, struct vp_sim_guest *guest,
                                struct vp_plan **plan, struct vp_place_answer *answer,
                                struct vp_sim_times *times, struct vp_error *err);

/* Switches a CPU: guests that lost CPUs are placed anew (the old booking stays
 * where there is no room), guests that moved before go back to CPUs that are
 * there again. As vp_sim_line's result, a bad line is -1 with VP_INPUT. */
int vp_sim_cpu(struct vp_sim *sim, int cpu, bool online, json_object **answer,
               struct vp_error *err);

#endif
