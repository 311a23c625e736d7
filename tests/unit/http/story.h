/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Feeds a response to a parser in pieces and writes down what it says, one event a line, so
 * that two ways of cutting the same bytes can be compared as text. Shared by unit and fuzz
 * tests.
 */

#include <stdlib.h>

#include "base/buf.h"
#include "http/h1_parser.h"

enum story_cut {
    STORY_WHOLE,
    STORY_BYTEWISE,
    STORY_SPLIT,  /* once, at @arg */
    STORY_RANDOM, /* pieces of 0..15 bytes; @arg is the seed */
};

enum story_end {
    STORY_OPEN, /* no EOF */
    STORY_CLEAN_EOF,
    STORY_DIRTY_EOF,
};

struct story_input {
    struct span bytes;
    enum response_to to;
    struct h1_parser_options options;
    enum story_cut cut;
    size_t arg;
    enum story_end end;
};

static inline void story_check(bool ok)
{
    if (!ok)
        abort();
}

static inline void story_fields(struct buf *out, const struct headers *headers)
{
    for (size_t i = 0; i < headers_count(headers); i++) {
        struct header line = headers_at(headers, i);

        story_check(buf_append_str(out, " [") == 0 && buf_append(out, line.name) == 0 &&
                    buf_append_str(out, "=") == 0 && buf_append(out, line.value) == 0 &&
                    buf_append_str(out, "]") == 0);
    }
}

static inline void story_head(struct buf *out, const char *what, const struct h1_event *event)
{
    static const char *const kinds[] = {"none", "length", "chunked", "close", "tunnel"};
    const struct h1_response_head *head = event->head;

    story_check(buf_append_format(out, "%s %u %u '%.*s' %s", what, head->http_version,
                                  head->status, (int)head->reason.len, head->reason.ptr,
                                  kinds[head->framing.kind]) == 0);
    if (head->framing.has_content_length)
        story_check(buf_append_char(out, ' ') == 0 &&
                    buf_append_u64(out, head->framing.content_length) == 0);
    story_check(buf_append_str(out, head->keep_alive ? " keep" : " shut") == 0);
    story_fields(out, head->headers);
    story_check(buf_append_format(out, " %zu\n", head->header_bytes) == 0);
}

/* Joined body pieces are one line: the first piece opens it, the next other event closes it. */
static inline void story_event(struct buf *out, const struct h1_event *event, bool *in_body)
{
    if (event->kind == H1_BODY) {
        story_check(event->body.len > 0);
        story_check(*in_body || buf_append_str(out, "body ") == 0);
        story_check(buf_append(out, event->body) == 0);
        *in_body = true;
        return;
    }
    if (event->kind == H1_NEED_MORE)
        return;
    story_check(!*in_body || buf_append_char(out, '\n') == 0);
    *in_body = false;
    switch (event->kind) {
    case H1_INFORMATIONAL: story_head(out, "info", event); break;
    case H1_HEAD: story_head(out, "head", event); break;
    case H1_TRAILERS:
        story_check(headers_count(event->trailers) > 0);
        story_check(buf_append_str(out, "trailers") == 0);
        story_fields(out, event->trailers);
        story_check(buf_append_char(out, '\n') == 0);
        break;
    case H1_DONE: story_check(buf_append_str(out, "done") == 0); break;
    case H1_NEED_MORE:
    case H1_BODY: break;
    }
}

/* Feeds one piece. Return: whether the parser wants no more; *ret_r is its last result. */
static inline bool story_feed(
    struct h1_parser *parser, struct span *piece, struct buf *out, bool *in_body, int *ret_r)
{
    struct span given = *piece;

    for (;;) {
        struct h1_event event;

        *ret_r = h1_parser_feed(parser, piece, &event);
        story_check(piece->len == 0 || piece->ptr + piece->len == given.ptr + given.len);
        if (*ret_r != 0)
            return true;
        if (event.kind == H1_BODY)
            story_check(event.body.ptr >= given.ptr &&
                        event.body.ptr + event.body.len <= given.ptr + given.len);
        story_event(out, &event, in_body);
        if (event.kind == H1_DONE)
            return true;
        if (event.kind == H1_NEED_MORE) {
            story_check(piece->len == 0);
            return false;
        }
    }
}

static inline size_t story_piece(const struct story_input *in, size_t at, unsigned *random)
{
    size_t left = in->bytes.len - at;
    size_t n = left;

    if (in->cut == STORY_BYTEWISE)
        n = 1;
    else if (in->cut == STORY_SPLIT && at < in->arg)
        n = in->arg - at;
    else if (in->cut == STORY_RANDOM) {
        *random = *random * 1103515245U + 12345U;
        n = *random >> 16 & 15;
    }
    return n < left ? n : left;
}

/* What the caller owns: the transcript, ending with "done +N" (N bytes left over), "more" or
 * the error's text. */
static inline void
story_tell(struct h1_parser *parser, const struct story_input *in, struct buf *out)
{
    unsigned random = (unsigned)in->arg;
    bool in_body = false;
    bool over = in->bytes.len == 0;
    size_t at = 0;
    int r = 0;

    while (at < in->bytes.len && !over) {
        /* A copy of exactly the piece's size: ASan sees who reads past it. */
        size_t n = story_piece(in, at, &random);
        char *copy = malloc(n ? n : 1);
        story_check(copy != NULL);
        if (n > 0)
            memcpy(copy, in->bytes.ptr + at, n);
        struct span piece = {copy, n};

        over = story_feed(parser, &piece, out, &in_body, &r);
        at += n - piece.len;
        free(copy);
    }
    if (r == 0 && in->end != STORY_OPEN)
        r = h1_parser_finish(parser, in->end == STORY_CLEAN_EOF);
    struct span told = buf_span(out);
    bool done = told.len >= 4 && memcmp(told.ptr + told.len - 4, "done", 4) == 0 && !in_body;
    if (r == 0 && in->end != STORY_OPEN && !done) {
        struct span none = {"", 0};
        story_check(story_feed(parser, &none, out, &in_body, &r) && r == 0);
        done = true;
    }
    story_check(!in_body || buf_append_char(out, '\n') == 0);
    if (r != 0)
        story_check(buf_append_str(out, h1_error_text(r)) == 0);
    else if (done)
        story_check(buf_append_format(out, " +%zu", in->bytes.len - at) == 0);
    else
        story_check(buf_append_str(out, "more") == 0);
}
