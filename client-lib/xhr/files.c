/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES 65536

volatile int interrupted;

/* Return: 0: try again; -errno: do not. */
static int after_error(int fd, short events)
{
    if (errno == EINTR)
        return interrupted ? -EINTR : 0;
    if (errno != EAGAIN)
        return -errno;

    struct pollfd poll_fd = {.fd = fd, .events = events};
    if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
        return -errno;
    return interrupted ? -EINTR : 0;
}

int write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0) {
            int r = after_error(fd, POLLOUT);

            if (r < 0)
                return r;
            continue;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

int read_all(int fd, size_t max, struct strbuf *out)
{
    size_t start = out->len;

    for (;;) {
        char *room = strbuf_room(out, READ_BYTES);

        if (!room)
            return -ENOMEM;
        ssize_t n = read(fd, room, READ_BYTES);
        if (n == 0)
            return 0;
        if (n < 0) {
            int r = after_error(fd, POLLIN);

            if (r < 0)
                return r;
            continue;
        }
        strbuf_grow(out, (size_t)n);
        if (out->len - start > max)
            return -EFBIG;
    }
}

int read_file(const char *name, size_t max, struct strbuf *out)
{
    if (strcmp(name, "-") == 0)
        return read_all(STDIN_FILENO, max, out);

    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = read_all(fd, max, out);
    (void)close(fd);
    return r;
}
