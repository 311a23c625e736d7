/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Cache-Control, of a request or of a response (RFC 9111 §5.2, RFC 5861), and the Pragma that
 * came before it. What a directive lets a cache do is decided in policy/; this file only says
 * what was written.
 *
 * Where the field is wrong it is read to the careful side: a lifetime that is no number is 0,
 * a directive that names fields ("no-cache=\"Set-Cookie\"") counts for the whole answer. What
 * comes twice counts as it came first (§4.2.1). A quote that is never closed counts as
 * no-store, for that is what it may hide.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "http/headers.h"

#define CACHE_SECONDS_MAX INT64_C(2147483648) /* §1.2.2: what is greater counts as this */

/* A directive's seconds; they count if it is there. */
struct cache_seconds {
    bool is_given;
    int64_t seconds; /* 0 … CACHE_SECONDS_MAX */
};

struct cache_control {
    bool no_store;
    bool no_cache;
    bool is_public;
    bool must_revalidate;
    bool must_understand;
    bool only_if_cached; /* of a request */
    struct cache_seconds max_age;
    struct cache_seconds s_maxage;       /* a private cache only sees that it is there */
    struct cache_seconds max_stale;      /* of a request; without a value CACHE_SECONDS_MAX */
    struct cache_seconds min_fresh;      /* of a request */
    struct cache_seconds stale_if_error; /* RFC 5861 §4 */
};

/* All Cache-Control lines of @headers; without one, "Pragma: no-cache" (§5.4). */
void cache_control_of(const struct headers *headers, struct cache_control *ret);

/* One field value over what @control holds: the lines of a field are one list. */
void cache_control_add(struct cache_control *control, struct span value);

/* delta-seconds of §1.2.2. Return: whether that is what @text is. */
bool cache_seconds_parse(struct span text, int64_t *ret);
