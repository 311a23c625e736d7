/* SPDX-License-Identifier: MIT */
/* Watching the network: told as it is, then each change, until the client has heard enough. */
#include <stdlib.h>

#include "service/service.h"
#include "support/service_world.h"
#include "support/test.h"

static void ask(struct fake_client *client, uint32_t id, bool begins)
{
    Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
    Xhrd__V1__NetworkCommand what = XHRD__V1__NETWORK_COMMAND__INIT;
    Xhrd__V1__NetworkWatch watch = XHRD__V1__NETWORK_WATCH__INIT;
    Xhrd__V1__NetworkUnwatch unwatch = XHRD__V1__NETWORK_UNWATCH__INIT;

    what.command_id = id;
    what.operation_case = begins ? XHRD__V1__NETWORK_COMMAND__OPERATION_WATCH
                                 : XHRD__V1__NETWORK_COMMAND__OPERATION_UNWATCH;
    if (begins)
        what.watch = &watch;
    else
        what.unwatch = &unwatch;
    message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK;
    message.network = &what;
    client_tell(client, &message);
    client_hears(client);
}

static void go(struct service_world *world, struct fake_client *client, bool is_offline)
{
    world->net.is_offline = is_offline;
    world_pass_ms(&world->net, 1100);
    client_hears(client);
}

static void test_a_watch_tells_how_it_is_and_each_change(void **state)
{
    struct service_world world;
    struct fake_client client;

    (void)state;
    service_world_init(&world);
    client_ready(&client, &world, 1000);
    ask(&client, 7, true);
    assert_string_equal(client.story, "network(7,1,4) ");
    client_clear(&client);
    go(&world, &client, false);
    assert_string_equal(client.story, "");
    go(&world, &client, true);
    assert_string_equal(client.story, "network(7,0,1) ");
    client_clear(&client);
    ask(&client, 8, true); /* one is enough */
    assert_string_equal(client.story, "network(8,argument) ");
    client_clear(&client);
    ask(&client, 8, false); /* not the one that is there */
    go(&world, &client, false);
    assert_string_equal(client.story, "network(7,1,4) ");
    client_clear(&client);
    ask(&client, 7, false);
    go(&world, &client, true);
    assert_string_equal(client.story, "");
    ask(&client, 9, true);
    assert_string_equal(client.story, "network(9,0,1) ");
    client_done(&client); /* a client that leaves ends its watch */
    service_world_done(&world);
}

static void test_a_command_that_is_none_ends_the_connection(void **state)
{
    struct service_world world;

    (void)state;
    service_world_init(&world);
    for (int i = 0; i < 2; i++) {
        Xhrd__V1__ClientMessage message = XHRD__V1__CLIENT_MESSAGE__INIT;
        Xhrd__V1__NetworkCommand what = XHRD__V1__NETWORK_COMMAND__INIT;
        struct fake_client client;

        client_ready(&client, &world, 1000);
        if (i == 0) {
            ask(&client, 0, true);
        } else {
            what.command_id = 1;
            message.kind_case = XHRD__V1__CLIENT_MESSAGE__KIND_NETWORK;
            message.network = &what;
            client_tell(&client, &message);
            client_hears(&client);
        }
        assert_string_equal(client.story, "error(protocol) ");
        client_done(&client);
    }
    service_world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_watch_tells_how_it_is_and_each_change),
        cmocka_unit_test(test_a_command_that_is_none_ends_the_connection),
    };

    return cmocka_run_group_tests_name("service/network_service", tests, NULL, NULL);
}
