/* SPDX-License-Identifier: MIT */
#pragma once

/* Status codes: RFC 9110 §15 and IANA's registry. */

#include <stdbool.h>

#define STATUS_MIN                100
#define STATUS_EXPECTATION_FAILED 417
#define STATUS_TOO_EARLY          425 /* RFC 8470 §5.2 */
#define STATUS_MAX                999 /* three digits: what a status line can hold */

/* "Not Found"; "" for a code without a registered name. For HTTP/2, which has no reason phrase.
 */
const char *status_reason(unsigned code);

static inline bool status_is_informational(unsigned code)
{
    return code >= 100 && code <= 199;
}

static inline bool status_is_success(unsigned code)
{
    return code >= 200 && code <= 299;
}

/* Fetch "redirect status": 301 302 303 307 308; 300 and 304 lead nowhere. */
bool status_is_redirect(unsigned code);

/* Never followed by content, whatever the fields say: RFC 9110 §6.4.1. */
bool status_has_no_content(unsigned code);
