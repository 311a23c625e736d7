/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whose certificate we want, told to OpenSSL, and what was wrong with the one we got, told to
 * people. RFC 9525: names come from the subject alternative names only, never from the common
 * name; no partial wildcards; an IP address needs an iPAddress name.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/span.h"

struct X509_name_st;
struct asn1_string_st;
struct ssl_st;
struct x509_store_ctx_st;

#define TLS_HOST_MAX      253 /* bytes */
#define TLS_NAME_TEXT_MAX 64  /* bytes of a certificate's name in a failure's text */

/* A host as TLS wants it: without brackets, zone and the root's dot. */
struct tls_host {
    char name[TLS_HOST_MAX + 1];
    bool is_ip;
};

/**
 * tls_host_parse() - what to verify and, if it is a name, what to send as SNI
 * @host: DNS name in A-labels or address literal; nothing else: no port, no userinfo
 * Return: 0, or -EINVAL: empty, too long, leading dot, or bytes no such host can have.
 */
MUST_CHECK int tls_host_parse(struct span host, struct tls_host *ret);

/**
 * tls_verify_setup() - verify for @host at the time @now_s; set SNI
 * Return: 0 or -ENOMEM.
 */
MUST_CHECK int tls_verify_setup(struct ssl_st *ssl, const struct tls_host *host, int64_t now_s);

/* The peer's certificate names @host; whether it is to be trusted is another question. */
bool tls_verify_covers(const struct ssl_st *ssl, const struct tls_host *host);

/* What fails in the verification under way; @store is in the middle of it. */
void tls_verify_failure(struct failure *ret,
                        struct x509_store_ctx_st *store,
                        const struct tls_host *host);

/* For people: control characters and all that is not ASCII are escaped, for the certificate's
 * maker is not to be trusted (UR16); what is too long is cut. "?" for NULL. */
void tls_name_text(const struct X509_name_st *name, char ret[TLS_NAME_TEXT_MAX]);
void tls_time_text(const struct asn1_string_st *time, char ret[TLS_NAME_TEXT_MAX]);
