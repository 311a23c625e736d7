/* SPDX-License-Identifier: MIT */
#include <stdbool.h>

#include "policy/cookie_match.h"
#include "support/test.h"

static void test_a_host_matches_its_own_domain_and_those_above_it(void **state)
{
    static const struct {
        const char *host, *domain;
        bool matches;
    } rows[] = {
        {"example.com", "example.com", true},
        {"www.example.com", "example.com", true},
        {"a.b.example.com", "example.com", true},
        {"xexample.com", "example.com", false}, /* CK08 */
        {"example.com", "www.example.com", false},
        {"example.com", "com", true}, /* that com is no domain is the suffix list's to say */
        {"127.0.0.1", "127.0.0.1", true},
        {"127.0.0.1", "0.0.1", false},
        {"::1", "1", false},
        {"fe80::1", "fe80::1", true},
        {"example.com", "", false},
        {"", "example.com", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (cookie_domain_matches(span_of(rows[i].host), span_of(rows[i].domain)) !=
            rows[i].matches)
            fail_msg("%s in %s", rows[i].host, rows[i].domain);
    }
}

static void test_a_path_matches_whole_segments_only(void **state)
{
    static const struct {
        const char *request, *cookie;
        bool matches;
    } rows[] = {
        {"/", "/", true},       {"", "/", true},       {"/a", "/", true},
        {"/a/b", "/a", true},   {"/a/b", "/a/", true}, {"/a", "/a", true},
        {"/a", "/a/", false},   {"/ab", "/a", false},  {"/A", "/a", false},
        {"/a/b", "/a/b", true}, {"/a", "/a/b", false}, {"/", "/a", false},
        {"/a//b", "/a/", true}, {"/a", "", false},     {"/a?x", "/a", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (cookie_path_matches(span_of(rows[i].request), span_of(rows[i].cookie)) !=
            rows[i].matches)
            fail_msg("%s under %s", rows[i].request, rows[i].cookie);
    }
}

static void test_the_default_path_ends_before_the_last_slash(void **state)
{
    static const struct {
        const char *url_path, *expected;
    } rows[] = {
        {"", "/"},         {"/", "/"},  {"/a", "/"},      {"/a/", "/a"},    {"/a/b", "/a"},
        {"/a/b/", "/a/b"}, {"//", "/"}, {"noslash", "/"}, {"/a//b", "/a/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct span path = cookie_default_path(span_of(rows[i].url_path));

        if (!span_eq(path, span_of(rows[i].expected)))
            fail_msg("%s: %.*s", rows[i].url_path, (int)path.len, path.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_host_matches_its_own_domain_and_those_above_it),
        cmocka_unit_test(test_a_path_matches_whole_segments_only),
        cmocka_unit_test(test_the_default_path_ends_before_the_last_slash),
    };

    return cmocka_run_group_tests_name("policy/cookie_match", tests, NULL, NULL);
}
