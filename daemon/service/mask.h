/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Secrets out of what is kept for people to look at: values of cookies, credentials and
 * parameters in queries become "***" (or fewer stars, for what was shorter), names and
 * everything else stay. In place; what it leaves behind the new end is wiped.
 */

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/span.h"

/* Of which lengths names are whose values may be secret: nearly all others are told by that. */
#define MASK_LENGTHS                                                                           \
    (1U << 6 | 1U << 7 | 1U << 8 | 1U << 9 | 1U << 10 | 1U << 11 | 1U << 12 | 1U << 13 |       \
     1U << 16 | 1U << 19)

static inline bool mask_may_concern(size_t name_len)
{
    return name_len < 32 && (MASK_LENGTHS >> name_len & 1);
}

/* The value of a field line called @name. Return: its new length. */
size_t mask_field(struct span name, char *value, size_t len);

/* Of a URL: the values in its query; login and fragment are the caller's to leave out. */
size_t mask_url(char *url, size_t len);
