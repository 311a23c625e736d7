/* SPDX-License-Identifier: MIT */
#include "http/set_cookie.h"
#include "support/span_test.h"

/* A row is a sentence: what the server wrote, what we understand. */
static const struct {
    const char *field;
    int outcome;
    const char *name, *value, *path, *domain;
} rows[] = {
    {"SID=31d4", SET_COOKIE_OK, "SID", "31d4", "", ""},
    {" a = b ; Path=/x ", SET_COOKIE_OK, "a", "b", "/x", ""},
    {"\ta\t=\tb\t;\tPath\t=\t/x\t", SET_COOKIE_OK, "a", "b", "/x", ""},
    {"lonely", SET_COOKIE_OK, "", "lonely", "", ""},
    {"=lonely", SET_COOKIE_OK, "", "lonely", "", ""},
    {"a=", SET_COOKIE_OK, "a", "", "", ""},
    {"a=b=c", SET_COOKIE_OK, "a", "b=c", "", ""},
    {"a=\"b c\"", SET_COOKIE_OK, "a", "\"b c\"", "", ""},
    {"a=b,c=d", SET_COOKIE_OK, "a", "b,c=d", "", ""},
    {"a=caf\xc3\xa9", SET_COOKIE_OK, "a", "caf\xc3\xa9", "", ""},
    {"=__Host-x=1", SET_COOKIE_OK, "", "__Host-x=1", "", ""},
    {"a=b;", SET_COOKIE_OK, "a", "b", "", ""},
    {"a=b;;;=;=x;y=;Path=/z", SET_COOKIE_OK, "a", "b", "/z", ""},
    {"a=b; path=/1; PATH=/2", SET_COOKIE_OK, "a", "b", "/2", ""},
    {"a=b; Domain=.Example.COM", SET_COOKIE_OK, "a", "b", "", "Example.COM"},
    {"a=b; Domain=..x", SET_COOKIE_OK, "a", "b", "", ".x"},
    {"a=b; Domain=x; domain=", SET_COOKIE_OK, "a", "b", "", ""},
    {"a=b; Domain=.", SET_COOKIE_OK, "a", "b", "", ""},
    {"", SET_COOKIE_E_EMPTY, NULL, NULL, NULL, NULL},
    {"=", SET_COOKIE_E_EMPTY, NULL, NULL, NULL, NULL},
    {" = ; Path=/", SET_COOKIE_E_EMPTY, NULL, NULL, NULL, NULL},
    {"; a=b", SET_COOKIE_E_EMPTY, NULL, NULL, NULL, NULL},
    {"a=b\r\nc=d", SET_COOKIE_E_CTL, NULL, NULL, NULL, NULL},
};

static void test_name_value_path_and_domain(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct set_cookie cookie;

        assert_int_equal(set_cookie_parse(span_of(rows[i].field), &cookie), rows[i].outcome);
        if (rows[i].outcome != SET_COOKIE_OK)
            continue;
        assert_span(cookie.name, rows[i].name);
        assert_span(cookie.value, rows[i].value);
        assert_span(cookie.path, rows[i].path);
        assert_span(cookie.domain, rows[i].domain);
    }
}

static struct set_cookie parse(struct span field)
{
    struct set_cookie cookie = {0};

    assert_int_equal(set_cookie_parse(field, &cookie), SET_COOKIE_OK);
    return cookie;
}

static void test_flags(void **state)
{
    struct set_cookie cookie = parse(SPAN_LIT("a=b; Secure; HTTPONLY=no; partitioned"));

    (void)state;
    assert_true(cookie.secure && cookie.http_only && cookie.partitioned);
    cookie = parse(SPAN_LIT("a=b; Securely; Http-Only; Partition"));
    assert_false(cookie.secure || cookie.http_only || cookie.partitioned);
}

static void test_same_site_words(void **state)
{
    static const struct {
        const char *field;
        enum same_site same_site;
    } words[] = {
        {"a=b", SAME_SITE_DEFAULT},
        {"a=b; SameSite=none", SAME_SITE_NONE},
        {"a=b; samesite=LAX", SAME_SITE_LAX},
        {"a=b; SameSite=Strict", SAME_SITE_STRICT},
        {"a=b; SameSite=Strictly", SAME_SITE_DEFAULT},
        {"a=b; SameSite=Strict; SameSite=x", SAME_SITE_DEFAULT},
        {"a=b; SameSite=Lax; SameSite=None", SAME_SITE_NONE},
        {"a=b; SameSite", SAME_SITE_DEFAULT},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        assert_int_equal(parse(span_of(words[i].field)).same_site, words[i].same_site);
}

static void test_ck23_lifetimes_out_of_range_are_cut_or_ignored(void **state)
{
    static const struct {
        const char *field;
        bool has_max_age, has_expires;
        int64_t max_age_s, expires_s;
    } lives[] = {
        {"a=b; Max-Age=60", true, false, 60, 0},
        {"a=b; Max-Age=0", true, false, 0, 0},
        {"a=b; Max-Age=-5", true, false, -5, 0},
        {"a=b; Max-Age=34560000", true, false, SET_COOKIE_AGE_LIMIT_S, 0},
        {"a=b; Max-Age=34560001", true, false, SET_COOKIE_AGE_LIMIT_S, 0},
        {"a=b; Max-Age=100000000000000000000", true, false, SET_COOKIE_AGE_LIMIT_S, 0},
        {"a=b; Max-Age=-100000000000000000000", true, false, -SET_COOKIE_AGE_LIMIT_S, 0},
        {"a=b; Max-Age=9223372036854775808", true, false, SET_COOKIE_AGE_LIMIT_S, 0},
        {"a=b; Max-Age=6x", false, false, 0, 0},
        {"a=b; Max-Age=+6", false, false, 0, 0},
        {"a=b; Max-Age=\"6\"", false, false, 0, 0},
        {"a=b; Max-Age=-", false, false, 0, 0},
        {"a=b; Max-Age=", false, false, 0, 0},
        {"a=b; Max-Age=7; Max-Age=x", true, false, 7, 0},
        {"a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT", false, true, 0, 784111777},
        {"a=b; Expires=Fri, 31-Dec-9999 23:59:59 GMT", false, true, 0, INT64_C(253402300799)},
        {"a=b; Expires=-1", false, false, 0, 0},
        {"a=b; Expires=0", false, false, 0, 0},
        {"a=b; Expires=garbage", false, false, 0, 0},
        {"a=b; Expires=", false, false, 0, 0},
        {"a=b; Expires=Thu, 01 Jan 1970 00:00:09 GMT; Expires=x", false, true, 0, 9},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lives); i++) {
        struct set_cookie cookie = parse(span_of(lives[i].field));

        assert_int_equal(cookie.has_max_age, lives[i].has_max_age);
        assert_int_equal(cookie.has_expires, lives[i].has_expires);
        assert_int_equal(cookie.max_age_s, lives[i].max_age_s);
        assert_int_equal(cookie.expires_s, lives[i].expires_s);
    }
}

static void test_ck17_control_characters_anywhere_refuse_the_cookie(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char name[] = {'a', (char)c, '=', 'b'};
        char value[] = {'a', '=', 'b', (char)c, 'b'};
        char attribute[] = {'a', '=', 'b', ';', 'x', '=', (char)c};
        bool is_ctl = (c < 0x20 && c != '\t') || c == 0x7f;
        int want = is_ctl ? SET_COOKIE_E_CTL : SET_COOKIE_OK;
        struct set_cookie cookie;

        assert_int_equal(set_cookie_parse((struct span){name, 4}, &cookie), want);
        assert_int_equal(set_cookie_parse((struct span){value, 5}, &cookie), want);
        assert_int_equal(set_cookie_parse((struct span){attribute, 7}, &cookie), want);
    }
}

static void test_ck18_a_pair_of_4096_bytes_is_the_last_that_fits(void **state)
{
    char *field = repeat('v', SET_COOKIE_PAIR_MAX + 2);
    struct set_cookie cookie;

    (void)state;
    for (size_t at = 0; at <= SET_COOKIE_PAIR_MAX + 1; at += 1024) {
        field[at] = '='; /* "=" is not counted, wherever it stands */
        assert_int_equal(
            set_cookie_parse((struct span){field, SET_COOKIE_PAIR_MAX + 1}, &cookie),
            SET_COOKIE_OK);
        assert_int_equal(
            set_cookie_parse((struct span){field, SET_COOKIE_PAIR_MAX + 2}, &cookie),
            SET_COOKIE_E_TOO_LONG);
        field[at] = 'v';
    }
    assert_int_equal(set_cookie_parse((struct span){field, SET_COOKIE_PAIR_MAX}, &cookie),
                     SET_COOKIE_OK);
    assert_int_equal(set_cookie_parse((struct span){field, SET_COOKIE_PAIR_MAX + 1}, &cookie),
                     SET_COOKIE_E_TOO_LONG);
    free(field);
}

static void test_ck18_an_attribute_of_more_than_1024_bytes_is_ignored(void **state)
{
    CLEANUP_BUF struct buf field = BUF_INIT(0);
    char *path = repeat('/', SET_COOKIE_ATTR_MAX + 1);

    (void)state;
    assert_int_equal(buf_append_str(&field, "a=b; Path=/first; Path="), 0);
    assert_int_equal(buf_append(&field, (struct span){path, SET_COOKIE_ATTR_MAX}), 0);
    assert_int_equal(parse(buf_span(&field)).path.len, SET_COOKIE_ATTR_MAX);
    assert_int_equal(buf_append_char(&field, '/'), 0);
    assert_span(parse(buf_span(&field)).path, "/first");
    assert_int_equal(buf_append_str(&field, "; Domain=x"), 0);
    assert_span(parse(buf_span(&field)).domain, "x");
    free(path);
}

static void test_ck24_paths_that_are_quoted_empty_short_or_huge(void **state)
{
    CLEANUP_BUF struct buf field = BUF_INIT(0);
    char *path = repeat('/', 64 * 1024);

    (void)state;
    assert_span(parse(SPAN_LIT("a=b; path=\"/\"")).path, "");
    assert_span(parse(SPAN_LIT("a=b; path=")).path, "");
    assert_span(parse(SPAN_LIT("a=b; path")).path, "");
    assert_span(parse(SPAN_LIT("a=b; path=/")).path, "/");
    assert_span(parse(SPAN_LIT("a=b; path=x")).path, "");
    assert_span(parse(SPAN_LIT("a=b; path=/a; path=")).path, "");
    assert_span(parse(SPAN_LIT("a=b; path=/a; path=x")).path, "");
    assert_int_equal(buf_append_str(&field, "a=b; Path="), 0);
    assert_int_equal(buf_append(&field, (struct span){path, 64 * 1024}), 0);
    assert_span(parse(buf_span(&field)).path, "");
    free(path);
}

static void test_formatting_gives_back_the_same_cookie(void **state)
{
    static const char *const fields[] = {
        "SID=31d4; Domain=example.com; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
        "Max-Age=60; Secure; HttpOnly; SameSite=Lax; Partitioned",
        "=nameless=1",
        "a=; Max-Age=-60; SameSite=None",
        "a=b; Domain=..x",
        "a=b; Max-Age=0",
    };
    static const char *const formatted[] = {
        "SID=31d4; Domain=example.com; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; "
        "Max-Age=60; Secure; HttpOnly; SameSite=Lax; Partitioned",
        "=nameless=1",
        "a=; Max-Age=-60; SameSite=None",
        "a=b; Domain=..x",
        "a=b; Max-Age=0",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct set_cookie cookie = parse(span_of(fields[i]));

        assert_int_equal(set_cookie_format(&cookie, &out), 0);
        assert_span(buf_span(&out), formatted[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_value_path_and_domain),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_same_site_words),
        cmocka_unit_test(test_ck23_lifetimes_out_of_range_are_cut_or_ignored),
        cmocka_unit_test(test_ck17_control_characters_anywhere_refuse_the_cookie),
        cmocka_unit_test(test_ck18_a_pair_of_4096_bytes_is_the_last_that_fits),
        cmocka_unit_test(test_ck18_an_attribute_of_more_than_1024_bytes_is_ignored),
        cmocka_unit_test(test_ck24_paths_that_are_quoted_empty_short_or_huge),
        cmocka_unit_test(test_formatting_gives_back_the_same_cookie),
    };

    return cmocka_run_group_tests_name("http/set_cookie", tests, NULL, NULL);
}
