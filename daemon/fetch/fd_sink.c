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
#include "base/quota.h"
#include "fetch/file_writer.h"
#include "fetch/passed_stream.h"
#include "loop/loop.h"
#include "loop/watch.h"

#define BLOCK_BYTES       (256 * 1024)
#define LEAST_BLOCK_BYTES 16384

/* What it is that is written to. */
enum sink_kind {
    SINK_FILE,
    SINK_STREAM,
    SINK_NULL,
};

struct block {
    size_t start; /* of a stream: what has been written */
    size_t len;   /* where the bytes end */
    char bytes[];
};

struct fd_sink {
    struct loop *loop;
    const struct fd_sink_events *events;
    void *owner;
    struct file_writer *file; /* has the descriptor then, and all the rest is not used */
    struct block *filling;
    size_t block_size;
    struct charge bytes;  /* of it */
    struct deferred step; /* a stream is written, a failure told: at the end of the round */
    struct watch watch;   /* of a stream that is full */
    struct passed_stream stream;
    int fd;
    int err;
    enum sink_kind kind;
    bool is_blocked; /* the stream is full */
    bool flushing;
};

static void free_now(struct fd_sink *sink)
{
    watch_done(&sink->watch);
    passed_stream_done(&sink->stream);
    if (sink->fd >= 0)
        close(sink->fd);
    mem_free(sink->filling);
    charge_release(&sink->bytes);
    mem_free(sink);
}

static void fill(struct block *block, struct span bytes)
{
    memcpy(block->bytes + block->len, bytes.ptr, bytes.len);
    block->len += bytes.len;
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

/* ---- pipes and sockets, from the loop -------------------------------------------------- */

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

static int open_stream(struct fd_sink *sink, struct quota *quota)
{
    sink->block_size = (size_t)charge_take_some(&sink->bytes, quota, QUOTA_BYTES, BLOCK_BYTES,
                                                LEAST_BLOCK_BYTES);
    sink->filling = mem_alloc(sizeof(*sink->filling) + sink->block_size);
    if (!sink->filling)
        return fault(-ENOMEM);
    sink->filling->start = 0;
    sink->filling->len = 0;

    int r = passed_stream_init(&sink->stream, sink->fd);

    if (r == 0)
        r = watch_init(&sink->watch, sink->loop, sink->fd, sink_on_writable, sink);
    return r;
}

static int open_file(struct fd_sink *sink, const struct fd_sink_options *options)
{
    int r = file_writer_new(&sink->file, sink->fd, options, sink->events, sink->owner);

    if (r == 0)
        sink->fd = -1; /* the writer's */
    return r;
}

static int open_fd(struct fd_sink *sink, const struct fd_sink_options *options)
{
    sink->fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
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
    return sink->kind == SINK_FILE ? open_file(sink, options)
                                   : open_stream(sink, options->quota);
}

int fd_sink_new(struct fd_sink **ret,
                const struct fd_sink_options *options,
                const struct fd_sink_events *events,
                void *owner)
{
    struct fd_sink *sink = mem_zalloc(sizeof(*sink));

    if (!sink)
        return fault(-ENOMEM);
    sink->step = (struct deferred){.fn = sink_on_step, .owner = sink};
    sink->stream = PASSED_STREAM_NONE;
    sink->loop = options->loop;
    sink->events = events;
    sink->owner = owner;
    int r = open_fd(sink, options);
    if (r < 0) {
        free_now(sink);
        return r;
    }
    *ret = sink;
    return 0;
}

size_t fd_sink_room(const struct fd_sink *sink)
{
    if (sink->file)
        return file_writer_room(sink->file);
    if (sink->err || sink->flushing)
        return 0;
    return sink->kind == SINK_NULL ? SIZE_MAX : sink->block_size - sink->filling->len;
}

void fd_sink_write(struct fd_sink *sink, struct span bytes)
{
    INVARIANT(bytes.len <= fd_sink_room(sink));
    if (sink->kind == SINK_NULL)
        return;
    if (sink->file) {
        file_writer_write(sink->file, bytes);
        return;
    }
    fill(sink->filling, bytes);
    if (!sink->is_blocked)
        loop_defer(sink->loop, &sink->step);
}

void fd_sink_flush(struct fd_sink *sink)
{
    if (sink->file) {
        file_writer_flush(sink->file);
        return;
    }
    sink->flushing = true;
    loop_defer(sink->loop, &sink->step);
}

void fd_sink_close(struct fd_sink *sink)
{
    loop_defer_cancel(sink->loop, &sink->step);
    if (sink->file)
        file_writer_close(sink->file);
    free_now(sink);
}
