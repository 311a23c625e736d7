/* SPDX-License-Identifier: MIT */
/*
 * The real connector under the pool: names through a resolver with a made-up answer, TCP and
 * TLS to a server on a thread of this process, exchanges on what comes out.
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "net/resolver.h"
#include "net/tls_context.h"
#include "net/tls_session.h"
#include "policy/auth_cache.h"
#include "policy/rung_memory.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_stats.h"
#include "support/test.h"
#include "support/tls_peer.h"
#include "transport/conn.h"

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

static struct test_cert ca;
static struct test_cert localhost;
static char *ca_pem;

static char ca_path[] = "/tmp/xhrd-ca-XXXXXX"; /* the machine's authorities; none at first */

static int make_certs(void **state)
{
    (void)state;
    int fd = mkstemp(ca_path);
    assert_true(fd >= 0);
    close(fd);
    assert_ptr_not_equal(signal(SIGPIPE, SIG_IGN), SIG_ERR); /* the server's OpenSSL writes */
    test_cert_make(&ca, &(struct test_cert_spec){.common_name = "Test CA", .is_ca = true});
    test_cert_make(&localhost, &(struct test_cert_spec){.common_name = "server",
                                                        .san = "DNS:a.test,IP:127.0.0.1",
                                                        .issuer = &ca});
    ca_pem = test_cert_pem(&ca);
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    mem_free(ca_pem);
    unlink(ca_path);
    test_cert_done(&ca);
    test_cert_done(&localhost);
    return 0;
}

struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    SSL_CTX *tls;     /* NULL: plain */
    bool is_proxy;    /* is asked for a tunnel first; what follows comes from its end */
    bool wants_login; /* Digest */
    SSL_CTX *proxy_tls;
    atomic_int n_connections;
    atomic_int n_requests;
    atomic_int n_connects;
};

static int stream_read(SSL *ssl, int fd, char *buf, size_t len)
{
    return ssl ? SSL_read(ssl, buf, (int)len) : (int)recv(fd, buf, len, 0);
}

static int stream_write(SSL *ssl, int fd, const char *bytes, size_t len)
{
    return ssl ? SSL_write(ssl, bytes, (int)len) : (int)send(fd, bytes, len, MSG_NOSIGNAL);
}

/* Reads a head. Return: whether it came. */
static bool read_head(SSL *ssl, int fd, char *buf, size_t size)
{
    size_t have = 0;

    while (have < 4 || memcmp(buf + have - 4, "\r\n\r\n", 4) != 0) {
        int n = stream_read(ssl, fd, buf + have, size - 1 - have);

        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    buf[have] = '\0';
    return true;
}

/* Return: whether the tunnel is open. */
static bool open_tunnel(struct server *server, SSL *ssl, int fd)
{
    static const char opened[] = "HTTP/1.1 200 Go\r\n\r\n";
    static const char who[] = "HTTP/1.1 407 Who\r\nContent-Length: 0\r\nProxy-Authenticate: "
                              "Digest realm=\"p\", nonce=\"n\", qop=\"auth\"\r\n\r\n";
    char buf[4096];

    if (!read_head(ssl, fd, buf, sizeof(buf)) || strncmp(buf, "CONNECT ", 8) != 0)
        return false;
    server->n_connects++;
    if (server->wants_login && !strstr(buf, "\r\nProxy-Authorization: Digest ")) {
        (void)stream_write(ssl, fd, who, sizeof(who) - 1);
        return false;
    }
    return stream_write(ssl, fd, opened, sizeof(opened) - 1) > 0;
}

static void serve(struct server *server, int fd);

static void serve_proxy(struct server *server, int fd)
{
    struct server behind = *server;
    SSL *ssl = server->proxy_tls ? SSL_new(server->proxy_tls) : NULL;

    behind.is_proxy = false;
    if ((!ssl || (SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1)) &&
        open_tunnel(server, ssl, fd) && !ssl) {
        serve(&behind, fd);
        server->n_requests += behind.n_requests;
    } else if (ssl && SSL_is_init_finished(ssl)) { /* its own origin: one answer */
        char buf[4096];

        if (read_head(ssl, fd, buf, sizeof(buf))) {
            server->n_requests++;
            (void)stream_write(ssl, fd, ANSWER, sizeof(ANSWER) - 1);
            (void)read_head(ssl, fd, buf, sizeof(buf));
        }
    }
    SSL_free(ssl);
}

/* One connection, whole requests without a body, until the client hangs up. */
static void serve(struct server *server, int fd)
{
    if (server->is_proxy) {
        serve_proxy(server, fd);
        return;
    }
    SSL *ssl = server->tls ? SSL_new(server->tls) : NULL;
    char buf[4096];
    size_t have = 0;

    if (ssl && (SSL_set_fd(ssl, fd) != 1 || SSL_accept(ssl) != 1)) {
        SSL_free(ssl);
        return;
    }
    for (;;) {
        int n = stream_read(ssl, fd, buf + have, sizeof(buf) - have);

        if (n <= 0)
            break;
        have += (size_t)n;
        if (have < 4 || memcmp(buf + have - 4, "\r\n\r\n", 4) != 0)
            continue;
        have = 0;
        server->n_requests++;
        if (stream_write(ssl, fd, ANSWER, sizeof(ANSWER) - 1) <= 0)
            break;
    }
    if (ssl)
        SSL_shutdown(ssl);
    SSL_free(ssl);
}

static void *server_main(void *arg)
{
    struct server *server = arg;
    int fd;

    while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
        server->n_connections++;
        serve(server, fd);
        close(fd);
    }
    return NULL;
}

static void server_start(struct server *server, SSL_CTX *tls)
{
    struct address address;
    socklen_t len = sizeof(address);

    *server = (struct server){.tls = tls};
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(address_parse(SPAN_LIT("127.0.0.1"), 0, &address), 0);
    assert_int_equal(bind(server->fd, &address.sa, address_len(&address)), 0);
    assert_int_equal(listen(server->fd, 64), 0);
    assert_int_equal(getsockname(server->fd, &address.sa, &len), 0);
    server->port = address_port(&address);
    assert_int_equal(pthread_create(&server->thread, NULL, server_main, server), 0);
}

/* Every connection of ours must be closed by now, or it waits for ever. */
static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
    SSL_CTX_free(server->tls);
    SSL_CTX_free(server->proxy_tls);
}

/* A look-up that ends in the round in which it began is never told of. Where a test wants to
 * hear of it, the answer is held back until it has. */
static sem_t lookup_was_told;

static int
made_up_query(const char *host, int family, struct address *ret, size_t max, size_t *ret_n)
{
    (void)family;
    (void)max;
    if (!strstr(host, ".test"))
        return EAI_NONAME;
    if (strcmp(host, "told.test") == 0)
        while (sem_wait(&lookup_was_told) < 0)
            continue;
    *ret_n = 1;
    return address_parse(SPAN_LIT("127.0.0.1"), 0, ret);
}

struct world {
    struct loop *loop;
    struct worker_pool *workers;
    struct resolver *resolver;
    struct tls_contexts *contexts;
    struct tls_sessions *sessions;
    struct transport *transport;
    struct net_connector *connector;
    struct pool *pool;
    struct auth_cache proxy_logins;
    struct rung_memory rung_memory;
};

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct resolver_options resolver = resolver_options_default();
    struct tls_contexts_options contexts = tls_contexts_options_default();
    struct tls_sessions_options sessions = tls_sessions_options_default();
    struct pool_options pool = pool_options_default();

    assert_non_null(world);
    resolver.query = made_up_query;
    contexts.ca_file = ca_path;
    assert_int_equal(loop_new(&world->loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&world->workers, world->loop, 1), 0);
    assert_int_equal(resolver_new(&world->resolver, world->loop, &resolver), 0);
    assert_int_equal(tls_contexts_new(&world->contexts, world->loop, world->workers, &contexts),
                     0);
    assert_int_equal(tls_sessions_new(&world->sessions, &sessions), 0);
    assert_int_equal(transport_new(&world->transport, world->loop), 0);
    auth_cache_init(&world->proxy_logins);
    rung_memory_init(&world->rung_memory);
    struct net_connector_parts parts = {
        .loop = world->loop,
        .transport = world->transport,
        .resolver = world->resolver,
        .tls_contexts = world->contexts,
        .tls_sessions = world->sessions,
        .proxy_logins = &world->proxy_logins,
        .rung_memory = &world->rung_memory,
        .dialer = dialer_options_default(),
    };
    assert_int_equal(net_connector_new(&world->connector, &parts), 0);
    assert_int_equal(
        pool_new(&world->pool, world->loop, net_connector_base(world->connector), &pool), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    pool_free(world->pool);
    net_connector_free(world->connector);
    assert_int_equal(loop_turn(world->loop, false), 0);
    resolver_free(world->resolver);
    worker_pool_free(world->workers);
    tls_contexts_free(world->contexts);
    transport_free(world->transport);
    loop_free(world->loop);
    tls_sessions_free(world->sessions);
    auth_cache_done(&world->proxy_logins);
    rung_memory_done(&world->rung_memory);
    free(world);
    return 0;
}

struct fetch {
    struct world *world;
    struct lease *lease;
    struct exchange *exchange;
    bool is_over;
    bool was_reused;
    unsigned stages; /* bits of enum wait_reason */
    struct failure failure;
    struct exchange_info info;
    struct lease_timing timing;
    char remote[64];
    char tls_version[16];
    size_t body_bytes;
};

static void on_head(void *owner, const struct response_head *head)
{
    (void)owner;
    assert_int_equal(head->status, 200);
}

static void on_body(void *owner, struct span bytes)
{
    struct fetch *fetch = owner;

    fetch->body_bytes += bytes.len;
}

static void on_done(void *owner, const struct failure *why)
{
    struct fetch *fetch = owner;

    exchange_info(fetch->exchange, &fetch->info);
    (void)snprintf(fetch->remote, sizeof(fetch->remote), "%.*s",
                   (int)fetch->info.remote_address.len, fetch->info.remote_address.ptr);
    (void)snprintf(fetch->tls_version, sizeof(fetch->tls_version), "%.*s",
                   (int)fetch->info.tls_version.len, fetch->info.tls_version.ptr);
    if (why)
        fetch->failure = *why;
    fetch->is_over = true;
    lease_release(TAKE(fetch->lease));
}

static const struct exchange_events exchange_events = {
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

static void on_wait(void *owner, enum wait_reason reason)
{
    struct fetch *fetch = owner;

    fetch->stages |= 1U << reason;
    if (reason == WAIT_DNS)
        assert_int_equal(sem_post(&lookup_was_told), 0);
}

static void on_ready(void *owner, struct lease *lease)
{
    struct fetch *fetch = owner;
    struct exchange_request request = {
        .method = SPAN_LIT("GET"), .target = SPAN_LIT("/"), .authority = SPAN_LIT("a.test")};

    fetch->was_reused = lease_is_reused(lease);
    lease_timing(lease, &fetch->timing);
    assert_int_equal(
        lease_open_exchange(lease, &request, &exchange_events, fetch, &fetch->exchange), 0);
}

static void on_failed(void *owner, const struct failure *why)
{
    struct fetch *fetch = owner;

    fetch->failure = *why;
    fetch->lease = NULL;
    fetch->is_over = true;
}

static const struct lease_events lease_events = {
    .on_wait = on_wait,
    .on_ready = on_ready,
    .on_failed = on_failed,
};

static struct pool_key key_of(const char *host, uint16_t port, bool is_https)
{
    struct pool_key key = {.origin = {.port = port, .is_https = is_https}};

    assert_int_equal(partition_init(&key.partition, 1000, SPAN_LIT("")), 0);
    (void)snprintf(key.origin.host, sizeof(key.origin.host), "%s", host);
    if (is_https)
        key.tls.ca_pem = span_of(ca_pem);
    return key;
}

static void begin(struct world *world, struct fetch *fetch, const struct pool_key *key)
{
    struct pool_request request = {.key = key, .connect_timeout_us = 20000000};

    *fetch = (struct fetch){.world = world};
    assert_int_equal(pool_acquire(world->pool, &request, &lease_events, fetch, &fetch->lease),
                     POOL_OK);
}

static void fetch_it(struct world *world, struct fetch *fetch, const struct pool_key *key)
{
    begin(world, fetch, key);
    while (!fetch->is_over)
        assert_int_equal(loop_turn(world->loop, true), 0);
}

static void test_a_name_is_looked_up_dialled_and_the_connection_kept(void **state)
{
    struct world *world = *state;
    struct server server;
    struct fetch fetch;

    assert_int_equal(sem_init(&lookup_was_told, 0, 0), 0);
    server_start(&server, NULL);
    struct pool_key key = key_of("told.test", server.port, false);
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    assert_int_equal(fetch.body_bytes, 5);
    assert_int_equal(fetch.stages, 1U << WAIT_DNS | 1U << WAIT_CONNECT);
    assert_false(fetch.was_reused);
    assert_string_equal(fetch.remote, "127.0.0.1");
    assert_int_equal(fetch.info.remote_port, server.port);
    assert_true(fetch.info.local_port != 0);
    assert_false(fetch.info.is_tls);
    assert_true(fetch.timing.name_lookup_us > 0);
    assert_true(fetch.timing.connected_us >= fetch.timing.name_lookup_us);
    assert_int_equal(fetch.timing.tls_us, 0);

    fetch_it(world, &fetch, &key);
    assert_true(fetch.was_reused && fetch.info.reused);
    assert_int_equal(server.n_connections, 1);
    assert_int_equal(server.n_requests, 2);
    pool_close_idle(world->pool, 1000);
    server_stop(&server);
}

static void test_pl04_tls_that_verifies_shares_nothing_with_tls_that_does_not(void **state)
{
    struct world *world = *state;
    struct pool_counters counters;
    struct server server;
    struct fetch fetch;

    server_start(&server, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));
    struct pool_key key = key_of("a.test", server.port, true);
    struct pool_key lax = key;
    lax.tls.insecure = true;
    fetch_it(world, &fetch, &lax);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    pool_close_idle(world->pool, 1000); /* the server takes one connection at a time */

    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    assert_true(fetch.stages & 1U << WAIT_TLS);
    assert_true(fetch.info.is_tls);
    assert_false(fetch.info.tls_resumed || fetch.was_reused);
    assert_string_equal(fetch.tls_version, "TLSv1.3");
    assert_true(fetch.timing.tls_us >= fetch.timing.connected_us);

    fetch_it(world, &fetch, &key);
    assert_true(fetch.was_reused);
    pool_close_idle(world->pool, 1000);

    fetch_it(world, &fetch, &key); /* a new connection, but the session is known */
    assert_false(fetch.was_reused);
    assert_true(fetch.info.tls_resumed);
    pool_counters(world->pool, &counters);
    assert_int_equal(counters.tls_handshakes_full, 2);
    assert_int_equal(counters.tls_handshakes_resumed, 1);
    pool_close_idle(world->pool, 1000);
    server_stop(&server);
}

static void test_each_way_to_fail_has_its_name(void **state)
{
    struct world *world = *state;
    struct server plain;
    struct server tls;
    struct fetch fetch;

    server_start(&plain, NULL);
    server_start(&tls, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));

    struct pool_key key = key_of("nowhere.invalid", 80, false);
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_DNS);
    assert_int_equal(fetch.failure.phase, PHASE_DNS);

    key = key_of("b.test", tls.port, true); /* the certificate says a.test */
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_TLS_VERIFY);
    assert_int_equal(fetch.failure.phase, PHASE_TLS);

    key = key_of("a.test", tls.port, true);
    key.tls.ca_pem = SPAN_LIT("no certificate at all");
    fetch_it(world, &fetch, &key);
    assert_int_not_equal(fetch.failure.kind, FAILURE_NONE);

    key = key_of("a.test", plain.port, true); /* waits for a request, gets a hello */
    struct pool_request request = {.key = &key, .connect_timeout_us = 100000};
    fetch = (struct fetch){.world = world};
    assert_int_equal(pool_acquire(world->pool, &request, &lease_events, &fetch, &fetch.lease),
                     POOL_OK);
    while (!fetch.is_over)
        assert_int_equal(loop_turn(world->loop, true), 0);
    assert_int_equal(fetch.failure.kind, FAILURE_TIMEOUT_CONNECT);
    assert_int_equal(fetch.failure.phase, PHASE_TLS);

    server_stop(&plain);
    server_stop(&tls);
    key = key_of("a.test", plain.port, false); /* nobody there any more */
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_CONNECT);
    assert_int_equal(fetch.failure.sys_errno, ECONNREFUSED);
}

static void test_a_route_changes_where_it_goes_and_not_whom_it_trusts(void **state)
{
    static const struct span addresses[] = {SPAN_LIT("127.0.0.1")};
    struct world *world = *state;
    struct server server;
    struct fetch fetch;

    server_start(&server, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));
    struct pool_key key = key_of("a.test", 443, true);
    key.route.port = server.port; /* --connect-to */
    key.route.host = SPAN_LIT("elsewhere.test");
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE); /* verified for a.test */
    pool_close_idle(world->pool, 1000);

    key.origin.host[0] = 'x';
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_TLS_VERIFY);

    key = key_of("a.test", server.port, true); /* --resolve */
    key.route.addresses = addresses;
    key.route.n_addresses = 1;
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    assert_int_equal(fetch.timing.name_lookup_us, 0);
    pool_close_idle(world->pool, 1000);
    server_stop(&server);
}

/* Gives up after one round, two rounds, … until the answer is faster. */
static void test_lb04_connecting_may_be_given_up_at_any_step(void **state)
{
    struct world *world = *state;
    struct server server;
    struct fetch fetch = {0};

    server_start(&server, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));
    struct pool_key key = key_of("a.test", server.port, true);
    for (int rounds = 0; !fetch.is_over; rounds++) {
        tls_contexts_reload(world->contexts); /* made anew: one step more to give up in */
        resolver_flush(world->resolver);
        begin(world, &fetch, &key);
        for (int i = 0; i < rounds && !fetch.is_over; i++)
            assert_int_equal(loop_turn(world->loop, true), 0);
        if (fetch.lease)
            lease_release(TAKE(fetch.lease));
        pool_close_idle(world->pool, 1000);
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    server_stop(&server);
}

/* A proxy on this thread's own port; what is asked for through it exists nowhere else. */
static void go_through(struct pool_key *key, const struct server *proxy, enum proxy_way way)
{
    key->proxy = (struct pool_proxy){
        .way = way,
        .at = {.host = "a.test", .port = proxy->port, .is_https = proxy->proxy_tls != NULL},
        .scheme = AUTH_SCHEME_DIGEST,
        .user = SPAN_LIT("u"),
        .password = SPAN_LIT("p")};
}

static void test_a_tunnel_is_opened_with_a_login_and_kept(void **state)
{
    struct world *world = *state;
    struct server proxy;
    struct fetch fetch;

    server_start(&proxy, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));
    proxy.is_proxy = proxy.wants_login = true;
    struct pool_key key = key_of("a.test", 44300, true);
    go_through(&key, &proxy, PROXY_WAY_CONNECT);
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    assert_int_equal(fetch.body_bytes, 5);
    assert_true(fetch.stages & 1U << WAIT_PROXY && fetch.stages & 1U << WAIT_TLS);
    assert_true(fetch.info.is_tls);
    assert_int_equal(fetch.info.remote_port, proxy.port);
    assert_true(fetch.timing.tls_us >= fetch.timing.connected_us);
    assert_int_equal(proxy.n_connects, 2); /* the first was asked who it is */

    fetch_it(world, &fetch, &key);
    assert_true(fetch.was_reused);
    pool_close_idle(world->pool, 1000);
    fetch_it(world, &fetch, &key); /* the nonce is known, and the origin's session */
    assert_int_equal(proxy.n_connects, 3);
    assert_true(fetch.info.tls_resumed);
    pool_close_idle(world->pool, 1000);

    key.origin.host[0] = 'x'; /* the certificate is the origin's to show, not the proxy's */
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_TLS_VERIFY);
    assert_int_equal(fetch.failure.phase, PHASE_TLS);
    server_stop(&proxy);
}

static void test_trouble_on_the_way_is_the_proxys(void **state)
{
    struct world *world = *state;
    struct server proxy;
    struct fetch fetch;

    server_start(&proxy, NULL);
    proxy.is_proxy = proxy.wants_login = true;
    struct pool_key key = key_of("b.test", 80, false);
    go_through(&key, &proxy, PROXY_WAY_CONNECT);
    key.proxy.scheme = AUTH_SCHEME_NONE;
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_PROXY);
    assert_int_equal(fetch.failure.phase, PHASE_PROXY);
    assert_int_equal(fetch.failure.code, 407);

    key.proxy.at.host[0] = 'x';
    memcpy(key.proxy.at.host, "nowhere.invalid", sizeof("nowhere.invalid"));
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_PROXY);
    assert_int_equal(fetch.failure.phase, PHASE_DNS);

    server_stop(&proxy);
    go_through(&key, &proxy, PROXY_WAY_CONNECT);
    fetch_it(world, &fetch, &key); /* nobody there any more */
    assert_int_equal(fetch.failure.kind, FAILURE_PROXY);
    assert_int_equal(fetch.failure.phase, PHASE_CONNECT);
    assert_int_equal(fetch.failure.sys_errno, ECONNREFUSED);
}

static void test_px10_an_https_proxy_is_checked_and_leaves_no_session(void **state)
{
    struct world *world = *state;
    struct server proxy;
    struct fetch fetch;

    server_start(&proxy, NULL);
    proxy.is_proxy = true;
    proxy.proxy_tls = test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION);
    struct pool_key key = key_of("b.test", 80, false);
    go_through(&key, &proxy, PROXY_WAY_CONNECT);
    fetch_it(world, &fetch, &key); /* the machine trusts nobody */
    assert_int_equal(fetch.failure.kind, FAILURE_TLS_VERIFY);
    assert_int_equal(fetch.failure.phase, PHASE_PROXY);
    assert_int_equal(proxy.n_connects, 0);

    FILE *file = fopen(ca_path, "w"); /* now it is */
    assert_non_null(file);
    assert_true(fputs(ca_pem, file) > 0);
    assert_int_equal(fclose(file), 0);
    tls_contexts_reload(world->contexts);
    fetch_it(world, &fetch, &key);
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    assert_int_equal(fetch.body_bytes, 5);
    assert_int_equal(tls_sessions_count(world->sessions), 0);
    pool_close_idle(world->pool, 1000);
    server_stop(&proxy);
}

/* Gives up after one round, two rounds, … until the answer is faster. */
static void test_a_tunnel_may_be_given_up_at_any_step(void **state)
{
    struct world *world = *state;
    struct server proxy;
    struct fetch fetch = {0};

    server_start(&proxy, test_server_ctx(&localhost, TLS1_2_VERSION, TLS1_3_VERSION));
    proxy.is_proxy = proxy.wants_login = true;
    struct pool_key key = key_of("a.test", 44300, true);
    go_through(&key, &proxy, PROXY_WAY_CONNECT);
    for (int rounds = 0; !fetch.is_over; rounds++) {
        auth_cache_done(&world->proxy_logins); /* asked who it is each time */
        auth_cache_init(&world->proxy_logins);
        tls_contexts_reload(world->contexts);
        resolver_flush(world->resolver);
        begin(world, &fetch, &key);
        for (int i = 0; i < rounds && !fetch.is_over; i++)
            assert_int_equal(loop_turn(world->loop, true), 0);
        if (fetch.lease)
            lease_release(TAKE(fetch.lease));
        pool_close_idle(world->pool, 1000);
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
    assert_int_equal(fetch.failure.kind, FAILURE_NONE);
    server_stop(&proxy);
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_a_name_is_looked_up_dialled_and_the_connection_kept),
        WITH_WORLD(test_pl04_tls_that_verifies_shares_nothing_with_tls_that_does_not),
        WITH_WORLD(test_each_way_to_fail_has_its_name),
        WITH_WORLD(test_a_route_changes_where_it_goes_and_not_whom_it_trusts),
        WITH_WORLD(test_lb04_connecting_may_be_given_up_at_any_step),
        WITH_WORLD(test_a_tunnel_is_opened_with_a_login_and_kept),
        WITH_WORLD(test_trouble_on_the_way_is_the_proxys),
        WITH_WORLD(test_px10_an_https_proxy_is_checked_and_leaves_no_session),
        WITH_WORLD(test_a_tunnel_may_be_given_up_at_any_step),
    };

    return cmocka_run_group_tests_name("pool/connector", tests, make_certs, drop_certs);
}
