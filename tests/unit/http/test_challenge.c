/* SPDX-License-Identifier: MIT */
#include "http/challenge.h"
#include "support/span_test.h"

#define NAME SPAN_LIT("WWW-Authenticate")

/* "Scheme(token68|name=value|…)" of every challenge, blanks between. */
static int describe(const struct challenge *challenge, struct buf *out)
{
    struct span params = challenge->params;
    struct span name;
    struct span value;
    int r = out->len > 0 ? buf_append_char(out, ' ') : 0;

    if (r == 0)
        r = buf_append(out, challenge->scheme);
    if (r == 0 && challenge->token68.len > 0)
        r = buf_append_format(out, "(%.*s)", (int)challenge->token68.len,
                              challenge->token68.ptr);
    for (char sep = '('; r == 0 && challenge_param_next(&params, &name, &value); sep = '|') {
        r = buf_append_format(out, "%c%.*s=", sep, (int)name.len, name.ptr);
        if (r == 0)
            r = challenge_value(value, out);
    }
    assert_int_equal(params.len, 0);
    return r == 0 && challenge->params.len > 0 ? buf_append_char(out, ')') : r;
}

static void read_all(const struct headers *headers, struct buf *out)
{
    struct challenge_reader reader;
    struct challenge challenge;

    challenge_reader_init(&reader, headers, NAME);
    while (challenge_next(&reader, &challenge))
        assert_int_equal(describe(&challenge, out), 0);
}

struct row {
    const char *lines[3];
    const char *want;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(0);
        struct headers headers;

        headers_init(&headers, HEADERS_BYTES_MAX, HEADERS_COUNT_MAX);
        for (size_t k = 0; k < 3 && rows[i].lines[k]; k++)
            assert_int_equal(headers_add(&headers, NAME, span_of(rows[i].lines[k])), 0);
        read_all(&headers, &out);
        assert_span(buf_span(&out), rows[i].want);
        headers_done(&headers);
    }
}

static void test_challenges_of_all_lines_are_found(void **state)
{
    static const struct row rows[] = {
        {{NULL}, ""},
        {{""}, ""},
        {{" , ,"}, ""},
        {{"Basic"}, "Basic"},
        {{"Basic realm=\"a\""}, "Basic(realm=a)"},
        {{"Basic realm=a"}, "Basic(realm=a)"},
        {{"Basic\trealm \t= \"a\" "}, "Basic(realm=a)"},
        /* RFC 9110 §11.6.1 */
        {{"Basic realm=\"simple\", Newauth realm=\"apps\", type=1, "
          "title=\"Login to \\\"apps\\\"\""},
         "Basic(realm=simple) Newauth(realm=apps|type=1|title=Login to \"apps\")"},
        {{"Negotiate, Basic realm=\"a\""}, "Negotiate Basic(realm=a)"},
        {{"Negotiate YWJj=="}, "Negotiate(YWJj==)"},
        {{"Negotiate YWJj==, NTLM , Basic realm=x"}, "Negotiate(YWJj==) NTLM Basic(realm=x)"},
        {{"A b"}, "A(b)"},
        {{"A b="}, "A(b=)"},
        {{"A b=c"}, "A(b=c)"},
        {{",A b=c,, ,d=e,B,,"}, "A(b=c|d=e) B"},
        {{"A x=\"1, B y=2\", B"}, "A(x=1, B y=2) B"},
        {{"A x=\"\""}, "A(x=)"},
        {{"A x=\"\xc3\xa4\""}, "A(x=\xc3\xa4)"},
        {{"A x=1", "", "B y=2"}, "A(x=1) B(y=2)"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static void test_au03_broken_line_counts_up_to_the_challenge_that_breaks_it(void **state)
{
    static const struct row rows[] = {
        {{"Basic realm=\"a"}, ""},
        {{"Basic realm=\"a\\\""}, ""},
        {{"Basic realm=\"a\\"}, ""},
        {{"Basic realm=\""}, ""},
        {{"Basic realm=\"a\x01\""}, ""},
        {{"Basic realm=\"a\" b=c"}, ""},
        {{"Basic realm=\"a\"b"}, ""},
        {{"Basic realm=,x=y"}, "Basic(realm=)"}, /* a token68; then no scheme */
        {{"Basic=x"}, ""},
        {{"Basic = x"}, ""},
        {{"=x"}, ""},
        {{"\"Basic\" realm=x"}, ""},
        {{"Ba\xe4 realm=x"}, ""},
        {{"A x=1, B y=\"2, C z=3"}, "A(x=1)"},
        {{"A x=1, B y=\"2, C", "D"}, "A(x=1) D"},
        {{"A x=1, @", "D"}, "A(x=1) D"},
        {{"A x@, B", "D"}, "D"},
    };

    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static size_t count_of(struct span line, size_t lines)
{
    struct challenge_reader reader;
    struct challenge challenge;
    struct headers headers;
    size_t n = 0;

    headers_init(&headers, HEADERS_BYTES_MAX * 8, HEADERS_COUNT_MAX);
    for (size_t i = 0; i < lines; i++)
        assert_int_equal(headers_add(&headers, NAME, line), 0);
    challenge_reader_init(&reader, &headers, NAME);
    while (challenge_next(&reader, &challenge))
        n++;
    headers_done(&headers);
    return n;
}

static void test_au03_fifty_challenges_and_64_kib_are_read_and_no_more(void **state)
{
    CLEANUP_BUF struct buf many = BUF_INIT(0);
    char *big = repeat('a', CHALLENGE_BYTES_MAX + 1);

    (void)state;
    for (size_t i = 0; i < CHALLENGES_MAX + 10; i++)
        assert_int_equal(buf_append_str(&many, "Basic realm=x,"), 0);
    assert_int_equal(count_of(buf_span(&many), 1), CHALLENGES_MAX);
    assert_int_equal(count_of(SPAN_LIT("Basic"), CHALLENGES_MAX - 1), CHALLENGES_MAX - 1);
    assert_int_equal(count_of(SPAN_LIT("Basic"), HEADERS_COUNT_MAX), CHALLENGES_MAX);
    assert_int_equal(count_of((struct span){big, CHALLENGE_BYTES_MAX}, 2), 1);
    assert_int_equal(count_of((struct span){big, CHALLENGE_BYTES_MAX + 1}, 2), 0);
    free(big);
}

static void test_quoting_and_its_undoing_are_inverse(void **state)
{
    static const char *const texts[] = {"",       "a",           "\"",      "\\",
                                        "\\\"\\", "a \"b\" \\c", "\xc3\xa4"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        CLEANUP_BUF struct buf quoted = BUF_INIT(0);
        CLEANUP_BUF struct buf plain = BUF_INIT(0);

        assert_int_equal(challenge_quote(span_of(texts[i]), &quoted), 0);
        assert_int_equal(challenge_value(buf_span(&quoted), &plain), 0);
        assert_span(buf_span(&plain), texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenges_of_all_lines_are_found),
        cmocka_unit_test(test_au03_broken_line_counts_up_to_the_challenge_that_breaks_it),
        cmocka_unit_test(test_au03_fifty_challenges_and_64_kib_are_read_and_no_more),
        cmocka_unit_test(test_quoting_and_its_undoing_are_inverse),
    };

    return cmocka_run_group_tests_name("http/challenge", tests, NULL, NULL);
}
