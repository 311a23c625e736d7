/* SPDX-License-Identifier: MIT */
#include "fetch/fd_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "fetch/passed_stream.h"
#include "loop/loop.h"
#include "loop/watch.h"
#include "loop/worker.h"

#define BLOCK_BYTES (256 * 1024)

/* What it is that is written to. */
enum sink_kind {
    SINK_FILE,
    SINK_STREAM,
    SINK_NULL,
};

struct block {
    size_t start; /* of a stream: what has been written */
    size_t len;   /* where the bytes end */
    char bytes[BLOCK_BYTES];
};

struct fd_sink {
    struct job job; /* first; of a file */
    struct loop *loop;
    struct worker_pool *workers;
    const struct fd_sink_events *events;
    void *owner;
    struct block *filling;
    struct block *writing; /* of a file */
    struct deferred step;  /* a stream is written, a failure told: at the end of the round */
    struct watch watch;    /* of a stream that is full */
    struct passed_stream stream;
    uint64_t offset;
    uint64_t size_max;
    int fd;
    int err;
    int write_err; /* the thread's; ours when it is done */
    enum sink_kind kind;
    bool at_position;
    bool must_sync;  /* nothing is left to do before it is on the disk */
    bool is_syncing; /* the job under way ends with that */
    bool is_blocked; /* the stream is full */
    bool flushing;
    bool closed;
};

static void free_now(struct fd_sink *sink)
{
    watch_done(&sink->watch);
    passed_stream_done(&sink->stream);
    if (sink->fd >= 0)
        close(sink->fd);
    mem_free(sink->filling);
    mem_free(sink->writing);
    mem_free(sink);
}

static bool is_idle(const struct fd_sink *sink)
{
    return !sink->job.is_busy;
}

static size_t fill(struct block *block, struct span bytes)
{
    size_t room = BLOCK_BYTES - block->len;
    size_t n = bytes.len < room ? bytes.len : room;

    memcpy(block->bytes + block->len, bytes.ptr, n);
    block->len += n;
    return n;
}

/* The owner may close the sink from inside. */
static void tell_failed(struct fd_sink *sink)
{
    sink->events->on_failed(sink->owner, sink->err);
}

static void tell_flushed(struct fd_sink *sink)
{
    sink->flushing = false;
    sink->events->on_flushed(sink->owner);
}

/* ---- files, on a thread ------------------------------------------------------------------ */

/* As write(2). */
static ssize_t write_some(struct fd_sink *sink, const char *from, size_t len)
{
    if (sink->at_position)
        return write(sink->fd, from, len);
    if (sink->offset >= sink->size_max) {
        errno = EFBIG;
        return -1;
    }
    if (len > sink->size_max - sink->offset)
        len = (size_t)(sink->size_max - sink->offset);
    return pwrite(sink->fd, from, len, (off_t)sink->offset);
}

static void sink_run(struct job *job)
{
    struct fd_sink *sink = (struct fd_sink *)(void *)job;
    struct block *block = sink->writing;

    while (block->start < block->len && sink->write_err == 0) {
        ssize_t n = write_some(sink, block->bytes + block->start, block->len - block->start);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            sink->write_err = n < 0 ? errno : EIO;
        else
            block->start += (size_t)n, sink->offset += (uint64_t)n;
    }
    if (sink->is_syncing && sink->write_err == 0 && fsync(sink->fd) < 0)
        sink->write_err = errno;
}

/* Begins to write what has been filled. */
static void start(struct fd_sink *sink)
{
    struct block *full = sink->filling;

    sink->filling = sink->writing;
    sink->writing = full;
    sink->filling->start = 0;
    sink->filling->len = 0;
    sink->is_syncing = sink->flushing && sink->must_sync;
    sink->must_sync &= !sink->is_syncing;
    if (worker_submit(sink->workers, &sink->job) == 0)
        return;
    sink->err = EAGAIN;
    loop_defer(sink->loop, &sink->step);
}

static void sink_done(struct job *job)
{
    struct fd_sink *sink = (struct fd_sink *)(void *)job;

    if (sink->closed) {
        free_now(sink);
        return;
    }
    if (sink->err == 0)
        sink->err = job->cancelled ? ECANCELED : sink->write_err;
    bool due = sink->flushing ? sink->filling->len > 0 || sink->must_sync
                              : sink->filling->len == BLOCK_BYTES;
    if (sink->err == 0 && due)
        start(sink);
    if (sink->err)
        tell_failed(sink);
    else if (!sink->flushing)
        sink->events->on_room(sink->owner);
    else if (is_idle(sink))
        tell_flushed(sink);
}

/* ---- pipes and sockets, from the loop
 * ---------------------------------------------------------------- */

static int set_blocked(struct fd_sink *sink, bool is_blocked)
{
    if (sink->is_blocked == is_blocked)
        return 0;
    sink->is_blocked = is_blocked;
    return watch_set(&sink->watch, is_blocked ? WATCH_WRITE : 0);
}

/* Room is what lies behind the bytes: they move down when that frees as much as it moves. */
static void make_room(struct block *block)
{
    if (block->start < block->len - block->start)
        return;
    memmove(block->bytes, block->bytes + block->start, block->len - block->start);
    block->len -= block->start;
    block->start = 0;
}

/* Return: whether anything went out; sink->err when it failed. */
static bool write_stream(struct fd_sink *sink)
{
    struct block *block = sink->filling;
    size_t before = block->start;
    ssize_t n = 0;

    while (block->start < block->len && n >= 0) {
        n = passed_stream_write(&sink->stream, block->bytes + block->start,
                                block->len - block->start);
        block->start += n > 0 ? (size_t)n : 0;
    }
    if (n < 0 && n != -EAGAIN)
        sink->err = (int)-n;
    int r = set_blocked(sink, n == -EAGAIN);
    if (r < 0)
        sink->err = -r;
    bool has_moved = block->start > before;
    make_room(block);
    return has_moved;
}

static void sink_on_step(void *owner)
{
    struct fd_sink *sink = owner;
    bool has_moved = sink->kind == SINK_STREAM && sink->err == 0 && write_stream(sink);

    if (sink->err)
        tell_failed(sink);
    else if (sink->flushing && (sink->kind == SINK_NULL || sink->filling->len == 0))
        tell_flushed(sink);
    else if (has_moved && !sink->flushing)
        sink->events->on_room(sink->owner);
}

static void sink_on_writable(void *owner, unsigned ready)
{
    (void)ready;
    sink_on_step(owner);
}

/* ---- life -------------------------------------------------------------------------------- */

bool fd_sink_is_null(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3);
}

static int open_block(struct block **ret)
{
    struct block *block = mem_alloc(sizeof(*block));

    if (!block)
        return fault(-ENOMEM);
    block->start = 0;
    block->len = 0;
    *ret = block;
    return 0;
}

static int open_stream(struct fd_sink *sink)
{
    int r = open_block(&sink->filling);

    if (r == 0)
        r = passed_stream_init(&sink->stream, sink->fd);
    if (r == 0)
        r = watch_init(&sink->watch, sink->loop, sink->fd, sink_on_writable, sink);
    return r;
}

static int open_file(struct fd_sink *sink)
{
    int r = open_block(&sink->filling);

    return r == 0 ? open_block(&sink->writing) : r;
}

static int open_fd(struct fd_sink *sink, int fd)
{
    sink->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (sink->fd < 0)
        return fault(-errno);
    struct stat st;

    if (fstat(sink->fd, &st) < 0)
        return fault(-errno);
    if (fd_sink_is_null(&st)) {
        sink->kind = SINK_NULL;
        return 0;
    }
    sink->kind = S_ISREG(st.st_mode) ? SINK_FILE : SINK_STREAM;
    return sink->kind == SINK_FILE ? open_file(sink) : open_stream(sink);
}

int fd_sink_new(struct fd_sink **ret,
                const struct fd_sink_options *options,
                const struct fd_sink_events *events,
                void *owner)
{
    struct fd_sink *sink = mem_zalloc(sizeof(*sink));

    if (!sink)
        return fault(-ENOMEM);
    sink->job = (struct job){.run = sink_run, .done = sink_done};
    sink->step = (struct deferred){.fn = sink_on_step, .owner = sink};
    sink->stream = PASSED_STREAM_NONE;
    sink->loop = options->loop;
    sink->workers = options->workers;
    sink->events = events;
    sink->owner = owner;
    sink->offset = options->offset;
    sink->size_max = options->size_max;
    sink->must_sync = options->sync;
    sink->at_position = options->at_position;
    int r = open_fd(sink, options->fd);
    if (r < 0) {
        free_now(sink);
        return r;
    }
    *ret = sink;
    return 0;
}

size_t fd_sink_room(const struct fd_sink *sink)
{
    if (sink->err || sink->flushing)
        return 0;
    if (sink->kind == SINK_NULL)
        return SIZE_MAX;
    return BLOCK_BYTES - sink->filling->len +
           (sink->kind == SINK_FILE && is_idle(sink) ? BLOCK_BYTES : 0);
}

void fd_sink_write(struct fd_sink *sink, struct span bytes)
{
    INVARIANT(bytes.len <= fd_sink_room(sink));
    if (sink->kind == SINK_NULL)
        return;
    bytes = span_drop(bytes, fill(sink->filling, bytes));
    if (sink->kind == SINK_STREAM) {
        if (!sink->is_blocked)
            loop_defer(sink->loop, &sink->step);
        return;
    }
    if (sink->filling->len == BLOCK_BYTES && is_idle(sink))
        start(sink);
    if (bytes.len > 0)
        (void)fill(sink->filling, bytes);
}

void fd_sink_flush(struct fd_sink *sink)
{
    sink->flushing = true;
    if (sink->kind != SINK_FILE)
        loop_defer(sink->loop, &sink->step);
    else if (is_idle(sink))
        start(sink); /* an empty block is fine: on_flushed comes from the loop */
}

void fd_sink_close(struct fd_sink *sink)
{
    sink->closed = true;
    loop_defer_cancel(sink->loop, &sink->step);
    if (is_idle(sink))
        free_now(sink);
    else
        worker_cancel(sink->workers, &sink->job);
}
