/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a TLS client insists on, as a value (struct tls_config), and the OpenSSL contexts made
 * from it, one for each different value.
 *
 * Reading a trust store takes tens of milliseconds, so contexts are made on a worker thread;
 * the system's store is read once and shared, and read anew when its file has changed.
 * SSL_CERT_FILE and SSL_CERT_DIR are ignored: the daemon's environment must not decide whom its
 * users trust.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/list.h"
#include "base/span.h"
#include "loop/loop.h"

struct ssl_ctx_st;
struct tls_context;
struct tls_contexts;
struct worker_pool;

#define TLS_VERSION_1_0      0x0301
#define TLS_VERSION_1_1      0x0302
#define TLS_VERSION_1_2      0x0303
#define TLS_VERSION_1_3      0x0304

#define TLS_READ_AHEAD_BYTES 65536 /* measured: + 18 % on bulk against a record at a time */
#define TLS_CA_PEM_MAX_BYTES (2U << 20) /* ten times Debian's bundle */
#define TLS_CA_FILE_DEFAULT  "/etc/ssl/certs/ca-certificates.crt"

struct tls_config {
    bool insecure;          /* nothing is verified */
    struct span ca_pem;     /* trusted instead of the system's store; empty: the system's */
    uint16_t min_version;   /* 0: TLS 1.2. One handshake may go below: struct io_tls_options */
    uint16_t max_version;   /* 0: the highest there is */
    struct span identity;   /* client certificate and key, see tls_identity.h; empty: none */
    bool key_is_elsewhere;  /* the identity is a chain without key: tls_signer.h */
    struct span passphrase; /* of its key */
    struct span pins;       /* TLS_PIN_BYTES each; empty: none */
    bool in_full;           /* no session is resumed or kept */
    bool status;            /* the server must prove that its certificate is not revoked */
};

/* SHA-256. Equal digests: may share connections and sessions, as far as TLS is concerned. */
struct tls_digest {
    uint8_t bytes[32];
};

/* Every field counts, defaults written out (0 and TLS 1.2 are the same minimum). Hashes all of
 * ca_pem: do it once for each client, not for each request. Return: 0 or -ENOMEM. */
MUST_CHECK int tls_config_digest(const struct tls_config *config, struct tls_digest *ret);

struct tls_contexts_options {
    const char *ca_file;   /* the system's trust store: PEM; borrowed for good */
    unsigned contexts_max; /* kept; the least recently used goes first */
};

static inline struct tls_contexts_options tls_contexts_options_default(void)
{
    return (struct tls_contexts_options){.ca_file = TLS_CA_FILE_DEFAULT, .contexts_max = 64};
}

/* @workers: borrowed; before tls_contexts_free() it must have been drained, freed or left
 * (worker_pool_leave()): what hangs in it keeps the memory. */
MUST_CHECK int tls_contexts_new(struct tls_contexts **ret,
                                struct loop *loop,
                                struct worker_pool *workers,
                                const struct tls_contexts_options *options);

/* Every wait must have ended or been cancelled. Contexts still referenced live on. */
struct tls_contexts *tls_contexts_free(struct tls_contexts *contexts);
DEFINE_CLEANUP(tls_contexts, tls_contexts_free)

/* Embedded in whoever waits for a context; set on_done and owner, the rest is ours. */
struct tls_context_wait {
    /* Exactly once, never from inside tls_contexts_get(). @context is borrowed for the call
     * (tls_context_ref() to keep it); it is NULL and @why set on failure. */
    void (*on_done)(void *owner, struct tls_context *context, const struct failure *why);
    void *owner;

    struct link link;
    struct tls_contexts *contexts; /* set while it waits */
    struct tls_context *context;   /* made already, to be told at the end of the round */
};

/**
 * tls_contexts_get() - the context for @config, made if need be
 * @config: borrowed for the call
 * Return: 0 (on_done follows), -EINVAL for versions that cannot be or a bundle over the limit,
 * -ENOMEM, -EAGAIN when no thread could be made.
 */
MUST_CHECK int tls_contexts_get(struct tls_contexts *contexts,
                                const struct tls_config *config,
                                struct tls_context_wait *wait);

/* on_done is not called any more. An idle wait is fine. */
void tls_contexts_cancel(struct tls_context_wait *wait);

/* Contexts asked for from now on read the CA file anew, and fail if it cannot be read.
 * Connections that stand keep theirs; sessions made under another store are not resumed (the
 * store's own digest is part of their key). */
void tls_contexts_reload(struct tls_contexts *contexts);

/* Counted, because a reload or the cache's limit may drop a context that connections use. */
struct tls_context *tls_context_ref(struct tls_context *context);
struct tls_context *tls_context_unref(struct tls_context *context); /* returns NULL */
DEFINE_CLEANUP(tls_context, tls_context_unref)

struct ssl_ctx_st *tls_context_ssl_ctx(const struct tls_context *context);
bool tls_context_is_in_full(const struct tls_context *context);
bool tls_context_wants_status(const struct tls_context *context);
bool tls_context_is_insecure(const struct tls_context *context);
struct span tls_context_pins(const struct tls_context *context);

/* Of the configuration and of the trust store as it was read. */
const struct tls_digest *tls_context_digest(const struct tls_context *context);
