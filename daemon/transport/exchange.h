/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One exchange: a request out and its answer in, over a connection that someone else (pool/)
 * found. It knows nothing of redirects, codings, cookies, retries or timeouts; it does know
 * which framing a body needs and whether the connection can be used again.
 *
 * The two halves are independent: an answer may begin, and even end, before the request has
 * been sent.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/early_data.h"
#include "base/failure.h"
#include "base/span.h"

struct exchange;
struct head_limits;
struct headers;

enum exchange_body {
    EXCHANGE_BODY_NONE,    /* no framing field at all */
    EXCHANGE_BODY_KNOWN,   /* Content-Length: body_bytes, which may be 0 */
    EXCHANGE_BODY_CHUNKED, /* length unknown */
};

/* Read during the call that opens the exchange, not later. */
struct quota;

struct exchange_request {
    struct span method;
    struct span target;            /* path and query */
    struct span authority;         /* Host: without the scheme's default port */
    const struct headers *headers; /* decided fields; Host, Connection and those that frame or
                                      expect are the exchange's own */
    enum exchange_body body;
    uint64_t body_bytes;              /* of EXCHANGE_BODY_KNOWN */
    bool expect_continue;             /* ask before sending the body; ignored without one */
    bool close_after;                 /* do not keep the connection: enableKeepAlive off */
    const struct head_limits *limits; /* of the answer; NULL: the transport's own */
    struct quota *quota; /* who pays for what is kept while the owner pauses; outlives the
                            exchange; NULL: nobody */
};

/* The answer's start line and fields; 1xx never shows up here. */
struct response_head {
    unsigned status;       /* 200 … 599; what the server wrote within 100 … 999 */
    unsigned http_version; /* 10, 11, 20 */
    struct span reason;
    const struct headers *headers;
    bool has_body;   /* false: HEAD, 204, 304 or an announced length of 0 */
    bool has_length; /* body_bytes is what the server announced */
    uint64_t body_bytes;
};

/*
 * What an exchange tells its owner, always from the loop, never from inside a call that the
 * owner makes. Order: informational*, head, body*, trailers?, done, with want_body and
 * body_sent anywhere before done. done comes exactly once and nothing after it. The exchange
 * may be paused, resumed or closed inside any of them. Members may be NULL but for on_head,
 * on_body and on_done.
 */
struct exchange_events {
    void (*on_informational)(void *owner, unsigned status); /* 1xx other than the awaited 100 */

    /* There is room for request body: once when it may begin, then after each
     * exchange_write_body() that took less than it was given. */
    void (*on_want_body)(void *owner);

    /* So many payload bytes in all were taken by the connection (kernel or TLS). */
    void (*on_body_sent)(void *owner, uint64_t total_bytes);

    void (*on_head)(void *owner, const struct response_head *head); /* borrowed for the call */
    void (*on_body)(void *owner, struct span bytes);                /* borrowed for the call */
    void (*on_trailers)(void *owner, const struct headers *fields); /* borrowed for the call */

    /* NULL: complete. The exchange may still be asked for exchange_info() inside the call and
     * is gone after it. */
    void (*on_done)(void *owner, const struct failure *why);
};

/**
 * exchange_write_body() - hand over request body
 * @bytes: at most what is left of EXCHANGE_BODY_KNOWN; more makes the exchange fail
 *
 * What was taken will not be asked for again; the rest is to be offered again after
 * on_want_body. Before on_want_body, and once the upload was stopped (an answer of 300 or more
 * came first, or the connection broke), nothing is taken.
 *
 * Return: how many bytes were taken; 0: wait for on_want_body.
 */
size_t exchange_write_body(struct exchange *exchange, struct span bytes);

/* The body is complete. Less than announced makes the exchange fail. May be called before
 * on_want_body (an empty chunked body). Not to be called for EXCHANGE_BODY_NONE. */
void exchange_end_body(struct exchange *exchange);

/* Is more request body of any use? False once the upload is complete or was stopped. */
bool exchange_wants_body(const struct exchange *exchange);

/* Stop and go on reading the answer. While paused no event of the answer arrives, done of a
 * complete answer included; the network is not read, so the server comes to a halt. Both may
 * be called repeatedly and inside any event. */
void exchange_pause(struct exchange *exchange);
void exchange_resume(struct exchange *exchange);

/* Abort: no event after it, not even done. An HTTP/1 connection closes with it. The pointer is
 * dead. */
void exchange_close(struct exchange *exchange);

/* Strings live as long as the connection's lease. Times are loop_now_us(); 0: not yet. */
struct exchange_info {
    uint64_t connection_id; /* of the daemon's life */
    bool reused;            /* the connection had carried an exchange before */
    unsigned http_version;  /* spoken on this connection: 11, 20 */
    struct span remote_address;
    struct span local_address;
    uint16_t remote_port;
    uint16_t local_port;
    bool is_tls; /* else the next five are empty */
    bool tls_resumed;
    struct span tls_version; /* "TLSv1.3" */
    struct span tls_cipher;
    struct span tls_alpn;
    uint32_t tls_verify_result;
    enum early_data early_data;   /* whether this request went so */
    uint64_t request_bytes;       /* head and body with framing, taken by the connection */
    uint64_t request_body_bytes;  /* payload, taken by the connection */
    uint64_t response_head_bytes; /* start line, fields and trailers, 1xx included */
    uint64_t response_body_bytes; /* payload without chunk framing */
    int64_t sent_us;              /* the request's last byte was taken */
    int64_t first_byte_us;        /* of the answer */
};

void exchange_info(const struct exchange *exchange, struct exchange_info *ret);

/* Of what on_body_sent told, how much at most the peer has not acknowledged yet. */
uint64_t exchange_unacked(const struct exchange *exchange);

/* How far it came, for the question whether to try again elsewhere (RFC 9110 §9.2.2, RFC 9112
 * §9.3.1): a connection that was reused and broke before the first byte of an answer was most
 * likely closed by the server before it saw the request. */
enum exchange_replay {
    REPLAY_SAFE,       /* no byte of the request was taken: any method */
    REPLAY_IDEMPOTENT, /* some was, no byte of an answer came, on a reused connection */
    REPLAY_EARLY,      /* it went before the handshake was done, and that came to nothing */
    REPLAY_NO,         /* first use of the connection, an answer had begun, or the owner's body
                          did not keep its promise */
};

enum exchange_replay exchange_replay(const struct exchange *exchange);
