/* SPDX-License-Identifier: MIT */
#include "base/mem.h"
#include "base/spare.h"
#include "support/test.h"

static void test_what_is_put_back_is_handed_out_and_no_block_twice(void **state)
{
    struct spares spares = SPARES_INIT(100);
    void *first = spares_take(&spares), *second = spares_take(&spares);

    (void)state;
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    spares_put(&spares, first);
    void *third = spares_take(&spares);
    assert_ptr_not_equal(third, second);
    memset(third, 0x5a, 100);
    spares_put(&spares, third);
    spares_put(&spares, second);
    spares_put(&spares, NULL);
    spares_done(&spares);
    assert_int_equal(spares.n, 0);
}

static void test_no_more_are_kept_than_it_may(void **state)
{
    struct spares spares = SPARES_INIT(16);
    void *blocks[SPARES_MAX + 8];

    (void)state;
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        blocks[i] = spares_take(&spares);
        assert_non_null(blocks[i]);
    }
    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
        spares_put(&spares, blocks[i]);
    assert_in_range(spares.n, 0, SPARES_MAX);
    spares_done(&spares);
}

static void test_lack_of_memory_is_told(void **state)
{
    struct spares spares = SPARES_INIT(16);

    (void)state;
    mem_fail_at(1);
    assert_null(spares_take(&spares));
    mem_fail_at(0);
    void *block = spares_take(&spares);
    assert_non_null(block);
    spares_put(&spares, block);
    spares_done(&spares);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_put_back_is_handed_out_and_no_block_twice),
        cmocka_unit_test(test_no_more_are_kept_than_it_may),
        cmocka_unit_test(test_lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
