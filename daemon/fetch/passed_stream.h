/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads and writes somebody else's pipe or stream socket without ever waiting for it. Whether
 * it blocks is a property of the open file, which its owner shares and whose flags are not ours
 * to change; and what poll() promised, another may have taken.
 *
 * A call on a socket can be told not to wait. For a pipe splice(2) alone can, between two
 * pipes: so bytes pass through one of our own, which is empty between calls.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct passed_stream {
    int fd;      /* borrowed */
    int ends[2]; /* our own pipe; -1: it is a socket */
};

#define PASSED_STREAM_NONE ((struct passed_stream){-1, {-1, -1}})

/* Whether @fd is a connected AF_UNIX, AF_INET or AF_INET6 stream socket: one that listens or
 * has no other end carries nothing. */
bool passed_stream_is_socket(int fd);

/**
 * passed_stream_init() - use a pipe or a socket
 * @fd: borrowed until passed_stream_done()
 * Return: 0 or -errno.
 */
MUST_CHECK int passed_stream_init(struct passed_stream *stream, int fd);
void passed_stream_done(struct passed_stream *stream);

/* Return: > 0 bytes; 0: nobody will write any more; -EAGAIN; -errno. */
MUST_CHECK ssize_t passed_stream_read(struct passed_stream *stream, char *to, size_t size);

/* Raises no SIGPIPE by a socket; by a pipe it does, which the daemon ignores.
 * Return: > 0 bytes taken; -EAGAIN; -EPIPE: nobody reads any more; -errno. */
MUST_CHECK ssize_t passed_stream_write(struct passed_stream *stream,
                                       const char *from,
                                       size_t size);
