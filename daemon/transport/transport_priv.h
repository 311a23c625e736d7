/* SPDX-License-Identifier: MIT */
#pragma once

#include "base/span.h"
#include "http/h1_parser.h"
#include "net/address.h"
#include "transport/conn.h"

/* One read's worth. All connections read into the same place, as no bytes stay there once the
 * call that read them returns: an idle connection owns no buffer. */
#define TRANSPORT_SCRATCH_BYTES 65536

struct transport {
    struct loop *loop;
    struct turns *turns; /* NULL: nobody's */
    struct transport_counters counters;
    struct h1_parser_options h1;
    struct head_limits head; /* of answers to who says nothing about it */
    uint64_t last_conn_id;
    bool scratch_is_lent; /* nobody may read while bytes in it are being delivered */
    char scratch[TRANSPORT_SCRATCH_BYTES];
};

struct exchange_ops {
    size_t (*write_body)(struct exchange *exchange, struct span bytes);
    void (*end_body)(struct exchange *exchange);
    bool (*wants_body)(const struct exchange *exchange);
    void (*pause)(struct exchange *exchange);
    void (*resume)(struct exchange *exchange);
    void (*close)(struct exchange *exchange);
    void (*info)(const struct exchange *exchange, struct exchange_info *ret);
    enum exchange_replay (*replay)(const struct exchange *exchange);
    uint64_t (*unacked)(const struct exchange *exchange);
};

/* Embedded by each kind of exchange. */
struct exchange {
    const struct exchange_ops *ops;
    const struct exchange_events *events;
    void *owner;
};

#define TRANSPORT_TURN_BYTES (4 * TRANSPORT_SCRATCH_BYTES) /* then it is others' turn */

/* Return: how much may be read of @conn now; 0: nothing in this round. */
size_t transport_take_turn(struct transport *transport, struct conn *conn);
/* So much has been read of it. */
void transport_took(struct transport *transport, const struct conn *conn, size_t bytes);

/* Where a connection leads and under which TLS, as text that outlives its stream. */
struct conn_ends {
    char remote[ADDRESS_TEXT_MAX];
    char local[ADDRESS_TEXT_MAX];
    uint16_t remote_port;
    uint16_t local_port;
    bool is_tls;
    bool tls_resumed;
    bool is_early;
    enum early_data early_data;
    uint16_t tls_number;
    uint32_t tls_verify_result;
    char tls_version[16];
    char tls_cipher[64]; /* longest of IANA's that OpenSSL knows: 45 */
    char tls_alpn[16];
};

/* Once more when the handshake of an early one is done. */
void conn_ends_init(struct conn_ends *ret, const struct io *io);

/* Fills what belongs to the ends. @io: NULL: it has gone. */
void conn_ends_tell(const struct conn_ends *ends, const struct io *io, struct conn_info *ret);
