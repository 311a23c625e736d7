/* SPDX-License-Identifier: MIT */
#include "base/log_sink.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define JOURNAL_QUEUE_BYTES (8 << 20) /* as much of it as the system lets us have */

/* JOURNAL_STREAM names the device and inode of the journal's socket: systemd.exec(5). */
bool log_sink_is_journal(void)
{
    static atomic_int known; /* 0: not asked, 1: no, 2: yes */
    int is = atomic_load(&known);

    if (is == 0) {
        const char *stream = getenv("JOURNAL_STREAM");
        char own[64] = "";
        struct stat st;

        if (stream && fstat(STDERR_FILENO, &st) == 0)
            (void)snprintf(own, sizeof(own), "%lu:%lu", (unsigned long)st.st_dev,
                           (unsigned long)st.st_ino);
        is = stream && strcmp(stream, own) == 0 ? 2 : 1;
        atomic_store(&known, is);
    }
    return is == 2;
}

/* Return: the socket that lines leave by, made with the first; -1 if there cannot be one now.
 */
static int journal_fd(void)
{
    static atomic_int kept; /* the descriptor and one; 0: none yet */
    static const int bytes = JOURNAL_QUEUE_BYTES;
    int none = 0;
    int fd = atomic_load(&kept) - 1;

    if (fd >= 0)
        return fd;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    if (!atomic_compare_exchange_strong(&kept, &none, fd + 1)) {
        (void)close(fd); /* another thread was first */
        return none - 1;
    }
    return fd;
}

bool log_sink_send(struct iovec *fields, size_t n)
{
    static struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = LOG_JOURNAL_SOCKET};
    struct msghdr message = {
        .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = fields, .msg_iovlen = n};
    int fd = journal_fd();

    return fd >= 0 && sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* stderr is shared with others, who would not expect it to become non-blocking: ask first. Of a
 * pipe POLLOUT says that a page fits; the lock is against another line of ours taking it. */
bool log_sink_write(const char *text, size_t n)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct pollfd err = {.fd = STDERR_FILENO, .events = POLLOUT};

    (void)pthread_mutex_lock(&one_at_a_time);
    bool ok = poll(&err, 1, 0) == 1 && write(STDERR_FILENO, text, n) == (ssize_t)n;
    (void)pthread_mutex_unlock(&one_at_a_time);
    return ok;
}
