/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A borrowed run of bytes: not owned, not NUL-terminated, may hold NUL. Valid as long as the
 * storage it points into.
 */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *ptr;
    size_t len;
};

#define SPAN_LIT(s) ((struct span){.ptr = (s), .len = sizeof(s) - 1})

/* NULL is the empty span. */
static inline struct span span_of(const char *text)
{
    return (struct span){text, text ? strlen(text) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline struct span span_drop(struct span s, size_t n)
{
    return n >= s.len ? (struct span){0} : (struct span){s.ptr + n, s.len - n};
}

static inline struct span span_take(struct span s, size_t n)
{
    return n >= s.len ? s : (struct span){s.ptr, n};
}

/* The rest of span_ieq(): @a and @b have the same length. */
bool span_ieq_bytes(const char *a, const char *b, size_t len);

/* ASCII only, whatever the locale: RFC 9110 §5.1. */
static inline bool span_ieq(struct span a, struct span b)
{
    /* Letters differ from themselves in another case by one bit: most names that are not the
     * same part here, on their first byte. */
    return a.len == b.len && (a.len == 0 || (((a.ptr[0] ^ b.ptr[0]) & ~0x20) == 0 &&
                                             span_ieq_bytes(a.ptr, b.ptr, a.len)));
}
bool span_starts_with(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);

/* OWS = *( SP / HTAB ): RFC 9110 §5.6.3. */
struct span span_trim_ows(struct span s);

/* Cuts *rest at the first sep. Returns whether sep was there; without it head is all of rest.
 */
bool span_split(struct span *rest, char sep, struct span *ret_head);
