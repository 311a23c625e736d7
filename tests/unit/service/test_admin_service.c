/* SPDX-License-Identifier: MIT */
/* Listings: what each topic shows, and to whom. */
#include <stdio.h>
#include <stdlib.h>

#include "service/arena.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

#define OK_5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHELLO"

static void ask(struct fake_client *client, uint32_t id, Xhrd__V1__AdminTopic topic)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.command_id = id;
    what.topic = topic;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &what;
    client_clear(client);
    client_tell(client, &message);
    client_hears(client);
}

static const Xhrd__V1__AdminReply *reply_to(struct fake_client *client,
                                            Xhrd__V1__AdminTopic topic)
{
    ask(client, 9, topic);
    assert_string_equal(client->story, "admin(9) ");
    return client->last->admin;
}

static void test_status_counts_what_happened(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 0);
    for (uint32_t id = 1; id <= 2; id++) {
        client_get(&client, id);
        server_says(&world.net, OK_5);
        client_hears(&client);
    }
    client_get(&client, 3);
    world.net.refuse = FAILURE_CONNECT;
    world_pass_ms(&world.net, 12000);
    const Xhrd__V1__Status *status =
        reply_to(&client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS)->status;
    assert_non_null(status);
    assert_memory_equal(status->version.data, "0.test", 6);
    assert_memory_equal(status->state_dir.data, "/state", 6);
    assert_memory_equal(status->socket_path.data, "/socket", 7);
    assert_int_equal(status->uptime_s, 12);
    assert_int_equal(status->clients, 1);
    assert_int_equal(status->requests_active, 1);
    assert_int_equal(status->requests_total, 3);
    assert_int_equal(status->requests_failed, 0);
    assert_int_equal(status->connections_open, 1);
    assert_int_equal(status->connections_opened, 1);
    assert_int_equal(status->connections_reused, 2);
    assert_int_equal(status->bytes_down, 10);
    assert_int_equal(status->cookies, 7);
    assert_true(status->persistence_lost);
    client_done(&client);
    service_world_done(&world);
}

/* A sum over all would tell when another one asks, how much he was told, and whether he had the
 * connection already. */
static void test_ip03_cd09_status_tells_a_user_of_his_own_and_of_nobody_else(void **state)
{
    Xhrd__V1__AdminTopic topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS;
    struct service_world world;
    struct fake_client mine;
    struct fake_client theirs;
    struct fake_client root;

    (void)state;
    service_world_init(&world);
    client_ready(&mine, &world, 1000);
    client_ready(&theirs, &world, 1001);
    client_ready(&root, &world, 0);
    for (uint32_t id = 1; id <= 2; id++) {
        client_get(&mine, id);
        server_says(&world.net, OK_5);
        client_hears(&mine);
    }
    client_get(&mine, 3);
    ask(&mine, 8, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_MONITOR);
    const Xhrd__V1__Status *status = reply_to(&theirs, topic)->status;
    assert_false(status->shows_all);
    assert_int_equal(status->clients, 1);
    assert_int_equal(status->requests_active, 0);
    assert_int_equal(status->requests_total, 0);
    assert_int_equal(status->bytes_down, 0);
    assert_int_equal(status->connections_open, 0);
    assert_int_equal(status->connections_opened, 0);
    assert_int_equal(status->connections_reused, 0);
    assert_int_equal(status->cookies, 0);
    assert_int_equal(status->monitors, 0);

    status = reply_to(&mine, topic)->status;
    assert_int_equal(status->clients, 1);
    assert_int_equal(status->requests_active, 1);
    assert_int_equal(status->requests_total, 3);
    assert_int_equal(status->requests_failed, 0);
    assert_int_equal(status->bytes_down, 10);
    assert_int_equal(status->connections_open, 1);
    assert_int_equal(status->connections_opened, 1);
    assert_int_equal(status->connections_reused, 1);
    assert_int_equal(status->cookies, 4);
    assert_int_equal(status->monitors, 1);

    status = reply_to(&root, topic)->status;
    assert_true(status->shows_all);
    assert_int_equal(status->clients, 3);
    assert_int_equal(status->requests_total, 3);
    assert_int_equal(status->cookies, 7);
    client_done(&mine);
    client_done(&theirs);
    client_done(&root);
    service_world_done(&world);
}

static const Xhrd__V1__AdminTopic listings[] = {
    XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS,
    XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS,
    XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CONNECTIONS,
    XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS,
};

static struct span text_of(ProtobufCBinaryData bytes)
{
    return (struct span){(const char *)bytes.data, bytes.len};
}

static void test_tls_sessions_are_told_of_to_whose_they_are(void **state)
{
    Xhrd__V1__AdminTopic topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_TLS_SESSIONS;
    struct service_world world;
    struct fake_client mine;
    struct fake_client root;

    (void)state;
    service_world_init(&world);
    client_ready(&mine, &world, 1000);
    client_ready(&root, &world, 0);
    const Xhrd__V1__AdminReply *reply = reply_to(&mine, topic);
    assert_int_equal(reply->n_tls_sessions, 2);
    assert_true(
        span_eq(text_of(reply->tls_sessions[0]->origin), SPAN_LIT("https://a.example")));
    assert_true(
        span_eq(text_of(reply->tls_sessions[1]->origin), SPAN_LIT("https://[::1]:8443")));
    assert_string_equal(reply->tls_sessions[1]->profile, "p");
    assert_int_equal(reply->tls_sessions[1]->left_s, 2);
    assert_int_equal(reply->tls_sessions[1]->uses, 3);
    assert_int_equal(reply_to(&root, topic)->n_tls_sessions, 3);
    client_done(&mine);
    client_done(&root);
    service_world_done(&world);
}

static void test_ip03_a_user_is_shown_his_own_rows_and_root_everybodys(void **state)
{
    struct service_world world;
    struct fake_client mine;
    struct fake_client theirs;
    struct fake_client root;

    (void)state;
    service_world_init(&world);
    client_ready(&mine, &world, 1000);
    client_ready(&theirs, &world, 1001);
    client_ready(&root, &world, 0);
    client_get(&mine, 1);
    client_get(&theirs, 1);
    client_get(&theirs, 2);
    for (size_t i = 0; i < sizeof(listings) / sizeof(listings[0]); i++) {
        bool pools = listings[i] == XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS;
        bool clients = listings[i] == XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS;

        ask(&mine, 1, listings[i]);
        assert_int_equal(mine.n_rows, 1);
        ask(&theirs, 1, listings[i]);
        assert_int_equal(theirs.n_rows, pools || clients ? 1 : 2);
        ask(&root, 1, listings[i]);
        assert_int_equal(root.n_rows, pools ? 2 : 3);
    }
    client_done(&mine);
    client_done(&theirs);
    client_done(&root);
    service_world_done(&world);
}

static void test_rows_tell_who_what_and_how_far(void **state)
{
    struct service_world world;
    struct fake_client client;
    Xhrd__V1__OpenRequest open;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    open_message_init(&open, 1);
    open.url = pb_bytes("http://u:secret@a.com/path?secret#f");
    client_open(&client, &open);
    client_hears(&client);
    server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHELLO");
    world_pass_ms(&world.net, 3000);

    const Xhrd__V1__AdminReply *reply =
        reply_to(&client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CLIENTS);
    assert_int_equal(reply->n_clients, 1);
    assert_int_equal(reply->clients[0]->uid, 1000);
    assert_int_equal(reply->clients[0]->pid, 4711);
    assert_memory_equal(reply->clients[0]->program.data, "test", 4);
    assert_int_equal(reply->clients[0]->requests_active, 1);
    assert_int_equal(reply->clients[0]->requests_total, 1);
    assert_int_equal(reply->clients[0]->connected_s, 3);
    uint64_t client_id = reply->clients[0]->client_id;

    reply = reply_to(&client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS);
    assert_int_equal(reply->n_requests, 1);
    assert_int_equal(reply->requests[0]->client_id, client_id);
    assert_int_equal(reply->requests[0]->url.len, strlen("http://a.com/path"));
    assert_memory_equal(reply->requests[0]->url.data, "http://a.com/path", 17);
    assert_memory_equal(reply->requests[0]->method.data, "GET", 3);
    assert_memory_equal(reply->requests[0]->state.data, "receiving", 9);
    assert_int_equal(reply->requests[0]->body_bytes, 5);
    assert_int_equal(reply->requests[0]->age_us, 3000000);
    uint64_t connection_id = reply->requests[0]->connection_id;

    reply = reply_to(&client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CONNECTIONS);
    assert_int_equal(reply->n_connections, 1);
    assert_int_equal(reply->connections[0]->connection_id, connection_id);
    assert_memory_equal(reply->connections[0]->origin.data, "http://a.com", 12);
    assert_memory_equal(reply->connections[0]->state.data, "busy", 4);
    assert_int_equal(reply->connections[0]->exchanges, 1);
    assert_int_equal(reply->connections[0]->tls.len, 0);

    reply = reply_to(&client, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_POOLS);
    assert_int_equal(reply->n_pools, 1);
    assert_int_equal(reply->pools[0]->busy, 1);
    assert_int_equal(reply->pools[0]->limit, 6);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_long_listing_comes_in_pages(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.net.hold_connects = true;
    client_ready(&client, &world, 1000);
    for (uint32_t id = 1; id <= 1100; id++) {
        Xhrd__V1__OpenRequest open;

        open_message_init(&open, id);
        client_open(&client, &open);
        if (id % 100 == 0)
            client_clear(&client);
    }
    ask(&client, 2, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS);
    assert_string_equal(client.story, "admin(2,more) admin(2,more) admin(2) ");
    assert_int_equal(client.n_rows, 1100);
    client_done(&client);
    service_world_done(&world);
}

static void test_ip20_a_listing_that_does_not_fit_fails_and_the_connection_stays(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_BYTES] = 320000; /* most of it is the requests' */
    service_world_restart(&world);
    world.net.hold_connects = true;
    client_ready(&client, &world, 1000);
    for (uint32_t id = 1; id <= 1100; id++) {
        Xhrd__V1__OpenRequest open;

        open_message_init(&open, id);
        open.url =
            pb_bytes("http://a.com/a-path-long-enough-to-make-a-page-of-rows-too-long-for-"
                     "this-user/and-then-some-more-of-it-so-that-512-are-a-lot");
        client_open(&client, &open);
        if (id % 100 == 0)
            client_clear(&client);
    }
    ask(&client, 2, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_REQUESTS);
    assert_string_equal(client.story, "admin(2,more) admin(2,quota) "); /* and no page after */
    ask(&client, 3, XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_STATUS);
    assert_string_equal(client.story, "admin(3) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_a_listing_without_rows_is_one_reply(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (size_t i = 1; i < sizeof(listings) / sizeof(listings[0]); i++) {
        ask(&client, 3, listings[i]);
        assert_string_equal(client.story, "admin(3) ");
        assert_int_equal(client.n_rows, 0);
    }
    client_done(&client);
    service_world_done(&world);
}

/* ---- the arena messages are unpacked into -------------------------------------------------
 */

static void test_pieces_of_the_arena_lie_apart_and_aligned(void **state)
{
    static struct arena arena;
    char *pieces[3000];
    int n = 0;

    (void)state;
    arena_init(&arena);
    for (; n < 3000; n++) {
        size_t size = (size_t)(n * 7) % 40;

        pieces[n] = arena_alloc(&arena, size);
        assert_non_null(pieces[n]);
        assert_int_equal((uintptr_t)pieces[n] % 16, 0);
        memset(pieces[n], n % 251, size);
    }
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < (size_t)(i * 7) % 40; k++)
            assert_int_equal((unsigned char)pieces[i][k], i % 251);
        arena_release(&arena, pieces[i]);
    }
    arena_reset(&arena);
    arena_release(&arena, arena_alloc(&arena, ARENA_BYTES)); /* all of it */
    arena_release(&arena, arena_alloc(&arena, 0));           /* and nothing behind it */
    arena_release(&arena, arena_alloc(&arena, ARENA_BYTES + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_sessions_are_told_of_to_whose_they_are),
        cmocka_unit_test(test_status_counts_what_happened),
        cmocka_unit_test(test_ip03_cd09_status_tells_a_user_of_his_own_and_of_nobody_else),
        cmocka_unit_test(test_ip03_a_user_is_shown_his_own_rows_and_root_everybodys),
        cmocka_unit_test(test_rows_tell_who_what_and_how_far),
        cmocka_unit_test(test_a_long_listing_comes_in_pages),
        cmocka_unit_test(test_ip20_a_listing_that_does_not_fit_fails_and_the_connection_stays),
        cmocka_unit_test(test_a_listing_without_rows_is_one_reply),
        cmocka_unit_test(test_pieces_of_the_arena_lie_apart_and_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
