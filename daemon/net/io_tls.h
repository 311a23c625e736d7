/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS on top of any io. The handshake begins by itself (when the lower io has connected);
 * on_connected means: finished, and the certificate verified for @host.
 */

#include "base/partition.h"
#include "net/io.h"
#include "net/tls_session.h"

struct tls_context;

#define IO_TLS_ALPN_MAX 64 /* bytes of an offer in wire form */

struct io_tls_options {
    struct tls_context *context; /* the io holds on to it */
    struct span host;            /* as in the URL: a DNS name (A-labels) or an IP literal */
    uint16_t port;
    bool is_fallback; /* a rung of the ladder: TLS_FALLBACK_SCSV is sent (RFC 7507) */
    struct span alpn; /* offers separated by commas, best first: "h2,http/1.1"; empty: none */

    struct tls_sessions *sessions; /* resumption; outlives the io; NULL: always in full */
    struct partition partition;    /* sessions never cross partitions */
    struct span jar;               /* nor jars; see tls_session_key_init() */
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

/**
 * io_tls_may_step_down() - whether the failure is one of a server that chokes on modern hellos
 *
 * True only if the answer to the very first flight was an alert that says so (10, 40, 47, 50,
 * 70) or a record of a version that was not offered. Never after a timeout, a reset, an end, a
 * certificate, or in a handshake that was a rung itself and met inappropriate_fallback.
 */
bool io_tls_may_step_down(const struct io *io);
