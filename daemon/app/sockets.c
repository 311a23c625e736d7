/* SPDX-License-Identifier: MIT */
#include "app/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "app/kept.h"
#include "app/session_memory.h"
#include "base/fault.h"
#include "base/log.h"

#define BACKLOG 1024

static void learn_path(struct sockets *sockets)
{
    struct sockaddr_un name;
    socklen_t len = sizeof(name);

    memset(&name, 0, sizeof(name));
    if (getsockname(sockets->fds[0], (struct sockaddr *)&name, &len) < 0 ||
        name.sun_family != AF_UNIX)
        return;
    (void)snprintf(sockets->path, sizeof(sockets->path), "%.*s", (int)sizeof(name.sun_path) - 1,
                   name.sun_path);
}

static void learn_file(struct sockets *sockets)
{
    struct stat st;

    if (sockets->path[0] != '\0' && lstat(sockets->path, &st) == 0) {
        sockets->device = st.st_dev;
        sockets->inode = st.st_ino;
    }
}

/* Not those that app/kept.c has taken, and app/session_memory.c will. */
static int take_over(struct sockets *sockets, const struct passed *passed)
{
    for (int i = 0; i < passed->n; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (kept_is_name(passed->names[i]) || session_memory_is_name(passed->names[i]))
            continue;
        if (sockets->count == SOCKETS_MAX)
            return fault(-E2BIG);
        if (sd_is_socket_unix(fd, SOCK_STREAM, 1, NULL, 0) <= 0) {
            log_err(NULL,
                    "descriptor %d that was handed over is no listening Unix stream socket",
                    fd);
            return fault(-EINVAL);
        }
        sockets->fds[sockets->count++] = fd;
    }
    if (sockets->count == 0)
        return 0;
    learn_path(sockets);
    learn_file(sockets);
    /* systemd keeps its sockets; what a client bound for us it let go of. */
    sockets->is_ours = sockets->path[0] == '/' && !getenv("INVOCATION_ID");
    return 0;
}

/* Without waiting: a daemon that is too busy to accept is a daemon. Return: 0, -errno. */
static int try_to_connect(const struct sockaddr_un *name)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return fault(-errno);
    int r = connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0 ? 0 : -errno;
    close(fd);
    return r;
}

/* A socket file that nobody listens on is what a killed daemon left behind. */
static int remove_stale(const struct sockaddr_un *name)
{
    struct stat st;

    if (lstat(name->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int r = try_to_connect(name);
    if (r == 0 || r == -EAGAIN)
        return -EADDRINUSE;
    if (r != -ECONNREFUSED)
        return r == -ENOENT ? 0 : r;
    return unlink(name->sun_path) < 0 ? -errno : 0;
}

/* Somebody may have taken it away and put his own there. */
static bool file_is_ours(const struct sockets *sockets)
{
    struct stat st;

    return lstat(sockets->path, &st) == 0 && st.st_dev == sockets->device &&
           st.st_ino == sockets->inode;
}

static int bind_path(struct sockets *sockets, const char *path, bool for_everyone)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(name.sun_path))
        return fault(-ENAMETOOLONG);
    memcpy(name.sun_path, path, strlen(path));
    int r = remove_stale(&name);
    if (r < 0)
        return r;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fault(-errno);
    r = bind(fd, (const struct sockaddr *)&name, sizeof(name)) < 0 ? -errno : 0;
    if (r == 0 && (chmod(path, for_everyone ? 0666 : 0600) < 0 || listen(fd, BACKLOG) < 0)) {
        r = -errno;
        (void)unlink(path);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    sockets->fds[sockets->count++] = fd;
    memcpy(sockets->path, path, strlen(path) + 1);
    sockets->is_ours = true;
    sockets->is_bound_here = true;
    learn_file(sockets);
    return 0;
}

int passed_take(struct passed *ret)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);

    *ret = (struct passed){.names = names, .n = n < 0 ? 0 : n};
    return n < 0 ? n : 0;
}

void passed_done(struct passed *passed)
{
    for (int i = 0; i < passed->n; i++)
        free(passed->names[i]);
    free(passed->names);
    *passed = (struct passed){0};
}

int sockets_open(struct sockets *ret,
                 const struct passed *passed,
                 const char *path,
                 bool for_everyone)
{
    *ret = (struct sockets){.lock_fd = -1};

    int r = passed ? take_over(ret, passed) : 0;
    if (r < 0 || ret->count > 0)
        return r;
    return path ? bind_path(ret, path, for_everyone) : -ENOENT;
}

/* Return: the lock, or -errno; -EWOULDBLOCK while somebody starts a daemon. */
static int lock_beside(const char *socket_path)
{
    char path[SOCKET_PATH_BYTES + 8];
    const char *slash = strrchr(socket_path, '/');

    (void)snprintf(path, sizeof(path), "%.*slock", slash ? (int)(slash + 1 - socket_path) : 0,
                   socket_path);
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = -errno;

        close(fd);
        return r;
    }
    return fd;
}

static bool is_connecting(const struct sockets *sockets)
{
    struct pollfd ask[SOCKETS_MAX];

    for (unsigned i = 0; i < sockets->count; i++)
        ask[i] = (struct pollfd){.fd = sockets->fds[i], .events = POLLIN};
    return poll(ask, sockets->count, 0) > 0;
}

int sockets_leave(struct sockets *sockets)
{
    char aside[SOCKET_PATH_BYTES + 8];

    if (sockets->count == 0 || is_connecting(sockets))
        return sockets->count == 0 ? SOCKETS_LEFT : SOCKETS_STAY;
    if (!sockets->is_ours || !file_is_ours(sockets))
        return SOCKETS_LEFT;
    int lock = lock_beside(sockets->path);
    if (lock < 0)
        return SOCKETS_STAY;
    /* Aside first: who came in before that is seen, who comes after finds nothing. */
    (void)snprintf(aside, sizeof(aside), "%s.old", sockets->path);
    if (rename(sockets->path, aside) < 0 && errno != ENOENT) {
        close(lock);
        return SOCKETS_STAY;
    }
    if (is_connecting(sockets)) {
        if (rename(aside, sockets->path) < 0)
            log_warning(NULL, "the socket cannot be put back: %m");
        close(lock);
        return SOCKETS_STAY;
    }
    (void)unlink(aside);
    sockets->lock_fd = lock;
    return SOCKETS_LEFT;
}

void sockets_done(struct sockets *sockets)
{
    for (unsigned i = 0; i < sockets->count; i++) {
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
    }
    if (sockets->is_bound_here && sockets->lock_fd < 0 && file_is_ours(sockets))
        (void)unlink(sockets->path);
    if (sockets->lock_fd >= 0)
        close(sockets->lock_fd);
}
