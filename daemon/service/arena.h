/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory for one message at a time: protobuf-c's many small pieces come from one block that is
 * emptied when the message is done with. What does not fit is allocated apart.
 */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "base/cleanup.h"

#define ARENA_BYTES 32768

struct arena {
    ProtobufCAllocator allocator; /* for *_unpack() and *_free_unpacked() */
    size_t used;
    _Alignas(16) char block[ARENA_BYTES];
};

void arena_init(struct arena *arena);

/* Everything handed out since then is void; pieces that did not fit must have been freed. */
void arena_reset(struct arena *arena);

/* Return: @size bytes, 16-aligned, or NULL. */
MUST_CHECK void *arena_alloc(struct arena *arena, size_t size);
void arena_release(struct arena *arena, void *piece);
