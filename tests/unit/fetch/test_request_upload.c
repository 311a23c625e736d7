/* SPDX-License-Identifier: MIT */
/* Bodies that go up: inline, streamed by their owner, read from a descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/num.h"
#include "base/quota.h"
#include "fetch/request.h"
#include "net/io_pair.h"
#include "support/fetch_world.h"
#include "support/test.h"

#define OK_0 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static char pattern[1 << 20];

static int fill_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = (char)('a' + (i * 7 + i / 251) % 26);
    return 0;
}

static void options_of(struct request_options *options, const char *method, const char *url)
{
    struct failure why;

    options_get(options, url);
    assert_int_equal(request_options_set_method(options, span_of(method), &why), 0);
}

/* @length: UINT64_MAX: unknown */
static void stream_options(struct request_options *options, uint64_t length)
{
    options_of(options, "POST", "http://a.com/");
    options->body_kind = REQUEST_BODY_STREAM;
    if (length != UINT64_MAX) {
        options->body_has_length = true;
        options->body_length = length;
    }
}

/* The body behind the head, chunks joined. */
static size_t body_of(const char *heard, size_t len, char *ret, size_t size)
{
    const char *at = memmem(heard, len, "\r\n\r\n", 4);
    const char *end = heard + len;
    size_t n = 0;

    assert_non_null(at);
    bool chunked = memmem(heard, (size_t)(at - heard), "chunked", 7) != NULL;
    at += 4;
    if (!chunked) {
        memcpy(ret, at, (size_t)(end - at));
        return (size_t)(end - at);
    }
    while (at < end) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        uint64_t piece;

        assert_non_null(line_end);
        assert_int_equal(num_parse_hex_u64((struct span){at, (size_t)(line_end - at)},
                                           sizeof(pattern), &piece),
                         0);
        if (piece == 0)
            break;
        at = line_end + 2;
        assert_true(n + piece <= size && at + piece + 2 <= end);
        memcpy(ret + n, at, piece);
        n += piece;
        at += piece + 2;
    }
    return n;
}

static void assert_server_got(struct fetch_world *world, const char *body, size_t len)
{
    static char got[sizeof(pattern) + 64];
    struct fake_server *server = world_server(world);

    (void)server_hears(world, server);
    struct span heard = buf_span(&server->seen);
    assert_int_equal(body_of(heard.ptr, heard.len, got, sizeof(got)), len);
    assert_memory_equal(got, body, len);
}

/* ---- inline -------------------------------------------------------------------------------
 */

static void test_an_inline_body_of_any_size_goes_with_its_length(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, sizeof(pattern)};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        struct failure why;
        char length[64];

        world_init(&world);
        teller_init(&teller, &world);
        options_of(&options, "POST", "http://a.com/");
        assert_int_equal(
            request_options_set_inline_body(&options, (struct span){pattern, sizes[i]}, &why),
            0);
        teller_send(&teller, &options);
        assert_server_got(&world, pattern, sizes[i]);
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", sizes[i]);
        assert_non_null(memmem(world_server(&world)->seen.storage,
                               world_server(&world)->seen.len, length, strlen(length)));
        server_says(&world, OK_0);
        assert_story(&teller, "head(200,0)  done");
        assert_int_equal(teller.totals.upload_bytes, sizes[i]);
        assert_int_equal(teller.last_up.done_bytes, sizes[i]); /* a last one */
        assert_int_equal(world.fetcher->counters.bytes_up, sizes[i]);
        world_done(&world);
    }
}

static void
test_lb03_an_inline_body_is_sent_again_for_307_401_and_a_dead_connection(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;
    const struct request_credentials basic = {
        .scheme = AUTH_SCHEME_BASIC, .user = SPAN_LIT("u"), .password = SPAN_LIT("p")};

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/"); /* warms a connection */
    server_says(&world, OK_0);
    teller_init(&teller, &world);
    options_of(&options, "PUT", "http://a.com/");
    assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why), 0);
    assert_int_equal(request_options_set_credentials(&options, &basic, &why), 0);
    teller_send(&teller, &options);
    server_ends(&world); /* PUT is idempotent */
    assert_int_equal(world.n_servers, 2);
    assert_server_got(&world, "body", 4);
    server_says(&world, "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_server_got(&world, "body", 4);
    server_says(&world, "HTTP/1.1 307 Go\r\nLocation: http://b.com/\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 3);
    assert_server_got(&world, "body", 4);
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) head(200,0)  done");
    assert_int_equal(teller.totals.upload_bytes, 4); /* of the last exchange */
    world_done(&world);
}

static void test_a_303_makes_a_get_without_body(void **state)
{
    for (int kind = 0; kind < 2; kind++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        struct failure why;

        (void)state;
        world_init(&world);
        teller_init(&teller, &world);
        stream_options(&options, 8);
        if (kind == 0)
            assert_int_equal(request_options_set_inline_body(&options, SPAN_LIT("body"), &why),
                             0);
        teller_send(&teller, &options);
        if (kind == 1)
            assert_int_equal(request_write_body(teller.request, SPAN_LIT("body")), 0);
        (void)server_hears(&world, world_server(&world));
        server_says(&world, "HTTP/1.1 303 See\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n");
        const char *heard = server_hears(&world, world_server(&world));
        assert_non_null(strstr(heard, "GET /2 HTTP/1.1\r\n"));
        assert_null(strstr(heard, "Content-"));
        if (kind == 1) { /* what crosses the redirect on its way is not wanted, and no error */
            assert_int_equal(request_write_body(teller.request, SPAN_LIT("rest")), 0);
            assert_int_equal(request_end_body(teller.request), 0);
            world_turn(&world);
        }
        server_says(&world, OK_0);
        assert_story(&teller, "redirect(303,http://a.com/2,GET) head(200,0)  done");
        world_done(&world);
    }
}

/* ---- streamed -----------------------------------------------------------------------------
 */

static void test_a_streamed_body_goes_up_and_its_window_comes_back(void **state)
{
    for (int known = 0; known < 2; known++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        const size_t total = 400000;
        size_t written = 0;
        CLEANUP_BUF struct buf heard = BUF_INIT(0);
        static char got[sizeof(pattern)];

        (void)state;
        world_init(&world);
        teller_init(&teller, &world);
        stream_options(&options, known ? total : UINT64_MAX);
        teller_send(&teller, &options);
        while (written < total) {
            size_t window = REQUEST_UPLOAD_WINDOW - (written - teller.taken);
            size_t n = window < total - written ? window : total - written;

            n = n > 30000 ? 30000 : n;
            assert_true(n > 0);
            assert_int_equal(
                request_write_body(teller.request, (struct span){pattern + written, n}), 0);
            written += n;
            world_turn(&world);
            (void)server_hears(&world, world_server(&world));
            assert_int_equal(buf_append(&heard, buf_span(&world_server(&world)->seen)), 0);
            if (!known && written < 40000)
                world_pass_ms(&world, 1000); /* it asked whether to go on */
        }
        assert_int_equal(request_end_body(teller.request), 0);
        world_turn(&world);
        (void)server_hears(&world, world_server(&world));
        assert_int_equal(buf_append(&heard, buf_span(&world_server(&world)->seen)), 0);
        assert_int_equal(body_of(heard.storage, heard.len, got, sizeof(got)), total);
        assert_memory_equal(got, pattern, total);
        assert_int_equal(teller.taken, total);
        world_pass_ms(&world, 60); /* how often it is looked what the server has */
        assert_int_equal(teller.last_up.done_bytes, total);
        assert_true(teller.last_up.has_total); /* of a stream, too: it has ended */
        assert_int_equal(teller.last_up.total_bytes, total);
        server_says(&world, OK_0);
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(teller.totals.upload_bytes, total);
        world_done(&world);
    }
}

static void test_ip20_streamed_bytes_that_wait_are_their_users_to_pay(void **state)
{
    struct fetch_rights rights = {0};
    struct request_options options;
    struct fetch_world world;
    struct teller teller;
    struct quota quota;

    (void)state;
    quota_init(&quota);
    quota.max[QUOTA_BYTES] = 50000;
    rights.quota = &quota;
    world_init(&world);
    world.hold_connects = true;
    teller_init(&teller, &world);
    stream_options(&options, UINT64_MAX);
    options.rights = &rights;
    teller_send(&teller, &options);
    assert_int_equal(request_write_body(teller.request, (struct span){pattern, 40000}), 0);
    assert_int_equal(quota.used[QUOTA_BYTES], 40000);
    assert_int_equal(request_write_body(teller.request, (struct span){pattern, 20000}),
                     -EDQUOT);
    assert_int_equal(quota.used[QUOTA_BYTES], 40000);
    world_connect(&world);
    world_pass_ms(&world, 1000); /* it asked whether to go on */
    (void)server_hears(&world, world_server(&world));
    assert_int_equal(quota.used[QUOTA_BYTES], 0);
    assert_int_equal(request_write_body(teller.request, (struct span){pattern, 20000}), 0);
    request_close(teller.request);
    assert_int_equal(quota.used[QUOTA_BYTES], 0);
    world_done(&world);
}

static void test_open_body_and_end_may_come_in_one_round(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 4);
    assert_int_equal(teller_try(&teller, &options), 0);
    request_options_done(&options);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("bo")), 0);
    request_add_credit(teller.request, 10);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("dy")), 0);
    assert_int_equal(request_end_body(teller.request), 0);
    world_turn(&world);
    assert_server_got(&world, "body", 4);
    server_says(&world, OK_0);
    assert_story(&teller, "head(200,0)  done");
    world_done(&world);
}

static void test_open_body_and_abort_may_come_in_one_round(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 4);
    assert_int_equal(teller_try(&teller, &options), 0);
    request_options_done(&options);
    failure_set(&why, FAILURE_ABORTED, "aborted");
    request_fail(teller.request, &why);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("body")), 0);
    failure_set(&why, FAILURE_INTERNAL, "a second reason");
    request_fail(teller.request, &why);
    world_turn(&world);
    assert_story(&teller, " failed:aborted");
    assert_int_equal(world.n_servers, 0);
    world_done(&world);
}

static void test_lb02_more_or_fewer_bytes_than_announced_are_refused(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 8);
    teller_send(&teller, &options);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("123456789")), -EMSGSIZE);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("12345")), 0);
    assert_int_equal(request_end_body(teller.request), -EMSGSIZE);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("6789")), -EMSGSIZE);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("678")), 0);
    assert_int_equal(request_end_body(teller.request), 0);
    assert_int_equal(request_end_body(teller.request), -EINVAL);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("9")), -EINVAL);
    world_turn(&world);
    assert_server_got(&world, "12345678", 8);
    server_says(&world, OK_0);
    assert_story(&teller, "head(200,0)  done");
    world_done(&world);
}

static void test_the_window_bounds_what_is_held(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    world.hold_connects = true;
    teller_init(&teller, &world);
    stream_options(&options, UINT64_MAX);
    teller_send(&teller, &options);
    assert_int_equal(
        request_write_body(teller.request, (struct span){pattern, REQUEST_UPLOAD_WINDOW}), 0);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("x")), -EMSGSIZE);
    request_close(TAKE(teller.request));
    world_done(&world);

    world_init(&world);
    teller_init(&teller, &world);
    teller_get(&teller, "http://a.com/");
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("x")), -EINVAL);
    assert_int_equal(request_end_body(teller.request), -EINVAL);
    request_close(TAKE(teller.request));
    world_done(&world);
}

static void test_a_stream_that_was_begun_cannot_be_sent_again(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 307 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 308 Go\r\nLocation: /2\r\nContent-Length: 0\r\n\r\n"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        stream_options(&options, 4);
        teller_send(&teller, &options);
        assert_int_equal(request_write_body(teller.request, SPAN_LIT("body")), 0);
        world_turn(&world);
        server_says(&world, answers[i]);
        assert_story(&teller, " failed:rewind");
        world_done(&world);
    }
}

static void test_a_stream_not_begun_goes_to_where_the_redirect_leads(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 4);
    teller_send(&teller, &options);
    server_says(&world, "HTTP/1.1 307 Go\r\nLocation: http://b.com/\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 2);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("body")), 0);
    world_turn(&world);
    assert_server_got(&world, "body", 4);
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(307,http://b.com/,POST) head(200,0)  done");
    world_done(&world);
}

static void test_h115_an_answer_before_the_end_of_the_upload_is_delivered(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 1000);
    teller_send(&teller, &options);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("some")), 0);
    world_turn(&world);
    server_says(&world, "HTTP/1.1 413 Big\r\nContent-Length: 3\r\n\r\nN");
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("more")), 0);
    world_turn(&world);
    server_says(&world, "O!");
    assert_story(&teller, "head(413,3) NO! done");
    (void)server_hears(&world, world_server(&world));
    assert_true(world_server(&world)->is_over); /* nobody can tell where the body would end */
    world_done(&world);
}

static void test_an_answer_that_begins_before_the_end_of_the_upload_waits_for_both(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    stream_options(&options, 8);
    teller_send(&teller, &options);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("1234")), 0);
    world_turn(&world);
    server_says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nY");
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("5678")), 0);
    world_turn(&world);
    assert_server_got(&world, "12345678", 8);
    world_pass_ms(&world, 59999); /* the answer's own timer runs */
    assert_int_equal(teller.n_done, 0);
    server_says(&world, "ES");
    assert_story(&teller, "head(200,3) YES done");
    world_done(&world);
}

static void
test_lb07_uploads_time_out_when_the_server_stops_not_when_the_owner_does(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;

    (void)state;
    world_init(&world); /* the owner pauses for an hour, twice */
    teller_init(&teller, &world);
    stream_options(&options, 8);
    teller_send(&teller, &options);
    world_pass_ms(&world, 3600000);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("1234")), 0);
    world_turn(&world);
    world_pass_ms(&world, 3600000);
    assert_int_equal(teller.n_done, 0);
    assert_int_equal(request_write_body(teller.request, SPAN_LIT("5678")), 0);
    world_turn(&world);
    world_pass_ms(&world, 59999); /* and then the server has a minute */
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1);
    assert_story(&teller, " failed:timeout-idle");
    world_done(&world);

    world_init(&world); /* an unknown length: the end is what makes it the server's turn */
    teller_init(&teller, &world);
    stream_options(&options, UINT64_MAX);
    teller_send(&teller, &options);
    world_pass_ms(&world, 1000); /* Expect: 100-continue is waited for no longer */
    world_pass_ms(&world, 3600000);
    assert_int_equal(request_end_body(teller.request), 0);
    world_turn(&world);
    world_pass_ms(&world, 59999);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1);
    assert_story(&teller, " failed:timeout-idle");
    world_done(&world);

    world_init(&world); /* the server does not read */
    teller_init(&teller, &world);
    stream_options(&options, 1000000);
    teller_send(&teller, &options);
    io_pair_set_capacity(world_server(&world)->io, 100);
    struct span piece = {pattern, 60000};
    while (request_write_body(teller.request, piece) == 0)
        world_turn(&world);
    world_pass_ms(&world, 59999);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1);
    assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_IDLE);
    world_done(&world);
}

static void test_lb04_a_streaming_request_may_end_inside_every_event(void **state)
{
    static const enum teller_act acts[] = {ACT_CLOSE, ACT_FAIL, ACT_WRITE};

    (void)state;
    for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
        for (int at = 0; at < 8; at++) {
            struct fetch_world world;
            struct teller teller;
            struct request_options options;

            world_init(&world);
            teller_init(&teller, &world);
            teller.act = acts[a];
            teller.act_at = at;
            stream_options(&options, UINT64_MAX);
            assert_int_equal(teller_try(&teller, &options), 0);
            request_options_done(&options);
            world_turn(&world);
            for (int i = 0; i < 2; i++) {
                if (teller.request)
                    (void)!request_write_body(teller.request, (struct span){pattern, 20000});
                if (teller.request && i == 1)
                    (void)!request_end_body(teller.request);
                world_pass_ms(&world, 1000);
                if (world.n_servers > 0)
                    (void)server_hears(&world, world_server(&world));
            }
            if (world.n_servers > 0)
                server_says(&world, OK_0);
            assert_true(acts[a] == ACT_CLOSE ? teller.n_done <= 1 : teller.n_done == 1);
            world_done(&world);
        }
    }
}

/* ---- from a descriptor --------------------------------------------------------------------
 */

static int file_of(size_t size)
{
    int fd = memfd_create("body", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, pattern, size, 0), size);
    return fd;
}

static void fd_options(struct request_options *options, int fd)
{
    struct failure why;

    options_of(options, "PUT", "http://a.com/");
    assert_int_equal(request_options_set_fd_body(options, fd, &why), 0);
}

static void hear_body(struct fetch_world *world, struct buf *all)
{
    for (int i = 0; i < 20; i++) {
        world_settle_files(world);
        (void)server_hears(world, world_server(world));
        assert_int_equal(buf_append(all, buf_span(&world_server(world)->seen)), 0);
    }
}

static void test_ip20_a_file_is_read_by_as_much_memory_as_its_user_has_room_for(void **state)
{
    static const struct {
        uint64_t used;
        uint64_t held;
    } cases[] = {{0, 2 * 262144}, {599000, 2 * 8192}};
    static char got[sizeof(pattern)];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP_BUF struct buf heard = BUF_INIT(0);
        struct fetch_rights rights = {0};
        struct charge used = CHARGE_NONE;
        struct request_options options;
        struct fetch_world world;
        struct teller teller;
        struct quota quota;

        quota_init(&quota);
        quota.max[QUOTA_BYTES] = 600000;
        charge_take_anyway(&used, &quota, QUOTA_BYTES, cases[i].used);
        rights.quota = &quota;
        world_init(&world);
        teller_init(&teller, &world);
        fd_options(&options, file_of(700000));
        options.rights = &rights;
        teller_send(&teller, &options);
        assert_int_equal(quota.used[QUOTA_BYTES], cases[i].used + cases[i].held);
        for (int n = 0; n < 10; n++)
            hear_body(&world, &heard);
        assert_int_equal(body_of(heard.storage, heard.len, got, sizeof(got)), 700000);
        assert_memory_equal(got, pattern, 700000);
        server_says(&world, OK_0);
        assert_int_equal(teller.n_done, 1);
        assert_int_equal(quota.used[QUOTA_BYTES], cases[i].used);
        world_done(&world);
    }
}

static void
test_cd04_a_file_is_read_at_our_own_offset_and_announced_with_its_length(void **state)
{
    static const struct {
        uint64_t offset;
        bool has_length;
        uint64_t length;
        size_t expected;
    } cases[] = {
        {0, false, 0, 700000}, {0, true, 1000, 1000}, {1000, true, 600000, 600000},
        {699999, false, 0, 1}, {700000, false, 0, 0}, {900000, false, 0, 0},
        {0, true, 0, 0},
    };
    static char got[sizeof(pattern)];
    int before = count_fds();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        CLEANUP_BUF struct buf heard = BUF_INIT(0);
        int fd = file_of(700000);
        int kept = dup(fd);
        struct failure why;
        char length[64];

        world_init(&world);
        teller_init(&teller, &world);
        options_of(&options, "PUT", "http://a.com/");
        options.body_offset = cases[i].offset;
        options.body_has_length = cases[i].has_length;
        options.body_length = cases[i].length;
        assert_int_equal(request_options_set_fd_body(&options, fd, &why), 0);
        teller_send(&teller, &options);
        hear_body(&world, &heard);
        assert_int_equal(body_of(heard.storage, heard.len, got, sizeof(got)),
                         cases[i].expected);
        assert_memory_equal(got, pattern + (cases[i].expected ? cases[i].offset : 0),
                            cases[i].expected);
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n", cases[i].expected);
        assert_non_null(memmem(heard.storage, heard.len, length, strlen(length)));
        server_says(&world, OK_0);
        assert_story(&teller, "head(200,0)  done");
        assert_int_equal(lseek(kept, 0, SEEK_CUR), 0); /* its owner's place is where it was */
        close(kept);
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

static void test_cd04_a_file_that_became_shorter_fails(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    struct failure why;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    options_of(&options, "PUT", "http://a.com/");
    options.body_has_length = true;
    options.body_length = 2000;
    assert_int_equal(request_options_set_fd_body(&options, file_of(1000), &why), 0);
    teller_send(&teller, &options);
    world_settle_files(&world);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_BODY_READ);
    (void)server_hears(&world, world_server(&world));
    assert_true(world_server(&world)->is_over);
    world_done(&world);
}

static void test_lb03_a_file_is_sent_again_a_pipe_is_not(void **state)
{
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;
        int ends[2];

        (void)state;
        world_init(&world);
        teller_init(&teller, &world);
        if (is_pipe) {
            assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
            assert_int_equal(write(ends[1], "body", 4), 4);
            close(ends[1]);
        }
        fd_options(&options, is_pipe ? ends[0] : file_of(4));
        teller_send(&teller, &options);
        world_settle_files(&world);
        world_pass_ms(&world, 1000);
        world_settle_files(&world);
        assert_server_got(&world, is_pipe ? "body" : pattern, 4);
        server_says(&world, "HTTP/1.1 307 Go\r\nLocation: http://b.com/\r\n"
                            "Content-Length: 0\r\n\r\n");
        world_settle_files(&world);
        if (is_pipe) {
            assert_story(&teller, " failed:rewind");
        } else {
            assert_server_got(&world, pattern, 4);
            server_says(&world, OK_0);
            assert_story(&teller, "redirect(307,http://b.com/,PUT) head(200,0)  done");
        }
        world_done(&world);
    }
}

static void test_a_pipe_is_read_as_it_is_written_and_sent_chunked(void **state)
{
    static char got[sizeof(pattern)];
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    CLEANUP_BUF struct buf heard = BUF_INIT(0);
    int before = count_fds();
    int ends[2];
    size_t written = 0;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    fd_options(&options, ends[0]);
    teller_send(&teller, &options);
    world_pass_ms(&world, 1000); /* Expect */
    while (written < 300000) {
        ssize_t n = write(ends[1], pattern + written, 7001);

        written += n > 0 ? (size_t)n : 0;
        world_pass_ms(&world, 59000); /* a slow writer is no idle server */
        (void)server_hears(&world, world_server(&world));
        assert_int_equal(buf_append(&heard, buf_span(&world_server(&world)->seen)), 0);
    }
    assert_int_equal(teller.n_done, 0);
    close(ends[1]);
    hear_body(&world, &heard);
    assert_int_equal(body_of(heard.storage, heard.len, got, sizeof(got)), written);
    assert_memory_equal(got, pattern, written);
    assert_int_equal(teller.last_up.done_bytes, written);
    server_says(&world, OK_0);
    assert_story(&teller, "head(200,0)  done");
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

/* What its writer has shut down is the end of the body; nobody waits for it in between. */
static void test_a_socket_is_read_as_a_pipe_is(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    CLEANUP_BUF struct buf heard = BUF_INIT(0);
    char got[16];
    int before = count_fds();
    int ends[2];

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    fd_options(&options, ends[0]);
    teller_send(&teller, &options);
    world_pass_ms(&world, 1000); /* Expect */
    assert_int_equal(write(ends[1], "bo", 2), 2);
    world_pass_ms(&world, 59000);
    assert_int_equal(teller.n_done, 0);
    assert_int_equal(write(ends[1], "dy", 2), 2);
    assert_int_equal(shutdown(ends[1], SHUT_WR), 0);
    hear_body(&world, &heard);
    assert_int_equal(body_of(heard.storage, heard.len, got, sizeof(got)), 4);
    assert_memory_equal(got, "body", 4);
    server_says(&world, OK_0);
    assert_story(&teller, "head(200,0)  done");
    assert_int_equal(teller.last_up.done_bytes, 4);
    close(ends[1]);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_a_pipe_not_read_yet_goes_to_where_the_redirect_leads(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    int ends[2];

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    fd_options(&options, ends[0]);
    teller_send(&teller, &options); /* and it asks whether to go on before it reads */
    server_says(&world, "HTTP/1.1 307 Go\r\nLocation: http://b.com/\r\n"
                        "Content-Length: 0\r\n\r\n");
    assert_int_equal(world.n_servers, 2);
    assert_int_equal(write(ends[1], "body", 4), 4);
    close(ends[1]);
    world_pass_ms(&world, 1000);
    assert_server_got(&world, "body", 4);
    server_says(&world, OK_0);
    assert_story(&teller, "redirect(307,http://b.com/,PUT) head(200,0)  done");
    world_done(&world);
}

/* A writer that never writes must hold no thread, and keep nobody from leaving. */
static void test_ip14_pipes_that_nobody_writes_hold_up_nothing(void **state)
{
    enum { PIPES = 8 }; /* more than there are threads */
    struct fetch_world world;
    struct teller waiting[PIPES];
    struct teller teller;
    struct request_options options;
    int before = count_fds();
    int writers[PIPES];

    (void)state;
    world_init(&world);
    for (int i = 0; i < PIPES; i++) {
        char url[32];
        int ends[2];

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        writers[i] = ends[1];
        teller_init(&waiting[i], &world);
        fd_options(&options, ends[0]);
        (void)snprintf(url, sizeof(url), "http://h%d.com/", i);
        struct failure why;
        url_done(&options.url);
        assert_int_equal(request_options_set_url(&options, span_of(url), false, &why), 0);
        teller_send(&waiting[i], &options);
        world_pass_ms(&world, 1000);
    }
    teller_init(&teller, &world);
    fd_options(&options, file_of(4));
    teller_send(&teller, &options);
    world_settle_files(&world);
    assert_server_got(&world, pattern, 4);
    server_says(&world, OK_0);
    assert_int_equal(teller.n_done, 1);
    for (int i = 0; i < PIPES; i++) {
        request_close(waiting[i].request);
        close(writers[i]);
    }
    world_done(&world); /* joins the threads */
    assert_int_equal(count_fds(), before);
}

/* Somebody else reads the same pipe: what was announced by the kernel may be gone. */
static void test_a_pipe_that_another_empties_does_not_halt_the_loop(void **state)
{
    struct fetch_world world;
    struct teller teller;
    struct request_options options;
    int ends[2];
    char byte;

    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    int thief = dup(ends[0]);
    fd_options(&options, ends[0]);
    teller_send(&teller, &options);
    world_pass_ms(&world, 1000);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(write(ends[1], "x", 1), 1);
        assert_int_equal(read(thief, &byte, 1), 1);
        world_turn(&world);
    }
    close(ends[1]);
    close(thief);
    world_turn(&world);
    server_says(&world, OK_0);
    assert_story(&teller, "head(200,0)  done");
    assert_int_equal(teller.totals.upload_bytes, 0);
    world_done(&world);
}

static void test_lb04_a_request_that_reads_a_file_may_be_closed_at_any_time(void **state)
{
    int before = count_fds();

    (void)state;
    for (int rounds = 0; rounds < 12; rounds++) {
        struct fetch_world world;
        struct teller teller;
        struct request_options options;

        world_init(&world);
        teller_init(&teller, &world);
        fd_options(&options, file_of(sizeof(pattern)));
        assert_int_equal(teller_try(&teller, &options), 0);
        request_options_done(&options);
        for (int i = 0; i < rounds; i++)
            world_turn(&world);
        request_close(TAKE(teller.request));
        world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

/* ---- what the peer took -------------------------------------------------------------------
 */

enum { SLOW_BYTES = 200000, SLOW_STEP = 10000 };

static void begin_slow_upload(struct fetch_world *world, struct teller *teller)
{
    struct request_options options;
    struct failure why;

    world_init(world);
    teller_init(teller, world);
    teller->tell_waits = true;
    options_of(&options, "PUT", "http://a.com/");
    options.idle_timeout_us = 2000000;
    assert_int_equal(
        request_options_set_inline_body(&options, (struct span){pattern, SLOW_BYTES}, &why), 0);
    teller_send(teller, &options);
}

static size_t server_takes(struct fetch_world *world, size_t len)
{
    static char room[SLOW_STEP];
    ssize_t n = io_read(world_server(world)->io, room, len);

    assert_true(n > 0);
    return (size_t)n;
}

static void test_progress_counts_what_the_peer_took_and_not_what_was_queued(void **state)
{
    struct fetch_world world;
    struct teller teller;
    size_t read = 0;

    (void)state;
    begin_slow_upload(&world, &teller);
    world_pass_ms(&world, 60);
    assert_int_equal(teller.n_progress, 0); /* all is queued, nothing taken */
    while (read < SLOW_BYTES) {
        read += server_takes(&world, SLOW_STEP);
        world_pass_ms(&world, 60);
        assert_true(teller.last_up.done_bytes <= read);
        assert_true(teller.last_up.has_total);
        assert_int_equal(teller.last_up.total_bytes, SLOW_BYTES);
        if (read > SLOW_STEP)
            assert_true(teller.last_up.done_bytes > 0);
    }
    (void)server_hears(&world, world_server(&world));
    world_pass_ms(&world, 60);
    assert_int_equal(teller.last_up.done_bytes, SLOW_BYTES);
    server_says(&world, OK_0);
    assert_int_equal(teller.totals.upload_bytes, SLOW_BYTES);
    assert_true(teller.totals.has_upload_total);
    world_done(&world);
}

static void test_a_slow_server_that_moves_is_not_idle(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    begin_slow_upload(&world, &teller);
    for (size_t read = 0; read < SLOW_BYTES; read += server_takes(&world, SLOW_STEP))
        world_pass_ms(&world, 1900);
    (void)server_hears(&world, world_server(&world));
    server_says(&world, OK_0);
    assert_int_equal(teller.n_done, 1);
    assert_false(teller.has_failed);
    world_done(&world);
}

static void test_a_server_that_takes_nothing_is_told_once_as_backpressure(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    begin_slow_upload(&world, &teller);
    world_pass_ms(&world, 900);
    assert_null(strstr(teller.story, "backpressure"));
    world_pass_ms(&world, 500);
    const char *told = strstr(teller.story, "backpressure");
    assert_non_null(told);
    assert_null(strstr(told + 1, "backpressure"));
    world_pass_ms(&world, 700);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_IDLE);
    assert_int_equal(teller.failure.phase, PHASE_SEND);
    world_done(&world);
}

static void test_an_answer_that_stops_the_upload_leaves_its_progress_where_it_was(void **state)
{
    struct fetch_world world;
    struct teller teller;

    (void)state;
    begin_slow_upload(&world, &teller);
    (void)server_takes(&world, SLOW_STEP);
    server_says(&world, "HTTP/1.1 413 Too much\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(teller.n_done, 1);
    assert_false(teller.has_failed);
    assert_true(teller.totals.upload_bytes <= SLOW_STEP);
    assert_int_equal(teller.totals.upload_total, SLOW_BYTES);
    assert_int_equal(teller.last_up.done_bytes, teller.totals.upload_bytes);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_inline_body_of_any_size_goes_with_its_length),
        cmocka_unit_test(
            test_lb03_an_inline_body_is_sent_again_for_307_401_and_a_dead_connection),
        cmocka_unit_test(test_a_303_makes_a_get_without_body),
        cmocka_unit_test(test_a_streamed_body_goes_up_and_its_window_comes_back),
        cmocka_unit_test(test_ip20_streamed_bytes_that_wait_are_their_users_to_pay),
        cmocka_unit_test(test_ip20_a_file_is_read_by_as_much_memory_as_its_user_has_room_for),
        cmocka_unit_test(test_open_body_and_end_may_come_in_one_round),
        cmocka_unit_test(test_open_body_and_abort_may_come_in_one_round),
        cmocka_unit_test(test_lb02_more_or_fewer_bytes_than_announced_are_refused),
        cmocka_unit_test(test_the_window_bounds_what_is_held),
        cmocka_unit_test(test_a_stream_that_was_begun_cannot_be_sent_again),
        cmocka_unit_test(test_a_stream_not_begun_goes_to_where_the_redirect_leads),
        cmocka_unit_test(test_h115_an_answer_before_the_end_of_the_upload_is_delivered),
        cmocka_unit_test(
            test_an_answer_that_begins_before_the_end_of_the_upload_waits_for_both),
        cmocka_unit_test(
            test_lb07_uploads_time_out_when_the_server_stops_not_when_the_owner_does),
        cmocka_unit_test(test_lb04_a_streaming_request_may_end_inside_every_event),
        cmocka_unit_test(
            test_cd04_a_file_is_read_at_our_own_offset_and_announced_with_its_length),
        cmocka_unit_test(test_progress_counts_what_the_peer_took_and_not_what_was_queued),
        cmocka_unit_test(test_a_slow_server_that_moves_is_not_idle),
        cmocka_unit_test(test_a_server_that_takes_nothing_is_told_once_as_backpressure),
        cmocka_unit_test(test_an_answer_that_stops_the_upload_leaves_its_progress_where_it_was),
        cmocka_unit_test(test_cd04_a_file_that_became_shorter_fails),
        cmocka_unit_test(test_lb03_a_file_is_sent_again_a_pipe_is_not),
        cmocka_unit_test(test_a_pipe_is_read_as_it_is_written_and_sent_chunked),
        cmocka_unit_test(test_a_socket_is_read_as_a_pipe_is),
        cmocka_unit_test(test_a_pipe_not_read_yet_goes_to_where_the_redirect_leads),
        cmocka_unit_test(test_ip14_pipes_that_nobody_writes_hold_up_nothing),
        cmocka_unit_test(test_a_pipe_that_another_empties_does_not_halt_the_loop),
        cmocka_unit_test(test_lb04_a_request_that_reads_a_file_may_be_closed_at_any_time),
    };
    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}
