/* SPDX-License-Identifier: MIT */
/*
 * Every function takes where the bytes written so far begin, and returns where they begin with
 * its own before them; NULL: it gives up. (Not in a structure: what is stored through a byte
 * pointer may be any structure's member, and each would be read again after each byte.)
 */

#include "wire/codec.h"
#include "wire/pack_priv.h"

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the schema */
static uint8_t *
put_message(const uint8_t *start, uint8_t *at, uint32_t id, const ProtobufCMessage *message)
{
    const uint8_t *end = at;

    at = wire_put_fields(start, at, message);
    return at && has_room(start, at, 0) ? put_head(at, id, DELIMITED, (uint64_t)(end - at))
                                        : NULL;
}

static inline uint64_t number_of(const ProtobufCFieldDescriptor *field, const void *member)
{
    if (is_wide(field))
        return *(const uint64_t *)member;
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        return *(const uint32_t *)member;
    if (field->type == PROTOBUF_C_TYPE_BOOL)
        return *(const protobuf_c_boolean *)member != 0;
    return (uint64_t)(*(const int32_t *)member); /* an enum travels as int32 */
}

/* One value. @always: also what is empty or zero, as a member of a oneof is. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static inline uint8_t *put_value(const uint8_t *start,
                                 uint8_t *at,
                                 const ProtobufCFieldDescriptor *field,
                                 const void *member,
                                 bool always)
{
    const ProtobufCBinaryData *bytes = member;
    const void *pointer = NULL;
    uint64_t number = 0;

    if (is_number(field)) {
        number = number_of(field, member);
        if (number == 0 && !always)
            return at;
        return has_room(start, at, 0) ? put_head(at, field->id, VARINT, number) : NULL;
    }
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return bytes->len > 0 || always
                   ? put_delimited(start, at, field->id, bytes->data, bytes->len)
                   : at;
    pointer = *(const void *const *)member;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return pointer ? put_message(start, at, field->id, pointer) : at;
    if (field->type != PROTOBUF_C_TYPE_STRING || always)
        return NULL; /* not in the schema */
    return pointer && *(const char *)pointer != '\0'
               ? put_delimited(start, at, field->id, pointer, strlen(pointer))
               : at;
}

/* What a field line is: the most frequent message of all. */
bool wire_is_two_of_bytes(const ProtobufCMessageDescriptor *type)
{
    if (type->n_fields != 2)
        return false;
    for (unsigned i = 0; i < 2; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (field->type != PROTOBUF_C_TYPE_BYTES || field->label != PROTOBUF_C_LABEL_NONE ||
            field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
            return false;
    }
    return true;
}

/* The same bytes as put_message(), without looking at each descriptor each time. */
uint8_t *wire_put_lines(const uint8_t *start,
                        uint8_t *at,
                        const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *const *list,
                        size_t n)
{
    const ProtobufCMessageDescriptor *type = field->descriptor;
    const ProtobufCFieldDescriptor *first = &type->fields[0], *second = &type->fields[1];

    while (n > 0 && at) {
        const ProtobufCMessage *line = list[--n];
        const ProtobufCBinaryData *one = member_at(line, first->offset);
        const ProtobufCBinaryData *two = member_at(line, second->offset);
        const uint8_t *end = at;

        if (line->n_unknown_fields > 0)
            return NULL;
        if (two->len > 0)
            at = put_delimited(start, at, second->id, two->data, two->len);
        if (at && one->len > 0)
            at = put_delimited(start, at, first->id, one->data, one->len);
        if (!at || !has_room(start, at, 0))
            return NULL;
        at = put_head(at, field->id, DELIMITED, (uint64_t)(end - at));
    }
    return at;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static uint8_t *put_repeated(const uint8_t *start,
                             uint8_t *at,
                             const ProtobufCFieldDescriptor *field,
                             const ProtobufCMessage *message)
{
    bool is_message = field->type == PROTOBUF_C_TYPE_MESSAGE;
    size_t size = is_message ? sizeof(void *) : sizeof(ProtobufCBinaryData);
    size_t n = *(const size_t *)member_at(message, field->quantifier_offset);
    const uint8_t *list = *(const uint8_t *const *)member_at(message, field->offset);

    if (n > 0 && !is_message && field->type != PROTOBUF_C_TYPE_BYTES)
        return NULL;
    if (n > 1 && is_message && wire_is_two_of_bytes(field->descriptor))
        return wire_put_lines(start, at, field, (const ProtobufCMessage *const *)list, n);
    while (n > 0 && at)
        at = put_value(start, at, field, list + --n * size, true);
    return at;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static inline uint8_t *put_field(const uint8_t *start,
                                 uint8_t *at,
                                 const ProtobufCFieldDescriptor *field,
                                 const ProtobufCMessage *message)
{
    bool is_choice = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;

    if (is_choice &&
        *(const uint32_t *)member_at(message, field->quantifier_offset) != field->id)
        return at;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return put_repeated(start, at, field, message);
    if (is_choice || field->label == PROTOBUF_C_LABEL_NONE ||
        field->type == PROTOBUF_C_TYPE_MESSAGE)
        return put_value(start, at, field, member_at(message, field->offset), is_choice);
    return NULL; /* proto2 */
}

/* NOLINTNEXTLINE(misc-no-recursion) */
uint8_t *wire_put_field(const uint8_t *start,
                        uint8_t *at,
                        const ProtobufCFieldDescriptor *field,
                        const ProtobufCMessage *message)
{
    return put_field(start, at, field, message);
}

/* The highest number first: bytes are put down from the end. */
/* NOLINTNEXTLINE(misc-no-recursion) */
uint8_t *wire_put_fields(const uint8_t *start, uint8_t *at, const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    if (message->n_unknown_fields > 0)
        return NULL;
    for (unsigned i = type->n_fields; i > 0 && at; i--)
        at = put_field(start, at, &type->fields[i - 1], message);
    return at;
}

size_t wire_pack(const ProtobufCMessage *message, uint8_t *block, size_t size, uint8_t **ret)
{
    uint8_t *at = wire_put_fields(block, block + size, message);

    if (!at)
        return 0;
    *ret = at;
    return (size_t)(block + size - at);
}
