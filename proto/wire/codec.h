/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Messages to bytes and back, for the shapes that are nearly all of the traffic: several times
 * as fast as protobuf-c, whose structures and descriptors they use. Packing writes from the end
 * backwards and so needs no sizes beforehand; unpacking judges like wire_precheck() on its way,
 * allocates from one block, and copies no `bytes`.
 *
 * Neither decides anything. What they do not know (other types, fields without a descriptor,
 * a singular field twice, a block too small) they leave to wire_precheck() and protobuf-c, and
 * what they do is, to the byte, what those would have done: tests hold them against each other.
 */

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_PACK_SPARE 16

/**
 * wire_pack() - write @message so that it ends at the end of @block
 * @size: WIRE_PACK_SPARE more than the message is long
 * @ret:  the bytes, in @block
 * Return: how many; 0 when it does not fit, is empty, or holds what only protobuf-c knows.
 */
size_t wire_pack(const ProtobufCMessage *message, uint8_t *block, size_t size, uint8_t **ret);

/**
 * wire_unpack() - the message of type @type that @bytes are
 * @block: where it and all its parts are put, aligned for any of them; needs no freeing
 *
 * Its `bytes` fields borrow from @bytes. To be read, not to be freed.
 *
 * Return: the message; NULL: let wire_precheck() and protobuf-c judge these bytes.
 */
void *wire_unpack(const ProtobufCMessageDescriptor *type,
                  const uint8_t *bytes,
                  size_t len,
                  void *block,
                  size_t size);
