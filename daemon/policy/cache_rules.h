/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a private cache may keep, for which requests it is an answer, and what ends it: RFC 9111
 * §3, §4.1, §4.3 and §4.4 as questions. One user's partition holds several logins and several
 * cookie jars; they are kept apart more strictly than a browser's cache would:
 *
 * * Answers to a request with credentials are kept, and served to such requests, only where
 *   a shared cache could do so too (§3.5).
 * * An answer that came in a coding depends on Accept-Encoding, whether or not Vary says so.
 * * Set-Cookie is not kept: a stored answer sets nothing.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "http/cache_control.h"
#include "http/headers.h"
#include "http/sha256.h"
#include "http/url.h"

#define CACHE_VARY_BYTES_MAX 1024  /* of field names; an answer with more is not kept */
#define CACHE_HEADERS_MAX    256   /* field lines of an answer; the same */
#define CACHE_HEAD_BYTES_MAX 32768 /* all of them; the same */
#define CACHE_URL_BYTES_MAX  4096  /* of an answer that is kept */

/* §3, §4, as far as the request goes: is it one to be answered from the cache and, of GET, to
 * be kept in it? A body, a method other than GET and HEAD, a condition or a Range of the
 * caller's: no. */
bool cache_takes_request(struct span method, const struct headers *fields);

/* Is this a request with credentials (§3.5)? */
bool cache_has_credentials(const struct headers *fields);

struct cache_candidate {
    unsigned status;
    const struct headers *headers; /* of the answer, as they came */
    const struct headers *request; /* fields as they went out */
    bool has_credentials;          /* went with some, whatever the fields show */
    int64_t response_time_s;
};

/* §3. */
bool cache_may_keep(const struct cache_candidate *candidate);

/* May an answer with these fields go to a request with credentials, or be kept from one? */
bool cache_is_shared(const struct headers *headers);

/* Field names the choice of the answer depends on, joined. Return: 0; -EMSGSIZE: too many, or
 * "*"; -ENOMEM. */
MUST_CHECK int cache_vary_of(const struct headers *answer, struct buf *out);

/**
 * cache_vary_digest() - what a request says in the fields that matter (§4.1)
 * @vary: names as cache_vary_of() gave them
 *
 * Two requests with the same digest get the same answer. White space and how a list is cut into
 * lines does not count. Return: 0 or -ENOMEM.
 */
MUST_CHECK int
cache_vary_digest(struct span vary, const struct headers *request, uint8_t ret[SHA256_BYTES]);

/* §3.1: appends what is kept of an answer's fields. Return: 0, -ENOMEM, -EMSGSIZE. */
MUST_CHECK int cache_keep_headers(const struct headers *from, struct headers *to);

/* §4.3.1: what makes a request a question whether @stored is still good. Return: as above. */
MUST_CHECK int cache_add_conditions(const struct headers *stored, struct headers *request);
bool cache_has_validator(const struct headers *headers);

/* §4.3.4: is the 304 about this stored answer? */
bool cache_304_fits(const struct headers *stored, const struct headers *answer);

/* §4.3.5: does the answer to a HEAD say that what is stored of the GET is another thing? */
bool cache_head_contradicts(const struct headers *stored, const struct headers *answer);

/* §3.2: @stored with what the 304 says anew, into the empty @ret. Return: as above. */
MUST_CHECK int cache_merge_304(const struct headers *stored,
                               const struct headers *answer,
                               struct headers *ret);

/* §4.4: does this answer end what is kept of the URL? */
bool cache_invalidates(struct span method, unsigned status);

/**
 * cache_related_url() - the URL in Location or Content-Location, which ends with it
 * @ret: filled on 1, to be ended with url_done()
 * Return: 1; 0 when there is none, it is no URL or of another origin; -ENOMEM.
 */
MUST_CHECK int cache_related_url(const struct url *target,
                                 const struct headers *answer,
                                 struct span name,
                                 struct url *ret);

/* Under which an answer is kept: without fragment and login. Return: 0, -ENOMEM, -EMSGSIZE. */
MUST_CHECK int cache_key_of(const struct url *url, struct buf *out);

/* Is this key what @what names: a URL, "host", "host:port"; empty: anything? */
bool cache_url_is(struct span url, struct span what);
