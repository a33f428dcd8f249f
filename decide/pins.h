/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_PINS_H
#define VP_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "decide/cpuset.h"

/* A guest's threads by what they do. index: the vCPU's or I/O thread's id as
 * libvirt numbers it (I/O threads from 1); 0 for the emulator's main thread. */
enum vp_role {
    VP_ROLE_VCPU,
    VP_ROLE_EMULATOR, /* QEMU's main thread */
    VP_ROLE_IOTHREAD,
    VP_ROLE_VHOST,
    VP_ROLE_WORKER, /* QEMU's other threads: thread pool, VNC, migration */
    VP_ROLE_HELPER, /* other processes in the guest's emulator group: swtpm, virtiofsd */
};

/* "vcpu", "emulator", "iothread", "vhost", "worker", "helper". */
const char *vp_role_word(enum vp_role role);

/* One thread and the CPUs it is to run on, or the pins a definition states. */
struct vp_pin {
    enum vp_role role;
    unsigned index;
    struct vp_cpuset cpus;
};

struct vp_pins {
    struct vp_pin *item;
    size_t count;
};

/* Appends; 0, or -1 without memory (the list stays as it is). */
int vp_pins_add(struct vp_pins *pins, enum vp_role role, unsigned index,
                const struct vp_cpuset *cpus);
/* The pin of that thread, NULL if there is none. */
const struct vp_pin *vp_pins_find(const struct vp_pins *pins, enum vp_role role, unsigned index);
/* Pointers to all pins, by role and then index; as many as `count`. The caller
 * frees the array; NULL without memory. */
const struct vp_pin **vp_pins_sorted(const struct vp_pins *pins);
/* The CPUs of the group that libvirt calls emulator: the emulator's, and those
 * of vhost threads with pins of their own, which live in that group. This is
 * also what libvirt is told of the emulator. Empty: nothing is wanted of it. */
void vp_pins_emulator_group(const struct vp_pins *pins, struct vp_cpuset *cpus);
/* The pin as libvirt is to have it; false for roles that it has no pins of. */
bool vp_pins_libvirts(const struct vp_pins *pins, const struct vp_pin *pin, struct vp_cpuset *cpus);
void vp_pins_clear(struct vp_pins *pins); /* frees what it holds; usable again */

#endif
