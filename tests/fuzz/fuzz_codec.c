/* SPDX-License-Identifier: MIT */
/*
 * Our unpacker and packer against protobuf-c: what ours takes, the look before unpacking finds
 * fine, and both make the same message and the same bytes of it. The first byte chooses the
 * type and how much memory there is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/codec.h"
#include "wire/planned.h"
#include "wire/precheck.h"
#include "xhrd/v1/envelope.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Return: a copy of what protobuf-c writes, to be freed. */
static uint8_t *pack(const ProtobufCMessage *message, size_t *ret_len)
{
    *ret_len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(*ret_len + 1);
    assert(bytes);
    assert(protobuf_c_message_pack(message, bytes) == *ret_len);
    return bytes;
}

static struct wire_plans plans;

static void compare(const ProtobufCMessage *ours, const ProtobufCMessage *theirs)
{
    size_t our_len = 0;
    size_t their_len = 0;
    uint8_t *our_bytes = pack(ours, &our_len);
    uint8_t *their_bytes = pack(theirs, &their_len);
    uint8_t *block = malloc(their_len + WIRE_PACK_SPARE);
    uint8_t *at = NULL;

    assert(our_len == their_len && memcmp(our_bytes, their_bytes, our_len) == 0);
    assert(block);
    if (theirs->n_unknown_fields == 0 && their_len > 0) {
        assert(wire_pack(theirs, block, their_len + WIRE_PACK_SPARE, &at) == their_len);
        assert(at == block + WIRE_PACK_SPARE && memcmp(at, their_bytes, their_len) == 0);
        assert(wire_pack_planned(&plans, theirs, block, their_len + WIRE_PACK_SPARE, &at) ==
               their_len);
        assert(at == block + WIRE_PACK_SPARE && memcmp(at, their_bytes, their_len) == 0);
    }
    free(block);
    free(our_bytes);
    free(their_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static _Alignas(16) uint8_t block[32768];

    if (size < 1)
        return 0;
    const ProtobufCMessageDescriptor *type = data[0] & 1
                                                 ? &xhrd__v1__client_message__descriptor
                                                 : &xhrd__v1__server_message__descriptor;
    ProtobufCMessage *ours =
        wire_unpack(type, data + 1, size - 1, block, data[0] & 2 ? 512 : sizeof(block));
    if (!ours)
        return 0;
    assert(wire_precheck(type, data + 1, size - 1) == WIRE_FINE);
    ProtobufCMessage *theirs = protobuf_c_message_unpack(type, NULL, size - 1, data + 1);
    assert(theirs);
    compare(ours, theirs);
    protobuf_c_message_free_unpacked(theirs, NULL);
    return 0;
}
