/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * From the body as it came over the network to the body the client sees: codings undone, bytes
 * counted, limits kept, and never more handed out than the client has given credit for. What
 * could not go on is kept here, at most one read's worth, while the exchange is paused.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/failure.h"

struct decoder;

struct body_pipeline {
    struct decoder *decoder; /* NULL: as it comes */
    struct buf rest;         /* came, but did not go on yet */
    uint64_t credit;
    uint64_t wire_bytes;
    uint64_t body_bytes; /* handed out */
    uint64_t body_max;   /* UINT64_MAX: no limit */
    bool more_output;    /* the decoder holds some though there is no input */
    bool ended;          /* no more input will come */
};

enum body_outcome {
    BODY_BYTES = 1, /* *ret_bytes: pass them on and ask again */
    BODY_HUNGRY,    /* nothing is left: more input, or the end */
    BODY_BLOCKED,   /* something is left, but no credit */
    BODY_WHOLE,     /* after body_pipeline_end(): everything went out */
};

void body_pipeline_init(struct body_pipeline *pipeline, uint64_t credit, uint64_t body_max);
void body_pipeline_done(struct body_pipeline *pipeline);

/**
 * body_pipeline_set_coding() - undo what Content-Encoding says
 * @codings:     joined values of the field
 * @codings_max: more than so many, one over another, are refused; at most DECODER_CODINGS_MAX
 * Return: 0 with *ret_decodes telling whether anything is undone (an unknown coding is passed
 * on as it is); -EINVAL with *ret_why filled; -ENOMEM.
 */
MUST_CHECK int body_pipeline_set_coding(struct body_pipeline *pipeline,
                                        struct span codings,
                                        size_t codings_max,
                                        bool *ret_decodes,
                                        struct failure *ret_why);

/**
 * body_pipeline_next() - the next run of bytes for the client
 * @input:   what has just come, eaten from the front; empty when there is none
 * @scratch: room for decoded bytes
 * Return: enum body_outcome, or -EINVAL with *ret_why filled.
 */
MUST_CHECK int body_pipeline_next(struct body_pipeline *pipeline,
                                  struct span *input,
                                  struct span scratch,
                                  struct span *ret_bytes,
                                  struct failure *ret_why);

/* Keeps what is left of the input. Return: 0 or -ENOMEM. */
MUST_CHECK int body_pipeline_keep(struct body_pipeline *pipeline, struct span input);

/* The server has sent all of it. */
void body_pipeline_end(struct body_pipeline *pipeline);

void body_pipeline_add_credit(struct body_pipeline *pipeline, uint64_t bytes);
