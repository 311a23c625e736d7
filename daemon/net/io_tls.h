/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS on top of any io. The handshake begins by itself (when the lower io has connected);
 * on_connected means: finished, and the certificate verified for @host.
 */

#include "base/partition.h"
#include "net/io.h"
#include "net/tls_session.h"

struct answerer;
struct tls_context;

#define IO_TLS_ALPN_MAX 64 /* bytes of an offer in wire form */

struct io_tls_options {
    struct tls_context *context; /* the io holds on to it */
    struct span host;            /* as in the URL: a DNS name (A-labels) or an IP literal */
    uint16_t port;
    uint16_t min_version; /* 0: the context's; below TLS 1.2: see tls_context.h */
    uint16_t max_version; /* 0: the context's */
    bool is_fallback; /* a rung of the ladder: TLS_FALLBACK_SCSV is sent (RFC 7507); it neither
                         resumes a session nor leaves one */
    struct span alpn; /* offers separated by commas, best first: "h2,http/1.1"; empty: none */

    struct tls_sessions *sessions; /* resumption; outlives the io; NULL: always in full */
    struct partition partition;    /* sessions never cross partitions */
    struct span jar;               /* nor jars; see tls_session_key_init() */
    uint64_t private_jar;          /* its tag; what is kept does not meet the disk. 0: no */

    /* May the first bytes go with the hello, before the handshake is done (0-RTT: RFC 8446
     * §2.3)? Asked of the owner of on_connected, when the stream is there and only if the
     * session that was found allows it; true: on_connected comes at once. NULL: they may not.
     */
    bool (*goes_early)(void *owner);

    struct answerer *answerer; /* signs for the context's certificate; NULL: its key is there */
    uint64_t answer_handle;
};

/**
 * io_tls_new() - put TLS on @lower
 * @lower:   taken on success, the caller's otherwise; connecting or connected, unused so far
 * @options: copied; all spans end with the call
 * Return: 0 (on_connected or on_failed will tell), -EINVAL when host or alpn cannot be, -errno.
 */
MUST_CHECK int io_tls_new(struct io *lower,
                          const struct io_tls_options *options,
                          const struct io_events *events,
                          void *owner,
                          struct io **ret);

/* What is known of a handshake that failed, for the one who decides whether another follows
 * (policy/tls_ladder.h). */
struct io_tls_trouble {
    bool in_first_flight;   /* nothing of a handshake had come from the peer */
    uint8_t alert;          /* the peer's, which ended it; 0: none did */
    bool is_foreign_record; /* the peer's first bytes: TLS, of a version that does not exist */
    bool was_pushed_down; /* the peer's random is marked: it can do better (RFC 8446 §4.1.3) */
};

/* All zero before the failure, and when it was the certificate's. */
struct io_tls_trouble io_tls_trouble(const struct io *io);
