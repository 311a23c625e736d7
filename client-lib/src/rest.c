/* SPDX-License-Identifier: MIT */
/*
 * A long answer that the program writes to a file as it comes, or to /dev/null: the beginning
 * goes to on_body, as far as the daemon had credit for. When the program has all of that no
 * byte is on its way; then the daemon gets the descriptor in place of more credit, and writes
 * where it stands. So the order is right though the descriptor is shared, with whoever else
 * writes through it as well, and a short answer costs nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "xhr_priv.h"

/* The daemon may write there without waiting for anybody. */
static bool is_no_reader(int fd)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return false;
    return S_ISREG(status.st_mode) ||
           (S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3));
}

int xhr_request_set_rest_fd(struct xhr_request *request, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!request->is_sent || request->is_to_fd || request->download ||
        !request->callbacks.on_body)
        return -EINVAL;
    if (!is_no_reader(fd))
        return -ESPIPE;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

    if (copy < 0)
        return -errno;
    xhr_rest_end(request);
    request->rest_fd = copy;
    return 0;
}

int xhr_rest_hand_over(struct xhr_request *request)
{
    struct xhr_fd_place place = {.is_at_position = true};
    struct xhr_frame_fds fds = {.count = 1, .fds = {request->rest_fd}};

    if (request->credit > 0)
        return 0;
    int r = xhr_encode_body_to_fd(request, &place, &fds);

    if (r < 0)
        return r;
    request->rest_fd = -1; /* the link's */
    request->is_to_fd = true;
    return 0;
}

void xhr_rest_end(struct xhr_request *request)
{
    if (request->rest_fd >= 0)
        (void)close(request->rest_fd);
    request->rest_fd = -1;
}
