/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/packed.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What stands before the words of each set. */
struct head {
    uint32_t role, index, words;
};

static unsigned words_of(const struct vp_cpuset *cpus)
{
    return (unsigned)(vp_cpuset_last(cpus) + 64) / 64;
}

void vp_packed_clear(struct vp_packed *packed)
{
    free(packed->bytes);
    *packed = (struct vp_packed){0};
}

int vp_packed_set(struct vp_packed *packed, const struct vp_pins *pins)
{
    struct vp_packed fresh = {.count = pins->count};
    unsigned char *at;

    for (size_t i = 0; i < pins->count; i++)
        fresh.size += sizeof(struct head) + words_of(&pins->item[i].cpus) * sizeof(uint64_t);
    at = fresh.bytes = malloc(fresh.size + 1);
    if (!fresh.bytes)
        return -1;
    for (size_t i = 0; i < pins->count; i++) {
        const struct vp_pin *pin = &pins->item[i];
        const struct head head = {(uint32_t)pin->role, pin->index, words_of(&pin->cpus)};

        memcpy(at, &head, sizeof(head));
        memcpy(at + sizeof(head), pin->cpus.w, head.words * sizeof(uint64_t));
        at += sizeof(head) + head.words * sizeof(uint64_t);
    }
    vp_packed_clear(packed);
    *packed = fresh;
    return 0;
}

int vp_packed_get(const struct vp_packed *packed, struct vp_pins *pins)
{
    const unsigned char *at = packed->bytes;
    size_t room = 1;

    *pins = (struct vp_pins){0};
    if (packed->count == 0)
        return 0;
    while (room < packed->count) /* vp_pins_add grows at powers of two */
        room *= 2;
    pins->item = calloc(room, sizeof(*pins->item));
    if (!pins->item)
        return -1;
    for (; pins->count < packed->count; pins->count++) {
        struct vp_pin *pin = &pins->item[pins->count];
        struct head head;

        memcpy(&head, at, sizeof(head));
        pin->role = (enum vp_role)head.role;
        pin->index = head.index;
        memcpy(pin->cpus.w, at + sizeof(head), head.words * sizeof(uint64_t));
        at += sizeof(head) + head.words * sizeof(uint64_t);
    }
    return 0;
}
