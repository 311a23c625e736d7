/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/buf.h"
#include "policy/public_suffix.h"
#include "support/test.h"

static struct suffix_list *list;

static int load_list(void **state)
{
    (void)state;
    return suffix_list_new(&list);
}

static int free_list(void **state)
{
    (void)state;
    list = suffix_list_free(list);
    return 0;
}

/* The text between the first two quotes of *rest, which is moved behind them; empty: none. */
static struct span take_quoted(struct span *rest)
{
    struct span head;

    if (!span_split(rest, '\'', &head))
        return (struct span){0};
    return span_split(rest, '\'', &head) ? head : (struct span){0};
}

/* checkPublicSuffix('a.example.com', 'example.com') or …, null). Return: whether it is one.
 * @name: as our callers have it, lower case */
static bool read_case(struct span line, struct buf *name, struct span *ret_expected)
{
    if (!span_starts_with(line, SPAN_LIT("checkPublicSuffix('")))
        return false;
    struct span written = take_quoted(&line);

    buf_clear(name);
    for (size_t i = 0; i < written.len; i++)
        assert_int_equal(buf_append_char(name, ascii_lower(written.ptr[i])), 0);
    *ret_expected = take_quoted(&line);
    return true;
}

static void test_every_case_of_the_lists_own_test_file_holds(void **state)
{
    FILE *file = fopen(PSL_TEST_FILE, "re");
    char line[512];
    CLEANUP_BUF struct buf name = BUF_INIT(0);
    unsigned n = 0;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        struct span expected;

        if (!read_case(span_of(line), &name, &expected))
            continue;
        struct span found = suffix_registrable(suffix_list_rules(list), buf_span(&name));
        if (!span_eq(found, expected))
            fail_msg("%s: found %.*s", line, (int)found.len, found.ptr);
        n++;
    }
    (void)fclose(file);
    assert_true(n > 60);
}

static void test_what_is_public_and_what_is_not(void **state)
{
    static const struct {
        const char *name;
        bool is_public;
    } rows[] = {
        {"com", true},
        {"co.uk", true},
        {"github.io", true},
        {"kobe.jp", true},       /* *.kobe.jp */
        {"city.kobe.jp", false}, /* !city.kobe.jp */
        {"xn--55qx5d.cn", true}, /* 公司.cn */
        {"example.com", false},
        {"a.github.io", false},
        {"localhost", true}, /* one label, no rule */
        {"", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (suffix_is_public(suffix_list_rules(list), span_of(rows[i].name)) !=
            rows[i].is_public)
            fail_msg("%s", rows[i].name);
    }
}

static void test_what_is_no_domain_at_all_counts_as_public(void **state)
{
    char name[300];

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_true(suffix_is_public(suffix_list_rules(list), (struct span){name, sizeof(name)}));
    assert_true(suffix_is_public(suffix_list_rules(list), SPAN_LIT("exam\0ple.com")));
    assert_int_equal(
        suffix_registrable(suffix_list_rules(list), (struct span){name, sizeof(name)}).len, 0);
}

static void test_a_table_answers_like_a_list(void **state)
{
    static const char *const names[] = {"co.uk", "github.io", NULL};
    struct suffix_table table;

    (void)state;
    suffix_table_init(&table, names);
    assert_true(suffix_is_public(&table.rules, SPAN_LIT("uk")));
    assert_true(suffix_is_public(&table.rules, SPAN_LIT("co.uk")));
    assert_false(suffix_is_public(&table.rules, SPAN_LIT("a.co.uk")));
    assert_true(span_eq(suffix_registrable(&table.rules, SPAN_LIT("x.y.a.co.uk")),
                        SPAN_LIT("a.co.uk")));
    assert_true(span_eq(suffix_registrable(&table.rules, SPAN_LIT("www.example.com")),
                        SPAN_LIT("example.com")));
    assert_int_equal(suffix_registrable(&table.rules, SPAN_LIT("co.uk")).len, 0);
    assert_int_equal(suffix_registrable(&table.rules, SPAN_LIT("localhost")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case_of_the_lists_own_test_file_holds),
        cmocka_unit_test(test_what_is_public_and_what_is_not),
        cmocka_unit_test(test_what_is_no_domain_at_all_counts_as_public),
        cmocka_unit_test(test_a_table_answers_like_a_list),
    };

    return cmocka_run_group_tests_name("policy/public_suffix", tests, load_list, free_list);
}
