/* SPDX-License-Identifier: MIT */
/* encodeURIComponent and decodeURIComponent as ECMAScript has them, and names of networks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xhr/xhr.h>

#include "support/test.h"

static void test_encoding_is_ecmascripts(void **state)
{
    static const struct {
        const char *plain;
        const char *encoded;
    } rows[] = {
        {"", ""},
        {"azAZ09-_.!~*'()", "azAZ09-_.!~*'()"},
        {" ", "%20"},
        {"a&b=c/d?e#f+g", "a%26b%3Dc%2Fd%3Fe%23f%2Bg"},
        {"\xc3\xa4", "%C3%A4"},
        {"\xe2\x82\xac", "%E2%82%AC"},
        {"\xf0\x9f\x98\x80", "%F0%9F%98%80"},
        {"%", "%25"},
        {"\x01\x7f", "%01%7F"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *encoded = NULL;
        char *decoded = NULL;
        size_t len = 0;

        assert_int_equal(xhr_encode_uri_component(rows[i].plain, &encoded), 0);
        assert_string_equal(encoded, rows[i].encoded);
        assert_int_equal(xhr_decode_uri_component(encoded, &decoded, &len), 0);
        assert_string_equal(decoded, rows[i].plain);
        assert_int_equal(len, strlen(rows[i].plain));
        free(encoded);
        free(decoded);
    }
}

static void test_what_is_no_utf8_is_not_encoded(void **state)
{
    static const char *const wrong[] = {"\xff",     "\xc3",         "\xc3(",
                                        "\xc0\xaf", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80"};
    char *encoded = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(xhr_encode_uri_component(wrong[i], &encoded), -EILSEQ);
    assert_null(encoded);
}

static void test_what_is_no_encoding_is_not_decoded(void **state)
{
    static const char *const wrong[] = {"%",      "%4",        "%4g",       "%g4",
                                        "a%",     "%C3",       "%C3%28",    "%FF",
                                        "%C0%AF", "%ED%A0%80", "\xff plain"};
    char *decoded = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (xhr_decode_uri_component(wrong[i], &decoded, NULL) != -EILSEQ)
            fail_msg("%s", wrong[i]);
    }
    assert_null(decoded);
}

static void test_a_nul_is_counted_and_lower_case_digits_are_read(void **state)
{
    char *decoded = NULL;
    size_t len = 0;

    (void)state;
    assert_int_equal(xhr_decode_uri_component("a%00b%c3%a4+", &decoded, &len), 0);
    assert_int_equal(len, 6);
    assert_memory_equal(decoded, "a\0b\xc3\xa4+", 7);
    free(decoded);
}

static void test_networks_have_titaniums_names(void **state)
{
    (void)state;
    assert_string_equal(xhr_network_type_name(XHR_NETWORK_NONE), "NONE");
    assert_string_equal(xhr_network_type_name(XHR_NETWORK_WIFI), "WIFI");
    assert_string_equal(xhr_network_type_name(XHR_NETWORK_MOBILE), "MOBILE");
    assert_string_equal(xhr_network_type_name(XHR_NETWORK_LAN), "LAN");
    assert_string_equal(xhr_network_type_name((enum xhr_network_type)99), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoding_is_ecmascripts),
        cmocka_unit_test(test_what_is_no_utf8_is_not_encoded),
        cmocka_unit_test(test_what_is_no_encoding_is_not_decoded),
        cmocka_unit_test(test_a_nul_is_counted_and_lower_case_digits_are_read),
        cmocka_unit_test(test_networks_have_titaniums_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
