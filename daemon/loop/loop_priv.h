/* SPDX-License-Identifier: MIT */
#pragma once

#include "loop/loop.h"
#include "loop/timer.h"

struct event;

struct timer_heap {
    struct timer **slots; /* 1-based */
    size_t count;
    size_t capacity;
};

struct loop {
    struct event_base *base;
    const struct clock *clock;
    struct event *wakeup; /* fires when the first timer is due */
    struct timer_heap timers;
    struct deferred *tasks;
    struct deferred **tasks_tail;
    struct deferred *last_tasks; /* when all others of the round are done */
    struct deferred **last_tasks_tail;
    struct deferred *next_tasks; /* of the round to come */
    struct deferred **next_tasks_tail;
    struct loop_stats stats;
    struct deferred *turns; /* one of them a round */
    struct deferred **turns_tail;
    struct reap *dead;
    int64_t now_us;
    uint64_t round;
    int64_t wakeup_us; /* what wakeup is armed for; INT64_MAX: not armed */
    bool is_waiting;   /* for descriptors: now_us is of before */
    bool stopping;
    unsigned n_ready; /* descriptors that were, this round */
};

/* Runs what is due at loop->now_us. */
void timers_run_due(struct loop *loop);
/* When the first timer lies in the heap; INT64_MAX: none. */
int64_t timers_next_us(const struct loop *loop);
