/* SPDX-License-Identifier: MIT */
/*
 * Packing by plan: a descriptor says in five places what a field is, and most fields of a
 * message are empty. What the five say is put into one byte when a type is first packed.
 */
#include "wire/planned.h"

#include "wire/pack_priv.h"

enum how {
    PUT_OTHER, /* pack.c knows */
    PUT_UINT32,
    PUT_ENUM, /* travels as int32 */
    PUT_BOOL,
    PUT_WIDE,
    PUT_BYTES,
    PUT_MESSAGE,
    PUT_LINES,
};

static enum how how_of(const ProtobufCFieldDescriptor *field)
{
    bool is_choice = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return field->type == PROTOBUF_C_TYPE_MESSAGE && wire_is_two_of_bytes(field->descriptor)
                   ? PUT_LINES
                   : PUT_OTHER;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return PUT_MESSAGE;
    if (!is_choice && field->label != PROTOBUF_C_LABEL_NONE)
        return PUT_OTHER; /* proto2 */
    if (field->type == PROTOBUF_C_TYPE_BYTES)
        return PUT_BYTES;
    if (!is_number(field))
        return PUT_OTHER;
    if (is_wide(field))
        return PUT_WIDE;
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        return PUT_UINT32;
    return field->type == PROTOBUF_C_TYPE_BOOL ? PUT_BOOL : PUT_ENUM;
}

static bool is_envelope(const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];

        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
            field->quantifier_offset != type->fields[0].quantifier_offset)
            return false;
    }
    return type->n_fields > 0;
}

static void make_plan(struct wire_plans *plans,
                      struct wire_plan *plan,
                      const ProtobufCMessageDescriptor *type)
{
    plan->type = type;
    plan->first = plans->n_steps;
    plan->n = (uint16_t)type->n_fields;
    plan->is_envelope = is_envelope(type);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool is_choice = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        enum how how = how_of(field);
        bool is_delimited = how == PUT_BYTES || how == PUT_MESSAGE || how == PUT_LINES;

        plans->steps[plans->n_steps++] = (struct wire_step){
            .field = field,
            .tag = field->id << 3 | (is_delimited ? DELIMITED : VARINT),
            .offset = (uint16_t)field->offset,
            .which = is_choice ? (uint16_t)field->quantifier_offset : 0,
            .how = (uint8_t)how,
        };
    }
}

/* Return: NULL: there is no place for one more, or the type is too large for a plan. */
static struct wire_plan *find_plan(struct wire_plans *plans,
                                   const ProtobufCMessageDescriptor *type)
{
    unsigned at = (unsigned)((uintptr_t)type >> 4);

    for (unsigned tried = 0; tried < WIRE_PLANS_MAX; tried++, at++) {
        struct wire_plan *plan = &plans->plans[at % WIRE_PLANS_MAX];

        if (plan->type == type)
            return plan;
        if (plan->type)
            continue;
        if (type->n_fields > WIRE_STEPS_MAX - plans->n_steps ||
            type->sizeof_message > UINT16_MAX)
            return NULL;
        make_plan(plans, plan, type);
        return plan;
    }
    return NULL;
}

static uint8_t *put_planned(struct wire_plans *plans,
                            struct wire_plan *plan,
                            const uint8_t *start,
                            uint8_t *at,
                            const ProtobufCMessage *message);

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the schema */
static uint8_t *put_part(struct wire_plans *plans,
                         struct wire_step *step,
                         const uint8_t *start,
                         uint8_t *at,
                         const ProtobufCMessage *part)
{
    const uint8_t *end = at;

    if (!step->plan)
        step->plan = find_plan(plans, part->descriptor);
    at = step->plan ? put_planned(plans, step->plan, start, at, part)
                    : wire_put_fields(start, at, part);
    return at && has_room(start, at, 0)
               ? put_varint(put_varint(at, (uint64_t)(end - at)), step->tag)
               : NULL;
}

static inline uint8_t *
put_number(const struct wire_step *step, const uint8_t *start, uint8_t *at, uint64_t value)
{
    if (value == 0 && !step->which) /* a member of a oneof is told though it is zero */
        return at;
    return has_room(start, at, 0) ? put_varint(put_varint(at, value), step->tag) : NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static inline uint8_t *put_step(struct wire_plans *plans,
                                struct wire_step *step,
                                const uint8_t *start,
                                uint8_t *at,
                                const ProtobufCMessage *message)
{
    const void *member = member_at(message, step->offset);
    const ProtobufCBinaryData *bytes = member;
    size_t n;

    if (step->which && *(const uint32_t *)member_at(message, step->which) != step->tag >> 3)
        return at;
    switch ((enum how)step->how) {
    case PUT_UINT32: return put_number(step, start, at, *(const uint32_t *)member);
    case PUT_ENUM: return put_number(step, start, at, (uint64_t)(*(const int32_t *)member));
    case PUT_BOOL: return put_number(step, start, at, *(const protobuf_c_boolean *)member != 0);
    case PUT_WIDE: return put_number(step, start, at, *(const uint64_t *)member);
    case PUT_BYTES:
        return bytes->len > 0 || step->which
                   ? put_delimited(start, at, step->tag >> 3, bytes->data, bytes->len)
                   : at;
    case PUT_MESSAGE: {
        const ProtobufCMessage *part = *(const ProtobufCMessage *const *)member;

        return part ? put_part(plans, step, start, at, part) : at;
    }
    case PUT_LINES:
        n = *(const size_t *)member_at(message, step->field->quantifier_offset);
        return n > 0 ? wire_put_lines(start, at, step->field,
                                      *(const ProtobufCMessage *const *const *)member, n)
                     : at;
    case PUT_OTHER: break;
    }
    return wire_put_field(start, at, step->field, message);
}

/* Numbers are mostly 1, 2, 3 …: looks on from there, down. */
static struct wire_step *
chosen_step(struct wire_plans *plans, const struct wire_plan *plan, uint32_t id)
{
    struct wire_step *steps = &plans->steps[plan->first];
    unsigned i = id < plan->n ? id : plan->n;

    while (i > 0 && steps[i - 1].tag >> 3 != id)
        i--;
    return i > 0 ? &steps[i - 1] : NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion) */
static uint8_t *put_planned(struct wire_plans *plans,
                            struct wire_plan *plan,
                            const uint8_t *start,
                            uint8_t *at,
                            const ProtobufCMessage *message)
{
    struct wire_step *steps = &plans->steps[plan->first];

    if (message->n_unknown_fields > 0)
        return NULL;
    if (plan->is_envelope) {
        struct wire_step *step =
            chosen_step(plans, plan, *(const uint32_t *)member_at(message, steps->which));

        return step ? put_step(plans, step, start, at, message) : at;
    }
    for (unsigned i = plan->n; i > 0 && at; i--)
        at = put_step(plans, &steps[i - 1], start, at, message);
    return at;
}

size_t wire_pack_planned(struct wire_plans *plans,
                         const ProtobufCMessage *message,
                         uint8_t *block,
                         size_t size,
                         uint8_t **ret)
{
    struct wire_plan *plan = find_plan(plans, message->descriptor);
    uint8_t *at = plan ? put_planned(plans, plan, block, block + size, message)
                       : wire_put_fields(block, block + size, message);

    if (!at)
        return 0;
    *ret = at;
    return (size_t)(block + size - at);
}
