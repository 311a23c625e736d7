/* SPDX-License-Identifier: MIT */
/* Clients by hand: hello, what is refused before and after it, limits, ends. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static void hello_of(struct fake_client *client, uint32_t protocol, const char *profile)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__ClientHello hello = XHRD__V1__CLIENT_HELLO__INIT;

    hello.protocol = protocol;
    hello.program = pb_bytes("a\x1b[31mprogram with a name of more than sixty-four bytes, "
                             "which is far more than fits");
    hello.profile = (char *)(uintptr_t)profile;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_HELLO;
    message.hello = &hello;
    client_tell(client, &message);
    client_hears(client);
}

static void test_hello_is_answered_with_who_one_is_and_the_limits(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_connect(&client, &world, 4242);
    hello_of(&client, 1, "work");
    assert_string_equal(client.story, "hello ");
    const Xhrd__V1__ServerHello *hello = client.last->hello;
    assert_int_equal(hello->protocol, 1);
    assert_int_equal(hello->uid, 4242);
    assert_int_equal(hello->frame_bytes_max, 1048576);
    assert_int_equal(hello->requests_max, 4096);
    assert_int_equal(hello->upload_credit_bytes, 65536);
    assert_false(hello->per_user);
    assert_memory_equal(hello->version.data, "0.test", 6);
    client_done(&client);
    service_world_done(&world);
}

static void test_what_breaks_the_rules_of_hello_is_refused(void **state)
{
    static const struct {
        uint32_t protocol;
        const char *profile;
        const char *story;
    } rows[] = {
        {2, "", "error(version) "},
        {0, "", "error(version) "},
        {1, "Work", "error(protocol) "},
        {1, "../x", "error(protocol) "},
        {1, "0123456789abcdef0123456789abcdef", "error(protocol) "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct service_world world;
        struct fake_client client;

        service_world_init(&world);
        client_connect(&client, &world, 1000);
        hello_of(&client, rows[i].protocol, rows[i].profile);
        assert_string_equal(client.story, rows[i].story);
        assert_true(client.is_over);
        assert_int_equal(world.idle_told, 1);
        client_done(&client);
        service_world_done(&world);
    }
}

static void test_a_second_hello_is_refused(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    client_hello(&client);
    client_hears(&client);
    assert_string_equal(client.story, "error(protocol) ");
    assert_true(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_everything_but_hello_is_refused_before_hello(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_connect(&client, &world, 1000);
    client_get(&client, 1);
    assert_string_equal(client.story, "error(protocol) ");
    assert_int_equal(world.net.n_servers, 0);
    client_done(&client);
    client_connect(&client, &world, 1000);
    client_send_bytes(&client, "\x06\x1a\x04\x08\x01\x7a\x00", 7); /* a body, by hand */
    client_hears(&client);
    assert_string_equal(client.story, "error(protocol) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_hello_and_requests_may_come_in_one_write_or_bytewise(void **state)
{
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        struct service_world world;
        struct fake_client client;
        Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
        Xhrd__V1__ClientHello hello = XHRD__V1__CLIENT_HELLO__INIT;
        Xhrd__V1__OpenRequest open;
        CLEANUP_BUF struct buf all = BUF_INIT(0);

        (void)state;
        service_world_init(&world);
        client_connect(&client, &world, 1000);
        hello.protocol = 1;
        message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_HELLO;
        message.hello = &hello;
        frame_message(&all, &message);
        open_message_init(&open, 1);
        message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_OPEN;
        message.open = &open;
        frame_message(&all, &message);
        if (!bytewise)
            client_send_bytes(&client, all.storage, all.len);
        for (size_t i = 0; bytewise && i < all.len; i++) {
            client_send_bytes(&client, all.storage + i, 1);
            world_turn(&world.net);
        }
        client_hears(&client);
        server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        client_hears(&client);
        assert_string_equal(client.story, "hello state(1,1) head(1,200) state(1,2) "
                                          "state(1,3) body(1,2) done(1,2) ");
        client_done(&client);
        service_world_done(&world);
    }
}

/* Frames that no client of ours would write, whole and in two pieces: the daemon lives. */
static void test_ip08_nonsense_is_refused_before_it_costs_anything(void **state)
{
    static const struct {
        const char *what;
        const char *bytes;
        size_t len;
        const char *story;
    } rows[] = {
        {"an empty message", "\x00", 1, "error(protocol) "},
        {"an unknown kind", "\x03\xaa\x06\x00", 4, "error(protocol) "},
        {"two kinds, of which the last counts and is unset", "\x02\x0a\x00", 3,
         "error(protocol) "},
        {"a cut varint", "\x01\x80", 2, "error(protocol) "},
        {"a group", "\x01\x0b", 2, "error(protocol) "},
        {"a length past the end", "\x02\x12\x05", 3, "error(protocol) "},
        {"an unknown topic", "\x06\x42\x04\x08\x01\x10\x63", 7, "error(protocol) "},
        {"no topic", "\x04\x42\x02\x08\x01", 5, "error(protocol) "},
        {"a frame above the cap", "\x81\x80\x40", 3, "error(limit) "},
        {"a length that is none", "\xff\xff\xff\xff\xff\xff", 6, "error(limit) "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t cut = 0; cut < rows[i].len; cut++) {
            struct service_world world;
            struct fake_client client;

            service_world_init(&world);
            client_ready(&client, &world, 1000);
            client_send_bytes(&client, rows[i].bytes, cut);
            world_turn(&world.net);
            client_send_bytes(&client, rows[i].bytes + cut, rows[i].len - cut);
            client_hears(&client);
            assert_string_equal(client.story, rows[i].story);
            assert_true(client.is_over);
            client_done(&client);
            client_ready(&client, &world, 1000); /* and the next one is served */
            client_done(&client);
            service_world_done(&world);
        }
    }
}

static void test_ip08_half_a_million_empty_submessages_are_refused_unread(void **state)
{
    struct service_world world;
    struct fake_client client;
    CLEANUP_BUF struct buf frame = BUF_INIT(0);
    enum { BYTES = 1000000 };

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    /* open { headers {} headers {} … } */
    assert_int_equal(buf_append(&frame, (struct span){"\xc4\x84\x3d\x12\xc0\x84\x3d", 7}), 0);
    assert_int_equal(buf_reserve(&frame, BYTES), 0);
    for (int i = 0; i < BYTES; i++)
        buf_tail(&frame)[i] = i % 2 ? '\x00' : '\x22';
    buf_commit(&frame, BYTES);
    mem_fail_at(UINT64_MAX);
    client_send_bytes(&client, frame.storage, frame.len);
    client_hears(&client);
    assert_true(mem_alloc_count() < 200);
    mem_fail_at(0);
    assert_string_equal(client.story, "error(protocol) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_ip09_silence_is_told_and_ends(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_connect(&client, &world, 1000);
    world_turn(&world.net);
    world_pass_ms(&world.net, 5000);
    client_hears(&client);
    assert_string_equal(client.story, "error(timeout) ");
    assert_string_equal(client.last_text, "no hello came in time");
    assert_true(client.is_over);
    client_done(&client);

    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 86400000); /* between frames one may be silent */
    client_send_bytes(&client, "\x05\x12", 2);
    world_turn(&world.net);
    world_pass_ms(&world.net, 30000);
    client_hears(&client);
    assert_string_equal(client.story, "error(timeout) ");
    client_done(&client);
    service_world_done(&world);
}

static void test_ip11_one_connection_too_many_is_refused_and_its_place_comes_back(void **state)
{
    struct service_world world;
    struct fake_client clients[4];

    (void)state;
    service_world_init(&world);
    world.options.limits.max[QUOTA_CLIENTS] = 2;
    world.options.clients_max = 3;
    service_world_restart(&world);
    client_ready(&clients[0], &world, 1000);
    client_ready(&clients[1], &world, 1000);
    client_connect(&clients[2], &world, 1000);
    client_hears(&clients[2]);
    assert_string_equal(clients[2].story, "error(limit) ");
    assert_true(clients[2].is_over);
    client_done(&clients[2]);
    client_ready(&clients[2], &world, 1001); /* another's are counted apart */
    client_connect(&clients[3], &world, 1002);
    client_hears(&clients[3]);
    assert_string_equal(clients[3].story, "error(limit) "); /* but for all of them */
    client_done(&clients[3]);
    client_done(&clients[0]);
    client_ready(&clients[0], &world, 1000);
    for (int i = 0; i < 3; i++)
        client_done(&clients[i]);
    assert_int_equal(world.idle_told, 1);
    service_world_done(&world);
}

static void test_cd05_a_users_own_daemon_serves_that_user_and_root(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    world.options.per_user = true;
    service_world_restart(&world);
    client_connect(&client, &world, getuid() + 1);
    client_hello(&client);
    client_hears(&client);
    assert_string_equal(client.story, "error(denied) ");
    client_done(&client);
    client_ready(&client, &world, getuid());
    client_done(&client);
    client_ready(&client, &world, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_leaving_is_told_behind_the_end_of_every_request(void **state)
{
    struct service_world world;
    struct fake_client busy;
    struct fake_client idle;

    (void)state;
    service_world_init(&world);
    client_ready(&busy, &world, 1000);
    client_ready(&idle, &world, 1001);
    client_get(&busy, 1);
    client_clear(&busy);
    service_shut_down(world.service);
    client_hears(&busy);
    client_hears(&idle);
    assert_string_equal(busy.story, "failed(1,shutdown) error(shutdown) ");
    assert_string_equal(idle.story, "error(shutdown) ");
    assert_true(busy.is_over && idle.is_over);
    assert_int_equal(world.idle_told, 1);
    client_done(&busy);
    client_done(&idle);
    client_connect(&idle, &world, 1000); /* who comes now is told so, too */
    client_hears(&idle);
    assert_string_equal(idle.story, "error(shutdown) ");
    client_done(&idle);
    service_world_done(&world);
}

static void test_lb05_a_client_that_goes_takes_its_requests_with_it(void **state)
{
    int before = count_fds();

    (void)state;
    for (int how = 0; how < 4; how++) {
        struct service_world world;
        struct fake_client client;

        service_world_init(&world);
        client_ready(&client, &world, 1000);
        client_get(&client, 1);
        if (how >= 1)
            (void)server_hears(&world.net, world_server(&world.net));
        if (how >= 2)
            server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        if (how >= 3)
            server_says(&world.net, "HELLO");
        client_done(&client);
        world_turn(&world.net);
        (void)server_hears(&world.net, world_server(&world.net));
        assert_true(world_server(&world.net)->is_over);
        assert_int_equal(world.net.fetcher->n_requests, 0);
        assert_int_equal(world.idle_told, 1);
        service_world_done(&world);
    }
    assert_int_equal(count_fds(), before);
}

static void test_a_client_that_closes_its_writing_half_still_hears_the_answers(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    client_get(&client, 1);
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    world_turn(&world.net);
    server_says(&world.net, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    client_hears(&client);
    assert_non_null(strstr(client.story, "done(1,2) "));
    assert_true(client.is_over); /* nothing is left to be heard */
    client_done(&client);

    client_ready(&client, &world, 1000); /* nothing under way: it is let go at once */
    assert_int_equal(shutdown(client.fd, SHUT_WR), 0);
    client_hears(&client);
    assert_string_equal(client.story, "");
    assert_true(client.is_over);
    client_done(&client);
    service_world_done(&world);
}

static void test_ip17_ten_thousand_clients_leave_no_trace(void **state)
{
    struct service_world world;
    int before;

    (void)state;
    service_world_init(&world);
    before = count_fds();
    for (int i = 0; i < 10000; i++) {
        struct fake_client client;

        client_connect(&client, &world, 1000 + (uint32_t)(i % 7));
        if (i % 2)
            client_hello(&client);
        if (i % 3 == 0)
            assert_int_equal(loop_turn(world.net.loop, false), 0);
        close(client.fd);
        assert_int_equal(loop_turn(world.net.loop, false), 0);
        assert_int_equal(loop_turn(world.net.loop, false), 0);
        buf_done(&client.in);
    }
    world_turn(&world.net);
    assert_int_equal(count_fds(), before);
    service_world_done(&world);
}

static void test_every_failing_allocation_costs_one_client_at_most(void **state)
{
    int before = count_fds();
    uint64_t n;

    (void)state;
    for (n = 1; n < 200; n++) {
        struct service_world world;
        struct fake_client client;

        service_world_init(&world);
        mem_fail_at(n);
        client_connect(&client, &world, 1000);
        static const char hello[] = "\x04\x0a\x02\x08\x01";
        (void)send(client.fd, hello, 5, MSG_NOSIGNAL);
        world_turn(&world.net);
        static const char ask[] = "\x06\x42\x04\x08\x05\x10\x02";
        (void)send(client.fd, ask, 7, MSG_NOSIGNAL);
        world_turn(&world.net);
        bool ran_out = mem_alloc_count() >= n;
        mem_fail_at(0);
        client_hears(&client);
        client_done(&client);
        client_ready(&client, &world, 1000); /* the service goes on */
        client_done(&client);
        service_world_done(&world);
        if (!ran_out)
            break;
    }
    assert_true(n > 3 && n < 199);
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_is_answered_with_who_one_is_and_the_limits),
        cmocka_unit_test(test_what_breaks_the_rules_of_hello_is_refused),
        cmocka_unit_test(test_a_second_hello_is_refused),
        cmocka_unit_test(test_everything_but_hello_is_refused_before_hello),
        cmocka_unit_test(test_hello_and_requests_may_come_in_one_write_or_bytewise),
        cmocka_unit_test(test_ip08_nonsense_is_refused_before_it_costs_anything),
        cmocka_unit_test(test_ip08_half_a_million_empty_submessages_are_refused_unread),
        cmocka_unit_test(test_ip09_silence_is_told_and_ends),
        cmocka_unit_test(test_ip11_one_connection_too_many_is_refused_and_its_place_comes_back),
        cmocka_unit_test(test_cd05_a_users_own_daemon_serves_that_user_and_root),
        cmocka_unit_test(test_leaving_is_told_behind_the_end_of_every_request),
        cmocka_unit_test(test_lb05_a_client_that_goes_takes_its_requests_with_it),
        cmocka_unit_test(test_a_client_that_closes_its_writing_half_still_hears_the_answers),
        cmocka_unit_test(test_ip17_ten_thousand_clients_leave_no_trace),
        cmocka_unit_test(test_every_failing_allocation_costs_one_client_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
