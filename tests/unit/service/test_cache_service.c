/* SPDX-License-Identifier: MIT */
/* Stored answers: listed in pages, taken out by URL and host, of a store that the test plays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "policy/cache_access.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

/* The store's side. */
static struct {
    unsigned n_rows;
    size_t url_len; /* of each; 0: as they are */
    bool must_wait;
    struct cache_wait *waits[80];
    unsigned n_waits;
    char cleared[64];
    char profile[PARTITION_PROFILE_MAX];
    uint32_t uid;
} store;

static int fake_open(void *owner, const struct partition *who, struct cache_wait *wait)
{
    (void)owner;
    store.uid = who->uid;
    memcpy(store.profile, who->profile, sizeof(store.profile));
    if (!store.must_wait)
        return 0;
    wait->store = &store;
    store.waits[store.n_waits++] = wait;
    return 1;
}

static void fake_open_cancel(struct cache_wait *wait)
{
    wait->store = NULL;
    for (unsigned i = 0; i < store.n_waits; i++) {
        if (store.waits[i] == wait)
            store.waits[i] = NULL;
    }
}

static void tell_ready(void)
{
    unsigned n = store.n_waits;

    store.n_waits = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!store.waits[i])
            continue;
        store.waits[i]->store = NULL;
        store.waits[i]->on_ready(store.waits[i]->owner);
    }
}

static void fake_each(void *owner,
                      const struct partition *who,
                      void (*fn)(void *arg, const struct cache_row *row),
                      void *arg)
{
    static char url[8192];

    (void)owner;
    (void)who;
    memset(url, 'x', sizeof(url));
    for (unsigned i = 0; i < store.n_rows; i++) {
        int n = snprintf(url, sizeof(url), "http://%s.com/%u", i % 2 ? "b" : "a", i);
        struct cache_row row = {.url = {url, store.url_len ? store.url_len : (size_t)n},
                                .vary = SPAN_LIT("Accept"),
                                .status = 200,
                                .body_bytes = 5,
                                .age_s = 7,
                                .lifetime_s = 60,
                                .used_s = 1800000000};

        fn(arg, &row);
    }
}

static uint64_t fake_clear(void *owner, const struct partition *who, struct span what)
{
    (void)owner;
    (void)who;
    (void)snprintf(store.cleared, sizeof(store.cleared), "%.*s", (int)what.len, what.ptr);
    return 3;
}

static struct service_world world;
static struct fake_client client;

static int setup(void **state)
{
    static const struct cache_access access = {.open = fake_open,
                                               .open_cancel = fake_open_cancel,
                                               .each = fake_each,
                                               .clear = fake_clear,
                                               .owner = &store};

    (void)state;
    memset(&store, 0, sizeof(store));
    service_world_init(&world);
    world.net.fetcher->cache = access;
    client_ready(&client, &world, 1000);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_done(&client);
    world_turn(&world.net);
    for (unsigned i = 0; i < store.n_waits; i++)
        assert_null(store.waits[i]);
    world.net.fetcher->cache = (struct cache_access){0};
    service_world_done(&world);
    return 0;
}

static void ask(uint32_t id, bool clears, const char *what)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AdminCommand command = XHRD__V1__ADMIN_COMMAND__INIT;

    command.command_id = id;
    command.topic = clears ? XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE_CLEAR
                           : XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE;
    command.host = pb_bytes(what);
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &command;
    client_tell(&client, &message);
    client_hears(&client);
}

static void test_what_there_is_is_listed(void **state)
{
    (void)state;
    ask(1, false, "");
    assert_string_equal(client.story, "admin(1) ");
    assert_int_equal(client.last->admin->n_cache, 0);
    assert_int_equal(store.uid, 1000);
    store.n_rows = 3;
    ask(2, false, "A.com");
    const Xhrd__V1__AdminReply *reply = client.last->admin;
    assert_int_equal(reply->n_cache, 2);
    assert_memory_equal(reply->cache[1]->url.data, "http://a.com/2", 14);
    assert_int_equal(reply->cache[1]->status, 200);
    assert_int_equal(reply->cache[1]->body_bytes, 5);
    assert_int_equal(reply->cache[1]->age_s, 7);
    assert_int_equal(reply->cache[1]->lifetime_s, 60);
    assert_int_equal(reply->cache[1]->used_s, 1800000000);
    assert_memory_equal(reply->cache[1]->vary.data, "Accept", 6);
    ask(3, false, "HTTP://b.com:80/1#x");
    assert_int_equal(client.last->admin->n_cache, 1);
}

static void test_a_long_list_comes_in_pages(void **state)
{
    (void)state;
    store.n_rows = 600;
    ask(1, false, "");
    assert_string_equal(client.story, "admin(1,more) admin(1,more) admin(1) ");
    client_clear(&client);
    store.n_rows = 40;
    store.url_len = 4096;
    ask(2, false, "");
    assert_string_equal(client.story, "admin(2,more) admin(2,more) admin(2) ");
}

static void test_what_is_taken_out_is_counted(void **state)
{
    (void)state;
    ask(1, true, "");
    assert_string_equal(client.story, "admin(1) ");
    assert_int_equal(client.last->admin->removed, 3);
    assert_string_equal(store.cleared, "");
    ask(2, true, "a.com:81");
    assert_string_equal(store.cleared, "a.com:81");
    ask(3, true, "http://u@A.com:80/b#c");
    assert_string_equal(store.cleared, "http://a.com/b");
}

static void test_what_is_no_url_is_refused_and_the_connection_stays(void **state)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AdminCommand command = XHRD__V1__ADMIN_COMMAND__INIT;

    (void)state;
    ask(1, true, "http://[");
    command.command_id = 2;
    command.topic = XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_CACHE_CLEAR;
    command.host = (ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "a\0b"};
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &command;
    client_tell(&client, &message);
    client_hears(&client);
    assert_string_equal(client.story, "admin(1,argument) admin(2,argument) ");
    assert_string_equal(store.cleared, "");
    client_clear(&client);
    world.net.fetcher->cache.owner = NULL; /* no state directory */
    ask(3, false, "");
    assert_string_equal(client.story, "admin(3,policy) ");
    assert_false(client.is_over);
}

static void test_commands_wait_but_not_any_number_of_them(void **state)
{
    (void)state;
    store.must_wait = true;
    for (uint32_t id = 1; id <= 64; id++)
        ask(id, false, "");
    assert_string_equal(client.story, "");
    ask(65, false, "");
    assert_string_equal(client.story, "admin(65,quota) ");
    client_clear(&client);
    tell_ready();
    client_hears(&client);
    assert_int_equal(client.n_replies, 64);
}

static void test_a_client_may_leave_while_its_command_waits(void **state)
{
    (void)state;
    store.must_wait = true;
    ask(1, true, "");
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0); /* it still listens */
    client_hears(&client);
    assert_false(client.is_over);
    tell_ready();
    client_hears(&client);
    assert_string_equal(client.story, "admin(1) ");
    assert_true(client.is_over);
    client_done(&client);
    client_ready(&client, &world, 1000);
    ask(2, true, ""); /* and is gone: see teardown() */
}

static void test_every_failing_allocation_is_an_answer(void **state)
{
    static const char both[] = "\x04\x42\x02\x10\x0a\x0b\x42\x09\x10\x0b\x1a\x05"
                               "a.com";

    (void)state;
    store.n_rows = 3;
    for (uint64_t n = 1; n < 40; n++) {
        client_done(&client);
        client_ready(&client, &world, 1000);
        client_send_bytes(&client, both, sizeof(both) - 1);
        mem_fail_at(n);
        world_turn(&world.net);
        mem_fail_at(0);
        client_hears(&client);
        assert_true(client.is_over || client.n_replies >= 1);
    }
}

#define CACHE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CACHE_TEST(test_what_there_is_is_listed),
        CACHE_TEST(test_a_long_list_comes_in_pages),
        CACHE_TEST(test_what_is_taken_out_is_counted),
        CACHE_TEST(test_what_is_no_url_is_refused_and_the_connection_stays),
        CACHE_TEST(test_commands_wait_but_not_any_number_of_them),
        CACHE_TEST(test_a_client_may_leave_while_its_command_waits),
        CACHE_TEST(test_every_failing_allocation_is_an_answer),
    };

    return cmocka_run_group_tests_name("service/cache_service", tests, NULL, NULL);
}
