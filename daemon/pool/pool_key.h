/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whom a connection may serve, and how one is made for it. Two requests may share a connection
 * only if every member is the same: there is one comparison, over all of it, and no
 * "compatible" keys. As everything that decides about making a connection is in here, what is
 * compared and what is dialled cannot differ.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"
#include "http/origin.h"
#include "http/sha256.h"
#include "policy/access_networks.h"
#include "policy/proxy.h"

#define POOL_ADDRESSES_MAX 32   /* of one --resolve */
#define POOL_KEY_BYTES_MAX 4096 /* encoded */
#define POOL_V4_SIZE       16   /* an address as text, with NUL */
#define POOL_V6_SIZE       48

/* How the world is reached when not directly. The login is part of it: what was opened with
 * one is nothing to another (CVE-2026-3784). All zero: directly. */
struct pool_proxy {
    enum proxy_way way;
    struct origin at;        /* where the proxy listens; is_https: TLS to it */
    enum auth_scheme scheme; /* AUTH_SCHEME_NONE: no login */
    struct span user;
    struct span password;
};

/* What to reach instead of the origin's own host and port: --connect-to, --resolve. All zero:
 * that. Through a tunnel the proxy is asked for it. */
struct pool_route {
    struct span host;             /* name or address literal; empty: the origin's */
    uint16_t port;                /* 0: the origin's */
    const struct span *addresses; /* these, and look nothing up: "127.0.0.1", "::1" */
    size_t n_addresses;
};

/* Where connections leave from, --interface: one address of a family. Both empty: as the kernel
 * likes. */
struct pool_source {
    char v4[POOL_V4_SIZE];
    char v6[POOL_V6_SIZE];
};

struct answerer;

/* What TLS must insist on; all zero is right for nearly all. Ignored for http. */
struct pool_tls {
    bool insecure;        /* nothing is verified */
    struct span ca_pem;   /* trusted instead of the system's store; empty: the system's */
    uint16_t min_version; /* 0: TLS 1.2. Below that, 0x0301 or 0x0302, only with a max_version
                             that is below it, too */
    uint16_t old_version; /* down to this in the first handshake; 0: no. The pool's own word:
                             see struct pool_request */
    uint16_t max_version; /* 0: the highest there is */
    struct span identity; /* client certificate and key: PEM or PKCS#12; empty: none */
    struct span passphrase;
    struct span pins; /* SHA-256 of public keys, 32 bytes each; empty: none */
    bool in_full;     /* no session is resumed or kept: somebody looks at the whole chain */
    bool status;      /* the server must prove that its certificate is not revoked */
    /* Who keeps the key of the client certificate, and his name for it; NULL: it is in
     * identity. Connections serve nobody else. Counted by whoever makes a copy. */
    struct answerer *answerer;
    uint64_t answer_handle;
};

/* Which HTTP may be spoken. */
enum pool_http {
    POOL_HTTP_BEST = 0, /* https: 2 or 1.1 as ALPN decides; http: 1.1 */
    POOL_HTTP_1_1,
    POOL_HTTP_2, /* nothing else; over http with prior knowledge (RFC 9113 §3.3) */
};

/* The rules of addresses for who asks, in the order of asking. None: any address. */
struct pool_networks {
    const struct access_network *at;
    size_t n;
    uint8_t digest[SHA256_BYTES]; /* of all of them */
};

/* Spans are borrowed; the pool copies what it keeps. */
struct pool_key {
    struct partition partition; /* who asks */
    struct span jar;      /* whose cookies go along: a login of its own; empty: "default" */
    uint64_t private_jar; /* its tag, where it is one client's alone; 0: it is not */
    struct origin origin; /* as in the URL */
    struct pool_proxy proxy;
    struct pool_route route;
    struct pool_tls tls;
    uint8_t family; /* 0: either, 4, 6 */
    struct pool_source source;
    enum pool_http http;
    struct pool_networks networks;
};

/**
 * pool_key_encode() - append the canonical bytes: equal exactly when the keys are
 *
 * Return: 0, -ENOMEM, or -EMSGSIZE when @out's cap is passed.
 */
MUST_CHECK int pool_key_encode(struct buf *out, const struct pool_key *key);
