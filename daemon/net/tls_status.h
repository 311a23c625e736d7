/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether the server's certificate has been revoked, as the server itself proves it: the OCSP
 * response that it staples to its handshake (RFC 6066 §8, RFC 6960). Asked for on demand only,
 * and then there must be one: signed by the certificate's issuer or by whom the issuer has
 * named for it, about this very certificate, fresh, and good. Nobody else is asked: no request
 * goes to a responder.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/failure.h"

struct ssl_st;

#define TLS_STATUS_RESPONSES_MAX 64  /* in one staple; servers send one */
#define TLS_STATUS_SKEW_S        300 /* between our clock and the responder's */
/* Of one that does not say itself when there will be a newer one. */
#define TLS_STATUS_AGE_MAX_S (7 * 86400)

/**
 * tls_status_holds() - judge the staple of a handshake that is complete and not resumed
 * @ssl: its chain has been verified
 * Return: whether the certificate is good; if not, *ret_why says what is wrong.
 */
bool tls_status_holds(struct ssl_st *ssl, int64_t now_s, struct failure *ret_why);
