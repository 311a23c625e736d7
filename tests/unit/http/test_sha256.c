/* SPDX-License-Identifier: MIT */
#include "http/sha256.h"
#include "support/span_test.h"

static void hex(const uint8_t digest[SHA256_BYTES], char ret[2 * SHA256_BYTES + 1])
{
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        ret[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    ret[64] = '\0';
}

static void test_the_digests_are_those_of_the_standard(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t digest[SHA256_BYTES];
        char text[2 * SHA256_BYTES + 1];

        assert_int_equal(sha256_of(span_of(rows[i].text), digest), 0);
        hex(digest, text);
        assert_string_equal(text, rows[i].digest);
    }
}

static void test_parts_are_the_whole_and_a_dropped_one_ends_in_an_error(void **state)
{
    struct sha256 sha;
    uint8_t whole[SHA256_BYTES];
    uint8_t parts[SHA256_BYTES];

    (void)state;
    assert_int_equal(sha256_of(SPAN_LIT("hello, world"), whole), 0);
    assert_int_equal(sha256_begin(&sha), 0);
    sha256_add(&sha, SPAN_LIT("hello"));
    sha256_add(&sha, SPAN_LIT(""));
    sha256_add(&sha, SPAN_LIT(", world"));
    assert_int_equal(sha256_end(&sha, parts), 0);
    assert_memory_equal(whole, parts, SHA256_BYTES);

    assert_int_equal(sha256_begin(&sha), 0);
    sha256_drop(&sha);
    sha256_drop(&sha);
    sha256_add(&sha, SPAN_LIT("x"));
    assert_true(sha256_end(&sha, parts) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_digests_are_those_of_the_standard),
        cmocka_unit_test(test_parts_are_the_whole_and_a_dropped_one_ends_in_an_error),
    };

    return cmocka_run_group_tests_name("http/sha256", tests, NULL, NULL);
}
