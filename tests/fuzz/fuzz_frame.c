/* SPDX-License-Identifier: MIT */
/* A reader fed byte by byte tells the same story as one that has everything at once, and every
 * span it yields lies inside its input. */
#include <assert.h>
#include <stdlib.h>

#include "wire/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_body(const struct wire_frame *frame, const uint8_t *bytes, enum wire_reader who)
{
    struct wire_body whole;
    struct wire_body begun = {0};
    bool is_body = wire_body_parse(frame, who, &whole);
    enum wire_outcome outcome = WIRE_MORE;

    for (size_t len = 0; len <= frame->frame_len && outcome == WIRE_MORE; len++)
        outcome = wire_body_begin(bytes, len, who, &begun);
    assert(outcome == (is_body ? WIRE_READY : WIRE_OTHER));
    if (!is_body)
        return;
    assert(begun.request_id == whole.request_id && begun.data == whole.data);
    assert(begun.data_len == whole.data_len && begun.head_len == whole.head_len);
    assert(whole.data >= frame->bytes);
    assert(whole.data + whole.data_len == frame->bytes + frame->len);
    assert(whole.head_len + whole.data_len == frame->frame_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t at = 0;

    while (at < size) {
        struct wire_frame whole;
        struct wire_frame piecewise = {0};
        enum wire_outcome outcome = wire_frame_next(data + at, size - at, &whole);
        enum wire_outcome slow = WIRE_MORE;

        for (size_t len = 0; len <= size - at && slow == WIRE_MORE; len++)
            slow = wire_frame_next(data + at, len, &piecewise);
        assert(slow == outcome);
        if (outcome != WIRE_READY)
            break;
        assert(piecewise.bytes == whole.bytes && piecewise.len == whole.len);
        assert(whole.bytes + whole.len <= data + size && whole.frame_len >= whole.len + 1);
        check_body(&whole, data + at, WIRE_CLIENT);
        check_body(&whole, data + at, WIRE_DAEMON);
        at += whole.frame_len;
    }
    return 0;
}
