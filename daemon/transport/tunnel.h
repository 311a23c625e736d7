/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Through a proxy: a connected stream to a proxy becomes a stream to what lies behind it, by
 * CONNECT (RFC 9110 §9.3.6) or by SOCKS5 (RFC 1928). What is said to the proxy is this file's
 * alone: no field, cookie or credential of the request that wants the tunnel is known here
 * (CVE-2015-3153, CVE-2026-5119), and nothing the proxy says before the tunnel is open is ever
 * taken for the origin's.
 *
 * No time limit: that is the attempt's.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/failure.h"
#include "base/span.h"

struct headers;
struct io;
struct loop;
struct transport;
struct tunnel;

enum tunnel_kind { TUNNEL_CONNECT, TUNNEL_SOCKS5 };

/* failure.code of FAILURE_PROXY: the status of CONNECT's answer, or one of these. */
#define TUNNEL_CODE_SOCKS5         0x500U /* and the REP of the reply */
#define TUNNEL_CODE_SOCKS5_LOGIN   0x5feU /* user and password refused */
#define TUNNEL_CODE_SOCKS5_METHODS 0x5ffU /* it wants another login */

struct tunnel_options {
    enum tunnel_kind kind;
    struct span proxy_name; /* for people: "http://proxy.example:3128" */
    struct span host;       /* what is to be reached: a name or an address, with or without
                               brackets */
    uint16_t port;
    struct span authorization; /* CONNECT: value of Proxy-Authorization; empty: none */
    struct span user;          /* SOCKS5; empty: no login */
    struct span password;
};

/* Exactly one of these, once, never from inside tunnel_start(); the tunnel is gone with it. */
struct tunnel_events {
    void (*on_open)(void *owner); /* the stream is the owner's, and unused so far */
    /* 407: @headers are borrowed; the stream is of no use any more. */
    void (*on_challenge)(void *owner, const struct headers *headers, const struct failure *why);
    void (*on_failed)(void *owner, const struct failure *why);
};

/**
 * tunnel_start() - ask the proxy at the other end of @io
 * @io:      connected, unused; stays the owner's, who must not touch it until the end
 * @options: read during the call
 * Return: 0 (one of @events follows), -EINVAL (a host that cannot be asked for), -EMSGSIZE,
 * -ENOMEM.
 */
MUST_CHECK int tunnel_start(struct transport *transport,
                            struct io *io,
                            const struct tunnel_options *options,
                            const struct tunnel_events *events,
                            void *owner,
                            struct tunnel **ret);

/* No event follows; the stream is of no use any more. NULL is fine. Return: NULL. */
struct tunnel *tunnel_cancel(struct tunnel *tunnel);
DEFINE_CLEANUP(tunnel, tunnel_cancel)
