/* SPDX-License-Identifier: MIT */
/*
 * Messages that their user has no room for, of every kind: what each is about fails with quota,
 * and the connection goes on.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "service/service_priv.h"
#include "support/service_world.h"
#include "support/test.h"
#include "wire/frame.h"

#define OK_5        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"
#define QUOTA_MAX   100000
#define HELD_BYTES  92000 /* of a frame that its client does not end */
#define PADDING     20000
#define UID         1000
#define ANOTHER_UID 1001

struct stage {
    struct service_world world;
    struct fake_client holder; /* holds nearly all its user may */
    struct fake_client client; /* of the same user */
    struct fake_client other;  /* of another */
};

static const struct quota *quota_of(struct stage *stage, uint32_t uid)
{
    struct user *user;

    assert_int_equal(
        user_get(&stage->world.service->users, uid, &stage->world.options.limits, &user), 0);
    user_unref(user); /* its clients hold it */
    return &user->quota;
}

static void hold(struct stage *stage)
{
    static const char zeros[HELD_BYTES] = {0};
    uint64_t before = quota_of(stage, UID)->used[QUOTA_BYTES]; /* a request's */

    client_ready(&stage->holder, &stage->world, UID);
    client_send_bytes(&stage->holder, "\xc0\x9a\x0c", 3); /* 200,000 to come */
    client_send_bytes(&stage->holder, zeros, sizeof(zeros) - 3);
    for (int i = 0; i < 200; i++)
        client_hears(&stage->holder);
    assert_int_equal(quota_of(stage, UID)->used[QUOTA_BYTES], before + HELD_BYTES);
}

static void stage_init(struct stage *stage)
{
    service_world_init(&stage->world);
    stage->world.options.limits.max[QUOTA_BYTES] = QUOTA_MAX;
    stage->world.net.hold_connects = true;
    service_world_restart(&stage->world);
    client_ready(&stage->client, &stage->world, UID);
    client_ready(&stage->other, &stage->world, ANOTHER_UID);
    client_get(&stage->client, 1);
    client_clear(&stage->client);
}

/* What fits goes on; when all have gone nothing is charged. */
static void stage_done(struct stage *stage)
{
    assert_false(stage->client.is_over);
    assert_true(quota_of(stage, UID)->used[QUOTA_BYTES] <= QUOTA_MAX);
    assert_int_equal(quota_of(stage, ANOTHER_UID)->used[QUOTA_BYTES], 0);
    client_clear(&stage->client);
    client_get(&stage->client, 1000);
    client_get(&stage->other, 1000);
    client_hears(&stage->client);
    client_hears(&stage->other);
    assert_string_equal(stage->client.story, "state(1000,1) ");
    assert_string_equal(stage->other.story, "state(1000,1) ");
    client_done(&stage->holder);
    client_done(&stage->other);
    client_ready(&stage->holder, &stage->world, UID); /* somebody who holds nothing */
    client_done(&stage->client);
    client_hears(&stage->holder);
    assert_int_equal(quota_of(stage, UID)->used[QUOTA_BYTES], 0);
    assert_int_equal(quota_of(stage, UID)->used[QUOTA_FDS], 0);
    client_done(&stage->holder);
    service_world_done(&stage->world);
}

/* The bytes of @message, and an unknown field that makes it long. */
static void frame_padded(struct buf *to, const Xhrd__V1__ClientMessage *message)
{
    static const char padding[PADDING] = {0};
    const char field[] = {(char)0xfa, 0x3e, (char)(PADDING & 0x7f) | (char)0x80,
                          (char)(PADDING >> 7 & 0x7f) | (char)0x80, (char)(PADDING >> 14)};
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    struct wire_frame bare;
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];

    frame_message(&frame, message);
    assert_int_equal(wire_frame_next((const uint8_t *)frame.storage, frame.len, &bare),
                     WIRE_READY);
    size_t n = wire_frame_prefix(prefix, bare.len + sizeof(field) + PADDING);
    assert_int_equal(buf_append(to, (struct span){(const char *)prefix, n}), 0);
    assert_int_equal(buf_append(to, (struct span){field, sizeof(field)}), 0);
    assert_int_equal(buf_append(to, (struct span){padding, PADDING}), 0);
    assert_int_equal(buf_append(to, (struct span){(const char *)bare.bytes, bare.len}), 0);
}

static void settle(struct fake_client *client)
{
    for (int i = 0; i < 60; i++)
        client_hears(client);
}

static void tell_padded(struct fake_client *client, const Xhrd__V1__ClientMessage *message)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);

    frame_padded(&frame, message);
    client_send_bytes(client, frame.storage, frame.len);
    settle(client);
}

/* A message of @kind about @id, with nothing else in it. */
static void message_init(Xhrd__V1__ClientMessage *message, uint32_t kind, uint32_t id)
{
    static Xhrd__V1__OpenRequest open;
    static Xhrd__V1__BodyEnd body_end;
    static Xhrd__V1__Credit credit;
    static Xhrd__V1__AbortRequest abort_request;
    static Xhrd__V1__CookieCommand cookie;
    static Xhrd__V1__AdminCommand admin;
    static Xhrd__V1__NetworkCommand network;
    static Xhrd__V1__BodyToFd body_to_fd;
    static Xhrd__V1__CookieUnwatch unwatch;
    static Xhrd__V1__Answer answer;
    static Xhrd__V1__ConnectionAnswer connection_answer;
    static Xhrd__V1__ClientHello hello;

    xhrd__v1__client_message__init(message);
    xhrd__v1__open_request__init(&open);
    xhrd__v1__body_end__init(&body_end);
    xhrd__v1__credit__init(&credit);
    xhrd__v1__abort_request__init(&abort_request);
    xhrd__v1__cookie_command__init(&cookie);
    xhrd__v1__admin_command__init(&admin);
    xhrd__v1__network_command__init(&network);
    xhrd__v1__body_to_fd__init(&body_to_fd);
    xhrd__v1__cookie_unwatch__init(&unwatch);
    xhrd__v1__answer__init(&answer);
    xhrd__v1__connection_answer__init(&connection_answer);
    xhrd__v1__client_hello__init(&hello);
    message->kind_case = (Xhrd__V1__ClientMessage__KindCase)kind;
    switch ((int)kind) {
// NOLINTBEGIN(bugprone-macro-parentheses): names of members
#define CASE(number, member, field)                                                            \
    case XHRD__V1__CLIENT_MESSAGE__KIND_##number:                                              \
        message->member = &member;                                                             \
        (field) = id;                                                                          \
        return
        // NOLINTEND(bugprone-macro-parentheses)
        CASE(OPEN, open, open.request_id);
        CASE(BODY_END, body_end, body_end.request_id);
        CASE(CREDIT, credit, credit.request_id);
        CASE(COOKIE, cookie, cookie.command_id);
        CASE(ADMIN, admin, admin.command_id);
        CASE(NETWORK, network, network.command_id);
        CASE(BODY_TO_FD, body_to_fd, body_to_fd.request_id);
        CASE(UNWATCH, unwatch, unwatch.command_id);
        CASE(ANSWER, answer, answer.request_id);
        CASE(CONNECTION_ANSWER, connection_answer, connection_answer.question_id);
        CASE(HELLO, hello, hello.protocol);
    case XHRD__V1__CLIENT_MESSAGE__KIND_ABORT:
        message->abort = &abort_request;
        abort_request.request_id = id;
        return;
    default: fail_msg("kind %u", kind);
    }
}

static void test_ip20_a_message_of_any_kind_without_room_fails_what_it_is_about(void **state)
{
    static const struct {
        uint32_t kind;
        uint32_t id;
        const char *story;
    } rows[] = {
        {XHRD__V1__CLIENT_MESSAGE__KIND_OPEN, 7, "failed(7,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE, 7, "cookies(7,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN, 7, "admin(7,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK, 7, "network(7,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END, 1, "failed(1,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_CREDIT, 1, "failed(1,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_ANSWER, 1, "failed(1,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_BODY_TO_FD, 1, "failed(1,quota) "},
        {XHRD__V1__CLIENT_MESSAGE__KIND_ABORT, 1, "failed(1,aborted) "}, /* it is all there */
        {XHRD__V1__CLIENT_MESSAGE__KIND_UNWATCH, 1, ""},
        {XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END, 77, ""}, /* no such request any more */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Xhrd__V1__ClientMessage message;
        struct stage stage;

        stage_init(&stage);
        hold(&stage);
        message_init(&message, rows[i].kind, rows[i].id);
        tell_padded(&stage.client, &message);
        if (strcmp(stage.client.story, rows[i].story) != 0)
            fail_msg("kind %u: \"%s\"", rows[i].kind, stage.client.story);
        stage_done(&stage);
    }
}

/* What breaks the protocol does, room or none. */
static void test_a_message_without_room_that_is_wrong_is_refused_as_any(void **state)
{
    static const struct {
        uint32_t kind;
        uint32_t id;
        const char *text;
    } rows[] = {
        {XHRD__V1__CLIENT_MESSAGE__KIND_OPEN, 0, "request_id: wants a number above 0"},
        {XHRD__V1__CLIENT_MESSAGE__KIND_OPEN, 1, "request_id: is in use"},
        {XHRD__V1__CLIENT_MESSAGE__KIND_COOKIE, 0, "command_id: wants a number above 0"},
        {XHRD__V1__CLIENT_MESSAGE__KIND_CONNECTION_ANSWER, 5, "nothing was asked"},
        {XHRD__V1__CLIENT_MESSAGE__KIND_HELLO, 1, "a second hello"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Xhrd__V1__ClientMessage message;
        struct stage stage;

        stage_init(&stage);
        hold(&stage);
        message_init(&message, rows[i].kind, rows[i].id);
        tell_padded(&stage.client, &message);
        assert_string_equal(stage.client.story, "error(protocol) ");
        assert_non_null(strstr(stage.client.last_text, rows[i].text));
        assert_true(stage.client.is_over);
        client_done(&stage.client);
        client_ready(&stage.client, &stage.world, UID);
        stage_done(&stage);
    }
}

static void test_a_hello_is_short_room_or_none(void **state)
{
    Xhrd__V1__ClientMessage message;
    struct fake_client stranger;
    struct stage stage;

    (void)state;
    stage_init(&stage);
    message_init(&message, XHRD__V1__CLIENT_MESSAGE__KIND_HELLO, 1);
    for (int full = 0; full < 2; full++) {
        if (full)
            hold(&stage);
        client_connect(&stranger, &stage.world, UID);
        tell_padded(&stranger, &message);
        assert_string_equal(stranger.story, "error(limit) ");
        assert_non_null(strstr(stranger.last_text, "4,096 bytes at most"));
        client_done(&stranger);
    }
    client_connect(&stranger, &stage.world, UID); /* and one that is gets in */
    client_hello(&stranger);
    client_hears(&stranger);
    assert_string_equal(stranger.story, "hello ");
    client_done(&stranger);
    stage_done(&stage);
}

static void open_upload(struct fake_client *client, uint32_t id)
{
    Xhrd__V1__OpenRequest open;
    Xhrd__V1__RequestBody body = XHRD__V1__REQUEST_BODY__INIT;
    Xhrd__V1__StreamBody stream = XHRD__V1__STREAM_BODY__INIT;

    open_message_init(&open, id);
    open.method = pb_bytes("POST");
    body.source_case = XHRD__V1__REQUEST_BODY__SOURCE_STREAM;
    body.stream = &stream;
    open.body = &body;
    client_open(client, &open);
}

static void frame_chunk(struct buf *to, uint32_t id, size_t len)
{
    uint8_t head[WIRE_BODY_HEAD_MAX];
    size_t n = wire_body_head(head, WIRE_DAEMON, id, len);

    assert_int_equal(buf_append(to, (struct span){(const char *)head, n}), 0);
    assert_int_equal(buf_reserve(to, len), 0);
    memset(buf_tail(to), 'u', len);
    buf_commit(to, len);
}

static void
test_ip20_an_upload_whose_chunk_has_no_room_fails_once_and_the_rest_is_ignored(void **state)
{
    CLEANUP_BUF struct buf chunks = BUF_INIT(0);
    Xhrd__V1__ClientMessage message;
    struct stage stage;

    (void)state;
    stage_init(&stage);
    open_upload(&stage.client, 2);
    client_hears(&stage.client);
    hold(&stage);
    client_clear(&stage.client);
    for (int i = 0; i < 3; i++)
        frame_chunk(&chunks, 2, 20000);
    client_send_bytes(&stage.client, chunks.storage, chunks.len);
    settle(&stage.client);
    settle(&stage.client);
    assert_string_equal(stage.client.story, "failed(2,quota) ");
    message_init(&message, XHRD__V1__CLIENT_MESSAGE__KIND_BODY_END, 2);
    client_tell(&stage.client, &message);
    client_hears(&stage.client);
    assert_string_equal(stage.client.story, "failed(2,quota) ");
    stage_done(&stage);
}

static void test_ip20_descriptors_of_a_request_without_room_are_closed(void **state)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    Xhrd__V1__ClientMessage message;
    struct stage stage;
    int fd = memfd_create("answer", MFD_CLOEXEC);

    (void)state;
    stage_init(&stage);
    hold(&stage);
    int before = count_fds();
    message_init(&message, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN, 9);
    frame_padded(&frame, &message);
    client_send_with_fds(&stage.client, frame.storage, frame.len, &fd, 1);
    settle(&stage.client);
    assert_string_equal(stage.client.story, "failed(9,quota) ");
    assert_int_equal(count_fds(), before);
    close(fd);
    stage_done(&stage);
}

/* They are taken from the connection before it is refused, or nobody would. */
static void
test_a_descriptor_that_comes_while_the_daemon_is_drained_ends_no_connection(void **state)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    Xhrd__V1__ResponseFd response_fd = XHRD__V1__RESPONSE_FD__INIT;
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__OpenRequest open;
    struct stage stage;
    int fd = memfd_create("answer", MFD_CLOEXEC);

    (void)state;
    stage_init(&stage);
    hold(&stage);
    int before = count_fds();
    stage.world.service->draining = true;
    open_message_init(&open, 9);
    open.response_fd = &response_fd;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
    message.open = &open;
    frame_message(&frame, &message);
    client_send_with_fds(&stage.client, frame.storage, frame.len, &fd, 1);
    client_hears(&stage.client);
    assert_string_equal(stage.client.story, "failed(9,shutdown) ");
    assert_int_equal(count_fds(), before);
    stage.world.service->draining = false;
    close(fd);
    stage_done(&stage);
}

/* Each client of a crowd has a frame under way, which together are too much, and then wants one
 * more: some fail, none is sent away, and the user never holds more than he may. */
static void test_ip20_a_crowd_of_one_user_fills_his_quota_and_stays(void **state)
{
    static struct fake_client crowd[12];
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    Xhrd__V1__ClientMessage message;
    struct stage stage;
    int n_failed = 0;

    (void)state;
    stage_init(&stage);
    hold(&stage);
    client_done(&stage.holder);
    message_init(&message, XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN, 3);
    message.admin->topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS;
    frame_padded(&frame, &message);
    for (int i = 0; i < 12; i++) {
        client_ready(&crowd[i], &stage.world, UID);
        client_send_bytes(&crowd[i], frame.storage, frame.len - 1);
    }
    for (int i = 0; i < 12; i++) {
        settle(&crowd[i]);
        assert_true(quota_of(&stage, UID)->used[QUOTA_BYTES] <= QUOTA_MAX);
    }
    for (int i = 0; i < 12; i++) {
        client_send_bytes(&crowd[i], frame.storage + frame.len - 1, 1);
        settle(&crowd[i]);
        n_failed += strcmp(crowd[i].story, "admin(3,quota) ") == 0;
        assert_non_null(strstr(crowd[i].story, "admin(3"));
        client_get(&crowd[i], 4);
        client_hears(&crowd[i]);
        assert_non_null(strstr(crowd[i].story, "state(4,1) "));
        assert_false(crowd[i].is_over);
    }
    assert_in_range(n_failed, 6, 11);
    for (int i = 0; i < 12; i++)
        client_done(&crowd[i]);
    client_connect(&stage.holder, &stage.world, ANOTHER_UID);
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip20_a_message_of_any_kind_without_room_fails_what_it_is_about),
        cmocka_unit_test(test_a_message_without_room_that_is_wrong_is_refused_as_any),
        cmocka_unit_test(test_a_hello_is_short_room_or_none),
        cmocka_unit_test(
            test_ip20_an_upload_whose_chunk_has_no_room_fails_once_and_the_rest_is_ignored),
        cmocka_unit_test(test_ip20_descriptors_of_a_request_without_room_are_closed),
        cmocka_unit_test(
            test_a_descriptor_that_comes_while_the_daemon_is_drained_ends_no_connection),
        cmocka_unit_test(test_ip20_a_crowd_of_one_user_fills_his_quota_and_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
