/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Connections that could not be made because there is no network, and waiting until there is
 * one: what net/network knows, asked with a pool's key.
 */

#include "base/failure.h"
#include "net/network.h"
#include "pool/pool_key.h"

/* Is @why that there is no network now, which may come back? A server that refuses, or a name
 * that does not exist, is none of that. */
bool reach_is_missing(struct network *network,
                      const struct pool_key *key,
                      const struct failure *why);

/* Waits until it is worth to try a connection for @key again: see network_wait(). */
void reach_wait(struct network *network,
                const struct pool_key *key,
                struct network_waiter *waiter);
