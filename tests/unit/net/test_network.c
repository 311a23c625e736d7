/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/clock.h"
#include "loop/loop.h"
#include "net/network.h"
#include "net/network_probe.h"
#include "support/fd_count.h"
#include "support/test.h"

struct scene {
    struct fake_clock clock;
    struct loop *loop;
    struct network *network;
    struct network_probe probe;
    bool has_route; /* to any address */
    struct network_state state;
    int n_probes;
    struct network_watcher watcher;
    struct network_waiter waiter;
    int n_changes;
    int n_ready;
    struct network_state last;
};

static bool probe_route(void *owner, const struct address *to)
{
    struct scene *scene = owner;

    (void)to;
    scene->n_probes++;
    return scene->has_route;
}

static struct network_state probe_state(void *owner)
{
    struct scene *scene = owner;

    scene->n_probes++;
    return scene->state;
}

static void scene_on_change(void *owner, const struct network_state *state)
{
    struct scene *scene = owner;

    scene->n_changes++;
    scene->last = *state;
}

static void scene_on_ready(void *owner)
{
    ((struct scene *)owner)->n_ready++;
}

static void make(struct scene *scene)
{
    struct network_options options = network_options_default();

    memset(scene, 0, sizeof(*scene));
    scene->probe = (struct network_probe){probe_route, probe_state, scene};
    options.no_netlink = true;
    options.probe = &scene->probe;
    fake_clock_init(&scene->clock, 1800000000);
    scene->clock.now_us = 1000000;
    assert_int_equal(loop_new(&scene->loop, &scene->clock.clock), 0);
    assert_int_equal(network_new(&scene->network, scene->loop, &options), 0);
    scene->watcher.on_change = scene_on_change;
    scene->watcher.owner = scene;
    scene->waiter.on_ready = scene_on_ready;
    scene->waiter.owner = scene;
}

static void pass_ms(struct scene *scene, int64_t ms)
{
    for (int64_t at = 0; at < ms; at += 100) {
        fake_clock_advance_ms(&scene->clock, 100);
        assert_true(loop_turn(scene->loop, false) >= 0);
    }
}

static void end(struct scene *scene)
{
    network_free(scene->network);
    loop_free(scene->loop);
}

static void test_a_watcher_is_told_of_changes_and_of_nothing_else(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    network_watch(scene.network, &scene.watcher);
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_changes, 0);
    scene.state = (struct network_state){true, NETWORK_WIFI};
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_changes, 1);
    assert_true(scene.last.is_online);
    assert_int_equal(scene.last.type, NETWORK_WIFI);
    scene.state.type = NETWORK_LAN; /* another way out */
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_changes, 2);
    network_unwatch(scene.network, &scene.watcher);
    scene.state = (struct network_state){false, NETWORK_NONE};
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_changes, 2);
    end(&scene);
}

static void test_nobody_looks_while_nobody_wants_to_know(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    pass_ms(&scene, 5000);
    assert_int_equal(scene.n_probes, 0);
    network_watch(scene.network, &scene.watcher);
    network_unwatch(scene.network, &scene.watcher);
    int probes = scene.n_probes;
    pass_ms(&scene, 5000);
    assert_int_equal(scene.n_probes, probes);
    end(&scene);
}

static void test_a_waiter_is_told_once_when_there_is_a_network(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    network_wait(scene.network, &scene.waiter);
    pass_ms(&scene, 5000);
    assert_int_equal(scene.n_ready, 0);
    scene.state = (struct network_state){true, NETWORK_LAN};
    pass_ms(&scene, 1100);
    assert_int_equal(scene.n_ready, 1);
    assert_true(network_is_settling(scene.network));
    pass_ms(&scene, 6000);
    assert_int_equal(scene.n_ready, 1);
    assert_false(network_is_settling(scene.network));
    end(&scene);
}

static void test_a_waiter_with_an_address_waits_for_a_route_to_it(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    scene.state = (struct network_state){true, NETWORK_LAN}; /* of no use to it */
    scene.waiter.has_address = true;
    assert_int_equal(address_parse(SPAN_LIT("192.0.2.1"), 80, &scene.waiter.address), 0);
    network_wait(scene.network, &scene.waiter);
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_ready, 0);
    scene.has_route = true;
    pass_ms(&scene, 1100);
    assert_int_equal(scene.n_ready, 1);
    end(&scene);
}

static void test_a_wait_may_be_given_up_at_any_time(void **state)
{
    struct scene scene;

    (void)state;
    make(&scene);
    network_wait_cancel(scene.network, &scene.waiter); /* never begun */
    network_wait(scene.network, &scene.waiter);
    network_wait_cancel(scene.network, &scene.waiter);
    network_wait_cancel(scene.network, &scene.waiter);
    scene.state = (struct network_state){true, NETWORK_LAN};
    pass_ms(&scene, 3000);
    assert_int_equal(scene.n_ready, 0);
    end(&scene);
}

static void test_the_kernel_is_asked_without_leaving_a_descriptor(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(network_free) struct network *network = NULL;
    struct address here;
    struct network_watcher watcher = {.on_change = scene_on_change};
    struct scene scene = {0};

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    assert_int_equal(network_new(&network, loop, NULL), 0);
    int before = count_fds();
    assert_int_equal(address_parse(SPAN_LIT("127.0.0.1"), 0, &here), 0);
    assert_true(network_has_route(network, &here));
    struct network_state now = network_state(network);
    assert_true(now.is_online || now.type == NETWORK_NONE);
    assert_int_equal(count_fds(), before);
    watcher.owner = &scene;
    network_watch(network, &watcher); /* netlink, where there is one */
    network_unwatch(network, &watcher);
    assert_int_equal(count_fds(), before);
}

static void test_kinds_of_interfaces(void **state)
{
    static const struct {
        const char *uevent;
        bool is_ethernet;
        enum network_type type;
    } rows[] = {
        {"DEVTYPE=wlan\nINTERFACE=wlp3s0\nIFINDEX=3\n", true, NETWORK_WIFI},
        {"DEVTYPE=wwan\nINTERFACE=wwan0\nIFINDEX=4\n", false, NETWORK_MOBILE},
        {"INTERFACE=eth0\nIFINDEX=2\n", true, NETWORK_LAN},
        {"DEVTYPE=bridge\nINTERFACE=br0\nIFINDEX=2\n", true, NETWORK_LAN},
        {"DEVTYPE=wireguard\nINTERFACE=wg0\nIFINDEX=9\n", false, NETWORK_UNKNOWN},
        {"INTERFACE=tun0\nIFINDEX=9\n", false, NETWORK_UNKNOWN},
        {"", true, NETWORK_LAN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(network_type_of_uevent(span_of(rows[i].uevent), rows[i].is_ethernet),
                         rows[i].type);
}

static void test_the_interface_of_an_ipv6_address_is_found(void **state)
{
    static const char lines[] = "fe80000000000000021122fffe334455 02 40 20 80     eth0\n"
                                "20010db8000000000000000000000007 03 40 00 00   wlp3s0\n"
                                "00000000000000000000000000000001 01 80 10 80       lo";
    struct address local;
    struct span name;

    (void)state;
    assert_int_equal(address_parse(SPAN_LIT("2001:db8::7"), 0, &local), 0);
    assert_true(network_name_of_v6(SPAN_LIT(lines), &local, &name));
    assert_true(span_eq(name, SPAN_LIT("wlp3s0")));
    assert_int_equal(address_parse(SPAN_LIT("::1"), 0, &local), 0);
    assert_true(network_name_of_v6(SPAN_LIT(lines), &local, &name));
    assert_true(span_eq(name, SPAN_LIT("lo")));
    assert_int_equal(address_parse(SPAN_LIT("2001:db8::8"), 0, &local), 0);
    assert_false(network_name_of_v6(SPAN_LIT(lines), &local, &name));
    assert_false(network_name_of_v6((struct span){0}, &local, &name));
    assert_false(network_name_of_v6(SPAN_LIT("\n\n \n"), &local, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_watcher_is_told_of_changes_and_of_nothing_else),
        cmocka_unit_test(test_nobody_looks_while_nobody_wants_to_know),
        cmocka_unit_test(test_a_waiter_is_told_once_when_there_is_a_network),
        cmocka_unit_test(test_a_waiter_with_an_address_waits_for_a_route_to_it),
        cmocka_unit_test(test_a_wait_may_be_given_up_at_any_time),
        cmocka_unit_test(test_the_kernel_is_asked_without_leaving_a_descriptor),
        cmocka_unit_test(test_kinds_of_interfaces),
        cmocka_unit_test(test_the_interface_of_an_ipv6_address_is_found),
    };

    return cmocka_run_group_tests_name("net/network", tests, NULL, NULL);
}
