/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * TLS sessions kept for resumption. A resumed handshake verifies no certificate, so the key
 * holds everything that verification depended on: who asks, which host and port, which
 * configuration and which trust store. Nothing is ever found under another key.
 *
 * A TLS 1.3 ticket is used once (RFC 8446 §C.4): taking it removes it. A session that grew out
 * of another one by resumption is no younger than the handshake that looked at a certificate.
 *
 * In memory; tls_session_disk.h keeps what may be kept beyond the daemon's life.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/partition.h"
#include "base/span.h"
#include "net/tls_verify.h"

struct ssl_session_st;
struct tls_context;
struct tls_sessions;

#define TLS_SESSION_JAR_MAX  72
#define TLS_SESSION_KEY_SIZE 32

struct tls_session_key {
    uint8_t digest[TLS_SESSION_KEY_SIZE]; /* SHA-256 of all that follows and more */
    struct partition partition;
    char host[TLS_HOST_MAX + 1];
    uint16_t port;
    bool may_be_kept;     /* on disk */
    uint64_t private_jar; /* see struct tls_session_for */
};

/* Where a session comes from. */
struct tls_session_past {
    int64_t verified_s; /* of the handshake in full */
    uint32_t uses;      /* handshakes it has saved since */
};

struct tls_session_for {
    const struct partition *partition;
    struct span jar;  /* at most TLS_SESSION_JAR_MAX bytes */
    struct span host; /* as tls_host_parse() writes it */
    uint16_t port;
    const struct tls_context *context;
    uint64_t private_jar; /* the tag of a jar that ends with its client: it never meets the
                             disk. 0: the jar is no such */
};

/* The digest is of partition, jar and its tag, host, port and tls_context_digest(). Return: 0
 * or -ENOMEM.
 */
MUST_CHECK int tls_session_key_init(struct tls_session_key *ret,
                                    const struct tls_session_for *what);

struct tls_sessions_options {
    unsigned sessions_max; /* in all, some kilobytes each; the oldest goes first */
    unsigned per_uid_max;  /* the same for each user */
    unsigned per_key_max;  /* tickets: as many connections as may begin at once */
    int64_t lifetime_s;    /* at most, whatever the server says: RFC 8446 §4.6.1 allows 7 d */
};

static inline struct tls_sessions_options tls_sessions_options_default(void)
{
    return (struct tls_sessions_options){
        .sessions_max = 2048, .per_uid_max = 256, .per_key_max = 4, .lifetime_s = 86400};
}

MUST_CHECK int tls_sessions_new(struct tls_sessions **ret,
                                const struct tls_sessions_options *options);
struct tls_sessions *tls_sessions_free(struct tls_sessions *sessions);
DEFINE_CLEANUP(tls_sessions, tls_sessions_free)

/* What has become of those of @uid that may be kept. @is_spent: a ticket among them must not
 * be seen again. Called from inside what changes them: look later. */
typedef void tls_sessions_on_change(void *owner, uint32_t uid, bool is_spent);
void tls_sessions_observe(struct tls_sessions *sessions,
                          tls_sessions_on_change *on_change,
                          void *owner);

/**
 * tls_sessions_take() - the newest session under @key that is still good at @now_s
 * @ret_past: where it comes from, this use counted
 * Return: the caller's (SSL_SESSION_free()), or NULL.
 */
struct ssl_session_st *tls_sessions_take(struct tls_sessions *sessions,
                                         const struct tls_session_key *key,
                                         int64_t now_s,
                                         struct tls_session_past *ret_past);

/**
 * tls_sessions_put() - keep a copy of @session
 * Return: 0, or -ENOMEM: not kept, nothing lost.
 */
MUST_CHECK int tls_sessions_put(struct tls_sessions *sessions,
                                const struct tls_session_key *key,
                                const struct tls_session_past *past,
                                struct ssl_session_st *session);

/* All of one key, after an error that puts them in doubt; all of one user; all of them. */
void tls_sessions_drop(struct tls_sessions *sessions, const struct tls_session_key *key);
void tls_sessions_forget(struct tls_sessions *sessions, uint32_t uid);
/* Of one private jar, which has ended. */
void tls_sessions_forget_jar(struct tls_sessions *sessions, uint32_t uid, uint64_t private_jar);
void tls_sessions_clear(struct tls_sessions *sessions);

unsigned tls_sessions_count(const struct tls_sessions *sessions);

#define TLS_SESSIONS_EVERY_UID UINT32_MAX

/* One of them; borrowed for the call. */
struct tls_session_row {
    const struct tls_session_key *key;
    struct tls_session_past past;
    struct ssl_session_st *session;
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256"; "" if OpenSSL knows no name for it */
    int64_t made_s;      /* when the server gave it */
    struct span der;     /* of the session; empty unless asked for, or for lack of memory */
    int64_t expires_s;   /* as tls_sessions_take() sees it */
};

/* Those still good at @now_s, oldest first. @fn must not use the sessions; it
 * returns false to stop. @with_der: for the disk; those that must not go there are left out. */
void tls_sessions_each(struct tls_sessions *sessions,
                       uint32_t uid,
                       int64_t now_s,
                       bool with_der,
                       bool (*fn)(void *arg, const struct tls_session_row *row),
                       void *arg);
