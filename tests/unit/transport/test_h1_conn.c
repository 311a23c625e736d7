/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 connections over a stream in memory, with the test as the server. What the owner is
 * told is written down as a story, one word an event, and stories are compared.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/num.h"
#include "http/headers.h"
#include "loop/loop.h"
#include "loop/turns.h"
#include "net/io_pair.h"
#include "support/test.h"
#include "transport/conn.h"
#include "transport/exchange.h"
#include "transport/h1_priv.h"

enum act { ACT_NONE, ACT_PAUSE, ACT_PAUSE_RESUME, ACT_CLOSE, ACT_CLOSE_CONN };

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct io *client;
    struct io *server;
    struct conn *conn;
    struct exchange *exchange; /* NULL: none is open */
    struct buf story;
    struct buf seen; /* by the server */
    size_t body_bytes;
    int n_events;
    int n_done;
    int n_broken;
    struct failure failure; /* of the last done */
    struct exchange_info info;
    enum exchange_replay replay;
    uint64_t body_sent;

    enum act act; /* in the event numbered act_at, from 0 */
    int act_at;
    struct span upload; /* what on_want_body writes */
    size_t upload_piece;
    bool upload_open_ended; /* does not call exchange_end_body() */
    bool reopen;            /* a second exchange inside done */
};

static void say(struct world *world, const char *text)
{
    assert_int_equal(buf_append_str(&world->story, text), 0);
}

static void act_now(struct world *world)
{
    if (world->n_events++ != world->act_at)
        return;
    switch (world->act) {
    case ACT_NONE: return;
    case ACT_PAUSE: exchange_pause(world->exchange); return;
    case ACT_PAUSE_RESUME:
        exchange_pause(world->exchange);
        exchange_resume(world->exchange);
        return;
    case ACT_CLOSE: exchange_close(TAKE(world->exchange)); return;
    case ACT_CLOSE_CONN:
        world->exchange = NULL;
        conn_close(TAKE(world->conn));
        return;
    }
}

static void must_be_open(const struct world *world)
{
    assert_non_null(world->exchange);
    assert_int_equal(world->n_done, 0);
}

static void on_informational(void *owner, unsigned status)
{
    char text[32];

    must_be_open(owner);
    (void)snprintf(text, sizeof(text), "%u ", status);
    say(owner, text);
    act_now(owner);
}

static void on_want_body(void *owner)
{
    struct world *world = owner;
    size_t taken = 0;
    size_t offered;

    must_be_open(world);
    if (world->act != ACT_NONE && world->n_events == world->act_at) {
        act_now(world);
        if (!world->exchange)
            return;
    } else {
        world->n_events++;
    }
    do {
        offered = world->upload_piece && world->upload_piece < world->upload.len
                      ? world->upload_piece
                      : world->upload.len;
        taken = exchange_write_body(world->exchange, span_take(world->upload, offered));
        world->upload = span_drop(world->upload, taken);
    } while (taken == offered && world->upload.len > 0);
    if (world->upload.len == 0 && !world->upload_open_ended)
        exchange_end_body(world->exchange);
}

static void on_body_sent(void *owner, uint64_t total)
{
    struct world *world = owner;

    must_be_open(world);
    assert_true(total > world->body_sent);
    world->body_sent = total;
    act_now(world);
}

static void on_head(void *owner, const struct response_head *head)
{
    char text[96];

    must_be_open(owner);
    (void)snprintf(text, sizeof(text), "head(%u,%d,%d,%d,%zu) ", head->status,
                   (int)head->has_body, (int)head->has_length,
                   head->has_length ? (int)head->body_bytes : -1, headers_count(head->headers));
    say(owner, text);
    act_now(owner);
    assert_true(head->http_version >= 10); /* still readable if act_now() closed */
    (void)headers_count(head->headers);
}

static void on_body(void *owner, struct span bytes)
{
    struct world *world = owner;
    static unsigned long sum;

    must_be_open(world);
    assert_true(bytes.len > 0);
    assert_int_equal(buf_append(&world->story, bytes), 0);
    world->body_bytes += bytes.len;
    act_now(world);
    sum += (unsigned char)bytes.ptr[bytes.len - 1]; /* still readable */
}

static void on_trailers(void *owner, const struct headers *fields)
{
    char text[32];

    must_be_open(owner);
    (void)snprintf(text, sizeof(text), " trailers(%zu)", headers_count(fields));
    say(owner, text);
    act_now(owner);
}

static void open_exchange(struct world *world, const struct exchange_request *request);

static void on_done(void *owner, const struct failure *why)
{
    struct world *world = owner;

    must_be_open(world);
    world->n_done++;
    exchange_info(world->exchange, &world->info);
    world->replay = exchange_replay(world->exchange);
    world->failure = why ? *why : (struct failure){0};
    say(world, why ? " failed:" : " done");
    if (why)
        say(world, failure_kind_name(why->kind));
    if (world->act == ACT_CLOSE_CONN && world->n_events == world->act_at)
        conn_close(TAKE(world->conn));
    world->n_events++;
    world->exchange = NULL;
    if (world->reopen) {
        world->reopen = false;
        say(world, " again ");
        open_exchange(world, &(struct exchange_request){.method = SPAN_LIT("GET"),
                                                        .target = SPAN_LIT("/2"),
                                                        .authority = SPAN_LIT("h")});
    }
}

static const struct exchange_events events = {
    .on_informational = on_informational,
    .on_want_body = on_want_body,
    .on_body_sent = on_body_sent,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_done = on_done,
};

static void on_broken(void *owner)
{
    struct world *world = owner;

    world->n_broken++;
}

static const struct conn_events conn_events = {.on_broken = on_broken};

static void world_connect(struct world *world)
{
    if (world->conn)
        conn_close(TAKE(world->conn));
    if (world->server)
        world->server = io_close(world->server);
    assert_int_equal(io_pair_new(world->loop, &world->client, &world->server), 0);
    assert_int_equal(conn_new_h1(world->transport, world->client, &world->conn), 0);
    conn_set_events(world->conn, &conn_events, world);
}

static void world_init(struct world *world)
{
    *world = (struct world){.act_at = -1};
    fake_clock_init(&world->clock, 1700000000);
    world->clock.now_us = 5000000;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(transport_new(&world->transport, world->loop), 0);
    world_connect(world);
}

static void turn(struct world *world, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(loop_turn(world->loop, false), 0);
}

/* Everything the client wrote so far. */
static void server_read(struct world *world)
{
    ssize_t n;

    do {
        assert_int_equal(buf_reserve(&world->seen, 65536), 0);
        n = io_read(world->server, buf_tail(&world->seen), 65536);
        if (n > 0)
            buf_commit(&world->seen, (size_t)n);
        turn(world, n > 0 ? 3 : 0);
    } while (n > 0);
}

static void server_write(struct world *world, struct span bytes)
{
    while (bytes.len > 0) {
        struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
        ssize_t n = io_writev(world->server, &iov, 1);

        if (n < 0 && n != -EAGAIN)
            return; /* the client has hung up */
        if (n == -EAGAIN)
            n = 0;
        bytes = span_drop(bytes, (size_t)n);
        turn(world, 3);
    }
}

static void server_says(struct world *world, const char *text)
{
    server_write(world, span_of(text));
    turn(world, 3);
}

static void world_clear(struct world *world)
{
    buf_clear(&world->story);
    buf_clear(&world->seen);
    world->n_events = 0;
    world->n_done = 0;
    world->n_broken = 0;
    world->body_bytes = 0;
    world->body_sent = 0;
}

static void world_done(struct world *world)
{
    if (world->conn)
        conn_close(world->conn);
    if (world->server)
        io_close(world->server);
    turn(world, 3);
    buf_done(&world->story);
    buf_done(&world->seen);
    transport_free(world->transport);
    loop_free(world->loop);
}

static void open_exchange(struct world *world, const struct exchange_request *request)
{
    int r = conn_open_exchange(world->conn, request, &events, world, &world->exchange);

    assert_int_equal(r, 0);
    world->n_done = 0;
}

static struct exchange_request request_of(const char *method)
{
    return (struct exchange_request){
        .method = span_of(method), .target = SPAN_LIT("/"), .authority = SPAN_LIT("h")};
}

static void get(struct world *world)
{
    struct exchange_request request = request_of("GET");

    open_exchange(world, &request);
    turn(world, 2);
}

static void assert_story(struct world *world, const char *story)
{
    assert_string_equal(buf_c_str(&world->story), story);
}

static void assert_seen(struct world *world, const char *text)
{
    server_read(world);
    assert_string_equal(buf_c_str(&world->seen), text);
}

static bool server_sees_end(struct world *world)
{
    char byte;

    server_read(world);
    return io_read(world->server, &byte, 1) != -EAGAIN;
}

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

static void test_an_exchange_leaves_the_connection_ready_for_the_next(void **state)
{
    struct world world;
    struct exchange_request request = request_of("GET");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        world_clear(&world);
        assert_true(conn_is_usable(world.conn));
        open_exchange(&world, &request);
        assert_false(conn_is_usable(world.conn));
        assert_int_equal(io_pair_in_flight(world.client), 0); /* until the round ends */
        turn(&world, 1);
        assert_seen(&world, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        server_says(&world, OK_5);
        assert_story(&world, "head(200,1,1,5,1) HELLO done");
        assert_int_equal(world.info.connection_id, 1);
        assert_int_equal(world.info.reused, i > 0);
        assert_int_equal(world.info.http_version, 11);
        assert_int_equal(world.info.request_bytes, 27);
        assert_int_equal(world.info.response_body_bytes, 5);
        assert_int_equal(world.info.response_head_bytes, sizeof(OK_5) - 1 - 5);
        assert_true(world.info.sent_us > 0 && world.info.first_byte_us > 0);
    }
    assert_int_equal(transport_counters(world.transport)->exchanges, 3);
    assert_int_equal(transport_counters(world.transport)->bytes_up, 3 * 27);
    assert_int_equal(world.n_broken, 0);
    world_done(&world);
}

static void test_the_next_exchange_may_begin_inside_done(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.reopen = true;
    get(&world);
    server_says(&world, OK_5);
    assert_seen(&world, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
                        "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    server_says(&world, OK_5);
    assert_story(&world, "head(200,1,1,5,1) HELLO done again head(200,1,1,5,1) HELLO done");
    world_done(&world);
}

/* Answers, what is told of each, and whether the connection may go on. */
static const struct answer {
    const char *method;
    const char *text;
    const char *story;
    bool reusable;
    bool then_eof;
} answers[] = {
    {"GET", OK_5, "head(200,1,1,5,1) HELLO done", true, false},
    {"GET", "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" OK_5, "103 head(200,1,1,5,1) HELLO done",
     true, false},
    {"GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHEL\r\n2;x=y\r\nLO\r\n0\r\n"
     "T: 1\r\n\r\n",
     "head(200,1,0,-1,1) HELLO trailers(1) done", true, false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHELLO",
     "head(200,1,1,5,2) HELLO done", false, false},
    {"GET", "HTTP/1.0 200 OK\r\n\r\nHELLO", "head(200,1,0,-1,0) HELLO done", false, true},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nHELLO", "head(200,1,1,5,1) HELLO done",
     false, false},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "head(200,0,1,5,1)  done", true,
     false},
    {"GET", "HTTP/1.1 204 No\r\n\r\n", "head(204,0,0,-1,0)  done", true, false},
    {"GET", "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", "head(304,0,1,5,1)  done", true,
     false},
    {"GET", "NOT HTTP AT ALL\r\n\r\n", " failed:protocol", false, false},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", " failed:protocol", false, false},
    /* LB08: no byte in any framing */
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "head(200,0,1,0,1)  done", true,
     false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "head(200,1,0,-1,1)  done", true, false},
    {"GET", "HTTP/1.1 200 OK\r\n\r\n", "head(200,1,0,-1,0)  done", false, true},
    /* H102: both lengths */
    {"GET",
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
     "5\r\nHELLO\r\n0\r\n\r\n",
     "head(200,1,0,-1,2) HELLO done", false, false},
    /* H111: a body where none may be */
    {"HEAD", OK_5, "head(200,0,1,5,1)  done", false, false},
    {"GET", "HTTP/1.1 204 No\r\n\r\nHELLO", "head(204,0,0,-1,0)  done", false, false},
    {"GET", "HTTP/1.1 304 Not\r\n\r\nHELLO", "head(304,0,0,-1,0)  done", false, false},
    /* H112: cut short */
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO",
     "head(200,1,1,9,1) HELLO failed:truncated", false, true},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n",
     "head(200,1,0,-1,1) HELLO failed:truncated", false, true},
    {"GET", "HTTP/1.1 200 OK\r\nConte", " failed:truncated", false, true},
    {"GET", "", " failed:empty-reply", false, true},
    /* H113: bytes behind the end */
    {"GET", OK_5 "HTTP/1.1 200 OK\r\n\r\n", "head(200,1,1,5,1) HELLO done", false, false},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n0\r\n\r\nX",
     "head(200,1,0,-1,1) HELLO done", false, false},
};

#define N_ANSWERS (sizeof(answers) / sizeof(answers[0]))

/* @slice: bytes a round, 0: all at once, -1: at random. */
static void run_answer(struct world *world, const struct answer *answer, int slice)
{
    struct span rest = span_of(answer->text);
    struct exchange_request request = request_of(answer->method);

    world_clear(world);
    world_connect(world);
    open_exchange(world, &request);
    turn(world, 2);
    while (rest.len > 0) {
        size_t n = slice == 0 ? rest.len : slice > 0 ? (size_t)slice : (size_t)(rand() % 9 + 1);

        server_write(world, span_take(rest, n));
        rest = span_drop(rest, n);
    }
    if (answer->then_eof)
        io_pair_send_eof(world->server);
    turn(world, 6);
}

static void check_answer(struct world *world, const struct answer *answer)
{
    assert_story(world, answer->story);
    assert_int_equal(world->n_done, 1);
    assert_int_equal(conn_is_usable(world->conn), answer->reusable);
    assert_int_equal(server_sees_end(world), !answer->reusable);
}

static void
test_h102_h111_h112_h113_lb08_every_answer_tells_its_story_and_whether_it_was_the_last(
    void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < N_ANSWERS; i++) {
        run_answer(&world, &answers[i], 0);
        check_answer(&world, &answers[i]);
    }
    world_done(&world);
}

static void test_h114_an_answer_cut_anywhere_tells_the_same_story(void **state)
{
    struct world world;

    (void)state;
    srand(1);
    world_init(&world);
    for (size_t i = 0; i < N_ANSWERS; i++) {
        for (int slice = -1; slice < 12; slice++) {
            run_answer(&world, &answers[i], slice);
            check_answer(&world, &answers[i]);
        }
    }
    world_done(&world);
}

/* Pauses in the n-th event until it has no n-th event any more. */
static void pause_in_each_event(struct world *world, const struct answer *answer, int slice)
{
    int n_events = 1;

    for (int at = 0; at < n_events; at++) {
        world->act = ACT_PAUSE;
        world->act_at = at;
        run_answer(world, answer, slice);
        int told = world->n_events;
        if (world->exchange) {
            assert_int_equal(told, at + 1);
            turn(world, 3);
            assert_int_equal(world->n_events, told); /* not a word while paused */
            exchange_resume(world->exchange);
            assert_int_equal(world->n_events, told); /* nor inside the call */
            turn(world, 8);
        }
        check_answer(world, answer);
        n_events = world->n_events - 1; /* done is the last */
    }
    world->act = ACT_NONE;
    world->act_at = -1;
}

static void test_pausing_in_any_event_changes_nothing_but_the_time(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < N_ANSWERS; i++) {
        pause_in_each_event(&world, &answers[i], 0);
        pause_in_each_event(&world, &answers[i], 1);
        pause_in_each_event(&world, &answers[i], 7);
    }
    world.act = ACT_PAUSE_RESUME;
    for (size_t i = 0; i < N_ANSWERS; i++) {
        for (world.act_at = 0; world.act_at < 6; world.act_at++) {
            run_answer(&world, &answers[i], 3);
            check_answer(&world, &answers[i]);
        }
    }
    world_done(&world);
}

static void test_who_shares_the_loop_is_sent_so_much_a_round(void **state)
{
    static char big[100000];
    struct turns turns = {0};
    struct world world;
    struct span rest = {big, sizeof(big)};

    (void)state;
    world_init(&world);
    transport_share(world.transport, &turns);
    conn_set_user(world.conn, 1000);
    get(&world);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n");
    assert_int_equal(io_writev(world.server, &(struct iovec){big, rest.len}, 1), rest.len);
    for (size_t told = 0; told < rest.len;) { /* somebody else is at work */
        turns_note(&turns, turns_user(1001), loop_now_us(world.loop));
        turn(&world, 1);
        told = told + TURNS_DOWN_BYTES < rest.len ? told + TURNS_DOWN_BYTES : rest.len;
        assert_int_equal(world.body_bytes, told);
    }
    fake_clock_advance_ms(&world.clock, 11); /* and rests */
    assert_int_equal(io_writev(world.server, &(struct iovec){big, rest.len}, 1), rest.len);
    turn(&world, 1);
    assert_int_equal(world.body_bytes, 2 * rest.len);
    assert_int_equal(world.n_done, 1);
    world_done(&world);
}

static void test_a_paused_exchange_stops_the_server_and_keeps_what_was_read(void **state)
{
    struct world world;
    char *big = malloc(1000000);

    (void)state;
    assert_non_null(big);
    memset(big, 'x', 1000000);
    world_init(&world);
    get(&world);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    exchange_pause(world.exchange);
    size_t before = world.body_bytes;
    struct span rest = {big, 1000000};
    struct iovec iov = {big, rest.len};
    ssize_t n = io_writev(world.server, &iov, 1);
    assert_true(n > 0 && n < 1000000);
    turn(&world, 10);
    assert_int_equal(io_writev(world.server, &iov, 1), -EAGAIN); /* full: nobody reads */
    assert_int_equal(world.body_bytes, before);
    exchange_resume(world.exchange);
    server_write(&world, span_drop(rest, (size_t)n));
    turn(&world, 10);
    assert_int_equal(world.body_bytes, 1000000);
    assert_int_equal(world.n_done, 1);
    assert_int_equal(world.failure.kind, FAILURE_NONE);
    free(big);
    world_done(&world);
}

static void test_lb04_closing_in_any_event_ends_the_story_there(void **state)
{
    static const enum act acts[] = {ACT_CLOSE, ACT_CLOSE_CONN};
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < N_ANSWERS; i++) {
        for (int slice = 0; slice < 2; slice++) {
            for (int at = 0; at < 12; at++) {
                world.act = acts[at & 1];
                world.act_at = at / 2;
                run_answer(&world, &answers[i], slice);
                if (world.n_done == 0) {
                    assert_int_equal(world.n_events, world.act_at + 1);
                    assert_null(world.exchange);
                    assert_true(server_sees_end(&world));
                }
                assert_true(world.n_broken <= world.n_done);
            }
        }
    }
    world_done(&world);
}

static struct exchange_request upload_of(enum exchange_body body, uint64_t bytes, bool expect)
{
    struct exchange_request request = request_of("PUT");

    request.body = body;
    request.body_bytes = bytes;
    request.expect_continue = expect;
    return request;
}

static char pattern[300000];

static void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)('a' + i % 23);
}

/* What a chunked body says, without the framing. */
static size_t unchunk(struct span body, char *ret)
{
    size_t total = 0;

    for (;;) {
        struct span digits;
        uint64_t size;

        assert_true(span_split(&body, '\n', &digits));
        assert_true(digits.len > 1 && digits.ptr[digits.len - 1] == '\r');
        assert_int_equal(
            num_parse_hex_u64(span_take(digits, digits.len - 1), sizeof(pattern), &size), 0);
        assert_true(size + 2 <= body.len);
        memcpy(ret + total, body.ptr, size);
        total += size;
        assert_memory_equal(body.ptr + size, "\r\n", 2);
        body = span_drop(body, size + 2);
        if (size == 0) {
            assert_int_equal(body.len, 0);
            return total;
        }
    }
}

static void check_upload(struct world *world, enum exchange_body body, size_t bytes)
{
    struct span seen = buf_span(&world->seen);
    const char *end = memmem(seen.ptr, seen.len, "\r\n\r\n", 4);
    static char plain[sizeof(pattern)];

    assert_non_null(end);
    seen = span_drop(seen, (size_t)(end + 4 - seen.ptr));
    if (body == EXCHANGE_BODY_CHUNKED) {
        assert_int_equal(unchunk(seen, plain), bytes);
        assert_memory_equal(plain, pattern, bytes);
    } else {
        assert_int_equal(seen.len, bytes);
        assert_memory_equal(seen.ptr, pattern, bytes);
    }
    assert_int_equal(world->body_sent, bytes);
}

static void test_lb09_a_body_arrives_whole_however_little_each_write_takes(void **state)
{
    static const size_t sizes[] = {0, 1, 100, 16384, 16385, 70000, sizeof(pattern)};
    static const size_t takes[] = {0, 7, 1000, 65536};
    static const size_t pieces[] = {0, 100, 5000, 40000};
    struct world world;

    (void)state;
    fill_pattern();
    world_init(&world);
    for (size_t i = 0; i < 7 * 4 * 4 * 2; i++) {
        size_t size = sizes[i % 7];
        size_t take = takes[i / 7 % 4];
        size_t piece = pieces[i / 28 % 4];
        enum exchange_body body = i / 112 ? EXCHANGE_BODY_KNOWN : EXCHANGE_BODY_CHUNKED;
        struct exchange_request request = upload_of(body, size, false);

        if (take == 7 && size > 20000)
            continue; /* nothing new, but long */
        world_clear(&world);
        world_connect(&world);
        io_pair_set_write_max(world.client, take);
        io_pair_set_capacity(world.client, 8192 + take);
        world.upload = (struct span){pattern, size};
        world.upload_piece = piece;
        open_exchange(&world, &request);
        if (body == EXCHANGE_BODY_KNOWN && size == 0)
            exchange_end_body(world.exchange);
        size_t before;
        do {
            before = world.seen.len;
            turn(&world, 8);
            server_read(&world);
        } while (world.seen.len > before);
        check_upload(&world, body, size);
        server_says(&world, OK_5);
        assert_story(&world, "head(200,1,1,5,1) HELLO done");
        assert_true(conn_is_usable(world.conn));
        assert_int_equal(world.info.request_body_bytes, size);
    }
    world_done(&world);
}

static void test_head_and_a_small_body_leave_together_at_the_end_of_the_round(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_KNOWN, 5, false);

    (void)state;
    world_init(&world);
    io_pair_set_write_max(world.client, 1000);
    world.upload = SPAN_LIT("HELLO");
    open_exchange(&world, &request);
    assert_int_equal(exchange_write_body(world.exchange, SPAN_LIT("HELLO")), 5);
    world.upload = (struct span){0};
    turn(&world, 1);
    assert_seen(&world, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nHELLO");
    world_done(&world);
}

static void test_lb02_fewer_or_more_bytes_than_announced_fail_and_close(void **state)
{
    static const struct {
        const char *body;
        bool expect;
        bool ends;
    } rows[] = {
        {"HELL", false, true},
        {"", false, true},
        {"HELLO!", false, false},
        {"", true, true},
    };
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct exchange_request request = upload_of(EXCHANGE_BODY_KNOWN, 5, rows[i].expect);

        world_clear(&world);
        world_connect(&world);
        open_exchange(&world, &request);
        world.upload = span_of(rows[i].body);
        world.upload_open_ended = !rows[i].ends;
        if (rows[i].expect)
            exchange_end_body(world.exchange);
        assert_int_equal(world.n_done, 0); /* never inside the call */
        turn(&world, 2);
        assert_story(&world, " failed:body-read");
        assert_int_equal(world.replay, REPLAY_NO);
        assert_false(conn_is_usable(world.conn));
        assert_true(server_sees_end(&world));
    }
    world_clear(&world);
    world_connect(&world);
    world.upload = SPAN_LIT("HELLO");
    open_exchange(&world, &(struct exchange_request){.method = SPAN_LIT("PUT"),
                                                     .target = SPAN_LIT("/"),
                                                     .authority = SPAN_LIT("h"),
                                                     .body = EXCHANGE_BODY_KNOWN,
                                                     .body_bytes = 5});
    turn(&world, 2);
    assert_int_equal(exchange_write_body(world.exchange, SPAN_LIT("!")), 0); /* one more */
    turn(&world, 2);
    assert_story(&world, " failed:body-read");
    world_done(&world);
}

#define EXPECT_HEAD                                                                            \
    "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

static void test_an_expected_100_lets_the_body_go(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_KNOWN, 5, true);

    (void)state;
    world_init(&world);
    world.upload = SPAN_LIT("HELLO");
    open_exchange(&world, &request);
    assert_true(exchange_wants_body(world.exchange));
    assert_int_equal(exchange_write_body(world.exchange, SPAN_LIT("HELLO")), 0);
    turn(&world, 3);
    assert_seen(&world, EXPECT_HEAD);
    server_says(&world, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    assert_seen(&world, EXPECT_HEAD "HELLO");
    assert_story(&world, "102 ");
    assert_false(exchange_wants_body(world.exchange));
    server_says(&world, OK_5);
    assert_story(&world, "102 head(200,1,1,5,1) HELLO done");
    assert_true(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_a_server_silent_for_a_second_gets_the_body_unasked(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_CHUNKED, 0, true);

    (void)state;
    world_init(&world);
    open_exchange(&world, &request);
    exchange_end_body(world.exchange);
    fake_clock_advance_ms(&world.clock, 999);
    turn(&world, 3);
    server_read(&world);
    size_t head = world.seen.len;
    fake_clock_advance_ms(&world.clock, 2);
    turn(&world, 3);
    server_read(&world);
    assert_string_equal(buf_c_str(&world.seen) + head, "0\r\n\r\n");
    server_says(&world, OK_5);
    assert_story(&world, "head(200,1,1,5,1) HELLO done");
    world_done(&world);
}

static void test_pl15_an_answer_before_the_expected_body_is_the_last_on_it(void **state)
{
    static const char *const early[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n",
    };
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 2; i++) {
        struct exchange_request request = upload_of(EXCHANGE_BODY_KNOWN, 5, true);

        world_clear(&world);
        world_connect(&world);
        world.upload = SPAN_LIT("HELLO");
        open_exchange(&world, &request);
        turn(&world, 3);
        server_says(&world, early[i]);
        assert_story(&world, i ? "head(417,0,1,0,1)  done" : "head(200,0,1,0,1)  done");
        assert_false(conn_is_usable(world.conn));
        assert_true(server_sees_end(&world));
        assert_string_equal(buf_c_str(&world.seen), EXPECT_HEAD); /* no byte of the body */
        fake_clock_advance_ms(&world.clock, 2000);
        turn(&world, 2);
    }
    world_done(&world);
}

static void test_pl15_whatever_comes_on_an_idle_connection_ends_it(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        world_clear(&world);
        world_connect(&world);
        get(&world);
        server_says(&world, OK_5);
        assert_true(conn_is_usable(world.conn));
        if (i == 0)
            server_says(&world, "HTTP/1.1 408 Late\r\n\r\n");
        else if (i == 1)
            io_pair_send_eof(world.server);
        else
            io_pair_break(world.server, ECONNRESET);
        turn(&world, 3);
        assert_int_equal(world.n_broken, 1);
        assert_int_equal(world.n_done, 1);
        assert_false(conn_is_usable(world.conn));
    }
    world_done(&world);
}

static void test_pl15_bytes_before_the_request_left_are_not_its_answer(void **state)
{
    struct world world;
    struct exchange_request request = request_of("GET");

    (void)state;
    world_init(&world);
    io_pair_set_write_max(world.client, 0);
    io_pair_set_capacity(world.client, 1); /* the head cannot leave: one byte is in the way */
    struct iovec iov = {(char[]){'x'}, 1};
    assert_int_equal(io_writev(world.client, &iov, 1), 1);
    open_exchange(&world, &request);
    turn(&world, 1);
    server_write(&world, SPAN_LIT(OK_5));
    turn(&world, 2);
    assert_story(&world, " failed:protocol");
    assert_int_equal(world.replay, REPLAY_SAFE);
    world_done(&world);
}

static void test_h115_a_refusal_stops_the_upload_and_is_delivered(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_KNOWN, sizeof(pattern), false);

    (void)state;
    fill_pattern();
    world_init(&world);
    io_pair_set_capacity(world.client, 20000);
    world.upload = (struct span){pattern, sizeof(pattern)};
    open_exchange(&world, &request);
    turn(&world, 4);
    server_write(&world, SPAN_LIT("HTTP/1.1 413 Big\r\nContent-Length: 5\r\n\r\nHE"));
    turn(&world, 3);
    assert_false(exchange_wants_body(world.exchange));
    assert_int_equal(exchange_write_body(world.exchange, SPAN_LIT("more")), 0);
    exchange_end_body(world.exchange);
    server_says(&world, "LLO");
    assert_story(&world, "head(413,1,1,5,1) HELLO done");
    assert_false(conn_is_usable(world.conn));
    assert_true(server_sees_end(&world));
    assert_true(world.seen.len < 40000);
    world_done(&world);
}

static void test_h115_a_refusal_is_read_though_the_server_has_hung_up(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_CHUNKED, 0, false);

    (void)state;
    fill_pattern();
    world_init(&world);
    for (int answered = 0; answered < 2; answered++) {
        char refusal[] = "HTTP/1.1 413 Big\r\nContent-Length: 5\r\n\r\nHELLO";
        struct iovec iov = {refusal, sizeof(refusal) - 1};

        world_clear(&world);
        world_connect(&world);
        world.upload = SPAN_LIT("some");
        world.upload_open_ended = true;
        open_exchange(&world, &request);
        turn(&world, 1);
        if (answered)
            assert_int_equal(io_writev(world.server, &iov, 1), iov.iov_len);
        world.server = io_close(world.server);
        assert_int_equal(exchange_write_body(world.exchange, (struct span){pattern, 100000}),
                         0);
        turn(&world, 4);
        assert_story(&world, answered ? "head(413,1,1,5,1) HELLO done" : " failed:send");
        assert_false(conn_is_usable(world.conn));
    }
    world_done(&world);
}

static void test_an_answer_that_accepts_streams_back_while_the_upload_goes_on(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_CHUNKED, 0, false);

    (void)state;
    world_init(&world);
    world.upload = SPAN_LIT("one");
    world.upload_open_ended = true;
    open_exchange(&world, &request);
    turn(&world, 2);
    server_says(&world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nONE\r\n");
    assert_int_equal(exchange_write_body(world.exchange, SPAN_LIT("two")), 3);
    exchange_end_body(world.exchange);
    turn(&world, 2);
    server_says(&world, "3\r\nTWO\r\n0\r\n\r\n");
    assert_story(&world, "head(200,1,0,-1,1) ONETWO done");
    assert_true(conn_is_usable(world.conn));
    server_read(&world);
    assert_non_null(strstr(buf_c_str(&world.seen), "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"));
    world_done(&world);
}

static void test_an_answer_that_ends_before_the_upload_closes(void **state)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_CHUNKED, 0, false);

    (void)state;
    world_init(&world);
    world.upload = SPAN_LIT("one");
    world.upload_open_ended = true;
    open_exchange(&world, &request);
    turn(&world, 2);
    server_says(&world, OK_5);
    assert_story(&world, "head(200,1,1,5,1) HELLO done");
    assert_false(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_close_after_says_so_and_does_so(void **state)
{
    struct world world;
    struct exchange_request request = request_of("GET");

    (void)state;
    world_init(&world);
    request.close_after = true;
    open_exchange(&world, &request);
    turn(&world, 2);
    assert_seen(&world, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    server_says(&world, OK_5);
    assert_story(&world, "head(200,1,1,5,1) HELLO done");
    assert_false(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_pl14_it_is_known_whether_a_broken_exchange_may_be_tried_again(void **state)
{
    struct world world;
    struct exchange_request request = request_of("GET");

    (void)state;
    world_init(&world);

    get(&world); /* the connection's first: the server has seen it, or is no server */
    io_pair_send_eof(world.server);
    turn(&world, 3);
    assert_story(&world, " failed:empty-reply");
    assert_int_equal(world.failure.phase, PHASE_WAIT);
    assert_int_equal(world.replay, REPLAY_NO);

    for (int i = 0; i < 3; i++) {
        world_connect(&world);
        get(&world);
        server_says(&world, OK_5);
        world_clear(&world);
        get(&world);
        if (i == 0)
            io_pair_send_eof(world.server);
        else if (i == 1)
            io_pair_break(world.server, ECONNRESET);
        else
            server_says(&world, "H");
        io_pair_send_eof(world.server);
        turn(&world, 3);
        assert_int_equal(world.n_done, 1);
        assert_int_equal(world.failure.kind, i == 0   ? FAILURE_EMPTY_REPLY
                                             : i == 1 ? FAILURE_RECEIVE
                                                      : FAILURE_TRUNCATED);
        assert_int_equal(world.replay, i == 2 ? REPLAY_NO : REPLAY_IDEMPOTENT);
    }

    world_connect(&world); /* broke before it was opened */
    get(&world);
    server_says(&world, OK_5);
    io_pair_send_eof(world.server);
    turn(&world, 3);
    assert_false(conn_is_usable(world.conn));
    world_clear(&world);
    request.body = EXCHANGE_BODY_KNOWN;
    request.body_bytes = sizeof(pattern);
    open_exchange(&world, &request);
    assert_int_equal(
        exchange_write_body(world.exchange, (struct span){pattern, sizeof(pattern)}), 0);
    turn(&world, 2);
    assert_story(&world, " failed:send");
    assert_int_equal(world.replay, REPLAY_SAFE);
    world_done(&world);
}

static void test_pl16_an_abort_in_the_body_closes_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO");
    exchange_close(TAKE(world.exchange));
    assert_false(conn_is_usable(world.conn));
    turn(&world, 3);
    assert_true(server_sees_end(&world));
    assert_story(&world, "head(200,1,1,9,1) HELLO");
    assert_int_equal(world.n_broken, 0);
    world_done(&world);
}

/* Brings an exchange into one of its states. */
enum stage {
    STAGE_OPENED,
    STAGE_SENT,
    STAGE_HEAD_CUT,
    STAGE_BODY,
    STAGE_PAUSED,
    STAGE_PAUSED_FULL,
    STAGE_RESUMING,
    STAGE_EXPECT,
    STAGE_UPLOAD,
    STAGE_UPLOAD_BLOCKED,
    STAGE_UPLOAD_REFUSED,
    STAGE_TROUBLED,
    STAGE_COUNT,
};

static void enter_stage(struct world *world, enum stage stage)
{
    bool upload = stage >= STAGE_EXPECT;
    struct exchange_request request =
        upload ? upload_of(EXCHANGE_BODY_CHUNKED, 0, stage == STAGE_EXPECT) : request_of("GET");

    world_clear(world);
    world_connect(world);
    io_pair_set_capacity(world->client, 20000);
    world->upload = stage == STAGE_UPLOAD ? SPAN_LIT("some")
                    : upload              ? (struct span){pattern, sizeof(pattern)}
                                          : (struct span){0};
    world->upload_open_ended = true;
    open_exchange(world, &request);
    if (stage == STAGE_OPENED)
        return;
    turn(world, 3);
    if (stage == STAGE_HEAD_CUT)
        server_says(world, "HTTP/1.1 200 OK\r\nConte");
    if (stage >= STAGE_BODY && stage <= STAGE_RESUMING)
        server_says(world, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO");
    if (stage >= STAGE_PAUSED && stage <= STAGE_RESUMING)
        exchange_pause(world->exchange);
    if (stage == STAGE_PAUSED_FULL || stage == STAGE_RESUMING)
        server_says(world, "1234");
    if (stage == STAGE_RESUMING)
        exchange_resume(world->exchange);
    if (stage == STAGE_UPLOAD_REFUSED)
        server_says(world, "HTTP/1.1 413 Big\r\nContent-Length: 9\r\n\r\nHELLO");
    if (stage == STAGE_TROUBLED) {
        struct h1_conn *h1 = h1_of_conn(world->conn);

        h1_trouble_later(h1, H1_TROUBLE_MEMORY);
    }
}

static void poke(struct world *world, int what)
{
    switch (what) {
    case 0: exchange_close(TAKE(world->exchange)); return;
    case 1:
        world->exchange = NULL;
        conn_close(TAKE(world->conn));
        return;
    case 2:
        exchange_close(TAKE(world->exchange));
        conn_close(TAKE(world->conn));
        return;
    case 3: io_pair_send_eof(world->server); return;
    case 4: io_pair_break(world->server, ECONNRESET); return;
    case 5: world->server = io_close(world->server); return;
    case 6: exchange_end_body(world->exchange); return;
    case 7: (void)exchange_write_body(world->exchange, SPAN_LIT("x")); return;
    case 8: server_says(world, "\r\nrubbish\r\n\r\n"); return;
    case 9: exchange_pause(world->exchange); return;
    default: exchange_resume(world->exchange); return;
    }
}

#define N_POKES 11

static void test_lb04_anything_may_happen_in_any_state(void **state)
{
    struct world world;

    (void)state;
    fill_pattern();
    world_init(&world);
    for (int i = 0; i < STAGE_COUNT * N_POKES * (N_POKES + 1); i++) {
        int first = i / STAGE_COUNT % N_POKES;
        int second = i / STAGE_COUNT / N_POKES; /* N_POKES: nothing */

        enter_stage(&world, (enum stage)(i % STAGE_COUNT));
        assert_non_null(world.exchange);
        poke(&world, first);
        bool closed = first < 3;
        int told = world.n_events;
        if (second < N_POKES && world.exchange && world.conn && world.server)
            poke(&world, second);
        closed = closed || (second < 3 && !world.exchange && world.n_done == 0);
        turn(&world, 6);
        if (closed) {
            assert_int_equal(world.n_events, told);
            assert_int_equal(world.n_done, 0);
        }
        assert_true(world.n_broken <= world.n_done);
        if (world.exchange) {
            assert_int_equal(world.n_done, 0);
            exchange_close(TAKE(world.exchange));
        }
    }
    world_done(&world);
}

static void test_lb10_a_hundred_thousand_exchanges_leave_nothing_behind(void **state)
{
    struct world world;
    size_t used = 0;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 100000; i++) {
        struct exchange_request request = request_of("GET");
        struct iovec iov = {(char[]){OK_5}, sizeof(OK_5) - 1};
        char scratch[64];

        world_clear(&world);
        open_exchange(&world, &request);
        turn(&world, 1);
        assert_int_equal(io_read(world.server, scratch, sizeof(scratch)), 27);
        assert_int_equal(io_writev(world.server, &iov, 1), sizeof(OK_5) - 1);
        turn(&world, 1);
        assert_int_equal(world.n_done, 1);
        if (i == 1000)
            used = mallinfo2().uordblks;
    }
    assert_true(mallinfo2().uordblks <= used + 1024);
    assert_int_equal(h1_of_conn(world.conn)->id, 1);
    assert_int_equal(transport_counters(world.transport)->exchanges, 100000);
    world_done(&world);
}

/* One upload with a paused answer, with the n-th allocation failing. */
static bool run_short_of_memory(uint64_t n)
{
    struct world world;
    struct exchange_request request = upload_of(EXCHANGE_BODY_CHUNKED, 0, true);

    world_init(&world);
    assert_int_equal(buf_reserve(&world.story, 4096), 0); /* the test itself lacks nothing */
    world.upload = (struct span){pattern, 100000};
    world.upload_piece = 33333;
    world.act = ACT_PAUSE;
    world.act_at = 4;
    mem_fail_at(n);
    int r = conn_open_exchange(world.conn, &request, &events, &world, &world.exchange);
    if (r == 0) {
        turn(&world, 2);
        server_write(&world, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
        turn(&world, 20);
        server_write(
            &world, SPAN_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n5"));
        server_write(&world, SPAN_LIT("\r\nHELLO\r\n0\r\nT: u\r\n\r\n"));
        turn(&world, 3);
        if (world.exchange)
            exchange_resume(world.exchange);
        turn(&world, 5);
    }
    bool was_short = mem_alloc_count() >= n;
    mem_fail_at(0);
    if (r == 0 && world.exchange) /* the test's own buffers may have been hit */
        assert_int_equal(world.n_done, 0);
    world_done(&world);
    return was_short;
}

static void test_lack_of_memory_fails_the_exchange_and_nothing_else(void **state)
{
    uint64_t n = 1;

    (void)state;
    fill_pattern();
    while (run_short_of_memory(n))
        n++;
    assert_true(n > 3);
}

static void test_no_state_is_a_dead_end(void **state)
{
    (void)state;
    for (int send = 1; send < H1_SEND_COUNT; send++) {
        assert_true(h1_send_may_follow((enum h1_send)send, H1_SEND_IDLE));
        assert_false(h1_send_may_follow((enum h1_send)send, H1_SEND_EXPECT));
        assert_non_null(h1_send_name((enum h1_send)send));
    }
    for (int receive = 0; receive < H1_RECEIVE_CLOSED; receive++) {
        assert_true(h1_receive_may_follow((enum h1_receive)receive, H1_RECEIVE_CLOSED));
        assert_false(h1_receive_may_follow(H1_RECEIVE_CLOSED, (enum h1_receive)receive));
        assert_non_null(h1_receive_name((enum h1_receive)receive));
    }
    assert_false(h1_receive_may_follow(H1_RECEIVE_IDLE, H1_RECEIVE_BODY));
}

static void test_a_request_that_cannot_be_written_opens_nothing(void **state)
{
    struct world world;
    struct exchange_request request = request_of("GET");

    (void)state;
    world_init(&world);
    request.target = SPAN_LIT("/a b");
    assert_int_equal(conn_open_exchange(world.conn, &request, &events, &world, &world.exchange),
                     -EINVAL);
    assert_true(conn_is_usable(world.conn));
    world.exchange = NULL;
    get(&world);
    server_says(&world, OK_5);
    assert_story(&world, "head(200,1,1,5,1) HELLO done");
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_exchange_leaves_the_connection_ready_for_the_next),
        cmocka_unit_test(test_the_next_exchange_may_begin_inside_done),
        cmocka_unit_test(
            test_h102_h111_h112_h113_lb08_every_answer_tells_its_story_and_whether_it_was_the_last),
        cmocka_unit_test(test_h114_an_answer_cut_anywhere_tells_the_same_story),
        cmocka_unit_test(test_pausing_in_any_event_changes_nothing_but_the_time),
        cmocka_unit_test(test_who_shares_the_loop_is_sent_so_much_a_round),
        cmocka_unit_test(test_a_paused_exchange_stops_the_server_and_keeps_what_was_read),
        cmocka_unit_test(test_lb04_closing_in_any_event_ends_the_story_there),
        cmocka_unit_test(test_lb09_a_body_arrives_whole_however_little_each_write_takes),
        cmocka_unit_test(test_head_and_a_small_body_leave_together_at_the_end_of_the_round),
        cmocka_unit_test(test_lb02_fewer_or_more_bytes_than_announced_fail_and_close),
        cmocka_unit_test(test_an_expected_100_lets_the_body_go),
        cmocka_unit_test(test_a_server_silent_for_a_second_gets_the_body_unasked),
        cmocka_unit_test(test_pl15_an_answer_before_the_expected_body_is_the_last_on_it),
        cmocka_unit_test(test_pl15_whatever_comes_on_an_idle_connection_ends_it),
        cmocka_unit_test(test_pl15_bytes_before_the_request_left_are_not_its_answer),
        cmocka_unit_test(test_h115_a_refusal_stops_the_upload_and_is_delivered),
        cmocka_unit_test(test_h115_a_refusal_is_read_though_the_server_has_hung_up),
        cmocka_unit_test(test_an_answer_that_accepts_streams_back_while_the_upload_goes_on),
        cmocka_unit_test(test_an_answer_that_ends_before_the_upload_closes),
        cmocka_unit_test(test_close_after_says_so_and_does_so),
        cmocka_unit_test(test_pl14_it_is_known_whether_a_broken_exchange_may_be_tried_again),
        cmocka_unit_test(test_pl16_an_abort_in_the_body_closes_the_connection),
        cmocka_unit_test(test_lb04_anything_may_happen_in_any_state),
        cmocka_unit_test(test_lb10_a_hundred_thousand_exchanges_leave_nothing_behind),
        cmocka_unit_test(test_lack_of_memory_fails_the_exchange_and_nothing_else),
        cmocka_unit_test(test_no_state_is_a_dead_end),
        cmocka_unit_test(test_a_request_that_cannot_be_written_opens_nothing),
    };

    return cmocka_run_group_tests_name("transport/h1_conn", tests, NULL, NULL);
}
