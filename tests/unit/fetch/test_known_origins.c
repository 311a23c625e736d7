/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "fetch/known_origins.h"
#include "support/test.h"

static int get(struct known_origins *origins, const char *text, const struct origin **ret)
{
    struct url url;

    assert_int_equal(url_parse(span_of(text), NULL, &url), URL_OK);
    int r = known_origins_get(origins, &url, ret);
    url_done(&url);
    return r;
}

static const struct origin *got(struct known_origins *origins, const char *text)
{
    const struct origin *origin;

    assert_int_equal(get(origins, text, &origin), ORIGIN_OK);
    return origin;
}

static void test_requests_to_one_origin_share_it(void **state)
{
    struct known_origins origins = KNOWN_ORIGINS_INIT;
    const struct origin *one = got(&origins, "https://a.test/1");
    const struct origin *other = got(&origins, "https://b.test:8443/");

    (void)state;
    assert_ptr_equal(got(&origins, "https://a.test:443/2?x"), one);
    assert_ptr_equal(got(&origins, "https://b.test:8443/y"), other);
    assert_string_equal(known_origin_text(one), "https://a.test");
    assert_string_equal(known_origin_text(other), "https://b.test:8443");
    assert_string_equal(known_origin_text(NULL), "");
    assert_int_equal(origins.map.count, 2);
    known_origins_put(&origins, one);
    assert_string_equal(known_origin_text(one), "https://a.test"); /* somebody has it yet */
    known_origins_put(&origins, one);
    assert_int_equal(origins.map.count, 1);
    known_origins_put(&origins, other);
    known_origins_put(&origins, other);
    known_origins_put(&origins, NULL);
    assert_int_equal(origins.map.count, 1); /* the one that was asked for last */
    assert_ptr_equal(got(&origins, "https://b.test:8443/"), other);
    known_origins_put(&origins, other);
    known_origins_done(&origins);
}

static void test_what_differs_in_scheme_host_or_port_is_not_shared(void **state)
{
    static const char *const texts[] = {
        "http://a.test/", "https://a.test/", "http://a.test:443/", "http://a.test:81/",
        "http://b.test/", "http://a.test./", "http://127.0.0.1/",  "http://[::1]/"};
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    struct known_origins origins = KNOWN_ORIGINS_INIT;
    const struct origin *known[N];
    struct origin expected;
    struct url url;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        known[i] = got(&origins, texts[i]);
        assert_int_equal(url_parse(span_of(texts[i]), NULL, &url), URL_OK);
        assert_int_equal(origin_of_url(&url, &expected), ORIGIN_OK);
        url_done(&url);
        assert_true(origin_eq(known[i], &expected));
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(known[k], known[i]);
    }
    for (size_t i = 0; i < N; i++)
        known_origins_put(&origins, known[i]);
    known_origins_done(&origins);
}

static void test_what_is_no_origin_or_finds_no_memory_leaves_no_trace(void **state)
{
    struct known_origins origins = KNOWN_ORIGINS_INIT;
    const struct origin *origin = NULL;
    struct url url;

    (void)state;
    assert_int_equal(get(&origins, "ftp://a.test/", &origin), ORIGIN_E_SCHEME);
    assert_int_equal(get(&origins, "http://a.test:0/", &origin), ORIGIN_E_PORT_ZERO);
    assert_int_equal(url_parse(SPAN_LIT("http://a.test/"), NULL, &url), URL_OK);
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n);
        int r = known_origins_get(&origins, &url, &origin);
        mem_fail_at(0);
        assert_int_equal(r, -ENOMEM);
        assert_null(origin);
        assert_int_equal(origins.map.count, 0);
    }
    assert_int_equal(known_origins_get(&origins, &url, &origin), ORIGIN_OK);
    url_done(&url);
    known_origins_put(&origins, origin);
    known_origins_done(&origins);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_to_one_origin_share_it),
        cmocka_unit_test(test_what_differs_in_scheme_host_or_port_is_not_shared),
        cmocka_unit_test(test_what_is_no_origin_or_finds_no_memory_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
