/* SPDX-License-Identifier: MIT */
/* Borrowed spans lie inside the input; what is formatted parses to the same cookie. */
#include <assert.h>
#include <stdint.h>

#include "http/set_cookie.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_inside(struct span part, struct span whole)
{
    assert(part.len == 0 ||
           (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len));
}

static void assert_same(const struct set_cookie *a, const struct set_cookie *b)
{
    assert(span_eq(a->name, b->name) && span_eq(a->value, b->value));
    assert(span_eq(a->domain, b->domain) && span_eq(a->path, b->path));
    assert(a->has_max_age == b->has_max_age && a->max_age_s == b->max_age_s);
    assert(a->has_expires == b->has_expires && a->expires_s == b->expires_s);
    assert(a->secure == b->secure && a->http_only == b->http_only);
    assert(a->has_path == b->has_path && a->version == b->version);
    assert(span_eq(a->comment, b->comment));
    assert(a->same_site == b->same_site && a->partitioned == b->partitioned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span field = {(const char *)data, size};
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct set_cookie cookie;
    struct set_cookie again;

    if (set_cookie_parse(field, &cookie) != SET_COOKIE_OK)
        return 0;
    assert(cookie.name.len + cookie.value.len <= SET_COOKIE_PAIR_MAX);
    assert_inside(cookie.name, field);
    assert_inside(cookie.value, field);
    assert_inside(cookie.domain, field);
    assert_inside(cookie.path, field);
    assert_inside(cookie.comment, field);
    assert(set_cookie_format(&cookie, &out) == 0);
    assert(set_cookie_parse(buf_span(&out), &again) == SET_COOKIE_OK);
    assert_same(&cookie, &again);
    return 0;
}
