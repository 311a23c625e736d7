/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/mem.h"
#include "http/hsts_header.h"
#include "policy/hsts.h"
#include "support/span_test.h"

#define NOW_S INT64_C(1800000000)
#define DAY_S 86400

struct bench {
    struct hsts *set;
    unsigned n_told;
    char told[128]; /* "HOST EXPIRES SUBDOMAINS" after the last change; "gone HOST" */
};

static void
bench_on_change(void *owner, const struct hsts_host *before, const struct hsts_host *after)
{
    struct bench *bench = owner;
    const struct hsts_host *at = after ? after : before;

    bench->n_told++;
    if (after)
        (void)snprintf(bench->told, sizeof(bench->told), "%.*s %lld %d", (int)at->host.len,
                       at->host.ptr, (long long)(at->expires_s - NOW_S),
                       at->include_subdomains);
    else
        (void)snprintf(bench->told, sizeof(bench->told), "gone %.*s", (int)at->host.len,
                       at->host.ptr);
}

static const struct hsts_changes bench_changes = {.on_change = bench_on_change};

static void bench_init(struct bench *bench, size_t hosts_max)
{
    struct hsts_options options = hsts_options_default();

    *bench = (struct bench){0};
    if (hosts_max > 0)
        options.hosts_max = hosts_max;
    assert_int_equal(hsts_new(&bench->set, &options), 0);
    hsts_observe(bench->set, &bench_changes, bench);
}

static int note(struct bench *bench, const char *host, int64_t max_age_s, bool subdomains)
{
    return hsts_note(bench->set, span_of(host), max_age_s, subdomains, NOW_S);
}

static bool is_secure(struct bench *bench, const char *host)
{
    return hsts_is_secure(bench->set, span_of(host), NOW_S);
}

static void test_hs01_a_trailing_dot_makes_no_other_host(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "a.test.", DAY_S, true), HSTS_CHANGED);
    assert_string_equal(bench.told, "a.test 86400 1");
    assert_true(is_secure(&bench, "a.test"));
    assert_true(is_secure(&bench, "a.test."));
    assert_true(is_secure(&bench, "sub.a.test."));
    assert_int_equal(note(&bench, "b.test", DAY_S, false), HSTS_CHANGED);
    assert_true(is_secure(&bench, "b.test."));
    assert_int_equal(hsts_remove(bench.set, SPAN_LIT("b.test.")), 1);
    assert_int_equal(note(&bench, "a.test", 0, false), HSTS_CHANGED);
    assert_int_equal(hsts_count(bench.set), 0);
    hsts_free(bench.set);
}

static void test_hs02_every_spelling_of_a_host_is_upgraded(void **state)
{
    static const char *const spellings[] = {
        "http://known.test/",      "http://KNOWN.test/",           "http://known\u3002test/",
        "http://known\uff0etest/", "http://known\uff61test/",      "http://known%E3%80%82test/",
        "http://\uff4bnown.test/", "http://known.test\u3002/path", "http://u:p@known.test:80/",
    };
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "known.test", DAY_S, false), HSTS_CHANGED);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(*spellings); i++) {
        struct url url;

        assert_int_equal(url_parse(span_of(spellings[i]), NULL, &url), URL_OK);
        if (!hsts_is_secure(bench.set, url.host, NOW_S))
            fail_msg("%s is not upgraded", spellings[i]);
        url_done(&url);
    }
    hsts_free(bench.set);
}

static void test_hs03_a_subdomain_changes_nothing_above_it(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "ex.test", 100 * DAY_S, true), HSTS_CHANGED);
    assert_int_equal(note(&bench, "x.ex.test", DAY_S, true), HSTS_CHANGED);
    assert_true(hsts_is_secure(bench.set, SPAN_LIT("ex.test"), NOW_S + 99 * DAY_S));
    assert_true(hsts_is_secure(bench.set, SPAN_LIT("x.ex.test"), NOW_S + 99 * DAY_S));
    assert_int_equal(note(&bench, "x.ex.test", 0, true), HSTS_UNCHANGED); /* has expired */
    assert_int_equal(note(&bench, "y.ex.test", 0, true), HSTS_UNCHANGED);
    assert_true(is_secure(&bench, "x.ex.test")); /* by its parent */
    assert_true(is_secure(&bench, "ex.test"));
    assert_int_equal(hsts_count(bench.set), 1);

    /* Nor does it make the parent known. */
    assert_int_equal(note(&bench, "deep.other.test", DAY_S, true), HSTS_CHANGED);
    assert_false(is_secure(&bench, "other.test"));
    assert_false(is_secure(&bench, "test"));
    assert_false(is_secure(&bench, "shallow.other.test"));
    hsts_free(bench.set);
}

static void test_only_include_sub_domains_reaches_down(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "plain.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(note(&bench, "wide.test", DAY_S, true), HSTS_CHANGED);
    assert_int_equal(note(&bench, "narrow.wide.test", DAY_S, false), HSTS_CHANGED);
    assert_true(is_secure(&bench, "plain.test"));
    assert_false(is_secure(&bench, "a.plain.test"));
    assert_true(is_secure(&bench, "a.b.wide.test"));
    assert_true(is_secure(&bench, "a.narrow.wide.test")); /* a nearer one does not hide it */
    assert_false(is_secure(&bench, "awide.test"));
    assert_false(is_secure(&bench, "wide.test.evil.test"));
    assert_false(is_secure(&bench, ""));
    assert_false(is_secure(&bench, "."));
    hsts_free(bench.set);
}

static void test_hs05_an_address_is_never_known(void **state)
{
    static const char *const addresses[] = {"127.0.0.1", "127.0.0.1.", "[::1]", "::1"};
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
        assert_int_equal(note(&bench, addresses[i], DAY_S, true), HSTS_REFUSED);
        assert_false(is_secure(&bench, addresses[i]));
    }
    assert_int_equal(note(&bench, "", DAY_S, true), HSTS_REFUSED);
    assert_int_equal(note(&bench, "a..test", DAY_S, true), HSTS_REFUSED);
    assert_int_equal(hsts_count(bench.set), 0);
    hsts_free(bench.set);
}

static void test_hs06_max_age_0_removes_and_the_longest_does_not_overflow(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "a.test", HSTS_MAX_AGE_MAX, false), HSTS_CHANGED);
    assert_true(hsts_is_secure(bench.set, SPAN_LIT("a.test"), NOW_S + HSTS_MAX_AGE_MAX - 1));
    assert_int_equal(note(&bench, "a.test", 0, false), HSTS_CHANGED);
    assert_string_equal(bench.told, "gone a.test");
    assert_false(is_secure(&bench, "a.test"));
    assert_int_equal(note(&bench, "a.test", 0, true), HSTS_UNCHANGED);
    assert_int_equal(bench.n_told, 2);
    hsts_free(bench.set);
}

static void test_an_entry_ends_when_its_time_is_up(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(note(&bench, "a.test", 10, true), HSTS_CHANGED);
    assert_true(hsts_is_secure(bench.set, SPAN_LIT("b.a.test"), NOW_S + 9));
    assert_false(hsts_is_secure(bench.set, SPAN_LIT("b.a.test"), NOW_S + 10));
    assert_string_equal(bench.told, "gone a.test");
    assert_int_equal(hsts_count(bench.set), 0);
    assert_int_equal(note(&bench, "a.test", 10, true), HSTS_CHANGED);
    assert_int_equal(hsts_expire(bench.set, NOW_S + 9), 0);
    assert_int_equal(hsts_expire(bench.set, NOW_S + 10), 1);
    hsts_free(bench.set);
}

static void test_a_field_in_every_answer_is_no_write_for_every_answer(void **state)
{
    struct bench bench;
    struct span host = SPAN_LIT("a.test");
    int64_t age_s = 64 * DAY_S;

    (void)state;
    bench_init(&bench, 0);
    assert_int_equal(hsts_note(bench.set, host, age_s, false, NOW_S), HSTS_CHANGED);
    for (int64_t at = 0; at <= DAY_S; at += 3600)
        assert_int_equal(hsts_note(bench.set, host, age_s, false, NOW_S + at), HSTS_UNCHANGED);
    assert_int_equal(bench.n_told, 1);
    assert_true(hsts_is_secure(bench.set, host, NOW_S + DAY_S + age_s - 1)); /* in memory */
    assert_int_equal(hsts_note(bench.set, host, age_s, false, NOW_S + DAY_S + 1), HSTS_CHANGED);

    /* What is shorter, or reaches farther or less far, is told at once. */
    assert_int_equal(hsts_note(bench.set, host, age_s - 2, false, NOW_S + DAY_S + 1),
                     HSTS_CHANGED);
    assert_int_equal(hsts_note(bench.set, host, age_s, true, NOW_S + DAY_S + 1), HSTS_CHANGED);
    assert_int_equal(hsts_note(bench.set, host, age_s, false, NOW_S + DAY_S + 1), HSTS_CHANGED);
    assert_int_equal(bench.n_told, 5);
    hsts_free(bench.set);
}

static void test_the_least_recently_used_makes_way(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 3);
    assert_int_equal(note(&bench, "a.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(note(&bench, "b.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(note(&bench, "c.test", DAY_S, false), HSTS_CHANGED);
    assert_true(is_secure(&bench, "a.test"));
    assert_int_equal(note(&bench, "d.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(hsts_count(bench.set), 3);
    assert_false(is_secure(&bench, "b.test"));
    assert_true(is_secure(&bench, "a.test") && is_secure(&bench, "c.test"));
    hsts_free(bench.set);
}

/* A full set is looked through when something has ended, whoever it is by then. */
static void test_what_has_ended_makes_way_before_the_least_recently_used(void **state)
{
    struct bench bench;

    (void)state;
    bench_init(&bench, 3);
    assert_int_equal(note(&bench, "a.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(note(&bench, "b.test", DAY_S, false), HSTS_CHANGED);
    assert_int_equal(note(&bench, "c.test", 100, false), HSTS_CHANGED);
    assert_int_equal(hsts_expire(bench.set, NOW_S + 1), 0);
    assert_int_equal(note(&bench, "b.test", 10, false), HSTS_CHANGED); /* ends first now */
    assert_int_equal(hsts_note(bench.set, SPAN_LIT("d.test"), DAY_S, false, NOW_S + 10),
                     HSTS_CHANGED);
    assert_true(is_secure(&bench, "a.test"));
    assert_false(is_secure(&bench, "b.test"));
    assert_int_equal(hsts_note(bench.set, SPAN_LIT("e.test"), DAY_S, false, NOW_S + 100),
                     HSTS_CHANGED);
    assert_true(is_secure(&bench, "a.test"));
    assert_false(is_secure(&bench, "c.test"));
    assert_int_equal(hsts_clear(bench.set), 3);
    hsts_free(bench.set);
}

static void test_sets_that_share_a_limit_push_out_nobody_elses(void **state)
{
    size_t all = 0;
    struct hsts_options options = {.hosts_max = 10, .all_max = 2, .all = &all};
    CLEANUP(hsts_free) struct hsts *a = NULL;
    CLEANUP(hsts_free) struct hsts *b = NULL;

    (void)state;
    assert_int_equal(hsts_new(&a, &options), 0);
    assert_int_equal(hsts_new(&b, &options), 0);
    assert_int_equal(hsts_note(a, SPAN_LIT("1.a.test"), 10, false, NOW_S), HSTS_CHANGED);
    assert_int_equal(hsts_note(a, SPAN_LIT("2.a.test"), 10, false, NOW_S), HSTS_CHANGED);
    assert_int_equal(hsts_note(b, SPAN_LIT("b.test"), 10, false, NOW_S), HSTS_REFUSED);
    assert_int_equal(hsts_note(a, SPAN_LIT("3.a.test"), 10, false, NOW_S), HSTS_CHANGED);
    assert_int_equal(hsts_count(a), 2);
    assert_int_equal(hsts_clear(a), 2);
    assert_int_equal(all, 0);
    assert_int_equal(hsts_note(b, SPAN_LIT("b.test"), 10, false, NOW_S), HSTS_CHANGED);
}

static void test_hs10_what_one_set_knows_another_does_not(void **state)
{
    struct bench a;
    struct bench b;

    (void)state;
    bench_init(&a, 0);
    bench_init(&b, 0);
    assert_int_equal(note(&a, "a.test", DAY_S, true), HSTS_CHANGED);
    assert_true(is_secure(&a, "a.test"));
    assert_false(is_secure(&b, "a.test"));
    hsts_free(a.set);
    assert_int_equal(note(&b, "a.test", 0, true), HSTS_UNCHANGED);
    hsts_free(b.set);
}

static void test_what_is_restored_is_told_to_nobody(void **state)
{
    struct hsts_host saved = {SPAN_LIT("a.test"), NOW_S + 10, true};
    struct bench bench;

    (void)state;
    bench_init(&bench, 1);
    assert_int_equal(hsts_restore(bench.set, &saved, NOW_S), HSTS_CHANGED);
    assert_int_equal(hsts_restore(bench.set, &saved, NOW_S), HSTS_UNCHANGED);
    assert_true(is_secure(&bench, "b.a.test"));
    saved.host = SPAN_LIT("b.test");
    assert_int_equal(hsts_restore(bench.set, &saved, NOW_S), HSTS_REFUSED); /* no place */
    hsts_clear(bench.set);
    assert_int_equal(hsts_restore(bench.set, &saved, NOW_S + 10), HSTS_REFUSED); /* too late */
    saved.host = SPAN_LIT("10.0.0.1");
    assert_int_equal(hsts_restore(bench.set, &saved, NOW_S), HSTS_REFUSED);
    assert_int_equal(bench.n_told, 1); /* of the clearing */
    hsts_free(bench.set);
}

static void test_hs09_port_80_becomes_443_and_others_stay(void **state)
{
    static const struct {
        const char *from;
        const char *to;
    } rows[] = {
        {"http://a.test/", "https://a.test/"},
        {"http://a.test:80/p?q#f", "https://a.test/p?q#f"},
        {"http://a.test:8080/p", "https://a.test:8080/p"},
        {"http://a.test:443/", "https://a.test/"},
        {"http://u:p%40@a.test./%2e", "https://u:p%40@a.test./"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct url from;
        struct url to;

        assert_int_equal(url_parse(span_of(rows[i].from), NULL, &from), URL_OK);
        assert_int_equal(hsts_upgrade(&from, &to), URL_OK);
        assert_span(url_href(&to), rows[i].to);
        url_done(&from);
        url_done(&to);
    }
}

static void test_no_memory_changes_nothing(void **state)
{
    struct bench bench;
    int r = -1;

    (void)state;
    bench_init(&bench, 0);
    for (uint64_t at = 1; r < 0; at++) {
        mem_fail_at(at);
        r = note(&bench, "a.test", DAY_S, true);
        mem_fail_at(0);
        assert_int_equal(is_secure(&bench, "a.test"), r == HSTS_CHANGED);
        assert_int_equal(bench.n_told, r == HSTS_CHANGED);
    }
    assert_int_equal(r, HSTS_CHANGED);
    hsts_free(bench.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hs01_a_trailing_dot_makes_no_other_host),
        cmocka_unit_test(test_hs02_every_spelling_of_a_host_is_upgraded),
        cmocka_unit_test(test_hs03_a_subdomain_changes_nothing_above_it),
        cmocka_unit_test(test_only_include_sub_domains_reaches_down),
        cmocka_unit_test(test_hs05_an_address_is_never_known),
        cmocka_unit_test(test_hs06_max_age_0_removes_and_the_longest_does_not_overflow),
        cmocka_unit_test(test_an_entry_ends_when_its_time_is_up),
        cmocka_unit_test(test_a_field_in_every_answer_is_no_write_for_every_answer),
        cmocka_unit_test(test_the_least_recently_used_makes_way),
        cmocka_unit_test(test_what_has_ended_makes_way_before_the_least_recently_used),
        cmocka_unit_test(test_sets_that_share_a_limit_push_out_nobody_elses),
        cmocka_unit_test(test_hs10_what_one_set_knows_another_does_not),
        cmocka_unit_test(test_what_is_restored_is_told_to_nobody),
        cmocka_unit_test(test_hs09_port_80_becomes_443_and_others_stay),
        cmocka_unit_test(test_no_memory_changes_nothing),
    };

    return cmocka_run_group_tests_name("policy/hsts", tests, NULL, NULL);
}
