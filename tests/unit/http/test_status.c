/* SPDX-License-Identifier: MIT */
#include "http/status.h"
#include "support/span_test.h"

static void test_reasons_of_registered_codes(void **state)
{
    (void)state;
    assert_string_equal(status_reason(200), "OK");
    assert_string_equal(status_reason(404), "Not Found");
    assert_string_equal(status_reason(511), "Network Authentication Required");
    assert_string_equal(status_reason(306), "");
    assert_string_equal(status_reason(299), "");
    assert_string_equal(status_reason(0), "");
    assert_string_equal(status_reason(1200), "");
}

static void test_classes_over_all_codes(void **state)
{
    unsigned redirects = 0;

    (void)state;
    for (unsigned code = 0; code <= STATUS_MAX; code++) {
        assert_int_equal(status_is_informational(code), code / 100 == 1);
        assert_int_equal(status_is_success(code), code / 100 == 2);
        assert_int_equal(status_has_no_content(code),
                         code / 100 == 1 || code == 204 || code == 304);
        redirects += status_is_redirect(code);
    }
    assert_int_equal(redirects, 5);
    assert_true(status_is_redirect(301) && status_is_redirect(302) && status_is_redirect(303));
    assert_true(status_is_redirect(307) && status_is_redirect(308));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reasons_of_registered_codes),
        cmocka_unit_test(test_classes_over_all_codes),
    };

    return cmocka_run_group_tests_name("http/status", tests, NULL, NULL);
}
