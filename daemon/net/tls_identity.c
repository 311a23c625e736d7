/* SPDX-License-Identifier: MIT */
#include "net/tls_identity.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/ssl.h>
#include <string.h>

#include "net/tls_digest.h"

#define DER_SEQUENCE 0x30 /* PEM is text */

struct identity {
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
};

static int refuse(struct failure *ret_why, const char *what)
{
    failure_set(ret_why, FAILURE_ARGUMENT, "client certificate: %s", what);
    return -EINVAL;
}

/* Never asks a terminal, as OpenSSL would without it. */
static int give_passphrase(char *buf, int size, int writing, void *user)
{
    const struct span *passphrase = user;

    (void)writing;
    if (passphrase->len == 0 || (int)passphrase->len > size)
        return -1;
    memcpy(buf, passphrase->ptr, passphrase->len);
    return (int)passphrase->len;
}

static bool holds_key(struct span pem)
{
    static const char mark[] = "PRIVATE KEY-----";

    return memmem(pem.ptr, pem.len, mark, sizeof(mark) - 1) != NULL;
}

static const char *why_no_key(struct span pem, struct span passphrase)
{
    if (!holds_key(pem))
        return "its key is missing: add --key, or the key to the file";
    if (passphrase.len == 0)
        return "its key wants a passphrase";
    return "its key does not open: the passphrase is wrong, or its form not known";
}

static int read_chain(BIO *pem, struct identity *ret, struct failure *ret_why)
{
    X509 *cert;

    ret->chain = sk_X509_new_null();
    while (ret->chain && (cert = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
        if (!ret->cert)
            ret->cert = cert;
        else if (sk_X509_push(ret->chain, cert) <= 0)
            X509_free(cert);
    }
    if (!ret->cert)
        return refuse(ret_why, "there is none in PEM form, and it is not PKCS#12");
    ERR_clear_error();
    return 0;
}

static int read_pem(struct span bytes,
                    struct span passphrase,
                    struct identity *ret,
                    struct failure *ret_why)
{
    BIO *pem = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    int r = pem ? read_chain(pem, ret, ret_why) : refuse(ret_why, "out of memory");

    if (r == 0 && BIO_reset(pem) >= 0)
        ret->key = PEM_read_bio_PrivateKey(pem, NULL, give_passphrase, &passphrase);
    BIO_free(pem);
    if (r == 0 && !ret->key)
        r = refuse(ret_why, why_no_key(bytes, passphrase));
    return r;
}

static int read_pkcs12(struct span bytes,
                       struct span passphrase,
                       struct identity *ret,
                       struct failure *ret_why)
{
    char password[TLS_PASSPHRASE_MAX + 1] = "";
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)bytes.len);
    int r = 0;

    if (passphrase.len > 0)
        memcpy(password, passphrase.ptr, passphrase.len);
    if (!p12)
        r = refuse(ret_why, "it is neither PEM nor PKCS#12");
    else if (!PKCS12_verify_mac(p12, password, -1) &&
             !(passphrase.len == 0 && PKCS12_verify_mac(p12, NULL, 0)))
        r = refuse(ret_why, "its passphrase is wrong");
    else if (!PKCS12_parse(p12, password, &ret->key, &ret->cert, &ret->chain))
        r = refuse(ret_why, "it is locked in a way that OpenSSL does not open any more");
    else if (!ret->key || !ret->cert)
        r = refuse(ret_why, "certificate or key is missing in the PKCS#12 file");
    PKCS12_free(p12);
    OPENSSL_cleanse(password, sizeof(password));
    return r;
}

static int install_chain(SSL_CTX *ctx, const struct identity *identity, struct failure *ret_why)
{
    if (SSL_CTX_use_certificate(ctx, identity->cert) != 1)
        return refuse(ret_why, "OpenSSL does not take it: its key is too short, or its kind "
                               "not known");
    for (int i = 0; i < sk_X509_num(identity->chain); i++) {
        if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(identity->chain, i)) != 1)
            return refuse(ret_why, "a certificate of its chain is not taken");
    }
    return 0;
}

static int install(SSL_CTX *ctx, const struct identity *identity, struct failure *ret_why)
{
    int r = install_chain(ctx, identity, ret_why);

    if (r == 0 && (SSL_CTX_use_PrivateKey(ctx, identity->key) != 1 ||
                   SSL_CTX_check_private_key(ctx) != 1))
        return refuse(ret_why, "the key is not the certificate's");
    return r;
}

static void release(struct identity *parts)
{
    X509_free(parts->cert);
    EVP_PKEY_free(parts->key);
    sk_X509_pop_free(parts->chain, X509_free);
    ERR_clear_error();
}

/* RSA and EC: what tls_signer.c has methods for. */
static bool can_be_signed_for(X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    int kind = key ? EVP_PKEY_get_base_id(key) : EVP_PKEY_NONE;

    return kind == EVP_PKEY_RSA || kind == EVP_PKEY_EC;
}

int tls_identity_show(SSL_CTX *ctx, struct span chain, struct failure *ret_why)
{
    struct identity parts = {0};
    BIO *pem = BIO_new_mem_buf(chain.ptr, (int)chain.len);
    int r = 0;

    if (holds_key(chain))
        r = refuse(ret_why,
                   "its key is there, too, and is to stay with the program that signs");
    else
        r = pem ? read_chain(pem, &parts, ret_why) : refuse(ret_why, "out of memory");
    if (r == 0 && !can_be_signed_for(parts.cert))
        r = refuse(ret_why, "a program can sign with RSA and EC keys only");
    if (r == 0)
        r = install_chain(ctx, &parts, ret_why);
    BIO_free(pem);
    release(&parts);
    return r;
}

int tls_identity_use(SSL_CTX *ctx,
                     struct span identity,
                     struct span passphrase,
                     struct failure *ret_why)
{
    struct identity parts = {0};
    int r = identity.ptr[0] == DER_SEQUENCE ? read_pkcs12(identity, passphrase, &parts, ret_why)
                                            : read_pem(identity, passphrase, &parts, ret_why);

    if (r == 0)
        r = install(ctx, &parts, ret_why);
    release(&parts);
    return r;
}

static bool pin_of(const X509 *cert, uint8_t ret[TLS_PIN_BYTES])
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool made = len > 0 && tls_sha256((struct span){(char *)der, (size_t)len}, ret) == 0;

    OPENSSL_free(der);
    return made;
}

static bool key_is_pinned(X509 *cert, struct span pins)
{
    uint8_t digest[TLS_PIN_BYTES];
    bool found = false;

    if (!pin_of(cert, digest))
        return false;
    for (size_t i = 0; i + TLS_PIN_BYTES <= pins.len; i += TLS_PIN_BYTES)
        found |= memcmp(pins.ptr + i, digest, TLS_PIN_BYTES) == 0;
    return found;
}

bool tls_pin_seen(SSL *ssl, uint8_t ret[TLS_PIN_BYTES])
{
    const X509 *leaf = SSL_get0_peer_certificate(ssl);

    return leaf && pin_of(leaf, ret);
}

bool tls_pins_hold(SSL *ssl, struct span pins)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    X509 *leaf = SSL_get0_peer_certificate(ssl);

    if (SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
        return leaf && key_is_pinned(leaf, pins);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (key_is_pinned(sk_X509_value(chain, i), pins))
            return true;
    }
    return false;
}
