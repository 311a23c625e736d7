/* SPDX-License-Identifier: MIT */
#pragma once

/* Lists and parameters inside field values: RFC 9110 §5.6.1 and §5.6.6. */

#include "base/span.h"
#include "http/headers.h"

/**
 * field_list_next() - the next element of a comma-separated list
 * @rest: moved past the element
 *
 * Commas inside quoted strings do not separate; empty elements are skipped; white space round
 * an element is cut off. An open quoted string reaches to the end.
 *
 * Return: whether there was one.
 */
bool field_list_next(struct span *rest, struct span *ret_item);

/**
 * field_param_next() - the next ";"-separated part of an element
 * @rest:      moved past the part
 * @ret_value: right of the "=", still quoted if it was; len 0 without one
 *
 * The first part is the element's own value ("chunked", "text/html"). Return: whether there was
 * one; empty parts are skipped.
 */
bool field_param_next(struct span *rest, struct span *ret_name, struct span *ret_value);

/* Whether one element of the list is this token, without case ("close" in a Connection value).
 */
bool field_list_has(struct span list, struct span token);

/* The same over all lines of a name. */
bool headers_list_has(const struct headers *headers, struct span name, struct span token);
