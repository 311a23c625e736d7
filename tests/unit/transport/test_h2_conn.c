/* SPDX-License-Identifier: MIT */
/*
 * HTTP/2 connections over a stream in memory. The test is the server and writes its frames by
 * hand, so it can say what no well-behaved library would. What each owner is told is written
 * down as a story.
 */
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/headers.h"
#include "loop/loop.h"
#include "loop/turns.h"
#include "net/io_pair.h"
#include "support/test.h"
#include "transport/conn.h"
#include "transport/exchange.h"
#include "transport/h2_priv.h"

#define N_USERS 128

enum act { ACT_NONE, ACT_PAUSE, ACT_PAUSE_RESUME, ACT_CLOSE, ACT_CLOSE_CONN };

struct world;

struct user { /* owner of one exchange */
    struct world *world;
    struct exchange *exchange; /* NULL: none is open */
    struct buf story;
    size_t body_bytes;
    int n_done;
    int n_events;
    enum act act;
    int act_at;
    struct span upload;
    bool upload_open_ended;
    uint64_t body_sent;
    struct failure failure;
    struct exchange_info info;
    enum exchange_replay replay;
};

struct seen_frame {
    uint8_t type;
    uint8_t flags;
    int32_t id;
    size_t len;
    uint32_t code; /* first four bytes of the payload */
};

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct transport *transport;
    struct io *client;
    struct io *server;
    struct conn *conn;
    struct user users[N_USERS];
    struct buf inbox; /* read by the server, not a whole frame yet */
    bool preface_seen;
    struct seen_frame frames[4096];
    size_t n_frames;
    struct buf data; /* payload of DATA frames */
    nghttp2_hd_inflater *inflater;
    struct buf fields; /* of HEADERS, "name: value\n" */
    int n_broken;
    int n_changed;
};

/* ---- owners ------------------------------------------------------------------------------ */

static void say(struct user *user, const char *text)
{
    assert_int_equal(buf_append_str(&user->story, text), 0);
}

static void act_now(struct user *user)
{
    if (user->n_events++ != user->act_at)
        return;
    switch (user->act) {
    case ACT_NONE: return;
    case ACT_PAUSE: exchange_pause(user->exchange); return;
    case ACT_PAUSE_RESUME:
        exchange_pause(user->exchange);
        exchange_resume(user->exchange);
        return;
    case ACT_CLOSE: exchange_close(TAKE(user->exchange)); return;
    case ACT_CLOSE_CONN:
        for (int i = 0; i < N_USERS; i++)
            user->world->users[i].exchange = NULL;
        conn_close(TAKE(user->world->conn));
        return;
    }
}

static void on_informational(void *owner, unsigned status)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u ", status);
    say(owner, text);
    act_now(owner);
}

static void on_want_body(void *owner)
{
    struct user *user = owner;
    size_t taken = exchange_write_body(user->exchange, user->upload);

    user->upload = span_drop(user->upload, taken);
    if (user->upload.len == 0 && !user->upload_open_ended)
        exchange_end_body(user->exchange);
    act_now(user);
}

static void on_body_sent(void *owner, uint64_t total)
{
    struct user *user = owner;

    assert_true(total > user->body_sent);
    user->body_sent = total;
    act_now(user);
}

static void on_head(void *owner, const struct response_head *head)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "head(%u,%d,%d,%zu) ", head->status, (int)head->has_body,
                   head->has_length ? (int)head->body_bytes : -1, headers_count(head->headers));
    say(owner, text);
    assert_int_equal(head->http_version, 20);
    act_now(owner);
}

static void on_body(void *owner, struct span bytes)
{
    struct user *user = owner;

    assert_true(bytes.len > 0);
    user->body_bytes += bytes.len;
    if (bytes.len < 64)
        assert_int_equal(buf_append(&user->story, bytes), 0);
    act_now(user);
}

static void on_trailers(void *owner, const struct headers *fields)
{
    char text[32];

    (void)snprintf(text, sizeof(text), " trailers(%zu)", headers_count(fields));
    say(owner, text);
    act_now(owner);
}

static void on_done(void *owner, const struct failure *why)
{
    struct user *user = owner;

    user->n_done++;
    exchange_info(user->exchange, &user->info);
    user->replay = exchange_replay(user->exchange);
    user->failure = why ? *why : (struct failure){0};
    say(user, why ? " failed:" : " done");
    if (why)
        say(user, failure_kind_name(why->kind));
    user->exchange = NULL;
    if (user->act == ACT_CLOSE_CONN && user->n_events == user->act_at)
        conn_close(TAKE(user->world->conn));
    user->n_events++;
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
    ((struct world *)owner)->n_broken++;
}

static void on_changed(void *owner)
{
    ((struct world *)owner)->n_changed++;
}

static const struct conn_events conn_events = {.on_broken = on_broken,
                                               .on_changed = on_changed};

/* ---- the server -------------------------------------------------------------------------- */

static void turn(struct world *world, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(loop_turn(world->loop, false), 0);
}

static void server_write(struct world *world, struct span bytes)
{
    while (bytes.len > 0) {
        struct iovec iov = io_piece(bytes);
        ssize_t n = io_writev(world->server, &iov, 1);

        if (n < 0 && n != -EAGAIN)
            return; /* the client has hung up */
        bytes = span_drop(bytes, n > 0 ? (size_t)n : 0);
        turn(world, 3);
    }
}

static size_t frame_head(char *ret, uint8_t type, uint8_t flags, int32_t id, size_t len)
{
    const unsigned char head[9] = {
        (unsigned char)(len >> 16),
        (unsigned char)(len >> 8),
        (unsigned char)len,
        type,
        flags,
        (unsigned char)((uint32_t)id >> 24),
        (unsigned char)(id >> 16),
        (unsigned char)(id >> 8),
        (unsigned char)id,
    };

    memcpy(ret, head, sizeof(head));
    return sizeof(head);
}

static void
server_frame(struct world *world, uint8_t type, uint8_t flags, int32_t id, struct span payload)
{
    CLEANUP_BUF struct buf wire = BUF_INIT(0);
    char head[9];

    assert_int_equal(
        buf_append(&wire, (struct span){head, frame_head(head, type, flags, id, payload.len)}),
        0);
    assert_int_equal(buf_append(&wire, payload), 0);
    server_write(world, buf_span(&wire));
}

static void server_code(struct world *world, uint8_t type, int32_t id, uint32_t code)
{
    const char bytes[4] = {(char)(code >> 24), (char)(code >> 16), (char)(code >> 8),
                           (char)code};

    server_frame(world, type, 0, id, (struct span){bytes, sizeof(bytes)});
}

static void server_goaway(struct world *world, int32_t last, uint32_t code)
{
    const char bytes[8] = {(char)((uint32_t)last >> 24),
                           (char)(last >> 16),
                           (char)(last >> 8),
                           (char)last,
                           0,
                           0,
                           (char)(code >> 8),
                           (char)code};

    server_frame(world, NGHTTP2_GOAWAY, 0, 0, (struct span){bytes, sizeof(bytes)});
}

static void server_setting(struct world *world, uint16_t name, uint32_t value)
{
    const char bytes[6] = {(char)(name >> 8),   (char)name,         (char)(value >> 24),
                           (char)(value >> 16), (char)(value >> 8), (char)value};

    server_frame(world, NGHTTP2_SETTINGS, 0, 0, (struct span){bytes, sizeof(bytes)});
}

/* A literal field that enters no table: names and values below 127 bytes. */
static void add_field(struct buf *block, const char *name, const char *value)
{
    assert_int_equal(buf_append_char(block, 0), 0);
    assert_int_equal(buf_append_char(block, (char)strlen(name)), 0);
    assert_int_equal(buf_append_str(block, name), 0);
    assert_int_equal(buf_append_char(block, (char)strlen(value)), 0);
    assert_int_equal(buf_append_str(block, value), 0);
}

#define END     NGHTTP2_FLAG_END_STREAM
#define HEADERS NGHTTP2_FLAG_END_HEADERS

/* @fields: name, value, …, NULL; the status may be NULL (trailers). */
static void server_head(struct world *world,
                        int32_t id,
                        uint8_t flags,
                        const char *status,
                        const char *const *fields)
{
    CLEANUP_BUF struct buf block = BUF_INIT(0);

    if (status)
        add_field(&block, ":status", status);
    for (; fields && fields[0]; fields += 2)
        add_field(&block, fields[0], fields[1]);
    server_frame(world, NGHTTP2_HEADERS, flags | HEADERS, id, buf_span(&block));
}

static void server_data(struct world *world, int32_t id, uint8_t flags, const char *text)
{
    server_frame(world, NGHTTP2_DATA, flags, id, span_of(text));
}

static void note_fields(struct world *world, struct span block)
{
    while (block.len > 0) {
        nghttp2_nv field;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(world->inflater, &field, &flags,
                                           (const uint8_t *)block.ptr, block.len, 1);

        assert_true(n >= 0);
        block = span_drop(block, (size_t)n);
        if (flags & NGHTTP2_HD_INFLATE_EMIT)
            assert_int_equal(buf_append_format(&world->fields, "%s: %s\n",
                                               (const char *)field.name,
                                               (const char *)field.value),
                             0);
        if (flags & NGHTTP2_HD_INFLATE_FINAL)
            break;
    }
    assert_int_equal(nghttp2_hd_inflate_end_headers(world->inflater), 0);
}

static void note_frame(struct world *world, const unsigned char *head, struct span payload)
{
    struct seen_frame frame = {
        .type = head[3],
        .flags = head[4],
        .id = (int32_t)((head[5] & 0x7fU) << 24 | (unsigned)head[6] << 16 |
                        (unsigned)head[7] << 8 | head[8]),
        .len = payload.len,
    };

    for (size_t i = 0; i < 4 && i < payload.len; i++)
        frame.code = frame.code << 8 | (unsigned char)payload.ptr[i];
    assert_true(world->n_frames < sizeof(world->frames) / sizeof(world->frames[0]));
    world->frames[world->n_frames++] = frame;
    if (frame.type == NGHTTP2_DATA)
        assert_int_equal(buf_append(&world->data, payload), 0);
    if (frame.type == NGHTTP2_HEADERS)
        note_fields(world, payload);
}

/* Everything the client wrote so far, as frames. */
static void server_read(struct world *world)
{
    static const char preface[] = NGHTTP2_CLIENT_MAGIC;
    ssize_t n;

    turn(world, 2);
    do {
        assert_int_equal(buf_reserve(&world->inbox, 65536), 0);
        n = io_read(world->server, buf_tail(&world->inbox), 65536);
        if (n > 0)
            buf_commit(&world->inbox, (size_t)n);
        turn(world, n > 0 ? 3 : 0);
    } while (n > 0);
    if (!world->preface_seen && world->inbox.len > 0) {
        assert_memory_equal(buf_span(&world->inbox).ptr, preface, NGHTTP2_CLIENT_MAGIC_LEN);
        buf_consume(&world->inbox, NGHTTP2_CLIENT_MAGIC_LEN);
        world->preface_seen = true;
    }
    while (world->inbox.len >= 9) {
        const unsigned char *head = (const unsigned char *)buf_span(&world->inbox).ptr;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

        if (world->inbox.len < 9 + len)
            break;
        note_frame(world, head, (struct span){(const char *)head + 9, len});
        buf_consume(&world->inbox, 9 + len);
    }
}

static size_t count_frames(struct world *world, uint8_t type, int32_t id)
{
    size_t n = 0;

    server_read(world);
    for (size_t i = 0; i < world->n_frames; i++)
        n += world->frames[i].type == type && (id < 0 || world->frames[i].id == id);
    return n;
}

static const struct seen_frame *last_frame(struct world *world, uint8_t type, int32_t id)
{
    const struct seen_frame *found = NULL;

    server_read(world);
    for (size_t i = 0; i < world->n_frames; i++) {
        if (world->frames[i].type == type && world->frames[i].id == id)
            found = &world->frames[i];
    }
    assert_non_null(found);
    return found;
}

/* ---- a world ----------------------------------------------------------------------------- */

static void world_init_quiet(struct world *world)
{
    memset(world, 0, sizeof(*world));
    for (int i = 0; i < N_USERS; i++)
        world->users[i] = (struct user){.world = world, .act_at = -1};
    fake_clock_init(&world->clock, 1700000000);
    world->clock.now_us = 5000000;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(transport_new(&world->transport, world->loop), 0);
    assert_int_equal(io_pair_new(world->loop, &world->client, &world->server), 0);
    assert_int_equal(nghttp2_hd_inflate_new(&world->inflater), 0);
    assert_int_equal(conn_new_h2(world->transport, world->client, &world->conn), 0);
    conn_set_events(world->conn, &conn_events, world);
}

static void world_init(struct world *world)
{
    world_init_quiet(world);
    server_frame(world, NGHTTP2_SETTINGS, 0, 0, (struct span){0});
    server_frame(world, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, (struct span){0});
    server_read(world);
    world->n_changed = 0;
}

static void world_done(struct world *world)
{
    if (world->conn)
        conn_close(world->conn);
    if (world->server)
        io_close(world->server);
    turn(world, 3);
    for (int i = 0; i < N_USERS; i++)
        buf_done(&world->users[i].story);
    buf_done(&world->inbox);
    buf_done(&world->data);
    buf_done(&world->fields);
    nghttp2_hd_inflate_del(world->inflater);
    transport_free(world->transport);
    loop_free(world->loop);
}

static void open_exchange(struct user *user, const struct exchange_request *request)
{
    assert_int_equal(
        conn_open_exchange(user->world->conn, request, &events, user, &user->exchange), 0);
}

static struct exchange_request request_of(const char *method)
{
    return (struct exchange_request){
        .method = span_of(method), .target = SPAN_LIT("/"), .authority = SPAN_LIT("h")};
}

/* The n-th owner, from 0, gets stream 2n + 1 on a new connection. */
static void get(struct world *world, int n)
{
    struct exchange_request request = request_of("GET");

    open_exchange(&world->users[n], &request);
    turn(world, 2);
}

#define ASSERT_STORY(user, text) assert_string_equal(buf_c_str(&(user)->story), text)

/* ---- what goes right --------------------------------------------------------------------- */

static void test_a_request_is_a_stream_and_its_answer_a_story(void **state)
{
    static const char *const fields[] = {"content-length", "5", "x-a", "1", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_read(&world);
    assert_string_equal(buf_c_str(&world.fields),
                        ":method: GET\n:scheme: http\n:authority: h\n:path: /\n");
    server_head(&world, 1, 0, "200", fields);
    server_data(&world, 1, 0, "he");
    server_data(&world, 1, END, "llo");
    ASSERT_STORY(&world.users[0], "head(200,1,5,2) hello done");
    assert_int_equal(world.users[0].info.http_version, 20);
    assert_false(world.users[0].info.reused);
    assert_int_equal(world.users[0].info.response_body_bytes, 5);
    assert_int_equal(count_frames(&world, NGHTTP2_RST_STREAM, 1), 0);
    assert_true(conn_is_usable(world.conn));
    assert_false(conn_is_busy(world.conn));
    world_done(&world);
}

static void test_many_exchanges_share_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 100; i++)
        get(&world, i);
    assert_int_equal(count_frames(&world, NGHTTP2_HEADERS, -1), 100);
    for (int i = 99; i >= 0; i--)
        server_head(&world, 2 * i + 1, END, i % 2 ? "204" : "200", NULL);
    for (int i = 0; i < 100; i++) {
        ASSERT_STORY(&world.users[i],
                     i % 2 ? "head(204,0,-1,0)  done" : "head(200,0,-1,0)  done");
        assert_int_equal(world.users[i].info.reused, i > 0);
    }
    world_done(&world);
}

static void test_fields_of_a_connection_are_left_out(void **state)
{
    struct exchange_request request = request_of("GET");
    struct headers headers;
    struct world world;

    (void)state;
    world_init(&world);
    headers_init(&headers, 1000, 10);
    assert_int_equal(headers_add(&headers, SPAN_LIT("X-Upper"), SPAN_LIT("a")), 0);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Connection"), SPAN_LIT("close")), 0);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Keep-Alive"), SPAN_LIT("1")), 0);
    request.headers = &headers;
    open_exchange(&world.users[0], &request);
    server_read(&world);
    assert_string_equal(buf_c_str(&world.fields), ":method: GET\n:scheme: http\n"
                                                  ":authority: h\n:path: /\nx-upper: a\n");
    headers_done(&headers);
    world_done(&world);
}

static void test_informational_answers_and_trailers(void **state)
{
    static const char *const trailers[] = {"x-sum", "1", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_head(&world, 1, 0, "103", NULL);
    server_head(&world, 1, 0, "200", NULL);
    server_data(&world, 1, 0, "x");
    server_head(&world, 1, END, NULL, trailers);
    ASSERT_STORY(&world.users[0], "103 head(200,1,-1,0) x trailers(1) done");
    world_done(&world);
}

static void test_an_answer_to_head_has_a_length_and_no_body(void **state)
{
    static const char *const fields[] = {"content-length", "500", NULL};
    struct exchange_request request = request_of("HEAD");
    struct world world;

    (void)state;
    world_init(&world);
    open_exchange(&world.users[0], &request);
    server_read(&world);
    server_head(&world, 1, END, "200", fields);
    ASSERT_STORY(&world.users[0], "head(200,0,500,1)  done");
    world_done(&world);
}

/* ---- uploads ----------------------------------------------------------------------------- */

static void begin_upload(struct world *world, enum exchange_body body, uint64_t bytes)
{
    struct exchange_request request = request_of("POST");

    request.body = body;
    request.body_bytes = bytes;
    open_exchange(&world->users[0], &request);
}

static void test_a_body_of_known_length_goes_out_with_its_length(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.users[0].upload = SPAN_LIT("hello");
    begin_upload(&world, EXCHANGE_BODY_KNOWN, 5);
    server_read(&world);
    assert_non_null(strstr(buf_c_str(&world.fields), "content-length: 5\n"));
    assert_string_equal(buf_c_str(&world.data), "hello");
    assert_true(last_frame(&world, NGHTTP2_DATA, 1)->flags & END);
    server_head(&world, 1, END, "200", NULL);
    ASSERT_STORY(&world.users[0], "head(200,0,-1,0)  done");
    assert_int_equal(world.users[0].body_sent, 5);
    world_done(&world);
}

static void test_an_upload_waits_for_the_servers_window(void **state)
{
    static char body[200000];
    struct world world;

    (void)state;
    memset(body, 'u', sizeof(body));
    world_init(&world);
    world.users[0].upload = (struct span){body, sizeof(body)};
    begin_upload(&world, EXCHANGE_BODY_CHUNKED, 0);
    server_read(&world);
    assert_int_equal(world.data.len, 65535); /* the default window */
    assert_int_equal(world.users[0].body_sent, 65535);
    server_code(&world, NGHTTP2_WINDOW_UPDATE, 0, 1000000);
    server_code(&world, NGHTTP2_WINDOW_UPDATE, 1, 1000000);
    server_read(&world);
    assert_int_equal(world.data.len, sizeof(body));
    assert_true(last_frame(&world, NGHTTP2_DATA, 1)->flags & END);
    assert_int_equal(world.users[0].body_sent, sizeof(body));
    server_head(&world, 1, END, "200", NULL);
    ASSERT_STORY(&world.users[0], "head(200,0,-1,0)  done");
    world_done(&world);
}

static void test_an_upload_survives_a_stream_that_takes_little(void **state)
{
    static char body[60000];
    struct world world;

    (void)state;
    memset(body, 'v', sizeof(body));
    world_init(&world);
    io_pair_set_write_max(world.client, 777);
    io_pair_set_capacity(world.client, 5000);
    world.users[0].upload = (struct span){body, sizeof(body)};
    begin_upload(&world, EXCHANGE_BODY_KNOWN, sizeof(body));
    for (int i = 0; i < 200; i++)
        server_read(&world);
    assert_int_equal(world.data.len, sizeof(body));
    assert_memory_equal(buf_span(&world.data).ptr, body, sizeof(body));
    world_done(&world);
}

static void test_a_body_is_asked_for_with_expect(void **state)
{
    struct exchange_request request = request_of("PUT");
    struct world world;

    (void)state;
    world_init(&world);
    world.users[0].upload = SPAN_LIT("hello");
    request.body = EXCHANGE_BODY_KNOWN;
    request.body_bytes = 5;
    request.expect_continue = true;
    open_exchange(&world.users[0], &request);
    server_read(&world);
    assert_non_null(strstr(buf_c_str(&world.fields), "expect: 100-continue\n"));
    assert_int_equal(world.data.len, 0);
    server_head(&world, 1, 0, "100", NULL);
    server_read(&world);
    assert_string_equal(buf_c_str(&world.data), "hello");
    world_done(&world);
}

static void test_a_refusing_answer_stops_the_upload(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.users[0].upload = SPAN_LIT("part");
    world.users[0].upload_open_ended = true;
    begin_upload(&world, EXCHANGE_BODY_CHUNKED, 0);
    server_read(&world);
    server_head(&world, 1, END, "413", NULL);
    ASSERT_STORY(&world.users[0], "head(413,0,-1,0)  done");
    assert_int_equal(last_frame(&world, NGHTTP2_RST_STREAM, 1)->code, NGHTTP2_CANCEL);
    assert_true(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_a_body_that_breaks_its_promise_fails(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.users[0].upload = SPAN_LIT("hell");
    begin_upload(&world, EXCHANGE_BODY_KNOWN, 5);
    turn(&world, 3);
    ASSERT_STORY(&world.users[0], " failed:body-read");
    assert_int_equal(world.users[0].replay, REPLAY_NO);
    assert_int_equal(count_frames(&world, NGHTTP2_HEADERS, -1), 0); /* not even begun */
    world_done(&world);
}

/* ---- backpressure ------------------------------------------------------------------------ */

static void send_body(struct world *world, int32_t id, size_t bytes)
{
    static char block[16384];
    struct span all = {block, sizeof(block)};

    for (; bytes > 0; bytes -= all.len) {
        all = span_take((struct span){block, sizeof(block)}, bytes);
        server_frame(world, NGHTTP2_DATA, 0, id, all);
    }
}

static void test_h213_a_reader_that_has_stopped_holds_up_nobody(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.users[0].act = ACT_PAUSE;
    world.users[0].act_at = 0; /* in its head */
    get(&world, 0);
    get(&world, 1);
    server_head(&world, 1, 0, "200", NULL);
    server_head(&world, 3, 0, "200", NULL);
    send_body(&world, 1, H2_STREAM_WINDOW_BYTES); /* all that its window allows */
    assert_int_equal(world.users[0].body_bytes, 0);
    for (int i = 0; i < 64; i++) /* a hundred times the connection's window of the default */
        send_body(&world, 3, H2_STREAM_WINDOW_BYTES / 2);
    assert_int_equal(world.users[1].body_bytes, 64 * (H2_STREAM_WINDOW_BYTES / 2));
    assert_int_equal(world.n_broken, 0);
    exchange_resume(world.users[0].exchange);
    turn(&world, 2);
    assert_int_equal(world.users[0].body_bytes, H2_STREAM_WINDOW_BYTES);
    server_data(&world, 1, END, "x");
    server_data(&world, 3, END, "y");
    ASSERT_STORY(&world.users[0], "head(200,1,-1,0) x done");
    ASSERT_STORY(&world.users[1], "head(200,1,-1,0) y done");
    world_done(&world);
}

static void test_a_window_opens_as_its_reader_takes(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_head(&world, 1, 0, "200", NULL);
    world.users[0].act = ACT_PAUSE;
    world.users[0].act_at = world.users[0].n_events;
    send_body(&world, 1, H2_STREAM_WINDOW_BYTES);
    assert_int_equal(count_frames(&world, NGHTTP2_WINDOW_UPDATE, 1), 0);
    exchange_resume(world.users[0].exchange);
    turn(&world, 2);
    assert_true(count_frames(&world, NGHTTP2_WINDOW_UPDATE, 1) > 0);
    world_done(&world);
}

static void test_all_of_an_answer_waits_for_a_paused_owner_in_order(void **state)
{
    static const char *const trailers[] = {"x-sum", "1", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    exchange_pause(world.users[0].exchange);
    server_head(&world, 1, 0, "200", NULL);
    server_data(&world, 1, 0, "ab");
    server_data(&world, 1, 0, "cd");
    server_head(&world, 1, END, NULL, trailers);
    ASSERT_STORY(&world.users[0], "");
    exchange_resume(world.users[0].exchange);
    turn(&world, 2);
    ASSERT_STORY(&world.users[0], "head(200,1,-1,0) abcd trailers(1) done");
    world_done(&world);
}

static void test_h208_a_server_that_overruns_a_window_is_dropped(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    exchange_pause(world.users[0].exchange);
    server_head(&world, 1, 0, "200", NULL);
    send_body(&world, 1, H2_STREAM_WINDOW_BYTES + 20000);
    assert_int_equal(world.users[0].n_done, 1);
    server_read(&world);
    assert_int_equal(last_frame(&world, NGHTTP2_RST_STREAM, 1)->code,
                     NGHTTP2_FLOW_CONTROL_ERROR);
    world_done(&world);
}

static void test_h208_a_window_that_overflows_breaks_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_code(&world, NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff);
    server_code(&world, NGHTTP2_WINDOW_UPDATE, 0, 0x7fffffff);
    ASSERT_STORY(&world.users[0], " failed:protocol");
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

/* ---- the server goes, or refuses --------------------------------------------------------- */

static void test_h207_goaway_splits_the_exchanges(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++)
        get(&world, i);
    server_goaway(&world, 3, NGHTTP2_NO_ERROR);
    assert_false(conn_is_usable(world.conn));
    assert_int_equal(world.n_changed, 1);
    ASSERT_STORY(&world.users[2], " failed:receive");
    assert_int_equal(world.users[2].replay, REPLAY_SAFE);
    assert_int_equal(world.users[0].n_done, 0);
    server_head(&world, 1, END, "200", NULL);
    assert_int_equal(world.n_broken, 0);
    server_head(&world, 3, END, "200", NULL);
    ASSERT_STORY(&world.users[0], "head(200,0,-1,0)  done");
    ASSERT_STORY(&world.users[1], "head(200,0,-1,0)  done");
    turn(&world, 2);
    assert_int_equal(world.n_broken, 1); /* nothing is left to wait for */
    world_done(&world);
}

static void test_h206_a_refused_stream_may_be_tried_again(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    get(&world, 1);
    server_code(&world, NGHTTP2_RST_STREAM, 1, NGHTTP2_REFUSED_STREAM);
    server_code(&world, NGHTTP2_RST_STREAM, 3, NGHTTP2_INTERNAL_ERROR);
    ASSERT_STORY(&world.users[0], " failed:receive");
    assert_int_equal(world.users[0].replay, REPLAY_SAFE);
    ASSERT_STORY(&world.users[1], " failed:receive");
    assert_int_equal(world.users[1].replay, REPLAY_NO);
    assert_true(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_a_reset_after_the_head_is_a_truncated_answer(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_head(&world, 1, 0, "200", NULL);
    server_code(&world, NGHTTP2_RST_STREAM, 1, NGHTTP2_INTERNAL_ERROR);
    ASSERT_STORY(&world.users[0], "head(200,1,-1,0)  failed:truncated");
    world_done(&world);
}

static void test_a_connection_that_ends_fails_all_and_is_told_once(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    get(&world, 1);
    server_head(&world, 1, 0, "200", NULL);
    world.server = io_close(world.server);
    turn(&world, 3);
    ASSERT_STORY(&world.users[0], "head(200,1,-1,0)  failed:receive");
    ASSERT_STORY(&world.users[1], " failed:receive");
    assert_int_equal(world.users[1].replay, REPLAY_IDEMPOTENT);
    assert_int_equal(world.n_broken, 1);
    assert_false(conn_is_usable(world.conn));
    world_done(&world);
}

static void test_an_idle_connection_sees_the_end_at_once(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.server = io_close(world.server);
    turn(&world, 2);
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

static void test_an_exchange_on_a_broken_connection_is_safe_to_repeat(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.server = io_close(world.server);
    turn(&world, 2);
    get(&world, 0);
    ASSERT_STORY(&world.users[0], " failed:send");
    assert_int_equal(world.users[0].replay, REPLAY_SAFE);
    world_done(&world);
}

static void test_h209_no_streams_at_all_means_waiting(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    server_setting(&world, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_int_equal(conn_capacity(world.conn), 0);
    assert_true(conn_is_usable(world.conn));
    get(&world, 0); /* opened all the same: it waits inside */
    assert_int_equal(count_frames(&world, NGHTTP2_HEADERS, -1), 0);
    server_setting(&world, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 10);
    assert_int_equal(conn_capacity(world.conn), 10);
    assert_int_equal(count_frames(&world, NGHTTP2_HEADERS, -1), 1);
    server_head(&world, 1, END, "200", NULL);
    ASSERT_STORY(&world.users[0], "head(200,0,-1,0)  done");
    world_done(&world);
}

static void test_h209_a_frame_size_of_nothing_breaks_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_setting(&world, NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 0);
    ASSERT_STORY(&world.users[0], " failed:protocol");
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

static void test_silence_is_asked_about_and_then_believed(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    world.clock.now_us += H2_PING_AFTER_US + 1;
    turn(&world, 2);
    assert_int_equal(count_frames(&world, NGHTTP2_PING, 0), 1);
    server_frame(&world, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, SPAN_LIT("\0\0\0\0\0\0\0\0"));
    world.clock.now_us += H2_PING_ANSWER_US + 1;
    turn(&world, 2);
    assert_int_equal(world.n_broken, 0);
    world.clock.now_us += H2_PING_AFTER_US + 1;
    turn(&world, 2);
    world.clock.now_us += H2_PING_ANSWER_US + 1;
    turn(&world, 2);
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

/* ---- the server lies --------------------------------------------------------------------- */

static void test_h201_a_flood_of_continuations_ends_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_frame(&world, NGHTTP2_HEADERS, 0, 1, SPAN_LIT("\x88"));
    for (int i = 0; i < 20; i++)
        server_frame(&world, NGHTTP2_CONTINUATION, 0, 1, SPAN_LIT("\0\1a\1b"));
    assert_int_equal(world.users[0].n_done, 1);
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

static void test_h202_references_that_expand_without_end_are_refused(void **state)
{
    CLEANUP_BUF struct buf block = BUF_INIT(0);
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    /* One field of 4,000 bytes into the table, then referred to again and again. */
    assert_int_equal(buf_append(&block, SPAN_LIT("\x88\x40\x01z\x7f\xa1\x1e")), 0);
    for (int i = 0; i < 4000; i++)
        assert_int_equal(buf_append_char(&block, 'a'), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf_append_char(&block, (char)0xbe), 0);
    server_frame(&world, NGHTTP2_HEADERS, HEADERS | END, 1, buf_span(&block));
    ASSERT_STORY(&world.users[0], " failed:limit");
    assert_true(conn_is_usable(world.conn));
    assert_int_equal(count_frames(&world, NGHTTP2_RST_STREAM, 1), 1);
    world_done(&world);
}

static void test_h203_a_push_is_against_the_rules(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_frame(&world, NGHTTP2_PUSH_PROMISE, HEADERS, 1, SPAN_LIT("\0\0\0\2\x82"));
    ASSERT_STORY(&world.users[0], " failed:protocol");
    assert_int_equal(last_frame(&world, NGHTTP2_GOAWAY, 0)->len >= 8, 1);
    world_done(&world);
}

static void test_h204_a_flood_of_pings_ends_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    for (int i = 0; i < 100000 && world.n_broken == 0; i++)
        server_frame(&world, NGHTTP2_PING, 0, 0, SPAN_LIT("12345678"));
    ASSERT_STORY(&world.users[0], " failed:protocol");
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

static void test_h205_a_flood_of_empty_frames_ends_the_connection(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_head(&world, 1, 0, "200", NULL);
    for (int i = 0; i < 100000 && world.n_broken == 0; i++)
        server_frame(&world, NGHTTP2_DATA, 0, 1, (struct span){0});
    ASSERT_STORY(&world.users[0], "head(200,1,-1,0)  failed:protocol");
    world_done(&world);
}

static void test_h205_informational_heads_count_in(void **state)
{
    static const char *const fields[] = {
        "x", "01234567890123456789012345678901234567890123456789", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    for (int i = 0; i < 100000 && world.users[0].n_done == 0; i++)
        server_head(&world, 1, 0, "103", fields);
    assert_int_equal(world.users[0].n_done, 1);
    assert_true(world.users[0].failure.kind == FAILURE_LIMIT ||
                world.users[0].failure.kind == FAILURE_PROTOCOL);
    world_done(&world);
}

static void test_h210_fields_after_the_end_and_status_in_trailers(void **state)
{
    static const char *const fields[] = {"x-a", "1", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    get(&world, 1);
    server_head(&world, 1, END, "200", NULL);
    server_head(&world, 3, 0, "200", NULL);
    server_head(&world, 3, END, "200", fields); /* a status in what must be trailers */
    ASSERT_STORY(&world.users[1], "head(200,1,-1,0)  failed:protocol");
    server_head(&world, 1, 0, NULL, fields); /* on a stream that has ended */
    turn(&world, 2);
    ASSERT_STORY(&world.users[0], "head(200,0,-1,0)  done");
    world_done(&world);
}

static void test_h211_fields_that_http2_forbids(void **state)
{
    static const char *const bad[][3] = {
        {"connection", "close", NULL},          {"X-Upper", "1", NULL},      {"", "1", NULL},
        {"transfer-encoding", "chunked", NULL}, {"x-nul", "a\x01z\n", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct world world;

        world_init(&world);
        get(&world, 0);
        server_head(&world, 1, END, "200", bad[i]);
        ASSERT_STORY(&world.users[0], " failed:protocol");
        assert_int_equal(last_frame(&world, NGHTTP2_RST_STREAM, 1)->code,
                         NGHTTP2_PROTOCOL_ERROR);
        world_done(&world);
    }
}

static void test_h212_less_data_than_announced_is_truncated(void **state)
{
    static const char *const fields[] = {"content-length", "5", NULL};
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    get(&world, 1);
    server_head(&world, 1, 0, "200", fields);
    server_data(&world, 1, END, "hell");
    ASSERT_STORY(&world.users[0], "head(200,1,5,1) hell failed:truncated");
    server_head(&world, 3, 0, "200", fields);
    server_data(&world, 3, END, "hello!");
    assert_int_equal(world.users[1].n_done, 1);
    assert_int_equal(world.users[1].failure.kind, FAILURE_TRUNCATED);
    world_done(&world);
}

/* What a server may well say, as bytes to change. */
static const unsigned char sayings[] = {
    0, 0, 6, 4, 0, 0, 0, 0, 0, 0,    3,   0,   0,   0,   10,       /* SETTINGS: ten streams */
    0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88,                               /* HEADERS: 200 */
    0, 0, 4, 0, 0, 0, 0, 0, 1, 'f',  'o', 'u', 'r',                /* DATA */
    0, 0, 4, 8, 0, 0, 0, 0, 1, 0,    0,   1,   0,                  /* WINDOW_UPDATE */
    0, 0, 8, 6, 0, 0, 0, 0, 0, 1,    2,   3,   4,   5,   6,  7, 8, /* PING */
    0, 0, 5, 1, 5, 0, 0, 0, 1, 0x40, 1,   'a', 1,   'b',           /* trailers */
    0, 0, 1, 1, 0, 0, 0, 0, 3, 0x88,                     /* HEADERS, to be continued */
    0, 0, 5, 9, 4, 0, 0, 0, 3, 0x40, 1,   'c', 1,   'd', /* CONTINUATION */
    0, 0, 4, 3, 0, 0, 0, 0, 3, 0,    0,   0,   7,        /* RST_STREAM */
    0, 0, 8, 7, 0, 0, 0, 0, 0, 0,    0,   0,   3,   0,   0,  0, 0, /* GOAWAY */
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245U + 12345U;
    return *seed >> 16;
}

/* The fuzz target of the same name goes on where this ends. */
static void
test_h216_whatever_a_server_says_nothing_aborts_and_each_request_ends_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        unsigned char bytes[sizeof(sayings)];
        unsigned seed = round;
        struct world world;

        memcpy(bytes, sayings, sizeof(bytes));
        for (unsigned i = 0; i <= round % 8; i++)
            bytes[next_random(&seed) % sizeof(bytes)] = (unsigned char)next_random(&seed);
        world_init(&world);
        get(&world, 0);
        get(&world, 1);
        server_write(&world, (struct span){(const char *)bytes, sizeof(bytes)});
        turn(&world, 4);
        for (int i = 0; i < 2; i++)
            assert_in_range(world.users[i].n_done, 0, 1);
        world_done(&world);
    }
}

static void test_a_server_that_does_not_speak_http2(void **state)
{
    struct world world;

    (void)state;
    world_init_quiet(&world);
    get(&world, 0);
    server_write(&world, SPAN_LIT("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
    turn(&world, 3);
    ASSERT_STORY(&world.users[0], " failed:protocol");
    assert_int_equal(world.n_broken, 1);
    world_done(&world);
}

/* ---- owners may do anything inside an event ---------------------------------------------- */

static void play(struct world *world)
{
    static const char *const trailers[] = {"x-sum", "1", NULL};

    server_head(world, 1, 0, "103", NULL);
    server_head(world, 1, 0, "200", NULL);
    server_data(world, 1, 0, "ab");
    server_data(world, 1, 0, "cd");
    server_head(world, 1, END, NULL, trailers);
    turn(world, 3);
}

static void test_h214_anything_may_happen_inside_any_event(void **state)
{
    static const enum act acts[] = {ACT_PAUSE, ACT_PAUSE_RESUME, ACT_CLOSE, ACT_CLOSE_CONN};

    (void)state;
    for (size_t a = 0; a < sizeof(acts) / sizeof(acts[0]); a++) {
        for (int at = 0; at < 10; at++) {
            struct world world;
            struct user *user = &world.users[0];

            world_init(&world);
            user->act = acts[a];
            user->act_at = at;
            user->upload = SPAN_LIT("body");
            begin_upload(&world, EXCHANGE_BODY_CHUNKED, 0);
            get(&world, 1);
            server_read(&world);
            play(&world);
            for (int i = 0; i < 10 && user->exchange; i++) {
                exchange_resume(user->exchange);
                turn(&world, 2);
            }
            bool cut_short = (acts[a] == ACT_CLOSE || acts[a] == ACT_CLOSE_CONN) && at < 7;
            assert_int_equal(user->n_done, cut_short ? 0 : 1);
            if (acts[a] != ACT_CLOSE_CONN)
                assert_non_null(world.users[1].exchange);
            world_done(&world);
        }
    }
}

static void test_a_closed_exchange_is_reset_and_its_data_ignored(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    get(&world, 0);
    server_head(&world, 1, 0, "200", NULL);
    exchange_close(TAKE(world.users[0].exchange));
    turn(&world, 2);
    assert_int_equal(last_frame(&world, NGHTTP2_RST_STREAM, 1)->code, NGHTTP2_CANCEL);
    send_body(&world, 1, 100000);
    get(&world, 1);
    server_head(&world, 3, END, "200", NULL);
    ASSERT_STORY(&world.users[1], "head(200,0,-1,0)  done");
    world_done(&world);
}

static void test_closing_says_goodbye(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    conn_close(TAKE(world.conn));
    assert_int_equal(count_frames(&world, NGHTTP2_GOAWAY, 0), 1);
    world_done(&world);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 400; n++) {
        struct world world;
        struct exchange_request request = request_of("POST");

        memset(&world, 0, sizeof(world));
        world_init(&world);
        world.users[0].upload = SPAN_LIT("body");
        request.body = EXCHANGE_BODY_CHUNKED;
        mem_fail_at(n);
        int r = conn_open_exchange(world.conn, &request, &events, &world.users[0],
                                   &world.users[0].exchange);
        if (r == 0)
            turn(&world, 3);
        else
            assert_int_equal(r, -ENOMEM);
        mem_fail_at(0);
        play(&world);
        assert_int_equal(world.users[0].n_done, r == 0 ? 1 : 0);
        world_done(&world);
    }
}

static void test_the_tables_of_states_never_go_back(void **state)
{
    (void)state;
    for (int from = 0; from < H2_SEND_COUNT; from++) {
        assert_non_null(h2_send_name((enum h2_send)from));
        for (int to = 0; to <= from; to++)
            assert_false(h2_send_may_follow((enum h2_send)from, (enum h2_send)to));
    }
    for (int from = 0; from < H2_RECEIVE_COUNT; from++) {
        assert_non_null(h2_receive_name((enum h2_receive)from));
        for (int to = 0; to <= from; to++)
            assert_false(h2_receive_may_follow((enum h2_receive)from, (enum h2_receive)to));
    }
}

static void test_who_shares_the_loop_is_sent_so_much_a_round(void **state)
{
    static char frames[80 * 1024]; /* of a kind nobody knows, 1015 bytes each */
    struct turns turns = {0};
    struct world world;

    (void)state;
    world_init(&world);
    for (size_t i = 0; i < sizeof(frames); i += 1024)
        memcpy(frames + i, "\x00\x03\xf7\xfa", 4);
    transport_share(world.transport, &turns);
    conn_set_user(world.conn, 1000);
    assert_int_equal(io_writev(world.server, &(struct iovec){frames, sizeof(frames)}, 1),
                     sizeof(frames));
    uint64_t before = transport_counters(world.transport)->bytes_down;
    for (unsigned rounds = 1; rounds <= sizeof(frames) / TURNS_DOWN_BYTES; rounds++) {
        turns_note(&turns, turns_user(1001), loop_now_us(world.loop)); /* is at work, too */
        turn(&world, 1);
        assert_int_equal(transport_counters(world.transport)->bytes_down - before,
                         rounds * TURNS_DOWN_BYTES);
    }
    assert_true(conn_is_usable(world.conn));
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_a_stream_and_its_answer_a_story),
        cmocka_unit_test(test_many_exchanges_share_the_connection),
        cmocka_unit_test(test_who_shares_the_loop_is_sent_so_much_a_round),
        cmocka_unit_test(test_fields_of_a_connection_are_left_out),
        cmocka_unit_test(test_informational_answers_and_trailers),
        cmocka_unit_test(test_an_answer_to_head_has_a_length_and_no_body),
        cmocka_unit_test(test_a_body_of_known_length_goes_out_with_its_length),
        cmocka_unit_test(test_an_upload_waits_for_the_servers_window),
        cmocka_unit_test(test_an_upload_survives_a_stream_that_takes_little),
        cmocka_unit_test(test_a_body_is_asked_for_with_expect),
        cmocka_unit_test(test_a_refusing_answer_stops_the_upload),
        cmocka_unit_test(test_a_body_that_breaks_its_promise_fails),
        cmocka_unit_test(test_h213_a_reader_that_has_stopped_holds_up_nobody),
        cmocka_unit_test(test_a_window_opens_as_its_reader_takes),
        cmocka_unit_test(test_all_of_an_answer_waits_for_a_paused_owner_in_order),
        cmocka_unit_test(test_h208_a_server_that_overruns_a_window_is_dropped),
        cmocka_unit_test(test_h208_a_window_that_overflows_breaks_the_connection),
        cmocka_unit_test(test_h207_goaway_splits_the_exchanges),
        cmocka_unit_test(test_h206_a_refused_stream_may_be_tried_again),
        cmocka_unit_test(test_a_reset_after_the_head_is_a_truncated_answer),
        cmocka_unit_test(test_a_connection_that_ends_fails_all_and_is_told_once),
        cmocka_unit_test(test_an_idle_connection_sees_the_end_at_once),
        cmocka_unit_test(test_an_exchange_on_a_broken_connection_is_safe_to_repeat),
        cmocka_unit_test(test_h209_no_streams_at_all_means_waiting),
        cmocka_unit_test(test_h209_a_frame_size_of_nothing_breaks_the_connection),
        cmocka_unit_test(test_silence_is_asked_about_and_then_believed),
        cmocka_unit_test(test_h201_a_flood_of_continuations_ends_the_connection),
        cmocka_unit_test(test_h202_references_that_expand_without_end_are_refused),
        cmocka_unit_test(test_h203_a_push_is_against_the_rules),
        cmocka_unit_test(test_h204_a_flood_of_pings_ends_the_connection),
        cmocka_unit_test(test_h205_a_flood_of_empty_frames_ends_the_connection),
        cmocka_unit_test(test_h205_informational_heads_count_in),
        cmocka_unit_test(test_h210_fields_after_the_end_and_status_in_trailers),
        cmocka_unit_test(test_h211_fields_that_http2_forbids),
        cmocka_unit_test(test_h212_less_data_than_announced_is_truncated),
        cmocka_unit_test(
            test_h216_whatever_a_server_says_nothing_aborts_and_each_request_ends_once),
        cmocka_unit_test(test_a_server_that_does_not_speak_http2),
        cmocka_unit_test(test_h214_anything_may_happen_inside_any_event),
        cmocka_unit_test(test_a_closed_exchange_is_reset_and_its_data_ignored),
        cmocka_unit_test(test_closing_says_goodbye),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_the_tables_of_states_never_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
