/* SPDX-License-Identifier: MIT */
#include "http/hsts_header.h"
#include "support/span_test.h"

static void test_hs06_values_are_read_as_rfc_6797_says(void **state)
{
    static const struct {
        const char *field;
        int64_t max_age_s;
        bool include_subdomains;
    } rows[] = {
        {"max-age=31536000", 31536000, false},
        {"max-age=31536000; includeSubDomains", 31536000, true},
        {"includeSubDomains; max-age=15768000", 15768000, true},
        {"max-age=\"31536000\"", 31536000, false},
        {"max-age=0", 0, false},
        {"max-age=0; includeSubDomains", 0, true},
        {" \tMax-Age = 5 ; INCLUDESUBDOMAINS\t", 5, true},
        {";; max-age=5 ;;", 5, false},
        {"max-age=5; preload; x=\"a;b\\\"max-age=1\"; y=z", 5, false},
        {"max-age=5; x; x; x=1", 5, false},
        {"max-age=00000000000000000000000005", 5, false},
        {"max-age=2147483648", 2147483648, false},
        {"max-age=2147483649", HSTS_MAX_AGE_MAX, false},
        {"max-age=18446744073709551616", HSTS_MAX_AGE_MAX, false},
        {"max-age=99999999999999999999999999999999999999", HSTS_MAX_AGE_MAX, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct hsts_header header = {.max_age_s = -1};

        if (hsts_header_parse(span_of(rows[i].field), &header) != HSTS_HEADER_OK)
            fail_msg("%s is refused", rows[i].field);
        assert_int_equal(header.max_age_s, rows[i].max_age_s);
        assert_int_equal(header.include_subdomains, rows[i].include_subdomains);
    }
}

static void test_hs06_what_is_not_the_grammar_is_ignored_whole(void **state)
{
    static const struct {
        const char *field;
        int outcome;
    } rows[] = {
        {"", HSTS_HEADER_E_NO_MAX_AGE},
        {";", HSTS_HEADER_E_NO_MAX_AGE},
        {"includeSubDomains", HSTS_HEADER_E_NO_MAX_AGE},
        {"max-age", HSTS_HEADER_E_SYNTAX},
        {"max-age=", HSTS_HEADER_E_SYNTAX},
        {"max-age=\"\"", HSTS_HEADER_E_SYNTAX},
        {"max-age=-1", HSTS_HEADER_E_SYNTAX},
        {"max-age=+1", HSTS_HEADER_E_SYNTAX},
        {"max-age=1.5", HSTS_HEADER_E_SYNTAX},
        {"max-age=1s", HSTS_HEADER_E_SYNTAX},
        {"max-age=99999999999999999999s", HSTS_HEADER_E_SYNTAX},
        {"max-age=\"1", HSTS_HEADER_E_SYNTAX},
        {"max-age=\" 1\"", HSTS_HEADER_E_SYNTAX},
        {"max-age=1 2", HSTS_HEADER_E_SYNTAX},
        {"max-age=1, includeSubDomains", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; =2", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; x=\"\\", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; x=\"a\nb\"", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; \xff", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; includeSubDomains=true", HSTS_HEADER_E_SYNTAX},
        {"max-age=1; max-age=1", HSTS_HEADER_E_REPEATED},
        {"max-age=1; includeSubDomains; includesubdomains", HSTS_HEADER_E_REPEATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct hsts_header header = {.max_age_s = -1};

        if (hsts_header_parse(span_of(rows[i].field), &header) != rows[i].outcome)
            fail_msg("%s", rows[i].field);
        assert_int_equal(header.max_age_s, -1);
        assert_true(strlen(hsts_header_outcome_text(rows[i].outcome)) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hs06_values_are_read_as_rfc_6797_says),
        cmocka_unit_test(test_hs06_what_is_not_the_grammar_is_ignored_whole),
    };

    return cmocka_run_group_tests_name("http/hsts_header", tests, NULL, NULL);
}
