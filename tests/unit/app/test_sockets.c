/* SPDX-License-Identifier: MIT */
/* Where clients come in, and the way out under the lock that clients take to start a daemon. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/sockets.h"
#include "base/log.h"
#include "support/fd_count.h"
#include "support/test.h"

static char folder[64];
static char path[96];
static char lock_path[96];

static int make_folder(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_ERR);
    (void)snprintf(folder, sizeof(folder), "/tmp/xhrd-sockets-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    (void)snprintf(lock_path, sizeof(lock_path), "%s/lock", folder);
    return 0;
}

static int remove_folder(void **state)
{
    char aside[128];

    (void)state;
    (void)snprintf(aside, sizeof(aside), "%s.old", path);
    assert_int_equal(access(aside, F_OK), -1); /* never left lying about */
    (void)unlink(path);
    (void)unlink(lock_path);
    return rmdir(folder);
}

static int connect_to(const char *where)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", where);
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0)
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static void test_a_path_is_bound_for_one_or_for_all(void **state)
{
    (void)state;
    for (int everyone = 0; everyone < 2; everyone++) {
        struct sockets sockets;
        struct stat st;

        assert_int_equal(sockets_open(&sockets, NULL, path, everyone), 0);
        assert_int_equal(sockets.count, 1);
        assert_string_equal(sockets.path, path);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, everyone ? 0666 : 0600);
        int client = connect_to(path);
        assert_true(client >= 0);
        close(client);
        sockets_done(&sockets);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void test_without_a_path_there_is_nothing_to_serve(void **state)
{
    struct sockets sockets;

    (void)state;
    assert_int_equal(sockets_open(&sockets, NULL, NULL, false), -ENOENT);
}

static void test_a_path_in_use_is_left_alone(void **state)
{
    struct sockets first;
    struct sockets second;
    int before = count_fds();

    (void)state;
    assert_int_equal(sockets_open(&first, NULL, path, false), 0);
    assert_int_equal(sockets_open(&second, NULL, path, false), -EADDRINUSE);
    int client = connect_to(path);
    assert_true(client >= 0);
    close(client);
    sockets_done(&first);
    assert_int_equal(count_fds(), before);
}

static void test_a_daemon_too_busy_to_accept_is_a_daemon(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct sockets sockets;
    int clients[8];
    int n = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(listen(fd, 1), 0);
    while (n < 8 && (clients[n] = connect_to(path)) >= 0)
        n++;
    assert_true(n < 8); /* its backlog is full */
    assert_int_equal(sockets_open(&sockets, NULL, path, false), -EADDRINUSE);
    while (n > 0)
        close(clients[--n]);
    close(fd);
}

static void test_what_a_killed_daemon_left_is_replaced(void **state)
{
    struct sockets dead;
    struct sockets sockets;

    (void)state;
    assert_int_equal(sockets_open(&dead, NULL, path, false), 0);
    close(dead.fds[0]); /* and nothing else: as SIGKILL does */
    assert_int_equal(sockets_open(&sockets, NULL, path, false), 0);
    int client = connect_to(path);
    assert_true(client >= 0);
    close(client);
    sockets_done(&sockets);
}

static void test_what_is_no_socket_is_never_removed(void **state)
{
    struct sockets sockets;
    int fd = open(path, O_CREAT | O_WRONLY, 0600);

    (void)state;
    close(fd);
    assert_int_equal(sockets_open(&sockets, NULL, path, false), -EEXIST);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(sockets_open(&sockets, NULL, path, false), -EEXIST);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/nonexistent/elsewhere", path), 0);
    assert_int_equal(sockets_open(&sockets, NULL, path, false), -EEXIST);
    assert_int_equal(unlink(path), 0);
}

static void test_a_path_too_long_for_a_socket_is_refused(void **state)
{
    struct sockets sockets;
    char longest[200];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(sockets_open(&sockets, NULL, longest, false), -ENAMETOOLONG);
}

/* ---- handed over ------------------------------------------------------------------------ */

/* In a child, where descriptor 3 is free to be the one handed over. Return: its verdict. */
static int take_over_in_child(int fd, const char *n_fds, bool by_systemd)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        char pid[16];
        struct sockets sockets = {0};
        struct passed passed;

        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
        (void)setenv("LISTEN_PID", pid, 1);
        (void)setenv("LISTEN_FDS", n_fds, 1);
        if (by_systemd)
            (void)setenv("INVOCATION_ID", "x", 1);
        else
            (void)unsetenv("INVOCATION_ID");
        if (dup2(fd, 3) != 3)
            _exit(99);
        int r = passed_take(&passed);
        if (r == 0)
            r = sockets_open(&sockets, &passed, "/nonexistent/not-looked-at", false);
        passed_done(&passed);
        if (r < 0)
            _exit(-r < 90 ? -r : 90);
        if (sockets.count != 1 || sockets.fds[0] != 3 || strcmp(sockets.path, path) != 0)
            _exit(91);
        if (sockets_leave(&sockets) != SOCKETS_LEFT)
            _exit(92);
        sockets_done(&sockets);
        _exit(getenv("LISTEN_FDS") ? 93 : 0); /* children must not take it for theirs */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_a_socket_handed_over_goes_before_the_path(void **state)
{
    (void)state;
    for (int by_systemd = 0; by_systemd < 2; by_systemd++) {
        struct sockets sockets;

        assert_int_equal(sockets_open(&sockets, NULL, path, false), 0);
        assert_int_equal(take_over_in_child(sockets.fds[0], "1", by_systemd), 0);
        /* systemd keeps its socket; what a client bound for us goes when we leave. */
        assert_int_equal(access(path, F_OK), by_systemd ? 0 : -1);
        sockets_done(&sockets);
    }
}

static void test_what_is_handed_over_must_be_a_listening_socket(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(take_over_in_child(pair[0], "1", false), EINVAL);
    close(pair[0]);
    close(pair[1]);
}

/* ---- leaving ------------------------------------------------------------------------------
 */

static void test_leaving_takes_the_socket_away_under_the_lock(void **state)
{
    struct sockets sockets;
    int before = count_fds();

    (void)state;
    assert_int_equal(sockets_open(&sockets, NULL, path, false), 0);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_LEFT);
    assert_int_equal(connect_to(path), -ENOENT);
    int lock = open(lock_path, O_RDWR | O_CLOEXEC); /* who starts a daemon now waits for us */
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), -1);
    sockets_done(&sockets);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    close(lock);
    assert_int_equal(count_fds(), before);
}

static void test_a_client_that_is_connecting_keeps_the_daemon(void **state)
{
    struct sockets sockets;

    (void)state;
    assert_int_equal(sockets_open(&sockets, NULL, path, false), 0);
    int client = connect_to(path);
    assert_true(client >= 0);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_STAY);
    int accepted = accept(sockets.fds[0], NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    int second = connect_to(path); /* the socket is where it was */
    assert_true(second >= 0);
    close(accept(sockets.fds[0], NULL, NULL));
    close(second);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_LEFT);
    sockets_done(&sockets);
}

static void test_a_client_that_is_starting_a_daemon_keeps_this_one(void **state)
{
    struct sockets sockets;

    (void)state;
    assert_int_equal(sockets_open(&sockets, NULL, path, false), 0);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_STAY);
    assert_int_equal(access(path, F_OK), 0);
    close(lock);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_LEFT);
    sockets_done(&sockets);
}

static void test_nobody_elses_socket_is_taken_away(void **state)
{
    struct sockets old;
    struct sockets new;

    (void)state;
    for (int by_leaving = 0; by_leaving < 2; by_leaving++) {
        assert_int_equal(sockets_open(&old, NULL, path, false), 0);
        assert_int_equal(unlink(path), 0); /* as a client does before it binds anew */
        assert_int_equal(sockets_open(&new, NULL, path, false), 0);
        if (by_leaving)
            assert_int_equal(sockets_leave(&old), SOCKETS_LEFT);
        sockets_done(&old);
        int client = connect_to(path);
        assert_true(client >= 0);
        close(client);
        sockets_done(&new);
    }
}

static void test_a_relative_path_works_as_well(void **state)
{
    struct sockets sockets;
    int here = open(".", O_PATH | O_CLOEXEC);

    (void)state;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(sockets_open(&sockets, NULL, "socket", false), 0);
    assert_int_equal(sockets_leave(&sockets), SOCKETS_LEFT);
    assert_int_equal(access(lock_path, F_OK), 0);
    sockets_done(&sockets);
    assert_int_equal(fchdir(here), 0);
    close(here);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_path_is_bound_for_one_or_for_all),
        IN_FOLDER(test_without_a_path_there_is_nothing_to_serve),
        IN_FOLDER(test_a_path_in_use_is_left_alone),
        IN_FOLDER(test_a_daemon_too_busy_to_accept_is_a_daemon),
        IN_FOLDER(test_what_a_killed_daemon_left_is_replaced),
        IN_FOLDER(test_what_is_no_socket_is_never_removed),
        IN_FOLDER(test_a_path_too_long_for_a_socket_is_refused),
        IN_FOLDER(test_a_socket_handed_over_goes_before_the_path),
        IN_FOLDER(test_what_is_handed_over_must_be_a_listening_socket),
        IN_FOLDER(test_leaving_takes_the_socket_away_under_the_lock),
        IN_FOLDER(test_a_client_that_is_connecting_keeps_the_daemon),
        IN_FOLDER(test_a_client_that_is_starting_a_daemon_keeps_this_one),
        IN_FOLDER(test_nobody_elses_socket_is_taken_away),
        IN_FOLDER(test_a_relative_path_works_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
