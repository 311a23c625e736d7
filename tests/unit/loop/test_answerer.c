/* SPDX-License-Identifier: MIT */
/* Asking somebody outside: every question ends once, and whatever is no answer is a refusal. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "loop/answerer.h"
#include "support/test.h"

struct asked {
    struct ask ask;
    int n_ended;
    char bytes[64];
    struct failure why; /* FAILURE_NONE: answered */
};

struct world {
    struct fake_clock clock;
    struct loop *loop;
    struct answerer *answerer;
    int n_sent;
    int n_withdrawn;
    int send_error;
    uint64_t last_id;
};

static int on_send(void *owner, const struct ask *ask)
{
    struct world *world = owner;

    world->n_sent++;
    world->last_id = ask->id;
    return world->send_error;
}

static void on_withdraw(void *owner, const struct ask *ask)
{
    struct world *world = owner;

    (void)ask;
    world->n_withdrawn++;
}

static const struct answerer_ops ops = {.send = on_send, .withdraw = on_withdraw};

static void asked_on_end(void *owner, struct span bytes, const struct failure *why)
{
    struct asked *asked = owner;

    asked->n_ended++;
    asked->why = why ? *why : (struct failure){0};
    (void)snprintf(asked->bytes, sizeof(asked->bytes), "%.*s", (int)bytes.len,
                   bytes.ptr ? bytes.ptr : "");
}

static void world_init(struct world *world)
{
    *world = (struct world){0};
    fake_clock_init(&world->clock, 0);
    assert_int_equal(loop_new(&world->loop, &world->clock.clock), 0);
    assert_int_equal(answerer_new(&world->answerer, world->loop, &ops, world), 0);
}

static void world_done(struct world *world)
{
    answerer_unref(world->answerer);
    loop_free(world->loop);
}

static void turn(struct world *world)
{
    assert_int_equal(loop_turn(world->loop, false), 0);
}

static void ask_about(struct world *world, struct asked *asked, size_t len)
{
    static char bytes[ASK_BYTES_MAX + 1];

    *asked = (struct asked){.ask = {.kind = ASK_SIGNATURE,
                                    .handle = 7,
                                    .host = SPAN_LIT("a.test"),
                                    .port = 443,
                                    .bytes = {bytes, len},
                                    .on_end = asked_on_end,
                                    .owner = asked}};
    assert_int_equal(ask_start(world->answerer, &asked->ask), 0);
    assert_int_equal(asked->n_ended, 0);
}

static void assert_refused(struct world *world, struct asked *asked, const char *what)
{
    turn(world);
    assert_int_equal(asked->n_ended, 1);
    assert_int_equal(asked->why.kind, FAILURE_TLS);
    assert_non_null(strstr(asked->why.text, what));
    turn(world);
    assert_int_equal(asked->n_ended, 1);
}

static void test_an_answer_reaches_who_asked_and_only_once(void **state)
{
    struct world world;
    struct asked first;
    struct asked second;

    (void)state;
    world_init(&world);
    ask_about(&world, &first, 5);
    ask_about(&world, &second, 5);
    assert_int_not_equal(first.ask.id, second.ask.id);
    assert_int_equal(answerer_answer(world.answerer, second.ask.id, SPAN_LIT("second")), 0);
    assert_int_equal(answerer_answer(world.answerer, first.ask.id, SPAN_LIT("first")), 0);
    assert_string_equal(first.bytes, "first");
    assert_string_equal(second.bytes, "second");
    assert_int_equal(answerer_answer(world.answerer, first.ask.id, SPAN_LIT("x")), -EINVAL);
    assert_int_equal(answerer_refuse(world.answerer, first.ask.id), -EINVAL);
    assert_int_equal(answerer_answer(world.answerer, 999, SPAN_LIT("x")), -EINVAL);
    assert_int_equal(first.n_ended + second.n_ended, 2);
    world_done(&world);
}

static void test_whatever_is_no_answer_is_a_refusal(void **state)
{
    struct world world;
    struct asked asked;

    (void)state;
    world_init(&world);
    ask_about(&world, &asked, 5);
    assert_int_equal(answerer_refuse(world.answerer, world.last_id), 0);
    assert_refused(&world, &asked, "a.test: the client was asked while connecting and refused");
    ask_about(&world, &asked, 5);
    assert_int_equal(answerer_answer(world.answerer, world.last_id, SPAN_LIT("")), 0);
    assert_refused(&world, &asked, "cannot be");
    ask_about(&world, &asked, 5);
    static const char much[ASK_BYTES_MAX + 1];
    struct span too_much = {much, sizeof(much)};
    assert_int_equal(answerer_answer(world.answerer, world.last_id, too_much), 0);
    assert_refused(&world, &asked, "cannot be");
    world.send_error = -ENOMEM;
    ask_about(&world, &asked, 5);
    assert_refused(&world, &asked, "could not be asked");
    world_done(&world);
}

static void test_the_deadline_is_a_refusal(void **state)
{
    struct world world;
    struct asked asked;
    struct asked in_a_hurry;

    (void)state;
    world_init(&world);
    ask_about(&world, &asked, 5);
    in_a_hurry = (struct asked){
        .ask = {.deadline_us = 1000000, .on_end = asked_on_end, .owner = &in_a_hurry}};
    assert_int_equal(ask_start(world.answerer, &in_a_hurry.ask), 0);
    fake_clock_advance_ms(&world.clock, 1000);
    turn(&world);
    assert_refused(&world, &in_a_hurry, "in time");
    assert_int_equal(asked.n_ended, 0);
    fake_clock_advance_ms(&world.clock, 59000);
    turn(&world);
    assert_refused(&world, &asked, "in time");
    assert_int_equal(world.n_withdrawn, 2);
    assert_int_equal(answerer_answer(world.answerer, asked.ask.id, SPAN_LIT("late")), -EINVAL);
    world_done(&world);
}

static void test_who_has_left_refuses_all_that_was_and_will_be_asked(void **state)
{
    struct world world;
    struct asked before;
    struct asked after;

    (void)state;
    world_init(&world);
    ask_about(&world, &before, 5);
    struct answerer *kept = answerer_ref(world.answerer); /* a key of the pool */
    answerer_leave(world.answerer);
    world.answerer = answerer_unref(world.answerer);
    world.answerer = kept;
    assert_refused(&world, &before, "has left");
    ask_about(&world, &after, 5);
    assert_refused(&world, &after, "has left");
    assert_int_equal(world.n_sent, 1); /* nobody calls an owner that is gone */
    assert_int_equal(world.n_withdrawn, 0);
    world_done(&world);
}

static void test_what_nobody_wants_to_know_any_more_is_withdrawn(void **state)
{
    struct world world;
    struct asked asked;

    (void)state;
    world_init(&world);
    ask_about(&world, &asked, 5);
    ask_cancel(&asked.ask);
    assert_int_equal(world.n_withdrawn, 1);
    ask_cancel(&asked.ask);
    assert_int_equal(world.n_withdrawn, 1);
    assert_int_equal(answerer_answer(world.answerer, world.last_id, SPAN_LIT("x")), -EINVAL);
    ask_about(&world, &asked, 5); /* and between the refusal and its telling */
    assert_int_equal(answerer_refuse(world.answerer, world.last_id), 0);
    ask_cancel(&asked.ask);
    assert_int_equal(world.n_withdrawn, 1);
    turn(&world);
    assert_int_equal(asked.n_ended, 0);
    world_done(&world);
}

static void test_nobody_is_asked_without_end(void **state)
{
    static struct asked many[ANSWERER_PENDING_MAX];
    struct world world;
    struct asked asked;

    (void)state;
    world_init(&world);
    ask_about(&world, &asked, ASK_BYTES_MAX + 1);
    assert_refused(&world, &asked, "too much");
    for (size_t i = 0; i < ANSWERER_PENDING_MAX; i++)
        ask_about(&world, &many[i], 1);
    ask_about(&world, &asked, 1);
    assert_refused(&world, &asked, "too much");
    assert_int_equal(world.n_sent, ANSWERER_PENDING_MAX);
    for (size_t i = 0; i < ANSWERER_PENDING_MAX; i++)
        ask_cancel(&many[i].ask);
    world_done(&world);
}

static void test_lack_of_memory_asks_nothing(void **state)
{
    struct world world;

    (void)state;
    world_init(&world);
    for (unsigned n = 1; n < 4; n++) {
        struct asked asked = {.ask = {.on_end = asked_on_end, .owner = &asked}};

        mem_fail_at(n);
        int r = ask_start(world.answerer, &asked.ask);
        mem_fail_at(0);
        if (r == 0)
            ask_cancel(&asked.ask);
        else
            assert_int_equal(r, -ENOMEM);
        turn(&world);
        assert_int_equal(asked.n_ended, 0);
    }
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_reaches_who_asked_and_only_once),
        cmocka_unit_test(test_whatever_is_no_answer_is_a_refusal),
        cmocka_unit_test(test_the_deadline_is_a_refusal),
        cmocka_unit_test(test_who_has_left_refuses_all_that_was_and_will_be_asked),
        cmocka_unit_test(test_what_nobody_wants_to_know_any_more_is_withdrawn),
        cmocka_unit_test(test_nobody_is_asked_without_end),
        cmocka_unit_test(test_lack_of_memory_asks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
