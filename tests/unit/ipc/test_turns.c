/* SPDX-License-Identifier: MIT */
/* Who may be read from when several users are at work. */
#include "base/quota.h"
#include "ipc/turns.h"
#include "support/test.h"

static struct quota ann, bob;

static void test_who_is_alone_shares_with_nobody(void **state)
{
    struct turns turns = {0};

    (void)state;
    assert_false(turns_are_shared(&turns, 0));
    for (int64_t now = 1; now < 100; now++)
        turns_note(&turns, &ann, now);
    assert_false(turns_are_shared(&turns, 100));
    turns_note(&turns, &bob, 100);
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
        n += turns_take(&turns, &ann, 1, &of_ann[i]);
    assert_int_equal(n, TURNS_READS);
    assert_true(turns_take(&turns, &bob, 1, &of_bob));  /* has his own */
    assert_false(turns_take(&turns, &bob, 1, &of_bob)); /* once a client */
    assert_true(turns_take(&turns, &bob, 2, &of_bob));
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
            times[i] += turns_take(&turns, &ann, round, &passes[i]);
    for (int i = 0; i < 10; i++) {
        assert_true(times[i] >= 9 && times[i] <= 11);
    }
}

static void test_who_is_forgotten_loses_no_turn(void **state)
{
    static struct quota many[10 * TURNS_USERS];
    struct turns turns = {0};
    uint64_t passes[10 * TURNS_USERS] = {0};

    (void)state;
    for (uint64_t round = 1; round < 5; round++)
        for (int i = 0; i < 10 * TURNS_USERS; i++)
            assert_true(turns_take(&turns, &many[i], round, &passes[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_alone_shares_with_nobody),
        cmocka_unit_test(test_a_user_has_so_many_reads_a_round_however_many_clients),
        cmocka_unit_test(test_clients_of_a_user_come_in_rotation),
        cmocka_unit_test(test_who_is_forgotten_loses_no_turn),
    };
    return cmocka_run_group_tests_name("ipc/turns", tests, NULL, NULL);
}
