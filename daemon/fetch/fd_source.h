/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads a passed descriptor a block at a time. A regular file is read on a worker thread, for a
 * disk that hangs must not stop the loop, and at an offset of our own, so that the owner's
 * position does not move and the body can be read again. A pipe or a socket is read from
 * the loop when there is something in it: it may stay silent for ever, and must hold no thread
 * meanwhile. A socket's bytes end where its other end has shut it down.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct fd_source;
struct loop;
struct worker_pool;

struct fd_source_events {
    /* A block, or its end (@bytes empty), or a positive errno; from the loop. Borrowed until
     * the next fd_source_read(). */
    void (*on_block)(void *owner, struct span bytes, int err);
};

struct fd_source_options {
    struct loop *loop;
    struct worker_pool *workers;
    bool is_ours;        /* a file of the daemon's, which the owner keeps no copy of; there may
                            be many, and they are very small with little room */
    uint32_t lane;       /* whose it is, for the workers */
    struct quota *quota; /* who pays for its block and the owner's copy of it, until it is
                            closed; with little room they are small. NULL: nobody */
    int fd;              /* a regular file, a pipe or a connected stream socket; duplicated */
    uint64_t offset;
    uint64_t length; /* UINT64_MAX: to the end */
};

/* Return: 0 or -errno. */
MUST_CHECK int fd_source_new(struct fd_source **ret,
                             const struct fd_source_options *options,
                             const struct fd_source_events *events,
                             void *owner);
/* Ask for the next block; nothing happens when that is under way. Return: 0 or -errno. */
MUST_CHECK int fd_source_read(struct fd_source *source);
/* A file, or a pipe of which nothing has been read. */
bool fd_source_can_rewind(const struct fd_source *source);
/* No event after it; the last block stays readable until the end of the round. A read under way
 * keeps its own copy of the descriptor. */
void fd_source_close(struct fd_source *source);
