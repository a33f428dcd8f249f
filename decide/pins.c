/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "decide/pins.h"

#include <stdlib.h>

const char *vp_role_word(enum vp_role role)
{
    switch (role) {
    case VP_ROLE_VCPU:
        return "vcpu";
    case VP_ROLE_EMULATOR:
        return "emulator";
    case VP_ROLE_IOTHREAD:
        return "iothread";
    case VP_ROLE_VHOST:
        return "vhost";
    case VP_ROLE_WORKER:
        return "worker";
    case VP_ROLE_HELPER:
        break;
    }
    return "helper";
}

int vp_pins_add(struct vp_pins *pins, enum vp_role role, unsigned index,
                const struct vp_cpuset *cpus)
{
    /* Room grows at every power of two, so that the list needs no capacity field. */
    if ((pins->count & (pins->count - 1)) == 0) {
        size_t room = pins->count > 0 ? pins->count * 2 : 1;
        struct vp_pin *grown = reallocarray(pins->item, room, sizeof(*grown));

        if (!grown)
            return -1;
        pins->item = grown;
    }
    pins->item[pins->count].role = role;
    pins->item[pins->count].index = index;
    pins->item[pins->count].cpus = *cpus;
    pins->count++;
    return 0;
}

const struct vp_pin *vp_pins_find(const struct vp_pins *pins, enum vp_role role, unsigned index)
{
    for (size_t i = 0; i < pins->count; i++)
        if (pins->item[i].role == role && pins->item[i].index == index)
            return &pins->item[i];
    return NULL;
}

static int by_thread(const void *left, const void *right)
{
    const struct vp_pin *a = *(const struct vp_pin *const *)left;
    const struct vp_pin *b = *(const struct vp_pin *const *)right;

    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

const struct vp_pin **vp_pins_sorted(const struct vp_pins *pins)
{
    const struct vp_pin **sorted = calloc(pins->count + 1, sizeof(const struct vp_pin *));

    if (!sorted)
        return NULL;
    for (size_t i = 0; i < pins->count; i++)
        sorted[i] = &pins->item[i];
    qsort(sorted, pins->count, sizeof(const struct vp_pin *), by_thread);
    return sorted;
}

void vp_pins_clear(struct vp_pins *pins)
{
    free(pins->item);
    *pins = (struct vp_pins){0};
}

void vp_pins_emulator_group(const struct vp_pins *pins, struct vp_cpuset *cpus)
{
    const struct vp_pin *emulator = vp_pins_find(pins, VP_ROLE_EMULATOR, 0);

    *cpus = emulator ? emulator->cpus : (struct vp_cpuset){0};
    for (size_t i = 0; emulator && i < pins->count; i++)
        if (pins->item[i].role == VP_ROLE_VHOST)
            vp_cpuset_or(cpus, &pins->item[i].cpus);
}

bool vp_pins_libvirts(const struct vp_pins *pins, const struct vp_pin *pin, struct vp_cpuset *cpus)
{
    *cpus = pin->cpus;
    if (pin->role == VP_ROLE_EMULATOR)
        vp_pins_emulator_group(pins, cpus);
    return pin->role == VP_ROLE_VCPU || pin->role == VP_ROLE_EMULATOR ||
           pin->role == VP_ROLE_IOTHREAD;
}
