/* SPDX-License-Identifier: MIT */
#include "fetch/fd_source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/quota.h"
#include "fetch/passed_stream.h"
#include "loop/loop.h"
#include "loop/watch.h"
#include "loop/worker.h"

#define FILE_BLOCK_BYTES   (256 * 1024)
#define STREAM_BLOCK_BYTES 65536
#define LEAST_BLOCK_BYTES  8192
#define LEAST_OF_OURS      1024
#define COPIES             2 /* the block, and what the owner keeps of it */

struct fd_source {
    struct job job; /* first; of a file */
    struct reap reap;
    struct loop *loop;
    struct worker_pool *workers;
    const struct fd_source_events *events;
    void *owner;
    struct watch watch; /* of a stream */
    struct passed_stream stream;
    struct charge bytes;
    int fd; /* a duplicate: lives as long as a read needs it */
    bool is_file;
    bool closed;
    uint64_t start;
    uint64_t left;     /* to be read; UINT64_MAX: whatever there is */
    uint64_t position; /* from start */
    size_t n_read;
    int err;
    size_t block_size;
    char *block;
};

static size_t want(const struct fd_source *source)
{
    return source->left < source->block_size ? (size_t)source->left : source->block_size;
}

static void free_now(struct fd_source *source)
{
    watch_done(&source->watch);
    passed_stream_done(&source->stream);
    if (source->fd >= 0)
        close(source->fd);
    mem_free(source->block);
    mem_free(source);
}

static void source_reap(struct reap *reap)
{
    free_now(CONTAINER_OF(reap, struct fd_source, reap));
}

/* The owner may close the source from inside, and still look at the block. */
static void tell(struct fd_source *source, size_t n, int err)
{
    source->position += n;
    if (source->left != UINT64_MAX)
        source->left -= n;
    source->events->on_block(source->owner, (struct span){source->block, n}, err);
}

/* ---- files, on a thread ------------------------------------------------------------------ */

static void source_run(struct job *job)
{
    struct fd_source *source = (struct fd_source *)(void *)job;
    size_t size = want(source);
    ssize_t n;

    do
        n = size > 0 ? pread(source->fd, source->block, size,
                             (off_t)(source->start + source->position))
                     : 0;
    while (n < 0 && errno == EINTR);
    source->err = n < 0 ? errno : 0;
    source->n_read = n > 0 ? (size_t)n : 0;
}

static void source_done(struct job *job)
{
    struct fd_source *source = (struct fd_source *)(void *)job;

    if (source->closed)
        free_now(source);
    else
        tell(source, source->n_read, job->cancelled ? ECANCELED : source->err);
}

/* ---- pipes and sockets, from the loop
 * ---------------------------------------------------------------- */

static void source_on_readable(void *owner, unsigned ready)
{
    struct fd_source *source = owner;
    size_t size = want(source);
    ssize_t n = size > 0 ? passed_stream_read(&source->stream, source->block, size) : 0;

    (void)ready;
    if (n == -EAGAIN)
        return;
    int r = watch_set(&source->watch, 0); /* until asked again */
    if (n >= 0 && r < 0)
        n = r;
    tell(source, n > 0 ? (size_t)n : 0, n < 0 ? (int)-n : 0);
}

static int open_stream(struct fd_source *source, struct loop *loop)
{
    int r = passed_stream_init(&source->stream, source->fd);

    if (r == 0)
        r = watch_init(&source->watch, loop, source->fd, source_on_readable, source);
    return r;
}

/* ---- life -------------------------------------------------------------------------------- */

static int open_fd(struct fd_source *source, const struct fd_source_options *options)
{
    source->fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
    if (source->fd < 0)
        return fault(-errno);
    source->is_file = lseek(source->fd, 0, SEEK_CUR) >= 0;
    size_t most = source->is_file ? FILE_BLOCK_BYTES : STREAM_BLOCK_BYTES;
    size_t least = options->is_ours ? LEAST_OF_OURS : LEAST_BLOCK_BYTES;
    unsigned copies = options->is_ours ? 1 : COPIES;
    source->block_size = (size_t)charge_take_some(&source->bytes, options->quota, QUOTA_BYTES,
                                                  most * copies, least * copies) /
                         copies;
    source->block = mem_alloc(source->block_size);
    if (!source->block)
        return fault(-ENOMEM);
    return source->is_file ? 0 : open_stream(source, options->loop);
}

int fd_source_new(struct fd_source **ret,
                  const struct fd_source_options *options,
                  const struct fd_source_events *events,
                  void *owner)
{
    struct fd_source *source = mem_zalloc(sizeof(*source));

    if (!source)
        return fault(-ENOMEM);
    source->job = (struct job){.run = source_run, .done = source_done, .lane = options->lane};
    source->stream = PASSED_STREAM_NONE;
    source->loop = options->loop;
    source->workers = options->workers;
    source->events = events;
    source->owner = owner;
    source->start = options->offset;
    source->left = options->length;
    int r = open_fd(source, options);
    if (r < 0) {
        charge_release(&source->bytes);
        free_now(source);
        return r;
    }
    *ret = source;
    return 0;
}

int fd_source_read(struct fd_source *source)
{
    if (!source->is_file)
        return watch_set(&source->watch, WATCH_READ);
    return source->job.is_busy ? 0 : worker_submit(source->workers, &source->job);
}

bool fd_source_can_rewind(const struct fd_source *source)
{
    return source->is_file || source->position == 0;
}

void fd_source_close(struct fd_source *source)
{
    source->closed = true;
    charge_release(&source->bytes); /* who pays need not outlive this call */
    if (source->job.is_busy)
        worker_cancel(source->workers, &source->job);
    else
        loop_defer_free(source->loop, &source->reap, source_reap);
    watch_done(&source->watch);
}
