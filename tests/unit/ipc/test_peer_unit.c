/* SPDX-License-Identifier: MIT */
/* The unit that a process is of, out of its control group. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/peer_unit.h"
#include "support/fd_count.h"
#include "support/test.h"

static void test_the_innermost_unit_of_a_path_is_told(void **state)
{
    static const struct {
        const char *path;
        const char *unit;
    } rows[] = {
        {"/system.slice/shop.service", "shop.service"},
        {"/system.slice/shop.service/worker", "shop.service"},
        {"/user.slice/user-1000.slice/user@1000.service/app.slice/app-mail-12.scope",
         "app-mail-12.scope"},
        {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope"},
        {"/init.scope", "init.scope"},
        {"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"},
        {"/", ""},
        {"", ""},
        {"/a/b", ""},
        {"/system.slice", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span unit = peer_unit_of_path(span_of(rows[i].path));

        assert_int_equal(unit.len, strlen(rows[i].unit));
        assert_memory_equal(unit.ptr, rows[i].unit, unit.len);
    }
}

static void test_nobody_is_told_for_a_process_that_is_gone(void **state)
{
    char unit[PEER_UNIT_BYTES] = "before";
    int pair[2];
    int before = count_fds();

    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    peer_unit_find(pair[0], child, 1, unit);
    close(pair[0]);
    close(pair[1]);
    /* With Linux 6.13 the socket says whose it really is: ours. */
    assert_null(strstr(unit, "before"));
    assert_int_equal(count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_innermost_unit_of_a_path_is_told),
        cmocka_unit_test(test_nobody_is_told_for_a_process_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
