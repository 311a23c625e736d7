/* SPDX-License-Identifier: MIT */
#include "support/tls_peer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "support/test.h"

#define DAY_S 86400

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static void add_raw_dns(X509 *cert, struct span name)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    assert_true(names && one && text);
    assert_int_equal(ASN1_STRING_set(text, name.ptr, (int)name.len), 1);
    GENERAL_NAME_set0_value(one, GEN_DNS, text);
    assert_int_equal(sk_GENERAL_NAME_push(names, one), 1);
    assert_int_equal(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0), 1);
    GENERAL_NAMES_free(names);
}

void test_cert_make(struct test_cert *ret, const struct test_cert_spec *spec)
{
    static long serial;
    time_t now = time(NULL);
    X509 *cert = X509_new();

    ret->key = spec->rsa_bits ? EVP_RSA_gen((unsigned)spec->rsa_bits) : EVP_EC_gen("P-256");
    ret->cert = cert;
    assert_non_null(ret->key);
    assert_non_null(cert);
    X509 *issuer = spec->issuer ? spec->issuer->cert : cert;
    assert_int_equal(X509_set_version(cert, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial), 1);
    time_t before = now + (time_t)(spec->not_before_s ? spec->not_before_s : -DAY_S);
    time_t after = now + (time_t)(spec->not_after_s ? spec->not_after_s : 30 * DAY_S);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(cert), before));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), after));
    assert_int_equal(
        X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                   (const unsigned char *)spec->common_name, -1, -1, 0),
        1);
    assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(issuer)), 1);
    assert_int_equal(X509_set_pubkey(cert, ret->key), 1);
    add_extension(cert, issuer, NID_basic_constraints,
                  spec->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    if (spec->name_constraints)
        add_extension(cert, issuer, NID_name_constraints, spec->name_constraints);
    if (!spec->is_ca)
        add_extension(cert, issuer, NID_ext_key_usage,
                      spec->extended_key_usage ? spec->extended_key_usage : "serverAuth");
    if (spec->san)
        add_extension(cert, issuer, NID_subject_alt_name, spec->san);
    if (spec->raw_dns.len > 0)
        add_raw_dns(cert, spec->raw_dns);
    EVP_PKEY *key = spec->issuer ? spec->issuer->key : ret->key;
    assert_true(X509_sign(cert, key, spec->digest ? spec->digest : EVP_sha256()) > 0);
}

void test_cert_done(struct test_cert *cert)
{
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
}

char *test_cert_pem(const struct test_cert *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;

    assert_non_null(bio);
    assert_int_equal(PEM_write_bio_X509(bio, cert->cert), 1);
    long len = BIO_get_mem_data(bio, &bytes);
    char *pem = mem_dup((struct span){bytes, (size_t)len});
    assert_non_null(pem);
    BIO_free(bio);
    return pem;
}

SSL_CTX *test_server_ctx(const struct test_cert *cert, int min_version, int max_version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_non_null(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0"), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, min_version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, max_version), 1);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, cert->key), 1);
    return ctx;
}

static void send_unsent(struct tls_peer *peer)
{
    while (peer->unsent.len > 0 && !peer->failed) {
        struct span bytes = buf_span(&peer->unsent);
        struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
        ssize_t n = io_writev(peer->io, &iov, 1);

        if (n == -EAGAIN)
            break;
        peer->failed = n < 0; /* the client has gone */
        if (n > 0)
            buf_consume(&peer->unsent, (size_t)n);
    }
    if (!peer->failed)
        io_set_interest(peer->io,
                        (peer->got_eof ? 0 : IO_READ) | (peer->unsent.len > 0 ? IO_WRITE : 0));
}

void tls_peer_flush(struct tls_peer *peer)
{
    char bytes[4096];
    int n;

    while ((n = BIO_read(peer->out, bytes, sizeof(bytes))) > 0)
        assert_int_equal(buf_append(&peer->unsent, (struct span){bytes, (size_t)n}), 0);
    send_unsent(peer);
}

static void read_early(struct tls_peer *peer)
{
    char bytes[32768];
    size_t n = 0;
    int r;

    while ((r = SSL_read_early_data(peer->ssl, bytes, sizeof(bytes), &n)) ==
           SSL_READ_EARLY_DATA_SUCCESS)
        assert_int_equal(buf_append(&peer->early, (struct span){bytes, n}), 0);
    peer->early_is_over = r == SSL_READ_EARLY_DATA_FINISH;
}

static void advance(struct tls_peer *peer)
{
    char bytes[32768];
    int n = 0;

    ERR_clear_error();
    if (peer->reads_early && !peer->early_is_over)
        read_early(peer);
    if (!peer->handshake_done && (!peer->reads_early || peer->early_is_over))
        peer->handshake_done = SSL_accept(peer->ssl) == 1;
    while (peer->handshake_done && (n = SSL_read(peer->ssl, bytes, sizeof(bytes))) > 0) {
        if (peer->first_record == 0)
            peer->first_record = (size_t)n;
        assert_int_equal(buf_append(&peer->received, (struct span){bytes, (size_t)n}), 0);
    }
    if (peer->handshake_done && SSL_get_error(peer->ssl, n) == SSL_ERROR_ZERO_RETURN)
        peer->got_close_notify = true;
    ERR_clear_error();
    tls_peer_flush(peer);
}

static void peer_on_readable(void *owner)
{
    struct tls_peer *peer = owner;
    char bytes[32768];
    ssize_t n;

    while ((n = io_read(peer->io, bytes, sizeof(bytes))) > 0) {
        struct span got = {bytes, (size_t)n};

        if (peer->is_raw)
            assert_int_equal(buf_append(&peer->received, got), 0);
        else
            assert_int_equal(BIO_write(peer->in, bytes, (int)n), n);
    }
    if (!peer->is_raw)
        advance(peer);
    peer->got_eof = n == 0;
    peer->failed |= n < 0 && n != -EAGAIN;
    send_unsent(peer);
}

static void peer_on_writable(void *owner)
{
    send_unsent(owner);
}

static const struct io_events peer_events = {.on_readable = peer_on_readable,
                                             .on_writable = peer_on_writable};

void tls_peer_init(struct tls_peer *peer, struct io *io, SSL_CTX *ctx)
{
    *peer = (struct tls_peer){.io = io, .is_raw = !ctx};
    if (ctx) {
        peer->ssl = SSL_new(ctx);
        peer->in = BIO_new(BIO_s_mem());
        peer->out = BIO_new(BIO_s_mem());
        assert_true(peer->ssl && peer->in && peer->out);
        SSL_set_bio(peer->ssl, peer->in, peer->out);
    }
    io_set_events(io, &peer_events, peer);
    io_set_interest(io, IO_READ);
}

void tls_peer_done(struct tls_peer *peer)
{
    peer->io = io_close(peer->io);
    SSL_free(peer->ssl);
    buf_done(&peer->unsent);
    buf_done(&peer->received);
    buf_done(&peer->early);
    *peer = (struct tls_peer){0};
}

void tls_peer_write(struct tls_peer *peer, struct span bytes)
{
    if (peer->is_raw) {
        assert_int_equal(buf_append(&peer->unsent, bytes), 0);
        send_unsent(peer);
        return;
    }
    assert_int_equal(SSL_write(peer->ssl, bytes.ptr, (int)bytes.len), bytes.len);
    tls_peer_flush(peer);
}

void tls_peer_close_notify(struct tls_peer *peer)
{
    (void)SSL_shutdown(peer->ssl);
    tls_peer_flush(peer);
}
