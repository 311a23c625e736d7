/* SPDX-License-Identifier: MIT */
#include "support/test.h"
#include "target.h"

static void test_a_scheme_is_guessed_and_a_query_appended(void **state)
{
    static const struct {
        const char *url, *query, *want;
    } rows[] = {
        {"example.com", NULL, "http://example.com"},
        {"localhost:8080/x", NULL, "http://localhost:8080/x"},
        {"[::1]:80", NULL, "http://[::1]:80"},
        {"https://a/", NULL, "https://a/"},
        {"HTTP://a/", NULL, "HTTP://a/"},
        {"ftp://a/", NULL, "ftp://a/"},
        {"http://a/", "x=1", "http://a/?x=1"},
        {"http://a", "x=1", "http://a?x=1"},
        {"http://a/?y=2", "x=1", "http://a/?y=2&x=1"},
        {"http://a/?y=2&", "x=1", "http://a/?y=2&x=1"},
        {"http://a/?", "x=1", "http://a/?x=1"},
        {"http://a/#f", "x=1", "http://a/?x=1#f"},
        {"http://a/#f?g", "x=1", "http://a/?x=1#f?g"},
        {"http://a/p?q#f", "x", "http://a/p?q&x#f"},
        {"http://a/", "", "http://a/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        target_make(&out, rows[i].url, rows[i].query);
        assert_string_equal(strbuf_text(&out), rows[i].want);
        strbuf_done(&out);
    }
}

static void test_the_place_for_a_message_has_a_port_and_no_password(void **state)
{
    static const struct {
        const char *url, *want, *host;
    } rows[] = {
        {"http://a/", "a:80", "a"},
        {"https://a", "a:443", "a"},
        {"http://a:8080/x", "a:8080", "a"},
        {"http://user:pass@a/", "a:80", "a"},
        {"http://u@v@a:1/", "a:1", "a"},
        {"http://[::1]/", "[::1]:80", "[::1]"},
        {"http://[::1]:81/", "[::1]:81", "[::1]"},
        {"http://a?q=x@y", "a:80", "a"},
        {"no scheme", "no scheme", "no scheme"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        target_add_authority(&out, rows[i].url);
        assert_string_equal(strbuf_text(&out), rows[i].want);
        strbuf_clear(&out);
        target_add_host(&out, rows[i].url);
        assert_string_equal(strbuf_text(&out), rows[i].host);
        strbuf_done(&out);
    }
}

static void test_the_file_name_is_the_paths_last_segment(void **state)
{
    static const struct {
        const char *url, *want;
    } rows[] = {
        {"http://a/dir/file.txt", "file.txt"},
        {"http://a/file?x=/y", "file"},
        {"http://a/file#x/y", "file"},
        {"http://a/dir/", ""},
        {"http://a", ""},
        {"http://a?x/y", ""},
        {"http://a/%2e%2e", "%2e%2e"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        target_add_file_name(&out, rows[i].url);
        assert_string_equal(strbuf_text(&out), rows[i].want);
        strbuf_done(&out);
    }
}

static void test_path_and_scheme(void **state)
{
    struct strbuf out = {0};

    (void)state;
    target_add_path(&out, "http://a?q#f");
    assert_string_equal(out.bytes, "/?q");
    strbuf_clear(&out);
    target_add_path(&out, "http://a/b/c?d#e");
    assert_string_equal(out.bytes, "/b/c?d");
    strbuf_clear(&out);
    target_add_scheme(&out, "https://a/");
    assert_string_equal(out.bytes, "HTTPS");
    strbuf_done(&out);
}

/* RFC 3986 §5.4, the references that a Location may hold. */
static void test_an_uploads_name_completes_a_url_that_ends_in_a_slash(void **state)
{
    static const struct {
        const char *url, *file, *want;
    } rows[] = {
        {"http://a", "f", "http://a/f"},
        {"http://a/", "d/f", "http://a/f"},
        {"http://a/d/", "/x/y z;", "http://a/d/y%20z%3B"},
        {"http://a/d", "f", "http://a/d"},
        {"http://a/?q=/", "f", "http://a/f?q=/"},
        {"http://a?q", "f", "http://a/f?q"},
        {"http://a/d?q/", "f", "http://a/d?q/"},
        {"http://a/#h", "f", "http://a/f#h"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf url = {0};

        strbuf_add_text(&url, rows[i].url);
        target_add_upload_name(&url, rows[i].file);
        assert_string_equal(strbuf_text(&url), rows[i].want);
        strbuf_done(&url);
    }
}

static void test_locations_are_resolved_as_the_rfcs_examples(void **state)
{
    static const struct {
        const char *reference, *want;
    } rows[] = {
        {"http://other/x", "http://other/x"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"g#s", "http://a/b/c/g"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {"..g", "http://a/b/c/..g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/../h", "http://a/b/c/h"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf out = {0};

        target_add_resolved(&out, "http://a/b/c/d;p?q", rows[i].reference);
        assert_string_equal(strbuf_text(&out), rows[i].want);
        strbuf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_scheme_is_guessed_and_a_query_appended),
        cmocka_unit_test(test_the_place_for_a_message_has_a_port_and_no_password),
        cmocka_unit_test(test_the_file_name_is_the_paths_last_segment),
        cmocka_unit_test(test_path_and_scheme),
        cmocka_unit_test(test_an_uploads_name_completes_a_url_that_ends_in_a_slash),
        cmocka_unit_test(test_locations_are_resolved_as_the_rfcs_examples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
