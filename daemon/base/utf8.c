/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

/* What a lead byte promises, and the bounds of the byte behind it. */
struct lead {
    unsigned n_more;
    uint32_t bits;
    unsigned char low, high;
};

static bool read_lead(unsigned char c, struct lead *ret)
{
    if (c >= 0xc2 && c <= 0xdf)
        *ret = (struct lead){1, c & 0x1fU, 0x80, 0xbf};
    else if (c >= 0xe0 && c <= 0xef)
        *ret = (struct lead){2, c & 0x0fU, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf};
    else if (c >= 0xf0 && c <= 0xf4)
        *ret = (struct lead){3, c & 0x07U, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf};
    else
        return false;
    return true;
}

uint32_t utf8_next(struct span *text, bool *ret_bad)
{
    unsigned char c = (unsigned char)text->ptr[0];
    struct lead lead;

    *text = span_drop(*text, 1);
    *ret_bad = false;
    if (c < 0x80)
        return c;
    *ret_bad = true;
    if (!read_lead(c, &lead))
        return UTF8_REPLACEMENT;
    for (; lead.n_more > 0; lead.n_more--) {
        c = text->len ? (unsigned char)text->ptr[0] : 0;
        if (c < lead.low || c > lead.high)
            return UTF8_REPLACEMENT;
        lead.bits = lead.bits << 6 | (c & 0x3fU);
        lead.low = 0x80;
        lead.high = 0xbf;
        *text = span_drop(*text, 1);
    }
    *ret_bad = false;
    return lead.bits;
}

bool utf8_is_valid(struct span text)
{
    bool bad = false;

    while (text.len > 0 && !bad)
        (void)utf8_next(&text, &bad);
    return !bad;
}

int utf8_append(struct buf *out, uint32_t c)
{
    char bytes[4];
    size_t n;

    if (c < 0x80) {
        bytes[0] = (char)c;
        n = 1;
    } else if (c < 0x800) {
        bytes[0] = (char)(0xc0 | c >> 6);
        n = 2;
    } else if (c < 0x10000) {
        bytes[0] = (char)(0xe0 | c >> 12);
        n = 3;
    } else {
        bytes[0] = (char)(0xf0 | c >> 18);
        n = 4;
    }
    for (size_t i = 1; i < n; i++)
        bytes[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
    return buf_append(out, (struct span){bytes, n});
}

void utf8_make_presentable(char *text)
{
    struct span rest = span_of(text);
    char *out = text;

    while (rest.len > 0) {
        struct span from = rest;
        bool bad = false;
        uint32_t c = utf8_next(&rest, &bad);
        size_t len = from.len - rest.len;

        if (bad || c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            *out++ = '?';
            continue;
        }
        memmove(out, from.ptr, len);
        out += len;
    }
    *out = '\0';
}
