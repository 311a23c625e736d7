/* SPDX-License-Identifier: MIT */
/*
 * A connection, its owner and its server do what the input says, in any order: bytes under 0x40
 * are so many bytes of the server's, the others are deeds. Whatever happens, events keep their
 * order, done comes once at most, and nothing comes that was not asked for.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/io_pair.h"
#include "transport/conn.h"
#include "transport/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct io *server;
    struct conn *conn;
    struct exchange *exchange;
    struct span script;
    bool is_paused;
    bool in_call; /* of ours: no event may come */
    bool has_head;
    bool is_broken;
    uint64_t body_sent;
};

static void must(bool so)
{
    if (!so)
        abort();
}

static uint8_t next(struct play *play)
{
    uint8_t c = play->script.len > 0 ? (uint8_t)play->script.ptr[0] : 0;

    play->script = span_drop(play->script, 1);
    return c;
}

static void turn(struct play *play)
{
    must(loop_turn(play->loop, false) == 0);
}

/* What an owner may do, also inside an event. */
static void owner_acts(struct play *play, uint8_t deed)
{
    static const char bytes[40000];
    bool was_in_call = play->in_call;

    if (!play->exchange)
        return;
    play->in_call = true;
    switch (deed & 7) {
    case 0: play->is_paused = true, exchange_pause(play->exchange); break;
    case 1: play->is_paused = false, exchange_resume(play->exchange); break;
    case 2:
        (void)exchange_write_body(play->exchange,
                                  (struct span){bytes, deed & 8 ? 40000 : deed >> 4});
        break;
    case 3: exchange_end_body(play->exchange); break;
    case 4: exchange_close(play->exchange), play->exchange = NULL; break;
    case 5: (void)exchange_replay(play->exchange); break;
    default: break;
    }
    play->in_call = was_in_call;
}

static void on_event(struct play *play, bool of_answer)
{
    must(play->exchange && !play->in_call);
    must(!of_answer || !play->is_paused);
}

static void on_informational(void *owner, unsigned status)
{
    struct play *play = owner;

    on_event(play, true);
    must(!play->has_head && status >= 100 && status < 200);
    owner_acts(play, next(play));
}

static void on_want_body(void *owner)
{
    on_event(owner, false);
    owner_acts(owner, next(owner));
}

static void on_body_sent(void *owner, uint64_t total_bytes)
{
    struct play *play = owner;

    on_event(play, false);
    must(total_bytes > play->body_sent);
    play->body_sent = total_bytes;
    owner_acts(play, next(play));
}

static void on_head(void *owner, const struct response_head *head)
{
    struct play *play = owner;

    on_event(play, true);
    must(!play->has_head && head->status >= 200);
    play->has_head = true;
    owner_acts(play, next(play));
}

static void on_body(void *owner, struct span bytes)
{
    struct play *play = owner;

    on_event(play, true);
    must(play->has_head && bytes.len > 0);
    owner_acts(play, next(play));
}

static void on_trailers(void *owner, const struct headers *fields)
{
    struct play *play = owner;

    on_event(play, true);
    must(play->has_head && fields);
    owner_acts(play, next(play));
}

static void open_exchange(struct play *play, uint8_t how);

static void on_done(void *owner, const struct failure *why)
{
    struct play *play = owner;
    struct exchange_info info;

    on_event(play, !why);
    must(why ? why->kind != FAILURE_NONE : play->has_head);
    exchange_info(play->exchange, &info);
    must(info.request_body_bytes >= play->body_sent);
    must(info.request_body_bytes <= info.request_bytes);
    play->exchange = NULL;
    uint8_t how = next(play);
    if (how & 1)
        open_exchange(play, how);
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
    struct play *play = owner;

    must(!play->exchange && !play->is_broken);
    play->is_broken = true;
}

static const struct conn_events conn_events = {.on_broken = on_broken};

static void open_exchange(struct play *play, uint8_t how)
{
    struct exchange_request request = {
        .method = how & 2 ? SPAN_LIT("HEAD") : SPAN_LIT("PUT"),
        .target = SPAN_LIT("/"),
        .authority = SPAN_LIT("h"),
        .body = (enum exchange_body)((how >> 2) % 3),
        .body_bytes = how & 0x80 ? 100000 : how >> 4,
        .expect_continue = how & 0x40,
        .close_after = how & 0x20,
    };

    if (play->exchange)
        return;
    play->has_head = false;
    play->is_paused = false;
    play->body_sent = 0;
    must(conn_open_exchange(play->conn, &request, &events, play, &play->exchange) == 0);
}

static void server_says(struct play *play, size_t n)
{
    struct span bytes = span_take(play->script, n);
    struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};

    play->script = span_drop(play->script, n);
    if (bytes.len > 0 && io_is_connected(play->server))
        (void)!io_writev(play->server, &iov, 1);
}

static void server_reads(struct play *play)
{
    char scratch[4096];

    if (io_is_connected(play->server))
        (void)!io_read(play->server, scratch, sizeof(scratch));
}

static void do_one(struct play *play, uint8_t op)
{
    if (op < 0x40) {
        server_says(play, op);
        return;
    }
    switch (op & 0x0f) {
    case 0:
    case 1: open_exchange(play, next(play)); break;
    case 2: fake_clock_advance_ms(&play->clock, 600); break;
    case 3: server_reads(play); break;
    case 4: io_pair_send_eof(play->server); break;
    case 5: io_pair_break(play->server, ECONNRESET); break;
    case 6:
    case 7: turn(play); break;
    default: owner_acts(play, (uint8_t)(op >> 4 << 4 | (op & 7)) ^ next(play)); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {(const char *)data, size}};
    struct io *client;

    fake_clock_init(&play.clock, 0);
    play.clock.now_us = 1;
    must(loop_new(&play.loop, &play.clock.clock) == 0);
    must(transport_new(&play.transport, play.loop) == 0);
    must(io_pair_new(play.loop, &client, &play.server) == 0);
    io_pair_set_capacity(client, 30000);
    io_pair_set_write_max(client, next(&play) * 64U);
    io_pair_set_read_max(client, next(&play));
    must(conn_new_h1(play.transport, client, &play.conn) == 0);
    conn_set_events(play.conn, &conn_events, &play);
    while (play.script.len > 0) {
        do_one(&play, next(&play));
        turn(&play);
    }
    must(conn_is_busy(play.conn) == (play.exchange != NULL));
    conn_close(play.conn);
    play.exchange = NULL;
    io_close(play.server);
    turn(&play);
    transport_free(play.transport);
    loop_free(play.loop);
    return 0;
}
