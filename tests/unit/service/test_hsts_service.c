/* SPDX-License-Identifier: MIT */
/* The hosts that want https: listed in pages, taken out when the disk has it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "policy/hsts.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static void ask(struct fake_client *client, uint32_t id, const char *remove)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AdminCommand what = XHRD__V1__ADMIN_COMMAND__INIT;

    what.command_id = id;
    what.topic = remove ? XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS_REMOVE
                        : XHRD__V1__ADMIN_TOPIC__ADMIN_TOPIC_HSTS;
    if (remove)
        what.host = pb_bytes(remove);
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ADMIN;
    message.admin = &what;
    client_tell(client, &message);
    client_hears(client);
}

static void know(struct service_world *world, const char *name, int64_t expires_s)
{
    struct hsts_host host = {
        .host = span_of(name), .expires_s = expires_s, .include_subdomains = true};

    assert_true(hsts_restore(world->net.hosts, &host, 1800000000) >= 0);
}

static void test_hosts_are_listed_by_name_without_the_expired(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    ask(&client, 1, NULL);
    assert_string_equal(client.story, "admin(1) ");
    assert_int_equal(client.last->admin->n_hsts, 0);
    know(&world, "b.com", 1800005000);
    know(&world, "a.com", 1800009000);
    know(&world, "old.com", 1800000010);
    world_pass_ms(&world.net, 20000);
    ask(&client, 2, NULL);
    const Xhrd__V1__AdminReply *reply = client.last->admin;
    assert_int_equal(reply->n_hsts, 2);
    assert_memory_equal(reply->hsts[0]->host.data, "a.com", 5);
    assert_int_equal(reply->hsts[0]->expires_s, 1800009000);
    assert_true(reply->hsts[0]->include_subdomains);
    assert_memory_equal(reply->hsts[1]->host.data, "b.com", 5);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_long_list_comes_in_pages(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    for (int i = 0; i < 600; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "h%d.com", i);
        know(&world, name, 1800009000);
    }
    ask(&client, 1, NULL);
    assert_string_equal(client.story, "admin(1,more) admin(1) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_what_is_taken_out_is_answered_when_the_disk_has_it(void **state)
{
    for (int saved = 0; saved < 2; saved++) {
        struct service_world world;
        struct fake_client client;

        (void)state;
        service_world_init(&world);
        world.net.commit_result = COOKIE_COMMIT_WAIT;
        client_ready(&client, &world, 1000);
        know(&world, "a.com", 1800009000);
        ask(&client, 1, "A.com.");
        assert_string_equal(client.story, "");
        assert_int_equal(hsts_count(world.net.hosts), 0);
        world_cookies_committed(&world.net, saved);
        client_hears(&client);
        assert_string_equal(client.story, "admin(1) ");
        assert_int_equal(client.last->admin->removed, 1);
        assert_int_equal(client.last->admin->not_persisted, !saved);
        client_clear(&client);
        ask(&client, 2, "a.com"); /* it is not there: nothing to wait for */
        assert_string_equal(client.story, "admin(2) ");
        assert_int_equal(client.last->admin->removed, 0);
        client_done(&client);
        service_world_done(&world);
    }
}

static void test_what_is_no_host_is_refused_and_the_connection_stays(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    ask(&client, 1, "a b");
    ask(&client, 2, "");
    assert_string_equal(client.story, "admin(1,argument) admin(2,argument) ");
    client_clear(&client);
    world.net.hosts_result = -EDQUOT;
    ask(&client, 3, NULL);
    world.net.hosts_result = -ENOMEM;
    ask(&client, 4, NULL);
    assert_string_equal(client.story, "admin(3,quota) admin(4,internal) ");
    assert_false(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_commands_wait_for_the_hosts_but_not_any_number_of_them(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.net.hosts_result = COOKIE_OPEN_WAIT;
    client_ready(&client, &world, 1000);
    for (uint32_t id = 1; id <= 64; id++)
        ask(&client, id, NULL);
    assert_string_equal(client.story, "");
    ask(&client, 65, NULL);
    assert_string_equal(client.story, "admin(65,quota) ");
    client_clear(&client);
    world_cookies_ready(&world.net);
    client_hears(&client);
    assert_int_equal(client.n_replies, 64);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_client_may_leave_while_its_command_waits(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct service_world world;
        struct fake_client client;

        (void)state;
        service_world_init(&world);
        world.net.commit_result = COOKIE_COMMIT_WAIT;
        client_ready(&client, &world, 1000);
        know(&world, "a.com", 1800009000);
        if (how == 0)
            world.net.hosts_result = COOKIE_OPEN_WAIT;
        ask(&client, 1, "a.com");
        if (how == 2) { /* it still listens */
            assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
            client_hears(&client);
            assert_false(client.is_over);
            world_cookies_committed(&world.net, true);
            client_hears(&client);
            assert_string_equal(client.story, "admin(1) ");
            assert_true(client.is_over);
        }
        client_done(&client);
        world_turn(&world.net);
        assert_true(list_is_empty(&world.net.cookie_waiters));
        assert_int_equal(world.net.n_commits, 0);
        service_world_done(&world);
    }
}

static void test_every_failing_allocation_is_an_answer(void **state)
{
    uint64_t n;

    (void)state;
    for (n = 1; n < 60; n++) {
        struct service_world world;
        struct fake_client client;

        service_world_init(&world);
        client_ready(&client, &world, 1000);
        know(&world, "a.com", 1800009000);
        static const char both[] = "\x04\x42\x02\x10\x06\x0b\x42\x09\x10\x07\x1a\x05"
                                   "a.com";
        mem_fail_at(n);
        assert_int_equal(send(client.fd, both, sizeof(both) - 1, MSG_NOSIGNAL),
                         sizeof(both) - 1);
        world_turn(&world.net);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        client_hears(&client);
        assert_true(client.is_over || client.n_replies == 2);
        client_done(&client);
        service_world_done(&world);
        if (!ran_out)
            break;
    }
    assert_true(n > 4 && n < 59);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts_are_listed_by_name_without_the_expired),
        cmocka_unit_test(test_a_long_list_comes_in_pages),
        cmocka_unit_test(test_what_is_taken_out_is_answered_when_the_disk_has_it),
        cmocka_unit_test(test_what_is_no_host_is_refused_and_the_connection_stays),
        cmocka_unit_test(test_commands_wait_for_the_hosts_but_not_any_number_of_them),
        cmocka_unit_test(test_a_client_may_leave_while_its_command_waits),
        cmocka_unit_test(test_every_failing_allocation_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
