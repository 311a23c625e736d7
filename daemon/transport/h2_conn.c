/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/fault.h"
#include "base/mem.h"
#include "transport/h2_priv.h"

/* Owners that have more to upload than the windows allow must not hold up the others. */
#define TASK_STEPS_MAX 64

void h2_wake(struct h2_conn *h2)
{
    if (!h2->is_closed)
        loop_defer(h2->transport->loop, &h2->task);
}

void h2_update_interest(struct h2_conn *h2)
{
    if (h2->io)
        io_set_interest(h2->io, IO_READ | (h2->is_blocked ? IO_WRITE : 0U));
}

void h2_stop_opening(struct h2_conn *h2)
{
    if (h2->is_leaving)
        return;
    h2->is_leaving = true;
    h2->has_changed = true;
    h2_wake(h2);
}

static void close_stream(struct h2_conn *h2)
{
    h2->io = io_close(h2->io);
    h2->is_leaving = true;
    timer_disarm(&h2->ping_timer);
}

static struct h2_stream *first_stream(struct h2_conn *h2)
{
    struct link *first = list_first(&h2->streams);

    return first ? CONTAINER_OF(first, struct h2_stream, link) : NULL;
}

/* Each event may close other exchanges or the connection: always look for the first again. */
void h2_break(struct h2_conn *h2, const struct failure *why)
{
    struct failure copy = *why;
    struct h2_stream *stream;

    close_stream(h2);
    while (!h2->is_closed && (stream = first_stream(h2)))
        h2_stream_fail_as(stream, &copy);
    if (!h2->is_closed && h2->conn.events && h2->conn.events->on_broken)
        h2->conn.events->on_broken(h2->conn.owner);
}

/* nghttp2 has sent GOAWAY, or has nothing left to wait for after the server's. */
static void leave_if_over(struct h2_conn *h2)
{
    struct failure why;

    if (!h2->io || nghttp2_session_want_read(h2->session) ||
        (nghttp2_session_want_write(h2->session) && !h2->is_mute) || h2->out.len > 0)
        return;
    if (h2->violation)
        why = *h2->violation;
    else
        failure_set(&why, FAILURE_RECEIVE, "the server closed the connection");
    h2_break(h2, &why);
}

/* ---- the task ---------------------------------------------------------------------------- */

/* One thing after the other, looking again each time: any of them may end the stream. */
static void do_due(struct h2_conn *h2)
{
    struct link *first;

    for (int i = 0; i < TASK_STEPS_MAX && !h2->is_closed; i++) {
        first = list_first(&h2->due);
        if (!first)
            return;
        struct h2_stream *stream = CONTAINER_OF(first, struct h2_stream, in_due);
        unsigned due = stream->due & -stream->due;

        stream->due &= ~due;
        link_remove(&stream->in_due);
        if (stream->due)
            list_append(&h2->due, &stream->in_due);
        if (due)
            h2_stream_do(stream, due);
    }
}

static void tell_changed(struct h2_conn *h2)
{
    if (!h2->has_changed || h2->is_closed)
        return;
    h2->has_changed = false;
    if (h2->conn.events && h2->conn.events->on_changed)
        h2->conn.events->on_changed(h2->conn.owner);
}

static void on_task(void *owner)
{
    struct h2_conn *h2 = owner;

    do_due(h2);
    if (!h2->is_closed)
        h2_send_flush(h2);
    if (!h2->is_closed)
        leave_if_over(h2);
    tell_changed(h2);
    if (!h2->is_closed && !list_is_empty(&h2->due))
        loop_defer_next(h2->transport->loop, &h2->task);
}

/* ---- the stream below -------------------------------------------------------------------- */

static void on_readable(void *owner)
{
    h2_session_read(owner);
}

static void on_writable(void *owner)
{
    struct h2_conn *h2 = owner;

    h2->is_blocked = false;
    h2_update_interest(h2);
    h2_wake(h2);
}

static void on_failed(void *owner, const struct failure *why)
{
    h2_break(owner, why);
}

static void on_settled(void *owner)
{
    struct h2_conn *h2 = owner;

    conn_ends_init(&h2->ends, h2->io);
    if (h2->conn.events && h2->conn.events->on_settled)
        h2->conn.events->on_settled(h2->conn.owner);
}

static const struct io_events h2_io_events = {
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_failed = on_failed,
    .on_settled = on_settled,
};

/* ---- silence ----------------------------------------------------------------------------- */

static void arm_ping(struct h2_conn *h2, int64_t delay_us)
{
    if (timer_arm(&h2->ping_timer, delay_us) < 0)
        h2_stop_opening(h2); /* no memory: what cannot be watched is not kept */
}

/* A server that has gone without a word is found out by the question that it does not answer
 * (RFC 9113 §6.7). */
static void on_ping_timer(void *owner)
{
    struct h2_conn *h2 = owner;
    int64_t silent_us = loop_now_us(h2->transport->loop) - h2->heard_us;
    struct failure why;

    if (silent_us < H2_PING_AFTER_US) {
        h2->ping_is_out = false;
        arm_ping(h2, H2_PING_AFTER_US - silent_us);
        return;
    }
    if (h2->ping_is_out) {
        failure_set(&why, FAILURE_RECEIVE, "the server does not answer any more");
        h2_break(h2, &why);
        return;
    }
    h2->ping_is_out = true;
    if (nghttp2_submit_ping(h2->session, NGHTTP2_FLAG_NONE, NULL) != 0)
        h2_stop_opening(h2);
    h2_wake(h2);
    arm_ping(h2, H2_PING_ANSWER_US);
}

/* ---- the pool's side --------------------------------------------------------------------- */

static const struct h2_conn *h2_of_const(const struct conn *conn)
{
    return (const struct h2_conn *)(const void *)conn;
}

static int op_open(struct conn *conn,
                   const struct exchange_request *request,
                   const struct exchange_events *events,
                   void *owner,
                   struct exchange **ret)
{
    struct h2_conn *h2 = h2_of_conn(conn);
    struct h2_stream *stream;
    int r = h2_stream_new(h2, request, events, owner, &stream);

    if (r < 0)
        return r;
    if (request->close_after)
        h2_stop_opening(h2);
    h2->transport->counters.exchanges++;
    *ret = &stream->exchange;
    return 0;
}

static bool op_is_usable(const struct conn *conn)
{
    const struct h2_conn *h2 = h2_of_const(conn);

    return h2->io && !h2->is_leaving;
}

static unsigned op_capacity(const struct conn *conn)
{
    return op_is_usable(conn) ? h2_of_const(conn)->streams_max : 0;
}

static bool op_is_busy(const struct conn *conn)
{
    return h2_of_const(conn)->n_streams > 0;
}

static void op_info(const struct conn *conn, struct conn_info *ret)
{
    const struct h2_conn *h2 = h2_of_const(conn);

    *ret = (struct conn_info){.id = h2->id,
                              .http_version = 20,
                              .exchanges = h2->opened,
                              .asks_for_calm = h2->is_calming};
    conn_ends_tell(&h2->ends, h2->io, ret);
}

static const struct io *op_stream(const struct conn *conn)
{
    return h2_of_const(conn)->io;
}

static void h2_free(struct reap *reap)
{
    struct h2_conn *h2 = CONTAINER_OF(reap, struct h2_conn, reap);

    loop_defer_cancel(h2->transport->loop, &h2->task);
    nghttp2_session_del(h2->session);
    buf_done(&h2->out);
    mem_free(h2->violation);
    mem_free(h2);
}

/* A last word to the server that nothing more comes, as far as the stream takes it. */
static void say_goodbye(struct h2_conn *h2)
{
    if (!h2->io || h2->is_mute || h2->is_inside)
        return;
    if (nghttp2_session_terminate_session(h2->session, NGHTTP2_NO_ERROR) == 0)
        h2_send_flush(h2);
}

static void op_close(struct conn *conn)
{
    struct h2_conn *h2 = h2_of_conn(conn);
    struct h2_stream *stream;

    h2->conn.events = NULL;
    while ((stream = first_stream(h2)))
        h2_stream_end(stream, false);
    say_goodbye(h2);
    h2->is_closed = true;
    close_stream(h2);
    loop_defer_free(h2->transport->loop, &h2->reap, h2_free);
}

static const struct conn_ops h2_conn_ops = {
    .open_exchange = op_open,
    .is_usable = op_is_usable,
    .capacity = op_capacity,
    .is_busy = op_is_busy,
    .info = op_info,
    .stream = op_stream,
    .close = op_close,
};

int conn_new_h2(struct transport *transport, struct io *io, struct conn **ret)
{
    struct h2_conn *h2 = mem_zalloc(sizeof(*h2));

    if (!h2)
        return fault(-ENOMEM);
    h2->conn.ops = &h2_conn_ops;
    h2->transport = transport;
    h2->streams_max = H2_STREAMS_UNTIL_TOLD;
    h2->out = BUF_INIT(0);
    h2->task = (struct deferred){.fn = on_task, .owner = h2};
    h2->heard_us = loop_now_us(transport->loop);
    link_init(&h2->streams);
    link_init(&h2->due);
    timer_init(&h2->ping_timer, transport->loop, on_ping_timer, h2);
    int r = h2_session_new(h2);
    if (r == 0)
        r = timer_arm(&h2->ping_timer, H2_PING_AFTER_US);
    if (r < 0) {
        nghttp2_session_del(h2->session);
        mem_free(h2);
        return r;
    }
    h2->id = ++transport->last_conn_id;
    h2->io = io;
    conn_ends_init(&h2->ends, io);
    io_set_events(io, &h2_io_events, h2);
    h2_update_interest(h2);
    loop_defer_next(transport->loop, &h2->task); /* the first request goes in the same record */
    *ret = &h2->conn;
    return 0;
}
