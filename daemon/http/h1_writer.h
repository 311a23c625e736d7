/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * HTTP/1.1 requests onto a buffer (RFC 9112 §3, §7.1). The caller has decided and validated;
 * this file checks once more that nothing it writes can end a line early, for it is the last to
 * see the bytes before they are a protocol. Host, Connection and the framing fields are written
 * from struct h1_request_head alone: a header list that brings its own is refused.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "http/framing.h"

struct headers;

struct h1_request_head {
    struct span method;            /* a token */
    struct span target;            /* origin-, absolute-, authority- or asterisk-form */
    struct span host;              /* the Host field: uri-host [ ":" port ] */
    struct span connection;        /* "close", "keep-alive", "upgrade"; empty: no such field */
    const struct headers *headers; /* everything else, in this order; NULL: nothing */
    struct framing framing;        /* framing_of_request() */
};

enum h1_write_outcome {
    H1_WRITE_OK = 0,
    H1_WRITE_E_METHOD,        /* not a token */
    H1_WRITE_E_TARGET,        /* empty, or not visible ASCII */
    H1_WRITE_E_HOST,          /* empty, or not visible ASCII */
    H1_WRITE_E_FIELD,         /* a name that is no token, a value with CR, LF or NUL */
    H1_WRITE_E_FRAMING_FIELD, /* Host, Connection, Content-Length, Transfer-Encoding in headers,
                               * or a framing no request can have */
};

/* Return: H1_WRITE_OK, one of enum h1_write_outcome, or -ENOMEM / -EMSGSIZE (the buffer's cap);
 * on failure @buf holds what it held. */
MUST_CHECK int h1_write_request_head(struct buf *buf, const struct h1_request_head *head);

/* One chunk is head, @size bytes of data, end. @size is never 0: that is the last chunk. */
MUST_CHECK int h1_write_chunk_head(struct buf *buf, uint64_t size);
MUST_CHECK int h1_write_chunk_end(struct buf *buf);

/* "0", the trailer fields (NULL: none), the empty line. Return: as h1_write_request_head(). */
MUST_CHECK int h1_write_last_chunk(struct buf *buf, const struct headers *trailers);

/* What h1_write_chunk_head() and h1_write_chunk_end() add to a chunk of any size, at most. */
#define H1_CHUNK_OVERHEAD_MAX 20
