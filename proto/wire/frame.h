/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Frames of the daemon's socket: bytes ⇄ frames. A frame is a protobuf varint with the number
 * of bytes that follow, and those bytes: one ClientMessage or ServerMessage. It is what
 * protobuf libraries call a delimited message.
 *
 * Pure: no descriptor, no allocation, no protobuf type. Both sides use it. Nothing is copied:
 * what is yielded points into the bytes that were handed in.
 *
 * Body bytes are most of the traffic, so a BodyChunk has a way past protobuf-c in both
 * directions: its head is written and recognised by hand, and the payload stays where it is.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_FRAME_BYTES_MAX                                                                   \
    1048576u /* a frame without its length; refused before anything is kept */
#define WIRE_FRAME_PREFIX_MAX 5  /* bytes of a length; a padded varint is legal */
#define WIRE_BODY_HEAD_MAX    32 /* bytes before the payload of a BodyChunk's frame */
#define WIRE_BODY_DATA_MAX                                                                     \
    65536u /* payload bytes we put into one BodyChunk; readers take more */

enum wire_outcome {
    WIRE_MORE = 0,  /* the bytes end too early to say */
    WIRE_READY = 1, /* *ret is filled */
    WIRE_OTHER = 2, /* wire_body_begin(): not a BodyChunk, or one written in another way */
    WIRE_E_TOO_LARGE = 3, /* longer than WIRE_FRAME_BYTES_MAX */
    WIRE_E_LENGTH = 4,    /* the length is not a varint of at most five bytes */
};

/* Who reads: decides which field of the envelope a BodyChunk is. */
enum wire_reader {
    WIRE_DAEMON, /* ClientMessage */
    WIRE_CLIENT, /* ServerMessage */
};

struct wire_frame {
    const uint8_t *bytes; /* the message: what protobuf-c unpacks */
    size_t len;
    size_t frame_len; /* with its length prefix: how much to consume */
};

/**
 * wire_frame_next() - the frame at the front of @bytes
 * @bytes: what has been read and not consumed yet
 * @ret:   filled on WIRE_READY; borrows from @bytes. On WIRE_MORE, if the length could be read,
 *         frame_len says how many bytes @bytes must hold; else it is 0.
 *
 * The length is judged as soon as it can be read, whether or not the rest has come.
 *
 * Return: WIRE_READY, WIRE_MORE, WIRE_E_TOO_LARGE or WIRE_E_LENGTH.
 */
enum wire_outcome wire_frame_next(const uint8_t *bytes, size_t len, struct wire_frame *ret);

/* Writes the length that goes before a message of @len ≤ WIRE_FRAME_BYTES_MAX bytes.
 * Return: bytes written, 1 to 3. */
size_t wire_frame_prefix(uint8_t ret[WIRE_FRAME_PREFIX_MAX], size_t len);

/**
 * wire_body_head() - everything of a BodyChunk's frame that stands before its payload
 * @reader:   who will read the frame
 * @data_len: 1 to WIRE_BODY_DATA_MAX; exactly so many payload bytes must follow
 *
 * Head and payload together are what any protobuf library would have written.
 *
 * Return: bytes written to @ret.
 */
size_t wire_body_head(uint8_t ret[WIRE_BODY_HEAD_MAX],
                      enum wire_reader reader,
                      uint32_t request_id,
                      size_t data_len);

struct wire_body {
    uint32_t request_id;
    const uint8_t *data; /* where the payload starts; borrowed */
    size_t data_len;     /* of the whole payload, which may not be here yet */
    size_t head_len;     /* bytes before the payload; head_len + data_len is the whole frame */
};

/**
 * wire_body_parse() - look at a whole frame's message as a BodyChunk, without unpacking
 * Return: true and *ret filled if it is one in the shape wire_body_head() writes; false for any
 * other message and for any other shape, which protobuf-c must then judge.
 */
bool wire_body_parse(const struct wire_frame *frame,
                     enum wire_reader reader,
                     struct wire_body *ret);

/**
 * wire_body_begin() - the same, from the first bytes of a frame of which not all has come
 *
 * Lets payload bytes be passed on as they arrive, so that no buffer ever has to hold a frame.
 * On WIRE_READY the head is complete and lies wholly in @bytes; @len - head_len payload bytes
 * are here (0 is possible; more may be here than belong to it).
 *
 * Return: WIRE_READY, WIRE_MORE, WIRE_OTHER (take it with wire_frame_next()), WIRE_E_TOO_LARGE
 * or WIRE_E_LENGTH.
 */
enum wire_outcome wire_body_begin(const uint8_t *bytes,
                                  size_t len,
                                  enum wire_reader reader,
                                  struct wire_body *ret);
