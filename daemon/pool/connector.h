/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How a connection comes to be: name, addresses, TCP, a way through a proxy, TLS. The pool sees
 * only this small table, so its tests need no network.
 */

#include "base/failure.h"
#include "loop/loop.h"
#include "net/dialer.h"
#include "pool/pool.h"
#include "pool/pool_key.h"

struct auth_cache;
struct conn;
struct connect_attempt;
struct connector;
struct deny_networks;
struct resolver;
struct tls_contexts;
struct rung_memory;
struct tls_rung;
struct tls_session_disk;
struct tls_sessions;
struct transport;

/* on_stage and on_rung may come from inside connector_start(), the others never. Exactly one of
 * on_connected and on_failed comes, and the attempt is gone with it: forget the pointer. */
struct connect_events {
    void (*on_stage)(void *owner, enum wait_reason stage);
    /* A rung of the ladder is taken: the attempt goes on with another connection. */
    void (*on_rung)(void *owner, const struct tls_rung *rung);
    /* What the look-up of the name gave. Return: true: the attempt is not wanted any more, and
     * gone with this call as if cancelled. */
    bool (*on_addresses)(void *owner, struct address_list found);
    /* TLS could begin with the first request (0-RTT): is there one that may be heard twice, and
     * that takes the connection? Then on_connected follows at once, and the connection is early
     * (conn_info()). */
    bool (*goes_early)(void *owner);
    /* @conn is the owner's from now on; @timing without ready_us. */
    void (*on_connected)(void *owner, struct conn *conn, const struct lease_timing *timing);
    void (*on_failed)(void *owner, const struct failure *why);
};

struct connector_ops {
    int (*start)(struct connector *connector,
                 const struct pool_key *key,
                 const struct connect_events *events,
                 void *owner,
                 struct connect_attempt **ret);
    void (*cancel)(struct connect_attempt *attempt);
};

/* Embedded by each kind. */
struct connector {
    const struct connector_ops *ops;
};

/**
 * connector_start() - begin to connect
 * @key: stays where it is until the attempt has ended
 * Return: 0 (one of @events follows) or -errno.
 */
MUST_CHECK static inline int connector_start(struct connector *connector,
                                             const struct pool_key *key,
                                             const struct connect_events *events,
                                             void *owner,
                                             struct connect_attempt **ret)
{
    return connector->ops->start(connector, key, events, owner, ret);
}

/* Now; no event follows. */
static inline void connector_cancel(struct connector *connector,
                                    struct connect_attempt *attempt)
{
    connector->ops->cancel(attempt);
}

/* What the real one is made of; all borrowed for good. */
struct net_connector_parts {
    struct loop *loop;
    struct transport *transport;
    struct resolver *resolver;
    struct tls_contexts *tls_contexts;
    struct tls_sessions *tls_sessions;         /* NULL: no resumption */
    struct tls_session_disk *tls_session_disk; /* NULL: none beyond our life */
    struct auth_cache *proxy_logins;           /* nonces of proxies, and of nobody else */
    struct rung_memory *rung_memory;           /* rungs of the ladder that worked */
    struct dialer_options dialer;
    const struct deny_networks *deny; /* where nobody is connected to; NULL: anywhere */
};

struct net_connector;

MUST_CHECK int net_connector_new(struct net_connector **ret,
                                 const struct net_connector_parts *parts);
/* Every attempt must have ended or been cancelled. */
struct net_connector *net_connector_free(struct net_connector *connector);
DEFINE_CLEANUP(net_connector, net_connector_free)
struct connector *net_connector_base(struct net_connector *connector);
