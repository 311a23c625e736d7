/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A few threads for work that blocks: name look-ups, SQLite, trust stores, files. A job's run()
 * is called on a thread and touches only the job; its done() is called on the loop's thread.
 * Jobs start in the order in which they came.
 *
 * Where jobs are different people's and may hang, each has a lane: of one lane so many run at
 * once at most, lanes that wait take turns, and within one the order stays.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"

#define WORKER_LEAVE_US                                                                        \
    (1000 * 1000) /* what the end of the process has for a job that runs                       \
                   */

struct loop;
struct worker_lane;
struct worker_pool;

enum job_state { JOB_IDLE = 0, JOB_QUEUED, JOB_RUNNING, JOB_FINISHED };

/* Embedded at the owner's; the job's memory must live until done() has been called. */
struct job {
    struct link link;
    void (*run)(struct job *self);  /* on a thread */
    void (*done)(struct job *self); /* on the loop's thread, exactly once per submit */
    uint32_t lane;                  /* whose it is: a uid; 0 where nobody asks */
    struct worker_lane *in;         /* the pool's, while is_busy */
    enum job_state state;           /* the pool's, under its lock */
    bool is_busy;                   /* submitted, and done() has not been called */
    bool cancelled;                 /* read it in done(): nobody wants the result any more */
};

MUST_CHECK int worker_pool_new(struct worker_pool **ret, struct loop *loop, unsigned n_threads);

/* From now on at most @lane_max jobs of one lane run at once. To be called before the first. */
void worker_pool_set_lanes(struct worker_pool *pool, unsigned lane_max);

/* Waits for running jobs; queued ones are never run; done() of all of them is called first,
 * with cancelled set. */
struct worker_pool *worker_pool_free(struct worker_pool *pool);
DEFINE_CLEANUP(worker_pool, worker_pool_free)

/* For the end of the process, where a job may never come back: a name server or a file system
 * that hangs. As worker_pool_free(), but jobs that still run after @wait_us are left to
 * themselves: their done() is never called, and what they use, the pool too, must stay until
 * _exit(). Return: NULL, or @pool when a job was left. */
MUST_CHECK struct worker_pool *worker_pool_leave(struct worker_pool *pool, int64_t wait_us);

/* Whether a job was left: the process must end by _exit(). */
bool worker_has_left_any(void);

/* The threads start with the first job. Return: 0, -EAGAIN when no thread could be made, or
 * -ENOMEM. */
MUST_CHECK int worker_submit(struct worker_pool *pool, struct job *job);

/* Marks the job; done() still comes, later in this round or when run() ends. */
void worker_cancel(struct worker_pool *pool, struct job *job);

/* Blocks until every job submitted so far is done, done() calls included. For shutdown. */
void worker_drain(struct worker_pool *pool);
