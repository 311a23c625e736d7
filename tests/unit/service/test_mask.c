/* SPDX-License-Identifier: MIT */
#include "service/mask.h"
#include "support/test.h"

static void check_field(const char *name, const char *value, const char *masked)
{
    char text[256] = "";
    size_t len = strlen(value);

    memcpy(text, value, len);
    size_t n = mask_field(span_of(name), text, len);
    assert_true(n <= len);
    if (n != strlen(masked) || memcmp(text, masked, n) != 0)
        fail_msg("%s: %s became %.*s", name, value, (int)n, text);
    for (size_t i = n; i < len; i++)
        assert_int_equal(text[i], 0); /* nothing is left behind the end */
}

static void test_cookies_keep_names_and_attributes(void **state)
{
    (void)state;
    check_field("Cookie", "sid=s3cr3t; a=b; lone", "sid=***; a=*; ***");
    check_field("cookie", "", "");
    check_field("Cookie", "a=; b==x", "a=; b=**");
    check_field("Set-Cookie", "sid=s3cr3t; Path=/; HttpOnly", "sid=***; Path=/; HttpOnly");
    check_field("set-cookie", "lonely-secret", "***");
    check_field("Set-Cookie", "=v4lue; Secure", "=***; Secure");
}

static void test_logins_keep_their_scheme(void **state)
{
    (void)state;
    check_field("Authorization", "Basic dXNlcjpwYXNz", "Basic ***");
    check_field("AUTHORIZATION", "Digest username=\"u\", response=\"x\"", "Digest ***");
    check_field("Proxy-Authorization", "token-alone", "***");
    check_field("X-Api-Key", "k", "*");
    check_field("X-Auth-Token", "t0ken", "***");
    check_field("Private-Token", "t0ken", "***");
    check_field("X-Amz-Security-Token", "t0ken", "***");
    check_field("TOKEN", "t0ken", "***");
    check_field("apikey", "k3y", "***");
    check_field("X_API_KEY", "k3y", "***");
    check_field("X-Client-Secret", "s3cr3t", "***");
    check_field("x-password", "s3cr3t", "***");
    check_field("X-Monkey", "s3cr3t", "s3cr3t");
    check_field("Retry-After", "120", "120");
    check_field("Keep-Alive", "timeout=5", "timeout=5");
}

/* The sieve in front knows a name by its length and its last letter. */
static void test_every_secret_field_is_known_in_any_case(void **state)
{
    static const char *const names[] = {
        "Cookie",        "Set-Cookie",   "Set-Cookie2",
        "Authorization", "X-Api-Key",    "Proxy-Authorization",
        "X-Auth-Token",  "X-Csrf-Token", "X-Xsrf-Token",
        "Location",      "Referer",      "Content-Location",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char name[32];

        for (int shout = 0; shout < 2; shout++) {
            size_t len = strlen(names[i]);

            for (size_t k = 0; k < len; k++)
                name[k] = shout && names[i][k] >= 'a' && names[i][k] <= 'z'
                              ? (char)(names[i][k] - 32)
                              : names[i][k];
            name[len] = '\0';
            char text[] = "?a=s3cr3t";
            size_t n = mask_field((struct span){name, len}, text, sizeof(text) - 1);
            assert_null(memmem(text, n, "s3cr3t", 6));
        }
    }
    assert_false(mask_may_concern("", 0));
}

static void test_other_fields_stay(void **state)
{
    (void)state;
    check_field("Accept", "a=b; c=d", "a=b; c=d");
    check_field("Content-Type", "text/html; charset=utf-8", "text/html; charset=utf-8");
    check_field("Cookies", "a=b", "a=b");
    check_field("Location", "/next", "/next");
}

static void check_url(const char *url, const char *masked)
{
    check_field("Location", url, masked);
}

static void test_urls_lose_the_values_of_queries_logins_and_fragments(void **state)
{
    (void)state;
    check_url("http://a/p?token=abc&x=1#frag", "http://a/p?token=***&x=*#***");
    check_url("https://user:pass@a.example/p", "https://***@a.example/p");
    check_url("https://user:p@ss@a/p@q", "https://***@a/p@q");
    check_url("/p?lone-token", "/p?***");
    check_url("?a=b=c&&d=", "?a=***&&d=");
    check_url("#access_token=x", "#***");
    check_url("http://a/", "http://a/");
    check_url("//a?b=cd", "//a?b=**");
}

static void test_a_nul_ends_nothing(void **state)
{
    char text[] = "a=b\0; c=d";

    (void)state;
    size_t n = mask_field(SPAN_LIT("Cookie"), text, sizeof(text) - 1);
    assert_int_equal(n, strlen("a=**; c=*"));
    assert_memory_equal(text, "a=**; c=*", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cookies_keep_names_and_attributes),
        cmocka_unit_test(test_logins_keep_their_scheme),
        cmocka_unit_test(test_every_secret_field_is_known_in_any_case),
        cmocka_unit_test(test_other_fields_stay),
        cmocka_unit_test(test_urls_lose_the_values_of_queries_logins_and_fragments),
        cmocka_unit_test(test_a_nul_ends_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
