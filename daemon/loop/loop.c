/* SPDX-License-Identifier: MIT */
#include "loop/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <time.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/loop_priv.h"

#define BUSY_READY_MIN 4 /* descriptors, in one round */

static void wakeup_cb(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;

    (void)fd;
    (void)what;
    /* The round itself runs the timers. The kernel's clock may be a little ahead of ours, and
     * then none is due yet: the wakeup must be armed anew all the same. */
    loop->wakeup_us = INT64_MAX;
}

int loop_new(struct loop **ret, const struct clock *clock)
{
    CLEANUP(loop_free) struct loop *loop = mem_zalloc(sizeof(*loop));

    if (!loop)
        return fault(-ENOMEM);
    loop->clock = clock;
    loop->now_us = clock_mono_us(clock);
    loop->wakeup_us = INT64_MAX;
    loop->tasks_tail = &loop->tasks;
    loop->last_tasks_tail = &loop->last_tasks;
    loop->next_tasks_tail = &loop->next_tasks;
    loop->turns_tail = &loop->turns;
    loop->base = event_base_new();
    if (!loop->base)
        return fault(-ENOMEM);
    loop->wakeup = event_new(loop->base, -1, 0, wakeup_cb, loop);
    if (!loop->wakeup)
        return fault(-ENOMEM);

    *ret = TAKE(loop);
    return 0;
}

static void queue_task(struct deferred ***tail, struct deferred *task)
{
    if (task->at)
        return;
    task->next = NULL;
    task->at = *tail;
    **tail = task;
    *tail = &task->next;
}

/* @tail: of the queue it is in, if it is the last there. */
static void unqueue_task(struct deferred ***tail, struct deferred *task)
{
    INVARIANT(task->at);
    *task->at = task->next;
    if (task->next)
        task->next->at = task->at;
    else
        *tail = task->at;
    task->at = NULL;
}

static void run_first(struct deferred *first, struct deferred ***tail)
{
    unqueue_task(tail, first);
    first->fn(first->owner);
}

/* Two calls of the kernel, beside something that costs as much as hundreds. */
static uint64_t thread_cpu_ns(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* One, however many wait. */
static void run_turn(struct loop *loop)
{
    if (!loop->turns)
        return;
    uint64_t begun_ns = thread_cpu_ns();
    run_first(loop->turns, &loop->turns_tail);
    uint64_t took_ns = thread_cpu_ns() - begun_ns;
    loop->stats.turns++;
    loop->stats.turn_cpu_ns += took_ns;
    if (took_ns > loop->stats.turn_cpu_ns_max)
        loop->stats.turn_cpu_ns_max = took_ns;
}

struct loop_stats loop_stats(const struct loop *loop)
{
    return loop->stats;
}

/* A task may queue itself or others again: they run in this round too. */
static void run_tasks(struct loop *loop)
{
    while (loop->tasks || loop->last_tasks) {
        if (loop->tasks)
            run_first(loop->tasks, &loop->tasks_tail);
        else
            run_first(loop->last_tasks, &loop->last_tasks_tail);
    }
}

static void adopt_next_tasks(struct loop *loop)
{
    if (!loop->next_tasks)
        return;
    *loop->tasks_tail = loop->next_tasks;
    loop->next_tasks->at = loop->tasks_tail;
    loop->tasks_tail = loop->next_tasks_tail;
    loop->next_tasks = NULL;
    loop->next_tasks_tail = &loop->next_tasks;
}

/* Freeing one object may close others: go on until nobody is left. */
static void reap_dead(struct loop *loop)
{
    while (loop->dead) {
        struct reap *one = loop->dead;

        loop->dead = one->next;
        one->free_fn(one);
    }
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    if (loop->tasks_tail)
        run_tasks(loop);
    reap_dead(loop);
    if (loop->wakeup)
        event_free(loop->wakeup);
    if (loop->base)
        event_base_free(loop->base);
    mem_free(loop->timers.slots);
    return mem_free(loop);
}

static int arm_wakeup(struct loop *loop)
{
    int64_t next_us = timers_next_us(loop);

    if (next_us == loop->wakeup_us)
        return 0;
    loop->wakeup_us = next_us;
    if (next_us == INT64_MAX)
        return event_del(loop->wakeup);

    int64_t delay_us = next_us - loop->now_us;
    if (delay_us < 0)
        delay_us = 0;
    struct timeval tv = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    return event_add(loop->wakeup, &tv);
}

int loop_turn(struct loop *loop, bool may_block)
{
    adopt_next_tasks(loop);
    if (loop->tasks || loop->last_tasks || loop->turns || loop->dead ||
        timers_next_us(loop) <= loop->now_us)
        may_block = false;
    if (may_block && arm_wakeup(loop) < 0)
        return fault(-ENOMEM);
    loop->is_waiting = true;
    loop->n_ready = 0;
    loop->round++;
    if (event_base_loop(loop->base, EVLOOP_ONCE | (may_block ? 0 : EVLOOP_NONBLOCK)) < 0)
        return fault(-EIO);
    loop->is_waiting = false;
    loop->now_us = clock_mono_us(loop->clock);
    loop->stats.rounds++;
    timers_run_due(loop);
    run_turn(loop);
    run_tasks(loop);
    reap_dead(loop);
    return 0;
}

int loop_run(struct loop *loop)
{
    loop->stopping = false;
    while (!loop->stopping) {
        int r = loop_turn(loop, true);
        if (r < 0)
            return r;
    }
    return 0;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    event_base_loopbreak(loop->base);
}

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

uint64_t loop_round(const struct loop *loop)
{
    return loop->round;
}

int64_t loop_now_us(struct loop *loop)
{
    /* The first to ask after a wait finds the time that has passed in it: a timer armed from a
     * descriptor's callback would else be due before it was armed. */
    if (loop->is_waiting) {
        loop->is_waiting = false;
        loop->now_us = clock_mono_us(loop->clock);
    }
    return loop->now_us;
}

int64_t loop_wall_s(const struct loop *loop)
{
    return clock_wall_s(loop->clock);
}

void loop_defer(struct loop *loop, struct deferred *task)
{
    queue_task(&loop->tasks_tail, task);
}

void loop_defer_last(struct loop *loop, struct deferred *task)
{
    queue_task(&loop->last_tasks_tail, task);
}

void loop_defer_next(struct loop *loop, struct deferred *task)
{
    queue_task(&loop->next_tasks_tail, task);
}

void loop_defer_turn(struct loop *loop, struct deferred *task)
{
    queue_task(&loop->turns_tail, task);
}

/* Which queue it is in matters to the last of one alone. */
static struct deferred ***tail_of_last(struct loop *loop, const struct deferred *task)
{
    if (loop->tasks_tail == &task->next)
        return &loop->tasks_tail;
    if (loop->last_tasks_tail == &task->next)
        return &loop->last_tasks_tail;
    return loop->next_tasks_tail == &task->next ? &loop->next_tasks_tail : &loop->turns_tail;
}

void loop_defer_cancel(struct loop *loop, struct deferred *task)
{
    if (task->at)
        unqueue_task(tail_of_last(loop, task), task);
}

void loop_defer_free(struct loop *loop, struct reap *reap, void (*free_fn)(struct reap *self))
{
    reap->free_fn = free_fn;
    reap->next = loop->dead;
    loop->dead = reap;
}

bool loop_has_tasks(const struct loop *loop)
{
    return loop->tasks != NULL;
}

bool loop_is_busy(const struct loop *loop)
{
    return loop->n_ready >= BUSY_READY_MIN;
}

struct event_base *loop_event_base(struct loop *loop)
{
    return loop->base;
}
