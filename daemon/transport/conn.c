/* SPDX-License-Identifier: MIT */
#include "transport/conn.h"

#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/turns.h"
#include "net/io.h"
#include "transport/transport_priv.h"

int transport_new(struct transport **ret, struct loop *loop)
{
    struct transport *transport = mem_zalloc(sizeof(*transport));

    if (!transport)
        return fault(-ENOMEM);
    transport->loop = loop;
    transport->h1 = h1_parser_options_default();
    transport->head = HEAD_LIMITS_DEFAULT;
    *ret = transport;
    return 0;
}

struct transport *transport_free(struct transport *transport)
{
    return mem_free(transport);
}

void transport_share(struct transport *transport, struct turns *turns)
{
    transport->turns = turns;
}

void conn_set_user(struct conn *conn, uid_t uid)
{
    conn->user = turns_user(uid);
}

size_t transport_take_turn(struct transport *transport, struct conn *conn)
{
    struct turns *turns = transport->turns;

    if (!turns || conn->user == 0)
        return TRANSPORT_TURN_BYTES;
    int64_t now_us = loop_now_us(transport->loop);
    turns_note(turns, conn->user, now_us);
    if (!turns_are_shared(turns, now_us))
        return TRANSPORT_TURN_BYTES;
    return turns_take_down(turns, conn->user, loop_round(transport->loop), &conn->turn);
}

void transport_took(struct transport *transport, const struct conn *conn, size_t bytes)
{
    transport->counters.bytes_down += bytes;
    if (conn->turn)
        turns_took_down(transport->turns, conn->user, bytes);
}

const struct transport_counters *transport_counters(const struct transport *transport)
{
    return &transport->counters;
}

/* "192.0.2.1:443" and "[2001:db8::1]:443" lose their port and brackets; none is empty. */
static uint16_t address_split(const struct address *address, char ret[ADDRESS_TEXT_MAX])
{
    char text[ADDRESS_TEXT_MAX];

    ret[0] = '\0';
    if (address_family(address) == AF_UNSPEC)
        return 0;
    (void)address_format(address, text);

    char *colon = strrchr(text, ':');
    if (colon)
        *colon = '\0';
    size_t len = strlen(text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    (void)snprintf(ret, ADDRESS_TEXT_MAX, "%.*s", (int)(bracketed ? len - 2 : len),
                   bracketed ? text + 1 : text);
    return address_port(address);
}

void conn_ends_init(struct conn_ends *ret, const struct io *io)
{
    const struct tls_info *tls = io_tls_info(io);

    *ret = (struct conn_ends){0};
    ret->remote_port = address_split(io_remote(io), ret->remote);
    ret->local_port = address_split(io_local(io), ret->local);
    if (!tls)
        return;
    ret->is_tls = true;
    ret->tls_resumed = tls->resumed;
    ret->early_data = tls->early;
    ret->is_early = tls->is_early;
    ret->tls_number = tls->version;
    ret->tls_verify_result = tls->verify_result;
    (void)snprintf(ret->tls_version, sizeof(ret->tls_version), "%s", tls->version_name);
    (void)snprintf(ret->tls_cipher, sizeof(ret->tls_cipher), "%s", tls->cipher);
    (void)snprintf(ret->tls_alpn, sizeof(ret->tls_alpn), "%s", tls->alpn);
}

void conn_ends_tell(const struct conn_ends *ends, const struct io *io, struct conn_info *ret)
{
    ret->remote_address = span_of(ends->remote);
    ret->local_address = span_of(ends->local);
    ret->remote_port = ends->remote_port;
    ret->local_port = ends->local_port;
    ret->is_tls = ends->is_tls;
    ret->tls_resumed = ends->tls_resumed;
    ret->early_data = io && ends->is_early ? io_tls_info(io)->early : ends->early_data;
    ret->is_early = ends->is_early;
    ret->tls_number = ends->tls_number;
    ret->tls_version = span_of(ends->tls_version);
    ret->tls_cipher = span_of(ends->tls_cipher);
    ret->tls_alpn = span_of(ends->tls_alpn);
    ret->tls_verify_result = ends->tls_verify_result;
}

const struct address *conn_remote(const struct conn *conn)
{
    const struct io *io = conn->ops->stream(conn);

    return io ? io_remote(io) : NULL;
}

bool conn_covers_host(const struct conn *conn, struct span host)
{
    const struct io *io = conn->ops->stream(conn);

    return io && io_covers_host(io, host);
}

int conn_certificates(const struct conn *conn, bool verified, struct certificates **ret)
{
    const struct io *io = conn->ops->stream(conn);

    *ret = NULL;
    return io ? io_certificates(io, verified ? IO_CHAIN_VERIFIED : IO_CHAIN_PRESENTED, ret) : 0;
}
