/* SPDX-License-Identifier: MIT */
/* encodeURIComponent and decodeURIComponent of ECMAScript (ECMA-262, "Encode" and "Decode"). */
#include <stdlib.h>
#include <string.h>

#include "xhr_priv.h"

#define UNRESERVED_MARKS "-_.!~*'()"

static bool is_plain(char c)
{
    char lower = xhr_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr(UNRESERVED_MARKS, c));
}

/* What decoding would not change is UTF-8. Return: 0, -EILSEQ or -ENOMEM. */
static int check_utf8(const char *text, size_t len)
{
    struct xhr_bytes decoded = {0};
    size_t at = 0;
    int r = 0;

    while (r == 0 && at < len) { /* NULs apart, which end a string */
        size_t part = strlen(text + at);

        decoded.len = 0;
        r = xhr_utf8_append(&decoded, text + at);
        if (r == 0 &&
            (decoded.len != part || memcmp(xhr_bytes_at(&decoded), text + at, part) != 0))
            r = -EILSEQ;
        at += part + 1;
    }
    xhr_bytes_done(&decoded);
    return r;
}

int xhr_encode_uri_component(const char *text, char **ret)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t len = strlen(text);
    int r = check_utf8(text, len);

    if (r < 0)
        return r;
    char *encoded = malloc(len * 3 + 1);
    if (!encoded)
        return -ENOMEM;
    char *at = encoded;
    for (; *text; text++) {
        if (is_plain(*text)) {
            *at++ = *text;
            continue;
        }
        *at++ = '%';
        *at++ = digits[(unsigned char)*text >> 4];
        *at++ = digits[(unsigned char)*text & 15];
    }
    *at = '\0';
    *ret = encoded;
    return 0;
}

/* Return: 0 to 15, or -1. */
static int digit_of(char c)
{
    char lower = xhr_lower(c);

    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Return: how many bytes, or -1 for a % without two digits. */
static ssize_t decode(const char *text, char *to)
{
    char *at = to;

    while (*text) {
        if (*text != '%') {
            *at++ = *text++;
            continue;
        }
        int high = digit_of(text[1]);
        int low = high < 0 ? -1 : digit_of(text[2]);

        if (low < 0)
            return -1;
        *at++ = (char)(high << 4 | low);
        text += 3;
    }
    *at = '\0';
    return at - to;
}

int xhr_decode_uri_component(const char *text, char **ret, size_t *ret_len)
{
    char *decoded = malloc(strlen(text) + 1);

    if (!decoded)
        return -ENOMEM;
    ssize_t len = decode(text, decoded);
    int r = len < 0 ? -EILSEQ : check_utf8(decoded, (size_t)len);
    if (r < 0) {
        free(decoded);
        return r;
    }
    *ret = decoded;
    if (ret_len)
        *ret_len = (size_t)len;
    return 0;
}
