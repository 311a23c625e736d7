/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes the answer to a passed descriptor. A regular file is written on a worker thread
 * (file_writer.h). A pipe or a socket is written from the loop, as much as it takes at the end
 * of each round: who does not read it holds no thread. A file that was opened with O_APPEND is
 * written behind its end. Of a socket neither half is shut down: it is its owner's. What goes
 * to the null device goes nowhere.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/span.h"

struct fd_sink;
struct loop;
struct worker_pool;

/* All from the loop; the sink may be closed inside any of them. */
struct fd_sink_events {
    void (*on_room)(void *owner);            /* something was written: there is more room */
    void (*on_flushed)(void *owner);         /* after fd_sink_flush() */
    void (*on_failed)(void *owner, int err); /* positive errno; nothing is written any more */
};

struct fd_sink_options {
    struct loop *loop;
    struct worker_pool *workers;
    uint32_t lane;       /* whose it is, for the workers */
    struct quota *quota; /* who pays for what it holds, until it is closed; with little room it
                            holds little. NULL: nobody */
    int fd;              /* a regular file, a pipe, a connected stream socket, the null device;
                            duplicated */
    uint64_t offset;     /* for a regular file */
    bool sync;           /* the same: on the disk before on_flushed */
    uint64_t size_max;   /* the same: beyond is EFBIG; not with at_position */
    bool at_position; /* the same: written where it stands, which moves, for everybody who has
                         it */
};

struct stat;

bool fd_sink_is_null(const struct stat *st);

/* Return: 0 or -errno. */
MUST_CHECK int fd_sink_new(struct fd_sink **ret,
                           const struct fd_sink_options *options,
                           const struct fd_sink_events *events,
                           void *owner);
/* How much fd_sink_write() takes now. */
size_t fd_sink_room(const struct fd_sink *sink);
/* @bytes: no more than there is room. */
void fd_sink_write(struct fd_sink *sink, struct span bytes);
/* Everything goes out, then on_flushed, unless on_failed comes. */
void fd_sink_flush(struct fd_sink *sink);
/* No event after it; what was not written is not. */
void fd_sink_close(struct fd_sink *sink);
