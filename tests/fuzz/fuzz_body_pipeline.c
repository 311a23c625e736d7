/* SPDX-License-Identifier: MIT */
/* A body in any pieces, with credit in any portions, comes out as it does in one piece with all
 * the credit there is; and never more of it than there was credit for. The first byte chooses
 * the coding, the second seeds the portions. */
#include <stdint.h>
#include <stdlib.h>

#include "fetch/body_pipeline.h"
#include "http/coding.h"

#define OUTPUT_MAX ((size_t)256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so)
        abort();
}

static unsigned next(unsigned *dice)
{
    *dice = *dice * 1103515245U + 12345U;
    return *dice >> 16;
}

struct outcome {
    struct buf body;
    int last; /* BODY_WHOLE, or -EINVAL */
    struct failure why;
};

/* What request.c does with a pipeline, without the request. */
static int pump(struct body_pipeline *pipeline, struct span *input, struct outcome *out)
{
    static char room[4096];
    struct span bytes;
    int r;

    while ((r = body_pipeline_next(pipeline, input, (struct span){room, sizeof(room)}, &bytes,
                                   &out->why)) == BODY_BYTES) {
        must(bytes.len > 0);
        must(buf_append(&out->body, bytes) == 0);
    }
    return r;
}

static void check_credit(const struct body_pipeline *pipeline, uint64_t given, size_t len)
{
    must(pipeline->credit + len == given && pipeline->body_bytes == len);
}

static void run(struct span coding, struct span in, unsigned dice, struct outcome *out)
{
    struct body_pipeline pipeline;
    uint64_t given = dice ? 0 : UINT64_MAX;
    bool decodes;

    *out = (struct outcome){.last = BODY_HUNGRY};
    body_pipeline_init(&pipeline, given, OUTPUT_MAX);
    if (coding.len > 0)
        must(body_pipeline_set_coding(&pipeline, coding, DECODER_CODINGS_MAX, &decodes,
                                      &out->why) == 0);
    for (int r = BODY_HUNGRY; r != BODY_WHOLE && r >= 0; out->last = r) {
        struct span rest = buf_span(&pipeline.rest);

        if (r == BODY_BLOCKED) {
            uint64_t more = dice ? 1 + next(&dice) % 3000 : 0;

            body_pipeline_add_credit(&pipeline, more);
            given += more;
            r = pump(&pipeline, &rest, out);
            buf_consume(&pipeline.rest, pipeline.rest.len - rest.len);
        } else if (in.len > 0) {
            struct span piece = span_take(in, dice ? 1 + next(&dice) % 700 : in.len);

            in = span_drop(in, piece.len);
            must(rest.len == 0);
            r = pump(&pipeline, &piece, out);
            must(r != BODY_HUNGRY || piece.len == 0);
            if (r == BODY_BLOCKED)
                must(body_pipeline_keep(&pipeline, piece) == 0);
        } else {
            body_pipeline_end(&pipeline);
            r = pump(&pipeline, &rest, out);
            must(r != BODY_HUNGRY);
        }
        if (dice)
            check_credit(&pipeline, given, out->body.len);
    }
    must(out->body.len <= OUTPUT_MAX);
    body_pipeline_done(&pipeline);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const codings[] = {"", "gzip", "deflate", "br", "zstd", "br, gzip"};
    struct outcome whole;
    struct outcome pieces;

    if (size < 2)
        return 0;
    struct span coding = span_of(codings[data[0] % (sizeof(codings) / sizeof(codings[0]))]);
    struct span in = {(const char *)data + 2, size - 2};
    run(coding, in, 0, &whole);
    run(coding, in, data[1] + 1U, &pieces);
    must(whole.last == pieces.last);
    size_t shared = whole.body.len < pieces.body.len ? whole.body.len : pieces.body.len;
    must(memcmp(buf_span(&whole.body).ptr, buf_span(&pieces.body).ptr, shared) == 0);
    if (whole.last == BODY_WHOLE)
        must(whole.body.len == pieces.body.len);
    else if (whole.why.kind != FAILURE_LIMIT && pieces.why.kind != FAILURE_LIMIT)
        must(whole.why.kind == pieces.why.kind); /* what breaks at the mark may be either */
    buf_done(&whole.body);
    buf_done(&pieces.body);
    return 0;
}
