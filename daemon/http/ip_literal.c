/* SPDX-License-Identifier: MIT */
#include "http/ip_literal.h"

#include <errno.h>

#include "base/ascii.h"

#define NUMBER_CEILING (UINT64_C(1) << 40) /* any number past 2^32 is as wrong as this one */

/* The IPv4 number parser. Return: whether it is one; too great ones stop at the ceiling. */
static bool parse_number(struct span text, uint64_t *ret)
{
    unsigned radix = 10;
    uint64_t value = 0;

    if (text.len == 0)
        return false;
    if (text.len >= 2 && text.ptr[0] == '0' && ascii_lower(text.ptr[1]) == 'x') {
        radix = 16;
        text = span_drop(text, 2);
    } else if (text.len >= 2 && text.ptr[0] == '0') {
        radix = 8;
        text = span_drop(text, 1);
    }
    for (size_t i = 0; i < text.len; i++) {
        int digit = ascii_hex_value(text.ptr[i]);

        if (digit < 0 || (unsigned)digit >= radix)
            return false;
        if (value < NUMBER_CEILING)
            value = value * radix + (unsigned)digit;
    }
    *ret = value;
    return true;
}

static bool all_digits(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

bool ipv4_is_meant(struct span host)
{
    uint64_t ignored;

    if (host.len > 1 && host.ptr[host.len - 1] == '.')
        host.len--;

    const char *dot = host.len ? memrchr(host.ptr, '.', host.len) : NULL;
    struct span last = dot ? span_drop(host, (size_t)(dot - host.ptr) + 1) : host;
    return all_digits(last) || parse_number(last, &ignored);
}

int ipv4_parse(struct span text, uint32_t *ret)
{
    uint64_t numbers[4];
    unsigned count = 0;
    bool more = true;

    if (text.len > 1 && text.ptr[text.len - 1] == '.')
        text.len--;
    while (more) {
        struct span part;

        more = span_split(&text, '.', &part);
        if (count == 4 || !parse_number(part, &numbers[count]))
            return -EINVAL;
        count++;
    }

    uint64_t address = numbers[count - 1];
    if (address >= UINT64_C(1) << (8 * (5 - count)))
        return -EINVAL;
    for (unsigned i = 0; i + 1 < count; i++) {
        if (numbers[i] > 255)
            return -EINVAL;
        address += numbers[i] << (8 * (3 - i));
    }
    *ret = (uint32_t)address;
    return 0;
}

size_t ipv4_format(uint32_t address, char ret[IPV4_TEXT_SIZE])
{
    size_t len = 0;

    for (int shift = 24; shift >= 0; shift -= 8) {
        unsigned byte = address >> shift & 0xff;

        if (byte >= 100)
            ret[len++] = (char)('0' + byte / 100);
        if (byte >= 10)
            ret[len++] = (char)('0' + byte / 10 % 10);
        ret[len++] = (char)('0' + byte % 10);
        if (shift > 0)
            ret[len++] = '.';
    }
    ret[len] = '\0';
    return len;
}

/* Four decimal numbers without leading zeros, as the tail of an IPv6 address has them. */
static bool parse_embedded_ipv4(struct span text, uint16_t ret[2])
{
    uint32_t address = 0;

    for (int i = 0; i < 4; i++) {
        struct span part;
        unsigned value = 0;

        if (span_split(&text, '.', &part) != (i < 3))
            return false;
        if (!all_digits(part) || part.len > 3 || (part.len > 1 && part.ptr[0] == '0'))
            return false;
        for (size_t j = 0; j < part.len; j++)
            value = value * 10 + (unsigned)(part.ptr[j] - '0');
        if (value > 255)
            return false;
        address = address << 8 | value;
    }
    ret[0] = (uint16_t)(address >> 16);
    ret[1] = (uint16_t)(address & 0xffff);
    return true;
}

struct ipv6_reader {
    struct span rest;
    uint16_t groups[8];
    int count;
    int gap; /* groups before "::", or -1 */
};

/* One group, or the IPv4 address at the end, and what separates it from the next. */
static bool read_group(struct ipv6_reader *reader)
{
    struct span *rest = &reader->rest;
    unsigned value = 0;
    size_t n = 0;

    for (; n < 4 && n < rest->len && ascii_hex_value(rest->ptr[n]) >= 0; n++)
        value = value * 16 + (unsigned)ascii_hex_value(rest->ptr[n]);
    if (n < rest->len && rest->ptr[n] == '.') {
        if (n == 0 || reader->count > 6 ||
            !parse_embedded_ipv4(*rest, &reader->groups[reader->count]))
            return false;
        reader->count += 2;
        *rest = (struct span){0};
        return true;
    }
    if (n == 0)
        return false;
    reader->groups[reader->count++] = (uint16_t)value;
    *rest = span_drop(*rest, n);
    if (rest->len == 0)
        return true;
    /* A colon promises another group; after "::" that need not be kept. */
    if (rest->ptr[0] != ':' || rest->len == 1)
        return false;
    *rest = span_drop(*rest, 1);
    return true;
}

int ipv6_parse(struct span text, uint16_t ret[8])
{
    struct ipv6_reader reader = {.rest = text, .gap = -1};

    if (text.len < 2)
        return -EINVAL;
    if (text.ptr[0] == ':') {
        if (text.ptr[1] != ':')
            return -EINVAL;
        reader.rest = span_drop(text, 1);
    }
    while (reader.rest.len > 0) {
        if (reader.rest.ptr[0] == ':') {
            if (reader.gap >= 0)
                return -EINVAL;
            reader.gap = reader.count;
            reader.rest = span_drop(reader.rest, 1);
        } else if (reader.count == 8 || !read_group(&reader)) {
            return -EINVAL;
        }
    }
    /* "::" stands for one group at least. */
    if (reader.gap < 0 ? reader.count != 8 : reader.count > 7)
        return -EINVAL;

    int head = reader.gap < 0 ? 8 : reader.gap;
    int tail = reader.count - head;
    for (int i = 0; i < 8; i++) {
        int from = i < head ? i : i - (8 - reader.count);

        ret[i] = i < head || i >= 8 - tail ? reader.groups[from] : 0;
    }
    return 0;
}

/* The first of the longest runs of two zero groups or more. Return: its length, or 0. */
static int longest_zero_run(const uint16_t groups[8], int *ret_start)
{
    int best = 1;

    for (int i = 0; i < 8; i++) {
        int n = 0;

        while (i + n < 8 && groups[i + n] == 0)
            n++;
        if (n > best) {
            best = n;
            *ret_start = i;
        }
        i += n;
    }
    return best > 1 ? best : 0;
}

size_t ipv6_format(const uint16_t groups[8], char ret[IPV6_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    int start = -1;
    int run = longest_zero_run(groups, &start);
    size_t len = 0;

    for (int i = 0; i < 8; i++) {
        if (run > 0 && i == start) {
            if (i == 0)
                ret[len++] = ':';
            ret[len++] = ':';
            i += run - 1;
            continue;
        }
        int shift = 12;
        while (shift > 0 && groups[i] >> shift == 0)
            shift -= 4;
        for (; shift >= 0; shift -= 4)
            ret[len++] = digits[groups[i] >> shift & 0xf];
        if (i < 7)
            ret[len++] = ':';
    }
    ret[len] = '\0';
    return len;
}
