/* SPDX-License-Identifier: MIT */
#pragma once

/* The value of Authorization for a bearer token: RFC 6750 §2.1. */

#include "base/buf.h"

#define AUTH_BEARER_MAX 16384 /* bytes of a token */

/* Printable ASCII without blanks: more than RFC 6750's b64token, as issuers give more. */
bool auth_bearer_is_token(struct span token);

/* Appends "Bearer TOKEN". Return: 0, or -ENOMEM / -EMSGSIZE (@out unchanged). */
MUST_CHECK int auth_bearer_format(struct buf *out, struct span token);
