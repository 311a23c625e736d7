/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an answer says about how to log in: the challenges of WWW-Authenticate and
 * Proxy-Authenticate (RFC 9110 §11.6.1), of all field lines, several in a line.
 *
 * Pulled, borrowed, one pass: nothing is allocated. A line that breaks the grammar counts up to
 * the challenge that breaks it; the rest of that line is skipped, other lines are read.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/span.h"
#include "http/headers.h"

#define CHALLENGE_BYTES_MAX 65536 /* of field values; lines beyond are skipped */
#define CHALLENGES_MAX      50    /* of one answer; more are not looked at */

struct challenge {
    struct span scheme;  /* "Basic"; compare without case */
    struct span token68; /* len 0: none */
    struct span params;  /* for challenge_param_next(); len 0: none */
};

struct challenge_reader {
    const struct headers *headers;
    struct span name;
    size_t cursor;    /* of headers_find_next() */
    size_t bytes;     /* of the lines read so far */
    size_t count;     /* of the challenges given */
    struct span rest; /* of the line being read */
};

/* @headers: borrowed while reading. @name: "WWW-Authenticate" or "Proxy-Authenticate". */
void challenge_reader_init(struct challenge_reader *reader,
                           const struct headers *headers,
                           struct span name);

/* Return: whether there was one more; *ret borrows from the headers. */
bool challenge_next(struct challenge_reader *reader, struct challenge *ret);

/**
 * challenge_param_next() - the next auth-param of a challenge, of an Authentication-Info
 * @rest:      moved past it; a challenge's params, or a whole field value
 * @ret_value: with its quotes, if it had any: challenge_value()
 *
 * Return: whether there was one more; false also where the grammar is broken, and then
 * rest->len is not 0.
 */
bool challenge_param_next(struct span *rest, struct span *ret_name, struct span *ret_value);

/**
 * challenge_realm() - append what a challenge's realm means; nothing when it has none
 * Return: 0, or -ENOMEM / -EMSGSIZE (@out may hold a part).
 */
MUST_CHECK int challenge_realm(const struct challenge *challenge, struct buf *out);

/**
 * challenge_value() - append what a value means: without quotes and escapes
 * Return: 0, or -ENOMEM / -EMSGSIZE (@out may hold a part).
 */
MUST_CHECK int challenge_value(struct span value, struct buf *out);

/**
 * challenge_quote() - append a quoted-string that means @text (RFC 9110 §5.6.4)
 * Return: 0, or -ENOMEM / -EMSGSIZE (@out may hold a part).
 */
MUST_CHECK int challenge_quote(struct span text, struct buf *out);
