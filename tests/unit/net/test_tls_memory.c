/* SPDX-License-Identifier: MIT */
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#include "net/tls_memory.h"
#include "support/test.h"

/* Sizes at which something changes, and those OpenSSL asks for. */
static const size_t sizes[] = {1,     100,   16383, 16384, 16704, 21848, 24576, 24577,
                               40000, 61439, 61440, 65536, 69632, 69633, 200000};
enum { N = sizeof(sizes) / sizeof(sizes[0]), MANY = 40 };

static void fill(unsigned char *block, size_t size, unsigned char with)
{
    memset(block, with, size);
}

static void assert_filled(const unsigned char *block, size_t size, unsigned char with)
{
    for (size_t i = 0; i < size; i += 509)
        assert_int_equal(block[i], with);
    assert_int_equal(block[size - 1], with);
}

static void test_blocks_of_all_sizes_are_ones_own(void **state)
{
    unsigned char *blocks[N][MANY];

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < MANY; k++) {
                blocks[i][k] = OPENSSL_malloc(sizes[i]);
                assert_non_null(blocks[i][k]);
                fill(blocks[i][k], sizes[i], (unsigned char)(i * MANY + k));
            }
        }
        for (size_t i = 0; i < N; i++) {
            for (size_t k = 0; k < MANY; k++) {
                assert_filled(blocks[i][k], sizes[i], (unsigned char)(i * MANY + k));
                OPENSSL_free(blocks[i][k]);
            }
        }
    }
    OPENSSL_free(NULL);
}

static void test_what_a_block_holds_goes_along_when_it_grows(void **state)
{
    unsigned char *block = NULL;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        block = OPENSSL_realloc(block, sizes[i]);
        assert_non_null(block);
        if (i > 0)
            assert_filled(block, sizes[i - 1], (unsigned char)i);
        fill(block, sizes[i], (unsigned char)(i + 1));
    }
    for (size_t i = N; i-- > 0;) {
        block = OPENSSL_realloc(block, sizes[i]);
        assert_non_null(block);
        assert_filled(block, sizes[i], N);
    }
    assert_null(OPENSSL_realloc(block, 0));
}

static void *free_all(void *arg)
{
    void **blocks = arg;

    for (size_t i = 0; i < MANY; i++)
        OPENSSL_free(blocks[i]);
    return NULL;
}

static void test_another_thread_may_give_a_block_back(void **state)
{
    void *blocks[MANY];

    (void)state;
    for (int round = 0; round < 4; round++) {
        pthread_t thread;

        for (size_t i = 0; i < MANY; i++) {
            blocks[i] = OPENSSL_malloc(16704);
            assert_non_null(blocks[i]);
            fill(blocks[i], 16704, (unsigned char)i);
        }
        for (size_t i = 0; i < MANY; i++)
            assert_filled(blocks[i], 16704, (unsigned char)i);
        assert_int_equal(pthread_create(&thread, NULL, free_all, blocks), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_of_all_sizes_are_ones_own),
        cmocka_unit_test(test_what_a_block_holds_goes_along_when_it_grows),
        cmocka_unit_test(test_another_thread_may_give_a_block_back),
    };

    tls_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
