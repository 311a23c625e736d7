/* SPDX-License-Identifier: MIT */
#include "http/method.h"
#include "support/span_test.h"

static void test_ur03_a_method_is_a_token(void **state)
{
    static const struct span refused[] = {
        {"", 0},           {"GE T", 4},
        {"GET ", 4},       {" GET", 4},
        {"GET\r\n", 5},    {"GET\0", 4},
        {"G\0T", 3},       {"GET/", 4},
        {"GET:", 4},       {"GET\t", 4},
        {"G\xc3\x89T", 4}, {"(GET)", 5},
        {"GET\x7f", 4},    {"GET\n/ HTTP/1.1", 14},
    };
    char *text = repeat('A', METHOD_BYTES_MAX + 1);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_false(method_is_token(refused[i]));
    assert_true(method_is_token(SPAN_LIT("GET")));
    assert_true(method_is_token(SPAN_LIT("M-SEARCH")));
    assert_true(method_is_token(SPAN_LIT("x!#$%&'*+-.^_`|~")));
    assert_true(method_is_token((struct span){text, METHOD_BYTES_MAX}));
    assert_false(method_is_token((struct span){text, METHOD_BYTES_MAX + 1}));
    free(text);
}

static void test_what_may_be_sent_again(void **state)
{
    static const struct {
        const char *method;
        bool is_safe, is_idempotent;
    } rows[] = {
        {"GET", true, true},     {"HEAD", true, true},    {"OPTIONS", true, true},
        {"PUT", false, true},    {"DELETE", false, true}, {"POST", false, false},
        {"PATCH", false, false}, {"get", false, false},   {"UNKNOWN", false, false},
        {"", false, false},      {"TRACE", true, true},   {"MOVE", false, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(method_is_safe(span_of(rows[i].method)), rows[i].is_safe);
        assert_int_equal(method_is_idempotent(span_of(rows[i].method)), rows[i].is_idempotent);
    }
}

static void test_six_methods_are_normalised_and_three_forbidden(void **state)
{
    (void)state;
    assert_span(method_normalise(SPAN_LIT("get")), "GET");
    assert_span(method_normalise(SPAN_LIT("dElEtE")), "DELETE");
    assert_span(method_normalise(SPAN_LIT("options")), "OPTIONS");
    assert_span(method_normalise(SPAN_LIT("patch")), "patch");
    assert_span(method_normalise(SPAN_LIT("gets")), "gets");
    assert_true(method_is_forbidden(SPAN_LIT("connect")));
    assert_true(method_is_forbidden(SPAN_LIT("TRACE")));
    assert_true(method_is_forbidden(SPAN_LIT("Track")));
    assert_false(method_is_forbidden(SPAN_LIT("GET")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ur03_a_method_is_a_token),
        cmocka_unit_test(test_what_may_be_sent_again),
        cmocka_unit_test(test_six_methods_are_normalised_and_three_forbidden),
    };

    return cmocka_run_group_tests_name("http/method", tests, NULL, NULL);
}
