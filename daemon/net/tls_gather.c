/* SPDX-License-Identifier: MIT */
#include "net/tls_gather.h"

#include <string.h>

struct span tls_gather_next(struct tls_gather *gather)
{
    size_t len = 0;

    while (gather->n > 0 && len < TLS_RECORD_BYTES_MAX) {
        struct span piece = {(const char *)gather->iov->iov_base + gather->used,
                             gather->iov->iov_len - gather->used};
        bool is_alone = len == 0 && (gather->n == 1 || piece.len >= TLS_RECORD_BYTES_MAX);

        piece = span_take(piece, TLS_RECORD_BYTES_MAX - len);
        if (!is_alone && piece.len > 0)
            memcpy(gather->scratch + len, piece.ptr, piece.len);
        gather->used += piece.len;
        len += piece.len;
        if (gather->used == gather->iov->iov_len) {
            gather->iov++;
            gather->n--;
            gather->used = 0;
        }
        if (is_alone)
            return piece;
    }
    return (struct span){gather->scratch, len};
}
