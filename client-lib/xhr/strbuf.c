/* SPDX-License-Identifier: MIT */
#include "strbuf.h"

#include <stdlib.h>
#include <string.h>

#define STRBUF_FIRST_BYTES 256

void strbuf_done(struct strbuf *buf)
{
    free(buf->bytes);
    *buf = (struct strbuf){0};
}

void strbuf_clear(struct strbuf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->bytes)
        buf->bytes[0] = '\0';
}

const char *strbuf_text(const struct strbuf *buf)
{
    return buf->bytes ? buf->bytes : "";
}

char *strbuf_room(struct strbuf *buf, size_t len)
{
    size_t cap = buf->cap ? buf->cap : STRBUF_FIRST_BYTES;

    if (buf->failed)
        return NULL;
    if (len >= SIZE_MAX / 4 - buf->len) {
        buf->failed = true;
        return NULL;
    }
    while (cap < buf->len + len + 1)
        cap *= 2;
    if (cap > buf->cap) {
        char *bytes = realloc(buf->bytes, cap);

        if (!bytes) {
            buf->failed = true;
            return NULL;
        }
        buf->bytes = bytes;
        buf->cap = cap;
    }
    return buf->bytes + buf->len;
}

void strbuf_grow(struct strbuf *buf, size_t len)
{
    buf->len += len;
    buf->bytes[buf->len] = '\0';
}

void strbuf_add(struct strbuf *buf, const void *bytes, size_t len)
{
    char *room = strbuf_room(buf, len);

    if (!room)
        return;
    if (len > 0)
        memcpy(room, bytes, len);
    strbuf_grow(buf, len);
}

void strbuf_add_text(struct strbuf *buf, const char *text)
{
    if (text)
        strbuf_add(buf, text, strlen(text));
}

void strbuf_add_char(struct strbuf *buf, char c)
{
    strbuf_add(buf, &c, 1);
}

void strbuf_add_u64(struct strbuf *buf, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    strbuf_add(buf, digits + at, sizeof(digits) - at);
}

void strbuf_add_i64(struct strbuf *buf, int64_t number)
{
    if (number < 0)
        strbuf_add_char(buf, '-');
    strbuf_add_u64(buf, number < 0 ? UINT64_C(0) - (uint64_t)number : (uint64_t)number);
}

void strbuf_add_padded(struct strbuf *buf, uint64_t number, size_t digits)
{
    char text[20];

    if (digits > sizeof(text))
        digits = sizeof(text);
    for (size_t i = digits; i-- > 0; number /= 10)
        text[i] = (char)('0' + number % 10);
    strbuf_add(buf, text, digits);
}

void strbuf_add_seconds(struct strbuf *buf, uint64_t microseconds)
{
    strbuf_add_u64(buf, microseconds / 1000000);
    strbuf_add_char(buf, '.');
    strbuf_add_padded(buf, microseconds % 1000000, 6);
}

void strbuf_add_size(struct strbuf *buf, uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    unsigned step = 0;

    if (bytes < 1024) {
        strbuf_add_u64(buf, bytes);
        strbuf_add_text(buf, " B");
        return;
    }
    while (bytes >= UINT64_C(1024) * 1024) {
        bytes /= 1024;
        step++;
    }
    strbuf_add_u64(buf, bytes / 1024);
    strbuf_add_char(buf, '.');
    strbuf_add_u64(buf, bytes % 1024 * 10 / 1024);
    strbuf_add_char(buf, ' ');
    strbuf_add_char(buf, units[step]);
    strbuf_add_text(buf, "iB");
}

static bool is_continuation(const char *bytes, size_t len, size_t at)
{
    return at < len && ((unsigned char)bytes[at] & 0xC0) == 0x80;
}

/* Unicode table 3-7: what may stand second behind @first, of three and four. */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xE0: return second >= 0xA0;
    case 0xED: return second <= 0x9F;
    case 0xF0: return second >= 0x90;
    case 0xF4: return second <= 0x8F;
    default: return true;
    }
}

size_t utf8_sequence(const char *bytes, size_t len)
{
    unsigned char first = len > 0 ? (unsigned char)bytes[0] : 0xFF;
    size_t want = first < 0x80                     ? 1
                  : first >= 0xC2 && first <= 0xDF ? 2
                  : first >= 0xE0 && first <= 0xEF ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;

    for (size_t i = 1; i < want; i++) {
        if (!is_continuation(bytes, len, i))
            return 0;
    }
    return want >= 3 && !second_fits(first, (unsigned char)bytes[1]) ? 0 : want;
}

static void add_hex_byte(struct strbuf *buf, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";

    strbuf_add_char(buf, digits[byte >> 4]);
    strbuf_add_char(buf, digits[byte & 15]);
}

/* C0, DEL, and C1 in its UTF-8 form (which some terminals obey). */
static bool is_control(const char *bytes, size_t sequence)
{
    unsigned char first = (unsigned char)bytes[0];

    return first < 0x20 || first == 0x7F ||
           (sequence == 2 && first == 0xC2 && (unsigned char)bytes[1] < 0xA0);
}

void strbuf_add_shown(struct strbuf *buf, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t sequence = utf8_sequence(bytes, len);
        size_t taken = sequence > 0 ? sequence : 1;

        if (sequence > 0 && !is_control(bytes, sequence)) {
            strbuf_add(buf, bytes, sequence);
        } else {
            for (size_t i = 0; i < taken; i++) {
                strbuf_add_text(buf, "\\x");
                add_hex_byte(buf, (unsigned char)bytes[i]);
            }
        }
        bytes += taken;
        len -= taken;
    }
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~';
}

void strbuf_add_urlencoded(struct strbuf *buf, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (is_unreserved(bytes[i])) {
            strbuf_add_char(buf, bytes[i]);
        } else if (bytes[i] == ' ') {
            strbuf_add_char(buf, '+');
        } else {
            strbuf_add_char(buf, '%');
            add_hex_byte(buf, (unsigned char)bytes[i]);
        }
    }
}
