/* SPDX-License-Identifier: MIT */
/*
 * What nghttp2 tells while it reads. It holds the server to RFC 9113 (frame sizes, windows,
 * states, names in lower case, no Connection, Content-Length against DATA) and answers PING and
 * SETTINGS; it refuses pushes, and closes when a flood of either fills its queue. What it lets
 * through and we do not: fields without end, and frames without end that move nothing.
 */
#include <errno.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "transport/h2_priv.h"

#define HEAD_SEND_MAX      (2U * 1024 * 1024)
#define ACKS_QUEUED_MAX    1000 /* CVE-2019-9512, -9515 */
#define CONTINUATIONS_MAX  8    /* CVE-2024-28182 */
#define STATUS_LINE_BYTES  17   /* as HTTP/1.1 would write it: curl counts so too */
#define FIELD_SYNTAX_BYTES 4    /* ": " and CRLF */

/* ---- callbacks: streams ------------------------------------------------------------------ */

static struct h2_stream *find(nghttp2_session *session, int32_t id)
{
    return id ? nghttp2_session_get_stream_user_data(session, id) : NULL;
}

/* An owner may have closed the connection inside any event. */
static int go_on(const struct h2_conn *h2)
{
    return h2->is_closed || !h2->io ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void h2_violated(struct h2_conn *h2, enum failure_kind kind, const char *text)
{
    if (h2->violation)
        return;
    h2->violation = mem_zalloc(sizeof(*h2->violation));
    if (h2->violation)
        failure_set(h2->violation, kind, "%s (server %s, port %u)", text, h2->ends.remote,
                    h2->ends.remote_port);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *user)
{
    struct h2_stream *stream = find(session, head->stream_id);
    struct h2_conn *h2 = user;

    if (++h2->frames_in_vain > H2_FRAMES_IN_VAIN_MAX) {
        h2_violated(h2, FAILURE_PROTOCOL, "the server floods the connection with idle frames");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (!stream)
        return 0;
    if (stream->first_byte_us == 0 && head->type == NGHTTP2_HEADERS)
        stream->first_byte_us = loop_now_us(h2->transport->loop);
    stream->saw_end_flag = (head->type == NGHTTP2_HEADERS || head->type == NGHTTP2_DATA) &&
                           (head->flags & NGHTTP2_FLAG_END_STREAM) != 0;
    return 0;
}

static int take_status(struct h2_stream *stream, struct span value)
{
    uint64_t status;

    if (value.len != 3 || num_parse_u64(value, 999, &status) < 0 || status < 100)
        return -EINVAL;
    stream->status = (unsigned)status;
    stream->response_head_bytes += STATUS_LINE_BYTES;
    return 0;
}

static int take_field(struct h2_stream *stream, struct span name, struct span value)
{
    if (span_eq(name, SPAN_LIT(":status")))
        return take_status(stream, value);
    stream->response_head_bytes += name.len + value.len + FIELD_SYNTAX_BYTES;
    if (stream->response_head_bytes > stream->fields.bytes_max || /* 1xx counted in */
        name.len + value.len + FIELD_SYNTAX_BYTES > stream->line_bytes_max)
        return -EMSGSIZE;
    return headers_add(stream->receive == H2_RECEIVE_HEAD ? &stream->fields : &stream->trailers,
                       name, value);
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature */
static int on_header(nghttp2_session *session,
                     const nghttp2_frame *frame,
                     const uint8_t *name,
                     size_t name_len,
                     const uint8_t *value,
                     size_t value_len,
                     uint8_t flags,
                     void *user)
{
    struct h2_stream *stream = find(session, frame->hd.stream_id);

    (void)flags;
    if (!stream)
        return 0;
    int r = take_field(stream, (struct span){(const char *)name, name_len},
                       (struct span){(const char *)value, value_len});
    if (r == -EMSGSIZE)
        h2_stream_fail(stream, FAILURE_LIMIT, "the answer's head is too large");
    else if (r == -EINVAL)
        h2_stream_fail(stream, FAILURE_PROTOCOL, "the answer's status is not a number");
    else if (r < 0)
        h2_stream_fail(stream, FAILURE_INTERNAL, "out of memory");
    return go_on(user);
}

static int on_data(nghttp2_session *session,
                   uint8_t flags,
                   int32_t id,
                   const uint8_t *data,
                   size_t len,
                   void *user)
{
    struct h2_stream *stream = find(session, id);
    struct h2_conn *h2 = user;

    (void)flags;
    if (stream)
        h2_stream_on_data(stream, (struct span){(const char *)data, len});
    else if (nghttp2_session_consume_connection(session, len) != 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    h2_wake(h2);
    return go_on(h2);
}

static int
on_stream_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *user)
{
    struct h2_stream *stream = find(session, id);

    if (stream) {
        stream->id = 0;
        h2_stream_on_close(stream, error_code);
    }
    return go_on(user);
}

/* ---- callbacks: the connection ----------------------------------------------------------- */

static void learn_streams_max(struct h2_conn *h2)
{
    uint32_t most = nghttp2_session_get_remote_settings(
        h2->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

    if (most == h2->streams_max)
        return;
    h2->streams_max = most;
    h2->has_changed = true;
    h2_wake(h2);
}

static void on_goaway(struct h2_conn *h2, const nghttp2_goaway *goaway)
{
    h2->is_calming |= goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM;
    h2_stop_opening(h2);
}

static void on_stream_frame(struct h2_stream *stream, const nghttp2_frame *frame)
{
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    if (frame->hd.type == NGHTTP2_HEADERS)
        h2_stream_on_head(stream, is_last);
    else if (frame->hd.type == NGHTTP2_DATA && is_last)
        h2_stream_on_end(stream);
    else if (frame->hd.type == NGHTTP2_RST_STREAM)
        stream->is_resetting = true;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_stream *stream = find(session, frame->hd.stream_id);
    struct h2_conn *h2 = user;

    if (stream)
        on_stream_frame(stream, frame);
    else if (frame->hd.type == NGHTTP2_SETTINGS)
        learn_streams_max(h2);
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        on_goaway(h2, &frame->goaway);
    else if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        h2->ping_is_out = false;
    return go_on(h2);
}

/* Most of nghttp2's complaints are about one stream. */
static int
on_error(nghttp2_session *session, int error, const char *message, size_t len, void *user)
{
    (void)session;
    (void)message;
    (void)len;
    if (error == NGHTTP2_ERR_SETTINGS_EXPECTED)
        h2_violated(user, FAILURE_PROTOCOL, "the server does not speak HTTP/2");
    return 0;
}

static int make_callbacks(nghttp2_session_callbacks **ret)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return fault(-ENOMEM);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_error_callback2(callbacks, on_error);
    h2_send_set_callbacks(callbacks);
    *ret = callbacks;
    return 0;
}

static int make_options(nghttp2_option **ret)
{
    nghttp2_option *option;

    if (nghttp2_option_new(&option) != 0)
        return fault(-ENOMEM);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, ACKS_QUEUED_MAX);
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
    nghttp2_option_set_max_send_header_block_length(option, HEAD_SEND_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(option, H2_STREAMS_UNTIL_TOLD);
    nghttp2_option_set_no_closed_streams(option, 1);
    *ret = option;
    return 0;
}

/* Preface, SETTINGS and a wide connection window: they leave with the first request. */
static int say_hello(struct h2_conn *h2)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int r = nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings,
                                    sizeof(settings) / sizeof(settings[0]));

    if (r == 0)
        r = nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0,
                                                  H2_CONN_WINDOW_BYTES);
    return r == 0 ? 0 : fault(-ENOMEM);
}

int h2_session_new(struct h2_conn *h2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int r = make_callbacks(&callbacks);

    if (r == 0)
        r = make_options(&option);
    if (r == 0 && nghttp2_session_client_new2(&h2->session, callbacks, h2, option) != 0)
        r = fault(-ENOMEM);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return r == 0 ? say_hello(h2) : r;
}

/* ---- reading ----------------------------------------------------------------------------- */

static void read_ended(struct h2_conn *h2, ssize_t n)
{
    struct failure why = *io_last_failure(h2->io);

    if (h2->violation)
        why = *h2->violation;
    else if (n == 0 || n == IO_TRUNCATED || why.kind == FAILURE_NONE)
        failure_set(&why, FAILURE_RECEIVE, "the server closed the connection");
    h2_break(h2, &why);
}

static void read_failed(struct h2_conn *h2, ssize_t error)
{
    struct failure why;

    if (h2->violation)
        why = *h2->violation;
    else if (error == NGHTTP2_ERR_NOMEM || error == NGHTTP2_ERR_CALLBACK_FAILURE)
        failure_set(&why, FAILURE_INTERNAL, "out of memory");
    else
        failure_set(&why, FAILURE_PROTOCOL, "the server breaks the rules of HTTP/2: %s",
                    nghttp2_strerror((int)error));
    h2_send_flush(h2); /* GOAWAY, if there is one */
    if (h2->io)
        h2_break(h2, &why);
}

/* One read, of *most bytes at most, which it is taken off. Return: whether there may be more
 * right now. */
static bool read_once(struct h2_conn *h2, size_t *most)
{
    struct transport *transport = h2->transport;

    INVARIANT(!transport->scratch_is_lent);
    size_t want = *most < sizeof(transport->scratch) ? *most : sizeof(transport->scratch);
    ssize_t n = io_read(h2->io, transport->scratch, want);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        read_ended(h2, n);
        return false;
    }
    transport_took(transport, &h2->conn, (size_t)n);
    *most -= (size_t)n;
    h2->heard_us = loop_now_us(transport->loop);
    transport->scratch_is_lent = true;
    h2->is_inside = true;
    ssize_t eaten =
        nghttp2_session_mem_recv(h2->session, (uint8_t *)transport->scratch, (size_t)n);
    h2->is_inside = false;
    transport->scratch_is_lent = false;
    h2_wake(h2);
    if (h2->is_closed || !h2->io)
        return false;
    if (eaten < 0) {
        read_failed(h2, eaten);
        return false;
    }
    return (size_t)n == want;
}

/* Of one stream alone what its server announced, as far as it may send that unasked. Of several
 * each would want to be told of its bytes: nothing. */
static uint64_t announced(const struct h2_conn *h2)
{
    if (h2->n_streams != 1)
        return 0;

    const struct h2_stream *stream =
        CONTAINER_OF(list_first(&h2->streams), struct h2_stream, link);
    if (!stream->has_length || stream->received_bytes >= stream->length)
        return 0;
    uint64_t left = stream->length - stream->received_bytes;
    int32_t of_stream = nghttp2_session_get_stream_local_window_size(h2->session, stream->id);
    int32_t of_all = nghttp2_session_get_local_window_size(h2->session);
    int32_t window = of_stream < of_all ? of_stream : of_all;

    if (window < 0)
        return 0;
    return left < (uint64_t)window ? left : (uint64_t)window;
}

void h2_session_read(struct h2_conn *h2)
{
    size_t most = transport_take_turn(h2->transport, &h2->conn);
    bool was_short = most < TRANSPORT_TURN_BYTES;

    while (most > 0 && h2->io && read_once(h2, &most)) {
    }
    if (h2->io && !h2->is_closed)
        io_expect(h2->io, was_short && most == 0 ? 0 : announced(h2));
}
