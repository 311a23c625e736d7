/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/fault.h"
#include "http/headers.h"
#include "support/span_test.h"

#define MANY 100000

static void add(struct headers *headers, const char *name, const char *value)
{
    assert_int_equal(headers_add(headers, span_of(name), span_of(value)), 0);
}

static void
assert_line(const struct headers *headers, size_t i, const char *name, const char *v)
{
    assert_true(i < headers_count(headers));
    assert_span(headers_at(headers, i).name, name);
    assert_span(headers_at(headers, i).value, v);
}

static void assert_find(const struct headers *headers, const char *name, const char *value)
{
    struct span got;

    assert_true(headers_find(headers, span_of(name), &got));
    assert_span(got, value);
}

static void test_lines_keep_their_order_and_names_have_no_case(void **state)
{
    struct headers headers;
    struct span value = SPAN_LIT("untouched");
    size_t cursor = 0;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_false(headers_find(&headers, SPAN_LIT("a"), &value));
    assert_span(value, "untouched");
    add(&headers, "Set-Cookie", "a=1");
    add(&headers, "ETag", "");
    add(&headers, "set-cookie", "b=2, c");
    assert_int_equal(headers_count(&headers), 3);
    assert_line(&headers, 0, "Set-Cookie", "a=1");
    assert_line(&headers, 1, "ETag", "");
    assert_line(&headers, 2, "set-cookie", "b=2, c");
    assert_find(&headers, "SET-COOKIE", "a=1");
    assert_true(headers_find_next(&headers, SPAN_LIT("Set-cookie"), &cursor, &value));
    assert_true(headers_find_next(&headers, SPAN_LIT("Set-cookie"), &cursor, &value));
    assert_span(value, "b=2, c");
    assert_false(headers_find_next(&headers, SPAN_LIT("Set-cookie"), &cursor, &value));
    assert_true(headers_has(&headers, SPAN_LIT("etag")));
    assert_false(headers_has(&headers, SPAN_LIT("eta")));
    headers_clear(&headers);
    assert_int_equal(headers_count(&headers), 0);
    headers_done(&headers);
}

static void test_set_leaves_one_line_in_the_place_of_the_first(void **state)
{
    struct headers headers;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    assert_int_equal(headers_set(&headers, SPAN_LIT("A"), SPAN_LIT("1")), 0);
    add(&headers, "B", "2");
    add(&headers, "a", "3");
    assert_int_equal(headers_set(&headers, SPAN_LIT("a"), SPAN_LIT("longer than before")), 0);
    assert_int_equal(headers_count(&headers), 2);
    assert_line(&headers, 0, "A", "longer than before");
    assert_line(&headers, 1, "B", "2");
    assert_int_equal(headers_set(&headers, SPAN_LIT("A"), SPAN_LIT("x")), 0);
    assert_line(&headers, 0, "A", "x");
    assert_int_equal(headers_set(&headers, SPAN_LIT("b"), SPAN_LIT("4")), 0);
    assert_int_equal(headers_set(&headers, SPAN_LIT("c"), SPAN_LIT("5")), 0);
    assert_line(&headers, 1, "B", "4");
    assert_line(&headers, 2, "c", "5");
    assert_int_equal(headers_set(&headers, SPAN_LIT("B"), SPAN_LIT("2")), 0);
    assert_int_equal(headers_remove(&headers, SPAN_LIT("a")), 1);
    assert_int_equal(headers_remove(&headers, SPAN_LIT("a")), 0);
    assert_line(&headers, 0, "B", "2");
    headers_done(&headers);
}

static void test_a_list_may_be_given_its_own_bytes(void **state)
{
    struct headers headers;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, 4000);
    add(&headers, "Name", "0123456789abcdef0123456789abcdef");
    for (int i = 0; i < 500; i++) {
        struct header line = headers_at(&headers, headers_count(&headers) - 1);

        assert_int_equal(headers_add(&headers, line.name, line.value), 0);
    }
    struct header last = headers_at(&headers, 500);
    assert_span(last.value, "0123456789abcdef0123456789abcdef");
    assert_int_equal(headers_set(&headers, last.name, span_drop(last.value, 16)), 0);
    assert_int_equal(headers_count(&headers), 1);
    assert_line(&headers, 0, "Name", "0123456789abcdef");
    headers_done(&headers);
}

static void test_limits_hold_at_the_byte_and_at_the_line(void **state)
{
    struct headers headers;

    (void)state;
    headers_init(&headers, 10, 3);
    assert_int_equal(headers_add(&headers, SPAN_LIT("abcde"), SPAN_LIT("12345")), 0);
    assert_true(headers_add(&headers, SPAN_LIT("a"), SPAN_LIT("")) < 0);
    assert_true(headers_set(&headers, SPAN_LIT("abcde"), SPAN_LIT("123456")) < 0);
    assert_line(&headers, 0, "abcde", "12345");
    assert_int_equal(headers_set(&headers, SPAN_LIT("ABCDE"), SPAN_LIT("1")), 0);
    assert_int_equal(headers_set(&headers, SPAN_LIT("abcde"), SPAN_LIT("54321")), 0);
    assert_int_equal(headers_remove(&headers, SPAN_LIT("abcde")), 1);
    for (int i = 0; i < 3; i++)
        add(&headers, "ab", "c");
    assert_true(headers_add(&headers, SPAN_LIT("d"), SPAN_LIT("")) < 0);
    assert_int_equal(headers_count(&headers), 3);
    headers_done(&headers);
}

static void test_lengths_past_four_gibibytes_are_refused(void **state)
{
    struct headers headers;
    struct span huge = {"x", SIZE_MAX};
    struct span wraps = {"x", (size_t)UINT32_MAX + 2};

    (void)state;
    headers_init(&headers, UINT32_MAX, UINT32_MAX);
    assert_true(headers_add(&headers, huge, huge) < 0);
    assert_true(headers_add(&headers, SPAN_LIT("a"), wraps) < 0);
    add(&headers, "a", "b");
    assert_true(headers_set(&headers, SPAN_LIT("a"), wraps) < 0);
    assert_line(&headers, 0, "a", "b");
    headers_done(&headers);
}

static void test_join_puts_commas_between_and_leaves_a_full_buffer_alone(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(9);
    struct headers headers;

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    add(&headers, "Via", "a");
    add(&headers, "x", "y");
    add(&headers, "via", "");
    add(&headers, "VIA", "bcd");
    assert_int_equal(headers_join(&headers, SPAN_LIT("via"), &out), 3);
    assert_span(buf_span(&out), "a, , bcd");
    assert_int_equal(headers_join(&headers, SPAN_LIT("none"), &out), 0);
    assert_true(headers_join(&headers, SPAN_LIT("via"), &out) < 0);
    assert_span(buf_span(&out), "a, , bcd");
    headers_done(&headers);
}

static void test_a_list_that_stays_has_no_more_storage_than_was_said(void **state)
{
    struct headers headers;

    (void)state;
    headers_init(&headers, 4096, 40);
    assert_int_equal(headers_reserve(&headers, 20, 2), 0);
    add(&headers, "Accept", "*/*");
    assert_int_equal(headers.arena_capacity, 20);
    assert_int_equal(headers.capacity, 2);
    assert_int_equal(headers_reserve(&headers, 2000, 20), 0); /* it has some */
    assert_int_equal(headers.arena_capacity, 20);
    add(&headers, "Accept-Encoding", "gzip, br"); /* and grows when it has to */
    add(&headers, "X", "y");
    assert_int_equal(headers_count(&headers), 3);
    assert_span(headers_at(&headers, 0).value, "*/*");
    assert_span(headers_at(&headers, 2).value, "y");
    headers_done(&headers);
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_int_equal(headers_reserve(&headers, 20, 2), -ENOMEM);
        mem_fail_at(0);
        add(&headers, "Accept", "*/*");
        headers_done(&headers);
    }
    assert_int_equal(headers_reserve(&headers, 0, 2), 0);
    assert_null(headers.arena);
}

static void test_ex15_a_hundred_thousand_lines_of_one_name_are_linear_work(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct headers headers;
    struct span value;
    size_t n = 0;

    (void)state;
    /* Allocations are counted: an arena copied for each line would show here. */
    headers_init(&headers, 16 * MANY, MANY);
    mem_fail_at(UINT64_MAX);
    for (int i = 0; i < MANY; i++)
        add(&headers, "X-Same", "v");
    assert_true(mem_alloc_count() < 64);
    mem_fail_at(0);
    for (size_t cursor = 0; headers_find_next(&headers, SPAN_LIT("x-same"), &cursor, &value);)
        n++;
    assert_int_equal(n, MANY);
    assert_int_equal(headers_join(&headers, SPAN_LIT("x-same"), &out), MANY);
    assert_int_equal(buf_span(&out).len, 3 * MANY - 2);
    assert_int_equal(headers_set(&headers, SPAN_LIT("x-same"), SPAN_LIT("w")), 0);
    assert_int_equal(headers_count(&headers), 1);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(headers_set(&headers, SPAN_LIT("x-same"),
                                     i % 2 ? SPAN_LIT("short") : SPAN_LIT("much longer")),
                         0);
    assert_true(headers.arena_capacity < 8 * MANY * 2);
    assert_line(&headers, 0, "X-Same", "short");
    headers_done(&headers);
}

static void test_every_failed_allocation_leaves_the_list_as_it_was(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 4; n++) {
        struct headers headers;
        struct headers copy;

        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        headers_init(&copy, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        mem_fail_at(n);
        int r = headers_add(&headers, SPAN_LIT("a"), SPAN_LIT("b"));
        int s = headers_add_all(&copy, &headers);
        mem_fail_at(0);
        assert_int_equal(headers_count(&headers), r == 0 ? 1 : 0);
        assert_true(n > 2 || r < 0);
        assert_int_equal(headers_count(&copy), r == 0 && s == 0 ? 1 : 0);
        headers_done(&headers);
        headers_done(&copy);
    }
}

static void test_ur02_cr_lf_and_nul_in_a_name_or_value_are_refused(void **state)
{
    static const struct {
        struct span text;
        bool is_name, is_value;
    } rows[] = {
        {{"X-Name", 6}, true, true},    {{"!#$%&'*+-.^_`|~09az", 19}, true, true},
        {{"", 0}, false, true},         {{"a b", 3}, false, true},
        {{"a\tb", 3}, false, true},     {{"a:", 2}, false, true},
        {{"(a)", 3}, false, true},      {{"caf\xc3\xa9", 5}, false, true},
        {{"\x80\xff", 2}, false, true}, {{"a\r", 2}, false, false},
        {{"a\nb", 3}, false, false},    {{"a\r\nb: c", 7}, false, false},
        {{"a\0", 2}, false, false},     {{"\0", 1}, false, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(header_name_is_token(rows[i].text), rows[i].is_name);
        assert_int_equal(header_value_is_valid(rows[i].text), rows[i].is_value);
    }
}

static void test_ur13_fields_of_the_engine_are_known_in_any_case(void **state)
{
    static const char *const forbidden[] = {
        "Host",
        "hOST",
        "Content-Length",
        "CONTENT-LENGTH",
        "Transfer-Encoding",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Keep-Alive",
        "Expect",
        "upgrade",
        "proxy-authorization",
        "Proxy-Connection",
    };
    static const char *const allowed[] = {"Accept", "Cookie", "Authorization", "User-Agent",
                                          "Hos",    "Hosts",  "Content-Type",  ""};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forbidden); i++)
        assert_true(header_is_forbidden_for_caller(span_of(forbidden[i])));
    for (size_t i = 0; i < COUNT_OF(allowed); i++)
        assert_false(header_is_forbidden_for_caller(span_of(allowed[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_keep_their_order_and_names_have_no_case),
        cmocka_unit_test(test_set_leaves_one_line_in_the_place_of_the_first),
        cmocka_unit_test(test_a_list_may_be_given_its_own_bytes),
        cmocka_unit_test(test_limits_hold_at_the_byte_and_at_the_line),
        cmocka_unit_test(test_lengths_past_four_gibibytes_are_refused),
        cmocka_unit_test(test_join_puts_commas_between_and_leaves_a_full_buffer_alone),
        cmocka_unit_test(test_a_list_that_stays_has_no_more_storage_than_was_said),
        cmocka_unit_test(test_ex15_a_hundred_thousand_lines_of_one_name_are_linear_work),
        cmocka_unit_test(test_every_failed_allocation_leaves_the_list_as_it_was),
        cmocka_unit_test(test_ur02_cr_lf_and_nul_in_a_name_or_value_are_refused),
        cmocka_unit_test(test_ur13_fields_of_the_engine_are_known_in_any_case),
    };

    return cmocka_run_group_tests_name("http/headers", tests, NULL, NULL);
}
