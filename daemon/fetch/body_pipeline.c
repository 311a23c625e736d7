/* SPDX-License-Identifier: MIT */
#include "fetch/body_pipeline.h"

#include <errno.h>

#include "base/fault.h"
#include "http/coding.h"

void body_pipeline_init(struct body_pipeline *pipeline, uint64_t credit, uint64_t body_max)
{
    *pipeline = (struct body_pipeline){.credit = credit, .body_max = body_max};
}

void body_pipeline_done(struct body_pipeline *pipeline)
{
    pipeline->decoder = decoder_free(pipeline->decoder);
    buf_done(&pipeline->rest);
}

int body_pipeline_set_coding(struct body_pipeline *pipeline,
                             struct span codings,
                             size_t codings_max,
                             bool *ret_decodes,
                             struct failure *ret_why)
{
    struct decoder_options options = decoder_options_default();
    options.codings_max = codings_max;
    int r = decoder_new(codings, &options, &pipeline->decoder);

    if (r < 0)
        return r;
    if (r == DECODER_NEW_E_LIMIT) {
        failure_set(ret_why, FAILURE_LIMIT,
                    "the body has more than %zu codings, one over another", codings_max);
        return -EINVAL;
    }
    *ret_decodes = r == DECODER_NEW_OK;
    return 0;
}

static int fail_decoding(int outcome, struct failure *ret_why)
{
    enum failure_kind kind = FAILURE_CODING;

    if (outcome < 0)
        kind = FAILURE_INTERNAL;
    else if (outcome == DECODER_E_LIMIT)
        kind = FAILURE_LIMIT;
    else if (outcome == DECODER_E_TRUNCATED)
        kind = FAILURE_TRUNCATED;
    failure_set(ret_why, kind, "%s",
                outcome < 0 ? "out of memory" : decoder_outcome_text(outcome));
    return -EINVAL;
}

static int hand_out(struct body_pipeline *pipeline,
                    struct span bytes,
                    struct span *ret_bytes,
                    struct failure *ret_why)
{
    if (bytes.len > pipeline->body_max - pipeline->body_bytes) {
        failure_set(ret_why, FAILURE_LIMIT, "the body is longer than the %llu bytes allowed",
                    (unsigned long long)pipeline->body_max);
        return -EINVAL;
    }
    pipeline->body_bytes += bytes.len;
    pipeline->credit -= bytes.len;
    *ret_bytes = bytes;
    return BODY_BYTES;
}

static int out_of_input(struct body_pipeline *pipeline, struct failure *ret_why)
{
    if (!pipeline->ended)
        return BODY_HUNGRY;
    int r = pipeline->decoder ? decoder_finish(pipeline->decoder) : 0;
    return r == 0 ? BODY_WHOLE : fail_decoding(r, ret_why);
}

static int next_decoded(struct body_pipeline *pipeline,
                        struct span *input,
                        struct span scratch,
                        struct span *ret_bytes,
                        struct failure *ret_why)
{
    size_t room = scratch.len < pipeline->credit ? scratch.len : (size_t)pipeline->credit;
    size_t written = 0;
    int r =
        decoder_feed(pipeline->decoder, input, (char *)(uintptr_t)scratch.ptr, room, &written);

    if (r < 0 || r >= DECODER_E_CORRUPT)
        return fail_decoding(r, ret_why);
    pipeline->more_output = r == DECODER_OUTPUT_FULL;
    if (written > 0)
        return hand_out(pipeline, (struct span){scratch.ptr, written}, ret_bytes, ret_why);
    return out_of_input(pipeline, ret_why);
}

int body_pipeline_next(struct body_pipeline *pipeline,
                       struct span *input,
                       struct span scratch,
                       struct span *ret_bytes,
                       struct failure *ret_why)
{
    if (input->len == 0 && !pipeline->more_output)
        return out_of_input(pipeline, ret_why);
    if (pipeline->credit == 0)
        return BODY_BLOCKED;
    if (pipeline->decoder)
        return next_decoded(pipeline, input, scratch, ret_bytes, ret_why);

    struct span bytes =
        span_take(*input, (size_t)(pipeline->credit < SIZE_MAX ? pipeline->credit : SIZE_MAX));
    *input = span_drop(*input, bytes.len);
    return hand_out(pipeline, bytes, ret_bytes, ret_why);
}

int body_pipeline_keep(struct body_pipeline *pipeline, struct span input)
{
    return buf_append(&pipeline->rest, input);
}

void body_pipeline_end(struct body_pipeline *pipeline)
{
    pipeline->ended = true;
}

void body_pipeline_add_credit(struct body_pipeline *pipeline, uint64_t bytes)
{
    pipeline->credit =
        bytes > UINT64_MAX - pipeline->credit ? UINT64_MAX : pipeline->credit + bytes;
}
