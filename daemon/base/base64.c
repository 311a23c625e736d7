/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(struct buf *out, struct span bytes)
{
    int r = buf_reserve(out, (bytes.len / 3 + (bytes.len % 3 != 0)) * 4);

    if (r < 0)
        return r;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        unsigned a = (unsigned char)bytes.ptr[i];
        unsigned b = left > 1 ? (unsigned char)bytes.ptr[i + 1] : 0;
        unsigned c = left > 2 ? (unsigned char)bytes.ptr[i + 2] : 0;
        char *to = buf_tail(out);

        to[0] = alphabet[a >> 2];
        to[1] = alphabet[(a & 3) << 4 | b >> 4];
        to[2] = left > 1 ? alphabet[(b & 15) << 2 | c >> 6] : '=';
        to[3] = left > 2 ? alphabet[c & 63] : '=';
        buf_commit(out, 4);
    }
    return 0;
}
