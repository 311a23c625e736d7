/* SPDX-License-Identifier: MIT */
/* When a socket is asked to wake us less often, and when to tell of every byte again. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/tcp_flow.h"
#include "support/test.h"

#define MIB  (1024 * 1024)
#define MUCH (1024 * MIB)

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct tcp_flow *flow;
    int fd;
    int n_late;
};

static void on_late(void *owner)
{
    struct world *world = owner;

    world->n_late++;
}

static void init(struct world *world)
{
    *world = (struct world){0};
    fake_clock_init(&world->clock, 0);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    world->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(world->fd >= 0);
    assert_int_equal(tcp_flow_new(&world->flow, world->loop, world->fd, on_late, world), 0);
}

static void done(struct world *world)
{
    world->flow = tcp_flow_free(world->flow);
    close(world->fd);
    world->loop = loop_free(world->loop);
}

static int lowat(const struct world *world)
{
    int value = 0;
    socklen_t size = sizeof(value);

    assert_int_equal(getsockopt(world->fd, SOL_SOCKET, SO_RCVLOWAT, &value, &size), 0);
    return value;
}

/* So many rounds, a millisecond each, that bring @bytes. */
static void receive(struct world *world, int rounds, uint64_t bytes, uint64_t expected)
{
    for (int i = 0; i < rounds; i++) {
        tcp_flow_on_ready(world->flow);
        tcp_flow_on_bytes(world->flow, bytes);
        tcp_flow_expect(world->flow, expected);
        fake_clock_advance_ms(&world->clock, 1);
        assert_int_equal(loop_turn(world->loop, false), 0);
    }
}

static void test_bytes_gather_for_half_a_millisecond_at_the_rate_they_come(void **state)
{
    static const struct {
        uint64_t per_ms;
        int lowat;
    } cases[] = {
        {1000, 1},
        {90 * 1024, 1},
        {100 * 1024, 50 * 1024},
        {256 * 1024, 131072},
        {4 * MIB, 256 * 1024},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;

        init(&world);
        receive(&world, 4, cases[i].per_ms, MUCH);
        assert_int_equal(lowat(&world), cases[i].lowat);
        assert_int_equal(world.n_late, 0);
        world.flow = tcp_flow_free(world.flow);
        assert_int_equal(lowat(&world), 1);
        done(&world);
    }
}

static void test_never_more_is_waited_for_than_is_announced(void **state)
{
    struct world world;

    (void)state;
    init(&world);
    receive(&world, 4, MIB, MUCH);
    assert_int_equal(lowat(&world), 256 * 1024);
    receive(&world, 1, MIB, 256 * 1024);
    assert_int_equal(lowat(&world), 256 * 1024);
    receive(&world, 1, MIB, 256 * 1024 - 1);
    assert_int_equal(lowat(&world), 1);
    receive(&world, 4, MIB, 256 * 1024 - 1);
    assert_int_equal(lowat(&world), 1);
    assert_int_equal(world.n_late, 0);
    done(&world);
}

static void test_a_rate_that_is_about_the_same_costs_no_call(void **state)
{
    struct world world;

    (void)state;
    init(&world);
    receive(&world, 4, 200 * 1024, MUCH);
    assert_int_equal(lowat(&world), 100 * 1024);
    receive(&world, 4, 230 * 1024, MUCH);
    assert_int_equal(lowat(&world), 100 * 1024);
    receive(&world, 4, 400 * 1024, MUCH);
    assert_int_equal(lowat(&world), 200 * 1024);
    done(&world);
}

static void test_a_sender_that_stops_is_noticed_and_every_byte_told_again(void **state)
{
    struct world world;

    (void)state;
    init(&world);
    receive(&world, 4, MIB, MUCH);
    for (int i = 0; i < 5 && world.n_late == 0; i++) {
        assert_int_equal(lowat(&world), 256 * 1024);
        fake_clock_advance_ms(&world.clock, 1);
        assert_int_equal(loop_turn(world.loop, false), 0);
    }
    assert_int_equal(world.n_late, 1);
    assert_int_equal(lowat(&world), 1);
    fake_clock_advance_ms(&world.clock, 1000);
    assert_int_equal(loop_turn(world.loop, false), 0);
    assert_int_equal(world.n_late, 1); /* nothing is watched any more */
    receive(&world, 4, MIB, MUCH);
    assert_int_equal(lowat(&world), 256 * 1024);
    done(&world);
}

static void test_a_socket_that_knows_no_such_thing_tells_every_byte(void **state)
{
    struct world world;

    (void)state;
    init(&world);
    close(world.fd);
    world.fd = -1;
    receive(&world, 4, MIB, MUCH);
    assert_true(world.n_late <= 1);
    world.flow = tcp_flow_free(world.flow);
    mem_fail_at(1);
    assert_int_equal(tcp_flow_new(&world.flow, world.loop, 0, on_late, &world), -ENOMEM);
    mem_fail_at(0);
    assert_null(tcp_flow_free(NULL));
    world.loop = loop_free(world.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_gather_for_half_a_millisecond_at_the_rate_they_come),
        cmocka_unit_test(test_never_more_is_waited_for_than_is_announced),
        cmocka_unit_test(test_a_rate_that_is_about_the_same_costs_no_call),
        cmocka_unit_test(test_a_sender_that_stops_is_noticed_and_every_byte_told_again),
        cmocka_unit_test(test_a_socket_that_knows_no_such_thing_tells_every_byte),
    };
    return cmocka_run_group_tests_name("net/tcp_flow", tests, NULL, NULL);
}
