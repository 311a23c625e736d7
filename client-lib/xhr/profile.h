/* SPDX-License-Identifier: MIT */
#pragma once

/* --profile: what the library and the daemon take, said before they refuse it. */

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PROFILE_LEN_MAX 31
#define PROFILE_WANTS   "wants 1 to 31 of a-z, 0-9, '_' and '-'"

static inline bool profile_is_valid(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= PROFILE_LEN_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == len;
}
