/* SPDX-License-Identifier: MIT */
/* Clients whose connections are kept: from when, what counts as under way, who is told that the
 * daemon leaves. The test is the keeper, and has a descriptor of each socket as systemd has. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/partition.h"
#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

struct fake_keeper {
    struct client_keeper keeper;
    uint8_t busy;
    char known[128];
    int fd; /* -1: nothing is kept */
    int n_kept;
    int refuses; /* -errno */
    int n_asked;
};

static int keep(void *owner,
                int fd,
                const struct partition *partition,
                const char *program,
                volatile uint8_t **ret)
{
    struct fake_keeper *fake = owner;

    fake->n_asked++;
    if (fake->refuses != 0)
        return fake->refuses;
    assert_int_equal(fake->fd, -1);
    fake->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    fake->n_kept++;
    fake->busy = 1;
    (void)snprintf(fake->known, sizeof(fake->known), "%u/%s/%s", partition->uid,
                   partition->profile, program);
    *ret = &fake->busy;
    return 0;
}

static void drop(void *owner, volatile uint8_t *busy)
{
    struct fake_keeper *fake = owner;

    assert_ptr_equal(busy, &fake->busy);
    close(fake->fd);
    fake->fd = -1;
}

static void begin(struct service_world *world, struct fake_keeper *fake)
{
    *fake = (struct fake_keeper){.keeper = {fake, keep, drop}, .fd = -1};
    service_world_init(world);
    world->options.keeper = &fake->keeper;
    service_world_restart(world);
}

static void answer(struct service_world *world, struct fake_client *client)
{
    server_says(&world->net, "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n");
    client_hears(client);
}

static void test_who_comes_and_goes_is_not_kept(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_connect(&client, &world, 1000);
    world_pass_ms(&world.net, 2000); /* no hello yet */
    assert_int_equal(fake.n_kept, 0);
    client_done(&client);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 900);
    client_done(&client);
    world_pass_ms(&world.net, 2000);
    assert_int_equal(fake.n_kept, 0);
    service_world_done(&world);
}

static void test_who_stays_is_kept_and_let_go_of(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    assert_int_equal(fake.n_kept, 1);
    assert_string_equal(fake.known, "1000//test");
    assert_int_equal(fake.busy, 0);
    client_done(&client);
    assert_int_equal(fake.fd, -1);
    service_world_done(&world);
}

static void test_a_keeper_that_does_not_listen_is_asked_again(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;
    struct fake_client later;

    (void)state;
    begin(&world, &fake);
    fake.refuses = -EAGAIN;
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    client_ready(&later, &world, 1001);
    for (int i = 0; i < 19; i++)
        world_pass_ms(&world.net, 100);
    assert_in_range(fake.n_asked, 8, 11); /* and not in a hurry */
    client_done(&later);
    client_get(&client, 1); /* who waits for it is served as ever */
    answer(&world, &client);
    assert_non_null(strstr(client.story, "done(1,0) "));
    assert_int_equal(fake.n_kept, 0);
    fake.refuses = 0;
    world_pass_ms(&world.net, 300);
    assert_int_equal(fake.n_kept, 1);
    assert_string_equal(fake.known, "1000//test");
    assert_int_equal(fake.busy, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_request_is_under_way_from_its_first_byte_to_its_last_event(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    client_get(&client, 1);
    assert_int_equal(fake.busy, 1);
    answer(&world, &client);
    assert_non_null(strstr(client.story, "done(1,0) "));
    assert_int_equal(fake.busy, 0);
    client_get(&client, 2);
    client_get(&client, 3);
    answer(&world, &client);
    assert_int_equal(fake.busy, 1); /* one of the two */
    client_done(&client);
    service_world_done(&world);
}

static void test_an_aborted_request_is_under_way_no_more(void **state)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__AbortRequest abort = XHRD__V1__ABORT_REQUEST__INIT;
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    client_get(&client, 1);
    assert_int_equal(fake.busy, 1);
    abort.request_id = 1;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_ABORT;
    message.abort = &abort;
    client_tell(&client, &message);
    client_hears(&client);
    assert_int_equal(fake.busy, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_a_watch_is_under_way_as_long_as_it_lasts(void **state)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__NetworkCommand what = XHRD__V1__NETWORK_COMMAND__INIT;
    Xhrd__V1__NetworkWatch watch = XHRD__V1__NETWORK_WATCH__INIT;
    Xhrd__V1__NetworkUnwatch unwatch = XHRD__V1__NETWORK_UNWATCH__INIT;
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    what.command_id = 5;
    what.operation_case = XHRD__V1__NETWORK_COMMAND__OPERATION_WATCH;
    what.watch = &watch;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK;
    message.network = &what;
    client_tell(&client, &message);
    client_hears(&client);
    assert_int_equal(fake.busy, 1);
    what.operation_case = XHRD__V1__NETWORK_COMMAND__OPERATION_UNWATCH;
    what.unwatch = &unwatch;
    client_tell(&client, &message);
    client_hears(&client);
    assert_int_equal(fake.busy, 0);
    client_done(&client);
    service_world_done(&world);
}

static void test_who_is_sent_away_is_so_although_the_socket_is_kept(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client client;

    (void)state;
    begin(&world, &fake);
    client_ready(&client, &world, 1000);
    world_pass_ms(&world.net, 1100);
    int held = fcntl(fake.fd, F_DUPFD_CLOEXEC, 3); /* systemd has not heard of it yet */
    client_hello(&client);
    client_hears(&client);
    assert_string_equal(client.story, "error(protocol) ");
    assert_true(client.is_over);
    close(held);
    client_done(&client);
    service_world_done(&world);
}

static void test_who_rests_is_not_told_that_the_daemon_leaves(void **state)
{
    struct service_world world;
    struct fake_keeper fake;
    struct fake_client resting;
    struct fake_client asking;

    (void)state;
    begin(&world, &fake);
    client_ready(&resting, &world, 1000);
    world_pass_ms(&world.net, 1100);
    fake.refuses = -ENOSPC; /* the store is full: this one is not kept */
    client_ready(&asking, &world, 1000);
    client_get(&asking, 1);
    world_pass_ms(&world.net, 1100);
    service_shut_down(world.service);
    client_hears(&asking);
    client_hears(&asking);
    assert_non_null(strstr(asking.story, "failed(1,shutdown) error(shutdown) "));
    assert_true(asking.is_over);
    client_hears(&resting);
    assert_string_equal(resting.story, "");
    assert_false(resting.is_over);
    assert_int_equal(fake.busy, 0);

    /* The next process goes on with it, without a hello. */
    service_world_restart(&world);
    struct kept_client kept = {&fake.busy, "", "test"};
    struct peer peer = {.uid = 1000, .gid = 1000};
    service_adopt(world.service, fcntl(fake.fd, F_DUPFD_CLOEXEC, 3), &peer, &kept);
    world_pass_ms(&world.net, 30000);
    client_get(&resting, 1);
    answer(&world, &resting);
    assert_non_null(strstr(resting.story, "done(1,0) "));
    assert_int_equal(fake.busy, 0);
    client_done(&asking);
    client_done(&resting);
    assert_int_equal(fake.fd, -1);
    service_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_comes_and_goes_is_not_kept),
        cmocka_unit_test(test_who_stays_is_kept_and_let_go_of),
        cmocka_unit_test(test_a_keeper_that_does_not_listen_is_asked_again),
        cmocka_unit_test(test_a_request_is_under_way_from_its_first_byte_to_its_last_event),
        cmocka_unit_test(test_an_aborted_request_is_under_way_no_more),
        cmocka_unit_test(test_a_watch_is_under_way_as_long_as_it_lasts),
        cmocka_unit_test(test_who_is_sent_away_is_so_although_the_socket_is_kept),
        cmocka_unit_test(test_who_rests_is_not_told_that_the_daemon_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
