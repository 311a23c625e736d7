/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policy/redirect.h"
#include "support/test.h"

/* One step: from a URL with a status and a Location; input is there to be changed before. */
struct step {
    struct url from;
    struct headers response;
    struct redirect_input input;
    struct redirect redirect;
};

static void
step_init(struct step *step, const char *from, unsigned status, const char *location)
{
    memset(step, 0, sizeof(*step));
    assert_int_equal(url_parse(span_of(from), NULL, &step->from), URL_OK);
    headers_init(&step->response, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    if (location)
        assert_int_equal(headers_add(&step->response, SPAN_LIT("Location"), span_of(location)),
                         0);
    step->input = (struct redirect_input){
        .url = &step->from,
        .method = SPAN_LIT("GET"),
        .status = status,
        .headers = &step->response,
        .followed_max = REDIRECTS_MAX,
    };
}

static void step_done(struct step *step)
{
    redirect_done(&step->redirect);
    headers_done(&step->response);
    url_done(&step->from);
}

static void assert_leads_to(struct step *step, const char *url)
{
    assert_int_equal(redirect_next(&step->input, &step->redirect), REDIRECT_FOLLOW);
    if (!span_eq(url_href(&step->redirect.url), span_of(url)))
        fail_msg("%s, not %s", step->redirect.url.href, url);
}

static bool keeps(const struct step *step, const char *name)
{
    return redirect_keeps_header(&step->redirect, span_of(name));
}

static const unsigned statuses[] = {301, 302, 303, 307, 308};
#define N_STATUSES (sizeof(statuses) / sizeof(*statuses))

static void test_rd01_no_redirect_carries_credentials_to_another_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_STATUSES; i++) {
        struct step step;

        step_init(&step, "https://a.com/", statuses[i], "https://b.com/");
        assert_leads_to(&step, "https://b.com/");
        assert_true(step.redirect.is_cross_origin);
        assert_false(keeps(&step, "Authorization"));
        assert_false(keeps(&step, "authorization"));
        assert_false(keeps(&step, "Cookie"));
        assert_false(keeps(&step, "Host"));
        assert_true(keeps(&step, "Accept"));
        step_done(&step);
    }
}

static void test_rd02_another_port_is_another_origin(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://a.com:8080/", 302, "http://a.com:8081/");
    assert_leads_to(&step, "http://a.com:8081/");
    assert_true(step.redirect.is_cross_origin);
    assert_false(keeps(&step, "Authorization"));
    step_done(&step);
}

static void test_rd03_https_to_http_is_another_origin_and_drops_the_referer(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "https://a.com/", 302, "http://a.com/");
    assert_leads_to(&step, "http://a.com/");
    assert_true(step.redirect.is_cross_origin);
    assert_true(step.redirect.is_downgrade);
    assert_false(keeps(&step, "Authorization"));
    assert_false(keeps(&step, "Referer"));
    step_done(&step);
}

static void test_rd06_a_sub_domain_is_another_origin(void **state)
{
    static const char *const targets[] = {"https://www.a.com/", "https://a.com./",
                                          "https://xa.com/"};

    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        struct step step;

        step_init(&step, "https://a.com/", 301, targets[i]);
        assert_leads_to(&step, targets[i]);
        assert_true(step.redirect.is_cross_origin);
        assert_false(keeps(&step, "Authorization"));
        step_done(&step);
    }
}

static void test_within_an_origin_everything_goes_along_but_what_is_a_proxys(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "https://a.com:443/x/y?q", 307, "../z");
    assert_leads_to(&step, "https://a.com/z");
    assert_false(step.redirect.is_cross_origin);
    assert_true(keeps(&step, "Authorization"));
    assert_true(keeps(&step, "Cookie"));
    assert_true(keeps(&step, "Content-Type"));
    assert_false(keeps(&step, "Proxy-Authorization"));
    step_done(&step);
}

static void test_rd11_other_schemes_are_refused(void **state)
{
    static const char *const targets[] = {
        "file:///etc/passwd", "unix:/run/x", "ftp://a.com/", "data:,x", "gopher://a/",
        "javascript:1",       "ws://a.com/", "about:blank",  "blob:x",  "FILE:/etc/passwd",
        "view-source:x"};

    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        struct step step;

        step_init(&step, "http://a.com/", 302, targets[i]);
        if (redirect_next(&step.input, &step.redirect) != REDIRECT_REFUSED_SCHEME)
            fail_msg("%s", targets[i]);
        assert_null(step.redirect.url.href);
        step_done(&step);
    }
}

static void test_rd15_twenty_redirects_pass_and_the_next_is_refused(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://a.com/", 302, "/next");
    step.input.followed = 19;
    assert_leads_to(&step, "http://a.com/next");
    redirect_done(&step.redirect);
    step.input.followed = 20;
    assert_int_equal(redirect_next(&step.input, &step.redirect), REDIRECT_REFUSED_TOO_MANY);
    step.input.followed = 0;
    step.input.followed_max = 0;
    assert_int_equal(redirect_next(&step.input, &step.redirect), REDIRECT_REFUSED_TOO_MANY);
    step_done(&step);
}

static void test_methods_and_bodies_follow_fetch(void **state)
{
    static const struct {
        const char *method;
        unsigned status;
        const char *expected;
        bool drops_body;
    } rows[] = {
        {"POST", 301, "GET", true},   {"POST", 302, "GET", true},   {"POST", 303, "GET", true},
        {"POST", 307, "POST", false}, {"POST", 308, "POST", false}, {"PUT", 301, "PUT", false},
        {"PUT", 302, "PUT", false},   {"PUT", 303, "GET", true},    {"GET", 303, "GET", true},
        {"HEAD", 303, "HEAD", true},  {"HEAD", 301, "HEAD", false}, {"GET", 302, "GET", false},
        {"post", 302, "post", false}, {"DELETE", 303, "GET", true}, {"PUT", 308, "PUT", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, "http://a.com/", rows[i].status, "/");
        step.input.method = span_of(rows[i].method);
        step.input.has_body = true;
        step.input.body_can_rewind = true;
        assert_leads_to(&step, "http://a.com/");
        if (!span_eq(step.redirect.method, span_of(rows[i].expected)) ||
            step.redirect.drops_body != rows[i].drops_body ||
            step.redirect.rewinds_body == rows[i].drops_body)
            fail_msg("%s %u", rows[i].method, rows[i].status);
        step_done(&step);
    }
}

static void test_rd17_a_body_that_cannot_be_rewound_fails_where_it_is_wanted(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://a.com/", 307, "/");
    step.input.method = SPAN_LIT("POST");
    step.input.has_body = true;
    assert_int_equal(redirect_next(&step.input, &step.redirect), REDIRECT_REFUSED_REWIND);
    step.input.status = 303;
    assert_leads_to(&step, "http://a.com/");
    assert_true(span_eq(step.redirect.method, SPAN_LIT("GET")));
    assert_false(step.redirect.rewinds_body);
    step_done(&step);
}

static void test_rd17_what_describes_a_dropped_body_goes_with_it(void **state)
{
    static const char *const gone[] = {
        "Content-Type",     "content-length", "Content-Encoding",
        "Content-Language", "Content-MD5",    "Transfer-Encoding",
        "Expect",           "Trailer",        "Digest"};
    struct headers headers;
    struct step step;

    (void)state;
    step_init(&step, "http://a.com/", 303, "/");
    step.input.method = SPAN_LIT("POST");
    assert_leads_to(&step, "http://a.com/");
    headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
        assert_int_equal(headers_add(&headers, span_of(gone[i]), SPAN_LIT("x")), 0);
        assert_int_equal(headers_add(&headers, SPAN_LIT("X-Keep"), SPAN_LIT("y")), 0);
    }
    assert_int_equal(headers_add(&headers, SPAN_LIT("Contents"), SPAN_LIT("z")), 0);
    redirect_strip_headers(&step.redirect, &headers);
    assert_int_equal(headers_count(&headers), sizeof(gone) / sizeof(*gone) + 1);
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++)
        assert_false(headers_has(&headers, span_of(gone[i])));
    headers_done(&headers);
    step_done(&step);
}

static void test_rd18_hostile_bytes_in_a_location_are_encoded_or_refused(void **state)
{
    static const struct {
        const char *location, *expected; /* NULL: refused */
    } rows[] = {
        {"/a b", "http://a.com/a%20b"},
        {"/a\r\nSet-Cookie: x", "http://a.com/aSet-Cookie:%20x"},
        {"/a\x01"
         "b",
         "http://a.com/a%01b"},
        {"/a\"<>", "http://a.com/a%22%3C%3E"},
        {"http://b.com\r\n.evil/", "http://b.com.evil/"},
        {"http://b c/", NULL},
        {"http://", NULL},
        {"http://[::1/", NULL},
        {"http://a.com:99999/", NULL},
        {"\\\\b.com\\x", "http://b.com/x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, "http://a.com/", 302, rows[i].location);
        if (rows[i].expected) {
            assert_leads_to(&step, rows[i].expected);
            assert_null(strpbrk(step.redirect.url.href, " \r\n"));
        } else if (redirect_next(&step.input, &step.redirect) != REDIRECT_REFUSED_LOCATION) {
            fail_msg("%s", rows[i].location);
        }
        step_done(&step);
    }
}

static void test_rd18_a_nul_in_a_location_is_encoded(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://a.com/", 302, NULL);
    assert_int_equal(headers_add(&step.response, SPAN_LIT("Location"), SPAN_LIT("/a\0b")), 0);
    assert_leads_to(&step, "http://a.com/a%00b");
    step_done(&step);
}

static void test_what_is_no_redirect_is_delivered(void **state)
{
    static const struct {
        unsigned status;
        const char *location;
    } rows[] = {{200, "/x"}, {300, "/x"}, {304, "/x"}, {305, "/x"},
                {306, "/x"}, {302, NULL}, {201, "/x"}, {401, "/x"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, "http://a.com/", rows[i].status, rows[i].location);
        assert_int_equal(redirect_next(&step.input, &step.redirect), REDIRECT_DELIVER);
        step_done(&step);
    }
}

static void test_two_locations_are_refused_unless_they_agree(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://a.com/", 302, "/x");
    assert_int_equal(headers_add(&step.response, SPAN_LIT("location"), SPAN_LIT("/x")), 0);
    assert_leads_to(&step, "http://a.com/x");
    assert_int_equal(headers_add(&step.response, SPAN_LIT("Location"), SPAN_LIT("/y")), 0);
    assert_int_equal(redirect_next(&step.input, &(struct redirect){0}),
                     REDIRECT_REFUSED_LOCATION);
    step_done(&step);
}

static void test_the_fragment_is_inherited_unless_the_location_has_one(void **state)
{
    static const struct {
        const char *from, *location, *expected;
    } rows[] = {
        {"http://a.com/#f", "/x", "http://a.com/x#f"},
        {"http://a.com/#f", "/x#g", "http://a.com/x#g"},
        {"http://a.com/#f", "/x#", "http://a.com/x#"},
        {"http://a.com/", "/x", "http://a.com/x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, rows[i].from, 302, rows[i].location);
        assert_leads_to(&step, rows[i].expected);
        step_done(&step);
    }
}

static void test_userinfo_of_a_location_is_for_that_url_alone(void **state)
{
    struct step step;

    (void)state;
    step_init(&step, "http://u:p@a.com/", 302, "http://v:q@b.com/");
    assert_leads_to(&step, "http://v:q@b.com/");
    assert_true(url_has_credentials(&step.redirect.url));
    step_done(&step);
    step_init(&step, "http://u:p@a.com/", 302, "http://b.com/");
    assert_leads_to(&step, "http://b.com/");
    assert_false(url_has_credentials(&step.redirect.url));
    step_done(&step);
}

static void test_every_outcome_has_a_text(void **state)
{
    (void)state;
    for (int i = REDIRECT_DELIVER; i <= REDIRECT_REFUSED_REWIND; i++) {
        assert_true(strlen(redirect_outcome_text(i)) > 5);
        assert_int_equal(redirect_outcome_is_refusal(i), i >= REDIRECT_REFUSED_TOO_MANY);
    }
}

static void test_rd05_who_trusts_hosts_takes_it_all_along_but_not_down_from_https(void **state)
{
    static const struct {
        const char *from, *to;
        bool stays;
    } rows[] = {
        {"http://a.com/", "http://b.com/", false},
        {"http://a.com/", "https://b.com/", false},
        {"https://a.com/", "http://a.com/", true},
        {"https://a.com/", "http://b.com/", true},
        {"https://a.com/", "https://a.com:1/", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, rows[i].from, 302, rows[i].to);
        step.input.trusts_hosts = true;
        assert_leads_to(&step, rows[i].to);
        assert_true(step.redirect.is_cross_origin);
        assert_int_equal(step.redirect.leaves_secrets, rows[i].stays);
        assert_int_equal(keeps(&step, "Authorization"), !rows[i].stays);
        assert_int_equal(keeps(&step, "Cookie"), !rows[i].stays);
        assert_false(keeps(&step, "Proxy-Authorization"));
        step_done(&step);
    }
}

static void test_a_post_stays_one_where_the_caller_wants_it(void **state)
{
    static const unsigned keeps_of[] = {REDIRECT_POST_301, REDIRECT_POST_302,
                                        REDIRECT_POST_303};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 3; k++) {
            struct step step;

            step_init(&step, "http://a.com/", 301 + i, "/2");
            step.input.method = SPAN_LIT("POST");
            step.input.has_body = step.input.body_can_rewind = true;
            step.input.keeps_post = keeps_of[k];
            assert_leads_to(&step, "http://a.com/2");
            assert_int_equal(span_eq(step.redirect.method, SPAN_LIT("POST")), i == k);
            assert_int_equal(step.redirect.rewinds_body, i == k);
            assert_int_equal(step.redirect.drops_body, i != k);
            step_done(&step);
        }
    }
}

static void test_rd12_a_location_inherits_no_userinfo(void **state)
{
    static const struct {
        const char *location, *to;
    } rows[] = {
        {"/2", "http://a.com/2"},
        {"//a.com/2", "http://a.com/2"},
        {"?q", "http://a.com/1/x?q"},
        {"http:3", "http://a.com/1/3"},
        {"http://e:f@a.com/", "http://e:f@a.com/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;

        step_init(&step, "http://u:p@a.com/1/x", 302, rows[i].location);
        assert_leads_to(&step, rows[i].to);
        assert_false(step.redirect.is_cross_origin);
        step_done(&step);
    }
}

static void test_rd12_a_location_is_shown_without_the_login_it_brings(void **state)
{
    static const struct {
        const char *from;
        const char *location;
        const char *shown; /* NULL: it is left out */
    } rows[] = {
        {"http://a.com/", "http://eve:t0p@b.com/x#f", "http://b.com/x#f"},
        {"http://a.com/", "//eve@b.com", "http://b.com/"},
        {"http://a.com/", "http:\\\\eve:t0p@b.com", "http://b.com/"},
        {"http://a.com/", "FTP://eve:t0p@b.com/x", "ftp://b.com/x"},
        {"http://a.com/", "http://eve:t0p@b.com:99999/", NULL},
        {"http://a.com/", "/@x?a=b@c", "/@x?a=b@c"},
        {"http://u:p@a.com/", "/x@y", "/x@y"},
        {"http://a.com/", "../x", "../x"},
        {"http://a.com/", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct step step;
        struct headers shown;
        struct span value;

        step_init(&step, rows[i].from, 302, rows[i].location);
        assert_int_equal(headers_add(&step.response, SPAN_LIT("B"), SPAN_LIT("x@y")), 0);
        headers_init(&shown, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        assert_int_equal(redirect_hide_userinfo(&step.response, &step.from, &shown), 0);
        assert_true(headers_find(&shown, SPAN_LIT("B"), &value) &&
                    span_eq(value, SPAN_LIT("x@y")));
        assert_int_equal(headers_find(&shown, SPAN_LIT("Location"), &value),
                         rows[i].shown != NULL);
        if (rows[i].shown && !span_eq(value, span_of(rows[i].shown)))
            fail_msg("%s: %.*s", rows[i].location, (int)value.len, value.ptr);
        headers_done(&shown);
        step_done(&step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rd01_no_redirect_carries_credentials_to_another_host),
        cmocka_unit_test(test_rd02_another_port_is_another_origin),
        cmocka_unit_test(test_rd03_https_to_http_is_another_origin_and_drops_the_referer),
        cmocka_unit_test(test_rd06_a_sub_domain_is_another_origin),
        cmocka_unit_test(test_within_an_origin_everything_goes_along_but_what_is_a_proxys),
        cmocka_unit_test(test_rd05_who_trusts_hosts_takes_it_all_along_but_not_down_from_https),
        cmocka_unit_test(test_a_post_stays_one_where_the_caller_wants_it),
        cmocka_unit_test(test_rd12_a_location_inherits_no_userinfo),
        cmocka_unit_test(test_rd12_a_location_is_shown_without_the_login_it_brings),
        cmocka_unit_test(test_rd11_other_schemes_are_refused),
        cmocka_unit_test(test_rd15_twenty_redirects_pass_and_the_next_is_refused),
        cmocka_unit_test(test_methods_and_bodies_follow_fetch),
        cmocka_unit_test(test_rd17_a_body_that_cannot_be_rewound_fails_where_it_is_wanted),
        cmocka_unit_test(test_rd17_what_describes_a_dropped_body_goes_with_it),
        cmocka_unit_test(test_rd18_hostile_bytes_in_a_location_are_encoded_or_refused),
        cmocka_unit_test(test_rd18_a_nul_in_a_location_is_encoded),
        cmocka_unit_test(test_what_is_no_redirect_is_delivered),
        cmocka_unit_test(test_two_locations_are_refused_unless_they_agree),
        cmocka_unit_test(test_the_fragment_is_inherited_unless_the_location_has_one),
        cmocka_unit_test(test_userinfo_of_a_location_is_for_that_url_alone),
        cmocka_unit_test(test_every_outcome_has_a_text),
    };

    return cmocka_run_group_tests_name("policy/redirect", tests, NULL, NULL);
}
