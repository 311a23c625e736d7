/* SPDX-License-Identifier: MIT */
#include "http/percent.h"

#include <stdint.h>

#include "base/ascii.h"

/* Bit n: the byte is in set n. One row is sixteen bytes; from 0x80 on all are in every set. */
/* clang-format off */
static const uint8_t members[128] = {
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f,
    0x7e, 0x00, 0x7e, 0x7c, 0x40, 0x40, 0x40, 0x08, 0x00, 0x00, 0x00, 0x40, 0x40, 0x00, 0x00, 0x60,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x60, 0x7e, 0x60, 0x7e, 0x70,
    0x60, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x60, 0x60, 0x70, 0x00,
    0x72, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x70, 0x60, 0x70, 0x00, 0x7f,
};
/* clang-format on */

static bool is_member(char c, enum percent_set set)
{
    unsigned char byte = (unsigned char)c;

    return byte >= 0x80 || (members[byte] >> set & 1) != 0;
}

static int append_encoded(struct buf *out, char c)
{
    static const char digits[] = "0123456789ABCDEF";
    unsigned char byte = (unsigned char)c;
    char triple[3] = {'%', digits[byte >> 4], digits[byte & 0xf]};

    return buf_append(out, (struct span){triple, sizeof(triple)});
}

int percent_encode(struct buf *out, struct span text, enum percent_set set)
{
    int r = 0;

    while (r == 0 && text.len > 0) {
        size_t n = 0;

        while (n < text.len && !is_member(text.ptr[n], set))
            n++;
        r = buf_append(out, span_take(text, n));
        text = span_drop(text, n);
        if (r == 0 && text.len > 0) {
            r = append_encoded(out, text.ptr[0]);
            text = span_drop(text, 1);
        }
    }
    return r;
}

/* The byte that %XX at the head of @text stands for, or -1. */
static int triple_value(struct span text)
{
    if (text.len < 3 || text.ptr[0] != '%')
        return -1;

    int high = ascii_hex_value(text.ptr[1]);
    int low = ascii_hex_value(text.ptr[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

int percent_decode(struct buf *out, struct span text)
{
    int r = buf_reserve(out, text.len);

    while (r == 0 && text.len > 0) {
        const char *percent = memchr(text.ptr, '%', text.len);
        size_t n = percent ? (size_t)(percent - text.ptr) : text.len;

        r = buf_append(out, span_take(text, n));
        text = span_drop(text, n);
        if (r < 0 || text.len == 0)
            break;
        int value = triple_value(text);
        r = buf_append_char(out, (char)(value < 0 ? '%' : value));
        text = span_drop(text, value < 0 ? 1 : 3);
    }
    return r;
}
