/* SPDX-License-Identifier: MIT */

/*
 * Early data (TS11): the stream is open before its handshake is done, against a server of our
 * own that takes it, does not, or is no more the one it was.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "net/io_pair.h"
#include "net/io_tls.h"
#include "net/tls_context.h"
#include "net/tls_session.h"
#include "support/test.h"
#include "support/tls_peer.h"

#define SETTLED 40
#define HELLO   "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

struct net {
    struct fake_clock clock;
    struct loop *loop;
    struct worker_pool *workers;
    struct tls_contexts *contexts;
    struct tls_sessions *sessions;
    struct tls_context *context;
    struct test_cert ca;
    struct test_cert localhost;
    SSL_CTX *server;
    const char *alpn; /* that it chooses */
};

static void wait_on_done(void *owner, struct tls_context *context, const struct failure *why)
{
    assert_null(why);
    *(struct tls_context **)owner = tls_context_ref(context);
}

static int choose(SSL *ssl,
                  const unsigned char **out,
                  unsigned char *out_len,
                  const unsigned char *in,
                  unsigned in_len,
                  void *arg)
{
    const struct net *net = arg;

    (void)ssl;
    (void)in;
    (void)in_len;
    if (!net->alpn)
        return SSL_TLSEXT_ERR_NOACK;
    *out = (const unsigned char *)net->alpn;
    *out_len = (unsigned char)strlen(net->alpn);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *server_of(struct net *net, const struct test_cert *cert)
{
    SSL_CTX *ctx = test_server_ctx(cert, TLS1_2_VERSION, TLS1_3_VERSION);

    SSL_CTX_set_alpn_select_cb(ctx, choose, net);
    SSL_CTX_set_max_early_data(ctx, 16384);
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY);
    return ctx;
}

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    struct tls_contexts_options options = tls_contexts_options_default();
    struct tls_sessions_options sessions = tls_sessions_options_default();
    struct tls_context_wait wait = {.on_done = wait_on_done};

    assert_non_null(net);
    net->alpn = "http/1.1";
    fake_clock_init(&net->clock, (int64_t)time(NULL));
    assert_int_equal(loop_new(&net->loop, &net->clock.clock), 0);
    assert_int_equal(worker_pool_new(&net->workers, net->loop, 1), 0);
    assert_int_equal(tls_contexts_new(&net->contexts, net->loop, net->workers, &options), 0);
    assert_int_equal(tls_sessions_new(&net->sessions, &sessions), 0);
    test_cert_make(&net->ca, &(struct test_cert_spec){.common_name = "Test CA", .is_ca = true});
    test_cert_make(&net->localhost, &(struct test_cert_spec){.common_name = "server",
                                                             .san = "DNS:localhost",
                                                             .issuer = &net->ca});
    CLEANUP_MEM char *pem = test_cert_pem(&net->ca);
    wait.owner = &net->context;
    struct tls_config config = {.ca_pem = span_of(pem)};
    assert_int_equal(tls_contexts_get(net->contexts, &config, &wait), 0);
    while (!net->context)
        assert_int_equal(loop_turn(net->loop, true), 0);
    net->server = server_of(net, &net->localhost);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    SSL_CTX_free(net->server);
    tls_context_unref(net->context);
    worker_pool_free(net->workers);
    tls_contexts_free(net->contexts);
    loop_free(net->loop);
    tls_sessions_free(net->sessions);
    test_cert_done(&net->ca);
    test_cert_done(&net->localhost);
    free(net);
    return 0;
}

struct client {
    struct net *net;
    struct io *io;
    struct tls_peer peer;
    bool goes_early;
    bool closes; /* when it is open */
    struct span says;
    size_t said;
    int n_asked, n_connected, n_readable, n_writable, n_settled, n_failed;
    struct failure why;
};

static bool client_goes_early(void *owner)
{
    struct client *client = owner;

    client->n_asked++;
    return client->goes_early;
}

static void say(struct client *client)
{
    struct span rest = span_drop(client->says, client->said);
    struct iovec piece = io_piece(rest);
    ssize_t n = rest.len ? io_writev(client->io, &piece, 1) : 0;

    if (n < 0 && n != -EAGAIN) {
        client->n_failed++;
        client->why = *io_last_failure(client->io);
        return;
    }
    client->said += n > 0 ? (size_t)n : 0;
    io_set_interest(client->io, IO_READ | (client->said < client->says.len ? IO_WRITE : 0));
}

static void client_on_connected(void *owner)
{
    struct client *client = owner;

    client->n_connected++;
    if (client->closes)
        client->io = io_close(client->io);
    else
        say(client);
}

static void client_on_readable(void *owner)
{
    ((struct client *)owner)->n_readable++;
}

static void client_on_writable(void *owner)
{
    struct client *client = owner;

    client->n_writable++;
    say(client);
}

static void client_on_settled(void *owner)
{
    ((struct client *)owner)->n_settled++;
}

static void client_on_failed(void *owner, const struct failure *why)
{
    struct client *client = owner;

    client->n_failed++;
    client->why = *why;
}

static const struct io_events client_events = {
    .on_connected = client_on_connected,
    .on_readable = client_on_readable,
    .on_writable = client_on_writable,
    .on_failed = client_on_failed,
    .on_settled = client_on_settled,
};

static struct io_tls_options options_of(struct net *net)
{
    return (struct io_tls_options){.context = net->context,
                                   .host = SPAN_LIT("localhost"),
                                   .port = 443,
                                   .alpn = SPAN_LIT("h2,http/1.1"),
                                   .sessions = net->sessions,
                                   .goes_early = client_goes_early};
}

static void turn(struct net *net, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(loop_turn(net->loop, false), 0);
}

/* The server has not said a word by then. */
static void turn_until_open(struct net *net, struct client *client)
{
    for (int i = 0; i < 5 && client->n_connected == 0; i++)
        turn(net, 1);
    assert_int_equal(client->n_connected, 1);
}

static void
begin_with(struct net *net, struct client *client, const struct io_tls_options *options)
{
    struct io *a;
    struct io *b;

    client->net = net;
    assert_int_equal(io_pair_new(net->loop, &a, &b), 0);
    assert_int_equal(io_tls_new(a, options, &client_events, client, &client->io), 0);
    tls_peer_init(&client->peer, b, net->server);
    client->peer.reads_early = true;
}

static void begin(struct net *net, struct client *client)
{
    struct io_tls_options options = options_of(net);

    begin_with(net, client, &options);
}

static void end(struct client *client)
{
    client->io = io_close(client->io);
    turn(client->net, 3);
    tls_peer_done(&client->peer);
    turn(client->net, 1);
}

static void take_tickets(struct client *client)
{
    char c;

    if (client->io && !client->n_failed)
        assert_int_equal(io_read(client->io, &c, 1), -EAGAIN);
}

/* A connection in full, which leaves sessions that allow early data. */
static void prime(struct net *net)
{
    struct client client = {0};

    begin(net, &client);
    turn(net, SETTLED);
    assert_int_equal(client.n_connected, 1);
    assert_int_equal(client.n_asked, 0); /* there is no session to go with */
    take_tickets(&client);
    end(&client);
    assert_true(tls_sessions_count(net->sessions) > 0);
}

static const struct tls_info *info_of(const struct client *client)
{
    return io_tls_info(client->io);
}

static void assert_heard(const struct buf *heard, struct span said)
{
    assert_int_equal(heard->len, said.len);
    assert_memory_equal(buf_span(heard).ptr, said.ptr, said.len);
}

static void test_ts11_what_may_goes_with_the_hello(void **state)
{
    struct net *net = *state;
    struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};
    char answer[16];

    prime(net);
    begin(net, &client);
    turn_until_open(net, &client);
    assert_int_equal(client.said, strlen(HELLO));
    assert_true(info_of(&client)->is_early);
    assert_int_equal(info_of(&client)->early, EARLY_DATA_SENT);
    assert_string_equal(info_of(&client)->alpn, "http/1.1");
    assert_int_equal(info_of(&client)->version, TLS_VERSION_1_3);
    assert_int_equal(io_read(client.io, answer, sizeof(answer)), -EAGAIN);
    turn(net, SETTLED);
    assert_heard(&client.peer.early, SPAN_LIT(HELLO));
    assert_int_equal(client.peer.received.len, 0);
    assert_int_equal(client.n_settled, 1);
    assert_false(info_of(&client)->is_early);
    assert_int_equal(info_of(&client)->early, EARLY_DATA_ACCEPTED);
    assert_true(info_of(&client)->resumed);
    take_tickets(&client);
    tls_peer_write(&client.peer, SPAN_LIT("answer"));
    turn(net, 3);
    assert_true(client.n_readable > 0);
    assert_int_equal(io_read(client.io, answer, sizeof(answer)), 6);
    assert_int_equal(client.n_connected + client.n_settled, 2);
    end(&client);
}

static void test_ts11_nothing_goes_early_unasked(void **state)
{
    struct net *net = *state;
    struct client client = {.goes_early = false, .says = SPAN_LIT(HELLO)};
    struct client deaf = {.says = SPAN_LIT(HELLO)};
    struct io_tls_options options = options_of(net);

    prime(net);
    begin(net, &client);
    turn(net, SETTLED);
    assert_int_equal(client.n_asked, 1);
    assert_int_equal(client.peer.early.len, 0);
    assert_heard(&client.peer.received, SPAN_LIT(HELLO));
    assert_int_equal(client.n_settled, 0);
    assert_int_equal(info_of(&client)->early, EARLY_DATA_NONE);
    take_tickets(&client);
    end(&client);
    options.goes_early = NULL;
    begin_with(net, &deaf, &options);
    turn(net, SETTLED);
    assert_true(info_of(&deaf)->resumed);
    assert_int_equal(deaf.peer.early.len, 0);
    end(&deaf);
}

/* Below 1.3, for another protocol, on a rung, or where the server allows none: it is not even
 * asked for. */
static void test_ts11_a_session_that_does_not_fit_is_not_asked_for(void **state)
{
    struct net *net = *state;

    for (int i = 0; i < 4; i++) {
        struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};
        struct io_tls_options options = options_of(net);

        tls_sessions_clear(net->sessions);
        SSL_CTX_set_max_early_data(net->server, i == 3 ? 0 : 16384);
        prime(net);
        if (i == 0)
            options.max_version = TLS_VERSION_1_2;
        if (i == 1)
            options.alpn = SPAN_LIT("h2");
        if (i == 2)
            options.is_fallback = true;
        net->alpn = i == 1 ? "h2" : "http/1.1";
        begin_with(net, &client, &options);
        turn(net, SETTLED);
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(client.n_asked, 0);
        assert_int_equal(client.peer.early.len, 0);
        end(&client);
        net->alpn = "http/1.1";
    }
}

static void test_ts11_what_is_rejected_goes_once_more_behind_the_handshake(void **state)
{
    struct net *net = *state;
    struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};

    prime(net);
    SSL_CTX_set_max_early_data(net->server, 0);
    begin(net, &client);
    turn(net, SETTLED);
    assert_int_equal(client.n_settled, 1);
    assert_int_equal(info_of(&client)->early, EARLY_DATA_REJECTED);
    assert_true(info_of(&client)->resumed);
    assert_int_equal(client.peer.early.len, 0);
    assert_heard(&client.peer.received, SPAN_LIT(HELLO));
    end(&client);
}

static void test_ts11_a_server_that_forgot_the_session_is_verified_first(void **state)
{
    struct net *net = *state;

    for (int i = 0; i < 2; i++) {
        struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};
        struct test_cert stranger;

        test_cert_make(&stranger, &(struct test_cert_spec){.common_name = "server",
                                                           .san = "DNS:localhost",
                                                           .issuer = i == 0 ? &net->ca : NULL});
        tls_sessions_clear(net->sessions);
        prime(net);
        SSL_CTX *before = net->server;
        net->server = server_of(net, &stranger); /* with other ticket keys */
        begin(net, &client);
        turn(net, SETTLED);
        assert_int_equal(client.peer.early.len, 0);
        if (i == 0) {
            assert_int_equal(info_of(&client)->early, EARLY_DATA_REJECTED);
            assert_false(info_of(&client)->resumed);
            assert_heard(&client.peer.received, SPAN_LIT(HELLO));
        } else {
            assert_int_equal(client.n_failed, 1);
            assert_int_equal(client.n_settled, 0);
            assert_int_equal(client.why.kind, FAILURE_TLS_VERIFY);
            assert_int_equal(client.why.phase, PHASE_TLS);
            assert_int_equal(client.peer.received.len, 0);
        }
        end(&client);
        SSL_CTX_free(net->server);
        net->server = before;
        test_cert_done(&stranger);
    }
}

static void test_ts11_a_server_of_another_protocol_or_version_fails(void **state)
{
    struct net *net = *state;

    for (int i = 0; i < 3; i++) {
        struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};

        tls_sessions_clear(net->sessions);
        net->alpn = "http/1.1";
        SSL_CTX_set_max_proto_version(net->server, TLS1_3_VERSION);
        prime(net);
        net->alpn = (const char *[]){"h2", NULL, "http/1.1"}[i];
        if (i == 2)
            SSL_CTX_set_max_proto_version(net->server, TLS1_2_VERSION);
        begin(net, &client);
        turn(net, SETTLED);
        assert_int_equal(client.n_connected, 1);
        assert_int_equal(client.n_settled, 0);
        assert_int_equal(client.n_failed, 1);
        assert_int_equal(client.why.phase, PHASE_TLS);
        assert_int_equal(client.peer.early.len + client.peer.received.len, 0);
        assert_int_equal(tls_sessions_count(net->sessions), 0);
        end(&client);
    }
}

/* The rest waits, without being asked for again and again. */
static void test_ts11_more_than_the_session_allows_goes_behind_the_handshake(void **state)
{
    static const size_t sizes[] = {100, 40000};
    struct net *net = *state;

    for (size_t i = 0; i < 2; i++) {
        char *bytes = malloc(sizes[i] + 50);
        struct client client = {.goes_early = true, .says = {bytes, sizes[i] + 50}};
        size_t most = sizes[i] < 16384 ? sizes[i] : 16384;

        assert_non_null(bytes);
        for (size_t k = 0; k < client.says.len; k++)
            bytes[k] = (char)(k * 7);
        tls_sessions_clear(net->sessions);
        SSL_CTX_set_max_early_data(net->server, (uint32_t)sizes[i]);
        prime(net);
        begin(net, &client);
        turn_until_open(net, &client);
        assert_int_equal(client.said, most);
        assert_int_equal(client.n_writable, 0);
        turn(net, SETTLED);
        assert_int_equal(client.n_settled, 1);
        assert_int_equal(client.said, client.says.len);
        assert_true(client.n_writable < 10);
        assert_heard(&client.peer.early, span_take(client.says, most));
        assert_heard(&client.peer.received, span_drop(client.says, most));
        end(&client);
        free(bytes);
    }
}

static void test_who_says_nothing_gets_the_handshake_all_the_same(void **state)
{
    struct net *net = *state;
    struct client client = {.goes_early = true};

    prime(net);
    begin(net, &client);
    turn(net, SETTLED);
    assert_int_equal(client.n_connected, 1);
    assert_int_equal(client.n_settled, 1);
    assert_int_equal(info_of(&client)->early, EARLY_DATA_NONE);
    client.says = SPAN_LIT(HELLO);
    say(&client);
    turn(net, 3);
    assert_heard(&client.peer.received, SPAN_LIT(HELLO));
    end(&client);
}

static void test_ends_of_all_kinds_before_the_handshake_is_done_are_failures(void **state)
{
    struct net *net = *state;

    for (int i = 0; i < 3; i++) {
        struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};

        struct io *a;
        struct io *b;

        tls_sessions_clear(net->sessions);
        client.net = net;
        prime(net);
        struct io_tls_options options = options_of(net);
        assert_int_equal(io_pair_new(net->loop, &a, &b), 0);
        assert_int_equal(io_tls_new(a, &options, &client_events, &client, &client.io), 0);
        tls_peer_init(&client.peer, b, NULL); /* raw */
        turn(net, 3);
        assert_int_equal(client.n_connected, 1);
        assert_true(client.peer.received.len > 100); /* hello and request */
        if (i == 0)
            io_pair_send_eof(client.peer.io);
        else if (i == 1)
            io_pair_break(client.peer.io, ECONNRESET);
        else
            tls_peer_write(&client.peer, (struct span){"\x15\x03\x03\0\x02\x02\x50", 7});
        turn(net, 5);
        assert_int_equal(client.n_failed, 1);
        assert_int_equal(client.why.kind, FAILURE_TLS);
        assert_int_equal(client.why.phase, PHASE_TLS);
        assert_int_equal(client.n_settled, 0);
        end(&client);
    }
}

static void test_lb04_an_early_stream_may_be_closed_at_any_time(void **state)
{
    struct net *net = *state;

    for (int rounds = 0; rounds < 12; rounds++) {
        struct client client = {
            .goes_early = true, .says = SPAN_LIT(HELLO), .closes = rounds == 0};

        tls_sessions_clear(net->sessions);
        prime(net);
        begin(net, &client);
        turn(net, rounds == 0 ? 3 : rounds);
        end(&client);
    }
}

static void test_every_failed_allocation_of_an_early_stream_is_survived(void **state)
{
    struct net *net = *state;
    bool clean = false;

    for (uint64_t n = 1; !clean; n++) {
        struct client client = {.goes_early = true, .says = SPAN_LIT(HELLO)};

        tls_sessions_clear(net->sessions);
        prime(net);
        begin(net, &client);
        mem_fail_at(n); /* the copy of what goes early */
        turn_until_open(net, &client);
        clean = mem_alloc_count() < n;
        mem_fail_at(0);
        turn(net, SETTLED);
        if (client.n_failed == 0)
            assert_int_equal(client.peer.early.len + client.peer.received.len, strlen(HELLO));
        end(&client);
    }
}

int main(void)
{
#define WITH_NET(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_NET(test_ts11_what_may_goes_with_the_hello),
        WITH_NET(test_ts11_nothing_goes_early_unasked),
        WITH_NET(test_ts11_a_session_that_does_not_fit_is_not_asked_for),
        WITH_NET(test_ts11_what_is_rejected_goes_once_more_behind_the_handshake),
        WITH_NET(test_ts11_a_server_that_forgot_the_session_is_verified_first),
        WITH_NET(test_ts11_a_server_of_another_protocol_or_version_fails),
        WITH_NET(test_ts11_more_than_the_session_allows_goes_behind_the_handshake),
        WITH_NET(test_who_says_nothing_gets_the_handshake_all_the_same),
        WITH_NET(test_ends_of_all_kinds_before_the_handshake_is_done_are_failures),
        WITH_NET(test_lb04_an_early_stream_may_be_closed_at_any_time),
        WITH_NET(test_every_failed_allocation_of_an_early_stream_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
