/* SPDX-License-Identifier: MIT */
/* Lines as they leave for stderr; the journal's way is taken only where stderr is the journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "support/test.h"

static char said[8192];

/* What @fn writes to stderr. */
static const char *hear(void (*fn)(void))
{
    int ends[2];
    int err = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    fn();
    assert_true(dup2(err, STDERR_FILENO) >= 0);
    close(err);
    close(ends[1]);
    ssize_t n = read(ends[0], said, sizeof(said) - 1);
    close(ends[0]);
    said[n > 0 ? n : 0] = '\0';
    return said;
}

static void test_levels_have_names_and_numbers(void **state)
{
    enum log_level level = LOG_LEVEL_ERR;

    (void)state;
    for (int i = LOG_LEVEL_ERR; i <= LOG_LEVEL_DEBUG; i++) {
        char digit[2] = {(char)('0' + i), '\0'};

        assert_int_equal(log_level_parse(log_level_name((enum log_level)i), &level), 0);
        assert_int_equal(level, i);
        assert_int_equal(log_level_parse(digit, &level), 0);
        assert_int_equal(level, i);
    }
    static const char *const wrong[] = {"", "2", "8", "33", "Info", "error", "info ", "warn"};
    level = LOG_LEVEL_NOTICE;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(log_level_parse(wrong[i], &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_NOTICE);
}

static void say_hostile_text(void)
{
    log_err(NULL, "before\x1b[31m\r\nxhrd: err: forged\x7f\tafter");
}

static void test_ur16_control_characters_neither_move_the_cursor_nor_start_a_line(void **state)
{
    (void)state;
    const char *text = hear(say_hostile_text);
    size_t n = 0;
    for (const char *at = text; *at; at++) {
        n += *at == '\n';
        assert_true(((unsigned char)*at >= 0x20 && *at != 0x7f) || *at == '\n');
    }
    assert_int_equal(n, 1);
    assert_non_null(strstr(text, "before?[31m??xhrd: err: forged??after\n"));
}

static void say_c1_controls(void)
{
    log_err(NULL, "%s",
            "a\xc2\x9b"
            "31mb gr\xc3\xbcn \xff.");
}

static void test_ur16_eight_bit_controls_are_escaped_and_text_is_left(void **state)
{
    (void)state;
    assert_non_null(strstr(hear(say_c1_controls), "a?31mb gr\xc3\xbcn ?.\n"));
}

static void say_too_much(void)
{
    static char text[100000];

    memset(text, 'x', sizeof(text) - 1);
    log_err(NULL, "%s", text);
}

static void test_ur16_a_line_without_end_is_cut(void **state)
{
    (void)state;
    const char *text = hear(say_too_much);
    assert_true(strlen(text) < 2300);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void say_whom_it_is_about(void)
{
    struct log_subject about = {.request_id = 42, .uid = 1000, .has_uid = true};

    log_warning(&about, "something");
    about = (struct log_subject){.uid = 7};
    log_warning(&about, "else");
}

static void test_a_line_says_whom_it_is_about(void **state)
{
    (void)state;
    const char *text = hear(say_whom_it_is_about);
    assert_non_null(strstr(text, "xhrd: warning: uid 1000 request 42 something\n"));
    assert_non_null(strstr(text, "xhrd: warning: else\n"));
}

static void say_at_every_level(void)
{
    log_err(NULL, "one");
    log_warning(NULL, "two");
    log_notice(NULL, "three");
    log_info(NULL, "four");
    log_debug(NULL, "five");
}

static void test_what_is_below_the_level_is_not_said(void **state)
{
    (void)state;
    log_set_level(LOG_LEVEL_WARNING);
    assert_string_equal(hear(say_at_every_level), "xhrd: err: one\nxhrd: warning: two\n");
    log_set_level(LOG_LEVEL_DEBUG);
    assert_non_null(strstr(hear(say_at_every_level), "xhrd: debug: five\n"));
    log_set_level(LOG_LEVEL_NOTICE);
    assert_null(strstr(hear(say_at_every_level), "four"));
}

static void say_errno(void)
{
    errno = ENOSPC;
    log_err(NULL, "disk: %m");
    assert_int_equal(errno, ENOSPC); /* a line does not disturb who logs */
}

static void test_errno_is_told_and_kept(void **state)
{
    (void)state;
    assert_non_null(strstr(hear(say_errno), "disk: No space left on device\n"));
}

/* A pipe that nobody reads takes so much and no more: who logs goes on. */
static void say_more_than_a_pipe_takes(void)
{
    for (int i = 0; i < 2000; i++)
        log_at(i % 4 ? LOG_LEVEL_NOTICE : LOG_LEVEL_ERR, NULL, "%0100d", i);
}

static void test_a_reader_that_hangs_holds_nobody_up_and_is_told_what_is_missing(void **state)
{
    static char text[1 << 17];
    size_t taken = 0;
    int ends[2];
    int err = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    say_more_than_a_pipe_takes();
    ssize_t n = read(ends[0], text, sizeof(text));
    assert_true(n > 60000);
    for (ssize_t i = 0; i < n; i++)
        taken += text[i] == '\n';
    assert_int_equal(text[n - 1], '\n'); /* whole lines */
    log_err(NULL, "after");
    n = read(ends[0], said, sizeof(said) - 1);
    assert_true(dup2(err, STDERR_FILENO) >= 0);
    close(err);
    close(ends[0]);
    close(ends[1]);
    assert_true(n > 0);
    said[n] = '\0';

    size_t missing = 0;
    size_t grave = 0;
    assert_int_equal(sscanf(said, "xhrd: warning: %zu lines are missing before this one, %zu",
                            &missing, &grave),
                     2);
    assert_int_equal(missing, 2000 - taken);
    assert_int_equal(grave, 2000 / 4 - (taken + 3) / 4);
    assert_non_null(strstr(said, "\nxhrd: err: after\n"));
    assert_string_equal(hear(say_errno), "xhrd: err: disk: No space left on device\n");
}

int main(void)
{
    (void)unsetenv("JOURNAL_STREAM");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels_have_names_and_numbers),
        cmocka_unit_test(test_ur16_control_characters_neither_move_the_cursor_nor_start_a_line),
        cmocka_unit_test(test_ur16_eight_bit_controls_are_escaped_and_text_is_left),
        cmocka_unit_test(test_ur16_a_line_without_end_is_cut),
        cmocka_unit_test(test_a_line_says_whom_it_is_about),
        cmocka_unit_test(test_what_is_below_the_level_is_not_said),
        cmocka_unit_test(test_errno_is_told_and_kept),
        cmocka_unit_test(test_a_reader_that_hangs_holds_nobody_up_and_is_told_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
