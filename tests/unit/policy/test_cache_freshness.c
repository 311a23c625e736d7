/* SPDX-License-Identifier: MIT */
#include "policy/cache_freshness.h"
#include "support/headers_test.h"

#define NOW   INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

#define AT_37 "Date: Sun, 06 Nov 1994 08:49:37 GMT\n"
#define AT_07 "Date: Sun, 06 Nov 1994 08:49:07 GMT\n"

struct asked {
    struct headers headers;
    struct cache_answer answer;
};

static void read_answer(struct asked *to, unsigned status, const char *fields)
{
    headers_read(&to->headers, fields);
    to->answer = (struct cache_answer){.status = status,
                                       .headers = &to->headers,
                                       .request_time_s = NOW,
                                       .response_time_s = NOW};
}

static void test_the_age_is_the_greater_of_what_date_and_age_say(void **state)
{
    static const struct {
        const char *fields;
        int64_t delay_s; /* between question and answer */
        int64_t later_s; /* since the answer */
        int64_t age_s;
    } rows[] = {
        {"", 0, 0, 0},
        {AT_37, 0, 5, 5},
        {AT_07, 0, 0, 30},
        {AT_07, 0, 5, 35},
        {AT_07 "Age: 40\n", 0, 5, 45},
        {AT_07 "Age: 10\n", 0, 5, 35},
        {AT_37 "Age: 10\n", 3, 0, 13},
        {AT_37, 3, 0, 3},
        /* a server whose clock is ahead */
        {"Date: Sun, 06 Nov 1994 09:49:37 GMT\n", 0, 7, 7},
        {"Date: yesterday\n", 0, 7, 7},
        {"Age: 10, 20\n", 0, 0, 10},
        {"Age: -5\n", 0, 0, 0},
        {"Age: ten\n", 0, 2, 2},
        {"Age: 99999999999999999999\n", 0, 0, CACHE_SECONDS_MAX},
        /* our clock went back: a little is nothing, more and nobody knows */
        {AT_37, 0, -60, 0},
        {AT_37, 0, -61, CACHE_SECONDS_MAX},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct asked asked;

        read_answer(&asked, 200, rows[i].fields);
        asked.answer.request_time_s -= rows[i].delay_s;
        int64_t age_s = cache_age_s(&asked.answer, NOW + rows[i].later_s);
        if (age_s != rows[i].age_s)
            fail_msg("%s: %lld", rows[i].fields, (long long)age_s);
        headers_done(&asked.headers);
    }
}

static void test_the_lifetime_is_max_age_else_expires_else_a_tenth(void **state)
{
    static const struct {
        unsigned status;
        const char *fields;
        int64_t lifetime_s;
    } rows[] = {
        {200, "", 0},
        {200, "Cache-Control: max-age=60\n", 60},
        {200, AT_37 "Cache-Control: max-age=60\nExpires: Sun, 06 Nov 1994 08:49:47 GMT\n", 60},
        {200, "Cache-Control: s-maxage=60\n", 0},
        {200, AT_37 "Expires: Sun, 06 Nov 1994 08:49:47 GMT\n", 10},
        {200, AT_07 "Expires: Sun, 06 Nov 1994 08:49:47 GMT\n", 40},
        {200, "Expires: Sun, 06 Nov 1994 08:49:47 GMT\n", 10},
        {200, AT_37 "Expires: Sun, 06 Nov 1994 08:49:30 GMT\n", 0},
        {200, AT_37 "Expires: 0\nLast-Modified: Sun, 06 Nov 1994 07:49:37 GMT\n", 0},
        {200, AT_37 "Last-Modified: Sun, 06 Nov 1994 08:47:57 GMT\n", 10},
        {404, AT_37 "Last-Modified: Sun, 06 Nov 1994 08:47:57 GMT\n", 10},
        {302, AT_37 "Last-Modified: Sun, 06 Nov 1994 08:47:57 GMT\n", 0},
        {302, AT_37 "Last-Modified: Sun, 06 Nov 1994 08:47:57 GMT\nCache-Control: public\n",
         10},
        {200, AT_37 "Last-Modified: Thu, 06 Nov 1986 08:47:57 GMT\n", CACHE_HEURISTIC_MAX_S},
        {200, AT_37 "Last-Modified: Sun, 06 Nov 1994 09:00:00 GMT\n", 0},
        {200, AT_37 "Last-Modified: once\n", 0},
        {200, "Cache-Control: max-age=nonsense\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct asked asked;

        read_answer(&asked, rows[i].status, rows[i].fields);
        int64_t lifetime_s = cache_lifetime_s(&asked.answer);
        if (lifetime_s != rows[i].lifetime_s)
            fail_msg("%s: %lld", rows[i].fields, (long long)lifetime_s);
        headers_done(&asked.headers);
    }
}

static void test_what_may_be_done_with_it_now(void **state)
{
    static const struct {
        const char *answer; /* Cache-Control of a 200 */
        int64_t age_s;
        const char *request;
        enum cache_verdict verdict;
        bool serves_on_error;
    } rows[] = {
        {"max-age=60", 0, "", CACHE_FRESH, false},
        {"max-age=60", 59, "", CACHE_FRESH, false},
        {"max-age=60", 60, "", CACHE_VALIDATE, false},
        {"max-age=60, no-cache", 0, "", CACHE_VALIDATE, false},
        {"max-age=60", 0, "no-cache", CACHE_VALIDATE, false},
        {"max-age=60", 0, "max-age=0", CACHE_VALIDATE, false},
        {"max-age=60", 10, "max-age=11", CACHE_FRESH, false},
        {"max-age=60", 11, "max-age=11", CACHE_VALIDATE, false},
        {"max-age=60", 50, "min-fresh=10", CACHE_FRESH, false},
        {"max-age=60", 51, "min-fresh=10", CACHE_VALIDATE, false},
        {"max-age=60", 51, "min-fresh=10, max-stale", CACHE_VALIDATE, false},
        {"max-age=60", 70, "max-stale", CACHE_STALE_IS_OK, false},
        {"max-age=60", 70, "max-stale=10", CACHE_STALE_IS_OK, false},
        {"max-age=60", 71, "max-stale=10", CACHE_VALIDATE, false},
        {"max-age=60, must-revalidate", 70, "max-stale", CACHE_VALIDATE, false},
        {"max-age=60", 70, "max-stale=20, max-age=65", CACHE_VALIDATE, false},
        {"max-age=60", 59, "max-stale", CACHE_FRESH, false},
        {"max-age=60, stale-if-error=10", 70, "", CACHE_VALIDATE, true},
        {"max-age=60, stale-if-error=10", 71, "", CACHE_VALIDATE, false},
        {"max-age=60, stale-if-error=10", 5, "", CACHE_FRESH, true},
        {"max-age=60, stale-if-error=10", 5, "no-cache", CACHE_VALIDATE, true},
        {"max-age=60", 70, "stale-if-error=10", CACHE_VALIDATE, true},
        {"max-age=60, must-revalidate, stale-if-error=10", 65, "", CACHE_VALIDATE, false},
        {"max-age=60, no-cache, stale-if-error=10", 65, "", CACHE_VALIDATE, false},
        {"max-age=60, must-revalidate", 70, "stale-if-error=10", CACHE_VALIDATE, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct asked asked;
        struct cache_control request = {0};
        struct cache_judgement found;

        read_answer(&asked, 200, "");
        assert_int_equal(
            headers_add(&asked.headers, SPAN_LIT("Cache-Control"), span_of(rows[i].answer)), 0);
        cache_control_add(&request, span_of(rows[i].request));
        cache_judge(&asked.answer, &request, NOW + rows[i].age_s, &found);
        if (found.verdict != rows[i].verdict ||
            found.serves_on_error != rows[i].serves_on_error)
            fail_msg("%s at %lld with %s: %d %d", rows[i].answer, (long long)rows[i].age_s,
                     rows[i].request, found.verdict, found.serves_on_error);
        assert_int_equal(found.age_s, rows[i].age_s);
        assert_int_equal(found.lifetime_s, 60);
        headers_done(&asked.headers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_age_is_the_greater_of_what_date_and_age_say),
        cmocka_unit_test(test_the_lifetime_is_max_age_else_expires_else_a_tenth),
        cmocka_unit_test(test_what_may_be_done_with_it_now),
    };

    return cmocka_run_group_tests_name("policy/cache_freshness", tests, NULL, NULL);
}
