/* SPDX-License-Identifier: MIT */
#include "http/field.h"
#include "support/span_test.h"

static const struct {
    const char *list;
    const char *items[4];
} lists[] = {
    {"", {NULL}},
    {" , ,\t,", {NULL}},
    {"close", {"close"}},
    {"gzip,br", {"gzip", "br"}},
    {" gzip ,, br\t, zstd", {"gzip", "br", "zstd"}},
    {"a=\"x, y\", b", {"a=\"x, y\"", "b"}},
    {"\"a\\\", b\", c", {"\"a\\\", b\"", "c"}},
    {"\"open, b", {"\"open, b"}},
    {"\"open\\", {"\"open\\"}},
};

static void test_list_elements(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct span rest = span_of(lists[i].list);
        struct span item;
        size_t n = 0;

        for (; field_list_next(&rest, &item); n++) {
            assert_non_null(lists[i].items[n]);
            assert_span(item, lists[i].items[n]);
        }
        assert_null(lists[i].items[n]);
    }
}

static void test_parameters_of_an_element(void **state)
{
    struct span rest = SPAN_LIT("text/html;; charset = \"a;b\" ;q=;flag; x=1=2");
    static const char *const names[] = {"text/html", "charset", "q", "flag", "x"};
    static const char *const values[] = {"", "\"a;b\"", "", "", "1=2"};
    struct span name;
    struct span value;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_true(field_param_next(&rest, &name, &value));
        assert_span(name, names[i]);
        assert_span(value, values[i]);
    }
    assert_false(field_param_next(&rest, &name, &value));
}

static void test_a_token_is_found_whole_and_in_any_line(void **state)
{
    struct headers headers;

    (void)state;
    assert_true(field_list_has(SPAN_LIT("keep-alive, Close"), SPAN_LIT("close")));
    assert_false(field_list_has(SPAN_LIT("keep-alive, closed"), SPAN_LIT("close")));
    assert_false(field_list_has(SPAN_LIT("not close"), SPAN_LIT("close")));
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Connection"), SPAN_LIT("TE")), 0);
    assert_int_equal(headers_add(&headers, SPAN_LIT("connection"), SPAN_LIT("x,CLOSE")), 0);
    assert_true(headers_list_has(&headers, SPAN_LIT("Connection"), SPAN_LIT("close")));
    assert_false(headers_list_has(&headers, SPAN_LIT("Connection"), SPAN_LIT("keep-alive")));
    assert_false(headers_list_has(&headers, SPAN_LIT("None"), SPAN_LIT("close")));
    headers_done(&headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list_elements),
        cmocka_unit_test(test_parameters_of_an_element),
        cmocka_unit_test(test_a_token_is_found_whole_and_in_any_line),
    };

    return cmocka_run_group_tests_name("http/field", tests, NULL, NULL);
}
