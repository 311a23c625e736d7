/* SPDX-License-Identifier: MIT */
#include "http/auth_bearer.h"

#define PREFIX SPAN_LIT("Bearer ")

bool auth_bearer_is_token(struct span token)
{
    for (size_t i = 0; i < token.len; i++) {
        if (token.ptr[i] < 0x21 || token.ptr[i] > 0x7e)
            return false;
    }
    return token.len > 0 && token.len <= AUTH_BEARER_MAX;
}

int auth_bearer_format(struct buf *out, struct span token)
{
    int r = buf_reserve(out, PREFIX.len + token.len);

    if (r == 0)
        r = buf_append(out, PREFIX);
    return r == 0 ? buf_append(out, token) : r;
}
