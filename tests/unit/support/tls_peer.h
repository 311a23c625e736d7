/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The other side of TLS, for tests: certificates made on the spot, and a server on one end of
 * an io_pair that does as the test says.
 */

#include <openssl/ssl.h>
#include <stdbool.h>

#include "base/buf.h"
#include "loop/loop.h"
#include "net/io.h"

struct test_cert {
    EVP_PKEY *key;
    X509 *cert;
};

struct test_cert_spec {
    const char *common_name;
    const char *san;                /* as in openssl.cnf: "DNS:a,IP:127.0.0.1"; NULL: none */
    struct span raw_dns;            /* a DNS name of any bytes; empty: none */
    const struct test_cert *issuer; /* NULL: self-signed */
    bool is_ca;
    const char *extended_key_usage; /* NULL: serverAuth */
    const char *name_constraints;   /* NULL: none */
    int rsa_bits;                   /* 0: EC P-256 */
    const EVP_MD *digest;           /* NULL: SHA-256 */
    int64_t not_before_s;           /* from now; 0: a day ago */
    int64_t not_after_s;            /* from now; 0: in 30 days */
};

void test_cert_make(struct test_cert *ret, const struct test_cert_spec *spec);
void test_cert_done(struct test_cert *cert);
char *test_cert_pem(const struct test_cert *cert); /* mem_free() */

/* Level 0 and every version: what the client refuses is the client's doing. */
SSL_CTX *test_server_ctx(const struct test_cert *cert, int min_version, int max_version);

struct tls_peer {
    struct io *io;
    SSL *ssl;
    BIO *in;
    BIO *out;
    struct buf unsent;
    struct buf received; /* decrypted */
    bool reads_early;    /* early data is read before the handshake is gone on with */
    bool early_is_over;
    struct buf early;    /* what came so */
    size_t first_record; /* bytes that the first SSL_read() gave */
    bool handshake_done;
    bool got_close_notify;
    bool got_eof;
    bool failed;
    bool is_raw; /* no TLS: received is what came */
};

/* @io: taken. @ctx: NULL makes it raw. */
void tls_peer_init(struct tls_peer *peer, struct io *io, SSL_CTX *ctx);
void tls_peer_done(struct tls_peer *peer);

void tls_peer_write(struct tls_peer *peer, struct span bytes); /* application data, or raw */
void tls_peer_close_notify(struct tls_peer *peer);             /* leaves the stream open */
void tls_peer_flush(struct tls_peer *peer); /* after SSL calls of one's own */
