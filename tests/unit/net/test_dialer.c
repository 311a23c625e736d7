/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "net/dialer.h"
#include "net/io_priv.h"
#include "support/test.h"

/* What connecting does is decided by the address's last number, and then by the test. */
enum { REFUSES_AT_ONCE = 1, BLACKHOLE = 2, NO_ROUTE_AT_ONCE = 3 };

#define FAKES_MAX 32

static struct io *fakes[FAKES_MAX]; /* in the order of their attempts; NULL: closed */
static struct address fake_addresses[FAKES_MAX];
static size_t n_fakes;

static void fake_update_interest(struct io *io)
{
    (void)io;
}

static void fake_close(struct io *io, enum io_state before)
{
    (void)before;
    for (size_t i = 0; i < n_fakes; i++) {
        if (fakes[i] == io)
            fakes[i] = NULL;
    }
}

static void fake_free(struct io *io)
{
    mem_free(io);
}

static const struct io_ops fake_ops = {
    .update_interest = fake_update_interest, .close = fake_close, .free = fake_free};

static int last_number(const struct address *address)
{
    return address_family(address) == AF_INET ? (int)(ntohl(address->in.sin_addr.s_addr) & 0xff)
                                              : address->in6.sin6_addr.s6_addr[15];
}

static int fake_connect(struct loop *loop,
                        const struct address *address,
                        const struct io_tcp_options *options,
                        const struct io_events *events,
                        void *owner,
                        struct io **ret)
{
    assert_non_null(options);
    assert_true(n_fakes < FAKES_MAX);
    fake_addresses[n_fakes] = *address;
    fakes[n_fakes++] = NULL;
    if (last_number(address) == REFUSES_AT_ONCE)
        return -ECONNREFUSED;
    if (last_number(address) == NO_ROUTE_AT_ONCE)
        return -ENETUNREACH;
    struct io *io = mem_zalloc(sizeof(*io));
    if (!io)
        return -ENOMEM;
    io_init(io, loop, &fake_ops);
    io_set_events(io, events, owner);
    fakes[n_fakes - 1] = io;
    *ret = io;
    return 0;
}

static void fake_fails(size_t i, int err)
{
    io_tcp_connect_failure(&fakes[i]->failure, err, &fake_addresses[i]);
    io_tell_failed(fakes[i], -err);
}

struct net {
    struct fake_clock clock;
    struct loop *loop;
    struct dialer_options options;
    struct dialer *dialer;
    struct io *io;
    struct failure why;
    int n_connected;
    int n_failed;
};

static void net_on_connected(void *owner, struct io *io)
{
    struct net *net = owner;

    net->n_connected++;
    net->dialer = NULL;
    net->io = io;
}

static void net_on_failed(void *owner, const struct failure *why)
{
    struct net *net = owner;

    net->n_failed++;
    net->dialer = NULL;
    net->why = *why;
}

static const struct dialer_events net_events = {net_on_connected, net_on_failed};

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));

    assert_non_null(net);
    fake_clock_init(&net->clock, 0);
    assert_int_equal(loop_new(&net->loop, &net->clock.clock), 0);
    net->options = dialer_options_default();
    net->options.connect = fake_connect;
    n_fakes = 0;
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    io_close(net->io);
    dialer_cancel(net->dialer);
    loop_free(net->loop);
    free(net);
    return 0;
}

static size_t parse_all(const char *const *texts, size_t n, struct address *ret)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(address_parse(span_of(texts[i]), 443, &ret[i]), 0);
    return n;
}

static void turn(struct net *net)
{
    assert_int_equal(loop_turn(net->loop, false), 0);
}

static int dial(struct net *net, const char *const *texts, size_t n)
{
    struct address addresses[FAKES_MAX];

    parse_all(texts, n, addresses);
    return dialer_start(net->loop, (struct address_list){addresses, n}, &net->options,
                        &net_events, net, &net->dialer);
}

static void dial_ok(struct net *net, const char *const *texts, size_t n)
{
    assert_int_equal(dial(net, texts, n), 0);
    assert_int_equal(n_fakes, 0); /* nothing happens inside */
    turn(net);
}

static void pass_ms(struct net *net, int ms)
{
    fake_clock_advance_ms(&net->clock, ms);
    turn(net);
}

static void test_families_take_turns_and_the_first_ones_stays_first(void **state)
{
    static const char *const in[] = {"::1", "::2", "::3", "10.0.0.1", "::4", "10.0.0.2"};
    static const char *const out[] = {"::1", "10.0.0.1", "::2", "10.0.0.2", "::3", "::4"};
    struct address given[6];
    struct address wanted[6];
    struct address got[6];

    (void)state;
    parse_all(in, 6, given);
    parse_all(out, 6, wanted);
    assert_int_equal(dialer_interleave((struct address_list){given, 6}, got, 6), 6);
    for (int i = 0; i < 6; i++)
        assert_int_equal(address_compare(&got[i], &wanted[i]), 0);
    assert_int_equal(dialer_interleave((struct address_list){given, 6}, got, 2), 2);
    assert_int_equal(address_compare(&got[1], &wanted[1]), 0);
    assert_int_equal(dialer_interleave((struct address_list){given + 3, 1}, got, 6), 1);
    assert_int_equal(dialer_interleave((struct address_list){NULL, 0}, got, 6), 0);
}

static void test_a_blackholed_address_costs_one_attempt_delay_not_a_timeout(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"2001:db8::2", "192.0.2.9"};

    dial_ok(net, addresses, 2);
    assert_int_equal(n_fakes, 1);
    pass_ms(net, 249);
    assert_int_equal(n_fakes, 1);
    pass_ms(net, 1);
    assert_int_equal(n_fakes, 2);
    assert_int_equal(address_family(&fake_addresses[1]), AF_INET);
    struct io *winner = fakes[1];
    io_tell_connected(winner);
    assert_int_equal(net->n_connected, 1);
    assert_ptr_equal(net->io, winner);
    assert_null(fakes[0]); /* the loser is closed */
    pass_ms(net, 1000);
    assert_int_equal(net->n_connected + net->n_failed, 1);
}

static void test_the_first_may_still_win_after_the_second_began(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"2001:db8::2", "192.0.2.2"};

    dial_ok(net, addresses, 2);
    pass_ms(net, 250);
    assert_int_equal(n_fakes, 2);
    io_tell_connected(fakes[0]);
    assert_ptr_equal(net->io, fakes[0]);
    assert_null(fakes[1]);
}

static void test_a_failure_begins_the_next_attempt_at_once(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"192.0.2.2", "192.0.2.1", "192.0.2.9"};

    dial_ok(net, addresses, 3);
    assert_int_equal(n_fakes, 1);
    fake_fails(0, ETIMEDOUT);
    assert_int_equal(n_fakes, 3); /* the second refused while we watched */
    assert_null(fakes[0]);
    io_tell_connected(fakes[2]);
    assert_int_equal(net->n_connected, 1);
}

static void test_when_all_fail_the_most_telling_failure_names_all_addresses(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"2001:db8::3", "127.0.0.2", "127.0.0.1",
                                            "127.0.0.9"};

    dial_ok(net, addresses, 4);
    assert_int_equal(n_fakes, 2); /* no IPv6 here */
    pass_ms(net, 250);
    assert_int_equal(n_fakes, 4);
    fake_fails(1, ETIMEDOUT);
    assert_int_equal(net->n_failed, 0);
    fake_fails(3, ENETUNREACH);
    assert_int_equal(net->n_failed, 1);
    assert_int_equal(net->why.kind, FAILURE_CONNECT);
    assert_int_equal(net->why.sys_errno, ECONNREFUSED);
    assert_int_equal(net->why.phase, PHASE_CONNECT);
    assert_string_equal(net->why.text,
                        "connection refused at 127.0.0.1:443; is the server running? (also "
                        "tried [2001:db8::3]:443, 127.0.0.2:443, 127.0.0.9:443)");
}

static void test_one_refused_address_reads_as_one(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"127.0.0.1"};

    dial_ok(net, addresses, 1);
    assert_int_equal(net->n_failed, 1);
    assert_string_equal(net->why.text,
                        "connection refused at 127.0.0.1:443; is the server running?");
}

static void test_lack_of_descriptors_is_our_own_failure(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"192.0.2.2", "192.0.2.3"};

    dial_ok(net, addresses, 2);
    fake_fails(0, EMFILE);
    assert_int_equal(net->n_failed, 1);
    assert_int_equal(net->why.kind, FAILURE_INTERNAL);
    assert_int_equal(net->why.sys_errno, EMFILE);
}

static void test_many_addresses_are_bounded_and_the_text_is_cut(void **state)
{
    struct net *net = *state;
    const char *addresses[FAKES_MAX];

    for (size_t i = 0; i < FAKES_MAX; i++)
        addresses[i] = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1";
    dial_ok(net, addresses, FAKES_MAX);
    assert_int_equal(n_fakes, DIALER_ADDRESSES_MAX);
    assert_int_equal(net->n_failed, 1);
    assert_non_null(strstr(net->why.text, "and 14 more)"));
}

static void test_lb04_cancel_closes_every_attempt_and_is_silent(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"192.0.2.2", "2001:db8::2", "192.0.2.9"};

    for (int begun = 0; begun < 3; begun++) { /* before the first, after one, after two */
        n_fakes = 0;
        assert_int_equal(dial(net, addresses, 3), 0);
        for (int i = 0; i < begun; i++)
            pass_ms(net, 250);
        assert_int_equal(n_fakes, begun);
        net->dialer = dialer_cancel(net->dialer);
        for (size_t i = 0; i < n_fakes; i++)
            assert_null(fakes[i]);
        pass_ms(net, 1000);
        assert_int_equal(n_fakes, begun);
        assert_int_equal(net->n_connected + net->n_failed, 0);
    }
}

static void closing_on_connected(void *owner, struct io *io)
{
    struct net *net = owner;

    net->n_connected++;
    net->dialer = NULL;
    io_close(io);
}

static void test_lb04_the_winner_may_be_closed_inside_the_event(void **state)
{
    struct net *net = *state;
    static const struct dialer_events events = {closing_on_connected, net_on_failed};
    struct address address;

    assert_int_equal(address_parse(span_of("192.0.2.2"), 443, &address), 0);
    assert_int_equal(dialer_start(net->loop, (struct address_list){&address, 1}, &net->options,
                                  &events, net, &net->dialer),
                     0);
    turn(net);
    io_tell_connected(fakes[0]);
    turn(net);
    assert_int_equal(net->n_connected, 1);
    assert_null(fakes[0]);
}

static void test_an_empty_list_is_refused(void **state)
{
    struct net *net = *state;

    assert_int_equal(dial(net, NULL, 0), -EINVAL);
}

static void test_every_failed_allocation_of_a_dialer_is_survived(void **state)
{
    struct net *net = *state;
    static const char *const addresses[] = {"192.0.2.2", "192.0.2.9"};
    bool clean = false;

    for (uint64_t n = 1; !clean; n++) {
        n_fakes = 0;
        mem_fail_at(n);
        int r = dial(net, addresses, 2);
        if (r == 0)
            turn(net);
        clean = mem_alloc_count() < n; /* it asked for less than that */
        mem_fail_at(0);
        if (r < 0) {
            assert_int_equal(r, -ENOMEM);
            continue;
        }
        assert_int_equal(net->n_failed, 0); /* one attempt is left, whatever failed */
        net->dialer = dialer_cancel(net->dialer);
        turn(net);
    }
}

static void test_a_real_listener_is_reached_past_a_port_where_nobody_listens(void **state)
{
    struct net *net = *state;
    struct address addresses[2];
    socklen_t len = sizeof(addresses[1]);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(address_parse(span_of("::1"), 1, &addresses[0]), 0);
    assert_int_equal(address_parse(span_of("127.0.0.1"), 0, &addresses[1]), 0);
    assert_int_equal(bind(fd, &addresses[1].sa, address_len(&addresses[1])), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, &addresses[1].sa, &len), 0);
    assert_int_equal(dialer_start(net->loop, (struct address_list){addresses, 2}, NULL,
                                  &net_events, net, &net->dialer),
                     0);
    while (net->n_connected + net->n_failed == 0)
        assert_int_equal(loop_turn(net->loop, true), 0);
    assert_int_equal(net->n_connected, 1);
    assert_int_equal(address_compare(io_remote(net->io), &addresses[1]), 0);
    close(fd);
}

#define WITH_NET(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families_take_turns_and_the_first_ones_stays_first),
        WITH_NET(test_a_blackholed_address_costs_one_attempt_delay_not_a_timeout),
        WITH_NET(test_the_first_may_still_win_after_the_second_began),
        WITH_NET(test_a_failure_begins_the_next_attempt_at_once),
        WITH_NET(test_when_all_fail_the_most_telling_failure_names_all_addresses),
        WITH_NET(test_one_refused_address_reads_as_one),
        WITH_NET(test_lack_of_descriptors_is_our_own_failure),
        WITH_NET(test_many_addresses_are_bounded_and_the_text_is_cut),
        WITH_NET(test_lb04_cancel_closes_every_attempt_and_is_silent),
        WITH_NET(test_lb04_the_winner_may_be_closed_inside_the_event),
        WITH_NET(test_an_empty_list_is_refused),
        WITH_NET(test_every_failed_allocation_of_a_dialer_is_survived),
        WITH_NET(test_a_real_listener_is_reached_past_a_port_where_nobody_listens),
    };

    return cmocka_run_group_tests_name("net/dialer", tests, NULL, NULL);
}
