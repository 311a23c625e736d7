/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "wire/codec.h"
#include "wire/reader_priv.h"

struct writer {
    uint8_t *start;
    uint8_t *at; /* what is written begins here */
    bool failed;
};

/* Return: whether a tag, a number or length, and @len bytes fit. */
static inline bool has_room(struct writer *to, size_t len)
{
    size_t left = (size_t)(to->at - to->start);

    if (left < WIRE_PACK_SPARE || left - WIRE_PACK_SPARE < len)
        to->failed = true;
    return !to->failed;
}

static inline void put_varint(struct writer *to, uint64_t value)
{
    if (value < 0x80) {
        *--to->at = (uint8_t)value;
        return;
    }
    unsigned n = (70U - (unsigned)__builtin_clzll(value)) / 7;
    to->at -= n;
    for (unsigned i = 0; i + 1 < n; i++, value >>= 7)
        to->at[i] = (uint8_t)(value | 0x80u);
    to->at[n - 1] = (uint8_t)value;
}

static inline void put_tag(struct writer *to, uint32_t id, enum wire_type type)
{
    put_varint(to, (uint64_t)id << 3 | type);
}

static void put_delimited(struct writer *to, uint32_t id, const void *bytes, size_t len)
{
    if (!has_room(to, len))
        return;
    to->at -= len;
    if (len > 0)
        memcpy(to->at, bytes, len);
    put_varint(to, len);
    put_tag(to, id, DELIMITED);
}

static void put_fields(struct writer *to, const ProtobufCMessage *message);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the schema */
static void put_message(struct writer *to, uint32_t id, const ProtobufCMessage *message)
{
    const uint8_t *end = to->at;

    put_fields(to, message);
    if (!has_room(to, 0))
        return;
    put_varint(to, (uint64_t)(end - to->at));
    put_tag(to, id, DELIMITED);
}

static uint64_t number_of(const ProtobufCFieldDescriptor *field, const void *member)
{
    if (is_wide(field))
        return *(const uint64_t *)member;
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        return *(const uint32_t *)member;
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        return *(const protobuf_c_boolean *)member != 0;
    return (uint64_t)(*(const int32_t *)member); /* an enum travels as int32 */
}

static void put_number(struct writer *to, uint32_t id, uint64_t value)
{
    if (!has_room(to, 0))
        return;
    put_varint(to, value);
    put_tag(to, id, VARINT);
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static void
put_pointed(struct writer *to, const ProtobufCFieldDescriptor *field, const void *member)
{
    const void *pointer = *(const void *const *)member;

    if (!pointer)
        return;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        put_message(to, field->id, pointer);
    else if (*(const char *)pointer != '\0')
        put_delimited(to, field->id, pointer, strlen(pointer));
}

/* One value. @always: also what is empty or zero, as a member of a oneof is. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void put_value(struct writer *to,
                      const ProtobufCFieldDescriptor *field,
                      const void *member,
                      bool always)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = member;

        if (bytes->len > 0 || always)
            put_delimited(to, field->id, bytes->data, bytes->len);
    } else if (is_number(field)) {
        uint64_t value = number_of(field, member);

        if (value != 0 || always)
            put_number(to, field->id, value);
    } else if (field->type == PROTOBUF_C_TYPE_MESSAGE ||
               (field->type == PROTOBUF_C_TYPE_STRING && !always)) {
        put_pointed(to, field, member);
    } else {
        to->failed = true; /* not in the schema */
    }
}

static inline const void *member_at(const ProtobufCMessage *message, unsigned offset)
{
    return (const uint8_t *)message + offset;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static void put_repeated(struct writer *to,
                         const ProtobufCFieldDescriptor *field,
                         const ProtobufCMessage *message)
{
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    size_t size = is_message ? sizeof(void *) : sizeof(ProtobufCBinaryData);
    size_t n = *(const size_t *)member_at(message, field->quantifier_offset);
    const uint8_t *list = *(const uint8_t *const *)member_at(message, field->offset);

    if (n > 0 && !is_message && field->type != PROTOBUF_C_TYPE_BYTES)
        to->failed = true;
    while (n > 0 && !to->failed)
        put_value(to, field, list + --n * size, true);
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static void put_field(struct writer *to,
                      const ProtobufCFieldDescriptor *field,
                      const ProtobufCMessage *message)
{
    const void *member = member_at(message, field->offset);

    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        if (*(const uint32_t *)member_at(message, field->quantifier_offset) == field->id)
            put_value(to, field, member, true);
    } else if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        put_repeated(to, field, message);
    } else if (field->label == PROTOBUF_C_LABEL_NONE ||
               field->type == PROTOBUF_C_TYPE_MESSAGE) {
        put_value(to, field, member, false);
    } else {
        to->failed = true; /* proto2 */
    }
}

/* The highest number first: bytes are put down from the end. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void put_fields(struct writer *to, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    if (message->n_unknown_fields > 0)
        to->failed = true;
    for (unsigned i = type->n_fields; i > 0 && !to->failed; i--)
        put_field(to, &type->fields[i - 1], message);
}

size_t wire_pack(const ProtobufCMessage *message, uint8_t *block, size_t size, uint8_t **ret)
{
    struct writer to = {.start = block, .at = block + size};

    put_fields(&to, message);
    if (to.failed)
        return 0;
    *ret = to.at;
    return (size_t)(block + size - to.at);
}
