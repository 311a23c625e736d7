/* SPDX-License-Identifier: MIT */
#include "loop/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/watch.h"

#define THREADS_MAX    32
#define RING_TRIES_MAX 100
#define USEC_PER_SEC   1000000
#define NSEC_PER_SEC   1000000000

static atomic_bool has_left_any;

/* Those of its jobs that wait; it is there as long as any job of it is busy. */
struct worker_lane {
    struct map_node node; /* by its number; the loop's thread */
    uint32_t number;
    unsigned n_busy;    /* the loop's thread */
    unsigned n_running; /* under lock, as all that follows */
    struct link ready;  /* in pool->ready: the next of its jobs may start */
    struct link queued;
};

struct worker_pool {
    struct loop *loop;
    struct watch watch;
    int event_fd;
    unsigned n_threads; /* that run */
    unsigned max_threads;
    unsigned n_idle;      /* under lock */
    unsigned n_queued;    /* under lock */
    unsigned n_running;   /* under lock */
    unsigned n_pending;   /* submitted, done() not called yet; loop's thread only */
    bool stopping;        /* under lock */
    unsigned lane_max;    /* jobs of a lane that run at once */
    struct map lanes;     /* the loop's thread */
    struct link ready;    /* under lock: lanes, whose turn it is first */
    struct link finished; /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;      /* there is a job, or an end */
    pthread_cond_t completed; /* a job has finished: worker_drain() */
    pthread_t threads[THREADS_MAX];
};

/* A job that is done and that nobody hears of would be waited for for ever. */
static void ring(struct worker_pool *pool)
{
    uint64_t one = 1;

    for (int i = 0; i < RING_TRIES_MAX; i++)
        if (write(pool->event_fd, &one, sizeof(one)) > 0 || errno == EAGAIN) /* it rings */
            return;
}

/* Under lock: in its place among those whose turn it is, or nowhere. */
static void queue_lane(struct worker_pool *pool, struct worker_lane *lane)
{
    link_remove(&lane->ready);
    if (!list_is_empty(&lane->queued) && lane->n_running < pool->lane_max)
        list_append(&pool->ready, &lane->ready);
}

/* Under lock: the first job of the lane whose turn it is. */
static struct job *start_next(struct worker_pool *pool)
{
    struct worker_lane *lane =
        CONTAINER_OF(list_first(&pool->ready), struct worker_lane, ready);
    struct job *job = CONTAINER_OF(list_first(&lane->queued), struct job, link);

    link_remove(&job->link);
    job->state = JOB_RUNNING;
    pool->n_queued--;
    pool->n_running++;
    lane->n_running++;
    queue_lane(pool, lane);
    return job;
}

/* Under lock. */
static void end_job(struct worker_pool *pool, struct job *job)
{
    struct worker_lane *lane = job->in;
    bool was_full = lane->n_running-- == pool->lane_max;

    job->state = JOB_FINISHED;
    pool->n_running--;
    if (was_full) /* else it has its place, if it wants one */
        queue_lane(pool, lane);
}

static void *thread_main(void *arg)
{
    struct worker_pool *pool = arg;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        pool->n_idle++;
        while (list_is_empty(&pool->ready) && !pool->stopping)
            pthread_cond_wait(&pool->wake, &pool->lock);
        pool->n_idle--;
        if (pool->stopping)
            break;

        struct job *job = start_next(pool);
        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
        end_job(pool, job);
        bool first = list_is_empty(&pool->finished);
        list_append(&pool->finished, &job->link);
        pthread_cond_signal(&pool->completed);
        if (first)
            ring(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* The lane of that number, made if there is none. Return: NULL for lack of memory. */
static struct worker_lane *join_lane(struct worker_pool *pool, uint32_t number)
{
    struct map_node *node =
        map_find(&pool->lanes, (struct span){(const char *)&number, sizeof(number)});
    struct worker_lane *lane =
        node ? CONTAINER_OF(node, struct worker_lane, node) : mem_zalloc(sizeof(*lane));

    if (!lane)
        return NULL;
    lane->n_busy++;
    if (node)
        return lane;
    lane->number = number;
    link_init(&lane->ready);
    link_init(&lane->queued);
    if (map_add(&pool->lanes, &lane->node,
                (struct span){(const char *)&lane->number, sizeof(lane->number)}) == 0)
        return lane;
    return mem_free(lane);
}

/* The last one of it that is busy takes the lane along. */
static void leave_lane(struct worker_pool *pool, struct worker_lane *lane)
{
    if (--lane->n_busy > 0)
        return;
    map_remove(&pool->lanes, &lane->node);
    mem_free(lane);
}

/* Calls done() for what has finished; each call may submit or cancel. */
static void deliver(struct worker_pool *pool)
{
    struct link batch;

    link_init(&batch);
    pthread_mutex_lock(&pool->lock);
    while (!list_is_empty(&pool->finished)) {
        struct link *link = list_first(&pool->finished);

        link_remove(link);
        list_append(&batch, link);
    }
    pthread_mutex_unlock(&pool->lock);
    while (!list_is_empty(&batch)) {
        struct job *job = CONTAINER_OF(list_first(&batch), struct job, link);

        link_remove(&job->link);
        job->state = JOB_IDLE;
        job->is_busy = false;
        pool->n_pending--;
        leave_lane(pool, TAKE(job->in));
        job->done(job);
    }
}

static void pool_on_ready(void *owner, unsigned ready)
{
    struct worker_pool *pool = owner;
    uint64_t count;

    (void)ready;
    if (read(pool->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
        log_err(NULL, "eventfd: %m");
    deliver(pool);
}

int worker_pool_new(struct worker_pool **ret, struct loop *loop, unsigned n_threads)
{
    CLEANUP(worker_pool_free) struct worker_pool *pool = mem_zalloc(sizeof(*pool));

    if (!pool)
        return fault(-ENOMEM);
    pool->loop = loop;
    pool->max_threads = n_threads < THREADS_MAX ? n_threads : THREADS_MAX;
    pool->lane_max = THREADS_MAX;
    link_init(&pool->ready);
    link_init(&pool->finished);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->completed, NULL);
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->event_fd < 0)
        return fault(-errno);
    int r = watch_init(&pool->watch, loop, pool->event_fd, pool_on_ready, pool);
    if (r < 0)
        return r;
    r = watch_set(&pool->watch, WATCH_READ);
    if (r < 0)
        return r;

    *ret = TAKE(pool);
    return 0;
}

void worker_pool_set_lanes(struct worker_pool *pool, unsigned lane_max)
{
    pool->lane_max = lane_max;
}

/* Under lock: a job that waits is finished without having run. */
static void unqueue(struct worker_pool *pool, struct job *job)
{
    job->cancelled = true;
    job->state = JOB_FINISHED;
    link_remove(&job->link);
    pool->n_queued--;
    list_append(&pool->finished, &job->link);
}

static bool cancel_lane(struct map_node *node, void *arg)
{
    struct worker_lane *lane = CONTAINER_OF(node, struct worker_lane, node);

    while (!list_is_empty(&lane->queued))
        unqueue(arg, CONTAINER_OF(list_first(&lane->queued), struct job, link));
    link_remove(&lane->ready);
    return true;
}

static void cancel_all(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    map_each(&pool->lanes, cancel_lane, pool);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

/* Of what is finished, to owners that do not want it any more. */
static void deliver_cancelled(struct worker_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH (at, &pool->finished)
        CONTAINER_OF(at, struct job, link)->cancelled = true;
    pthread_mutex_unlock(&pool->lock);
    deliver(pool);
}

struct worker_pool *worker_pool_free(struct worker_pool *pool)
{
    if (!pool)
        return NULL;
    cancel_all(pool);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    deliver_cancelled(pool);
    watch_done(&pool->watch);
    if (pool->event_fd >= 0)
        close(pool->event_fd);
    pthread_cond_destroy(&pool->completed);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    map_done(&pool->lanes);
    return mem_free(pool);
}

/* Return: whether no job runs any more. */
static bool rests(struct worker_pool *pool, int64_t wait_us)
{
    struct timespec end;
    int r = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    int64_t end_ns = end.tv_nsec + wait_us % USEC_PER_SEC * 1000;
    end.tv_sec += wait_us / USEC_PER_SEC + end_ns / NSEC_PER_SEC;
    end.tv_nsec = end_ns % NSEC_PER_SEC;
    pthread_mutex_lock(&pool->lock);
    while (pool->n_running > 0 && r == 0)
        r = pthread_cond_clockwait(&pool->completed, &pool->lock, CLOCK_MONOTONIC, &end);
    bool rest = pool->n_running == 0;
    pthread_mutex_unlock(&pool->lock);
    return rest;
}

struct worker_pool *worker_pool_leave(struct worker_pool *pool, int64_t wait_us)
{
    if (!pool)
        return NULL;
    cancel_all(pool);
    if (rests(pool, wait_us))
        return worker_pool_free(pool);
    log_notice(NULL, "leaving without what hangs: %u look-ups of names or reads of files",
               pool->n_running);
    atomic_store(&has_left_any, true);
    deliver_cancelled(pool);
    watch_done(&pool->watch);
    return pool;
}

bool worker_has_left_any(void)
{
    return atomic_load(&has_left_any);
}

/* Signals are the main thread's. */
static int start_thread(struct worker_pool *pool)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&pool->threads[pool->n_threads], NULL, thread_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return fault(-EAGAIN);
    pool->n_threads++;
    return 0;
}

int worker_submit(struct worker_pool *pool, struct job *job)
{
    INVARIANT(!job->is_busy);
    job->in = join_lane(pool, job->lane);
    if (!job->in)
        return fault(-ENOMEM);
    pthread_mutex_lock(&pool->lock);
    bool more = job->in->n_running < pool->lane_max && pool->n_queued >= pool->n_idle &&
                pool->n_threads < pool->max_threads && !pool->stopping;
    pthread_mutex_unlock(&pool->lock);
    if (more && start_thread(pool) < 0 && pool->n_threads == 0) {
        leave_lane(pool, TAKE(job->in));
        return fault(-EAGAIN);
    }

    job->cancelled = false;
    job->is_busy = true;
    pool->n_pending++;
    pthread_mutex_lock(&pool->lock);
    job->state = JOB_QUEUED;
    link_init(&job->link);
    bool is_first = list_is_empty(&job->in->queued);
    list_append(&job->in->queued, &job->link);
    pool->n_queued++;
    if (is_first) /* else it has its place, or waits for one of its own */
        queue_lane(pool, job->in);
    pthread_cond_signal(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    return 0;
}

void worker_cancel(struct worker_pool *pool, struct job *job)
{
    if (!job->is_busy)
        return;
    job->cancelled = true; /* read on the loop's thread only */
    pthread_mutex_lock(&pool->lock);
    if (job->state == JOB_QUEUED) {
        unqueue(pool, job);
        if (list_is_empty(&job->in->queued))
            link_remove(&job->in->ready);
        ring(pool);
    }
    pthread_mutex_unlock(&pool->lock);
}

void worker_drain(struct worker_pool *pool)
{
    while (pool->n_pending > 0) {
        pthread_mutex_lock(&pool->lock);
        while (list_is_empty(&pool->finished))
            pthread_cond_wait(&pool->completed, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        deliver(pool);
    }
}
