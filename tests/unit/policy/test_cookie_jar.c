/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/url.h"
#include "policy/cookie_jar.h"
#include "support/test.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

static struct suffix_list *list;
static struct cookie_jar *jar;
static char header_text[16384];

static int load_list(void **state)
{
    (void)state;
    return suffix_list_new(&list);
}

static int free_list(void **state)
{
    (void)state;
    list = suffix_list_free(list);
    return 0;
}

static int make_jar(void **state)
{
    struct cookie_jar_options options = cookie_jar_options_default();

    (void)state;
    return cookie_jar_new(&jar, suffix_list_rules(list), &options);
}

static int free_jar(void **state)
{
    (void)state;
    jar = cookie_jar_free(jar);
    return 0;
}

/* A request as the daemon makes one: from a URL, so that hosts are canonical. */
static struct cookie_request request_of(const char *text, struct url *url)
{
    assert_int_equal(url_parse(span_of(text), NULL, url), URL_OK);
    return (struct cookie_request){
        .host = url->host,
        .path = url->path,
        .now_s = NOW,
        .is_secure = span_eq(url->scheme, SPAN_LIT("https")),
    };
}

static int store_bytes_at(int64_t now_s, const char *from, struct span field)
{
    struct url url;
    struct cookie_request request = request_of(from, &url);
    struct headers headers;
    struct cookie_summary summary;
    struct set_cookie set;

    request.now_s = now_s;
    int r = set_cookie_parse(field, &set);
    if (r == SET_COOKIE_OK) {
        r = cookie_jar_store(jar, &request, &set);
    } else { /* the grammar's refusal, as the whole path tells it */
        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        assert_int_equal(headers_add(&headers, SPAN_LIT("Set-Cookie"), field), 0);
        assert_int_equal(cookie_jar_store_response(jar, &request, &headers, NULL, &summary), 0);
        assert_int_equal(summary.refused, 1);
        headers_done(&headers);
        r = COOKIE_REFUSED_EMPTY;
    }
    url_done(&url);
    return r;
}

static int store_at(int64_t now_s, const char *from, const char *field)
{
    return store_bytes_at(now_s, from, span_of(field));
}

static int store(const char *from, const char *field)
{
    return store_at(NOW, from, field);
}

/* The Cookie field of a request, "" for none. */
static const char *ask_at(int64_t now_s, const char *text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct url url;
    struct cookie_request request = request_of(text, &url);

    request.now_s = now_s;
    int r = cookie_jar_header_for(jar, &request, &out);
    assert_true(r >= 0);
    assert_int_equal(r == 0, out.len == 0);
    assert_true(out.len < sizeof(header_text));
    memcpy(header_text, buf_span(&out).ptr, out.len);
    header_text[out.len] = '\0';
    url_done(&url);
    return header_text;
}

static const char *ask(const char *text)
{
    return ask_at(NOW, text);
}

static void test_ck01_public_suffix_domain_is_refused(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.co.uk/", "s=1; Domain=co.uk"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_string_equal(ask("http://b.co.uk/"), "");
    assert_string_equal(ask("http://a.co.uk/"), "");
}

static void test_ck02_letter_case_and_a_leading_dot_do_not_help(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.co.uk/", "s=1; Domain=co.UK"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(store("http://a.co.uk/", "s=1; Domain=.CO.uk"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(cookie_jar_count(jar), 0);
}

static void test_ck03_a_domain_with_a_trailing_dot_is_refused(void **state)
{
    (void)state;
    assert_true(cookie_outcome_is_refusal(store("http://a.co.uk./", "s=1; Domain=co.uk.")));
    assert_true(cookie_outcome_is_refusal(store("http://a.co.uk/", "s=1; Domain=co.uk.")));
    assert_true(cookie_outcome_is_refusal(store("http://a.com./", "s=1; Domain=a.com.")));
    assert_int_equal(store("http://a.co.uk./", "s=1; Domain=co.uk"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(cookie_jar_count(jar), 0);
}

static void test_ck04_a_trailing_dot_of_the_host_is_no_other_host(void **state)
{
    (void)state;
    assert_int_equal(store("https://a.com./", "s=1"), COOKIE_STORED);
    assert_string_equal(ask("https://a.com/"), "s=1");
    assert_int_equal(store("https://a.com/", "s=2"), COOKIE_REPLACED);
    assert_string_equal(ask("https://a.com./"), "s=2");
    assert_string_equal(ask("https://b.com/"), "");
}

static void test_ck05_an_ipv4_host_gets_host_only_cookies(void **state)
{
    (void)state;
    assert_int_equal(store("http://127.0.0.1/", "s=1; Domain=0.0.1"), COOKIE_REFUSED_DOMAIN);
    assert_int_equal(store("http://127.0.0.1/", "s=1; Domain=127.0.0.1"), COOKIE_STORED);
    assert_string_equal(ask("http://127.0.0.1/"), "s=1");

    struct cookie_list cookies;
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &cookies), 0);
    assert_int_equal(cookies.count, 1);
    assert_true(cookies.cookies[0]->host_only);
    cookie_list_done(&cookies);
}

static void test_ck06_an_ipv6_host_gets_host_only_cookies(void **state)
{
    (void)state;
    assert_int_equal(store("http://[::1]/", "s=1; Domain=1"), COOKIE_REFUSED_DOMAIN);
    assert_int_equal(store("http://[::1]/", "s=1; Domain=[::1]"), COOKIE_STORED);
    assert_int_equal(store("http://[::1]/", "s=2"), COOKIE_REPLACED);
    assert_string_equal(ask("http://[::1]:8080/"), "s=2");
    assert_string_equal(ask("http://[::2]/"), "");
}

static void test_ck07_every_spelling_of_an_address_is_one_host(void **state)
{
    static const char *const urls[] = {"http://0x7f.1/", "http://2130706433/", "http://127.1/",
                                       "http://127.0.0.1/"};

    (void)state;
    assert_int_equal(store(urls[0], "s=1"), COOKIE_STORED);
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        assert_int_equal(store(urls[i], "s=1"), COOKIE_REPLACED);
        assert_string_equal(ask(urls[i]), "s=1");
        assert_int_equal(store(urls[i], "t=1; Domain=0.0.1"), COOKIE_REFUSED_DOMAIN);
    }
    assert_int_equal(cookie_jar_count(jar), 1);
}

static void test_ck08_a_name_that_only_ends_alike_is_another(void **state)
{
    (void)state;
    assert_int_equal(store("http://example.com/", "s=1; Domain=example.com"), COOKIE_STORED);
    assert_string_equal(ask("http://xexample.com/"), "");
    assert_string_equal(ask("http://www.example.com/"), "s=1");
    assert_int_equal(store("http://xexample.com/", "s=1; Domain=example.com"),
                     COOKIE_REFUSED_DOMAIN);
}

static void test_ck09_a_public_suffix_host_gets_host_only_cookies(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.github.io/", "s=1; Domain=github.io"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(store("http://github.io/", "s=1; Domain=github.io"), COOKIE_STORED);
    assert_string_equal(ask("http://github.io/"), "s=1");
    assert_string_equal(ask("http://a.github.io/"), "");
    assert_int_equal(store("http://localhost/", "l=1; Domain=localhost"), COOKIE_STORED);
    assert_string_equal(ask("http://localhost:8080/"), "l=1");
    assert_string_equal(ask("http://a.localhost/"), "");
}

static void test_ck10_a_suffix_in_another_script_is_refused(void **state)
{
    (void)state;
    assert_true(cookie_outcome_is_refusal(store("http://a.公司.cn/", "s=1; Domain=公司.cn")));
    assert_int_equal(store("http://a.公司.cn/", "s=1; Domain=xn--55qx5d.cn"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(cookie_jar_count(jar), 0);
}

static void test_a_domain_of_another_site_than_the_hosts_is_refused(void **state)
{
    (void)state;
    assert_int_equal(store("http://x.y.compute.amazonaws.com/", "s=1; Domain=amazonaws.com"),
                     COOKIE_REFUSED_PUBLIC_SUFFIX);
    assert_int_equal(store("http://www.amazonaws.com/", "s=1; Domain=amazonaws.com"),
                     COOKIE_STORED);
}

static void test_ck13_http_cannot_hide_a_secure_cookie(void **state)
{
    (void)state;
    assert_int_equal(store("https://a.com/", "s=1; Secure; Path=/a"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "s=2; Path=/"), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store("http://a.com/", "s=2; Path=/a/b"), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store("http://a.com/", "s=2; Path=/a"), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store("http://a.com/", "s=2; Path=/a; Domain=a.com"),
                     COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store("http://www.a.com/", "s=2; Path=/a"), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store("http://a.com/", "s=; Path=/a; Max-Age=0"), COOKIE_REFUSED_OVERLAY);
    assert_string_equal(ask("https://a.com/a"), "s=1");
    assert_int_equal(store("http://a.com/", "s=3; Path=/c"), COOKIE_STORED);
    assert_int_equal(store("https://a.com/", "s=4; Path=/"), COOKIE_STORED);
    assert_string_equal(ask("https://a.com/a"), "s=1; s=4");
}

static void test_ck14_http_cannot_set_a_secure_cookie(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/", "s=1; Secure"), COOKIE_REFUSED_SECURE);
    assert_int_equal(store("https://a.com/", "s=1; Secure"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/"), "");
    assert_string_equal(ask("https://a.com/"), "s=1");
}

static void test_ck15_prefixes_are_held_to_what_they_promise(void **state)
{
    static const struct {
        const char *url, *field;
        bool stored;
    } rows[] = {
        {"https://a.com/", "__Host-s=1; Secure; Path=/", true},
        {"https://a.com/", "__Host-s=1; Path=/", false},
        {"https://a.com/", "__Host-s=1; Secure", false},
        {"https://a.com/", "__Host-s=1; Secure; Path=/a", false},
        {"https://a.com/", "__Host-s=1; Secure; Path=/; Domain=a.com", false},
        {"http://a.com/", "__Host-s=1; Secure; Path=/", false},
        {"https://a.com/", "__hOsT-s=1; Path=/", false},
        {"https://a.com/", "__HOST-s=1; Secure; Path=/; Domain=a.com", false},
        {"https://github.io/", "__Host-s=1; Secure; Path=/; Domain=github.io", false},
        {"https://a.com/", "__Secure-s=1; Secure", true},
        {"https://a.com/", "__Secure-s=1; Secure; Domain=a.com; Path=/x", true},
        {"https://a.com/", "__Secure-s=1", false},
        {"https://a.com/", "__SECURE-s=1", false},
        {"http://a.com/", "__Secure-s=1; Secure", false},
        {"https://a.com/", "__Hosts=1", true},
        {"https://a.com/", "_Host-s=1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        (void)cookie_jar_clear(jar);
        if ((store(rows[i].url, rows[i].field) == COOKIE_STORED) != rows[i].stored)
            fail_msg("%s at %s", rows[i].field, rows[i].url);
    }
}

static void test_ck16_a_nameless_cookie_may_not_look_like_a_prefixed_one(void **state)
{
    (void)state;
    assert_int_equal(store("https://a.com/", "=__Host-x=1"), COOKIE_REFUSED_PREFIX);
    assert_int_equal(store("https://a.com/", "=__Secure-x=1; Secure"), COOKIE_REFUSED_PREFIX);
    assert_int_equal(store("https://a.com/", "__host-x; Secure; Path=/"),
                     COOKIE_REFUSED_PREFIX);
    assert_int_equal(store("https://a.com/", "plain"), COOKIE_STORED);
    assert_string_equal(ask("https://a.com/"), "plain");
}

static void test_ck17_control_characters_are_refused(void **state)
{
    char field[] = "name=value";

    (void)state;
    for (int c = 0; c <= 0x7f; c++) {
        bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;

        if (!is_control)
            continue;
        field[2] = (char)c;
        assert_true(cookie_outcome_is_refusal(
            store_bytes_at(NOW, "http://a.com/", (struct span){field, 10})));
        field[2] = 'm';
        field[7] = (char)c;
        assert_true(cookie_outcome_is_refusal(
            store_bytes_at(NOW, "http://a.com/", (struct span){field, 10})));
        field[7] = 'l';
    }
    assert_int_equal(cookie_jar_count(jar), 0);
    assert_int_equal(store("http://a.com/", "n=a\tb"), COOKIE_STORED);
}

static void test_ck18_a_pair_of_4096_bytes_is_the_longest(void **state)
{
    static char field[4096 + 64];

    (void)state;
    memset(field, 'v', sizeof(field));
    field[1] = '=';
    assert_int_equal(store_bytes_at(NOW, "http://a.com/", (struct span){field, 4097}),
                     COOKIE_STORED); /* and the '=' */
    assert_true(cookie_outcome_is_refusal(
        store_bytes_at(NOW, "http://b.com/", (struct span){field, 4098})));
    assert_int_equal(strlen(ask("http://a.com/")), 4097);
    assert_string_equal(ask("http://b.com/"), "");
}

static void test_ck18_a_long_path_is_ignored_and_a_long_default_path_refused(void **state)
{
    static char field[2048];
    static char url[2048 + 32];

    (void)state;
    (void)snprintf(field, sizeof(field), "s=1; Path=/%01024d", 0);
    assert_int_equal(store("http://a.com/x/y", field), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/x/z"), "s=1"); /* the default-path */
    (void)snprintf(url, sizeof(url), "http://a.com/%01100d/x", 0);
    assert_int_equal(store(url, "t=1"), COOKIE_REFUSED_PATH);
    assert_int_equal(store(url, "t=1; Path=/"), COOKIE_STORED);
}

struct refusal_count {
    unsigned n;
    int last;
};

static void count_refusal(void *owner, struct span field, int outcome)
{
    struct refusal_count *count = owner;

    assert_true(field.len > 0);
    count->n++;
    count->last = outcome;
}

static void test_ck19_of_sixty_cookies_of_a_response_fifty_are_stored(void **state)
{
    struct headers headers;
    struct cookie_summary summary;
    struct refusal_count count = {0};
    struct url url;
    struct cookie_request from = request_of("http://a.com/", &url);

    (void)state;
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (int i = 0; i < 60; i++) {
        char field[32];

        (void)snprintf(field, sizeof(field), "c%d=1%s", i, i == 7 ? "; Max-Age=9" : "");
        assert_int_equal(headers_add(&headers,
                                     i % 2 ? SPAN_LIT("set-cookie") : SPAN_LIT("Set-Cookie"),
                                     span_of(field)),
                         0);
    }
    const struct cookie_refusals refusals = {count_refusal, &count};
    assert_int_equal(cookie_jar_store_response(jar, &from, &headers, &refusals, &summary), 0);
    assert_int_equal(summary.changed, 50);
    assert_int_equal(summary.refused, 10);
    assert_true(summary.must_be_saved);
    assert_int_equal(count.n, 10);
    assert_int_equal(count.last, COOKIE_REFUSED_TOO_MANY);
    assert_int_equal(cookie_jar_count(jar), 50);
    headers_clear(&headers);
    assert_int_equal(headers_add(&headers, SPAN_LIT("Set-Cookie"), SPAN_LIT("session=1")), 0);
    assert_int_equal(cookie_jar_store_response(jar, &from, &headers, NULL, &summary), 0);
    assert_int_equal(summary.changed, 1);
    assert_false(summary.must_be_saved);
    headers_done(&headers);
    url_done(&url);
}

static unsigned count_cookies(const char *header)
{
    unsigned n = *header ? 1 : 0;

    for (; (header = strstr(header, "; ")); header += 2)
        n++;
    return n;
}

static void test_ck20_a_site_cannot_make_its_neighbours_requests_too_long(void **state)
{
    static char field[4096];

    (void)state;
    for (int i = 0; i < 200; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=%04000d; Domain=ex.com", i, 0);
        assert_int_equal(store("http://foo.ex.com/", field), COOKIE_STORED);
    }
    assert_int_equal(store("http://bar.ex.com/", "small=1"), COOKIE_STORED);
    const char *header = ask("http://bar.ex.com/");
    assert_true(strlen(header) <= 8190);
    assert_int_equal(count_cookies(header), 3);
    assert_non_null(strstr(header, "small=1"));

    (void)cookie_jar_clear(jar);
    for (int i = 0; i < 170; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=; Domain=ex.com", i);
        assert_int_equal(store("http://foo.ex.com/", field), COOKIE_STORED);
    }
    assert_int_equal(count_cookies(ask("http://bar.ex.com/")), 150);
}

static void test_ck20_the_header_limit_is_exact(void **state)
{
    struct cookie_jar_options options = cookie_jar_options_default();
    struct cookie_jar *before = jar;

    (void)state;
    options.header_bytes_max = 11;
    assert_int_equal(cookie_jar_new(&jar, suffix_list_rules(list), &options), 0);
    assert_int_equal(store("http://a.com/", "a=12"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "b=123"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/"), "a=12; b=123");
    assert_int_equal(store("http://a.com/", "b=1234"), COOKIE_REPLACED);
    assert_int_equal(store("http://a.com/", "c=1"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/"), "a=12; c=1");
    jar = cookie_jar_free(jar);
    jar = before;
}

static void test_ck20_a_cookie_field_has_8190_bytes_and_no_more(void **state)
{
    static char field[4200];

    (void)state;
    (void)snprintf(field, sizeof(field), "a=%04095d", 0);
    assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    (void)snprintf(field, sizeof(field), "b=%04089d", 0);
    assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    assert_int_equal(strlen(ask("http://a.com/")), 8190);
    (void)snprintf(field, sizeof(field), "b=%04090d", 0);
    assert_int_equal(store("http://a.com/", field), COOKIE_REPLACED);
    assert_int_equal(strlen(ask("http://a.com/")), 4097);
}

static void test_ck21_the_181st_cookie_of_a_site_takes_the_place_of_the_oldest(void **state)
{
    char field[64];

    (void)state;
    assert_int_equal(store("http://other.com/", "keep=1"), COOKIE_STORED);
    for (int i = 0; i < 180; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=1; Path=/p%03d", i, i);
        assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    }
    assert_string_equal(ask("http://a.com/p000"), "c000=1"); /* used: c001 is the oldest now */
    assert_int_equal(cookie_jar_count(jar), 181);
    assert_int_equal(store("http://www.a.com/", "new=1; Domain=a.com; Path=/"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 181);
    assert_string_equal(ask("http://a.com/p000"), "c000=1; new=1");
    assert_string_equal(ask("http://a.com/p001"), "new=1");
    assert_string_equal(ask("http://a.com/p002"), "c002=1; new=1");
    assert_string_equal(ask("http://other.com/"), "keep=1");
}

static void test_ck21_the_3001st_cookie_of_a_jar_takes_the_place_of_the_oldest(void **state)
{
    char url[64];

    (void)state;
    for (int i = 0; i < 3000; i++) {
        (void)snprintf(url, sizeof(url), "http://h%d.com/", i);
        assert_int_equal(store(url, "s=1"), COOKIE_STORED);
    }
    assert_string_equal(ask("http://h0.com/"), "s=1");
    assert_int_equal(store("http://one.more.com/", "s=1"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 3000);
    assert_string_equal(ask("http://h0.com/"), "s=1");
    assert_string_equal(ask("http://h1.com/"), "");
    assert_string_equal(ask("http://h2.com/"), "s=1");
}

static void test_ck21_what_has_expired_leaves_before_what_is_used(void **state)
{
    char field[64];

    (void)state;
    for (int i = 0; i < 180; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=1; Max-Age=%d", i, i == 90 ? 5 : 500);
        assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    }
    assert_int_equal(store_at(NOW + 10, "http://a.com/", "new=1; Path=/n"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 180);
    assert_int_equal(count_cookies(ask_at(NOW + 10, "http://a.com/")), 150);
    assert_null(strstr(header_text, "c090"));
    assert_non_null(strstr(header_text, "c000"));
}

static void fill_jar(const char *from, int n)
{
    char field[64];

    for (int i = 0; i < n; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=1", i);
        assert_true(store(from, field) > 0);
    }
}

static void test_a_jar_shrinks_to_new_limits_with_what_it_takes_in(void **state)
{
    struct cookie_jar_options limits = cookie_jar_options_default();

    (void)state;
    fill_jar("http://a.com/", 20);
    fill_jar("http://b.com/", 20);
    limits.site_cookies_max = 5;
    cookie_jar_set_limits(jar, &limits);
    assert_int_equal(cookie_jar_count(jar), 40); /* nothing is lost by the words alone */
    assert_int_equal(store("http://a.com/", "new=1"), COOKIE_STORED);
    assert_int_equal(count_cookies(ask_at(NOW + 10, "http://a.com/")), 5);
    assert_int_equal(cookie_jar_count(jar), 25);
    limits.cookies_max = 3;
    cookie_jar_set_limits(jar, &limits);
    assert_int_equal(store("http://c.com/", "new=1"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 3);
    limits = cookie_jar_options_default();
    limits.header_cookies_max = 1;
    cookie_jar_set_limits(jar, &limits);
    fill_jar("http://c.com/", 3);
    assert_int_equal(cookie_jar_count(jar), 6);
    assert_int_equal(count_cookies(ask_at(NOW + 10, "http://c.com/")), 1);
}

static void test_a_site_of_one_place_changes_its_cookie(void **state)
{
    struct cookie_jar_options limits = cookie_jar_options_default();

    (void)state;
    limits.site_cookies_max = limits.cookies_max = 1;
    cookie_jar_set_limits(jar, &limits);
    fill_jar("http://a.com/",
             3); /* each takes the place of the last, and the site's end with it */
    assert_int_equal(cookie_jar_count(jar), 1);
    assert_non_null(strstr(ask_at(NOW + 10, "http://a.com/"), "c002"));
}

static void test_jars_that_share_memory_keep_to_it(void **state)
{
    struct cookie_jar_options options = cookie_jar_options_default();
    struct cookie_jar *before = jar;
    struct cookie_jar *other = NULL;
    size_t bytes = 0;
    char field[1100];

    (void)state;
    options.bytes_max = 10000;
    options.bytes = &bytes;
    assert_int_equal(cookie_jar_new(&other, suffix_list_rules(list), &options), 0);
    assert_int_equal(cookie_jar_new(&jar, suffix_list_rules(list), &options), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(field, sizeof(field), "c%02d=%01000d", i, 0);
        assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
        assert_true(bytes <= options.bytes_max);
    }
    assert_int_equal(cookie_jar_count(jar), 8);
    assert_int_equal(store("http://a.com/", "c12=short"), COOKIE_REPLACED);
    (void)snprintf(field, sizeof(field), "c12=%01000d", 0);
    assert_int_equal(store("http://a.com/", field), COOKIE_REPLACED);
    assert_true(bytes <= options.bytes_max);
    struct cookie_jar *full = jar;
    jar = other; /* has nothing it could let go of */
    assert_int_equal(store("http://b.com/", field), COOKIE_REFUSED_FULL);
    assert_int_equal(cookie_jar_clear(full), 8);
    assert_int_equal(bytes, 0);
    assert_int_equal(store("http://b.com/", field), COOKIE_STORED);
    cookie_jar_free(full);
    jar = cookie_jar_free(jar);
    assert_int_equal(bytes, 0);
    jar = before;
}

static void test_ck22_http_cannot_push_out_secure_cookies(void **state)
{
    char field[64];
    struct cookie_list cookies;
    unsigned n_secure = 0;

    (void)state;
    for (int i = 0; i < 10; i++) {
        (void)snprintf(field, sizeof(field), "s%03d=1; Secure", i);
        assert_int_equal(store("https://a.com/", field), COOKIE_STORED);
    }
    for (int i = 0; i < 400; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=1", i);
        assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    }
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &cookies), 0);
    assert_int_equal(cookies.count, 180);
    for (size_t i = 0; i < cookies.count; i++)
        n_secure += cookies.cookies[i]->secure;
    cookie_list_done(&cookies);
    assert_int_equal(n_secure, 10);
}

static void test_ck22_a_site_full_of_secure_cookies_takes_no_other(void **state)
{
    char field[64];

    (void)state;
    for (int i = 0; i < 180; i++) {
        (void)snprintf(field, sizeof(field), "s%03d=1; Secure", i);
        assert_int_equal(store("https://a.com/", field), COOKIE_STORED);
    }
    assert_int_equal(store("http://a.com/", "c=1"), COOKIE_REFUSED_FULL);
    assert_int_equal(store("https://a.com/", "d=1; Secure"), COOKIE_STORED);
    assert_int_equal(cookie_jar_count(jar), 180);
}

static int64_t expiry_of(const char *field)
{
    struct cookie_list cookies;
    int64_t expires_s = 0;

    (void)cookie_jar_clear(jar);
    if (store("http://a.com/", field) == COOKIE_REMOVED)
        return 0;
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &cookies), 0);
    assert_int_equal(cookies.count, 1);
    assert_int_equal(cookies.cookies[0]->is_persistent,
                     cookies.cookies[0]->expires_s != COOKIE_EXPIRES_NEVER);
    expires_s = cookies.cookies[0]->expires_s;
    cookie_list_done(&cookies);
    return expires_s;
}

static void test_ck23_life_times_are_cut_to_400_days(void **state)
{
    (void)state;
    assert_int_equal(expiry_of("s=1"), COOKIE_EXPIRES_NEVER);
    assert_int_equal(expiry_of("s=1; Max-Age=100000000000000000000"), NOW + 400 * DAY);
    assert_int_equal(expiry_of("s=1; Max-Age=60"), NOW + 60);
    assert_int_equal(expiry_of("s=1; Max-Age=0"), 0);
    assert_int_equal(expiry_of("s=1; Max-Age=-100000000000000000000"), 0);
    assert_int_equal(expiry_of("s=1; Max-Age=x"), COOKIE_EXPIRES_NEVER);
    assert_int_equal(expiry_of("s=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT"), NOW + 400 * DAY);
    assert_int_equal(expiry_of("s=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(expiry_of("s=1; Expires=-1"), COOKIE_EXPIRES_NEVER);
    assert_int_equal(expiry_of("s=1; Expires=garbage"), COOKIE_EXPIRES_NEVER);
    assert_int_equal(expiry_of("s=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60"),
                     NOW + 60);
}

static void test_a_past_expiry_date_removes_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/", "s=1; Max-Age=60"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "s=; Max-Age=0; Path=/x"), COOKIE_REMOVED);
    assert_int_equal(cookie_jar_count(jar), 1); /* another path: another cookie */
    assert_int_equal(store("http://a.com/", "s=; Max-Age=0"), COOKIE_REMOVED);
    assert_int_equal(cookie_jar_count(jar), 0);
}

static void test_db11_a_clock_that_is_not_set_expires_nothing(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/", "s=1; Max-Age=60"), COOKIE_STORED);
    assert_string_equal(ask_at(NOW + 59, "http://a.com/"), "s=1");
    assert_string_equal(ask_at(NOW - 3000 * DAY, "http://a.com/"), "s=1");
    assert_string_equal(ask_at(NOW + 60, "http://a.com/"), "");
    assert_int_equal(cookie_jar_count(jar), 0);
    assert_int_equal(store_at(1000, "http://a.com/", "s=1; Max-Age=60"), COOKIE_STORED);
    assert_string_equal(ask_at(2000, "http://a.com/"), "s=1"); /* 1970 */
    assert_string_equal(ask_at(NOW, "http://a.com/"), "");
}

static void test_ck24_odd_paths_have_a_defined_meaning(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/x/y", "a=1; Path=\"/\""), COOKIE_STORED);
    assert_int_equal(store("http://a.com/x/y", "b=1; Path="), COOKIE_STORED);
    assert_int_equal(store("http://a.com/x/y", "c=1; Path=y"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/x/y", "d=1; Path=/"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/x/z"), "a=1; b=1; c=1; d=1");
    assert_string_equal(ask("http://a.com/"), "d=1");
}

static void test_longer_paths_go_first_then_older_cookies(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/", "r=1; Path=/"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "ab=1; Path=/a/b"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "a=1; Path=/a"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "ac=1; Path=/a"), COOKIE_STORED);
    assert_int_equal(store("http://www.a.com/", "d=1; Path=/a; Domain=a.com"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/a/b"), "ab=1; a=1; ac=1; d=1; r=1");
    assert_int_equal(store("http://a.com/", "a=2; Path=/a"), COOKIE_REPLACED);
    assert_string_equal(ask("http://a.com/a/b"), "ab=1; a=2; ac=1; d=1; r=1");
    assert_int_equal(store("http://a.com/", "a=; Path=/a; Max-Age=0"), COOKIE_REMOVED);
    assert_int_equal(store("http://a.com/", "a=3; Path=/a"), COOKIE_STORED);
    assert_string_equal(ask("http://a.com/a/b"), "ab=1; ac=1; d=1; a=3; r=1");
}

/* RFC 6265bis §5.7: it is evicted when it expires, so nothing is left of it to be replaced, to
 * keep its place, or to stand in the way. */
static void test_what_has_expired_is_not_there_to_be_replaced(void **state)
{
    (void)state;
    assert_int_equal(store("http://a.com/", "a=1; Max-Age=5"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "b=1"), COOKIE_STORED);
    assert_int_equal(store_at(NOW + 4, "http://a.com/", "a=2; Max-Age=5"), COOKIE_REPLACED);
    assert_string_equal(ask_at(NOW + 4, "http://a.com/"), "a=2; b=1");
    assert_int_equal(store_at(NOW + 9, "http://a.com/", "a=3; Max-Age=5"), COOKIE_STORED);
    assert_string_equal(ask_at(NOW + 9, "http://a.com/"), "b=1; a=3");
    assert_int_equal(store_at(NOW + 9, "https://a.com/", "s=1; Secure; Max-Age=5"),
                     COOKIE_STORED);
    assert_int_equal(store_at(NOW + 13, "http://a.com/", "s=2"), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(store_at(NOW + 14, "http://a.com/", "s=2"), COOKIE_STORED);
}

static void test_partitioned_needs_secure(void **state)
{
    (void)state;
    assert_int_equal(store("https://a.com/", "s=1; Partitioned"), COOKIE_REFUSED_PARTITIONED);
    assert_int_equal(store("https://a.com/", "s=1; Partitioned; Secure"), COOKIE_STORED);
    assert_string_equal(ask("https://a.com/"), "s=1");
}

static void test_http_only_is_out_of_reach_of_what_is_not_http(void **state)
{
    struct cookie_request other = {
        .host = SPAN_LIT("a.com"), .now_s = NOW, .is_not_http = true};
    CLEANUP_BUF struct buf out = BUF_INIT(0);
    struct set_cookie set;

    (void)state;
    assert_int_equal(store("http://a.com/", "s=1; HttpOnly"), COOKIE_STORED);
    assert_int_equal(cookie_jar_header_for(jar, &other, &out), 0);
    assert_int_equal(set_cookie_parse(SPAN_LIT("s=2"), &set), SET_COOKIE_OK);
    assert_int_equal(cookie_jar_store(jar, &other, &set), COOKIE_REFUSED_HTTP_ONLY);
    assert_int_equal(set_cookie_parse(SPAN_LIT("t=2; HttpOnly"), &set), SET_COOKIE_OK);
    assert_int_equal(cookie_jar_store(jar, &other, &set), COOKIE_REFUSED_HTTP_ONLY);
    assert_string_equal(ask("http://a.com/"), "s=1");
}

static void test_hosts_that_no_cookie_can_belong_to_are_refused(void **state)
{
    static const char *const hosts[] = {"", ".", "a..com", ".a.com", "a.com.."};
    struct set_cookie set;

    (void)state;
    assert_int_equal(set_cookie_parse(SPAN_LIT("s=1"), &set), SET_COOKIE_OK);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
        struct cookie_request from = {.host = span_of(hosts[i]), .now_s = NOW};

        if (cookie_jar_store(jar, &from, &set) != COOKIE_REFUSED_HOST)
            fail_msg("%s", hosts[i]);
    }
}

/* What observers hear */

struct heard {
    struct cookie_observer observer;
    unsigned n[COOKIE_CAUSE_ACCESSED + 1];
    char before[32], after[32];
};

static void copy_value(char ret[32], const struct cookie *cookie)
{
    (void)snprintf(ret, 32, "%.*s", cookie ? (int)cookie->value.len : 1,
                   cookie ? cookie->value.ptr : "-");
}

static void heard_on_change(void *owner,
                            enum cookie_cause cause,
                            const struct cookie *before,
                            const struct cookie *after)
{
    struct heard *heard = owner;

    assert_true(strlen(cookie_cause_name(cause)) > 4);
    heard->n[cause]++;
    copy_value(heard->before, before);
    copy_value(heard->after, after);
}

static void hear(struct heard *heard)
{
    static const struct cookie_changes changes = {.on_change = heard_on_change};

    *heard = (struct heard){.observer = {.changes = &changes, .owner = heard}};
    cookie_jar_observe(jar, &heard->observer);
}

static void test_observers_hear_of_every_change_with_its_cause(void **state)
{
    struct heard heard;
    char field[64];

    (void)state;
    hear(&heard);
    assert_int_equal(store("http://a.com/", "s=1; Max-Age=60"), COOKIE_STORED);
    assert_int_equal(heard.n[COOKIE_CAUSE_ADDED], 1);
    assert_string_equal(heard.before, "-");
    assert_string_equal(heard.after, "1");
    assert_int_equal(store("http://a.com/", "s=2; Max-Age=60"), COOKIE_REPLACED);
    assert_int_equal(heard.n[COOKIE_CAUSE_REPLACED], 1);
    assert_string_equal(heard.before, "1");
    assert_string_equal(heard.after, "2");
    assert_int_equal(store("http://a.com/", "s=3; Max-Age=0"), COOKIE_REMOVED);
    assert_int_equal(heard.n[COOKIE_CAUSE_REMOVED], 1);
    assert_string_equal(heard.before, "2");
    assert_string_equal(heard.after, "-");
    assert_int_equal(store("http://a.com/", "s=4; Max-Age=60"), COOKIE_STORED);
    assert_int_equal(cookie_jar_expire(jar, NOW + 60), 1);
    assert_int_equal(heard.n[COOKIE_CAUSE_EXPIRED], 1);
    for (int i = 0; i < 181; i++) {
        (void)snprintf(field, sizeof(field), "c%d=%d", i, i);
        assert_int_equal(store("http://a.com/", field), COOKIE_STORED);
    }
    assert_int_equal(heard.n[COOKIE_CAUSE_EVICTED], 1);
    assert_int_equal(heard.n[COOKIE_CAUSE_ADDED], 2 + 181);
    cookie_jar_unobserve(&heard.observer);
    assert_int_equal(cookie_jar_clear(jar), 180);
    assert_int_equal(heard.n[COOKIE_CAUSE_REMOVED], 1);
}

static void test_an_access_is_told_once_a_day(void **state)
{
    struct heard heard;

    (void)state;
    assert_int_equal(store("http://a.com/", "s=1; Max-Age=8640000"), COOKIE_STORED);
    hear(&heard);
    for (int i = 0; i < 10; i++)
        assert_string_equal(ask_at(NOW + i, "http://a.com/"), "s=1");
    assert_int_equal(heard.n[COOKIE_CAUSE_ACCESSED], 0);
    for (int i = 0; i < 10; i++)
        assert_string_equal(ask_at(NOW + DAY + i, "http://a.com/"), "s=1");
    assert_int_equal(heard.n[COOKIE_CAUSE_ACCESSED], 1);
    cookie_jar_unobserve(&heard.observer);
}

/* The owner's hand */

static int set(const char *name, const char *value, const char *domain, const char *url)
{
    struct cookie draft = {
        .name = span_of(name), .value = span_of(value), .domain = span_of(domain)};
    struct cookie_request from = {.now_s = NOW};
    struct url parsed = {0};

    if (url)
        from = request_of(url, &parsed);
    int r = cookie_jar_set(jar, &draft, &from);
    url_done(&parsed);
    return r;
}

static void test_the_owner_may_set_cookies_for_any_site(void **state)
{
    (void)state;
    assert_int_equal(set("s", "1", "example.com", NULL), COOKIE_STORED);
    assert_string_equal(ask("http://www.example.com/"), "s=1");
    assert_int_equal(set("s", "2", ".Example.COM", NULL), COOKIE_REPLACED);
    assert_int_equal(set("h", "1", "", "http://example.com/a/b"), COOKIE_STORED);
    assert_string_equal(ask("http://example.com/a"), "h=1; s=2");
    assert_int_equal(set("u", "1", "bücher.de", NULL), COOKIE_STORED);
    assert_string_equal(ask("http://bücher.de/"), "u=1");
    assert_int_equal(set("p", "1", "co.uk", NULL), COOKIE_STORED); /* the host alone */
    assert_string_equal(ask("http://a.co.uk/"), "");
    assert_int_equal(set("v6", "1", "[::1]", NULL), COOKIE_STORED);
    assert_string_equal(ask("http://[::1]/"), "v6=1");
}

static void test_the_owner_is_held_to_what_holds_for_every_cookie(void **state)
{
    static const struct {
        const char *name, *value, *domain, *url;
        int outcome;
    } rows[] = {
        {"", "", "a.com", NULL, COOKIE_REFUSED_EMPTY},
        {"a", "1; b=2", "a.com", NULL, COOKIE_REFUSED_CTL},
        {"a=b", "1", "a.com", NULL, COOKIE_REFUSED_CTL},
        {"a;b", "1", "a.com", NULL, COOKIE_REFUSED_CTL},
        {"a", "1\r\nX: y", "a.com", NULL, COOKIE_REFUSED_CTL},
        {"a", "1", "", NULL, COOKIE_REFUSED_DOMAIN},
        {"a", "1", "a b", NULL, COOKIE_REFUSED_DOMAIN},
        {"a", "1", "b.com", "http://a.com/", COOKIE_REFUSED_DOMAIN},
        {"a", "1", "com", "http://a.com/", COOKIE_REFUSED_PUBLIC_SUFFIX},
        {"__Secure-a", "1", "a.com", NULL, COOKIE_REFUSED_PREFIX},
        {"__Host-a", "1", "a.com", NULL, COOKIE_REFUSED_PREFIX},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int r = set(rows[i].name, rows[i].value, rows[i].domain, rows[i].url);

        if (r != rows[i].outcome)
            fail_msg("row %zu: %s", i, cookie_outcome_text(r));
    }
    assert_int_equal(cookie_jar_count(jar), 0);
}

static void test_the_owner_may_set_a_host_cookie(void **state)
{
    const struct cookie draft = {.name = SPAN_LIT("__Host-a"),
                                 .value = SPAN_LIT("1"),
                                 .domain = SPAN_LIT("a.com"),
                                 .path = SPAN_LIT("/"),
                                 .secure = true,
                                 .host_only = true};
    const struct cookie_request from = {.now_s = NOW};

    (void)state;
    assert_int_equal(cookie_jar_set(jar, &draft, &from), COOKIE_STORED);
    assert_string_equal(ask("https://a.com/"), "__Host-a=1");
    assert_string_equal(ask("https://www.a.com/"), "");
}

/* Looking and removing */

static size_t count_matches(const struct cookie_filter *filter)
{
    struct cookie_list cookies;

    assert_int_equal(cookie_jar_list(jar, filter, NOW, &cookies), 0);
    size_t count = cookies.count;
    cookie_list_done(&cookies);
    return count;
}

static void fill_for_filters(void)
{
    assert_int_equal(store("http://www.a.com/", "d=1; Domain=a.com; Max-Age=60"),
                     COOKIE_STORED);
    assert_int_equal(store("http://www.a.com/", "h=1"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "h=1; Path=/p"), COOKIE_STORED);
    assert_int_equal(store("http://b.com/", "h=1"), COOKIE_STORED);
}

static void test_filters_match_by_every_member_given(void **state)
{
    static const struct {
        struct cookie_filter filter;
        size_t count;
    } rows[] = {
        {{.domain = {0}}, 4},
        {{.domain = {"a.com", 5}}, 2},
        {{.domain = {".A.com", 6}}, 2},
        {{.domain = {"www.a.com", 9}}, 1},
        {{.domain = {"c.com", 5}}, 0},
        {{.domain = {"com", 3}}, 0},
        {{.name = {"h", 1}}, 3},
        {{.path = {"/p", 2}}, 1},
        {{.host = {"www.a.com", 9}}, 2},
        {{.host = {"a.com", 5}}, 2},
        {{.host = {"x.a.com", 7}}, 1},
        {{.host = {"a.com", 5}, .name = {"h", 1}}, 1},
        {{.domain = {"b.com", 5}, .host = {"a.com", 5}}, 0},
        {{.host = {"..", 2}}, 0},
        {{.session_only = true}, 3},
    };

    (void)state;
    fill_for_filters();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (count_matches(&rows[i].filter) != rows[i].count)
            fail_msg("row %zu: %zu", i, count_matches(&rows[i].filter));
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        (void)cookie_jar_clear(jar);
        fill_for_filters();
        if (cookie_jar_remove(jar, &rows[i].filter) != rows[i].count ||
            cookie_jar_count(jar) != 4 - rows[i].count)
            fail_msg("removing, row %zu", i);
    }
    (void)cookie_jar_clear(jar);
    fill_for_filters();
    assert_int_equal(cookie_jar_end_session(jar), 3);
    assert_string_equal(ask("http://www.a.com/"), "d=1");
}

static void test_lists_are_sorted_by_domain_path_and_name(void **state)
{
    static const char *const expected[] = {"b", "a", "c", "d"};
    struct cookie_list cookies;

    (void)state;
    assert_int_equal(store("http://b.com/", "d=1"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "c=1; Path=/x"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "a=1; Path=/x"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "b=1; Path=/"), COOKIE_STORED);
    assert_int_equal(cookie_jar_list(jar, NULL, NOW, &cookies), 0);
    assert_int_equal(cookies.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(span_eq(cookies.cookies[i]->name, span_of(expected[i])));
    cookie_list_done(&cookies);
}

static void test_ck26_a_jar_cleared_in_use_only_answers_less(void **state)
{
    CLEANUP_BUF struct buf first = BUF_INIT(0);
    CLEANUP_BUF struct buf second = BUF_INIT(0);
    struct url url;
    struct cookie_request request = request_of("http://a.com/", &url);

    (void)state;
    assert_int_equal(store("http://a.com/", "s=1"), COOKIE_STORED);
    assert_int_equal(cookie_jar_header_for(jar, &request, &first), 1);
    assert_int_equal(cookie_jar_clear(jar), 1);
    assert_int_equal(cookie_jar_header_for(jar, &request, &second), 0);
    assert_true(
        span_eq(buf_span(&first), SPAN_LIT("s=1"))); /* a copy: nothing was pulled away */
    assert_int_equal(store("http://a.com/", "s=2"), COOKIE_STORED);
    assert_int_equal(cookie_jar_clear(jar), 1);
    assert_int_equal(cookie_jar_clear(jar), 0);
    url_done(&url);
}

/* An earlier life */

static struct cookie saved_cookie(void)
{
    return (struct cookie){
        .name = SPAN_LIT("s"),
        .value = SPAN_LIT("1"),
        .domain = SPAN_LIT("a.com"),
        .path = SPAN_LIT("/"),
        .expires_s = NOW + DAY,
        .created_s = NOW - DAY,
        .last_access_s = NOW - DAY,
        .order = 42,
        .is_persistent = true,
    };
}

static void test_restored_cookies_keep_their_age_and_tell_nobody(void **state)
{
    struct cookie saved = saved_cookie();
    struct heard heard;

    (void)state;
    hear(&heard);
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_STORED);
    assert_int_equal(heard.n[COOKIE_CAUSE_ADDED], 0);
    assert_int_equal(store("http://www.a.com/", "young=1"), COOKIE_STORED);
    assert_string_equal(ask("http://www.a.com/"), "s=1; young=1");
    saved.order = 7;
    saved.name = SPAN_LIT("older");
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_STORED);
    assert_string_equal(ask("http://www.a.com/"), "older=1; s=1; young=1");
    cookie_jar_unobserve(&heard.observer);
}

static void test_restoring_refuses_what_the_rules_refuse_today(void **state)
{
    struct cookie saved = saved_cookie();

    (void)state;
    saved.expires_s = NOW;
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_EXPIRED);
    saved = saved_cookie();
    saved.domain = SPAN_LIT("co.uk");
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_PUBLIC_SUFFIX);
    saved.domain = SPAN_LIT("127.0.0.1");
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_DOMAIN);
    saved.domain = SPAN_LIT("a.com.");
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_DOMAIN);
    saved = saved_cookie();
    saved.path = SPAN_LIT("x");
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_PATH);
    saved = saved_cookie();
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_STORED);
    assert_int_equal(cookie_jar_restore(jar, &saved, NOW), COOKIE_REFUSED_OVERLAY);
    assert_int_equal(cookie_jar_count(jar), 1);
}

/* Cost */

static void test_a_thousand_cookies_take_less_than_400_kib(void **state)
{
    char url[64];
    char field[128];

    (void)state;
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++) { /* each of a site of its own: the dearest way */
        (void)snprintf(url, sizeof(url), "http://www.site%d.com/", i);
        (void)snprintf(field, sizeof(field), "session_id=%048d; Path=/; Max-Age=1000", i);
        assert_int_equal(store(url, field), COOKIE_STORED);
    }
    size_t used = mallinfo2().uordblks - before;
    if (used > 400 * 1024) /* sanitizers do not count, and give 0 */
        fail_msg("%zu bytes", used);
}

static void test_every_allocation_may_fail_and_nothing_changes(void **state)
{
    struct set_cookie parsed;
    struct url url;
    struct cookie_request from = request_of("http://a.com/", &url);
    int r = -ENOMEM;

    (void)state;
    assert_int_equal(set_cookie_parse(SPAN_LIT("s=1"), &parsed), SET_COOKIE_OK);
    for (uint64_t n = 1; r == -ENOMEM; n++) {
        mem_fail_at(n);
        r = cookie_jar_store(jar, &from, &parsed);
        mem_fail_at(0);
        assert_int_equal(cookie_jar_count(jar), r == COOKIE_STORED ? 1 : 0);
        assert_true(n < 100);
    }
    assert_int_equal(r, COOKIE_STORED);
    assert_int_equal(set_cookie_parse(SPAN_LIT("s=2"), &parsed), SET_COOKIE_OK);
    mem_fail_at(1);
    assert_int_equal(cookie_jar_store(jar, &from, &parsed), -ENOMEM);
    mem_fail_at(0);
    assert_string_equal(ask("http://a.com/"), "s=1");
    url_done(&url);
}

static void test_a_header_that_does_not_fit_leaves_the_buffer_alone(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(12);
    struct url url;
    struct cookie_request request = request_of("http://a.com/", &url);

    (void)state;
    assert_int_equal(store("http://a.com/", "a=1234"), COOKIE_STORED);
    assert_int_equal(store("http://a.com/", "b=1234"), COOKIE_STORED);
    assert_int_equal(buf_append_str(&out, "x"), 0);
    assert_int_equal(cookie_jar_header_for(jar, &request, &out), -EMSGSIZE);
    assert_true(span_eq(buf_span(&out), SPAN_LIT("x")));
    url_done(&url);
}

static void test_every_outcome_has_a_text(void **state)
{
    (void)state;
    for (int i = COOKIE_STORED; i <= COOKIE_REFUSED_EXPIRED; i++)
        assert_true(strlen(cookie_outcome_text(i)) > 5);
    assert_string_equal(cookie_outcome_text(-ENOMEM), "out of memory");
}

#define JAR_TEST(test) cmocka_unit_test_setup_teardown(test, make_jar, free_jar)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JAR_TEST(test_ck01_public_suffix_domain_is_refused),
        JAR_TEST(test_ck02_letter_case_and_a_leading_dot_do_not_help),
        JAR_TEST(test_ck03_a_domain_with_a_trailing_dot_is_refused),
        JAR_TEST(test_ck04_a_trailing_dot_of_the_host_is_no_other_host),
        JAR_TEST(test_ck05_an_ipv4_host_gets_host_only_cookies),
        JAR_TEST(test_ck06_an_ipv6_host_gets_host_only_cookies),
        JAR_TEST(test_ck07_every_spelling_of_an_address_is_one_host),
        JAR_TEST(test_ck08_a_name_that_only_ends_alike_is_another),
        JAR_TEST(test_ck09_a_public_suffix_host_gets_host_only_cookies),
        JAR_TEST(test_ck10_a_suffix_in_another_script_is_refused),
        JAR_TEST(test_a_domain_of_another_site_than_the_hosts_is_refused),
        JAR_TEST(test_ck13_http_cannot_hide_a_secure_cookie),
        JAR_TEST(test_ck14_http_cannot_set_a_secure_cookie),
        JAR_TEST(test_ck15_prefixes_are_held_to_what_they_promise),
        JAR_TEST(test_ck16_a_nameless_cookie_may_not_look_like_a_prefixed_one),
        JAR_TEST(test_ck17_control_characters_are_refused),
        JAR_TEST(test_ck18_a_pair_of_4096_bytes_is_the_longest),
        JAR_TEST(test_ck18_a_long_path_is_ignored_and_a_long_default_path_refused),
        JAR_TEST(test_ck19_of_sixty_cookies_of_a_response_fifty_are_stored),
        JAR_TEST(test_ck20_a_site_cannot_make_its_neighbours_requests_too_long),
        JAR_TEST(test_ck20_the_header_limit_is_exact),
        JAR_TEST(test_ck20_a_cookie_field_has_8190_bytes_and_no_more),
        JAR_TEST(test_ck21_the_181st_cookie_of_a_site_takes_the_place_of_the_oldest),
        JAR_TEST(test_ck21_the_3001st_cookie_of_a_jar_takes_the_place_of_the_oldest),
        JAR_TEST(test_ck21_what_has_expired_leaves_before_what_is_used),
        JAR_TEST(test_a_jar_shrinks_to_new_limits_with_what_it_takes_in),
        JAR_TEST(test_a_site_of_one_place_changes_its_cookie),
        JAR_TEST(test_jars_that_share_memory_keep_to_it),
        JAR_TEST(test_ck22_http_cannot_push_out_secure_cookies),
        JAR_TEST(test_ck22_a_site_full_of_secure_cookies_takes_no_other),
        JAR_TEST(test_ck23_life_times_are_cut_to_400_days),
        JAR_TEST(test_a_past_expiry_date_removes_what_is_there),
        JAR_TEST(test_db11_a_clock_that_is_not_set_expires_nothing),
        JAR_TEST(test_ck24_odd_paths_have_a_defined_meaning),
        JAR_TEST(test_longer_paths_go_first_then_older_cookies),
        JAR_TEST(test_what_has_expired_is_not_there_to_be_replaced),
        JAR_TEST(test_partitioned_needs_secure),
        JAR_TEST(test_http_only_is_out_of_reach_of_what_is_not_http),
        JAR_TEST(test_hosts_that_no_cookie_can_belong_to_are_refused),
        JAR_TEST(test_observers_hear_of_every_change_with_its_cause),
        JAR_TEST(test_an_access_is_told_once_a_day),
        JAR_TEST(test_the_owner_may_set_cookies_for_any_site),
        JAR_TEST(test_the_owner_is_held_to_what_holds_for_every_cookie),
        JAR_TEST(test_the_owner_may_set_a_host_cookie),
        JAR_TEST(test_filters_match_by_every_member_given),
        JAR_TEST(test_lists_are_sorted_by_domain_path_and_name),
        JAR_TEST(test_ck26_a_jar_cleared_in_use_only_answers_less),
        JAR_TEST(test_restored_cookies_keep_their_age_and_tell_nobody),
        JAR_TEST(test_restoring_refuses_what_the_rules_refuse_today),
        JAR_TEST(test_a_thousand_cookies_take_less_than_400_kib),
        JAR_TEST(test_every_allocation_may_fail_and_nothing_changes),
        JAR_TEST(test_a_header_that_does_not_fit_leaves_the_buffer_alone),
        JAR_TEST(test_every_outcome_has_a_text),
    };

    return cmocka_run_group_tests_name("policy/cookie_jar", tests, load_list, free_list);
}
