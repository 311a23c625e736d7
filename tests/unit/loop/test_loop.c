/* SPDX-License-Identifier: MIT */
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "loop/worker.h"
#include "support/test.h"

struct victim {
    struct reap reap; /* first: the reaper casts back */
    struct timer timer;
    struct loop *loop;
    bool *freed;
};

static void victim_reap(struct reap *self)
{
    struct victim *victim = (struct victim *)(void *)self;

    *victim->freed = true;
    loop_stop(victim->loop);
    free(victim);
}

static void victim_on_time(void *owner)
{
    struct victim *victim = owner;

    loop_defer_free(victim->loop, &victim->reap, victim_reap);
    assert_false(*victim->freed); /* its own frame is still on the stack */
}

static void test_an_object_may_end_itself_from_its_own_callback(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct victim *victim = calloc(1, sizeof(*victim));
    bool freed = false;

    (void)state;
    assert_non_null(victim);
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    victim->loop = loop;
    victim->freed = &freed;
    timer_init(&victim->timer, loop, victim_on_time, victim);
    assert_int_equal(timer_arm(&victim->timer, 0), 0);
    assert_int_equal(loop_run(loop), 0);
    assert_true(freed);
}

static void count_up(void *owner)
{
    ++*(int *)owner;
}

static void test_timers_fire_in_order_and_a_later_arming_moves_them(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct fake_clock clock;
    struct timer timers[100];
    int fired[100] = {0};

    (void)state;
    fake_clock_init(&clock, 0);
    assert_int_equal(loop_new(&loop, &clock.clock), 0);
    for (int i = 0; i < 100; i++) {
        timer_init(&timers[i], loop, count_up, &fired[i]);
        assert_int_equal(timer_arm(&timers[i], ((i * 37) % 100 + 1) * 1000), 0);
    }
    assert_int_equal(timer_arm(&timers[0], 500 * 1000), 0); /* was the first, now the last */
    timer_disarm(&timers[1]);
    fake_clock_advance_ms(&clock, 50);
    assert_int_equal(loop_turn(loop, false), 0);
    for (int i = 2; i < 100; i++)
        assert_int_equal(fired[i], (i * 37) % 100 + 1 <= 50);
    fake_clock_advance_ms(&clock, 100);
    assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(fired[0], 0);
    assert_int_equal(fired[1], 0);
    fake_clock_advance_ms(&clock, 400);
    assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(fired[0], 1);
    for (int i = 2; i < 100; i++)
        assert_int_equal(fired[i], 1);
}

static void test_a_wakeup_that_comes_early_is_armed_again(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct fake_clock clock; /* stands still, so that every wakeup is early */
    struct timer timer;
    int fired = 0;

    (void)state;
    fake_clock_init(&clock, 0);
    assert_int_equal(loop_new(&loop, &clock.clock), 0);
    timer_init(&timer, loop, count_up, &fired);
    assert_int_equal(timer_arm(&timer, 1000), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_turn(loop, true), 0); /* would sleep for ever */
    assert_int_equal(fired, 0);
    fake_clock_advance_ms(&clock, 1);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_int_equal(fired, 1);
}

static void test_a_deferred_task_runs_once_at_the_end_of_the_round(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    int runs = 0;
    struct deferred task = {.fn = count_up, .owner = &runs};
    struct deferred other = task;

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    loop_defer(loop, &task);
    loop_defer(loop, &task);
    loop_defer(loop, &other);
    loop_defer_cancel(loop, &other);
    assert_int_equal(runs, 0);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_int_equal(runs, 1);
}

struct story {
    struct loop *loop;
    struct deferred first;
    struct deferred later;
    struct deferred last;
    char text[8];
};

static void add_char(char *text, char c)
{
    size_t n = strlen(text);

    text[n] = c;
    text[n + 1] = '\0';
}

static void story_on_first(void *owner)
{
    struct story *story = owner;

    add_char(story->text, 'f');
    loop_defer(story->loop, &story->later);
}

static void story_on_later(void *owner)
{
    add_char(((struct story *)owner)->text, 'l');
}

static void story_on_last(void *owner)
{
    struct story *story = owner;

    add_char(story->text, '!');
    if (strlen(story->text) == 3)
        loop_defer(story->loop, &story->later); /* in this round still */
}

static void test_a_last_task_runs_when_all_others_of_the_round_are_done(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct story story = {.first = {.fn = story_on_first, .owner = &story},
                          .later = {.fn = story_on_later, .owner = &story},
                          .last = {.fn = story_on_last, .owner = &story}};
    struct deferred more = story.last;

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    story.loop = loop;
    loop_defer_last(loop, &story.last);
    loop_defer_last(loop, &more);
    loop_defer_cancel(loop, &more); /* the last of its queue */
    loop_defer(loop, &story.first);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_string_equal(story.text, "fl!l");
    loop_defer_last(loop, &more);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_string_equal(story.text, "fl!l!");
}

struct chain {
    struct loop *loop;
    struct deferred task;
    int runs;
};

static void chain_on_task(void *owner)
{
    struct chain *chain = owner;

    chain->runs++;
    loop_defer_next(chain->loop, &chain->task);
}

static void
test_a_task_for_the_next_round_may_go_on_for_ever_without_stopping_others(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct chain chain = {.task = {.fn = chain_on_task, .owner = &chain}};
    int runs = 0;
    struct deferred other = {.fn = count_up, .owner = &runs};

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    chain.loop = loop;
    loop_defer_next(loop, &chain.task);
    for (int i = 1; i <= 3; i++) {
        loop_defer(loop, &other);
        assert_int_equal(loop_turn(loop, true), 0);
        assert_int_equal(chain.runs, i);
        assert_int_equal(runs, i);
    }
    loop_defer_cancel(loop, &chain.task);
    loop_defer_next(loop, &other);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_int_equal(chain.runs, 3);
    assert_int_equal(runs, 4);
}

static void test_of_those_who_ask_for_a_turn_one_has_it_each_round(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    int runs[3] = {0};
    int others = 0;
    struct deferred turns[3];
    struct deferred other = {.fn = count_up, .owner = &others};

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    for (int i = 0; i < 3; i++) {
        turns[i] = (struct deferred){.fn = count_up, .owner = &runs[i]};
        loop_defer_turn(loop, &turns[i]);
        loop_defer_turn(loop, &turns[i]); /* twice is once */
    }
    loop_defer(loop, &other);
    assert_int_equal(loop_turn(loop, true), 0); /* does not wait: others have asked, too */
    assert_int_equal(runs[0], 1);
    assert_int_equal(runs[1], 0);
    assert_int_equal(others, 1);
    loop_defer_cancel(loop, &turns[1]);
    assert_int_equal(loop_turn(loop, true), 0);
    assert_int_equal(runs[1], 0);
    assert_int_equal(runs[2], 1);
    loop_defer_turn(loop, &turns[0]); /* the list had been emptied */
    assert_int_equal(loop_turn(loop, true), 0);
    assert_int_equal(runs[0], 2);
}

/* The queue knows neither how many are in it nor where they are. */
static void test_a_task_is_taken_back_from_anywhere_in_any_queue(void **state)
{
    static void (*const queue[])(struct loop * loop, struct deferred * task) = {
        loop_defer, loop_defer_next, loop_defer_turn};

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        for (int taken = 0; taken < 3; taken++) {
            CLEANUP(loop_free) struct loop *loop = NULL;
            int runs[4] = {0};
            struct deferred tasks[4];

            assert_int_equal(loop_new(&loop, clock_system()), 0);
            for (int i = 0; i < 4; i++)
                tasks[i] = (struct deferred){.fn = count_up, .owner = &runs[i]};
            for (int i = 0; i < 3; i++)
                queue[kind](loop, &tasks[i]);
            loop_defer_cancel(loop, &tasks[taken]);
            assert_false(deferred_is_queued(&tasks[taken]));
            loop_defer_cancel(loop, &tasks[taken]); /* again is nothing */
            queue[kind](loop, &tasks[3]);           /* behind who is the last now */
            for (int round = 0; round < 3; round++)
                assert_int_equal(loop_turn(loop, false), 0);
            for (int i = 0; i < 4; i++)
                assert_int_equal(runs[i], i == taken ? 0 : 1);
        }
    }
}

struct reader {
    struct loop *loop;
    struct watch watch;
    int fd;
    int rounds;
};

static void reader_on_ready(void *owner, unsigned ready)
{
    struct reader *reader = owner;
    char c;

    assert_int_equal(ready, WATCH_READ);
    assert_int_equal(read(reader->fd, &c, 1), 1);
    if (++reader->rounds == 2)
        assert_int_equal(watch_set(&reader->watch, 0), 0);
}

static void test_a_watch_without_interest_is_silent(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct reader reader = {0};
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    reader.fd = ends[0];
    assert_int_equal(watch_init(&reader.watch, loop, ends[0], reader_on_ready, &reader), 0);
    assert_int_equal(watch_set(&reader.watch, WATCH_READ), 0);
    assert_int_equal(write(ends[1], "abc", 3), 3);
    assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(reader.rounds, 1); /* what stays ready comes once a round */
    for (int i = 0; i < 5; i++)
        assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(reader.rounds, 2);
    watch_done(&reader.watch);
    close(ends[0]);
    close(ends[1]);
}

struct sum {
    struct job job; /* first */
    int a, b, result;
    int *n_done;
    bool was_cancelled;
};

static void sum_run(struct job *job)
{
    struct sum *sum = (struct sum *)(void *)job;

    sum->result = sum->a + sum->b;
}

static void sum_done(struct job *job)
{
    struct sum *sum = (struct sum *)(void *)job;

    sum->was_cancelled = job->cancelled;
    ++*sum->n_done;
}

static void test_every_job_is_done_exactly_once_cancelled_or_not(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(worker_pool_free) struct worker_pool *pool = NULL;
    static struct sum sums[500];
    int n_done = 0;

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&pool, loop, 4), 0);
    for (int i = 0; i < 500; i++) {
        sums[i] = (struct sum){.job = {.run = sum_run, .done = sum_done}, .a = i, .b = 1};
        sums[i].n_done = &n_done;
        assert_int_equal(worker_submit(pool, &sums[i].job), 0);
        if (i % 3 == 0)
            worker_cancel(pool, &sums[i].job);
    }
    while (n_done < 400)
        assert_int_equal(loop_turn(loop, true), 0);
    worker_drain(pool);
    assert_int_equal(n_done, 500);
    for (int i = 0; i < 500; i++) {
        assert_int_equal(sums[i].was_cancelled, i % 3 == 0);
        if (i % 3)
            assert_int_equal(sums[i].result, i + 1);
    }
}

struct hanger {
    struct job job; /* first */
    sem_t begun, over;
    int n_done;
};

static void hanger_run(struct job *job)
{
    struct hanger *hanger = (struct hanger *)(void *)job;

    (void)sem_post(&hanger->begun);
    (void)sem_wait(&hanger->over);
}

static void hanger_done(struct job *job)
{
    ((struct hanger *)(void *)job)->n_done++;
}

static void hanger_init(struct hanger *hanger, uint32_t lane)
{
    *hanger = (struct hanger){.job = {.run = hanger_run, .done = hanger_done, .lane = lane}};
    assert_int_equal(sem_init(&hanger->begun, 0, 0) + sem_init(&hanger->over, 0, 0), 0);
}

static bool has_begun(struct hanger *hanger)
{
    int begun = 0;

    assert_int_equal(sem_getvalue(&hanger->begun, &begun), 0);
    return begun > 0;
}

static void test_jobs_that_hang_hold_up_their_own_lane_and_no_other(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(worker_pool_free) struct worker_pool *pool = NULL;
    static struct hanger hangs[5], other[3];
    static struct sum sums[50];
    int n_done = 0;

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&pool, loop, 6), 0);
    worker_pool_set_lanes(pool, 2);
    for (int i = 0; i < 5; i++) {
        hanger_init(&hangs[i], 1000);
        assert_int_equal(worker_submit(pool, &hangs[i].job), 0);
    }
    assert_int_equal(sem_wait(&hangs[0].begun) + sem_wait(&hangs[1].begun), 0);
    for (int i = 0; i < 3; i++) {
        hanger_init(&other[i], 1001);
        assert_int_equal(worker_submit(pool, &other[i].job), 0);
    }
    assert_int_equal(sem_wait(&other[0].begun) + sem_wait(&other[1].begun), 0);
    for (int i = 0; i < 50; i++) { /* of many others, who take turns on the two that are left */
        sums[i] = (struct sum){
            .job = {.run = sum_run, .done = sum_done, .lane = 2000 + (uint32_t)i % 7},
            .a = i,
            .n_done = &n_done};
        assert_int_equal(worker_submit(pool, &sums[i].job), 0);
    }
    while (n_done < 50)
        assert_int_equal(loop_turn(loop, true), 0);
    assert_false(has_begun(&hangs[2]) || has_begun(&hangs[3]) || has_begun(&other[2]));

    worker_cancel(pool, &hangs[2].job); /* one that waits never runs */
    assert_int_equal(sem_post(&hangs[0].over), 0);
    assert_int_equal(sem_wait(&hangs[3].begun), 0);
    assert_false(has_begun(&hangs[2]) || has_begun(&hangs[4]));
    for (int i = 0; i < 5; i++)
        assert_int_equal(sem_post(&hangs[i].over), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sem_post(&other[i].over), 0);
    worker_drain(pool);
    for (int i = 0; i < 5; i++)
        assert_int_equal(hangs[i].n_done, 1);
    assert_true(hangs[2].job.cancelled && !has_begun(&hangs[2]) && has_begun(&hangs[4]));
    assert_int_equal(other[2].n_done, 1);
}

static void test_lanes_that_wait_take_turns(void **state)
{
    static const char *const order = "aababcbbb";
    CLEANUP(loop_free) struct loop *loop = NULL;
    CLEANUP(worker_pool_free) struct worker_pool *pool = NULL;
    static struct hanger jobs[9];
    static const int expected[9] = {0, 2, 5, 1, 4, 3, 6, 7, 8};

    (void)state;
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    assert_int_equal(worker_pool_new(&pool, loop, 1), 0);
    worker_pool_set_lanes(pool, 1);
    for (int i = 0; i < 9; i++) {
        hanger_init(&jobs[i], (uint32_t)order[i]);
        assert_int_equal(worker_submit(pool, &jobs[i].job), 0);
    }
    for (int i = 0; i < 9; i++) { /* one thread: the one that has begun is the next in order */
        assert_int_equal(sem_wait(&jobs[expected[i]].begun), 0);
        assert_int_equal(sem_post(&jobs[expected[i]].over), 0);
    }
    worker_drain(pool);
}

static void test_a_job_that_hangs_is_left_at_the_end_and_no_other(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    static struct worker_pool *pool; /* static: a thread uses them for ever */
    static struct hanger hangs, waits;
    struct worker_pool *quick = NULL;

    (void)state;
    log_set_level(LOG_LEVEL_ERR);
    assert_int_equal(loop_new(&loop, clock_system()), 0);
    hangs.job = (struct job){.run = hanger_run, .done = hanger_done};
    waits.job = hangs.job;
    assert_int_equal(sem_init(&hangs.begun, 0, 0) + sem_init(&hangs.over, 0, 0), 0);
    assert_int_equal(worker_pool_new(&pool, loop, 1), 0);
    assert_int_equal(worker_submit(pool, &hangs.job), 0);
    assert_int_equal(worker_submit(pool, &waits.job), 0);
    assert_int_equal(sem_wait(&hangs.begun), 0);

    assert_int_equal(worker_pool_new(&quick, loop, 1), 0);
    assert_null(worker_pool_leave(quick, INT64_C(60000000)));
    assert_null(worker_pool_leave(NULL, 0));
    assert_false(worker_has_left_any());

    assert_ptr_equal(worker_pool_leave(pool, 1000), pool);
    assert_true(worker_has_left_any());
    assert_int_equal(hangs.n_done, 0);
    assert_int_equal(waits.n_done, 1);
    assert_true(waits.job.cancelled);
    log_set_level(LOG_LEVEL_NOTICE);
}

struct waker {
    struct fake_clock clock;
    struct timer timer;
    unsigned fired;
};

static void waker_on_time(void *owner)
{
    ((struct waker *)owner)->fired++;
}

static void waker_on_ready(void *owner, unsigned ready)
{
    struct waker *waker = owner;

    (void)ready;
    assert_int_equal(timer_arm(&waker->timer, 5000000), 0);
}

static void test_a_timer_armed_after_a_long_wait_counts_from_its_end(void **state)
{
    CLEANUP(loop_free) struct loop *loop = NULL;
    struct waker waker = {.fired = 0};
    struct watch watch;
    int fds[2];

    (void)state;
    fake_clock_init(&waker.clock, 0);
    assert_int_equal(loop_new(&loop, &waker.clock.clock), 0);
    timer_init(&waker.timer, loop, waker_on_time, &waker);
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(watch_init(&watch, loop, fds[0], waker_on_ready, &waker), 0);
    assert_int_equal(watch_set(&watch, WATCH_READ), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    fake_clock_advance_ms(&waker.clock, 60000); /* while the loop slept */
    assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(waker.fired, 0);
    assert_int_equal(watch_set(&watch, 0), 0);
    fake_clock_advance_ms(&waker.clock, 5000);
    assert_int_equal(loop_turn(loop, false), 0);
    assert_int_equal(waker.fired, 1);
    watch_done(&watch);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_those_who_ask_for_a_turn_one_has_it_each_round),
        cmocka_unit_test(test_a_timer_armed_after_a_long_wait_counts_from_its_end),
        cmocka_unit_test(test_an_object_may_end_itself_from_its_own_callback),
        cmocka_unit_test(test_timers_fire_in_order_and_a_later_arming_moves_them),
        cmocka_unit_test(test_a_wakeup_that_comes_early_is_armed_again),
        cmocka_unit_test(test_a_deferred_task_runs_once_at_the_end_of_the_round),
        cmocka_unit_test(test_a_last_task_runs_when_all_others_of_the_round_are_done),
        cmocka_unit_test(
            test_a_task_for_the_next_round_may_go_on_for_ever_without_stopping_others),
        cmocka_unit_test(test_a_task_is_taken_back_from_anywhere_in_any_queue),
        cmocka_unit_test(test_a_watch_without_interest_is_silent),
        cmocka_unit_test(test_every_job_is_done_exactly_once_cancelled_or_not),
        cmocka_unit_test(test_jobs_that_hang_hold_up_their_own_lane_and_no_other),
        cmocka_unit_test(test_lanes_that_wait_take_turns),
        cmocka_unit_test(test_a_job_that_hangs_is_left_at_the_end_and_no_other),
    };

    return cmocka_run_group_tests_name("loop/loop", tests, NULL, NULL);
}
