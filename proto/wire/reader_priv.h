/* SPDX-License-Identifier: MIT */
#pragma once

/* What this folder's readers of messages share. */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VARINT_BYTES_MAX 10

enum wire_type { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

struct reader {
    const uint8_t *at;
    size_t left;
};

/* Return: false when the varint does not end within @bytes_max bytes. */
static inline bool read_varint_of(struct reader *reader, unsigned bytes_max, uint64_t *ret)
{
    uint64_t value = 0;

    if (reader->left > 0 && !(reader->at[0] & 0x80u)) { /* nearly every tag and length */
        *ret = *reader->at++;
        reader->left--;
        return true;
    }
    for (unsigned i = 0; i < bytes_max && i < reader->left; i++) {
        value |= (uint64_t)(reader->at[i] & 0x7fu) << (7 * i);
        if (!(reader->at[i] & 0x80u)) {
            reader->at += i + 1;
            reader->left -= i + 1;
            *ret = value;
            return true;
        }
    }
    return false;
}

static inline bool read_varint(struct reader *reader, uint64_t *ret)
{
    return read_varint_of(reader, VARINT_BYTES_MAX, ret);
}

/* Types of the schema that travel as a varint; any other number is protobuf-c's business. */
static inline bool is_number(const ProtobufCFieldDescriptor *field)
{
    const unsigned numbers = 1U << PROTOBUF_C_TYPE_UINT32 | 1U << PROTOBUF_C_TYPE_UINT64 |
                             1U << PROTOBUF_C_TYPE_INT64 | 1U << PROTOBUF_C_TYPE_BOOL |
                             1U << PROTOBUF_C_TYPE_ENUM;

    return numbers >> field->type & 1U;
}

static inline bool is_wide(const ProtobufCFieldDescriptor *field)
{
    const unsigned wide = 1U << PROTOBUF_C_TYPE_UINT64 | 1U << PROTOBUF_C_TYPE_INT64;

    return wide >> field->type & 1U;
}
