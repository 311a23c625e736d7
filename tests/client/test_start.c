/* SPDX-License-Identifier: MIT */
/* Finding a daemon, starting one, being caught while it leaves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"
#include "xhr/xhr.h"

static char base[64];  /* of this test's files */
static char path[128]; /* the last that was put together */

static const char *in_base(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", base, name);
    return path;
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(base, sizeof(base), "/tmp/xhr-test-XXXXXX");
    if (!mkdtemp(base))
        return -1;
    unsetenv("XHRD_SOCKET");
    unsetenv("XHRD_FAKE");
    setenv("XDG_RUNTIME_DIR", base, 1);
    setenv("XHRD_DAEMON", FAKE_XHRD, 1);
    setenv("SECRET_OF_PROGRAM", "1", 1);
    setenv("XHRD_FAKE_COUNT", in_base("count"), 1);
    return 0;
}

static unsigned starts(pid_t *ret_last)
{
    FILE *file = fopen(in_base("count"), "re");
    unsigned count = 0;
    int pid;

    while (file && fscanf(file, "%d", &pid) == 1) {
        *ret_last = pid;
        count++;
    }
    if (file)
        (void)fclose(file);
    return count;
}

/* It was started by us and said its number itself; it may have ended since. */
static void stop_daemon(void)
{
    char exe[64];
    char target[512];
    pid_t pid = 0;

    if (starts(&pid) == 0)
        return;
    (void)snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(exe, target, sizeof(target) - 1);
    if (n > 0 && strncmp(target, FAKE_XHRD, (size_t)n) == 0)
        kill(pid, SIGKILL);
}

/* So that a test can wait for the end of a daemon that is nobody's child. */
static void adopt_daemons(bool on)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0), 0);
}

static void kill_daemon(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, __WALL), pid);
}

static int tear_down(void **state)
{
    static const char *const names[] = {"xhrd/socket", "xhrd/lock", "xhrd/log",
                                        "xhrd",        "count",     "s"};

    (void)state;
    stop_daemon();
    adopt_daemons(false);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        (void)remove(in_base(names[i]));
    return rmdir(base);
}

/* Return: what xhr_fetch() said; *ret_pid who answered; the error's text in @text. */
static int
fetch(const struct xhr_client_options *client, pid_t *ret_pid, char *text, size_t size)
{
    struct xhr_fetch_options options = {
        .size = sizeof(options), .url = "http://a.test/", .client_options = client};
    struct xhr_response *response = NULL;
    int r = xhr_fetch(&options, &response);

    if (r == 0)
        assert_int_equal(sscanf(xhr_response_text(response, NULL), "%d", ret_pid), 1);
    if (text)
        (void)snprintf(
            text, size, "%s",
            response && xhr_response_error(response) ? xhr_response_error(response)->text : "");
    xhr_response_free(response);
    return r;
}

static void test_with_no_daemon_one_is_started_and_found_again(void **state)
{
    pid_t first = 0;
    pid_t second = 0;
    struct stat st;
    sigset_t usr1;

    (void)state;
    /* What a program may do to itself must not reach its daemon. */
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    signal(SIGPIPE, SIG_IGN);
    int stray = open("/dev/null", O_RDONLY); /* not close-on-exec */
    assert_int_equal(fetch(NULL, &first, NULL, 0), 0);
    close(stray);
    sigprocmask(SIG_UNBLOCK, &usr1, NULL);
    assert_int_equal(fetch(NULL, &second, NULL, 0), 0);
    assert_int_equal(first, second);
    assert_int_equal(starts(&first), 1);
    assert_int_equal(stat(in_base("xhrd"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(in_base("xhrd/socket"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child of ours is left */
}

static void test_a_hundred_processes_at_once_start_one_daemon(void **state)
{
    enum { PROCESSES = 100 };
    pid_t children[PROCESSES];
    pid_t answered = 0;
    int gate[2];

    (void)state;
    assert_int_equal(pipe(gate), 0);
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            char byte;

            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0) /* until all are there */
                _exit(2);
            _exit(fetch(NULL, &answered, NULL, 0) == 0 ? 0 : 1);
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 0;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(starts(&answered), 1);
}

static void test_a_stale_socket_of_a_killed_daemon_is_replaced(void **state)
{
    pid_t first = 0;
    pid_t second = 0;

    (void)state;
    adopt_daemons(true);
    assert_int_equal(fetch(NULL, &first, NULL, 0), 0);
    kill_daemon(first);
    assert_int_equal(access(in_base("xhrd/socket"), F_OK), 0);
    assert_int_equal(fetch(NULL, &second, NULL, 0), 0);
    assert_int_not_equal(first, second);
    assert_int_equal(starts(&second), 2);
}

static void on_load(struct xhr_request *request, void *user)
{
    *(bool *)user = true;
    (void)request;
}

static void test_an_idle_client_connects_again_after_the_daemon_died(void **state)
{
    const struct xhr_callbacks callbacks = {.size = sizeof(callbacks), .onload = on_load};
    struct xhr_client *client = NULL;
    struct xhr_request *request = NULL;
    pid_t first = 0;
    bool loaded = false;

    (void)state;
    adopt_daemons(true);
    assert_int_equal(xhr_client_new(NULL, &client), 0);
    assert_int_equal(xhr_request_new(client, &request), 0);
    assert_int_equal(xhr_request_set_callbacks(request, &callbacks, &loaded), 0);
    for (unsigned i = 0; i < 4; i++) {
        loaded = false;
        assert_int_equal(xhr_request_open(request, "GET", "http://a.test/", false), 0);
        assert_int_equal(xhr_request_send(request, NULL), 0);
        assert_true(loaded);
        assert_int_equal(sscanf(xhr_request_response_body(request, NULL), "%d", &first), 1);
        kill_daemon(first);
        if (i % 2) { /* once noticed by its loop, once only when it sends */
            assert_int_equal(xhr_client_dispatch(client), 0);
            assert_int_equal(xhr_client_fd(client), -1);
        }
    }
    assert_int_equal(starts(&first), 4);
    xhr_request_free(request);
    xhr_client_free(client);
}

static void test_a_program_that_cannot_be_run_is_named(void **state)
{
    const struct xhr_client_options options = {.size = sizeof(options),
                                               .daemon_path = "/nonexistent/xhrd"};
    char text[400];
    pid_t pid;

    (void)state;
    assert_int_equal(fetch(&options, &pid, text, sizeof(text)), -EHOSTDOWN);
    assert_non_null(strstr(text, "/nonexistent/xhrd"));
    assert_non_null(strstr(text, "No such file or directory"));
    assert_non_null(strstr(text, "XHRD_DAEMON"));
    assert_int_equal(access(in_base("xhrd/socket"), F_OK), -1);
}

static void test_a_daemon_that_ends_at_once_is_told_and_not_tried_for_ever(void **state)
{
    char text[400];
    pid_t pid = 0;

    (void)state;
    setenv("XHRD_FAKE", "exit", 1);
    assert_int_equal(fetch(NULL, &pid, text, sizeof(text)), -EHOSTDOWN);
    assert_non_null(strstr(text, "ended at once"));
    assert_int_equal(starts(&pid), 3);
    pid = 0;
}

static void test_a_daemon_that_hangs_up_without_hello_is_tried_again_a_few_times(void **state)
{
    char text[400];
    pid_t pid = 0;

    (void)state;
    setenv("XHRD_FAKE", "hangup", 1);
    assert_int_equal(fetch(NULL, &pid, text, sizeof(text)), -EHOSTDOWN);
    assert_int_equal(starts(&pid), 1);
}

static void test_no_start_starts_nothing(void **state)
{
    const struct xhr_client_options options = {.size = sizeof(options), .no_start = true};
    char text[400];
    pid_t pid = 0;

    (void)state;
    assert_int_equal(fetch(&options, &pid, text, sizeof(text)), -EHOSTDOWN);
    assert_int_equal(starts(&pid), 0);
}

static void test_a_named_socket_is_the_only_one_tried(void **state)
{
    char text[400];
    char socket[128];
    pid_t pid = 0;

    (void)state;
    assert_int_equal(fetch(NULL, &pid, NULL, 0), 0);
    (void)snprintf(socket, sizeof(socket), "%s/nobody", base);
    setenv("XHRD_SOCKET", socket, 1);
    assert_int_equal(fetch(NULL, &pid, text, sizeof(text)), -EHOSTDOWN);
    assert_non_null(strstr(text, socket));
    (void)snprintf(socket, sizeof(socket), "%s/xhrd/socket", base);
    setenv("XHRD_SOCKET", socket, 1);
    assert_int_equal(fetch(NULL, &pid, NULL, 0), 0);
    unsetenv("XHRD_SOCKET");
}

static void test_a_lock_held_by_another_is_waited_for(void **state)
{
    struct xhr_client *client = NULL;
    struct xhr_request *request = NULL;
    pid_t pid = 0;

    (void)state;
    assert_int_equal(mkdir(in_base("xhrd"), 0700), 0);
    int lock = open(in_base("xhrd/lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(xhr_client_new(NULL, &client), 0);
    assert_int_equal(xhr_request_new(client, &request), 0);
    assert_int_equal(xhr_request_open(request, "GET", "http://a.test/", true), 0);
    assert_int_equal(xhr_request_send(request, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_true(xhr_client_wait(client, -1) >= 0);
    assert_int_equal(starts(&pid), 0);
    assert_int_equal(xhr_client_in_flight(client), 1);
    close(lock);
    while (xhr_client_in_flight(client) > 0)
        assert_true(xhr_client_wait(client, -1) >= 0);
    assert_null(xhr_request_error(request));
    assert_int_equal(starts(&pid), 1);
    xhr_request_free(request);
    xhr_client_free(client);
}

enum { STRANGER = 54321 }; /* a uid whose /tmp/xhrd-UID is nobody's but this test's */

static void make_foreign(const char *dir)
{
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void make_open_to_all(const char *dir)
{
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chown(dir, STRANGER, STRANGER), 0);
}

static void make_symlink(const char *dir)
{
    assert_int_equal(chmod(base, 0700), 0);
    assert_int_equal(symlink(base, dir), 0);
    assert_int_equal(lchown(dir, STRANGER, STRANGER), 0);
}

static void make_file(const char *dir)
{
    int fd = open(dir, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fchown(fd, STRANGER, STRANGER), 0);
    close(fd);
}

static void test_a_run_directory_in_tmp_that_is_not_ours_alone_is_refused(void **state)
{
    static void (*const makers[])(const char *dir) = {make_foreign, make_open_to_all,
                                                      make_symlink, make_file};
    static const char dir[] = "/tmp/xhrd-54321";

    (void)state;
    if (geteuid() != 0)
        skip(); /* another uid is needed */
    unsetenv("XDG_RUNTIME_DIR");
    for (size_t i = 0; i < sizeof(makers) / sizeof(*makers); i++) {
        int status = 0;

        (void)remove(dir);
        makers[i](dir);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            char text[400];
            pid_t pid;

            if (setresuid(STRANGER, STRANGER, STRANGER) < 0)
                _exit(2);
            int r = fetch(NULL, &pid, text, sizeof(text));
            _exit(r == -EHOSTDOWN && strstr(text, "/tmp/xhrd-54321 must be a directory") ? 0
                                                                                         : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(remove(dir), 0);
        if (status != 0)
            fail_msg("case %zu: status %d", i, status);
    }
}

static void test_a_daemon_of_another_uid_does_not_count(void **state)
{
    const struct xhr_client_options options = {.size = sizeof(options), .no_start = true};
    pid_t pid = 0;
    int status = 0;

    (void)state;
    if (geteuid() != 0)
        skip(); /* another uid is needed */
    assert_int_equal(fetch(NULL, &pid, NULL, 0), 0);
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(chmod(in_base("xhrd"), 0755), 0);
    assert_int_equal(chmod(in_base("xhrd/socket"), 0666), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (setresuid(STRANGER, STRANGER, STRANGER) < 0)
            _exit(2);
        _exit(fetch(&options, &pid, NULL, 0) == -EHOSTDOWN ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_with_no_daemon_one_is_started_and_found_again),
        TEST(test_a_hundred_processes_at_once_start_one_daemon),
        TEST(test_a_stale_socket_of_a_killed_daemon_is_replaced),
        TEST(test_an_idle_client_connects_again_after_the_daemon_died),
        TEST(test_a_program_that_cannot_be_run_is_named),
        TEST(test_a_daemon_that_ends_at_once_is_told_and_not_tried_for_ever),
        TEST(test_a_daemon_that_hangs_up_without_hello_is_tried_again_a_few_times),
        TEST(test_no_start_starts_nothing),
        TEST(test_a_named_socket_is_the_only_one_tried),
        TEST(test_a_lock_held_by_another_is_waited_for),
        TEST(test_a_run_directory_in_tmp_that_is_not_ours_alone_is_refused),
        TEST(test_a_daemon_of_another_uid_does_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
