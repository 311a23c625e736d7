/* SPDX-License-Identifier: MIT */
#include "base/ascii.h"
#include "base/span.h"
#include "support/test.h"

static void test_ends_are_found_and_cut(void **state)
{
    struct span s = SPAN_LIT("abcd");

    (void)state;
    assert_true(span_starts_with(s, SPAN_LIT("ab")) && span_starts_with(s, SPAN_LIT("")));
    assert_false(span_starts_with(s, SPAN_LIT("abcde")) || span_starts_with(s, SPAN_LIT("b")));
    assert_true(span_ends_with(s, SPAN_LIT("cd")) && span_ends_with(s, (struct span){0}));
    assert_false(span_ends_with(s, SPAN_LIT("xabcd")) || span_ends_with(s, SPAN_LIT("c")));
    assert_true(span_eq(span_drop(s, 2), SPAN_LIT("cd")));
    assert_int_equal(span_drop(s, 5).len, 0);
    assert_true(span_eq(span_take(s, 9), s));
    assert_true(span_eq((struct span){0}, SPAN_LIT("")));
    assert_int_equal(span_of(NULL).len, 0);
}

static void test_case_folds_in_ascii_alone(void **state)
{
    (void)state;
    assert_true(span_ieq(SPAN_LIT("Set-Cookie"), SPAN_LIT("sET-cOOKIE")));
    assert_false(span_ieq(SPAN_LIT("a"), SPAN_LIT("ab")));
    assert_false(span_ieq(SPAN_LIT("\xc4"), SPAN_LIT("\xe4")));
    assert_false(span_ieq(SPAN_LIT("@"), SPAN_LIT("`")));
    assert_false(span_ieq(SPAN_LIT("["), SPAN_LIT("{")));
}

static void test_blanks_are_trimmed_and_nothing_else(void **state)
{
    (void)state;
    assert_true(span_eq(span_trim_ows(SPAN_LIT(" \t a b\t ")), SPAN_LIT("a b")));
    assert_true(span_eq(span_trim_ows(SPAN_LIT("\ra\n")), SPAN_LIT("\ra\n")));
    assert_int_equal(span_trim_ows(SPAN_LIT(" \t")).len, 0);
    assert_int_equal(span_trim_ows((struct span){0}).len, 0);
}

static void test_splitting_yields_every_part(void **state)
{
    struct span rest = SPAN_LIT("a,,b,");
    struct span head;

    (void)state;
    assert_true(span_split(&rest, ',', &head) && span_eq(head, SPAN_LIT("a")));
    assert_true(span_split(&rest, ',', &head) && head.len == 0);
    assert_true(span_split(&rest, ',', &head) && span_eq(head, SPAN_LIT("b")));
    assert_false(span_split(&rest, ',', &head));
    assert_int_equal(head.len, 0);
    rest = SPAN_LIT("one");
    assert_false(span_split(&rest, ',', &head));
    assert_true(span_eq(head, SPAN_LIT("one")));
    assert_int_equal(rest.len, 0);
}

/* RFC 9110 §5.6.2 */
static void test_token_characters_are_those_of_the_rfc(void **state)
{
    int n = 0;

    (void)state;
    for (int c = 0; c < 256; c++)
        n += ascii_is_tchar((char)c);
    assert_int_equal(n, 10 + 52 + 15);
    for (const char *at = "!#$%&'*+-.^_`|~09azAZ"; *at; at++)
        assert_true(ascii_is_tchar(*at));
    assert_false(ascii_is_tchar(' ') || ascii_is_tchar(':') || ascii_is_tchar('\0'));
    assert_int_equal(ascii_hex_value('f'), 15);
    assert_int_equal(ascii_hex_value('A'), 10);
    assert_int_equal(ascii_hex_value('g'), -1);
    assert_int_equal(ascii_hex_value('/'), -1);
    assert_int_equal(ascii_upper('z'), 'Z');
    assert_int_equal(ascii_upper('{'), '{');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends_are_found_and_cut),
        cmocka_unit_test(test_case_folds_in_ascii_alone),
        cmocka_unit_test(test_blanks_are_trimmed_and_nothing_else),
        cmocka_unit_test(test_splitting_yields_every_part),
        cmocka_unit_test(test_token_characters_are_those_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
