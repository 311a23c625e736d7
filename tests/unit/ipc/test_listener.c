/* SPDX-License-Identifier: MIT */
/* The listener on an abstract socket, also when there are no descriptors left to accept with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "ipc/listener.h"
#include "loop/loop.h"
#include "support/test.h"

#define CLIENTS 6

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct listener *listener;
    struct sockaddr_un name;
    socklen_t name_len;
    int accepted[64];
    struct peer peers[64];
    int n_accepted;
    int clients[CLIENTS];
};

static void on_accept(void *owner, int fd, const struct peer *peer)
{
    struct world *world = owner;

    world->peers[world->n_accepted] = *peer;
    world->accepted[world->n_accepted++] = fd;
}

static const struct listener_events events = {.on_accept = on_accept};

static void world_init(struct world *world)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *world = (struct world){.name.sun_family = AF_UNIX, .name_len = sizeof(sa_family_t)};
    fake_clock_init(&world->clock, 1700000000);
    world->clock.now_us = 1000000;
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_true(fd >= 0); /* the kernel chooses the name */
    assert_int_equal(bind(fd, (struct sockaddr *)&world->name, world->name_len), 0);
    world->name_len = sizeof(world->name);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&world->name, &world->name_len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(listener_new(&world->listener, world->loop, fd, &events, world), 0);
    assert_int_equal(listener_fd(world->listener), fd);
}

static void connect_clients(struct world *world)
{
    for (int i = 0; i < CLIENTS; i++) {
        world->clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        assert_true(world->clients[i] >= 0);
        assert_int_equal(
            connect(world->clients[i], (struct sockaddr *)&world->name, world->name_len), 0);
    }
}

static void world_done(struct world *world)
{
    for (int i = 0; i < world->n_accepted; i++)
        close(world->accepted[i]);
    for (int i = 0; i < CLIENTS; i++)
        close(world->clients[i]);
    listener_free(world->listener);
    loop_free(world->loop);
}

static void turn(struct world *world)
{
    assert_int_equal(loop_turn(world->loop, false), 0);
}

static void test_clients_are_accepted_with_what_the_kernel_says_of_them(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    connect_clients(&world);
    turn(&world);
    assert_int_equal(world.n_accepted, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(world.peers[i].uid, getuid());
        assert_int_equal(world.peers[i].gid, getgid());
        assert_int_equal(world.peers[i].pid, getpid());
        assert_true(fcntl(world.accepted[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(world.accepted[i], F_GETFD) & FD_CLOEXEC);
    }
    world_done(&world);
}

static void test_ip12_without_descriptors_it_rests_and_recovers_within_a_second(void **state)
{
    struct world world;
    struct rlimit limit;
    struct rlimit tight;

    (void)state;
    log_set_level(LOG_LEVEL_ERR);
    world_init(&world);
    connect_clients(&world);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0); /* the lowest that is free */
    assert_true(next >= 0);
    close(next);
    tight = (struct rlimit){(rlim_t)next, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    for (int i = 0; i < 20; i++) {
        turn(&world);
        assert_int_equal(world.n_accepted, 0);
    }
    /* It does not even look at the socket: a descriptor that is free again changes nothing
     * before the pause is over. That is what keeps it from spinning. */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    turn(&world);
    assert_int_equal(world.n_accepted, 0);
    fake_clock_advance_ms(&world.clock, 1000);
    turn(&world);
    turn(&world);
    assert_int_equal(world.n_accepted, CLIENTS);
    world_done(&world);
    log_set_level(LOG_LEVEL_NOTICE);
}

/* Where the log goes meanwhile. Return: what was written. */
static size_t lines_written(int log)
{
    char text[4096] = "";
    size_t n = 0;

    assert_true(pread(log, text, sizeof(text) - 1, 0) >= 0);
    for (const char *at = text; (at = strstr(at, "cannot accept a client")); at++)
        n++;
    return n;
}

static void test_ip12_it_says_so_once_a_minute_however_often_it_tries(void **state)
{
    FILE *log = tmpfile();
    struct world world;
    struct rlimit limit;
    int before = dup(STDERR_FILENO);

    (void)state;
    assert_non_null(log);
    assert_true(before >= 0);
    world_init(&world);
    connect_clients(&world);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0); /* the lowest that is free */
    assert_true(next >= 0);
    close(next);
    assert_int_equal(dup2(fileno(log), STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){(rlim_t)next, limit.rlim_max}),
                     0);
    for (int i = 0; i < 4 * 59; i++) {
        turn(&world);
        fake_clock_advance_ms(&world.clock, 250);
    }
    assert_int_equal(lines_written(fileno(log)), 1);
    for (int i = 0; i < 8; i++) {
        turn(&world);
        fake_clock_advance_ms(&world.clock, 250);
    }
    assert_int_equal(lines_written(fileno(log)), 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
    close(before);
    (void)fclose(log);
    assert_int_equal(world.n_accepted, 0);
    world_done(&world);
}

static void test_what_is_no_listening_socket_is_refused_or_left_to_its_caller(void **state)
{
    struct fake_clock clock;
    struct loop *loop;
    struct listener *listener = NULL;
    struct world world;

    (void)state;
    fake_clock_init(&clock, 0);
    assert_int_equal(loop_new(&loop, &clock.clock), 0);
    assert_int_equal(listener_new(&listener, loop, -1, &events, &world), -EBADF);
    assert_null(listener);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_are_accepted_with_what_the_kernel_says_of_them),
        cmocka_unit_test(test_ip12_without_descriptors_it_rests_and_recovers_within_a_second),
        cmocka_unit_test(test_ip12_it_says_so_once_a_minute_however_often_it_tries),
        cmocka_unit_test(test_what_is_no_listening_socket_is_refused_or_left_to_its_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
