/* SPDX-License-Identifier: MIT */
#pragma once

/* The pieces of a write, cut and put together to records: one piece as it is, or several small
 * ones in one. */

#include <stddef.h>
#include <sys/uio.h>

#include "base/span.h"

#define TLS_RECORD_BYTES_MAX 16384 /* plaintext of one record: RFC 8446 §5.1 */

struct tls_gather {
    const struct iovec *iov;
    int n;
    size_t used; /* of iov[0] */
    char scratch[TLS_RECORD_BYTES_MAX];
};

static inline void tls_gather_init(struct tls_gather *gather, const struct iovec *iov, int n)
{
    gather->iov = iov; /* the scratch buffer is not worth a memset */
    gather->n = n;
    gather->used = 0;
}

/* Return: the next record's bytes, good until the next call; empty: that was all. */
struct span tls_gather_next(struct tls_gather *gather);
