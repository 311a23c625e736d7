/* SPDX-License-Identifier: MIT */
#include "wire/precheck.h"

#include <string.h>

#include "wire/reader_priv.h"

struct walk {
    size_t fields; /* seen so far, on all levels */
};

static bool skip(struct reader *reader, uint64_t len)
{
    if (len > reader->left)
        return false;
    reader->at += len;
    reader->left -= (size_t)len;
    return true;
}

static enum wire_verdict check_enum(const ProtobufCFieldDescriptor *field, uint64_t value)
{
    const ProtobufCEnumDescriptor *descriptor = field->descriptor;

    /* An enum travels as int32; what does not fit has no name either. */
    if (value > INT32_MAX || !protobuf_c_enum_descriptor_get_value(descriptor, (int)value))
        return WIRE_UNKNOWN_ENUM;
    return WIRE_FINE;
}

static enum wire_verdict check_message(struct walk *walk,
                                       const ProtobufCMessageDescriptor *descriptor,
                                       struct reader reader,
                                       unsigned depth);

/* @content lies wholly inside the message. @field may be NULL: unknown. */
static enum wire_verdict check_delimited(struct walk *walk,
                                         const ProtobufCFieldDescriptor *field,
                                         struct reader content,
                                         unsigned depth)
{
    if (!field || field->type == PROTOBUF_C_TYPE_BYTES)
        return WIRE_FINE;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (depth == WIRE_DEPTH_MAX)
            return WIRE_BAD_SYNTAX;
        return check_message(walk, field->descriptor, content, depth + 1);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return memchr(content.at, 0, content.left) ? WIRE_BAD_STRING : WIRE_FINE;
    /* A packed array: every byte may be an element. Its enum values would go unseen, and the
     * schema has none. */
    if (field->type == PROTOBUF_C_TYPE_ENUM)
        return WIRE_UNKNOWN_ENUM;
    walk->fields += content.left;
    return walk->fields > WIRE_FIELDS_MAX ? WIRE_TOO_MANY_FIELDS : WIRE_FINE;
}

static enum wire_verdict check_field(struct walk *walk,
                                     const ProtobufCFieldDescriptor *field,
                                     enum wire_type type,
                                     struct reader *reader,
                                     unsigned depth)
{
    uint64_t value = 0;

    switch (type) {
    case VARINT:
        if (!read_varint(reader, &value))
            return WIRE_BAD_SYNTAX;
        return field && field->type == PROTOBUF_C_TYPE_ENUM ? check_enum(field, value)
                                                            : WIRE_FINE;
    case FIXED64: return skip(reader, 8) ? WIRE_FINE : WIRE_BAD_SYNTAX;
    case FIXED32: return skip(reader, 4) ? WIRE_FINE : WIRE_BAD_SYNTAX;
    case DELIMITED: {
        if (!read_varint(reader, &value))
            return WIRE_BAD_SYNTAX;
        struct reader content = {reader->at, (size_t)value};
        return skip(reader, value) ? check_delimited(walk, field, content, depth)
                                   : WIRE_BAD_SYNTAX;
    }
    default: return WIRE_BAD_SYNTAX;
    }
}

/* Goes at most WIRE_DEPTH_MAX deep. NOLINTNEXTLINE(misc-no-recursion) */
static enum wire_verdict check_message(struct walk *walk,
                                       const ProtobufCMessageDescriptor *descriptor,
                                       struct reader reader,
                                       unsigned depth)
{
    while (reader.left > 0) {
        uint64_t tag = 0;

        if (!read_varint(&reader, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
            return WIRE_BAD_SYNTAX;
        if (++walk->fields > WIRE_FIELDS_MAX)
            return WIRE_TOO_MANY_FIELDS;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(tag >> 3));
        enum wire_verdict verdict =
            check_field(walk, field, (enum wire_type)(tag & 7u), &reader, depth);
        if (verdict != WIRE_FINE)
            return verdict;
    }
    return WIRE_FINE;
}

enum wire_verdict
wire_precheck(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len)
{
    struct walk walk = {0};

    return check_message(&walk, descriptor, (struct reader){bytes, len}, 1);
}

const char *wire_verdict_text(enum wire_verdict verdict)
{
    static const char *const texts[] = {
        [WIRE_FINE] = "fine",
        [WIRE_BAD_SYNTAX] = "not a protobuf message",
        [WIRE_TOO_MANY_FIELDS] = "more fields than a message may have",
        [WIRE_UNKNOWN_ENUM] = "a number its enum does not have",
        [WIRE_BAD_STRING] = "a string with a NUL in it",
    };

    return texts[verdict];
}
