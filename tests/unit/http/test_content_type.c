/* SPDX-License-Identifier: MIT */
#include "http/content_type.h"
#include "support/span_test.h"

static const struct {
    const char *field, *type, *subtype, *charset;
} rows[] = {
    {"text/html", "text", "html", ""},
    {"text/html; charset=utf-8", "text", "html", "utf-8"},
    {" Text/HTML ;Charset=\"UTF-8\"", "Text", "HTML", "utf-8"},
    {"text/html;charset=a;charset=b", "text", "html", "a"},
    {"text/html;charset=;charset=b", "text", "html", "b"},
    {"text/html; x=\";charset=a\"; charset=b", "text", "html", "b"},
    {"text/html; charset=\"u\\tf-8\"", "text", "html", "utf-8"},
    {"text/html; charset=\"open", "text", "html", "open"},
    {"text/html; charset=\"two words\"", "text", "html", ""},
    {"application/xhtml+xml;", "application", "xhtml+xml", ""},
    {"text/html; charset=0123456789012345678901234567890123456789", "text", "html",
     "0123456789012345678901234567890123456789"},
    {"text/html; charset=01234567890123456789012345678901234567890", "text", "html", ""},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct content_type ct;

        assert_int_equal(content_type_parse(span_of(rows[i].field), &ct), 0);
        assert_span(ct.type, rows[i].type);
        assert_span(ct.subtype, rows[i].subtype);
        assert_string_equal(ct.charset, rows[i].charset);
    }
}

static void test_what_is_no_media_type_is_refused(void **state)
{
    static const char *const refused[] = {"",      "text",       "/html", "text/",
                                          "a b/c", "text/h tml", ";"};
    struct content_type ct = {.charset = "untouched"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_true(content_type_parse(span_of(refused[i]), &ct) < 0);
    assert_string_equal(ct.charset, "untouched");
    assert_int_equal(content_type_parse(SPAN_LIT("TEXT/Html"), &ct), 0);
    assert_true(content_type_is(&ct, SPAN_LIT("text"), SPAN_LIT("html")));
    assert_false(content_type_is(&ct, SPAN_LIT("text"), SPAN_LIT("xml")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_what_is_no_media_type_is_refused),
    };

    return cmocka_run_group_tests_name("http/content_type", tests, NULL, NULL);
}
