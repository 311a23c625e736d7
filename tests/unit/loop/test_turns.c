/* SPDX-License-Identifier: MIT */
/* Who may be read from when several users are at work. */
#include "loop/turns.h"
#include "support/test.h"

static const uint64_t ann = 1, bob = 2;

static void test_who_is_alone_shares_with_nobody(void **state)
{
    struct turns turns = {0};

    (void)state;
    assert_false(turns_are_shared(&turns, 0));
    for (int64_t now = 1; now < 100; now++)
        turns_note(&turns, ann, now);
    assert_false(turns_are_shared(&turns, 100));
    turns_note(&turns, bob, 100);
    assert_true(turns_are_shared(&turns, 100));
    assert_true(turns_are_shared(&turns, 99 + TURNS_RECENT_US - 1));
    assert_false(turns_are_shared(&turns, 99 + TURNS_RECENT_US)); /* ann is at rest */
}

static void test_a_user_has_so_many_reads_a_round_however_many_clients(void **state)
{
    struct turns turns = {0};
    uint64_t of_ann[100] = {0};
    uint64_t of_bob = 0;
    unsigned n = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        n += turns_take(&turns, ann, 1, &of_ann[i]) > 0;
    assert_int_equal(n, TURNS_READS);
    assert_true(turns_take(&turns, bob, 1, &of_bob) > 0);     /* has his own */
    assert_int_equal(turns_take(&turns, bob, 1, &of_bob), 0); /* once a client */
    assert_true(turns_take(&turns, bob, 2, &of_bob) > 0);
}

static void test_clients_of_a_user_come_in_rotation(void **state)
{
    struct turns turns = {0};
    uint64_t passes[10] = {0};
    unsigned times[10] = {0};
    uint64_t n_rounds = 10 * ((10 + TURNS_READS - 1) / TURNS_READS); /* ten times for each */

    (void)state;
    for (uint64_t round = 1; round <= n_rounds; round++) /* always asked in the same order */
        for (int i = 0; i < 10; i++)
            times[i] += turns_take(&turns, ann, round, &passes[i]) > 0;
    for (int i = 0; i < 10; i++) {
        assert_true(times[i] >= 9 && times[i] <= 11);
    }
}

static void test_who_is_forgotten_loses_no_turn(void **state)
{
    struct turns turns = {0};
    uint64_t passes[10 * TURNS_USERS] = {0};

    (void)state;
    for (uint64_t round = 1; round < 5; round++)
        for (int i = 0; i < 10 * TURNS_USERS; i++)
            assert_true(turns_take(&turns, (uint64_t)i + 1, round, &passes[i]) > 0);
}

static size_t take(struct turns *turns, uint64_t user, uint64_t round)
{
    uint64_t pass = 0;

    return turns_take(turns, user, round, &pass);
}

static void test_who_has_much_done_waits_a_microsecond_for_each_byte(void **state)
{
    struct turns turns = {0};

    (void)state;
    turns_spend(&turns, ann, TURNS_MUCH_BYTES, 1000);
    assert_int_equal(turns_wait_us(&turns, ann, 1000), 0);
    turns_spend(&turns, ann, 20000, 1000);
    assert_int_equal(turns_wait_us(&turns, ann, 1000), 20000);
    assert_int_equal(turns_wait_us(&turns, ann, 20999), 1);
    assert_int_equal(turns_wait_us(&turns, ann, 21000), 0);
    assert_int_equal(turns_wait_us(&turns, bob, 1000), 0);
    turns_spend(&turns, ann, SIZE_MAX, 30000);
    assert_int_equal(turns_wait_us(&turns, ann, 30000), TURNS_WAIT_US_MAX);
}

static void test_after_much_work_so_few_bytes_are_read_that_they_hold_one_message(void **state)
{
    struct turns turns = {0};
    uint64_t round = 0;

    (void)state;
    assert_int_equal(take(&turns, ann, ++round), TURNS_READ_BYTES);
    assert_int_equal(turns_most(&turns, ann, 65536), 65536);
    turns_spend(&turns, ann, 20000, 0);
    for (size_t most = TURNS_LEAST_BYTES; most <= TURNS_READ_BYTES; most *= 2) {
        assert_int_equal(turns_most(&turns, ann, 65536), most); /* alone or not */
        assert_int_equal(take(&turns, ann, ++round), most);
        turns_spend(&turns, ann, 100, 0);
    }
    assert_int_equal(turns_most(&turns, ann, 65536), 65536);
    assert_int_equal(turns_most(&turns, bob, 65536), 65536);
    assert_int_equal(take(&turns, bob, ++round), TURNS_READ_BYTES);
}

static void test_servers_of_a_user_have_so_many_bytes_a_round_in_rotation(void **state)
{
    struct turns turns = {0};
    uint64_t passes[10] = {0};
    size_t bytes[10] = {0};
    uint64_t of_bob = 0;

    (void)state;
    for (uint64_t round = 1; round <= 100; round++) {
        size_t of_round = 0;

        for (int i = 0; i < 10; i++) { /* always asked in the same order */
            size_t most = turns_take_down(&turns, ann, round, &passes[i]);

            turns_took_down(&turns, ann, most);
            bytes[i] += most;
            of_round += most;
        }
        assert_int_equal(of_round, TURNS_DOWN_BYTES);
        assert_int_equal(turns_take_down(&turns, bob, round, &of_bob), TURNS_DOWN_BYTES);
        turns_took_down(&turns, bob, 100); /* alone: each round */
    }
    for (int i = 0; i < 10; i++)
        assert_int_equal(bytes[i], 10 * TURNS_DOWN_BYTES);
}

static void test_many_short_answers_of_a_user_are_one_rounds(void **state)
{
    struct turns turns = {0};

    (void)state;
    for (int i = 0; i <= (TURNS_DOWN_BYTES - TURNS_DOWN_LEAST) / 1024; i++) {
        uint64_t pass = 0;

        assert_true(turns_take_down(&turns, ann, 1, &pass) >= TURNS_DOWN_LEAST);
        turns_took_down(&turns, ann, 1024);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_alone_shares_with_nobody),
        cmocka_unit_test(test_a_user_has_so_many_reads_a_round_however_many_clients),
        cmocka_unit_test(test_clients_of_a_user_come_in_rotation),
        cmocka_unit_test(test_who_is_forgotten_loses_no_turn),
        cmocka_unit_test(test_servers_of_a_user_have_so_many_bytes_a_round_in_rotation),
        cmocka_unit_test(test_many_short_answers_of_a_user_are_one_rounds),
        cmocka_unit_test(test_who_has_much_done_waits_a_microsecond_for_each_byte),
        cmocka_unit_test(test_after_much_work_so_few_bytes_are_read_that_they_hold_one_message),
    };
    return cmocka_run_group_tests_name("loop/turns", tests, NULL, NULL);
}
