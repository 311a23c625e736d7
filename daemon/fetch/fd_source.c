/* SPDX-License-Identifier: MIT */
#include "fetch/fd_source.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "loop/worker.h"

#define BLOCK_BYTES (256 * 1024)

struct fd_source {
    struct job job; /* first */
    struct worker_pool *workers;
    const struct fd_source_events *events;
    void *owner;
    int fd; /* a duplicate: lives as long as a read needs it */
    bool seekable;
    bool closed;
    uint64_t start;
    uint64_t length;
    uint64_t position; /* from start */
    size_t n_read;
    int err;
    char block[BLOCK_BYTES];
};

static ssize_t read_once(struct fd_source *source, char *to, size_t size, uint64_t position)
{
    ssize_t n;

    do
        n = source->seekable ? pread(source->fd, to, size, (off_t)(source->start + position))
                             : read(source->fd, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

static void source_run(struct job *job)
{
    struct fd_source *source = (struct fd_source *)(void *)job;
    uint64_t left = source->length - source->position;
    size_t want = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
    ssize_t n = want > 0 ? read_once(source, source->block, want, source->position) : 0;

    source->err = n < 0 ? errno : 0;
    source->n_read = n > 0 ? (size_t)n : 0;
}

static void source_free(struct fd_source *source)
{
    close(source->fd);
    mem_free(source);
}

static void source_done(struct job *job)
{
    struct fd_source *source = (struct fd_source *)(void *)job;

    if (source->closed) {
        source_free(source);
        return;
    }
    source->position += source->n_read;
    source->events->on_block(source->owner, (struct span){source->block, source->n_read},
                             job->cancelled ? ECANCELED : source->err);
}

int fd_source_new(struct fd_source **ret,
                  struct loop *loop,
                  struct worker_pool *workers,
                  int fd,
                  uint64_t offset,
                  uint64_t length,
                  const struct fd_source_events *events,
                  void *owner)
{
    struct fd_source *source = mem_alloc(sizeof(*source));

    (void)loop;
    if (!source)
        return fault(-ENOMEM);
    source->job = (struct job){.run = source_run, .done = source_done};
    source->workers = workers;
    source->events = events;
    source->owner = owner;
    source->start = offset;
    source->length = length;
    source->position = 0;
    source->closed = false;
    source->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (source->fd < 0) {
        mem_free(source);
        return fault(-errno);
    }
    source->seekable = lseek(source->fd, 0, SEEK_CUR) >= 0;
    *ret = source;
    return 0;
}

int fd_source_read(struct fd_source *source)
{
    return worker_submit(source->workers, &source->job);
}

bool fd_source_can_rewind(const struct fd_source *source)
{
    return source->seekable;
}

void fd_source_rewind(struct fd_source *source)
{
    source->position = 0;
}

void fd_source_close(struct fd_source *source)
{
    source->closed = true;
    if (source->job.state == JOB_IDLE)
        source_free(source);
    else
        worker_cancel(source->workers, &source->job);
}
