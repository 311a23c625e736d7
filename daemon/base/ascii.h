/* SPDX-License-Identifier: MIT */
#pragma once

/* ASCII classes, whatever the locale says. */

#include <stdbool.h>

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool ascii_is_alpha(char c)
{
    return ascii_is_upper(c) || (c >= 'a' && c <= 'z');
}

static inline bool ascii_is_alnum(char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c);
}

static inline char ascii_lower(char c)
{
    return ascii_is_upper(c) ? (char)(c | 0x20) : c;
}

static inline char ascii_upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
}

/* Value of a hexadecimal digit, or -1. */
static inline int ascii_hex_value(char c)
{
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

extern const bool ascii_tchar_table[256];

/* tchar of RFC 9110 §5.6.2: what methods and field names are made of. */
static inline bool ascii_is_tchar(char c)
{
    return ascii_tchar_table[(unsigned char)c];
}
