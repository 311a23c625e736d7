/* SPDX-License-Identifier: MIT */
/* What a request carries, what is said of the rest, and what finding it costs. */
#include <stdio.h>
#include <string.h>

#include "http/url.h"
#include "policy/cookie_jar.h"
#include "policy/cookie_jar_priv.h"
#include "support/test.h"

#define NOW INT64_C(1800000000)

static struct suffix_table suffixes;
static struct cookie_jar *jar;

static int make_jar(void **state)
{
    static const char *const names[] = {"co.uk", NULL};
    struct cookie_jar_options options = cookie_jar_options_default();

    (void)state;
    suffix_table_init(&suffixes, names);
    return cookie_jar_new(&jar, &suffixes.rules, &options);
}

static int free_jar(void **state)
{
    (void)state;
    jar = cookie_jar_free(jar);
    return 0;
}

/* Owned by @url. */
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

static void store(const char *from, const char *field)
{
    struct set_cookie set;
    struct url url;
    const struct cookie_request request = request_of(from, &url);

    assert_int_equal(set_cookie_parse(span_of(field), &set), SET_COOKIE_OK);
    assert_int_equal(cookie_jar_store(jar, &request, &set), COOKIE_STORED);
    url_done(&url);
}

static const char *header_for(const struct cookie_request *request)
{
    static char text[16384];
    CLEANUP_BUF struct buf out = BUF_INIT(0);

    assert_true(cookie_jar_header_for(jar, request, &out) >= 0);
    (void)snprintf(text, sizeof(text), "%.*s", (int)out.len, buf_span(&out).ptr);
    return text;
}

struct story {
    char goes[16384];                  /* put together like a Cookie field */
    enum cookie_verdict verdicts[256]; /* by the number behind the cookie's first letter */
    size_t n;
};

static bool take_verdict(void *arg, const struct cookie *cookie, enum cookie_verdict verdict)
{
    struct story *story = arg;
    size_t len = strlen(story->goes);

    story->verdicts[(unsigned char)cookie->name.ptr[0]] = verdict;
    story->n++;
    if (verdict == COOKIE_GOES)
        (void)snprintf(story->goes + len, sizeof(story->goes) - len, "%s%.*s=%.*s",
                       len > 0 ? "; " : "", (int)cookie->name.len, cookie->name.ptr,
                       (int)cookie->value.len, cookie->value.ptr);
    return true;
}

static const struct story *explain(const struct cookie_request *request)
{
    static struct story story;

    memset(&story, 0, sizeof(story));
    cookie_jar_explain(jar, request, take_verdict, &story);
    return &story;
}

static void test_each_rule_that_holds_a_cookie_back_is_named(void **state)
{
    struct url url;

    (void)state;
    store("https://shop.a.com/", "g=1");
    store("https://a.com/", "h=1");
    store("https://a.com/", "d=1; Domain=a.com");
    store("https://b.com/", "o=1");
    store("https://shop.a.com/", "p=1; Path=/cart");
    store("https://shop.a.com/", "s=1; Secure");
    store("https://shop.a.com/", "t=1; HttpOnly");
    store("https://shop.a.com/", "x=1; Max-Age=10");
    struct cookie_request request = request_of("http://shop.a.com/", &url);
    request.is_not_http = true;
    request.now_s = NOW + 11;

    const struct story *story = explain(&request);
    assert_int_equal(story->n, 8);
    assert_int_equal(story->verdicts['g'], COOKIE_GOES);
    assert_int_equal(story->verdicts['d'], COOKIE_GOES);
    assert_int_equal(story->verdicts['h'], COOKIE_STAYS_HOST_ONLY);
    assert_int_equal(story->verdicts['o'], COOKIE_STAYS_DOMAIN);
    assert_int_equal(story->verdicts['p'], COOKIE_STAYS_PATH);
    assert_int_equal(story->verdicts['s'], COOKIE_STAYS_SECURE);
    assert_int_equal(story->verdicts['t'], COOKIE_STAYS_HTTP_ONLY);
    assert_int_equal(story->verdicts['x'], COOKIE_STAYS_EXPIRED);
    assert_int_equal(cookie_jar_count(jar), 8); /* it was a question only */
    for (int verdict = COOKIE_GOES; verdict <= COOKIE_STAYS_NO_ROOM; verdict++)
        assert_true(strlen(cookie_verdict_text((enum cookie_verdict)verdict)) > 8);
    url_done(&url);
}

static void test_what_is_said_to_go_is_what_goes(void **state)
{
    struct url url;
    char field[4200];

    (void)state;
    for (int i = 0; i < 170; i++) {
        (void)snprintf(field, sizeof(field), "c%03d=%0*d; Path=/%s", i, i % 40 * 5 + 1, i,
                       i % 3 == 0 ? "deep/" : "");
        store("http://a.com/", field);
    }
    struct cookie_request request = request_of("http://a.com/deep/er", &url);
    const struct story *story = explain(&request);
    assert_int_equal(story->n, 170);
    assert_string_equal(story->goes, header_for(&request));
    assert_string_equal(explain(&request)->goes, header_for(&request));
    url_done(&url);
}

static void test_cookies_that_do_not_fit_are_told_so(void **state)
{
    struct url url;
    char field[4200];

    (void)state;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(field, sizeof(field), "%c=%04000d", 'a' + i, i);
        store("http://a.com/", field);
    }
    store("http://a.com/", "z=1");
    struct cookie_request request = request_of("http://a.com/", &url);
    const struct story *story = explain(&request);
    assert_int_equal(story->verdicts['b'], COOKIE_GOES);
    assert_int_equal(story->verdicts['c'], COOKIE_STAYS_NO_ROOM);
    assert_int_equal(story->verdicts['z'], COOKIE_GOES); /* the next may be shorter */
    (void)cookie_jar_clear(jar);
    for (int i = 0; i < 160; i++) {
        (void)snprintf(field, sizeof(field), "%c%d=1", i < 150 ? 'a' : 'b', i);
        store("http://a.com/", field);
    }
    story = explain(&request);
    assert_int_equal(story->verdicts['a'], COOKIE_GOES);
    assert_int_equal(story->verdicts['b'], COOKIE_STAYS_TOO_MANY);
    assert_string_equal(story->goes, header_for(&request));
    url_done(&url);
}

static bool stop_at_once(void *arg, const struct cookie *cookie, enum cookie_verdict verdict)
{
    (void)cookie;
    (void)verdict;
    ++*(int *)arg;
    return false;
}

static void test_the_walk_ends_when_it_is_told_to(void **state)
{
    struct url url;
    int n = 0;

    (void)state;
    store("http://a.com/", "a=1");
    store("http://b.com/", "b=1");
    struct cookie_request request = request_of("http://a.com/", &url);
    cookie_jar_explain(jar, &request, stop_at_once, &n);
    assert_int_equal(n, 1);
    url_done(&url);
}

/* Fills the jar with one cookie for each of @sites sites. */
static void fill(int from, int to)
{
    char text[64];

    for (int i = from; i < to; i++) {
        (void)snprintf(text, sizeof(text), "http://www.site%d.com/", i);
        store(text, "session=1; Max-Age=1000");
    }
}

static void test_a_full_jar_costs_a_request_no_more_looks_than_a_small_one(void **state)
{
    struct url url;

    (void)state;
    fill(0, 29);
    store("http://shop.a.com/", "wanted=1");
    struct cookie_request request = request_of("http://shop.a.com/", &url);
    uint64_t before = jar->looks;
    assert_string_equal(header_for(&request), "wanted=1");
    uint64_t of_thirty = jar->looks - before;
    fill(29, 2999);
    assert_int_equal(cookie_jar_count(jar), 3000);
    before = jar->looks;
    assert_string_equal(header_for(&request), "wanted=1");
    assert_int_equal(jar->looks - before, of_thirty);
    assert_int_equal(of_thirty, 1);
    url_done(&url);
}

#define JAR_TEST(name) cmocka_unit_test_setup_teardown(name, make_jar, free_jar)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JAR_TEST(test_each_rule_that_holds_a_cookie_back_is_named),
        JAR_TEST(test_what_is_said_to_go_is_what_goes),
        JAR_TEST(test_cookies_that_do_not_fit_are_told_so),
        JAR_TEST(test_the_walk_ends_when_it_is_told_to),
        JAR_TEST(test_a_full_jar_costs_a_request_no_more_looks_than_a_small_one),
    };

    return cmocka_run_group_tests_name("policy/cookie_send", tests, NULL, NULL);
}
