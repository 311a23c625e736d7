/* SPDX-License-Identifier: MIT */
#include "base/span.h"

#include "base/ascii.h"

bool span_ieq_bytes(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i] && ascii_lower(a[i]) != ascii_lower(b[i]))
            return false;
    }
    return true;
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && span_eq(span_take(s, prefix.len), prefix);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return suffix.len == 0 ||
           (s.len >= suffix.len && span_eq(span_drop(s, s.len - suffix.len), suffix));
}

struct span span_trim_ows(struct span s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool span_split(struct span *rest, char sep, struct span *ret_head)
{
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;

    if (!at) {
        *ret_head = *rest;
        *rest = (struct span){0};
        return false;
    }
    *ret_head = (struct span){rest->ptr, (size_t)(at - rest->ptr)};
    *rest = (struct span){at + 1, rest->len - ret_head->len - 1};
    return true;
}
