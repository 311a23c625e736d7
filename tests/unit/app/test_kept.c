/* SPDX-License-Identifier: MIT */
/* What systemd is asked to hold, and what the next process makes of it. The test is systemd: it
 * receives the messages with their descriptors, and passes these on from descriptor 3. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "app/kept.h"
#include "app/sockets.h"
#include "base/log.h"
#include "base/partition.h"
#include "support/service_world.h"
#include "support/test.h"

#define PASSED_MAX 8

struct fake_manager {
    int fd;
    char heard[16384]; /* "+name " for what is stored, "-name " for what is let go of */
    char names[PASSED_MAX][48];
    int held[PASSED_MAX];
    int n;
};

/* What is the test's own is out of the way of what is passed. */
static int out_of_the_way(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 64);

    assert_true(high >= 64);
    close(fd);
    return high;
}

static void listen_at(struct fake_manager *manager)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa_family_t); /* the kernel chooses an abstract one */
    char text[128] = "@";

    *manager = (struct fake_manager){
        .fd = out_of_the_way(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0))};
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&name, len), 0);
    len = sizeof(name);
    assert_int_equal(getsockname(manager->fd, (struct sockaddr *)&name, &len), 0);
    memcpy(text + 1, name.sun_path + 1, len - sizeof(sa_family_t) - 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
}

static void take_message(struct fake_manager *manager, const char *text, int fd)
{
    const char *name = strstr(text, "FDNAME=");

    assert_non_null(name);
    name += strlen("FDNAME=");
    bool stores = strncmp(text, "FDSTORE=1", strlen("FDSTORE=1")) == 0;
    size_t len = strlen(manager->heard);
    (void)snprintf(manager->heard + len, sizeof(manager->heard) - len, "%c%.*s ",
                   stores ? '+' : '-', (int)strcspn(name, "\n"), name);
    assert_int_equal(stores, fd >= 0);
    if (!stores)
        return;
    assert_true(manager->n < PASSED_MAX);
    (void)snprintf(manager->names[manager->n], sizeof(manager->names[0]), "%.*s",
                   (int)strcspn(name, "\n"), name);
    manager->held[manager->n++] = out_of_the_way(fd);
}

static void hear(struct fake_manager *manager)
{
    manager->heard[0] = '\0';
    for (;;) {
        union {
            struct cmsghdr header;
            char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char text[256] = "";
        struct iovec iov = {text, sizeof(text) - 1};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof(control.bytes)};
        int fd = -1;

        if (recvmsg(manager->fd, &message, MSG_CMSG_CLOEXEC) < 0)
            return;
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        if (part)
            memcpy(&fd, CMSG_DATA(part), sizeof(fd));
        take_message(manager, text, fd);
    }
}

/* A process is started: with the listening socket, which is of no interest here, and what is
 * held. */
static struct kept *start(struct fake_manager *manager)
{
    struct kept *kept = NULL;
    char *names[PASSED_MAX + 1] = {(char *)(uintptr_t) "xhrd"};
    struct passed passed = {names, manager->n + 1};

    assert_int_equal(dup2(manager->fd, 3), 3);
    for (int i = 0; i < manager->n; i++) {
        assert_int_equal(dup2(manager->held[i], 4 + i), 4 + i);
        names[i + 1] = manager->names[i];
    }
    assert_int_equal(kept_open(&kept, &passed), 0);
    assert_non_null(kept);
    hear(manager);
    return kept;
}

static void let_go(struct fake_manager *manager)
{
    for (int i = 0; i < manager->n; i++)
        close(manager->held[i]);
    manager->n = 0;
}

static void manager_done(struct fake_manager *manager)
{
    let_go(manager);
    close(manager->fd);
    (void)unsetenv("NOTIFY_SOCKET");
}

/* A client of the process that @kept is of. Return: the client's end; ours is systemd's alone.
 */
static int keep_one(struct fake_manager *manager, struct kept *kept, uint8_t is_busy)
{
    const struct client_keeper *keeper = kept_keeper(kept);
    struct partition partition;
    int pair[2];

    assert_int_equal(partition_init(&partition, 1000, span_of("work")), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
                     0);
    volatile uint8_t *busy = NULL;
    assert_int_equal(keeper->keep(keeper->owner, pair[0], &partition, "test", &busy), 0);
    assert_int_equal(*busy, 1); /* until it is known to rest */
    *busy = is_busy;
    close(pair[0]);
    hear(manager);
    return out_of_the_way(pair[1]);
}

static bool is_over(int fd)
{
    char byte;

    return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

/* Whoever of the clients @kept has found is served. */
static void adopt_and_serve(struct kept *kept, int fd, bool is_served)
{
    struct service_world world;
    struct fake_client client = {.world = &world, .fd = fd};

    service_world_init(&world);
    world.options.keeper = kept_keeper(kept);
    service_world_restart(&world);
    kept_adopt(kept, world.service);
    if (is_served) {
        client_get(&client, 1);
        server_says(&world.net, "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n");
        client_hears(&client);
        assert_non_null(strstr(client.story, "done(1,0) "));
    }
    client_done(&client);
    service_world_done(&world);
}

static void test_without_a_service_manager_nothing_is_kept(void **state)
{
    char *names[] = {(char *)(uintptr_t) "xhrd"};
    struct passed passed = {names, 1};
    struct kept *kept = NULL;

    (void)state;
    assert_int_equal(kept_open(&kept, &passed), 0);
    assert_null(kept);
    assert_null(kept_keeper(kept));
    kept_adopt(kept, NULL);
    kept_free(kept);
}

static void test_a_client_that_rests_is_served_by_the_next_process(void **state)
{
    struct fake_manager manager;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    assert_string_equal(manager.heard, "-table +table ");
    int fd = keep_one(&manager, kept, 0);
    assert_string_equal(manager.heard, "+client-0-1 ");
    kept_free(kept);
    assert_false(is_over(fd));

    kept = start(&manager);
    assert_string_equal(manager.heard, "");
    assert_false(is_over(fd));
    adopt_and_serve(kept, fd, true);
    fd = keep_one(&manager, kept, 0);
    assert_string_equal(manager.heard, "+client-0-2 "); /* the place is free again */
    close(fd);
    kept_free(kept);
    manager_done(&manager);
}

static void test_what_was_under_way_ends_with_the_process(void **state)
{
    struct fake_manager manager;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    int fd = keep_one(&manager, kept, 1);
    kept_free(kept);
    assert_false(is_over(fd));

    kept = start(&manager);
    assert_string_equal(manager.heard, "-client-0-1 ");
    assert_true(is_over(fd));
    adopt_and_serve(kept, fd, false);
    kept_free(kept);
    manager_done(&manager);
}

/* Writes @byte somewhere in the table that systemd holds. */
static void
damage(const struct fake_manager *manager, const char *before, size_t skip, char byte)
{
    struct stat st;
    int fd = manager->held[0];

    assert_string_equal(manager->names[0], "table");
    assert_int_equal(fstat(fd, &st), 0);
    char *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(at, MAP_FAILED);
    char *found = memmem(at, (size_t)st.st_size, before, strlen(before) + 1);
    assert_non_null(found);
    found[skip] = byte;
    assert_int_equal(munmap(at, (size_t)st.st_size), 0);
}

static void test_a_table_of_another_version_is_not_read(void **state)
{
    struct fake_manager manager;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    int fd = keep_one(&manager, kept, 0);
    kept_free(kept);
    damage(&manager, "xhrd clients 1", 5, 'C');

    kept = start(&manager);
    assert_string_equal(manager.heard, "-table +table -client-0-1 ");
    assert_true(is_over(fd));
    adopt_and_serve(kept, fd, false);
    kept_free(kept);
    manager_done(&manager);
}

static void test_a_place_that_a_dying_process_wrote_over_is_not_believed(void **state)
{
    struct fake_manager manager;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    int fd = keep_one(&manager, kept, 0);
    int other = keep_one(&manager, kept, 0);
    kept_free(kept);
    damage(&manager, "work", 0, 'f'); /* another profile, the first one's */

    kept = start(&manager);
    assert_string_equal(manager.heard, "-client-0-1 ");
    assert_true(is_over(fd));
    assert_false(is_over(other));
    close(fd);
    adopt_and_serve(kept, other, true);
    kept_free(kept);
    manager_done(&manager);
}

static void test_names_that_are_not_of_the_table_are_let_go_of(void **state)
{
    static const char *const wrong[] = {"client-0-2",  "client-1-1", "client-99999-1",
                                        "client-0-1 ", "client--1",  "client-0",
                                        "client-00-1", "client-"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct fake_manager manager;
        char expected[64];

        listen_at(&manager);
        struct kept *kept = start(&manager);
        int fd = keep_one(&manager, kept, 0);
        kept_free(kept);
        (void)snprintf(manager.names[1], sizeof(manager.names[1]), "%s", wrong[i]);
        kept = start(&manager);
        (void)snprintf(expected, sizeof(expected), "-%s ", wrong[i]);
        assert_string_equal(manager.heard, expected);
        assert_true(is_over(fd));
        close(fd);
        kept_free(kept);
        manager_done(&manager);
    }
}

static void test_no_more_are_kept_than_there_are_places(void **state)
{
    struct fake_manager manager;
    struct partition partition;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    const struct client_keeper *keeper = kept_keeper(kept);
    volatile uint8_t *last = NULL;
    volatile uint8_t *again = NULL;
    assert_int_equal(partition_init(&partition, 1, span_of("")), 0);
    for (unsigned i = 0; i < KEPT_CLIENTS_MAX; i++) {
        assert_int_equal(keeper->keep(keeper->owner, manager.fd, &partition, "", &last), 0);
        hear(&manager);
        close(manager.held[--manager.n]);
    }
    assert_int_equal(keeper->keep(keeper->owner, manager.fd, &partition, "", &again), -ENOSPC);
    keeper->drop(keeper->owner, last);
    assert_int_equal(keeper->keep(keeper->owner, manager.fd, &partition, "", &again), 0);
    assert_ptr_equal(again, last);
    hear(&manager);
    assert_string_equal(manager.heard, "+client-4095-2 ");
    kept_free(kept);
    manager_done(&manager);
}

/* Nobody takes what is sent to it: its queue is full. Return: who filled it. */
static int make_deaf(const struct fake_manager *manager)
{
    struct sockaddr_un name;
    socklen_t len = sizeof(name);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(getsockname(manager->fd, (struct sockaddr *)&name, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&name, len), 0);
    while (send(fd, "FDSTOREREMOVE=1\nFDNAME=x", 25, 0) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
    return fd;
}

static void test_a_manager_that_does_not_listen_keeps_nobody_waiting(void **state)
{
    struct fake_manager manager;
    struct partition partition;
    volatile uint8_t *busy = NULL;

    (void)state;
    listen_at(&manager);
    struct kept *kept = start(&manager);
    const struct client_keeper *keeper = kept_keeper(kept);
    assert_int_equal(partition_init(&partition, 1, span_of("")), 0);
    int other = make_deaf(&manager);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keeper->keep(keeper->owner, manager.fd, &partition, "", &busy),
                         -EAGAIN);
    assert_null(busy);
    hear(&manager);
    close(other);
    assert_int_equal(keeper->keep(keeper->owner, manager.fd, &partition, "", &busy), 0);
    hear(&manager);
    assert_string_equal(manager.heard, "+client-0-4 "); /* the place was free again each time */
    kept_free(kept);
    manager_done(&manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_service_manager_nothing_is_kept),
        cmocka_unit_test(test_a_client_that_rests_is_served_by_the_next_process),
        cmocka_unit_test(test_what_was_under_way_ends_with_the_process),
        cmocka_unit_test(test_a_table_of_another_version_is_not_read),
        cmocka_unit_test(test_a_place_that_a_dying_process_wrote_over_is_not_believed),
        cmocka_unit_test(test_names_that_are_not_of_the_table_are_let_go_of),
        cmocka_unit_test(test_no_more_are_kept_than_there_are_places),
        cmocka_unit_test(test_a_manager_that_does_not_listen_keeps_nobody_waiting),
    };

    log_set_level(LOG_LEVEL_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
