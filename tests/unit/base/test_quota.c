/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "base/quota.h"
#include "support/test.h"

static void test_what_fits_is_taken_and_what_does_not_changes_nothing(void **state)
{
    struct charge a = CHARGE_NONE;
    struct charge b = CHARGE_NONE;
    struct quota quota;

    (void)state;
    quota_init(&quota);
    quota.max[QUOTA_BYTES] = 100;
    assert_int_equal(charge_take(&a, &quota, QUOTA_BYTES, 60), 0);
    assert_int_equal(charge_take(&b, &quota, QUOTA_BYTES, 41), -EDQUOT);
    assert_int_equal(b.amount, 0);
    assert_int_equal(charge_take(&b, &quota, QUOTA_BYTES, 40), 0);
    assert_int_equal(charge_take(&a, &quota, QUOTA_BYTES, 1), -EDQUOT);
    assert_int_equal(charge_take(&a, &quota, QUOTA_BYTES, 0), 0);
    assert_int_equal(charge_take(&a, &quota, QUOTA_BYTES, UINT64_MAX), -EDQUOT);
    charge_give_back(&a, 10);
    assert_int_equal(quota.used[QUOTA_BYTES], 90);
    assert_int_equal(charge_take(&b, &quota, QUOTA_BYTES, 10), 0);
    charge_release(&a);
    charge_release(&a); /* holds nothing any more */
    assert_int_equal(quota.used[QUOTA_BYTES], 50);
    charge_release(&b);
    assert_int_equal(quota.used[QUOTA_BYTES], 0);
    for (int slot = 0; slot < QUOTA_SLOT_COUNT; slot++) {
        assert_int_equal(quota.used[slot], 0);
        assert_non_null(quota_slot_name((enum quota_slot)slot));
    }
}

static void test_a_limit_that_was_lowered_refuses_until_enough_came_back(void **state)
{
    struct charge charge = CHARGE_NONE;
    struct quota quota;

    (void)state;
    quota_init(&quota);
    assert_int_equal(charge_take(&charge, &quota, QUOTA_FDS, 64), 0);
    quota.max[QUOTA_FDS] = 10;
    assert_int_equal(charge_take(&charge, &quota, QUOTA_FDS, 1), -EDQUOT);
    charge_give_back(&charge, 55);
    assert_int_equal(charge_take(&charge, &quota, QUOTA_FDS, 1), 0);
    assert_int_equal(charge_take(&charge, &quota, QUOTA_FDS, 1), -EDQUOT);
    charge_release(&charge);
}

static void test_what_must_be_is_charged_above_the_limit_and_then_nothing_else_is(void **state)
{
    struct charge charge = CHARGE_NONE;
    struct charge other = CHARGE_NONE;
    struct quota quota;

    (void)state;
    quota_init(&quota);
    quota.max[QUOTA_BYTES] = 100;
    assert_int_equal(quota_left(&quota, QUOTA_BYTES), 100);
    charge_take_anyway(&charge, &quota, QUOTA_BYTES, 90);
    assert_int_equal(quota_left(&quota, QUOTA_BYTES), 10);
    assert_int_equal(charge_take_spare(&other, &quota, QUOTA_BYTES, 5), -EDQUOT);
    charge_take_anyway(&charge, &quota, QUOTA_BYTES, 60);
    assert_int_equal(quota_left(&quota, QUOTA_BYTES), 0);
    assert_int_equal(charge_take(&other, &quota, QUOTA_BYTES, 1), -EDQUOT);
    assert_int_equal(charge_take_some(&other, &quota, QUOTA_BYTES, 50, 3), 3);
    charge_release(&other);
    assert_int_equal(charge_take_some(&other, NULL, QUOTA_BYTES, 50, 3), 50);
    assert_int_equal(other.amount, 0);
    charge_give_back(&charge, 130);
    assert_int_equal(charge_take_some(&other, &quota, QUOTA_BYTES, 50, 3), 50);
    charge_release(&other);
    assert_int_equal(charge_take_spare(&other, &quota, QUOTA_BYTES, 74), 0);
    charge_release(&charge);
    charge_release(&other);
    assert_int_equal(quota.used[QUOTA_BYTES], 0);
}

static void test_bulk_leaves_a_sixteenth_for_last_words(void **state)
{
    struct charge charge = CHARGE_NONE;
    struct quota quota;

    (void)state;
    quota_init(&quota);
    quota.max[QUOTA_BYTES] = 1600;
    assert_true(quota_has_spare(&quota, QUOTA_BYTES, 1500));
    assert_false(quota_has_spare(&quota, QUOTA_BYTES, 1501));
    assert_int_equal(charge_take(&charge, &quota, QUOTA_BYTES, 1550), 0);
    assert_false(quota_has_spare(&quota, QUOTA_BYTES, 0));
    assert_false(quota_has_spare(&quota, QUOTA_BYTES, UINT64_MAX));
    charge_release(&charge);
    assert_true(quota_has_spare(&quota, QUOTA_BYTES, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_fits_is_taken_and_what_does_not_changes_nothing),
        cmocka_unit_test(test_a_limit_that_was_lowered_refuses_until_enough_came_back),
        cmocka_unit_test(test_what_must_be_is_charged_above_the_limit_and_then_nothing_else_is),
        cmocka_unit_test(test_bulk_leaves_a_sixteenth_for_last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
