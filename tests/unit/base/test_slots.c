/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/slots.h"
#include "support/test.h"

#define SLOT_BYTES 65536U
#define MANY       256U

static size_t resident_bytes(void)
{
    unsigned long total = 0;
    unsigned long resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
    assert_int_equal(fclose(file), 0);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_no_block_is_handed_out_twice_and_what_is_put_back_comes_again(void **state)
{
    struct slots slots;
    char *blocks[MANY];

    (void)state;
    assert_int_equal(slots_init(&slots, SLOT_BYTES, MANY), 0);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = slots_take(&slots);
            assert_non_null(blocks[i]);
            assert_true(slots_own(&slots, blocks[i]));
            memset(blocks[i], (int)(i & 0x7f), SLOT_BYTES);
        }
        assert_null(slots_take(&slots));
        for (size_t i = 0; i < MANY; i++) {
            assert_int_equal(blocks[i][0], i & 0x7f);
            assert_int_equal(blocks[i][SLOT_BYTES - 1], i & 0x7f);
        }
        for (size_t i = 0; i < MANY; i++)
            slots_put(&slots, blocks[(i * 37 + (size_t)round) % MANY]);
    }
    assert_false(slots_own(&slots, blocks));
    assert_false(slots_own(&slots, slots.base - 1));
    assert_false(slots_own(&slots, slots.base + (size_t)SLOT_BYTES * MANY));
    slots_done(&slots);
}

static void test_the_memory_of_what_is_put_back_is_the_kernels_again(void **state)
{
    struct slots slots;
    char *blocks[MANY];

    (void)state;
    assert_int_equal(slots_init(&slots, SLOT_BYTES, MANY), 0);
    size_t before = resident_bytes();
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = slots_take(&slots);
        assert_non_null(blocks[i]);
        memset(blocks[i], 0x5a, SLOT_BYTES);
    }
    assert_true(resident_bytes() >= before + MANY / 2 * SLOT_BYTES);
    for (size_t i = 0; i < MANY; i++)
        slots_put(&slots, blocks[i]);
    assert_true(resident_bytes() <= before + MANY / 4 * SLOT_BYTES);
    assert_int_equal(slots.n_warm, SLOTS_WARM_MAX);
    slots_done(&slots);
}

static void test_without_addresses_there_are_none(void **state)
{
    struct slots slots;

    (void)state;
    assert_int_equal(slots_init(&slots, (size_t)1 << 50, 4), -ENOMEM);
    assert_null(slots_take(&slots));
    assert_false(slots_own(&slots, &slots));
    assert_false(slots_own(&slots, NULL));
    slots_done(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_block_is_handed_out_twice_and_what_is_put_back_comes_again),
        cmocka_unit_test(test_the_memory_of_what_is_put_back_is_the_kernels_again),
        cmocka_unit_test(test_without_addresses_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
