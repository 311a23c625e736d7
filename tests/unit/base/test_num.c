/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/num.h"
#include "support/test.h"

static const struct row {
    const char *text;
    uint64_t max;
    int result;
    uint64_t value;
} decimal[] =
    {
        {"0", UINT64_MAX, 0, 0},
        {"00012", UINT64_MAX, 0, 12},
        {"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, -ERANGE, 0},
        {"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
        {"255", 255, 0, 255},
        {"256", 255, -ERANGE, 0},
        {"260", 255, -ERANGE, 0},
        {"9", 5, -ERANGE, 0},
        {"0", 0, 0, 0},
        {"1", 0, -ERANGE, 0},
        {"", UINT64_MAX, -EINVAL, 0},
        {"+1", UINT64_MAX, -EINVAL, 0},
        {"-1", UINT64_MAX, -EINVAL, 0},
        {" 1", UINT64_MAX, -EINVAL, 0},
        {"1 ", UINT64_MAX, -EINVAL, 0},
        {"1a", UINT64_MAX, -EINVAL, 0},
        {"0x1", UINT64_MAX, -EINVAL, 0},
        {"1.0", UINT64_MAX, -EINVAL, 0},
},
  hexadecimal[] = {
      {"0", UINT64_MAX, 0, 0},
      {"fF", UINT64_MAX, 0, 255},
      {"ffffffffffffffff", UINT64_MAX, 0, UINT64_MAX},
      {"10000000000000000", UINT64_MAX, -ERANGE, 0},
      {"00000000000000000001", UINT64_MAX, 0, 1},
      {"100", 255, -ERANGE, 0},
      {"0x1", UINT64_MAX, -EINVAL, 0},
      {"g", UINT64_MAX, -EINVAL, 0},
      {"", UINT64_MAX, -EINVAL, 0},
      {"-1", UINT64_MAX, -EINVAL, 0},
};

static void check(int (*parse)(struct span, uint64_t, uint64_t *), const struct row *row)
{
    uint64_t value = 4711;

    assert_int_equal(parse(span_of(row->text), row->max, &value), row->result);
    assert_int_equal(value, row->result == 0 ? row->value : 4711); /* written on success only */
}

static void test_numbers_are_digits_and_nothing_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(decimal) / sizeof(decimal[0]); i++)
        check(num_parse_u64, &decimal[i]);
    for (size_t i = 0; i < sizeof(hexadecimal) / sizeof(hexadecimal[0]); i++)
        check(num_parse_hex_u64, &hexadecimal[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_digits_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
