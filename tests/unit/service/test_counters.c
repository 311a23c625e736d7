/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/mem.h"
#include "service/counters.h"
#include "support/test.h"

static struct partition partition(uint32_t uid, const char *profile)
{
    struct partition made;

    assert_int_equal(partition_init(&made, uid, span_of(profile)), 0);
    return made;
}

static struct counters *of(struct counters_table *table, uint32_t uid, const char *profile)
{
    struct partition who = partition(uid, profile);

    return counters_of(table, &who);
}

static void test_a_partition_has_counters_of_its_own_that_stay(void **state)
{
    struct counters_table table;

    (void)state;
    counters_init(&table);
    struct counters *one = of(&table, 1000, "");
    struct counters *other = of(&table, 1000, "work");
    assert_ptr_not_equal(one, other);
    assert_ptr_not_equal(one, of(&table, 1001, ""));
    one->started = 7;
    assert_ptr_equal(of(&table, 1000, ""), one);
    assert_int_equal(of(&table, 1000, "")->started, 7);
    assert_false(one->is_rest);
    counters_done(&table);
}

static void test_profiles_of_a_user_beyond_the_last_share_the_rest(void **state)
{
    struct counters_table table;
    char name[16];

    (void)state;
    counters_init(&table);
    for (int i = 0; i < COUNTERS_PROFILES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "p%d", i);
        assert_false(of(&table, 1000, name)->is_rest);
    }
    assert_true(of(&table, 1000, "more")->is_rest);
    assert_ptr_equal(of(&table, 1000, "more"), of(&table, 1000, "even-more"));
    assert_false(of(&table, 1000, "p3")->is_rest);
    assert_false(of(&table, 1001, "")->is_rest);
    counters_done(&table);
}

static void test_users_beyond_the_last_share_the_rest(void **state)
{
    struct counters_table table;

    (void)state;
    counters_init(&table);
    for (uint32_t uid = 0; uid < COUNTERS_PARTITIONS_MAX; uid++)
        assert_false(of(&table, uid, "")->is_rest);
    assert_true(of(&table, 70000, "")->is_rest);
    assert_false(of(&table, 5, "")->is_rest);
    counters_done(&table);
}

static void test_without_memory_the_rest_counts(void **state)
{
    struct counters_table table;

    (void)state;
    counters_init(&table);
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n);
        assert_true(of(&table, 1000, "")->is_rest);
        mem_fail_at(0);
    }
    assert_false(of(&table, 1000, "")->is_rest);
    counters_done(&table);
}

static void test_a_histogram_counts_at_its_bounds(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    histogram_add(&histogram, 0);
    histogram_add(&histogram, 1000);
    histogram_add(&histogram, 1001);
    histogram_add(&histogram, 60000000);
    histogram_add(&histogram, 60000001);
    assert_int_equal(histogram.counts[0], 2);
    assert_int_equal(histogram.counts[1], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS - 1], 1);
    assert_int_equal(histogram.counts[HISTOGRAM_BOUNDS], 1);
    assert_int_equal(histogram.sum_us, 120002002);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_partition_has_counters_of_its_own_that_stay),
        cmocka_unit_test(test_profiles_of_a_user_beyond_the_last_share_the_rest),
        cmocka_unit_test(test_users_beyond_the_last_share_the_rest),
        cmocka_unit_test(test_without_memory_the_rest_counts),
        cmocka_unit_test(test_a_histogram_counts_at_its_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
