/* SPDX-License-Identifier: MIT */
/*
 * The way out. Control frames and small payload gather in h2->out and leave with one call at
 * the end of the round; a big DATA frame is written from where the owner's bytes lie, and only
 * what the stream did not take of it is copied.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "http/framing.h"
#include "transport/h2_priv.h"

#define GATHER_BYTES_MAX 8192    /* a DATA frame up to this size is copied into h2->out */
#define HEAD_BYTES_MAX   1048576 /* of a request, as for HTTP/1.1 */
#define OUT_KEEP_BYTES   4096    /* storage a connection may hold when nothing waits */
#define FRAME_HEAD_BYTES 9
#define PSEUDO_FIELDS    4

/* ---- the request's head ------------------------------------------------------------------ */

/* nghttp2_nv has no const, though it is only read. */
static uint8_t *bytes_of(struct span span)
{
    uint8_t *ret;

    memcpy(&ret, &span.ptr, sizeof(ret));
    return ret;
}

static nghttp2_nv nv_of(struct span name, struct span value)
{
    /* A credential must not stay in the compressor's table (RFC 7541 §7.1.3). */
    bool is_secret = span_ieq(name, SPAN_LIT("authorization"));

    return (nghttp2_nv){
        .name = bytes_of(name),
        .namelen = name.len,
        .value = bytes_of(value),
        .valuelen = value.len,
        .flags = is_secret ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE,
    };
}

/* RFC 9113 §8.2.2: fields of one connection have no place here. */
static bool is_of_connection(struct span name)
{
    return span_ieq(name, SPAN_LIT("connection")) || span_ieq(name, SPAN_LIT("keep-alive")) ||
           span_ieq(name, SPAN_LIT("proxy-connection")) || span_ieq(name, SPAN_LIT("host")) ||
           span_ieq(name, SPAN_LIT("transfer-encoding")) || span_ieq(name, SPAN_LIT("upgrade"));
}

struct head {
    nghttp2_nv *fields;
    size_t n;
    size_t bytes;
    char length[24]; /* of Content-Length */
};

static void head_add(struct head *head, struct span name, struct span value)
{
    head->fields[head->n++] = nv_of(name, value);
    head->bytes += name.len + value.len + 4;
}

static void head_add_framing(struct head *head, const struct framing *framing, bool expects)
{
    if (framing->kind == BODY_LENGTH) {
        (void)snprintf(head->length, sizeof(head->length), "%llu",
                       (unsigned long long)framing->content_length);
        head_add(head, SPAN_LIT("content-length"), span_of(head->length));
    }
    if (expects)
        head_add(head, SPAN_LIT("expect"), SPAN_LIT("100-continue"));
}

static int head_make(struct head *head,
                     const struct h2_conn *h2,
                     const struct exchange_request *request,
                     const struct framing *framing,
                     bool expects)
{
    size_t count = headers_count(request->headers ? request->headers : &(struct headers){0});

    head->fields = mem_array(count + PSEUDO_FIELDS + 2, sizeof(*head->fields));
    if (!head->fields)
        return fault(-ENOMEM);
    head_add(head, SPAN_LIT(":method"), request->method);
    head_add(head, SPAN_LIT(":scheme"), h2->ends.is_tls ? SPAN_LIT("https") : SPAN_LIT("http"));
    head_add(head, SPAN_LIT(":authority"), request->authority);
    head_add(head, SPAN_LIT(":path"), request->target);
    for (size_t i = 0; i < count; i++) {
        struct header field = headers_at(request->headers, i);

        if (!is_of_connection(field.name))
            head_add(head, field.name, field.value);
    }
    head_add_framing(head, framing, expects);
    return head->bytes > HEAD_BYTES_MAX ? fault(-EMSGSIZE) : 0;
}

/* ---- the request's body ------------------------------------------------------------------ */

/* NOLINTBEGIN(readability-function-size, readability-non-const-parameter): nghttp2's signature
 */
static ssize_t on_read_body(nghttp2_session *session,
                            int32_t id,
                            uint8_t *buf,
                            size_t length,
                            uint32_t *flags,
                            nghttp2_data_source *source,
                            void *user)
/* NOLINTEND(readability-function-size, readability-non-const-parameter) */
{
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);

    (void)buf;
    (void)source;
    (void)user;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t n = stream->upload.len < length ? stream->upload.len : length;
    bool is_last = stream->send == H2_SEND_FLUSH && n == stream->upload.len;
    if (n == 0 && !is_last) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (is_last)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static bool begins_with_body(const struct h2_stream *stream)
{
    return stream->body == EXCHANGE_BODY_CHUNKED || stream->body_left > 0;
}

static int submit(struct h2_stream *stream, const struct head *head)
{
    nghttp2_data_provider body = {.read_callback = on_read_body};
    struct h2_conn *h2 = stream->h2;
    int32_t id = nghttp2_submit_request(h2->session, NULL, head->fields, head->n,
                                        begins_with_body(stream) ? &body : NULL, stream);

    if (id == NGHTTP2_ERR_NOMEM)
        return fault(-ENOMEM);
    if (id == NGHTTP2_ERR_INVALID_ARGUMENT)
        return fault(-EINVAL);
    if (id < 0) { /* ids are used up */
        h2_stop_opening(h2);
        h2_stream_trouble_later(stream, H2_TROUBLE_GONE);
        return 0;
    }
    stream->id = id;
    return 0;
}

static enum h2_send first_state(const struct h2_stream *stream, bool expects)
{
    if (!begins_with_body(stream))
        return H2_SEND_FLUSH;
    return expects ? H2_SEND_EXPECT : H2_SEND_BODY;
}

int h2_send_begin(struct h2_stream *stream, const struct exchange_request *request)
{
    struct h2_conn *h2 = stream->h2;
    struct framing framing =
        framing_of_request(request->method, request->body != EXCHANGE_BODY_NONE,
                           request->body == EXCHANGE_BODY_KNOWN, request->body_bytes);
    struct head head = {0};
    bool expects;

    stream->body = request->body == EXCHANGE_BODY_NONE ? EXCHANGE_BODY_NONE
                   : framing.kind == BODY_CHUNKED      ? EXCHANGE_BODY_CHUNKED
                                                       : EXCHANGE_BODY_KNOWN;
    stream->body_left = stream->body == EXCHANGE_BODY_KNOWN ? request->body_bytes : 0;
    expects = begins_with_body(stream) && request->expect_continue;
    stream->send = first_state(stream, expects);
    stream->wants_body = stream->send == H2_SEND_BODY;
    if (!h2->io || h2->is_leaving) {
        h2_stream_trouble_later(stream, H2_TROUBLE_GONE);
        return 0;
    }
    int r = head_make(&head, h2, request, &framing, expects);
    if (r == 0 && expects)
        r = timer_arm(&stream->expect_timer, H2_EXPECT_WAIT_US);
    if (r == 0)
        r = submit(stream, &head);
    mem_free(head.fields);
    if (r < 0)
        timer_disarm(&stream->expect_timer);
    else if (stream->wants_body)
        h2_stream_set_due(stream, H2_DUE_WANT);
    h2_wake(h2);
    return r;
}

static void resume_data(struct h2_stream *stream)
{
    if (stream->is_deferred) {
        stream->is_deferred = false;
        if (nghttp2_session_resume_data(stream->h2->session, stream->id) == NGHTTP2_ERR_NOMEM) {
            h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
            return;
        }
    }
    h2_wake(stream->h2);
}

void h2_send_body_may_begin(struct h2_stream *stream)
{
    timer_disarm(&stream->expect_timer);
    if (stream->send != H2_SEND_EXPECT)
        return;
    h2_enter_send(stream, H2_SEND_BODY);
    if (stream->body_has_ended) {
        h2_send_end_body(stream);
        return;
    }
    stream->wants_body = true;
    h2_stream_set_due(stream, H2_DUE_WANT);
}

size_t h2_send_write(struct h2_stream *stream, struct span bytes)
{
    if (stream->send == H2_SEND_STOPPED || bytes.len == 0)
        return 0;
    if (stream->body != EXCHANGE_BODY_CHUNKED && bytes.len > stream->body_left) {
        h2_stream_trouble_later(stream, H2_TROUBLE_BODY_LONG);
        return 0;
    }
    if (stream->send != H2_SEND_BODY)
        return 0;
    size_t room = H2_UPLOAD_BYTES_MAX - stream->upload.len;
    struct span taken = span_take(bytes, room);
    if (taken.len > 0 && buf_append(&stream->upload, taken) < 0) {
        h2_stream_trouble_later(stream, H2_TROUBLE_MEMORY);
        return 0;
    }
    stream->wants_body = taken.len < bytes.len;
    if (stream->body == EXCHANGE_BODY_KNOWN) {
        stream->body_left -= taken.len;
        if (stream->body_left == 0)
            h2_enter_send(stream, H2_SEND_FLUSH);
    }
    if (taken.len > 0)
        resume_data(stream);
    return taken.len;
}

void h2_send_end_body(struct h2_stream *stream)
{
    if (stream->send != H2_SEND_EXPECT && stream->send != H2_SEND_BODY)
        return;
    if (stream->body == EXCHANGE_BODY_KNOWN) {
        h2_stream_trouble_later(stream, H2_TROUBLE_BODY_SHORT);
        return;
    }
    if (stream->send == H2_SEND_EXPECT) {
        stream->body_has_ended = true;
        return;
    }
    h2_enter_send(stream, H2_SEND_FLUSH);
    resume_data(stream);
}

void h2_send_stop(struct h2_stream *stream)
{
    h2_enter_send(stream, H2_SEND_STOPPED);
    timer_disarm(&stream->expect_timer);
    stream->wants_body = false;
    buf_done(&stream->upload);
}

void h2_send_tell_want(struct h2_stream *stream)
{
    if (stream->send != H2_SEND_BODY || !stream->wants_body ||
        stream->upload.len > H2_UPLOAD_BYTES_MAX / 2)
        return;
    stream->wants_body = false;
    if (stream->exchange.events->on_want_body)
        stream->exchange.events->on_want_body(stream->exchange.owner);
}

void h2_send_tell_progress(struct h2_stream *stream)
{
    if (stream->request_body_told == stream->request_body_bytes)
        return;
    stream->request_body_told = stream->request_body_bytes;
    if (stream->exchange.events->on_body_sent)
        stream->exchange.events->on_body_sent(stream->exchange.owner,
                                              stream->request_body_told);
}

/* ---- frames to the stream ---------------------------------------------------------------- */

static void set_blocked(struct h2_conn *h2, bool is_blocked)
{
    if (h2->is_blocked == is_blocked)
        return;
    h2->is_blocked = is_blocked;
    h2_update_interest(h2);
}

/* What the server said before it hung up is still to be read; its end tells the rest. */
static void go_mute(struct h2_conn *h2)
{
    h2->is_mute = true;
    h2_stop_opening(h2);
    buf_done(&h2->out);
    set_blocked(h2, false);
}

/* Writes out, then the pieces. Return: how much of the pieces was taken. */
static size_t write_now(struct h2_conn *h2, const struct span *pieces, int n_pieces)
{
    struct iovec iov[4];
    size_t offered = h2->out.len;
    int n_iov = 0;

    if (offered > 0)
        iov[n_iov++] = io_piece(buf_span(&h2->out));
    for (int i = 0; i < n_pieces; i++) {
        iov[n_iov++] = io_piece(pieces[i]);
        offered += pieces[i].len;
    }
    if (offered == 0)
        return 0;
    ssize_t n = io_writev(h2->io, iov, n_iov);
    if (n < 0 && n != -EAGAIN) {
        go_mute(h2);
        return 0;
    }
    size_t taken = n > 0 ? (size_t)n : 0;
    set_blocked(h2, taken < offered);
    h2->transport->counters.bytes_up += taken;
    size_t of_out = taken < h2->out.len ? taken : h2->out.len;
    buf_consume(&h2->out, of_out);
    return taken - of_out;
}

static ssize_t
on_send(nghttp2_session *session, const uint8_t *data, size_t length, int flags, void *user)
{
    struct h2_conn *h2 = user;

    (void)session;
    (void)flags;
    if (h2->is_mute)
        return (ssize_t)length;
    if (h2->is_blocked && h2->out.len >= H2_OUT_BYTES_MAX)
        return NGHTTP2_ERR_WOULDBLOCK;
    if (buf_append(&h2->out, (struct span){(const char *)data, length}) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    if (h2->out.len >= H2_OUT_BYTES_MAX && !h2->is_blocked)
        (void)write_now(h2, NULL, 0);
    return (ssize_t)length;
}

static int append_rest(struct h2_conn *h2, const struct span *pieces, int n, size_t taken)
{
    for (int i = 0; i < n; i++) {
        struct span rest = span_drop(pieces[i], taken);

        taken -= pieces[i].len - rest.len;
        if (buf_append(&h2->out, rest) < 0)
            return -ENOMEM;
    }
    return 0;
}

static void count_sent(struct h2_stream *stream, size_t payload)
{
    stream->h2->frames_in_vain = 0;
    stream->request_bytes += FRAME_HEAD_BYTES + payload;
    stream->request_body_bytes += payload;
    buf_consume(&stream->upload, payload);
    h2_stream_set_due(stream, H2_DUE_PROGRESS | (stream->wants_body ? H2_DUE_WANT : 0U));
}

static int on_send_data(nghttp2_session *session,
                        nghttp2_frame *frame,
                        const uint8_t *frame_head,
                        size_t length,
                        nghttp2_data_source *source,
                        void *user)
{
    struct h2_stream *stream =
        nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct h2_conn *h2 = user;

    (void)source;
    if (!stream)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (h2->is_blocked && h2->out.len > 0)
        return NGHTTP2_ERR_WOULDBLOCK;
    struct span pieces[] = {
        {(const char *)frame_head, FRAME_HEAD_BYTES},
        span_take(buf_span(&stream->upload), length),
    };
    size_t taken = 0;
    if (length > GATHER_BYTES_MAX && !h2->is_mute)
        taken = write_now(h2, pieces, 2);
    if (!h2->is_mute && append_rest(h2, pieces, 2, taken) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    count_sent(stream, length);
    return 0;
}

/* nghttp2 says goodbye with an error when the server broke the rules. */
static void note_goodbye(struct h2_conn *h2, uint32_t error_code)
{
    char text[FAILURE_TEXT_MAX];

    if (error_code == NGHTTP2_NO_ERROR)
        return;
    (void)snprintf(text, sizeof(text), "the server breaks the rules of HTTP/2: %s",
                   nghttp2_http2_strerror(error_code));
    h2_violated(h2, FAILURE_PROTOCOL, text);
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_stream *stream =
        frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                            : NULL;

    if (frame->hd.type == NGHTTP2_GOAWAY)
        note_goodbye(user, frame->goaway.error_code);
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        stream->is_sent = true;
        stream->request_bytes += FRAME_HEAD_BYTES + frame->hd.length;
    }
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && stream->send == H2_SEND_FLUSH)
        h2_enter_send(stream, H2_SEND_DONE);
    return 0;
}

static int
on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
    struct h2_stream *stream =
        frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
                            : NULL;

    (void)user;
    if (!stream || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    /* The connection is on its way out (GOAWAY), or there is no memory. */
    h2_stream_trouble_later(stream,
                            error == NGHTTP2_ERR_NOMEM ? H2_TROUBLE_MEMORY : H2_TROUBLE_GONE);
    return 0;
}

void h2_send_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
}

/* A write that failed for another reason than a peer who hung up ends reading too: no event of
 * the stream would tell. */
static void break_if_failed(struct h2_conn *h2)
{
    if (!io_is_connected(h2->io)) {
        struct failure why = h2->violation ? *h2->violation : *io_last_failure(h2->io);

        h2_break(h2, &why);
    }
}

void h2_send_flush(struct h2_conn *h2)
{
    struct failure why;

    if (!h2->io)
        return;
    h2->is_inside = true;
    int r = nghttp2_session_send(h2->session);
    h2->is_inside = false;
    if (h2->is_closed || !h2->io)
        return;
    if (r != 0) {
        failure_set(&why, FAILURE_INTERNAL, "out of memory");
        h2_break(h2, &why);
        return;
    }
    if (!h2->is_blocked && !h2->is_mute)
        (void)write_now(h2, NULL, 0);
    if (h2->out.len == 0 && h2->out.capacity > OUT_KEEP_BYTES)
        buf_done(&h2->out);
    if (h2->is_mute)
        break_if_failed(h2);
}
