/* SPDX-License-Identifier: MIT */
#include "wire/frame.h"

/* Field numbers of a BodyChunk in its envelopes, and its own: xhrd/v1/envelope.proto. */
#define TAG_BODY_TO_DAEMON ((3u << 3) | 2u)
#define TAG_BODY_TO_CLIENT ((4u << 3) | 2u)
#define TAG_REQUEST_ID     (1u << 3)
#define TAG_DATA           ((15u << 3) | 2u)

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

static uint8_t body_tag(enum wire_reader reader)
{
    return reader == WIRE_DAEMON ? TAG_BODY_TO_DAEMON : TAG_BODY_TO_CLIENT;
}

/* A varint of at most five bytes and at most @max. Leaves @cursor alone unless WIRE_READY. */
static enum wire_outcome take_varint(struct cursor *cursor, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t left = (size_t)(cursor->end - cursor->at);

    for (unsigned i = 0; i < WIRE_FRAME_PREFIX_MAX; i++) {
        if (i == left)
            return WIRE_MORE;
        value |= (uint64_t)(cursor->at[i] & 0x7fu) << (7 * i);
        if (value > max) /* what follows can only add to it */
            return WIRE_E_TOO_LARGE;
        if (!(cursor->at[i] & 0x80u)) {
            cursor->at += i + 1;
            *ret = value;
            return WIRE_READY;
        }
    }
    return WIRE_E_LENGTH;
}

enum wire_outcome wire_frame_next(const uint8_t *bytes, size_t len, struct wire_frame *ret)
{
    struct cursor cursor = {bytes, bytes + len};
    uint64_t frame_len = 0;

    ret->frame_len = 0;
    enum wire_outcome outcome = take_varint(&cursor, WIRE_FRAME_BYTES_MAX, &frame_len);
    if (outcome != WIRE_READY)
        return outcome;
    ret->frame_len = (size_t)(cursor.at - bytes) + (size_t)frame_len;
    if (len < ret->frame_len)
        return WIRE_MORE;
    ret->bytes = cursor.at;
    ret->len = (size_t)frame_len;
    return WIRE_READY;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t n = 0;

    while (value >= 0x80u) {
        out[n++] = (uint8_t)(value | 0x80u);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

static size_t varint_len(uint64_t value)
{
    size_t n = 1;

    while (value >>= 7)
        n++;
    return n;
}

size_t wire_frame_prefix(uint8_t ret[WIRE_FRAME_PREFIX_MAX], size_t len)
{
    return put_varint(ret, len);
}

size_t wire_body_head(uint8_t ret[WIRE_BODY_HEAD_MAX],
                      enum wire_reader reader,
                      uint32_t request_id,
                      size_t data_len)
{
    size_t chunk = 1 + varint_len(request_id) + 1 + varint_len(data_len) + data_len;
    uint8_t *at = ret;

    at += put_varint(at, 1 + varint_len(chunk) + chunk);
    *at++ = body_tag(reader);
    at += put_varint(at, chunk);
    *at++ = TAG_REQUEST_ID;
    at += put_varint(at, request_id);
    *at++ = TAG_DATA;
    at += put_varint(at, data_len);
    return (size_t)(at - ret);
}

/* WIRE_MORE when the cursor is at its end, WIRE_OTHER for another byte. */
static enum wire_outcome take_tag(struct cursor *cursor, uint8_t tag)
{
    if (cursor->at == cursor->end)
        return WIRE_MORE;
    if (*cursor->at != tag)
        return WIRE_OTHER;
    cursor->at++;
    return WIRE_READY;
}

static enum wire_outcome
take_field(struct cursor *cursor, uint8_t tag, uint64_t max, uint64_t *ret)
{
    struct cursor at = *cursor;
    enum wire_outcome outcome = take_tag(&at, tag);

    if (outcome == WIRE_READY)
        outcome = take_varint(&at, max, ret);
    if (outcome == WIRE_READY)
        *cursor = at;
    return outcome;
}

/* The message of @frame_len bytes whose first ones lie in @cursor. Every length in the head
 * must agree with every other, so that once it is accepted nothing in the payload can change
 * it. */
static enum wire_outcome take_body(struct cursor *cursor,
                                   enum wire_reader reader,
                                   size_t frame_len,
                                   struct wire_body *ret)
{
    const uint8_t *start = cursor->at;
    uint64_t chunk_len = 0;
    uint64_t request_id = 0;
    uint64_t data_len = 0;

    enum wire_outcome outcome =
        take_field(cursor, body_tag(reader), WIRE_FRAME_BYTES_MAX, &chunk_len);
    if (outcome != WIRE_READY)
        return outcome;
    const uint8_t *chunk = cursor->at;
    if ((size_t)(chunk - start) + chunk_len != frame_len)
        return WIRE_OTHER;

    outcome = take_field(cursor, TAG_REQUEST_ID, UINT32_MAX, &request_id);
    if (outcome != WIRE_READY)
        return outcome;
    outcome = take_field(cursor, TAG_DATA, WIRE_FRAME_BYTES_MAX, &data_len);
    if (outcome != WIRE_READY)
        return outcome;
    if ((size_t)(cursor->at - chunk) + data_len != chunk_len)
        return WIRE_OTHER;

    ret->request_id = (uint32_t)request_id;
    ret->data = cursor->at;
    ret->data_len = (size_t)data_len;
    return WIRE_READY;
}

bool wire_body_parse(const struct wire_frame *frame,
                     enum wire_reader reader,
                     struct wire_body *ret)
{
    struct cursor cursor = {frame->bytes, frame->bytes + frame->len};
    struct wire_body body;

    if (take_body(&cursor, reader, frame->len, &body) != WIRE_READY)
        return false;
    *ret = body;
    ret->head_len = frame->frame_len - body.data_len;
    return true;
}

enum wire_outcome wire_body_begin(const uint8_t *bytes,
                                  size_t len,
                                  enum wire_reader reader,
                                  struct wire_body *ret)
{
    struct cursor cursor = {bytes, bytes + len};
    struct wire_body body;
    uint64_t frame_len = 0;

    enum wire_outcome outcome = take_varint(&cursor, WIRE_FRAME_BYTES_MAX, &frame_len);
    if (outcome != WIRE_READY)
        return outcome;
    bool whole = (size_t)(cursor.end - cursor.at) >= frame_len;
    if (whole)
        cursor.end = cursor.at + frame_len;

    outcome = take_body(&cursor, reader, (size_t)frame_len, &body);
    if (outcome == WIRE_MORE && !whole)
        return WIRE_MORE;
    if (outcome != WIRE_READY)
        return WIRE_OTHER;
    *ret = body;
    ret->head_len = (size_t)(cursor.at - bytes);
    return WIRE_READY;
}
