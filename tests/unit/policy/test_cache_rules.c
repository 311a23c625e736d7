/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "policy/cache_rules.h"
#include "support/headers_test.h"

static void test_which_requests_it_is_for(void **state)
{
    static const struct {
        const char *method;
        const char *fields;
        bool takes;
    } rows[] = {
        {"GET", "", true},
        {"get", "", false},
        {"HEAD", "", true},
        {"HEAD", "Range: bytes=0-1\n", false},
        {"POST", "", false},
        {"GET", "Accept: x\nCookie: a=b\n", true},
        {"GET", "Cache-Control: no-cache\n", true},
        {"GET", "Cache-Control: no-store\n", false},
        {"GET", "range: bytes=0-1\n", false},
        {"GET", "If-None-Match: \"x\"\n", false},
        {"GET", "If-Modified-Since: x\n", false},
        {"GET", "If-Match: *\n", false},
        {"GET", "If-Unmodified-Since: x\n", false},
        {"GET", "If-Range: x\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct headers fields;

        headers_read(&fields, rows[i].fields);
        if (cache_takes_request(span_of(rows[i].method), &fields) != rows[i].takes)
            fail_msg("%s %s", rows[i].method, rows[i].fields);
        headers_done(&fields);
    }
}

static void test_which_answers_are_kept(void **state)
{
    static const struct {
        unsigned status;
        const char *answer;
        const char *request;
        bool keeps;
    } rows[] = {
        {200, "Cache-Control: max-age=5\n", "", true},
        {200, "Cache-Control: private, max-age=5\n", "", true},
        {200, "ETag: \"x\"\n", "", true},
        {200, "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT\n", "", true},
        {200, "", "", false},
        {200, "Cache-Control: max-age=0\n", "", false},
        {200, "Cache-Control: max-age=0\nETag: \"x\"\n", "", true},
        {200, "Cache-Control: no-cache, max-age=5\n", "", false},
        {200, "Cache-Control: no-cache\nETag: \"x\"\n", "", true},
        {200, "Cache-Control: no-store, max-age=5\n", "", false},
        {200, "Cache-Control: max-age=5\nCache-Control: no-store\n", "", false},
        {200, "Cache-Control: must-understand, no-store, max-age=5\n", "", true},
        {299, "Cache-Control: must-understand, no-store, max-age=5\n", "", false},
        {299, "Cache-Control: must-understand, max-age=5\n", "", false},
        {299, "Cache-Control: max-age=5\n", "", true},
        {302, "ETag: \"x\"\n", "", false},
        {302, "Cache-Control: max-age=5\n", "", true},
        {301, "Cache-Control: max-age=5\n", "", true},
        {308, "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT\n", "", true},
        {404, "Cache-Control: max-age=5\n", "", true},
        {503, "Cache-Control: max-age=5\n", "", true},
        {206, "Cache-Control: max-age=5\n", "", false},
        {200, "Cache-Control: max-age=5\nContent-Range: bytes 0-1/2\n", "", false},
        {304, "Cache-Control: max-age=5\n", "", false},
        {401, "Cache-Control: max-age=5\n", "", false},
        {407, "Cache-Control: max-age=5\n", "", false},
        {103, "Cache-Control: max-age=5\n", "", false},
        {600, "Cache-Control: max-age=5\n", "", false},
        /* Authorization: only what a shared cache may keep */
        {200, "Cache-Control: max-age=5\n", "Authorization: Basic eA==\n", false},
        {200, "Cache-Control: public, max-age=5\n", "Authorization: Basic eA==\n", true},
        {200, "Cache-Control: s-maxage=5, max-age=5\n", "Authorization: Basic eA==\n", true},
        {200, "Cache-Control: must-revalidate, max-age=5\n", "Authorization: x\n", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct headers answer;
        struct headers request;

        headers_read(&answer, rows[i].answer);
        headers_read(&request, rows[i].request);
        struct cache_candidate candidate = {.status = rows[i].status,
                                            .headers = &answer,
                                            .request = &request,
                                            .response_time_s = 784111777};
        if (cache_may_keep(&candidate) != rows[i].keeps)
            fail_msg("%u %s", rows[i].status, rows[i].answer);
        candidate.has_credentials = true;
        assert_int_equal(cache_may_keep(&candidate), rows[i].keeps && cache_is_shared(&answer));
        headers_done(&answer);
        headers_done(&request);
    }
}

static void test_a_head_that_is_too_much_is_not_kept(void **state)
{
    struct headers answer;
    struct headers request;
    struct cache_candidate candidate = {.status = 200, .headers = &answer, .request = &request};

    (void)state;
    headers_read(&request, "");
    headers_read(&answer, "Cache-Control: max-age=5\n");
    for (int i = 1; i < CACHE_HEADERS_MAX; i++)
        assert_int_equal(headers_add(&answer, SPAN_LIT("X"), SPAN_LIT("y")), 0);
    assert_true(cache_may_keep(&candidate));
    assert_int_equal(headers_add(&answer, SPAN_LIT("X"), SPAN_LIT("y")), 0);
    assert_false(cache_may_keep(&candidate));
    headers_done(&answer);
    headers_read(&answer, "Cache-Control: max-age=5\n");
    char *long_value = repeat('x', CACHE_HEAD_BYTES_MAX);
    assert_int_equal(
        headers_add(&answer, SPAN_LIT("X"), (struct span){long_value, CACHE_HEAD_BYTES_MAX}),
        0);
    assert_false(cache_may_keep(&candidate));
    free(long_value);
    headers_done(&answer);
    headers_done(&request);
}

static void test_vary_names_what_counts_and_a_coding_counts_anyway(void **state)
{
    static const struct {
        const char *answer;
        const char *vary; /* NULL: nothing fits ever */
    } rows[] = {
        {"", ""},
        {"Vary: Accept\n", "Accept"},
        {"Vary: Accept\nVary: X\n", "Accept, X"},
        {"Vary: *\n", NULL},
        {"Vary: Accept, *\n", NULL},
        {"Content-Encoding: gzip\n", "Accept-Encoding"},
        {"Content-Encoding: gzip\nVary: X\n", "X, Accept-Encoding"},
        {"Content-Encoding: gzip\nVary: accept-encoding\n", "accept-encoding"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        CLEANUP_BUF struct buf vary = BUF_INIT(0);
        struct headers answer;

        headers_read(&answer, rows[i].answer);
        int r = cache_vary_of(&answer, &vary);
        assert_int_equal(r, rows[i].vary ? 0 : -EMSGSIZE);
        if (rows[i].vary)
            assert_span(buf_span(&vary), rows[i].vary);
        headers_done(&answer);
    }
}

static void test_requests_that_say_the_same_get_the_same(void **state)
{
    static const struct {
        const char *vary;
        const char *a;
        const char *b;
        bool same;
    } rows[] = {
        {"", "Accept: x\n", "Accept: y\n", true},
        {"Accept", "Accept: x\n", "Accept: y\n", false},
        {"Accept", "Accept: x, y\n", "accept:   x ,y\n", true},
        {"Accept", "Accept: x\nAccept: y\n", "Accept: x, y\n", true},
        {"Accept", "Accept: x, y\n", "Accept: y, x\n", false},
        {"Accept", "Accept: x\n", "Accept: X\n", false},
        {"Accept", "", "Accept: \n", false},
        {"Accept", "X: 1\n", "Y: 2\n", true},
        {"ACCEPT, x", "Accept: a\nX: 1\n", "X: 1\nAccept: a\n", true},
        {"a, b", "a: x\n", "b: x\n", false},
        {"a", "a: \"x,y\"\n", "a: \"x, y\"\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct headers a;
        struct headers b;
        uint8_t of_a[SHA256_BYTES];
        uint8_t of_b[SHA256_BYTES];

        headers_read(&a, rows[i].a);
        headers_read(&b, rows[i].b);
        assert_int_equal(cache_vary_digest(span_of(rows[i].vary), &a, of_a), 0);
        assert_int_equal(cache_vary_digest(span_of(rows[i].vary), &b, of_b), 0);
        if ((memcmp(of_a, of_b, SHA256_BYTES) == 0) != rows[i].same)
            fail_msg("%s: %s, %s", rows[i].vary, rows[i].a, rows[i].b);
        headers_done(&a);
        headers_done(&b);
    }
}

static void test_fields_of_the_connection_and_cookies_are_not_kept(void **state)
{
    struct headers from;
    struct headers to;

    (void)state;
    headers_read(&from, "Date: x\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 5\n"
                        "Transfer-Encoding: chunked\nSet-Cookie: a=b\nUpgrade: h2c\n"
                        "Proxy-Authenticate: Basic\nETag: \"v\"\nX-Kept: 1\n");
    headers_read(&to, "");
    assert_int_equal(cache_keep_headers(&from, &to), 0);
    assert_string_equal(headers_text(&to), "Date: x\nETag: \"v\"\nX-Kept: 1\n");
    headers_done(&from);
    headers_done(&to);
}

static void test_a_question_has_both_validators(void **state)
{
    struct headers stored;
    struct headers request;

    (void)state;
    headers_read(&stored, "ETag: W/\"v\"\nLast-Modified: then\n");
    headers_read(&request, "Accept: x\n");
    assert_true(cache_has_validator(&stored));
    assert_int_equal(cache_add_conditions(&stored, &request), 0);
    assert_string_equal(headers_text(&request),
                        "Accept: x\nIf-None-Match: W/\"v\"\nIf-Modified-Since: then\n");
    assert_false(cache_has_validator(&request));
    headers_done(&stored);
    headers_done(&request);
}

static void test_a_head_says_that_the_stored_answer_is_another_thing(void **state)
{
    static const struct {
        const char *stored;
        const char *answer;
        bool contradicts;
    } rows[] = {
        {"ETag: \"a\"\n", "ETag: W/\"a\"\n", false},
        {"ETag: \"a\"\n", "ETag: \"b\"\n", true},
        {"ETag: \"a\"\n", "", false},
        {"Last-Modified: x\n", "Last-Modified: y\n", true},
        {"Content-Length: 6\n", "Content-Length: 7\n", true},
        {"Content-Length: 6\n", "Content-Length: 6\nETag: \"b\"\n", false},
        {"", "Content-Length: 6\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct headers stored;
        struct headers answer;

        headers_read(&stored, rows[i].stored);
        headers_read(&answer, rows[i].answer);
        if (cache_head_contradicts(&stored, &answer) != rows[i].contradicts)
            fail_msg("%s, %s", rows[i].stored, rows[i].answer);
        headers_done(&stored);
        headers_done(&answer);
    }
}

static void test_a_304_is_about_the_stored_answer_or_not(void **state)
{
    static const struct {
        const char *stored;
        const char *answer;
        bool fits;
    } rows[] = {
        {"ETag: \"a\"\n", "ETag: \"a\"\n", true},
        {"ETag: \"a\"\n", "ETag: W/\"a\"\n", true},
        {"ETag: W/\"a\"\n", "ETag: \"a\"\n", true},
        {"ETag: \"a\"\n", "ETag: \"b\"\n", false},
        {"ETag: \"a\"\n", "", true},
        {"Last-Modified: x\n", "ETag: \"b\"\n", false},
        {"Last-Modified: x\n", "Last-Modified: x\n", true},
        {"Last-Modified: x\n", "Last-Modified: y\n", false},
        {"ETag: \"a\"\nLast-Modified: x\n", "ETag: \"a\"\nLast-Modified: y\n", true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct headers stored;
        struct headers answer;

        headers_read(&stored, rows[i].stored);
        headers_read(&answer, rows[i].answer);
        if (cache_304_fits(&stored, &answer) != rows[i].fits)
            fail_msg("%s, %s", rows[i].stored, rows[i].answer);
        headers_done(&stored);
        headers_done(&answer);
    }
}

static void test_a_304_replaces_fields_but_not_what_says_how_to_read_the_body(void **state)
{
    struct headers stored;
    struct headers answer;
    struct headers merged;

    (void)state;
    headers_read(&stored, "Date: old\nAge: 7\nContent-Length: 10\nContent-Encoding: gzip\n"
                          "X: 1\nX: 2\nETag: \"v\"\nCache-Control: max-age=1\n");
    headers_read(&answer, "Cache-Control: max-age=9\nX: 3\nContent-Length: 0\n"
                          "Content-Encoding: br\nSet-Cookie: a=b\nConnection: close, Y\nY: 1\n"
                          "New: 1\n");
    headers_read(&merged, "");
    assert_int_equal(cache_merge_304(&stored, &answer, &merged), 0);
    /* without a Date of its own it is as old as it is */
    assert_string_equal(headers_text(&merged), "Content-Length: 10\nContent-Encoding: gzip\n"
                                               "ETag: \"v\"\nCache-Control: max-age=9\nX: 3\n"
                                               "New: 1\n");
    headers_done(&stored);
    headers_done(&answer);
    headers_done(&merged);
}

static void test_what_ends_it_and_what_ends_with_it(void **state)
{
    static const struct {
        const char *method;
        unsigned status;
        bool ends;
    } rows[] = {
        {"GET", 200, false},  {"HEAD", 200, false}, {"OPTIONS", 200, false},
        {"POST", 200, true},  {"PUT", 204, true},   {"DELETE", 303, true},
        {"PATCH", 200, true}, {"POST", 404, false}, {"POST", 500, false},
        {"BREW", 200, true},  {"POST", 199, false},
    };
    static const struct {
        const char *location;
        const char *url; /* NULL: none */
    } related[] = {
        {"Location: /b\n", "http://a.example/b"},
        {"Location: http://a.example:80/c?d#e\n", "http://a.example/c?d#e"},
        {"Location: https://a.example/c\n", NULL},
        {"Location: http://b.example/c\n", NULL},
        {"Location: http://[\n", NULL},
        {"", NULL},
    };
    struct url target;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(cache_invalidates(span_of(rows[i].method), rows[i].status),
                         rows[i].ends);
    assert_int_equal(url_parse(SPAN_LIT("http://a.example/a"), NULL, &target), URL_OK);
    for (size_t i = 0; i < COUNT_OF(related); i++) {
        struct headers answer;
        struct url url;

        headers_read(&answer, related[i].location);
        int r = cache_related_url(&target, &answer, SPAN_LIT("Location"), &url);
        assert_int_equal(r, related[i].url != NULL);
        if (r == 1) {
            assert_span(url_href(&url), related[i].url);
            url_done(&url);
        }
        headers_done(&answer);
    }
    url_done(&target);
}

static void test_the_key_is_the_url_without_fragment_and_login(void **state)
{
    CLEANUP_BUF struct buf key = BUF_INIT(0);
    struct url url;

    (void)state;
    assert_int_equal(url_parse(SPAN_LIT("http://u:p@A.example:80/b?c#d"), NULL, &url), URL_OK);
    assert_int_equal(cache_key_of(&url, &key), 0);
    assert_span(buf_span(&key), "http://a.example/b?c");
    url_done(&url);

    char *text = repeat('x', CACHE_URL_BYTES_MAX + 1);
    memcpy(text, "http://a/", 9);
    assert_int_equal(url_parse((struct span){text, CACHE_URL_BYTES_MAX + 1}, NULL, &url),
                     URL_OK);
    buf_clear(&key);
    assert_int_equal(cache_key_of(&url, &key), -EMSGSIZE);
    url_done(&url);
    free(text);
}

static void test_answers_are_named_by_url_host_and_port(void **state)
{
    static const struct {
        const char *url;
        const char *what;
        bool is;
    } rows[] = {
        {"http://a.example/b", "", true},
        {"http://a.example/b", "http://a.example/b", true},
        {"http://a.example/b", "http://a.example/", false},
        {"http://a.example/b", "A.Example", true},
        {"http://a.example/b", "example", false},
        {"http://a.example:81/b", "a.example", true},
        {"http://a.example:81/b", "a.example:81", true},
        {"http://a.example:81/b", "a.example:8", false},
        {"http://[::1]:81/b", "[::1]", true},
        {"http://[::1]/b", "[::1]", true},
        {"http://[::1]/b", "[:", false},
        {"http://a.example/?b.example/", "b.example", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (cache_url_is(span_of(rows[i].url), span_of(rows[i].what)) != rows[i].is)
            fail_msg("%s, %s", rows[i].url, rows[i].what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_requests_it_is_for),
        cmocka_unit_test(test_which_answers_are_kept),
        cmocka_unit_test(test_a_head_that_is_too_much_is_not_kept),
        cmocka_unit_test(test_vary_names_what_counts_and_a_coding_counts_anyway),
        cmocka_unit_test(test_requests_that_say_the_same_get_the_same),
        cmocka_unit_test(test_fields_of_the_connection_and_cookies_are_not_kept),
        cmocka_unit_test(test_a_question_has_both_validators),
        cmocka_unit_test(test_a_head_says_that_the_stored_answer_is_another_thing),
        cmocka_unit_test(test_a_304_is_about_the_stored_answer_or_not),
        cmocka_unit_test(test_a_304_replaces_fields_but_not_what_says_how_to_read_the_body),
        cmocka_unit_test(test_what_ends_it_and_what_ends_with_it),
        cmocka_unit_test(test_the_key_is_the_url_without_fragment_and_login),
        cmocka_unit_test(test_answers_are_named_by_url_host_and_port),
    };

    return cmocka_run_group_tests_name("policy/cache_rules", tests, NULL, NULL);
}
