/* SPDX-License-Identifier: MIT */
/*
 * Tunnels over a stream in memory, with the test as the proxy: honest ones, ones that refuse,
 * and ones that lie, cut anywhere. What the owner is told is one word.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/headers.h"
#include "loop/loop.h"
#include "net/io_pair.h"
#include "support/span_test.h"
#include "transport/conn.h"
#include "transport/tunnel.h"

#define OPENED "HTTP/1.1 200 Connection established\r\n\r\n"

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct io *ours;
    struct io *proxy;
    struct tunnel *tunnel; /* NULL: over */
    struct buf heard;      /* by the proxy */
    char told[16];         /* "", "open", "challenge", "failed" */
    struct failure failure;
    char challenge[64];
};

static const struct tunnel_options connect_options = {
    .kind = TUNNEL_CONNECT,
    .proxy_name = SPAN_LIT("http://p:3128"),
    .host = SPAN_LIT("a.com"),
    .port = 443,
};

static const struct tunnel_options socks_options = {
    .kind = TUNNEL_SOCKS5,
    .proxy_name = SPAN_LIT("socks5://p:1080"),
    .host = SPAN_LIT("a.com"),
    .port = 443,
};

static void tell(struct world *world, const char *word)
{
    assert_string_equal(world->told, ""); /* once */
    assert_non_null(world->tunnel);       /* and not from inside tunnel_start() */
    (void)snprintf(world->told, sizeof(world->told), "%s", word);
    world->tunnel = NULL;
}

static void on_open(void *owner)
{
    tell(owner, "open");
}

static void on_challenge(void *owner, const struct headers *headers, const struct failure *why)
{
    struct world *world = owner;
    struct span value = {0};

    tell(world, "challenge");
    world->failure = *why;
    (void)headers_find(headers, SPAN_LIT("Proxy-Authenticate"), &value);
    (void)snprintf(world->challenge, sizeof(world->challenge), "%.*s", (int)value.len,
                   value.len ? value.ptr : "");
}

static void on_failed(void *owner, const struct failure *why)
{
    struct world *world = owner;

    tell(world, "failed");
    world->failure = *why;
}

static const struct tunnel_events events = {
    .on_open = on_open, .on_challenge = on_challenge, .on_failed = on_failed};

static void world_init(struct world *world)
{
    *world = (struct world){.heard = BUF_INIT(0)};
    fake_clock_init(&world->clock, 0);
    world->clock.now_us = 1;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(transport_new(&world->transport, world->loop), 0);
    assert_int_equal(io_pair_new(world->loop, &world->ours, &world->proxy), 0);
}

static void turn(struct world *world)
{
    for (int i = 0; i < 6; i++)
        assert_int_equal(loop_turn(world->loop, false), 0);
}

static void world_done(struct world *world)
{
    world->tunnel = tunnel_cancel(world->tunnel);
    world->ours = io_close(world->ours);
    world->proxy = io_close(world->proxy);
    turn(world);
    buf_done(&world->heard);
    transport_free(world->transport);
    loop_free(world->loop);
}

static void begin(struct world *world, const struct tunnel_options *options)
{
    world_init(world);
    assert_int_equal(
        tunnel_start(world->transport, world->ours, options, &events, world, &world->tunnel),
        0);
    assert_string_equal(world->told, "");
    turn(world);
}

/* What came since the last call, with a NUL behind it; *ret_len may be NULL. */
static const char *hears(struct world *world, size_t *ret_len)
{
    char bytes[4096];
    ssize_t n;

    buf_clear(&world->heard);
    while ((n = io_read(world->proxy, bytes, sizeof(bytes))) > 0)
        assert_int_equal(buf_append(&world->heard, (struct span){bytes, (size_t)n}), 0);
    if (ret_len)
        *ret_len = world->heard.len;
    return buf_c_str(&world->heard);
}

static void says(struct world *world, const void *bytes, size_t len)
{
    struct iovec piece = io_piece((struct span){bytes, len});

    if (len > 0 && io_is_connected(world->proxy))
        (void)!io_writev(world->proxy, &piece, 1);
    turn(world);
}

static void says_text(struct world *world, const char *text)
{
    says(world, text, strlen(text));
}

static void assert_failed(const struct world *world, enum failure_kind kind, uint32_t code)
{
    if (strcmp(world->told, "failed") != 0 || world->failure.kind != kind)
        fail_msg("<%s> %s: %s", world->told, failure_kind_name(world->failure.kind),
                 world->failure.text);
    assert_int_equal(world->failure.phase, PHASE_PROXY);
    assert_int_equal(world->failure.code, code);
    assert_non_null(strstr(world->failure.text, "p:")); /* which proxy it was */
}

/* ---- CONNECT ----------------------------------------------------------------------------- */

static void test_px01_connect_says_whom_and_the_login_and_nothing_else(void **state)
{
    struct tunnel_options options = connect_options;
    struct world world;

    (void)state;
    begin(&world, &options);
    assert_string_equal(hears(&world, NULL),
                        "CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n");
    world_done(&world);

    options.host = SPAN_LIT("::1");
    options.port = 8443;
    options.authorization = SPAN_LIT("Basic eDp5");
    begin(&world, &options);
    assert_string_equal(hears(&world, NULL),
                        "CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n"
                        "Proxy-Authorization: Basic eDp5\r\n\r\n");
    world_done(&world);
}

static void test_what_no_proxy_can_be_asked_for_is_refused(void **state)
{
    static const struct span hosts[] = {
        {0}, SPAN_LIT("fe80::1%eth0"), SPAN_LIT("a b"), SPAN_LIT("a\r\nb")};
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct tunnel_options options = connect_options;

        options.host = hosts[i];
        assert_int_equal(
            tunnel_start(world.transport, world.ours, &options, &events, &world, &world.tunnel),
            -EINVAL);
    }
    world_done(&world);
}

static void test_an_answer_opens_however_it_is_cut(void **state)
{
    static const char *const answers[] = {
        OPENED,
        "HTTP/1.0 200\r\n\r\n",
        "HTTP/1.1 204 Fine\r\nVia: x\r\n\r\n",
        "HTTP/1.1 299 Well\r\n\r\n",
        /* RFC 9110 §9.3.6: these are void in a success */
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\nX: y\r\n\r\n" OPENED,
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        size_t len = strlen(answers[i]);

        for (size_t cut = 0; cut <= len; cut++) {
            struct world world;

            begin(&world, &connect_options);
            says(&world, answers[i], cut);
            assert_string_equal(world.told, cut == len ? "open" : "");
            says(&world, answers[i] + cut, len - cut);
            assert_string_equal(world.told, "open");
            world_done(&world);
        }
    }
}

static void test_px06_a_refusal_is_the_proxys_whatever_its_body(void **state)
{
    static const struct {
        const char *answer;
        uint32_t status;
    } rows[] = {
        {"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\nno way", 403},
        {"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n",
         502},
        {"HTTP/1.0 500 Oh\r\n\r\nuntil close", 500},
        {"HTTP/1.1 302 Found\r\nLocation: http://b.com/\r\n\r\n", 302},
        {"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", 401},
        {"HTTP/1.1 999 Hm\r\n\r\n", 999},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world world;

        begin(&world, &connect_options);
        says_text(&world, rows[i].answer);
        assert_failed(&world, FAILURE_PROXY, rows[i].status);
        io_pair_send_eof(world.proxy); /* nothing more is told */
        turn(&world);
        world_done(&world);
    }
}

static void test_px06_a_407_hands_over_its_challenge(void **state)
{
    struct world world;

    (void)state;
    begin(&world, &connect_options);
    says_text(&world, "HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic realm=x\r\n"
                      "Content-Length: 4\r\n\r\nwho?");
    assert_string_equal(world.told, "challenge");
    assert_string_equal(world.challenge, "Basic realm=x");
    assert_int_equal(world.failure.kind, FAILURE_PROXY);
    assert_int_equal(world.failure.code, 407);
    assert_int_equal(world.failure.phase, PHASE_PROXY);
    world_done(&world);
}

static void test_px06_hanging_up_is_a_no_at_each_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof(OPENED) - 1; cut++) {
        struct world world;

        begin(&world, &connect_options);
        says(&world, OPENED, cut);
        io_pair_send_eof(world.proxy);
        turn(&world);
        assert_failed(&world, FAILURE_PROXY, 0);
        world_done(&world);

        begin(&world, &connect_options);
        says(&world, OPENED, cut);
        io_pair_break(world.proxy, ECONNRESET);
        turn(&world);
        assert_failed(&world, FAILURE_PROXY, 0);
        world_done(&world);
    }
}

static void test_what_is_no_answer_to_connect_is_refused(void **state)
{
    static const char *const answers[] = {
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 403 No\r\nContent-Length: -1\r\n\r\n",
        OPENED "HTTP/1.1 200 OK\r\n\r\n", /* an answer in the origin's name */
        OPENED "x",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct world world;

        begin(&world, &connect_options);
        says_text(&world, answers[i]);
        assert_failed(&world, FAILURE_PROTOCOL, 0);
        world_done(&world);
    }
}

static void test_px07_an_answer_of_300_kib_is_over_the_limit(void **state)
{
    char *filler = repeat('a', 1000);
    struct world world;

    (void)state;
    begin(&world, &connect_options);
    says_text(&world, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 320 && world.told[0] == '\0'; i++) {
        says_text(&world, "X-Filler: ");
        says(&world, filler, 1000);
        says_text(&world, "\r\n");
    }
    assert_failed(&world, FAILURE_LIMIT, 0);
    world_done(&world);

    begin(&world, &connect_options); /* and so are interim answers without end */
    for (int i = 0; i < 40000 && world.told[0] == '\0'; i++)
        says_text(&world, "HTTP/1.1 102 Wait\r\n\r\n");
    assert_failed(&world, FAILURE_LIMIT, 0);
    world_done(&world);
    free(filler);
}

/* ---- SOCKS5 ------------------------------------------------------------------------------ */

#define METHOD_NONE "\x05\x00"
#define REPLY_OK    "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"

static void assert_hears(struct world *world, const void *bytes, size_t want)
{
    size_t len;
    const char *heard = hears(world, &len);

    assert_int_equal(len, want);
    assert_memory_equal(heard, bytes, want);
}

static void test_socks5_asks_by_name_and_logs_in_when_it_is_asked(void **state)
{
    struct tunnel_options options = socks_options;
    struct world world;

    (void)state;
    begin(&world, &options);
    assert_hears(&world, "\x05\x01\x00", 3);
    says(&world, METHOD_NONE, 2);
    assert_hears(&world,
                 "\x05\x01\x00\x03\x05"
                 "a.com\x01\xbb",
                 12);
    says(&world, REPLY_OK, 10);
    assert_string_equal(world.told, "open");
    world_done(&world);

    options.user = SPAN_LIT("ann");
    options.password = SPAN_LIT("pw");
    begin(&world, &options);
    assert_hears(&world, "\x05\x02\x00\x02", 4);
    says(&world, "\x05\x02", 2);
    assert_hears(&world,
                 "\x01\x03"
                 "ann\x02pw",
                 8);
    says(&world, "\x01\x00", 2);
    assert_hears(&world,
                 "\x05\x01\x00\x03\x05"
                 "a.com\x01\xbb",
                 12);
    says(&world, REPLY_OK, 10);
    assert_string_equal(world.told, "open");
    world_done(&world);
}

/* The proxy says it all at once; the first byte behind the reply is the tunnel's. */
static void test_not_a_byte_of_what_lies_behind_the_reply_is_eaten(void **state)
{
    struct world world;
    char bytes[16];

    (void)state;
    begin(&world, &socks_options);
    says(&world, METHOD_NONE REPLY_OK "220 hi", 18);
    assert_string_equal(world.told, "open");
    assert_int_equal(io_read(world.ours, bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "220 hi", 6);
    world_done(&world);
}

static void test_px09_socks5_may_be_cut_at_each_byte(void **state)
{
    static const char talk[] = "\x05\x02"
                               "\x01\x00" REPLY_OK;
    struct tunnel_options options = socks_options;

    (void)state;
    options.user = SPAN_LIT("ann");
    for (size_t cut = 0; cut < sizeof(talk) - 1; cut++) {
        struct world world;

        begin(&world, &options); /* a pause there changes nothing */
        says(&world, talk, cut);
        assert_string_equal(world.told, "");
        says(&world, talk + cut, sizeof(talk) - 1 - cut);
        assert_string_equal(world.told, "open");
        world_done(&world);

        begin(&world, &options);
        says(&world, talk, cut);
        io_pair_send_eof(world.proxy);
        turn(&world);
        assert_failed(&world, FAILURE_PROTOCOL, 0);
        world_done(&world);

        begin(&world, &options);
        says(&world, talk, cut);
        io_pair_break(world.proxy, ECONNRESET);
        turn(&world);
        assert_failed(&world, FAILURE_PROXY, TUNNEL_CODE_SOCKS5);
        world_done(&world);
    }
}

static void test_px09_socks5_refuses_and_lies(void **state)
{
    static const struct {
        struct span talk;
        enum failure_kind kind;
        uint32_t code;
    } rows[] = {
        {{"\x05\xff", 2}, FAILURE_PROXY, TUNNEL_CODE_SOCKS5_METHODS},
        {{"\x05\x02\x01\x01", 4}, FAILURE_PROXY, TUNNEL_CODE_SOCKS5_LOGIN},
        {{METHOD_NONE "\x05\x05", 4}, FAILURE_PROXY, TUNNEL_CODE_SOCKS5 | 5},
        {{METHOD_NONE "\x05\x02\x00\x01\0\0\0\0\0\0", 12}, FAILURE_PROXY, 0x502},
        {{METHOD_NONE "\x05\xee", 4}, FAILURE_PROXY, 0x5ee},
        {{METHOD_NONE "\x05\x00\x00\x02\0\0\0\0\0\0", 12}, FAILURE_PROTOCOL, 0},
        {{METHOD_NONE "\x04\x5a\0\0\0\0\0\0", 10}, FAILURE_PROTOCOL, 0},
        {{"\x05\x02\x05\x00", 4}, FAILURE_PROTOCOL, 0}, /* RFC 1929's version is 1 */
        {{"\x05\x01", 2}, FAILURE_PROTOCOL, 0},         /* GSSAPI was not offered */
        {{"\x04\x00", 2}, FAILURE_PROTOCOL, 0},
        {{"HTTP/1.1 400 Bad\r\n\r\n", 20}, FAILURE_PROTOCOL, 0},
    };
    struct tunnel_options options = socks_options;

    (void)state;
    options.user = SPAN_LIT("ann");
    options.password = SPAN_LIT("pw");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world world;

        begin(&world, &options);
        says(&world, rows[i].talk.ptr, rows[i].talk.len);
        assert_failed(&world, rows[i].kind, rows[i].code);
        assert_null(strstr(world.failure.text, "pw"));
        world_done(&world);
    }
}

static void test_px09_a_reply_with_a_name_of_255_bytes_is_read_whole(void **state)
{
    char *reply = repeat('n', 4 + 1 + 255 + 2);
    struct world world;

    (void)state;
    memcpy(reply, "\x05\x00\x00\x03\xff", 5);
    begin(&world, &socks_options);
    says(&world, METHOD_NONE, 2);
    for (size_t i = 0; i < 4 + 1 + 255 + 2; i++) {
        assert_string_equal(world.told, "");
        says(&world, reply + i, 1);
    }
    assert_string_equal(world.told, "open");
    world_done(&world);
    free(reply);
}

/* PX08: a byte a second is no failure of the grammar; the attempt's timer, which is not this
 * file's, ends it by tunnel_cancel(). */
static void test_px08_a_tunnel_can_be_given_up_at_any_byte(void **state)
{
    static const char talk[] = METHOD_NONE REPLY_OK;

    (void)state;
    for (size_t cut = 0; cut < sizeof(talk) - 1; cut++) {
        struct world world;

        begin(&world, &socks_options);
        says(&world, talk, cut);
        world.tunnel = tunnel_cancel(world.tunnel);
        says(&world, talk + cut, sizeof(talk) - 1 - cut);
        assert_string_equal(world.told, "");
        world_done(&world);
    }
}

static void test_a_slow_stream_takes_the_words_in_pieces(void **state)
{
    struct tunnel_options options = connect_options;
    struct world world;

    (void)state;
    world_init(&world);
    io_pair_set_write_max(world.ours, 3);
    assert_int_equal(
        tunnel_start(world.transport, world.ours, &options, &events, &world, &world.tunnel), 0);
    for (int i = 0; i < 20; i++)
        turn(&world);
    assert_string_equal(hears(&world, NULL),
                        "CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n");
    says_text(&world, OPENED);
    assert_string_equal(world.told, "open");
    world_done(&world);
}

static void test_every_failing_allocation_is_told_and_nothing_leaks(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct tunnel_options options = how ? socks_options : connect_options;
        bool whole = false;

        options.user = how ? SPAN_LIT("ann") : (struct span){0};
        options.authorization = SPAN_LIT("Basic eDp5");
        for (uint64_t n = 1; !whole; n++) {
            struct world world;

            world_init(&world);
            mem_fail_at(n);
            int r = tunnel_start(world.transport, world.ours, &options, &events, &world,
                                 &world.tunnel);
            if (r == 0) {
                turn(&world);
                mem_fail_at(0);
            }
            mem_fail_at(0);
            assert_true(r == 0 || r == -ENOMEM);
            whole = r == 0;
            world_done(&world);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_px01_connect_says_whom_and_the_login_and_nothing_else),
        cmocka_unit_test(test_what_no_proxy_can_be_asked_for_is_refused),
        cmocka_unit_test(test_an_answer_opens_however_it_is_cut),
        cmocka_unit_test(test_px06_a_refusal_is_the_proxys_whatever_its_body),
        cmocka_unit_test(test_px06_a_407_hands_over_its_challenge),
        cmocka_unit_test(test_px06_hanging_up_is_a_no_at_each_byte),
        cmocka_unit_test(test_what_is_no_answer_to_connect_is_refused),
        cmocka_unit_test(test_px07_an_answer_of_300_kib_is_over_the_limit),
        cmocka_unit_test(test_socks5_asks_by_name_and_logs_in_when_it_is_asked),
        cmocka_unit_test(test_not_a_byte_of_what_lies_behind_the_reply_is_eaten),
        cmocka_unit_test(test_px09_socks5_may_be_cut_at_each_byte),
        cmocka_unit_test(test_px09_socks5_refuses_and_lies),
        cmocka_unit_test(test_px09_a_reply_with_a_name_of_255_bytes_is_read_whole),
        cmocka_unit_test(test_px08_a_tunnel_can_be_given_up_at_any_byte),
        cmocka_unit_test(test_a_slow_stream_takes_the_words_in_pieces),
        cmocka_unit_test(test_every_failing_allocation_is_told_and_nothing_leaks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
