/* SPDX-License-Identifier: MIT */
/* Which failures are tried again, and after how long. */
#include <errno.h>

#include "retry.h"
#include "support/test.h"

#define NOW_S 1000000000 /* Sun, 09 Sep 2001 01:46:40 GMT */

static int64_t waits(const struct cli_options *options, struct retry_outcome outcome)
{
    struct retry retry;

    outcome.now_s = NOW_S;
    retry_start(&retry, options, 0);
    return retry_wait(&retry, options, &outcome);
}

static void test_statuses_that_pass_are_those_of_curl(void **state)
{
    struct cli_options options = {.retries = 1};
    int count = 0;

    (void)state;
    for (int status = 100; status < 600; status++)
        count += waits(&options, (struct retry_outcome){.status = status}) >= 0;
    assert_int_equal(count, 6);
    static const int passing[] = {408, 429, 500, 502, 503, 504};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        assert_int_equal(waits(&options, (struct retry_outcome){.status = passing[i]}), 1000);
}

static void test_errors_that_pass(void **state)
{
    static const struct {
        int code;
        int sys_errno;
        bool plain, refused, all;
    } rows[] = {
        {EXIT_TIMEOUT, 0, true, true, true},
        {EXIT_DNS, 0, true, true, true},
        {EXIT_CONNECT, ECONNREFUSED, false, true, true},
        {EXIT_CONNECT, EHOSTUNREACH, false, false, true},
        {EXIT_EMPTY_REPLY, 0, false, false, true},
        {EXIT_TRUNCATED, 0, false, false, true},
        {EXIT_DAEMON, 0, false, false, true},
        {EXIT_USAGE, 0, false, false, false},
        {EXIT_URL, 0, false, false, false},
        {EXIT_WRITE, 0, false, false, false},
        {EXIT_ABORTED, 0, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct retry_outcome outcome = {.exit_code = rows[i].code,
                                        .sys_errno = rows[i].sys_errno};
        struct cli_options options = {.retries = 1};

        assert_int_equal(waits(&options, outcome) >= 0, rows[i].plain);
        options.retry_connrefused = true;
        assert_int_equal(waits(&options, outcome) >= 0, rows[i].refused);
        options.retry_all_errors = true;
        assert_int_equal(waits(&options, outcome) >= 0, rows[i].all);
    }
}

static void test_status_404_is_an_error_with_f_alone(void **state)
{
    struct cli_options options = {.retries = 1, .retry_all_errors = true};

    (void)state;
    assert_int_equal(waits(&options, (struct retry_outcome){.status = 404}), -1);
    assert_int_equal(
        waits(&options, (struct retry_outcome){.status = 404, .exit_code = EXIT_HTTP_STATUS}),
        1000);
}

static void test_waits_double_up_to_ten_minutes(void **state)
{
    struct cli_options options = {.retries = 12};
    struct retry_outcome outcome = {.status = 503};
    static const int64_t wanted[] = {1000,  2000,   4000,   8000,   16000,  32000,
                                     64000, 128000, 256000, 512000, 600000, 600000};
    struct retry retry;

    (void)state;
    retry_start(&retry, &options, 0);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(retry_wait(&retry, &options, &outcome), wanted[i]);
        retry_count(&retry, &options);
    }
    assert_int_equal(retry_wait(&retry, &options, &outcome), -1);
}

static void test_a_delay_that_is_given_stays(void **state)
{
    struct cli_options options = {.retries = 3, .retry_delay_ms = 70};
    struct retry retry;

    (void)state;
    retry_start(&retry, &options, 0);
    retry_count(&retry, &options);
    assert_int_equal(retry_wait(&retry, &options, &(struct retry_outcome){.status = 500}), 70);
}

static void test_ex13_retry_after_is_honoured_up_to_six_hours(void **state)
{
    struct cli_options options = {.retries = 1, .retry_delay_ms = 5000};
    static const struct {
        const char *value;
        int64_t wanted;
    } rows[] = {
        {"7", 7000},
        {"1", 5000}, /* ours is longer */
        {"0", 5000},
        {"21600", 21600000},
        {"21601", -1},
        {"1000000000", -1},
        {"99999999999999999999999999", -1},
        {"Sun, 09 Sep 2001 01:46:50 GMT", 10000},
        {"Sunday, 09-Sep-01 01:46:50 GMT", 10000},
        {"Sun Sep  9 01:46:50 2001", 10000},
        {"Sun, 09 Sep 2001 01:40:00 GMT", 5000}, /* it has passed */
        {"Fri, 31 Dec 9999 23:59:59 GMT", -1},
        {"", 5000},
        {"soon", 5000},
        {"-7", 5000},
        {"7.5", 5000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(waits(&options, (struct retry_outcome){.status = 503,
                                                                .retry_after = rows[i].value}),
                         rows[i].wanted);
}

static void test_no_try_begins_after_the_time_for_all_tries(void **state)
{
    struct cli_options options = {.retries = 9, .retry_max_time_ms = 10000};
    struct retry_outcome outcome = {.status = 503, .now_us = 9000000};
    struct retry retry;

    (void)state;
    retry_start(&retry, &options, 0);
    assert_int_equal(retry_wait(&retry, &options, &outcome), 1000);
    outcome.now_us++;
    outcome.now_us += 1000;
    assert_int_equal(retry_wait(&retry, &options, &outcome), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses_that_pass_are_those_of_curl),
        cmocka_unit_test(test_errors_that_pass),
        cmocka_unit_test(test_status_404_is_an_error_with_f_alone),
        cmocka_unit_test(test_waits_double_up_to_ten_minutes),
        cmocka_unit_test(test_a_delay_that_is_given_stays),
        cmocka_unit_test(test_ex13_retry_after_is_honoured_up_to_six_hours),
        cmocka_unit_test(test_no_try_begins_after_the_time_for_all_tries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
