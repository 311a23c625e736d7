/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which connection a request gets, and who waits for one.
 *
 * Vocabulary. A *lease* is one request's claim: first a place in its key's queue, then a
 * connection for as long as it is held. A *connection* is busy (leased) or idle. An *attempt*
 * is a connection being made; it is begun on behalf of one waiting lease, its sponsor, but
 * belongs to the key: whoever waits longest takes the first connection that becomes free or
 * finishes connecting, and attempts change sponsors accordingly.
 *
 * A connection of HTTP/2 is held by many leases at once, as many as the server allows; while
 * there is one that is usable nobody opens another for its key.
 *
 * Invariants. Connections + attempts of a key never exceed per_host_max. Every sponsored
 * waiter has exactly one attempt. There is no idle connection while somebody waits who may
 * take it. Everything is O(1), whatever the number of waiters, connections and keys.
 *
 * When an attempt fails, its sponsor fails. When nothing of the key is alive or under way any
 * more, all who queued behind those attempts fail with it: they waited for the same thing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/span.h"
#include "pool/pool_key.h"
#include "pool/pool_rungs.h"
#include "transport/exchange.h"

struct certificates;
struct connector;
struct lease;
struct loop;
struct pool;

struct pool_options {
    unsigned per_host_max;      /* 6: what browsers do, RFC 9112 §9.4 asks for a limit */
    unsigned idle_per_host_max; /* 6 */
    unsigned idle_per_uid_max;  /* 256; the one unused longest goes first */
    unsigned queue_per_key_max; /* 16384 */
    bool coalesce;              /* HTTP/2 connections may carry other names, too; false */
    int64_t idle_timeout_us;    /* 50 s: nginx and Apache close theirs at 60 to 75 s */
};

struct pool_options pool_options_default(void);

enum wait_reason {
    WAIT_QUEUED,  /* no connection may be opened for it now */
    WAIT_DNS,     /* its name is being looked up */
    WAIT_CONNECT, /* TCP */
    WAIT_TLS,
    WAIT_PROXY, /* TLS to a proxy, and what it is asked for a tunnel */
};

/* What the key's user has instead of the pool's own. */
struct pool_limits {
    unsigned per_host_max; /* 1 at least */
    unsigned idle_per_uid_max;
};

/* Read during pool_acquire(), not later. */
struct pool_request {
    const struct pool_key *key;
    const struct pool_limits *limits; /* of its uid from now on; NULL: the pool's */
    int64_t connect_timeout_us; /* from the first step to the end of TLS; 0: none. Waiting for
                                   its turn does not count */
    bool fresh_only;            /* not a connection that has been used: a second try after a
                                   kept one had died (RFC 9112 §9.3.1) */
    bool may_go_early;          /* it may be heard twice (0-RTT): before TLS is done, too */
    /* Asked only when there is no connection of TLS 1.2 or better for the key: how old one
     * would do, 0x0301 or 0x0302; 0: none. NULL: the same. From inside pool_acquire(). */
    uint16_t (*oldest_tls)(void *owner);
};

/* Always from the loop, never from inside pool_acquire(). A lease may be released inside any
 * of them. */
struct lease_events {
    void (*on_wait)(void *owner, enum wait_reason reason); /* may be NULL */
    /* The server chokes on the hello and is asked with less (policy/tls_ladder.h). May be NULL.
     */
    void (*on_rung)(void *owner, const struct tls_rung *rung);
    void (*on_ready)(void *owner, struct lease *lease); /* once; then it is the owner's */
    void (*on_failed)(void *owner, const struct failure *why); /* instead; the lease is gone */
};

/**
 * pool_new() - an empty pool
 * @connector: makes the connections; borrowed
 */
MUST_CHECK int pool_new(struct pool **ret,
                        struct loop *loop,
                        struct connector *connector,
                        const struct pool_options *options);

/* Closes every connection. No lease may be left. */
struct pool *pool_free(struct pool *pool);
DEFINE_CLEANUP(pool, pool_free)

/* For a reload: takes effect as leases and connections come and go. */
void pool_set_options(struct pool *pool, const struct pool_options *options);

/* Closes what is idle, of one uid or (POOL_EVERY_UID) of all. */
#define POOL_EVERY_UID UINT32_MAX
void pool_close_idle(struct pool *pool, uint32_t uid);
/* Of a private jar that has ended: what is idle closes, what is being made for it is given up.
 * Looks at @uid's idle connections and keys. */
void pool_close_jar(struct pool *pool, uint32_t uid, uint64_t private_jar);

enum pool_outcome {
    POOL_OK = 0,
    POOL_QUEUE_FULL = 1, /* queue_per_key_max wait already */
};

/**
 * pool_acquire() - ask for a connection
 * @ret: the claim; lease_release() gives it up at any time until on_failed
 *
 * Return: POOL_OK, POOL_QUEUE_FULL or -errno: -EMSGSIZE when the key is too long, -ENOMEM.
 */
MUST_CHECK int pool_acquire(struct pool *pool,
                            const struct pool_request *request,
                            const struct lease_events *events,
                            void *owner,
                            struct lease **ret);

/**
 * lease_open_exchange() - begin an exchange on a lease that is ready
 *
 * One at a time; another may follow after on_done if lease_is_usable() says so.
 *
 * Return: 0, or -errno: the lease can only be released. A connection that broke meanwhile is
 * no error here: the exchange fails, REPLAY_SAFE.
 */
MUST_CHECK int lease_open_exchange(struct lease *lease,
                                   const struct exchange_request *request,
                                   const struct exchange_events *events,
                                   void *owner,
                                   struct exchange **ret);

/* May the lease's connection carry (another) exchange? */
bool lease_is_usable(const struct lease *lease);

/* No other lease gets the connection from now on: 421 says that it leads to the wrong server
 * (RFC 9110 §15.5.20). */
void lease_retire_connection(struct lease *lease);

/**
 * lease_release() - give up a place in the queue, or a connection
 *
 * An open exchange is closed without an event. The connection goes back if it can be used
 * again, else it closes. The pointer is dead.
 */
void lease_release(struct lease *lease);

/* When the lease's connection was made, for the one who opened it; loop_now_us(), 0: did not
 * happen (reused connection, address literal, plain). */
struct lease_timing {
    int64_t ready_us;       /* the lease got its connection */
    int64_t name_lookup_us; /* the name was known */
    int64_t connected_us;   /* TCP */
    int64_t tls_us;         /* handshake complete, or the request may go before it is */
    int64_t deadline_us;    /* for that; 0: none */
};

/* Of a lease that has its connection: as conn_certificates(). */
MUST_CHECK int
lease_certificates(const struct lease *lease, bool verified, struct certificates **ret);

void lease_timing(const struct lease *lease, struct lease_timing *ret);
/* How the lease's connection was come to; NULL: in one step. Borrowed until it is released. */
const struct tls_rungs *lease_rungs(const struct lease *lease);
uint16_t lease_tls_version(const struct lease *lease); /* 0x0301 … 0x0304; 0: plain */
bool lease_is_reused(const struct lease *lease);
/* The handshake of its connection is not done yet: nothing but what may_go_early may go. */
bool lease_is_early(const struct lease *lease);
