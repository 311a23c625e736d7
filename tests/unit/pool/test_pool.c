/* SPDX-License-Identifier: MIT */
/*
 * The pool over connections that are only counted: the test decides when an attempt succeeds,
 * when it fails and when a connection breaks.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "loop/answerer.h"
#include "loop/loop.h"
#include "net/address.h"
#include "net/io_priv.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_priv.h"
#include "pool/pool_stats.h"
#include "support/test.h"
#include "transport/conn.h"

#define FAKES_MAX 600

struct world;

struct fake_conn {
    struct conn conn; /* first */
    struct world *world;
    uint64_t id;
    uint64_t exchanges;
    bool is_broken;
    bool is_closed;
    bool asks_for_calm;
    bool is_early;
    enum early_data early_data;
    unsigned http_version;
    uint16_t tls_number;
    unsigned capacity;
    struct io io;       /* what its peer is asked for */
    const char *covers; /* a name its certificate is good for */
};

struct connect_attempt {
    struct world *world;
    const struct pool_key *key;
    const struct connect_events *events;
    void *owner;
    struct link link;
};

struct client {
    struct world *world;
    struct lease *lease;
    int n_ready;
    int n_failed;
    int last_wait; /* -1: not told */
    int order;     /* the how-manyth to become ready */
    struct failure failure;
    bool release_at_once;
    uint16_t rungs[8];
    int n_rungs;
};

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct pool *pool;
    struct connector connector;
    struct link attempts; /* in order of their beginning */
    int n_attempts;       /* now */
    int n_started;
    int start_error;
    struct fake_conn conns[FAKES_MAX];
    int n_conns; /* ever */
    int n_open;
    int n_ready;
    bool conns_are_tls;
    bool conns_are_early;
    uint16_t tls_number; /* of the next connections */
    uint16_t oldest;     /* what owners say, and how often they were asked */
    int n_asked;
    unsigned capacity;  /* of the next connections; 0: HTTP/1.1 */
    const char *covers; /* besides their own name */
};

static struct fake_conn *fake_of(struct conn *conn)
{
    return (struct fake_conn *)(void *)conn;
}

static bool fake_is_usable(const struct conn *conn)
{
    return !((const struct fake_conn *)(const void *)conn)->is_broken;
}

static unsigned fake_capacity(const struct conn *conn)
{
    return ((const struct fake_conn *)(const void *)conn)->capacity;
}

static bool fake_is_busy(const struct conn *conn)
{
    (void)conn;
    return false;
}

static void fake_info(const struct conn *conn, struct conn_info *ret)
{
    const struct fake_conn *fake = (const struct fake_conn *)(const void *)conn;

    *ret = (struct conn_info){.id = fake->id, .exchanges = fake->exchanges};
    ret->http_version = fake->http_version;
    ret->asks_for_calm = fake->asks_for_calm;
    ret->is_early = fake->is_early;
    ret->early_data = fake->early_data;
    ret->is_tls = fake->world->conns_are_tls;
    ret->tls_resumed = fake->id > 1;
    ret->tls_number = fake->tls_number;
}

static void fake_close(struct conn *conn)
{
    struct fake_conn *fake = fake_of(conn);

    assert_false(fake->is_closed);
    fake->is_closed = true;
    fake->world->n_open--;
}

static int fake_open_exchange(struct conn *conn,
                              const struct exchange_request *request,
                              const struct exchange_events *events,
                              void *owner,
                              struct exchange **ret)
{
    (void)request;
    (void)events;
    (void)owner;
    assert_false(fake_of(conn)->is_closed);
    fake_of(conn)->exchanges++;
    *ret = NULL;
    return 0;
}

static const struct io *fake_stream(const struct conn *conn)
{
    return &((const struct fake_conn *)(const void *)conn)->io;
}

static const struct address *fake_remote(const struct io *io)
{
    static const struct address address = {
        .in = {.sin_family = AF_INET, .sin_port = 0xbb01, .sin_addr = {.s_addr = 0x0100007f}}};

    (void)io;
    return &address;
}

static bool fake_covers_host(const struct io *io, struct span host)
{
    const char *at = (const char *)io - offsetof(struct fake_conn, io);
    const struct fake_conn *fake = (const struct fake_conn *)(const void *)at;

    return fake->covers && span_eq(host, span_of(fake->covers));
}

static const struct io_ops fake_io_ops = {.remote = fake_remote,
                                          .covers_host = fake_covers_host};

static const struct conn_ops fake_ops = {
    .open_exchange = fake_open_exchange,
    .is_usable = fake_is_usable,
    .capacity = fake_capacity,
    .is_busy = fake_is_busy,
    .info = fake_info,
    .stream = fake_stream,
    .close = fake_close,
};

static struct world *world_of_connector(struct connector *connector)
{
    return CONTAINER_OF(connector, struct world, connector);
}

static int fake_start(struct connector *connector,
                      const struct pool_key *key,
                      const struct connect_events *events,
                      void *owner,
                      struct connect_attempt **ret)
{
    struct world *world = world_of_connector(connector);
    struct connect_attempt *attempt;

    if (world->start_error)
        return world->start_error;
    attempt = calloc(1, sizeof(*attempt));
    assert_non_null(attempt);
    *attempt =
        (struct connect_attempt){.world = world, .key = key, .events = events, .owner = owner};
    list_append(&world->attempts, &attempt->link);
    world->n_attempts++;
    world->n_started++;
    events->on_stage(owner, WAIT_DNS);
    *ret = attempt;
    return 0;
}

static void fake_attempt_end(struct connect_attempt *attempt)
{
    link_remove(&attempt->link);
    attempt->world->n_attempts--;
    free(attempt);
}

static const struct connector_ops fake_connector_ops = {
    .start = fake_start,
    .cancel = fake_attempt_end,
};

static struct connect_attempt *first_attempt(struct world *world)
{
    assert_false(list_is_empty(&world->attempts));
    return CONTAINER_OF(list_first(&world->attempts), struct connect_attempt, link);
}

static struct connect_attempt *last_attempt(struct world *world)
{
    assert_false(list_is_empty(&world->attempts));
    return CONTAINER_OF(world->attempts.prev, struct connect_attempt, link);
}

static void turn(struct world *world)
{
    assert_int_equal(loop_turn(world->loop, false), 0);
}

static struct fake_conn *succeed(struct connect_attempt *attempt)
{
    struct world *world = attempt->world;
    struct fake_conn *fake = &world->conns[world->n_conns++];
    const struct connect_events *events = attempt->events;
    void *owner = attempt->owner;
    struct lease_timing timing = {.name_lookup_us = 11, .connected_us = 22, .tls_us = 33};

    assert_true(world->n_conns <= FAKES_MAX);
    *fake = (struct fake_conn){
        .conn.ops = &fake_ops, .world = world, .io.ops = &fake_io_ops, .covers = world->covers};
    fake->id = (uint64_t)world->n_conns;
    fake->http_version = world->capacity ? 20 : 11;
    fake->capacity = world->capacity ? world->capacity : 1;
    fake->tls_number = world->tls_number;
    fake->is_early = world->conns_are_early;
    world->n_open++;
    fake_attempt_end(attempt);
    events->on_connected(owner, &fake->conn, &timing);
    turn(world);
    return fake;
}

static void fail_attempt(struct connect_attempt *attempt)
{
    struct world *world = attempt->world;
    const struct connect_events *events = attempt->events;
    void *owner = attempt->owner;
    struct failure why;

    failure_set(&why, FAILURE_CONNECT, "nobody there");
    fake_attempt_end(attempt);
    events->on_failed(owner, &why);
    turn(world);
}

static void break_conn(struct fake_conn *fake)
{
    fake->is_broken = true;
    fake->conn.events->on_broken(fake->conn.owner);
    turn(fake->world);
}

static void world_init(struct world *world)
{
    struct pool_options options = pool_options_default();

    *world = (struct world){.connector.ops = &fake_connector_ops};
    link_init(&world->attempts);
    fake_clock_init(&world->clock, 1700000000);
    world->clock.now_us = 1000000;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(pool_new(&world->pool, world->loop, &world->connector, &options), 0);
}

static void world_done(struct world *world)
{
    turn(world);
    pool_free(world->pool);
    assert_int_equal(world->n_open, 0);
    assert_int_equal(world->n_attempts, 0);
    turn(world);
    loop_free(world->loop);
}

static struct pool_key key_of(uint32_t uid, const char *host)
{
    struct pool_key key = {.origin = {.port = 443, .is_https = true}, .http = POOL_HTTP_1_1};

    assert_int_equal(partition_init(&key.partition, uid, SPAN_LIT("")), 0);
    (void)snprintf(key.origin.host, sizeof(key.origin.host), "%s", host);
    return key;
}

static void on_wait(void *owner, enum wait_reason reason)
{
    struct client *client = owner;

    assert_non_null(client->lease);
    assert_int_equal(client->n_ready + client->n_failed, 0);
    client->last_wait = (int)reason;
}

static void on_ready(void *owner, struct lease *lease)
{
    struct client *client = owner;

    assert_ptr_equal(client->lease, lease);
    assert_int_equal(client->n_ready + client->n_failed, 0);
    client->n_ready++;
    client->order = ++client->world->n_ready;
    assert_true(lease_is_usable(lease));
    if (client->release_at_once)
        lease_release(TAKE(client->lease));
}

static void on_failed(void *owner, const struct failure *why)
{
    struct client *client = owner;

    assert_int_equal(client->n_ready + client->n_failed, 0);
    client->n_failed++;
    client->failure = *why;
    client->lease = NULL;
}

static const struct lease_events client_events = {
    .on_wait = on_wait,
    .on_ready = on_ready,
    .on_failed = on_failed,
};

static void ask(struct world *world, struct client *client, const struct pool_request *request)
{
    *client = (struct client){
        .world = world, .last_wait = -1, .release_at_once = client->release_at_once};
    assert_int_equal(pool_acquire(world->pool, request, &client_events, client, &client->lease),
                     POOL_OK);
    assert_int_equal(client->n_ready + client->n_failed, 0); /* never inside the call */
    assert_int_equal(client->last_wait, -1);
}

static void ask_for(struct world *world, struct client *client, const struct pool_key *key)
{
    ask(world, client, &(struct pool_request){.key = key});
}

static void release(struct client *client)
{
    struct world *world = client->world;

    lease_release(TAKE(client->lease));
    turn(world);
}

static bool count_row(void *arg, const struct connection_row *row)
{
    int *counts = arg;

    counts[row->state]++;
    return true;
}

static void assert_holds(struct world *world, unsigned connecting, unsigned busy, unsigned idle)
{
    int counts[3] = {0};

    pool_each_connection(world->pool, POOL_EVERY_UID, count_row, counts);
    assert_int_equal(counts[CONNECTION_CONNECTING], connecting);
    assert_int_equal(counts[CONNECTION_BUSY], busy);
    assert_int_equal(counts[CONNECTION_IDLE], idle);
    assert_int_equal(world->n_attempts, connecting);
    assert_int_equal(world->n_open, busy + idle);
}

static void test_a_released_connection_serves_the_next_request(void **state)
{
    struct world world;
    struct client client = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_counters counters;
    struct lease_timing timing;
    struct exchange *exchange;

    (void)state;
    world_init(&world);
    world.conns_are_tls = true;
    ask_for(&world, &client, &key);
    turn(&world);
    assert_int_equal(client.last_wait, WAIT_DNS);
    first_attempt(&world)->events->on_stage(first_attempt(&world)->owner, WAIT_TLS);
    turn(&world);
    assert_int_equal(client.last_wait, WAIT_TLS);
    world.clock.now_us = 2000000;
    succeed(first_attempt(&world));
    assert_int_equal(client.n_ready, 1);
    assert_false(lease_is_reused(client.lease));
    lease_timing(client.lease, &timing);
    assert_int_equal(timing.connected_us, 1000000); /* made before it was asked for: at once */
    assert_int_equal(lease_open_exchange(client.lease, NULL, NULL, NULL, &exchange), 0);
    release(&client);
    assert_holds(&world, 0, 0, 1);
    ask_for(&world, &client, &key);
    turn(&world);
    assert_int_equal(client.n_ready, 1);
    assert_int_equal(client.last_wait, -1);
    assert_true(lease_is_reused(client.lease));
    lease_timing(client.lease, &timing);
    assert_int_equal(timing.connected_us, 0);
    assert_true(timing.ready_us > 0);
    assert_int_equal(world.n_started, 1);
    pool_counters(world.pool, &counters);
    assert_int_equal(counters.connections_opened, 1);
    assert_int_equal(counters.connections_open, 1);
    assert_int_equal(counters.connections_reused, 1);
    assert_int_equal(counters.tls_handshakes_full, 1);
    assert_int_equal(counters.waiting, 0);
    release(&client);
    world_done(&world);
}

/* ---- early data -------------------------------------------------------------------------- */

static void ask_early(struct world *world, struct client *client, const struct pool_key *key)
{
    ask(world, client, &(struct pool_request){.key = key, .may_go_early = true});
}

static bool goes_early(struct connect_attempt *attempt)
{
    return attempt->events->goes_early(attempt->owner);
}

static void settle(struct fake_conn *fake, enum early_data early_data)
{
    fake->is_early = false;
    fake->early_data = early_data;
    fake->conn.events->on_settled(fake->conn.owner);
    turn(fake->world);
}

static void test_ts11_who_would_take_the_connection_says_whether_it_goes_early(void **state)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &clients[0], &key);
    ask_early(&world, &clients[1], &key);
    turn(&world);
    assert_int_equal(world.n_attempts, 2);
    assert_false(goes_early(first_attempt(&world))); /* the older one may not */
    assert_false(goes_early(last_attempt(&world)));
    release(&clients[0]);
    turn(&world);
    assert_int_equal(world.n_attempts, 1);
    assert_true(goes_early(first_attempt(&world)));
    ask_for(&world, &clients[2], &key);
    turn(&world);
    assert_true(goes_early(first_attempt(&world)));
    world.conns_are_early = true;
    succeed(first_attempt(&world));
    assert_int_equal(clients[1].n_ready, 1);
    assert_int_equal(clients[2].n_ready, 0);
    assert_true(lease_is_early(clients[1].lease));
    release(&clients[1]); /* never to somebody who may not go early */
    assert_int_equal(world.n_open, 0);
    assert_int_equal(clients[2].n_ready, 0);
    world.conns_are_early = false;
    succeed(first_attempt(&world));
    assert_int_equal(clients[2].n_ready, 1);
    assert_false(lease_is_early(clients[2].lease));
    release(&clients[2]);
    world_done(&world);
}

static void test_ts11_an_early_connection_is_shared_when_its_handshake_is_done(void **state)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_counters counters;

    (void)state;
    world_init(&world);
    key.http = POOL_HTTP_BEST;
    world.conns_are_tls = world.conns_are_early = true;
    world.capacity = 100;
    ask_early(&world, &clients[0], &key);
    ask_early(&world, &clients[1], &key);
    turn(&world);
    assert_int_equal(world.n_attempts, 1);
    struct fake_conn *fake = succeed(first_attempt(&world));
    ask_for(&world, &clients[2], &key);
    turn(&world);
    assert_int_equal(clients[0].n_ready, 1);
    assert_int_equal(clients[1].n_ready + clients[2].n_ready, 0);
    assert_int_equal(world.n_attempts, 0); /* and nobody opens another meanwhile */
    settle(fake, EARLY_DATA_ACCEPTED);
    assert_int_equal(clients[1].n_ready + clients[2].n_ready, 2);
    pool_counters(world.pool, &counters);
    assert_int_equal(counters.early_data_accepted, 1);
    assert_int_equal(counters.early_data_rejected, 0);
    assert_int_equal(counters.tls_handshakes_full + counters.tls_handshakes_resumed, 1);
    for (int i = 0; i < 3; i++)
        release(&clients[i]);
    assert_holds(&world, 0, 0, 1);
    world_done(&world);
}

static void test_ts11_an_early_connection_that_breaks_leaves_the_others_their_turn(void **state)
{
    struct world world;
    struct client clients[2] = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    key.http = POOL_HTTP_BEST;
    world.conns_are_early = true;
    world.capacity = 100;
    ask_early(&world, &clients[0], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    ask_for(&world, &clients[1], &key);
    turn(&world);
    break_conn(fake);
    assert_int_equal(world.n_attempts, 1);
    release(&clients[0]);
    world.conns_are_early = false;
    succeed(first_attempt(&world));
    assert_int_equal(clients[1].n_ready, 1);
    release(&clients[1]);
    world_done(&world);
}

/* ------------------------------------------------------------------------------------------ */

static void test_no_more_connections_than_allowed_and_first_come_first_served(void **state)
{
    struct world world;
    static struct client clients[100];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 100; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    assert_int_equal(world.n_attempts, 6);
    assert_int_equal(clients[5].last_wait, WAIT_DNS);
    assert_int_equal(clients[6].last_wait, WAIT_QUEUED);
    while (world.n_attempts > 0) /* whichever connects first, the oldest gets it */
        succeed(last_attempt(&world));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(clients[i].n_ready, 1);
        assert_int_equal(clients[i].order, i + 1);
        if (i + 6 < 100) {
            assert_holds(&world, 0, 6, 0);
            assert_int_equal(clients[i + 6].n_ready, 0);
        }
        release(&clients[i]);
    }
    assert_int_equal(world.n_started, 6);
    assert_holds(&world, 0, 0, 6);
    world_done(&world);
}

static void test_a_waiter_takes_what_becomes_free_before_its_own_is_made(void **state)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &clients[0], &key);
    struct fake_conn *first = succeed(first_attempt(&world));
    ask_for(&world, &clients[1], &key);
    ask_for(&world, &clients[2], &key);
    turn(&world);
    assert_int_equal(world.n_attempts, 2);
    release(&clients[0]);
    assert_int_equal(clients[1].n_ready, 1);
    assert_true(lease_is_reused(clients[1].lease));
    assert_int_equal(world.n_attempts, 2); /* one is nobody's now, and goes on */
    succeed(first_attempt(&world));        /* that one */
    assert_int_equal(clients[2].n_ready, 1);
    succeed(first_attempt(&world));
    assert_holds(&world, 0, 2, 1);
    release(&clients[1]);
    release(&clients[2]);
    assert_false(first->is_closed);
    assert_holds(&world, 0, 0, 3);
    world_done(&world);
}

#define KEYS_MAX 41

/* Each of them alone beside what nearly everybody wants, and one more of its kind. Return: how
 * many keys there are. */
static int differ_in_terms(struct pool_key keys[KEYS_MAX], int n)
{
    static const struct access_network networks[2] = {{.bits = 8}, {.bits = 16}};

    keys[n++].tls.pins = SPAN_LIT("0123456789abcdef0123456789abcdef");
    keys[n++].tls.pins = SPAN_LIT("fedcba9876543210fedcba9876543210");
    keys[n++].tls.identity = SPAN_LIT("a certificate and its key");
    keys[n++].tls.identity = SPAN_LIT("a certificate and its kez");
    keys[n].tls.identity = SPAN_LIT("a certificate and its key");
    keys[n++].tls.passphrase = SPAN_LIT("sesame");
    keys[n++].tls.status = true;
    keys[n++].tls.in_full = true;
    keys[n++].jar = SPAN_LIT("work");
    keys[n++].private_jar = 1;
    keys[n++].http = POOL_HTTP_BEST;
    keys[n].networks = (struct pool_networks){.at = networks, .n = 1, .digest = {1}};
    n++;
    keys[n].networks = (struct pool_networks){.at = networks, .n = 2, .digest = {2}};
    return n + 1;
}

/* PL01, PL03, PL04, PL05, PL06, PL07, PL08, PL09 as far as the key goes: whatever differs keeps
 * apart. */
static void
test_pl01_pl03_pl04_pl05_pl06_pl07_pl08_pl09_any_difference_is_another_connection(void **state)
{
    static const struct span addresses[] = {SPAN_LIT("127.0.0.1"), SPAN_LIT("::1")};
    static const struct span joined[] = {SPAN_LIT("127.0.0.1::1")};
    static const struct span shifted[] = {SPAN_LIT("127.0.0.1:"), SPAN_LIT(":1")};
    struct pool_key keys[KEYS_MAX];
    struct client clients[KEYS_MAX] = {0};
    struct world world;
    int n = 0;

    (void)state;
    world_init(&world);
    for (int i = 0; i < KEYS_MAX; i++)
        keys[i] = key_of(1000, "a.test");
    n = 1; /* keys[0] as it is */
    keys[n++].partition.uid = 1001;
    assert_int_equal(partition_init(&keys[n++].partition, 1000, SPAN_LIT("work")), 0);
    keys[n++].origin.host[0] = 'b';
    keys[n++].origin.port = 8443;
    keys[n++].origin.is_https = false; /* http://a.test:443 */
    for (int i = n; i < n + 10; i++) {
        keys[i].proxy = (struct pool_proxy){.way = PROXY_WAY_CONNECT,
                                            .at = {.host = "proxy.test", .port = 3128}};
        if (i > n + 4) {
            keys[i].proxy.scheme = AUTH_SCHEME_BASIC;
            keys[i].proxy.user = SPAN_LIT("ann");
            keys[i].proxy.password = SPAN_LIT("one");
        }
    }
    n++; /* a tunnel without a login */
    keys[n++].proxy.way = PROXY_WAY_SOCKS5;
    keys[n++].proxy.at.host[0] = 'P';
    keys[n++].proxy.at.port = 3129;
    keys[n++].proxy.at.is_https = true;
    n++; /* a tunnel of ann's */
    keys[n++].proxy.user = SPAN_LIT("bob");
    keys[n++].proxy.password = SPAN_LIT("two");
    keys[n].proxy.user = SPAN_LIT("anno"); /* the same letters, cut elsewhere */
    keys[n++].proxy.password = SPAN_LIT("ne");
    keys[n++].proxy.scheme = AUTH_SCHEME_DIGEST;
    keys[n++].tls.insecure = true;
    keys[n++].tls.ca_pem = SPAN_LIT("one");
    keys[n++].tls.ca_pem = SPAN_LIT("two");
    keys[n++].tls.min_version = 0x0304;
    keys[n++].tls.max_version = 0x0303;
    keys[n++].route.host = SPAN_LIT("b.test");
    keys[n++].route.port = 444;
    keys[n].route.addresses = addresses;
    keys[n++].route.n_addresses = 2;
    keys[n].route.addresses = joined;
    keys[n++].route.n_addresses = 1;
    keys[n].route.addresses = shifted;
    keys[n++].route.n_addresses = 2;
    keys[n++].family = 4;
    memcpy(keys[n++].source.v4, "127.0.0.2", sizeof("127.0.0.2"));
    memcpy(keys[n++].source.v6, "::1", sizeof("::1"));
    n = differ_in_terms(keys, n);
    assert_int_equal(n, KEYS_MAX);
    for (int i = 0; i < n; i++) {
        ask_for(&world, &clients[i], &keys[i]);
        turn(&world);
        assert_int_equal(world.n_attempts, 1);
        assert_memory_equal(&first_attempt(&world)->key->origin, &keys[i].origin,
                            sizeof(struct origin));
        succeed(first_attempt(&world));
        release(&clients[i]);
        assert_holds(&world, 0, 0, (unsigned)i + 1);
    }
    for (int i = 0; i < n; i++) { /* and each finds its own again */
        ask_for(&world, &clients[i], &keys[i]);
        turn(&world);
        assert_true(lease_is_reused(clients[i].lease));
        assert_int_equal(world.n_attempts, 0);
    }
    for (int i = 0; i < n; i++)
        release(&clients[i]);
    world_done(&world);
}

static void test_pl10_one_address_behind_two_interfaces_is_two(void **state)
{
    static const struct span one[] = {SPAN_LIT("fe80::1%eth0")};
    static const struct span other[] = {SPAN_LIT("fe80::1%eth1")};
    const struct span *const addresses[] = {one, other, one};
    struct client clients[3] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++) {
        struct pool_key key = key_of(1000, "a.test");

        key.route.addresses = addresses[i];
        key.route.n_addresses = 1;
        ask_for(&world, &clients[i], &key);
        turn(&world);
        assert_int_equal(world.n_attempts, i < 2);
        if (i < 2)
            succeed(first_attempt(&world));
        assert_int_equal(lease_is_reused(clients[i].lease), i == 2);
        release(&clients[i]);
    }
    assert_holds(&world, 0, 0, 2);
    world_done(&world);
}

static int nobody_sends(void *owner, const struct ask *ask)
{
    (void)owner;
    (void)ask;
    return -ECONNREFUSED;
}

static void nobody_withdraws(void *owner, const struct ask *ask)
{
    (void)owner;
    (void)ask;
}

/* PL05: a certificate whose key another client keeps is another login, and so is another key.
 */
static void test_pl05_what_one_client_answers_for_serves_no_other(void **state)
{
    static const struct answerer_ops ops = {nobody_sends, nobody_withdraws};
    struct client clients[4] = {0};
    struct pool_key keys[4];
    struct answerer *answerers[2];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 2; i++)
        assert_int_equal(answerer_new(&answerers[i], world.loop, &ops, NULL), 0);
    for (int i = 0; i < 4; i++) {
        keys[i] = key_of(1000, "a.test");
        keys[i].tls.answerer = i == 0 ? NULL : answerers[i == 3];
        keys[i].tls.answer_handle = i == 2 ? 2 : 1;
        ask_for(&world, &clients[i], &keys[i]);
        turn(&world);
        assert_int_equal(world.n_attempts, 1);
        succeed(first_attempt(&world));
        release(&clients[i]);
        assert_holds(&world, 0, 0, (unsigned)i + 1);
    }
    for (int i = 0; i < 4; i++) {
        ask_for(&world, &clients[i], &keys[i]);
        turn(&world);
        assert_true(lease_is_reused(clients[i].lease));
        release(&clients[i]);
    }
    for (int i = 0; i < 2; i++) /* the pool's keys keep them */
        answerer_unref(answerers[i]);
    world_done(&world);
}

static void test_the_defaults_written_out_are_the_same_tls(void **state)
{
    struct buf a = BUF_INIT(0);
    struct buf b = BUF_INIT(0);
    struct pool_key key = key_of(1, "a.test");

    (void)state;
    key.origin.is_https = false; /* what TLS wants says nothing without TLS */
    assert_int_equal(pool_key_encode(&a, &key), 0);
    key.tls.insecure = true;
    assert_int_equal(pool_key_encode(&b, &key), 0);
    assert_true(span_eq(buf_span(&a), buf_span(&b)));
    buf_done(&a);
    buf_done(&b);
}

static void test_a_dead_idle_connection_is_gone_at_once(void **state)
{
    struct world world;
    struct client clients[2] = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 2; i++)
        ask_for(&world, &clients[i], &key);
    struct fake_conn *a = succeed(first_attempt(&world));
    struct fake_conn *b = succeed(first_attempt(&world));
    release(&clients[0]);
    release(&clients[1]);
    break_conn(b);
    assert_true(b->is_closed);
    assert_holds(&world, 0, 0, 1);
    ask_for(&world, &clients[0], &key);
    turn(&world);
    assert_int_equal(clients[0].n_ready, 1);
    assert_true(clients[0].lease->pc->conn == &a->conn);

    a->is_broken = true; /* while it is held, the owner sees */
    a->conn.events->on_broken(a->conn.owner);
    assert_false(a->is_closed);
    assert_false(lease_is_usable(clients[0].lease));
    release(&clients[0]);
    assert_true(a->is_closed);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_a_connection_that_dies_before_it_is_handed_over_is_replaced(void **state)
{
    struct world world;
    struct client client = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &client, &key);
    struct fake_conn *fake = succeed(first_attempt(&world));
    release(&client);
    ask_for(&world, &client, &key); /* given, not told */
    fake->is_broken = true;
    fake->conn.events->on_broken(fake->conn.owner);
    assert_true(fake->is_closed);
    turn(&world);
    assert_int_equal(client.n_ready, 0);
    assert_int_equal(client.last_wait, WAIT_DNS);
    succeed(first_attempt(&world));
    assert_int_equal(client.n_ready, 1);
    release(&client);
    world_done(&world);
}

static void test_the_connection_used_last_is_offered_first(void **state)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 3; i++)
        ask_for(&world, &clients[i], &key);
    for (int i = 0; i < 3; i++)
        succeed(first_attempt(&world));
    struct conn *last = clients[1].lease->pc->conn;
    release(&clients[0]);
    release(&clients[2]);
    release(&clients[1]);
    ask_for(&world, &clients[0], &key);
    turn(&world);
    assert_ptr_equal(clients[0].lease->pc->conn, last);
    release(&clients[0]);
    world_done(&world);
}

static void test_idle_connections_end_by_age_and_by_number(void **state)
{
    static struct client clients[400];
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 300; i++) { /* one each of 300 hosts: 256 may stay */
        char host[32];

        (void)snprintf(host, sizeof(host), "h%d.test", i);
        struct pool_key key = key_of(1000, host);
        ask_for(&world, &clients[i], &key);
        succeed(first_attempt(&world));
        release(&clients[i]);
        fake_clock_advance_ms(&world.clock, 10);
        turn(&world);
    }
    assert_holds(&world, 0, 0, 256);
    assert_true(world.conns[43].is_closed); /* the oldest went */
    assert_false(world.conns[44].is_closed);

    struct pool_key other = key_of(1001, "a.test"); /* another uid's are not touched */
    ask_for(&world, &clients[300], &other);
    succeed(first_attempt(&world));
    release(&clients[300]);
    assert_holds(&world, 0, 0, 257);

    fake_clock_advance_ms(&world.clock, 50 * 1000 - 1000);
    turn(&world);
    turn(&world);
    assert_true(world.conns[44].is_closed);
    assert_false(world.conns[299].is_closed);
    fake_clock_advance_ms(&world.clock, 5000);
    turn(&world);
    turn(&world);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_idle_connections_of_one_key_are_limited_too(void **state)
{
    struct world world;
    struct client clients[6] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_options options = pool_options_default();

    (void)state;
    world_init(&world);
    options.idle_per_host_max = 2;
    pool_set_options(world.pool, &options);
    for (int i = 0; i < 6; i++)
        ask_for(&world, &clients[i], &key);
    for (int i = 0; i < 6; i++)
        succeed(first_attempt(&world));
    for (int i = 0; i < 6; i++)
        release(&clients[i]);
    assert_holds(&world, 0, 0, 2);
    options.idle_per_uid_max = 0; /* none at all */
    pool_set_options(world.pool, &options);
    ask_for(&world, &clients[0], &key);
    turn(&world);
    release(&clients[0]);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_closing_idle_connections_leaves_those_of_others(void **state)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key mine = key_of(1000, "a.test");
    struct pool_key yours = key_of(1001, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &clients[0], &mine);
    ask_for(&world, &clients[1], &mine);
    ask_for(&world, &clients[2], &yours);
    for (int i = 0; i < 3; i++)
        succeed(first_attempt(&world));
    release(&clients[0]);
    release(&clients[2]);
    pool_close_idle(world.pool, 1000);
    assert_holds(&world, 0, 1, 1);
    release(&clients[1]);
    pool_close_idle(world.pool, POOL_EVERY_UID);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_a_retry_gets_a_fresh_connection_and_may_push_an_idle_one_out(void **state)
{
    struct world world;
    struct client clients[8] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_request fresh = {.key = &key, .fresh_only = true};

    (void)state;
    world_init(&world);
    for (int i = 0; i < 6; i++)
        ask_for(&world, &clients[i], &key);
    for (int i = 0; i < 6; i++)
        succeed(first_attempt(&world));
    release(&clients[0]);
    assert_holds(&world, 0, 5, 1);
    ask(&world, &clients[6], &fresh);
    turn(&world);
    assert_holds(&world, 1, 5, 0);
    succeed(first_attempt(&world));
    assert_int_equal(clients[6].n_ready, 1);
    assert_false(lease_is_reused(clients[6].lease));

    /* All busy: it waits, and takes the place, not the connection, of the first released. */
    ask(&world, &clients[7], &fresh);
    ask_for(&world, &clients[0], &key);
    turn(&world);
    assert_int_equal(clients[7].last_wait, WAIT_QUEUED);
    release(&clients[1]);
    assert_holds(&world, 1, 5, 0);
    assert_int_equal(clients[0].n_ready, 0);
    release(&clients[2]);
    assert_int_equal(clients[0].n_ready, 1); /* has no such wish */
    succeed(first_attempt(&world));
    assert_int_equal(clients[7].n_ready, 1);
    assert_false(lease_is_reused(clients[7].lease));
    assert_holds(&world, 0, 6, 0);
    for (int i = 0; i < 8; i++) {
        if (clients[i].lease)
            release(&clients[i]);
    }
    world_done(&world);
}

static void test_a_failed_attempt_fails_its_sponsor_and_the_rest_go_on(void **state)
{
    struct world world;
    static struct client clients[10];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &clients[0], &key);
    succeed(first_attempt(&world)); /* somebody is there */
    for (int i = 1; i < 10; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    assert_holds(&world, 5, 1, 0);
    fail_attempt(first_attempt(&world));
    assert_int_equal(clients[1].n_failed, 1);
    assert_int_equal(clients[1].failure.kind, FAILURE_CONNECT);
    assert_holds(&world, 5, 1, 0); /* for the next in the queue */
    for (int i = 0; i < 10; i++) {
        if (clients[i].lease)
            lease_release(TAKE(clients[i].lease));
    }
    world_done(&world);
}

static void test_when_nobody_is_there_all_who_waited_hear_it(void **state)
{
    struct world world;
    static struct client clients[101];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 100; i++)
        ask_for(&world, &clients[i], &key);
    for (int i = 0; i < 5; i++) {
        fail_attempt(first_attempt(&world));
        assert_int_equal(clients[i].n_failed, 1);
        assert_int_equal(world.n_attempts, 5 - i); /* no more of the same */
        assert_int_equal(clients[6].n_failed, 0);
    }
    ask_for(&world, &clients[100], &key); /* after the attempts began: has one of its own */
    turn(&world);
    assert_int_equal(world.n_attempts, 2);
    fail_attempt(first_attempt(&world));
    assert_int_equal(clients[50].n_failed, 0);
    fail_attempt(first_attempt(&world));
    for (int i = 0; i < 101; i++)
        assert_int_equal(clients[i].n_failed, 1);
    assert_int_equal(world.n_attempts, 0);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_one_success_takes_the_verdict_back(void **state)
{
    struct world world;
    static struct client clients[20];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 20; i++) {
        clients[i].release_at_once = i > 6;
        ask_for(&world, &clients[i], &key);
    }
    for (int i = 0; i < 5; i++)
        fail_attempt(first_attempt(&world));
    succeed(first_attempt(&world));
    assert_int_equal(clients[5].n_ready, 1);
    assert_holds(&world, 5, 1, 0); /* the others' attempts begin again */
    while (world.n_attempts > 0)
        succeed(first_attempt(&world));
    for (int i = 6; i < 20; i++)
        assert_int_equal(clients[i].n_ready, 1);
    release(&clients[5]);
    release(&clients[6]);
    world_done(&world);
}

static void test_the_last_attempt_given_up_lets_the_blocked_try_again(void **state)
{
    struct world world;
    static struct client clients[8];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    for (int i = 0; i < 8; i++)
        ask_for(&world, &clients[i], &key);
    for (int i = 0; i < 5; i++)
        fail_attempt(first_attempt(&world));
    release(&clients[5]); /* the last sponsor goes */
    assert_int_equal(world.n_attempts, 2);
    succeed(first_attempt(&world));
    assert_int_equal(clients[6].n_ready, 1);
    release(&clients[6]);
    assert_int_equal(clients[7].n_ready, 1);
    release(&clients[7]);
    world_done(&world);
}

static void test_connecting_has_its_time_and_waiting_for_a_turn_has_none(void **state)
{
    struct world world;
    struct client clients[8] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_request request = {.key = &key, .connect_timeout_us = 2000000};
    struct pool_options options = pool_options_default();

    (void)state;
    world_init(&world);
    options.per_host_max = 1;
    pool_set_options(world.pool, &options);
    ask(&world, &clients[0], &request);
    succeed(first_attempt(&world));
    ask(&world, &clients[1], &request);
    turn(&world);
    fake_clock_advance_ms(&world.clock, 60000);
    turn(&world);
    assert_int_equal(clients[1].n_failed, 0);
    break_conn(CONTAINER_OF(clients[0].lease->pc->conn, struct fake_conn, conn));
    release(&clients[0]);
    assert_int_equal(world.n_attempts, 1);
    fake_clock_advance_ms(&world.clock, 1999);
    turn(&world);
    assert_int_equal(clients[1].n_failed, 0);
    fake_clock_advance_ms(&world.clock, 2);
    turn(&world);
    assert_int_equal(clients[1].n_failed, 1);
    assert_int_equal(clients[1].failure.kind, FAILURE_TIMEOUT_CONNECT);
    assert_int_equal(clients[1].failure.phase, PHASE_DNS);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_an_attempt_that_cannot_begin_fails_its_request_only(void **state)
{
    struct world world;
    struct client client = {0};
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    world.start_error = -EAGAIN;
    ask_for(&world, &client, &key);
    turn(&world);
    assert_int_equal(client.n_failed, 1);
    assert_int_equal(client.failure.kind, FAILURE_INTERNAL);
    assert_int_equal(client.failure.sys_errno, EAGAIN);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_a_lease_may_be_given_up_at_every_stage(void **state)
{
    struct world world;
    static struct client clients[8];
    struct pool_key key = key_of(1000, "a.test");

    (void)state;
    world_init(&world);
    ask_for(&world, &clients[0], &key); /* before anything was told */
    lease_release(TAKE(clients[0].lease));
    turn(&world);
    assert_holds(&world, 0, 0, 0);

    ask_for(&world, &clients[0], &key); /* while its attempt is under way */
    turn(&world);
    release(&clients[0]);
    assert_holds(&world, 0, 0, 0);

    for (int i = 0; i < 8; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    release(&clients[7]); /* in the queue */
    release(&clients[0]); /* its attempt has an heir in the queue */
    assert_int_equal(world.n_attempts, 6);
    assert_int_equal(clients[6].last_wait, WAIT_DNS);
    release(&clients[1]); /* this one has not */
    assert_int_equal(world.n_attempts, 5);
    succeed(first_attempt(&world));
    assert_int_equal(clients[2].n_ready, 1);
    release(&clients[2]); /* with a connection: serves the next */
    assert_int_equal(clients[3].n_ready, 1);
    while (world.n_attempts > 0)
        succeed(first_attempt(&world));
    for (int i = 3; i < 7; i++)
        release(&clients[i]);

    ask_for(&world, &clients[0], &key); /* given, not told */
    lease_release(TAKE(clients[0].lease));
    turn(&world);
    assert_int_equal(clients[0].n_ready, 0);

    for (int i = 0; i < 8; i++) { /* inside on_ready */
        clients[i].release_at_once = true;
        ask_for(&world, &clients[i], &key);
    }
    turn(&world);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(clients[i].n_ready, 1);
        clients[i].release_at_once = false;
    }

    pool_close_idle(world.pool, POOL_EVERY_UID); /* failed, not told */
    world.start_error = -EAGAIN;
    ask_for(&world, &clients[0], &key);
    lease_release(TAKE(clients[0].lease));
    turn(&world);
    assert_int_equal(clients[0].n_failed, 0);
    assert_holds(&world, 0, 0, 0);
    world_done(&world);
}

static void test_the_queue_has_an_end(void **state)
{
    struct world world;
    struct client clients[4] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_request request = {.key = &key};
    struct pool_options options = pool_options_default();
    struct lease *none = NULL;

    (void)state;
    world_init(&world);
    options.queue_per_key_max = 3;
    pool_set_options(world.pool, &options);
    for (int i = 0; i < 3; i++)
        ask_for(&world, &clients[i], &key);
    assert_int_equal(pool_acquire(world.pool, &request, &client_events, &clients[3], &none),
                     POOL_QUEUE_FULL);
    assert_null(none);
    for (int i = 0; i < 3; i++)
        release(&clients[i]);
    world_done(&world);
}

static bool sum_waiting(void *arg, const struct pool_row *row)
{
    unsigned *waiting = arg;

    *waiting += row->waiting;
    assert_int_equal(row->limit, 6);
    assert_true(row->connecting + row->busy + row->idle <= 6);
    assert_true(span_eq(row->origin, SPAN_LIT("https://a.test")));
    return true;
}

static void test_ten_thousand_may_wait(void **state)
{
    struct world world;
    struct client *clients = calloc(10000, sizeof(*clients));
    struct pool_key key = key_of(1000, "a.test");
    unsigned waiting = 0;

    (void)state;
    assert_non_null(clients);
    world_init(&world);
    for (int i = 0; i < 10000; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    pool_each_key(world.pool, 1000, sum_waiting, &waiting);
    assert_int_equal(waiting, 10000);
    pool_each_key(world.pool, 1001, sum_waiting, &waiting);
    assert_int_equal(waiting, 10000);
    for (int i = 1; i < 10000; i += 2)
        lease_release(TAKE(clients[i].lease));
    turn(&world);
    while (world.n_attempts > 0)
        succeed(first_attempt(&world));
    for (int i = 0; i < 10000; i += 2) {
        assert_int_equal(clients[i].order, i / 2 + 1);
        release(&clients[i]);
    }
    assert_holds(&world, 0, 0, 6);
    free(clients);
    world_done(&world);
}

/* One of HTTP/2 learns that it may carry more, or less, or that it shall leave. */
static void change_conn(struct fake_conn *fake)
{
    if (fake->is_closed || fake->is_broken || fake->http_version != 20)
        return;
    fake->capacity = (unsigned)rand() % 6;
    fake->is_broken = rand() % 6 == 0;
    fake->asks_for_calm = fake->is_broken && rand() % 3 == 0;
    fake->conn.events->on_changed(fake->conn.owner);
}

/* Random days: whatever happens, nobody is lost, nobody told twice, no limit passed. */
static void live_a_day(unsigned seed)
{
    static struct client clients[60];
    static const char *const hosts[] = {"a.test", "b.test", "c.test"};
    struct world world;

    srand(seed);
    world_init(&world);
    memset(clients, 0, sizeof(clients));
    for (int step = 0; step < 400; step++) {
        struct client *client = &clients[rand() % 60];
        struct pool_key key = key_of(1000 + (uint32_t)(rand() % 2), hosts[rand() % 3]);
        struct pool_request request = {
            .key = &key, .fresh_only = rand() % 5 == 0, .connect_timeout_us = 1000000};

        key.http = seed % 3 ? POOL_HTTP_BEST : POOL_HTTP_1_1;
        world.capacity = seed % 3 == 2 ? (unsigned)rand() % 5 : 0;
        switch (rand() % 9) {
        case 0:
        case 1:
        case 2:
            if (!client->lease)
                ask(&world, client, &request);
            break;
        case 3:
        case 4:
            if (client->lease)
                lease_release(TAKE(client->lease));
            break;
        case 5:
            if (world.n_attempts > 0 && world.n_conns < FAKES_MAX)
                succeed(rand() % 2 ? first_attempt(&world) : last_attempt(&world));
            break;
        case 6:
            if (world.n_attempts > 0)
                fail_attempt(rand() % 2 ? first_attempt(&world) : last_attempt(&world));
            break;
        case 7:
            if (world.n_conns > 0)
                change_conn(&world.conns[rand() % world.n_conns]);
            break;
        default:
            if (world.n_conns > 0) {
                struct fake_conn *fake = &world.conns[rand() % world.n_conns];

                if (!fake->is_closed && !fake->is_broken)
                    break_conn(fake);
            }
            fake_clock_advance_ms(&world.clock, rand() % 300);
            break;
        }
        if (rand() % 2)
            turn(&world);
        assert_true(world.n_attempts + world.n_open <= 6 * 6);
    }
    for (int i = 0; i < 60; i++) {
        if (clients[i].lease)
            lease_release(TAKE(clients[i].lease));
        assert_true(clients[i].n_ready + clients[i].n_failed <= 1);
    }
    world_done(&world);
}

static void test_after_any_day_the_books_balance(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++)
        live_a_day(seed);
}

static bool run_short_of_memory(uint64_t n)
{
    struct world world;
    struct client clients[3] = {0};
    struct pool_key key = key_of(1000, "a.test");
    struct pool_request request = {.key = &key, .connect_timeout_us = 1000000};
    int n_leases = 0;

    world_init(&world);
    mem_fail_at(n);
    for (int i = 0; i < 3; i++) {
        clients[i] = (struct client){.world = &world};
        int r =
            pool_acquire(world.pool, &request, &client_events, &clients[i], &clients[i].lease);
        if (r == 0)
            n_leases++;
    }
    turn(&world);
    while (world.n_attempts > 0)
        succeed(first_attempt(&world));
    for (int i = 0; i < 3; i++) {
        n_leases -= clients[i].n_ready + clients[i].n_failed;
        if (clients[i].lease)
            lease_release(TAKE(clients[i].lease));
    }
    assert_int_equal(n_leases, 0);
    turn(&world);
    bool was_short = mem_alloc_count() >= n;
    mem_fail_at(0);
    world_done(&world);
    return was_short;
}

static void test_lack_of_memory_fails_a_lease_and_nothing_else(void **state)
{
    uint64_t n = 1;

    (void)state;
    while (run_short_of_memory(n))
        n++;
    assert_true(n > 8);
}

/* ---- connections that carry many --------------------------------------------------------- */

static struct pool_key best_key(const char *host)
{
    struct pool_key key = key_of(1, host);

    key.http = POOL_HTTP_BEST;
    return key;
}

static void test_one_connection_of_http2_serves_all_who_wait(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[50] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 100;
    for (int i = 0; i < 50; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    assert_int_equal(world.n_started, 1); /* who speaks what is not known yet */
    succeed(first_attempt(&world));
    for (int i = 0; i < 50; i++) {
        assert_int_equal(clients[i].n_ready, 1);
        assert_int_equal(clients[i].order, i + 1);
    }
    assert_int_equal(world.n_started, 1);
    assert_holds(&world, 0, 1, 0);
    for (int i = 0; i < 50; i++)
        release(&clients[i]);
    assert_holds(&world, 0, 0, 1);
    world_done(&world);
}

static void test_who_waited_for_the_protocol_goes_on_with_http1_at_once(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[8] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    for (int i = 0; i < 8; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    assert_int_equal(world.n_started, 1);
    succeed(first_attempt(&world));
    assert_int_equal(clients[0].n_ready, 1);
    assert_int_equal(world.n_started, 6); /* the limit, not a dozen */
    assert_holds(&world, 5, 1, 0);
    for (int i = 0; i < 8; i++)
        release(&clients[i]);
    world_done(&world);
}

static void test_who_finds_no_room_waits_for_a_place_not_for_a_connection(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[5] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 3;
    for (int i = 0; i < 5; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    assert_int_equal(clients[2].n_ready, 1);
    assert_int_equal(clients[3].n_ready, 0);
    assert_int_equal(world.n_started, 1);
    release(&clients[1]);
    assert_int_equal(clients[3].n_ready, 1);
    fake->capacity = 4;
    fake->conn.events->on_changed(fake->conn.owner);
    turn(&world);
    assert_int_equal(clients[4].n_ready, 1);
    for (int i = 0; i < 5; i++) {
        if (clients[i].lease)
            release(&clients[i]);
    }
    world_done(&world);
}

static void test_h209_a_server_without_places_is_waited_for(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[2] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 1;
    ask_for(&world, &clients[0], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    fake->capacity = 0;
    release(&clients[0]);
    ask_for(&world, &clients[1], &key);
    turn(&world);
    assert_int_equal(clients[1].n_ready, 0);
    assert_int_equal(world.n_started, 1); /* no spin, no second connection */
    fake->capacity = 5;
    fake->conn.events->on_changed(fake->conn.owner);
    turn(&world);
    assert_int_equal(clients[1].n_ready, 1);
    release(&clients[1]);
    world_done(&world);
}

static void test_h207_a_connection_that_leaves_makes_room_for_one_other(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[4] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 100;
    ask_for(&world, &clients[0], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    fake->is_broken = true; /* no longer usable, its exchange goes on */
    fake->conn.events->on_changed(fake->conn.owner);
    for (int i = 1; i < 4; i++)
        ask_for(&world, &clients[i], &key);
    turn(&world);
    assert_int_equal(world.n_started, 2);
    succeed(first_attempt(&world));
    assert_int_equal(clients[3].n_ready, 1);
    assert_holds(&world, 0, 2, 0);
    release(&clients[0]);
    assert_holds(&world, 0, 1, 0);
    for (int i = 1; i < 4; i++)
        release(&clients[i]);
    world_done(&world);
}

static void test_who_was_not_told_yet_waits_again_when_the_connection_dies(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[3] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 100;
    ask_for(&world, &clients[0], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    ask_for(&world, &clients[1], &key);
    ask_for(&world, &clients[2], &key);
    break_conn(fake);
    assert_int_equal(clients[1].n_ready + clients[2].n_ready, 0);
    assert_int_equal(world.n_started, 2);
    release(&clients[0]); /* it had been told, and sees for itself */
    succeed(first_attempt(&world));
    assert_int_equal(clients[1].order, 2);
    assert_int_equal(clients[2].order, 3);
    release(&clients[1]);
    release(&clients[2]);
    world_done(&world);
}

static void test_pl13_a_retired_connection_gets_no_lease(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[2] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 100;
    ask_for(&world, &clients[0], &key);
    turn(&world);
    succeed(first_attempt(&world));
    lease_retire_connection(clients[0].lease);
    release(&clients[0]);
    assert_holds(&world, 0, 0, 0);
    ask_for(&world, &clients[1], &key);
    turn(&world);
    assert_int_equal(world.n_started, 2);
    release(&clients[1]);
    world_done(&world);
}

static void test_a_server_that_asks_for_calm_is_left_alone(void **state)
{
    struct pool_key key = best_key("a");
    struct client clients[2] = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 100;
    ask_for(&world, &clients[0], &key);
    turn(&world);
    struct fake_conn *fake = succeed(first_attempt(&world));
    fake->asks_for_calm = true;
    fake->is_broken = true;
    release(&clients[0]);
    ask_for(&world, &clients[1], &key);
    turn(&world);
    assert_int_equal(world.n_started, 1);
    world.clock.now_us += 1000001;
    turn(&world);
    assert_int_equal(world.n_started, 2);
    release(&clients[1]);
    world_done(&world);
}

/* ---- one connection for several names ---------------------------------------------------- */

static void allow_names(struct world *world)
{
    struct pool_options options = pool_options_default();

    options.coalesce = true;
    pool_set_options(world->pool, &options);
    world->capacity = 10;
    world->covers = "b.example";
}

static struct pool_key h2_key(uint32_t uid, const char *host)
{
    struct pool_key key = key_of(uid, host);

    key.http = POOL_HTTP_BEST;
    return key;
}

/* The look-up of the oldest attempt is through. Return: whether the attempt is gone. */
static bool find_addresses(struct world *world, const char *text)
{
    struct connect_attempt *attempt = first_attempt(world);
    struct address address;

    assert_int_equal(address_parse(span_of(text), 443, &address), 0);
    bool gone =
        attempt->events->on_addresses(attempt->owner, (struct address_list){&address, 1});
    if (gone)
        fake_attempt_end(attempt);
    turn(world);
    return gone;
}

static void open_first(struct world *world, struct client *client, const struct pool_key *key)
{
    ask_for(world, client, key);
    turn(world);
    (void)succeed(first_attempt(world));
    assert_int_equal(client->n_ready, 1);
}

static void test_pl13_a_name_rides_where_all_agree_and_nowhere_else(void **state)
{
    struct pool_key a = h2_key(1000, "a.example"), b = h2_key(1000, "b.example");
    struct pool_key others[9];
    struct client first = {0}, other = {0};
    struct world world;

    (void)state;
    world_init(&world);
    allow_names(&world);
    memset(&first, 0, sizeof(first));
    open_first(&world, &first, &a);

    for (size_t i = 0; i < 9; i++)
        others[i] = b;
    others[0].partition.uid = 1001;
    assert_int_equal(partition_init(&others[1].partition, 1000, SPAN_LIT("work")), 0);
    others[2].jar = SPAN_LIT("work");
    others[3].tls.ca_pem = SPAN_LIT("PEM");
    others[4].tls.insecure = true;
    others[5].tls.min_version = 0x0304;
    others[6].origin.port = 8443;
    (void)snprintf(others[7].origin.host, sizeof(others[7].origin.host), "c.example");
    others[8].private_jar = 1;
    for (size_t i = 0; i < 9; i++) {
        memset(&other, 0, sizeof(other));
        ask_for(&world, &other, &others[i]);
        turn(&world);
        assert_false(find_addresses(&world, "127.0.0.1"));
        assert_int_equal(other.n_ready, 0);
        release(&other);
    }
    memset(&other, 0, sizeof(other));
    ask_for(&world, &other, &b);
    turn(&world);
    assert_false(find_addresses(&world, "127.0.0.2")); /* another machine */
    assert_true(find_addresses(&world, "127.0.0.1"));
    assert_int_equal(other.n_ready, 1);
    assert_ptr_equal(other.lease->pc, first.lease->pc);
    assert_int_equal(world.n_conns, 1);
    release(&other);
    release(&first);
    world_done(&world);
}

/* Two names that ask for the same, but for something that was said of one of them. */
static void
test_pl13_names_are_not_shared_where_the_client_has_a_part_in_the_connection(void **state)
{
    static const struct answerer_ops ops = {nobody_sends, nobody_withdraws};
    static const struct span address[] = {SPAN_LIT("127.0.0.1")};
    struct pool_key like[6];

    (void)state;
    for (int i = 0; i < 6; i++)
        like[i] = h2_key(1000, "a.example");
    like[0].tls.insecure = true;
    like[1].tls.identity = SPAN_LIT("a certificate and its key");
    like[2].proxy = (struct pool_proxy){.way = PROXY_WAY_CONNECT,
                                        .at = {.host = "proxy.test", .port = 3128}};
    like[3].route.addresses = address;
    like[3].route.n_addresses = 1;
    like[4].http = POOL_HTTP_1_1;
    for (int i = 0; i < 6; i++) {
        struct client first = {0}, other = {0};
        struct answerer *answerer;
        struct world world;

        world_init(&world);
        allow_names(&world);
        assert_int_equal(answerer_new(&answerer, world.loop, &ops, NULL), 0);
        like[i].tls.answerer = i == 5 ? answerer : NULL;
        struct pool_key b = like[i];
        (void)snprintf(b.origin.host, sizeof(b.origin.host), "b.example");
        open_first(&world, &first, &like[i]);
        ask_for(&world, &other, &b);
        turn(&world);
        assert_false(find_addresses(&world, "127.0.0.1"));
        assert_int_equal(other.n_ready, 0);
        release(&other);
        release(&first);
        answerer_unref(answerer);
        world_done(&world);
    }
}

static void test_pl13_nothing_is_shared_unless_it_is_allowed(void **state)
{
    struct pool_key a = h2_key(1000, "a.example"), b = h2_key(1000, "b.example");
    struct client first = {0}, other = {0};
    struct world world;

    (void)state;
    world_init(&world);
    world.capacity = 10;
    world.covers = "b.example";
    open_first(&world, &first, &a);
    ask_for(&world, &other, &b);
    turn(&world);
    assert_false(find_addresses(&world, "127.0.0.1"));
    assert_int_equal(other.n_ready, 0);
    release(&other);
    release(&first);
    world_done(&world);
}

static void
test_pl13_a_misdirected_guest_gets_a_connection_of_its_own_and_no_other_comes(void **state)
{
    struct pool_key a = h2_key(1000, "a.example"), b = h2_key(1000, "b.example");
    struct client first = {0}, guest = {0}, next = {0}, again = {0};
    struct world world;

    (void)state;
    world_init(&world);
    allow_names(&world);
    open_first(&world, &first, &a);
    ask_for(&world, &guest, &b);
    turn(&world);
    assert_true(find_addresses(&world, "127.0.0.1"));
    lease_retire_connection(guest.lease); /* 421 */
    release(&guest);
    assert_true(lease_is_usable(first.lease)); /* its own name is served as before */

    ask_for(&world, &next, &b);
    turn(&world);
    assert_false(find_addresses(&world, "127.0.0.1"));
    assert_int_equal(next.n_ready, 0);
    release(&next);

    ask(&world, &again, &(struct pool_request){.key = &b, .fresh_only = true});
    turn(&world);
    assert_false(find_addresses(&world, "127.0.0.1"));
    (void)succeed(first_attempt(&world));
    assert_int_equal(again.n_ready, 1);
    assert_ptr_not_equal(again.lease->pc, first.lease->pc);
    release(&again);
    release(&first);
    world_done(&world);
}

static void
test_pl13_a_connection_that_breaks_takes_its_guests_with_it_untold_or_not(void **state)
{
    struct pool_key a = h2_key(1000, "a.example"), b = h2_key(1000, "b.example");
    struct client first = {0}, guest = {0};
    struct world world;

    (void)state;
    world_init(&world);
    allow_names(&world);
    open_first(&world, &first, &a);
    ask_for(&world, &guest, &b);
    turn(&world);
    struct connect_attempt *attempt = first_attempt(&world);
    struct fake_conn *fake = &world.conns[0];
    assert_true(attempt->events->on_addresses(attempt->owner,
                                              (struct address_list){fake_remote(NULL), 1}));
    fake_attempt_end(attempt);
    fake->conn.events->on_broken(fake->conn.owner); /* before the guest has been told */
    turn(&world);
    assert_int_equal(guest.n_ready, 1); /* its exchange fails at once, and it asks anew */
    assert_ptr_equal(guest.lease->pc->conn, &fake->conn);
    fake->is_broken = true;
    release(&guest);
    release(&first);
    assert_true(fake->is_closed);
    world_done(&world);
}

static void test_no_lease_state_is_a_dead_end(void **state)
{
    (void)state;
    for (int lease = 0; lease < LEASE_GONE; lease++) {
        assert_true(lease_state_may_follow((enum lease_state)lease, LEASE_GONE));
        assert_false(lease_state_may_follow(LEASE_GONE, (enum lease_state)lease));
        assert_non_null(lease_state_name((enum lease_state)lease));
    }
    assert_string_equal(connection_state_name(CONNECTION_IDLE), "idle");
}

/* ---- old versions of TLS ------------------------------------------------------------------
 */

static uint16_t say_oldest(void *owner)
{
    struct world *world = ((struct client *)owner)->world;

    world->n_asked++;
    return world->oldest;
}

/* A request that may have TLS from @oldest on; 0: it must have 1.2. */
static void
ask_tls(struct world *world, struct client *client, const struct pool_key *key, uint16_t oldest)
{
    world->oldest = oldest;
    ask(world, client, &(struct pool_request){.key = key, .oldest_tls = say_oldest});
}

static void test_ts07_an_old_connection_serves_those_alone_for_whom_it_will_do(void **state)
{
    struct world world;
    struct client old = {0}, other = {0}, strict = {0};

    (void)state;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    world.tls_number = 0x0302;
    ask_tls(&world, &old, &key, 0x0301);
    assert_int_equal(first_attempt(&world)->key->tls.old_version, 0x0301);
    succeed(first_attempt(&world));
    assert_int_equal(old.n_ready, 1);
    assert_int_equal(lease_tls_version(old.lease), 0x0302);
    release(&old);
    ask_tls(&world, &strict, &key, 0); /* the idle one is not for it */
    assert_int_equal(world.n_started, 2);
    assert_int_equal(first_attempt(&world)->key->tls.old_version, 0);
    ask_tls(&world, &other, &key, 0x0301); /* and still is for others */
    turn(&world);
    assert_int_equal(other.n_ready, 1);
    assert_int_equal(world.n_started, 2);
    succeed(first_attempt(&world)); /* a server that has no better */
    assert_int_equal(strict.n_failed, 1);
    assert_int_equal(strict.failure.kind, FAILURE_TLS_VERSION);
    assert_int_equal(world.n_open, 1);
    release(&other);
    world_done(&world);
}

static void test_what_turns_out_to_be_modern_is_shared_without_a_question(void **state)
{
    struct world world;
    struct client first = {0}, second = {0}, strict = {0};

    (void)state;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    world.tls_number = 0x0304;
    ask_tls(&world, &first, &key, 0x0301);
    ask_tls(&world, &second, &key, 0x0301); /* the same attempts */
    assert_int_equal(world.n_asked, 2);
    struct connect_attempt *late = last_attempt(&world);
    succeed(first_attempt(&world));
    assert_int_equal(first.n_ready, 1);
    assert_int_equal(late->key->tls.old_version, 0); /* nobody goes below any more */
    release(&first);
    assert_int_equal(second.n_ready, 1);
    release(&second);
    ask_tls(&world, &strict, &key, 0);
    turn(&world);
    assert_int_equal(strict.n_ready, 1);
    assert_true(lease_is_reused(strict.lease));
    assert_int_equal(world.n_asked, 2); /* what is warm asks nobody */
    world.tls_number = 0x0301;
    succeed(late); /* begun before it was known */
    assert_int_equal(world.n_open, 1);
    release(&strict);
    world_done(&world);
}

static void test_where_both_keys_are_there_already_both_stay(void **state)
{
    struct world world;
    struct client strict = {0}, old = {0}, third = {0};

    (void)state;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    world.tls_number = 0x0303;
    ask_tls(&world, &strict, &key, 0);
    ask_tls(&world, &old, &key, 0x0302);
    assert_int_equal(last_attempt(&world)->key->tls.old_version, 0x0302);
    succeed(last_attempt(&world));
    assert_int_equal(old.n_ready, 1);
    assert_int_equal(strict.n_ready, 0);
    succeed(first_attempt(&world));
    assert_int_equal(strict.n_ready, 1);
    release(&strict);
    ask_tls(&world, &third, &key, 0x0302); /* the better one is there */
    turn(&world);
    assert_int_equal(third.n_ready, 1);
    assert_true(lease_is_reused(third.lease));
    release(&third);
    release(&old);
    world_done(&world);
}

/* ---- rungs --------------------------------------------------------------------------------
 */

static struct tls_rung rung_of(uint16_t version, const char *cause)
{
    struct tls_rung rung = {.version = version};

    if (cause)
        failure_set(&rung.cause, FAILURE_TLS, "%s", cause);
    return rung;
}

static void take_rung(struct connect_attempt *attempt, uint16_t version, const char *cause)
{
    struct tls_rung rung = rung_of(version, cause);

    attempt->events->on_rung(attempt->owner, &rung);
    attempt->events->on_stage(attempt->owner, WAIT_CONNECT);
}

static void on_rung(void *owner, const struct tls_rung *rung)
{
    struct client *client = owner;

    assert_int_equal(client->n_ready + client->n_failed, 0);
    client->rungs[client->n_rungs++] = rung->version;
}

static void on_rung_release(void *owner, const struct tls_rung *rung)
{
    struct client *client = owner;

    on_rung(owner, rung);
    lease_release(TAKE(client->lease));
}

static void test_each_rung_is_told_once_before_the_connection(void **state)
{
    struct lease_events events = client_events;
    struct world world;
    struct client client = {.world = &world, .last_wait = -1};
    struct client next = {0};

    (void)state;
    events.on_rung = on_rung;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    struct pool_request request = {.key = &key};
    assert_int_equal(pool_acquire(world.pool, &request, &events, &client, &client.lease), 0);
    take_rung(first_attempt(&world), 0x0303, "first");
    turn(&world);
    assert_int_equal(client.n_rungs, 1);
    take_rung(first_attempt(&world), 0x0302, "second");
    take_rung(first_attempt(&world), 0x0301, "third");
    turn(&world);
    turn(&world);
    assert_int_equal(client.n_rungs, 3);
    assert_int_equal(client.rungs[2], 0x0301);
    world.tls_number = 0x0304;
    succeed(first_attempt(&world));
    assert_int_equal(client.n_rungs, 3);
    assert_int_equal(lease_rungs(client.lease)->n, 3);
    assert_string_equal(lease_rungs(client.lease)->at[0].cause.text, "first");
    release(&client);
    ask_for(&world, &next, &key); /* that the connection has a story is told to all of it */
    turn(&world);
    assert_int_equal(lease_rungs(next.lease)->n, 3);
    release(&next);
    world_done(&world);
}

static void test_a_lease_may_go_while_it_is_told_of_a_rung(void **state)
{
    struct lease_events events = client_events;
    struct world world;
    struct client client = {.world = &world, .last_wait = -1};

    (void)state;
    events.on_rung = on_rung_release;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    struct pool_request request = {.key = &key};
    assert_int_equal(pool_acquire(world.pool, &request, &events, &client, &client.lease), 0);
    take_rung(first_attempt(&world), 0x0303, "first");
    take_rung(first_attempt(&world), 0x0302, "second");
    turn(&world);
    assert_int_equal(client.n_rungs, 1);
    assert_int_equal(world.n_attempts, 0);
    world_done(&world);
}

static void test_a_timeout_on_a_rung_reports_the_first_error(void **state)
{
    struct world world;
    struct client client = {0};

    (void)state;
    world_init(&world);
    struct pool_key key = key_of(1, "a.test");
    ask(&world, &client, &(struct pool_request){.key = &key, .connect_timeout_us = 1000000});
    take_rung(first_attempt(&world), 0x0302, NULL); /* had worked before */
    take_rung(first_attempt(&world), 0, "is out of date");
    take_rung(first_attempt(&world), 0x0303, "the first");
    take_rung(first_attempt(&world), 0x0302, "the second");
    turn(&world);
    world.clock.now_us += 1000001;
    turn(&world);
    turn(&world);
    assert_int_equal(client.n_failed, 1);
    assert_int_equal(client.failure.kind, FAILURE_TLS);
    assert_string_equal(client.failure.text, "the first");
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ts11_who_would_take_the_connection_says_whether_it_goes_early),
        cmocka_unit_test(test_ts11_an_early_connection_is_shared_when_its_handshake_is_done),
        cmocka_unit_test(
            test_ts11_an_early_connection_that_breaks_leaves_the_others_their_turn),
        cmocka_unit_test(test_ts07_an_old_connection_serves_those_alone_for_whom_it_will_do),
        cmocka_unit_test(test_what_turns_out_to_be_modern_is_shared_without_a_question),
        cmocka_unit_test(test_where_both_keys_are_there_already_both_stay),
        cmocka_unit_test(test_each_rung_is_told_once_before_the_connection),
        cmocka_unit_test(test_a_lease_may_go_while_it_is_told_of_a_rung),
        cmocka_unit_test(test_a_timeout_on_a_rung_reports_the_first_error),
        cmocka_unit_test(test_a_released_connection_serves_the_next_request),
        cmocka_unit_test(test_no_more_connections_than_allowed_and_first_come_first_served),
        cmocka_unit_test(test_a_waiter_takes_what_becomes_free_before_its_own_is_made),
        cmocka_unit_test(
            test_pl01_pl03_pl04_pl05_pl06_pl07_pl08_pl09_any_difference_is_another_connection),
        cmocka_unit_test(test_pl10_one_address_behind_two_interfaces_is_two),
        cmocka_unit_test(test_pl05_what_one_client_answers_for_serves_no_other),
        cmocka_unit_test(test_the_defaults_written_out_are_the_same_tls),
        cmocka_unit_test(test_a_dead_idle_connection_is_gone_at_once),
        cmocka_unit_test(test_a_connection_that_dies_before_it_is_handed_over_is_replaced),
        cmocka_unit_test(test_the_connection_used_last_is_offered_first),
        cmocka_unit_test(test_idle_connections_end_by_age_and_by_number),
        cmocka_unit_test(test_idle_connections_of_one_key_are_limited_too),
        cmocka_unit_test(test_closing_idle_connections_leaves_those_of_others),
        cmocka_unit_test(test_a_retry_gets_a_fresh_connection_and_may_push_an_idle_one_out),
        cmocka_unit_test(test_a_failed_attempt_fails_its_sponsor_and_the_rest_go_on),
        cmocka_unit_test(test_when_nobody_is_there_all_who_waited_hear_it),
        cmocka_unit_test(test_one_success_takes_the_verdict_back),
        cmocka_unit_test(test_the_last_attempt_given_up_lets_the_blocked_try_again),
        cmocka_unit_test(test_connecting_has_its_time_and_waiting_for_a_turn_has_none),
        cmocka_unit_test(test_an_attempt_that_cannot_begin_fails_its_request_only),
        cmocka_unit_test(test_a_lease_may_be_given_up_at_every_stage),
        cmocka_unit_test(test_the_queue_has_an_end),
        cmocka_unit_test(test_ten_thousand_may_wait),
        cmocka_unit_test(test_after_any_day_the_books_balance),
        cmocka_unit_test(test_lack_of_memory_fails_a_lease_and_nothing_else),
        cmocka_unit_test(test_one_connection_of_http2_serves_all_who_wait),
        cmocka_unit_test(test_who_waited_for_the_protocol_goes_on_with_http1_at_once),
        cmocka_unit_test(test_who_finds_no_room_waits_for_a_place_not_for_a_connection),
        cmocka_unit_test(test_h209_a_server_without_places_is_waited_for),
        cmocka_unit_test(test_h207_a_connection_that_leaves_makes_room_for_one_other),
        cmocka_unit_test(test_who_was_not_told_yet_waits_again_when_the_connection_dies),
        cmocka_unit_test(test_pl13_a_retired_connection_gets_no_lease),
        cmocka_unit_test(test_a_server_that_asks_for_calm_is_left_alone),
        cmocka_unit_test(test_no_lease_state_is_a_dead_end),
        cmocka_unit_test(test_pl13_a_name_rides_where_all_agree_and_nowhere_else),
        cmocka_unit_test(
            test_pl13_names_are_not_shared_where_the_client_has_a_part_in_the_connection),
        cmocka_unit_test(test_pl13_nothing_is_shared_unless_it_is_allowed),
        cmocka_unit_test(
            test_pl13_a_misdirected_guest_gets_a_connection_of_its_own_and_no_other_comes),
        cmocka_unit_test(
            test_pl13_a_connection_that_breaks_takes_its_guests_with_it_untold_or_not),
    };

    return cmocka_run_group_tests_name("pool/pool", tests, NULL, NULL);
}
