/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netrc.h"
#include "support/test.h"

static void test_the_first_machine_that_fits_logs_in(void **state)
{
    static const struct {
        const char *text, *host;
        const char *want; /* "user:password"; NULL: none */
    } rows[] = {
        {"machine a.test login u password p", "a.test", "u:p"},
        {"machine a.test\n\tlogin u\n\tpassword p\n", "A.TEST", "u:p"},
        {"machine b.test login x password y machine a.test login u password p", "a.test",
         "u:p"},
        {"machine a.test login u password p machine a.test login x", "a.test", "u:p"},
        {"machine a.test login u", "a.test", "u:"},
        {"machine a.test password p", "a.test", ":p"},
        {"machine a.test", "a.test", NULL},
        {"machine a.test login u password p", "www.a.test", NULL},
        {"machine a.test login u password p", "xa.test", NULL},
        {"", "a.test", NULL},
        {"default login anonymous password me@x", "a.test", "anonymous:me@x"},
        {"machine b.test login x default login u password p", "a.test", "u:p"},
        {"machine a.test login u password p default login x", "a.test", "u:p"},
        {"machine a.test login u account z password p", "a.test", "u:p"},
        {"# machine a.test login x\nmachine a.test login u password p#q", "a.test", "u:p#q"},
        {"machine a.test login \"a b\" password \"p\\\"\\\\\\t\"", "a.test", "a b:p\"\\\t"},
        {"machine a.test login \"machine\" password \"login\"", "a.test", "machine:login"},
        {"machine a.test login machine password login", "a.test", "machine:login"},
        {"macdef init\nmachine a.test login x\n\nmachine a.test login u password p", "a.test",
         "u:p"},
        {"machine a.test login u password p macdef x\ncd /\n", "a.test", "u:p"},
        {"machine ::1 login u password p", "::1", "u:p"},
        {"MACHINE a.test LOGIN u PASSWORD p", "a.test", "u:p"},
        {"machine a.test login u password p\r\nmachine b.test login x\r\n", "a.test", "u:p"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *user = NULL;
        char *password = NULL;
        char got[64] = "";
        unsigned line;
        int r = netrc_find(rows[i].text, rows[i].host, &user, &password, &line);

        if (r == NETRC_FOUND)
            (void)snprintf(got, sizeof(got), "%s:%s", user, password);
        if (r != (rows[i].want ? NETRC_FOUND : NETRC_NONE) ||
            (rows[i].want && strcmp(got, rows[i].want) != 0))
            fail_msg("%s: %d, %s", rows[i].text, r, got);
        free(user);
        free(password);
    }
}

static void test_a_broken_file_is_told_with_its_line(void **state)
{
    char *big = malloc(NETRC_TOKEN_MAX + 32);
    const struct {
        const char *text;
        unsigned line;
    } rows[] = {
        {"machine", 1},
        {"machine a.test\nlogin", 2},
        {"machine a.test\n\npasword p", 3},
        {"login u\nhello", 2},
        {"machine a.test login \"u", 1},
        {"machine a.test login \"u\n\"", 1},
        {"macdef x\nfoo\n\nbar", 4},
        {big, 1},
    };

    (void)state;
    assert_non_null(big);
    memset(big, 'x', NETRC_TOKEN_MAX + 31);
    big[NETRC_TOKEN_MAX + 31] = '\0';
    memcpy(big, "machine ", 8);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *user = NULL;
        char *password = NULL;
        unsigned line;

        assert_int_equal(netrc_find(rows[i].text, "c.test", &user, &password, &line),
                         NETRC_E_SYNTAX);
        assert_int_equal(line, rows[i].line);
    }
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_machine_that_fits_logs_in),
        cmocka_unit_test(test_a_broken_file_is_told_with_its_line),
    };

    return cmocka_run_group_tests_name("cli/netrc", tests, NULL, NULL);
}
