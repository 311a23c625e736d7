/* SPDX-License-Identifier: MIT */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* Return: 0 or -errno. */
static int write_and_close(int fd, const void *bytes, size_t len, bool sync)
{
    int r = write_all(fd, bytes, len);

    if (r == 0 && sync && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

/* @path: a regular file, or where one is to be. Its links are followed already. */
static int replace_regular(const char *path, mode_t mode, const void *bytes, size_t len)
{
    static const char suffix[] = ".XXXXXX";
    size_t path_len = strlen(path);
    char *temporary = malloc(path_len + sizeof(suffix));

    if (!temporary)
        return -ENOMEM;
    memcpy(temporary, path, path_len);
    memcpy(temporary + path_len, suffix, sizeof(suffix));
    int fd = mkstemp(temporary);
    int r = fd < 0 ? -errno : 0;
    if (r == 0 && mode != 0600 && fchmod(fd, mode) < 0)
        r = -errno;
    if (r == 0)
        r = write_and_close(fd, bytes, len, true);
    else if (fd >= 0)
        (void)close(fd);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        (void)unlink(temporary);
    free(temporary);
    return r;
}

int replace_file(const char *name, const void *bytes, size_t len)
{
    struct stat st;

    if (strcmp(name, "-") == 0)
        return write_all(STDOUT_FILENO, bytes, len);
    if (stat(name, &st) < 0)
        return errno == ENOENT ? replace_regular(name, 0600, bytes, len) : -errno;
    if (!S_ISREG(st.st_mode)) {
        int fd = open(name, O_WRONLY | O_CLOEXEC);

        return fd < 0 ? -errno : write_and_close(fd, bytes, len, false);
    }
    char *path = realpath(name, NULL);
    if (!path)
        return -errno;
    int r = replace_regular(path, st.st_mode & 0777, bytes, len);
    free(path);
    return r;
}
