/* SPDX-License-Identifier: MIT */
/* Requests that wait where there is no network, and those that do not. */
#include <errno.h>

#include "support/fetch_world.h"
#include "support/test.h"

#define OK_0 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static struct fetch_world world;
static struct teller teller;

static int setup(void **state)
{
    (void)state;
    world_init(&world);
    teller_init(&teller, &world);
    teller.tell_waits = true;
    world.hold_connects = true;
    world.is_offline = true;
    world_errno = ENETUNREACH;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_done(&world);
    return 0;
}

static void get_waiting(const char *url, int64_t total_ms)
{
    struct request_options options;

    options_get(&options, url);
    options.waits_for_connectivity = true;
    options.connect_timeout_us = 3000000;
    options.idle_timeout_us = 3000000;
    options.total_timeout_us = total_ms * 1000;
    teller_send(&teller, &options);
}

static void test_without_the_wish_no_network_is_an_error_at_once(void **state)
{
    (void)state;
    teller_get(&teller, "http://192.0.2.1/");
    world_refuse(&world, FAILURE_CONNECT);
    assert_int_equal(teller.failure.kind, FAILURE_CONNECT);
    assert_null(strstr(teller.story, "connectivity"));
}

static void test_a_request_waits_until_there_is_a_network(void **state)
{
    (void)state;
    get_waiting("http://192.0.2.1/", 0);
    world_refuse(&world, FAILURE_CONNECT);
    assert_non_null(strstr(teller.story, "connectivity"));
    world_pass_ms(&world, 60000); /* neither connect nor idle time runs */
    assert_int_equal(teller.n_done, 0);
    world.is_offline = false;
    world_pass_ms(&world, 1100);
    assert_int_equal(world.n_attempts, 1);
    world_connect(&world);
    server_says(&world, OK_0);
    assert_int_equal(teller.n_done, 1);
    assert_false(teller.has_failed);
}

static void test_names_that_cannot_be_asked_for_wait_too(void **state)
{
    (void)state;
    get_waiting("http://a.com/", 0);
    world_refuse(&world, FAILURE_DNS);
    assert_int_equal(teller.n_done, 0);
    world.is_offline = false;
    world_pass_ms(&world, 1100);
    world_refuse(&world, FAILURE_DNS); /* the link is up, its name server not known yet */
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 1100);
    world_connect(&world);
    server_says(&world, OK_0);
    assert_false(teller.has_failed);
    assert_int_equal(teller.n_done, 1);
}

static void test_a_name_server_that_stays_away_is_an_error_in_the_end(void **state)
{
    (void)state;
    get_waiting("http://a.com/", 0);
    world_refuse(&world, FAILURE_DNS);
    world.is_offline = false;
    for (int i = 0; i < 20 && teller.n_done == 0; i++) {
        world_pass_ms(&world, 1100);
        if (teller.n_done == 0)
            world_refuse(&world, FAILURE_DNS);
    }
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_DNS);
}

static void test_who_refuses_is_there(void **state)
{
    (void)state;
    world_errno = ECONNREFUSED;
    get_waiting("http://192.0.2.1/", 0);
    world_refuse(&world, FAILURE_CONNECT);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_CONNECT);
}

static void test_a_host_out_of_reach_on_a_network_that_is_there_is_an_error(void **state)
{
    (void)state;
    world.is_offline = false;
    world_errno = EHOSTUNREACH;
    get_waiting("http://192.0.2.1/", 0);
    world_refuse(&world, FAILURE_CONNECT);
    assert_int_equal(teller.n_done, 1);
}

static void test_the_total_time_bounds_the_wait(void **state)
{
    (void)state;
    get_waiting("http://192.0.2.1/", 5000);
    world_refuse(&world, FAILURE_CONNECT);
    world_pass_ms(&world, 4900);
    assert_int_equal(teller.n_done, 0);
    world_pass_ms(&world, 200);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(teller.failure.kind, FAILURE_TIMEOUT_TOTAL);
    assert_int_equal(teller.failure.phase, PHASE_CONNECT);
    assert_non_null(strstr(teller.failure.text, "no network"));
}

static void test_lb04_a_wait_ends_with_its_request(void **state)
{
    struct failure why;

    (void)state;
    get_waiting("http://192.0.2.1/", 0);
    world_refuse(&world, FAILURE_CONNECT);
    failure_set(&why, FAILURE_ABORTED, "enough");
    request_fail(teller.request, &why);
    world_turn(&world);
    assert_int_equal(teller.n_done, 1);
    world.is_offline = false;
    world_pass_ms(&world, 3000);
    assert_int_equal(teller.n_done, 1);
    assert_int_equal(world.n_attempts, 0);
}

static void test_lb04_a_waiting_request_may_be_closed(void **state)
{
    (void)state;
    get_waiting("http://192.0.2.1/", 0);
    world_refuse(&world, FAILURE_CONNECT);
    request_close(TAKE(teller.request));
    world_pass_ms(&world, 3000);
    assert_int_equal(teller.n_done, 0);
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_without_the_wish_no_network_is_an_error_at_once),
        WITH_WORLD(test_a_request_waits_until_there_is_a_network),
        WITH_WORLD(test_names_that_cannot_be_asked_for_wait_too),
        WITH_WORLD(test_a_name_server_that_stays_away_is_an_error_in_the_end),
        WITH_WORLD(test_who_refuses_is_there),
        WITH_WORLD(test_a_host_out_of_reach_on_a_network_that_is_there_is_an_error),
        WITH_WORLD(test_the_total_time_bounds_the_wait),
        WITH_WORLD(test_lb04_a_wait_ends_with_its_request),
        WITH_WORLD(test_lb04_a_waiting_request_may_be_closed),
    };

    return cmocka_run_group_tests_name("fetch/request_network", tests, NULL, NULL);
}
