/* SPDX-License-Identifier: MIT */

/* The promises of net/io.h, over TCP on loopback and over io_pair. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/loop.h"
#include "net/io.h"
#include "net/io_pair.h"
#include "net/io_tcp.h"
#include "support/test.h"

enum action { DO_NOTHING, DO_CLOSE };

/* An owner that counts, and may close from inside any call. */
struct owner {
    struct io *io;
    int n_connected, n_readable, n_writable, n_failed;
    enum action on_connected, on_readable, on_writable, on_failed;
    struct failure why;
};

static void act(struct owner *owner, enum action action)
{
    if (action == DO_CLOSE)
        owner->io = io_close(owner->io);
}

static void owner_on_connected(void *arg)
{
    struct owner *owner = arg;

    owner->n_connected++;
    act(owner, owner->on_connected);
}

static void owner_on_readable(void *arg)
{
    struct owner *owner = arg;

    owner->n_readable++;
    act(owner, owner->on_readable);
}

static void owner_on_writable(void *arg)
{
    struct owner *owner = arg;

    owner->n_writable++;
    act(owner, owner->on_writable);
}

static void owner_on_failed(void *arg, const struct failure *why)
{
    struct owner *owner = arg;

    owner->n_failed++;
    owner->why = *why;
    act(owner, owner->on_failed);
}

static const struct io_events owner_events = {
    .on_connected = owner_on_connected,
    .on_readable = owner_on_readable,
    .on_writable = owner_on_writable,
    .on_failed = owner_on_failed,
};

struct net {
    struct loop *loop;
    int listen_fd;
    int peer_fd;
    struct address address;
};

static int setup(void **state)
{
    struct net *net = calloc(1, sizeof(*net));
    socklen_t len = sizeof(net->address);

    assert_non_null(net);
    assert_int_equal(loop_new(&net->loop, clock_system()), 0);
    net->peer_fd = -1;
    net->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(net->listen_fd >= 0);
    assert_int_equal(address_parse(span_of("127.0.0.1"), 0, &net->address), 0);
    assert_int_equal(bind(net->listen_fd, &net->address.sa, address_len(&net->address)), 0);
    assert_int_equal(listen(net->listen_fd, 8), 0);
    assert_int_equal(getsockname(net->listen_fd, &net->address.sa, &len), 0);
    *state = net;
    return 0;
}

static int teardown(void **state)
{
    struct net *net = *state;

    loop_free(net->loop);
    if (net->peer_fd >= 0)
        close(net->peer_fd);
    if (net->listen_fd >= 0)
        close(net->listen_fd);
    free(net);
    return 0;
}

static void turn(struct loop *loop, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(loop_turn(loop, false), 0);
}

static void turn_until(struct loop *loop, const int *count)
{
    while (*count == 0)
        assert_int_equal(loop_turn(loop, true), 0);
}

static void dial(struct net *net, struct owner *owner)
{
    assert_int_equal(
        io_tcp_connect(net->loop, &net->address, NULL, &owner_events, owner, &owner->io), 0);
    assert_int_equal(owner->n_connected + owner->n_failed, 0); /* never from inside */
}

static void dial_and_accept(struct net *net, struct owner *owner)
{
    dial(net, owner);
    turn_until(net->loop, &owner->n_connected);
    net->peer_fd = accept(net->listen_fd, NULL, NULL);
    assert_true(net->peer_fd >= 0);
}

static struct iovec iov_of(const char *text)
{
    return (struct iovec){(void *)(uintptr_t)text, strlen(text)};
}

static void test_tcp_connects_and_carries_bytes_both_ways(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};
    struct iovec iov[2] = {iov_of("GET "), iov_of("/")};
    char buf[64];

    dial_and_accept(net, &owner);
    assert_true(io_is_connected(owner.io));
    assert_int_equal(address_compare(io_remote(owner.io), &net->address), 0);
    assert_true(address_is_loopback(io_local(owner.io)));
    assert_true(address_port(io_local(owner.io)) != 0);
    assert_null(io_tls_info(owner.io));
    assert_int_equal(io_writev(owner.io, iov, 2), 5);
    assert_int_equal(read(net->peer_fd, buf, sizeof(buf)), 5);
    assert_memory_equal(buf, "GET /", 5);

    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), -EAGAIN);
    io_set_interest(owner.io, IO_READ);
    assert_int_equal(write(net->peer_fd, "hello", 5), 5);
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), 5);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), -EAGAIN);
    assert_int_equal(io_last_failure(owner.io)->kind, FAILURE_NONE);
    io_close(owner.io);
}

static void test_a_refused_connection_is_one_failure_with_advice(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};

    close(net->listen_fd);
    net->listen_fd = -1;
    if (io_tcp_connect(net->loop, &net->address, NULL, &owner_events, &owner, &owner.io) < 0)
        skip(); /* a kernel that tells at once: the dialer's tests cover it */
    turn_until(net->loop, &owner.n_failed);
    turn(net->loop, 3);
    assert_int_equal(owner.n_failed, 1);
    assert_int_equal(owner.n_connected, 0);
    assert_int_equal(owner.why.kind, FAILURE_CONNECT);
    assert_int_equal(owner.why.sys_errno, ECONNREFUSED);
    assert_int_equal(owner.why.phase, PHASE_CONNECT);
    assert_non_null(strstr(owner.why.text, "is the server running?"));
    assert_non_null(strstr(owner.why.text, "127.0.0.1:"));
    assert_false(io_is_connected(owner.io));
    assert_int_equal(io_read(owner.io, &(char){0}, 1), -ECONNREFUSED);
    io_close(owner.io);
}

static void test_readiness_is_level_triggered_and_pausing_stops_it(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};
    char c;

    dial_and_accept(net, &owner);
    io_set_interest(owner.io, IO_READ);
    assert_int_equal(write(net->peer_fd, "ab", 2), 2);
    turn_until(net->loop, &owner.n_readable);
    turn(net->loop, 2);
    assert_int_equal(owner.n_readable, 3); /* not read yet: again each round */
    io_set_interest(owner.io, 0);
    turn(net->loop, 2);
    assert_int_equal(owner.n_readable, 3);
    io_set_interest(owner.io, IO_READ);
    turn(net->loop, 1);
    assert_int_equal(owner.n_readable, 4);
    assert_int_equal(io_read(owner.io, &c, 1), 1);
    turn(net->loop, 1);
    assert_int_equal(owner.n_readable, 5); /* one byte is left */
    assert_int_equal(io_read(owner.io, &c, 1), 1);
    turn(net->loop, 2);
    assert_int_equal(owner.n_readable, 5);
    io_set_interest(owner.io, IO_WRITE);
    turn(net->loop, 2);
    assert_int_equal(owner.n_writable, 2);
    io_close(owner.io);
}

static void test_a_short_read_spares_the_second_system_call_but_loses_nothing(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};
    char buf[16];

    dial_and_accept(net, &owner);
    io_set_interest(owner.io, IO_READ);
    assert_int_equal(write(net->peer_fd, "one", 3), 3);
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), 3);
    assert_int_equal(write(net->peer_fd, "two", 3), 3);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), -EAGAIN);
    owner.n_readable = 0;
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), 3);
    assert_memory_equal(buf, "two", 3);
    close(net->peer_fd);
    net->peer_fd = -1;
    owner.n_readable = 0;
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, buf, sizeof(buf)), 0);
    io_close(owner.io);
}

static void test_a_reset_is_told_as_the_result_and_only_once(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};
    struct linger linger = {.l_onoff = 1};
    struct iovec iov = iov_of("x");
    char c;

    dial_and_accept(net, &owner);
    io_set_interest(owner.io, IO_READ);
    assert_int_equal(setsockopt(net->peer_fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
                     0);
    close(net->peer_fd);
    net->peer_fd = -1;
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, &c, 1), -ECONNRESET);
    assert_int_equal(io_last_failure(owner.io)->kind, FAILURE_RECEIVE);
    assert_int_equal(io_last_failure(owner.io)->sys_errno, ECONNRESET);
    assert_int_equal(io_writev(owner.io, &iov, 1), -ECONNRESET);
    turn(net->loop, 3);
    assert_int_equal(owner.n_readable, 1);
    assert_int_equal(owner.n_failed, 0);
    io_close(owner.io);
}

static void test_writing_more_than_the_kernel_takes_says_again(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};
    static char bytes[1 << 20];
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0;
    size_t got = 0;
    ssize_t n;

    dial_and_accept(net, &owner);
    while ((n = io_writev(owner.io, &iov, 1)) > 0)
        sent += (size_t)n;
    assert_int_equal(n, -EAGAIN);
    io_set_interest(owner.io, IO_WRITE);
    turn(net->loop, 2);
    assert_int_equal(owner.n_writable, 0);
    while (got < sent) {
        n = read(net->peer_fd, bytes, sizeof(bytes));
        assert_true(n > 0);
        got += (size_t)n;
    }
    turn_until(net->loop, &owner.n_writable);
    assert_true(io_writev(owner.io, &iov, 1) > 0);
    io_close(owner.io);
}

static void test_lb04_tcp_may_be_closed_in_every_callback(void **state)
{
    struct net *net = *state;

    for (int which = 0; which < 4; which++) {
        struct owner owner = {.on_connected = which == 0 ? DO_CLOSE : DO_NOTHING,
                              .on_readable = which == 1 ? DO_CLOSE : DO_NOTHING,
                              .on_writable = which == 2 ? DO_CLOSE : DO_NOTHING,
                              .on_failed = which == 3 ? DO_CLOSE : DO_NOTHING};
        if (which == 3) {
            close(net->listen_fd);
            net->listen_fd = -1;
        }
        dial(net, &owner);
        io_set_interest(owner.io, which == 1 ? IO_READ : which == 2 ? IO_WRITE : 0);
        if (which != 3) {
            net->peer_fd = accept(net->listen_fd, NULL, NULL);
            assert_int_equal(write(net->peer_fd, "x", 1), 1);
        }
        while (owner.io)
            assert_int_equal(loop_turn(net->loop, true), 0);
        turn(net->loop, 3);
        assert_int_equal(owner.n_connected, which != 3);
        assert_int_equal(owner.n_readable, which == 1);
        assert_int_equal(owner.n_writable, which == 2);
        assert_int_equal(owner.n_failed, which == 3);
        if (which != 3)
            close(net->peer_fd);
        net->peer_fd = -1;
    }
}

static void test_a_connecting_io_may_be_closed_before_any_call(void **state)
{
    struct net *net = *state;
    struct owner owner = {0};

    dial(net, &owner);
    io_close(owner.io);
    turn(net->loop, 3);
    assert_int_equal(owner.n_connected + owner.n_failed, 0);
}

static void test_every_failed_allocation_of_a_connection_is_survived(void **state)
{
    struct net *net = *state;
    uint64_t n = 0;
    int r;

    do {
        struct owner owner = {0};

        mem_fail_at(++n);
        r = io_tcp_connect(net->loop, &net->address, NULL, &owner_events, &owner, &owner.io);
        mem_fail_at(0);
        if (r == 0)
            io_close(owner.io);
        else
            assert_int_equal(r, -ENOMEM);
        turn(net->loop, 1);
    } while (r < 0);
    assert_true(n > 1);
}

static void pair_new(struct net *net, struct owner *a, struct owner *b)
{
    assert_int_equal(io_pair_new(net->loop, &a->io, &b->io), 0);
    io_set_events(a->io, &owner_events, a);
    io_set_events(b->io, &owner_events, b);
}

static void test_a_pair_carries_bytes_and_its_end(void **state)
{
    struct net *net = *state;
    struct owner a = {0};
    struct owner b = {0};
    struct iovec iov = iov_of("hello");
    char buf[8];

    pair_new(net, &a, &b);
    io_pair_set_write_max(a.io, 3);
    io_set_interest(b.io, IO_READ);
    assert_int_equal(io_writev(a.io, &iov, 1), 3);
    assert_int_equal(io_pair_in_flight(a.io), 3);
    turn(net->loop, 2);
    assert_int_equal(b.n_readable, 2);
    io_pair_set_read_max(b.io, 2);
    assert_int_equal(io_read(b.io, buf, sizeof(buf)), 2);
    io_close(a.io);
    assert_int_equal(io_read(b.io, buf, sizeof(buf)), 1);
    assert_int_equal(io_read(b.io, buf, sizeof(buf)), 0);
    assert_int_equal(io_writev(b.io, &iov, 1), -EPIPE);
    io_close(b.io);
}

static void test_a_full_pair_says_again_and_is_writable_after_a_read(void **state)
{
    struct net *net = *state;
    struct owner a = {0};
    struct owner b = {0};
    struct iovec iov = iov_of("hello");
    char c;

    pair_new(net, &a, &b);
    io_pair_set_capacity(a.io, 4);
    assert_int_equal(io_writev(a.io, &iov, 1), 4);
    assert_int_equal(io_writev(a.io, &iov, 1), -EAGAIN);
    io_set_interest(a.io, IO_WRITE);
    turn(net->loop, 2);
    assert_int_equal(a.n_writable, 0);
    assert_int_equal(io_read(b.io, &c, 1), 1);
    turn(net->loop, 1);
    assert_int_equal(a.n_writable, 1);
    assert_int_equal(io_writev(a.io, &iov, 1), 1);
    io_close(a.io);
    io_close(b.io);
}

static void test_a_broken_pair_fails_at_both_ends(void **state)
{
    struct net *net = *state;
    struct owner a = {0};
    struct owner b = {0};
    struct iovec iov = iov_of("x");
    char c;

    pair_new(net, &a, &b);
    io_set_interest(a.io, IO_READ);
    io_pair_break(b.io, ECONNRESET);
    turn(net->loop, 1);
    assert_int_equal(a.n_readable, 1);
    assert_int_equal(io_read(a.io, &c, 1), -ECONNRESET);
    assert_int_equal(io_writev(b.io, &iov, 1), -ECONNRESET);
    assert_int_equal(io_last_failure(b.io)->kind, FAILURE_SEND);
    io_close(a.io);
    io_close(b.io);
}

static void test_an_end_of_stream_one_way_leaves_the_other_way_open(void **state)
{
    struct net *net = *state;
    struct owner a = {0};
    struct owner b = {0};
    struct iovec iov = iov_of("x");
    char c;

    pair_new(net, &a, &b);
    io_pair_send_eof(a.io);
    assert_int_equal(io_read(b.io, &c, 1), 0);
    assert_int_equal(io_writev(b.io, &iov, 1), 1);
    assert_int_equal(io_read(a.io, &c, 1), 1);
    io_close(a.io);
    io_close(b.io);
}

static void receive_much(struct owner *owner, uint64_t *announced)
{
    static char bytes[65536];
    ssize_t n;

    while ((n = io_read(owner->io, bytes, sizeof(bytes))) > 0)
        *announced -= (uint64_t)n;
    assert_int_equal(n, -EAGAIN);
    io_expect(owner->io, *announced);
}

/* The peer keeps its word; in between it stops with less than is waited for, and at the end of
 * it bytes that were announced to nobody are told at once. */
static void test_bytes_that_are_let_gather_all_come_though_the_sender_stops(void **state)
{
    static char bytes[1 << 20];
    struct net *net = *state;
    struct owner owner = {0};
    uint64_t announced = 64 << 20;

    dial_and_accept(net, &owner);
    io_set_interest(owner.io, IO_READ);
    io_expect(owner.io, announced);
    while (announced > 0) {
        uint64_t len = announced > sizeof(bytes) ? sizeof(bytes) - 1000 : announced;
        uint64_t left = announced - len;

        for (uint64_t sent = 0; sent < len;) {
            ssize_t n = send(net->peer_fd, bytes, len - sent, MSG_DONTWAIT);

            sent += n > 0 ? (uint64_t)n : 0;
            turn(net->loop, 1);
            receive_much(&owner, &announced);
        }
        while (announced > left) {
            owner.n_readable = 0;
            turn_until(net->loop, &owner.n_readable);
            receive_much(&owner, &announced);
        }
    }
    owner.n_readable = 0;
    assert_int_equal(send(net->peer_fd, bytes, 1, 0), 1);
    turn_until(net->loop, &owner.n_readable);
    assert_int_equal(io_read(owner.io, bytes, sizeof(bytes)), 1);
    io_close(owner.io);
}

#define WITH_NET(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_NET(test_tcp_connects_and_carries_bytes_both_ways),
        WITH_NET(test_a_refused_connection_is_one_failure_with_advice),
        WITH_NET(test_readiness_is_level_triggered_and_pausing_stops_it),
        WITH_NET(test_a_short_read_spares_the_second_system_call_but_loses_nothing),
        WITH_NET(test_bytes_that_are_let_gather_all_come_though_the_sender_stops),
        WITH_NET(test_a_reset_is_told_as_the_result_and_only_once),
        WITH_NET(test_writing_more_than_the_kernel_takes_says_again),
        WITH_NET(test_lb04_tcp_may_be_closed_in_every_callback),
        WITH_NET(test_a_connecting_io_may_be_closed_before_any_call),
        WITH_NET(test_every_failed_allocation_of_a_connection_is_survived),
        WITH_NET(test_a_pair_carries_bytes_and_its_end),
        WITH_NET(test_a_full_pair_says_again_and_is_writable_after_a_read),
        WITH_NET(test_a_broken_pair_fails_at_both_ends),
        WITH_NET(test_an_end_of_stream_one_way_leaves_the_other_way_open),
    };

    return cmocka_run_group_tests_name("net/io", tests, NULL, NULL);
}
