/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The one event loop. Everything of ours runs on its thread; blocking work goes to
 * loop/worker.h and comes back as a call on this thread.
 *
 * A round is: fd events, due timers, tasks put off to the round's end (coalesced writes), then
 * the dead are freed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/list.h"

struct event_base;
struct loop;

/* Embedded in every object that the loop may call back. */
struct reap {
    struct reap *next;
    void (*free_fn)(struct reap *self);
};

/* Something to do once at the end of this round. Embedded; zero is "not queued". */
struct deferred {
    struct deferred *next;
    struct deferred **at; /* what points to it in its queue; NULL: it is in none */
    void (*fn)(void *owner);
    void *owner;
};

/* @clock: borrowed; clock_system(), or a fake one that drives the timers of a test. */
MUST_CHECK int loop_new(struct loop **ret, const struct clock *clock);
struct loop *loop_free(struct loop *loop);
DEFINE_CLEANUP(loop, loop_free)

/**
 * loop_run() - dispatch rounds until loop_stop()
 *
 * Return: 0 after loop_stop(), -errno if the kernel's event queue failed.
 */
MUST_CHECK int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/**
 * loop_turn() - one round
 * @may_block: wait for something to happen, else only look
 * Return: 0 or -errno.
 */
MUST_CHECK int loop_turn(struct loop *loop, bool may_block);

const struct clock *loop_clock(const struct loop *loop);

/* Monotonic microseconds; read once per round, so cheap. */
int64_t loop_now_us(struct loop *loop);
int64_t loop_wall_s(const struct loop *loop);

/* Queue a task for the end of the round; queueing twice is once. */
void loop_defer(struct loop *loop, struct deferred *task);

/* The same, when all other tasks of the round are done: for what nobody waits for. */
void loop_defer_last(struct loop *loop, struct deferred *task);

/* Queue a task for the end of the next round, which does not wait for anything then. For a
 * task that queues itself as long as there is something to do: the others get their turn. */
void loop_defer_next(struct loop *loop, struct deferred *task);
void loop_defer_cancel(struct loop *loop, struct deferred *task);

static inline bool deferred_is_queued(const struct deferred *task)
{
    return task->at != NULL;
}

/* Something that takes as long as hundreds of other things, a step of a handshake, when the
 * owner's turn has come: one of them a round, in the order in which they asked, so that a
 * crowd of them costs everybody else one and not all. Asking twice is once.
 * loop_defer_cancel() takes it back. */
void loop_defer_turn(struct loop *loop, struct deferred *task);

/* How the loop has been going. A round has one turn at most, so what a crowd that takes turns
 * costs everybody else in a round is the longest of them. */
struct loop_stats {
    uint64_t rounds;
    uint64_t turns;
    uint64_t turn_cpu_ns; /* of this thread: that others compute as well does not count */
    uint64_t turn_cpu_ns_max;
};

struct loop_stats loop_stats(const struct loop *loop);

/**
 * loop_defer_free() - free an object once no frame of its own is on the stack
 * @reap:     embedded in the object; must not already be queued
 * @free_fn:  called after the present round of callbacks, once
 *
 * Closing an object is immediate: it leaves every list, its watches and timers are off, its
 * owner has had the last event. Only its memory lives to the end of the round.
 */
void loop_defer_free(struct loop *loop, struct reap *reap, void (*free_fn)(struct reap *self));

/* Which round it is. */
uint64_t loop_round(const struct loop *loop);

/* From a task: others come after it in this round. */
bool loop_has_tasks(const struct loop *loop);

/* So many descriptors were ready in this round that the next one will find more. */
bool loop_is_busy(const struct loop *loop);

/* For loop/ and net/ only, which wrap libevent for everyone else. */
struct event_base *loop_event_base(struct loop *loop);
