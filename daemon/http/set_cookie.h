/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Set-Cookie grammar (RFC 6265bis §5.6): one field value in, one cookie description out.
 *
 * Pure: no clock, no public-suffix list, no jar. What a cookie is *allowed* to do is decided
 * by policy/cookie_jar; this file only says what the server wrote.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"

#define SET_COOKIE_PAIR_MAX    4096 /* bytes, name + value: RFC 6265bis §5.6 step 5 */
#define SET_COOKIE_ATTR_MAX    1024 /* bytes, one attribute value: RFC 6265bis §5.6 step 7 */
#define SET_COOKIE_COMMENT_MAX 255  /* bytes; a longer one is ignored */

/* RFC 6265bis §5.5: 400 days. Max-Age is cut to it here; Expires needs the time of day and is
 * cut by the jar. */
#define SET_COOKIE_AGE_LIMIT_S (INT64_C(400) * 24 * 60 * 60)

enum set_cookie_outcome {
    SET_COOKIE_OK = 0,
    SET_COOKIE_E_EMPTY,    /* neither name nor value */
    SET_COOKIE_E_CTL,      /* a control character other than HTAB */
    SET_COOKIE_E_TOO_LONG, /* longer than SET_COOKIE_PAIR_MAX */
};

enum same_site {
    SAME_SITE_DEFAULT = 0, /* not said, or a word we do not know */
    SAME_SITE_NONE,
    SAME_SITE_LAX,
    SAME_SITE_STRICT,
};

/* Every span points into the field value given to set_cookie_parse(). */
struct set_cookie {
    struct span name;
    struct span value;
    struct span domain;  /* as written but for one leading dot; len 0: host-only */
    struct span path;    /* begins with '/'; len 0: use the default-path */
    struct span comment; /* RFC 2109 §4.2.2; kept for programs that ask for it, means nothing */
    int64_t max_age_s;   /* seconds, at most SET_COOKIE_AGE_LIMIT_S; 0 or less: expired */
    int64_t expires_s;   /* since 1970 */
    uint32_t version;    /* likewise */
    enum same_site same_site;
    bool has_path : 1;    /* there is a Path, of whatever value */
    bool has_max_age : 1; /* wins over Expires */
    bool has_expires : 1;
    bool secure : 1;
    bool http_only : 1;
    bool partitioned : 1;
};

/**
 * set_cookie_parse() - parse one Set-Cookie field value
 * @field:   the value, without the field name; at most one field line
 * @ret:     filled on SET_COOKIE_OK, untouched otherwise; borrows from @field
 *
 * Unknown attributes and attribute values longer than SET_COOKIE_ATTR_MAX are skipped, the last
 * of a repeated attribute wins.
 *
 * Return: SET_COOKIE_OK or one of enum set_cookie_outcome. Never fails for lack of memory.
 */
MUST_CHECK int set_cookie_parse(struct span field, struct set_cookie *ret);

/* Appends the field value that parses to the same. Return: 0, or -ENOMEM / -EMSGSIZE. */
MUST_CHECK int set_cookie_format(const struct set_cookie *cookie, struct buf *out);

const char *same_site_name(enum same_site same_site); /* "Lax"; "" for the default */
