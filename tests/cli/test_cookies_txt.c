/* SPDX-License-Identifier: MIT */
/* Lines of a cookies.txt: what is a cookie, what is refused and why, what is written. */
#include <stdlib.h>
#include <string.h>

#include "cookies_txt.h"
#include "support/test.h"

static struct cookies_txt txt;

static enum cookies_txt_outcome first_of(const char *text)
{
    cookies_txt_begin(&txt, text, strlen(text));
    return cookies_txt_next(&txt);
}

static void test_a_line_of_curl_is_a_cookie(void **state)
{
    (void)state;
    assert_int_equal(
        first_of("# Netscape HTTP Cookie File\n"
                 "# https://curl.se/docs/http-cookies.html\n\n"
                 "#HttpOnly_.example.com\tTRUE\t/a\tTRUE\t4000000000\tname\tv=1 2\n"),
        COOKIES_TXT_COOKIE);
    assert_int_equal(txt.line, 4);
    assert_string_equal(txt.cookie.domain, "example.com");
    assert_string_equal(txt.cookie.path, "/a");
    assert_string_equal(txt.cookie.name, "name");
    assert_string_equal(txt.cookie.value, "v=1 2");
    assert_true(txt.cookie.http_only && txt.cookie.secure && txt.cookie.persistent);
    assert_false(txt.cookie.host_only);
    assert_true(txt.cookie.expires_s == INT64_C(4000000000));
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_END);
}

static void test_a_zero_is_a_session_and_false_is_the_host_alone(void **state)
{
    (void)state;
    assert_int_equal(first_of("example.com\tFALSE\t/\tFALSE\t0\tn\t"), COOKIES_TXT_COOKIE);
    assert_true(txt.cookie.host_only);
    assert_false(txt.cookie.persistent || txt.cookie.secure || txt.cookie.http_only);
    assert_string_equal(txt.cookie.value, "");
    assert_int_equal(first_of("example.com\tFALSE\t/\tFALSE\t0\tn\r\n"), COOKIES_TXT_COOKIE);
    assert_string_equal(txt.cookie.name,
                        "n"); /* six fields: curl wrote none for an empty value */
    assert_string_equal(txt.cookie.value, "");
}

static void test_a_value_keeps_its_tabs(void **state)
{
    (void)state;
    assert_int_equal(first_of("a.com\tFALSE\t/\tFALSE\t0\tn\tx\ty"), COOKIES_TXT_COOKIE);
    assert_string_equal(txt.cookie.value, "x\ty");
}

static void test_a_date_of_the_year_99999_is_only_late(void **state)
{
    (void)state;
    assert_int_equal(first_of("a.com\tTRUE\t/\tFALSE\t3093527980800\tn\tv"),
                     COOKIES_TXT_COOKIE);
    assert_true(txt.cookie.expires_s == INT64_C(3093527980800));
    assert_int_equal(first_of("a.com\tTRUE\t/\tFALSE\t99999999999999999999999999999999\tn\tv"),
                     COOKIES_TXT_COOKIE);
    assert_true(txt.cookie.expires_s > INT64_C(1000000000000000000));
}

static void test_what_is_no_cookie_is_refused_with_a_word(void **state)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"garbage", "seven fields"},
        {"a.com\tTRUE\t/\tFALSE\t0", "seven fields"},
        {"a.com\tYES\t/\tFALSE\t0\tn\tv", "second field"},
        {"a.com\tTRUE\t/\tno\t0\tn\tv", "fourth field"},
        {"a.com\tTRUE\t/\tFALSE\tsoon\tn\tv", "fifth field"},
        {"a.com\tTRUE\t/\tFALSE\t-1\tn\tv", "fifth field"},
        {"a.com\tTRUE\t/\tFALSE\t\tn\tv", "fifth field"},
        {".\tTRUE\t/\tFALSE\t0\tn\tv", "domain"},
        {"Set-Cookie: a=1; Path=/", "Set-Cookie"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(first_of(rows[i].line), COOKIES_TXT_REFUSED);
        if (!strstr(txt.why, rows[i].says))
            fail_msg("%s: %s", rows[i].line, txt.why);
        assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_END);
    }
}

static void test_a_nul_in_a_line_refuses_that_line_alone(void **state)
{
    static const char text[] =
        "a.com\tTRUE\t/\tFALSE\t0\tn\tv\0x\nb.com\tTRUE\t/\tFALSE\t0\tn\tv";

    (void)state;
    cookies_txt_begin(&txt, text, sizeof(text) - 1);
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_REFUSED);
    assert_non_null(strstr(txt.why, "NUL"));
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_COOKIE);
    assert_string_equal(txt.cookie.domain, "b.com");
    assert_false(cookies_txt_is_text(text, sizeof(text) - 1));
    assert_false(cookies_txt_is_text("SQLite format 3\0\x10", 17));
    assert_true(cookies_txt_is_text("# Netscape\nx\0", 13));
}

static void test_ck11_a_line_of_100_kb_is_one_refused_entry(void **state)
{
    size_t len = 100000;
    char *text = malloc(len);

    (void)state;
    assert_non_null(text);
    memset(text, 'x', len);
    static const char start[] = "a.com\tTRUE\t/\tFALSE\t0\tn\t";
    memcpy(text, start, sizeof(start) - 1);
    /* What would be a cookie of its own if the line were read in pieces. */
    for (size_t at = 4000; at + 100 < len; at += 1000)
        memcpy(text + at, start, sizeof(start) - 1);
    memcpy(text + len - 30, "\nb.com\tTRUE\t/\tFALSE\t0\tn\tnext\n", 30);
    cookies_txt_begin(&txt, text, len - 1);
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_REFUSED);
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_COOKIE);
    assert_string_equal(txt.cookie.value, "next");
    assert_int_equal(txt.line, 2);
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_END);
    free(text);
}

static void test_what_is_written_is_read_again(void **state)
{
    const struct xhr_cookie cookies[] = {
        {.name = "a", .value = "1", .domain = "a.com", .path = "/", .host_only = true},
        {.name = "b", .value = "", .domain = "b.com", .path = "/x", .secure = true},
        {.name = "c",
         .value = "x y",
         .domain = "c.com",
         .path = "/",
         .http_only = true,
         .persistent = true,
         .expires_s = 4000000000},
    };
    struct strbuf out = {0};

    (void)state;
    cookies_txt_add_head(&out);
    for (size_t i = 0; i < 3; i++)
        assert_true(cookies_txt_add(&out, &cookies[i]));
    cookies_txt_begin(&txt, out.bytes, out.len);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_COOKIE);
        assert_string_equal(txt.cookie.name, cookies[i].name);
        assert_string_equal(txt.cookie.value, cookies[i].value);
        assert_string_equal(txt.cookie.domain, cookies[i].domain);
        assert_string_equal(txt.cookie.path, cookies[i].path);
        assert_int_equal(txt.cookie.host_only, cookies[i].host_only);
        assert_int_equal(txt.cookie.secure, cookies[i].secure);
        assert_int_equal(txt.cookie.http_only, cookies[i].http_only);
        assert_int_equal(txt.cookie.persistent, cookies[i].persistent);
    }
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_END);
    strbuf_done(&out);
}

static void test_what_the_format_cannot_hold_is_left_out_and_said(void **state)
{
    const struct xhr_cookie tab = {
        .name = "a", .value = "1\t2", .domain = "a.com", .path = "/"};
    const struct xhr_cookie nameless = {
        .name = "", .value = "1", .domain = "a.com", .path = "/"};
    struct strbuf out = {0};

    (void)state;
    assert_false(cookies_txt_add(&out, &tab));
    assert_false(cookies_txt_add(&out, &nameless));
    const struct xhr_cookie comment = {
        .name = "a", .value = "1", .domain = "#HttpOnly_x", .path = "/"};
    assert_false(cookies_txt_add(&out, &comment)); /* no daemon would tell such a one */
    assert_non_null(strstr(out.bytes, "left out"));
    cookies_txt_begin(&txt, out.bytes, out.len);
    assert_int_equal(cookies_txt_next(&txt), COOKIES_TXT_END);
    strbuf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_line_of_curl_is_a_cookie),
        cmocka_unit_test(test_a_zero_is_a_session_and_false_is_the_host_alone),
        cmocka_unit_test(test_a_value_keeps_its_tabs),
        cmocka_unit_test(test_a_date_of_the_year_99999_is_only_late),
        cmocka_unit_test(test_what_is_no_cookie_is_refused_with_a_word),
        cmocka_unit_test(test_a_nul_in_a_line_refuses_that_line_alone),
        cmocka_unit_test(test_ck11_a_line_of_100_kb_is_one_refused_entry),
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_what_the_format_cannot_hold_is_left_out_and_said),
    };

    return cmocka_run_group_tests_name("cli/cookies_txt", tests, NULL, NULL);
}
