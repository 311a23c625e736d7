/* SPDX-License-Identifier: MIT */
#include "base/ascii.h"
#include "http/percent.h"
#include "support/span_test.h"

/* The standard's own words: each set is another one and these. */
static const struct {
    enum percent_set set;
    int also; /* the set it is made from, or -1 */
    const char *bytes;
} sets[] = {
    {PERCENT_C0_CONTROL, -1, ""},
    {PERCENT_FRAGMENT, PERCENT_C0_CONTROL, " \"<>`"},
    {PERCENT_QUERY, PERCENT_C0_CONTROL, " \"#<>"},
    {PERCENT_SPECIAL_QUERY, PERCENT_QUERY, "'"},
    {PERCENT_PATH, PERCENT_QUERY, "?^`{}"},
    {PERCENT_USERINFO, PERCENT_PATH, "/:;=@[\\]|"},
    {PERCENT_COMPONENT, PERCENT_USERINFO, "$%&+,"},
};

static bool is_in(int set, int c)
{
    if (c < 0x20 || c > 0x7e)
        return true;
    if (set < 0)
        return false;
    return strchr(sets[set].bytes, c) || is_in(sets[set].also, c);
}

static void test_each_set_holds_what_the_standard_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        for (int c = 0; c < 256; c++) {
            CLEANUP_BUF struct buf out = BUF_INIT(0);
            char byte = (char)c;

            assert_int_equal(percent_encode(&out, (struct span){&byte, 1}, sets[i].set), 0);
            assert_int_equal(out.len, is_in((int)i, c) ? 3 : 1);
        }
    }
}

static void test_component_is_encode_uri_component(void **state)
{
    (void)state;
    for (int c = 0x21; c < 0x7f; c++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        char byte = (char)c;
        bool stays = ascii_is_alnum(byte) || strchr("-_.!~*'()", c);

        assert_int_equal(percent_encode(&out, (struct span){&byte, 1}, PERCENT_COMPONENT), 0);
        assert_int_equal(out.len, stays ? 1 : 3);
    }
}

static void test_ur12_half_escapes_are_left_alone(void **state)
{
    static const struct {
        const char *text, *decoded;
    } rows[] = {
        {"", ""},           {"%", "%"},     {"%4", "%4"},
        {"a%", "a%"},       {"%41", "A"},   {"%zz", "%zz"},
        {"%4z%41", "%4zA"}, {"%%41", "%A"}, {"%e2%98%83x", "\xe2\x98\x83x"},
        {"%2541", "%41"},   {"a+b", "a+b"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        size_t n = strlen(rows[i].text);
        char *exact = repeat(' ', n); /* without a NUL: reading on would be seen */

        memcpy(exact, rows[i].text, n);
        assert_int_equal(percent_decode(&out, (struct span){exact, n}), 0);
        assert_span(buf_span(&out), rows[i].decoded);
        free(exact);
    }
}

static void test_decoding_what_was_encoded_gives_it_back(void **state)
{
    char all[256];

    (void)state;
    for (int c = 0; c < 256; c++)
        all[c] = (char)c;
    CLEANUP_BUF struct buf encoded = BUF_INIT(0);
    CLEANUP_BUF struct buf decoded = BUF_INIT(0);
    assert_int_equal(percent_encode(&encoded, (struct span){all, 256}, PERCENT_COMPONENT), 0);
    assert_int_equal(percent_decode(&decoded, buf_span(&encoded)), 0);
    assert_true(span_eq(buf_span(&decoded), (struct span){all, 256}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_set_holds_what_the_standard_says),
        cmocka_unit_test(test_component_is_encode_uri_component),
        cmocka_unit_test(test_ur12_half_escapes_are_left_alone),
        cmocka_unit_test(test_decoding_what_was_encoded_gives_it_back),
    };

    return cmocka_run_group_tests_name("http/percent", tests, NULL, NULL);
}
