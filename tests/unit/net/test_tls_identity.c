/* SPDX-License-Identifier: MIT */
/* Client certificates as they are given, and what is said of those that cannot be used. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>

#include "base/mem.h"
#include "net/tls_digest.h"
#include "net/tls_identity.h"
#include "support/test.h"
#include "support/tls_peer.h"

static struct test_cert ca;
static struct test_cert leaf;

static int setup(void **state)
{
    (void)state;
    test_cert_make(&ca, &(struct test_cert_spec){.common_name = "authority", .is_ca = true});
    test_cert_make(&leaf, &(struct test_cert_spec){.common_name = "ann", .issuer = &ca});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_cert_done(&leaf);
    test_cert_done(&ca);
    return 0;
}

static char *text_of(BIO *bio)
{
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    char *text = mem_dup((struct span){bytes, (size_t)len});

    BIO_free(bio);
    assert_non_null(text);
    return text;
}

static char *key_pem(const struct test_cert *cert, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());

    assert_int_equal(PEM_write_bio_PrivateKey(bio, cert->key,
                                              passphrase ? EVP_aes_128_cbc() : NULL, NULL, 0,
                                              NULL, (void *)(uintptr_t)passphrase),
                     1);
    return text_of(bio);
}

static char *join(const char *a, const char *b)
{
    char *text = mem_format("%s%s", a, b);

    assert_non_null(text);
    return text;
}

struct outcome {
    int r;
    struct failure why;
    int n_chain;
    bool has_key;
};

static struct outcome take(struct span identity, const char *passphrase, bool shows)
{
    struct outcome outcome = {0};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    STACK_OF(X509) *chain = NULL;

    outcome.r = shows ? tls_identity_show(ctx, identity, &outcome.why)
                      : tls_identity_use(ctx, identity, span_of(passphrase), &outcome.why);
    if (outcome.r == 0) {
        assert_non_null(SSL_CTX_get0_certificate(ctx));
        (void)SSL_CTX_get0_chain_certs(ctx, &chain);
        outcome.n_chain = chain ? sk_X509_num(chain) : 0;
        outcome.has_key = SSL_CTX_get0_privatekey(ctx) != NULL;
    }
    assert_int_equal(ERR_peek_error(), 0); /* nothing is left for the next one to find */
    SSL_CTX_free(ctx);
    return outcome;
}

static void refused(struct span identity, const char *passphrase, bool shows, const char *what)
{
    struct outcome outcome = take(identity, passphrase, shows);

    assert_int_equal(outcome.r, -EINVAL);
    assert_int_equal(outcome.why.kind, FAILURE_ARGUMENT);
    assert_non_null(strstr(outcome.why.text, "client certificate: "));
    if (!strstr(outcome.why.text, what))
        fail_msg("%s: not in %s", what, outcome.why.text);
}

static void test_pem_is_taken_with_its_chain_in_either_order(void **state)
{
    CLEANUP_MEM char *cert = test_cert_pem(&leaf);
    CLEANUP_MEM char *issuer = test_cert_pem(&ca);
    CLEANUP_MEM char *key = key_pem(&leaf, NULL);
    CLEANUP_MEM char *chain = join(cert, issuer);
    CLEANUP_MEM char *behind = join(chain, key);
    CLEANUP_MEM char *before = join(key, chain);

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct outcome outcome = take(span_of(i == 0 ? behind : before), "", false);

        assert_int_equal(outcome.r, 0);
        assert_int_equal(outcome.n_chain, 1);
        assert_true(outcome.has_key);
    }
}

static void test_what_is_wrong_with_pem_is_said(void **state)
{
    CLEANUP_MEM char *cert = test_cert_pem(&leaf);
    CLEANUP_MEM char *key = key_pem(&leaf, NULL);
    CLEANUP_MEM char *other = key_pem(&ca, NULL);
    CLEANUP_MEM char *locked = key_pem(&leaf, "sesame");
    CLEANUP_MEM char *with_other = join(cert, other);
    CLEANUP_MEM char *with_locked = join(cert, locked);

    (void)state;
    refused(SPAN_LIT("not a certificate"), "", false, "none in PEM form");
    refused(span_of(key), "", false, "none in PEM form");
    refused(span_of(cert), "", false, "its key is missing");
    refused(span_of(with_other), "", false, "not the certificate's");
    refused(span_of(with_locked), "", false, "wants a passphrase");
    refused(span_of(with_locked), "wrong", false, "passphrase is wrong");
    assert_int_equal(take(span_of(with_locked), "sesame", false).r, 0);
}

static void test_pkcs12_is_taken_with_and_without_a_passphrase(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *passphrase = i == 0 ? "" : "sesame";
        unsigned char *der = NULL;
        PKCS12 *p12 =
            PKCS12_create(passphrase, "ann", leaf.key, leaf.cert, NULL, 0, 0, 0, 0, 0);
        int len = i2d_PKCS12(p12, &der);

        assert_true(len > 0);
        PKCS12_free(p12);
        struct span bytes = {(char *)der, (size_t)len};
        assert_int_equal(take(bytes, passphrase, false).r, 0);
        refused(bytes, "wrong", false, "passphrase is wrong");
        refused(span_take(bytes, bytes.len / 2), passphrase, false, "neither PEM nor PKCS#12");
        OPENSSL_free(der);
    }
}

static void test_a_chain_that_is_shown_has_no_key(void **state)
{
    CLEANUP_MEM char *cert = test_cert_pem(&leaf);
    CLEANUP_MEM char *issuer = test_cert_pem(&ca);
    CLEANUP_MEM char *key = key_pem(&leaf, NULL);
    CLEANUP_MEM char *chain = join(cert, issuer);
    CLEANUP_MEM char *with_key = join(chain, key);

    (void)state;
    struct outcome outcome = take(span_of(chain), "", true);
    assert_int_equal(outcome.r, 0);
    assert_int_equal(outcome.n_chain, 1);
    assert_false(outcome.has_key);
    refused(span_of(with_key), "", true, "is to stay with the program");
    refused(SPAN_LIT("nothing"), "", true, "none in PEM form");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pem_is_taken_with_its_chain_in_either_order),
        cmocka_unit_test(test_what_is_wrong_with_pem_is_said),
        cmocka_unit_test(test_pkcs12_is_taken_with_and_without_a_passphrase),
        cmocka_unit_test(test_a_chain_that_is_shown_has_no_key),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
