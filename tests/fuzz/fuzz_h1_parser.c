/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "http/story.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void tell(struct story_input in, enum story_cut cut, struct buf *out)
{
    struct h1_parser parser;

    in.cut = cut;
    h1_parser_init(&parser, &in.options, in.to);
    story_tell(&parser, &in, out);
    /* Once more on the same connection: what was before must not matter. */
    CLEANUP_BUF struct buf again = BUF_INIT(0);
    h1_parser_reset(&parser, in.to);
    story_tell(&parser, &in, &again);
    story_check(span_eq(buf_span(out), buf_span(&again)));
    h1_parser_done(&parser);
}

/* The first byte chooses what was asked, how it ends and whether the limits are small; the rest
 * is the answer. However it is cut, it tells one story (and story.h checks that body pieces lie
 * inside the input). */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf whole = BUF_INIT(0);
    CLEANUP_BUF struct buf bytewise = BUF_INIT(0);
    CLEANUP_BUF struct buf random = BUF_INIT(0);

    if (size == 0)
        return 0;
    struct story_input in = {
        .bytes = {(const char *)data + 1, size - 1},
        .to = (enum response_to)(data[0] & 3),
        .end = (enum story_end)((data[0] >> 2 & 3) % 3),
        .options = h1_parser_options_default(),
        .arg = size,
    };
    if (data[0] & 0x10)
        in.options = (struct h1_parser_options){
            .head_bytes_max = 160,
            .line_bytes_max = 48,
            .fields_max = 3,
            .chunk_extension_bytes_max = 6,
            .trailer_bytes_max = 40,
        };
    tell(in, STORY_WHOLE, &whole);
    tell(in, STORY_BYTEWISE, &bytewise);
    tell(in, STORY_RANDOM, &random);
    story_check(span_eq(buf_span(&whole), buf_span(&bytewise)));
    story_check(span_eq(buf_span(&whole), buf_span(&random)));
    return 0;
}
