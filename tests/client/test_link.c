/* SPDX-License-Identifier: MIT */
/* The connection: bytes one by one, interrupted calls, a daemon that dies or talks nonsense. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "support/peer.h"

#define HEADERS XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED
#define LOADING XHRD__V1__READY_STATE__READY_STATE_LOADING

/* The linker sends the library's calls through these (--wrap). */
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recv(int fd, void *buf, size_t len, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags);

static bool is_stingy; /* every other call is interrupted, the others move one byte */
static unsigned calls;

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    struct msghdr one = *msg;
    struct iovec iov = {msg->msg_iov[0].iov_base, 1};

    if (!is_stingy)
        return __real_sendmsg(fd, msg, flags);
    if (++calls % 2) {
        errno = EINTR;
        return -1;
    }
    one.msg_iov = &iov;
    one.msg_iovlen = 1;
    return __real_sendmsg(fd, &one, flags);
}

ssize_t __wrap_recv(int fd, void *buf, size_t len, int flags)
{
    if (!is_stingy)
        return __real_recv(fd, buf, len, flags);
    if (++calls % 2) {
        errno = EINTR;
        return -1;
    }
    return __real_recv(fd, buf, 1, flags);
}

static void test_ip10_an_answer_that_comes_byte_by_byte_is_the_same(void **state)
{
    struct peer peer;
    struct record record = {0};

    (void)state;
    peer_init(&peer, true);
    peer.bytewise = true;
    struct xhr_request *request =
        new_request(peer.client, &record, &record_streaming_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(&peer);
    peer_hello(&peer, 65536);
    peer_answer(&peer, id, 200, "one byte at a time");
    peer_turn(&peer);
    assert_string_equal(record.text, "1 2 headers 3 down(18) 4 load");
    assert_memory_equal(record.body, "one byte at a time", 18);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_lb09_interrupted_calls_and_single_bytes_change_nothing(void **state)
{
    struct peer peer;
    struct record record = {0};
    char body[3000];
    struct xhr_body given = {
        .size = sizeof(given), .kind = XHR_BODY_BYTES, .bytes = body, .length = sizeof(body)};
    const Xhrd__V1__ClientMessage *message;
    uint32_t id;

    (void)state;
    memset(body, 'b', sizeof(body));
    peer_init(&peer, false);
    is_stingy = true;
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, &given), 0);
    message = peer_expect(&peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN);
    assert_int_equal(message->open->body->inline_bytes.len, sizeof(body));
    assert_memory_equal(message->open->body->inline_bytes.data, body, sizeof(body));
    id = message->open->request_id;
    peer_answer(&peer, id, 200, "answer");
    for (unsigned i = 0; i < 2000 && xhr_client_in_flight(peer.client) > 0; i++)
        peer_turn(&peer);
    is_stingy = false;
    assert_string_equal(record.text, "1 2 headers 3 down(6) 4 load");
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_hello_and_first_request_go_in_one_write(void **state)
{
    struct peer peer;
    struct record record = {0};
    uint8_t bytes[4096];

    (void)state;
    peer_init(&peer, true);
    assert_int_equal(__real_recv(peer.fd, bytes, sizeof(bytes), MSG_DONTWAIT), -1);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    ssize_t n = __real_recv(peer.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    assert_true(n > 0);
    struct wire_frame hello;
    struct wire_frame open;
    assert_int_equal(wire_frame_next(bytes, (size_t)n, &hello), WIRE_READY);
    assert_int_equal(
        wire_frame_next(bytes + hello.frame_len, (size_t)n - hello.frame_len, &open),
        WIRE_READY);
    assert_int_equal(hello.frame_len + open.frame_len, n);
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_many_requests_in_one_turn_share_a_write(void **state)
{
    struct peer peer;
    struct record records[32];
    struct xhr_request *requests[32];

    (void)state;
    memset(records, 0, sizeof(records));
    peer_init(&peer, false);
    calls = 0;
    for (unsigned i = 0; i < 32; i++) {
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        assert_int_equal(xhr_request_send(requests[i], NULL), 0);
    }
    assert_true(xhr_client_wants_write(peer.client));
    peer_turn(&peer);
    assert_false(xhr_client_wants_write(peer.client));
    for (unsigned i = 0; i < 32; i++)
        peer_answer(&peer, peer_expect_open(&peer), 200, "x");
    peer_turn(&peer);
    for (unsigned i = 0; i < 32; i++) {
        assert_string_equal(records[i].text, "1 2 headers 3 down(1) 4 load");
        xhr_request_free(requests[i]);
    }
    peer_done(&peer);
}

static void test_a_daemon_that_dies_is_told_once_to_each_request_in_flight(void **state)
{
    struct peer peer;
    struct record records[2];
    struct xhr_request *requests[2];

    (void)state;
    memset(records, 0, sizeof(records));
    peer_init(&peer, false);
    for (unsigned i = 0; i < 2; i++) {
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        assert_int_equal(xhr_request_send(requests[i], NULL), 0);
    }
    uint32_t id = peer_expect_open(&peer);
    (void)peer_expect_open(&peer);
    peer_head(&peer, id, 200);
    peer_ready_state(&peer, id, HEADERS);
    peer_ready_state(&peer, id, LOADING);
    peer_body(&peer, id, "half", 4);
    peer_close(&peer);
    peer_turn(&peer);
    assert_string_equal(records[0].text, "1 2 headers 3 4 error(daemon-lost)");
    assert_string_equal(records[1].text, "1 4 error(daemon-lost)");
    assert_int_equal(xhr_client_fd(peer.client), -1);
    for (unsigned i = 0; i < 2; i++)
        xhr_request_free(requests[i]);
    peer_done(&peer);
}

/* ---- nonsense ---- */

static void send_frame(struct peer *peer, const char *bytes, size_t len)
{
    peer_send_bytes(peer, bytes, len);
}

static void unknown_enum(struct peer *peer, uint32_t id)
{
    peer_ready_state(peer, id, (Xhrd__V1__ReadyState)77);
}

static void unset_oneof(struct peer *peer, uint32_t id)
{
    (void)id;
    send_frame(peer, "\x00", 1);
}

static void unknown_message(struct peer *peer, uint32_t id)
{
    (void)id;
    send_frame(peer, "\x03\xfa\x07\x00", 4);
}

static void too_large(struct peer *peer, uint32_t id)
{
    (void)id;
    send_frame(peer, "\x81\x80\x40", 3);
}

static void endless_length(struct peer *peer, uint32_t id)
{
    (void)id;
    send_frame(peer, "\x80\x80\x80\x80\x80\x80", 6);
}

static void not_protobuf(struct peer *peer, uint32_t id)
{
    (void)id;
    send_frame(peer, "\x02\x12\x7f", 3);
}

static void hello_again(struct peer *peer, uint32_t id)
{
    (void)id;
    peer_hello(peer, 65536);
}

static void body_without_head(struct peer *peer, uint32_t id)
{
    peer_body(peer, id, "body", 4);
}

static void two_heads(struct peer *peer, uint32_t id)
{
    peer_head(peer, id, 200);
    peer_head(peer, id, 200);
}

static void state_without_head(struct peer *peer, uint32_t id)
{
    peer_ready_state(peer, id, HEADERS);
}

static void state_back(struct peer *peer, uint32_t id)
{
    peer_head(peer, id, 200);
    peer_ready_state(peer, id, HEADERS);
    peer_waiting(peer, id, XHRD__V1__WAIT_REASON__WAIT_REASON_DNS);
}

static void redirect_behind_head(struct peer *peer, uint32_t id)
{
    peer_head(peer, id, 302);
    peer_redirect(peer, id, 302, "http://b.test/");
}

static void end_without_head(struct peer *peer, uint32_t id)
{
    peer_finish(peer, id, 0);
}

static void short_body(struct peer *peer, uint32_t id)
{
    peer_head(peer, id, 200);
    peer_body(peer, id, "body", 4);
    peer_finish(peer, id, 5);
}

static void failure_without_kind(struct peer *peer, uint32_t id)
{
    peer_fail(peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_UNSPECIFIED);
}

static void number_never_given(struct peer *peer, uint32_t id)
{
    (void)id;
    peer_finish(peer, 0xfffff001u, 0);
}

static void number_zero(struct peer *peer, uint32_t id)
{
    (void)id;
    peer_finish(peer, 0, 0);
}

static void cookie_answer_to_a_request(struct peer *peer, uint32_t id)
{
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__CookieReply reply = XHRD__V1__COOKIE_REPLY__INIT;

    reply.command_id = id;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_COOKIE;
    message.cookie = &reply;
    peer_send(peer, &message);
}

static const struct nonsense {
    const char *name;
    void (*say)(struct peer *peer, uint32_t id);
} nonsense[] = {
    {"unknown enum", unknown_enum},
    {"unset oneof", unset_oneof},
    {"unknown message", unknown_message},
    {"too large", too_large},
    {"endless length", endless_length},
    {"not protobuf", not_protobuf},
    {"hello again", hello_again},
    {"body without head", body_without_head},
    {"two heads", two_heads},
    {"state without head", state_without_head},
    {"state back", state_back},
    {"redirect behind head", redirect_behind_head},
    {"end without head", end_without_head},
    {"short body", short_body},
    {"failure without kind", failure_without_kind},
    {"number never given", number_never_given},
    {"number zero", number_zero},
    {"cookie answer to a request", cookie_answer_to_a_request},
};

static void test_a_daemon_that_talks_nonsense_is_hung_up_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
        for (int bytewise = 0; bytewise < 2; bytewise++) {
            struct peer peer;
            struct record record = {0};

            peer_init(&peer, false);
            peer.bytewise = bytewise;
            struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
            assert_int_equal(xhr_request_send(request, NULL), 0);
            nonsense[i].say(&peer, peer_expect_open(&peer));
            peer_turn(&peer);
            if (record.error.kind != XHR_ERROR_DAEMON_PROTOCOL ||
                xhr_client_fd(peer.client) != -1 || xhr_client_in_flight(peer.client) != 0)
                fail_msg("%s: %s", nonsense[i].name, record.text);
            xhr_request_free(request);
            peer_done(&peer);
        }
    }
}

static void test_something_before_hello_is_nonsense_too(void **state)
{
    struct peer peer;
    struct record record = {0};

    (void)state;
    peer_init(&peer, true);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    peer_body(&peer, peer_expect_open(&peer), "x", 1);
    peer_turn(&peer);
    assert_string_equal(record.text, "1 4 error(daemon-protocol)");
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_session_errors_say_why(void **state)
{
    static const struct {
        Xhrd__V1__SessionError__Kind kind;
        enum xhr_error_class expected;
    } rows[] = {
        {XHRD__V1__SESSION_ERROR__KIND__KIND_PROTOCOL, XHR_ERROR_DAEMON_PROTOCOL},
        {XHRD__V1__SESSION_ERROR__KIND__KIND_VERSION, XHR_ERROR_DAEMON_REFUSED},
        {XHRD__V1__SESSION_ERROR__KIND__KIND_LIMIT, XHR_ERROR_DAEMON_REFUSED},
        {XHRD__V1__SESSION_ERROR__KIND__KIND_DENIED, XHR_ERROR_DAEMON_REFUSED},
        {XHRD__V1__SESSION_ERROR__KIND__KIND_TIMEOUT, XHR_ERROR_DAEMON_LOST},
        {XHRD__V1__SESSION_ERROR__KIND__KIND_SHUTDOWN, XHR_ERROR_DAEMON_LOST},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct peer peer;
        struct record record = {0};

        peer_init(&peer, false);
        struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        (void)peer_expect_open(&peer);
        peer_error(&peer, rows[i].kind, "because");
        peer_turn(&peer);
        assert_int_equal(record.error.kind, rows[i].expected);
        assert_non_null(strstr(record.error.text, "because"));
        xhr_request_free(request);
        peer_done(&peer);
    }
}

static void test_what_is_said_of_a_request_that_is_over_here_is_let_pass(void **state)
{
    struct peer peer;
    struct record record = {0};
    struct record second = {0};

    (void)state;
    peer_init(&peer, false);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    uint32_t id = peer_expect_open(&peer);
    xhr_request_free(request);
    peer_answer(&peer, id, 200, "nobody listens");
    peer_fail(&peer, id, XHRD__V1__FAILURE_KIND__FAILURE_KIND_ABORTED);
    peer_credit(&peer, id, 100);
    request = new_request(peer.client, &second, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    peer_answer(&peer, peer_expect_open(&peer), 200, "");
    peer_turn(&peer);
    assert_string_equal(record.text, "1");
    assert_string_equal(second.text, "1 2 headers 4 load");
    xhr_request_free(request);
    peer_done(&peer);
}

static void test_a_large_message_is_held_whole_and_let_go_again(void **state)
{
    enum { HEADERS_COUNT = 900, VALUE_BYTES = 1000 };
    struct peer peer;
    struct record record = {0};
    static char value[VALUE_BYTES + 1];
    static Xhrd__V1__Header headers[HEADERS_COUNT];
    static Xhrd__V1__Header *list[HEADERS_COUNT];
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;
    Xhrd__V1__ResponseHead head = XHRD__V1__RESPONSE_HEAD__INIT;
    const char *name;
    const char *text;
    int size = 1 << 20;

    (void)state;
    memset(value, 'v', VALUE_BYTES);
    peer_init(&peer, false);
    assert_int_equal(setsockopt(peer.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    struct xhr_request *request = new_request(peer.client, &record, &record_callbacks);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    head.request_id = peer_expect_open(&peer);
    for (size_t i = 0; i < HEADERS_COUNT; i++) {
        xhrd__v1__header__init(&headers[i]);
        headers[i].name = (ProtobufCBinaryData){1, (uint8_t *)(uintptr_t) "x"};
        headers[i].value = (ProtobufCBinaryData){VALUE_BYTES, (uint8_t *)value};
        list[i] = &headers[i];
    }
    head.status = 200;
    head.headers = list;
    head.n_headers = HEADERS_COUNT;
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_HEAD;
    message.head = &head;
    peer_send(&peer, &message);
    peer_finish(&peer, head.request_id, 0);
    peer_turn(&peer);
    assert_string_equal(record.text, "1 2 headers 4 load");
    assert_true(xhr_request_response_header_at(request, HEADERS_COUNT - 1, &name, &text));
    assert_string_equal(text, value);
    xhr_request_free(request);
    peer_done(&peer);
}

/* ---- a daemon that is stuck ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
static time_t ahead_s;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    int r = __real_clock_gettime(clock, ret);

    ret->tv_sec += ahead_s;
    return r;
}

static void test_a_total_timeout_holds_even_if_the_daemon_is_stuck(void **state)
{
    const struct xhr_request_options options[] = {
        {.size = sizeof(*options), .timeout_for_resource_ms = 5000},
        {.size = sizeof(*options)},
        {.size = sizeof(*options), .timeout_for_resource_ms = 50000},
    };
    struct peer peer;
    struct record records[3];
    struct xhr_request *requests[3];

    (void)state;
    memset(records, 0, sizeof(records));
    peer_init(&peer, false);
    for (unsigned i = 0; i < 3; i++) {
        requests[i] = new_request(peer.client, &records[i], &record_callbacks);
        assert_int_equal(xhr_request_set_options(requests[i], &options[i]), 0);
        assert_int_equal(xhr_request_send(requests[i], NULL), 0);
    }
    peer_turn(&peer);
    assert_in_range(xhr_client_timeout_ms(peer.client), 5000, 7000);
    ahead_s = 6; /* the daemon is given a moment more */
    peer_turn(&peer);
    assert_string_equal(records[0].text, "1");
    ahead_s = 8;
    peer_turn(&peer);
    assert_string_equal(records[0].text, "1 4 error(timeout-total)");
    assert_string_equal(records[1].text, "1");
    assert_string_equal(records[2].text, "1");
    assert_in_range(xhr_client_timeout_ms(peer.client), 43000, 45000);
    ahead_s = 0;
    for (unsigned i = 0; i < 3; i++)
        xhr_request_free(requests[i]);
    assert_int_equal(xhr_client_timeout_ms(peer.client), -1); /* nobody is waited for */
    peer_done(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ip10_an_answer_that_comes_byte_by_byte_is_the_same),
        cmocka_unit_test(test_lb09_interrupted_calls_and_single_bytes_change_nothing),
        cmocka_unit_test(test_hello_and_first_request_go_in_one_write),
        cmocka_unit_test(test_many_requests_in_one_turn_share_a_write),
        cmocka_unit_test(test_a_daemon_that_dies_is_told_once_to_each_request_in_flight),
        cmocka_unit_test(test_a_daemon_that_talks_nonsense_is_hung_up_on),
        cmocka_unit_test(test_something_before_hello_is_nonsense_too),
        cmocka_unit_test(test_session_errors_say_why),
        cmocka_unit_test(test_what_is_said_of_a_request_that_is_over_here_is_let_pass),
        cmocka_unit_test(test_a_large_message_is_held_whole_and_let_go_again),
        cmocka_unit_test(test_a_total_timeout_holds_even_if_the_daemon_is_stuck),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
