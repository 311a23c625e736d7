/* SPDX-License-Identifier: MIT */
#include "fetch/fd_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/worker.h"

#define BLOCK_BYTES (256 * 1024)

struct block {
    size_t len;
    char bytes[BLOCK_BYTES];
};

struct fd_sink {
    struct job job; /* first */
    struct worker_pool *workers;
    const struct fd_sink_events *events;
    void *owner;
    struct block *filling;
    struct block *writing;
    uint64_t offset;
    int fd;
    int err;
    bool seekable;
    bool flushing;
    bool closed;
};

static ssize_t write_once(struct fd_sink *sink, const char *from, size_t size)
{
    ssize_t n;

    do
        n = sink->seekable ? pwrite(sink->fd, from, size, (off_t)sink->offset)
                           : write(sink->fd, from, size);
    while (n < 0 && errno == EINTR);
    return n;
}

static void sink_run(struct job *job)
{
    struct fd_sink *sink = (struct fd_sink *)(void *)job;
    size_t done = 0;

    while (done < sink->writing->len && sink->err == 0) {
        ssize_t n = write_once(sink, sink->writing->bytes + done, sink->writing->len - done);

        if (n <= 0) {
            sink->err = n < 0 ? errno : EIO;
            break;
        }
        done += (size_t)n;
        sink->offset += (uint64_t)n;
    }
}

static void sink_free(struct fd_sink *sink)
{
    if (sink->fd >= 0)
        close(sink->fd);
    mem_free(sink->filling);
    mem_free(sink->writing);
    mem_free(sink);
}

/* Begins to write what has been filled. */
static void start(struct fd_sink *sink)
{
    struct block *full = sink->filling;

    sink->filling = sink->writing;
    sink->writing = full;
    sink->filling->len = 0;
    if (worker_submit(sink->workers, &sink->job) < 0)
        sink->err = EAGAIN;
}

static void tell(struct fd_sink *sink)
{
    if (sink->err) {
        sink->events->on_failed(sink->owner, sink->err);
    } else if (!sink->flushing) {
        sink->events->on_room(sink->owner);
    } else if (sink->job.state == JOB_IDLE) {
        sink->flushing = false;
        sink->events->on_flushed(sink->owner);
    }
}

static void sink_done(struct job *job)
{
    struct fd_sink *sink = (struct fd_sink *)(void *)job;

    if (sink->closed) {
        sink_free(sink);
        return;
    }
    if (job->cancelled)
        sink->err = ECANCELED;
    bool due = sink->flushing || sink->filling->len == BLOCK_BYTES;
    if (sink->err == 0 && due && sink->filling->len > 0)
        start(sink);
    tell(sink);
}

int fd_sink_new(struct fd_sink **ret,
                struct worker_pool *workers,
                int fd,
                uint64_t offset,
                const struct fd_sink_events *events,
                void *owner)
{
    struct fd_sink *sink = mem_zalloc(sizeof(*sink));

    if (!sink)
        return fault(-ENOMEM);
    sink->job = (struct job){.run = sink_run, .done = sink_done};
    sink->workers = workers;
    sink->events = events;
    sink->owner = owner;
    sink->offset = offset;
    sink->filling = mem_alloc(sizeof(*sink->filling));
    sink->writing = mem_alloc(sizeof(*sink->writing));
    sink->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (!sink->filling || !sink->writing || sink->fd < 0) {
        int r = sink->fd < 0 ? -errno : -ENOMEM;

        sink_free(sink);
        return fault(r);
    }
    sink->filling->len = 0;
    sink->writing->len = 0;
    /* O_APPEND wins over an offset anyway. */
    sink->seekable = lseek(sink->fd, 0, SEEK_CUR) >= 0;
    *ret = sink;
    return 0;
}

size_t fd_sink_room(const struct fd_sink *sink)
{
    if (sink->err || sink->flushing)
        return 0;
    return BLOCK_BYTES - sink->filling->len + (sink->job.state == JOB_IDLE ? BLOCK_BYTES : 0);
}

static size_t fill(struct block *block, struct span bytes)
{
    size_t room = BLOCK_BYTES - block->len;
    size_t n = bytes.len < room ? bytes.len : room;

    memcpy(block->bytes + block->len, bytes.ptr, n);
    block->len += n;
    return n;
}

void fd_sink_write(struct fd_sink *sink, struct span bytes)
{
    INVARIANT(bytes.len <= fd_sink_room(sink));
    bytes = span_drop(bytes, fill(sink->filling, bytes));
    if (sink->filling->len == BLOCK_BYTES && sink->job.state == JOB_IDLE)
        start(sink);
    if (bytes.len > 0)
        (void)fill(sink->filling, bytes);
}

void fd_sink_flush(struct fd_sink *sink)
{
    sink->flushing = true;
    if (sink->job.state == JOB_IDLE)
        start(sink); /* an empty block is fine: on_flushed comes from the loop */
}

void fd_sink_close(struct fd_sink *sink)
{
    sink->closed = true;
    if (sink->job.state == JOB_IDLE)
        sink_free(sink);
    else
        worker_cancel(sink->workers, &sink->job);
}
