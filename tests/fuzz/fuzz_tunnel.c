/* SPDX-License-Identifier: MIT */
/*
 * A proxy that says what the input says, in pieces the input chooses: the first byte is the
 * kind of tunnel and how the stream is cut, then pieces, each behind its length. The owner is
 * told once at most, and of an open tunnel not a byte is missing that SOCKS5 did not ask for.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/headers.h"
#include "loop/loop.h"
#include "net/io_pair.h"
#include "transport/conn.h"
#include "transport/tunnel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
    struct loop *loop;
    struct tunnel *tunnel;
    int n_told;
};

static void must(bool so)
{
    if (!so)
        abort();
}

static void told(struct play *play)
{
    must(play->tunnel && play->n_told++ == 0);
    play->tunnel = NULL;
}

static void on_open(void *owner)
{
    told(owner);
}

static void on_challenge(void *owner, const struct headers *headers, const struct failure *why)
{
    must(why->code == 407 && headers_count(headers) <= HEADERS_COUNT_MAX);
    told(owner);
}

static void on_failed(void *owner, const struct failure *why)
{
    must(why->kind != FAILURE_NONE && why->phase == PHASE_PROXY && why->text[0]);
    told(owner);
}

static const struct tunnel_events events = {on_open, on_challenge, on_failed};

static void turn(struct play *play)
{
    for (int i = 0; i < 4; i++)
        must(loop_turn(play->loop, false) == 0);
}

static uint8_t next(struct span *script)
{
    uint8_t c = script->len > 0 ? (uint8_t)script->ptr[0] : 0;

    *script = span_drop(*script, 1);
    return c;
}

static void proxy_says(struct play *play, struct io *proxy, struct span *script)
{
    uint8_t len = next(script);
    struct iovec piece = io_piece(span_take(*script, len));
    char scratch[4096];

    *script = span_drop(*script, len);
    if (!io_is_connected(proxy))
        return;
    if (len == 0xff)
        io_pair_break(proxy, ECONNRESET);
    else if (len == 0xfe)
        io_pair_send_eof(proxy);
    else if (piece.iov_len > 0)
        (void)!io_writev(proxy, &piece, 1);
    turn(play);
    if (io_is_connected(proxy))
        (void)!io_read(proxy, scratch, sizeof(scratch));
}

static void play_tunnel(struct play *play, struct transport *transport, struct span script)
{
    uint8_t how = next(&script);
    struct tunnel_options options = {
        .kind = how & 1 ? TUNNEL_SOCKS5 : TUNNEL_CONNECT,
        .proxy_name = SPAN_LIT("p"),
        .host = how & 2 ? SPAN_LIT("a.com") : SPAN_LIT("::1"),
        .port = 443,
        .authorization = how & 4 ? SPAN_LIT("Basic eDp5") : (struct span){0},
        .user = how & 4 ? SPAN_LIT("ann") : (struct span){0},
    };
    struct io *ours;
    struct io *proxy;

    must(io_pair_new(play->loop, &ours, &proxy) == 0);
    io_pair_set_write_max(ours, how >> 6);
    io_pair_set_read_max(ours, how >> 4 & 3);
    must(tunnel_start(transport, ours, &options, &events, play, &play->tunnel) == 0);
    turn(play);
    while (script.len > 0)
        proxy_says(play, proxy, &script);
    must((play->tunnel != NULL) == (play->n_told == 0));
    play->tunnel = tunnel_cancel(play->tunnel);
    io_close(ours);
    io_close(proxy);
    turn(play);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {0};
    struct transport *transport;
    struct fake_clock clock;

    fake_clock_init(&clock, 0);
    clock.now_us = 1;
    must(loop_new(&play.loop, &clock.clock) == 0);
    must(transport_new(&transport, play.loop) == 0);
    play_tunnel(&play, transport, (struct span){(const char *)data, size});
    transport_free(transport);
    loop_free(play.loop);
    return 0;
}
