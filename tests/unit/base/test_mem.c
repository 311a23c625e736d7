/* SPDX-License-Identifier: MIT */
#include <stdint.h>

#include "base/mem.h"
#include "support/test.h"

static void test_the_nth_allocation_fails_once_and_every_kind_is_counted(void **state)
{
    (void)state;
    for (int fails = 1; fails <= 7; fails++) {
        void *pieces[7] = {NULL};

        mem_fail_at((uint64_t)fails);
        pieces[0] = mem_alloc(1);
        pieces[1] = mem_zalloc(1);
        pieces[2] = mem_array(1, 1);
        pieces[3] = mem_realloc(NULL, 1);
        pieces[4] = mem_dup(SPAN_LIT("x"));
        pieces[5] = mem_format("%d", 1);
        pieces[6] = mem_alloc(1);
        assert_int_equal(mem_alloc_count(), 7);
        mem_fail_at(0);
        for (int i = 0; i < 7; i++) {
            assert_int_equal(pieces[i] == NULL, i + 1 == fails);
            mem_free(pieces[i]);
        }
    }
    void *piece = mem_alloc(1);
    assert_non_null(piece);
    assert_int_equal(mem_alloc_count(), 0); /* not armed: not counted */
    mem_free(piece);
}

static void test_nothing_is_a_size_too(void **state)
{
    (void)state;
    CLEANUP_MEM char *a = mem_alloc(0);
    CLEANUP_MEM char *b = mem_zalloc(0);
    CLEANUP_MEM char *c = mem_array(0, 8);
    CLEANUP_MEM char *d = mem_dup((struct span){0});
    assert_true(a && b && c && d);
    assert_string_equal(d, "");
    assert_null(mem_free(NULL));
}

static void test_zalloc_and_array_are_clear_and_dup_ends_with_nul(void **state)
{
    (void)state;
    CLEANUP_MEM char *zeroes = mem_zalloc(100);
    CLEANUP_MEM char *array = mem_array(10, 10);
    CLEANUP_MEM char *copy = mem_dup((struct span){"a\0b", 3});
    for (int i = 0; i < 100; i++)
        assert_true(zeroes[i] == 0 && array[i] == 0);
    assert_memory_equal(copy, "a\0b", 4);
}

static void test_secrets_may_be_nothing(void **state)
{
    (void)state;
    assert_null(mem_free_secret(NULL, 10));
    char *secret = mem_dup(SPAN_LIT("password"));
    assert_non_null(secret);
    assert_null(mem_free_secret(secret, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_allocation_fails_once_and_every_kind_is_counted),
        cmocka_unit_test(test_nothing_is_a_size_too),
        cmocka_unit_test(test_zalloc_and_array_are_clear_and_dup_ends_with_nul),
        cmocka_unit_test(test_secrets_may_be_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
