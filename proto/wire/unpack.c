/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "wire/codec.h"
#include "wire/precheck.h"
#include "wire/reader_priv.h"

#define HEAD_BYTES_MAX 5 /* of a tag or a length, as protobuf-c reads them */
#define LIST_MIN       8 /* places of a repeated field's first list; doubled when full */

struct taker {
    uint8_t *block; /* what is left of it */
    size_t left;
    size_t fields; /* seen so far, on all levels */
};

static void *allocate(struct taker *taker, size_t size)
{
    void *piece = taker->block;

    size = (size + 7) & ~(size_t)7;
    if (size > taker->left)
        return NULL;
    taker->block += size;
    taker->left -= size;
    return piece;
}

static void *take_message(struct taker *taker,
                          const ProtobufCMessageDescriptor *type,
                          struct reader from,
                          unsigned depth);

static bool take_string(struct taker *taker,
                        const ProtobufCFieldDescriptor *field,
                        struct reader from,
                        void *to)
{
    if (from.left == 0) {
        *(const void **)to = field->default_value; /* "" */
        return field->default_value != NULL;
    }
    char *text = memchr(from.at, 0, from.left) ? NULL : allocate(taker, from.left + 1);
    if (!text)
        return false;
    memcpy(text, from.at, from.left);
    text[from.left] = '\0';
    *(char **)to = text;
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static bool take_delimited(struct taker *taker,
                           const ProtobufCFieldDescriptor *field,
                           struct reader *from,
                           void *to,
                           unsigned depth)
{
    uint64_t len = 0;

    if (!read_varint_of(from, HEAD_BYTES_MAX, &len) || len > from->left)
        return false;
    struct reader content = {from->at, (size_t)len};
    from->at += len;
    from->left -= (size_t)len;
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        ProtobufCBinaryData *bytes = to;

        bytes->len = content.left;
        bytes->data = content.left ? (uint8_t *)(uintptr_t)content.at : NULL;
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return take_string(taker, field, content, to);
    void *message = field->type == PROTOBUF_C_TYPE_MESSAGE && depth < WIRE_DEPTH_MAX
                        ? take_message(taker, field->descriptor, content, depth + 1)
                        : NULL;
    *(void **)to = message;
    return message != NULL;
}

static bool take_number(const ProtobufCFieldDescriptor *field, struct reader *from, void *to)
{
    const uint8_t *begin = from->at;
    uint64_t value = 0;

    if (!read_varint(from, &value))
        return false;
    if (from->at - begin == VARINT_BYTES_MAX && from->at[-1] > 1)
        return false; /* more than 64 bits */
    if (is_wide(field)) {
        *(uint64_t *)to = value;
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_ENUM &&
        (value > INT32_MAX ||
         !protobuf_c_enum_descriptor_get_value(field->descriptor, (int)value)))
        return false;
    *(uint32_t *)to = field->type == PROTOBUF_C_TYPE_BOOL ? value != 0 : (uint32_t)value;
    return true;
}

static inline void *member_at(ProtobufCMessage *message, unsigned offset)
{
    return (uint8_t *)message + offset;
}

/* A place at the end of a list of messages or `bytes`. Return: NULL: no room. */
static void *append(struct taker *taker,
                    const ProtobufCFieldDescriptor *field,
                    ProtobufCMessage *message,
                    size_t size)
{
    size_t *n = member_at(message, field->quantifier_offset);
    uint8_t **list = member_at(message, field->offset);

    if (*n == 0 || (*n >= LIST_MIN && (*n & (*n - 1)) == 0)) {
        uint8_t *longer = allocate(taker, (*n ? 2 * *n : LIST_MIN) * size);

        if (!longer)
            return NULL;
        if (*n > 0)
            memcpy(longer, *list, *n * size);
        *list = longer;
    }
    return *list + (*n)++ * size;
}

/* Where the field's value belongs. Return: NULL: protobuf-c's business. */
static void *
place_of(struct taker *taker, const ProtobufCFieldDescriptor *field, ProtobufCMessage *message)
{
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    void *place = member_at(message, field->offset);

    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t *which = member_at(message, field->quantifier_offset);

        if (*which != 0)
            return NULL;
        *which = field->id;
        return place;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        if (!is_message && field->type != PROTOBUF_C_TYPE_BYTES)
            return NULL;
        return append(taker, field, message,
                      is_message ? sizeof(void *) : sizeof(ProtobufCBinaryData));
    }
    if (is_message) /* a second one would have to be merged */
        return *(void **)place ? NULL : place;
    return field->label == PROTOBUF_C_LABEL_NONE ? place : NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static bool take_field(struct taker *taker,
                       const ProtobufCFieldDescriptor *field,
                       struct reader *from,
                       ProtobufCMessage *message,
                       unsigned wire_type_and_depth)
{
    unsigned wire_type = wire_type_and_depth & 7u;
    void *to = place_of(taker, field, message);

    if (!to)
        return false;
    if (is_number(field))
        return wire_type == VARINT && take_number(field, from, to);
    return wire_type == DELIMITED &&
           take_delimited(taker, field, from, to, wire_type_and_depth >> 3);
}

/* Numbers are mostly 1, 2, 3 …, and fields nearly always come in their order: looks on from
 * @*hint. */
static inline const ProtobufCFieldDescriptor *
find_field(const ProtobufCMessageDescriptor *type, uint64_t id, unsigned *hint)
{
    if (id - 1 < type->n_fields && type->fields[id - 1].id == id)
        return &type->fields[id - 1];
    for (unsigned n = 0; n < type->n_fields; n++) {
        unsigned i = *hint + n < type->n_fields ? *hint + n : *hint + n - type->n_fields;

        if (type->fields[i].id == id) {
            *hint = i;
            return &type->fields[i];
        }
    }
    return NULL;
}

/* proto3: everything is zero, but a string is "". */
static void make_empty(const ProtobufCMessageDescriptor *type, ProtobufCMessage *message)
{
    if (type->message_init) { /* generated: one copy, however many fields */
        type->message_init(message);
        return;
    }
    memset(message, 0, type->sizeof_message);
    message->descriptor = type;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (field->default_value && field->type == PROTOBUF_C_TYPE_STRING)
            *(const void **)member_at(message, field->offset) = field->default_value;
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): at most WIRE_DEPTH_MAX deep */
static void *take_message(struct taker *taker,
                          const ProtobufCMessageDescriptor *type,
                          struct reader from,
                          unsigned depth)
{
    ProtobufCMessage *message = allocate(taker, type->sizeof_message);
    unsigned hint = 0;

    if (!message)
        return NULL;
    make_empty(type, message);
    while (from.left > 0) {
        uint64_t tag = 0;

        if (!read_varint_of(&from, HEAD_BYTES_MAX, &tag) || ++taker->fields > WIRE_FIELDS_MAX)
            return NULL;
        const ProtobufCFieldDescriptor *field = find_field(type, tag >> 3, &hint);
        if (!field ||
            !take_field(taker, field, &from, message, (unsigned)(tag & 7u) | depth << 3))
            return NULL;
    }
    return message;
}

void *wire_unpack(const ProtobufCMessageDescriptor *type,
                  const uint8_t *bytes,
                  size_t len,
                  void *block,
                  size_t size)
{
    struct taker taker = {.block = block, .left = size};

    return take_message(&taker, type, (struct reader){bytes, len}, 1);
}
