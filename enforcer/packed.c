/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "enforcer/packed.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What stands before the words of each set. */
struct head {
    uint16_t role, kind; /* kind: of a want */
    uint32_t index, words;
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

static size_t size_of(const struct vp_cpuset *cpus)
{
    return sizeof(struct head) + words_of(cpus) * sizeof(uint64_t);
}

static unsigned char *put(unsigned char *at, struct head head, const struct vp_cpuset *cpus)
{
    head.words = words_of(cpus);
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), cpus->w, head.words * sizeof(uint64_t));
    return at + size_of(cpus);
}

static const unsigned char *take(const unsigned char *at, struct head *head, struct vp_cpuset *cpus)
{
    memcpy(head, at, sizeof(*head));
    memcpy(cpus->w, at + sizeof(*head), head->words * sizeof(uint64_t));
    return at + sizeof(*head) + head->words * sizeof(uint64_t);
}

int vp_packed_set(struct vp_packed *packed, const struct vp_pins *pins)
{
    struct vp_packed fresh = {.count = pins->count};
    unsigned char *at;

    for (size_t i = 0; i < pins->count; i++)
        fresh.size += size_of(&pins->item[i].cpus);
    at = fresh.bytes = malloc(fresh.size + 1);
    if (!fresh.bytes)
        return -1;
    for (size_t i = 0; i < pins->count; i++) {
        const struct vp_pin *pin = &pins->item[i];

        at = put(at, (struct head){.role = (uint16_t)pin->role, .index = pin->index}, &pin->cpus);
    }
    vp_packed_clear(packed);
    *packed = fresh;
    return 0;
}

int vp_packed_wants(struct vp_packed *packed, const struct vp_plan *plan)
{
    struct vp_packed fresh = {.count = plan ? plan->want_count : 0};
    unsigned char *at;

    for (size_t i = 0; i < fresh.count; i++)
        fresh.size += size_of(&plan->want[i].cpus);
    at = fresh.bytes = malloc(fresh.size + 1);
    if (!fresh.bytes)
        return -1;
    for (size_t i = 0; i < fresh.count; i++) {
        const struct vp_want *want = &plan->want[i];
        const struct head head = {
            .role = (uint16_t)want->role, .kind = (uint16_t)want->kind, .index = want->index};

        at = put(at, head, &want->cpus);
    }
    vp_packed_clear(packed);
    *packed = fresh;
    return 0;
}

int vp_packed_resolve(const struct vp_packed *packed, const struct vp_cpuset *pool,
                      struct vp_pins *pins)
{
    const unsigned char *at = packed->bytes;

    for (size_t i = 0; i < packed->count; i++) {
        struct vp_want want = {0};
        struct vp_cpuset cpus;
        struct head head;

        at = take(at, &head, &want.cpus);
        want.kind = (enum vp_want_kind)head.kind;
        vp_want_resolve(&want, pool, &cpus);
        if (!vp_cpuset_empty(&cpus) &&
            vp_pins_add(pins, (enum vp_role)head.role, head.index, &cpus) < 0)
            return -1;
    }
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

        at = take(at, &head, &pin->cpus);
        pin->role = (enum vp_role)head.role;
        pin->index = head.index;
    }
    return 0;
}
