/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One content coding undone, as one link of a decoder's chain: bytes in, bytes out, both
 * bounded, nothing kept but what the coding's library keeps. The four libraries differ in how
 * they say "more room", "more input" and "the end"; this is where they become the same.
 */

#define ZLIB_CONST
#include <brotli/decode.h>
#include <stdbool.h>
#include <stdint.h>
#include <zlib.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/span.h"
#include "http/coding.h"

enum coding {
    CODING_GZIP,
    CODING_DEFLATE, /* in zlib's wrapper, or bare */
    CODING_BR,
    CODING_ZSTD,
};

/* Where a stage may write; its front is dropped as it is used. */
struct room {
    char *ptr;
    size_t len;
};

enum stage_state {
    STAGE_NEW,      /* no byte yet */
    STAGE_OPEN,     /* inside a stream */
    STAGE_BOUNDARY, /* a stream is whole, another may follow (gzip members, zstd frames) */
    STAGE_DONE,     /* all streams are whole, what comes now is junk */
};

struct stage {
    enum coding coding;
    enum stage_state state;
    bool is_initialised;
    bool is_first;          /* its input is the wire's, whose amount the server pays for */
    bool may_hold_output;   /* the last step filled its room */
    unsigned char sniff[2]; /* deflate: tells zlib's wrapper from none */
    uint8_t sniff_len;
    uint8_t sniff_used;
    size_t window_bytes_max;
    size_t idle_bytes_max;
    size_t idle_bytes; /* input not paid for by output */
    union {
        z_stream zlib;
        BrotliDecoderState *br;
        ZSTD_DCtx *zstd;
    } u;
};

/* @stage is zeroed. Return: 0 or -ENOMEM; stage_done() is right after both. */
MUST_CHECK int
stage_init(struct stage *stage, enum coding coding, const struct decoder_options *options);
void stage_done(struct stage *stage);

/**
 * stage_step() - move something from @input to @room, if anything can be moved
 *
 * Return: 0, -ENOMEM, DECODER_E_CORRUPT or DECODER_E_LIMIT. That nothing moved although there
 * are input and room means: it never will.
 */
MUST_CHECK int stage_step(struct stage *stage, struct span *input, struct room *room);

/* Whether the input may end here. */
static inline bool stage_is_whole(const struct stage *stage)
{
    return stage->state != STAGE_OPEN;
}
