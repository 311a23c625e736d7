/* SPDX-License-Identifier: MIT */
#include "net/tls_cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "net/address.h"
#include "net/tls_digest.h"

/* Everything in here is put into one buffer first, which moves as it grows: until the end spans
 * hold offsets in place of pointers. */
struct draft {
    struct buf bytes;
    struct certificate at[CERTIFICATES_MAX];
    struct span names[CERTIFICATES_MAX][CERTIFICATE_NAMES_MAX];
};

static int put(struct draft *draft, struct span bytes, struct span *ret)
{
    size_t offset = draft->bytes.len;
    int r = buf_append(&draft->bytes, bytes);

    if (r == 0)
        *ret = (struct span){(const char *)(uintptr_t)offset, bytes.len};
    return r;
}

/* At most @max bytes of what was printed; "..." stands at the end of what was longer. */
static int put_printed(struct draft *draft, BIO *bio, size_t max, struct span *ret)
{
    char *text = NULL;
    long len = BIO_get_mem_data(bio, &text);
    struct span all = {text, len > 0 ? (size_t)len : 0};
    struct span end;

    if (all.len <= max)
        return put(draft, all, ret);
    int r = put(draft, span_take(all, max - 3), ret);
    if (r == 0)
        r = put(draft, SPAN_LIT("..."), &end); /* right behind it */
    if (r == 0)
        ret->len = max;
    return r;
}

static int put_name(struct draft *draft, const X509_NAME *name, struct span *ret)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bio)
        return fault(-ENOMEM);
    (void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    int r = put_printed(draft, bio, CERTIFICATE_TEXT_MAX, ret);
    BIO_free(bio);
    return r;
}

static int put_serial(struct draft *draft, const X509 *cert, struct span *ret)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bio)
        return fault(-ENOMEM);
    (void)i2a_ASN1_INTEGER(bio, serial);
    int r = put_printed(draft, bio, CERTIFICATE_NAME_MAX, ret);
    BIO_free(bio);
    return r;
}

static int put_key(struct draft *draft, const X509 *cert, struct span *ret)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *kind = key ? EVP_PKEY_get0_type_name(key) : NULL;
    char text[64];

    if (!kind)
        return put(draft, SPAN_LIT("unknown"), ret);
    (void)snprintf(text, sizeof(text), "%.32s, %d bits", kind, EVP_PKEY_get_bits(key));
    return put(draft, span_of(text), ret);
}

static int put_der(struct draft *draft, const X509 *cert, struct certificate *to)
{
    unsigned char *der = NULL;
    unsigned char *spki = NULL;
    int len = i2d_X509(cert, &der);
    int spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    int r = len < 0 || spki_len < 0 ? fault(-ENOMEM) : 0;

    if (r == 0)
        r = put(draft, (struct span){(char *)der, (size_t)len}, &to->der);
    if (r == 0)
        r = tls_sha256((struct span){(char *)spki, (size_t)spki_len}, to->spki_sha256);
    OPENSSL_free(der);
    OPENSSL_free(spki);
    return r;
}

/* ---- alternative names ------------------------------------------------------------------- */

static void print_ip(BIO *bio, const ASN1_OCTET_STRING *from)
{
    const unsigned char *ip = ASN1_STRING_get0_data(from);
    struct address address = {0};
    char text[ADDRESS_TEXT_MAX];

    if (ASN1_STRING_length(from) == 4) {
        address.in.sin_family = AF_INET;
        memcpy(&address.in.sin_addr, ip, 4);
    } else if (ASN1_STRING_length(from) == 16) {
        address.in6.sin6_family = AF_INET6;
        memcpy(&address.in6.sin6_addr, ip, 16);
    } else {
        (void)BIO_puts(bio, "?");
        return;
    }
    (void)address_format(&address, text);
    char *port = strrchr(text, ':');
    if (port)
        *port = '\0';
    (void)BIO_puts(bio, text);
}

static void print_alternative(BIO *bio, const GENERAL_NAME *name)
{
    switch (name->type) {
    case GEN_DNS:
        (void)BIO_puts(bio, "DNS:");
        (void)ASN1_STRING_print_ex(bio, name->d.dNSName, ASN1_STRFLGS_RFC2253);
        return;
    case GEN_EMAIL:
        (void)BIO_puts(bio, "email:");
        (void)ASN1_STRING_print_ex(bio, name->d.rfc822Name, ASN1_STRFLGS_RFC2253);
        return;
    case GEN_URI:
        (void)BIO_puts(bio, "URI:");
        (void)ASN1_STRING_print_ex(bio, name->d.uniformResourceIdentifier,
                                   ASN1_STRFLGS_RFC2253);
        return;
    case GEN_IPADD:
        (void)BIO_puts(bio, "IP:");
        print_ip(bio, name->d.iPAddress);
        return;
    default: (void)BIO_puts(bio, "other"); return;
    }
}

static int put_alternative(struct draft *draft, const GENERAL_NAME *name, struct span *ret)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (!bio)
        return fault(-ENOMEM);
    print_alternative(bio, name);
    int r = put_printed(draft, bio, CERTIFICATE_NAME_MAX, ret);
    BIO_free(bio);
    return r;
}

static int
put_alternatives(struct draft *draft, const X509 *cert, struct certificate *to, struct span *at)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int n = sk_GENERAL_NAME_num(names); /* -1: none, or not to be read */
    int r = 0;

    for (int i = 0; r == 0 && i < n && i < CERTIFICATE_NAMES_MAX; i++) {
        r = put_alternative(draft, sk_GENERAL_NAME_value(names, i), &at[i]);
        if (r == 0)
            to->n_names++;
    }
    if (n > CERTIFICATE_NAMES_MAX)
        to->n_names_left_out = (size_t)n - CERTIFICATE_NAMES_MAX;
    GENERAL_NAMES_free(names);
    return r;
}

/* ---- one, and all of them ---------------------------------------------------------------- */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;

    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return INT64_MIN;
    return (int64_t)timegm(&tm);
}

static int read_one(struct draft *draft, const X509 *cert, size_t i)
{
    struct certificate *to = &draft->at[i];
    const char *signature = OBJ_nid2ln(X509_get_signature_nid(cert));

    to->not_before_s = seconds_of(X509_get0_notBefore(cert));
    to->not_after_s = seconds_of(X509_get0_notAfter(cert));
    int r = put_der(draft, cert, to);
    if (r == 0)
        r = put_name(draft, X509_get_subject_name(cert), &to->subject);
    if (r == 0)
        r = put_name(draft, X509_get_issuer_name(cert), &to->issuer);
    if (r == 0)
        r = put_serial(draft, cert, &to->serial);
    if (r == 0)
        r = put(draft, span_of(signature ? signature : "unknown"), &to->signature);
    if (r == 0)
        r = put_key(draft, cert, &to->key);
    return r < 0 ? r : put_alternatives(draft, cert, to, draft->names[i]);
}

static void settle(struct span *span, const char *base)
{
    span->ptr = base + (uintptr_t)span->ptr;
}

/* The draft in one piece: certificates, names, bytes. */
static int finish(const struct draft *draft, size_t count, struct certificates **ret)
{
    size_t n_names = 0;

    for (size_t i = 0; i < count; i++)
        n_names += draft->at[i].n_names;
    struct certificates *made = mem_alloc(sizeof(*made) + count * sizeof(made->at[0]) +
                                          n_names * sizeof(struct span) + draft->bytes.len);
    if (!made)
        return fault(-ENOMEM);
    struct span *names = (struct span *)(void *)(made->at + count);
    char *base = (char *)(names + n_names);
    struct span bytes = buf_span(&draft->bytes);
    if (bytes.len > 0)
        memcpy(base, bytes.ptr, bytes.len);
    *made = (struct certificates){.count = count};
    for (size_t i = 0; i < count; i++) {
        struct certificate *to = &made->at[i];

        *to = draft->at[i];
        to->names = names;
        for (size_t k = 0; k < to->n_names; k++) {
            names[k] = draft->names[i][k];
            settle(&names[k], base);
        }
        names += to->n_names;
        settle(&to->der, base);
        settle(&to->subject, base);
        settle(&to->issuer, base);
        settle(&to->serial, base);
        settle(&to->signature, base);
        settle(&to->key, base);
    }
    *ret = made;
    return 0;
}

int tls_certificates_of(const STACK_OF(X509) * chain, struct certificates **ret)
{
    int n = sk_X509_num(chain);
    size_t count = n < 0 ? 0 : n > CERTIFICATES_MAX ? CERTIFICATES_MAX : (size_t)n;
    struct draft *draft = mem_zalloc(sizeof(*draft));
    int r = 0;

    if (!draft)
        return fault(-ENOMEM);
    draft->bytes = BUF_INIT(0);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = read_one(draft, sk_X509_value(chain, (int)i), i);
    if (r == 0)
        r = finish(draft, count, ret);
    if (r == 0 && n > CERTIFICATES_MAX)
        (*ret)->n_left_out = (size_t)n - CERTIFICATES_MAX;
    buf_done(&draft->bytes);
    mem_free(draft);
    ERR_clear_error(); /* of what could not be read */
    return r;
}
