/* SPDX-License-Identifier: MIT */
/* Proxies as people write them, which requests go through one, and which never do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/proxy.h"
#include "support/span_test.h"

static struct origin origin_of(const char *text)
{
    struct origin origin;
    struct url url;

    assert_int_equal(url_parse(span_of(text), NULL, &url), URL_OK);
    assert_int_equal(origin_of_url(&url, &origin), ORIGIN_OK);
    url_done(&url);
    return origin;
}

static const struct {
    const char *text;
    const char *want; /* scheme, host and port; NULL: refused with outcome */
    int outcome;
    const char *user;
    const char *password;
} written[] = {
    {"http://proxy.example:3128", "http://proxy.example:3128", 0, NULL, NULL},
    {"proxy.example:3128", "http://proxy.example:3128", 0, NULL, NULL},
    {"proxy.example", "http://proxy.example:1080", 0, NULL, NULL},
    {"http://proxy.example", "http://proxy.example:1080", 0, NULL, NULL},
    {"http://proxy.example:80", "http://proxy.example:80", 0, NULL, NULL},
    {"proxy.example:80/", "http://proxy.example:80", 0, NULL, NULL},
    {"http://u:80@proxy.example", "http://proxy.example:1080", 0, "u", "80"},
    {"HTTPS://Proxy.Example", "https://proxy.example:443", 0, NULL, NULL},
    {"https://proxy.example:80", "https://proxy.example:80", 0, NULL, NULL},
    {"socks5://proxy.example", "socks5://proxy.example:1080", 0, NULL, NULL},
    {"socks5h://[::1]:9050", "socks5://[::1]:9050", 0, NULL, NULL},
    {"http://[2001:DB8::1]:80/", "http://[2001:db8::1]:80", 0, NULL, NULL},
    {"[::1]", "http://[::1]:1080", 0, NULL, NULL},
    {"  127.0.0.1:8080\t", "http://127.0.0.1:8080", 0, NULL, NULL},
    {"http://ann:s3%40cret@p:1", "http://p:1", 0, "ann", "s3@cret"},
    {"http://ann@p:1", "http://p:1", 0, "ann", ""},
    {"ann:p@p:1", "http://p:1", 0, "ann", "p"},
    {"", NULL, PROXY_E_URL, NULL, NULL},
    {"http://", NULL, PROXY_E_URL, NULL, NULL},
    {"http://[::1", NULL, PROXY_E_URL, NULL, NULL},
    {"http://[fe80::1%25eth0]:1", NULL, PROXY_E_URL, NULL, NULL},
    {"http://p:0", NULL, PROXY_E_URL, NULL, NULL},
    {"http://p:65536", NULL, PROXY_E_URL, NULL, NULL},
    {"http://p:port", NULL, PROXY_E_URL, NULL, NULL},
    {"ftp://p:21", NULL, PROXY_E_SCHEME, NULL, NULL},
    {"://p:21", NULL, PROXY_E_SCHEME, NULL, NULL},
    {"socks4://p:1080", NULL, PROXY_E_SOCKS4, NULL, NULL},
    {"SOCKS4A://p:1080", NULL, PROXY_E_SOCKS4, NULL, NULL},
    {"http://p:1/path", NULL, PROXY_E_PATH, NULL, NULL},
    {"http://p:1?query", NULL, PROXY_E_PATH, NULL, NULL},
    {"http://p:1#fragment", NULL, PROXY_E_PATH, NULL, NULL},
    {"http://a%00b:c@p:1", NULL, PROXY_E_LOGIN_CHARACTER, NULL, NULL},
    {"http://a:c%0d%0aX: y@p:1", NULL, PROXY_E_LOGIN_CHARACTER, NULL, NULL},
    {"http://a%3Ab:c@p:1", NULL, PROXY_E_LOGIN_CHARACTER, NULL, NULL},
    {"socks5://a%3Ab:c@p:1", "socks5://p:1", 0, "a:b", "c"},
    {"socks5://:c@p:1", NULL, PROXY_E_LOGIN, NULL, NULL},
};

static void test_a_proxy_is_read_as_curl_reads_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        struct proxy proxy = {0};
        char text[PROXY_TEXT_SIZE];
        int r = proxy_parse(span_of(written[i].text), &proxy);

        if (r != written[i].outcome)
            fail_msg("%s: %d, not %d", written[i].text, r, written[i].outcome);
        assert_true(strlen(proxy_outcome_text(r)) > 0);
        if (r != PROXY_OK)
            continue;
        size_t len = proxy_format(proxy.kind, &proxy.origin, text);
        assert_string_equal(text, written[i].want);
        assert_int_equal(len, strlen(text));
        assert_int_equal(proxy_has_login(&proxy), written[i].user != NULL);
        if (written[i].user) {
            assert_string_equal(proxy.user, written[i].user);
            assert_string_equal(proxy.password, written[i].password);
        }
        proxy_done(&proxy);
        assert_int_equal(proxy.kind, PROXY_NONE);
    }
}

static void test_what_is_too_long_to_be_sent_is_refused(void **state)
{
    static char text[PROXY_URL_MAX + 64];
    struct proxy proxy;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    assert_int_equal(proxy_parse(span_of(text), &proxy), PROXY_E_TOO_LONG);
    (void)snprintf(text, sizeof(text), "socks5://%0255d:%0255d@p:1", 1, 1);
    assert_int_equal(proxy_parse(span_of(text), &proxy), PROXY_OK);
    proxy_done(&proxy);
    (void)snprintf(text, sizeof(text), "socks5://%0256d:x@p:1", 1);
    assert_int_equal(proxy_parse(span_of(text), &proxy), PROXY_E_LOGIN);
    (void)snprintf(text, sizeof(text), "socks5://x:%0256d@p:1", 1);
    assert_int_equal(proxy_parse(span_of(text), &proxy), PROXY_E_LOGIN);
    (void)snprintf(text, sizeof(text), "http://x:%0256d@p:1", 1);
    assert_int_equal(proxy_parse(span_of(text), &proxy), PROXY_OK);
    proxy_done(&proxy);
}

static void test_a_login_can_be_set_and_kept(void **state)
{
    struct proxy proxy;
    struct proxy copy;

    (void)state;
    assert_int_equal(proxy_parse(SPAN_LIT("http://ann:a@p:1"), &proxy), PROXY_OK);
    assert_int_equal(proxy.scheme, AUTH_SCHEME_BASIC);
    assert_int_equal(
        proxy_set_login(&proxy, AUTH_SCHEME_DIGEST, (struct span){0}, (struct span){0}),
        PROXY_OK);
    assert_int_equal(proxy.scheme, AUTH_SCHEME_DIGEST);
    assert_string_equal(proxy.user, "ann");
    assert_int_equal(proxy_set_login(&proxy, AUTH_SCHEME_ANY, SPAN_LIT("bob"), SPAN_LIT("b")),
                     PROXY_OK);
    assert_int_equal(proxy_copy(&proxy, &copy), 0);
    proxy_done(&proxy);
    assert_string_equal(copy.user, "bob");
    assert_string_equal(copy.password, "b");
    assert_int_equal(copy.scheme, AUTH_SCHEME_ANY);
    proxy_done(&copy);

    assert_int_equal(proxy_parse(SPAN_LIT("socks5://p:1"), &proxy), PROXY_OK);
    assert_int_equal(proxy_set_login(&proxy, AUTH_SCHEME_DIGEST, SPAN_LIT("u"), SPAN_LIT("p")),
                     PROXY_E_SCHEME_OF_LOGIN);
    assert_int_equal(
        proxy_set_login(&proxy, AUTH_SCHEME_ANY, (struct span){0}, (struct span){0}), PROXY_OK);
    assert_false(proxy_has_login(&proxy)); /* nobody was named */
    proxy_done(&proxy);
}

static void test_every_failing_allocation_is_told_and_nothing_leaks(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct proxy proxy = {0};
        struct proxy copy = {0};

        mem_fail_at(n);
        int r = proxy_parse(SPAN_LIT("http://ann:a@proxy.example:1"), &proxy);
        if (r == PROXY_OK)
            r = proxy_copy(&proxy, &copy);
        mem_fail_at(0);
        proxy_done(&proxy);
        proxy_done(&copy);
        if (r == PROXY_OK)
            return;
        assert_int_equal(r, -ENOMEM);
    }
}

static const struct {
    const char *list;
    const char *url;
    bool matches;
} exceptions[] = {
    {"", "http://a.com/", false},
    {",, ,\t", "http://a.com/", false},
    {"*", "http://a.com/", true},
    {"*", "http://[::1]/", true},
    {"b.com *", "http://1.2.3.4/", true},
    {"a.com", "http://a.com/", true},
    {"A.COM", "https://a.com:8443/", true},
    {"a.com", "http://www.a.com/", true},
    {"a.com", "http://ba.com/", false},
    {"a.com", "http://a.com.evil.net/", false},
    {".a.com", "http://a.com/", true},
    {".a.com", "http://x.y.a.com/", true},
    {".a.com", "http://ba.com/", false},
    {"*.a.com", "http://x.a.com/", true},
    {"*.a.com", "http://ba.com/", false},
    {"x*.a.com", "http://xy.a.com/", false},
    {"a.com.", "http://a.com/", true},
    {"a.com", "http://a.com./", true},
    {"www.a.com", "http://a.com/", false},
    {"b.com,a.com", "http://a.com/", true},
    {"b.com a.com", "http://a.com/", true},
    {" b.com ,\ta.com ", "http://a.com/", true},
    {"a.com:80", "http://a.com/", false}, /* ports are not looked at, as in curl */
    {".", "http://a.com/", false},
    {"*.", "http://a.com/", false},
    {"com", "http://a.com/", true},
    {"localhost", "http://localhost:8080/", true},
    {"localhost", "http://127.0.0.1/", false}, /* a name is a name */
    {"127.0.0.1", "http://127.0.0.1:8080/", true},
    {"127.0.0.1", "http://localhost/", false},
    {"127.0.0.1", "http://0x7f.1/", true}, /* as it stands in the URL when it is parsed */
    {"127.1", "http://127.0.0.1/", false},
    {"127.0.0.1", "http://127.0.0.1.nip.io/", false},
    {"1", "http://10.0.0.1/", false},
    {".1", "http://10.0.0.1/", false},
    {"0.0.1", "http://10.0.0.1/", false},
    {"10.0.0.0/8", "http://10.1.2.3/", true},
    {"10.0.0.0/8", "http://11.1.2.3/", false},
    {"192.168.0.0/15", "http://192.169.255.255/", true},
    {"192.168.0.0/15", "http://192.170.0.0/", false},
    {"10.0.0.0/32", "http://10.0.0.0/", true},
    {"10.0.0.0/32", "http://10.0.0.1/", false},
    {"0.0.0.0/0", "http://10.0.0.1/", true},
    {"0.0.0.0/0", "http://a.com/", false},
    {"0.0.0.0/0", "http://[::1]/", false},
    {"10.0.0.0/33", "http://10.0.0.0/", false},
    {"10.0.0.0/", "http://10.0.0.0/", false},
    {"10.0.0.0/-1", "http://10.0.0.0/", false},
    {"10.0.0.0/8/8", "http://10.0.0.0/", false},
    {"a.com/8", "http://a.com/", false},
    {"::1", "http://[::1]/", true},
    {"[::1]", "http://[::1]:8080/", true},
    {"0:0::1", "http://[::1]/", true},
    {"fe80::/10", "http://[fe80::1]/", true},
    {"[fe80::]/10", "http://[febf::1]/", true},
    {"fe80::/10", "http://[fec0::1]/", false},
    {"::/0", "http://[2001:db8::1]/", true},
    {"::/0", "http://1.2.3.4/", false},
    {"::/129", "http://[::1]/", false},
    {"10.0.0.0/8", "http://[::ffff:10.0.0.1]/", false}, /* another family: named on its own */
};

static void test_exceptions_are_curls(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(exceptions); i++) {
        struct origin origin = origin_of(exceptions[i].url);

        if (no_proxy_matches(span_of(exceptions[i].list), &origin) != exceptions[i].matches)
            fail_msg("\"%s\" and %s", exceptions[i].list, exceptions[i].url);
    }
}

static void test_px11_a_zone_in_an_address_is_no_name(void **state)
{
    static const char *const hosts[] = {"[::1%25.example.com]", "[::1%.example.com]",
                                        "[::1].example.com", "::1%25.example.com"};
    static const char *const lists[] = {"*.example.com", ".example.com", "example.com"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct origin origin = {.port = 80, .is_ip = hosts[i][0] != '['};

        (void)snprintf(origin.host, sizeof(origin.host), "%s", hosts[i]);
        for (size_t k = 0; k < COUNT_OF(lists); k++)
            assert_false(no_proxy_matches(span_of(lists[k]), &origin));
    }
    struct url url; /* and no URL brings such a host */
    assert_int_equal(url_parse(SPAN_LIT("http://[::1%25.example.com]/"), NULL, &url),
                     URL_E_HOST_IPV6);
}

static void test_each_scheme_has_its_proxy_and_its_way(void **state)
{
    struct origin http = origin_of("http://a.com/");
    struct origin https = origin_of("https://a.com/");
    struct proxy one = {.kind = PROXY_HTTP};
    struct proxy two = {.kind = PROXY_HTTPS};
    struct proxy socks = {.kind = PROXY_SOCKS5};
    struct proxy none = {0};
    struct proxy_rules rules = {&one, &two, SPAN_LIT("b.com")};
    struct proxy_rules half = {&none, &two, {0}};
    struct proxy_rules except = {&one, &two, SPAN_LIT("a.com")};

    (void)state;
    assert_ptr_equal(proxy_choose(&rules, &http), &one);
    assert_ptr_equal(proxy_choose(&rules, &https), &two);
    assert_null(proxy_choose(&half, &http));
    assert_ptr_equal(proxy_choose(&half, &https), &two);
    assert_null(proxy_choose(&except, &http));
    assert_null(proxy_choose(&except, &https));
    assert_int_equal(proxy_way_for(NULL, &http, true), PROXY_WAY_DIRECT);
    assert_int_equal(proxy_way_for(&one, &http, false), PROXY_WAY_FORWARD);
    assert_int_equal(proxy_way_for(&two, &http, false), PROXY_WAY_FORWARD);
    assert_int_equal(proxy_way_for(&one, &http, true), PROXY_WAY_CONNECT);
    assert_int_equal(proxy_way_for(&one, &https, false), PROXY_WAY_CONNECT);
    assert_int_equal(proxy_way_for(&socks, &http, false), PROXY_WAY_SOCKS5);
    assert_int_equal(proxy_way_for(&socks, &https, true), PROXY_WAY_SOCKS5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proxy_is_read_as_curl_reads_it),
        cmocka_unit_test(test_what_is_too_long_to_be_sent_is_refused),
        cmocka_unit_test(test_a_login_can_be_set_and_kept),
        cmocka_unit_test(test_every_failing_allocation_is_told_and_nothing_leaks),
        cmocka_unit_test(test_exceptions_are_curls),
        cmocka_unit_test(test_px11_a_zone_in_an_address_is_no_name),
        cmocka_unit_test(test_each_scheme_has_its_proxy_and_its_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
