/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Blocks of one size that are wanted again and again: what is put back is handed out next,
 * still warm, and the heap is not asked to join and split it each time. Keeps a bounded number;
 * under AddressSanitizer none, so that a use after the end is seen.
 */

#include <stddef.h>

#include "base/cleanup.h"

#define SPARES_MAX 12

struct spares {
    size_t size; /* bytes of each */
    unsigned n;
    void *blocks[SPARES_MAX];
};

#define SPARES_INIT(bytes) ((struct spares){.size = (bytes)})

/* Not cleared. NULL: no memory. */
MUST_CHECK void *spares_take(struct spares *spares);
void spares_put(struct spares *spares, void *block); /* NULL is fine */
void spares_done(struct spares *spares);             /* frees what it keeps; usable again */
