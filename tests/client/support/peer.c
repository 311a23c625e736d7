/* SPDX-License-Identifier: MIT */
#include "support/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES 65536

void peer_init(struct peer *peer, bool mute)
{
    int fds[2];

    *peer = (struct peer){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
                     0);
    peer->fd = fds[1];
    assert_int_equal(xhr_client_new_fd(fds[0], NULL, &peer->client), 0);
    if (!mute)
        peer_hello(peer, 65536);
}

static void free_last(struct peer *peer)
{
    if (peer->last)
        xhrd__v1__client_message__free_unpacked(peer->last, NULL);
    peer->last = NULL;
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

void peer_done(struct peer *peer)
{
    xhr_client_free(peer->client);
    peer_close(peer);
    free_last(peer);
    while (peer->n_fds > 0)
        close(peer->fds[--peer->n_fds]);
    free(peer->in);
}

static bool has_something_to_do(const struct xhr_client *client)
{
    struct pollfd watch = {.fd = xhr_client_fd(client), .events = POLLIN};

    return xhr_client_timeout_ms(client) == 0 || (watch.fd >= 0 && poll(&watch, 1, 0) > 0);
}

void peer_turn(struct peer *peer)
{
    unsigned turns = 0;

    do {
        assert_int_equal(xhr_client_dispatch(peer->client), 0);
        assert_true(++turns < 10000);
    } while (peer->client && has_something_to_do(peer->client));
}

static void take_control(struct peer *peer, struct msghdr *msg)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        assert_int_equal(cmsg->cmsg_type, SCM_RIGHTS);
        assert_true(peer->n_fds + count <= 8);
        memcpy(peer->fds + peer->n_fds, CMSG_DATA(cmsg), count * sizeof(int));
        peer->n_fds += (unsigned)count;
    }
}

/* Return: whether something came. */
static bool read_some(struct peer *peer)
{
    union {
        char bytes[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control;

    if (peer->in_capacity - peer->in_len < READ_BYTES) {
        peer->in_capacity = peer->in_capacity * 2 + READ_BYTES;
        peer->in = realloc(peer->in, peer->in_capacity);
        assert_non_null(peer->in);
    }
    struct iovec iov = {peer->in + peer->in_len, peer->in_capacity - peer->in_len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(peer->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n <= 0)
        return false;
    peer->in_len += (size_t)n;
    take_control(peer, &msg);
    return true;
}

const Xhrd__V1__ClientMessage *peer_next(struct peer *peer)
{
    struct wire_frame frame;

    free_last(peer);
    do {
        enum wire_outcome outcome = wire_frame_next(peer->in, peer->in_len, &frame);

        assert_true(outcome == WIRE_READY || outcome == WIRE_MORE);
        if (outcome == WIRE_READY) {
            peer->last = xhrd__v1__client_message__unpack(NULL, frame.len, frame.bytes);
            assert_non_null(peer->last);
            peer->in_len -= frame.frame_len;
            memmove(peer->in, peer->in + frame.frame_len, peer->in_len);
            return peer->last;
        }
    } while (read_some(peer));
    return NULL;
}

const Xhrd__V1__ClientMessage *peer_expect(struct peer *peer,
                                           Xhrd__V1__ClientMessage__KindCase kind)
{
    const Xhrd__V1__ClientMessage *message;
    size_t had;

    do {
        had = peer->in_len;
        peer_turn(peer);
        while ((message = peer_next(peer)))
            if (message->kind_case == kind)
                return message;
    } while (peer->in_len > had); /* a piece of one came: there was no room for more */
    fail_msg("no message of kind %d", (int)kind);
    return NULL;
}

uint32_t peer_expect_open(struct peer *peer)
{
    return peer_expect(peer, XHRD__V1__CLIENT_MESSAGE__KIND_OPEN)->open->request_id;
}

int peer_take_fd(struct peer *peer)
{
    assert_true(peer->n_fds > 0);
    int fd = peer->fds[0];
    memmove(peer->fds, peer->fds + 1, --peer->n_fds * sizeof(int));
    return fd;
}

void peer_send_bytes(struct peer *peer, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        ssize_t n = send(peer->fd, at, peer->bytewise ? 1 : len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == EPIPE)
            return; /* the library has hung up */
        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
        if (n < 0 || peer->bytewise)
            peer_turn(peer);
    }
}

void peer_send(struct peer *peer, const Xhrd__V1__ServerMessage *message)
{
    size_t len = xhrd__v1__server_message__get_packed_size(message);
    uint8_t *bytes = malloc(WIRE_FRAME_PREFIX_MAX + len);

    assert_non_null(bytes);
    size_t prefix = wire_frame_prefix(bytes, len);
    xhrd__v1__server_message__pack(message, bytes + prefix);
    peer_send_bytes(peer, bytes, prefix + len);
    free(bytes);
}

#define MESSAGE(type, TYPE, field, KIND)                                                       \
    Xhrd__V1__ServerMessage message = XHRD__V1__SERVER_MESSAGE__INIT;                          \
    Xhrd__V1__##type body = XHRD__V1__##TYPE##__INIT;                                          \
    message.kind_case = XHRD__V1__SERVER_MESSAGE__KIND_##KIND;                                 \
    message.field = &body

static ProtobufCBinaryData borrow(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

void peer_hello(struct peer *peer, uint32_t upload_credit)
{
    MESSAGE(ServerHello, SERVER_HELLO, hello, HELLO);

    body.protocol = 1;
    body.version = borrow("test");
    body.frame_bytes_max = WIRE_FRAME_BYTES_MAX;
    body.requests_max = 4096;
    body.upload_credit_bytes = upload_credit;
    peer_send(peer, &message);
}

void peer_ready_state(struct peer *peer, uint32_t id, Xhrd__V1__ReadyState state)
{
    MESSAGE(ReadyStateChange, READY_STATE_CHANGE, ready_state, READY_STATE);

    body.request_id = id;
    body.state = state;
    body.monotonic_us = 1;
    peer_send(peer, &message);
}

void peer_waiting(struct peer *peer, uint32_t id, Xhrd__V1__WaitReason reason)
{
    MESSAGE(ReadyStateChange, READY_STATE_CHANGE, ready_state, READY_STATE);

    body.request_id = id;
    body.state = XHRD__V1__READY_STATE__READY_STATE_OPENED;
    body.reason = reason;
    peer_send(peer, &message);
}

void peer_head(struct peer *peer, uint32_t id, unsigned status)
{
    static const char *const names[] = {"Content-Type", "X-Twice", "Set-Cookie", "x-twice",
                                        "Set-Cookie"};
    static const char *const values[] = {"text/plain", "one", "a=1, b", "two", "c=2"};
    Xhrd__V1__Header headers[5];
    Xhrd__V1__Header *list[5];
    Xhrd__V1__ConnectionInfo connection = XHRD__V1__CONNECTION_INFO__INIT;
    MESSAGE(ResponseHead, RESPONSE_HEAD, head, HEAD);

    for (size_t i = 0; i < 5; i++) {
        xhrd__v1__header__init(&headers[i]);
        headers[i].name = borrow(names[i]);
        headers[i].value = borrow(values[i]);
        list[i] = &headers[i];
    }
    connection.connection_id = 7;
    connection.reused = true;
    connection.remote_address = borrow("127.0.0.1");
    connection.remote_port = 80;
    body.request_id = id;
    body.status = status;
    body.reason = borrow(status == 404 ? "Not Found" : "OK");
    body.http_version = 11;
    body.n_headers = 5;
    body.headers = list;
    body.n_sent_headers = 1;
    body.sent_headers = list;
    body.url = borrow("http://a.test/final");
    body.connection = &connection;
    peer_send(peer, &message);
}

void peer_body(struct peer *peer, uint32_t id, const void *data, size_t len)
{
    uint8_t head[WIRE_BODY_HEAD_MAX];

    peer_send_bytes(peer, head, wire_body_head(head, WIRE_CLIENT, id, len));
    peer_send_bytes(peer, data, len);
}

void peer_progress(
    struct peer *peer, uint32_t id, bool upload, uint64_t done, uint64_t total, uint64_t us)
{
    MESSAGE(Progress, PROGRESS, progress, PROGRESS);

    body.request_id = id;
    body.upload = upload;
    body.done_bytes = done;
    body.monotonic_us = us;
    if (total > 0) {
        body.total_case = XHRD__V1__PROGRESS__TOTAL_TOTAL_BYTES;
        body.total_bytes = total;
    }
    peer_send(peer, &message);
}

void peer_credit(struct peer *peer, uint32_t id, uint32_t bytes)
{
    MESSAGE(Credit, CREDIT, credit, CREDIT);

    body.request_id = id;
    body.bytes = bytes;
    peer_send(peer, &message);
}

void peer_finish(struct peer *peer, uint32_t id, uint64_t body_bytes)
{
    Xhrd__V1__Timing timing = XHRD__V1__TIMING__INIT;
    MESSAGE(RequestDone, REQUEST_DONE, done, DONE);

    body.request_id = id;
    body.body_bytes = body_bytes;
    body.wire_bytes = body_bytes;
    timing.total_us = 1234;
    body.timing = &timing;
    peer_send(peer, &message);
}

void peer_fail(struct peer *peer, uint32_t id, Xhrd__V1__FailureKind kind)
{
    Xhrd__V1__Failure failure = XHRD__V1__FAILURE__INIT;
    MESSAGE(RequestFailed, REQUEST_FAILED, failed, FAILED);

    failure.kind = kind;
    failure.phase = XHRD__V1__PHASE__PHASE_CONNECT;
    failure.text = borrow("it went\nwrong");
    body.request_id = id;
    body.failure = &failure;
    peer_send(peer, &message);
}

void peer_redirect(struct peer *peer, uint32_t id, unsigned status, const char *url)
{
    MESSAGE(Redirected, REDIRECTED, redirected, REDIRECTED);

    body.request_id = id;
    body.status = status;
    body.url = borrow(url);
    body.method = borrow("GET");
    peer_send(peer, &message);
}

void peer_error(struct peer *peer, Xhrd__V1__SessionError__Kind kind, const char *text)
{
    MESSAGE(SessionError, SESSION_ERROR, error, ERROR);

    body.kind = kind;
    body.text = borrow(text);
    peer_send(peer, &message);
}

void peer_answer(struct peer *peer, uint32_t id, unsigned status, const char *body)
{
    peer_head(peer, id, status);
    peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_HEADERS_RECEIVED);
    if (*body) {
        peer_ready_state(peer, id, XHRD__V1__READY_STATE__READY_STATE_LOADING);
        peer_body(peer, id, body, strlen(body));
    }
    peer_finish(peer, id, strlen(body));
}

/* ---- recorder ---- */

static void note(struct record *record, struct xhr_request *request, const char *fmt, ...)
{
    char event[64];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(event, sizeof(event), fmt, args);
    va_end(args);
    assert_true(record->len + strlen(event) + 2 < sizeof(record->text));
    record->len +=
        (size_t)snprintf(record->text + record->len, sizeof(record->text) - record->len, "%s%s",
                         record->len > 0 ? " " : "", event);
    if (record->then)
        record->then(record, request, event);
}

static void on_ready_state(struct xhr_request *request,
                           const struct xhr_ready_state_event *event,
                           void *user)
{
    assert_int_equal(xhr_request_ready_state(request), event->state);
    if (event->state > XHR_OPENED) /* it waits for nothing any more */
        assert_int_equal(event->reason, XHR_WAIT_NONE);
    note(user, request, "%d", (int)event->state);
}

static void on_load(struct xhr_request *request, void *user)
{
    note(user, request, "load");
}

static void on_error(struct xhr_request *request, const struct xhr_error *error, void *user)
{
    struct record *record = user;

    record->error = *error;
    note(record, request, "error(%s)", error->name);
}

static void on_abort(struct xhr_request *request, void *user)
{
    note(user, request, "abort");
}

static void
on_data(struct xhr_request *request, const struct xhr_progress *progress, void *user)
{
    note(user, request, "down(%llu)", (unsigned long long)progress->done_bytes);
}

static void
on_send(struct xhr_request *request, const struct xhr_progress *progress, void *user)
{
    ((struct record *)user)->ratio = progress->ratio;
    note(user, request, "up(%llu)", (unsigned long long)progress->done_bytes);
}

static bool
on_redirect(struct xhr_request *request, const struct xhr_redirect *redirect, void *user)
{
    struct record *record = user;
    bool vetoes = record->vetoes;

    note(record, request, "redirect(%d)", redirect->status);
    return !vetoes;
}

static void on_headers(struct xhr_request *request, void *user)
{
    note(user, request, "headers");
}

static void on_waiting(struct xhr_request *request,
                       enum xhr_wait_reason reason,
                       uint64_t monotonic_us,
                       void *user)
{
    (void)monotonic_us;
    note(user, request, "wait(%s)", xhr_wait_reason_name(reason));
}

static void on_body(struct xhr_request *request, const void *bytes, size_t len, void *user)
{
    struct record *record = user;
    size_t room = sizeof(record->body) - record->body_len;

    memcpy(record->body + record->body_len, bytes, len < room ? len : room);
    record->body_len += len < room ? len : room;
    if (record->then)
        record->then(record, request, "body");
}

const struct xhr_callbacks record_callbacks = {
    .size = sizeof(struct xhr_callbacks),
    .onreadystatechange = on_ready_state,
    .onload = on_load,
    .onerror = on_error,
    .onabort = on_abort,
    .ondatastream = on_data,
    .onsendstream = on_send,
    .onredirect = on_redirect,
    .on_headers = on_headers,
    .on_waiting = on_waiting,
};

const struct xhr_callbacks record_streaming_callbacks = {
    .size = sizeof(struct xhr_callbacks),
    .onreadystatechange = on_ready_state,
    .onload = on_load,
    .onerror = on_error,
    .onabort = on_abort,
    .ondatastream = on_data,
    .onsendstream = on_send,
    .onredirect = on_redirect,
    .on_headers = on_headers,
    .on_waiting = on_waiting,
    .on_body = on_body,
};

struct xhr_request *new_request(struct xhr_client *client,
                                struct record *record,
                                const struct xhr_callbacks *callbacks)
{
    struct xhr_request *request = NULL;

    assert_int_equal(xhr_request_new(client, &request), 0);
    assert_int_equal(xhr_request_set_callbacks(request, callbacks, record), 0);
    assert_int_equal(xhr_request_open(request, "get", "http://a.test/", true), 0);
    return request;
}
