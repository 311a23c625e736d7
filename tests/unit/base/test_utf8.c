/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"
#include "support/test.h"

static void test_every_scalar_value_survives_the_round_trip(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        CLEANUP_BUF struct buf buf = BUF_INIT(0);
        bool bad = true;

        if (c >= 0xd800 && c < 0xe000) /* surrogates are none */
            c = 0xe000;
        assert_int_equal(utf8_append(&buf, c), 0);
        struct span text = buf_span(&buf);
        assert_true(utf8_is_valid(text));
        assert_int_equal(utf8_next(&text, &bad), c);
        assert_false(bad);
        assert_int_equal(text.len, 0);
        if (c > 0x800 && c < 0x10fff0)
            c += 61; /* a sample of the long ones */
    }
}

/* Unicode 15, table 3-11 and its neighbours: U+FFFD for each maximal subpart. */
static void test_malformed_text_gives_a_replacement_for_each_maximal_subpart(void **state)
{
    static const struct {
        const char *bytes;
        const char *story; /* '.' for a replacement, else the character */
    } rows[] = {
        {"a\x80z", "a.z"},
        {"\xc0\xaf", ".."}, /* overlong "/" */
        {"\xe0\x80\xaf", "..."},
        {"\xf0\x80\x80\xaf", "...."},
        {"\xed\xa0\x80", "..."},      /* a surrogate */
        {"\xf4\x90\x80\x80", "...."}, /* past U+10FFFF */
        {"\xf5\xff\xfe", "..."},
        {"\xe2\x82", "."}, /* cut: one subpart */
        {"\xe2\x82z", ".z"},
        {"\xf0\x9f\x98", "."},
        {"\xf0\x9f\x98\xf0\x9f", ".."},
        {"\xe2\xe2\x82\x61", "..a"},
        {"\xc3", "."},
        {"\xc3\xc3\x28", "..("},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span text = span_of(rows[i].bytes);
        char story[16] = "";
        size_t n = 0;

        assert_false(utf8_is_valid(text));
        while (text.len > 0) {
            bool bad;
            uint32_t c = utf8_next(&text, &bad);

            assert_int_equal(bad, c == UTF8_REPLACEMENT);
            story[n++] = bad ? '.' : (char)c;
        }
        assert_string_equal(story, rows[i].story);
    }
}

static void test_a_replacement_character_that_is_written_is_no_error(void **state)
{
    struct span text = SPAN_LIT("\xef\xbf\xbd");
    bool bad = true;

    (void)state;
    assert_true(utf8_is_valid(text));
    assert_true(utf8_is_valid((struct span){0}));
    assert_int_equal(utf8_next(&text, &bad), UTF8_REPLACEMENT);
    assert_false(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scalar_value_survives_the_round_trip),
        cmocka_unit_test(test_malformed_text_gives_a_replacement_for_each_maximal_subpart),
        cmocka_unit_test(test_a_replacement_character_that_is_written_is_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
