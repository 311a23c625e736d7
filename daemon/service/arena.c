/* SPDX-License-Identifier: MIT */
#include "service/arena.h"

#include <stdint.h>

#include "base/mem.h"

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t rounded = size ? (size + 15) & ~(size_t)15 : 16; /* nobody's piece lies at the end */

    if (size > ARENA_BYTES || rounded > ARENA_BYTES - arena->used)
        return mem_alloc(size);
    void *piece = arena->block + arena->used;
    arena->used += rounded;
    return piece;
}

void arena_release(struct arena *arena, void *piece)
{
    uintptr_t at = (uintptr_t)piece;
    uintptr_t block = (uintptr_t)arena->block;

    if (at < block || at >= block + ARENA_BYTES)
        mem_free(piece);
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *piece)
{
    arena_release(arena, piece);
}

void arena_init(struct arena *arena)
{
    arena->allocator = (ProtobufCAllocator){allocate, release, arena};
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
}
