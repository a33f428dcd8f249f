/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdalign.h>
#include <stdlib.h>

#include "decide/place_priv.h"

struct vp_arena_block {
    struct vp_arena_block *next;
    alignas(16) char bytes[];
};

#define BLOCK 65536

void *vp_arena_get(struct vp_arena *arena, size_t count, size_t size)
{
    size_t bytes = (count * size + 15) & ~(size_t)15;
    void *result;

    if (count > SIZE_MAX / 4 / size) {
        arena->failed = true;
        return NULL;
    }
    if (!arena->at || bytes > (size_t)(arena->end - arena->at)) {
        size_t room = bytes > BLOCK / 4 ? bytes : BLOCK;
        struct vp_arena_block *block = malloc(sizeof(*block) + room);

        if (!block) {
            arena->failed = true;
            return NULL;
        }
        block->next = arena->block;
        arena->block = block;
        if (room == bytes && arena->at)
            return block->bytes; /* the block at hand is not full yet */
        arena->at = block->bytes;
        arena->end = block->bytes + room;
    }
    result = arena->at;
    arena->at += bytes;
    return result;
}

void vp_arena_free(struct vp_arena *arena)
{
    while (arena->block) {
        struct vp_arena_block *next = arena->block->next;

        free(arena->block);
        arena->block = next;
    }
    *arena = (struct vp_arena){0};
}
