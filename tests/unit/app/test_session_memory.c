/* SPDX-License-Identifier: MIT */
/* Where session cookies may lie: with systemd, which is the test here, or in a file beside the
 * socket; and who finds them there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "app/session_memory.h"
#include "app/sockets.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "policy/cookie_jar.h"
#include "store/cookie_rows.h"
#include "store/session_log.h"
#include "support/test.h"

static char place[64]; /* in memory; "": there is none on this machine */
static struct sockets sockets;
static char path[128]; /* of the file */

static void aim_at(const char *folder)
{
    sockets = (struct sockets){.is_ours = true, .lock_fd = -1};
    (void)snprintf(sockets.path, sizeof(sockets.path), "%s/socket", folder);
    (void)snprintf(path, sizeof(path), "%s/socket.sessions", folder);
}

static int begin(void **state)
{
    struct statfs fs;

    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    place[0] = '\0';
    if (statfs("/dev/shm", &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return 0;
    (void)snprintf(place, sizeof(place), "/dev/shm/xhrd-memory-XXXXXX");
    assert_non_null(mkdtemp(place));
    aim_at(place);
    return 0;
}

static int end(void **state)
{
    char command[128];

    (void)state;
    if (place[0] == '\0')
        return 0;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", place);
    return system(command);
}

static struct session_memory *open_memory(void)
{
    struct session_memory *memory = NULL;
    const struct passed nothing = {0};

    assert_int_equal(session_memory_open(&memory, &nothing, &sockets), 0);
    return memory;
}

static int try_to_open(void)
{
    struct session_memory *memory = NULL;
    const struct passed nothing = {0};
    int r = session_memory_open(&memory, &nothing, &sockets);

    assert_null(memory);
    return r;
}

static void put(const struct session_memory *memory, const char *value)
{
    const struct cookie cookie = {.name = SPAN_LIT("sid"),
                                  .value = span_of(value),
                                  .domain = SPAN_LIT("a.com"),
                                  .path = SPAN_LIT("/"),
                                  .expires_s = COOKIE_EXPIRES_NEVER,
                                  .order = 1};
    struct session_book *book = NULL;

    assert_non_null(memory);
    assert_int_equal(session_log_book(session_memory_log(memory), 1000, &book), 0);
    assert_int_equal(session_book_put(book, "", "default", &cookie), 0);
}

/* The one cookie in it, "" for none; good until the next call. */
static const char *find(const struct session_memory *memory)
{
    static char value[64];
    struct saved_cookie *saved = NULL;
    struct session_book *book = NULL;

    assert_int_equal(session_log_book(session_memory_log(memory), 1000, &book), 0);
    assert_int_equal(session_book_take_waiting(book, false, &saved), 0);
    (void)snprintf(value, sizeof(value), "%.*s", saved ? (int)saved->cookie.value.len : 0,
                   saved ? saved->cookie.value.ptr : "");
    saved_cookie_free(saved);
    return value;
}

/* ---- a file beside the socket ---------------------------------------------------------------
 */

#define NEEDS_MEMORY()                                                                         \
    do {                                                                                       \
        (void)state;                                                                           \
        if (place[0] == '\0') {                                                                \
            skip();                                                                            \
            return;                                                                            \
        }                                                                                      \
    } while (0)

static void test_a_process_that_died_leaves_its_file_to_the_next(void **state)
{
    struct stat st;

    NEEDS_MEMORY();
    struct session_memory *memory = open_memory();
    put(memory, "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    session_memory_free(memory);
    memory = open_memory();
    assert_string_equal(find(memory), "one");
    session_memory_free(memory);
}

static void test_one_that_leaves_takes_it_along(void **state)
{
    struct stat st;

    NEEDS_MEMORY();
    session_memory_leave(NULL);
    assert_null(session_memory_log(NULL));
    struct session_memory *memory = open_memory();
    put(memory, "one");
    session_memory_leave(memory);
    assert_int_equal(stat(path, &st), -1);
    put(memory, "two"); /* it may still be told something */
    /* Another daemon that has begun meanwhile is not robbed. */
    struct session_memory *next = open_memory();
    assert_string_equal(find(next), "");
    put(next, "three");
    session_memory_leave(memory);
    session_memory_free(memory);
    session_memory_free(next);
    next = open_memory();
    assert_string_equal(find(next), "three");
    session_memory_free(next);
}

static void test_two_processes_never_share_one(void **state)
{
    NEEDS_MEMORY();
    struct session_memory *memory = open_memory();
    assert_int_equal(try_to_open(), -EWOULDBLOCK);
    session_memory_free(memory);
    session_memory_free(open_memory());
}

static void test_a_place_where_others_may_write_is_not_used(void **state)
{
    NEEDS_MEMORY();
    assert_int_equal(chmod(place, 0770), 0);
    assert_int_equal(try_to_open(), 0);
    assert_int_equal(chmod(place, 0702), 0);
    assert_int_equal(try_to_open(), 0);
    assert_int_equal(chmod(place, 0755), 0);
    session_memory_free(open_memory());
}

static void test_a_place_on_a_disk_is_not_used(void **state)
{
    struct statfs fs;
    char folder[] = "memory-test-XXXXXX";
    char full[96];

    (void)state;
    if (statfs(".", &fs) < 0 || fs.f_type == TMPFS_MAGIC) {
        skip();
        return;
    }
    assert_non_null(mkdtemp(folder));
    char *here = realpath(folder, NULL);
    assert_non_null(here);
    sockets = (struct sockets){.is_ours = true, .lock_fd = -1};
    if (snprintf(full, sizeof(full), "%s/socket", here) < (int)sizeof(full)) {
        memcpy(sockets.path, full, strlen(full) + 1);
        assert_int_equal(try_to_open(), 0);
    }
    free(here);
    assert_int_equal(rmdir(folder), 0);
}

static void test_a_socket_that_is_not_ours_or_nowhere_has_none_beside_it(void **state)
{
    NEEDS_MEMORY();
    sockets.is_ours = false;
    assert_int_equal(try_to_open(), 0);
    sockets.is_ours = true;
    sockets.path[0] = '\0';
    assert_int_equal(try_to_open(), 0);
    aim_at("/dev/shm/no-such-folder");
    assert_int_equal(try_to_open(), 0);
}

static void make_file(mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void test_a_file_that_others_can_reach_is_not_used(void **state)
{
    char other[160];

    NEEDS_MEMORY();
    make_file(0640);
    assert_int_equal(try_to_open(), -EPERM);
    assert_int_equal(unlink(path), 0);
    (void)snprintf(other, sizeof(other), "%s.link", path);
    make_file(0600);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(try_to_open(), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(try_to_open(), -ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_to_open(), -EPERM);
}

/* ---- held by systemd ------------------------------------------------------------------------
 */

struct fake_manager {
    int fd;
    int held; /* what it was given last; -1: nothing */
    struct fake_clock clock;
    struct loop *loop;
};

static void listen_at(struct fake_manager *manager)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(sa_family_t); /* the kernel chooses an abstract one */
    char text[128] = "@";

    *manager = (struct fake_manager){.held = -1};
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&name, len), 0);
    len = sizeof(name);
    assert_int_equal(getsockname(manager->fd, (struct sockaddr *)&name, &len), 0);
    memcpy(text + 1, name.sun_path + 1, len - sizeof(sa_family_t) - 1);
    assert_int_equal(setenv("NOTIFY_SOCKET", text, 1), 0);
    fake_clock_init(&manager->clock, 1800000000);
    assert_int_equal(loop_new(&manager->loop, &manager->clock.clock), 0);
}

/* Return: how many messages with a descriptor came. */
static int hear(struct fake_manager *manager)
{
    int n = 0;

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

        if (recvmsg(manager->fd, &message, MSG_CMSG_CLOEXEC) < 0)
            return n;
        struct cmsghdr *part = CMSG_FIRSTHDR(&message);
        if (!part)
            continue;
        assert_string_equal(text, "FDSTORE=1\nFDNAME=sessions");
        memcpy(&manager->held, CMSG_DATA(part), sizeof(manager->held));
        n++;
    }
}

static void stop_manager(struct fake_manager *manager)
{
    manager->loop = loop_free(manager->loop);
    close(manager->fd);
    if (manager->held >= 0)
        close(manager->held);
    (void)unsetenv("NOTIFY_SOCKET");
}

/* Started with a socket of systemd's, and with what it holds as @names[1]… */
static struct session_memory *start(struct fake_manager *manager, struct passed *passed)
{
    struct session_memory *memory = NULL;
    const struct sockets of_systemd = {.count = 1, .lock_fd = -1, .path = "/run/xhrd.sock"};

    assert_int_equal(session_memory_open(&memory, passed, &of_systemd), 0);
    session_memory_attach(memory, manager->loop);
    return memory;
}

static void test_systemd_is_given_the_memory_once_and_gives_it_to_the_next(void **state)
{
    struct fake_manager manager;
    char *names[] = {(char *)(uintptr_t) "xhrd", (char *)(uintptr_t) "sessions",
                     (char *)(uintptr_t) "sessions"};
    struct passed passed = {names, 1};

    (void)state;
    assert_true(session_memory_is_name("sessions"));
    assert_false(session_memory_is_name("xhrd"));
    listen_at(&manager);
    struct session_memory *memory = start(&manager, &passed);
    assert_int_equal(hear(&manager), 1);
    put(memory, "one");
    session_memory_leave(memory); /* whether it is the end is systemd's to know */
    session_memory_detach(memory);
    session_memory_free(memory);
    assert_int_equal(dup2(manager.held, 4), 4);
    assert_int_equal(dup2(manager.held, 5), 5); /* more than one there should not be */
    passed.n = 3;
    memory = start(&manager, &passed);
    assert_int_equal(hear(&manager), 0);
    assert_string_equal(find(memory), "one");
    assert_int_equal(fcntl(5, F_GETFD), -1);
    session_memory_detach(memory);
    session_memory_free(memory);
    stop_manager(&manager);
}

static void test_a_manager_that_does_not_listen_is_asked_again(void **state)
{
    struct fake_manager manager;
    char *names[] = {(char *)(uintptr_t) "xhrd"};
    struct passed passed = {names, 1};

    (void)state;
    listen_at(&manager);
    int noise = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_un name;
    socklen_t len = sizeof(name);
    assert_int_equal(getsockname(manager.fd, (struct sockaddr *)&name, &len), 0);
    while (sendto(noise, "x", 1, 0, (struct sockaddr *)&name, len) == 1) {
    }
    struct session_memory *memory = start(&manager, &passed);
    put(memory, "one");
    assert_int_equal(hear(&manager), 0);
    fake_clock_advance_ms(&manager.clock, 200);
    assert_int_equal(loop_turn(manager.loop, false), 0);
    assert_int_equal(hear(&manager), 1);
    fake_clock_advance_ms(&manager.clock, 200);
    assert_int_equal(loop_turn(manager.loop, false), 0);
    assert_int_equal(hear(&manager), 0);
    session_memory_detach(memory);
    session_memory_free(memory);
    close(noise);
    stop_manager(&manager);
}

static void test_a_manager_that_is_not_there_keeps_nothing_and_fails_nothing(void **state)
{
    struct fake_manager manager;
    char *names[] = {(char *)(uintptr_t) "xhrd"};
    struct passed passed = {names, 1};

    (void)state;
    listen_at(&manager);
    close(manager.fd);
    manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct session_memory *memory = start(&manager, &passed);
    put(memory, "one");
    session_memory_detach(memory);
    session_memory_free(memory);
    stop_manager(&manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define MEMORY_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        MEMORY_TEST(test_a_process_that_died_leaves_its_file_to_the_next),
        MEMORY_TEST(test_one_that_leaves_takes_it_along),
        MEMORY_TEST(test_two_processes_never_share_one),
        MEMORY_TEST(test_a_place_where_others_may_write_is_not_used),
        MEMORY_TEST(test_a_place_on_a_disk_is_not_used),
        MEMORY_TEST(test_a_socket_that_is_not_ours_or_nowhere_has_none_beside_it),
        MEMORY_TEST(test_a_file_that_others_can_reach_is_not_used),
        MEMORY_TEST(test_systemd_is_given_the_memory_once_and_gives_it_to_the_next),
        MEMORY_TEST(test_a_manager_that_does_not_listen_is_asked_again),
        MEMORY_TEST(test_a_manager_that_is_not_there_keeps_nothing_and_fails_nothing),
    };

    log_set_level(LOG_LEVEL_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
