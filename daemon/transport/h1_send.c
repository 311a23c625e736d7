/* SPDX-License-Identifier: MIT */
/*
 * The request's way out. Small things (head, chunk framing, small pieces of body) gather in
 * h1->out and leave with one call at the end of the round; big pieces go to the stream as they
 * are, and only what a chunk has promised and the stream did not take is copied.
 */
#include <errno.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "http/h1_writer.h"
#include "transport/h1_priv.h"

#define EXPECT_WAIT_US    1000000 /* RFC 9110 §10.1.1: do not wait indefinitely; curl: 1 s */
#define GATHER_BYTES_MAX  16384   /* payload is copied up to so much waiting in out */
#define CHUNK_BYTES_MAX   65536   /* of payload; bounds what a full stream makes us copy */
#define OUT_KEEP_CAPACITY 4096    /* storage an idle connection may hold */

/* iovec has no const, though writing only reads. */
static struct iovec iov_of(struct span bytes)
{
    struct iovec iov = {.iov_len = bytes.len};

    memcpy(&iov.iov_base, &bytes.ptr, sizeof(iov.iov_base));
    return iov;
}

static void put_back(struct h1_conn *h1, size_t len)
{
    h1->out.len = len;
}

/* Before the empty line that ends the head. */
static int add_expect(struct buf *out)
{
    size_t len = out->len;

    out->len -= 2;
    int r = buf_append(out, SPAN_LIT("Expect: 100-continue\r\n\r\n"));
    if (r < 0)
        out->len = len;
    return r;
}

static int write_head(struct h1_conn *h1,
                      const struct exchange_request *request,
                      struct framing *ret_framing)
{
    struct framing framing =
        framing_of_request(request->method, request->body != EXCHANGE_BODY_NONE,
                           request->body == EXCHANGE_BODY_KNOWN, request->body_bytes);
    struct h1_request_head head = {
        .method = request->method,
        .target = request->target,
        .host = request->authority,
        .connection = request->close_after ? SPAN_LIT("close") : (struct span){0},
        .headers = request->headers,
        .framing = framing,
    };

    *ret_framing = framing;
    int r = h1_write_request_head(&h1->out, &head);
    if (r > 0) {
        log_err(NULL, "a request cannot be written as HTTP/1.1: reason %d", r);
        return fault(-EINVAL);
    }
    return r;
}

static enum exchange_body body_of(const struct exchange_request *request,
                                  const struct framing *framing)
{
    if (request->body == EXCHANGE_BODY_NONE)
        return EXCHANGE_BODY_NONE;
    return framing->kind == BODY_CHUNKED ? EXCHANGE_BODY_CHUNKED : EXCHANGE_BODY_KNOWN;
}

int h1_send_begin(struct h1_conn *h1, const struct exchange_request *request)
{
    struct framing framing;

    INVARIANT(h1->send == H1_SEND_IDLE && h1->out.len == 0);
    int r = write_head(h1, request, &framing);
    if (r < 0)
        return r;
    h1->body = body_of(request, &framing);
    h1->body_left = h1->body == EXCHANGE_BODY_KNOWN ? request->body_bytes : 0;
    bool has_bytes = h1->body == EXCHANGE_BODY_CHUNKED || h1->body_left > 0;
    bool expects = has_bytes && request->expect_continue;
    if (expects)
        r = timer_arm(&h1->expect_timer, EXPECT_WAIT_US);
    if (r == 0 && expects)
        r = add_expect(&h1->out);
    if (r < 0) {
        timer_disarm(&h1->expect_timer);
        buf_clear(&h1->out);
        return r;
    }
    h1->wants_body = has_bytes && !expects;
    h1_enter_send(h1, expects ? H1_SEND_EXPECT : has_bytes ? H1_SEND_BODY : H1_SEND_FLUSH);
    return 0;
}

static void count_taken(struct h1_conn *h1, size_t bytes, size_t payload)
{
    h1->request_bytes += bytes;
    h1->request_body_bytes += payload;
    h1->transport->counters.bytes_up += bytes;
    if (payload > 0)
        h1_set_due(h1, H1_DUE_PROGRESS);
}

/* The stream took so much of out. Of what is left as much as possible counts as payload, so a
 * byte is never said to be sent before it is. */
static void out_taken(struct h1_conn *h1, size_t n)
{
    buf_consume(&h1->out, n);
    size_t payload = h1->out_payload < h1->out.len ? h1->out_payload : h1->out.len;
    count_taken(h1, n, h1->out_payload - payload);
    h1->out_payload = payload;
}

static void set_blocked(struct h1_conn *h1, bool is_blocked)
{
    if (h1->is_blocked == is_blocked)
        return;
    h1->is_blocked = is_blocked;
    h1_update_interest(h1);
}

static void drop_out(struct h1_conn *h1)
{
    buf_clear(&h1->out);
    h1->out_payload = 0;
    h1->wants_body = false;
    h1->body_has_ended = false;
    timer_disarm(&h1->expect_timer);
}

void h1_send_stop(struct h1_conn *h1)
{
    h1_enter_send(h1, H1_SEND_STOPPED);
    h1->must_close = true;
    drop_out(h1);
    set_blocked(h1, false);
}

/* The server may have answered before it hung up: what it said comes first. */
static void stream_broke(struct h1_conn *h1)
{
    h1->send_failure = *io_last_failure(h1->io);
    if (h1->send_failure.kind == FAILURE_NONE)
        failure_set(&h1->send_failure, FAILURE_SEND, "connection lost");
    h1->send_failure.phase = PHASE_SEND;
    h1_send_stop(h1);
    h1_set_due(h1, H1_DUE_RECEIVE);
}

/* After any write: is all of the request out, is there room again? */
static void settle(struct h1_conn *h1)
{
    if (h1->send == H1_SEND_FLUSH && h1->out.len == 0)
        h1_enter_send(h1, H1_SEND_DONE);
    if (h1->send == H1_SEND_BODY && h1->wants_body && !h1->is_blocked)
        h1_set_due(h1, H1_DUE_WANT);
}

void h1_send_flush(struct h1_conn *h1)
{
    if (h1->is_blocked)
        return;
    if (h1->out.len > 0) {
        size_t len = h1->out.len;
        struct iovec iov = iov_of(buf_span(&h1->out));
        ssize_t n = io_writev(h1->io, &iov, 1);

        if (n < 0 && n != -EAGAIN) {
            stream_broke(h1);
            return;
        }
        if (n > 0)
            out_taken(h1, (size_t)n);
        set_blocked(h1, n < (ssize_t)len);
    }
    settle(h1);
}

void h1_send_on_writable(struct h1_conn *h1)
{
    if (!h1->is_open)
        return;
    set_blocked(h1, false);
    h1_send_flush(h1);
}

void h1_send_body_may_begin(struct h1_conn *h1)
{
    INVARIANT(h1->send == H1_SEND_EXPECT);
    timer_disarm(&h1->expect_timer);
    h1_enter_send(h1, H1_SEND_BODY);
    if (h1->body_has_ended) {
        h1_send_end_body(h1);
        return;
    }
    h1->wants_body = true;
    settle(h1);
}

void h1_send_tell_want(struct h1_conn *h1)
{
    if (h1->send != H1_SEND_BODY || !h1->wants_body || h1->is_blocked)
        return;
    h1->wants_body = false;
    if (h1->exchange.events->on_want_body)
        h1->exchange.events->on_want_body(h1->exchange.owner);
}

void h1_send_tell_progress(struct h1_conn *h1)
{
    if (h1->request_body_told == h1->request_body_bytes)
        return;
    h1->request_body_told = h1->request_body_bytes;
    if (h1->exchange.events->on_body_sent)
        h1->exchange.events->on_body_sent(h1->exchange.owner, h1->request_body_told);
}

void h1_send_end(struct h1_conn *h1)
{
    drop_out(h1);
    h1->is_blocked = false;
    if (h1->out.capacity > OUT_KEEP_CAPACITY)
        buf_done(&h1->out);
    h1_enter_send(h1, H1_SEND_IDLE);
}

/* @bytes as payload behind what is in out, framed if need be. */
static int gather(struct h1_conn *h1, struct span bytes)
{
    bool chunked = h1->body == EXCHANGE_BODY_CHUNKED;
    size_t len = h1->out.len;
    int r = chunked ? h1_write_chunk_head(&h1->out, bytes.len) : 0;

    if (r == 0)
        r = buf_append(&h1->out, bytes);
    if (r == 0 && chunked)
        r = h1_write_chunk_end(&h1->out);
    if (r != 0) {
        put_back(h1, len);
        return r;
    }
    h1->out_payload += bytes.len;
    return 0;
}

static size_t write_gathered(struct h1_conn *h1, struct span bytes)
{
    if (gather(h1, bytes) != 0) {
        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
        return 0;
    }
    h1_set_due(h1, H1_DUE_FLUSH);
    return bytes.len;
}

/* Writes out, @bytes and @tail. Return: how much of @bytes then @tail was taken, or -errno of
 * the stream; *ret_bytes of it were of @bytes. */
static ssize_t
write_through(struct h1_conn *h1, struct span bytes, struct span tail, size_t *ret_bytes)
{
    size_t pending = h1->out.len;
    struct iovec iov[3] = {iov_of(buf_span(&h1->out)), iov_of(bytes), iov_of(tail)};
    ssize_t n = io_writev(h1->io, iov, tail.len > 0 ? 3 : 2);

    if (n == -EAGAIN)
        n = 0;
    if (n < 0)
        return n;
    size_t taken = (size_t)n;
    size_t of_out = taken < pending ? taken : pending;
    out_taken(h1, of_out);
    taken -= of_out;
    *ret_bytes = taken < bytes.len ? taken : bytes.len;
    count_taken(h1, taken, *ret_bytes);
    set_blocked(h1, of_out < pending || taken < bytes.len + tail.len);
    return (ssize_t)taken;
}

static size_t write_known(struct h1_conn *h1, struct span bytes)
{
    size_t taken;

    if (write_through(h1, bytes, (struct span){0}, &taken) >= 0)
        return taken;
    stream_broke(h1);
    return 0;
}

/* A chunk that has been announced is ours to finish: what the stream leaves is copied. */
static size_t write_chunk(struct h1_conn *h1, struct span bytes)
{
    struct span end = SPAN_LIT("\r\n");
    size_t of_bytes;

    bytes = span_take(bytes, CHUNK_BYTES_MAX);
    if (h1_write_chunk_head(&h1->out, bytes.len) != 0) {
        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
        return 0;
    }
    ssize_t n = write_through(h1, bytes, end, &of_bytes);
    if (n < 0) {
        stream_broke(h1);
        return 0;
    }
    struct span rest = span_drop(bytes, of_bytes);
    struct span end_rest = span_drop(end, (size_t)n - of_bytes);
    if (buf_append(&h1->out, rest) < 0 || buf_append(&h1->out, end_rest) < 0)
        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
    else
        h1->out_payload += rest.len;
    return bytes.len;
}

size_t h1_send_write(struct h1_conn *h1, struct span bytes)
{
    size_t taken = 0;

    if (h1->send == H1_SEND_STOPPED || bytes.len == 0)
        return 0;
    if (h1->body != EXCHANGE_BODY_CHUNKED && bytes.len > h1->body_left) {
        h1_trouble_later(h1, H1_TROUBLE_BODY_LONG);
        return 0;
    }
    if (h1->send != H1_SEND_BODY)
        return 0;
    if (h1->out.len + bytes.len <= GATHER_BYTES_MAX)
        taken = write_gathered(h1, bytes);
    else if (!h1->is_blocked)
        taken =
            h1->body == EXCHANGE_BODY_CHUNKED ? write_chunk(h1, bytes) : write_known(h1, bytes);
    if (h1->send != H1_SEND_BODY)
        return taken;
    h1->wants_body = taken < bytes.len;
    if (h1->body == EXCHANGE_BODY_KNOWN) {
        h1->body_left -= taken;
        if (h1->body_left == 0)
            h1_enter_send(h1, H1_SEND_FLUSH);
    }
    settle(h1);
    return taken;
}

void h1_send_end_body(struct h1_conn *h1)
{
    if (h1->send != H1_SEND_EXPECT && h1->send != H1_SEND_BODY)
        return;
    if (h1->body == EXCHANGE_BODY_KNOWN) {
        h1_trouble_later(h1, H1_TROUBLE_BODY_SHORT);
        return;
    }
    if (h1->send == H1_SEND_EXPECT) {
        h1->body_has_ended = true;
        return;
    }
    if (h1_write_last_chunk(&h1->out, NULL) != 0) {
        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
        return;
    }
    h1_enter_send(h1, H1_SEND_FLUSH);
    h1_set_due(h1, H1_DUE_FLUSH);
}
