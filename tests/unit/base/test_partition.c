/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/partition.h"
#include "support/test.h"

static void test_profiles_are_of_one_shape(void **state)
{
    static const struct {
        const char *profile;
        int result;
    } rows[] = {
        {"", 0},
        {"a", 0},
        {"work-2_b", 0},
        {"0123456789abcdef0123456789abcde", 0},
        {"0123456789abcdef0123456789abcdef", -EINVAL},
        {"Work", -EINVAL},
        {"a b", -EINVAL},
        {"../x", -EINVAL},
        {"a.b", -EINVAL},
        {"gr\xc3\xbcn", -EINVAL},
        {"a\n", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct partition partition = {.uid = 7};

        assert_int_equal(partition_init(&partition, 1000, span_of(rows[i].profile)),
                         rows[i].result);
        assert_int_equal(partition.uid, rows[i].result == 0 ? 1000 : 7);
        if (rows[i].result == 0)
            assert_string_equal(partition.profile, rows[i].profile);
    }
    struct partition partition;
    assert_int_equal(partition_init(&partition, 1, (struct span){"a\0b", 3}), -EINVAL);
}

static void test_partitions_are_equal_in_uid_and_profile_or_not_at_all(void **state)
{
    struct partition a;
    struct partition b;

    (void)state;
    memset(&a, 'x', sizeof(a)); /* what lay there before must not count */
    assert_int_equal(partition_init(&a, 1, SPAN_LIT("p")), 0);
    assert_int_equal(partition_init(&b, 1, SPAN_LIT("p")), 0);
    assert_true(partition_eq(&a, &b));
    assert_int_equal(partition_init(&b, 2, SPAN_LIT("p")), 0);
    assert_false(partition_eq(&a, &b));
    assert_int_equal(partition_init(&b, 1, SPAN_LIT("pq")), 0);
    assert_false(partition_eq(&a, &b));
    assert_int_equal(partition_init(&b, 1, SPAN_LIT("")), 0);
    assert_false(partition_eq(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles_are_of_one_shape),
        cmocka_unit_test(test_partitions_are_equal_in_uid_and_profile_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
