/* SPDX-License-Identifier: MIT */
#include "fetch/passed_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define PIECE_BYTES 65536 /* what a pipe holds unless somebody has asked for another size */

bool passed_stream_is_socket(int fd)
{
    int type = 0, domain = 0, listens = 0;
    socklen_t size = sizeof(int);
    struct sockaddr_storage peer;
    socklen_t peer_size = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 ||
        (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6))
        return false;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && !listens &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_size) == 0;
}

int passed_stream_init(struct passed_stream *stream, int fd)
{
    struct stat st;
    int ends[2] = {-1, -1};

    if (fstat(fd, &st) < 0)
        return fault(-errno);
    if (!S_ISSOCK(st.st_mode) && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return fault(-errno);
    *stream = (struct passed_stream){fd, {ends[0], ends[1]}};
    return 0;
}

void passed_stream_done(struct passed_stream *stream)
{
    for (int i = 0; i < 2; i++) {
        if (stream->ends[i] >= 0)
            close(stream->ends[i]);
    }
    *stream = PASSED_STREAM_NONE;
}

static bool is_socket(const struct passed_stream *stream)
{
    return stream->ends[0] < 0;
}

/* ---- sockets --------------------------------------------------------------------------- */

static ssize_t receive(int fd, char *to, size_t size)
{
    ssize_t n;

    do
        n = recv(fd, to, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t transmit(int fd, const char *from, size_t size)
{
    ssize_t n;

    do
        n = send(fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return fault(-EIO);
    return n < 0 ? -errno : n;
}

/* ---- pipes ----------------------------------------------------------------------------- */

static ssize_t move(int from, int to, size_t size)
{
    ssize_t n;

    do
        n = splice(from, NULL, to, NULL, size, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t read_pipe(struct passed_stream *stream, char *to, size_t size)
{
    ssize_t n = move(stream->fd, stream->ends[1], size < PIECE_BYTES ? size : PIECE_BYTES);
    ssize_t got = 0;

    while (got < n) { /* it is there: our own pipe does not wait either */
        ssize_t r = read(stream->ends[0], to + got, (size_t)(n - got));

        if (r <= 0 && errno != EINTR)
            return r < 0 ? fault(-errno) : fault(-EIO);
        got += r > 0 ? r : 0;
    }
    return n;
}

/* What the other pipe did not take is still with the caller. */
static int empty(const struct passed_stream *stream)
{
    char bytes[4096];
    ssize_t n;

    do
        n = read(stream->ends[0], bytes, sizeof(bytes));
    while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 && errno == EAGAIN ? 0 : fault(-EIO);
}

static ssize_t write_pipe(struct passed_stream *stream, const char *from, size_t size)
{
    ssize_t n;

    do
        n = write(stream->ends[1], from, size < PIECE_BYTES ? size : PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : fault(-EIO);

    ssize_t moved = move(stream->ends[0], stream->fd, (size_t)n);
    if (moved < n) {
        int r = empty(stream);
        if (r < 0)
            return r;
    }
    return moved == 0 ? -EAGAIN : moved;
}

/* ---- either ---------------------------------------------------------------------------- */

ssize_t passed_stream_read(struct passed_stream *stream, char *to, size_t size)
{
    return is_socket(stream) ? receive(stream->fd, to, size) : read_pipe(stream, to, size);
}

ssize_t passed_stream_write(struct passed_stream *stream, const char *from, size_t size)
{
    return is_socket(stream) ? transmit(stream->fd, from, size)
                             : write_pipe(stream, from, size);
}
