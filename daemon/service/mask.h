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

#define MASK_NAME_MAX 19 /* bytes of the longest name of a field whose value may be secret */

/* What names of each length end with whose values may be secret, in lower case; 0: there are
 * none. Nearly all others are told by that. */
extern const unsigned char mask_finals[MASK_NAME_MAX + 1];

/* As "token", "key", "secret" and "password" do: X-Amz-Security-Token. */
static inline bool mask_ends_like_a_secret(const char *name, size_t len)
{
    if (len < 5 || ((name[len - 2] | 0x20) != 'e' && (name[len - 2] | 0x20) != 'r'))
        return false;
    char final = (char)(name[len - 1] | 0x20);
    return final == 'n' || final == 'y' || final == 't' || final == 'd';
}

static inline bool mask_may_concern(const char *name, size_t len)
{
    if (mask_ends_like_a_secret(name, len))
        return true;
    unsigned char final = len <= MASK_NAME_MAX ? mask_finals[len] : 0;

    return final && ((unsigned char)name[len - 1] | 0x20) == final;
}

/* The value of a field line called @name. Return: its new length. */
size_t mask_field(struct span name, char *value, size_t len);

/* Of a URL: the values in its query; login and fragment are the caller's to leave out. */
size_t mask_url(char *url, size_t len);
