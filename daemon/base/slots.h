/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Large blocks of one size, at addresses of their own. What comes by the thousand and goes
 * again leaves no holes between small blocks that stay, which malloc could not give back: the
 * kernel has the memory of a block as soon as it is put back, but for a few that are kept warm.
 *
 * The addresses are reserved at once, memory is not. Of one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SLOTS_WARM_MAX 12

struct slots {
    char *base; /* NULL: there are none */
    size_t slot_bytes;
    uint32_t n_slots;
    uint32_t n_ever; /* those behind were never handed out */
    uint32_t cold;   /* the first one that is free and has no memory; n_slots: none */
    uint32_t *next;  /* by slot: the cold one behind it */
    uint32_t n_warm;
    uint32_t warm[SLOTS_WARM_MAX];
};

/**
 * slots_init() - reserve the addresses
 * @slot_bytes: of a block, a multiple of the size of a page
 * Return: 0 or -ENOMEM, and there are none: slots_take() gives NULL.
 */
MUST_CHECK int slots_init(struct slots *slots, size_t slot_bytes, uint32_t n_slots);
void slots_done(struct slots *slots); /* and all blocks with it */

/* Not cleared. NULL: all are taken. */
MUST_CHECK void *slots_take(struct slots *slots);
bool slots_own(const struct slots *slots, const void *block);
void slots_put(struct slots *slots, void *block); /* of these */
