/* SPDX-License-Identifier: MIT */
#include "fetch/pipe_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fault.h"

#define PIECE_BYTES 65536 /* what a pipe holds unless somebody has asked for another size */

int pipe_relay_init(struct pipe_relay *relay)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return fault(-errno);
    *relay = (struct pipe_relay){{ends[0], ends[1]}};
    return 0;
}

void pipe_relay_done(struct pipe_relay *relay)
{
    for (int i = 0; i < 2; i++) {
        if (relay->ends[i] >= 0)
            close(relay->ends[i]);
    }
    *relay = PIPE_RELAY_NONE;
}

static ssize_t move(int from, int to, size_t size)
{
    ssize_t n;

    do
        n = splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t pipe_relay_read(struct pipe_relay *relay, int fd, char *to, size_t size)
{
    ssize_t n = move(fd, relay->ends[1], size < PIECE_BYTES ? size : PIECE_BYTES);
    ssize_t got = 0;

    while (got < n) { /* it is there: our own pipe does not wait either */
        ssize_t r = read(relay->ends[0], to + got, (size_t)(n - got));

        if (r <= 0 && errno != EINTR)
            return r < 0 ? fault(-errno) : fault(-EIO);
        got += r > 0 ? r : 0;
    }
    return n;
}

/* What the other pipe did not take is still with the caller. */
static int empty(const struct pipe_relay *relay)
{
    char bytes[4096];
    ssize_t n;

    do
        n = read(relay->ends[0], bytes, sizeof(bytes));
    while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 && errno == EAGAIN ? 0 : fault(-EIO);
}

ssize_t pipe_relay_write(struct pipe_relay *relay, int fd, const char *from, size_t size)
{
    ssize_t n;

    do
        n = write(relay->ends[1], from, size < PIECE_BYTES ? size : PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : fault(-EIO);

    ssize_t moved = move(relay->ends[0], fd, (size_t)n);
    if (moved < n) {
        int r = empty(relay);
        if (r < 0)
            return r;
    }
    return moved == 0 ? -EAGAIN : moved;
}
