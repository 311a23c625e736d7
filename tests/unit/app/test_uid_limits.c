/* SPDX-License-Identifier: MIT */
/* Who may keep how much: all the same, and some otherwise. */
#include <errno.h>

#include "app/config.h"
#include "app/uid_limits.h"
#include "base/mem.h"
#include "support/test.h"

#define ALICE 1000
#define BOB   1001

static struct uid_limits limits;
static struct kept_limits general;
static struct kept_limits own;

static int begin(void **state)
{
    struct config config;

    (void)state;
    config_init(&config);
    general = own = kept_limits_of(&config);
    own.jars_max = 2;
    uid_limits_init(&limits, &general);
    return 0;
}

static int end(void **state)
{
    (void)state;
    uid_limits_done(&limits);
    return 0;
}

static void test_a_uid_has_what_is_said_of_it_and_the_others_what_all_have(void **state)
{
    (void)state;
    assert_int_equal(uid_limits_set(&limits, ALICE, &own), 1);
    assert_int_equal(uid_limits_of(&limits, ALICE)->jars_max, 2);
    assert_int_equal(uid_limits_of(&limits, BOB)->jars_max, 256);
    assert_int_equal(uid_limits_set(&limits, ALICE, &own), 0); /* nothing new */
    assert_int_equal(uid_limits_set(&limits, BOB, NULL), 0);
    assert_int_equal(uid_limits_set(&limits, ALICE, NULL), 1);
    assert_int_equal(uid_limits_of(&limits, ALICE)->jars_max, 256);
    assert_int_equal(limits.by_uid.count, 0);
}

static void test_every_limit_is_told_from_what_all_have(void **state)
{
    struct kept_limits *rows = mem_array(10, sizeof(*rows));

    (void)state;
    assert_non_null(rows);
    for (size_t i = 0; i < 10; i++)
        rows[i] = general;
    rows[0].jars_max--;
    rows[1].session_grace_us--;
    rows[2].jar.cookies_max--;
    rows[3].jar.site_cookies_max--;
    rows[4].jar.header_cookies_max--;
    rows[5].jar.header_bytes_max--;
    rows[6].jar.response_cookies_max--;
    rows[7].jar.bytes_max--;
    rows[8].cache.bytes_max--;
    rows[9].cache.body_bytes_max--;
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(uid_limits_set(&limits, ALICE, &rows[i]), 1);
        assert_int_equal(uid_limits_set(&limits, ALICE, &rows[i]), 0);
    }
    mem_free(rows);
}

static void test_a_reload_without_rules_forgets_whom_they_were_about(void **state)
{
    struct kept_limits more = general;

    (void)state;
    more.jars_max = 300;
    assert_int_equal(uid_limits_set(&limits, ALICE, &own), 1);
    uid_limits_set_general(&limits, &more, true);
    assert_int_equal(uid_limits_of(&limits, ALICE)->jars_max, 2); /* until he comes again */
    assert_int_equal(uid_limits_of(&limits, BOB)->jars_max, 300);
    uid_limits_set_general(&limits, &more, false);
    assert_int_equal(uid_limits_of(&limits, ALICE)->jars_max, 300);
}

static void test_without_memory_a_uid_has_what_it_had(void **state)
{
    (void)state;
    mem_fail_at(1);
    assert_int_equal(uid_limits_set(&limits, ALICE, &own), -ENOMEM);
    mem_fail_at(0);
    assert_int_equal(uid_limits_of(&limits, ALICE)->jars_max, 256);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_uid_has_what_is_said_of_it_and_the_others_what_all_have),
        TEST(test_every_limit_is_told_from_what_all_have),
        TEST(test_a_reload_without_rules_forgets_whom_they_were_about),
        TEST(test_without_memory_a_uid_has_what_it_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
