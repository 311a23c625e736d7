/* SPDX-License-Identifier: MIT */
/*
 * One exchange on a stream. What the server says arrives whether the owner has paused or not,
 * for others share the connection; so head, body, trailers and end may wait here, and are told
 * in that order.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/framing.h"
#include "transport/h2_priv.h"

#define BIT(n) (1U << (n))

static const struct {
    const char *name;
    uint32_t next;
} send_table[H2_SEND_COUNT] = {
    [H2_SEND_EXPECT] = {"expect", BIT(H2_SEND_BODY) | BIT(H2_SEND_STOPPED)},
    [H2_SEND_BODY] = {"body", BIT(H2_SEND_FLUSH) | BIT(H2_SEND_STOPPED)},
    [H2_SEND_FLUSH] = {"flush", BIT(H2_SEND_DONE) | BIT(H2_SEND_STOPPED)},
    [H2_SEND_DONE] = {"done", 0},
    [H2_SEND_STOPPED] = {"stopped", 0},
};

static const struct {
    const char *name;
    uint32_t next;
} receive_table[H2_RECEIVE_COUNT] = {
    [H2_RECEIVE_HEAD] = {"head", BIT(H2_RECEIVE_BODY)},
    [H2_RECEIVE_BODY] = {"body", BIT(H2_RECEIVE_ENDED)},
    [H2_RECEIVE_ENDED] = {"ended", 0},
};

const char *h2_send_name(enum h2_send send)
{
    return send_table[send].name;
}

const char *h2_receive_name(enum h2_receive receive)
{
    return receive_table[receive].name;
}

bool h2_send_may_follow(enum h2_send from, enum h2_send to)
{
    return (send_table[from].next & BIT(to)) != 0;
}

bool h2_receive_may_follow(enum h2_receive from, enum h2_receive to)
{
    return (receive_table[from].next & BIT(to)) != 0;
}

void h2_enter_send(struct h2_stream *stream, enum h2_send next)
{
    INVARIANT(h2_send_may_follow(stream->send, next));
    stream->send = next;
    if (next == H2_SEND_DONE)
        stream->sent_us = loop_now_us(stream->h2->transport->loop);
}

void h2_enter_receive(struct h2_stream *stream, enum h2_receive next)
{
    INVARIANT(h2_receive_may_follow(stream->receive, next));
    stream->receive = next;
}

/* ---- what is due ------------------------------------------------------------------------- */

void h2_stream_set_due(struct h2_stream *stream, unsigned due)
{
    stream->due |= due;
    if (!link_is_linked(&stream->in_due))
        list_append(&stream->h2->due, &stream->in_due);
    h2_wake(stream->h2);
}

void h2_stream_trouble_later(struct h2_stream *stream, enum h2_trouble trouble)
{
    if (stream->trouble == H2_TROUBLE_NONE)
        stream->trouble = trouble;
    h2_stream_set_due(stream, H2_DUE_FAIL);
}

static void fail_by_trouble(struct h2_stream *stream)
{
    stream->is_owners_doing = stream->trouble != H2_TROUBLE_GONE;
    switch (stream->trouble) {
    case H2_TROUBLE_NONE: return;
    case H2_TROUBLE_GONE:
        h2_stream_fail(stream, FAILURE_SEND,
                       "the connection closed before the request was sent");
        return;
    case H2_TROUBLE_BODY_SHORT:
        h2_stream_fail(stream, FAILURE_BODY_READ,
                       "the request body ended before its announced length");
        return;
    case H2_TROUBLE_BODY_LONG:
        h2_stream_fail(stream, FAILURE_BODY_READ, "the request body is longer than announced");
        return;
    case H2_TROUBLE_MEMORY: h2_stream_fail(stream, FAILURE_INTERNAL, "out of memory"); return;
    case H2_TROUBLE_QUOTA:
        h2_stream_fail(stream, FAILURE_QUOTA, "too many bytes of this user are held");
        return;
    }
}

void h2_stream_do(struct h2_stream *stream, unsigned due)
{
    switch (due) {
    case H2_DUE_FAIL: fail_by_trouble(stream); return;
    case H2_DUE_WANT: h2_send_tell_want(stream); return;
    case H2_DUE_PROGRESS: h2_send_tell_progress(stream); return;
    case H2_DUE_RECEIVE: h2_stream_tell(stream); return;
    default: INVARIANT(false);
    }
}

/* ---- the end ----------------------------------------------------------------------------- */

static void stream_free(struct reap *reap)
{
    struct h2_stream *stream = CONTAINER_OF(reap, struct h2_stream, reap);

    buf_done(&stream->upload);
    buf_done(&stream->kept);
    headers_done(&stream->fields);
    headers_done(&stream->trailers);
    mem_free(stream);
}

/* The connection's window has room again for what was kept. */
static void release_kept(struct h2_stream *stream, size_t bytes)
{
    size_t owed = stream->unconsumed < bytes ? stream->unconsumed : bytes;

    stream->h2->kept_bytes -= bytes;
    if (stream->quota)
        charge_give_back(&stream->charge, bytes);
    stream->unconsumed -= owed;
    if (owed > 0 && nghttp2_session_consume_connection(stream->h2->session, owed) != 0)
        h2_stop_opening(stream->h2); /* no memory: the window stays small */
}

void h2_stream_end(struct h2_stream *stream, bool reset)
{
    struct h2_conn *h2 = stream->h2;

    INVARIANT(stream->is_open);
    stream->is_open = false;
    link_remove(&stream->link);
    link_remove(&stream->in_due);
    h2->n_streams--;
    timer_disarm(&stream->expect_timer);
    release_kept(stream, stream->kept.len);
    if (stream->id > 0) {
        (void)nghttp2_session_set_stream_user_data(h2->session, stream->id, NULL);
        if (reset && h2->io &&
            nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, stream->id,
                                      NGHTTP2_CANCEL) != 0)
            h2_stop_opening(h2); /* no memory: the server goes on for nobody */
    }
    h2_wake(h2);
    loop_defer_free(h2->transport->loop, &stream->reap, stream_free);
}

static void finish(struct h2_stream *stream, const struct failure *why)
{
    const struct exchange_events *events = stream->exchange.events;
    bool is_whole = stream->send == H2_SEND_DONE && stream->receive == H2_RECEIVE_ENDED;

    h2_stream_end(stream, !is_whole);
    events->on_done(stream->exchange.owner, why);
}

static enum failure_phase phase_of(const struct h2_stream *stream)
{
    if (stream->status != 0)
        return PHASE_BODY;
    if (stream->first_byte_us != 0)
        return PHASE_HEAD;
    return stream->send == H2_SEND_DONE ? PHASE_WAIT : PHASE_SEND;
}

void h2_stream_fail_as(struct h2_stream *stream, const struct failure *why)
{
    struct failure copy = *why;

    copy.phase = phase_of(stream);
    finish(stream, &copy);
}

void h2_stream_fail(struct h2_stream *stream, enum failure_kind kind, const char *text)
{
    const struct conn_ends *ends = &stream->h2->ends;
    struct failure why;

    if (ends->remote[0])
        failure_set(&why, kind, "%s (server %s, port %u)", text, ends->remote,
                    ends->remote_port);
    else
        failure_set(&why, kind, "%s", text);
    h2_stream_fail_as(stream, &why);
}

/* ---- telling ----------------------------------------------------------------------------- */

/* An answer that refuses ends the upload. One that accepts may be streaming back what it is
 * being sent. */
static bool answer_ends_upload(const struct h2_stream *stream)
{
    return stream->send == H2_SEND_EXPECT ||
           (stream->send == H2_SEND_BODY && stream->status >= 300);
}

static void tell_head(struct h2_stream *stream)
{
    bool is_empty = stream->has_length && stream->length == 0;
    bool is_over = stream->receive == H2_RECEIVE_ENDED && stream->kept.len == 0;
    struct response_head told = {
        .status = stream->status,
        .http_version = 20,
        .headers = &stream->fields,
        .has_body = !is_empty && !is_over && !stream->is_head_request,
        .has_length = stream->has_length,
        .body_bytes = stream->length,
    };

    stream->head_is_told = true;
    if (answer_ends_upload(stream))
        h2_send_stop(stream);
    stream->exchange.events->on_head(stream->exchange.owner, &told);
}

static void tell_body(struct h2_stream *stream, struct span bytes)
{
    stream->response_body_bytes += bytes.len;
    stream->exchange.events->on_body(stream->exchange.owner, bytes);
}

/* The window of a reader that keeps up with one window's worth grows, once. */
static void widen(struct h2_stream *stream)
{
    if (stream->is_wide || stream->was_paused ||
        stream->response_body_bytes < H2_STREAM_WINDOW_BYTES)
        return;
    stream->is_wide = true;
    if (nghttp2_session_set_local_window_size(stream->h2->session, NGHTTP2_FLAG_NONE,
                                              stream->id, H2_WIDE_WINDOW_BYTES) != 0) {
        /* no memory for it, or the stream is closing: it stays as it is */
        return;
    }
}

static void consume_stream(struct h2_stream *stream, size_t bytes)
{
    if (nghttp2_session_consume_stream(stream->h2->session, stream->id, bytes) != 0)
        h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
    h2_wake(stream->h2);
}

static void tell_kept(struct h2_stream *stream)
{
    struct buf told = stream->kept;

    stream->kept = BUF_INIT(told.max);
    release_kept(stream, told.len);
    if (stream->receive != H2_RECEIVE_ENDED)
        consume_stream(stream, told.len);
    tell_body(stream, buf_span(&told));
    buf_done(&told);
}

static void tell_trailers(struct h2_stream *stream)
{
    stream->trailers_are_told = true;
    if (stream->exchange.events->on_trailers)
        stream->exchange.events->on_trailers(stream->exchange.owner, &stream->trailers);
}

/* Return: whether there was something. */
static bool tell_next(struct h2_stream *stream)
{
    if (stream->head_is_here && !stream->head_is_told)
        tell_head(stream);
    else if (stream->kept.len > 0)
        tell_kept(stream);
    else if (stream->trailers_are_here && !stream->trailers_are_told)
        tell_trailers(stream);
    else if (stream->receive == H2_RECEIVE_ENDED)
        finish(stream, NULL);
    else
        return false;
    return true;
}

void h2_stream_tell(struct h2_stream *stream)
{
    if (stream->is_telling)
        return;
    stream->is_telling = true;
    while (stream->is_open && !stream->is_paused && tell_next(stream))
        ;
    stream->is_telling = false;
}

/* ---- what the server says ---------------------------------------------------------------- */

static void on_informational(struct h2_stream *stream)
{
    unsigned status = stream->status;

    stream->status = 0;
    headers_clear(&stream->fields);
    if (status == 100 && stream->send == H2_SEND_EXPECT)
        h2_send_body_may_begin(stream);
    else if (!stream->is_paused && stream->exchange.events->on_informational)
        stream->exchange.events->on_informational(stream->exchange.owner, status);
}

static int learn_length(struct h2_stream *stream)
{
    struct framing framing;
    int r = framing_of_response(&stream->fields, stream->status, 11,
                                stream->is_head_request ? RESPONSE_TO_HEAD : RESPONSE_TO_OTHER,
                                &framing);

    if (r != FRAMING_OK)
        return r;
    stream->has_length = framing.has_content_length;
    stream->length = framing.content_length;
    return 0;
}

void h2_stream_on_head(struct h2_stream *stream, bool is_last)
{
    if (stream->receive != H2_RECEIVE_HEAD) {
        stream->trailers_are_here = headers_count(&stream->trailers) > 0;
        if (is_last)
            h2_stream_on_end(stream);
        return;
    }
    if (stream->status < 200) {
        on_informational(stream);
        return;
    }
    if (learn_length(stream) != 0) {
        h2_stream_fail(stream, FAILURE_PROTOCOL, "Content-Length is not one decimal number");
        return;
    }
    stream->h2->frames_in_vain = 0;
    stream->head_is_here = true;
    h2_enter_receive(stream, H2_RECEIVE_BODY);
    if (is_last) {
        h2_stream_on_end(stream);
        return;
    }
    h2_stream_tell(stream);
}

void h2_stream_on_end(struct h2_stream *stream)
{
    h2_enter_receive(stream, H2_RECEIVE_ENDED);
    h2_stream_tell(stream);
}

static void keep(struct h2_stream *stream, struct span bytes)
{
    struct h2_conn *h2 = stream->h2;

    if (stream->quota &&
        charge_take_spare(&stream->charge, stream->quota, QUOTA_BYTES, bytes.len) < 0) {
        h2_stream_trouble_later(stream, H2_TROUBLE_QUOTA);
        (void)nghttp2_session_consume_connection(h2->session, bytes.len); /* for the others */
        return;
    }
    if (buf_append(&stream->kept, bytes) < 0) {
        if (stream->quota)
            charge_give_back(&stream->charge, bytes.len);
        h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
        return;
    }
    h2->kept_bytes += bytes.len;
    if (h2->kept_bytes > H2_KEPT_BYTES_MAX)
        stream->unconsumed += bytes.len;
    else if (nghttp2_session_consume_connection(h2->session, bytes.len) != 0)
        h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
}

void h2_stream_on_data(struct h2_stream *stream, struct span bytes)
{
    struct h2_conn *h2 = stream->h2;

    h2->frames_in_vain = 0;
    stream->received_bytes += bytes.len;
    if (stream->is_paused || stream->is_telling || !stream->head_is_told ||
        stream->kept.len > 0) {
        keep(stream, bytes);
        return;
    }
    if (nghttp2_session_consume(h2->session, stream->id, bytes.len) != 0) {
        h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
        return;
    }
    h2_wake(h2);
    tell_body(stream, bytes);
    if (stream->is_open)
        widen(stream);
}

static void fail_by_code(struct h2_stream *stream, uint32_t error_code)
{
    char text[FAILURE_TEXT_MAX];
    bool lied =
        stream->saw_end_flag && stream->has_length && stream->received_bytes != stream->length;

    if (error_code == NGHTTP2_ENHANCE_YOUR_CALM)
        stream->h2->is_calming = true;
    if (!stream->is_resetting && error_code == NGHTTP2_PROTOCOL_ERROR) {
        h2_stream_fail(stream, lied ? FAILURE_TRUNCATED : FAILURE_PROTOCOL,
                       lied ? "the answer is not as long as its Content-Length says"
                            : "the answer is not a valid HTTP/2 message");
        return;
    }
    stream->is_refused = error_code == NGHTTP2_REFUSED_STREAM;
    (void)snprintf(text, sizeof(text), "the server closed the HTTP/2 stream: %s",
                   nghttp2_http2_strerror(error_code));
    h2_stream_fail(stream, stream->status ? FAILURE_TRUNCATED : FAILURE_RECEIVE, text);
}

void h2_stream_on_close(struct h2_stream *stream, uint32_t error_code)
{
    /* A whole answer counts, however the stream ended (RFC 9113 §8.1). */
    if (stream->receive == H2_RECEIVE_ENDED)
        return;
    fail_by_code(stream, error_code);
}

/* ---- the owner's side -------------------------------------------------------------------- */

static struct h2_stream *stream_of(struct exchange *exchange)
{
    return (struct h2_stream *)(void *)exchange;
}

static const struct h2_stream *const_stream_of(const struct exchange *exchange)
{
    return (const struct h2_stream *)(const void *)exchange;
}

static size_t stream_write_body(struct exchange *exchange, struct span bytes)
{
    struct h2_stream *stream = stream_of(exchange);

    return stream->is_open ? h2_send_write(stream, bytes) : 0;
}

static void stream_end_body(struct exchange *exchange)
{
    struct h2_stream *stream = stream_of(exchange);

    if (stream->is_open)
        h2_send_end_body(stream);
}

static bool stream_wants_body(const struct exchange *exchange)
{
    const struct h2_stream *stream = const_stream_of(exchange);

    return stream->is_open && (stream->send == H2_SEND_EXPECT || stream->send == H2_SEND_BODY);
}

static void stream_pause(struct exchange *exchange)
{
    struct h2_stream *stream = stream_of(exchange);

    stream->is_paused = true;
    stream->was_paused = true;
}

static void stream_resume(struct exchange *exchange)
{
    struct h2_stream *stream = stream_of(exchange);

    if (!stream->is_open || !stream->is_paused)
        return;
    stream->is_paused = false;
    h2_stream_set_due(stream, H2_DUE_RECEIVE);
}

static void stream_close(struct exchange *exchange)
{
    struct h2_stream *stream = stream_of(exchange);

    if (stream->is_open)
        h2_stream_end(stream, true);
}

static void stream_info(const struct exchange *exchange, struct exchange_info *ret)
{
    const struct h2_stream *stream = const_stream_of(exchange);
    struct conn_info conn = {0};

    conn_ends_tell(&stream->h2->ends, stream->h2->io, &conn);
    *ret = (struct exchange_info){
        .connection_id = stream->h2->id,
        .reused = stream->is_reused,
        .http_version = 20,
        .remote_address = conn.remote_address,
        .local_address = conn.local_address,
        .remote_port = conn.remote_port,
        .local_port = conn.local_port,
        .is_tls = conn.is_tls,
        .tls_resumed = conn.tls_resumed,
        .early_data = stream->is_reused ? EARLY_DATA_NONE : conn.early_data,
        .tls_version = conn.tls_version,
        .tls_cipher = conn.tls_cipher,
        .tls_alpn = conn.tls_alpn,
        .tls_verify_result = conn.tls_verify_result,
        .request_bytes = stream->request_bytes,
        .request_body_bytes = stream->request_body_bytes,
        .response_head_bytes = stream->response_head_bytes,
        .response_body_bytes = stream->response_body_bytes,
        .sent_us = stream->sent_us,
        .first_byte_us = stream->first_byte_us,
    };
}

/* What is on its way belongs to all who share the connection: an upper bound for each. */
static uint64_t stream_unacked(const struct exchange *exchange)
{
    const struct h2_stream *stream = const_stream_of(exchange);
    const struct h2_conn *h2 = stream->h2;

    return h2->io ? h2->out.len + io_unacked(h2->io) : stream->request_bytes;
}

/* RFC 9113 §8.7: what the server refused, or what lies beyond the last stream of its GOAWAY,
 * it has not touched. */
static enum exchange_replay stream_replay(const struct exchange *exchange)
{
    const struct h2_stream *stream = const_stream_of(exchange);

    if (stream->is_owners_doing)
        return REPLAY_NO;
    if (!stream->is_sent || stream->is_refused)
        return REPLAY_SAFE;
    if (stream->h2->ends.is_early)
        return REPLAY_EARLY;
    return stream->first_byte_us == 0 && stream->is_reused && !stream->is_resetting
               ? REPLAY_IDEMPOTENT
               : REPLAY_NO;
}

static const struct exchange_ops stream_ops = {
    .write_body = stream_write_body,
    .end_body = stream_end_body,
    .wants_body = stream_wants_body,
    .pause = stream_pause,
    .resume = stream_resume,
    .close = stream_close,
    .info = stream_info,
    .replay = stream_replay,
    .unacked = stream_unacked,
};

static void on_expect_timeout(void *owner)
{
    h2_send_body_may_begin(owner);
}

int h2_stream_new(struct h2_conn *h2,
                  const struct exchange_request *request,
                  const struct exchange_events *events,
                  void *owner,
                  struct h2_stream **ret)
{
    struct h2_stream *stream = mem_zalloc(sizeof(*stream));

    if (!stream)
        return fault(-ENOMEM);
    stream->exchange = (struct exchange){&stream_ops, events, owner};
    stream->h2 = h2;
    stream->is_head_request = span_eq(request->method, SPAN_LIT("HEAD"));
    stream->upload = BUF_INIT(H2_UPLOAD_BYTES_MAX);
    stream->kept = BUF_INIT(H2_WIDE_WINDOW_BYTES);
    stream->quota = request->quota;
    const struct head_limits *limits = request->limits ? request->limits : &h2->transport->head;
    stream->line_bytes_max = limits->line_bytes_max;
    headers_init(&stream->fields, limits->bytes_max, limits->fields_max);
    headers_init(&stream->trailers, limits->bytes_max, limits->fields_max);
    timer_init(&stream->expect_timer, h2->transport->loop, on_expect_timeout, stream);
    link_init(&stream->link);
    link_init(&stream->in_due);
    int r = h2_send_begin(stream, request);
    if (r < 0) {
        mem_free(stream);
        return r;
    }
    stream->is_open = true;
    stream->is_reused = h2->opened++ > 0;
    list_append(&h2->streams, &stream->link);
    h2->n_streams++;
    if (h2->io)
        io_expect(h2->io, 0); /* its answer may be short */
    *ret = stream;
    return 0;
}
