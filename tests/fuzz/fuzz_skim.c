/* SPDX-License-Identifier: MIT */
/*
 * A skimmed frame against one that is unpacked: what protobuf-c takes for a message is of the
 * same kind and has the same number when it goes by in pieces, and a frame that has gone by is
 * as long as its length says. The first byte is the size of the pieces.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"
#include "wire/precheck.h"
#include "wire/skim.h"
#include "xhrd/v1/envelope.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Field 1 of the member that is set. */
static uint64_t number_of(const Xhrd__V1__ClientMessage *message)
{
    const ProtobufCMessage *member = &message->open->base; /* the oneof is one pointer */
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(member->descriptor, 1);
    const uint8_t *at = (const uint8_t *)member + field->offset;
    uint64_t wide = 0;
    uint32_t narrow = 0;

    if (field->type == PROTOBUF_C_TYPE_UINT64) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
}

static void compare(const struct wire_frame *frame, const struct wire_skim *skim)
{
    const ProtobufCMessageDescriptor *type = &xhrd__v1__client_message__descriptor;

    if (wire_precheck(type, frame->bytes, frame->len) != WIRE_FINE)
        return;
    Xhrd__V1__ClientMessage *message =
        xhrd__v1__client_message__unpack(NULL, frame->len, frame->bytes);
    if (!message)
        return;
    assert(!skim->is_broken);
    assert(skim->kind == (uint32_t)message->kind_case);
    if (message->kind_case == XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER)
        assert(skim->id == number_of(message));
    else if (message->kind_case != 0)
        assert((uint32_t)skim->id == number_of(message));
    xhrd__v1__client_message__free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t piece = data[0] ? data[0] : size;

    for (data++, size--; size > 0;) {
        struct wire_skim skim = {0};
        struct wire_frame frame;
        size_t eaten = 0;

        if (wire_frame_next(data, size, &frame) != WIRE_READY)
            break;
        while (!wire_skim_is_whole(&skim)) {
            size_t n = size - eaten < piece ? size - eaten : piece;

            assert(n > 0);
            eaten += wire_skim_feed(&skim, data + eaten, n);
        }
        assert(eaten == frame.frame_len);
        compare(&frame, &skim);
        data += eaten;
        size -= eaten;
    }
    return 0;
}
