/* SPDX-License-Identifier: MIT */
/* The standard's own cases are in test_url_wpt.c; here is what an HTTP client must survive. */
#include "base/fault.h"
#include "http/origin.h"
#include "http/url.h"
#include "support/span_test.h"

static void assert_href(struct span text, const char *want)
{
    struct url url;

    assert_int_equal(url_parse(text, NULL, &url), URL_OK);
    assert_span(url_href(&url), want);
    assert_int_equal(url.href[url.href_len], '\0');
    url_done(&url);
    assert_null(url.href);
}

static void assert_refused(const char *text, int outcome)
{
    struct url url;

    assert_int_equal(url_parse(span_of(text), NULL, &url), outcome);
}

static void test_ur01_control_characters_and_spaces_are_encoded_or_dropped(void **state)
{
    (void)state;
    assert_href(SPAN_LIT("http://h/a b"), "http://h/a%20b");
    assert_href(SPAN_LIT("http://h/a\r\nX: y"), "http://h/aX:%20y");
    assert_href(SPAN_LIT("http://h/a?b c\x01"), "http://h/a?b%20c");
    assert_href(SPAN_LIT("http://h/a?b\x01 c"), "http://h/a?b%01%20c");
    assert_href(SPAN_LIT("http://h/\0?\0#\0."), "http://h/%00?%00#%00.");
    assert_href(SPAN_LIT("http://h/\x7f\x1f\x1b[m"), "http://h/%7F%1F%1B[m");
    assert_href(SPAN_LIT(" \t\nht\ttp://h/\x00 "), "http://h/");
    assert_href(SPAN_LIT("http://u\rs er:p\0w@h/"), "http://us%20er:p%00w@h/");
    assert_refused("http://a b/", URL_E_HOST_CHARACTER);
    assert_refused("http://a\x01/", URL_E_HOST_CHARACTER);
    for (int c = 0; c < 256; c++) {
        char text[] = "http://h/a?b?c#d";
        struct url url;

        text[10] = (char)c;
        text[12] = (char)c;
        assert_int_equal(url_parse((struct span){text, sizeof(text) - 1}, NULL, &url), URL_OK);
        for (size_t i = 0; i < url.href_len; i++)
            assert_true(url.href[i] > 0x20 && url.href[i] < 0x7f);
        url_done(&url);
    }
}

static void test_ur04_no_escape_brings_a_delimiter_into_the_host(void **state)
{
    (void)state;
    assert_refused("http://a%2Fb/", URL_E_HOST_CHARACTER);
    assert_refused("http://a%00b/", URL_E_HOST_CHARACTER);
    assert_refused("http://a%40b/", URL_E_HOST_CHARACTER);
    assert_refused("http://a%23b/", URL_E_HOST_CHARACTER);
    assert_href(SPAN_LIT("http://a\\b/"), "http://a/b/"); /* as every browser reads it */
    assert_href(SPAN_LIT("http:\\\\a\\b"), "http://a/b");
}

static void test_ur05_the_host_is_the_one_that_the_standard_says(void **state)
{
    static const struct {
        const char *text, *host;
    } rows[] = {
        {"http://ok.com#@evil.com/", "ok.com"},
        {"http://ok.com?@evil.com/", "ok.com"},
        {"http://ok.com/@evil.com/", "ok.com"},
        {"http://ok.com\\@evil.com/", "ok.com"},
        {"http://a@b@c/", "c"},
        {"http://a@b:80@c/", "c"},
        {"http://good.com:80@evil.com/", "evil.com"},
        {"http://[::1]@evil.com/", "evil.com"},
        {"http:///a/b", "a"},
        {"http:a", "a"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct origin origin;
        struct url url;

        assert_int_equal(url_parse(span_of(rows[i].text), NULL, &url), URL_OK);
        assert_span(url.host, rows[i].host);
        assert_int_equal(origin_of_url(&url, &origin), ORIGIN_OK);
        assert_span(origin_host(&origin), rows[i].host);
        url_done(&url);
    }
}

static void test_ur06_sharp_s_is_a_letter_of_its_own(void **state)
{
    (void)state;
    assert_href(SPAN_LIT("https://fa\xc3\x9f.de/"), "https://xn--fa-hia.de/");
}

static void test_ur07_64_kib_are_fine_and_1_mib_is_not(void **state)
{
    char *text = repeat('a', 1 << 20);
    struct url url;

    (void)state;
    memcpy(text, "http://h/", 9);
    assert_int_equal(url_parse((struct span){text, 64 << 10}, NULL, &url), URL_OK);
    assert_int_equal(url.href_len, 64 << 10);
    url_done(&url);
    memset(text + 9, 0xff, (64 << 10) - 9); /* U+FFFD, nine bytes each */
    assert_int_equal(url_parse((struct span){text, 64 << 10}, NULL, &url), URL_E_TOO_LONG);
    memset(text + 9, ' ', (64 << 10) - 9); /* three bytes each */
    text[(64 << 10) - 1] = '"';
    assert_int_equal(url_parse((struct span){text, 64 << 10}, NULL, &url), URL_OK);
    assert_int_equal(url.href_len, 9 + 3 * ((64 << 10) - 9));
    url_done(&url);
    memset(text + 9, 'a', (1 << 20) - 9);
    assert_int_equal(url_parse((struct span){text, URL_BYTES_MAX}, NULL, &url), URL_OK);
    url_done(&url);
    assert_int_equal(url_parse((struct span){text, URL_BYTES_MAX + 1}, NULL, &url),
                     URL_E_TOO_LONG);
    assert_int_equal(url_parse((struct span){text, 1 << 20}, NULL, &url), URL_E_TOO_LONG);
    assert_int_equal(url_parse((struct span){text, (size_t)1 << 31}, NULL, &url),
                     URL_E_TOO_LONG);
    assert_int_equal(url_parse((struct span){text, SIZE_MAX}, NULL, &url), URL_E_TOO_LONG);
    free(text);
}

static void test_ur08_ur09_hosts_that_are_none(void **state)
{
    (void)state;
    assert_refused("http://xn--example-.com/", URL_E_HOST_IDNA);
    assert_refused("http://[1.2.3.4]/", URL_E_HOST_IPV6);
    assert_refused("http://[a.com]/", URL_E_HOST_IPV6);
    assert_refused("http://[::1/", URL_E_HOST_IPV6);
    assert_refused("http://[::1]x/", URL_E_HOST_IPV6);
    assert_refused("http://[::1]x:80/", URL_E_HOST_IPV6);
    assert_refused("http://x[::1]/", URL_E_HOST_CHARACTER);
    assert_refused("http://[::1%25eth0]/", URL_E_HOST_IPV6);
    assert_refused("http://1.2.3.4.5/", URL_E_HOST_IPV4);
}

static void test_ur10_ports(void **state)
{
    (void)state;
    assert_refused("http://h:65536/", URL_E_PORT);
    assert_refused("http://h:80a/", URL_E_PORT);
    assert_refused("http://h:-1/", URL_E_PORT);
    assert_refused("http://h: 80/", URL_E_PORT);
    assert_refused("http://h:8 0/", URL_E_PORT);
    assert_refused("http://h:+80/", URL_E_PORT);
    assert_refused("http://h:0x50/", URL_E_PORT);
    assert_refused("http://h:80:80/", URL_E_PORT);
    assert_refused("http://h:18446744073709551696/", URL_E_PORT);
    assert_refused("http://h:4294967376/", URL_E_PORT);
    assert_href(SPAN_LIT("http://h:65535/"), "http://h:65535/");
    assert_href(SPAN_LIT("http://h:000000000000000000000081/"), "http://h:81/");
    assert_href(SPAN_LIT("http://h:/"), "http://h/");
    assert_href(SPAN_LIT("http://h:0/"), "http://h:0/"); /* a URL, but no origin: test_origin */
}

static void test_ur12_half_escapes_stay_and_a_hundred_thousand_bytes_of_them_too(void **state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct url url;

    (void)state;
    assert_href(SPAN_LIT("http://h/%"), "http://h/%");
    assert_href(SPAN_LIT("http://h/%4"), "http://h/%4");
    assert_href(SPAN_LIT("http://h/%zz?%#%4"), "http://h/%zz?%#%4");
    assert_refused("http://h%/", URL_E_HOST_CHARACTER);
    assert_refused("http://h%4/", URL_E_HOST_CHARACTER);
    assert_int_equal(buf_append_str(&text, "http://h/"), 0);
    for (int i = 0; i < 100 * 1000 / 3; i++)
        assert_int_equal(buf_append_str(&text, "%41"), 0);
    assert_int_equal(url_parse(buf_span(&text), NULL, &url), URL_OK);
    assert_true(span_eq(url_href(&url), buf_span(&text)));
    url_done(&url);
    text.storage[text.start + 8] = 'h'; /* now all of it is the host */
    assert_int_equal(url_parse(buf_span(&text), NULL, &url), URL_E_HOST_TOO_LONG);
}

static void test_ur14_empty_and_endless_hosts(void **state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct url url;

    (void)state;
    assert_refused("http://", URL_E_NO_HOST);
    assert_refused("http:///", URL_E_NO_HOST);
    assert_refused("https://:80/", URL_E_NO_HOST);
    assert_refused("http://user@/", URL_E_NO_HOST);
    assert_refused("http://user@:80/", URL_E_NO_HOST);
    assert_refused("http://?x", URL_E_NO_HOST);
    assert_refused("http://\xc2\xad/", URL_E_NO_HOST); /* a soft hyphen alone */
    assert_int_equal(buf_append_str(&text, "http://"), 0);
    for (int i = 0; i < 32 * 1024; i++)
        assert_int_equal(buf_append_str(&text, "\xc3\xbc"), 0);
    assert_int_equal(url_parse(buf_span(&text), NULL, &url), URL_E_HOST_TOO_LONG);
}

static void test_ur15_an_at_sign_in_the_password_stays_there(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct url url;

    (void)state;
    /* '/' ends the authority, so this has a port "w": refused, and no look-up of "host". */
    assert_refused("http://us:p@ss:w/rd@host/", URL_E_PORT);
    assert_int_equal(url_parse(SPAN_LIT("http://us:p@ss:w@host:81/"), NULL, &url), URL_OK);
    assert_span(url.username, "us");
    assert_span(url.password, "p%40ss%3Aw");
    assert_span(url.host, "host");
    assert_int_equal(url.port, 81);
    assert_int_equal(url_format(&url, URL_WITHOUT_USERINFO, &out), 0);
    assert_span(buf_span(&out), "http://host:81/");
    url_done(&url);
}

static void test_ex16_fifty_thousand_steps_up_are_linear_work(void **state)
{
    CLEANUP_BUF struct buf text = BUF_INIT(0);
    struct url base;
    struct url url;

    (void)state;
    assert_int_equal(buf_append_str(&text, "http://h"), 0);
    for (int i = 0; i < 50 * 1000; i++)
        assert_int_equal(buf_append_str(&text, "/a"), 0);
    assert_int_equal(url_parse(buf_span(&text), NULL, &base), URL_OK);
    buf_clear(&text);
    for (int i = 0; i < 50 * 1000; i++)
        assert_int_equal(buf_append_str(&text, "../"), 0);
    assert_int_equal(url_resolve(&base, buf_span(&text), &url), URL_OK);
    assert_span(url_href(&url), "http://h/");
    url_done(&url);
    url_done(&base);
    buf_clear(&text);
    assert_int_equal(buf_append_str(&text, "http://h/"), 0);
    for (int i = 0; i < 50 * 1000; i++)
        assert_int_equal(buf_append_str(&text, i % 2 ? "../" : "b/"), 0);
    assert_href(buf_span(&text), "http://h/");
}

static void test_parts_of_a_url(void **state)
{
    struct url url;
    struct url copy;

    (void)state;
    assert_int_equal(url_parse(SPAN_LIT("HTTPS://us:pw@Host:8443/p/../q?x#y"), NULL, &url),
                     URL_OK);
    assert_int_equal(url_copy(&url, &copy), 0);
    url_done(&url);
    assert_span(copy.scheme, "https");
    assert_span(copy.username, "us");
    assert_span(copy.password, "pw");
    assert_span(copy.host, "host");
    assert_span(copy.path, "/q");
    assert_span(copy.query, "x");
    assert_span(copy.fragment, "y");
    assert_int_equal(copy.port, 8443);
    assert_int_equal(copy.host_kind, HOST_DOMAIN);
    assert_true(copy.has_host && copy.has_query && copy.has_fragment && copy.is_special);
    assert_true(url_is_http(&copy) && url_has_credentials(&copy));
    assert_span(url_without_fragment(&copy), "https://us:pw@host:8443/q?x");
    assert_span(url_request_target(&copy), "/q?x");
    assert_int_equal(url_effective_port(&copy), 8443);
    url_done(&copy);
    url_done(&copy); /* twice is fine */
}

static void test_formatting_without_parts(void **state)
{
    static const struct {
        const char *text;
        unsigned flags;
        const char *want;
    } rows[] = {
        {"http://u:p@h:81/a?b#c", 0, "http://u:p@h:81/a?b#c"},
        {"http://u@h/a?b#c", URL_WITHOUT_USERINFO, "http://h/a?b#c"},
        {"http://u@h/a?b#c", URL_WITHOUT_FRAGMENT, "http://u@h/a?b"},
        {"http://u@h/a?b#c", URL_WITHOUT_QUERY, "http://u@h/a#c"},
        {"http://h/?#", 0, "http://h/?#"},
        {"http://:p@h/", 0, "http://:p@h/"},
        {"mailto:a@b?c", URL_WITHOUT_QUERY, "mailto:a@b"},
        {"x:/.//y", 0, "x:/.//y"},
        {"x://", 0, "x://"},
        {"file:///C|/x", 0, "file:///C:/x"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct url url;

        assert_int_equal(url_parse(span_of(rows[i].text), NULL, &url), URL_OK);
        assert_int_equal(url_format(&url, rows[i].flags, &out), 0);
        assert_span(buf_span(&out), rows[i].want);
        url_done(&url);
    }
}

static void test_request_targets_and_ports_by_scheme(void **state)
{
    static const struct {
        const char *text, *target;
        int32_t port;
    } rows[] = {
        {"http://h", "/", 80},        {"https://h?x", "/?x", 443},
        {"http://h/?#f", "/?", 80},   {"http://h:8/a%20b?c=d#e", "/a%20b?c=d", 8},
        {"ws://h//a//", "//a//", 80}, {"ftp://h/", "/", 21},
        {"file:///x", "/x", -1},      {"x://h:9/y", "/y", 9},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct url url;

        assert_int_equal(url_parse(span_of(rows[i].text), NULL, &url), URL_OK);
        assert_span(url_request_target(&url), rows[i].target);
        assert_int_equal(url_effective_port(&url), rows[i].port);
        url_done(&url);
    }
}

static void test_outcomes_say_what_would_be_right(void **state)
{
    (void)state;
    for (int i = URL_OK; i <= URL_E_PORT; i++)
        assert_true(strlen(url_outcome_text(i)) > 0);
    assert_refused("example.com/x", URL_E_NO_SCHEME);
    assert_refused("", URL_E_NO_SCHEME);
    assert_refused("1http://h", URL_E_NO_SCHEME);
    assert_non_null(strstr(url_outcome_text(URL_E_NO_SCHEME), "https://"));

    struct url base;
    struct url url;
    assert_int_equal(url_parse(SPAN_LIT("mailto:a@b"), NULL, &base), URL_OK);
    assert_int_equal(url_resolve(&base, SPAN_LIT("c"), &url), URL_E_OPAQUE_BASE);
    assert_int_equal(url_resolve(&base, SPAN_LIT("#c"), &url), URL_OK);
    assert_span(url_href(&url), "mailto:a@b#c");
    url_done(&url);
    url_done(&base);
}

static void test_every_failed_allocation_is_an_error_and_no_leak(void **state)
{
    static const char *const texts[] = {"http://u:p@b\xc3\xbc\x63her/a\tb c?d#e",
                                        "http://%e2%98%83/", "//x:81/y", "?q"};
    struct url base;

    (void)state;
    assert_int_equal(url_parse(SPAN_LIT("http://h/x?y"), NULL, &base), URL_OK);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        int r = -1;

        for (uint64_t n = 1; r < 0; n++) {
            struct url url;

            assert_true(n < 100);
            mem_fail_at(n);
            r = url_parse(span_of(texts[i]), &base, &url);
            mem_fail_at(0);
            if (r == URL_OK)
                url_done(&url);
        }
        assert_int_equal(r, URL_OK);
    }
    url_done(&base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ur01_control_characters_and_spaces_are_encoded_or_dropped),
        cmocka_unit_test(test_ur04_no_escape_brings_a_delimiter_into_the_host),
        cmocka_unit_test(test_ur05_the_host_is_the_one_that_the_standard_says),
        cmocka_unit_test(test_ur06_sharp_s_is_a_letter_of_its_own),
        cmocka_unit_test(test_ur07_64_kib_are_fine_and_1_mib_is_not),
        cmocka_unit_test(test_ur08_ur09_hosts_that_are_none),
        cmocka_unit_test(test_ur10_ports),
        cmocka_unit_test(test_ur12_half_escapes_stay_and_a_hundred_thousand_bytes_of_them_too),
        cmocka_unit_test(test_ur14_empty_and_endless_hosts),
        cmocka_unit_test(test_ur15_an_at_sign_in_the_password_stays_there),
        cmocka_unit_test(test_ex16_fifty_thousand_steps_up_are_linear_work),
        cmocka_unit_test(test_parts_of_a_url),
        cmocka_unit_test(test_formatting_without_parts),
        cmocka_unit_test(test_request_targets_and_ports_by_scheme),
        cmocka_unit_test(test_outcomes_say_what_would_be_right),
        cmocka_unit_test(test_every_failed_allocation_is_an_error_and_no_leak),
    };

    return cmocka_run_group_tests_name("http/url", tests, NULL, NULL);
}
