/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who we are, and who the server must be: a client certificate with its key, and pinned public
 * keys (RFC 7469's digests, curl's --pinnedpubkey).
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"
#include "base/span.h"

struct ssl_ctx_st;
struct ssl_st;

#define TLS_IDENTITY_BYTES_MAX (256U * 1024)
#define TLS_PASSPHRASE_MAX     1024
#define TLS_PIN_BYTES          32 /* SHA-256 of a SubjectPublicKeyInfo */
#define TLS_PINS_MAX           16

/**
 * tls_identity_use() - show this certificate when the server asks for one
 * @identity: PEM, the leaf first, with its key and any others of its chain; or PKCS#12
 * Return: 0, or -EINVAL with *ret_why filled.
 */
MUST_CHECK int tls_identity_use(struct ssl_ctx_st *ctx,
                                struct span identity,
                                struct span passphrase,
                                struct failure *ret_why);

/* The certificate alone: its key is with the client, who is asked (tls_signer.h).
 * @chain: PEM, the leaf first, and no key. Return: as above. */
MUST_CHECK int
tls_identity_show(struct ssl_ctx_st *ctx, struct span chain, struct failure *ret_why);

/* SHA-256 of the key of the certificate that the server showed. Return: whether there is one.
 */
bool tls_pin_seen(struct ssl_st *ssl, uint8_t ret[TLS_PIN_BYTES]);

/* Is one of @pins the key of a certificate of the chain that was verified (never of what else
 * the server sent, CVE-2016-2402)? Without verification: of the server's own. */
bool tls_pins_hold(struct ssl_st *ssl, struct span pins);
