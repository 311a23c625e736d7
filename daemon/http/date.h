/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Dates as HTTP writes them, in seconds since 1970 (UTC, no leap seconds). Own calendar
 * arithmetic: libc's reads locale, environment and globals.
 */

#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */

#define DATE_MIN_S     INT64_C(-62167219200) /* year 0 */
#define DATE_MAX_S     INT64_C(253402300799) /* the last second of 9999 */

/**
 * http_date_parse() - IMF-fixdate, RFC 850 date or asctime date (RFC 9110 §5.6.7)
 * @now_s: settles the century of a two-digit year: never more than 50 years ahead
 *
 * The name of the day is checked for its form, not against the date. A leap second counts as
 * the second before it.
 *
 * Return: 0, or -EINVAL.
 */
MUST_CHECK int http_date_parse(struct span text, int64_t now_s, int64_t *ret_s);

/**
 * cookie_date_parse() - the forgiving algorithm of RFC 6265 §5.1.1
 *
 * Years from 1601 to 9999. Return: 0, or -EINVAL where the algorithm says "fail".
 */
MUST_CHECK int cookie_date_parse(struct span text, int64_t *ret_s);

/* IMF-fixdate with a NUL. @date_s outside DATE_MIN_S … DATE_MAX_S is moved to the nearer end.
 */
void http_date_format(int64_t date_s, char ret[HTTP_DATE_SIZE]);
