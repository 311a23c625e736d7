/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/h1_priv.h"

/* An upload that the stream takes as fast as it comes must let others have their turn. */
#define TASK_STEPS_MAX 32

#define BIT(n)         (1U << (n))

struct step {
    const char *name;
    uint32_t next;
};

/* Every state may fall back to idle: the owner closes, or an early answer ends it all. */
static const struct step send_table[H1_SEND_COUNT] = {
    [H1_SEND_IDLE] = {"idle", BIT(H1_SEND_EXPECT) | BIT(H1_SEND_BODY) | BIT(H1_SEND_FLUSH) |
                                  BIT(H1_SEND_STOPPED)},
    [H1_SEND_EXPECT] = {"expect", BIT(H1_SEND_BODY) | BIT(H1_SEND_STOPPED) | BIT(H1_SEND_IDLE)},
    [H1_SEND_BODY] = {"body", BIT(H1_SEND_FLUSH) | BIT(H1_SEND_STOPPED) | BIT(H1_SEND_IDLE)},
    [H1_SEND_FLUSH] = {"flush", BIT(H1_SEND_DONE) | BIT(H1_SEND_STOPPED) | BIT(H1_SEND_IDLE)},
    [H1_SEND_DONE] = {"done", BIT(H1_SEND_IDLE)},
    [H1_SEND_STOPPED] = {"stopped", BIT(H1_SEND_IDLE)},
};

static const struct step receive_table[H1_RECEIVE_COUNT] = {
    [H1_RECEIVE_IDLE] = {"idle", BIT(H1_RECEIVE_HEAD) | BIT(H1_RECEIVE_CLOSED)},
    [H1_RECEIVE_HEAD] = {"head",
                         BIT(H1_RECEIVE_BODY) | BIT(H1_RECEIVE_IDLE) | BIT(H1_RECEIVE_CLOSED)},
    [H1_RECEIVE_BODY] = {"body", BIT(H1_RECEIVE_IDLE) | BIT(H1_RECEIVE_CLOSED)},
    [H1_RECEIVE_CLOSED] = {"closed", 0},
};

const char *h1_send_name(enum h1_send send)
{
    return send_table[send].name;
}

const char *h1_receive_name(enum h1_receive receive)
{
    return receive_table[receive].name;
}

bool h1_send_may_follow(enum h1_send from, enum h1_send to)
{
    return (send_table[from].next & BIT(to)) != 0;
}

bool h1_receive_may_follow(enum h1_receive from, enum h1_receive to)
{
    return (receive_table[from].next & BIT(to)) != 0;
}

void h1_enter_send(struct h1_conn *h1, enum h1_send next)
{
    INVARIANT(h1_send_may_follow(h1->send, next));
    h1->send = next;
    if (next == H1_SEND_DONE)
        h1->sent_us = loop_now_us(h1->transport->loop);
}

void h1_enter_receive(struct h1_conn *h1, enum h1_receive next)
{
    INVARIANT(h1_receive_may_follow(h1->receive, next));
    h1->receive = next;
}

void h1_set_due(struct h1_conn *h1, unsigned due)
{
    h1->due |= due;
    if (!h1->is_in_task)
        loop_defer(h1->transport->loop, &h1->task);
}

void h1_trouble_later(struct h1_conn *h1, enum h1_trouble trouble)
{
    if (h1->trouble == H1_TROUBLE_NONE)
        h1->trouble = trouble;
    h1_set_due(h1, H1_DUE_FAIL);
}

void h1_update_interest(struct h1_conn *h1)
{
    bool held = h1->is_open && (h1->is_paused || h1->is_resuming);

    if (h1->io)
        io_set_interest(h1->io, (held ? 0 : IO_READ) | (h1->is_blocked ? IO_WRITE : 0));
}

void h1_close_stream(struct h1_conn *h1)
{
    if (!h1->io)
        return;
    h1->io = io_close(h1->io);
    h1_enter_receive(h1, H1_RECEIVE_CLOSED);
}

void h1_broke_idle(struct h1_conn *h1)
{
    h1_close_stream(h1);
    if (h1->conn.events && h1->conn.events->on_broken)
        h1->conn.events->on_broken(h1->conn.owner);
}

/* No event of this exchange comes after it. */
static void end_exchange(struct h1_conn *h1)
{
    INVARIANT(h1->is_open);
    h1->is_open = false;
    h1->serial++;
    h1->due = 0;
    h1->trouble = H1_TROUBLE_NONE;
    h1_send_end(h1);
    h1_receive_end(h1);
    h1->is_paused = false;
    h1->is_resuming = false;
}

void h1_finish(struct h1_conn *h1, const struct failure *why, bool may_reuse)
{
    const struct exchange_events *events = h1->exchange.events;
    bool keep = !why && may_reuse && !h1->must_close && h1->send == H1_SEND_DONE;

    end_exchange(h1);
    if (keep)
        h1_enter_receive(h1, H1_RECEIVE_IDLE);
    else
        h1_close_stream(h1);
    h1_update_interest(h1);
    events->on_done(h1->exchange.owner, why);
}

enum failure_phase h1_phase(const struct h1_conn *h1)
{
    if (h1->status != 0)
        return PHASE_BODY;
    if (h1->first_byte_us != 0)
        return PHASE_HEAD;
    return h1->send == H1_SEND_DONE ? PHASE_WAIT : PHASE_SEND;
}

void h1_fail(struct h1_conn *h1, enum failure_kind kind, const char *text)
{
    struct failure why;

    if (h1->ends.remote[0])
        failure_set(&why, kind, "%s (server %s, port %u)", text, h1->ends.remote,
                    h1->ends.remote_port);
    else
        failure_set(&why, kind, "%s", text);
    why.phase = h1_phase(h1);
    h1_finish(h1, &why, false);
}

void h1_fail_stream(struct h1_conn *h1, const struct failure *why)
{
    struct failure copy = *why;

    if (copy.kind == FAILURE_NONE)
        failure_set(&copy, FAILURE_RECEIVE, "connection lost");
    copy.phase = h1_phase(h1);
    h1_finish(h1, &copy, false);
}

static void fail_by_trouble(struct h1_conn *h1)
{
    h1->is_owners_doing = h1->trouble != H1_TROUBLE_GONE;
    switch (h1->trouble) {
    case H1_TROUBLE_NONE: return;
    case H1_TROUBLE_GONE:
        h1_fail(h1, FAILURE_SEND, "the connection closed before the request was sent");
        return;
    case H1_TROUBLE_BODY_SHORT:
        h1_fail(h1, FAILURE_BODY_READ, "the request body ended before its announced length");
        return;
    case H1_TROUBLE_BODY_LONG:
        h1_fail(h1, FAILURE_BODY_READ, "the request body is longer than announced");
        return;
    case H1_TROUBLE_MEMORY: h1_fail(h1, FAILURE_INTERNAL, "out of memory"); return;
    case H1_TROUBLE_QUOTA:
        h1_fail(h1, FAILURE_QUOTA, "too many bytes of this user are held");
        return;
    }
}

static void do_one(struct h1_conn *h1, unsigned due)
{
    switch (due) {
    case H1_DUE_FAIL: fail_by_trouble(h1); return;
    case H1_DUE_WANT: h1_send_tell_want(h1); return;
    case H1_DUE_FLUSH: h1_send_flush(h1); return;
    case H1_DUE_PROGRESS: h1_send_tell_progress(h1); return;
    case H1_DUE_RECEIVE: h1_receive_kept(h1); return;
    default: INVARIANT(false);
    }
}

/* One thing after the other, looking again each time: any of them may end the exchange, and
 * the owner may have begun the next one on this connection. */
static void h1_on_task(void *owner)
{
    struct h1_conn *h1 = owner;

    h1->is_in_task = true;
    for (int i = 0; i < TASK_STEPS_MAX && h1->is_open && h1->due; i++) {
        unsigned due = h1->due & -h1->due;

        h1->due &= ~due;
        do_one(h1, due);
    }
    h1->is_in_task = false;
    if (h1->is_open && h1->due)
        loop_defer_next(h1->transport->loop, &h1->task);
}

static void h1_on_readable(void *owner)
{
    h1_receive_on_readable(owner);
}

static void h1_on_writable(void *owner)
{
    h1_send_on_writable(owner);
}

static void h1_on_failed(void *owner, const struct failure *why)
{
    struct h1_conn *h1 = owner;

    if (h1->is_open)
        h1_fail_stream(h1, why);
    else
        h1_broke_idle(h1);
}

static void h1_on_settled(void *owner)
{
    struct h1_conn *h1 = owner;

    conn_ends_init(&h1->ends, h1->io);
    if (h1->conn.events && h1->conn.events->on_settled)
        h1->conn.events->on_settled(h1->conn.owner);
}

static const struct io_events h1_io_events = {
    .on_readable = h1_on_readable,
    .on_writable = h1_on_writable,
    .on_failed = h1_on_failed,
    .on_settled = h1_on_settled,
};

static void h1_on_expect_timeout(void *owner)
{
    h1_send_body_may_begin(owner);
}

static struct h1_conn *h1_of_exchange(struct exchange *exchange)
{
    return CONTAINER_OF(exchange, struct h1_conn, exchange);
}

static const struct h1_conn *h1_of_const_exchange(const struct exchange *exchange)
{
    return (const struct h1_conn *)(const void *)((const char *)exchange -
                                                  offsetof(struct h1_conn, exchange));
}

static size_t h1_exchange_write_body(struct exchange *exchange, struct span bytes)
{
    struct h1_conn *h1 = h1_of_exchange(exchange);

    return h1->is_open ? h1_send_write(h1, bytes) : 0;
}

static void h1_exchange_end_body(struct exchange *exchange)
{
    struct h1_conn *h1 = h1_of_exchange(exchange);

    if (h1->is_open)
        h1_send_end_body(h1);
}

static bool h1_exchange_wants_body(const struct exchange *exchange)
{
    const struct h1_conn *h1 = h1_of_const_exchange(exchange);

    return h1->is_open && (h1->send == H1_SEND_EXPECT || h1->send == H1_SEND_BODY);
}

static void h1_exchange_pause(struct exchange *exchange)
{
    struct h1_conn *h1 = h1_of_exchange(exchange);

    if (!h1->is_open)
        return;
    h1->is_paused = true;
    h1_update_interest(h1);
}

static void h1_exchange_resume(struct exchange *exchange)
{
    struct h1_conn *h1 = h1_of_exchange(exchange);

    if (!h1->is_open || !h1->is_paused)
        return;
    h1->is_paused = false;
    h1->is_resuming = true;
    h1_set_due(h1, H1_DUE_RECEIVE);
}

static void h1_exchange_close(struct exchange *exchange)
{
    struct h1_conn *h1 = h1_of_exchange(exchange);

    if (!h1->is_open)
        return;
    end_exchange(h1);
    h1_close_stream(h1);
}

static void h1_tell_info(const struct conn *conn, struct conn_info *ret)
{
    const struct h1_conn *h1 = (const struct h1_conn *)(const void *)conn;

    *ret = (struct conn_info){.id = h1->id, .http_version = 11, .exchanges = h1->opened};
    conn_ends_tell(&h1->ends, h1->io, ret);
}

static const struct io *h1_stream(const struct conn *conn)
{
    return ((const struct h1_conn *)(const void *)conn)->io;
}

static void h1_exchange_info(const struct exchange *exchange, struct exchange_info *ret)
{
    const struct h1_conn *h1 = h1_of_const_exchange(exchange);
    struct conn_info conn;

    h1_tell_info(&h1->conn, &conn);
    *ret = (struct exchange_info){
        .connection_id = conn.id,
        .reused = conn.exchanges > 1,
        .http_version = conn.http_version,
        .remote_address = conn.remote_address,
        .local_address = conn.local_address,
        .remote_port = conn.remote_port,
        .local_port = conn.local_port,
        .is_tls = conn.is_tls,
        .tls_resumed = conn.tls_resumed,
        .early_data = conn.exchanges == 1 ? conn.early_data : EARLY_DATA_NONE,
        .tls_version = conn.tls_version,
        .tls_cipher = conn.tls_cipher,
        .tls_alpn = conn.tls_alpn,
        .tls_verify_result = conn.tls_verify_result,
        .request_bytes = h1->request_bytes,
        .request_body_bytes = h1->request_body_bytes,
        .response_head_bytes =
            h1->is_open ? h1_parser_header_bytes(&h1->parser) : h1->response_head_bytes,
        .response_body_bytes = h1->response_body_bytes,
        .sent_us = h1->sent_us,
        .first_byte_us = h1->first_byte_us,
    };
}

/* Framing counts as payload: a byte is never said to have arrived before it has. */
static uint64_t h1_exchange_unacked(const struct exchange *exchange)
{
    const struct h1_conn *h1 = h1_of_const_exchange(exchange);

    return h1->io ? io_unacked(h1->io) : h1->request_bytes;
}

static enum exchange_replay h1_exchange_replay(const struct exchange *exchange)
{
    const struct h1_conn *h1 = h1_of_const_exchange(exchange);

    if (h1->is_owners_doing)
        return REPLAY_NO;
    if (h1->request_bytes == 0)
        return REPLAY_SAFE;
    if (h1->ends.is_early)
        return REPLAY_EARLY;
    return h1->first_byte_us == 0 && h1->opened > 1 ? REPLAY_IDEMPOTENT : REPLAY_NO;
}

static const struct exchange_ops h1_exchange_ops = {
    .write_body = h1_exchange_write_body,
    .end_body = h1_exchange_end_body,
    .wants_body = h1_exchange_wants_body,
    .pause = h1_exchange_pause,
    .resume = h1_exchange_resume,
    .close = h1_exchange_close,
    .info = h1_exchange_info,
    .replay = h1_exchange_replay,
    .unacked = h1_exchange_unacked,
};

static void reset_counts(struct h1_conn *h1)
{
    h1->request_bytes = 0;
    h1->request_body_bytes = 0;
    h1->request_body_told = 0;
    h1->response_head_bytes = 0;
    h1->response_body_bytes = 0;
    h1->sent_us = 0;
    h1->first_byte_us = 0;
    h1->status = 0;
    h1->is_owners_doing = false;
    h1->send_failure.kind = FAILURE_NONE;
}

static int h1_open_exchange(struct conn *conn,
                            const struct exchange_request *request,
                            const struct exchange_events *events,
                            void *owner,
                            struct exchange **ret)
{
    struct h1_conn *h1 = h1_of_conn(conn);

    if (h1->is_open)
        return fault(-EBUSY);
    reset_counts(h1);
    int r = h1_send_begin(h1, request);
    if (r < 0)
        return r;
    h1_receive_begin(h1, request);
    h1->is_open = true;
    h1->serial++;
    h1->opened++;
    h1->must_close = request->close_after;
    h1->exchange = (struct exchange){&h1_exchange_ops, events, owner};
    h1->transport->counters.exchanges++;
    if (h1->io) {
        h1_set_due(h1, H1_DUE_FLUSH | (h1->send == H1_SEND_BODY ? H1_DUE_WANT : 0));
    } else {
        h1_send_stop(h1);
        h1_trouble_later(h1, H1_TROUBLE_GONE);
    }
    *ret = &h1->exchange;
    return 0;
}

static bool h1_is_usable(const struct conn *conn)
{
    const struct h1_conn *h1 = (const struct h1_conn *)(const void *)conn;

    return h1->io && !h1->is_open;
}

static unsigned h1_capacity(const struct conn *conn)
{
    (void)conn;
    return 1;
}

static bool h1_is_busy(const struct conn *conn)
{
    return ((const struct h1_conn *)(const void *)conn)->is_open;
}

static void h1_free(struct reap *reap)
{
    struct h1_conn *h1 = CONTAINER_OF(reap, struct h1_conn, reap);

    loop_defer_cancel(h1->transport->loop, &h1->task);
    h1_parser_done(&h1->parser);
    buf_done(&h1->out);
    buf_done(&h1->kept);
    mem_free(h1);
}

static void h1_close(struct conn *conn)
{
    struct h1_conn *h1 = h1_of_conn(conn);

    if (h1->is_open)
        end_exchange(h1);
    h1_close_stream(h1);
    h1->conn.events = NULL;
    loop_defer_free(h1->transport->loop, &h1->reap, h1_free);
}

static const struct conn_ops h1_conn_ops = {
    .open_exchange = h1_open_exchange,
    .is_usable = h1_is_usable,
    .capacity = h1_capacity,
    .is_busy = h1_is_busy,
    .info = h1_tell_info,
    .stream = h1_stream,
    .close = h1_close,
};

int conn_new_h1(struct transport *transport, struct io *io, struct conn **ret)
{
    struct h1_conn *h1 = mem_zalloc(sizeof(*h1));

    if (!h1)
        return fault(-ENOMEM);
    h1->conn.ops = &h1_conn_ops;
    h1->transport = transport;
    h1->io = io;
    h1->id = ++transport->last_conn_id;
    h1->out = BUF_INIT(H1_OUT_BYTES_MAX);
    h1->task = (struct deferred){.fn = h1_on_task, .owner = h1};
    timer_init(&h1->expect_timer, transport->loop, h1_on_expect_timeout, h1);
    h1_parser_init(&h1->parser, &transport->h1, RESPONSE_TO_OTHER);
    conn_ends_init(&h1->ends, io);
    io_set_events(io, &h1_io_events, h1);
    h1_update_interest(h1);

    *ret = &h1->conn;
    return 0;
}
