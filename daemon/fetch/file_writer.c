/* SPDX-License-Identifier: MIT */
#include "fetch/file_writer.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/quota.h"
#include "fetch/fd_sink.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "loop/worker.h"

#define N_BLOCKS FILE_WRITER_BLOCKS

#define ENOUGH                                                                                 \
    (N_BLOCKS / 2)   /* full blocks to wake the thread for, or room to wake the loop           \
                      */
#define LATE_US 1000 /* of less when so long nothing came that made it enough */

/* Of so many blocks it is another job's turn. */
#define RUN_BLOCKS 32

struct block {
    size_t len;
    char bytes[];
};

/*
 * Blocks are told by numbers that only grow: [n_written, n_full) are the thread's while a job
 * is under way, the one behind them is being filled. The atomics are all that both sides touch
 * at the same time; what is the thread's is so while job.is_busy.
 */
struct file_writer {
    struct job job; /* first */
    struct loop *loop;
    struct worker_pool *workers;
    const struct fd_sink_events *events;
    void *owner;
    /* The loop's. */
    struct deferred step;
    struct timer late;
    struct quota *quota; /* NULL: nobody pays */
    struct charge bytes; /* of all blocks */
    size_t block_size;
    unsigned n_blocks; /* that there are */
    size_t filled;     /* of the block at hand */
    int err;
    bool must_sync; /* nothing is left to do before it is on the disk */
    bool flushing;
    bool closed;
    /* Both sides'. */
    struct block *blocks[N_BLOCKS];
    atomic_uint n_full;
    atomic_uint n_written;
    atomic_bool is_waited_for; /* somebody waits for room */
    /* The thread's. */
    uint64_t offset;
    uint64_t size_max;
    int fd;
    int write_err;
    bool at_position;
    bool is_syncing; /* the job ends with that */
};

static void free_now(struct file_writer *writer)
{
    close(writer->fd);
    for (size_t i = 0; i < N_BLOCKS; i++)
        mem_free(writer->blocks[i]);
    mem_free(writer);
}

/* ---- on the thread ------------------------------------------------------------------------
 */

/* As write(2). */
static ssize_t write_some(struct file_writer *writer, const char *from, size_t len)
{
    if (writer->at_position)
        return write(writer->fd, from, len);
    if (writer->offset >= writer->size_max) {
        errno = EFBIG;
        return -1;
    }
    if (len > writer->size_max - writer->offset)
        len = (size_t)(writer->size_max - writer->offset);
    return pwrite(writer->fd, from, len, (off_t)writer->offset);
}

static void write_block(struct file_writer *writer, const struct block *block)
{
    size_t start = 0;

    while (start < block->len && writer->write_err == 0) {
        ssize_t n = write_some(writer, block->bytes + start, block->len - start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            writer->write_err = n < 0 ? errno : EIO;
        else
            start += (size_t)n, writer->offset += (uint64_t)n;
    }
}

static void writer_run(struct job *job)
{
    struct file_writer *writer = (struct file_writer *)(void *)job;
    unsigned at = atomic_load_explicit(&writer->n_written, memory_order_relaxed);

    for (int i = 0; i < RUN_BLOCKS && writer->write_err == 0; i++) {
        unsigned n_full = atomic_load_explicit(&writer->n_full, memory_order_acquire);

        if (at == n_full)
            break;
        write_block(writer, writer->blocks[at % N_BLOCKS]);
        atomic_store_explicit(&writer->n_written, ++at, memory_order_release);
        if (atomic_load_explicit(&writer->is_waited_for, memory_order_relaxed) &&
            !writer->is_syncing && n_full - at <= ENOUGH)
            break; /* half of it is room enough to wake somebody for */
    }
    if (writer->is_syncing && writer->write_err == 0 && fsync(writer->fd) < 0)
        writer->write_err = errno;
}

/* ---- in the loop --------------------------------------------------------------------------
 */

static unsigned n_full(const struct file_writer *writer)
{
    return atomic_load_explicit(&writer->n_full, memory_order_relaxed);
}

/* Blocks that are full and not written. */
static unsigned n_waiting(const struct file_writer *writer)
{
    return n_full(writer) - atomic_load_explicit(&writer->n_written, memory_order_acquire);
}

static struct block **slot(struct file_writer *writer)
{
    return &writer->blocks[n_full(writer) % N_BLOCKS];
}

static void fail_later(struct file_writer *writer, int err)
{
    writer->err = err;
    loop_defer(writer->loop, &writer->step);
}

/* The block at hand is the thread's from now on, if there is anything in it. */
static void pass_on(struct file_writer *writer)
{
    if (writer->filled == 0)
        return;
    (*slot(writer))->len = writer->filled;
    writer->filled = 0;
    atomic_store_explicit(&writer->n_full, n_full(writer) + 1, memory_order_release);
}

static void submit(struct file_writer *writer)
{
    if (writer->job.is_busy || writer->err)
        return;
    writer->is_syncing = writer->flushing && writer->must_sync;
    writer->must_sync &= !writer->is_syncing;
    atomic_store_explicit(&writer->is_waited_for,
                          !writer->flushing && file_writer_room(writer) == 0,
                          memory_order_relaxed);
    if (worker_submit(writer->workers, &writer->job) < 0)
        fail_later(writer, EAGAIN);
}

/* The owner may close it from inside any of these. */
static void tell(struct file_writer *writer)
{
    if (writer->err) {
        writer->events->on_failed(writer->owner, writer->err);
    } else if (!writer->flushing) {
        writer->events->on_room(writer->owner);
    } else if (!writer->job.is_busy) {
        writer->flushing = false;
        writer->events->on_flushed(writer->owner);
    }
}

/* Blocks that could still be made. */
static unsigned n_to_come(const struct file_writer *writer)
{
    unsigned n = N_BLOCKS - writer->n_blocks;

    while (n > 0 && writer->quota &&
           !quota_has_spare(writer->quota, QUOTA_BYTES, (uint64_t)n * writer->block_size))
        n--;
    return n;
}

static bool must_go_on(const struct file_writer *writer)
{
    unsigned n = n_waiting(writer);

    if (writer->flushing)
        return n > 0 || writer->must_sync;
    return n >= ENOUGH || (n > 0 && n == writer->n_blocks && n_to_come(writer) == 0);
}

static void writer_done(struct job *job)
{
    struct file_writer *writer = (struct file_writer *)(void *)job;

    timer_disarm(&writer->late);
    if (writer->closed) {
        free_now(writer);
        return;
    }
    if (writer->err == 0)
        writer->err = job->cancelled ? ECANCELED : writer->write_err;
    if (writer->err == 0 && must_go_on(writer))
        submit(writer);
    else if (writer->err == 0 && (writer->filled > 0 || n_waiting(writer) > 0))
        loop_defer(writer->loop, &writer->step);
    tell(writer);
}

/* What is there, though it is not much. */
static void writer_on_late(void *owner)
{
    struct file_writer *writer = owner;

    pass_on(writer);
    if (n_waiting(writer) > 0)
        submit(writer);
}

/* At the end of the round: enough, or all, or trouble. */
static void writer_on_step(void *owner)
{
    struct file_writer *writer = owner;

    if (writer->err)
        tell(writer);
    else if (writer->flushing || must_go_on(writer))
        submit(writer);
    else if (!writer->job.is_busy && !timer_is_armed(&writer->late) &&
             timer_arm(&writer->late, LATE_US) < 0)
        writer_on_late(writer);
}

/* One that is written and in nobody's use: it lies beyond the block at hand. */
static struct block *take_written(struct file_writer *writer)
{
    unsigned written = atomic_load_explicit(&writer->n_written, memory_order_acquire);

    for (unsigned at = n_full(writer) + 1; at < written + N_BLOCKS; at++) {
        if (writer->blocks[at % N_BLOCKS])
            return TAKE(writer->blocks[at % N_BLOCKS]);
    }
    return NULL;
}

/* There is one at hand. A new one where the user has room; he pays anyway for the first, and
 * for one that file_writer_room() had found room for. */
static int make_block(struct file_writer *writer)
{
    if (*slot(writer))
        return 0;
    if (n_to_come(writer) == 0)
        *slot(writer) = take_written(writer);
    if (*slot(writer))
        return 0;
    *slot(writer) = mem_alloc(sizeof(struct block) + writer->block_size);
    if (!*slot(writer))
        return fault(-ENOMEM);
    writer->n_blocks++;
    if (writer->quota)
        charge_take_anyway(&writer->bytes, writer->quota, QUOTA_BYTES, writer->block_size);
    return 0;
}

int file_writer_new(struct file_writer **ret,
                    int fd,
                    const struct fd_sink_options *options,
                    const struct fd_sink_events *events,
                    void *owner)
{
    struct file_writer *writer = mem_zalloc(sizeof(*writer));

    if (!writer)
        return fault(-ENOMEM);
    writer->quota = options->quota;
    writer->block_size = FILE_WRITER_BLOCK_BYTES;
    if (n_to_come(writer) == 0)
        writer->block_size = FILE_WRITER_LEAST_BYTES;
    if (make_block(writer) < 0) {
        mem_free(writer);
        return -ENOMEM;
    }
    writer->job = (struct job){.run = writer_run, .done = writer_done, .lane = options->lane};
    writer->step = (struct deferred){.fn = writer_on_step, .owner = writer};
    timer_init(&writer->late, options->loop, writer_on_late, writer);
    writer->loop = options->loop;
    writer->workers = options->workers;
    writer->events = events;
    writer->owner = owner;
    writer->offset = options->offset;
    writer->size_max = options->size_max;
    writer->at_position = options->at_position;
    writer->must_sync = options->sync;
    writer->fd = fd;
    *ret = writer;
    return 0;
}

size_t file_writer_room(const struct file_writer *writer)
{
    if (writer->err || writer->flushing)
        return 0;
    unsigned n = writer->n_blocks + n_to_come(writer) - n_waiting(writer);

    return n > 0 ? n * writer->block_size - writer->filled : 0;
}

void file_writer_write(struct file_writer *writer, struct span bytes)
{
    INVARIANT(bytes.len <= file_writer_room(writer));
    while (bytes.len > 0) {
        if (make_block(writer) < 0) {
            fail_later(writer, ENOMEM);
            return;
        }
        struct span piece = span_take(bytes, writer->block_size - writer->filled);

        memcpy((*slot(writer))->bytes + writer->filled, piece.ptr, piece.len);
        writer->filled += piece.len;
        bytes = span_drop(bytes, piece.len);
        if (writer->filled == writer->block_size)
            pass_on(writer);
    }
    if (file_writer_room(writer) == 0)
        atomic_store_explicit(&writer->is_waited_for, true, memory_order_relaxed);
    if (!writer->job.is_busy)
        loop_defer(writer->loop, &writer->step);
}

void file_writer_flush(struct file_writer *writer)
{
    pass_on(writer);
    writer->flushing = true;
    loop_defer(writer->loop, &writer->step);
}

void file_writer_close(struct file_writer *writer)
{
    writer->closed = true;
    charge_release(&writer->bytes); /* who pays need not outlive this call */
    timer_disarm(&writer->late);
    loop_defer_cancel(writer->loop, &writer->step);
    if (writer->job.is_busy)
        worker_cancel(writer->workers, &writer->job);
    else
        free_now(writer);
}
