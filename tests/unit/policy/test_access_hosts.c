/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "policy/access_hosts.h"
#include "support/test.h"

static void add_all(struct access_hosts *hosts, const char *const words[])
{
    *hosts = (struct access_hosts){0};
    for (unsigned i = 0; words[i]; i++)
        assert_int_equal(access_hosts_add(hosts, span_of(words[i]), i + 1), 0);
    access_hosts_sort(hosts);
}

/* The line of the entry that names it; 0: none. */
static unsigned line_of(const struct access_hosts *hosts, const char *host, uint16_t port)
{
    const struct access_host *found = access_hosts_find(hosts, span_of(host), port);

    return found ? found->line : 0;
}

static void test_names_wildcards_addresses_and_ports(void **state)
{
    static const char *const words[] = {
        "api.example", "*.wide.example", "one.example:8443",  "192.0.2.1", "[2001:db8::1]:443",
        "2001:db8::2", "BÜCHER.example", "*.wide.example:81", NULL};
    static const struct {
        const char *host;
        uint16_t port;
        unsigned line;
    } rows[] = {
        {"api.example", 80, 1},
        {"api.example.", 80, 1},
        {"x.api.example", 80, 0},
        {"xapi.example", 80, 0},
        {"wide.example", 80, 0},
        {"a.wide.example", 80, 2},
        {"a.b.c.wide.example", 443, 2},
        {"a.wide.example", 81, 8},
        {"xwide.example", 80, 0},
        {"one.example", 8443, 3},
        {"one.example", 443, 0},
        {"192.0.2.1", 80, 4},
        {"192.0.2.10", 80, 0},
        {"[2001:db8::1]", 443, 5},
        {"2001:db8::1", 80, 0},
        {"2001:db8::2", 80, 6},
        {"xn--bcher-kva.example", 1, 7},
        {"", 80, 0},
        {"example", 80, 0},
        {".wide.example", 80, 2},
    };
    struct access_hosts hosts;

    (void)state;
    add_all(&hosts, words);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(line_of(&hosts, rows[i].host, rows[i].port), rows[i].line);
    access_hosts_done(&hosts);
}

static void test_the_star_names_everything_and_addresses_have_nothing_below_them(void **state)
{
    static const char *const all[] = {"*", NULL};
    static const char *const of_port[] = {"*:443", "*.1", NULL};
    struct access_hosts hosts;

    (void)state;
    add_all(&hosts, all);
    assert_int_equal(line_of(&hosts, "a.example", 1), 1);
    assert_int_equal(line_of(&hosts, "[::1]", 1), 1);
    access_hosts_done(&hosts);
    hosts = (struct access_hosts){0};
    assert_int_equal(access_hosts_add(&hosts, span_of(of_port[0]), 1), 0);
    assert_int_equal(access_hosts_add(&hosts, span_of(of_port[1]), 2), -EINVAL);
    access_hosts_sort(&hosts);
    assert_int_equal(line_of(&hosts, "127.0.0.1", 443), 1);
    assert_int_equal(line_of(&hosts, "127.0.0.1", 80), 0);
    access_hosts_done(&hosts);
}

static void test_what_is_no_host_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",        ".example", "*example", "a.*.example", "http://a/", "a/b",    "a:0",
        "a:65536", "a:",       ":80",      "[::1",        "[::1]:x",   "*.*",    "*.",
        "**",      "user@a",   "a b",      "*.[::1]",     "1.2.3.4.5", "a:80:90"};
    struct access_hosts hosts = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(access_hosts_add(&hosts, span_of(wrong[i]), 1), -EINVAL);
    assert_int_equal(hosts.n, 0);
    access_hosts_done(&hosts);
}

static void test_a_long_list_is_looked_up_like_a_short_one_and_has_an_end(void **state)
{
    struct access_hosts hosts = {0};
    char word[64];

    (void)state;
    for (unsigned i = 0; i < ACCESS_HOSTS_MAX; i++) {
        (void)snprintf(word, sizeof(word), "h%u.example", i * 7919 % ACCESS_HOSTS_MAX);
        assert_int_equal(access_hosts_add(&hosts, span_of(word), i + 1), 0);
    }
    assert_int_equal(access_hosts_add(&hosts, span_of("one.more"), 1), -E2BIG);
    access_hosts_sort(&hosts);
    for (unsigned i = 0; i < ACCESS_HOSTS_MAX; i += 101) {
        (void)snprintf(word, sizeof(word), "h%u.example", i);
        assert_int_not_equal(line_of(&hosts, word, 80), 0);
    }
    assert_int_equal(line_of(&hosts, "h65536.example", 80), 0);
    access_hosts_done(&hosts);
}

static void test_an_entry_is_shown_as_it_could_have_been_written(void **state)
{
    static const char *const words[] = {"*",       "*:80",      "a.example:1", "*.a.b",
                                        "[::1]:2", "192.0.2.1", NULL};
    struct access_hosts hosts;

    (void)state;
    add_all(&hosts, words);
    for (size_t i = 0; i < hosts.n; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(0);

        assert_int_equal(access_host_format(&hosts.at[i], &text), 0);
        assert_string_equal(buf_c_str(&text), words[hosts.at[i].line - 1]);
    }
    access_hosts_done(&hosts);
}

static void test_without_memory_a_word_is_not_added(void **state)
{
    struct access_hosts hosts = {0};

    (void)state;
    for (uint64_t n = 1;; n++) {
        mem_fail_at(n);
        int r = access_hosts_add(&hosts, SPAN_LIT("a.example"), 1);
        mem_fail_at(0);
        if (r == 0)
            break;
        assert_int_equal(r, -ENOMEM);
        assert_int_equal(hosts.n, 0);
    }
    access_hosts_done(&hosts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_wildcards_addresses_and_ports),
        cmocka_unit_test(test_the_star_names_everything_and_addresses_have_nothing_below_them),
        cmocka_unit_test(test_what_is_no_host_is_refused),
        cmocka_unit_test(test_a_long_list_is_looked_up_like_a_short_one_and_has_an_end),
        cmocka_unit_test(test_an_entry_is_shown_as_it_could_have_been_written),
        cmocka_unit_test(test_without_memory_a_word_is_not_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
