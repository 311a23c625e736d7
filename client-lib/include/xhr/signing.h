/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The private key of a client certificate that stays with the program, as ssh-agent's do: the
 * daemon is given the certificate, and whenever a server wants proof the program is asked to
 * sign. RSA and EC keys, TLS 1.2 and 1.3.
 *
 * Set a signer for the client, then client_signs and client_key in the options of requests.
 * Connections made that way serve this client alone, and no others' TLS sessions.
 *
 * Part of xhr/xhr.h, which includes it.
 */
#include <stddef.h>
#include <stdint.h>

#include "xhr/xhr.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is to be signed. It is the program's until xhr_signing_answer(). */
struct xhr_signing;

/**
 * xhr_client_set_signer() - who signs
 * @sign: called from xhr_client_dispatch() or a blocking call, once for each signature, in a
 *        handshake that waits for it up to 60 s. Answer from inside, or later, e.g. when a
 *        token was touched. NULL, and before the first call: all is refused.
 */
XHR_API void xhr_client_set_signer(struct xhr_client *client,
                                   void (*sign)(struct xhr_signing *signing, void *user),
                                   void *user);

XHR_API uint64_t xhr_signing_key(const struct xhr_signing *signing);     /* client_key */
XHR_API const char *xhr_signing_host(const struct xhr_signing *signing); /* of the server */
XHR_API unsigned xhr_signing_port(const struct xhr_signing *signing);

/* RFC 8446 section 4.2.3. 0x0401, 0x0501, 0x0601: RSA with PKCS#1 v1.5 and SHA-256, -384, -512;
 * 0x0804, 0x0805, 0x0806: RSA-PSS with these, and a salt as long as the digest; 0x0403, 0x0503,
 * 0x0603: ECDSA with these, the signature in DER. */
XHR_API unsigned xhr_signing_scheme(const struct xhr_signing *signing);

/* To be hashed and signed; lives as long as @signing. With TLS 1.3 it begins with 64 spaces and
 * "TLS 1.3, client CertificateVerify". */
XHR_API const void *xhr_signing_data(const struct xhr_signing *signing, size_t *ret_len);

/**
 * xhr_signing_answer() - the signature; @signing is no more after that, whatever is returned
 * @signature: NULL, or @len 0: refused, and the connection fails
 * Return: 0; -ESTALE when nobody waits for it any more: the server, the daemon or the client
 * has gone, or it took too long; -EMSGSIZE for more than 16,384 bytes (refused); -ENOMEM.
 */
XHR_API int xhr_signing_answer(struct xhr_signing *signing, const void *signature, size_t len);

#ifdef __cplusplus
}
#endif
