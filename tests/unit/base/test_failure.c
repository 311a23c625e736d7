/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/failure.h"
#include "base/mem.h"
#include "support/test.h"

static void test_text_is_safe_to_show(void **state)
{
    static const struct {
        const char *given, *shown;
    } rows[] = {
        {"plain", "plain"},
        {"a\x1b[31mb\r\nc\x7f", "a?[31mb??c?"},
        {"grün", "grün"},
        {"gr\xc3", "gr?"},
        {"\xc2\x9b"
         "31m",
         "?31m"},
        {"\xff\xfe", "??"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct failure failure;

        failure_set(&failure, FAILURE_URL, "%s", rows[i].given);
        assert_string_equal(failure.text, rows[i].shown);
        assert_int_equal(failure.kind, FAILURE_URL);
    }
}

static void test_text_cut_in_a_character_stays_utf8(void **state)
{
    char given[400] = "x";
    struct failure failure;

    (void)state;
    for (size_t i = 1; i + 2 < sizeof(given); i += 2)
        memcpy(given + i, "\xc3\xbc", 2);
    failure_set(&failure, FAILURE_URL, "%s", given);
    assert_int_equal(strlen(failure.text), FAILURE_TEXT_MAX - 1);
    assert_int_equal((unsigned char)failure.text[FAILURE_TEXT_MAX - 2], 0xbc);
    failure_set(&failure, FAILURE_URL, "y%s", given);
    assert_int_equal(failure.text[FAILURE_TEXT_MAX - 2], '?');
}

static void test_every_kind_and_phase_has_a_name(void **state)
{
    (void)state;
    for (int kind = 0; kind < FAILURE_KIND_COUNT; kind++)
        assert_non_null(failure_kind_name((enum failure_kind)kind));
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        assert_non_null(failure_phase_name((enum failure_phase)phase));
}

static void test_a_failure_is_kept_or_the_lack_of_memory_is(void **state)
{
    const struct failure *kept = NULL;
    struct failure why;

    (void)state;
    assert_null(failure_drop(NULL));
    failure_set(&why, FAILURE_DNS, "no such name");
    kept = failure_keep(kept, &why);
    assert_int_equal(kept->kind, FAILURE_DNS);
    why.kind = FAILURE_URL; /* it is a copy */
    assert_int_equal(kept->kind, FAILURE_DNS);
    kept = failure_keep(kept, kept);
    assert_string_equal(kept->text, "no such name");
    mem_fail_at(1);
    kept = failure_keep(kept, &why);
    mem_fail_at(0);
    assert_int_equal(kept->kind, FAILURE_INTERNAL);
    assert_string_equal(kept->text, "out of memory");
    kept = failure_keep(kept, &why);
    assert_int_equal(kept->kind, FAILURE_URL);
    assert_null(failure_drop(kept));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_safe_to_show),
        cmocka_unit_test(test_text_cut_in_a_character_stays_utf8),
        cmocka_unit_test(test_every_kind_and_phase_has_a_name),
        cmocka_unit_test(test_a_failure_is_kept_or_the_lack_of_memory_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
