/* SPDX-License-Identifier: MIT */
/*
 * Where the daemon is, and starting one of our own when it is nowhere.
 *
 * A hundred processes may try at once. Whoever holds the lock beside the socket looks once
 * more, then binds and listens itself and hands the listening socket to the daemon, so that
 * connecting works from that moment on and requests wait in the backlog while the daemon comes
 * up. A daemon that leaves takes the same lock. Nobody waits for the lock here: the caller
 * comes back.
 *
 * What is found under a path that others can write is not trusted: a daemon of our own must run
 * under our uid (the kernel says who listens), and a run directory in /tmp must be ours alone.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"
#include "spawn.h"
#include "xhr_priv.h"

#define SYSTEM_SOCKET "/run/xhrd.sock"
#define BACKLOG       1024
#define PATH_BYTES    sizeof(((struct sockaddr_un *)0)->sun_path)
#define LOG_BYTES_MAX 1048576

struct place {
    char dir[PATH_BYTES];
    char socket[PATH_BYTES];
    bool is_public; /* under /tmp: anybody may have been there first */
};

/* Return: 0 or -ENAMETOOLONG. */
static int place_init(struct place *place, const char *base, const char *suffix)
{
    int n = snprintf(place->dir, sizeof(place->dir), "%s%s", base, suffix);
    int m = snprintf(place->socket, sizeof(place->socket), "%s%s/socket", base, suffix);

    place->is_public = false;
    return n < 0 || m < 0 || (size_t)m >= sizeof(place->socket) ? -ENAMETOOLONG : 0;
}

/* $XDG_RUNTIME_DIR/xhrd, /run/user/UID/xhrd, /tmp/xhrd-UID. Return: how many. */
static unsigned find_places(struct place places[3])
{
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    unsigned count = 0;
    char base[64];

    if (runtime && runtime[0] == '/' && place_init(&places[0], runtime, "/xhrd") == 0)
        count = 1;
    (void)snprintf(base, sizeof(base), "/run/user/%lu", (unsigned long)geteuid());
    if (place_init(&places[count], base, "/xhrd") == 0 &&
        (count == 0 || strcmp(places[0].dir, places[1].dir) != 0))
        count++;
    (void)snprintf(base, sizeof(base), "/tmp/xhrd-%lu", (unsigned long)geteuid());
    if (place_init(&places[count], base, "") == 0)
        places[count++].is_public = true;
    return count;
}

static int connect_to(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, len + 1);
    while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

static int is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -errno;
    return peer.uid == geteuid();
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* Uses up @fd unless the path leads nowhere: then it may try another one. */
static int connect_own_with(int fd, const char *path)
{
    int r = connect_to(fd, path);

    if (r < 0)
        return r;
    r = is_ours(fd);
    return r > 0 ? 0 : r < 0 ? r : -EPERM;
}

/* Return: a descriptor or -errno. */
static int connect_own(const char *path)
{
    int fd = new_socket();
    int r;

    if (fd < 0)
        return fd;
    r = connect_own_with(fd, path);
    if (r == 0)
        return fd;
    (void)close(fd);
    return r == -EPERM ? -ENOENT : r;
}

static int connect_any(const char *path)
{
    int fd = new_socket();

    if (fd < 0)
        return fd;
    int r = connect_to(fd, path);
    if (r == 0)
        return fd;
    (void)close(fd);
    return r;
}

/* Nobody is behind this path, as opposed to: somebody is, and something else is wrong. */
static bool is_absent(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR || r == -EACCES ||
           r == -ENAMETOOLONG;
}

/* ---- the run directory ---- */

/* Return: a descriptor of the directory; -ENOENT: there is none, try another place; -EPERM with
 * *why filled: somebody else was there first. */
static int open_run_dir(const struct place *place, struct xhr_failure *why)
{
    struct stat st;
    mode_t forbidden = place->is_public ? 077 : 022;

    if (mkdir(place->dir, 0700) < 0 && errno != EEXIST)
        return -ENOENT;
    int fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & forbidden))
        return fd;
    if (fd >= 0)
        (void)close(fd);
    xhr_failure_set(why, XHR_ERROR_DAEMON_UNREACHABLE,
                    "%s must be a directory of uid %lu that nobody else can write, mode 0700: "
                    "remove it, or set XDG_RUNTIME_DIR",
                    place->dir, (unsigned long)geteuid());
    /* After su, XDG_RUNTIME_DIR is another user's: ours is elsewhere. */
    return place->is_public ? -EPERM : -ENOENT;
}

/* Return: the lock's descriptor, -EAGAIN while somebody else holds it, -errno. */
static int take_lock(int dir)
{
    int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int r = errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
    (void)close(fd);
    return r;
}

static int open_log(int dir)
{
    struct stat st;
    int fd = openat(dir, "log", O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && st.st_size > LOG_BYTES_MAX && ftruncate(fd, 0) < 0) {
        int r = -errno;

        (void)close(fd);
        return r;
    }
    return fd;
}

/* With the lock held. Return: a listening descriptor or -errno. */
static int listen_at(const struct place *place, int dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, place->socket, strlen(place->socket) + 1);
    if (unlinkat(dir, "socket", 0) < 0 && errno != ENOENT)
        return -errno;
    int fd = new_socket();
    if (fd < 0)
        return fd;
    /* Before bind() this is the mode the path will have. */
    if (fchmod(fd, 0600) == 0 &&
        bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        if (listen(fd, BACKLOG) == 0)
            return fd;
        (void)unlinkat(dir, "socket", 0);
    }
    int r = -errno;
    (void)close(fd);
    return r;
}

void xhr_client_find_daemon_by(struct xhr_client *client, bool (*find)(char *path, size_t size))
{
    client->find_daemon = find;
}

static const char *daemon_path(const struct xhr_client *client, char found[PATH_MAX])
{
    const char *named = secure_getenv("XHRD_DAEMON");

    if (client->daemon_path)
        return client->daemon_path;
    if (named && *named)
        return named;
    return client->find_daemon && client->find_daemon(found, PATH_MAX) ? found
                                                                       : XHR_DAEMON_PATH;
}

/* With the lock held and nobody listening. Return: a connected descriptor or -errno. */
static int start_locked(const struct xhr_client *client,
                        const struct place *place,
                        int dir,
                        struct xhr_failure *why)
{
    char found[PATH_MAX];
    struct xhr_spawn spawn = {.path = daemon_path(client, found),
                              .listen_fd = listen_at(place, dir)};
    int r;

    if (spawn.listen_fd < 0) {
        xhr_failure_set(why, XHR_ERROR_DAEMON_UNREACHABLE, "cannot listen on %s: %s",
                        place->socket, xhr_errno_text(-spawn.listen_fd));
        return spawn.listen_fd;
    }
    spawn.log_fd = open_log(dir);
    r = xhr_spawn_daemon(&spawn);
    if (r == 0)
        r = connect_own(place->socket);
    else
        (void)unlinkat(dir, "socket", 0);
    if (r < 0)
        xhr_failure_set(why, XHR_ERROR_DAEMON_UNREACHABLE,
                        "cannot start %s: %s; set XHRD_DAEMON to the path of xhrd", spawn.path,
                        xhr_errno_text(-r));
    if (spawn.log_fd >= 0)
        (void)close(spawn.log_fd);
    (void)close(spawn.listen_fd);
    return r;
}

/* Return: a descriptor; -EAGAIN; -ENOENT: try the next place; -errno with *why filled. */
static int
start_at(const struct xhr_client *client, const struct place *place, struct xhr_failure *why)
{
    int dir = open_run_dir(place, why);
    int r;

    if (dir < 0)
        return dir;
    int lock = take_lock(dir);
    if (lock < 0) {
        (void)close(dir);
        if (lock == -EAGAIN)
            return lock;
        xhr_failure_set(why, XHR_ERROR_DAEMON_UNREACHABLE, "cannot lock %s/lock: %s",
                        place->dir, xhr_errno_text(-lock));
        return -ENOLCK;
    }
    /* Somebody may have been quicker. */
    r = connect_own(place->socket);
    if (is_absent(r))
        r = start_locked(client, place, dir, why);
    (void)close(lock);
    (void)close(dir);
    return r == -ENOENT ? -EHOSTDOWN : r;
}

static int
start_anywhere(const struct xhr_client *client, bool *ret_started, struct xhr_failure *why)
{
    struct place places[3];
    unsigned count = find_places(places);

    xhr_failure_set(why, XHR_ERROR_DAEMON_UNREACHABLE,
                    "no run directory for a daemon: set XDG_RUNTIME_DIR");
    for (unsigned i = 0; i < count; i++) {
        int r = start_at(client, &places[i], why);

        if (r != -ENOENT) {
            *ret_started = r >= 0;
            return r;
        }
    }
    return -ENOENT;
}

/* One socket tries them all: the first request of a process pays for every call. */
static int connect_somewhere(void)
{
    struct place places[3];
    unsigned count = find_places(places);
    int fd = new_socket();
    int r = fd < 0 ? fd : -ENOENT;

    for (unsigned i = 0; i < count && is_absent(r); i++) {
        r = connect_own_with(fd, places[i].socket);
        if (r == -EPERM) { /* connected, to somebody else's */
            (void)close(fd);
            fd = new_socket();
            r = fd < 0 ? fd : -ENOENT;
        }
    }
    if (is_absent(r))
        r = connect_to(fd, SYSTEM_SOCKET);
    if (r == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return r;
}

int xhr_start_connect(const struct xhr_client *client,
                      bool *ret_started,
                      struct xhr_failure *ret_why)
{
    const char *path = client->socket_path;
    int r;

    *ret_started = false;
    if (!path)
        path = secure_getenv("XHRD_SOCKET");
    if (path && *path) {
        r = connect_any(path);
        if (r < 0 && r != -EAGAIN)
            xhr_failure_set(ret_why, XHR_ERROR_DAEMON_UNREACHABLE, "%s %s: %s",
                            r == -EACCES ? "cannot connect to the daemon at" : "no daemon at",
                            path, xhr_errno_text(-r));
        return r;
    }
    r = connect_somewhere();
    if (!is_absent(r)) {
        if (r < 0 && r != -EAGAIN)
            xhr_failure_set(ret_why, XHR_ERROR_DAEMON_UNREACHABLE,
                            "cannot connect to a daemon: %s", xhr_errno_text(-r));
        return r;
    }
    if (client->no_start) {
        xhr_failure_set(ret_why, XHR_ERROR_DAEMON_UNREACHABLE,
                        "no daemon is running and none may be started");
        return -ENOENT;
    }
    return start_anywhere(client, ret_started, ret_why);
}
