/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads a passed descriptor on a worker thread, a block at a time: a file on a disk that hangs
 * must not stop the loop. Regular files are read at an offset of our own, so that the owner's
 * position does not move and the body can be read again.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct fd_source;
struct loop;
struct worker_pool;

struct fd_source_events {
    /* A block, or its end (@bytes empty), or a positive errno. Borrowed until the next
     * fd_source_read(). */
    void (*on_block)(void *owner, struct span bytes, int err);
};

/* @fd is borrowed until fd_source_close(). @length: UINT64_MAX: to the end. Return: 0, -ENOMEM.
 */
MUST_CHECK int fd_source_new(struct fd_source **ret,
                             struct loop *loop,
                             struct worker_pool *workers,
                             int fd,
                             uint64_t offset,
                             uint64_t length,
                             const struct fd_source_events *events,
                             void *owner);
/* Ask for the next block; one at a time. Return: 0 or -EAGAIN. */
MUST_CHECK int fd_source_read(struct fd_source *source);
bool fd_source_can_rewind(const struct fd_source *source);
void fd_source_rewind(struct fd_source *source); /* not while a read is under way */
/* No event after it. A read under way keeps its own copy of the descriptor. */
void fd_source_close(struct fd_source *source);
