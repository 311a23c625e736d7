/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What must be known of a message before protobuf-c may unpack it. protobuf-c 1.4 makes a
 * megabyte of empty sub-messages into 28 (IP08), cuts a `string` at its first NUL, and lets
 * enum numbers through that nobody defined. This walks the bytes once, led by the message's
 * own descriptor, and allocates nothing.
 *
 * Whether the envelope's oneof is set at all is for the reader to look at after unpacking.
 */

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_FIELDS_MAX                                                                        \
    8192                 /* fields of a frame on all levels: 1,000 headers sent and received */
#define WIRE_DEPTH_MAX 8 /* messages within messages; the schema has 5 and does not recurse */

enum wire_verdict {
    WIRE_FINE = 0,
    WIRE_BAD_SYNTAX,      /* not protobuf: a cut varint, a length past the end, a group */
    WIRE_TOO_MANY_FIELDS, /* more than WIRE_FIELDS_MAX */
    WIRE_UNKNOWN_ENUM,    /* a number its enum does not have */
    WIRE_BAD_STRING,      /* a `string` with a NUL in it */
};

/**
 * wire_precheck() - judge @len bytes that claim to be a message of type @descriptor
 *
 * Fields that the descriptor does not have are counted and skipped, as protobuf wants it.
 *
 * Return: WIRE_FINE, after which unpacking is safe and small, or what is wrong.
 */
enum wire_verdict
wire_precheck(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len);

/* "a number its enum does not have": for a SessionError's text. */
const char *wire_verdict_text(enum wire_verdict verdict);
