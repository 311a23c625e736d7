/* SPDX-License-Identifier: MIT */
/*
 * Requests over a network in memory: what an owner is told, in which order, for every way an
 * answer can go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/request.h"
#include "policy/cookie_jar.h"
#include "pool/pool_stats.h"
#include "support/fetch_world.h"
#include "support/test.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

/* "hello" by gzip -n. */
#define GZIP_HELLO                                                                             \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05" \
    "\x00\x00\x00"

static const struct row {
    const char *method;
    const char *answer;
    size_t answer_len; /* 0: strlen() */
    const char *story;
    bool then_eof;
    int then_break;
} rows[] = {
    {"GET", OK_5, 0, "head(200,5) HELLO done", false, 0},
    {"GET", "HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nno!", 0, "head(404,3) no! done", false,
     0},
    {"GET", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 0, "head(500,0)  done", false, 0},
    {"GET", "HTTP/1.1 103 Early\r\n\r\n" OK_5, 0, "head(200,5) HELLO done", false, 0},
    {"GET",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHEL\r\n2\r\nLO\r\n0\r\n\r\n", 0,
     "head(200) HELLO done", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\n\r\nHELLO", 0, "head(200) HELLO done", true, 0},
    {"GET", "HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", 0, "head(301,0)  done", false,
     0},
    {"GET", "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
     0, "head(401,0)  done", false, 0},
    /* LB08 */
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, "head(200,0)  done", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0,
     "head(200)  done", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\n\r\n", 0, "head(200)  done", true, 0},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n", 0,
     "head(200,0)  done", false, 0},
    {"GET",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     0, "head(200,gzip)  done", false, 0},
    /* no body whatever is announced */
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\n", 0,
     "head(200,0)  done", false, 0},
    {"GET", "HTTP/1.1 204 No\r\n\r\n", 0, "head(204,0)  done", false, 0},
    {"GET", "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", 0, "head(304,0)  done", false, 0},
    /* codings */
    {"GET",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" GZIP_HELLO,
     sizeof(
         "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" GZIP_HELLO) -
         1,
     "head(200,gzip) hello done", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nHELLO", 0,
     "head(200,gzip)  failed:coding", false, 0},
    {"GET",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" GZIP_HELLO,
     sizeof("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n") - 1 + 20,
     "head(200,gzip) hello failed:truncated", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: aes128gcm\r\nContent-Length: 5\r\n\r\nHELLO",
     0, "head(200,5) HELLO done", false, 0},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nHELLO",
     0, "head(200,5) HELLO done", false, 0},
    {"GET",
     "HTTP/1.1 200 OK\r\nContent-Encoding: gzip,gzip,gzip,gzip,gzip,gzip\r\nContent-Length: "
     "5\r\n"
     "\r\nHELLO",
     0, " failed:limit", false, 0},
    /* ends too early */
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO", 0,
     "head(200,9) HELLO failed:truncated", true, 0},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nHEL\r\n", 0,
     "head(200) HEL failed:truncated", true, 0},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO", 0,
     "head(200,9) HELLO failed:receive", false, ECONNRESET},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Le", 0, " failed:truncated", true, 0},
    {"GET", "", 0, " failed:empty-reply", true, 0},
    {"GET", "", 0, " failed:receive", false, ECONNRESET},
    {"GET", "SSH-2.0-x\r\n\r\n", 0, " failed:protocol", false, 0},
};

static void ask(struct teller *teller, const char *method, const char *url)
{
    struct request_options options;
    struct failure why;

    options_get(&options, url);
    assert_int_equal(request_options_set_method(&options, span_of(method), &why), 0);
    teller_send(teller, &options);
}

static void test_every_answer_is_told_in_order_with_one_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        size_t len = row->answer_len ? row->answer_len : strlen(row->answer);

        for (int bytewise = 0; bytewise < 2; bytewise++) {
            struct fetch_world world;
            struct teller teller;

            world_init(&world);
            teller_init(&teller, &world);
            ask(&teller, row->method, "http://h.com/p?q");
            for (size_t at = 0; at < len; at += bytewise ? 1 : len)
                (void)server_says_bytes(&world, world_server(&world),
                                        (struct span){row->answer + at, bytewise ? 1 : len});
            if (row->then_eof)
                server_ends(&world);
            if (row->then_break)
                server_breaks(&world, row->then_break);
            assert_story(&teller, row->story);
            assert_int_equal(teller.n_done, 1);
            assert_int_equal(world.fetcher->counters.requests_total, 1);
            assert_int_equal(world.fetcher->counters.requests_failed, teller.has_failed);
            world_done(&world);
        }
    }
}

static void test_what_goes_out_is_what_was_asked_for_and_the_defaults(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://u:p%40@h.com:81/a?b#c");
    assert_string_equal(
        server_hears(&world, world_server(&world)),
        "GET /a?b HTTP/1.1\r\nHost: h.com:81\r\nUser-Agent: t\r\nAccept: */*\r\n"
        "Accept-Encoding: gzip, br, zstd\r\n"
        "Authorization: Basic dTpwQA==\r\n\r\n");
    server_says(&world, OK_5);
    assert_int_equal(teller.totals.body_bytes, 5);
    assert_int_equal(teller.totals.wire_bytes, 5);
    assert_int_equal(teller.totals.header_bytes, strlen(OK_5) - 5);
    assert_int_equal(world.fetcher->counters.bytes_down, 5);

    teller_init(&teller, &world);
    options_get(&options, "http://h.com:81/");
    options.raw = true;
    options.no_keep_alive = true;
    assert_int_equal(
        request_options_add_header(&options, SPAN_LIT("Accept"), SPAN_LIT("a/b"), &why), 0);
    assert_int_equal(request_options_omit_header(&options, SPAN_LIT("user-agent"), &why), 0);
    teller_send(&teller, &options);
    assert_int_equal(world.n_servers, 1); /* the same connection */
    assert_string_equal(server_hears(&world, world_server(&world)),
                        "GET / HTTP/1.1\r\nHost: h.com:81\r\nConnection: close\r\n"
                        "Accept: a/b\r\n\r\n");
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                        "Content-Length: 5\r\n\r\nHELLO");
    assert_story(&teller, "head(200,5) HELLO done");
    (void)server_hears(&world, world_server(&world));
    assert_true(world_server(&world)->is_over);
    world_done(&world);
}

/* ---- redirects and credentials ---------------------------------------------------------- */

static void hops_of(struct fetch_world *world,
                    struct teller *teller,
                    unsigned redirects_max,
                    const char *url)
{
    struct request_options options;

    options_get(&options, url);
    options.redirects_max = redirects_max;
    teller_init(teller, world);
    teller->tell_hops = true;
    teller_send(teller, &options);
}

static void test_answers_before_the_last_are_told(void **state)
{
    static const char away[] = "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n";
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    hops_of(&world, &teller, 20, "http://u:p@a.com/1");
    server_says(&world, away);
    server_says(&world, "HTTP/1.1 401 Who\r\nWWW-Authenticate: Digest realm=x, nonce=n\r\n"
                        "Content-Length: 0\r\n\r\n");
    server_says(&world, OK_5);
    assert_story(&teller, "hop(302) redirect(302,http://a.com/2,GET) head(401,0)  done");
    hops_of(&world, &teller, 0, "http://a.com/1"); /* and the one that is not taken */
    server_says(&world, away);
    assert_story(&teller, "hop(302)  failed:redirect");
    world_done(&world);
}

static void test_redirects_are_followed_told_and_counted(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/1");
    server_says(&world, "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 4\r\n\r\nbody");
    assert_int_equal(world.n_servers, 1); /* its answer was read to the end */
    server_says(&world,
                "HTTP/1.1 301 Go\r\nLocation: http://b.com/3\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 2);
    assert_string_equal(world_server(&world)->host, "b.com");
    server_says(&world, OK_5);
    assert_story(&teller, "redirect(302,http://a.com/2,GET) redirect(301,http://b.com/3,GET) "
                          "head(200,5) HELLO done");
    assert_int_equal(teller.head.redirects, 2);
    assert_int_equal(teller.totals.body_bytes, 5);
    world_done(&world);
}

static void test_a_redirect_is_delivered_when_it_is_not_to_be_followed(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/1");
    options.follow_redirects = false;
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 4\r\n\r\nbody");
    assert_story(&teller, "head(302,4) body done");
    world_done(&world);
}

static void test_rd15_one_redirect_too_many_fails(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/1");
    options.redirects_max = 2;
    teller_send(&teller, &options);
    for (int i = 0; i < 3; i++)
        server_says(&world, "HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert_story(&teller, "redirect(302,http://a.com/x,GET) redirect(302,http://a.com/x,GET) "
                          " failed:redirect");
    world_done(&world);
}

static void test_rd11_a_redirect_out_of_http_is_refused(void **state)
{
    static const char *const targets[] = {"file:///etc/passwd", "ftp://a.com/", "data:,x"};

    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        char answer[128];

        world_init(&world);
        teller_init(&teller, &world);
        teller_get(&teller, "http://a.com/1");
        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 302 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                       targets[i]);
        server_says(&world, answer);
        assert_story(&teller, " failed:policy");
        world_done(&world);
    }
}

static void test_rd16_the_body_of_a_redirect_is_drained_a_little_and_no_more(void **state)
{
    static const char *const heads[] = {
        "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 1000000\r\n\r\n",
        "HTTP/1.1 302 Go\r\nLocation: /2\r\n\r\n",
        "HTTP/1.1 302 Go\r\nLocation: /2\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    static char filler[100000];

    (void)state;
    memset(filler, '1', sizeof(filler));
    for (size_t i = 0; i < sizeof(filler) - 7; i += 7)
        memcpy(filler + i, "1\r\nx\r\n", 6), filler[i + 6] = '0';
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct fetch_world world;
        struct teller teller;

        world_init(&world);
        teller_init(&teller, &world);
        teller_get(&teller, "http://a.com/1");
        server_says(&world, heads[i]);
        if (world.n_servers == 1)
            (void)server_says_bytes(&world, world_server(&world),
                                    (struct span){filler, sizeof(filler)});
        if (i == 2) { /* one byte a chunk is seven on the wire */
            for (int more = 0; more < 5 && world.n_servers == 1; more++)
                (void)server_says_bytes(&world, world_server(&world),
                                        (struct span){filler, sizeof(filler)});
        }
        assert_int_equal(world.n_servers, 2);
        server_says(&world, OK_5);
        assert_story(&teller, "redirect(302,http://a.com/2,GET) head(200,5) HELLO done");
        assert_int_equal(teller.totals.body_bytes, 5);
        assert_int_equal(teller.totals.wire_bytes, 5);
        world_done(&world);
    }
}

static void test_a_redirect_whose_body_never_ends_is_followed_after_a_moment(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/1");
    options.idle_timeout_us = 0; /* none: it must not wait for ever all the same */
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 302 Go\r\nLocation: /2\r\nContent-Length: 50\r\n\r\nsome");
    assert_story(&teller, "");
    world_pass_ms(&world, 2000);
    assert_int_equal(world.n_servers, 2);
    server_says(&world, OK_5);
    assert_story(&teller, "redirect(302,http://a.com/2,GET) head(200,5) HELLO done");
    world_done(&world);
}

static void with_credentials(struct request_options *options, bool preemptive)
{
    const struct request_credentials credentials = {
        .scheme = AUTH_SCHEME_BASIC,
        .user = SPAN_LIT("u"),
        .password = SPAN_LIT("p"),
        .preemptive = preemptive,
    };
    struct failure why;

    assert_int_equal(request_options_set_credentials(options, &credentials, &why), 0);
}

#define ASK_BASIC                                                                              \
    "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"a, Basic\", Basic realm=x\r\n"        \
    "Content-Length: 2\r\n\r\nno"
#define BASIC_UP "Authorization: Basic dTpw\r\n"

static void test_a_401_that_offers_basic_is_answered_once(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller.tell_waits = true;
    options_get(&options, "http://a.com/1");
    with_credentials(&options, false);
    teller_send(&teller, &options);
    assert_null(strstr(server_hears(&world, world_server(&world)), "Authorization"));
    server_says(&world, ASK_BASIC);
    assert_int_equal(world.n_servers, 1);
    assert_non_null(strstr(server_hears(&world, world_server(&world)), BASIC_UP));
    server_says(&world, ASK_BASIC);
    assert_non_null(strstr(teller.story, "wait:auth head(401,2) no done"));
    world_done(&world);
}

static void test_a_401_without_basic_or_credentials_is_the_answer(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/1");
    with_credentials(&options, false);
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"Basic\"\r\n"
                        "Content-Length: 2\r\n\r\nno");
    assert_story(&teller, "head(401,2) no done");
    world_done(&world);
}

static void test_rd01_rd05_credentials_stay_at_their_origin_for_good(void **state)
{
    static const char *const hops[] = {"http://b.com/", "http://a.com:81/", "https://a.com/",
                                       "http://www.a.com/"};

    (void)state;
    for (size_t i = 0; i < sizeof(hops) / sizeof(hops[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        struct failure why;
        char answer[128];

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/1");
        with_credentials(&options, true);
        assert_int_equal(
            request_options_add_header(&options, SPAN_LIT("Cookie"), SPAN_LIT("mine=1"), &why),
            0);
        teller_send(&teller, &options);
        const char *heard = server_hears(&world, world_server(&world));
        assert_non_null(strstr(heard, BASIC_UP));
        assert_non_null(strstr(heard, "mine=1"));
        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 307 Go\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", hops[i]);
        server_says(&world, answer);
        assert_int_equal(world.n_servers, 2);
        heard = server_hears(&world, world_server(&world));
        assert_null(strstr(heard, "Authorization"));
        assert_null(strstr(heard, "mine=1"));
        server_says(&world, ASK_BASIC + 0); /* RD10: a 401 there is the answer */
        assert_non_null(strstr(teller.story, "head(401,2) no done"));
        world_done(&world);

        world_init(&world); /* and back again: RD05 */
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/1");
        with_credentials(&options, true);
        teller_send(&teller, &options);
        server_says(&world, answer);
        server_says(&world, "HTTP/1.1 307 Go\r\nLocation: http://a.com/3\r\n"
                            "Content-Length: 0\r\n\r\n");
        struct fake_server *home = &world.servers[0]; /* its connection was kept */
        assert_int_equal(world.n_servers, 2);
        heard = server_hears(&world, home);
        assert_non_null(strstr(heard, "GET /3"));
        assert_null(strstr(strstr(heard, "GET /3"), "Authorization"));
        (void)server_says_bytes(&world, home, span_of(OK_5));
        assert_int_equal(teller.n_done, 1);
        world_done(&world);
    }
}

/* ---- cookies ------------------------------------------------------------------------------
 */

#define SET_LASTING                                                                            \
    "HTTP/1.1 200 OK\r\nSet-Cookie: c=1; Max-Age=99999\r\nContent-Length: 5\r\n\r\nHELLO"

static void ask_with_cookies(struct teller *teller, const char *url)
{
    struct request_options options;

    options_get(&options, url);
    options.cookies = REQUEST_COOKIES_SEND_AND_STORE;
    teller_send(teller, &options);
}

static void test_cookies_are_in_the_jar_and_on_disk_before_the_head_is_told(void **state)
{
    (void)state;
    for (int saved = 0; saved < 2; saved++) {
        struct fetch_world world;
        struct teller teller;

        world_init(&world);
        world.commit_result = COOKIE_COMMIT_WAIT;
        teller_init(&teller, &world);
        ask_with_cookies(&teller, "http://a.com/");
        server_says(&world, SET_LASTING);
        assert_int_equal(cookie_jar_count(world.jar), 1);
        assert_int_equal(world.n_commits, 1);
        world_pass_ms(&world, 3600000); /* a slow disk is nobody's idle timeout */
        assert_story(&teller, "");
        world_cookies_committed(&world, saved);
        assert_story(&teller, "head(200,5) HELLO done");
        assert_int_equal(teller.totals.cookies_not_persisted, !saved);
        teller_init(&teller, &world);
        world.commit_result = COOKIE_COMMIT_SAVED;
        ask_with_cookies(&teller, "http://a.com/");
        assert_non_null(strstr(server_hears(&world, world_server(&world)), "Cookie: c=1\r\n"));
        server_says(&world, OK_5);
        world_done(&world);
    }
}

static void test_a_session_cookie_waits_for_no_disk(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    world.commit_result = COOKIE_COMMIT_WAIT;
    teller_init(&teller, &world);
    ask_with_cookies(&teller, "http://a.com/");
    server_says(&world, "HTTP/1.1 200 OK\r\nSet-Cookie: c=1\r\nContent-Length: 0\r\n\r\n");
    assert_story(&teller, "head(200,0)  done");
    assert_int_equal(cookie_jar_count(world.jar), 1);
    world_done(&world);
}

static void test_a_cookie_of_a_redirect_goes_with_the_next_hop(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    ask_with_cookies(&teller, "http://a.com/login");
    (void)server_hears(&world, world_server(&world));
    server_says(&world, "HTTP/1.1 302 Go\r\nSet-Cookie: sid=7; Path=/; Max-Age=9\r\n"
                        "Location: /home\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(server_hears(&world, world_server(&world)), "Cookie: sid=7\r\n"));
    world.commit_result =
        COOKIE_COMMIT_WAIT; /* what the first hop stored must be on disk too */
    server_says(&world, OK_5);
    assert_int_equal(teller.n_heads, 0);
    world_cookies_committed(&world, true);
    assert_int_equal(teller.n_done, 1);
    world_done(&world);
}

static void test_modes_of_cookies_are_kept_to(void **state)
{
    static const struct {
        enum request_cookies mode;
        bool sends, stores;
    } modes[] = {
        {REQUEST_COOKIES_SEND_AND_STORE, true, true},
        {REQUEST_COOKIES_SEND, true, false},
        {REQUEST_COOKIES_NONE, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        ask_with_cookies(&teller, "http://a.com/");
        server_says(&world, SET_LASTING);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.cookies = modes[i].mode;
        (void)server_hears(&world, world_server(&world));
        teller_send(&teller, &options);
        const char *heard = server_hears(&world, world_server(&world));
        assert_int_equal(strstr(heard, "Cookie: c=1") != NULL, modes[i].sends);
        server_says(&world, "HTTP/1.1 200 OK\r\nSet-Cookie: d=1\r\nContent-Length: 0\r\n\r\n");
        assert_int_equal(cookie_jar_count(world.jar), 1 + modes[i].stores);
        world_done(&world);
    }
}

static void test_a_jar_that_is_not_in_memory_yet_is_waited_for(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    world.open_result = COOKIE_OPEN_WAIT;
    teller_init(&teller, &world);
    ask_with_cookies(&teller, "http://a.com/");
    assert_int_equal(world.n_servers, 0);
    world_cookies_ready(&world);
    server_says(&world, OK_5);
    assert_story(&teller, "head(200,5) HELLO done");
    world_done(&world);
}

static void test_a_jar_that_cannot_be_opened_fails_the_request(void **state)
{
    static const struct {
        int result;
        const char *story;
    } results[] = {{-EINVAL, " failed:argument"},
                   {-EDQUOT, " failed:quota"},
                   {-ENOMEM, " failed:internal"}};

    (void)state;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        struct fetch_world world;
        struct teller teller;

        world_init(&world);
        world.open_result = results[i].result;
        teller_init(&teller, &world);
        ask_with_cookies(&teller, "http://a.com/");
        assert_story(&teller, results[i].story);
        assert_int_equal(world.n_servers, 0);
        world_done(&world);
    }
}

/* ---- dead connections ---------------------------------------------------------------------
 */

/* One answer on a connection that is kept. */
static void warm_up(struct fetch_world *world)
{
    struct teller teller;

    teller_init(&teller, world);
    teller_get(&teller, "http://a.com/");
    server_says(world, OK_5);
    assert_int_equal(teller.n_done, 1);
    (void)server_hears(world, world_server(world));
}

static void test_pl14_a_get_on_a_dead_kept_connection_is_tried_once_more(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    warm_up(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/again");
    (void)server_hears(&world, world_server(&world));
    server_ends(&world);
    assert_int_equal(world.n_servers, 2);
    server_says(&world, OK_5);
    assert_story(&teller, "head(200,5) HELLO done");
    world_done(&world);

    world_init(&world); /* once, not twice */
    warm_up(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/again");
    (void)server_hears(&world, world_server(&world));
    server_breaks(&world, ECONNRESET);
    assert_int_equal(world.n_servers, 2);
    server_ends(&world);
    assert_story(&teller, " failed:empty-reply");
    assert_int_equal(world.n_servers, 2);
    world_done(&world);
}

static void test_pl14_a_sent_post_on_a_dead_kept_connection_fails(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;

    (void)state;
    world_init(&world);
    warm_up(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/post");
    assert_int_equal(request_options_set_method(&options, SPAN_LIT("POST"), &why), 0);
    assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
    teller_send(&teller, &options);
    assert_non_null(strstr(server_hears(&world, world_server(&world)), "\r\n\r\nbody"));
    server_ends(&world);
    assert_story(&teller, " failed:empty-reply");
    assert_int_equal(world.n_servers, 1);
    world_done(&world);
}

static void test_what_has_been_shown_is_never_retried(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    warm_up(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/again");
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO");
    server_ends(&world);
    assert_story(&teller, "head(200,9) HELLO failed:truncated");
    assert_int_equal(world.n_servers, 1);
    world_done(&world);
}

/* ---- time ---------------------------------------------------------------------------------
 */

static void test_lb07_every_phase_has_its_timeout_and_ends_once(void **state)
{
    static const struct {
        const char *name;
        bool hold;          /* connecting */
        const char *answer; /* said before the wait */
        enum failure_kind kind;
        int64_t ms;
    } phases[] = {
        {"dns", true, NULL, FAILURE_TIMEOUT_CONNECT, 60000},
        {"connect", true, NULL, FAILURE_TIMEOUT_CONNECT, 60000},
        {"tls", true, NULL, FAILURE_TIMEOUT_CONNECT, 60000},
        {"wait", false, "", FAILURE_TIMEOUT_IDLE, 60000},
        {"head", false, "HTTP/1.1 200 OK\r\nContent", FAILURE_TIMEOUT_IDLE, 60000},
        {"body", false, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHE", FAILURE_TIMEOUT_IDLE,
         60000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        for (int total = 0; total < 2; total++) {
            struct fetch_world world;
            struct teller teller;
            struct request_options options;
            int64_t ms = total ? 5000 : phases[i].ms;

            world_init(&world);
            world.hold_connects = phases[i].hold;
            teller_init(&teller, &world);
            options_get(&options, "http://a.com/");
            options.total_timeout_us = total ? 5000000 : 0;
            teller_send(&teller, &options);
            if (phases[i].hold && i > 0)
                world_stage(&world, i == 1 ? WAIT_CONNECT : WAIT_TLS);
            if (phases[i].answer)
                server_says(&world, phases[i].answer);
            world_pass_ms(&world, ms - 1);
            assert_int_equal(teller.n_done, 0);
            world_pass_ms(&world, 1);
            assert_int_equal(teller.n_done, 1);
            assert_int_equal(teller.failure.kind,
                             total ? FAILURE_TIMEOUT_TOTAL : phases[i].kind);
            world_pass_ms(&world, 10 * ms);
            world_done(&world);
        }
    }
}

static void test_the_idle_timer_begins_anew_with_every_byte(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
    for (int i = 0; i < 20; i++) {
        world_pass_ms(&world, 59000);
        assert_int_equal(teller.n_done, 0);
        server_says(&world, "x");
    }
    assert_story(&teller, "head(200,20) xxxxxxxxxxxxxxxxxxxx done");
    world_done(&world);
}

static void test_ex11_a_drip_that_never_idles_ends_at_the_total_timeout(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.total_timeout_us = 100000000;
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (int s = 10; s < 100; s += 10) {
        world_pass_ms(&world, 10000);
        server_says(&world, "x");
        assert_int_equal(teller.n_done, 0);
    }
    world_pass_ms(&world, 9999);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1);
    assert_story(&teller, "head(200,1000) xxxxxxxxx failed:timeout-total");
    world_done(&world);
}

static void test_no_idle_time_runs_while_the_owner_is_who_does_not_move(void **state)
{
    static const char *const body = "HELLOHELLO";

    (void)state;
    for (int how = 0; how < 4; how++) { /* no credit; congested at open, head, body */
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.response_credit = how == 0 ? 0 : 100;
        teller.act = ACT_CONGEST;
        teller.act_at = how == 0 ? -1 : how - 1; /* after wait:dns */
        if (how == 1)
            teller.act_at = -1;
        teller_send(&teller, &options);
        if (how == 1)
            request_set_congested(teller.request, true);
        server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nHELLOHELLO");
        world_pass_ms(&world, 600000);
        assert_int_equal(teller.n_done, 0);
        assert_int_equal(teller.body_bytes, how == 3 ? 10 : 0);
        if (how == 0)
            request_add_credit(teller.request, 100);
        else
            request_set_congested(teller.request, false);
        world_turn(&world);
        assert_int_equal(teller.body_bytes, 10);
        world_pass_ms(&world, 59999); /* now it is the server's turn */
        assert_int_equal(teller.n_done, 0);
        if (how == 2) {
            server_says(&world, body);
            assert_int_equal(teller.n_done, 1);
        } else {
            world_pass_ms(&world, 1);
            assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_IDLE);
        }
        world_done(&world);
    }
}

static void test_the_total_timeout_ends_a_request_that_its_owner_blocks(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.response_credit = 0;
    options.total_timeout_us = 5000000;
    teller_send(&teller, &options);
    server_says(&world, OK_5);
    assert_story(&teller, "head(200,5) ");
    world_pass_ms(&world, 5000);
    assert_story(&teller, "head(200,5)  failed:timeout-total");
    world_done(&world);
}

/* ---- credit and congestion ----------------------------------------------------------------
 */

static void test_no_more_is_told_than_there_is_credit_for(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.response_credit = 0;
    teller_send(&teller, &options);
    server_says(&world, OK_5);
    assert_story(&teller, "head(200,5) ");
    request_add_credit(teller.request, 0);
    world_turn(&world);
    request_add_credit(teller.request, 2);
    assert_story(&teller, "head(200,5) "); /* not from inside the call */
    world_turn(&world);
    assert_story(&teller, "head(200,5) HE");
    request_add_credit(teller.request, 1);
    request_add_credit(teller.request, 1);
    world_turn(&world);
    assert_story(&teller, "head(200,5) HELL");
    request_add_credit(teller.request, UINT64_MAX);
    request_add_credit(teller.request, UINT64_MAX);
    world_turn(&world);
    assert_story(&teller, "head(200,5) HELLO done");
    world_done(&world);
}

static void test_an_empty_body_needs_no_credit(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.response_credit = 0;
        teller_send(&teller, &options);
        server_says(&world, answers[i]);
        assert_int_equal(teller.n_done, 1);
        assert_false(teller.has_failed);
        world_done(&world);
    }
}

/* EX05: what the daemon holds for a request whose owner does not read is a small constant. */
static void test_a_server_is_halted_by_an_owner_without_credit(void **state)
{
    static char body[4 << 20];
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    char head[64];

    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i ^ (i >> 11));
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.response_credit = 1000;
    teller_send(&teller, &options);
    (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   sizeof(body));
    server_says(&world, head);
    size_t said =
        server_says_bytes(&world, world_server(&world), (struct span){body, sizeof(body)});
    assert_int_equal(teller.body_bytes, 1000);
    assert_true(said < 600000); /* what is in flight in the pair, and one read */
    uint64_t given = 1000;
    unsigned dice = 1;
    while (teller.n_done == 0) {
        dice = dice * 1103515245U + 12345U;
        uint64_t more = 1 + (dice >> 8) % 150000;

        request_add_credit(teller.request, more);
        given += more;
        world_turn(&world);
        assert_true(teller.body_bytes <= given);
        said += server_says_bytes(&world, world_server(&world),
                                  span_drop((struct span){body, sizeof(body)}, said));
    }
    assert_false(teller.has_failed);
    assert_int_equal(teller.body_bytes, sizeof(body));
    assert_int_equal(teller.body_sum, body_sum(0, 0, (struct span){body, sizeof(body)}));
    assert_int_equal(teller.last_down.done_bytes, sizeof(body)); /* the last one */
    world_done(&world);
}

static void test_congestion_may_come_and_go_at_any_time(void **state)
{
    static char body[300000];

    (void)state;
    memset(body, 'b', sizeof(body));
    for (unsigned seed = 0; seed < 30; seed++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        unsigned dice = seed * 7919U + 1;
        size_t said = 0;
        char head[64];
        uint64_t given = 0;

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.response_credit = 0;
        teller_send(&teller, &options);
        (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                       sizeof(body));
        server_says(&world, head);
        for (int i = 0; i < 5000 && teller.n_done == 0; i++) {
            dice = dice * 1103515245U + 12345U;
            switch ((dice >> 16) % 4) {
            case 0: request_set_congested(teller.request, true); break;
            case 1: request_set_congested(teller.request, false); break;
            case 2:
                request_add_credit(teller.request, 5000);
                given += 5000;
                break;
            default:
                said += server_says_bytes(
                    &world, world_server(&world),
                    span_take(span_drop((struct span){body, sizeof(body)}, said), 7000));
                break;
            }
            if ((dice >> 20) % 2 && teller.request)
                world_turn(&world);
            assert_true(teller.body_bytes <= given);
        }
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.body_bytes, sizeof(body));
        world_done(&world);
    }
}

static void test_a_decoded_body_obeys_credit_byte_by_byte(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.response_credit = 0;
    teller_send(&teller, &options);
    server_says(&world,
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n");
    (void)server_says_bytes(&world, world_server(&world), SPAN_LIT(GZIP_HELLO));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(teller.body_bytes, i);
        request_add_credit(teller.request, 1);
        world_turn(&world);
    }
    request_add_credit(teller.request, 1); /* the decoder may still have something to check */
    world_turn(&world);
    assert_story(&teller, "head(200,gzip) hello done");
    assert_int_equal(teller.totals.wire_bytes, 25);
    assert_int_equal(teller.totals.body_bytes, 5);
    world_done(&world);
}

static void test_a_body_longer_than_allowed_fails_at_the_mark(void **state)
{
    (void)state;
    for (uint64_t max = 4; max < 6; max++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        options.has_response_max = true;
        options.response_max = max;
        teller_send(&teller, &options);
        server_says(&world, OK_5);
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.has_failed, max < 5);
        if (teller.has_failed)
            assert_int_equal(teller.failure.kind, FAILURE_LIMIT);
        assert_true(teller.body_bytes <= max);
        world_done(&world);
    }
}

static void test_ex09_sizes_beyond_32_bits_are_told_whole(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    world_pass_ms(&world, 1000);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 4294967297\r\n\r\nx");
    assert_story(&teller, "head(200,4294967297) x");
    assert_true(teller.last_down.has_total);
    assert_int_equal(teller.last_down.total_bytes, UINT64_C(4294967297));
    request_close(TAKE(teller.request));
    world_done(&world);
}

/* ---- LB04: ends at every point ------------------------------------------------------------
 */

/* A long life: a jar to be waited for, a redirect, a 401, a streamed body, a slow disk, a
 * coded answer in pieces. Goes on as long as the teller's request lives. */
static void live_long(struct fetch_world *world, struct teller *teller, int *steps, int stop_at)
{
    struct request_options options;
    struct failure why;

#define STEP(deed)                                                                             \
    do {                                                                                       \
        if ((*steps)++ == stop_at || !teller->request)                                         \
            return;                                                                            \
        deed;                                                                                  \
    } while (0)
    world->open_result = COOKIE_OPEN_WAIT;
    world->commit_result = COOKIE_COMMIT_WAIT;
    world->hold_connects = true;
    options_get(&options, "http://a.com/1");
    with_credentials(&options, false);
    options.cookies = REQUEST_COOKIES_SEND_AND_STORE;
    options.response_credit = 3;
    options.body_kind = REQUEST_BODY_INLINE;
    assert_int_equal(request_options_set_method(&options, SPAN_LIT("PUT"), &why), 0);
    assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
    options.total_timeout_us = 1000000000;
    teller_send(teller, &options);
    STEP(world_cookies_ready(world));
    STEP(world_stage(world, WAIT_CONNECT));
    STEP(world_connect(world));
    STEP((void)server_hears(world, world_server(world)));
    STEP(server_says(world, "HTTP/1.1 307 Go\r\nLocation: /2\r\n"));
    STEP(server_says(world, "Set-Cookie: a=1; Max-Age=9\r\nContent-Length: 4\r\n\r\n"));
    STEP(server_says(world, "body"));
    STEP((void)server_hears(world, world_server(world)));
    STEP(server_says(world, ASK_BASIC));
    STEP((void)server_hears(world, world_server(world)));
    STEP(server_says(world, "HTTP/1.1 200 OK\r\nSet-Cookie: b=1; Max-Age=9\r\n"
                            "Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n"));
    STEP(world_pass_ms(world, 100));
    STEP(world_cookies_committed(world, true));
    STEP((void)server_says_bytes(world, world_server(world), (struct span){GZIP_HELLO, 12}));
    STEP((void)server_says_bytes(world, world_server(world),
                                 (struct span){&GZIP_HELLO[12], 13}));
    STEP(request_add_credit(teller->request, 1));
    STEP(world_pass_ms(world, 100));
    STEP(request_add_credit(teller->request, 100));
    STEP(world_turn(world));
#undef STEP
}

static void test_the_long_life_itself_goes_well(void **state)
{
    struct fetch_world world;
    struct teller teller;
    int steps = 0;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    live_long(&world, &teller, &steps, -1);
    assert_story(&teller, "redirect(307,http://a.com/2,PUT) head(200,gzip) hello done");
    assert_true(steps >= 19);
    world_done(&world);
}

static void test_lb04_a_request_may_be_closed_or_aborted_in_every_state(void **state)
{
    int before = count_fds();

    (void)state;
    for (int stop_at = 0; stop_at < 20; stop_at++) {
        for (int how = 0; how < 3; how++) {
            struct fetch_world world;
            struct teller teller;
            struct failure why;
            int steps = 0;

            world_init(&world);
            teller_init(&teller, &world);
            live_long(&world, &teller, &steps, stop_at);
            failure_set(&why, FAILURE_ABORTED, "aborted");
            if (how == 0 && teller.request) {
                request_close(TAKE(teller.request));
                world_turn(&world);
                assert_int_equal(teller.n_done, 0);
            } else if (teller.request) {
                int events = teller.n_events;

                request_fail(teller.request, &why);
                assert_int_equal(teller.n_done, 0); /* from the loop */
                if (how == 2)
                    request_fail(teller.request, &why); /* idempotent */
                world_turn(&world);
                assert_int_equal(teller.n_done, 1);
                assert_int_equal(teller.n_events, events + 1);
                assert_int_equal(teller.failure.kind, FAILURE_ABORTED);
            }
            world_pass_ms(&world, 10000000);
            world_done(&world);
        }
    }
    assert_int_equal(count_fds(), before);
}

static void test_lb04_a_request_may_be_closed_or_aborted_inside_every_event(void **state)
{
    static const enum teller_act acts[] = {ACT_CLOSE, ACT_FAIL, ACT_CONGEST, ACT_CREDIT};
    int before = count_fds();

    (void)state;
    for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
        for (int at = 0; at < 14; at++) {
            struct fetch_world world;
            struct teller teller;
            int steps = 0;

            world_init(&world);
            teller_init(&teller, &world);
            teller.act = acts[a];
            teller.act_at = at;
            live_long(&world, &teller, &steps, -1);
            if (acts[a] == ACT_CONGEST && teller.request) {
                request_set_congested(teller.request, false);
                world_turn(&world);
            }
            world_turn(&world);
            if (acts[a] == ACT_CLOSE)
                assert_true(teller.n_done == 0 || teller.n_events <= at + 1);
            else
                assert_int_equal(teller.n_done, 1);
            if (acts[a] == ACT_FAIL && at < teller.n_events - 1) {
                assert_int_equal(teller.failure.kind, FAILURE_ABORTED);
                assert_int_equal(teller.n_events, at + 2); /* nothing in between */
            }
            world_done(&world);
        }
    }
    assert_int_equal(count_fds(), before);
}

/* ---- waits, connection failures, memory ---------------------------------------------------
 */

static void test_waits_are_told_as_they_change(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    world.hold_connects = true;
    teller_init(&teller, &world);
    teller.tell_waits = true;
    teller_get(&teller, "https://a.com/");
    world_stage(&world, WAIT_CONNECT);
    world_stage(&world, WAIT_TLS);
    world_connect(&world);
    server_says(&world, OK_5);
    assert_story(&teller, "wait:dns wait:connect wait:tls head(200,5) HELLO done");
    world_done(&world);
}

static void test_a_connection_that_cannot_be_made_fails_with_its_reason(void **state)
{
    static const enum failure_kind kinds[] = {FAILURE_DNS, FAILURE_CONNECT, FAILURE_TLS_VERIFY,
                                              FAILURE_TLS_VERSION};

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct fetch_world world;
        struct teller teller;

        world_init(&world);
        world.refuse = kinds[i];
        teller_init(&teller, &world);
        teller_get(&teller, "http://a.com/");
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.failure.kind, kinds[i]);
        assert_int_equal(teller.failure.phase, PHASE_CONNECT);
        world_done(&world);
    }
}

static void test_overrides_decide_where_a_request_is_connected(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;
    struct request_connect_to to = {
        .host = (char[]){"a.com"}, .to_host = (char[]){"b.com"}, .port = 0, .to_port = 0};

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    assert_int_equal(request_options_add_connect_to(&options, &to, &why), 0);
    teller_send(&teller, &options);
    assert_string_equal(world_server(&world)->host, "b.com");
    assert_non_null(strstr(server_hears(&world, world_server(&world)), "Host: a.com\r\n"));
    server_says(&world, OK_5);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/"); /* not over a connection that went elsewhere */
    assert_int_equal(world.n_servers, 2);
    server_says(&world, OK_5);
    world_done(&world);
}

static void test_given_addresses_are_what_the_pool_is_told_to_dial(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;
    struct span addresses[] = {SPAN_LIT("127.0.0.1"), SPAN_LIT("::1")};

    (void)state;
    world_init(&world);
    for (int other_port = 0; other_port < 2; other_port++) {
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/");
        assert_int_equal(request_options_add_resolve(&options, SPAN_LIT("A.com"),
                                                     other_port ? 81 : 80, addresses, 2, &why),
                         0);
        world.hold_connects = true;
        teller_send(&teller, &options);
        assert_int_equal(world_dialled_addresses(&world), other_port ? 0 : 2);
        world.hold_connects = false;
        world_turn(&world);
        server_says(&world, OK_5);
        assert_int_equal(teller.n_done, 1);
    }
    assert_int_equal(world.n_servers, 2); /* never over each other's connections */
    world_done(&world);
}

static void test_ck29_own_cookies_go_behind_those_of_the_jar(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    ask_with_cookies(&teller, "http://a.com/");
    server_says(&world, SET_LASTING);
    (void)server_hears(&world, world_server(&world));
    teller_init(&teller, &world);
    options_get(&options, "http://a.com/");
    options.cookies = REQUEST_COOKIES_SEND_AND_STORE;
    assert_int_equal(
        request_options_add_header(&options, SPAN_LIT("cookie"), SPAN_LIT("own=2"), &why), 0);
    teller_send(&teller, &options);
    const char *heard = server_hears(&world, world_server(&world));
    const char *field = strcasestr(heard, "\r\ncookie: ");
    assert_non_null(field);
    assert_memory_equal(field + 10, "c=1; own=2\r\n", 12);
    assert_null(strcasestr(field + 2, "\r\ncookie:")); /* one field */
    server_says(&world, OK_5);
    world_done(&world);
}

static void test_trailers_are_kept_for_the_end(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    server_says(&world, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHELLO\r\n"
                        "0\r\nX-Sum: 1\r\n\r\n");
    assert_story(&teller, "head(200) HELLO done");
    assert_int_equal(teller.n_trailers, 1);
    world_done(&world);
}

static void test_every_failing_allocation_ends_in_one_honest_failure(void **state)
{
    int before = count_fds();
    uint64_t n;

    (void)state;
    for (n = 1; n < 1000; n++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        struct failure why;

        world_init(&world);
        teller_init(&teller, &world);
        options_get(&options, "http://a.com/1");
        options.cookies = REQUEST_COOKIES_SEND_AND_STORE;
        assert_int_equal(request_options_set_method(&options, SPAN_LIT("PUT"), &why), 0);
        assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
        with_credentials(&options, true);
        world.commit_result = COOKIE_COMMIT_WAIT;
        mem_fail_at(n);
        int r = teller_try(&teller, &options);
        world_turn(&world);
        bool ran_out = mem_alloc_count() >= n;
        if (teller.request && world.n_servers > 0) {
            server_says(&world,
                        "HTTP/1.1 307 Go\r\nLocation: /2\r\nContent-Length: 4\r\n\r\nbody");
            server_says(&world, "HTTP/1.1 200 OK\r\nSet-Cookie: b=1; Max-Age=9\r\n"
                                "Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n");
            world_cookies_committed(&world, true);
            (void)server_says_bytes(&world, world_server(&world), SPAN_LIT(GZIP_HELLO));
            ran_out = mem_alloc_count() >= n;
        }
        mem_fail_at(0);
        request_options_done(&options);
        world_pass_ms(&world, 100000);
        if (r == 0) {
            assert_int_equal(teller.n_done, 1);
            if (!teller.has_failed)
                assert_story(&teller,
                             "redirect(307,http://a.com/2,PUT) head(200,gzip) hello done");
        }
        world_done(&world);
        if (!ran_out)
            break;
    }
    assert_true(n > 20 && n < 999); /* it came to an end, and walked through something */
    assert_int_equal(count_fds(), before);
}

static bool count_row(void *arg, const struct request_row *row)
{
    int *n = arg;

    assert_int_equal(row->uid, 1000);
    assert_string_equal(row->method, "GET");
    assert_string_equal(row->state, "awaiting");
    assert_true(row->connection_id > 0);
    return ++*n < 2;
}

static void test_a_listing_shows_what_is_under_way_and_stops_when_told(void **state)
{
    struct fetch_world world;
    struct teller tellers[3];
    int n = 0;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        teller_init(&tellers[i], &world);
        teller_get(&tellers[i], "http://a.com/");
    }
    request_each(world.fetcher, count_row, &n);
    assert_int_equal(n, 2);
    for (int i = 0; i < 3; i++)
        request_close(tellers[i].request);
    world_done(&world);
}

static void test_times_never_run_backwards_nor_below_zero(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    fake_clock_advance_ms(&world.clock, 10);
    (void)server_hears(&world, world_server(&world));
    fake_clock_advance_ms(&world.clock, 10);
    server_says(&world, OK_5);
    assert_true(teller.timing.first_byte_us >= 20000);
    assert_true(teller.timing.total_us >= teller.timing.first_byte_us);
    assert_true(teller.timing.sent_us >= teller.timing.queued_us);
    fake_clock_advance_ms(&world.clock, 1000);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/"); /* what happened before it did not happen for it */
    server_says(&world, OK_5);
    assert_int_equal(teller.timing.name_lookup_us, 0);
    assert_int_equal(teller.timing.connect_us, 0);
    assert_true(teller.timing.queued_us >= 0);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_answer_is_told_in_order_with_one_end),
        cmocka_unit_test(test_what_goes_out_is_what_was_asked_for_and_the_defaults),
        cmocka_unit_test(test_answers_before_the_last_are_told),
        cmocka_unit_test(test_redirects_are_followed_told_and_counted),
        cmocka_unit_test(test_a_redirect_is_delivered_when_it_is_not_to_be_followed),
        cmocka_unit_test(test_rd15_one_redirect_too_many_fails),
        cmocka_unit_test(test_rd11_a_redirect_out_of_http_is_refused),
        cmocka_unit_test(test_rd16_the_body_of_a_redirect_is_drained_a_little_and_no_more),
        cmocka_unit_test(test_a_redirect_whose_body_never_ends_is_followed_after_a_moment),
        cmocka_unit_test(test_a_401_that_offers_basic_is_answered_once),
        cmocka_unit_test(test_a_401_without_basic_or_credentials_is_the_answer),
        cmocka_unit_test(test_rd01_rd05_credentials_stay_at_their_origin_for_good),
        cmocka_unit_test(test_cookies_are_in_the_jar_and_on_disk_before_the_head_is_told),
        cmocka_unit_test(test_a_session_cookie_waits_for_no_disk),
        cmocka_unit_test(test_a_cookie_of_a_redirect_goes_with_the_next_hop),
        cmocka_unit_test(test_modes_of_cookies_are_kept_to),
        cmocka_unit_test(test_a_jar_that_is_not_in_memory_yet_is_waited_for),
        cmocka_unit_test(test_a_jar_that_cannot_be_opened_fails_the_request),
        cmocka_unit_test(test_pl14_a_get_on_a_dead_kept_connection_is_tried_once_more),
        cmocka_unit_test(test_pl14_a_sent_post_on_a_dead_kept_connection_fails),
        cmocka_unit_test(test_what_has_been_shown_is_never_retried),
        cmocka_unit_test(test_lb07_every_phase_has_its_timeout_and_ends_once),
        cmocka_unit_test(test_the_idle_timer_begins_anew_with_every_byte),
        cmocka_unit_test(test_ex11_a_drip_that_never_idles_ends_at_the_total_timeout),
        cmocka_unit_test(test_no_idle_time_runs_while_the_owner_is_who_does_not_move),
        cmocka_unit_test(test_the_total_timeout_ends_a_request_that_its_owner_blocks),
        cmocka_unit_test(test_no_more_is_told_than_there_is_credit_for),
        cmocka_unit_test(test_an_empty_body_needs_no_credit),
        cmocka_unit_test(test_a_server_is_halted_by_an_owner_without_credit),
        cmocka_unit_test(test_congestion_may_come_and_go_at_any_time),
        cmocka_unit_test(test_a_decoded_body_obeys_credit_byte_by_byte),
        cmocka_unit_test(test_a_body_longer_than_allowed_fails_at_the_mark),
        cmocka_unit_test(test_ex09_sizes_beyond_32_bits_are_told_whole),
        cmocka_unit_test(test_the_long_life_itself_goes_well),
        cmocka_unit_test(test_lb04_a_request_may_be_closed_or_aborted_in_every_state),
        cmocka_unit_test(test_lb04_a_request_may_be_closed_or_aborted_inside_every_event),
        cmocka_unit_test(test_waits_are_told_as_they_change),
        cmocka_unit_test(test_a_connection_that_cannot_be_made_fails_with_its_reason),
        cmocka_unit_test(test_overrides_decide_where_a_request_is_connected),
        cmocka_unit_test(test_given_addresses_are_what_the_pool_is_told_to_dial),
        cmocka_unit_test(test_ck29_own_cookies_go_behind_those_of_the_jar),
        cmocka_unit_test(test_trailers_are_kept_for_the_end),
        cmocka_unit_test(test_every_failing_allocation_ends_in_one_honest_failure),
        cmocka_unit_test(test_a_listing_shows_what_is_under_way_and_stops_when_told),
        cmocka_unit_test(test_times_never_run_backwards_nor_below_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
