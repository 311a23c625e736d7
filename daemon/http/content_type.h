/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Content-Type: type/subtype and the charset parameter (RFC 9110 §8.3, quoting as the WHATWG
 * MIME Sniffing standard reads it). Other parameters are passed over.
 */

#include "base/cleanup.h"
#include "base/span.h"

#define CONTENT_TYPE_CHARSET_MAX 40 /* RFC 2978 §2.3 */

struct content_type {
    struct span type;                           /* borrowed, as written */
    struct span subtype;                        /* borrowed, as written */
    char charset[CONTENT_TYPE_CHARSET_MAX + 1]; /* lower case; "" without one */
};

/* Return: 0, or -EINVAL when there is no type/subtype. */
MUST_CHECK int content_type_parse(struct span field, struct content_type *ret);

/* content_type_is(&ct, SPAN_LIT("text"), SPAN_LIT("html")), without case. */
bool content_type_is(const struct content_type *ct, struct span type, struct span subtype);
