/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "support/test.h"

static void test_what_goes_in_comes_out_in_order(void **state)
{
    static char model[1 << 18];
    struct buf buf = BUF_INIT(0);
    size_t put = 0;
    size_t eaten = 0;
    unsigned dice = 1;

    (void)state;
    for (size_t i = 0; i < sizeof(model); i++)
        model[i] = (char)(i * 31 + (i >> 8));
    while (eaten < sizeof(model)) {
        dice = dice * 1103515245U + 12345U;
        size_t n = (dice >> 16) % 5000;

        if (dice & 0x100000) {
            n = n < sizeof(model) - put ? n : sizeof(model) - put;
            assert_int_equal(buf_append(&buf, (struct span){model + put, n}), 0);
            put += n;
        } else {
            n = n < buf.len ? n : buf.len;
            buf_consume(&buf, n);
            eaten += n;
        }
        assert_int_equal(buf.len, put - eaten);
        assert_memory_equal(buf_span(&buf).ptr, model + eaten, buf.len);
        assert_true(buf.capacity <= 4 * sizeof(model));
    }
    buf_done(&buf);
}

/* A queue that never empties must not grow for ever. */
static void test_storage_stays_in_proportion_to_what_is_held(void **state)
{
    struct buf buf = BUF_INIT(0);
    char bytes[1000] = {0};

    (void)state;
    assert_int_equal(buf_append(&buf, (struct span){bytes, 700}), 0);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buf_append(&buf, (struct span){bytes, 300}), 0);
        buf_consume(&buf, 300);
    }
    assert_int_equal(buf.len, 700);
    assert_true(buf.capacity < 10000);
    buf_done(&buf);
}

static void test_the_cap_is_hard_and_a_refusal_changes_nothing(void **state)
{
    struct buf buf = BUF_INIT(10);

    (void)state;
    assert_int_equal(buf_append_str(&buf, "0123456789"), 0);
    assert_int_equal(buf_append_char(&buf, 'x'), -EMSGSIZE);
    assert_int_equal(buf_append(&buf, (struct span){0}), 0);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -EMSGSIZE);
    assert_string_equal(buf_c_str(&buf), "0123456789"); /* the NUL is not counted */
    buf_consume(&buf, 4);
    assert_int_equal(buf_append_str(&buf, "abcd"), 0);
    assert_string_equal(buf_c_str(&buf), "456789abcd");
    assert_int_equal(buf_append_char(&buf, 'x'), -EMSGSIZE);
    buf_done(&buf);
    assert_int_equal(buf.max, 10); /* usable again */
    assert_int_equal(buf_append_str(&buf, "0123456789"), 0);
    buf_done(&buf);
}

static void test_sizes_near_the_end_of_numbers_are_refused(void **state)
{
    struct buf buf = BUF_INIT(0);

    (void)state;
    assert_int_equal(buf_append_char(&buf, 'x'), 0);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -EMSGSIZE);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 1), -EMSGSIZE);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 4), -EMSGSIZE);
    assert_int_equal(buf.len, 1);
    buf_done(&buf);
}

static void test_numbers_and_formats_are_appended(void **state)
{
    struct buf buf = BUF_INIT(0);

    (void)state;
    assert_int_equal(buf_append_u64(&buf, 0), 0);
    assert_int_equal(buf_append_char(&buf, ' '), 0);
    assert_int_equal(buf_append_u64(&buf, UINT64_MAX), 0);
    assert_int_equal(buf_append_format(&buf, " %s=%d", "n", -5), 0);
    assert_string_equal(buf_c_str(&buf), "0 18446744073709551615 n=-5");
    buf_clear(&buf);
    assert_string_equal(buf_c_str(&buf), "");
    buf_done(&buf);
}

static void test_an_empty_buffer_has_bytes_of_no_length(void **state)
{
    struct buf buf = BUF_INIT(0);

    (void)state;
    assert_non_null(buf_span(&buf).ptr);
    assert_int_equal(buf_span(&buf).len, 0);
    buf_done(&buf);
    buf_done(&buf);
}

static void test_no_memory_changes_nothing(void **state)
{
    struct buf buf = BUF_INIT(0);

    (void)state;
    assert_int_equal(buf_append_str(&buf, "kept"), 0);
    mem_fail_at(1);
    assert_int_equal(buf_reserve(&buf, 100000), -ENOMEM);
    mem_fail_at(0);
    assert_string_equal(buf_c_str(&buf), "kept");
    buf_done(&buf);
    mem_fail_at(1);
    assert_null(buf_c_str(&buf));
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out_in_order),
        cmocka_unit_test(test_storage_stays_in_proportion_to_what_is_held),
        cmocka_unit_test(test_the_cap_is_hard_and_a_refusal_changes_nothing),
        cmocka_unit_test(test_sizes_near_the_end_of_numbers_are_refused),
        cmocka_unit_test(test_numbers_and_formats_are_appended),
        cmocka_unit_test(test_an_empty_buffer_has_bytes_of_no_length),
        cmocka_unit_test(test_no_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
