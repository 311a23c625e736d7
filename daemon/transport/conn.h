/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A connection that carries exchanges, seen from the pool: it opens them, says whether it can
 * carry another one, and tells when it broke while nobody used it. How HTTP is spoken on it is
 * behind a table of functions.
 *
 * A connection without an exchange watches its stream: a byte, an end or an error that nobody
 * asked for makes it useless at once (RFC 9112 §9.3.1, CVE-2024-24791).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/early_data.h"
#include "base/span.h"
#include "loop/loop.h"
#include "transport/exchange.h"

struct address;
struct certificates;
struct conn;
struct io;
struct transport;
struct turns;

struct conn_events {
    /* At most once. HTTP/1.1: no exchange was open. HTTP/2: those that were have failed. */
    void (*on_broken)(void *owner);
    /* HTTP/2: conn_capacity() is another one. May be NULL. */
    void (*on_changed)(void *owner);
    /* What was early is so no more: see struct conn_info. May be NULL. */
    void (*on_settled)(void *owner);
};

/* Strings live as long as the connection. */
struct conn_info {
    uint64_t id;           /* of the daemon's life */
    unsigned http_version; /* 11, 20 */
    uint64_t exchanges;    /* opened so far */
    struct span remote_address;
    struct span local_address;
    uint16_t remote_port;
    uint16_t local_port;
    bool is_tls; /* else the next seven are empty */
    bool tls_resumed;
    uint16_t tls_number; /* 0x0301: TLS 1.0 … 0x0304: TLS 1.3 */
    struct span tls_version;
    struct span tls_cipher;
    struct span tls_alpn;
    uint32_t tls_verify_result; /* X509_V_ERR_…; not 0 only where nothing had to be verified */
    enum early_data early_data;
    bool is_early;      /* the handshake is not done yet: only what may be heard twice goes */
    bool asks_for_calm; /* HTTP/2: ENHANCE_YOUR_CALM */
};

struct conn_ops {
    int (*open_exchange)(struct conn *conn,
                         const struct exchange_request *request,
                         const struct exchange_events *events,
                         void *owner,
                         struct exchange **ret);
    bool (*is_usable)(const struct conn *conn);
    unsigned (*capacity)(const struct conn *conn);
    bool (*is_busy)(const struct conn *conn);
    void (*info)(const struct conn *conn, struct conn_info *ret);
    const struct io *(*stream)(const struct conn *conn); /* NULL: it has gone */
    void (*close)(struct conn *conn);
};

/* Embedded by each kind of connection. */
struct conn {
    const struct conn_ops *ops;
    const struct conn_events *events;
    void *owner;
    uint64_t user; /* who it is for; 0: it shares the loop with nobody */
    uint64_t turn; /* when it was read from last, where turns are shared */
};

/* What all connections of one loop share. */
struct transport_counters {
    uint64_t exchanges;
    uint64_t bytes_up; /* as given to and taken from the streams: TLS not counted */
    uint64_t bytes_down;
};

MUST_CHECK int transport_new(struct transport **ret, struct loop *loop);
struct transport *transport_free(struct transport *transport); /* after its connections */
DEFINE_CLEANUP(transport, transport_free)
/* Its connections share the loop with whoever has turns of @turns, which outlives them. */
void transport_share(struct transport *transport, struct turns *turns);
const struct transport_counters *transport_counters(const struct transport *transport);

/**
 * conn_new_h1() - speak HTTP/1.1 on a stream
 * @io: connected, handshake done or early; taken on success, the caller's otherwise
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int conn_new_h1(struct transport *transport, struct io *io, struct conn **ret);

/* For whom it was made: nobody else uses it. */
void conn_set_user(struct conn *conn, uid_t uid);

/* conn_new_h2() - speak HTTP/2 (RFC 9113), as the client and with prior knowledge; otherwise
 * as conn_new_h1(). */
MUST_CHECK int conn_new_h2(struct transport *transport, struct io *io, struct conn **ret);

static inline void
conn_set_events(struct conn *conn, const struct conn_events *events, void *owner)
{
    conn->events = events;
    conn->owner = owner;
}

/**
 * conn_open_exchange() - begin an exchange
 *
 * Nothing is written before the end of the round, so that head and a first piece of body leave
 * together. On a connection that has broken the exchange opens and then fails, REPLAY_SAFE.
 *
 * Return: 0, -EBUSY (one is open and this kind carries no more), -EINVAL (the request cannot
 * be written: a caller's bug), -EMSGSIZE (its head is too long), -ENOMEM.
 */
MUST_CHECK static inline int conn_open_exchange(struct conn *conn,
                                                const struct exchange_request *request,
                                                const struct exchange_events *events,
                                                void *owner,
                                                struct exchange **ret)
{
    return conn->ops->open_exchange(conn, request, events, owner, ret);
}

/* Could carry another exchange, as far as is known. */
static inline bool conn_is_usable(const struct conn *conn)
{
    return conn->ops->is_usable(conn);
}

/* How many exchanges may be open at once, those that are counted in. HTTP/1.1: 1. HTTP/2: what
 * the server said; 0: none now, or never any more (is it usable?). */
static inline unsigned conn_capacity(const struct conn *conn)
{
    return conn->ops->capacity(conn);
}

/* An exchange is open. */
static inline bool conn_is_busy(const struct conn *conn)
{
    return conn->ops->is_busy(conn);
}

static inline void conn_info(const struct conn *conn, struct conn_info *ret)
{
    conn->ops->info(conn, ret);
}

/* Whose address it was made to; NULL: none is known, or it has gone. */
const struct address *conn_remote(const struct conn *conn);
/* Its peer's certificate was verified, and is good for the name @host, too. */
bool conn_covers_host(const struct conn *conn, struct span host);

/**
 * conn_certificates() - the peer's certificates, read anew for each call
 * @verified: the chain that was verified, else the one that was sent
 * @ret:      the caller's; NULL when there is none
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int
conn_certificates(const struct conn *conn, bool verified, struct certificates **ret);

/* Now; an open exchange gets no event any more. */
static inline void conn_close(struct conn *conn)
{
    conn->ops->close(conn);
}
