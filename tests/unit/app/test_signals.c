/* SPDX-License-Identifier: MIT */
/* What the outside tells the daemon and hears of it: signals, and the service manager. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/notify.h"
#include "app/signals.h"
#include "loop/loop.h"
#include "support/fd_count.h"
#include "support/test.h"

struct world {
    struct fake_clock clock;
    struct loop *loop;
    int n_leave, n_reload;
    int manager; /* where NOTIFY_SOCKET leads */
};

static void on_leave(void *owner)
{
    ((struct world *)owner)->n_leave++;
}

static void on_reload(void *owner)
{
    ((struct world *)owner)->n_reload++;
}

static const struct signal_events events = {on_leave, on_reload};

static void world_init(struct world *world)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa_family_t); /* the kernel chooses an abstract one */
    char text[128] = "@";

    *world = (struct world){.manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    fake_clock_init(&world->clock, 1800000000);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(bind(world->manager, (struct sockaddr *)&name, len), 0);
    len = sizeof(name);
    assert_int_equal(getsockname(world->manager, (struct sockaddr *)&name, &len), 0);
    memcpy(text + 1, name.sun_path + 1, len - sizeof(sa_family_t) - 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
}

static void world_done(struct world *world)
{
    loop_free(world->loop);
    close(world->manager);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

static void turn(struct world *world)
{
    assert_int_equal(loop_turn(world->loop, false), 0);
}

static const char *manager_hears(struct world *world)
{
    static char text[256];
    ssize_t n = recv(world->manager, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void test_signals_become_calls_on_the_loop(void **state)
{
    struct world world;
    struct signals *signals = NULL;
    int before = count_fds();

    (void)state;
    world_init(&world);
    assert_int_equal(signals_block(), 0);
    assert_int_equal(signals_new(&signals, world.loop, &events, &world), 0);
    turn(&world);
    assert_int_equal(world.n_leave + world.n_reload, 0);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    turn(&world);
    assert_int_equal(world.n_reload, 1);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(kill(getpid(), SIGINT), 0);
    turn(&world);
    assert_int_equal(world.n_leave, 2);
    assert_int_equal(world.n_reload, 1);
    signals_free(signals);
    world_done(&world);
    assert_int_equal(count_fds(), before);
}

static void test_the_service_manager_is_told_each_step(void **state)
{
    struct world world;
    struct notify *notify = NULL;

    (void)state;
    world_init(&world);
    assert_int_equal(notify_new(&notify, world.loop), 0);
    assert_string_equal(manager_hears(&world), ""); /* READY only when serving: SD02 */
    notify_ready(notify);
    assert_string_equal(manager_hears(&world), "READY=1");
    notify_reloading(notify);
    assert_string_equal(manager_hears(&world), "RELOADING=1");
    notify_stopping(notify);
    assert_string_equal(manager_hears(&world), "STOPPING=1");
    fake_clock_advance_ms(&world.clock, 3600000);
    turn(&world);
    assert_string_equal(manager_hears(&world), ""); /* nobody asked for a watchdog */
    notify_free(notify);
    world_done(&world);
}

static void test_sd04_the_watchdog_is_fed_in_time_with_one_to_spare(void **state)
{
    struct world world;
    struct notify *notify = NULL;
    char pid[16];

    (void)state;
    world_init(&world);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(notify_new(&notify, world.loop), 0);
    for (int fed = 0; fed < 5; fed++) {
        fake_clock_advance_ms(&world.clock, 9999);
        turn(&world);
        assert_string_equal(manager_hears(&world), "");
        fake_clock_advance_ms(&world.clock, 1);
        turn(&world);
        assert_string_equal(manager_hears(&world), "WATCHDOG=1");
    }
    notify_free(notify);
    fake_clock_advance_ms(&world.clock, 60000);
    turn(&world);
    assert_string_equal(manager_hears(&world), "");
    world_done(&world);
}

/* Whoever else writes to it has filled its queue. Return: that one's socket. */
static int make_deaf(const struct world *world)
{
    struct sockaddr_un name;
    socklen_t len = sizeof(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    assert_int_equal(getsockname(world->manager, (struct sockaddr *)&name, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
    while (send(fd, "x", 1, 0) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    return fd;
}

static void test_a_manager_that_does_not_listen_is_told_later_and_nobody_waits(void **state)
{
    struct world world;
    struct notify *notify = NULL;
    char pid[16];

    (void)state;
    world_init(&world);
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    assert_int_equal(setenv("WATCHDOG_USEC", "30000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_int_equal(notify_new(&notify, world.loop), 0);
    int other = make_deaf(&world);
    notify_reloading(notify);
    notify_ready(notify);
    fake_clock_advance_ms(&world.clock, 10000);
    turn(&world); /* the watchdog's, and the next try */
    fake_clock_advance_ms(&world.clock, 1000);
    turn(&world);
    while (strcmp(manager_hears(&world), "x") == 0)
        ;
    close(other);
    assert_string_equal(manager_hears(&world), "");
    fake_clock_advance_ms(&world.clock, 100);
    turn(&world);
    assert_string_equal(manager_hears(&world), "READY=1\nWATCHDOG=1");
    fake_clock_advance_ms(&world.clock, 1000);
    turn(&world);
    assert_string_equal(manager_hears(&world), ""); /* once */
    notify_free(notify);
    world_done(&world);
}

static void test_without_a_service_manager_nothing_is_said(void **state)
{
    struct world world;
    struct notify *notify = NULL;

    (void)state;
    world_init(&world);
    (void)unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_new(&notify, world.loop), 0);
    notify_ready(notify);
    assert_string_equal(manager_hears(&world), "");
    notify_free(notify);
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_become_calls_on_the_loop),
        cmocka_unit_test(test_the_service_manager_is_told_each_step),
        cmocka_unit_test(test_sd04_the_watchdog_is_fed_in_time_with_one_to_spare),
        cmocka_unit_test(test_a_manager_that_does_not_listen_is_told_later_and_nobody_waits),
        cmocka_unit_test(test_without_a_service_manager_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
