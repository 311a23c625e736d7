/* SPDX-License-Identifier: MIT */
#pragma once

/* Request methods: RFC 9110 §9, normalised as Fetch does. */

#include "base/span.h"

#define METHOD_BYTES_MAX 64 /* none in IANA's registry is longer than 17 */

/* token of RFC 9110 §5.6.2 of at most METHOD_BYTES_MAX bytes. */
bool method_is_token(struct span method);

bool method_is_safe(struct span method); /* RFC 9110 §9.2.1; unknown ones are not */
bool method_is_idempotent(
    struct span method); /* RFC 9110 §9.2.2: a lost one may be sent again */

/* CONNECT asks for a tunnel, TRACE echoes credentials, TRACK is TRACE: never a caller's. */
bool method_is_forbidden(struct span method);

/* "get" is GET, for DELETE GET HEAD OPTIONS POST PUT; anything else stays as it is, patch too
 * (Fetch "normalize a method"). Return: @method or a literal. */
struct span method_normalise(struct span method);
