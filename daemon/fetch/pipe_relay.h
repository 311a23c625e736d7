/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads and writes somebody else's pipe without ever waiting for it. Whether the pipe blocks is
 * a property of the open file, which its owner shares and whose flags are not ours to change;
 * and what poll() promised another reader may have taken. splice(2) alone can be told not to
 * wait, between two pipes: so bytes pass through one of our own, which is empty between calls.
 */

#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"

struct pipe_relay {
    int ends[2];
};

#define PIPE_RELAY_NONE ((struct pipe_relay){{-1, -1}})

/* Return: 0 or -errno. */
MUST_CHECK int pipe_relay_init(struct pipe_relay *relay);
void pipe_relay_done(struct pipe_relay *relay);

/* Return: > 0 bytes; 0: nobody has it open for writing any more; -EAGAIN; -errno. */
MUST_CHECK ssize_t pipe_relay_read(struct pipe_relay *relay, int fd, char *to, size_t size);

/* Return: > 0 bytes taken; -EAGAIN; -EPIPE: nobody reads any more; -errno. */
MUST_CHECK ssize_t pipe_relay_write(struct pipe_relay *relay,
                                    int fd,
                                    const char *from,
                                    size_t size);
