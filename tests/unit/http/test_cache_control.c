/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "http/cache_control.h"
#include "support/span_test.h"

/* What was read, in one line: flags, then seconds. */
static void describe(const struct cache_control *c, char *to, size_t size)
{
    const struct {
        const char *name;
        bool is_on;
    } flags[] = {
        {"no-store ", c->no_store},
        {"no-cache ", c->no_cache},
        {"public ", c->is_public},
        {"must-revalidate ", c->must_revalidate},
        {"must-understand ", c->must_understand},
        {"only-if-cached ", c->only_if_cached},
    };
    const struct {
        const char *name;
        const struct cache_seconds *seconds;
    } numbers[] = {
        {"max-age", &c->max_age},     {"s-maxage", &c->s_maxage},  {"max-stale", &c->max_stale},
        {"min-fresh", &c->min_fresh}, {"sie", &c->stale_if_error},
    };
    size_t n = 0;

    to[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        if (flags[i].is_on)
            n += (size_t)snprintf(to + n, size - n, "%s", flags[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (numbers[i].seconds->is_given)
            n += (size_t)snprintf(to + n, size - n, "%s=%lld ", numbers[i].name,
                                  (long long)numbers[i].seconds->seconds);
    }
}

static void test_directives_are_read_as_rfc_9111_says(void **state)
{
    static const struct {
        const char *field;
        const char *read;
    } rows[] = {
        {"", ""},
        {"max-age=60", "max-age=60 "},
        {"MAX-AGE=60, Public", "public max-age=60 "},
        {" ,, max-age = 60 ,", "max-age=60 "},
        {"max-age=\"60\"", "max-age=60 "},
        {"max-age=0", "max-age=0 "},
        {"max-age=2147483648", "max-age=2147483648 "},
        {"max-age=2147483649", "max-age=2147483648 "},
        {"max-age=99999999999999999999999999", "max-age=2147483648 "},
        /* no number is no lifetime */
        {"max-age", "max-age=0 "},
        {"max-age=", "max-age=0 "},
        {"max-age=-1", "max-age=0 "},
        {"max-age=+1", "max-age=0 "},
        {"max-age=1.5", "max-age=0 "},
        {"max-age=1s", "max-age=0 "},
        {"max-age=99999999999999999999999999s", "max-age=0 "},
        {"max-age=\"\"", "max-age=0 "},
        /* the first of two */
        {"max-age=1, max-age=100", "max-age=1 "},
        {"max-age=x, max-age=100", "max-age=0 "},
        {"s-maxage=5, proxy-revalidate", "s-maxage=5 "},
        {"no-store", "no-store "},
        {"no-cache", "no-cache "},
        {"no-cache=\"Set-Cookie\", max-age=5", "no-cache max-age=5 "},
        {"no-cache=\"a, b\", max-age=5", "no-cache max-age=5 "},
        {"private=\"x\", must-revalidate", "must-revalidate "},
        {"must-understand, no-store", "no-store must-understand "},
        {"only-if-cached", "only-if-cached "},
        {"max-stale", "max-stale=2147483648 "},
        {"max-stale=10", "max-stale=10 "},
        {"max-stale=x", "max-stale=0 "},
        {"min-fresh=10", "min-fresh=10 "},
        {"min-fresh=x", "min-fresh=2147483648 "},
        {"stale-if-error=86400, stale-while-revalidate=5", "sie=86400 "},
        {"x=\"max-age=5\", y", ""},
        {"x=\"\\\", no-store\", max-age=1", "max-age=1 "},
        /* what an open quote may hide */
        {"max-age=60, x=\"no-store", "no-store max-age=60 "},
        {"x=\"", "no-store "},
        {"nostore, no_store, no-stored", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct cache_control control = {0};
        char read[256];

        cache_control_add(&control, span_of(rows[i].field));
        describe(&control, read, sizeof(read));
        if (strcmp(read, rows[i].read) != 0)
            fail_msg("%s: %s", rows[i].field, read);
    }
}

static void test_lines_are_one_list_and_pragma_counts_where_there_is_none(void **state)
{
    struct cache_control control;
    struct headers headers;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    cache_control_of(&headers, &control);
    assert_false(control.no_cache);
    assert_int_equal(headers_add(&headers, SPAN_LIT("pragma"), SPAN_LIT("x, No-Cache")), 0);
    cache_control_of(&headers, &control);
    assert_true(control.no_cache);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Cache-Control"), SPAN_LIT("max-age=5")),
                     0);
    assert_int_equal(headers_add(&headers, SPAN_LIT("cache-control"), SPAN_LIT("public")), 0);
    cache_control_of(&headers, &control);
    assert_false(control.no_cache);
    assert_true(control.is_public);
    assert_int_equal(control.max_age.seconds, 5);
    headers_done(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directives_are_read_as_rfc_9111_says),
        cmocka_unit_test(test_lines_are_one_list_and_pragma_counts_where_there_is_none),
    };

    return cmocka_run_group_tests_name("http/cache_control", tests, NULL, NULL);
}
