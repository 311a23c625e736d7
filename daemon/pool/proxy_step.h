/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The part of connecting that lies between a proxy and what is behind it: which name the tunnel
 * is asked for, with which login, and whether a 407 is worth a second connection. Private to
 * the connector.
 */

#include "base/failure.h"
#include "policy/proxy_login.h"
#include "pool/pool_key.h"

struct io;
struct net_connector_parts;
struct tunnel;

/* Exactly one, never from inside proxy_step_start(). */
struct proxy_step_events {
    void (*on_open)(void *owner);
    void (*on_again)(void *owner); /* a new connection to the proxy has a better login */
    void (*on_failed)(void *owner, const struct failure *why);
};

/* Embedded; init, then start once for each connection to the proxy. */
struct proxy_step {
    const struct net_connector_parts *parts;
    const struct pool_key *key;
    const struct proxy_step_events *events;
    void *owner;
    struct tunnel *tunnel;
    struct proxy_login login;
};

/* Whether the key's proxy must be asked for a tunnel. */
bool proxy_step_is_needed(const struct pool_key *key);

/* Return: 0 or -errno. @io stays the owner's. */
MUST_CHECK int proxy_step_start(struct proxy_step *step, struct io *io);

/* No event follows. */
void proxy_step_done(struct proxy_step *step);

/* The proxy's name for people. Return: its length. */
size_t pool_proxy_format(const struct pool_proxy *proxy, char ret[PROXY_TEXT_SIZE]);
