/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ladder of policy/tls_ladder.h, as one attempt to connect climbs down it: which versions
 * the next handshake offers, what the failed ones said, what is remembered of the server.
 * Private to the connector, which makes the connections.
 */

#include "base/failure.h"
#include "policy/tls_ladder.h"
#include "pool/pool_key.h"
#include "pool/pool_rungs.h"

struct io;
struct io_tls_options;
struct net_connector_parts;

/* Embedded. */
struct connect_ladder {
    const struct net_connector_parts *parts;
    const struct pool_key *key;
    struct tls_ladder steps;
    struct failure first; /* the one to report; kind FAILURE_NONE: none yet */
    struct tls_rung rung; /* the last that was taken */
};

/* Return: whether ->rung is to be told: it has worked before, and the attempt begins there. */
bool connect_ladder_init(struct connect_ladder *ladder,
                         const struct net_connector_parts *parts,
                         const struct pool_key *key);

/* The versions of the handshake that comes next. */
void connect_ladder_limit(const struct connect_ladder *ladder, struct io_tls_options *ret);

/**
 * connect_ladder_next() - the handshake on @io has failed
 * @io: as io_tls_new() made it, not closed yet
 * Return: whether another connection, to the same address, is to be made: ->rung tells how.
 */
bool connect_ladder_next(struct connect_ladder *ladder,
                         const struct io *io,
                         const struct failure *why);

/* The handshake is done: what is remembered of the server follows. */
void connect_ladder_worked(const struct connect_ladder *ladder, const struct io *io);

/* Of all that went wrong the first: @why, if nothing had before. */
static inline const struct failure *connect_ladder_first(const struct connect_ladder *ladder,
                                                         const struct failure *why)
{
    return ladder->first.kind == FAILURE_NONE ? why : &ladder->first;
}
