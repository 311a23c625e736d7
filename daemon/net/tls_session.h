/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS sessions kept for resumption. A resumed handshake verifies no certificate, so the key
 * holds everything that verification depended on: who asks, which host and port, which
 * configuration and which trust store. Nothing is ever found under another key.
 *
 * A TLS 1.3 ticket is used once (RFC 8446 §C.4): taking it removes it. In memory only.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"

struct ssl_session_st;
struct tls_context;
struct tls_sessions;

#define TLS_SESSION_JAR_MAX 72

/* SHA-256 over partition, jar, host, port and tls_context_digest(). */
struct tls_session_key {
    uint8_t bytes[32];
};

/* @jar: at most TLS_SESSION_JAR_MAX bytes. @host: as tls_host_parse() writes it. Return: 0 or
 * -ENOMEM. */
MUST_CHECK int tls_session_key_init(struct tls_session_key *ret,
                                    const struct partition *partition,
                                    struct span jar,
                                    struct span host,
                                    uint16_t port,
                                    const struct tls_context *context);

struct tls_sessions_options {
    unsigned sessions_max; /* in all, some kilobytes each; the oldest goes first */
    unsigned per_key_max;  /* tickets: as many connections as may begin at once */
    int64_t lifetime_s;    /* at most, whatever the server says: RFC 8446 §4.6.1 allows 7 d */
};

static inline struct tls_sessions_options tls_sessions_options_default(void)
{
    return (struct tls_sessions_options){
        .sessions_max = 512, .per_key_max = 4, .lifetime_s = 86400};
}

MUST_CHECK int tls_sessions_new(struct tls_sessions **ret,
                                const struct tls_sessions_options *options);
struct tls_sessions *tls_sessions_free(struct tls_sessions *sessions);
DEFINE_CLEANUP(tls_sessions, tls_sessions_free)

/**
 * tls_sessions_take() - the newest session under @key that is still good at @now_s
 * Return: the caller's (SSL_SESSION_free()), or NULL.
 */
struct ssl_session_st *tls_sessions_take(struct tls_sessions *sessions,
                                         const struct tls_session_key *key,
                                         int64_t now_s);

/**
 * tls_sessions_put() - keep a copy of @session
 * Return: 0, or -ENOMEM: not kept, nothing lost.
 */
MUST_CHECK int tls_sessions_put(struct tls_sessions *sessions,
                                const struct tls_session_key *key,
                                struct ssl_session_st *session);

/* All of one key, after an error that puts them in doubt; all of them. */
void tls_sessions_drop(struct tls_sessions *sessions, const struct tls_session_key *key);
void tls_sessions_clear(struct tls_sessions *sessions);

unsigned tls_sessions_count(const struct tls_sessions *sessions);
