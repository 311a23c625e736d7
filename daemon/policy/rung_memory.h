/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which rung of the ladder (policy/tls_ladder.h) a server was reached on, so that its next
 * connection need not fail its way down again: by partition, host and port, for a day from the
 * time it was found out, not from the last use. Whoever reaches the server with more drops it.
 *
 * At most RUNG_MEMORY_MAX servers; the least recently used goes, which costs its next
 * connection the steps down. A rung that was remembered is a fallback like one that was stepped
 * to: a server that can do better by now says so.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/map.h"
#include "base/partition.h"
#include "http/origin.h"

#define RUNG_MEMORY_MAX        512
#define RUNG_MEMORY_LIFETIME_S 86400

/* Embedded; zero is not empty: rung_memory_init(). */
struct rung_memory {
    struct map rungs;
    struct link in_use; /* least recently used first */
    size_t count;
};

struct tls_place {
    const struct partition *who;
    const struct origin *origin;
};

void rung_memory_init(struct rung_memory *memory); /* allocates nothing */
void rung_memory_done(struct rung_memory *memory);

/* Return: 0x0301 … 0x0303, or 0: nothing is known. */
uint16_t
rung_memory_find(struct rung_memory *memory, const struct tls_place *place, int64_t now_s);

/* In place of what was known. Without memory nothing is remembered, which costs time alone. */
void rung_memory_note(struct rung_memory *memory,
                      const struct tls_place *place,
                      uint16_t rung,
                      int64_t now_s);

/* Something newer than the rung works, or the rung does not any more. */
void rung_memory_drop(struct rung_memory *memory, const struct tls_place *place);
