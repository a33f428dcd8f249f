/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_ENFORCER_PINS_H
#define VP_ENFORCER_PINS_H

#include <stdbool.h>
#include <stdint.h>

struct vp_enforcer;
struct vp_watched;

/* libvirt's own idea of the pins, from its status file. */

/* Compares it with what is wanted. New plans are told without a record; a pin
 * that was ours and has changed is drift of kind pin, by libvirt. */
void vp_pins_look(struct vp_enforcer *enforcer, struct vp_watched *guest, int64_t now_us);

/* Whether threads that have what libvirt's pins say are to be left to the
 * libvirt side: it tells libvirt, which then repairs them itself without a
 * race against a call of its own. False when libvirt is not there, is not
 * told pins, or had time enough. */
bool vp_pins_left_to_libvirt(struct vp_enforcer *enforcer, const struct vp_watched *guest,
                             int64_t now_us);

#endif
