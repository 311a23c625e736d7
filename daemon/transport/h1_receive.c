/* SPDX-License-Identifier: MIT */
/*
 * The answer's way in. Bytes are read into the loop's one scratch buffer and handed on from
 * there; only what a pause leaves behind is copied, into h1->kept, and comes first when the
 * owner resumes.
 */
#include <errno.h>

#include "base/fault.h"
#include "transport/h1_priv.h"

void h1_receive_begin(struct h1_conn *h1, const struct exchange_request *request)
{
    bool is_head = span_eq(request->method, SPAN_LIT("HEAD"));

    h1_parser_reset(&h1->parser, is_head ? RESPONSE_TO_HEAD : RESPONSE_TO_OTHER);
    h1_parser_set_limits(&h1->parser, request->limits ? request->limits : &h1->transport->head);
    buf_done(&h1->kept);
    h1->quota = request->quota;
    if (h1->io)
        h1_enter_receive(h1, H1_RECEIVE_HEAD);
}

/* An owner that closes inside an event may look at the event's bytes a little longer: they
 * stay until the next exchange or the end of the connection. */
void h1_receive_end(struct h1_conn *h1)
{
    h1->response_head_bytes = h1_parser_header_bytes(&h1->parser);
    charge_release(&h1->charge); /* who pays need not outlive the exchange */
    h1->quota = NULL;
    if (h1->is_delivering)
        return;
    h1_parser_reset(&h1->parser, RESPONSE_TO_OTHER);
    buf_done(&h1->kept);
}

static void deliver_informational(struct h1_conn *h1, unsigned status)
{
    if (status == 100 && h1->send == H1_SEND_EXPECT)
        h1_send_body_may_begin(h1);
    else if (h1->exchange.events->on_informational)
        h1->exchange.events->on_informational(h1->exchange.owner, status);
}

/* RFC 9112 §9.5: an answer that refuses ends the upload. One that accepts may be streaming
 * back what it is being sent. */
static bool answer_ends_upload(const struct h1_conn *h1, unsigned status)
{
    return h1->send == H1_SEND_EXPECT || (h1->send == H1_SEND_BODY && status >= 300);
}

static void deliver_head(struct h1_conn *h1, const struct h1_response_head *head)
{
    const struct framing *framing = &head->framing;
    struct response_head told = {
        .status = head->status,
        .http_version = head->http_version,
        .reason = head->reason,
        .headers = head->headers,
        .has_body = framing->kind == BODY_CHUNKED || framing->kind == BODY_UNTIL_CLOSE ||
                    (framing->kind == BODY_LENGTH && framing->content_length > 0),
        .has_length = framing->has_content_length &&
                      (framing->kind == BODY_LENGTH || framing->kind == BODY_NONE),
        .body_bytes = framing->content_length,
    };

    h1->status = head->status;
    h1_enter_receive(h1, H1_RECEIVE_BODY);
    if (answer_ends_upload(h1, head->status))
        h1_send_stop(h1);
    h1->exchange.events->on_head(h1->exchange.owner, &told);
}

static void deliver(struct h1_conn *h1, const struct h1_event *event)
{
    const struct exchange_events *events = h1->exchange.events;

    h1->is_delivering = true;
    switch (event->kind) {
    case H1_INFORMATIONAL: deliver_informational(h1, event->head->status); break;
    case H1_HEAD: deliver_head(h1, event->head); break;
    case H1_BODY:
        h1->response_body_bytes += event->body.len;
        events->on_body(h1->exchange.owner, event->body);
        break;
    case H1_TRAILERS:
        if (events->on_trailers)
            events->on_trailers(h1->exchange.owner, event->trailers);
        break;
    case H1_NEED_MORE:
    case H1_DONE: INVARIANT(false);
    }
    h1->is_delivering = false;
}

static void parse_failed(struct h1_conn *h1, int r)
{
    if (r < 0)
        h1_fail(h1, FAILURE_INTERNAL, "out of memory");
    else
        h1_fail(h1, h1_error_kind(r), h1_error_text(r));
}

/* The owner paused: @rest, a tail of what was kept or fresh from the stream, waits. */
static void keep(struct h1_conn *h1, struct span rest, bool was_kept)
{
    charge_release(&h1->charge);
    if (h1->quota && charge_take_spare(&h1->charge, h1->quota, QUOTA_BYTES, rest.len) < 0)
        h1_trouble_later(h1, H1_TROUBLE_QUOTA);
    else if (was_kept)
        buf_consume(&h1->kept, h1->kept.len - rest.len);
    else if (buf_append(&h1->kept, rest) < 0)
        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
}

/* Tells what is in @input until the owner pauses or the exchange ends. */
static void digest(struct h1_conn *h1, struct span input, bool was_kept)
{
    uint64_t serial = h1->serial;

    while (!h1->is_paused) {
        struct h1_event event;
        int r = h1_parser_feed(&h1->parser, &input, &event);

        if (r != 0) {
            parse_failed(h1, r);
            return;
        }
        if (event.kind == H1_DONE) {
            h1_finish(h1, NULL, h1_parser_may_reuse(&h1->parser, input.len));
            return;
        }
        if (event.kind == H1_NEED_MORE)
            break;
        deliver(h1, &event);
        if (h1->serial != serial)
            return;
    }
    if (input.len > 0 || was_kept)
        keep(h1, input, was_kept);
}

/* Nobody asked: the end, an error, or bytes that would be taken for the next answer. */
static void idle_input(struct h1_conn *h1)
{
    char byte;

    if (io_read(h1->io, &byte, 1) != -EAGAIN)
        h1_broke_idle(h1);
}

static void input_ended(struct h1_conn *h1, ssize_t n)
{
    bool at_end = n == 0 || n == IO_TRUNCATED;
    int r = at_end ? h1_parser_finish(&h1->parser, n == 0) : 0;

    if (at_end && r == 0)
        h1_finish(h1, NULL, false);
    else if (h1->send_failure.kind != FAILURE_NONE && h1->status == 0)
        h1_fail_stream(h1, &h1->send_failure);
    else if (at_end)
        parse_failed(h1, r);
    else
        h1_fail_stream(h1, io_last_failure(h1->io));
}

static size_t scratch_part(const struct transport *transport, size_t most)
{
    return most < sizeof(transport->scratch) ? most : sizeof(transport->scratch);
}

/* One read, of *most bytes at most, which it is taken off. Return: whether there may be more
 * right now. */
static bool read_once(struct h1_conn *h1, size_t *most)
{
    struct transport *transport = h1->transport;
    uint64_t serial = h1->serial;

    INVARIANT(!transport->scratch_is_lent);
    size_t want = scratch_part(transport, *most);
    ssize_t n = io_read(h1->io, transport->scratch, want);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        input_ended(h1, n);
        return false;
    }
    transport_took(transport, &h1->conn, (size_t)n);
    *most -= (size_t)n;
    if (h1->request_bytes == 0) { /* an answer to nothing: a late 408, or worse */
        h1_fail(h1, FAILURE_PROTOCOL, "the server spoke before it was asked");
        return false;
    }
    if (h1->first_byte_us == 0)
        h1->first_byte_us = loop_now_us(transport->loop);
    transport->scratch_is_lent = true;
    digest(h1, (struct span){transport->scratch, (size_t)n}, false);
    transport->scratch_is_lent = false;
    return h1->serial == serial && !h1->is_paused && (size_t)n == want;
}

/* Of what is announced the stream need not tell every byte, if all that came has been read. */
static void tell_expected(struct h1_conn *h1, bool has_more)
{
    if (h1->io)
        io_expect(h1->io, h1->is_open && !has_more ? h1_parser_announced(&h1->parser) : 0);
}

void h1_receive_on_readable(struct h1_conn *h1)
{
    if (!h1->is_open) {
        idle_input(h1);
        return;
    }
    size_t most = transport_take_turn(h1->transport, &h1->conn);
    bool was_short = most < TRANSPORT_TURN_BYTES;

    while (most > 0 && !h1->is_paused && !h1->is_resuming) {
        if (!read_once(h1, &most))
            break;
    }
    tell_expected(h1, was_short && most == 0);
}

void h1_receive_kept(struct h1_conn *h1)
{
    uint64_t serial = h1->serial;

    if (h1->is_paused)
        return;
    if (h1->is_resuming)
        digest(h1, buf_span(&h1->kept), true);
    if (h1->serial != serial || h1->is_paused)
        return;
    h1->is_resuming = false;
    charge_release(&h1->charge);
    buf_done(&h1->kept);
    h1_update_interest(h1);
    if (h1->send_failure.kind != FAILURE_NONE)
        h1_receive_on_readable(h1);
}
