/* SPDX-License-Identifier: MIT */
/*
 * H216: a connection of HTTP/2, eight owners and a server that do what the input says, in any
 * order. Frames with a right head and anything inside reach deeper than raw bytes; both come.
 * Whatever happens, no owner hears anything out of order, and nghttp2 never aborts.
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

#define N_OWNERS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play;

struct owner {
    struct play *play;
    struct exchange *exchange;
    bool is_paused;
    bool has_head;
    uint64_t body_sent;
};

struct play {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct io *server;
    struct conn *conn;
    struct owner owners[N_OWNERS];
    struct span script;
    bool in_call; /* of ours: no event may come */
    bool is_broken;
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

/* What an owner may do, also inside an event. */
static void owner_acts(struct owner *owner, uint8_t deed)
{
    static const char bytes[40000];
    bool was_in_call;

    if (!owner->exchange)
        return;
    was_in_call = owner->play->in_call;
    owner->play->in_call = true;
    switch (deed & 7) {
    case 0: owner->is_paused = true, exchange_pause(owner->exchange); break;
    case 1: owner->is_paused = false, exchange_resume(owner->exchange); break;
    case 2:
        (void)exchange_write_body(owner->exchange,
                                  (struct span){bytes, deed & 8 ? 40000 : deed >> 4});
        break;
    case 3: exchange_end_body(owner->exchange); break;
    case 4: exchange_close(owner->exchange), owner->exchange = NULL; break;
    case 5: (void)exchange_replay(owner->exchange); break;
    default: break;
    }
    owner->play->in_call = was_in_call;
}

static void on_event(struct owner *owner, bool of_answer)
{
    must(owner->exchange && !owner->play->in_call);
    must(!of_answer || !owner->is_paused);
}

static void on_informational(void *owner, unsigned status)
{
    struct owner *me = owner;

    on_event(me, true);
    must(!me->has_head && status >= 100 && status < 200);
    owner_acts(me, next(me->play));
}

static void on_want_body(void *owner)
{
    struct owner *me = owner;

    on_event(me, false);
    owner_acts(me, next(me->play));
}

static void on_body_sent(void *owner, uint64_t total_bytes)
{
    struct owner *me = owner;

    on_event(me, false);
    must(total_bytes > me->body_sent);
    me->body_sent = total_bytes;
    owner_acts(me, next(me->play));
}

static void on_head(void *owner, const struct response_head *head)
{
    struct owner *me = owner;

    on_event(me, true);
    must(!me->has_head && head->status >= 200);
    me->has_head = true;
    owner_acts(me, next(me->play));
}

static void on_body(void *owner, struct span bytes)
{
    struct owner *me = owner;

    on_event(me, true);
    must(me->has_head && bytes.len > 0);
    owner_acts(me, next(me->play));
}

static void on_trailers(void *owner, const struct headers *fields)
{
    struct owner *me = owner;

    on_event(me, true);
    must(me->has_head && fields);
    owner_acts(me, next(me->play));
}

static void on_done(void *owner, const struct failure *why)
{
    struct owner *me = owner;
    struct exchange_info info;

    on_event(me, !why);
    must(why ? why->kind != FAILURE_NONE : me->has_head);
    exchange_info(me->exchange, &info);
    must(info.request_body_bytes >= me->body_sent);
    me->exchange = NULL;
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

    must(!play->is_broken && !conn_is_busy(play->conn));
    play->is_broken = true;
}

static void on_changed(void *owner)
{
    struct play *play = owner;

    must(!play->in_call);
    (void)conn_capacity(play->conn);
}

static const struct conn_events conn_events = {.on_broken = on_broken,
                                               .on_changed = on_changed};

static void open_exchange(struct play *play, uint8_t how)
{
    struct owner *owner = &play->owners[how % N_OWNERS];
    struct exchange_request request = {
        .method = how & 8 ? SPAN_LIT("HEAD") : SPAN_LIT("PUT"),
        .target = SPAN_LIT("/"),
        .authority = SPAN_LIT("h"),
        .body = (enum exchange_body)((how >> 4) % 3),
        .body_bytes = how & 0x80 ? 100000 : how >> 4,
        .expect_continue = how & 0x40,
        .close_after = how == 0xff,
    };

    if (owner->exchange)
        return;
    *owner = (struct owner){.play = play};
    must(conn_open_exchange(play->conn, &request, &events, owner, &owner->exchange) == 0);
}

static void server_writes(struct play *play, struct span bytes)
{
    struct iovec iov = io_piece(bytes);

    if (bytes.len > 0 && io_is_connected(play->server))
        (void)!io_writev(play->server, &iov, 1);
}

static void server_says(struct play *play, size_t n)
{
    server_writes(play, span_take(play->script, n));
    play->script = span_drop(play->script, n);
}

/* A frame whose head is right, of the stream of an owner or of the connection. */
static void server_frames(struct play *play, uint8_t kind)
{
    uint8_t flags = next(play);
    uint8_t id = next(play);
    uint8_t len = next(play);
    const char head[9] = {0,
                          0,
                          (char)(play->script.len < len ? play->script.len : len),
                          (char)(kind % 11),
                          (char)flags,
                          0,
                          0,
                          0,
                          (char)(id % 20)};

    server_writes(play, (struct span){head, sizeof(head)});
    server_says(play, len);
}

static void server_reads(struct play *play)
{
    char scratch[4096];

    if (io_is_connected(play->server))
        (void)!io_read(play->server, scratch, sizeof(scratch));
}

static void do_one(struct play *play, uint8_t op)
{
    if (op < 0x10) {
        server_says(play, op);
        return;
    }
    if (op < 0x80) {
        server_frames(play, op);
        return;
    }
    switch (op & 0x0f) {
    case 0:
    case 1: open_exchange(play, next(play)); break;
    case 2: fake_clock_advance_ms(&play->clock, 600); break;
    case 3: server_reads(play); break;
    case 4: io_pair_send_eof(play->server); break;
    case 5: io_pair_break(play->server, ECONNRESET); break;
    case 6: fake_clock_advance_ms(&play->clock, 31000); break;
    case 7: must(loop_turn(play->loop, false) == 0); break;
    default: owner_acts(&play->owners[(op >> 4) % N_OWNERS], next(play)); break;
    }
}

static void end(struct play *play)
{
    conn_close(play->conn);
    for (int i = 0; i < N_OWNERS; i++)
        play->owners[i].exchange = NULL;
    io_close(play->server);
    must(loop_turn(play->loop, false) == 0);
    transport_free(play->transport);
    loop_free(play->loop);
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
    must(conn_new_h2(play.transport, client, &play.conn) == 0);
    conn_set_events(play.conn, &conn_events, &play);
    server_writes(&play, SPAN_LIT("\0\0\0\4\0\0\0\0\0"));
    while (play.script.len > 0) {
        do_one(&play, next(&play));
        must(loop_turn(play.loop, false) == 0);
    }
    end(&play);
    return 0;
}
