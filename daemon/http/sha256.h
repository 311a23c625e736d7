/* SPDX-License-Identifier: MIT */
#pragma once

/* SHA-256 (FIPS 180-4) in parts or at once, by libcrypto. Each state is its thread's own. */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define SHA256_BYTES 32

struct sha256 {
    void *context; /* NULL: not begun, or it failed for lack of memory */
};

/* Return: 0 or -ENOMEM; the same for all of these. A part that failed fails the end, too. */
MUST_CHECK int sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, struct span bytes);
/* Ends it: nothing is held after it. */
MUST_CHECK int sha256_end(struct sha256 *sha, uint8_t ret[SHA256_BYTES]);
void sha256_drop(struct sha256 *sha); /* without a result; also fine on a zeroed or ended one */

MUST_CHECK int sha256_of(struct span bytes, uint8_t ret[SHA256_BYTES]);
