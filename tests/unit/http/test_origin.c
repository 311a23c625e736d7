/* SPDX-License-Identifier: MIT */
#include "http/origin.h"
#include "support/span_test.h"

static int origin_of(const char *text, struct origin *ret)
{
    struct url url;

    assert_int_equal(url_parse(span_of(text), NULL, &url), URL_OK);
    int r = origin_of_url(&url, ret);
    url_done(&url);
    return r;
}

static void test_origins_and_their_text(void **state)
{
    static const struct {
        const char *url, *text, *authority;
        bool is_ip;
    } rows[] = {
        {"http://Example.com/a?b#c", "http://example.com", "example.com", false},
        {"http://example.com:80", "http://example.com", "example.com", false},
        {"https://example.com:80", "https://example.com:80", "example.com:80", false},
        {"HTTPS://u:p@h:8443/", "https://h:8443", "h:8443", false},
        {"https://h:443", "https://h", "h", false},
        {"http://[::1]:65535", "http://[::1]:65535", "[::1]:65535", true},
        {"http://0x7f.1", "http://127.0.0.1", "127.0.0.1", true},
        {"http://a.com./", "http://a.com.", "a.com.", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[ORIGIN_TEXT_SIZE];
        struct origin origin;

        assert_int_equal(origin_of(rows[i].url, &origin), ORIGIN_OK);
        assert_int_equal(origin_format(&origin, text), strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
        assert_int_equal(origin_format_authority(&origin, text), strlen(rows[i].authority));
        assert_string_equal(text, rows[i].authority);
        assert_int_equal(origin.is_ip, rows[i].is_ip);
    }
}

static void test_origins_are_equal_only_in_all_three_parts(void **state)
{
    static const char *const different[] = {"http://a/",    "https://a/", "http://a:81/",
                                            "http://b/",    "http://a./", "http://aa/",
                                            "http://a:443/"};
    struct origin a;
    struct origin b;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(different); i++) {
        for (size_t j = 0; j < COUNT_OF(different); j++) {
            assert_int_equal(origin_of(different[i], &a), ORIGIN_OK);
            assert_int_equal(origin_of(different[j], &b), ORIGIN_OK);
            assert_int_equal(origin_eq(&a, &b), i == j);
        }
    }
    assert_int_equal(origin_of("http://user@A:80/x", &b), ORIGIN_OK);
    assert_int_equal(origin_of("http://a", &a), ORIGIN_OK);
    assert_true(origin_eq(&a, &b));
}

static void test_ur11_other_schemes_have_no_origin_to_fetch_from(void **state)
{
    static const char *const urls[] = {
        "ftp://h/",   "file:///etc/passwd", "FILE:///x",   " file:///x",
        "data:,x",    "gopher://h/",        "unix:/x",     "ws://h/",
        "mailto:a@b", "httpss://h/",        "javascript:0"};
    struct origin origin;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(urls); i++)
        assert_int_equal(origin_of(urls[i], &origin), ORIGIN_E_SCHEME);
    for (int i = ORIGIN_OK; i <= ORIGIN_E_PORT_ZERO; i++)
        assert_true(strlen(origin_outcome_text(i)) > 0);
}

static void test_ur10_port_zero_is_refused(void **state)
{
    struct origin origin;

    (void)state;
    assert_int_equal(origin_of("http://h:0/", &origin), ORIGIN_E_PORT_ZERO);
    assert_int_equal(origin_of("http://h:00/", &origin), ORIGIN_E_PORT_ZERO);
    assert_int_equal(origin_of("http://h:1/", &origin), ORIGIN_OK);
}

static void test_ur14_a_host_that_dns_cannot_carry_is_refused(void **state)
{
    char text[400] = "http://";
    struct origin origin;

    (void)state;
    memset(text + 7, 'a', 300);
    assert_int_equal(origin_of(text, &origin), ORIGIN_E_HOST_LONG);
    text[7 + 64] = '\0';
    assert_int_equal(origin_of(text, &origin), ORIGIN_E_HOST_LONG);
    text[7 + 63] = '\0';
    assert_int_equal(origin_of(text, &origin), ORIGIN_OK);
    memset(text + 7, 'a', 300);
    for (size_t i = 7 + 63; i < 7 + 300; i += 64)
        text[i] = '.';
    text[7 + 253] = '.';
    text[7 + 254] = '\0';
    assert_int_equal(origin_of(text, &origin), ORIGIN_OK);
    text[7 + 253] = 'a';
    assert_int_equal(origin_of(text, &origin), ORIGIN_E_HOST_LONG);
    assert_int_equal(origin_of("http://a..b/", &origin), ORIGIN_E_HOST_LONG);
    assert_int_equal(origin_of("http://./", &origin), ORIGIN_E_HOST_LONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins_and_their_text),
        cmocka_unit_test(test_origins_are_equal_only_in_all_three_parts),
        cmocka_unit_test(test_ur11_other_schemes_have_no_origin_to_fetch_from),
        cmocka_unit_test(test_ur10_port_zero_is_refused),
        cmocka_unit_test(test_ur14_a_host_that_dns_cannot_carry_is_refused),
    };

    return cmocka_run_group_tests_name("http/origin", tests, NULL, NULL);
}
