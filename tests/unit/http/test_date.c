/* SPDX-License-Identifier: MIT */
#include "http/date.h"
#include "support/span_test.h"

#define EXAMPLE_S INT64_C(784111777)  /* RFC 9110 §5.6.7: Sun, 06 Nov 1994 08:49:37 GMT */
#define NOW_S     INT64_C(1790000000) /* September 2026 */

/* The IETF http-state examples. */
static const struct {
    struct span text, expected;
} cookie_rows[] = {
#include "date_rows.inc"
};

static void test_every_row_of_the_http_state_examples(void **state)
{
    (void)state;
    assert_true(COUNT_OF(cookie_rows) > 50);
    for (size_t i = 0; i < COUNT_OF(cookie_rows); i++) {
        char formatted[HTTP_DATE_SIZE];
        int64_t date_s = 0;
        int r = cookie_date_parse(cookie_rows[i].text, &date_s);

        if (r < 0 || !cookie_rows[i].expected.ptr) {
            if ((r < 0) != (cookie_rows[i].expected.ptr == NULL))
                print_error("row <%s>\n", cookie_rows[i].text.ptr);
            assert_int_equal(r < 0, cookie_rows[i].expected.ptr == NULL);
            continue;
        }
        http_date_format(date_s, formatted);
        assert_span(cookie_rows[i].expected, formatted);
    }
}

static void test_the_three_forms_of_rfc_9110_are_one_time(void **state)
{
    static const char *const forms[] = {
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        int64_t date_s = 0;

        assert_int_equal(http_date_parse(span_of(forms[i]), NOW_S, &date_s), 0);
        assert_int_equal(date_s, EXAMPLE_S);
    }
}

static void test_other_forms_are_refused(void **state)
{
    static const char *const refused[] = {
        "",
        "Sun",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 31 Feb 2021 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 29 Feb 1900 00:00:00 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
        "784111777",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        int64_t date_s = 42;

        assert_true(http_date_parse(span_of(refused[i]), NOW_S, &date_s) < 0);
        assert_int_equal(date_s, 42);
    }
}

static void test_two_digit_years_lie_within_fifty_years_of_now(void **state)
{
    static const struct {
        const char *text, *formatted;
    } rows[] = {
        {"Monday, 01-Jan-26 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT"},
        {"Monday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT"},
        {"Monday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT"},
        {"Monday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char formatted[HTTP_DATE_SIZE];
        int64_t date_s;

        assert_int_equal(http_date_parse(span_of(rows[i].text), NOW_S, &date_s), 0);
        http_date_format(date_s, formatted);
        assert_string_equal(formatted, rows[i].formatted);
    }

    int64_t in_2099 = INT64_C(4070908800);
    int64_t date_s;
    assert_int_equal(
        http_date_parse(SPAN_LIT("Monday, 01-Jan-01 00:00:00 GMT"), in_2099, &date_s), 0);
    assert_int_equal(date_s, INT64_C(4133980800)); /* 2101 */
}

static void test_a_leap_second_is_the_one_before(void **state)
{
    int64_t date_s;

    (void)state;
    assert_int_equal(http_date_parse(SPAN_LIT("Sat, 31 Dec 2016 23:59:60 GMT"), NOW_S, &date_s),
                     0);
    assert_int_equal(date_s, 1483228799);
}

static void test_formatting_and_parsing_agree_over_ten_thousand_years(void **state)
{
    char formatted[HTTP_DATE_SIZE];
    int64_t got;

    (void)state;
    for (int64_t s = DATE_MIN_S; s <= DATE_MAX_S; s += INT64_C(86400) * 13 + 3607) {
        http_date_format(s, formatted);
        assert_int_equal(http_date_parse(span_of(formatted), NOW_S, &got), 0);
        assert_int_equal(got, s);
    }
    http_date_format(0, formatted);
    assert_string_equal(formatted, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_date_format(951782400, formatted);
    assert_string_equal(formatted, "Tue, 29 Feb 2000 00:00:00 GMT");
    http_date_format(-1, formatted);
    assert_string_equal(formatted, "Wed, 31 Dec 1969 23:59:59 GMT");
    http_date_format(INT64_MAX, formatted);
    assert_string_equal(formatted, "Fri, 31 Dec 9999 23:59:59 GMT");
    http_date_format(INT64_MIN, formatted);
    assert_string_equal(formatted, "Sat, 01 Jan 0000 00:00:00 GMT");
}

static void test_ck23_cookie_dates_at_the_ends_are_defined(void **state)
{
    static const struct {
        const char *text;
        int64_t date_s; /* -1: refused */
    } rows[] = {
        {"Fri, 31 Dec 9999 23:59:59 GMT", DATE_MAX_S},
        {"Mon, 01 Jan 1601 00:00:00 GMT", INT64_C(-11644473600)},
        {"Sun, 31 Dec 1600 23:59:59 GMT", -1},
        {"31 Dec 10000 23:59:59", -1},
        {"-1", -1},
        {"0", -1},
        {"garbage", -1},
        {"99999999999999999999 Jan 2020 00:00:00", -1},
        {"1 Jan 2020 99999999999:00:00", -1},
        {"29 Feb 2019 00:00:00", -1},
        {"29 Feb 2020 00:00:00", 1582934400},
        {"1 Jan 2020 00:00:60", -1},
        {"1 Jan 70 00:00:01", 1},
        {"1 Jan 69 00:00:00", INT64_C(3124224000)},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t date_s = -1;
        int r = cookie_date_parse(span_of(rows[i].text), &date_s);

        assert_int_equal(r < 0, rows[i].date_s == -1);
        assert_int_equal(date_s, rows[i].date_s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_of_the_http_state_examples),
        cmocka_unit_test(test_the_three_forms_of_rfc_9110_are_one_time),
        cmocka_unit_test(test_other_forms_are_refused),
        cmocka_unit_test(test_two_digit_years_lie_within_fifty_years_of_now),
        cmocka_unit_test(test_a_leap_second_is_the_one_before),
        cmocka_unit_test(test_formatting_and_parsing_agree_over_ten_thousand_years),
        cmocka_unit_test(test_ck23_cookie_dates_at_the_ends_are_defined),
    };

    return cmocka_run_group_tests_name("http/date", tests, NULL, NULL);
}
