/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "policy/rung_memory.h"
#include "policy/tls_ladder.h"
#include "support/test.h"

enum { TLS10 = 0x0301, TLS11, TLS12, TLS13 };

static const struct tls_trouble choke = {.in_first_flight = true, .alert = 70};

static void test_rungs_go_down_one_by_one_and_end_at_the_bottom(void **state)
{
    static const struct {
        uint16_t min, max;
        uint16_t rungs[4]; /* 0: stop */
    } rows[] = {
        {TLS10, TLS13, {TLS12, TLS11, TLS10}},
        {TLS11, TLS13, {TLS12, TLS11}},
        {TLS12, TLS13, {TLS12}},
        {TLS13, TLS13, {0}},
        {TLS10, TLS12, {TLS11, TLS10}},
        {TLS10, TLS11, {TLS10}},
        {TLS10, TLS10, {0}},
        {TLS12, TLS12, {0}},
        {TLS11, TLS11, {0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tls_ladder ladder;
        unsigned n = 0;

        tls_ladder_init(&ladder, rows[i].min, rows[i].max, 0);
        assert_int_equal(ladder.rung, 0);
        for (; rows[i].rungs[n]; n++) {
            assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STEP);
            assert_int_equal(ladder.rung, rows[i].rungs[n]);
        }
        assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STOP);
        assert_int_equal(ladder.n_extra, n);
        assert_true(n <= TLS_LADDER_EXTRA_MAX);
    }
}

/* Every alert there is, on every rung, in and behind the first flight. */
static void test_ts04_only_five_alerts_of_the_first_flight_are_a_reason(void **state)
{
    static const uint16_t rungs[] = {0, TLS12, TLS11, TLS10};

    (void)state;
    for (unsigned row = 0; row < 256U * 4 * 2 * 2; row++) {
        unsigned alert = row % 256;
        struct tls_ladder ladder = {
            .min_version = TLS10, .max_version = TLS13, .rung = rungs[row / 256 % 4]};
        struct tls_trouble trouble = {.in_first_flight = row & 1024,
                                      .alert = (uint8_t)alert,
                                      .was_pushed_down = row & 2048};
        bool is_reason =
            alert == 10 || alert == 40 || alert == 47 || alert == 50 || alert == 70;
        bool steps = is_reason && trouble.in_first_flight && !trouble.was_pushed_down &&
                     ladder.rung != TLS10;

        assert_int_equal(tls_ladder_next(&ladder, &trouble),
                         steps ? TLS_LADDER_STEP : TLS_LADDER_STOP);
    }
}

static void test_ts04_silence_reset_and_end_are_none_and_a_foreign_record_is(void **state)
{
    static const struct {
        struct tls_trouble trouble;
        int outcome;
    } rows[] = {
        {{0}, TLS_LADDER_STOP}, /* a timeout, a certificate */
        {{.in_first_flight = true}, TLS_LADDER_STOP},
        {{.in_first_flight = true, .is_foreign_record = true}, TLS_LADDER_STEP},
        {{.is_foreign_record = true}, TLS_LADDER_STOP},
        {{.in_first_flight = true, .is_foreign_record = true, .alert = 80}, TLS_LADDER_STOP},
        {{.was_pushed_down = true}, TLS_LADDER_STOP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tls_ladder ladder;

        tls_ladder_init(&ladder, TLS10, TLS13, 0);
        assert_int_equal(tls_ladder_next(&ladder, &rows[i].trouble), rows[i].outcome);
    }
}

static void test_a_rung_that_worked_is_begun_on_where_it_fits(void **state)
{
    static const struct {
        uint16_t min, max, remembered, rung;
    } rows[] = {
        {TLS10, TLS13, TLS11, TLS11}, {TLS10, TLS13, TLS10, TLS10},
        {TLS12, TLS13, TLS12, TLS12}, {TLS12, TLS13, TLS11, 0},
        {TLS10, TLS11, TLS11, 0},     {TLS10, TLS13, TLS13, 0},
        {TLS10, TLS13, 0, 0},         {TLS10, TLS13, 0x0300, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tls_ladder ladder;

        tls_ladder_init(&ladder, rows[i].min, rows[i].max, rows[i].remembered);
        assert_int_equal(ladder.rung, rows[i].rung);
        assert_int_equal(ladder.is_remembered, rows[i].rung != 0);
    }
}

static void test_ts05_what_is_out_of_date_begins_anew_from_the_top_once(void **state)
{
    static const struct {
        struct tls_trouble trouble;
        int outcome;
    } rows[] = {
        {{.in_first_flight = true, .alert = 86}, TLS_LADDER_ANEW},
        {{.in_first_flight = true, .alert = 70}, TLS_LADDER_ANEW},
        {{.was_pushed_down = true}, TLS_LADDER_ANEW},
        {{.alert = 86}, TLS_LADDER_STOP},
        {{.in_first_flight = true, .alert = 42}, TLS_LADDER_STOP},
        {{0}, TLS_LADDER_STOP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tls_ladder ladder;

        tls_ladder_init(&ladder, TLS10, TLS13, TLS11);
        assert_int_equal(tls_ladder_next(&ladder, &rows[i].trouble), rows[i].outcome);
        if (rows[i].outcome != TLS_LADDER_ANEW)
            continue;
        assert_int_equal(ladder.rung, 0);
        assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STEP);
        assert_int_equal(ladder.rung, TLS12);
        assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STEP);
        assert_int_equal(ladder.rung, TLS11);
        assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STOP);
        assert_int_equal(ladder.n_extra, TLS_LADDER_EXTRA_MAX);
    }
}

static void test_ts05_a_rung_that_is_refused_as_needless_ends_it(void **state)
{
    struct tls_trouble needless = {.in_first_flight = true, .alert = 86};
    struct tls_ladder ladder;

    (void)state;
    tls_ladder_init(&ladder, TLS10, TLS13, 0);
    assert_int_equal(tls_ladder_next(&ladder, &choke), TLS_LADDER_STEP);
    assert_int_equal(tls_ladder_next(&ladder, &needless), TLS_LADDER_STOP);
}

/* ---- what is remembered -------------------------------------------------------------------
 */

static struct origin origin_of(const char *host, uint16_t port)
{
    struct origin origin = {.is_https = true, .port = port};

    memcpy(origin.host, host, strlen(host));
    return origin;
}

static void test_a_rung_is_remembered_for_a_day_by_whom_and_where(void **state)
{
    struct rung_memory memory;
    struct partition who = {.uid = 1000};
    struct partition other = {.uid = 1000, .profile = "b"};
    struct partition stranger = {.uid = 1001};
    struct origin origin = origin_of("old.test", 443);
    struct origin port = origin_of("old.test", 8443);
    struct tls_place here = {&who, &origin};
    const struct tls_place elsewhere[] = {
        {&other, &origin}, {&stranger, &origin}, {&who, &port}};

    (void)state;
    rung_memory_init(&memory);
    assert_int_equal(rung_memory_find(&memory, &here, 100), 0);
    rung_memory_note(&memory, &here, TLS11, 100);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(rung_memory_find(&memory, &elsewhere[i], 100), 0);
    assert_int_equal(rung_memory_find(&memory, &here, 100 + 86399), TLS11);
    assert_int_equal(rung_memory_find(&memory, &here, 100 + 86400), 0);
    assert_int_equal(memory.count, 0);
    rung_memory_note(&memory, &here, TLS11, 100);
    rung_memory_note(&memory, &here, TLS10, 100);
    assert_int_equal(memory.count, 1);
    assert_int_equal(rung_memory_find(&memory, &here, 101), TLS10);
    assert_int_equal(rung_memory_find(&memory, &here, 99), 0); /* a clock set back */
    rung_memory_note(&memory, &here, TLS11, 100);
    rung_memory_drop(&memory, &here);
    rung_memory_drop(&memory, &here);
    assert_int_equal(rung_memory_find(&memory, &here, 100), 0);
    rung_memory_done(&memory);
}

static void test_what_is_remembered_is_bounded_and_the_unused_goes_first(void **state)
{
    struct rung_memory memory;
    struct partition who = {.uid = 1};
    struct origin origin = origin_of("old.test", 1);
    struct tls_place place = {&who, &origin};

    (void)state;
    rung_memory_init(&memory);
    for (unsigned port = 1; port <= RUNG_MEMORY_MAX + 1; port++) {
        origin.port = (uint16_t)port;
        rung_memory_note(&memory, &place, TLS10, 5);
        origin.port = 1;
        assert_int_equal(rung_memory_find(&memory, &place, 5), TLS10);
    }
    assert_int_equal(memory.count, RUNG_MEMORY_MAX);
    origin.port = 2;
    assert_int_equal(rung_memory_find(&memory, &place, 5), 0);
    rung_memory_done(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rungs_go_down_one_by_one_and_end_at_the_bottom),
        cmocka_unit_test(test_ts04_only_five_alerts_of_the_first_flight_are_a_reason),
        cmocka_unit_test(test_ts04_silence_reset_and_end_are_none_and_a_foreign_record_is),
        cmocka_unit_test(test_a_rung_that_worked_is_begun_on_where_it_fits),
        cmocka_unit_test(test_ts05_what_is_out_of_date_begins_anew_from_the_top_once),
        cmocka_unit_test(test_ts05_a_rung_that_is_refused_as_needless_ends_it),
        cmocka_unit_test(test_a_rung_is_remembered_for_a_day_by_whom_and_where),
        cmocka_unit_test(test_what_is_remembered_is_bounded_and_the_unused_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
