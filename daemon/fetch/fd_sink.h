/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes the answer to a passed descriptor on a worker thread. Two blocks take turns: one
 * fills while the other is being written.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct fd_sink;
struct worker_pool;

struct fd_sink_events {
    void (*on_room)(void *owner);            /* a block was written: fd_sink_room() has grown */
    void (*on_flushed)(void *owner);         /* after fd_sink_flush() */
    void (*on_failed)(void *owner, int err); /* positive errno; nothing is written any more */
};

/* @fd is duplicated. @offset: for a regular file. Return: 0 or -errno. */
MUST_CHECK int fd_sink_new(struct fd_sink **ret,
                           struct worker_pool *workers,
                           int fd,
                           uint64_t offset,
                           const struct fd_sink_events *events,
                           void *owner);
/* How much fd_sink_write() takes now. */
size_t fd_sink_room(const struct fd_sink *sink);
/* @bytes: no more than there is room. */
void fd_sink_write(struct fd_sink *sink, struct span bytes);
/* Everything goes out, then on_flushed. */
void fd_sink_flush(struct fd_sink *sink);
/* No event after it; what was not written is not. */
void fd_sink_close(struct fd_sink *sink);
