/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where a message body ends (RFC 9112 §6.3), as pure functions of what is already parsed: one
 * for responses, which must not be fooled, one for the requests we send.
 *
 * Two readers that disagree about a length are how responses get smuggled. So what is doubtful
 * is refused, and what RFC 9112 lets us read but calls suspicious ends the connection's reuse.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct headers;

/* Bytes. Fits a signed 64-bit count, so that no reader after us can overflow. */
#define CONTENT_LENGTH_MAX ((uint64_t)INT64_MAX)

enum body_kind {
    BODY_NONE,        /* no body, whatever the fields say */
    BODY_LENGTH,      /* Content-Length bytes; may be 0 */
    BODY_CHUNKED,     /* RFC 9112 §7.1 */
    BODY_UNTIL_CLOSE, /* responses: ends with the connection */
    BODY_TUNNEL,      /* responses: what follows the head is no longer HTTP */
};

/* What the response answers, as far as its length depends on it. */
enum response_to {
    RESPONSE_TO_OTHER,
    RESPONSE_TO_HEAD,
    RESPONSE_TO_CONNECT,
    RESPONSE_TO_UPGRADE, /* the request carried Upgrade: 101 was asked for */
};

struct framing {
    enum body_kind kind;
    bool has_content_length;
    bool must_close;         /* readable, but the connection carries nothing after it */
    uint64_t content_length; /* as declared, also where no body follows (HEAD, 304) */
};

enum framing_outcome {
    FRAMING_OK = 0,
    FRAMING_E_CONTENT_LENGTH,    /* not one decimal number, or too big */
    FRAMING_E_TRANSFER_ENCODING, /* anything but the one word "chunked" */
};

/**
 * framing_of_response() - how long a response's body is
 * @headers:      of the response
 * @status:       100..999
 * @http_version: 10 or 11
 * @to:           what was asked
 * @ret:          filled on FRAMING_OK
 *
 * Content-Length and Transfer-Encoding together: Transfer-Encoding counts and the connection
 * is closed afterwards (§6.3 rule 3); so is it for Transfer-Encoding in an HTTP/1.0 response
 * or one that cannot have a body (§6.1). Content-Length: 5, 5 and the same field twice are
 * read as 5 (§6.3 rule 5).
 *
 * Return: one of enum framing_outcome.
 */
MUST_CHECK int framing_of_response(const struct headers *headers,
                                   unsigned status,
                                   unsigned http_version,
                                   enum response_to to,
                                   struct framing *ret);

/* Does "Connection" (or its absence, by version) let the connection live: RFC 9112 §9.3. */
bool framing_is_persistent(const struct headers *headers, unsigned http_version);

/**
 * framing_of_request() - how to announce the body of a request we send
 * @method: decides whether "no body" is said aloud: POST, PUT and PATCH get Content-Length: 0
 *          (RFC 9110 §8.6)
 * @has_body, @length_known, @length: what the caller has to send; a length over
 *          CONTENT_LENGTH_MAX counts as unknown
 *
 * Return: BODY_NONE (no framing field), BODY_LENGTH or BODY_CHUNKED.
 */
struct framing
framing_of_request(struct span method, bool has_body, bool length_known, uint64_t length);
