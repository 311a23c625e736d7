/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Content codings (RFC 9110 §8.4) undone: gzip, deflate, br and zstd, up to five one over
 * another. Pull style with bounded output: the caller brings the room, and whoever stops asking
 * stops the work, so a bomb of any ratio costs a reader only what it reads. Memory is a window
 * and 16 KiB per coding, whatever the body's size.
 *
 * Work without result is bounded too: a coding that eats much and gives nothing (empty deflate
 * blocks, endless gzip file names, 10^5 empty members) ends in DECODER_E_LIMIT.
 *
 * What browsers do and so do we: "deflate" is taken with and without zlib's wrapper; gzip
 * members and zstd frames may follow each other; junk after a whole stream is dropped. Unlike
 * some of them, a stream cut short is an error, also when only its checksum is missing. An
 * empty body is fine under any coding.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

#define DECODER_CODINGS_MAX 5 /* CVE-2022-32206, CVE-2023-23916 */

struct decoder_options {
    size_t codings_max;      /* at most DECODER_CODINGS_MAX */
    size_t window_bytes_max; /* br and zstd; a power of two: RFC 9659, 8 MiB */
    size_t idle_bytes_max;   /* input of one coding beyond 32 times its output */
};

struct decoder_options decoder_options_default(void);

/* One decoder serves one body, from its first byte. */
struct decoder;

enum decoder_new_outcome {
    DECODER_NEW_OK = 0,
    DECODER_NEW_IDENTITY,  /* nothing to undo: no codings, or identity only; no decoder made */
    DECODER_NEW_E_UNKNOWN, /* a coding we do not know; passing the body on as it is may do */
    DECODER_NEW_E_LIMIT,   /* more codings than codings_max */
};

/**
 * decoder_new() - a decoder for what Content-Encoding says
 * @content_encoding: all values of the field, joined by ", " (RFC 9110 §5.3)
 * @options:          copied
 * @ret:              the decoder, on DECODER_NEW_OK only
 *
 * Return: one of enum decoder_new_outcome, or -ENOMEM.
 */
MUST_CHECK int decoder_new(struct span content_encoding,
                           const struct decoder_options *options,
                           struct decoder **ret);
struct decoder *decoder_free(struct decoder *decoder);
DEFINE_CLEANUP(decoder, decoder_free)

enum decoder_outcome {
    DECODER_NEED_INPUT = 0, /* all input is eaten and everything it gives is out */
    DECODER_OUTPUT_FULL,    /* there may be more: empty the room and call again */
    DECODER_DONE,           /* the body is whole; further input is eaten and dropped */
    DECODER_E_CORRUPT,      /* not what the coding says, or a wrong checksum */
    DECODER_E_LIMIT,        /* window too large, or too much work for nothing */
    DECODER_E_TRUNCATED,    /* decoder_finish() only */
};

const char *decoder_outcome_text(int outcome);

/**
 * decoder_feed() - decode into @out
 * @input:       what has come; its front is dropped as it is eaten; may be empty
 * @out:         room for @out_size bytes, at least one
 * @ret_written: bytes written to @out; set on every outcome that is not an error
 *
 * With DECODER_OUTPUT_FULL keep what is left of @input and call again, with or without more.
 * With DECODER_NEED_INPUT and DECODER_DONE @input is empty, and there may be output as well.
 *
 * gzip and zstd never say DECODER_DONE of themselves: another member or frame may follow.
 *
 * Return: one of enum decoder_outcome, or -ENOMEM. Errors stay.
 */
MUST_CHECK int decoder_feed(struct decoder *decoder,
                            struct span *input,
                            char *out,
                            size_t out_size,
                            size_t *ret_written);

/**
 * decoder_finish() - the body has ended; call after decoder_feed() has said NEED_INPUT or DONE
 *
 * Return: 0, DECODER_E_TRUNCATED, or an earlier error.
 */
MUST_CHECK int decoder_finish(struct decoder *decoder);

/* What we ask for in Accept-Encoding: "gzip, br, zstd". */
struct span coding_accept_value(void);
