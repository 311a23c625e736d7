/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a daemon: name servers and a sandbox as a test wants them. "held.test", and
 * what is below it, is not answered as long as the file $HELD_NAMES exists, and is 127.0.0.1
 * then; "prompt.test" always is. Nor does the user database answer meanwhile who the uid
 * $HELD_USER is. Any other name is the C library's. With $DENY_NETLINK there is
 * no AF_NETLINK, as under RestrictAddressFamilies=. Files under the folder $HANGS_OF cannot be
 * read or written as long as that file exists, as on a file system whose server is gone. Files
 * under the folder $QUOTA_OF are its owner's with a quota of 64 KiB each: what is written
 * behind that fails with EDQUOT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define QUOTA_BYTES 65536

typedef int look_up(const char *host,
                    const char *port,
                    const struct addrinfo *hints,
                    struct addrinfo **ret);

static int is_held(void)
{
    const char *path = getenv("HELD_NAMES");

    return path && access(path, F_OK) == 0;
}

static int is_in(const char *host, const char *domain)
{
    size_t len = host ? strlen(host) : 0;
    size_t least = strlen(domain);

    return len >= least && strcmp(host + len - least, domain) == 0;
}

int getaddrinfo(const char *host,
                const char *port,
                const struct addrinfo *hints,
                struct addrinfo **ret)
{
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    look_up *next;
    const char *answer = host;

    memcpy(&next, &found, sizeof(next));
    if (is_in(host, "held.test") || is_in(host, "prompt.test"))
        answer = "127.0.0.1";
    while (is_in(host, "held.test") && is_held())
        (void)poll(NULL, 0, 5);
    return next(answer, port, hints, ret);
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *bytes, size_t size, struct passwd **ret)
{
    void *found = dlsym(RTLD_NEXT, "getpwuid_r");
    int (*next)(uid_t, struct passwd *, char *, size_t, struct passwd **);
    const char *held = getenv("HELD_USER");
    char user[16];

    memcpy(&next, &found, sizeof(next));
    (void)snprintf(user, sizeof(user), "%u", uid);
    while (held && strcmp(held, user) == 0 && is_held())
        (void)poll(NULL, 0, 5);
    return next(uid, entry, bytes, size, ret);
}

int socket(int family, int type, int protocol)
{
    void *found = dlsym(RTLD_NEXT, "socket");
    int (*next)(int, int, int);

    memcpy(&next, &found, sizeof(next));
    if (family == AF_NETLINK && getenv("DENY_NETLINK")) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return next(family, type, protocol);
}

static int is_under(int fd, const char *folder)
{
    char link[64], path[256];

    if (!folder)
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path));
    return n > 0 && (size_t)n >= strlen(folder) && memcmp(path, folder, strlen(folder)) == 0;
}

static void wait_if_hung(int fd)
{
    if (is_under(fd, getenv("HANGS_OF")))
        while (is_held())
            (void)poll(NULL, 0, 5);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    void *found = dlsym(RTLD_NEXT, "pread");
    ssize_t (*next)(int, void *, size_t, off_t);

    memcpy(&next, &found, sizeof(next));
    wait_if_hung(fd);
    return next(fd, bytes, size, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    void *found = dlsym(RTLD_NEXT, "pwrite");
    ssize_t (*next)(int, const void *, size_t, off_t);

    memcpy(&next, &found, sizeof(next));
    wait_if_hung(fd);
    if (is_under(fd, getenv("QUOTA_OF")) && offset + (off_t)size > QUOTA_BYTES) {
        if (offset >= QUOTA_BYTES) {
            errno = EDQUOT;
            return -1;
        }
        size = (size_t)(QUOTA_BYTES - offset); /* as the kernel does: first what still fits */
    }
    return next(fd, bytes, size, offset);
}
