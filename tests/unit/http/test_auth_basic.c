/* SPDX-License-Identifier: MIT */
#include "http/auth_basic.h"
#include "support/span_test.h"

static void test_examples_of_rfc_7617(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);

    (void)state;
    assert_int_equal(auth_basic_format(&out, SPAN_LIT("Aladdin"), SPAN_LIT("open sesame")), 0);
    assert_span(buf_span(&out), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    buf_clear(&out);
    assert_int_equal(auth_basic_format(&out, SPAN_LIT("test"), SPAN_LIT("123\xc2\xa3")), 0);
    assert_span(buf_span(&out), "Basic dGVzdDoxMjPCow==");
    buf_clear(&out);
    assert_int_equal(auth_basic_format(&out, SPAN_LIT(""), SPAN_LIT("a:b")), 0);
    assert_span(buf_span(&out), "Basic OmE6Yg==");
}

static void test_what_basic_cannot_carry_is_refused(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    char *big = repeat('a', AUTH_BASIC_PART_MAX + 1);
    struct span longest = {big, AUTH_BASIC_PART_MAX};
    struct span too_long = {big, AUTH_BASIC_PART_MAX + 1};
    struct span none = SPAN_LIT("");

    (void)state;
    assert_int_equal(auth_basic_format(&out, SPAN_LIT("a:b"), none), AUTH_BASIC_E_COLON);
    assert_int_equal(auth_basic_format(&out, SPAN_LIT("a\r\nX"), none), AUTH_BASIC_E_CTL);
    assert_int_equal(auth_basic_format(&out, none, SPAN_LIT("a\0")), AUTH_BASIC_E_CTL);
    assert_int_equal(auth_basic_format(&out, none, SPAN_LIT("\x7f")), AUTH_BASIC_E_CTL);
    assert_int_equal(auth_basic_format(&out, none, too_long), AUTH_BASIC_E_TOO_LONG);
    assert_int_equal(auth_basic_format(&out, too_long, none), AUTH_BASIC_E_TOO_LONG);
    assert_int_equal(out.len, 0);
    assert_int_equal(auth_basic_format(&out, longest, longest), AUTH_BASIC_OK);
    free(big);
    for (int i = AUTH_BASIC_OK; i <= AUTH_BASIC_E_TOO_LONG; i++)
        assert_true(strlen(auth_basic_outcome_text(i)) > 0);
}

static void test_a_buffer_that_is_full_stays_as_it_was(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(10);

    (void)state;
    assert_int_equal(buf_append_str(&out, "abc"), 0);
    assert_true(auth_basic_format(&out, SPAN_LIT("user"), SPAN_LIT("password")) < 0);
    assert_span(buf_span(&out), "abc");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_rfc_7617),
        cmocka_unit_test(test_what_basic_cannot_carry_is_refused),
        cmocka_unit_test(test_a_buffer_that_is_full_stays_as_it_was),
    };

    return cmocka_run_group_tests_name("http/auth_basic", tests, NULL, NULL);
}
