/* SPDX-License-Identifier: MIT */
#include "support/service_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/loop.h"
#include "support/test.h"
#include "wire/frame.h"
#include "wire/precheck.h"

/* ---- the service --------------------------------------------------------------------------
 */

static void world_on_idle(void *owner, bool idle)
{
    struct service_world *world = owner;

    assert_int_not_equal(world->idle_told, idle); /* changes only */
    world->idle_told = idle;
}

static void
world_ask_cookies(void *owner, uint32_t uid, uint64_t *ret_count, bool *ret_persistent)
{
    (void)owner;
    *ret_count = uid == POOL_EVERY_UID ? 7 : uid == 1000 ? 4 : 0;
    *ret_persistent = false;
}

static void world_each_tls_session(void *owner,
                                   uint32_t uid,
                                   bool (*fn)(void *arg,
                                              const struct tls_session_listed *listed),
                                   void *arg)
{
    static const struct {
        struct partition partition;
        const char *host;
        uint16_t port;
    } rows[] = {
        {{.uid = 1000}, "a.example", 443},
        {{.uid = 1000, .profile = "p"}, "::1", 8443},
        {{.uid = 1001}, "b.example", 8443},
    };

    (void)owner;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tls_session_listed listed = {.partition = &rows[i].partition,
                                            .host = rows[i].host,
                                            .port = rows[i].port,
                                            .version = "TLSv1.3",
                                            .cipher = "A",
                                            .age_s = 1,
                                            .left_s = 2,
                                            .uses = 3};

        if (uid == POOL_EVERY_UID || uid == rows[i].partition.uid)
            (void)fn(arg, &listed);
    }
}

static int world_reload(void *owner, struct buf *ret_error)
{
    struct service_world *world = owner;

    world->n_reloads++;
    if (!world->reload_trouble)
        return 0;
    assert_int_equal(buf_append_str(ret_error, world->reload_trouble), 0);
    return -EINVAL;
}

static void world_on_drained(void *owner)
{
    struct service_world *world = owner;

    world->n_drained++;
}

static const struct service_events world_events = {
    .on_idle = world_on_idle,
    .ask_cookies = world_ask_cookies,
    .each_tls_session = world_each_tls_session,
    .reload = world_reload,
    .on_drained = world_on_drained,
};

void service_world_restart(struct service_world *world)
{
    world->service = service_free(world->service);
    assert_int_equal(
        service_new(&world->service, world->net.fetcher, &world->options, &world_events, world),
        0);
    world->idle_told = -1;
}

void service_world_init(struct service_world *world)
{
    memset(world, 0, sizeof(*world));
    world_init(&world->net);
    world->options = (struct service_options){
        .session = session_options_default(),
        .clients_max = 64,
        .version = "0.test",
        .state_dir = "/state",
        .socket_path = "/socket",
    };
    world->options.session.linger_us = 0; /* stories tell what comes, not when */
    quota_init(&world->options.limits);
    service_world_restart(world);
}

void service_world_done(struct service_world *world)
{
    world_turn(&world->net);
    assert_true(service_is_idle(world->service));
    world->service = service_free(world->service);
    world_done(&world->net);
}

/* ---- clients ------------------------------------------------------------------------------
 */

void client_connect(struct fake_client *client, struct service_world *world, uint32_t uid)
{
    struct peer peer = {.uid = uid, .gid = uid, .pid = 4711};
    int pair[2];

    *client = (struct fake_client){.world = world};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    client->fd = pair[1];
    service_accept(world->service, pair[0], &peer, NULL);
}

void client_done(struct fake_client *client)
{
    if (client->last)
        xhrd__v1__server_message__free_unpacked(client->last, NULL);
    if (client->fd >= 0)
        close(client->fd);
    buf_done(&client->in);
    if (client->world)
        world_turn(&client->world->net);
    *client = (struct fake_client){.fd = -1};
}

void client_send_bytes(struct fake_client *client, const void *bytes, size_t len)
{
    const char *at = bytes;

    for (int idle = 0; len > 0 && idle < 3; idle++) {
        ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL);

        if (n > 0)
            at += n, len -= (size_t)n, idle = 0;
        else if (errno != EAGAIN)
            return; /* it has hung up */
        if (len > 0)
            world_turn(&client->world->net);
    }
}

void client_send_with_fds(
    struct fake_client *client, const void *bytes, size_t len, const int *fds, unsigned n)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * 16)];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * n)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);

    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int) * n);
    memcpy(CMSG_DATA(part), fds, n * sizeof(int));
    assert_int_equal(sendmsg(client->fd, &message, MSG_NOSIGNAL), len);
}

void frame_message(struct buf *to, const Xhrd__V1__ClientMessage *message)
{
    size_t size = xhrd__v1__client_message__get_packed_size(message);
    uint8_t prefix[WIRE_FRAME_PREFIX_MAX];
    size_t n = wire_frame_prefix(prefix, size);

    assert_int_equal(buf_append(to, (struct span){(const char *)prefix, n}), 0);
    assert_int_equal(buf_reserve(to, size), 0);
    xhrd__v1__client_message__pack(message, (uint8_t *)buf_tail(to));
    buf_commit(to, size);
}

void client_tell(struct fake_client *client, const Xhrd__V1__ClientMessage *message)
{
    CLEANUP_BUF struct buf frame = BUF_INIT(0);

    frame_message(&frame, message);
    client_send_bytes(client, frame.storage, frame.len);
}

static void PRINTF_LIKE(2, 3) say(struct fake_client *client, const char *fmt, ...)
{
    if (client->is_quiet)
        return;

    char *to = client->story + client->story_len;
    size_t room = sizeof(client->story) - client->story_len;
    va_list args;

    va_start(args, fmt);
    // NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 does not see va_start()
    int n = vsnprintf(to, room, fmt, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < room);
    client->story_len += (size_t)n;
}

static void keep_text(struct fake_client *client, ProtobufCBinaryData text)
{
    (void)snprintf(client->last_text, sizeof(client->last_text), "%.*s", (int)text.len,
                   (const char *)text.data);
}

static const char *kind_of(struct fake_client *client, const Xhrd__V1__Failure *failure)
{
    assert_non_null(failure);
    keep_text(client, failure->text);
    return failure_kind_name((enum failure_kind)failure->kind);
}

static void hear_head(struct fake_client *client, const Xhrd__V1__ResponseHead *head)
{
    size_t n = 0;

    say(client, "head(%u,%u) ", head->request_id, head->status);
    assert_non_null(head->connection);
    client->set_cookies[0] = '\0';
    for (size_t i = 0; i < head->n_headers; i++) {
        if (head->headers[i]->name.len == strlen("Set-Cookie"))
            n += (size_t)snprintf(client->set_cookies + n, sizeof(client->set_cookies) - n,
                                  "%.*s|", (int)head->headers[i]->value.len,
                                  (const char *)head->headers[i]->value.data);
    }
    n = 0;
    client->sent[0] = '\0';
    for (size_t i = 0; i < head->n_sent_headers; i++)
        n += (size_t)snprintf(client->sent + n, sizeof(client->sent) - n, "%.*s;",
                              (int)head->sent_headers[i]->name.len,
                              (const char *)head->sent_headers[i]->name.data);
}

static void hear_error(struct fake_client *client, const Xhrd__V1__SessionError *error)
{
    static const char *const kinds[] = {"unspecified", "protocol", "version", "limit",
                                        "denied",      "timeout",  "shutdown"};

    keep_text(client, error->text);
    assert_true(error->text.len > 0);
    say(client, "error(%s) ", kinds[error->kind]);
}

static void hear_admin(struct fake_client *client, const Xhrd__V1__AdminReply *reply)
{
    client->n_replies++;
    client->n_rows += (unsigned)(reply->n_clients + reply->n_requests + reply->n_connections +
                                 reply->n_pools);
    if (reply->failure)
        say(client, "admin(%u,%s) ", reply->command_id, kind_of(client, reply->failure));
    else
        say(client, "admin(%u%s) ", reply->command_id, reply->more ? ",more" : "");
}

static void hear_cookies(struct fake_client *client, const Xhrd__V1__CookieReply *reply)
{
    client->n_replies++;
    client->n_cookies += (unsigned)reply->n_cookies;
    if (reply->failure)
        say(client, "cookies(%u,%s) ", reply->command_id, kind_of(client, reply->failure));
    else
        say(client, "cookies(%u,%zu,%llu%s%s) ", reply->command_id, reply->n_cookies,
            (unsigned long long)reply->changed, reply->not_persisted ? ",memory" : "",
            reply->more ? ",more" : "");
}

/* "changes(3,0-2:+a!-b) ": set and removed cookies, '!' behind those that stand for more. */
static void hear_changes(struct fake_client *client, const Xhrd__V1__CookieChanges *changes)
{
    if (changes->failure) {
        say(client, "unwatched(%u,%s) ", changes->command_id,
            kind_of(client, changes->failure));
        return;
    }
    if (changes->reset) {
        client->n_cookies += (unsigned)changes->n_snapshot;
        say(client, "reset(%u,%zu,%llu%s) ", changes->command_id, changes->n_snapshot,
            (unsigned long long)changes->sequence, changes->more ? ",more" : "");
        return;
    }
    say(client, "changes(%u,%llu-%llu:", changes->command_id,
        (unsigned long long)changes->previous, (unsigned long long)changes->sequence);
    for (size_t i = 0; i < changes->n_changes; i++) {
        const Xhrd__V1__CookieChange *change = changes->changes[i];

        say(client, "%s%.*s%s", change->removed ? "-" : "+", (int)change->cookie->name.len,
            (const char *)change->cookie->name.data, change->merged ? "!" : "");
    }
    say(client, ") ");
}

static void
hear_challenge(struct fake_client *client, uint32_t id, const Xhrd__V1__Challenge *challenge)
{
    say(client, "challenge(%u,%u,%.*s", id, challenge->attempt, (int)challenge->origin.len,
        (const char *)challenge->origin.data);
    for (size_t i = 0; i < challenge->n_offers; i++)
        say(client, ",%.*s:%.*s", (int)challenge->offers[i]->name.len,
            (const char *)challenge->offers[i]->name.data, (int)challenge->offers[i]->realm.len,
            (const char *)challenge->offers[i]->realm.data);
    say(client, ") ");
}

static void hear_question(struct fake_client *client, const Xhrd__V1__Question *question)
{
    if (question->what_case == XHRD__V1__QUESTION__WHAT_CHALLENGE)
        hear_challenge(client, question->request_id, question->challenge);
    else if (question->what_case == XHRD__V1__QUESTION__WHAT_REWIND)
        say(client, "rewind(%u) ", question->request_id);
    else
        fail_msg("a question about nothing");
}

static void hear_connection_question(struct fake_client *client,
                                     const Xhrd__V1__ConnectionQuestion *question)
{
    bool signs = question->what_case == XHRD__V1__CONNECTION_QUESTION__WHAT_SIGN;

    if (!signs && !question->withdrawn)
        fail_msg("a connection's question about nothing");
    say(client, "%s(%llu,%llu) ", signs ? "sign" : "withdrawn",
        (unsigned long long)question->question_id, (unsigned long long)question->handle);
}

static void hear_message(struct fake_client *client, const Xhrd__V1__ServerMessage *message)
{
    switch (message->kind_case) {
    case XHRD__V1__SERVER_MESSAGE__KIND_HELLO: say(client, "hello "); return;
    case XHRD__V1__SERVER_MESSAGE__KIND_READY_STATE:
        say(client, "state(%u,%d) ", message->ready_state->request_id,
            (int)message->ready_state->state);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_HOP:
        say(client, "hop(%u,%u,%zu) ", message->hop->request_id, message->hop->status,
            message->hop->n_headers);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_HEAD: hear_head(client, message->head); return;
    case XHRD__V1__SERVER_MESSAGE__KIND_BODY:
        assert_true(message->body->data.len > 0);
        client->body_bytes += message->body->data.len;
        say(client, "body(%u,%zu) ", message->body->request_id, message->body->data.len);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_PROGRESS:
        if (client->tell_progress)
            say(client, "%s(%u,%llu) ", message->progress->upload ? "up" : "down",
                message->progress->request_id,
                (unsigned long long)message->progress->done_bytes);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_CREDIT:
        client->credit += message->credit->bytes;
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_DONE:
        say(client, "done(%u,%llu) ", message->done->request_id,
            (unsigned long long)message->done->body_bytes);
        assert_non_null(message->done->timing);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_FAILED:
        say(client, "failed(%u,%s) ", message->failed->request_id,
            kind_of(client, message->failed->failure));
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_REDIRECTED:
        say(client, "%s(%u,%u,%.*s,%.*s) ",
            message->redirected->asks ? "redirect" : "redirected",
            message->redirected->request_id, message->redirected->status,
            (int)message->redirected->url.len, (const char *)message->redirected->url.data,
            (int)message->redirected->method.len,
            (const char *)message->redirected->method.data);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE: hear_cookies(client, message->cookie); return;
    case XHRD__V1__SERVER_MESSAGE__KIND_COOKIE_CHANGES:
        hear_changes(client, message->cookie_changes);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_NETWORK:
        if (message->network->failure)
            say(client, "network(%u,%s) ", message->network->command_id,
                kind_of(client, message->network->failure));
        else
            say(client, "network(%u,%d,%d) ", message->network->command_id,
                message->network->online, (int)message->network->type);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_ADMIN: hear_admin(client, message->admin); return;
    case XHRD__V1__SERVER_MESSAGE__KIND_ERROR: hear_error(client, message->error); return;
    case XHRD__V1__SERVER_MESSAGE__KIND_QUESTION:
        hear_question(client, message->question);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND_CONNECTION_QUESTION:
        hear_connection_question(client, message->connection_question);
        return;
    case XHRD__V1__SERVER_MESSAGE__KIND__NOT_SET:
    case _XHRD__V1__SERVER_MESSAGE__KIND__CASE_IS_INT_SIZE: break;
    }
    fail_msg("a message without a kind");
}

static void hear_frames(struct fake_client *client)
{
    for (;;) {
        struct span bytes = buf_span(&client->in);
        struct wire_frame frame;
        enum wire_outcome outcome =
            wire_frame_next((const uint8_t *)bytes.ptr, bytes.len, &frame);

        if (outcome == WIRE_MORE)
            return;
        assert_int_equal(outcome, WIRE_READY);
        assert_int_equal(
            wire_precheck(&xhrd__v1__server_message__descriptor, frame.bytes, frame.len),
            WIRE_FINE);
        if (client->last)
            xhrd__v1__server_message__free_unpacked(client->last, NULL);
        client->last = xhrd__v1__server_message__unpack(NULL, frame.len, frame.bytes);
        assert_non_null(client->last);
        hear_message(client, client->last);
        if (client->on_message)
            client->on_message(client, client->last);
        buf_consume(&client->in, frame.frame_len);
    }
}

void client_hears(struct fake_client *client)
{
    for (int idle = 0; idle < 2;) {
        world_turn(&client->world->net);
        assert_int_equal(buf_reserve(&client->in, 65536), 0);
        ssize_t n = recv(client->fd, buf_tail(&client->in), 65536, 0);

        if (n > 0) {
            buf_commit(&client->in, (size_t)n);
            hear_frames(client);
            idle = 0;
            continue;
        }
        if (n == 0 || errno != EAGAIN) {
            client->is_over = true;
            return;
        }
        idle++;
    }
}

void client_clear(struct fake_client *client)
{
    client_hears(client);
    client->story[0] = '\0';
    client->story_len = 0;
    client->body_bytes = 0;
    client->n_cookies = 0;
    client->n_rows = 0;
    client->n_replies = 0;
}

void client_hello(struct fake_client *client)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ClientHello hello = XHRD__V1__CLIENT_HELLO__INIT;

    hello.protocol = 1;
    hello.program = pb_bytes("test");
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    client_tell(client, &message);
}

void client_ready(struct fake_client *client, struct service_world *world, uint32_t uid)
{
    client_connect(client, world, uid);
    client_hello(client);
    client_hears(client);
    assert_string_equal(client->story, "hello ");
    client_clear(client);
}

void open_message_init(Xhrd__V1__OpenRequest *open, uint32_t id)
{
    xhrd__v1__open_request__init(open);
    open->request_id = id;
    open->method = pb_bytes("GET");
    open->url = pb_bytes("http://a.com/");
    open->redirect = XHRD__V1__REDIRECT_MODE__REDIRECT_MODE_FOLLOW;
    open->cookies = XHRD__V1__COOKIE_MODE__COOKIE_MODE_NONE;
    open->response_credit_bytes = 1000000;
}

void client_open(struct fake_client *client, Xhrd__V1__OpenRequest *open)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;

    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
    message.open = open;
    client_tell(client, &message);
}

void client_get(struct fake_client *client, uint32_t id)
{
    Xhrd__V1__OpenRequest open;

    open_message_init(&open, id);
    client_open(client, &open);
    client_hears(client);
}
