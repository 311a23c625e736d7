/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two packers share: pack.c looks at the descriptor of each field each time, planned.c
 * has looked once. */

#include <string.h>

#include "wire/codec.h"
#include "wire/reader_priv.h"

static inline uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    if (value < 0x80) {
        *--at = (uint8_t)value;
        return at;
    }
    unsigned n = ((63U - (unsigned)__builtin_clzll(value)) * 9 + 73) / 64; /* bits / 7, up */
    at -= n;
    for (unsigned i = 0; i + 1 < n; i++, value >>= 7)
        at[i] = (uint8_t)(value | 0x80u);
    at[n - 1] = (uint8_t)value;
    return at;
}

/* A tag, and the number or the length behind it: at most WIRE_PACK_SPARE bytes. */
static inline uint8_t *put_head(uint8_t *at, uint32_t id, enum wire_type type, uint64_t value)
{
    return put_varint(put_varint(at, value), (uint64_t)id << 3 | type);
}

static inline bool has_room(const uint8_t *start, const uint8_t *at, size_t len)
{
    size_t left = (size_t)(at - start);

    return left >= WIRE_PACK_SPARE && left - WIRE_PACK_SPARE >= len;
}

static inline uint8_t *
put_delimited(const uint8_t *start, uint8_t *at, uint32_t id, const void *bytes, size_t len)
{
    if (!has_room(start, at, len))
        return NULL;
    at -= len;
    if (len > 0)
        memcpy(at, bytes, len);
    return put_head(at, id, DELIMITED, len);
}

static inline const void *member_at(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

/* As all of them: where the bytes begin with these before them, or NULL. */
uint8_t *wire_put_fields(const uint8_t *start, uint8_t *at, const ProtobufCMessage *message);
uint8_t *wire_put_field(const uint8_t *start,
                        uint8_t *at,
                        const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *message);
bool wire_is_two_of_bytes(const ProtobufCMessageDescriptor *type);
uint8_t *wire_put_lines(const uint8_t *start,
                        uint8_t *at,
                        const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *const *list,
                        size_t n);
